"""Splits and batches against counting, and against `iterstrat`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from iterstrat import ml_stratifiers
import numpy as np
import pytest

from mlc import data
from mlc.data import batches, splits
from mlc.errors import InputError

seeds = st.integers(0, 2**31)
few = settings(max_examples=60, deadline=None, derandomize=True)


def _draw(seed, num_rows=500, rarest=0.01):
  """Labels from `rarest` to 0.5; every third label follows the one before."""
  rng = np.random.default_rng(seed)
  y_NxL = rng.random((num_rows, 20)) < np.geomspace(rarest, 0.5, 20)
  y_NxL[:, 2::3] &= y_NxL[:, 1::3][:, : y_NxL[:, 2::3].shape[1]]
  return y_NxL[:, y_NxL.any(0)].astype(np.float32)


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
)
def test_parts_hold_every_row_once_in_the_sizes_asked_for(
  seed, num_rows, shares
):
  y_NxL = _draw(seed, num_rows)
  fractions = np.divide(shares, sum(shares))
  parts = splits.iterative_stratification(y_NxL, fractions, seed)
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


def test_exclusive_labels_and_rows_without_label_are_shared_exactly():
  # 30, 20 and 10 rows of one label each, and 40 without any.
  y_NxL = np.repeat([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]],
                    [30, 20, 10, 40], axis=0)  # fmt: skip
  parts = splits.three_way(y_NxL, seed=3)
  for name, share in ('train', 6), ('valid', 2), ('test', 2):
    counts = y_NxL[parts[name]].sum(0).tolist()
    assert counts == [3 * share, 2 * share, share]
    assert len(parts[name]) == 10 * share


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
  y_NxL = data.load('yeast').y_NxL if source == 'yeast' else _draw(5)
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


@few
@given(seed=seeds, num_rows=st.integers(1, 60), share=st.floats(0, 1))
def test_an_epoch_shows_every_row_once(seed, num_rows, share):
  batch_size = max(1, int(share * num_rows))
  index_TxB = batches.epoch_indices(num_rows, batch_size, seed, epoch=3)
  assert index_TxB.dtype == np.int32
  assert index_TxB.shape[1] == batch_size
  shown = index_TxB.ravel()[:num_rows]
  assert sorted(shown) == list(range(num_rows))
  # Padding fills less than one batch, and only its end.
  padding = index_TxB.ravel()[num_rows:]
  assert len(padding) < batch_size and (padding == -1).all()


def test_the_order_is_a_function_of_seed_and_epoch():
  orders = {
    place: batches.epoch_indices(50, 8, *place).tobytes()
    for place in [(0, 0), (0, 1), (1, 0), (1, 1)]
  }
  assert len(set(orders.values())) == 4
  for place, order in orders.items():
    assert batches.epoch_indices(50, 8, *place).tobytes() == order


@pytest.mark.parametrize(
  'batch_size, message',
  [
    (5000, 'batch_size 5000 is larger than the 1450 training rows: lower'),
    (0, 'batch_size 0: give at least 1'),
  ],
)
def test_impossible_batch_sizes_are_refused(batch_size, message):
  with pytest.raises(InputError, match=message):
    batches.epoch_indices(1450, batch_size, 0, 0)
