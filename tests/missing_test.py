"""Missing labels: exact sums, an unbiased fit, and the one that is biased."""

import functools
from typing import Any

import contract
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import chain_linear
from mlc import build, loop, missing
from mlc import data as data_lib
from mlc.errors import InputError
from mlc.models import (
  chain,
  crf_chain,
  independent,
  rnn,
  separate,
  transformer,
  tree_chain,
)

MODELS = [chain, rnn, transformer]
SMALL = {'rnn': {'width': 16}, 'transformer': {'width': 16, 'depth': 1}}
MASK_BxL = np.random.default_rng(0).random((contract.B, contract.L)) < 0.5
MASK_BxL[0], MASK_BxL[1] = False, True


def make(module, **fields):
  small = SMALL.get(module.__name__.rpartition('.')[2], {})
  return contract.make(module.Model, **small, **fields)


def agree(y_BxL):
  """BxU: is label set u what row b may be, given its observed labels?"""
  same_BxUxL = contract.SETS_UxL[None] == np.asarray(y_BxL)[:, None]
  return (same_BxUxL | ~MASK_BxL[:, None]).all(-1)


@pytest.mark.parametrize(
  'module', [*MODELS, independent, tree_chain, crf_chain]
)
def test_the_marginal_loss_is_the_sum_over_all_completions(module, monkeypatch):
  monkeypatch.setattr(missing, 'AT_ONCE', 4)
  c = contract.case(make(module, missing='marginal'))
  mask_BxL = jnp.asarray(MASK_BxL, jnp.float32)
  agree_UxB = jnp.asarray(agree(c.y).T)

  def loss(params):
    loss_B, weight_B = c.model.apply(
      {**c.variables, 'params': params},
      c.x,
      jnp.where(MASK_BxL, c.y, jnp.nan),
      mask_BxL,
      method='loss',
    )
    return loss_B.sum(), (loss_B, weight_B)

  def plain(params):
    log_prob_UxB = jax.vmap(
      lambda y_L: c.model.apply(
        {**c.variables, 'params': params},
        c.x,
        jnp.tile(y_L, (contract.B, 1)),
        method='log_prob',
      )
    )(jnp.asarray(contract.SETS_UxL))
    nll_B = -jnp.log((jnp.exp(log_prob_UxB) * agree_UxB).sum(0))
    return nll_B.sum(), log_prob_UxB

  params = c.variables['params']
  grads, (loss_B, weight_B) = jax.jit(jax.grad(loss, has_aux=True))(params)
  expected, log_prob_UxB = jax.jit(jax.grad(plain, has_aux=True))(params)
  p_UxB = np.exp(np.asarray(log_prob_UxB, float)) * agree(c.y).T
  expected_B = -np.log(p_UxB.sum(0))
  expected_B[0] = 0  # Not the rounding of a sum over all.
  np.testing.assert_allclose(loss_B, expected_B, rtol=1e-4)
  np.testing.assert_allclose(weight_B, MASK_BxL.mean(1))
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4),
    grads,
    expected,
  )


@pytest.mark.parametrize('module', MODELS)
def test_unknown_as_an_input_keeps_the_contract(module):
  c = contract.case(make(module, missing='unknown'))
  contract.check_missing(c)
  contract.check_gradients(c)
  contract.check_steps(c)


@pytest.mark.parametrize('module', MODELS)
def test_unknown_is_told_from_0_and_from_1_by_later_labels_only(module):
  model = make(module, missing='unknown', order='2,0,3,1')
  c = contract.case(model)
  place_L = np.argsort([2, 0, 3, 1])
  logits = {}
  for value, mask in ((0, 1), (1, 1), (0, 0)):
    y = c.y.at[:, 0].set(value)
    mask_BxL = jnp.ones(c.y.shape).at[:, 0].set(mask)
    logits[value, mask], counted_BxL = c.apply('cells', c.x, y, mask_BxL)
    np.testing.assert_array_equal(counted_BxL, mask_BxL)
  for other in ((0, 1), (1, 1)):
    apart_L = np.abs(logits[0, 0] - logits[other]).max(0)
    np.testing.assert_array_equal(apart_L > 1e-3, place_L > place_L[0])


def test_cells_count_where_all_labels_before_are_observed():
  c = contract.case(contract.make(chain.Model, order='2,0,3,1'))
  mask_BxL = jnp.ones(c.y.shape).at[0, 0].set(0).at[1, 2].set(0)
  _, counted_BxL = c.apply('cells', c.x, c.y, mask_BxL)
  expected_BxL = np.ones(c.y.shape)
  expected_BxL[0, [0, 3, 1]] = 0
  expected_BxL[1] = 0
  np.testing.assert_array_equal(counted_BxL, expected_BxL)


@pytest.fixture(scope='module')
def world():
  """Two labels, 30 % missing: the second is 4 times the first, 0 times x."""
  rng = np.random.default_rng(0)
  x = rng.normal(size=(6000, 1))
  first = rng.random(6000) < 1 / (1 + np.exp(-3 * x[:, 0]))
  second = rng.random(6000) < 1 / (1 + np.exp(-(4 * first - 2)))
  y = np.stack([first, second], axis=1).astype(float)
  y[rng.random(y.shape) < 0.3] = np.nan
  seen = ~np.isnan(y).all(1)
  return data_lib.from_arrays(x[seen], y[seen])


def second_link(data, way, hidden=0):
  """(weight of x, weight of the first label) in the logit of the second."""
  config: Any = chain_linear.get_config()
  config.model.update(missing=way, hidden=hidden)
  training = contract.sgd(
    epochs=60 if hidden else 500,
    batch_size=0,
    tolerance=1e-4,
    l2=1.0,
    optimizer={'name': 'lbfgs'},
  )
  model = build.model(config.model, config.encoder, 2)
  result = loop.fit(model, data, training, [0])
  variables = jax.tree.map(lambda a: a[0], result.variables)
  x = jnp.array([[-1.0], [1.0], [-1.0], [1.0]])
  y = jnp.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
  logits_BxL = model.apply(variables, x, y, method='logits')
  off, off_up, on, on_up = np.asarray(logits_BxL)[:, 1]
  return (off_up - off + on_up - on) / 4, (on - off + on_up - off_up) / 2


@pytest.mark.parametrize('way', ['complete', 'marginal'])
def test_hiding_labels_at_random_leaves_the_fit_unbiased(world, way):
  of_x, of_label = second_link(world, way)
  assert abs(of_x) < 0.2
  assert abs(of_label - 4) < 0.3


def test_unknown_as_an_input_biases_linear_links_and_not_flexible_ones(world):
  of_x, of_label = second_link(world, 'unknown')
  assert of_x > 0.5
  assert of_label < 3.5
  of_x, of_label = second_link(world, 'unknown', hidden=8)
  assert abs(of_x) < 0.3


def test_what_cannot_be_is_refused_in_one_line():
  def init(model):
    contract.start(model)

  with pytest.raises(InputError, match="unknown way .* 'marginl'.*marginal"):
    init(contract.make(chain.Model, missing='marginl'))
  for module in (independent, separate):
    with pytest.raises(InputError, match='no input for an unknown label'):
      init(make(module, missing='unknown'))
  many = jnp.zeros((1, 13))
  for module, fits in (
    (chain, False),
    (independent, True),
    (tree_chain, True),
  ):
    model = module.Model(
      num_labels=13, encoder=contract.encoders.Linear(), missing='marginal'
    )
    args = jax.random.key(0), many, many, many
    if fits:
      jax.eval_shape(lambda *a, m=model: m.init(*a, method='loss'), *args)
    else:
      with pytest.raises(InputError, match='13 label sets: it stops at 12'):
        jax.eval_shape(lambda *a, m=model: m.init(*a, method='loss'), *args)
  c = contract.case(contract.make(chain.Model, missing='marginal'))
  with pytest.raises(InputError, match="use the loss 'likelihood'"):
    c.apply('cells', c.x, c.y, jnp.ones(c.y.shape))
