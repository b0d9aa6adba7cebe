"""LIBSVM text: typed files, a grammar, scikit-learn, and back again."""

import bz2
import gzip
import io
import json
import lzma
import re
from unittest import mock
import warnings

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest
from reading import mutated, table_or_refusal
from scipy import sparse
from sklearn import datasets

from mlc.data.features import Features
from mlc.data.labels import Labels
from mlc.data.readers import libsvm
from mlc.data.table import Table
from mlc.errors import InputError

HEADED = """3 4 3
0,2 0:0.5 3:-2e1
 1:1
1 2:.25 1:7
"""
HEADED_X = [[0.5, 0, 0, -20], [0, 1, 0, 0], [0, 7, 0.25, 0]]
HEADED_Y = [[1, 0, 1], [0, 0, 0], [0, 1, 0]]


@pytest.fixture
def read(tmp_path):
  def read(text, **options):
    path = tmp_path / 'a.txt'
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return libsvm.read(path, **options)

  return read


def _x(table):
  return table.features.sparse_NxS.toarray()


def _y(table):
  return table.labels.y_NxL.toarray()


def _same(one, other):
  """All arrays, byte by byte."""
  for a, b in (one.features, other.features), (one.labels, other.labels):
    for key, array in a.arrays().items():
      assert array.dtype == b.arrays()[key].dtype
      assert array.tobytes() == b.arrays()[key].tobytes(), key
  assert one.features.sparse_NxS.shape == other.features.sparse_NxS.shape
  assert one.labels.y_NxL.shape == other.labels.y_NxL.shape


@pytest.mark.parametrize('change', [
  lambda text: text,
  lambda text: text.rstrip('\n'),
  lambda text: text.replace('\n', '\r\n'),
  lambda text: '\ufeff' + text,
  lambda text: text.replace(' ', '\t'),
  lambda text: text.replace(' ', ' \t ').replace('\n', '  \n'),
  lambda text: text + '\n \n\n',
  lambda text: '# comment: 1:2\n' + text.replace('\n', '# 5:5\n\t#\n'),
  lambda text: text.replace('0,2', '0,2 qid:7').replace(' 1:1', ' qid:1 1:1'),
  lambda text: text.replace('0,2', '2,00').replace('-2e1', '-020.0E0'),
  lambda text: text.replace('\n 1', '\n1'),
])  # fmt: skip
def test_a_headed_file_is_read_as_typed(read, change):
  table = read(change(HEADED))
  np.testing.assert_array_equal(_x(table), HEADED_X)
  np.testing.assert_array_equal(_y(table), HEADED_Y)
  assert table.features.names == ('x0', 'x1', 'x2', 'x3')
  assert table.labels.names == ('y0', 'y1', 'y2')
  assert table.labels.kind == 'multi-label' and table.splits == {}


def test_with_a_header_blank_lines_are_rows_until_it_is_full(read):
  table = read('4 2 1\n\n0 1:3\n \n\n\n')
  np.testing.assert_array_equal(_x(table), [[0, 0], [0, 3], [0, 0], [0, 0]])
  np.testing.assert_array_equal(_y(table), [[0], [1], [0], [0]])
  table = read('2 2 1\n\n\n')
  np.testing.assert_array_equal(_x(table), np.zeros((2, 2)))


def test_feature_ids_count_from_0_or_from_1(read):
  zero, one = [[5, 0, 6], [0, 7, 0]], [[0, 5, 0, 6], [0, 0, 7, 0]]
  # A header: from 0, unless the id D occurs.
  assert _x(read('2 4 1\n0 1:5 3:6\n0 2:7\n')).tolist() == one
  assert _x(read('2 3 1\n0 1:5 3:6\n0 2:7\n')).tolist() == zero
  assert _x(read('2 3 1\n0 2:7\n0 1:5 3:6\n')).tolist() == zero[::-1]
  # None: from 1, unless the id 0 occurs.
  assert _x(read('0 1:5 3:6\n0 2:7\n')).tolist() == zero
  assert _x(read('0 1:5 3:6\n0 2:7\n0 0:1\n')).tolist() == [*one, [1, 0, 0, 0]]
  names = {'feature_names': 'abcd'}
  assert _x(read('0 1:5 3:6\n0 2:7\n', **names)).tolist() == [
    [*row, 0] for row in zero
  ]
  assert _x(read('0 1:5 3:6\n0 2:7\n0 0:1', **names)).tolist()[:2] == one


def test_labels_without_header_are_those_that_occur(read):
  table = read('10,2 1:1\n-\n9 1:1\n'.replace('-', ' 1:1'))
  assert table.labels.names == ('2', '9', '10')
  np.testing.assert_array_equal(_y(table), [[1, 0, 1], [0, 0, 0], [0, 1, 0]])
  table = read('1 1:1\n0 1:1\n')
  assert table.labels.names == ('y0', 'y1')
  np.testing.assert_array_equal(_y(table), [[0, 1], [1, 0]])
  table = read('2 1:1\n\n0 1:1\n', label_names=['a', 'b', 'c', 'd'])
  assert table.labels.names == ('a', 'b', 'c', 'd')
  np.testing.assert_array_equal(_y(table), [[0, 0, 1, 0], [1, 0, 0, 0]])


def test_a_meta_file_names_labels_and_features(read, tmp_path):
  meta = tmp_path / 'meta.json'
  content = {'labels': ['p', 'q', 'r'], 'features': ['a', 'b', 'c', 'd']}
  meta.write_text(json.dumps(content))
  table = read(HEADED, meta=meta)
  assert table.labels.names == ('p', 'q', 'r')
  assert table.features.names == ('a', 'b', 'c', 'd')
  for text in ('', '[]', '{"labels": []}', '{"labels": 1, "features": []}',
               '{"labels": [1], "features": ["a"]}', '[' * 10**5):  # fmt: skip
    meta.write_text(text)
    with pytest.raises(InputError, match='lists of names'):
      read(HEADED, meta=meta)
  with pytest.raises(InputError, match='No such file'):
    read(HEADED, meta=tmp_path / 'none.json')
  with pytest.raises(InputError, match='names: 3 for 4 columns'):
    read(HEADED, feature_names='abc')


@pytest.mark.parametrize('place, what, text', [
  # Rows.
  (':1:', 'header of 3 rows, but 4 follow', HEADED + '0 1:1\n'),
  (':1:', 'header of 4 rows, but 3 follow', HEADED.replace('3', '4', 1)),
  (':2:', 'header of 3 rows, but 0 follow', '\n3 4 3\n'),
  (':', 'no rows', '\n \n# 1 1:1\n'),
  (':', 'empty file', ''),
  # Headers.
  (':1:', 'header of 3 rows, 0 features', '3 0 3\n'),
  (':2:', 'header of 3 rows, 4 features and 0 labels', '\n3 4 0\n0 1:1\n'),
  (':1:', 'header of 0 rows', '0 4 3\n'),
  (':1:', '10000001 features', '1 10000001 3\n0 1:1\n'),
  (':1:3:', "'4' has no colon", '3 4\n0 1:1\n'),
  # Labels.
  (':2:3:', "label id '3' is above 2", '1 4 3\n0,3 1:1\n'),
  (':1:1:', "label id '2147483648'", '2147483648 1:1\n'),
  (':1:1:', 'is above', '9' * 5000 + ' 1:1\n'),
  (':1:3:', "label id '-1': give", '0,-1 1:1\n'),
  (':1:1:', "label id '1.0': give", '1.0 1:1\n'),
  (':1:1:', "label id '+1': give", '+1 1:1\n'),
  (':1:1:', "label id 'tag': give", 'tag 1:1\n'),
  (':1:3:', "label id '': give", '1,,2 1:1\n'),
  (':1:3:', "label id '': give", '1, 1:1\n'),
  (':1:1:', "label id '': give", ',1 1:1\n'),
  (':1:5:', 'label id 1 stands twice', '1,2,01 1:1\n'),
  (':2:2:', "'1' has no colon", '1 1:1\n 1 1:1\n'),
  # Features.
  (':1:9:', "feature id '10000001' is above", '0 1:1   10000001:1\n'),
  (':2:3:', "feature id '5' is above 4", '1 4 3\n0 5:1\n'),
  (':1:3:', "feature id '-1': give", '0 -1:1\n'),
  (':1:3:', "feature id '1.0': give", '0 1.0:1\n'),
  (':1:3:', "feature id '1e1': give", '0 1e1:1\n'),
  (':1:3:', "feature id 'a': give", '0 a:1\n'),
  (':1:11:', "feature id 'a': give", '0 qid:345 a:1\n'),
  (':1:3:', "feature id '': give", '0 :1\n'),
  (':1:1:', "feature id '0,1': give", '0,1:1\n'),
  (':1:3:', "feature id '\u0663': give", '0 \u0663:1\n'),
  (':1:7:', 'feature id 3 stands twice', '0 3:1 3:2\n'),
  (':1:11:', 'feature id 3 stands twice', '0 3:1 1:2 03:2\n'),
  (':3:3:', 'feature id 0, though an id 4', '2 4 1\n0 4:1\n0 0:1\n'),
  (':3:3:', 'feature id 4, though an id 0', '2 4 1\n0 0:1\n0 4:1\n'),
  (':2:7:', 'feature id 4, though an id 0', '1 4 1\n0 0:1 4:1\n'),
  (':1:7:', "'5' has no colon", '0 1:1 5 2:1\n'),
  # Values.
  (':1:5:', "'a' is no number", '0 1:a\n'),
  (':1:5:', "'' is no number", '0 1: 2:1\n'),
  (':1:5:', "'' is no number", '0 1: 2\n'),
  (':1:5:', "'1:2' is no number", '0 1:1:2\n'),
  (':1:5:', "'1,2' is no number", '0 1:1,2\n'),
  (':1:5:', "'1.2.3' is no number", '0 1:1.2.3\n'),
  (':1:5:', "'1e' is no number", '0 1:1e 2:1\n'),
  (':1:5:', "'1-2' is no number", '0 1:1-2 2:1\n'),
  (':1:5:', "'.' is no number", '0 1:.\n'),
  (':1:5:', "'0x1' is no number", '0 1:0x1\n'),
  (':1:5:', "'1_0' is no number", '0 1:1_0\n'),
  (':1:5:', "'nan' is no number", '0 1:nan\n'),
  (':1:5:', "'inf' is no number", '0 1:inf\n'),
  (':1:5:', "'-1e39' is beyond float32", '0 1:-1e39\n'),
  (':1:5:', "'1e400' is beyond float32", '0 1:1e400\n'),
  (':1:5:', "'1\\x0b' is no number", '0 1:1\v\n'),
  (':1:5:', "'1\\r0' is no number", '0 1:1\r0 2:1\n'),
  # Encoding.
  (':1:', 'not text', b'0 1:1\0\n'),
  (':2:7:', 'not utf-8', b'0 1:1\n0 1:1 \xff\n'),
  # Nothing to learn.
  (':', 'no columns', '0\n1\n'),
  (':', '2 rows of 0 labels', '1:1\n2:1\n'),
])  # fmt: skip
def test_a_fault_is_told_with_its_place(read, tmp_path, place, what, text):
  with (
    warnings.catch_warnings(action='error'),
    pytest.raises(InputError) as error,
  ):
    read(text)
  message = str(error.value)
  assert message.startswith(f'{tmp_path / "a.txt"}{place} '), message
  assert what in message and '\n' not in message
  assert len(message) < len(str(tmp_path)) + 120


def test_a_fault_in_a_later_block_is_told_with_its_line(read):
  good = '0 1:1\n\n'
  text = good * 40_000 + '0 1:1 1:1\n' + good
  assert len(text) > libsvm.BLOCK / 4
  with (
    mock.patch.object(libsvm, 'BLOCK', 1000),
    pytest.raises(InputError, match=r'a\.txt:80001:7: feature id 1 stands'),
  ):
    read(text)


@pytest.mark.parametrize('last, base', [('0:1', 0), ('40:1', 1)])
def test_blocks_change_nothing(read, last, base):
  rows = ['2,5 1:3 7:4', ' 9:1', '', '3', '0 2:0.5 1:1'] * 20
  text = '\n'.join(['101 40 6', *rows, '1 ' + last]) + '\n'
  whole = read(text)
  with mock.patch.object(libsvm, 'BLOCK', 10):
    _same(whole, read(text))
  assert _x(whole)[0].nonzero()[0].tolist() == [1 - base, 7 - base]
  both = text.replace('9:1', '0:1' if base else '40:1', 1)
  with (
    mock.patch.object(libsvm, 'BLOCK', 10),
    pytest.raises(InputError, match=r'a\.txt:102:3: feature id'),
  ):
    read(both)


def test_nothing_is_made_dense(read):
  header = '3 1000000 1000000\n'
  with mock.patch.object(sparse.csr_array, 'toarray', side_effect=MemoryError):
    table = read(header + '999999 999999:1\n\n5 7:1\n')
  assert table.features.sparse_NxS.shape == (3, 10**6)
  assert table.labels.y_NxL.nnz == 2


def test_indices_have_32_bits_where_that_is_enough(read):
  table = read(HEADED)
  for matrix in table.features.sparse_NxS, table.labels.y_NxL:
    assert matrix.indices.dtype == matrix.indptr.dtype == np.int32


# The format as one expression a row, in place of tables over bytes.
LABELS = r'(?:\d+(?:,\d+)*)'
NUMBER = r'[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?'
CELL = rf'\d+:{NUMBER}'
ROW = re.compile(
  rf'(?P<labels>{LABELS}?)(?P<cells>(?:[ \t]+{CELL})*)[ \t]*'
  rf'|(?P<bare>{CELL}(?:[ \t]+{CELL})*)[ \t]*',
  re.ASCII,
)
TOKENS = [
  '0', '1', '2', '1:1', '2:0.5', '0:-3', '3:1e2', '1:.5', '2:5.', '1e', '7',
  *',:.e-+\tx', *[' '] * 8, ',', '\n', '\n', '\n ', '5:5 ', '0,1 ',
]  # fmt: skip


def _by_grammar(text):
  """[(label ids, {feature id: value})] of rows, or None."""
  rows = []
  for line in filter(lambda line: line.strip(' \t'), text.split('\n')):
    if not (match := ROW.fullmatch(line)):
      return None
    labels = [int(label) for label in re.findall(r'\d+', match['labels'] or '')]
    cells = (match['cells'] or match['bare'] or '').split()
    cells = [(int(i), float(v)) for i, v in (cell.split(':') for cell in cells)]
    row = set(labels), dict(cells)
    if [len(row[0]), len(row[1])] != [len(labels), len(cells)]:
      return None
    if max(labels, default=0) >= 2**31 or any(
      abs(v) > 3.4e38 for _, v in cells
    ):
      return None
    rows.append(row)
  ids = {i for _, cells in rows for i in cells}
  return None if max(ids) > 1000 or {0, 1000} <= ids else rows


@settings(deadline=None, derandomize=True, max_examples=1000)
@given(st.lists(st.sampled_from(TOKENS), max_size=14).map(''.join))
def test_just_the_rows_of_the_grammar_are_read(tmp_path_factory, text):
  path = tmp_path_factory.getbasetemp() / 'grammar.txt'
  text = '0,1 1:1\n' + text
  path.write_text(text)
  rows = _by_grammar(text)
  try:
    with mock.patch.object(libsvm, 'MAX_COLUMNS', 1000):
      table = libsvm.read(path)
  except InputError as error:
    assert rows is None, error
    return
  assert rows is not None
  base = min(i for _, cells in rows for i in [1, *cells])
  names = table.labels.names
  ids = [int(name.removeprefix('y')) for name in names]
  assert [{ids[j] for j in np.flatnonzero(row)} for row in _y(table)] == [
    labels for labels, _ in rows
  ]
  x_NxD = np.zeros(_x(table).shape, np.float32)
  for row, (_, cells) in enumerate(rows):
    for i, value in cells.items():
      x_NxD[row, i - base] = value
  np.testing.assert_array_equal(_x(table), x_NxD)
  assert x_NxD.shape[1] == 1 + max(i for _, c in rows for i in c) - base


FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def tables(draw):
  """Small ones, with empty rows, rows without labels, absent labels."""
  n, d, l = (draw(st.integers(1, 6)) for _ in range(3))
  x_NxD = draw(hnp.arrays(np.float32, (n, d), elements=FLOATS))
  x_NxD *= draw(hnp.arrays(bool, (n, d)))
  y_NxL = draw(hnp.arrays(bool, (n, l)))
  return Table(
    Features.of(sparse_columns=sparse.csr_array(x_NxD)),
    Labels.of(y_NxL),
  )


@settings(deadline=None, derandomize=True, max_examples=150)
@given(tables(), st.sampled_from(['txt', 'txt.gz', 'BZ2', 'xz']))
def test_what_is_written_is_read_back(tmp_path_factory, table, suffix):
  path = tmp_path_factory.getbasetemp() / f'back.{suffix}'
  libsvm.write(table, path)
  _same(table, libsvm.read(path))


@settings(deadline=None, derandomize=True, max_examples=150)
@given(tables())
def test_without_header_only_unused_columns_and_labels_go(
  tmp_path_factory, table
):
  path = tmp_path_factory.getbasetemp() / 'bare.txt'
  x_NxD, y_NxL = _x(table), _y(table)
  if not (x_NxD.any(1) | y_NxL.any(1)).all():
    with pytest.raises(InputError, match='neither label nor feature'):
      libsvm.write(table, path, header=False)
  elif x_NxD.any() and y_NxL.any():
    libsvm.write(table, path, header=False)
    back = libsvm.read(path)
    used = x_NxD.any(0).nonzero()[0][-1] + 1
    np.testing.assert_array_equal(_x(back), x_NxD[:, :used])
    np.testing.assert_array_equal(_y(back), y_NxL[:, y_NxL.any(0)])
    names = {'label_names': table.labels.names}
    _same(table, libsvm.read(path, feature_names=table.features.names, **names))


def test_stored_zeros_and_blocks_of_rows_are_written(tmp_path):
  x_NxD = sparse.csr_array(
    (np.array([0, 1, -0.0, 16777216, 3.4028235e38, 1e-45], np.float32),
     np.int32([0, 2, 1, 0, 1, 2]), np.int32([0, 2, 3, 6])), shape=(3, 3),
  )  # fmt: skip
  table = Table(Features.of(sparse_columns=x_NxD), Labels.of(np.eye(3)))
  libsvm.write(table, tmp_path / 'whole.txt')
  whole = (tmp_path / 'whole.txt').read_bytes()
  assert whole == (
    b'3 3 3\n0 2:1\n1\n2 0:1.6777216e+07 1:3.4028235e+38 2:1e-45\n'
  )
  _same(table, libsvm.read(tmp_path / 'whole.txt'))
  with mock.patch.object(libsvm, 'ROWS', 2):
    libsvm.write(table, tmp_path / 'parts.txt')
  assert whole == (tmp_path / 'parts.txt').read_bytes()


@pytest.mark.parametrize('suffix, unpack', [
  ('gz', gzip.decompress), ('bz2', bz2.decompress), ('xz', lzma.decompress),
])  # fmt: skip
def test_compressed_by_suffix(read, tmp_path, suffix, unpack):
  table = read(HEADED)
  libsvm.write(table, tmp_path / f'b.{suffix}')
  libsvm.write(table, tmp_path / 'b.txt')
  packed = (tmp_path / f'b.{suffix}').read_bytes()
  assert unpack(packed) == (tmp_path / 'b.txt').read_bytes()


X = sparse.csr_array(np.float32([[1, 0], [0, 2]]))
Y = np.eye(2)


@pytest.mark.parametrize('what, x, y', [
  ('dense columns', {'dense': X.toarray()}, Y),
  ('categorical columns',
   {'categorical': [[0], [-1]], 'values': [['a']]}, Y),
  ('text', {'text': ['a', 'b'], 'sparse_columns': X}, Y),
  ('missing features', {'sparse_columns': X * np.float32(np.nan)}, Y),
  ('missing labels', {'sparse_columns': X}, [[1, np.nan], [0, 1]]),
  ('soft labels', {'sparse_columns': X}, [[1, 0.5], [0, 1]]),
])  # fmt: skip
def test_what_the_format_cannot_hold_is_refused(tmp_path, what, x, y):
  table = Table(Features.of(**x), Labels.of(y))
  with pytest.raises(InputError, match=f'no {what}: save an npz'):
    libsvm.write(table, tmp_path / 'a.txt')
  assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_what_was_there(read, tmp_path):
  table = read(HEADED)
  with pytest.raises(InputError, match='not written'):
    libsvm.write(table, tmp_path / 'none' / 'a.txt')
  (tmp_path / 'folder').mkdir()
  with pytest.raises(InputError, match='not written'):
    libsvm.write(table, tmp_path / 'folder')
  (tmp_path / 'a.txt').write_text('old')
  with (
    mock.patch('os.replace', side_effect=OSError(28, 'No space left')),
    pytest.raises(InputError, match='not written .No space left'),
  ):
    libsvm.write(table, tmp_path / 'a.txt')
  assert sorted(p.name for p in tmp_path.iterdir()) == ['a.txt', 'folder']
  assert (tmp_path / 'a.txt').read_text() == 'old'


def _scikit_learn(content, **options):
  x_NxD, y = datasets.load_svmlight_file(
    io.BytesIO(content), multilabel=True, dtype=np.float32, **options
  )
  return x_NxD.toarray(), [set(map(int, labels)) for labels in y]


def _label_sets(table):
  ids = [int(name.removeprefix('y')) for name in table.labels.names]
  return [{ids[j] for j in np.flatnonzero(row)} for row in _y(table)]


@settings(deadline=None, derandomize=True, max_examples=100)
@given(tables(), st.booleans())
def test_scikit_learns_files_are_read_as_it_reads_them(
  tmp_path_factory, table, zero_based
):
  x_NxD, y_NxL = _x(table), _y(table)
  if not x_NxD.any() or not y_NxL.any():
    return
  file = io.BytesIO()
  datasets.dump_svmlight_file(
    x_NxD, y_NxL, file, multilabel=True, zero_based=zero_based, comment='c'
  )
  path = tmp_path_factory.getbasetemp() / 'other.txt'
  path.write_bytes(file.getvalue())
  x, y = _scikit_learn(file.getvalue(), zero_based='auto')
  made = libsvm.read(path)
  np.testing.assert_array_equal(_x(made), x)
  assert _label_sets(made) == y


@settings(deadline=None, derandomize=True, max_examples=100)
@given(tables())
def test_scikit_learn_reads_what_is_written(tmp_path_factory, table):
  x_NxD, y_NxL = _x(table), _y(table)
  if not x_NxD.any(1).all():
    return  # It skips rows without features and labels.
  path = tmp_path_factory.getbasetemp() / 'ours.txt'
  libsvm.write(table, path)
  x, y = _scikit_learn(
    path.read_bytes().partition(b'\n')[2],
    n_features=x_NxD.shape[1], zero_based=True,
  )  # fmt: skip
  np.testing.assert_array_equal(x_NxD, x)
  assert [set(row.nonzero()[0]) for row in y_NxL] == y


PIECES = [
  b'', b' ', b',', b':', b'\n', b'\r\n', b'\t', b'#', b'qid:3', b'qid:x', b'.',
  b'-', b'e', b'nan', b'\0', b'\xff', b'\xef\xbb\xbf', b'0', b'1', b'9' * 20,
  b'0' * 5000, b'3 4 3\n', b'1:1', b'0,1 ', b'\n\n', '\u0663\u2028'.encode(),
]  # fmt: skip


VALID = [HEADED, HEADED.partition('\n')[2], '1 1:2 # 5\n2,3 1:1']


def _table_or_refusal(path, data):
  path.write_bytes(data)
  with mock.patch.object(libsvm, 'MAX_COLUMNS', 1000):
    table_or_refusal(libsvm.read, path)


@settings(deadline=None, derandomize=True, max_examples=700)
@given(mutated([text.encode() for text in VALID], PIECES))
def test_a_mutated_file_is_read_or_refused(tmp_path_factory, data):
  _table_or_refusal(tmp_path_factory.getbasetemp() / 'mutated.txt', data)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.binary(), st.sampled_from(['txt', 'gz', 'bz2', 'xz']))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data, suffix):
  folder = tmp_path_factory.getbasetemp()
  _table_or_refusal(folder / f'any.{suffix}', data)
  _table_or_refusal(folder / 'any.txt', b'9 9 9\n0 1:1\n' + data)


def test_stackex_chess_has_its_published_numbers(mlc_data):
  folder = mlc_data / 'xmc'
  table = libsvm.read(
    folder / 'stackex_chess.xmc.txt', meta=folder / 'stackex_chess.meta.json'
  )
  x_NxD, y_NxL = table.features.sparse_NxS, table.labels.y_NxL
  assert x_NxD.shape == (1675, 585) and y_NxL.shape == (1675, 227)
  assert y_NxL.sum() / 1675 == pytest.approx(2.4113, abs=6e-5)
  assert y_NxL.mean() == pytest.approx(0.0106, abs=6e-5)
  assert x_NxD.nnz / 1675 == pytest.approx(17.9, abs=0.06)
  assert len(np.unique(y_NxL.toarray(), axis=0)) == 1078
  assert (y_NxL.sum(1) == 0).sum() == 3 and y_NxL.sum(0).min() > 0
  assert table.labels.names[:2] == ('tag_1.d4', 'tag_1.e4')
  assert table.features.names[-1] == 'year'


def test_stackex_chess_agrees_with_scikit_learn(mlc_data, tmp_path):
  path = mlc_data / 'xmc' / 'stackex_chess.xmc.txt'
  table = libsvm.read(path)
  content = path.read_bytes().partition(b'\n')[2]
  x, y = _scikit_learn(content, n_features=585, zero_based=True)
  np.testing.assert_array_equal(_x(table), x)
  assert _label_sets(table) == y
  libsvm.write(table, tmp_path / 'back.txt.bz2')
  _same(table, libsvm.read(tmp_path / 'back.txt.bz2'))
