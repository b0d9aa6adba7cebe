"""CSV, TSV and Parquet: typed files, files of other writers, bad bytes."""

import csv
import importlib.util
import io
import subprocess
import sys

from hypothesis import example, given, settings
from hypothesis import strategies as st
import numpy as np
import pandas as pd
import pytest
from reading import (
  mutated,
  refused,
  table_or_refusal,
  write,
  y_of,
)

from mlc.data.readers import frame

nan = np.nan

pytestmark = pytest.mark.filterwarnings('error')

TYPED = '''width,colour,"wet ""day""",topic_a,topic_b,story,tags
1.5,red,True,0,1,"a, ""b""

c",x|y
,blue,,0.5,,,
-3e2,NA,False,1,0,007,y|z
NA,,True,1,1, spaced ,x
'''


def _check_typed(table, story):
  x = table.features
  assert x.dense_names == ('width', 'wet "day"')
  np.testing.assert_array_equal(
    x.dense_NxD, np.array([[1.5, 1], [nan, nan], [-300, 0], [nan, 1]])
  )
  assert x.categorical_names == ('colour',)
  assert x.values == (('NA', 'blue', 'red'),)
  assert x.categorical_NxC.tolist() == [[2], [1], [0], [-1]]
  assert x.text == story
  assert table.labels.names == ('topic_a', 'topic_b')
  np.testing.assert_array_equal(
    y_of(table), [[0, 1], [0.5, nan], [1, 0], [1, 1]]
  )
  assert table.labels.kind == 'multi-label' and table.splits == {}


STORY = ('a, "b"\n\nc', '', '007', ' spaced ')


@pytest.mark.parametrize(
  'name, content',
  [
    ('a.csv', TYPED),
    ('a.csv', TYPED.replace('\n', '\r\n')),
    ('a.csv', '\ufeff' + TYPED),
    ('a.csv', TYPED.replace('x|y\n', 'x|y\n\n\n') + '\n'),  # Blank lines.
    ('a.csv', TYPED.removesuffix('\n')),
    ('a.csv.gz', TYPED),
    ('a.TSV', None),
    ('a.tsv.gz', None),
  ],
)
def test_a_typed_file_is_read_as_it_was_meant(tmp_path, name, content):
  if content is None:
    written = io.StringIO()
    csv.writer(written, 'excel-tab').writerows(csv.reader(io.StringIO(TYPED)))
    content = written.getvalue()
  path = write(tmp_path, content, name)
  table = frame.read(path, labels='topic_*', drop='tags', text='story')
  _check_typed(table, STORY)


def test_parquet_gives_what_csv_gives(tmp_path):
  written = pd.DataFrame(
    {
      'width': [1.5, None, -300, None],
      'colour': ['red', 'blue', 'NA', None],
      'wet "day"': [True, None, False, True],
      'topic_a': [0, 0.5, 1, 1],
      'topic_b': pd.array([1, None, 0, 1], 'Int64'),
      'story': [STORY[0], None, *STORY[2:]],
      'tags': [['x', 'y'], None, ['y', 'z'], []],
    },
    index=[3, 1, 2, 0],
  )
  path = tmp_path / 'a.parquet'
  written.to_parquet(path)
  table = frame.read(path, labels='topic_*', drop='tags', text='story')
  _check_typed(table, STORY)
  lists = frame.read(path, labels='tags', text='story')
  assert lists.labels.names == ('x', 'y', 'z')
  assert y_of(lists) == [[1, 1, 0], [0, 0, 0], [0, 1, 1], [0, 0, 0]]
  assert lists.features.dense_names == (
    'width', 'wet "day"', 'topic_a', 'topic_b',
  )  # fmt: skip


def test_a_parquet_category_keeps_its_values_and_their_order(tmp_path):
  path = tmp_path / 'a.parquet'
  size = pd.Categorical(['L', None, 'S'], ['S', 'M', 'L'], ordered=True)
  ids = [[0, 2], [], [2]]
  pd.DataFrame({'size': size, 'ids': ids}).to_parquet(path)
  table = frame.read(path, labels='ids')
  assert table.features.values == (('S', 'M', 'L'),)
  assert table.features.categorical_NxC.tolist() == [[2], [-1], [0]]
  assert table.labels.names == ('y0', 'y1', 'y2')
  assert y_of(table) == [[1, 0, 1], [0, 0, 0], [0, 0, 1]]
  pd.DataFrame({'x': [1, 2, 3], 'size': size}).to_parquet(path)
  table = frame.read(path, labels='size')
  assert table.labels.names == ('L', 'S')
  assert y_of(table) == [[1, 0], [0, 0], [0, 1]]


@pytest.mark.parametrize(
  'labels, names',
  [
    ('y_a,y_b', ('y_a', 'y_b')),
    (['y_b', 'y_a'], ('y_b', 'y_a')),
    ('y_*', ('y_b', 'y_a')),
    (('y_*', 'x,1'), ('y_b', 'y_a', 'x,1')),
    ('x,1', ('x,1',)),
    ('y_*,z*', ('y_b', 'y_a', 'z*')),
  ],
)
def test_label_columns_are_named_in_order_or_by_how_they_begin(
  tmp_path, labels, names
):
  path = write(tmp_path, '"x,1",y_b,y_a,z*,zz\n1,0,1,1,0\n0,1,1,0,1\n')
  table = frame.read(path, labels=labels)
  assert table.labels.names == names
  columns = {
    'x,1': [1, 0], 'y_b': [0, 1], 'y_a': [1, 1], 'z*': [1, 0], 'zz': [0, 1],
  }  # fmt: skip
  assert np.transpose(y_of(table)).tolist() == [columns[n] for n in names]
  rest = tuple(name for name in columns if name not in names)
  assert table.features.dense_names == rest
  wanted = frame.read(path, labels=labels, drop='zz')
  assert wanted.features.dense_names == tuple(n for n in rest if n != 'zz')


SETS = [[1, 0, 1], [0, 0, 0], [1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize(
  'cells, labels, names',
  [
    # | ; or , is detected; blank space and an odd mixture are told.
    (['a|c', '', 'a', 'b'], 'l', 'abc'),
    ([' a ; c', ' ', 'a', 'b '], 'l', 'abc'),
    (['"a,c"', '', 'a', 'b'], 'l', 'abc'),
    (['a  c', '', 'a', 'b'], 'l ', 'abc'),
    (['"a,c"', '', 'a', 'b'], 'l,', 'abc'),
    (['a;c', '', 'a', 'b'], ['l;'], 'abc'),
    (['"a,b|c"', '', '"a,b"', 'b'], 'l|', ('a,b', 'b', 'c')),
    # A blank in a name, beside a separator.
    (['a b|c', '', 'a b', 'b'], 'l', ('a b', 'b', 'c')),
    # Numbers are names, in their order; none is made or merged.
    (['"3,27"', '', '3', '5'], 'l', ('3', '5', '27')),
    (['007|10', '', '007', '7'], 'l', ('007', '7', '10')),
    # NA is a name where the cells are no numbers.
    (['NA|b', '', 'NA', 'a'], 'l', ('NA', 'a', 'b')),
  ],
)
def test_one_column_of_label_sets_is_taken_apart(
  tmp_path, cells, labels, names
):
  rows = ''.join(f'{i},{cell}\n' for i, cell in enumerate(cells))
  table = frame.read(write(tmp_path, 'x,l\n' + rows), labels=labels)
  assert table.labels.names == tuple(names) and y_of(table) == SETS
  assert table.labels.kind == 'multi-label'
  assert table.features.dense_names == ('x',)


def test_one_name_a_row_is_multi_class_unless_a_separator_is_told(tmp_path):
  path = write(tmp_path, 'x,l\n1,10\n2,9\n3,786.20\n4,9\n')
  table = frame.read(path, labels='l')
  assert table.labels.kind == 'multi-class'
  assert table.labels.names == ('10', '786.20', '9')
  assert y_of(table) == [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1]]
  told = frame.read(path, labels='l|')
  assert told.labels.kind == 'multi-label' and y_of(told) == y_of(table)


def test_one_column_of_zeros_and_ones_is_one_label(tmp_path):
  for cells in ['1', '0', '1'], ['True', 'False', 'True'], ['1.0', '0', '1']:
    rows = ''.join(f'{i},{cell}\n' for i, cell in enumerate(cells))
    table = frame.read(write(tmp_path, 'x,l\n' + rows), labels='l')
    assert table.labels.names == ('l',) and table.labels.kind == 'multi-label'
    assert y_of(table) == [[1], [0], [1]]


def test_zeros_and_ones_are_names_where_a_separator_is_told(tmp_path):
  path = write(tmp_path, 'x,l\n1,1\n2,0\n3,\n')
  table = frame.read(path, labels='l|')
  assert table.labels.names == ('0', '1')
  assert y_of(table) == [[0, 1], [1, 0], [0, 0]]


def test_a_blank_cell_among_single_names_is_a_row_without_label(tmp_path):
  table = frame.read(write(tmp_path, 'x,l\n1,b\n2,\n3,a\n'), labels='l')
  assert table.labels.kind == 'multi-label'
  assert y_of(table) == [[0, 1], [0, 0], [1, 0]]


def test_blanks_and_quotes_inside_a_line_are_part_of_its_cells(tmp_path):
  path = write(tmp_path, 's,t,y\n "a,b",1\n5" , 6 ,0\n')
  for name, story in ('s', (' "a', '5" ')), ('t', ('b"', ' 6 ')):
    table = frame.read(
      path, labels='y', text=name, drop={'s': 't', 't': 's'}[name]
    )
    assert table.features.text == story


def test_an_empty_column_is_missing_or_empty_text(tmp_path):
  path = write(tmp_path, 'x,t,y\n,,1\n,,0\n')
  other = tmp_path / 'a.parquet'
  pd.DataFrame({'x': [None] * 2, 't': [None] * 2, 'y': [1, 0]}).to_parquet(
    other
  )
  for file in path, other:
    x = frame.read(file, labels='y', text='t').features
    assert np.isnan(x.dense_NxD).tolist() == [[True], [True]]
    assert x.text == ('', '')


def test_a_column_is_of_one_type_however_long_it_is(tmp_path):
  # pandas by itself tells the type of some 2,000 rows at a time.
  names = ','.join(f'f{i}' for i in range(299))
  row = '1,' * 299
  path = write(
    tmp_path, f'{names},y\n' + f'{row}1\n' * 2500 + 'NA' + row[1:] + '0\n'
  )
  x = frame.read(path, labels='y').features
  assert x.dense_NxD.shape == (2501, 299) and np.isnan(x.dense_NxD[2500, 0])
  assert x.num_missing == 1


def test_words_for_missing_count_among_numbers_and_bools_only(tmp_path):
  content = (
    'number,bool,word,few,y\n'
    '1.5,TRUE,NA,NA,1\nNA,NA,None,,0\nNaN,FALSE,x,,1\n-nan,TRUE,,null,0\n'
  )
  x = frame.read(write(tmp_path, content), labels='y').features
  assert x.dense_names == ('number', 'bool', 'few')
  np.testing.assert_array_equal(
    x.dense_NxD,
    [[1.5, 1, nan], [nan, nan, nan], [nan, 0, nan], [nan, 1, nan]],
  )
  assert x.values == (('NA', 'None', 'x'),)
  assert x.categorical_NxC.tolist() == [[0], [1], [2], [-1]]


def test_a_column_is_what_most_of_its_cells_are(tmp_path):
  content = 'size,y\nS,1\n10,0\nXL,1\nS,1\n12,0\n'
  x = frame.read(write(tmp_path, content), labels='y').features
  assert x.values == (('10', '12', 'S', 'XL'),)
  path = write(tmp_path, 'size,y\n\n8,1\n10,0\nXL,1\n,1\n')
  refused(f"{path}:5: 'XL' in 'size'", frame.read, path, labels='y')


IDS = 'id,y\n' + ''.join(f'u{i},{i % 2}\n' for i in range(12))


@pytest.mark.parametrize(
  'content, kwargs, message',
  [
    ('', {}, ': an empty file'),
    ('x,y\n', {}, ': a header and no rows'),
    ('\n\n', {}, ': one column'),
    ('y\n1\n', {}, ': one column'),
    ('x;y\n1;1\n', {}, ': one column'),
    ('x,y\n1,1\n2\n', {}, ':3: 1 values for 2 columns'),
    ('x,y\n"1\n",1\n\n2,1,3\n', {}, ':5: 3 values for 2 columns'),
    ('x,y\n1,1\n2,0,\n', {}, ':3: 3 values for 2 columns'),
    ('x,y\n1,1\n"2,0\n3,0\n', {}, ':3: not CSV'),
    ('x,y\n1,1\n"2"3,0\n', {}, ':3: not CSV'),
    ('x,y\r1,1\r', {}, ':1: not CSV'),
    ('x,y,x\n1,1,2\n', {}, ": column 'x' stands twice"),
    ('x\u2028,y\n1,1\n', {}, r": a line break in column 'x\u2028'"),
    (',x,y\n0,1,1\n', {}, ': a column has no name'),
    ('x,y\n1,1\n', {'labels': None}, ': which columns are labels?'),
    ('x,why\n1,1\n', {}, ": unknown column 'y'; did you mean: why?"),
    ('x,y\n1,1\n', {'labels': 'z_*'}, ": unknown column 'z_*'"),
    ('x,y\n1,1\n', {'labels': ['y', 'y*']}, ": column 'y' is named twice"),
    ('x,y\n1,1\n', {'drop': 'z'}, ": unknown column 'z'"),
    ('x,y\n1,1\n', {'drop': 'y'}, ": unknown column 'y'"),
    ('x,y\n1,1\n', {'text': 'y'}, ": unknown column 'y'"),
    ('x,y\n1,1\n', {'labels': 'x,y'}, ': every column is a label'),
    ('x,y\n1,1\n2,1\na,0\n', {}, ":4: 'a' in 'x', a column of finite"),
    ('x,y\n1,1\n1e39,1\n', {}, ":3: '1e+39' in 'x'"),
    ('x,y\n1,1\n-inf,1\n', {}, ":3: '-inf' in 'x'"),
    ('x,y\n1,1\n1e999,1\n', {}, ":3: 'inf' in 'x'"),
    ('x,y\n1,1\n' + '9' * 400 + ',1\n', {}, ":3: '9999"),
    ('x,y,z\n1,1,0\n2,1,2\n', {'labels': 'y,z'}, ":3: label 'z' is '2'"),
    ('x,y,z\n1,1,0\n2,-.1,1\n', {'labels': 'y,z'}, ":3: label 'y' is '-0.1'"),
    ('x,y,z\n1,1,a\n2,1,b\n', {'labels': 'y,z'}, ":2: label 'z' is 'a'"),
    ('x,t,y\n1,,1\n2,,1\nw,"c\nd",1\n', {'text': 't'}, ":4: 'w' in 'x'"),
    ('x,y\n1,a|b\n', {'labels': 'y*'}, ":2: label 'y' is 'a|b'"),
    ('x,y\n1,a|b\n2,"b,c"\n', {}, ':3: | and , could separate'),
    ('x,y\n1,a\n2,b c\n', {}, ":3: 'b c' could be one label or several"),
    ('x,y\n1,a|b\n2,b|\n', {}, ':3: an empty label'),
    ('x,y\n1,a|b\n2,b|a|b\n', {}, ":3: label 'b' stands twice"),
    ('x,y\n1,"[\'a\', \'b\']"\n', {}, ':2: "[\'a\', \'b\']" is a list'),
    (IDS, {}, ": column 'id' has 12 values in 12 rows"),
    (b'x,y\n1,1\ncaf\xe9,0\n', {}, ':3:4: not utf-8 text'),
    ('x,y\n1,1\n'.encode('utf-16'), {}, ':1: not text'),
    ('a,y,z\n1,0,1\n2,,\n', {'labels': 'y,z'}, ':3: no observed label'),
  ],
)  # fmt: skip
def test_bad_csv_is_refused_with_its_place(tmp_path, content, kwargs, message):
  path = write(tmp_path, content)
  refused(f'{path}{message}', frame.read, path, **({'labels': 'y'} | kwargs))


def test_what_may_be_dropped_is_not_in_the_way(tmp_path):
  path = write(tmp_path, IDS.replace('id', ',id').replace('u', ',u'))
  table = frame.read(path, labels='y', drop=[''], text='id')
  assert table.features.names == () and table.features.text[11] == 'u11'


@pytest.mark.parametrize(
  'columns, message',
  [
    ({'x': [], 'y': []}, ': a header and no rows'),
    ({}, ": unknown column 'y'"),
    ({'x': [[1], [2]], 'y': [0, 1]}, ": column 'x' is of type mixed"),
    ({'x': pd.to_datetime(['2020-01-01'] * 2), 'y': [0, 1]}, ": column 'x' is"),
    ({'x': [b'a', b'b'], 'y': [0, 1]}, ": column 'x' is of type bytes"),
    ({'x': [1, 1e300], 'y': [0, 1]}, ": row 1: '1e+300' in 'x'"),
    ({'x': [1, 2], 'y': [5, 1]}, ": column 'y' is of type integer"),
    ({'x': [1, 2], 'y': [[5, 1], [1, 1]]}, ': row 1: label 1 stands twice'),
    ({'x': [1, 2], 'y': [[5, 1], [-1]]}, ': row 1: label id -1'),
    ({'x': [1, 2], 'y': [[0], [10**9]]}, ': row 1: label id 1000000000'),
    ({'x': [1, 2], 'y': [[0, 1], [1, 0]]}, ': could be a 0/1 matrix or lists'),
    ({'x': [1, 2], 'y': [[['a']], []]}, ': row 0: label'),
  ],
)
def test_bad_parquet_is_refused(tmp_path, columns, message):
  path = tmp_path / 'a.parquet'
  pd.DataFrame(columns).to_parquet(path)
  refused(f'{path}{message}', frame.read, path, labels='y')


def test_parquet_asks_for_pyarrow_and_for_a_file(tmp_path, monkeypatch):
  path = tmp_path / 'a.parquet'
  refused(': not readable as Parquet', frame.read, path, labels='y')
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  refused('pip install pyarrow', frame.read, path, labels='y')


def test_pandas_is_imported_by_the_one_reader_that_needs_it():
  code = 'import sys; from mlc.data.readers import frame; ' + (
    'sys.exit("pandas" in sys.modules)'
  )
  assert subprocess.run([sys.executable, '-c', code]).returncode == 0


CELLS = st.text(
  st.one_of(
    st.sampled_from('",\n\t |;#\ufeff\u2028'),
    st.characters(exclude_categories=['Cs'], exclude_characters='\0\r'),
  ),
  max_size=6,
)


@settings(deadline=None, derandomize=True, max_examples=80)
@given(
  st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5),
  st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
  st.sampled_from(['csv', 'tsv']),
)
@example([(' "a,b"', 'c')], csv.QUOTE_MINIMAL, 'csv')
@example([('\ufeff', 'c')], csv.QUOTE_MINIMAL, 'csv')
def test_what_a_csv_writer_writes_is_read_cell_for_cell(
  tmp_path_factory, rows, quoting, suffix
):
  written = io.StringIO()
  made = csv.writer(
    written, delimiter='\t' if suffix == 'tsv' else ',', quoting=quoting
  )
  made.writerow(['first', 'last', 'y'])
  made.writerows([*row, i % 2] for i, row in enumerate(rows))
  folder = tmp_path_factory.getbasetemp()
  path = write(folder, written.getvalue(), f'cells.{suffix}')
  for place, name in enumerate(['first', 'last']):
    other = 'last' if name == 'first' else 'first'
    table = frame.read(path, labels='y', text=name, drop=other)
    assert table.features.text == tuple(row[place] for row in rows)
    assert y_of(table) == [[i % 2] for i in range(len(rows))]


def test_numbers_are_those_that_pandas_reads(tmp_path):
  rng = np.random.default_rng(0)
  made = pd.DataFrame(
    rng.standard_normal((300, 5)) * 10.0 ** rng.integers(-9, 9)
  )
  made = made.rename(columns=lambda i: f'f{i}')
  made[rng.random(made.shape) < 0.1] = nan
  made['n'] = rng.integers(-9, 9, 300)
  made['y'] = rng.random(300)
  path = tmp_path / 'a.csv'
  made.to_csv(path, index=False)
  table = frame.read(path, labels='y')
  expected = pd.read_csv(path).to_numpy(np.float32)
  np.testing.assert_array_equal(table.features.dense_NxD, expected[:, :-1])
  np.testing.assert_array_equal(y_of(table), expected[:, -1:])


VALID = [
  b'a,b,"c ""x""",y,z,t\n1,red,True,0,1,"hi, you\nthere"\n2.5,blue,False,0.5,,'
  b'x\n,red,,1,0,\n-3,NA,True,0,0,z\n',
  b'a,y\r\n1,p|q\r\n2,\r\n3,q\r\n',
  b'a,y\n1,3\n2,007\n3,5\n',
]
PIECES = [
  b',', b'"', b'\n', b'\r', b'""', b'1e999', b'NA', b'inf', b'9' * 30, b'\xff',
  b'9' * 400, b'9' * 5000, b'True', b'|', b';', b' ', b'\0', b'\t', b'-', b'*',
  b'\xef\xbb\xbf', b'\xe2\x80\xa8', b'0x1', b'1_0', b'[a]', b'#',
]  # fmt: skip
OPTIONS = [
  {'labels': 'y,z', 'text': 't'},
  {'labels': 'y'},
  {'labels': 'y|'},
  {'labels': 'y '},
  {'labels': 'z,y,b,a', 'drop': ['t']},
  {'labels': 'b'},
]


@settings(deadline=None, derandomize=True, max_examples=300)
@given(mutated(VALID, PIECES), st.sampled_from(OPTIONS))
def test_mutated_csv_is_read_or_refused(tmp_path_factory, data, options):
  path = write(tmp_path_factory.getbasetemp(), data, 'mutated.csv')
  table_or_refusal(frame.read, path, **options)


@settings(deadline=None, derandomize=True, max_examples=150)
@given(st.binary(), st.sampled_from(['csv', 'tsv.xz', 'csv.bz2', 'parquet']))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data, suffix):
  folder = tmp_path_factory.getbasetemp()
  path = write(folder, data, f'any.{suffix}')
  table_or_refusal(frame.read, path, labels='y')
  path = write(folder, b'x,y\n1,1\n' + data, 'any.csv')
  table_or_refusal(frame.read, path, labels='y')


def _parquet(**kwargs) -> bytes:
  made = pd.DataFrame(
    {
      'i': [1, 2],
      'b': [True, None],
      's': ['x', None],
      'c': pd.Categorical(['v', 'u'], ['v', 'w', 'u']),
      'y': [['a', 'b'], []],
    }
  )
  made.to_parquet(to := io.BytesIO(), **kwargs)
  return to.getvalue()


@settings(deadline=None, derandomize=True, max_examples=150)
@given(
  st.sampled_from([_parquet(), _parquet(compression=None)]),
  st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1),
  mutated([_parquet()], [b'\0', b'\xff' * 4, b'PAR1', b'{', b'"']),
)
def test_mutated_parquet_is_read_or_refused(
  tmp_path_factory, valid, changes, other
):
  folder = tmp_path_factory.getbasetemp()
  data = bytearray(valid)
  for place, byte in changes:
    data[place % len(data)] = byte
  for content in bytes(data), other:
    path = write(folder, content, 'mutated.parquet')
    table_or_refusal(frame.read, path, labels='y')
