"""Draws: their law, with and without replacement, and with labels given."""

import functools
from typing import Any

import contract
import export_test
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from mlc import encoders, inference
from mlc import posterior as posterior_lib
from mlc.errors import InputError
from mlc.inference import sampling
from mlc.models import chain, ising, mixture, powerset

B, L, SETS_UxL = contract.B, contract.L, contract.SETS_UxL
MODELS = {
  'chain': chain.Model,
  'ising': ising.Model,
  'powerset': powerset.Model,
  'mixture': mixture.Model,
}
POWER_L = 1 << np.arange(L)[::-1]
# Three rows with a label or two given, one with all, one with none.
GIVEN_BxL = np.array(
  [
    [-1, 1, -1, -1],
    [0, -1, -1, 1],
    [-1, -1, 0, -1],
    [1, 0, 0, 1],
    [-1, -1, -1, -1],
    [-1, 1, 1, -1],
  ]
)


@functools.cache
def case(name):
  return contract.case(contract.make(MODELS[name]))


@functools.cache
def joint(name):
  return case(name).joint().astype(float)


def drawn(method, name, key=0, x=None, **options):
  c = case(name)
  given_BxL = options.pop('given_BxL', None)
  run = jax.jit(functools.partial(method, c.model, **options))
  x = c.x if x is None else x
  return run(c.variables, x, jax.random.key(key), given_BxL=given_BxL)


def conditioned(name):
  """(p(y | x, given) BxU, p(given | x) B) by enumeration."""
  agree_BxU = (
    (GIVEN_BxL[:, None] < 0) | (GIVEN_BxL[:, None] == SETS_UxL[None])
  ).all(-1)
  p_BxU = joint(name) * agree_BxU
  given_B = p_BxU.sum(1)
  return p_BxU / np.where(given_B == 0, 1, given_B)[:, None], given_B


def index(y):
  return np.asarray(y).astype(int) @ POWER_L


def check_frequencies(index_N, p_U):
  """Chi-squared; what is impossible does not occur."""
  expected_U = p_U / p_U.sum() * len(index_N)
  counts_U = np.bincount(index_N, minlength=2**L)
  assert not counts_U[p_U == 0].any()
  rare_U = expected_U < 10
  observed = np.append(counts_U[~rare_U], counts_U[rare_U].sum())
  expected = np.append(expected_U[~rare_U], expected_U[rare_U].sum() + 1e-9)
  if expected[-1] < 1:
    expected[-2], observed[-2] = expected[-2:].sum(), observed[-2:].sum()
    observed, expected = observed[:-1], expected[:-1]
  if len(observed) > 1:
    expected *= observed.sum() / expected.sum()
    assert stats.chisquare(observed, expected).pvalue > 1e-4


@pytest.mark.parametrize('name', MODELS)
def test_draws_have_the_law_of_the_model(name):
  found = drawn(inference.monte_carlo, name, samples=6000)
  assert found.y_BxSxL.dtype == jnp.int8
  assert (found.logw_BxS == 0).all()
  for b in range(B):
    check_frequencies(index(found.y_BxSxL[b]), joint(name)[b])


@pytest.mark.parametrize('name', MODELS)
def test_rescored_draws_are_distinct_and_have_their_probability(name):
  samples = 30
  found = drawn(inference.monte_carlo, name, samples=samples, rescore=True)
  plain = drawn(inference.monte_carlo, name, samples=samples)
  np.testing.assert_array_equal(found.y_BxSxL, plain.y_BxSxL)
  for b in range(B):
    index_S = index(found.y_BxSxL[b])
    first_S = np.zeros(samples, bool)
    first_S[np.unique(index_S, return_index=True)[1]] = True
    logw_S = np.asarray(found.logw_BxS[b])
    assert (np.isneginf(logw_S) == ~first_S).all()
    p_U = joint(name)[b]
    np.testing.assert_allclose(
      np.exp(logw_S[first_S]), p_U[index_S[first_S]], rtol=1e-4
    )
    np.testing.assert_allclose(
      found.unseen_B[b], 1 - p_U[np.unique(index_S)].sum(), atol=1e-5
    )
  if name in ('ising', 'powerset'):
    assert found.nodes_B is plain.nodes_B is None
  else:
    assert (found.nodes_B == samples * L).all()
    assert (plain.nodes_B == samples * L).all()


@pytest.mark.parametrize('labels', [32, 70])
def test_copies_are_told_from_label_sets_that_differ_anywhere(labels):
  rng = np.random.default_rng(labels)
  y_SxL = np.repeat(rng.integers(0, 2, (8, labels), np.int8), 3, axis=0)
  y_SxL[np.arange(0, 24, 3), rng.integers(0, labels, 8)] ^= 1
  y_SxL = rng.permutation(y_SxL)
  expected_S = np.zeros(24, bool)
  expected_S[np.unique(y_SxL, axis=0, return_index=True)[1]] = True
  np.testing.assert_array_equal(
    posterior_lib.first_of_each(jnp.asarray(y_SxL)), expected_S
  )


@pytest.mark.parametrize('name', MODELS)
def test_draws_with_labels_given_weigh_to_the_conditional(name):
  p_BxU, given_B = conditioned(name)
  samples = 6000
  options = {'samples': samples, 'given_BxL': GIVEN_BxL}
  found = drawn(inference.monte_carlo, name, **options)
  running = drawn(inference.sampled_marginals, name, key=1, **options)
  weights_BxS = np.asarray(posterior_lib.weights(found), float)
  y_BxSxL = np.asarray(found.y_BxSxL)
  for b in range(B):
    if given_B[b] == 0:  # A label set that powerset has not.
      assert np.isneginf(found.logw_BxS[b]).all()
      assert np.isnan(running.p_BxL[b]).all()
      continue
    free_L = GIVEN_BxL[b] < 0
    assert (y_BxSxL[b][:, ~free_L] == GIVEN_BxL[b][None, ~free_L]).all()
    effective = 1 / (weights_BxS[b] ** 2).sum()
    assert effective > 100
    tolerance = 4.5 * np.sqrt(0.25 / effective)
    frequency_U = np.bincount(index(y_BxSxL[b]), weights_BxS[b], minlength=2**L)
    np.testing.assert_allclose(frequency_U, p_BxU[b], atol=tolerance)
    np.testing.assert_allclose(
      running.p_BxL[b], p_BxU[b] @ SETS_UxL, atol=tolerance
    )
    w_S = np.exp(np.asarray(found.logw_BxS[b], float))
    error = 4.5 * w_S.std() / np.sqrt(samples) + 1e-5
    np.testing.assert_allclose(w_S.mean(), given_B[b], atol=error)


def test_rescored_draws_with_labels_given_have_the_joint_probability():
  options = {'samples': 300, 'rescore': True, 'given_BxL': GIVEN_BxL}
  for name in ('chain', 'ising', 'mixture'):
    found = drawn(inference.monte_carlo, name, **options)
    for b in range(B):
      live_S = ~np.isneginf(found.logw_BxS[b])
      index_S = index(found.y_BxSxL[b])[live_S]
      assert len(set(index_S)) == len(index_S)
      np.testing.assert_allclose(
        np.exp(found.logw_BxS[b][live_S]), joint(name)[b][index_S], rtol=1e-4
      )


@pytest.mark.parametrize('name', ['chain', 'ising', 'mixture'])
def test_running_marginals_come_near_enumeration(name):
  samples = 6006  # No multiple of a chunk, nor are those of a member.
  found = drawn(inference.sampled_marginals, name, samples=samples)
  np.testing.assert_allclose(
    found.p_BxL,
    joint(name) @ SETS_UxL,
    atol=4.5 * np.sqrt(0.25 / samples),
  )


def test_running_marginals_are_the_weighted_mean_of_their_chunks(monkeypatch):
  # Small chunks: the greatest weight is then not yet in the first.
  monkeypatch.setattr(sampling, 'CHUNK', 2)
  c = case('chain')
  run = jax.jit(functools.partial(inference.monte_carlo, c.model, samples=2))
  for key in range(3):
    chunks = [
      run(
        c.variables,
        c.x,
        jax.random.fold_in(jax.random.key(key), number),
        given_BxL=GIVEN_BxL,
      )
      for number in range(5)
    ]
    y_BxSxL, logw_BxS = (
      np.concatenate([np.asarray(c[i], float) for c in chunks], axis=1)
      for i in (0, 1)
    )
    w_BxS = np.exp(logw_BxS[:, :9])
    expected_BxL = np.einsum('bs,bsl->bl', w_BxS, y_BxSxL[:, :9])
    options = {'samples': 9, 'given_BxL': GIVEN_BxL, 'key': key}
    found = drawn(inference.sampled_marginals, 'chain', **options)
    np.testing.assert_allclose(
      found.p_BxL, expected_BxL / w_BxS.sum(1, keepdims=True), atol=1e-5
    )


def test_running_marginals_hold_no_more_for_more_samples():
  def bytes_of(method, samples):
    c = case('chain')
    run = jax.jit(functools.partial(method, c.model, samples=samples))
    compiled = run.lower(c.variables, c.x, jax.random.key(0)).compile()
    memory: Any = compiled.memory_analysis()
    return memory.temp_size_in_bytes

  few, many = (bytes_of(inference.sampled_marginals, n) for n in (64, 6400))
  assert many <= 1.5 * few
  assert bytes_of(inference.monte_carlo, 6400) > 10 * many


@pytest.mark.parametrize(
  ('method', 'name'),
  [
    (inference.monte_carlo, 'chain'),
    (inference.monte_carlo, 'ising'),
    (inference.sampled_marginals, 'mixture'),
    (inference.without_replacement, 'chain'),
    (inference.without_replacement, 'ising'),
  ],
)
def test_a_row_is_drawn_as_if_it_were_the_only_one(method, name):
  found = drawn(method, name, samples=9)
  one = drawn(method, name, samples=9, x=case(name).x[:1])
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a[:1], b, atol=1e-5), found, one
  )
  other = drawn(method, name, samples=9, key=1)
  assert (np.asarray(found[0]) != np.asarray(other[0])).any()


def test_draws_are_the_same_compiled_vmapped_or_neither():
  c = case('chain')
  keys = jax.random.split(jax.random.key(4), 2)
  run = functools.partial(
    inference.monte_carlo, c.model, c.variables, c.x, samples=5
  )
  eager = run(keys[1]).y_BxSxL
  np.testing.assert_array_equal(jax.jit(run)(keys[1]).y_BxSxL, eager)
  np.testing.assert_array_equal(jax.vmap(run)(keys).y_BxSxL[1], eager)


@pytest.fixture(scope='module', params=['chain', 'ising', 'powerset'])
def many(request):
  """20,000 times three label sets without replacement, of one row."""
  x = jnp.repeat(case(request.param).x[:1], 20_000, axis=0)
  found = drawn(inference.without_replacement, request.param, x=x, samples=3)
  return joint(request.param)[0], found


def test_without_replacement_all_are_distinct(many):
  index_NxS = index(many[1].y_BxSxL)
  assert many[1].y_BxSxL.dtype == jnp.int8
  assert (np.diff(np.sort(index_NxS, axis=1), axis=1) > 0).all()


def test_without_replacement_each_is_drawn_from_what_is_left(many):
  p_U, found = many
  index_NxS = index(found.y_BxSxL)
  check_frequencies(index_NxS[:, 0], p_U)
  left_UxU = p_U[None] / (1 - p_U[:, None]) * (1 - np.eye(len(p_U)))
  check_frequencies(index_NxS[:, 1], p_U @ left_UxU)
  # Of three draws in turn, by all triples.
  third_U = np.zeros(2**L)
  for i, j in np.ndindex(2**L, 2**L):
    if i != j and p_U[i] > 0 and p_U[j] > 0:
      rest_U = p_U / (1 - p_U[i] - p_U[j])
      rest_U[[i, j]] = 0
      third_U += p_U[i] * left_UxU[i, j] * rest_U
  check_frequencies(index_NxS[:, 2], third_U)


def test_without_replacement_the_weights_are_unbiased(many):
  p_U, found = many
  w_NxS = np.exp(np.asarray(found.logw_BxS, float))
  index_NxS = index(found.y_BxSxL)
  for label in range(-1, L):  # -1: of 1.
    f_U = np.ones(2**L) if label < 0 else SETS_UxL[:, label]
    estimate_N = (w_NxS * f_U[index_NxS]).sum(1)
    error = 4.5 * estimate_N.std() / np.sqrt(len(estimate_N))
    np.testing.assert_allclose(estimate_N.mean(), p_U @ f_U, atol=error + 1e-6)
  np.testing.assert_allclose(
    found.unseen_B, 1 - p_U[index_NxS].sum(1), atol=1e-5
  )


@pytest.mark.parametrize('name', ['chain', 'ising'])
@pytest.mark.parametrize('samples', [2**L, 2**L + 5])
def test_without_replacement_all_label_sets_are_the_enumeration(name, samples):
  found = drawn(inference.without_replacement, name, samples=samples)
  for b in range(B):
    live_S = ~np.isneginf(found.logw_BxS[b])
    index_S = index(found.y_BxSxL[b])[live_S]
    assert sorted(index_S) == list(range(2**L))
    np.testing.assert_allclose(
      np.exp(found.logw_BxS[b][live_S]), joint(name)[b][index_S], rtol=1e-4
    )
  np.testing.assert_allclose(found.unseen_B, 0, atol=1e-5)


@pytest.mark.parametrize('name', ['chain', 'ising'])
def test_without_replacement_given_labels_weigh_to_the_conditional(name):
  copies, free = 4000, [0, 1, 2, 4, 5]
  p_BxU, given_B = conditioned(name)
  x = jnp.repeat(case(name).x, copies, axis=0)
  given_NxL = np.repeat(GIVEN_BxL, copies, axis=0)
  found = drawn(
    inference.without_replacement, name, x=x, samples=3, given_BxL=given_NxL
  )
  w_BxNxS = np.exp(np.asarray(found.logw_BxS, float)).reshape(B, copies, -1)
  index_BxNxS = index(found.y_BxSxL).reshape(B, copies, -1)
  for b in range(B):
    for label in range(-1, L):
      f_U = np.ones(2**L) if label < 0 else SETS_UxL[:, label]
      estimate_N = (w_BxNxS[b] * f_U[index_BxNxS[b]]).sum(1)
      error = 4.5 * estimate_N.std() / np.sqrt(copies) + 1e-5
      np.testing.assert_allclose(
        estimate_N.mean(), given_B[b] * (p_BxU[b] @ f_U), atol=error
      )
  # All labels given: one candidate, of their probability.
  assert (
    np.isneginf(found.logw_BxS).reshape(B, copies, -1)[3].sum(1) == 2
  ).all()
  assert (
    not np.isneginf(found.logw_BxS).reshape(B, copies, -1)[free].any(2).all()
  )


def test_the_nodes_of_a_stochastic_beam_are_those_of_a_beam():
  found = drawn(inference.without_replacement, 'chain', samples=3)
  assert (found.nodes_B == 1 + 2 + 4 + 4 + 4).all()
  assert (
    drawn(inference.without_replacement, 'ising', samples=3).nodes_B is None
  )


def test_many_labels_are_drawn_too():
  model = chain.Model(num_labels=70, encoder=encoders.Linear())
  x = jax.random.normal(jax.random.key(0), (2, 3))
  y = jnp.zeros((2, 70))
  variables = model.init(jax.random.key(1), x, y, y, method='loss')
  found = inference.without_replacement(
    model, variables, x, jax.random.key(2), samples=5
  )
  log_prob: Any = jax.vmap(
    lambda y: model.apply(variables, x, y, method='log_prob'), 1, 1
  )
  assert np.isfinite(found.logw_BxS).all()
  assert (found.logw_BxS > log_prob(found.y_BxSxL)).all()
  assert len(np.unique(found.y_BxSxL[0], axis=0)) == 5


@pytest.mark.parametrize('name', ['chain', 'ising', 'mixture'])
def test_sampling_lowers(name):
  def decode(variables, x, key):
    key = jax.random.wrap_key_data(key)
    methods = [
      functools.partial(inference.monte_carlo, rescore=True, samples=6),
      functools.partial(inference.sampled_marginals, samples=60),
    ]
    if name != 'mixture':
      methods.append(
        functools.partial(inference.without_replacement, samples=3)
      )
    given_BxL = jnp.asarray(GIVEN_BxL)
    return [
      method(case(name).model, variables, x, key, given_BxL=given_BxL)
      for method in methods
    ]

  def start():
    c = case(name)
    return c.variables, c.x, jax.random.key_data(jax.random.key(2))

  export_test.check_lowers(decode, start)


@pytest.mark.parametrize(
  'method',
  [
    inference.monte_carlo,
    inference.sampled_marginals,
    inference.without_replacement,
  ],
)
def test_what_sampling_refuses_is_named(method):
  with pytest.raises(InputError, match='0 samples: give 1 or more'):
    drawn(method, 'chain', samples=0)
  with pytest.raises(InputError, match='given labels of shape'):
    drawn(method, 'chain', given_BxL=GIVEN_BxL[:2])


def test_what_an_ensemble_refuses_is_named():
  with pytest.raises(InputError, match='100 samples from 3 members'):
    drawn(inference.monte_carlo, 'mixture')
  with pytest.raises(InputError, match='10 samples from 3 members'):
    drawn(inference.sampled_marginals, 'mixture', samples=10)
  with pytest.raises(InputError, match='mixture.*no steps in common.*take'):
    drawn(inference.without_replacement, 'mixture')
