"""A Dataset made of arrays: what it holds, refuses, and says of itself."""

import numpy as np
import pytest
from sklearn import preprocessing

from mlc import data
from mlc.data.features import Features
from mlc.data.labels import Labels
from mlc.errors import InputError


def _refused(message, function, *args, **kwargs):
  """Bad input raises InputError, on one line that matches `message`."""
  with pytest.raises(InputError, match=message) as caught:
    function(*args, **kwargs)
  assert '\n' not in str(caught.value)


def _arrays(**kwargs):
  """Ten rows of two features and two labels, with what `kwargs` change."""
  x_NxD = np.arange(20.0).reshape(10, 2) ** 2
  y_NxL = np.stack([np.arange(10) % 2, np.arange(10) > 4], 1).astype(float)
  rows = {'train': [0, 1, 2, 8, 9], 'valid': [3, 4], 'test': [5, 6, 7]}
  return {'x': x_NxD, 'y': y_NxL, 'splits': rows} | kwargs


def _with(key, cells, value):
  array = _arrays()[key].copy()
  array[cells] = value
  return {key: array}


@pytest.mark.parametrize(
  'change, message',
  [
    ({'x': [[1.0, 2.0]]}, 'x has 1 rows, y has 10'),
    ({'x': np.ones((0, 2)), 'y': np.ones((0, 2))}, 'at least one row'),
    ({'x': np.ones((10, 0))}, 'no columns'),
    ({'x': np.ones(10)}, r'feature has shape \(10,\)'),
    ({'y': np.ones((10, 0))}, '10 rows of 0 labels'),
    ({'x': [['red', 'blue']] * 10}, 'feature is not a dense matrix of numbers'),
    (_with('x', ([4, 7], 1), np.nan), "feature 'x1' is nan in row 4 .2 such"),
    (_with('x', (3, 0), -np.inf), "feature 'x0' is -inf in row 3 .1 such"),
    (_with('x', (3, 0), 1e60), "feature 'x0' is inf in row 3 .1 such"),
    (_with('y', ([5, 6], 0), 2), "label 'y0' is 2 in row 5 .2 such"),
    (_with('y', (5, 1), -0.1), "label 'y1' is -0.1 in row 5"),
    (_with('y', ([3, 6],), np.nan), 'row 3 has no observed label, one of 2'),
    ({'feature_names': ['a']}, 'feature names: 1 for 2 columns'),
    ({'feature_names': ['a', 'a']}, "feature name 'a' stands twice"),
    ({'label_names': ['b', 'b']}, "label name 'b' stands twice"),
    ({'splits': {'train': [0], 'valid': [1]}}, 'give row numbers of train'),
    ({'splits': {'train': [0, 1, 10], 'test': [6]}}, 'has row 10: rows go'),
    ({'splits': {'train': [0, 6], 'test': [6]}}, 'row 6 stands in split'),
    ({'splits': {'train': 'abc', 'test': [6]}}, "'train' is not a list"),
    ({'splits': [[0], [1]]}, 'splits list: give row numbers'),
    ({'splits': None, 'seed': -1}, 'seed -1: give an integer'),
    ({'x': None}, 'feature'),
    ({'x': 5.0}, 'feature has shape'),
    ({'x': Features.of(dense=np.ones((10, 1))), 'feature_names': ['a']},
     'feature_names beside Features'),
    ({'y': Labels.of(np.ones((10, 1))), 'kind': 'multi-class'},
     'kind beside Labels'),
    ({'x': ['a'] * 10, 'feature_names': ['a']}, 'names for raw text'),
    ({'splits': {'train': [0], 'valid': [1], 'test': np.arange(0)}},
     "'test' is not"),
    ({'splits': {'train': [0], 'valid': [.5], 'test': [2]}}, "'valid' is not"),
    ({'splits': {'train': [0], 'valid': [1], 'test': [10]}}, 'from 0 to 9'),
    ({'splits': {'train': [-1], 'valid': [1], 'test': [2]}}, 'has row -1'),
    ({'splits': {'train': [0, 1], 'valid': [2], 'test': [3, 1]}},
     "row 1 stands in split 'train' and again in 'test'"),
  ],
)  # fmt: skip
def test_bad_arrays_are_refused(change, message):
  _refused(message, data.from_arrays, **_arrays(**change))


def test_an_unknown_split_is_refused():
  made = data.from_arrays(**_arrays())
  _refused("unknown split 'dev'; did you mean", made.split, 'dev')


def test_a_split_holds_its_rows_and_a_mask_of_what_is_observed():
  arrays = _arrays(**_with('y', ([3, 6], [0, 1]), np.nan))
  made = data.from_arrays(**arrays)
  for split, rows in arrays['splits'].items():
    x, y, mask = made.split(split)
    np.testing.assert_array_equal(x, arrays['x'][rows])
    np.testing.assert_array_equal(
      np.where(mask == 1, y, np.nan), arrays['y'][rows]
    )
    assert {x.dtype, y.dtype, mask.dtype} == {np.dtype('float32')}
  # NaN times a mask of 0 is NaN: a missing label must be stored as a number.
  assert (made.labels.y_NxL.toarray()[[3, 6], [0, 1]] == 0).all()
  assert (made.num_features, made.num_labels) == (2, 2)


def test_without_splits_the_rows_are_cut_60_20_20_by_seed():
  one, same, other = (
    data.from_arrays(**_arrays(splits=None), seed=seed) for seed in (0, 0, 1)
  )
  assert [len(rows) for rows in one.splits.values()] == [6, 2, 2]
  assert one.checksum == same.checksum != other.checksum


def test_a_data_set_does_not_change_after_it_is_made():
  arrays = _arrays()
  arrays |= {key: arrays[key].astype(np.float32) for key in 'xy'}
  arrays['splits'] = {k: np.array(v) for k, v in arrays['splits'].items()}
  made = data.from_arrays(**arrays)
  arrays['x'][0] = arrays['y'][0] = 0.5
  arrays['splits']['train'][0] = 7
  assert made.features.dense_NxD[0, 1] == 1
  assert made.labels.y_NxL.toarray()[0, 1] == 0
  assert made.splits['train'][0] == 0
  kept = [*made.features.arrays().values(), *made.labels.arrays().values()]
  kept += [*made.splits.values(), made.standardised().features.dense_NxD]
  for array in kept:
    assert not array.flags.writeable


def test_standardised_looks_at_train_rows_only():
  arrays = _arrays(x=np.random.default_rng(0).normal(3, 5, (10, 4)))
  train = arrays['splits']['train']
  arrays['x'][train, 2] = 0.1  # Constant in train, not elsewhere.
  oracle = preprocessing.StandardScaler().fit(arrays['x'][train])
  made = data.from_arrays(**arrays).standardised()
  np.testing.assert_allclose(
    made.features.dense_NxD,
    np.asarray(oracle.transform(arrays['x'])),
    rtol=1e-4,
    atol=1e-5,
  )
  assert (
    not made.features.dense_NxD[train, 2].any()
    and made.features.dense_NxD.dtype == np.float32
  )
  np.testing.assert_array_equal(made.labels.y_NxL.toarray(), arrays['y'])


def test_constant_labels_get_smoothed_log_odds(caplog):
  # Train rows of six labels: mixed, never, always, unobserved, soft, and
  # always where observed (twice).
  nan = np.nan
  y_NxL = np.array([
    [0, 0, 1, nan, 0.2, nan],
    [1, 0, 1, nan, 0.2, 1],
    [1, 0, 1, nan, 0.2, 1],
    [1, 1, 0, 1, 1.0, 0],
    [0, 0, 0, 0, 0.0, 0],
  ])  # fmt: skip
  made = data.from_arrays(
    np.ones((5, 1)),
    y_NxL,
    splits={'train': [0, 1, 2], 'valid': [3], 'test': [4]},
  )
  np.testing.assert_allclose(
    made.constant_L, [nan, -np.log(7), np.log(7), 0, nan, np.log(5)], rtol=1e-6
  )
  constant, empty = caplog.messages
  assert '4 of 6 labels' in constant and '(y1, y2, y3, ...): kept' in constant
  assert '1 of 5 rows have no label: kept' in empty


def test_ordinary_data_warns_of_nothing(caplog):
  made = data.from_arrays(**_arrays(y=np.eye(2)[[0, 1] * 5]))
  assert np.isnan(made.constant_L).all() and not caplog.messages


@pytest.mark.parametrize(
  'change',
  [
    _with('x', (9, 1), 0), _with('y', (9, 1), 0), _with('y', (0, 0), np.nan),
    {'feature_names': ['x0', 'b']}, {'label_names': ['y0', 'b']},
    {'splits': {'train': [0, 1, 2, 8], 'valid': [9, 3, 4], 'test': [5, 6, 7]}},
  ],
)  # fmt: skip
def test_checksum_tells_content_apart(change):
  made = data.from_arrays(**_arrays())
  assert made.checksum == data.from_arrays(**_arrays(name='other')).checksum
  assert made.checksum != data.from_arrays(**_arrays(**change)).checksum
  assert len(made.checksum) == 16 and int(made.checksum, 16)
