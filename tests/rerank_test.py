"""Reranking: exact best label sets, and one distribution whatever is asked."""

import functools
import itertools
from typing import Any

import contract
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlc import data as data_lib
from mlc import encoders, inference, loop
from mlc.decisions import sets
from mlc.models import independent, rerank

L = contract.L


@pytest.mark.parametrize('count', [1, 5, 20, 64])
def test_the_best_label_sets_are_those_of_an_enumeration(count):
  logits_BxL = 2 * np.random.default_rng(1).normal(size=(3, 6))
  sets_UxL = np.array(list(itertools.product((0, 1), repeat=6)))
  logp_BxL = np.logaddexp(0, logits_BxL)
  logp_BxU = logits_BxL @ sets_UxL.T - logp_BxL.sum(1, keepdims=True)
  best_BxS = np.argsort(-logp_BxU, axis=1)[:, :count]
  found = jax.jit(rerank.most_probable, static_argnums=1)(
    jnp.asarray(logits_BxL, jnp.float32), count
  )
  np.testing.assert_array_equal(found, sets_UxL[best_BxS])


@pytest.fixture(scope='module')
def case():
  """Six of 16 label sets weighed anew; the scorer is far from zero."""
  c = contract.case(contract.make(rerank.Model, sets=6, width=8))
  h = c.apply('encode', c.x)
  assert np.abs(h.f_BxS).max() > 0.5
  return c


def by_hand(c, h):
  """BxU: b exp(f) / Z in float64."""
  logits_BxL = np.asarray(h.logits_BxL, float)
  b_BxU = np.exp(
    logits_BxL @ contract.SETS_UxL.T
    - np.logaddexp(0, logits_BxL).sum(1, keepdims=True)
  )
  index_BxS = np.asarray(h.y_BxSxL, int) @ (1 << np.arange(L)[::-1])
  for b, index_S in enumerate(index_BxS):
    b_BxU[b, index_S] *= np.exp(np.asarray(h.f_BxS[b], float))
  return b_BxU / b_BxU.sum(1, keepdims=True)


def test_the_joint_is_that_of_the_formula(case):
  expected_BxU = by_hand(case, case.apply('encode', case.x))
  np.testing.assert_allclose(case.joint(), expected_BxU, rtol=1e-4)


def test_missing_labels_are_summed_out(case):
  expected_BxU = by_hand(case, case.apply('encode', case.x))
  mask_BxL = np.random.default_rng(5).integers(0, 2, case.y.shape)
  mask_BxL[0] = [1, 0, 0, 1]
  agree_BxUxL = contract.SETS_UxL[None] == np.asarray(case.y)[:, None]
  agree_BxU = (agree_BxUxL | (mask_BxL[:, None] == 0)).all(-1)
  p_B = np.where(agree_BxU, expected_BxU, 0).sum(1)
  mask = jnp.asarray(mask_BxL, jnp.float32)
  loss_B, weight_B = case.apply('loss', case.x, case.y, mask)
  np.testing.assert_allclose(
    loss_B, np.where(mask_BxL.any(1), -np.log(p_B), 0), rtol=1e-4, atol=1e-6
  )
  np.testing.assert_allclose(weight_B, mask_BxL.mean(1))


def test_marginals_given_labels_are_those_of_the_formula(case):
  joint_BxU = by_hand(case, case.apply('encode', case.x))
  given_BxL = np.random.default_rng(3).integers(-1, 2, (contract.B, L))
  given_BxL[:2] = [[-1] * L, [1, 0, 0, 1]]
  agree_BxUxL = given_BxL[:, None] == contract.SETS_UxL[None]
  agree_BxUxL |= given_BxL[:, None] < 0
  left_BxU = np.where(agree_BxUxL.all(-1), joint_BxU, 0)
  expected_BxL = left_BxU @ contract.SETS_UxL / left_BxU.sum(1, keepdims=True)
  found_BxL = case.apply('marginals', case.x, given_BxL)
  np.testing.assert_allclose(found_BxL, expected_BxL, rtol=1e-4, atol=1e-7)


def test_beside_a_whole_label_set_there_is_nothing():
  """However its log probability was rounded, and however small f makes it."""
  one_1x1 = jnp.ones((1, 1))
  h = rerank.Ranked(
    jnp.zeros((1, L)), jnp.zeros((1, 1, L)), -one_1x1, -8 * one_1x1
  )
  found_B = rerank._log_mass(
    h, one_1x1 > 0, logb_B=jnp.array([-1 + 1e-6]), free=0
  )
  np.testing.assert_allclose(found_B, -9, atol=3e-6)


def test_training_begins_with_independent_heads_exactly():
  state, rows = contract.start(contract.make(rerank.Model, sets=6))
  alone = independent.Model(num_labels=L, encoder=encoders.MLP((8,)))
  expected_B: Any = alone.apply(
    {'params': state.params['first'], 'structure': state.structure['first']},
    *(rows.x, rows.y_BxL),
    method='log_prob',
  )
  model = contract.make(rerank.Model, sets=6)
  run = jax.jit(functools.partial(model.apply, method='log_prob'))
  found_B = run(state.variables, rows.x, rows.y_BxL)
  np.testing.assert_allclose(found_B, expected_B, atol=2e-6)


def test_counts_are_of_label_sets_seen_twice_or_more():
  model = contract.make(rerank.Model, sets=16)
  data = contract.dataset()
  seen = data.split('train').y
  known = {tuple(y_L): (seen == y_L).all(1).sum() for y_L in contract.SETS_UxL}
  assert 0 in known.values() and 1 in known.values()
  state, _ = contract.start(model)
  variables, looked = state.variables, {}
  # A scorer that passes the count on: one hidden unit, in gelu's linear part.
  hidden = variables['params']['hidden']
  kernel = jnp.zeros_like(hidden['kernel']).at[1, 0].set(1.0)
  params = variables['params'] | {
    'hidden': {'kernel': kernel, 'bias': hidden['bias'] * 0 + 20.0},
    'out': {
      'kernel': jnp.zeros_like(variables['params']['out']['kernel'])
      .at[0, 0]
      .set(1.0),
      'bias': jnp.array([-20.0]),
    },
  }
  run = jax.jit(functools.partial(model.apply, method='encode'))
  h = run(variables | {'params': params}, data.split('train').x[:2])
  for y_L, f in zip(np.asarray(h.y_BxSxL)[0], h.f_BxS[0], strict=True):
    looked[tuple(y_L.astype(int))] = float(f)
  for y_L, count in known.items():
    expected = rerank.MOST * np.tanh(np.log(max(count, 1)) / rerank.MOST)
    assert looked[y_L] == pytest.approx(expected, abs=1e-4), y_L


@functools.partial(jax.jit, static_argnums=0)
def answered(model, variables, x, y_NxL):
  """The mode, and the log-likelihood of y."""
  mode_NxL = sets.subset(inference.exact(model, variables, x))
  return mode_NxL, model.apply(variables, x, y_NxL, method='log_prob')


def test_it_finds_the_mode_that_independent_heads_cannot():
  """Two of three labels are on; x says little of which one is off.

  Each label by itself is likelier on than off, but all three never are.
  """
  rng = np.random.default_rng(0)
  x = rng.normal(size=(1500, 2)).astype(np.float32)
  odds_Nx3 = np.exp(0.5 * np.pad(x, ((0, 0), (0, 1))))
  p_Nx3 = odds_Nx3 / odds_Nx3.sum(1, keepdims=True)
  off_N = (rng.random((1500, 1)) > p_Nx3.cumsum(1)).sum(1)
  data = data_lib.from_arrays(x, 1 - np.eye(3)[off_N], name='two of three')
  p_Nx3, test = p_Nx3[data.splits['test']], data.split('test')
  config = contract.sgd(epochs=12, batch_size=100, l2=0.0)
  config.optimizer = {'name': 'adamw', 'lr': 0.02, 'weight_decay': 0.0}
  nll, right = {}, {}
  for cls in (independent.Model, rerank.Model):
    model = cls(num_labels=3, encoder=encoders.MLP((8,)))
    variables = loop.fit(model, data, config, [0, 1]).variables
    for run in range(2):
      one = jax.tree.map(lambda a, run=run: a[run], variables)
      y_NxL, log_prob_N = jax.device_get(answered(model, one, *test[:2]))
      right[cls, run] = (p_Nx3 * (y_NxL[:, None] == 1 - np.eye(3)).all(2)).sum(
        1
      )
      nll[cls, run] = -log_prob_N.mean()
  entropy = -(p_Nx3 * np.log(p_Nx3)).sum(1).mean()
  for run in range(2):
    assert nll[rerank.Model, run] < entropy + 0.06
    assert nll[independent.Model, run] > entropy + 0.5
    assert right[rerank.Model, run].mean() > p_Nx3.max(1).mean() - 0.03
    assert right[independent.Model, run].mean() < p_Nx3.max(1).mean() - 0.2
