"""Decisions against brute force over all 2^L answers."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlc import decisions
from mlc.posterior import Candidates, Product, marginals, weights

B, L = 32, 5
SETS_UxL = np.array(list(itertools.product([0, 1], repeat=L)), np.int8)

_hamming, _subset = jax.jit(decisions.hamming), jax.jit(decisions.subset)
_f1, _marginals = jax.jit(decisions.f1), jax.jit(marginals)


def _f1_of(a, b):
  return 2 * (a & b).sum() / (a.sum() + b.sum()) if (a | b).any() else 1.0


UTILITY = {
  'hamming': np.array([[(a == b).mean() for b in SETS_UxL] for a in SETS_UxL]),
  'subset': np.eye(len(SETS_UxL)),
  'f1': np.array([[_f1_of(a, b) for b in SETS_UxL] for a in SETS_UxL]),
}
RULE = {'hamming': _hamming, 'subset': _subset, 'f1': _f1}


def _index(y_xL):
  """Row of SETS_UxL that a label set is."""
  return np.asarray(y_xL, int) @ (2 ** np.arange(L)[::-1])


def _posterior(kind):
  """A random posterior and, by other means, its joint BxU."""
  rng = np.random.default_rng(list(map(ord, kind)))
  spread = rng.uniform(0.2, 4, (B, 1))
  if kind == 'product':
    p_BxL = 1 / (1 + np.exp(-spread * rng.normal(-0.5, 1, (B, L))))
    p_BxL[0], p_BxL[1], p_BxL[2, :2] = 0, 1, (0, 1)
    p_BxL = p_BxL.astype(np.float32)
    p_Bx1xL, y_1xUxL = p_BxL[:, None].astype(float), SETS_UxL[None]
    joint_BxU = np.where(y_1xUxL, p_Bx1xL, 1 - p_Bx1xL).prod(-1)
    return Product(jnp.array(p_BxL)), joint_BxU
  if kind == 'shared':
    y_BxSxL = SETS_UxL[rng.permutation(len(SETS_UxL))][None]
  elif kind == 'full':
    orders = [rng.permutation(len(SETS_UxL)) for _ in range(B)]
    y_BxSxL = np.stack([SETS_UxL[o] for o in orders]).astype(np.float32)
  else:  # A few label sets, drawn many times, as by Monte Carlo.
    few_Bx6 = rng.integers(len(SETS_UxL), size=(B, 6))
    draw_Bx24 = rng.integers(6, size=(B, 24))
    y_BxSxL = SETS_UxL[np.take_along_axis(few_Bx6, draw_Bx24, 1)]
  S = y_BxSxL.shape[1]
  logw_BxS = (7 + spread * rng.normal(size=(B, S))).astype(np.float32)
  if kind == 'samples':
    logw_BxS[: B // 2] = 0
    logw_BxS[rng.random((B, S)) < 0.2] = -np.inf
  joint_BxU = np.zeros((B, len(SETS_UxL)))
  w_BxS = np.exp(logw_BxS.astype(float))
  rows_BxS = np.broadcast_to(_index(y_BxSxL), (B, S))
  np.add.at(joint_BxU, (np.arange(B)[:, None], rows_BxS), w_BxS)
  joint_BxU /= joint_BxU.sum(1, keepdims=True)
  return Candidates(jnp.array(y_BxSxL), jnp.array(logw_BxS)), joint_BxU


@pytest.mark.parametrize('rule', UTILITY)
@pytest.mark.parametrize('kind', ['shared', 'full', 'samples', 'product'])
def test_decision_is_the_best_of_all_answers(kind, rule):
  posterior, joint_BxU = _posterior(kind)
  utility_BxU = joint_BxU @ UTILITY[rule].T
  answer_BxL = RULE[rule](posterior)
  assert answer_BxL.dtype == jnp.int8
  got_B = utility_BxU[np.arange(B), _index(answer_BxL)]
  best_B = utility_BxU.max(1)
  np.testing.assert_allclose(got_B, best_B, rtol=0, atol=1e-6)
  unique_B = np.sort(utility_BxU, 1)[:, -2] < best_B - 1e-5
  assert unique_B.sum() > B / 3
  np.testing.assert_array_equal(
    np.asarray(answer_BxL)[unique_B],
    SETS_UxL[utility_BxU.argmax(1)][unique_B],
  )


def test_losses_ask_for_different_answers():
  posterior, _ = _posterior('full')
  a, b, c = (np.asarray(rule(posterior)) for rule in RULE.values())
  assert (a != b).any() and (a != c).any() and (b != c).any()


@pytest.mark.parametrize('kind', ['shared', 'full', 'samples', 'product'])
def test_marginals_are_sums_of_the_joint(kind):
  posterior, joint_BxU = _posterior(kind)
  np.testing.assert_allclose(
    _marginals(posterior), joint_BxU @ SETS_UxL, rtol=0, atol=1e-6
  )
  np.testing.assert_array_equal(decisions.rank(posterior), marginals(posterior))


def test_weights_are_normalised_and_safe():
  inf = np.inf
  logw_BxS = jnp.array([[1e4, 1e4, -inf], [-1e4, -inf, -inf], [-inf] * 3])
  c = Candidates(jnp.ones((3, 3, 2), jnp.int8), logw_BxS)
  want_BxS = [[0.5, 0.5, 0], [1, 0, 0], [0, 0, 0]]
  np.testing.assert_array_equal(weights(c), want_BxS)
  # Without any candidate every rule answers the empty set.
  for rule in (_hamming, _subset, _f1):
    np.testing.assert_array_equal(rule(c), [[1, 1], [1, 1], [0, 0]])
  assert np.isnan(weights(c._replace(logw_BxS=logw_BxS * np.nan))).all()


def test_one_example_pools_its_samples():
  # The leading axis is 1, as of a shared support; the copies still count.
  y_1xSxL = jnp.array([[[1, 1], [0, 1], [1, 0], [0, 1]]])
  c = Candidates(y_1xSxL, jnp.log(jnp.array([[0.4, 0.25, 0.05, 0.3]])))
  np.testing.assert_array_equal(_subset(c), [[0, 1]])


@pytest.mark.parametrize('num_labels', [32, 33, 100])
def test_pooling_tells_apart_sets_that_differ_in_one_label(num_labels):
  # Three copies of one set against two each of all its neighbours.
  rng = np.random.default_rng(num_labels)
  mode_L = rng.integers(2, size=num_labels)
  near_LxL = mode_L ^ np.eye(num_labels, dtype=int)
  y_SxL = np.concatenate([[mode_L] * 3, near_LxL, near_LxL])
  y_SxL = y_SxL[rng.permutation(len(y_SxL))]
  c = Candidates(jnp.array(y_SxL)[None], jnp.zeros((1, len(y_SxL))))
  np.testing.assert_array_equal(_subset(c)[0], mode_L)


def test_ties():
  half = Product(jnp.array([[0.5, 0.5, 0.75]]))
  np.testing.assert_array_equal(_hamming(half), [[0, 0, 1]])
  np.testing.assert_array_equal(_subset(half), [[0, 0, 1]])
  # {} and {2} are worth 1/2 each: the smaller answer.
  c = Candidates(jnp.array([[[0, 1], [0, 0]]]), jnp.zeros((1, 2)))
  np.testing.assert_array_equal(_f1(c), [[0, 0]])
  # All are equally probable: the one listed first.
  y_1xSxL = jnp.array([[[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]]])
  c = Candidates(y_1xSxL, jnp.zeros((1, 4)))
  np.testing.assert_array_equal(_subset(c), [[0, 1, 0]])
  # One of two equally good labels: the lower index.
  p_BxL, k_B = jnp.array([[0.2, 0.3, 0.3]]), jnp.array([1])
  np.testing.assert_array_equal(decisions._top(p_BxL, k_B), [[0, 1, 0]])
  p_BxL, t_L = jnp.array([[0.2, 0.3], [0.5, 0.0]]), jnp.array([0.2, 0])
  np.testing.assert_array_equal(
    decisions.threshold(p_BxL, t_L), [[0, 1], [1, 0]]
  )


def test_product_f1_equals_gfm_on_the_joint():
  product, joint_BxU = _posterior('product')
  joint = Candidates(jnp.array(SETS_UxL)[None], jnp.log(jnp.array(joint_BxU)))
  a_BxL, b_BxL = np.asarray(_f1(product)), np.asarray(_f1(joint))
  value_BxU = joint_BxU @ UTILITY['f1'].T
  clear_B = np.diff(np.sort(value_BxU, 1)[:, -2:])[:, 0] > 1e-5
  np.testing.assert_array_equal(a_BxL[clear_B], b_BxL[clear_B])


@pytest.mark.parametrize('num_labels', [60, 1000])
def test_prefix_values_equal_a_quadrature(num_labels):
  # 1 / a = integral of t^(a-1) over (0, 1) turns E 2 |A & Y| / (|A| + |Y|)
  # into the integral of a polynomial, on which Gauss-Legendre is exact.
  rng = np.random.default_rng(num_labels)
  p_BxL = -np.sort(-rng.beta([[0.1], [0.5], [3]], 2, (3, num_labels)))
  p_BxL[0, -3:] = 0
  t_Q, w_Q = np.polynomial.legendre.leggauss(num_labels + 1)
  t_Q, w_Q, k_L = (t_Q + 1) / 2, w_Q / 2, np.arange(1, num_labels + 1)
  want_BxK = []
  for p_L in p_BxL:
    pgf_LxQ = 1 - p_L[:, None] * (1 - t_Q)
    hit_LxQ = np.cumsum(p_L[:, None] * t_Q / pgf_LxQ, 0)
    weight_LxQ = 2 * w_Q * t_Q ** (k_L[:, None] - 1) * pgf_LxQ.prod(0)
    some_L = (weight_LxQ * hit_LxQ).sum(1)
    want_BxK.append(np.concatenate([[np.prod(1 - p_L)], some_L]))
  p_BxL = jnp.array(p_BxL, jnp.float32)
  got_BxK = jax.jit(decisions._prefix_values)(p_BxL)
  np.testing.assert_allclose(got_BxK, want_BxK, rtol=0, atol=3e-6)
  size_B = np.asarray(_f1(Product(p_BxL))).sum(1)
  got_B = np.array(want_BxK)[np.arange(3), size_B]
  np.testing.assert_allclose(got_B, np.max(want_BxK, 1), rtol=0, atol=3e-6)


@pytest.mark.parametrize('kind', ['full', 'samples', 'product'])
def test_vmap_over_examples_equals_the_batch(kind):
  posterior, _ = _posterior(kind)
  one_by_one = jax.tree.map(lambda a: a[:, None], posterior)
  for rule in RULE.values():
    answer_Bx1xL = jax.vmap(rule)(one_by_one)
    np.testing.assert_array_equal(answer_Bx1xL[:, 0], rule(posterior))


@pytest.mark.parametrize('what', [marginals, decisions.f1, decisions.subset])
def test_shared_support_is_never_repeated_for_each_example(what):
  U, num_labels = 2**14, 14
  c = Candidates(jnp.zeros((1, U, num_labels), jnp.int8), jnp.zeros((64, U)))
  memory = jax.jit(what).lower(c).compile().memory_analysis()
  assert memory is not None
  assert memory.temp_size_in_bytes < 64 * U * num_labels
