"""Label sets and rules against plain loops over rows."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy import sparse

from mlc import coherence
from mlc.data.labels import Labels
from mlc.errors import InputError

NAMES = ('beach', "mother's day", 'sea', 'a b', 'x -> y', 'old excludes new')


def _draw(seed, N=60, L=6, missing=0.0):
  """Rows in which label 1 follows 0, and 2 and 3 are never both on."""
  rng = np.random.default_rng(seed)
  y_NxL = (rng.random((N, L)) < rng.uniform(0.2, 0.7, L)).astype(np.float32)
  y_NxL[:, 1] = np.maximum(y_NxL[:, 0], y_NxL[:, 1])
  y_NxL[:, 3] *= 1 - y_NxL[:, 2]
  y_NxL[rng.random((N, L)) < missing] = np.nan
  y_NxL[np.isnan(y_NxL).all(1)] = 0
  return y_NxL


def _answers(seed, K, N, L):
  """0, 1, and here and there silence."""
  rng = np.random.default_rng(seed)
  return rng.choice([-1, 0, 1], p=[0.1, 0.5, 0.4], size=(K, N, L)).astype(
    np.int8
  )


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
  seed=st.integers(0, 2**31),
  missing=st.sampled_from([0.0, 0.3]),
  support=st.sampled_from([1, 5]),
  expected=st.sampled_from([0.5, 3.0]),
)
def test_mined_rules_are_those_that_no_row_breaks(
  seed, missing, support, expected
):
  y_NxL = _draw(seed, missing=missing)
  labels = Labels.of(y_NxL)
  rows = np.random.default_rng(seed).permutation(len(y_NxL))[:45]
  rules = coherence.mine(labels, rows, support=support, expected=expected)
  y_NxL = y_NxL[rows]
  share_L = [np.nanmean(c) if (c == c).any() else 0 for c in y_NxL.T]
  implies, excludes = set(), set()
  for a, b in itertools.permutations(range(6), 2):
    both_N = (y_NxL[:, a] == 1) & (y_NxL[:, b] == 1)
    with_a = y_NxL[(y_NxL[:, a] == 1) & ~np.isnan(y_NxL[:, b])]
    broken = (with_a[:, b] == 0).any()
    enough = len(with_a) * (1 - share_L[b]) >= expected
    if not broken and enough and both_N.sum() >= support:
      implies.add((a, b))
    chance = np.nansum(y_NxL[:, a]) * np.nansum(y_NxL[:, b]) / len(y_NxL)
    if a < b and not both_N.any() and chance >= expected:
      excludes.add((a, b))
  assert {tuple(map(int, r)) for r in rules.implies_Rx2} == implies
  assert {tuple(map(int, r)) for r in rules.excludes_Rx2} == excludes


def test_planted_rules_are_found():
  rules = coherence.mine(Labels.of(_draw(0, N=400)), np.arange(400))
  assert list(rules.texts()) == ['y0 -> y1', 'y2 excludes y3']


@pytest.mark.parametrize('num_rules', [0, 3, 100])
def test_violations_are_counted_row_by_row(num_rules):
  K, N, L = 2, 1037, 60  # More than one chunk, not in whole bytes.
  rng = np.random.default_rng(num_rules)
  answers_KxNxL = _answers(0, K, N, L)
  # Sparse answers: so that some rows break nothing.
  answers_KxNxL[:, rng.random(N) < 0.5] = 0
  pairs = [p for p in itertools.combinations(range(L), 2)]
  at = rng.permutation(len(pairs))[: num_rules // 2]
  implies = np.array([pairs[i] for i in at]).reshape(-1, 2)
  rest = [(3, 9), (20, 5)][: num_rules - len(at)]
  rules = coherence.Rules.of(
    [f'n{l}' for l in range(L)], implies=implies, excludes=rest
  )
  broken = coherence.violations(answers_KxNxL, rules)
  count_KxR = np.zeros((K, len(rules)), int)
  rows_KxN = np.zeros((K, N), bool)
  for k, n in itertools.product(range(K), range(N)):
    a = answers_KxNxL[k, n]
    for r, text in enumerate(rules.texts()):
      left, word, right = text.split()
      left, right = int(left[1:]), int(right[1:])
      bad = a[left] == 1 and a[right] == (0 if word == '->' else 1)
      count_KxR[k, r] += bad
      rows_KxN[k, n] |= bad
  np.testing.assert_array_equal(broken.count_KxR, count_KxR)
  np.testing.assert_array_equal(broken.rows_KxN, rows_KxN)
  if num_rules:
    assert rows_KxN.any() and not rows_KxN.all()


@pytest.mark.parametrize('num_labels', [3, 8, 70])
def test_unseen_sets_are_those_that_no_row_of_train_has(num_labels):
  rng = np.random.default_rng(num_labels)
  y_NxL = np.zeros((2500, num_labels), np.float32)
  y_NxL[:, :3] = rng.random((2500, 3)) < 0.1
  y_NxL[:, -1] = rng.random(2500) < 0.1
  y_NxL[7] = np.nan  # The only row with this set, were it known.
  y_NxL[7, 0], y_NxL[:, 1] = 1, y_NxL[:, 1] * (1 - y_NxL[:, 0])
  y_NxL[7, 1] = 1
  labels = Labels.of(y_NxL)
  rows = np.arange(1, 2500)
  answers_KxNxL = _answers(1, 2, 2000, num_labels)
  answers_KxNxL[:, :, 3:-1] = 0
  train = {tuple(y) for y in y_NxL[rows] if not np.isnan(y).any()}
  want_KxN = [
    [tuple(a) not in train and (a >= 0).all() for a in answers_NxL]
    for answers_NxL in answers_KxNxL
  ]
  seen = coherence.label_sets(labels, rows)
  got_KxN = coherence.unseen(answers_KxNxL, seen)
  np.testing.assert_array_equal(got_KxN, want_KxN)
  assert got_KxN.any() and not got_KxN.all()
  assert not coherence.unseen(
    np.nan_to_num(y_NxL[None, 8:]).astype(np.int8), seen
  ).any()


def test_soft_labels_are_on_from_a_half():
  labels = Labels.of(np.array([[0.5, 0.4], [0.0, 0.9]]))
  seen = coherence.label_sets(labels, [0, 1])
  answers_1xNxL = np.array([[[1, 0], [0, 1], [1, 1], [0, 0]]])
  np.testing.assert_array_equal(
    coherence.unseen(answers_1xNxL, seen), [[False, False, True, True]]
  )


@pytest.mark.parametrize(
  'text, implies, excludes',
  [
    ('beach -> sea', [(0, 2)], []),
    ('beach->sea', [(0, 2)], []),
    ("a b excludes mother's day", [], [(1, 3)]),
    ('x -> y -> sea', [(4, 2)], []),
    ('sea -> x -> y', [(2, 4)], []),
    ('old excludes new excludes sea', [], [(2, 5)]),
    ('sea -> old excludes new', [(2, 5)], []),
  ],
)
def test_rules_are_read_by_the_names_of_labels(text, implies, excludes):
  rules = coherence.parse([text, text], NAMES)
  assert rules.implies_Rx2.tolist() == [list(p) for p in implies]
  assert rules.excludes_Rx2.tolist() == [list(p) for p in excludes]
  again = coherence.parse(rules.texts(), NAMES)
  assert again.implies_Rx2.tolist() == rules.implies_Rx2.tolist()
  assert again.excludes_Rx2.tolist() == rules.excludes_Rx2.tolist()


@pytest.mark.parametrize(
  'texts, says',
  [
    (['beach sea'], "'beach sea': give 'a -> b' or 'a excludes b'"),
    (['beachexcludessea'], "give 'a -> b' or 'a excludes b'"),
    (['beach -> see'], "'see'; did you mean: sea"),
    (['baech excludes sea'], "'baech'; did you mean: beach"),
    (['sea -> sea'], "'sea -> sea': name two labels"),
    (['sea excludes sea'], "'sea excludes sea': name two labels"),
    (
      ['beach -> sea', 'sea excludes beach'],
      "'beach' could never be on, .* 'beach excludes sea'",
    ),
    (
      ['beach -> sea', 'sea -> a b', "beach -> mother's day"]
      + ["mother's day excludes a b"],
      "'beach' could never be on, .* \"mother's day excludes a b\"",
    ),
  ],
)
def test_a_bad_rule_is_told_in_one_line(texts, says):
  with pytest.raises(InputError, match=says) as error:
    coherence.parse(texts, NAMES)
  assert '\n' not in str(error.value)


def test_a_rule_that_can_be_read_in_two_ways_is_refused():
  with pytest.raises(InputError, match='read in 2 ways: rename'):
    coherence.parse(['a -> b -> c'], ['a', 'b -> c', 'a -> b', 'c'])


def test_circles_and_chains_are_no_contradiction():
  texts = ['beach -> sea', 'sea -> beach', "a b excludes mother's day"]
  texts += ["sea -> mother's day"]
  assert len(coherence.parse(texts, NAMES)) == 4


def test_rules_of_a_hierarchy_lead_from_child_to_parent():
  labels = Labels.of(
    np.eye(3), ['root', 'leaf', 'twig'], edges=[(0, 2), (2, 1)]
  )
  rules = coherence.of_hierarchy(labels)
  assert set(rules.texts()) == {'twig -> root', 'leaf -> twig'}
  assert len(coherence.of_hierarchy(Labels.of(np.eye(3)))) == 0


def test_sums_of_rules_hold_each_once_and_are_checked():
  one = coherence.parse(['beach -> sea'], NAMES)
  other = coherence.parse(['beach -> sea', 'a b -> sea'], NAMES)
  assert list((one + other).texts()) == ['beach -> sea', 'a b -> sea']
  against = one + coherence.parse(['sea excludes beach'], NAMES)
  with pytest.raises(InputError, match='contradict'):
    coherence.check_consistent(against)


def test_the_report_holds_shares_of_rows_and_the_worst_rules():
  labels = Labels.of(np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1]]), 'abc')
  rules = coherence.parse(['a -> b', 'b excludes c', 'a excludes c'], 'abc')
  answers_KxNxL = np.array(
    [
      [[1, 1, 0], [1, 0, 0], [0, 1, 1], [1, 0, 1]],
      [[1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]],
    ]
  )
  seen = coherence.label_sets(labels, np.arange(3))
  report = coherence.report(answers_KxNxL, seen, rules)
  columns = report.columns()
  assert list(columns) == ['unseen_sets', 'violations']
  np.testing.assert_allclose(columns['unseen_sets'], [0.75, 0.25])
  np.testing.assert_allclose(columns['violations'], [0.75, 0.25])
  assert report.worst == [
    ('a -> b', 0.375),
    ('a excludes c', 0.125),
    ('b excludes c', 0.125),
  ]
  assert report.text(1) == ' 37.50% of rows break  a -> b'
  none = coherence.report(answers_KxNxL, seen, coherence.parse([], 'abc'))
  assert list(none.columns()) == ['unseen_sets'] and not none.text()


def test_a_rule_with_just_enough_rows_is_mined():
  # 8 rows have both; had they been independent, 8 * 20 / 40 had not.
  y_NxL = np.zeros((40, 2), np.float32)
  y_NxL[:8, 0], y_NxL[:20, 1] = 1, 1
  for support, expected, mined in ((8, 4, 1), (9, 4, 0), (8, 4.01, 0)):
    rules = coherence.mine(
      Labels.of(y_NxL), np.arange(40), support=support, expected=expected
    )
    assert len(rules) == mined


def test_bad_numbers_for_mining_are_refused():
  labels = Labels.of(np.eye(3))
  for options in ({'support': 0}, {'expected': -1}):
    with pytest.raises(InputError, match='give more than 0'):
      coherence.mine(labels, [0, 1], **options)


def test_many_labels_take_no_square_of_them():
  L, N = 50_000, 400
  rng = np.random.default_rng(0)
  rows_C, columns_C = np.repeat(np.arange(N), 5), rng.integers(2, L, 5 * N)
  y_NxL = sparse.csr_array((np.ones(5 * N), (rows_C, columns_C)), (N, L))
  y_NxL.sum_duplicates()
  y_NxL.data[:] = 1
  common = sparse.csr_array(np.tile([[1.0, 0.0], [0.0, 1.0]], (N // 2, 1)))
  y_NxL = sparse.hstack([common, y_NxL[:, 2:]]).tocsr()
  labels = Labels.of(y_NxL)
  rules = coherence.mine(labels, np.arange(N))
  assert list(rules.texts()) == ['y0 excludes y1']
