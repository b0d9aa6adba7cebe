"""Energy network: its reductions, its two losses, and consistent answers."""

import functools
from typing import Any

import contract
import jax
import jax.numpy as jnp
import numpy as np
import one_label_worlds
import pytest
from scipy import special

from mlc.errors import InputError
from mlc.models import independent, spen

L = contract.L


def heads_of(c):
  """Independent heads with the encoder and local terms of an energy network."""
  model = contract.make(independent.Model, order='given')
  params = c.variables['params']
  head = params['network']['local']
  structure = {'order': jnp.arange(L), 'constant': jnp.full(L, jnp.nan)}
  params = {'encoder': params['encoder'], 'head': head}
  return model, {'params': params, 'structure': structure}


def test_without_units_it_is_independent_heads():
  """In scores, and 'unrolled' in loss and gradients, labels missing too."""
  c = contract.case(contract.make(spen.Model, units=0))
  model, variables = heads_of(c)
  expected: Any = model.apply(variables, c.x, method='marginals')
  np.testing.assert_allclose(c.apply('scores', c.x), expected, atol=1e-6)
  mask = jnp.ones(c.y.shape).at[0, 1].set(0).at[2].set(0)

  def total(model, rest):
    def loss(params):
      loss_B, weight_B = model.apply(
        {'params': params, **rest}, c.x, c.y, mask, method='loss'
      )
      return loss_B.sum() / weight_B.sum()

    return jax.jit(jax.value_and_grad(loss))

  params = c.variables['params']
  found, grads = total(c.model, {})(params)
  structure = {'structure': variables['structure']}
  expected, of_heads = total(model, structure)(variables['params'])
  np.testing.assert_allclose(found, expected, rtol=1e-6)
  of_heads = of_heads | {'network': {'local': of_heads.pop('head')}}
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, atol=1e-6), grads, of_heads
  )


def test_the_margin_without_units_has_a_closed_form():
  """Sum over labels: softplus(a + 1 - 2 y) + y - a y, from log-partitions."""
  c = contract.case(contract.make(spen.Model, units=0, training='margin'))
  model, variables = heads_of(c)
  a = special.logit(
    np.asarray(model.apply(variables, c.x, method='marginals'), float)
  )
  y, mask = np.asarray(c.y, float), np.ones(c.y.shape)
  mask[0, 1] = mask[2] = 0
  cells = np.logaddexp(0, a + 1 - 2 * y) + y - a * y
  loss_B, weight_B = c.apply('loss', c.x, c.y, jnp.asarray(mask, jnp.float32))
  # The ascent's 20 halvings leave 1e-6 of its start.
  np.testing.assert_allclose(loss_B, (cells * mask).sum(1), rtol=1e-4)
  np.testing.assert_array_equal(weight_B, [1, 1, 0, 1, 1, 1])


def test_the_margin_s_gradient_is_that_of_its_value():
  """Nothing is lost by holding the y found fixed: finite differences."""
  c = contract.case(contract.make(spen.Model, training='margin', steps=200))
  params = jax.tree.map(lambda a: 0.5 * a, c.variables['params'])

  @jax.jit
  def loss(params):
    mask = jnp.ones(c.y.shape)
    out = c.model.apply({'params': params}, c.x, c.y, mask, method='loss')
    return out[0].sum()

  grads = jax.grad(loss)(params)
  way = jax.tree.map(lambda g: g / 100, grads)
  up, down = (
    loss(jax.tree.map(lambda p, g, s=s: p + s * g, params, way))
    for s in (1, -1)
  )
  slope = sum(
    float((g * w).sum())
    for g, w in zip(jax.tree.leaves(grads), jax.tree.leaves(way), strict=True)
  )
  np.testing.assert_allclose((up - down) / 2, slope, rtol=0.03)


@pytest.mark.parametrize(
  'training, bar', [('unrolled', 0.87), ('margin', 0.84)]
)
def test_label_sets_that_linear_heads_do_not_find(training, bar):
  """Of heads .65 (dvn_test.py); the ascent of 'margin' may end elsewhere."""
  found = one_label_worlds.found(
    spen.Model, 'scores', training=training, units=32
  )
  assert found > bar


def test_answers_that_heads_cut_by_themselves_do_not_find():
  """One label of four is on: the mode says one, each head by itself none."""
  heads = one_label_worlds.example_f1(independent.Model, 'marginals')
  found = one_label_worlds.example_f1(spen.Model, 'scores', training='margin')
  assert found > heads + 0.05


def test_unknown_training_and_rates_are_refused():
  for fields, message in (
    ({'training': 'margins'}, 'did you mean: margin'),
    ({'rate': 1.5}, r'rate 1.5 of spen: give a number in \(0, 1\]'),
  ):
    with pytest.raises(InputError, match=message):
      contract.case(contract.make(spen.Model, **fields))
