"""Linear-chain CRF: its likelihood is exp(score) / Z, by enumeration."""

import dataclasses
import functools
import itertools

import contract
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tree_chain_test import (
  check_log_odds,
  check_reduces,
  divergences,
  linear,
  pinned,
  started,
)

from mlc import data as data_lib
from mlc import encoders, inference, loop
from mlc.models import crf_chain

L, SETS_UxL = contract.L, contract.SETS_UxL
ORDER = '2,0,3,1'


@pytest.fixture(scope='module', params=[False, True])
def case(request):
  return contract.case(
    linear(crf_chain.Model, order=ORDER, features=request.param)
  )


def scores(c):
  """u_BxL, w_BxL in original columns, w of a label and the one before it."""
  params = jax.tree.map(lambda a: np.asarray(a, float), c.variables['params'])
  x_BxD = np.asarray(c.x, float)
  unary_BxL = x_BxD @ params['unary']['kernel'] + params['unary']['bias']
  pair = params['pairs']
  pair_BxL = (
    x_BxD @ pair['kernel'] + pair['bias']
    if isinstance(pair, dict)
    else np.tile(pair, (len(x_BxD), 1))
  )
  return unary_BxL, pair_BxL


def expected_joint(c):
  unary_BxL, pair_BxL = scores(c)
  score_BxU = unary_BxL @ SETS_UxL.T
  for before, label in itertools.pairwise(map(int, ORDER.split(','))):
    both_U = SETS_UxL[:, before] * SETS_UxL[:, label]
    score_BxU += pair_BxL[:, [label]] * both_U[None]
  p_BxU = np.exp(score_BxU)
  return p_BxU / p_BxU.sum(1, keepdims=True)


def modes(case):
  """The most probable label set of each row, by messages."""
  search = functools.partial(inference.best_first, case.model, depth=1)
  return jax.jit(search)(case.variables, case.x)


def test_the_likelihood_is_of_the_scores(case):
  np.testing.assert_allclose(case.joint(), expected_joint(case), atol=1e-6)


def test_marginals_and_mode_are_those_of_the_scores(case):
  joint_BxU = expected_joint(case)
  np.testing.assert_allclose(
    case.apply('marginals', case.x), joint_BxU @ SETS_UxL, atol=1e-6
  )
  np.testing.assert_array_equal(
    modes(case).y_BxSxL[:, 0], SETS_UxL[joint_BxU.argmax(1)]
  )


def test_log_odds_are_those_of_the_enumeration(case):
  check_log_odds(case)
  for label in range(L):
    check_log_odds(pinned(case, label))


def test_without_transitions_labels_are_independent(case):
  check_reduces(case, 'unary', ['pairs'])


def test_it_recovers_its_own_world():
  model = linear(crf_chain.Model, order=ORDER)
  params, structure = started(model)
  params['pairs'] = jnp.array([5.0, 5.0, 0.0, -5.0])
  params['unary']['bias'] = jnp.array([0.0, -2.5, -2.5, 0.0])
  params['unary']['kernel'] *= 0.7
  _, (kl, regret), (least_kl, least_regret) = divergences(
    model, params, structure
  )
  assert kl < 0.05 * least_kl
  assert regret < 0.1 * least_regret


def test_a_hundred_labels_train_and_decode():
  num_labels, rows = 100, 40
  rng = np.random.default_rng(0)
  x = rng.normal(size=(rows, contract.D))
  # Each label repeats the one before it, but for a flip in ten.
  flips_NxL = rng.random((rows, num_labels)) < 0.1
  y = (np.cumsum(flips_NxL, axis=1) + rng.integers(0, 2, (rows, 1))) % 2
  data = data_lib.from_arrays(x, y, name='many')
  model = crf_chain.Model(num_labels, encoders.Linear())
  fitted = loop.fit(model, data, contract.sgd(), [0])
  variables = jax.tree.map(lambda a: jnp.asarray(a[0]), fitted.variables)
  c = contract.Case(model, variables, jnp.asarray(x, jnp.float32), y)
  log_prob_B = c.apply('log_prob', c.x, c.y)
  assert np.isfinite(log_prob_B).all()
  found = jax.jit(functools.partial(inference.beam, model, width=4))(
    c.variables, c.x[:2]
  )
  best_B = modes(dataclasses.replace(c, x=c.x[:2])).logw_BxS[:, 0]
  assert (best_B >= found.logw_BxS.max(1) - 1e-3).all()
  p_BxL = c.apply('marginals', c.x)
  assert ((p_BxL >= 0) & (p_BxL <= 1)).all()
