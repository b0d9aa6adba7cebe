"""Rankings against brute force over all L! of them."""

import functools
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlc.decisions import rankings
from mlc.errors import InputError
from mlc.posterior import Candidates, Marginals, Product, marginals

B = 8
RULES = {
  name: getattr(rankings, name)
  for name in ('rank', 'precision_at', 'one_error', 'ranking_loss', 'lrap')
}


@jax.jit
def _scores(posterior):
  return {name: rule(posterior) for name, rule in RULES.items()}


@functools.cache
def _sets(L):
  return np.array(list(itertools.product([0, 1], repeat=L)))


@functools.cache
def _orders(L):
  """All rankings, each the labels from the first to the last."""
  return np.array(list(itertools.permutations(range(L))))


@functools.cache
def _values(metric, L):
  """Rankings x label sets; greater is better."""
  return np.array(
    [[METRICS[metric](y_U[o]) for y_U in _sets(L)] for o in _orders(L)]
  )


def _pairs(y):
  """Pairs of a positive below a negative; y in ranked order."""
  return sum(
    y[j] and not y[i] for i, j in itertools.combinations(range(len(y)), 2)
  )


def _normalised(y):
  pairs = sum(y) * (len(y) - sum(y))
  return -_pairs(y) / pairs if pairs else 0.0


def _lrap(y):
  hits = [sum(y[: i + 1]) / (i + 1) for i in range(len(y)) if y[i]]
  return np.mean(hits) if hits else 1.0


METRICS = {
  'pairs': lambda y: -_pairs(y),
  'ranking_loss': _normalised,
  'lrap': _lrap,
  # A row without labels is an error whatever comes first.
  'one_error': lambda y: -float(not y[0]),
} | {f'precision_at_{k}': lambda y, k=k: sum(y[:k]) / k for k in range(1, 7)}


def _posterior(kind, L, seed):
  """A random posterior and, by other means, its joint BxU."""
  rng = np.random.default_rng(seed)
  sets_UxL = _sets(L)
  if kind == 'product':
    p_BxL = rng.beta(*rng.uniform(0.2, 3, (2, B, L)))
    p_BxL[0, 0], p_BxL[1, -1], p_BxL[2] = 0, 1, 0.5
    p_BxL = p_BxL.astype(np.float32)
    p_Bx1xL = p_BxL[:, None].astype(float)
    joint_BxU = np.where(sets_UxL[None], p_Bx1xL, 1 - p_Bx1xL).prod(-1)
    return Product(jnp.array(p_BxL)), joint_BxU
  if kind == 'shared':
    at_BxS = np.repeat([rng.permutation(len(sets_UxL))], B, 0)
    y_BxSxL = sets_UxL[at_BxS[:1]]
  else:  # A few label sets, some drawn more than once.
    at_BxS = rng.integers(len(sets_UxL), size=(B, 9))
    y_BxSxL = sets_UxL[at_BxS]
  spread_Bx1 = rng.uniform(0.2, 4, (B, 1))
  logw_BxS = (spread_Bx1 * rng.normal(size=at_BxS.shape)).astype(np.float32)
  if kind == 'samples':
    logw_BxS[0] = 0
    logw_BxS[1:][rng.random((B - 1, 9)) < 0.3] = -np.inf
    logw_BxS[:, 0] = 0
  joint_BxU = np.zeros((B, len(sets_UxL)))
  np.add.at(
    joint_BxU, (np.arange(B)[:, None], at_BxS), np.exp(logw_BxS.astype(float))
  )
  joint_BxU /= joint_BxU.sum(1, keepdims=True)
  return Candidates(jnp.array(y_BxSxL), jnp.array(logw_BxS)), joint_BxU


def _reached(scores_BxL, metric, joint_BxU):
  """(value of the ranking by these scores, value of the best one) -> B, B."""
  L = scores_BxL.shape[1]
  value_BxR = joint_BxU @ _values(metric, L).T
  order_BxL = np.argsort(-np.asarray(scores_BxL), axis=1, kind='stable')
  weight_L = L ** np.arange(L)
  at_B = [
    np.flatnonzero(_orders(L) @ weight_L == o @ weight_L)[0] for o in order_BxL
  ]
  return value_BxR[np.arange(B), at_B], value_BxR.max(1)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
  seed=st.integers(0, 2**31),
  kind=st.sampled_from(['shared', 'samples', 'product']),
  L=st.sampled_from([3, 6]),
)
def test_a_ranking_is_the_best_of_all(seed, kind, L):
  posterior, joint_BxU = _posterior(kind, L, seed)
  found = _scores(posterior)
  for rule, metrics in {
    'rank': ['pairs'],
    'ranking_loss': ['ranking_loss'],
    'one_error': ['one_error'],
    'precision_at': [f'precision_at_{k}' for k in range(1, L + 1)],
  }.items():
    scores_BxL = found[rule]
    assert scores_BxL.dtype == jnp.float32
    for metric in metrics:
      got_B, best_B = _reached(scores_BxL, metric, joint_BxU)
      np.testing.assert_allclose(got_B, best_B, rtol=0, atol=1e-6)


def test_marginals_are_not_the_best_for_the_normalised_ranking_loss():
  worse = []
  for seed in range(25):
    posterior, joint_BxU = _posterior('shared', 5, seed)
    scores_BxL = _scores(posterior)['rank']
    got_B, best_B = _reached(scores_BxL, 'ranking_loss', joint_BxU)
    worse.extend(best_B - got_B > 1e-4)
  assert 0.1 < np.mean(worse) < 0.6


@pytest.mark.parametrize('kind', ['product', 'one label', 'two labels'])
def test_lrap_is_exact_where_it_says_so(kind):
  L = 2 if kind == 'two labels' else 5
  for seed in range(6):
    posterior, joint_BxU = _posterior(
      'product' if kind == 'product' else 'shared', L, seed
    )
    if kind == 'one label':
      few_S = (np.asarray(posterior.y_BxSxL[0]).sum(-1) <= 1)[None]
      posterior = posterior._replace(
        logw_BxS=jnp.where(few_S, posterior.logw_BxS, -jnp.inf)
      )
      joint_BxU = joint_BxU * (_sets(L).sum(1) <= 1)
      joint_BxU /= joint_BxU.sum(1, keepdims=True)
    got_B, best_B = _reached(_scores(posterior)['lrap'], 'lrap', joint_BxU)
    np.testing.assert_allclose(got_B, best_B, rtol=0, atol=1e-6)


def test_lrap_is_a_heuristic_that_loses_less_than_marginals():
  lost = {'lrap': [], 'rank': []}
  for seed in range(25):
    posterior, joint_BxU = _posterior('shared', 4, seed)
    found = _scores(posterior)
    for rule, so_far in lost.items():
      got_B, best_B = _reached(found[rule], 'lrap', joint_BxU)
      so_far.extend(best_B - got_B)
  wrong = np.mean(np.array(lost['lrap']) > 1e-5)
  assert 0.1 < wrong < 0.5
  assert np.mean(lost['lrap']) < 0.75 * np.mean(lost['rank'])


def test_lrap_ranks_by_shares_of_the_positives():
  posterior, joint_BxU = _posterior('shared', 6, 3)
  size_U = _sets(6).sum(1)
  share_BxL = (joint_BxU / np.maximum(size_U, 1)) @ _sets(6)
  np.testing.assert_array_equal(
    np.argsort(-np.asarray(_scores(posterior)['lrap'])), np.argsort(-share_BxL)
  )


def test_a_probable_set_of_all_labels_hides_no_difference():
  posterior, joint_BxU = _posterior('shared', 6, 4)
  full_1xS = np.asarray(posterior.y_BxSxL).all(-1)
  logw_BxS = posterior.logw_BxS + jnp.where(full_1xS, 40.0, 0)
  scores_BxL = _scores(posterior._replace(logw_BxS=logw_BxS))['ranking_loss']
  # That set counts 0 however labels are ranked: the others decide.
  got_B, best_B = _reached(scores_BxL, 'ranking_loss', joint_BxU)
  np.testing.assert_allclose(got_B, best_B, rtol=0, atol=1e-6)


@pytest.mark.parametrize('rule', RULES)
def test_equal_labels_go_by_index(rule):
  y_1xSxL = jnp.array([[[0, 1, 1, 0], [0, 0, 0, 0]]])
  tied = Candidates(y_1xSxL, jnp.zeros((1, 2)))
  scores_L = RULES[rule](tied)[0]
  want_L = [0, 0.5, 0.5, 0] if rule == 'rank' else [2, 4, 3, 1]
  np.testing.assert_array_equal(scores_L, want_L)


def test_rows_without_candidates_are_ranked_too():
  nothing = Candidates(jnp.ones((2, 3, 4)), jnp.full((2, 3), -jnp.inf))
  for name, scores_BxL in _scores(nothing).items():
    want_L = [0, 0, 0, 0] if name == 'rank' else [4, 3, 2, 1]
    np.testing.assert_array_equal(scores_BxL, [want_L, want_L])


def test_what_marginals_alone_support():
  p_BxL = jnp.array([[0.2, 0.9, 0.4]])
  for name, rule in RULES.items():
    if name == 'ranking_loss':
      with pytest.raises(InputError, match='ranking_loss .* take exact, beam'):
        rule(Marginals(p_BxL))
    else:
      order_BxL = np.argsort(-np.asarray(rule(Marginals(p_BxL))))
      np.testing.assert_array_equal(order_BxL, [[1, 2, 0]])


def test_rank_gives_the_marginals():
  posterior, joint_BxU = _posterior('samples', 5, 0)
  scores_BxL = _scores(posterior)['rank']
  np.testing.assert_allclose(scores_BxL, joint_BxU @ _sets(5), atol=1e-6)
  np.testing.assert_array_equal(scores_BxL, marginals(posterior))


def test_vmap_over_examples_equals_the_batch():
  posterior, _ = _posterior('samples', 5, 1)
  one_by_one = jax.tree.map(lambda a: a[:, None], posterior)
  vmapped = jax.jit(jax.vmap(_scores))(one_by_one)
  for name, scores_BxL in _scores(posterior).items():
    np.testing.assert_array_equal(vmapped[name][:, 0], scores_BxL)


def test_a_shared_support_is_never_repeated_for_each_example():
  U, L = 2**12, 12
  c = Candidates(jnp.zeros((1, U, L), jnp.int8), jnp.zeros((64, U)))
  memory = jax.jit(rankings.ranking_loss).lower(c).compile().memory_analysis()
  assert memory is not None
  assert memory.temp_size_in_bytes < 64 * U * L
