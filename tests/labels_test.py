"""Every form of labels against the matrix it stands for, written by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from mlc.data.label_forms import detect
from mlc.data.labels import Labels
from mlc.errors import InputError

NAN = np.nan
MATRIX = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 1], [1, 1, 1]])


def dense(made):
  """y with NaN where it is missing."""
  y, mask = made.rows(slice(None))
  assert {y.dtype, mask.dtype} == {np.dtype('float32')}
  return np.where(mask == 1, y, NAN)


@pytest.mark.parametrize(
  'y',
  [
    MATRIX,
    MATRIX.tolist(),
    MATRIX.astype(bool),
    MATRIX.astype(float),
    [tuple(map(bool, row)) for row in MATRIX],
    sparse.csr_matrix(MATRIX),
    sparse.coo_array(MATRIX.astype(np.int8)),
    pd.DataFrame(MATRIX, columns=['y0', 'y1', 'y2']),
    [[0, 2], [], [1, 2], [2, 0, 1]],
    [{0, 2}, set(), {1, 2}, {0, 1, 2}],
    [np.array([0, 2]), np.array([], int), np.array([1, 2]), np.arange(3)],
    [['y0', 'y2'], [], ['y2', 'y1'], ['y0', 'y1', 'y2']],
    pd.Series([['y0', 'y2'], [], ['y2', 'y1'], ['y0', 'y1', 'y2']]),
  ],
  ids=lambda y: type(y).__name__,
)
def test_every_form_is_read_as_the_same_matrix(y):
  made = detect(y)
  np.testing.assert_array_equal(dense(made), MATRIX)
  assert made.names == ('y0', 'y1', 'y2') and made.kind == 'multi-label'


def test_columns_of_a_data_frame_are_never_ids():
  frame = pd.DataFrame({'a': [0, 1, 1], 'b': [1, 0, 0]})
  made = detect(frame)
  np.testing.assert_array_equal(dense(made), frame.to_numpy())
  assert made.names == ('a', 'b')


def test_masked_cells_are_missing():
  y = np.ma.masked_array([[1.0, 0.0], [0.0, 1.0]], mask=[[0, 1], [0, 0]])
  np.testing.assert_array_equal(dense(detect(y)), [[1, NAN], [0, 1]])


def test_soft_and_missing_labels_are_kept_apart():
  y = [[0.25, None, 1.0], [NAN, 0.0, 0.5]]
  made = detect(y, names=['a', 'b', 'c'])
  np.testing.assert_allclose(dense(made), [[0.25, NAN, 1], [NAN, 0, 0.5]])
  # What is missing must be stored as 0: NaN times a mask of 0 is NaN.
  assert np.isfinite(made.y_NxL.toarray()).all()
  again = detect(sparse.csr_array(np.array(y, float)))
  np.testing.assert_allclose(dense(again), dense(made))


@pytest.mark.parametrize(
  'y, names',
  [
    ([2, 0, 1, 0], ('y0', 'y1', 'y2')),
    (np.array([2, 0, 1, 0]), ('y0', 'y1', 'y2')),
    (['cat', 'ant', 'bee', 'ant'], ('ant', 'bee', 'cat')),
    (pd.Series(['cat', 'ant', 'bee', 'ant']), ('ant', 'bee', 'cat')),
  ],
)
def test_one_label_a_row_is_multi_class(y, names):
  made = detect(y)
  assert made.kind == 'multi-class' and made.names == names
  np.testing.assert_array_equal(
    dense(made), [[0, 0, 1], [1, 0, 0], [0, 1, 0], [1, 0, 0]]
  )


def test_a_matrix_is_multi_class_only_where_declared():
  one_hot = np.eye(3)[[0, 2, 1]]
  assert detect(one_hot).kind == 'multi-label'
  assert detect(one_hot, kind='multi-class').kind == 'multi-class'


@pytest.mark.parametrize(
  'y',
  [
    [[0, 1], [1, 0]],
    np.array([[0, 1], [1, 0], [1, 0]]),
    [[0], [1], [1]],
    np.array([[1], [0]]),
  ],
)
def test_what_could_be_ids_or_a_matrix_is_refused(y):
  with pytest.raises(
    InputError, match='could be a 0/1 matrix or lists'
  ) as told:
    detect(y)
  assert 'np.array(y, bool)' in str(told.value) and 'list of sets' in str(
    told.value
  )
  # Both ways out that the message names work.
  assert detect(np.array(y, bool)).y_NxL.shape == np.shape(y)
  ids = detect([set(row) for row in y])
  for row, given in zip(dense(ids), y, strict=True):
    assert set(np.flatnonzero(row)) == set(given)


def test_a_0_1_matrix_with_repeats_is_no_list_of_ids():
  # [1, 1] names a label twice, and 2 is no cell: neither is ambiguous.
  np.testing.assert_array_equal(
    dense(detect([[0, 1], [1, 1]])), [[0, 1], [1, 1]]
  )
  assert detect([[0, 1], [1, 2]]).y_NxL.shape == (2, 3)


@pytest.mark.parametrize(
  'y, options, message',
  [
    ([[0, 1, 1], [2]], {}, "row 0 has label 'y1' twice"),
    ([['a'], ['b', 'a', 'b']], {}, "row 1 has label 'b' twice"),
    ([[0], [-1, 2]], {}, 'row 1 has label id -1: ids go from 0 to 2'),
    ([[0], [10**9, 1]], {}, 'row 1 has label id 1000000000: .* to 9999999'),
    ([[10**400, 0.5]], {}, 'not a dense matrix'),
    ([[10**30], [1, 2]], {}, 'ids|label id'),
    ([[0], [3, 1]], {'names': 'abc'}, 'row 1 has label id 3: .* 0 to 2'),
    ([['a'], ['d', 'a']], {'names': 'abc'}, "label 'd' is not among the 3"),
    ([[0.5, 1.5]], {}, "label 'y1' is 1.5 in row 0"),
    ([[0.5, -1.0], [0, 0]], {}, "label 'y1' is -1 in row 0"),
    (sparse.csr_array([[0, 0], [0, 2]]), {}, "label 'y1' is 2 in row 1"),
    ([[0.0, NAN], [NAN, NAN]], {}, 'row 1 has no observed label'),
    ([], {}, '0 rows|no label|at least one'),
    ([[], []], {}, '2 rows of 0 labels'),
    (np.zeros((0, 3)), {}, 'shape|at least one'),
    ([[0, 1], 'ab'], {}, "row 1 is 'ab': give a list"),
    ([[0, 1], 2], {}, 'row 1 is 2: give a list'),
    ([[0.0, 1.0], [1.0]], {}, 'not a dense matrix'),
    ([[1, object()]], {}, 'not|ids'),
    (['a', None], {}, 'row 1 mixes names'),
    ([['a'], ['b', 2]], {}, 'row 1 mixes names'),
    ([['0', '1', '1'], ['1', '0', '0']], {}, "the texts '0' and '1'"),
    (None, {}, 'NoneType is no table'),
    (5, {}, 'int is no table'),
    (np.zeros((2, 2, 2)), {}, 'row 0 holds lists'),
    (np.eye(3), {'edges': [(0, 1, 2), (0, 1)]}, 'pairs of label ids'),
    (np.eye(3), {'edges': [(0.5, 1)]}, 'pairs of label ids'),
    ([[0, 2], [1, 2]], {'names': ['a', 'a', 'b']}, "'a' stands twice"),
    (np.eye(2), {'names': ['a']}, 'names: 1 for 2'),
    (np.ones((2, 2)), {'kind': 'multi-class'}, 'row 0 has not exactly one'),
    (np.array([[0.5, 0.5]]), {'kind': 'multi-class'}, 'not exactly one'),
    (np.eye(2), {'kind': 'binary'}, "kind 'binary': give one of"),
    (np.eye(3), {'edges': [(0, 1), (1, 2), (2, 0)]}, 'circle'),
    (np.eye(3), {'edges': [(0, 0)]}, 'circle'),
    (np.eye(3), {'edges': [(0, 3)]}, 'labels go from 0 to 2'),
  ],
)  # fmt: skip
def test_bad_labels_are_refused_in_one_line(y, options, message):
  with pytest.raises(InputError, match=message) as told:
    detect(y, **options)
  assert '\n' not in str(told.value)


def test_a_hierarchy_with_several_parents_is_kept():
  edges = [(0, 1), (0, 2), (1, 3), (2, 3)]
  made = detect(np.eye(4), edges=edges)
  np.testing.assert_array_equal(made.edges_Ex2, edges)


def test_a_sparse_cell_given_twice_is_refused():
  twice = sparse.coo_array(([1.0, 1.0], ([0, 0], [1, 1])), shape=(2, 2))
  with pytest.raises(InputError, match='given twice'):
    detect(twice)


def test_labels_do_not_change_after_they_are_made():
  y = sparse.csr_array(MATRIX.astype(np.float32))
  made = Labels.of(y)
  y.data[:] = 0.5
  np.testing.assert_array_equal(dense(made), MATRIX)
  for array in made.arrays().values():
    assert not array.flags.writeable


def test_many_labels_are_never_written_out():
  # 10^5 x 10^6 cells would be 400 GB; ids of a row stay ids.
  rng = np.random.default_rng(0)
  ids = [rng.choice(10**6, 3, replace=False) for _ in range(10**5)]
  made = detect(ids, names=range(10**6))
  assert made.y_NxL.shape == (10**5, 10**6) and made.y_NxL.nnz == 3 * 10**5
  y, mask = made.rows(np.array([7, 5]))
  assert set(np.flatnonzero(y[1])) == set(ids[5]) and mask.all()
