"""npz files: all that was saved comes back, and nothing else is believed."""

import hashlib
import io
import json
import zipfile

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest
from reading import table_or_refusal
from scipy import sparse

from mlc.data.dataset import from_table
from mlc.data.features import Features
from mlc.data.labels import Labels
from mlc.data.readers import npz
from mlc.data.table import Table
from mlc.errors import InputError

FLOATS = st.floats(width=32, allow_infinity=False)
# All of Unicode, with quotes, line ends, NUL and halves of surrogate pairs.
TEXTS = st.text(st.characters(), max_size=5)


@st.composite
def tables(draw):
  """Small ones of all kinds of columns, missing cells, splits, hierarchies."""
  n, d, s, c, l = (draw(st.integers(low, 5)) for low in (1, 0, 0, 0, 1))
  text = draw(st.lists(TEXTS, min_size=n, max_size=n)) if draw(
    st.booleans()
  ) else ()  # fmt: skip
  if not (d or s or c or text):
    d = 1
  names = draw(
    st.lists(TEXTS, min_size=d + s + c, max_size=d + s + c, unique=True)
  )
  values = draw(
    st.lists(
      st.lists(TEXTS, min_size=1, max_size=3, unique=True),
      min_size=c,
      max_size=c,
    )
  )
  categorical = [
    [draw(st.integers(-1, len(some) - 1)) for some in values] for _ in range(n)
  ]
  index = draw(st.sampled_from([np.int32, np.int64]))
  x_NxS = draw(hnp.arrays(np.float32, (n, s), elements=FLOATS))
  x_NxS = sparse.csr_array(x_NxS * draw(hnp.arrays(bool, (n, s))))
  x_NxS.indices, x_NxS.indptr = map(index, (x_NxS.indices, x_NxS.indptr))
  classes = draw(st.lists(st.integers(0, l - 1), min_size=n, max_size=n))
  y_NxL = np.eye(l)[classes]
  if not (multi_class := draw(st.booleans())):
    soft = st.sampled_from([0, 0, 1, 1, 0.25, np.nan])
    y_NxL[:, 1:] = draw(hnp.arrays(float, (n, l - 1), elements=soft))
  rows = draw(st.permutations(range(n)))
  cut = draw(st.integers(0, n))
  return Table(
    Features.of(
      dense=draw(hnp.arrays(np.float32, (n, d), elements=FLOATS)),
      dense_names=names[:d],
      sparse_columns=x_NxS,
      sparse_names=names[d : d + s],
      categorical=np.array(categorical, int).reshape(n, c),
      categorical_names=names[d + s :],
      values=values,
      text=text,
    ),
    Labels.of(
      y_NxL,
      draw(st.lists(TEXTS, min_size=l, max_size=l, unique=True)),
      kind='multi-class' if multi_class else 'multi-label',
      edges=[(i, j) for i in range(l) for j in range(i) if draw(st.booleans())],
    ),
    draw(
      st.sampled_from([
        {}, {'train': np.array(rows[:cut], int), 'é': np.array(rows[cut:], int)}
      ])
    ),
  )  # fmt: skip


def _content(table):
  """All that a table holds, comparable; arrays with type, shape and bytes."""
  f, y = table.features, table.labels
  arrays = f.arrays() | y.arrays()
  arrays |= {f'split {name}': rows for name, rows in table.splits.items()}
  return (
    {k: (v.dtype, v.shape, v.tobytes()) for k, v in arrays.items()},
    (f.dense_names, f.sparse_names, f.categorical_names, f.values, f.text),
    (f.sparse_NxS.shape, y.y_NxL.shape, y.missing_NxL.shape, y.names, y.kind),
  )


@settings(deadline=None, derandomize=True, max_examples=100)
@given(tables())
def test_what_is_written_is_read_back(tmp_path_factory, table):
  path = tmp_path_factory.getbasetemp() / 'back.npz'
  npz.write(table, path)
  assert _content(npz.read(path)) == _content(table)


def _table():
  return Table(
    Features.of(
      dense=np.arange(12.0).reshape(6, 2),
      sparse_columns=sparse.csr_array(np.eye(6, 3)),
      categorical=[[0], [1], [0], [-1], [1], [1]],
      values=[['a', 'b']],
    ),
    Labels.of([[1, 0], [0, 0.5], [np.nan, 1], [0, 0], [1, 1], [0, 1]],
              edges=[(0, 1)]),
    {'train': np.arange(4), 'test': np.array([5, 4])},
  )  # fmt: skip


def test_a_dataset_comes_back_with_its_splits(tmp_path):
  data = from_table(_table(), name='d', seed=1)
  npz.write(data, tmp_path / 'd.npz')
  back = from_table(npz.read(tmp_path / 'd.npz'), name='d', seed=2)
  assert back.checksum == data.checksum
  assert list(back.splits) == list(data.splits)


def test_numpy_reads_the_arrays_without_pickle(tmp_path):
  table = _table()
  npz.write(table, tmp_path / 't.npz')
  with np.load(tmp_path / 't.npz', allow_pickle=False) as file:
    np.testing.assert_array_equal(file['dense'], table.features.dense_NxD)
    np.testing.assert_array_equal(file['split_1'], [5, 4])
    assert {file[name].dtype.kind for name in file.files} == set('fiu')


def test_one_changed_or_lost_byte_is_damage(tmp_path):
  path = tmp_path / 't.npz'
  npz.write(_table(), path)
  data = path.read_bytes()
  for place in range(0, len(data), 37):
    changed = bytearray(data)
    changed[place] ^= 1
    for damaged in (changed, data[:place], data[:place] + data[place + 1 :]):
      path.write_bytes(damaged)
      with pytest.raises(InputError, match=r't\.npz: damaged, or not written'):
        npz.read(path)
  path.write_bytes(data + b'\0')
  with pytest.raises(InputError, match='damaged'):
    npz.read(path)


def test_no_file_and_no_folder_are_told(tmp_path):
  with pytest.raises(InputError, match='none.npz: not readable'):
    npz.read(tmp_path / 'none.npz')
  with pytest.raises(InputError, match='not readable'):
    npz.read(tmp_path)
  with pytest.raises(InputError, match='not written'):
    npz.write(_table(), tmp_path / 'none' / 'a.npz')
  assert not list(tmp_path.iterdir())


def _signed(zipped):
  """The bytes of an archive with 64 bytes of comment, its checksum mended."""
  return zipped[:-64] + hashlib.sha256(zipped[:-64]).hexdigest().encode()


def _by_hand(path, content=None, save=np.savez, **arrays):
  """A valid file with some of its content and arrays replaced, well signed."""
  npz.write(_table(), path)
  with np.load(path) as file:
    old = dict(file)
  old['content'] = np.frombuffer(
    json.dumps(json.loads(old['content'].tobytes()) | (content or {})).encode(),
    np.uint8,
  )
  buffer = io.BytesIO()
  save(buffer, **{k: v for k, v in (old | arrays).items() if v is not None})
  with zipfile.ZipFile(buffer, 'a') as archive:
    archive.comment = bytes(64)
  path.write_bytes(_signed(buffer.getvalue()))


def test_a_file_made_by_hand_is_read(tmp_path):
  _by_hand(tmp_path / 't.npz', dense=np.ones((6, 2), np.float32))
  table = npz.read(tmp_path / 't.npz')
  np.testing.assert_array_equal(table.features.dense_NxD, np.ones((6, 2)))


I, F = np.int32, np.float32


@pytest.mark.parametrize('reason, change', [
  ('of version 99', {'content': {'version': 99}}),
  ('compressed', {'save': np.savez_compressed}),
  ('not a data set', {'dense': None}),
  ('not a data set', {'split_1': None}),
  ('Object arrays', {'dense': np.array([[None]], object)}),
  ('Header info length', {'edges': np.zeros(1, [('a' * 11000, I)])}),
  ('dense is of type float64', {'dense': np.ones((6, 2))}),
  ('dense is of type >f4', {'dense': np.ones((6, 2), '>f4')}),
  ('dense is of type complex64', {'dense': np.ones((6, 2), 'c8')}),
  (r'float32\(6, 2, 2\)', {'dense': np.ones((6, 2, 2), F)}),
  (r"'x0' is inf in row 0", {'dense': np.full((6, 2), np.inf, F)}),
  ('names: 2 for 3', {'dense': np.ones((6, 3), F)}),
  ('x of 5 rows and y of 6', {'dense': np.ones((5, 2), F)}),
  ('sparse_data', {'sparse_data': np.ones(3)}),
  ('infinite', {'sparse_data': np.full(3, np.inf, F)}),
  ('not a data set', {'sparse_data': np.ones(2, F)}),
  ('not a data set', {'sparse_indices': np.array([0, 1, 3], I)}),
  ('not a data set', {'sparse_indices': np.array([0, 1, -1], I)}),
  ('not a data set', {'sparse_indptr': np.array([0, 3, 2, 3, 3, 3, 3], I)}),
  ('not a data set', {'sparse_indptr': np.array([1, 1, 2, 3, 3, 3, 3], I)}),
  ('not a data set', {'sparse_indptr': np.array([0, 1, 2, 3, 3, 3, 9], I)}),
  ('not a data set', {'sparse_indptr': np.array([], I)}),
  ('columns of', {'sparse_indptr': np.array([0, 1, 2, 3], I)}),
  ('give the number of a value', {'categorical': np.full((6, 1), 2, I)}),
  ('y0.* is 2 in row 0', {'y_data': np.full(6, 2, F)}),
  ('y0.* is -1 in row 0', {'y_data': np.full(6, -1, F)}),
  ('not a data set', {'missing_indices': np.array([2], I)}),
  ('not a data set', {'missing_indptr': np.array([0, 1], I)}),
  ('between labels', {'edges': np.array([[0, 2]], I)}),
  ('circle', {'edges': np.array([[0, 1], [1, 0]], I)}),
  (r'edges is of type int32\(2,\)', {'edges': np.array([0, 1], I)}),
  ('not a data set', {'content': {'splits': 1}}),
  ('not a data set', {'content': {'label_names': 5}}),
  ('not a data set', {'content': {'splits': ['train', 'test', 'more']}}),
  ('not a data set', {'content': {'values': 1}}),
  ('stands twice', {'content': {'label_names': ['a', 'a']}}),
  ('kind', {'content': {'kind': 'none'}}),
  ('exactly one label', {'content': {'kind': 'multi-class'}}),
  ('columns of', {'content': {'text': ['one']}}),
])  # fmt: skip
def test_a_bad_file_made_by_hand_is_refused(tmp_path, reason, change):
  path = tmp_path / 't.npz'
  _by_hand(path, **change)
  with pytest.raises(InputError, match=reason) as error:
    npz.read(path)
  assert str(error.value).startswith(str(path)) and '\n' not in str(error.value)


def test_rows_of_features_and_labels_that_differ_are_refused(tmp_path):
  path = tmp_path / 't.npz'
  counts = np.array([0, 1, 2, 2, 3], I)
  _by_hand(
    path, y_data=np.ones(3, F), y_indices=np.zeros(3, I), y_indptr=counts,
    missing_indices=np.zeros(0, I), missing_indptr=counts * 0,
  )  # fmt: skip
  with pytest.raises(InputError, match='x of 6 rows and y of 4'):
    npz.read(path)


def _table_or_refusal(path, data):
  path.write_bytes(data)
  table_or_refusal(npz.read, path)


@pytest.fixture(scope='module')
def valid(tmp_path_factory):
  path = tmp_path_factory.mktemp('npz') / 't.npz'
  npz.write(_table(), path)
  return path.read_bytes()


@settings(deadline=None, derandomize=True, max_examples=500)
@given(data=st.data())
def test_a_mutated_file_of_right_checksum_is_read_or_refused(
  tmp_path_factory, valid, data
):
  changed = valid
  for _ in range(data.draw(st.integers(1, 4))):
    start = data.draw(st.integers(0, len(changed)))
    end = start + data.draw(st.integers(0, 12))
    new = data.draw(st.binary(min_size=0, max_size=12))
    if data.draw(st.booleans()):  # Else zip's own checks see the most of it.
      new = (new + changed[start:end])[: end - start]
    changed = changed[:start] + new + changed[end:]
  _table_or_refusal(tmp_path_factory.getbasetemp() / 'm.npz', _signed(changed))


@settings(deadline=None, derandomize=True, max_examples=300)
@given(data=st.data())
def test_any_header_and_any_json_of_right_checksum_is_read_or_refused(
  tmp_path_factory, valid, data
):
  """Members are changed inside, and stored with the CRC-32 they then have."""
  with zipfile.ZipFile(io.BytesIO(valid)) as archive:
    members = {name: archive.read(name) for name in archive.namelist()}
  name = data.draw(st.sampled_from(list(members)))
  member = bytearray(members[name])
  for _ in range(data.draw(st.integers(1, 3))):
    place = data.draw(st.integers(0, len(member) - 1))
    member[place] = data.draw(
      st.one_of(st.sampled_from(b'0129-{}[]()\'",:<>fiuO\0\xff'),
                st.integers(0, 255))
    )  # fmt: skip
  buffer = io.BytesIO()
  with zipfile.ZipFile(buffer, 'w') as archive:
    for key, content in (members | {name: bytes(member)}).items():
      archive.writestr(key, content)
    archive.comment = bytes(64)
  path = tmp_path_factory.getbasetemp() / 'j.npz'
  _table_or_refusal(path, _signed(buffer.getvalue()))


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.binary())
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
  path = tmp_path_factory.getbasetemp() / 'any.npz'
  _table_or_refusal(path, data)
  _table_or_refusal(path, data + hashlib.sha256(data).hexdigest().encode())
