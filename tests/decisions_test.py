"""Label-set decisions against brute force over all 2^L answers."""

import functools
import itertools

import decisions_oracle as oracle
from hypothesis import given, settings
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlc import decisions
from mlc.decisions import choose, gfm, jaccards, sets, sizes
from mlc.errors import InputError
from mlc.posterior import Candidates, Marginals, Product, marginals, weights

B = 6
KINDS = ('complete', 'shared', 'rows', 'product')


def _costs(num_labels):
  """Those of the oracle, one a label."""
  names = 'true_negative', 'false_positive', 'false_negative', 'true_positive'
  pairs = (0, 0), (0, 1), (1, 0), (1, 1)
  return {
    name: tuple(np.resize(oracle.COSTS[pair], num_labels).tolist())
    for name, pair in zip(names, pairs, strict=True)
  }


def _rules(num_labels):
  rules = {
    name: getattr(decisions, name) for name in oracle.NAMES if '_' not in name
  }
  return rules | {
    'cost': functools.partial(decisions.cost, **_costs(num_labels)),
    'fbeta_2': functools.partial(decisions.fbeta, beta=2.0),
    'fbeta_0.7': functools.partial(decisions.fbeta, beta=0.7),
  }


@jax.jit
def _decide(posterior):
  num_labels = jax.tree.leaves(posterior)[0].shape[-1]
  return {
    name: rule(posterior) for name, rule in _rules(num_labels).items()
  } | {'p': marginals(posterior)}


def _run(rule, *args):
  return jax.jit(rule)(*args)


def _posterior(kind, num_labels, seed, grid):
  """A random posterior and, by other means, its joint BxU.

  grid: weights are small whole numbers, 0 among them, which makes ties.
  """
  rng = np.random.default_rng(seed)
  L, all_UxL = num_labels, oracle.label_sets(num_labels)
  spread_Bx1 = rng.uniform(0.2, 4, (B, 1))
  if kind == 'product':
    logit_BxL = spread_Bx1 * rng.normal(rng.normal(), 1, (B, L))
    p_BxL = 1 / (1 + np.exp(-logit_BxL))
    if grid:
      p_BxL = rng.choice([0, 0.125, 0.25, 0.5, 0.75, 0.875, 1], (B, L))
    p_BxL = p_BxL.astype(np.float32)
    return Product(jnp.array(p_BxL)), oracle.joint_of_product(p_BxL)
  if kind == 'complete':
    y_BxSxL = all_UxL[rng.permutation(len(all_UxL))][None]
  elif kind == 'shared':
    some = rng.permutation(len(all_UxL))[: len(all_UxL) * 3 // 4]
    y_BxSxL = all_UxL[some][None]
  else:  # A few label sets each, with copies, as by Monte Carlo.
    few_Bx6 = rng.integers(len(all_UxL), size=(B, 6))
    draw_Bx12 = rng.integers(6, size=(B, 12))
    y_BxSxL = all_UxL[np.take_along_axis(few_Bx6, draw_Bx12, 1)]
  shape = B, y_BxSxL.shape[1]
  # Some label sets may be likely: the empty one, the full one, any.
  logw_BxS = 3 + spread_Bx1 * rng.normal(size=shape)
  logw_BxS += rng.normal(0, 3, (B, L + 1))[
    np.arange(B)[:, None], y_BxSxL.sum(-1)
  ] * rng.integers(2)
  if grid:
    with np.errstate(divide='ignore'):
      logw_BxS = np.log(rng.integers(4, size=shape))
  logw_BxS = logw_BxS.astype(np.float32)
  if seed % 2:
    logw_BxS[-1] = -np.inf
  posterior = Candidates(jnp.array(y_BxSxL), jnp.array(logw_BxS))
  return posterior, oracle.joint_of_candidates(y_BxSxL, logw_BxS)


@pytest.mark.parametrize('num_labels', [3, 8])
@pytest.mark.parametrize('kind', KINDS)
def test_every_decision_is_the_best_of_all_answers(kind, num_labels):
  unique = dict.fromkeys(oracle.NAMES, 0)

  @settings(max_examples=60, deadline=None, database=None)
  @given(seed=st.integers(0, 2**20), grid=st.booleans())
  def check(seed, grid):
    posterior, joint_BxU = _posterior(kind, num_labels, seed, grid)
    answers = jax.device_get(_decide(posterior))
    p_BxL = answers.pop('p')
    np.testing.assert_allclose(
      p_BxL, joint_BxU @ oracle.label_sets(num_labels), rtol=0, atol=1e-6
    )
    some_B = joint_BxU.any(1)
    for name, answer_BxL in answers.items():
      assert answer_BxL.dtype == np.int8
      value_BxA = joint_BxU @ oracle.utility(name, num_labels).T
      at_B, best_B = oracle.index(answer_BxL), value_BxA.max(1)
      np.testing.assert_allclose(
        value_BxA[np.arange(B), at_B], best_B, rtol=0, atol=2e-6, err_msg=name
      )
      clear_B = np.sort(value_BxA, 1)[:, -2] < best_B - 1e-5
      unique[name] += clear_B.sum()
      np.testing.assert_array_equal(
        at_B[clear_B], value_BxA.argmax(1)[clear_B], err_msg=name
      )
      if name != 'npv':
        assert not answer_BxL[~some_B].any()

  check()
  # specificity and npv tie where a label is on, or off, for certain.
  assert min(unique.values()) > 40, unique


@pytest.mark.parametrize(
  'rule, kind, module',
  [
    ('f1', 'complete', gfm),
    ('f1', 'shared', gfm),
    ('f1', 'product', gfm),
    ('jaccard', 'product', jaccards),
    ('precision', 'complete', sets),
    ('markedness', 'product', sets),
  ],
)
@pytest.mark.parametrize('extra', [1, -1])
def test_a_label_too_many_or_too_few_is_caught(
  rule, kind, module, extra, monkeypatch
):
  drawn = [_posterior(kind, 4, seed, False) for seed in range(8)]

  def loss():
    lost = []
    for posterior, joint_BxU in drawn:
      value_BxA = joint_BxU @ oracle.utility(rule, 4).T
      at_B = oracle.index(np.asarray(getattr(decisions, rule)(posterior)))
      lost.append(value_BxA.max(1) - value_BxA[np.arange(B), at_B])
    return np.max(lost)

  assert loss() < 2e-6
  real = choose.top
  monkeypatch.setattr(module, 'top', lambda score, k: real(score, k + extra))
  assert loss() > 1e-3


@pytest.mark.parametrize('shared', [True, False])
def test_f1_takes_the_labels_that_are_best_for_its_own_size(shared):
  # The best answer has 2 labels; those with the greatest gains for answers of
  # 3 are others. Random posteriors show this once in 10,000.
  weight = {'0001': 20, '0010': 27, '1010': 25}
  joint_U = np.zeros(16, np.float32)
  for labels, w in weight.items():
    joint_U[int(labels, 2)] = w / 72
  y_BxUxL = np.stack([oracle.label_sets(4)] * (1 if shared else 2))
  c = Candidates(jnp.array(y_BxUxL), jnp.log(jnp.array([joint_U] * 2)))
  value_A = oracle.utility('f1', 4) @ joint_U
  got_B = value_A[oracle.index(_run(decisions.f1, c))]
  np.testing.assert_allclose(got_B, value_A.max(), rtol=0, atol=1e-6)


def test_losses_ask_for_different_answers():
  answers = [
    jax.device_get(_decide(_posterior('complete', 8, seed, False)[0]))
    for seed in range(8)
  ]
  names = [name for name in oracle.NAMES if name not in ('recall', 'npv')]
  for a, b in itertools.combinations(names, 2):
    assert any((each[a] != each[b]).any() for each in answers), (a, b)


@pytest.mark.parametrize('shared', [True, False])
def test_jaccard_beyond_ten_labels_is_the_best_of_those_named(
  shared, monkeypatch
):
  monkeypatch.setattr(jaccards, 'HEAVIEST', 3)
  rng = np.random.default_rng(0)
  sets_UxL, rows = oracle.label_sets(6), 300
  joint_BxU = rng.dirichlet(np.full(64, 0.05), rows).astype(np.float32)
  order_BxU = np.argsort(rng.random((1 if shared else rows, 64)))
  y_BxUxL = sets_UxL[order_BxU]
  w_BxU = np.take_along_axis(joint_BxU, order_BxU, 1)
  c = Candidates(jnp.array(y_BxUxL), jnp.log(jnp.array(w_BxU)))
  answer_BxL = jax.jit(jaccards.of_some)(c)
  value_BxA = joint_BxU @ oracle.utility('jaccard', 6).T
  by_p_BxL = np.argsort(-(joint_BxU @ sets_UxL), kind='stable')
  by_w_BxU = np.argsort(-joint_BxU, kind='stable')
  needed = {'prefixes': 0, 'heavy': 0}
  for b, value_A in enumerate(value_BxA):
    prefix_TxL = np.zeros((7, 6), int)
    for k in range(7):
      prefix_TxL[k, by_p_BxL[b, :k]] = 1
    prefixes = value_A[oracle.index(prefix_TxL)].max()
    heavy = value_A[by_w_BxU[b, :3]].max()
    got = value_A[oracle.index(answer_BxL[b])]
    np.testing.assert_allclose(got, max(prefixes, heavy), rtol=0, atol=1e-6)
    needed['prefixes'] += prefixes > heavy + 1e-4
    needed['heavy'] += heavy > prefixes + 1e-4
  assert min(needed.values()) >= 3


@pytest.mark.parametrize('kind', ['complete', 'rows'])
def test_jaccard_of_eleven_labels_is_no_worse_than_other_decisions(kind):
  posterior, joint_BxU = _posterior(kind, 11, 4, False)
  sets_UxL = oracle.label_sets(11).astype(float)
  answers, value = jax.device_get(_decide(posterior)), {}
  del answers['p']
  for name, answer_BxL in answers.items():
    both_BxU = answer_BxL @ sets_UxL.T
    size_BxU = answer_BxL.sum(1, keepdims=True) + sets_UxL.sum(1)
    either_BxU = size_BxU - both_BxU
    index_BxU = np.where(
      either_BxU > 0, both_BxU / np.maximum(either_BxU, 1), 1
    )
    value[name] = (joint_BxU * index_BxU).sum(1)
  for name in ('hamming', 'subset', 'precision', 'markedness'):
    assert (value['jaccard'] > value[name] - 1e-6).all(), name
  assert (value['jaccard'] > value['hamming'] + 1e-3).any()


def test_marginals_of_sixteen_thousand_label_sets_keep_their_digits():
  rng = np.random.default_rng(1)
  y_UxL = oracle.label_sets(14)
  logw_BxU = (rng.normal(0, 2, (256, 14)) @ y_UxL.T).astype(np.float32)
  c = Candidates(jnp.array(y_UxL)[None], jnp.array(logw_BxU))
  w_BxU = np.exp(logw_BxU - logw_BxU.max(1, keepdims=True).astype(float))
  want_BxL = w_BxU @ y_UxL / w_BxU.sum(1, keepdims=True)
  np.testing.assert_allclose(_run(marginals, c), want_BxL, rtol=0, atol=5e-7)


def test_weights_are_normalised_and_safe():
  inf = np.inf
  logw_BxS = jnp.array([[1e4, 1e4, -inf], [-1e4, -inf, -inf], [-inf] * 3])
  c = Candidates(jnp.ones((3, 3, 2), jnp.int8), logw_BxS)
  want_BxS = [[0.5, 0.5, 0], [1, 0, 0], [0, 0, 0]]
  np.testing.assert_array_equal(weights(c), want_BxS)
  assert np.isnan(weights(c._replace(logw_BxS=logw_BxS * np.nan))).all()


def test_one_example_pools_its_samples():
  # The leading axis is 1, as of a shared support; the copies still count.
  y_1xSxL = jnp.array([[[1, 1], [0, 1], [1, 0], [0, 1]]])
  c = Candidates(y_1xSxL, jnp.log(jnp.array([[0.4, 0.25, 0.05, 0.3]])))
  answers = _decide(c)
  np.testing.assert_array_equal(answers['subset'], [[0, 1]])
  # 2^L candidates, but not all the label sets.
  joint_BxU = oracle.joint_of_candidates(y_1xSxL, c.logw_BxS)
  value_A = (joint_BxU @ oracle.utility('f1', 2).T)[0]
  assert value_A[oracle.index(answers['f1'])[0]] > value_A.max() - 1e-6


@pytest.mark.parametrize('num_labels', [32, 33, 100])
def test_pooling_tells_apart_sets_that_differ_in_one_label(num_labels):
  # Three copies of one set against two each of all its neighbours.
  rng = np.random.default_rng(num_labels)
  mode_L = rng.integers(2, size=num_labels)
  near_LxL = mode_L ^ np.eye(num_labels, dtype=int)
  y_SxL = np.concatenate([[mode_L] * 3, near_LxL, near_LxL])
  y_SxL = y_SxL[rng.permutation(len(y_SxL))]
  c = Candidates(jnp.array(y_SxL)[None], jnp.zeros((1, len(y_SxL))))
  np.testing.assert_array_equal(jax.jit(decisions.subset)(c)[0], mode_L)


def test_ties():
  half = Product(jnp.array([[0.5, 0.5, 0.75]]))
  for rule in (decisions.hamming, decisions.cost, decisions.subset):
    np.testing.assert_array_equal(_run(rule, half), [[0, 0, 1]])
  # {} and {1} are worth 1/2 each by most metrics: the smaller answer.
  c = Candidates(jnp.array([[[0, 1], [0, 0]]]), jnp.zeros((1, 2)))
  answers = _decide(c)
  for name in ('f1', 'jaccard', 'precision', 'recall', 'informedness'):
    np.testing.assert_array_equal(answers[name], [[0, 0]], name)
  # Of all labels at 1/2 every prefix has markedness 1/2, but for the ends.
  even = Marginals(jnp.full((1, 4), 0.5))
  np.testing.assert_array_equal(_run(decisions.markedness, even), [[0] * 4])
  # All are equally probable: the one listed first.
  y_1xSxL = jnp.array([[[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]]])
  c = Candidates(y_1xSxL, jnp.zeros((1, 4)))
  np.testing.assert_array_equal(_run(decisions.subset, c), [[0, 1, 0]])
  # In and out of the answer label 1 is worth as much: out.
  c = Candidates(jnp.array([[[1, 1, 0], [1, 0, 0]]]), jnp.zeros((1, 2)))
  np.testing.assert_array_equal(_run(decisions.informedness, c), [[1, 0, 0]])
  # One of two equally good labels: the lower index.
  c = Candidates(jnp.array([[[0, 0, 1], [0, 1, 0]]]), jnp.zeros((1, 2)))
  np.testing.assert_array_equal(_run(decisions.precision, c), [[0, 1, 0]])
  p_BxL, k_B = jnp.array([[0.2, 0.3, 0.3]]), jnp.array([1])
  np.testing.assert_array_equal(_run(choose.top, p_BxL, k_B), [[0, 1, 0]])


def test_costs_of_one_label_move_its_threshold():
  p_BxL = jnp.array([[0.15, 0.15, 0.25], [0.4, 0.4, 0.21]])
  # Elkan's threshold: 1 / (1 + 4).
  answer_BxL = decisions.cost(Product(p_BxL), false_negative=(1, 4.0, 4.0))
  np.testing.assert_array_equal(answer_BxL, [[0, 0, 1], [0, 1, 1]])


NOT_JOINT = 'subset', 'f1', 'fbeta', 'jaccard', 'recall', 'precision'


def test_marginals_alone_answer_what_they_can():
  product, _ = _posterior('product', 8, 1, False)
  alone = Marginals(product.p_BxL)
  for name in ('hamming', 'cost', 'markedness', 'specificity', 'npv'):
    rule = getattr(decisions, name)
    np.testing.assert_array_equal(rule(alone), rule(product), name)
  for name in (*NOT_JOINT, 'informedness'):
    with pytest.raises(InputError) as error:
      getattr(decisions, name)(alone)
    # f1 is fbeta at 1.
    assert name.replace('f1', 'fbeta') in str(error.value)
    assert 'take exact, beam' in str(error.value)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
  'call, words',
  [
    (lambda p: decisions.fbeta(p, beta=0.0), 'beta=0.0'),
    (lambda p: decisions.fbeta(p, beta=np.nan), 'beta=nan'),
    (lambda p: decisions.cost(p, false_positive=(1, 2)), '2 costs for 3'),
    (lambda p: decisions.cost(p, true_positive=np.inf), 'true_positive=inf'),
    (lambda p: decisions.cost(p, false_negative='high'), "negative='high'"),
  ],
)
def test_bad_options_are_refused_in_one_line(call, words):
  with pytest.raises(InputError, match=words) as error:
    call(Product(jnp.full((2, 3), 0.5)))
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('kind', ['rows', 'product'])
def test_vmap_over_examples_equals_the_batch(kind):
  posterior, _ = _posterior(kind, 3, 3, False)
  one_by_one = jax.tree.map(lambda a: a[:, None], posterior)
  for name, answer_Bx1xL in jax.vmap(_decide)(one_by_one).items():
    want_BxL = _decide(posterior)[name]
    np.testing.assert_allclose(answer_Bx1xL[:, 0], want_BxL, atol=1e-6)


@pytest.mark.parametrize(
  'rule',
  [marginals, decisions.f1, decisions.subset, decisions.informedness],
  ids=lambda rule: rule.__name__,
)
def test_shared_support_is_never_repeated_for_each_example(rule):
  U, num_labels = 2**14, 14
  c = Candidates(jnp.zeros((1, U, num_labels), jnp.int8), jnp.zeros((64, U)))
  memory = jax.jit(rule).lower(c).compile().memory_analysis()
  assert memory is not None
  # Rules keep 2 to 4.5 arrays of the size of the weights, 4 * 64 U bytes. A
  # support for each example would add 3.5 as int8 and 14 as floats.
  assert memory.temp_size_in_bytes < 5 * 4 * 64 * U


@pytest.mark.parametrize('num_labels', [40, 400])
def test_labels_with_sizes_equal_polynomials(num_labels):
  # The coefficients of the product of all 1 - p + p z but one.
  rng = np.random.default_rng(num_labels)
  p_BxL = rng.beta([[0.2], [0.5], [9], [1]], [[2], [0.5], [9], [40]],
                   (4, num_labels)).astype(np.float32)  # fmt: skip
  p_BxL[0, :3] = 0, 1, 0.5
  p_BxL[1, ::2] = 0.5
  some = rng.choice(num_labels, 5, replace=False)
  want_BxKxS = np.zeros((4, 5, num_labels))
  for b, p_L in enumerate(p_BxL.astype(float)):
    for k, label in enumerate(some):
      others = np.ones(1)
      for p in np.delete(p_L, label):
        others = np.convolve(others, [1 - p, p])
      want_BxKxS[b, k] = p_L[label] * others
  got = functools.partial(
    sizes.sum_sizes, jnp.array(p_BxL), lambda both_BxL, size: both_BxL * size
  )
  want_BxK = want_BxKxS @ np.arange(1, num_labels + 1)
  np.testing.assert_allclose(jax.jit(got)()[:, some], want_BxK, rtol=3e-6)
  share_BxK = want_BxKxS @ (1 / np.arange(1, num_labels + 1))
  got_BxL = jax.jit(sizes.mean_share)(Product(jnp.array(p_BxL)))
  np.testing.assert_allclose(got_BxL[:, some], share_BxK, rtol=0, atol=1e-6)


@pytest.mark.parametrize('num_labels', [60, 600])
def test_many_independent_labels_get_the_best_prefix(num_labels):
  # 1 / a = integral of t^(a-1) over (0, 1) turns E 2 |A & Y| / (|A| + |Y|)
  # into the integral of a polynomial, on which Gauss-Legendre is exact.
  rng = np.random.default_rng(num_labels)
  p_BxL = -np.sort(-rng.beta([[0.1], [0.5], [3]], 2, (3, num_labels)))
  p_BxL[0, -3:] = 0
  p_BxL = p_BxL.astype(np.float32)
  t_Q, w_Q = np.polynomial.legendre.leggauss(num_labels + 1)
  t_Q, w_Q, k_L = (t_Q + 1) / 2, w_Q / 2, np.arange(1, num_labels + 1)
  answers = jax.jit(decisions.f1), jax.jit(decisions.jaccard)
  size_Bx2 = np.stack(
    [np.asarray(rule(Product(jnp.array(p_BxL)))).sum(1) for rule in answers], 1
  )
  for p_L, (f1_size, jaccard_size) in zip(p_BxL, size_Bx2, strict=True):
    p_L = p_L.astype(float)
    one_LxQ = 1 - p_L[:, None] * (1 - t_Q)
    hit_LxQ = np.cumsum(p_L[:, None] * t_Q / one_LxQ, 0)
    weight_LxQ = 2 * w_Q * t_Q ** (k_L[:, None] - 1) * one_LxQ.prod(0)
    f1_L = (weight_LxQ * hit_LxQ).sum(1)
    after_LxQ = one_LxQ.prod(0) / np.cumprod(one_LxQ, 0)
    inverse_L = (w_Q * t_Q ** (k_L[:, None] - 1) * after_LxQ).sum(1)
    jaccard_L = np.cumsum(p_L) * inverse_L
    for value_L, size in ((f1_L, f1_size), (jaccard_L, jaccard_size)):
      value_T = np.concatenate([[np.prod(1 - p_L)], value_L])
      assert value_T[size] > value_T.max() - 1e-6
