"""Splits against counting, scikit-learn and `iterstrat`."""

import collections
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
from iterstrat import ml_stratifiers
import numpy as np
import pytest
from scipy import sparse
from sklearn import model_selection

from mlc import data
from mlc.data import splits
from mlc.errors import InputError

seeds = st.integers(0, 2**31)
few = settings(max_examples=60, deadline=None, derandomize=True)


def _draw(seed, num_rows=500, rarest=0.01):
  """Labels from `rarest` to 0.5; every third label follows the one before."""
  rng = np.random.default_rng(seed)
  y_NxL = rng.random((num_rows, 20)) < np.geomspace(rarest, 0.5, 20)
  y_NxL[:, 2::3] &= y_NxL[:, 1::3][:, : y_NxL[:, 2::3].shape[1]]
  return y_NxL[:, y_NxL.any(0)].astype(np.float32)


def _yeast():
  return data.load('yeast').labels.y_NxL.toarray()


def _deviation(y_NxL, parts, labels=slice(None)):
  """Mean |frequency in the part - frequency overall| over labels, parts."""
  overall_L = y_NxL.mean(0)
  gaps_KxL = [abs(y_NxL[part].mean(0) - overall_L) for part in parts]
  return np.mean(gaps_KxL, axis=0)[labels].mean()


@few
@given(
  seed=seeds,
  num_rows=st.integers(20, 200),
  shares=st.lists(st.integers(2, 9), min_size=2, max_size=5),
  order=st.sampled_from([1, 2]),
)
def test_parts_hold_every_row_once_in_the_sizes_asked_for(
  seed, num_rows, shares, order
):
  y_NxL = _draw(seed, num_rows)
  fractions = np.divide(shares, sum(shares))
  parts = splits.iterative_stratification(y_NxL, fractions, seed, order)
  assert sorted(np.concatenate(parts)) == list(range(num_rows))
  for part, fraction in zip(parts, fractions, strict=True):
    assert abs(len(part) - fraction * num_rows) < 1
    assert (np.diff(part) > 0).all()


def test_a_split_is_a_function_of_its_seed():
  y_NxL = _draw(0)
  first, again, other = (splits.three_way(y_NxL, seed) for seed in (1, 1, 2))
  generator = splits.three_way(y_NxL, np.random.default_rng(1))
  for name in first:
    np.testing.assert_array_equal(first[name], again[name])
    np.testing.assert_array_equal(first[name], generator[name])
    assert not np.array_equal(first[name], other[name])


def test_the_seed_moves_rows_that_have_labels_and_rows_that_have_none():
  # Tied rows are exchangeable, so each seed should exchange them.
  for y_NxL in np.ones((40, 1)), np.zeros((40, 1)):
    firsts = {
      tuple(splits.iterative_stratification(y_NxL, (0.5, 0.5), seed)[0])
      for seed in range(10)
    }
    assert len(firsts) == 10
  y_NxL = np.arange(40)[:, None] == 7
  halves = [splits.three_way(y_NxL, s, (0.2, 0.4, 0.4)) for s in range(20)]
  assert 2 < sum(7 in made['test'] for made in halves) < 18


def test_early_rows_are_not_dealt_to_train_first():
  train = splits.three_way(np.ones((1000, 1)), 0)['train']
  assert abs(train.mean() - 499.5) < 40


@pytest.mark.parametrize('order', [1, 2])
def test_sparse_labels_are_dealt_as_dense_ones(order):
  y_NxL = np.round(_draw(7) * np.random.default_rng(7).random((500, 1)), 2)
  row_E, label_E = np.indices(y_NxL.shape).reshape(2, -1)[:, ::-1]
  half_E = y_NxL[row_E, label_E] / 2
  # Backwards, zeros and all, and each cell in two halves.
  untidy = sparse.coo_array(
    (np.tile(half_E, 2), (np.tile(row_E, 2), np.tile(label_E, 2))), y_NxL.shape
  )
  mirrored = sparse.csr_array(y_NxL[:, ::-1])
  unsorted = sparse.csr_array(
    (mirrored.data, y_NxL.shape[1] - 1 - mirrored.indices, mirrored.indptr)
  )
  for array in unsorted.data, unsorted.indices, unsorted.indptr:
    array.setflags(write=False)
  dense = splits.three_way(y_NxL, 0, order=order)
  assert {len(rows) for rows in dense.values()} == {300, 100}
  forms = untidy, unsorted, sparse.csr_matrix(y_NxL), sparse.csc_array(y_NxL)
  for form in forms:
    made = splits.three_way(form, 0, order=order)
    for name in dense:
      np.testing.assert_array_equal(made[name], dense[name])


def test_labels_are_never_made_dense():
  # Dense, these would be 300 GB of bools.
  row_E = np.arange(0, 100_000, 25) // 2
  label_E = 2 * row_E + np.arange(4_000) % 2
  y_NxL = sparse.csr_array(
    (np.ones(4_000), (row_E, label_E)), (100_000, 3_000_000)
  )
  parts = splits.three_way(y_NxL, 0, order=2)
  assert [len(rows) for rows in parts.values()] == [60_000, 20_000, 20_000]


@pytest.mark.parametrize('order', [1, 2])
def test_labels_of_one_row_do_not_gather_in_the_folds_with_a_row_more(order):
  # Three of the ten folds have 101 rows.
  y_NxL = np.zeros((1003, 301))
  y_NxL[range(300), range(300)] = y_NxL[:300, 300] = 1
  if order == 1:
    y_NxL = y_NxL[:, :300]
  for _, test in splits.k_fold(y_NxL, 10, 0, order):
    assert 29 <= y_NxL[test].any(1).sum() <= 31


def test_exclusive_labels_and_rows_without_label_are_shared_exactly():
  # 30, 20 and 10 rows of one label each, and 40 without any.
  y_NxL = np.repeat([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]],
                    [30, 20, 10, 40], axis=0)  # fmt: skip
  parts = splits.three_way(y_NxL, seed=3)
  for name, share in ('train', 6), ('valid', 2), ('test', 2):
    counts = y_NxL[parts[name]].sum(0).tolist()
    assert counts == [3 * share, 2 * share, share]
    assert len(parts[name]) == 10 * share


def _pair_counts(y_NxL, rows):
  return collections.Counter(
    pair
    for row in y_NxL[rows]
    for pair in itertools.combinations(np.flatnonzero(row).tolist(), 2)
  )


def _pair_deviation(y_NxL, parts):
  """LPD of Szymański & Kajdanowicz, on frequencies instead of odds."""
  overall = _pair_counts(y_NxL, range(len(y_NxL)))
  gaps = [
    abs(inside[pair] / len(part) - count / len(y_NxL))
    for part in parts
    for inside in [_pair_counts(y_NxL, part)]
    for pair, count in overall.items()
  ]
  return np.mean(gaps)


def test_exclusive_pairs_are_shared_exactly_by_second_order_only():
  # Each pair of three labels has 30, 20 or 10 rows: every label has a partner
  # to be mistaken for. 15 rows have a single label, 25 have none.
  y_NxL = np.repeat([[1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 0, 0], [0, 0, 0]],
                    [30, 20, 10, 15, 25], axis=0)  # fmt: skip
  expected = {(0, 1): 30, (1, 2): 20, (0, 2): 10}
  exact = dict.fromkeys((1, 2), 0)
  for order, seed in itertools.product(exact, range(10)):
    parts = splits.three_way(y_NxL, seed, order=order)
    exact[order] += all(
      _pair_counts(y_NxL, parts[name])
      == {pair: count * share // 5 for pair, count in expected.items()}
      for name, share in [('train', 3), ('valid', 1), ('test', 1)]
    )
    if order == 2:
      singles = [(y_NxL[p].sum(1) == 1).sum() for p in parts.values()]
      assert singles == [9, 3, 3]
  assert exact[1] < 5 and exact[2] == 10


@pytest.mark.parametrize('source', ['yeast', 'drawn'])
@pytest.mark.parametrize('how', ['three_way', 'k_fold'])
def test_second_order_shares_pairs_better(source, how):
  y_NxL = _yeast() if source == 'yeast' else _draw(8)
  pairs = {1: [], 2: [], 'chance': []}
  labels = {1: [], 2: [], 'chance': []}
  for seed, order in itertools.product(range(3), pairs):
    if order == 'chance':
      folds = splits.random_k_fold(len(y_NxL), 5, seed)
    elif how == 'k_fold':
      folds = splits.k_fold(y_NxL, 5, seed, order)
    else:
      folds = [splits.three_way(y_NxL, seed, order=order).values()]
    parts = [test for *_, test in folds]
    pairs[order].append(_pair_deviation(y_NxL, parts))
    labels[order].append(_deviation(y_NxL, parts))
  assert np.mean(pairs[2]) < 0.75 * np.mean(pairs[1])
  # The paper's price: single labels are shared less well, yet not by chance.
  assert np.mean(labels[2]) < 0.5 * np.mean(labels['chance'])


def test_missing_and_improbable_labels_are_not_positive():
  y_NxL = _draw(4)
  unsure_NxL = np.where(y_NxL > 0, 0.7, 0.2)
  unsure_NxL[(y_NxL == 0) & (np.arange(500)[:, None] % 2 == 0)] = np.nan
  for one, other in zip(
    splits.three_way(y_NxL, 0).values(),
    splits.three_way(unsure_NxL, 0).values(),
    strict=True,
  ):
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize('source', ['yeast', 'drawn'])
@pytest.mark.parametrize('num_parts', [2, 5])
def test_labels_are_shared_as_well_as_by_iterstrat(source, num_parts):
  y_NxL = _yeast() if source == 'yeast' else _draw(5)
  ours, theirs = [], []
  for seed in range(5):
    equal = [1 / num_parts] * num_parts
    parts = splits.iterative_stratification(y_NxL, equal, seed)
    ours.append(_deviation(y_NxL, parts))
    folds = ml_stratifiers.MultilabelStratifiedKFold(
      num_parts, shuffle=True, random_state=seed
    )
    parts = [part for _, part in folds.split(y_NxL, y_NxL)]
    theirs.append(_deviation(y_NxL, parts))
  # Below 1e-3 both are at the rounding of counts, where a ratio says nothing.
  assert np.mean(ours) < 1.25 * np.mean(theirs) + 1e-3


def test_rare_labels_are_shared_much_better_than_by_chance():
  ours, chance = [], []
  for seed in range(5):
    y_NxL = _draw(seed)
    rare = y_NxL.mean(0) < 0.05
    parts = splits.three_way(y_NxL, seed).values()
    ours.append(_deviation(y_NxL, parts, rare))
    rows = np.random.default_rng(seed).permutation(len(y_NxL))
    parts = np.split(rows, [300, 400])
    chance.append(_deviation(y_NxL, parts, rare))
  assert np.mean(ours) < np.mean(chance) / 3


def test_every_part_gets_a_label_with_as_many_rows_as_parts():
  for seed in range(20):
    y_NxL = _draw(seed, 100)
    y_NxL[:, 0] = np.arange(100) < 5
    for part in splits.iterative_stratification(y_NxL, [0.2] * 5, seed):
      assert y_NxL[part, 0].sum() == 1


def test_validation_is_cut_from_the_train_rows_only():
  y_NxL = _draw(6)
  given_rows = np.arange(499, 99, -1)
  train, valid = splits.cut_validation(y_NxL, given_rows, 0.25, seed=0)
  assert (len(train), len(valid)) == (300, 100)
  assert (np.diff(train) > 0).all() and (np.diff(valid) > 0).all()
  assert sorted([*train, *valid]) == sorted(given_rows)
  y_TxL = y_NxL[given_rows]
  gap_L = abs(y_NxL[valid].sum(0) - y_TxL.sum(0) / 4)
  assert gap_L.max() < 3
  other, _ = splits.cut_validation(y_NxL, given_rows, 0.25, seed=1)
  assert not np.array_equal(train, other)


@few
@given(seed=seeds, num_folds=st.integers(2, 9), order=st.sampled_from([1, 2]))
def test_folds_test_every_row_once_and_train_on_the_rest(
  seed, num_folds, order
):
  y_NxL = _draw(seed, 100)
  folds = splits.k_fold(y_NxL, num_folds, seed, order)
  assert len(folds) == num_folds
  tested = np.concatenate([test for _, test in folds])
  assert sorted(tested) == list(range(100))
  for train, test in folds:
    assert abs(len(test) - 100 / num_folds) < 1
    assert (np.diff(test) > 0).all() and (np.diff(train) > 0).all()
    assert {*train} | {*test} == {*range(100)} and not {*train} & {*test}


def test_folds_are_stratified_and_a_function_of_their_seed():
  y_NxL = _draw(9)
  tests = [test for _, test in splits.k_fold(y_NxL, 5, 0)]
  chance = np.split(np.random.default_rng(0).permutation(500), 5)
  assert _deviation(y_NxL, tests) < _deviation(y_NxL, chance) / 3
  again, other = (
    [test.tolist() for _, test in splits.k_fold(y_NxL, 5, seed)]
    for seed in (0, 1)
  )
  assert again == [test.tolist() for test in tests] != other


@few
@given(seed=seeds, num_folds=st.integers(2, 12), num_rows=st.integers(12, 99))
def test_random_folds_are_those_of_scikit_learn(seed, num_folds, num_rows):
  oracle = model_selection.KFold(num_folds, shuffle=True, random_state=seed)
  theirs = list(oracle.split(np.zeros((num_rows, 1))))
  ours = splits.random_k_fold(num_rows, num_folds, seed)
  for one, other in zip(ours, theirs, strict=True):
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize('order', [1, 2])
def test_a_fold_becomes_the_three_splits_of_a_run(order):
  y_NxL = _draw(10)
  for fold in [*splits.k_fold(y_NxL, 4, 0), *splits.random_k_fold(500, 4, 0)]:
    made = splits.of_fold(y_NxL, fold, 0.2, seed=1, order=order)
    assert list(made) == ['train', 'valid', 'test']
    np.testing.assert_array_equal(made['test'], fold[1])
    assert len(made['valid']) == 75
    assert sorted([*made['train'], *made['valid']]) == fold[0].tolist()
    gap_L = abs(y_NxL[made['valid']].sum(0) - y_NxL[fold[0]].sum(0) / 5)
    assert gap_L.mean() < (1 if order == 1 else 2)


@pytest.mark.parametrize('num_folds', [-1, 0, 1, 41])
def test_impossible_numbers_of_folds_are_refused(num_folds):
  message = f'{num_folds} folds of 40 rows: give at least 2'
  with pytest.raises(InputError, match=message):
    splits.k_fold(np.ones((40, 2)), num_folds, 0)
  with pytest.raises(InputError, match=message):
    splits.random_k_fold(40, num_folds, 0)


def test_an_unknown_order_is_refused():
  with pytest.raises(InputError, match='order 3: give 1 or 2'):
    splits.three_way(_draw(0), 0, order=3)


@pytest.mark.parametrize(
  'num_rows, fractions, message',
  [
    (9, (0.5, 0.4), 'sum to 1'),
    (9, (1.2, -0.2), 'positive'),
    (3, (0.6, 0.2, 0.2), '3 rows .* part 2 empty'),
  ],
)
def test_impossible_fractions_are_refused(num_rows, fractions, message):
  with pytest.raises(InputError, match=message):
    splits.iterative_stratification(np.ones((num_rows, 2)), fractions, 0)
