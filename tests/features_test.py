"""Columns of every kind against the dense matrix they stand for."""

import jax
import numpy as np
import pytest
from scipy import sparse
from sklearn import impute, preprocessing

from mlc import data as data_lib
from mlc import encoders, inputs
from mlc.data.features import Features, Inputs
from mlc.errors import InputError

NAN = np.nan


def mixed(num_rows=20, seed=0, **changes) -> Features:
  """Two dense, five sparse and two categorical columns."""
  rng = np.random.default_rng(seed)
  given = {
    'dense': rng.normal(size=(num_rows, 2)),
    'sparse_columns': sparse.random_array(
      (num_rows, 5), density=0.4, rng=rng, format='csr'
    ),
    'categorical': rng.integers(0, 3, (num_rows, 2)),
    'values': (('red', 'green', 'blue'), ('a', 'b', 'c', 'never')),
  }
  return Features.of(**given | changes)


def one_hot(ids_N, count):
  """scikit-learn's one-hot columns; all 0 where an id is -1."""
  encoder = preprocessing.OneHotEncoder(
    categories=[range(count)], handle_unknown='ignore', sparse_output=False
  )
  return encoder.fit_transform(ids_N[:, None])


def written_out(features: Features) -> np.ndarray:
  return np.hstack(
    [
      features.dense_NxD,
      features.sparse_NxS.toarray(),
      *(
        one_hot(ids, len(values))
        for ids, values in zip(
          features.categorical_NxC.T, features.values, strict=True
        )
      ),
    ]
  )


def test_rows_hold_what_the_columns_hold():
  categorical = np.array([[0, 3], [-1, 2], [2, -1]])
  features = mixed(3, categorical=categorical)
  rows = np.array([2, 0, 2, 1])
  x = features.rows(rows)
  assert isinstance(x, Inputs) and x.width == 2 + 5 + 3 + 4
  np.testing.assert_allclose(
    inputs.written_out(x), written_out(features)[rows], rtol=1e-6
  )


def test_dense_columns_alone_are_a_plain_array():
  x = np.arange(6.0).reshape(3, 2)
  np.testing.assert_array_equal(Features.of(dense=x).rows([2, 0]), x[[2, 0]])


def test_every_batch_has_one_shape():
  lengths = np.array([0, 4, 1])
  indices = np.concatenate([np.arange(n) for n in lengths])
  indptr = np.concatenate([[0], np.cumsum(lengths)])
  columns = sparse.csr_array((np.ones(5), indices, indptr), shape=(3, 6))
  features = Features.of(sparse_columns=columns)
  shapes = {
    str(jax.tree.map(np.shape, features.rows(rows))) for rows in ([0], [1], [2])
  }
  assert len(shapes) == 1 and features.rows([0]).ids.shape == (1, 4)
  empty = Features.of(sparse_columns=sparse.csr_array((3, 6)))
  assert empty.rows([0, 1]).ids.shape == (2, 0)


def test_the_mlp_sees_sparse_columns_as_it_sees_dense_ones():
  features = mixed()
  x = features.rows(np.arange(20))
  model = encoders.MLP(widths=(8, 4))
  variables = model.init(jax.random.key(0), x)
  np.testing.assert_allclose(
    model.apply(variables, x),
    model.apply(variables, np.float32(written_out(features))),
    rtol=1e-4,
    atol=1e-5,
  )


def test_columns_looked_up_are_columns_written_out(monkeypatch):
  x = mixed().rows(np.arange(20))
  model = encoders.MLP(widths=(8,))
  variables = model.init(jax.random.key(0), x)
  monkeypatch.setattr(inputs, 'LOOKUP_WIDTH', 1)
  params = dict(variables['params'])
  params['LookUp_0'] = params.pop('Dense_0')
  np.testing.assert_allclose(
    model.apply({'params': params}, x),
    model.apply(variables, inputs.written_out(x)),
    rtol=1e-4,
    atol=1e-5,
  )


def test_missing_numbers_become_the_mean_of_train_rows():
  rng = np.random.default_rng(0)
  whole = rng.normal(2, 3, (30, 4)).astype(np.float32)
  whole[:, 2:] *= rng.random((30, 2)) < 0.5
  whole[rng.random(whole.shape) < 0.2] = NAN
  train = np.arange(5, 25)
  oracle = impute.SimpleImputer().fit(whole[train]).transform(whole)
  features = Features.of(dense=whole[:, :2], sparse_columns=whole[:, 2:])
  assert features.num_missing == np.isnan(whole).sum() > 5
  made = features.imputed(train)
  np.testing.assert_allclose(written_out(made), oracle, rtol=1e-5)
  assert not made.num_missing and features.num_missing


def test_a_column_never_seen_in_train_becomes_0():
  features = Features.of(dense=[[NAN], [NAN], [7.0]]).imputed(np.array([0, 1]))
  np.testing.assert_array_equal(features.dense_NxD, [[0], [0], [7]])


def test_standardising_leaves_sparse_and_categorical_columns_alone():
  features, train = mixed(), np.arange(12)
  made = features.standardised(train)
  oracle = preprocessing.StandardScaler().fit(features.dense_NxD[train])
  np.testing.assert_allclose(
    made.dense_NxD, oracle.transform(features.dense_NxD), rtol=1e-4, atol=1e-6
  )
  assert (made.sparse_NxS != features.sparse_NxS).nnz == 0
  np.testing.assert_array_equal(made.categorical_NxC, features.categorical_NxC)


def test_equal_columns_have_one_form_in_memory():
  short = sparse.random_array((9, 7), density=0.5, rng=0, format='csr')
  long = sparse.csr_array(
    (short.data, short.indices.astype(np.int64), short.indptr.astype(np.int64)),
    shape=(9, 7),
  )
  shuffled = short.tocsc().tocoo()
  forms = [
    Features.of(sparse_columns=x).arrays() for x in (short, long, shuffled)
  ]
  for form in forms[1:]:
    for key, array in form.items():
      assert array.dtype == forms[0][key].dtype
      np.testing.assert_array_equal(array, forms[0][key])
  short.data[:] = 7  # The caller's own, still writable, and not ours.
  assert forms[0]['sparse_data'].max() < 1


def test_stored_zeros_and_minus_zeros_are_no_other_matrix():
  stored = sparse.csr_array((np.array([1.0, 0.0]), ([0, 1], [0, 1])))
  without = sparse.csr_array([[1.0, 0.0], [0.0, 0.0]])
  one, other = (
    Features.of(sparse_columns=x, dense=d).arrays()
    for x, d in ((stored, [[0.0], [1.0]]), (without, [[-0.0], [1.0]]))
  )
  for key, array in one.items():
    assert array.tobytes() == other[key].tobytes(), key


def test_large_numbers_that_float32_tells_apart_are_read():
  years = np.arange(1990.0, 2010.0)[:, None]
  whole = 2.0**24 - np.arange(20.0)[:, None]
  made = Features.of(dense=np.hstack([years, whole]))
  np.testing.assert_array_equal(made.dense_NxD, np.hstack([years, whole]))


def test_standardising_to_infinity_is_refused():
  features = Features.of(dense=[[0.0], [1e-38], [1e5]])
  with pytest.raises(InputError, match="'x0' is inf in row 2.*hardly differ"):
    features.standardised(np.array([0, 1]))


def test_missing_sparse_numbers_must_be_declared():
  x = sparse.csr_array([[1.0, 0.0], [0.0, NAN], [1.0, 1.0]])
  with pytest.raises(InputError, match="'x1' is nan in row 1 .1 such"):
    data_lib.from_arrays(x, np.eye(3))


def test_text_is_kept_and_no_batch_is_made_of_it():
  features = Features.of(text=['one', 'two'])
  assert features.text == ('one', 'two') and features.num_rows == 2
  with pytest.raises(InputError, match='raw text, which no encoder reads'):
    features.rows([0])


@pytest.mark.parametrize(
  'changes, message',
  [
    ({'dense': np.ones((19, 2))}, r'columns of \[19, 20\] rows'),
    ({'text': ['one']}, r'columns of \[1, 20\] rows'),
    ({'dense': np.full((20, 2), np.inf)}, "'x0' is inf in row 0 .40 such"),
    ({'sparse_columns': np.diag([1, np.inf] * 10)}, "'x3' is infinite in row"),
    ({'categorical': np.full((20, 2), 3)}, "'x7' is 3 in row 0"),
    ({'categorical': np.full((20, 2), -2)}, 'ids from -2 to -2'),
    ({'values': (('a', 'b', 'c'),)}, 'value names for 1 of 2'),
    ({'dense': np.ones((20, 2, 2))}, r'has shape \(20, 2, 2\)'),
    ({'dense': np.ones(20)}, r'has shape \(20,\)'),
    ({'dense': [[1.0]] * 19 + [[1.0, 2.0]]}, 'not a dense matrix'),
    ({'dense': 1.7e9 + np.arange(40.0).reshape(20, 2)}, 'subtract an offset'),
    ({'sparse_columns': 'abc'}, 'not a sparse matrix'),
    ({'categorical': np.full((20, 2), 0.7)}, 'give a matrix of integers'),
    ({'categorical': np.full((20, 2), 2**40)}, 'ids from 1099511627776'),
    ({'values': (('a', 'a', 'b'), ('a', 'b', 'c', 'd'))}, "'a' stands twice"),
    ({'dense_names': ['a', 'a']}, "'a' stands twice"),
    ({'dense_names': ['a', 'x2']}, "'x2' stands twice"),
    ({'dense_names': ['a']}, '1 for 2 columns'),
  ],
)  # fmt: skip
def test_bad_columns_are_refused_in_one_line(changes, message):
  with pytest.raises(InputError, match=message) as told:
    mixed(**changes)
  assert '\n' not in str(told.value)


@pytest.mark.parametrize('given', [{}, {'dense': np.ones((0, 2))}])
def test_no_rows_and_no_columns_are_refused(given):
  with pytest.raises(InputError, match='at least one'):
    Features.of(**given)


def test_a_data_set_of_sparse_features_and_one_with_missing_ones():
  x = sparse.random_array((30, 8), density=0.3, rng=0, format='csr')
  y = np.arange(30)[:, None] % np.array([2, 3]) == 0
  made = data_lib.from_arrays(x, y)
  assert made.num_features == 8
  np.testing.assert_allclose(
    inputs.written_out(made.split('test').x),
    x.toarray()[made.splits['test']],
    rtol=1e-6,
  )
  holes = np.where(np.eye(30) > 0, NAN, 1.0)
  with pytest.raises(InputError, match="feature 'x0' is nan in row 0.*declare"):
    data_lib.from_arrays(holes, y)
  declared = data_lib.from_arrays(Features.of(dense=holes), y)
  assert declared.features.num_missing == 30
  assert np.isfinite(declared.imputed().rows(slice(None)).x).all()
