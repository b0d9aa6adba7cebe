"""ARFF of Mulan and MEKA: against typed files, written ones, and liac-arff."""

import bz2
import pathlib
import re
import subprocess
import sys

import arff as liac
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from reading import mutated, table_or_refusal, write

from mlc.data.readers import arff, mulan
from mlc.data.table import concatenate
from mlc.errors import InputError

nan = np.nan

TYPED = r"""% labels stand first, in the middle and last
@RELATION typed

@attribute 'Swainson\'s Thrush' {0,1}
@ATTRIBUTE	width	Real
@attribute colour {red, 'dark green', "light, \"blue\""}
  @Attribute rain{0,1}
@attribute crow numeric
@attribute m\'usica {0,1}
@attribute size integer
@attribute flag {1,0}
@attribute musica {0,1}
@Data
1, 2.5, 'dark green', 0, 0, 1, 7, 1, 0
% between rows
 0,	-1 ,red,0,1,0,-8, 0 , 1

0,3e2,"light, \"blue\"",?,0.25,?,?,?,0
1,?,?,'1',?,1,+1,1,1
"""
# Nested, in another order, and a name escaped as in Mulan's delicious.
XML = r"""<?xml version="1.0" encoding="utf-8"?>
<labels xmlns="http://mulan.sourceforge.net/labels">
<label name="rain"><label name="Swainson\'s Thrush">
  <label name="musica"></label></label></label>
<label name="crow"/>
</labels>
"""
SPARSE = """@relation 'Sparse: -C 2'
@attribute a {0,1}
@attribute b {1,0}
@attribute width numeric
@attribute colour {red,green,blue}
@attribute flag {1,0}
@attribute rain {0,1}
@data

{1 0, 3 blue, 2 -2.5}
{}
{0 1,5 1,3 ?}
{ 5 ? , 4 0,0 ?, 2 ? }
"""


def _write(folder, text, xml=None):
  if xml is not None:
    write(folder, xml, 'a.xml')
  return write(folder, text, 'a.arff')


def _refused(message, function, *args, **kwargs):
  """Bad input raises InputError, on one line that matches `message`."""
  with pytest.raises(InputError, match=message) as caught:
    function(*args, **kwargs)
  assert '\n' not in str(caught.value)


def _y(table):
  """Labels as one matrix with NaN where missing."""
  missing_NxL = table.labels.missing_NxL.toarray()
  return np.where(missing_NxL, nan, table.labels.y_NxL.toarray())


@pytest.mark.parametrize('eol', ['\n', '\r\n'])
def test_dense_rows_and_labels_wherever_they_stand(tmp_path, eol):
  made = arff.read(_write(tmp_path, TYPED.replace('\n', eol), XML))
  features, labels, splits = made
  assert features.dense_names == ('width', "m'usica", 'size', 'flag')
  np.testing.assert_array_equal(
    features.dense_NxD,
    [[2.5, 1, 7, 1], [-1, 0, -8, 0], [300, nan, nan, nan], [nan, 1, 1, 1]],
  )
  assert features.categorical_names == ('colour',)
  assert features.values == (('red', 'dark green', 'light, "blue"'),)
  assert features.categorical_NxC.tolist() == [[1], [0], [2], [-1]]
  # In the order of the columns, not of the XML.
  assert labels.names == ("Swainson's Thrush", 'rain', 'crow', 'musica')
  np.testing.assert_array_equal(
    _y(made),
    [[1, 0, 0, 0], [0, 0, 1, 1], [0, nan, 0.25, 0], [1, 1, nan, 1]],
  )
  assert labels.edges_Ex2.tolist() == [[1, 0], [0, 3]] and splits == {}


def test_an_omitted_cell_is_0_or_the_first_value(tmp_path):
  made = arff.read(_write(tmp_path, SPARSE))
  assert made.labels.names == ('a', 'b')
  np.testing.assert_array_equal(_y(made), [[0, 0], [0, 1], [1, 1], [nan, 1]])
  features = made.features
  assert features.sparse_names == ('width', 'flag', 'rain')
  np.testing.assert_array_equal(
    features.sparse_NxS.toarray(),
    [[-2.5, 1, 0], [0, 1, 0], [0, 1, 1], [nan, 0, nan]],
  )
  assert features.sparse_NxS.nnz == 7
  assert features.values == (('red', 'green', 'blue'),)
  assert features.categorical_NxC.tolist() == [[2], [0], [-1], [0]]


def test_a_zero_that_is_written_out_is_not_stored(tmp_path):
  path = _write(tmp_path, PLAIN.replace('0,0,1,1', '{0 0,1 0,2 1}'))
  made = arff.read(path, 'a')
  assert made.features.sparse_NxS.toarray().tolist() == [[0, 1, 0]]
  assert made.features.sparse_NxS.nnz == 1 and made.labels.y_NxL.nnz == 0


ODD_NAMES = st.text('ab01 ,\'"\\%{}?\t\né/@', min_size=1, max_size=5).filter(
  lambda name: name != '?'
)
# Kinds of columns: the values of nominal ones, None for numbers.
KINDS = st.one_of(
  st.none(),
  st.permutations(['0', '1']),
  st.sampled_from([['0'], ['1']]),
  st.lists(ODD_NAMES, min_size=2, max_size=4, unique=True),
)


def _quoted(draw, text):
  if text.isalnum() and draw(st.booleans()):
    return text
  quote = draw(st.sampled_from('\'"'))
  for plain, escape in (
    ('\\', '\\\\'), (quote, '\\' + quote), ('\n', '\\n'), ('\t', '\\t'),
  ):  # fmt: skip
    text = text.replace(plain, escape)
  return quote + text + quote


@st.composite
def written(draw):
  """(text, names, kinds, cells: None, a number, or one of the values)."""
  kinds = [['0', '1'], *draw(st.lists(KINDS, max_size=4)), None]
  names = draw(
    st.lists(ODD_NAMES, min_size=len(kinds), max_size=len(kinds), unique=True)
  )
  numbers = st.sampled_from([0.0, 1.0, -2.5, 1e-3, 7e20])
  cells = [st.sampled_from(kind) if kind else numbers for kind in kinds]
  # A row without any observed label is refused.
  cells = cells[:1] + [st.none() | cell for cell in cells[1:]]
  rows = draw(st.lists(st.tuples(*cells), min_size=1, max_size=4))
  space = st.sampled_from(['', ' ', '\t', '  '])
  lines = ['@relation r']
  for name, kind in zip(names, kinds, strict=True):
    values = ','.join(
      draw(space) + _quoted(draw, v) + draw(space) for v in kind or []
    )
    type_ = (
      f'{{{values}}}' if kind else draw(st.sampled_from(['real', 'INTEGER']))
    )
    lines.append(f'@attribute {_quoted(draw, name)} {draw(space)}{type_}')
  lines.append('@DATA ')
  is_sparse = draw(st.booleans())
  for row in rows:
    cells = []
    for i, (cell, kind) in enumerate(zip(row, kinds, strict=True)):
      if is_sparse and cell == (kind[0] if kind else 0) and draw(st.booleans()):
        continue
      text = (
        '?' if cell is None else _quoted(draw, cell) if kind else repr(cell)
      )
      prefix = f'{i} ' if is_sparse else ''
      cells.append(draw(space) + prefix + text + draw(space))
    cells = draw(st.permutations(cells)) if is_sparse else cells
    line = ','.join(cells)
    lines.append(f'{{{line}}}' if is_sparse else line)
    lines += draw(st.sampled_from([[], ['% no row'], ['']]))
  eol = draw(st.sampled_from(['\n', '\r\n']))
  return eol.join(lines), names, kinds, rows


@settings(deadline=None, derandomize=True, max_examples=150)
@given(written())
def test_what_is_written_is_read(tmp_path_factory, example):
  text, names, kinds, rows = example
  path = tmp_path_factory.mktemp('arff') / 'a.arff'
  path.write_bytes(text.encode())
  made = arff.read(path, 'first:1')
  assert made.labels.names == (names[0],)
  assert _y(made)[:, 0].tolist() == [float(row[0]) for row in rows]
  features, number, nominal = made.features, 0, 0
  x_NxD = np.hstack([features.dense_NxD, features.sparse_NxS.toarray()])
  for i, (name, kind) in [*enumerate(zip(names, kinds, strict=True))][1:]:
    cells = [row[i] for row in rows]
    if kind and not set(kind) <= {'0', '1'}:
      assert features.values[nominal] == tuple(kind)
      assert features.categorical_names[nominal] == name
      assert features.categorical_NxC[:, nominal].tolist() == [
        -1 if cell is None else kind.index(cell) for cell in cells
      ]
      nominal += 1
    else:
      assert (features.dense_names + features.sparse_names)[number] == name
      expected = [nan if cell is None else float(cell) for cell in cells]
      np.testing.assert_array_equal(x_NxD[:, number], np.float32(expected))
      number += 1
  assert number == x_NxD.shape[1] and nominal == len(features.values)


PLAIN = """@relation r
@attribute a {0,1}
@attribute b {0,1}
@attribute c {0,1}
@attribute d {0,1}
@data
0,0,1,1
"""


def _plain(folder, relation='r'):
  return _write(folder, PLAIN.replace('relation r', f'relation {relation}'))


@pytest.mark.parametrize(
  'labels, names',
  [
    ('first:1', 'a'), ('first:3', 'abc'), ('last:2', 'cd'), (' last:1 ', 'd'),
    ('c, a', 'ac'), ('c', 'c'), (['d', 'b'], 'bd'), ({'a'}, 'a'),
  ],
)  # fmt: skip
def test_a_caller_says_which_are_labels(tmp_path, labels, names):
  # What the file itself says, and an XML beside it, are overruled.
  path = _plain(tmp_path, "'r: -C 2'")
  (tmp_path / 'a.xml').write_text('<labels><label name="b"/></labels>')
  made = arff.read(path, labels)
  assert made.labels.names == tuple(names)
  assert set(made.features.names) == set('abcd') - set(names)


@pytest.mark.parametrize('kind', [str, pathlib.Path])
def test_a_caller_gives_an_xml(tmp_path, kind):
  path = _plain(tmp_path, "'r: -C 2'")
  xml = tmp_path / 'other.xml'
  xml.write_text('<labels><label name="d"/><label name="b"/></labels>')
  assert arff.read(path, kind(xml)).labels.names == ('b', 'd')


@pytest.mark.parametrize(
  'relation, names',
  [
    ("'r: -C 3'", 'abc'), ('"r: -C -3"', 'bcd'), ("'r:-C 1 -split 9'", 'a'),
    ("'r: -I 0 -C\t-1'", 'd'), ('r: -C 2', 'ab'),
    # Instance filters leave columns alone, and so do those before the option.
    ("'r: -C 2-weka.filters.unsupervised.instance.Resample-S1'", 'ab'),
    ("'r-weka.filters.unsupervised.attribute.Remove-R1: -C 2'", 'ab'),
  ],
)  # fmt: skip
def test_meka_says_which_are_labels(tmp_path, relation, names):
  made = arff.read(_plain(tmp_path, relation))
  assert made.labels.names == tuple(names)


MEDICAL = (
  "'MEDC: -C 2 -I 0-weka.filters.unsupervised.attribute.Remove-R1-2_MEDC: -C 2"
  "-weka.filters.unsupervised.instance.RemovePercentage-P66'"
)


@pytest.mark.parametrize(
  'relation, message',
  [
    ('r', 'a.arff: no XML beside it and no -C'),
    ('r-C 2', 'no XML beside it and no -C'),
    ("'r: -c 2'", 'no XML beside it and no -C'),
    ("'r: -C 5'", 'labels=first:5 of 4 attributes: give 1 to 4'),
    ("'r: -C -5'", 'labels=last:5 of 4 attributes: give 1 to 4'),
    ("'r: -C 0'", 'labels=first:0 of 4 attributes'),
    ("'r: -C 4'", 'no columns'),
    (MEDICAL, 'filters after -C 2 .* may have moved the labels: give labels='),
  ],
)
def test_without_a_word_on_labels_a_file_is_refused(
  tmp_path, relation, message
):
  _refused(message, arff.read, _plain(tmp_path, relation))


@pytest.mark.parametrize(
  'name',
  [
    'a.arff', 'a-train.arff', 'a-train-sparse.arff', 'a_test.ARFF',
    'a.arff.bz2', 'a-test.arff.bz2', 'a_Train-sparse.arff',
  ],
)  # fmt: skip
def test_an_xml_beside_the_file_goes_before_meka(tmp_path, name):
  text = PLAIN.replace('relation r', f'relation {MEDICAL}').encode()
  (tmp_path / name).write_bytes(
    bz2.compress(text) if name.endswith('bz2') else text
  )
  (tmp_path / 'a.xml').write_text('<labels><label name="d"/></labels>')
  assert arff.read(tmp_path / name).labels.names == ('d',)


@pytest.mark.parametrize(
  'name',
  ['a_testing.arff', 'a-trained.arff', 'a-train-b.arff', 'a_test_test.arff'],
)
def test_an_xml_of_another_set_is_left_alone(tmp_path, name):
  (tmp_path / 'a.xml').write_text('<labels><label name="d"/></labels>')
  path = write(tmp_path, PLAIN, name)
  _refused('no XML beside it', arff.read, path)
  assert arff.read(path, 'b').labels.names == ('b',)


@pytest.mark.parametrize(
  'labels, message',
  [
    ('first:5', 'a.arff: labels=first:5 of 4 attributes: give 1 to 4'),
    ('last:0', 'labels=last:0 of 4'),
    ('a,e', "a.arff: unknown label 'e'"),
    (['a,b'], "unknown label 'a,b'"),
    ('', "unknown label ''"),
    ('b,b', "label name 'b' stands twice"),
    ((), '0 labels'),
    ('gone.xml', 'gone.xml: no such file'),
  ],
)
def test_labels_that_are_not_there_are_refused(tmp_path, labels, message):
  _refused(message, arff.read, _plain(tmp_path), labels)


def test_attributes_are_dropped_by_name(tmp_path):
  text = PLAIN.replace('b {0,1}', 'b string').replace('0,0,', "0,'any text',")
  path = _write(tmp_path, text)
  for drop in ['b', 'd'], ('d', 'b'), 'b,d', ' d , b ', iter('bd'):
    assert arff.read(path, 'a', drop=drop).features.names == ('c',)
  assert arff.read(path, 'a', 'b').features.names == ('c', 'd')
  _refused('a.arff:3: .*b.* is of type string', arff.read, path, 'a')
  _refused("unknown attribute to drop 'e'", arff.read, path, 'a', ['e'])
  _refused("'a' is a label", arff.read, path, 'a', ['a', 'b'])
  _refused("unknown attribute to drop 'bd'", arff.read, path, 'a', 'bd')
  _refused('no columns', arff.read, path, 'a', ['b', 'c', 'd'])


def test_a_name_with_a_comma_in_it_is_one_name(tmp_path):
  text = PLAIN.replace('b {0,1}', "'c,d' string").replace('0,0,', '0,text,')
  made = arff.read(_write(tmp_path, text), 'a', drop='c,d')
  assert made.features.names == ('c', 'd')


@pytest.mark.parametrize(
  'old, new, message',
  [
    ('@Data', '', "14: \"1, 2.5, 'dark green', 0, 0, 1, 7, 1, 0\" before @da"),
    ('@Data', '@Data 1', "13: '@Data 1' before @data"),
    ('@RELATION', '#RELATION', "2: '#RELATION typed' before @data"),
    ('Real', 'reel', "5:18: 'width' is of unknown type 'reel'"),
    ('\tReal', '', "5:17: 'width' is of unknown type ''"),
    ('width', '"width', '5:12: no name, or a quote that is not closed'),
    ('size', 'width', "10: attribute 'width' stands in line 5 too"),
    ('size', r"'m\'usica'", '10: attribute "m\'usica" stands in line 9 too'),
    ("green', \"", 'green, "', '6:25: a quote is opened and not closed'),
    ('{1,0}', '{1,0', "11:21: the values of 'flag' end without }"),
    ('{1,0}', '{', "11:18: the values of 'flag' end without }"),
    ('{1,0}', '{1,0,1}', "11:17: 'flag' has the value '1' twice"),
    ('{1,0}', '{1,,0}', "11:17: 'flag' has an empty value"),
    ('{1,0}', '{}', "11:17: 'flag' has an empty value"),
    ('{1,0}', '{1,0,?}', "11:17: 'flag' has an empty value or ? "),
    ('{1,0}', '{1,}0}', '11:20: unexpected }'),
    ('2.5, ', '', '14:33: 8 values for 9 attributes'),
    ('2.5', '2.5, 2', '14:41: 10 values for 9 attributes'),
    ('-8, 0 , 1', '-8, 0 , 1,', '16:29: 10 values for 9 attributes'),
    ('-8', '', "16:19: '' in 'size' is no number that float32 holds"),
    ('2.5', 'wide', "14:4: 'wide' in 'width' is no number that float32"),
    ('2.5', 'nan', "14:4: 'nan' in 'width' is no number that float32"),
    ('2.5', '-inf', "14:4: '-inf' in 'width' is no number that float32"),
    ('2.5', '1e39', "14:4: '1e39' in 'width' is no number that float32"),
    ('2.5', '2_5', "14:4: '2_5' in 'width' is no number that float32"),
    ('red,0', 'pink,0', "16:9: 'colour' has no value 'pink'"),
    ('?,0.25', '2,0.25', "18:25: 'rain' has no value '2'"),
    ('0.25', 'yes', "18:27: 'yes' in 'crow' is no number that float32"),
    ('0.25', '1.25', "18: label 'crow' is 1.25, one of 1 such cells"),
    ('0.25', '-1', "18: label 'crow' is -1, one of 1 such cells"),
    ("?,'1',?", "?,'1,?", '19:7: a quote is opened and not closed'),
    ("?,'1',?", "?,'1'1,?", '19:10: text after a quoted value'),
    ('0 , 1', '0 , 1, {5}', '16:30: unexpected {: quote the value, drop an'),
    ('red,0', '{red},0', '16:9: unexpected {'),
    ('% between rows', '{0 1}', '15: sparse and dense rows in one file'),
    ('rain{0,1}', 'rain{0,1,2}', "7: label 'rain' is nominal: write"),
    ('numeric', 'string', "8: label 'crow' is string: write"),
    ('integer', 'date "yyyy"', "10: attribute 'size' is of type date"),
  ],
)  # fmt: skip
def test_a_dense_file_that_is_wrong_is_refused(tmp_path, old, new, message):
  assert TYPED.count(old) == 1
  path = _write(tmp_path, TYPED.replace(old, new), XML)
  _refused(re.escape(f'{path}:{message}'), arff.read, path)


@pytest.mark.parametrize(
  'old, new, message',
  [
    ('2 -2.5}', '2 -2.5', ':10:21: a sparse row ends without }'),
    ('{0 1,5 1,3 ?}', '{0 1,5 1', ':12:9: a sparse row ends without }'),
    ('{}', '{}, {5}', ':11:2: not a column number and a value'),
    ('{}', '{2 1}, {5}', ':11:5: unexpected }: quote the value, drop an inst'),
    ('{}', '{2 1,}', ':11:6: not a column number and a value'),
    ('{}', '{2}', ':11:2: not a column number and a value'),
    ('{}', '{2 1 3 1}', ":11:4: '1 3 1' in 'width' is no number"),
    ('{}', '{2 1 3}', ":11:4: '1 3' in 'width' is no number"),
    ('{}', '{-1 1}', ':11:2: not a column number and a value'),
    ('{}', '{6 1}', ':11:4: column 6: columns go from 0 to 5'),
    ('{}', '{2 1,4294967296 1}', ':11:6: not a column number'),
    ('{}', '{2 x}', ":11:4: 'x' in 'width' is no number"),
    ('{}', '{3 pink}', ":11:4: 'colour' has no value 'pink'"),
    ("{}", "{3 'red}", ':11:4: a quote is opened and not closed'),
    ('{}', '{2 1,4 0,2 1}', ':11: column 2 stands twice in the row'),
    ('{}', '{2 0,2 0}', ':11: column 2 stands twice in the row'),
    ('{0 1,5 1,3 ?}', '0,0,0,red,0,0', ':12: sparse and dense rows in one'),
    (SPARSE[SPARSE.index('{1 0, 3') :], '', ': no rows after @data'),
    (SPARSE[SPARSE.index('@data') :], '', ': no @data: an ARFF file cut'),
    (SPARSE[: SPARSE.index('@data')], '', ':1: no @attribute before @data'),
    (SPARSE, '', ': an empty file'),
    (SPARSE, '\x00', ':1: not text'),
    (SPARSE, '% \udcff', ':1:3: not utf-8 text'),
  ],
)  # fmt: skip
def test_a_sparse_file_that_is_wrong_is_refused(tmp_path, old, new, message):
  assert SPARSE.count(old) == 1
  path = tmp_path / 'a.arff'
  path.write_bytes(SPARSE.replace(old, new).encode(errors='surrogateescape'))
  _refused(re.escape(f'{path}{message}'), arff.read, path)


def test_quotes_and_odd_column_numbers_are_read_in_sparse_rows(tmp_path):
  text = SPARSE.replace('{}', """{ 03 "blue", 2 '-1e1' ,1	'0' }""")
  made = arff.read(_write(tmp_path, text))
  assert _y(made)[1].tolist() == [0, 0]
  assert made.features.categorical_NxC[1].tolist() == [2]
  assert made.features.sparse_NxS.toarray()[1].tolist() == [-10, 1, 0]


BOMB = '<!DOCTYPE a [<!ENTITY x "y">]><labels><label name="&x;"/></labels>'


@pytest.mark.parametrize(
  'xml, message',
  [
    ('', r'a.xml:1:1: not XML \(no element found\)'),
    ('<labels>\n <label', r'a.xml:2:2: not XML \(unclosed token\)'),
    ('<labels/>', 'a.xml: no <label'),
    ('<labels><label/></labels>', 'a.xml: a <label> without a name'),
    ('<labels><label name="a"/><label name="a"/></labels>',
     "a.xml: label 'a' stands twice"),
    ('<labels><label name="a"/><label name="x"/></labels>',
     "a.xml: label 'x' is no attribute of .*a.arff"),
    (BOMB, r'a.xml: refused \(DTDForbidden.*remove DTD'),
    ('<!DOCTYPE a><labels><label name="a"/></labels>', 'refused .DTDForbidden'),
    ('<?xml version="1.0" encoding="none"?><a/>', 'refused .unknown encoding'),
    ('<?xml version="1.0" encoding="gb2312"?><a/>', 'refused .multi-byte'),
  ],
)  # fmt: skip
def test_an_xml_that_is_wrong_is_refused(tmp_path, xml, message):
  _refused(message, arff.read, _write(tmp_path, PLAIN, xml))


def test_files_that_are_not_there_are_refused(tmp_path):
  _refused('b.arff: no such file', arff.read, tmp_path / 'b.arff')
  _refused('b.xml: no such file', mulan.read, tmp_path / 'b.xml')
  _refused('not readable .Is a directory', arff.read, tmp_path)
  _refused('not readable .Is a directory', mulan.read, tmp_path)


def test_names_in_an_xml_are_taken_as_they_stand_or_unescaped(tmp_path):
  text = PLAIN.replace('@attribute b', r"@attribute 'b\\c'")
  text = text.replace('@attribute d', r"@attribute 'd\'e'")
  names = r"""<label name="b\c"/><label name="d\'e"/>"""
  made = arff.read(_write(tmp_path, text, f'<labels>{names}</labels>'))
  assert made.labels.names == (r'b\c', "d'e")


def test_labels_of_an_xml_are_nested_at_any_depth(tmp_path):
  depth = 20_000
  opened = ''.join(f'<label name="n{i}">' for i in range(depth))
  path = tmp_path / 'a.xml'
  path.write_text(f'<labels>{opened}{"</label>" * depth}</labels>')
  names, edges = mulan.read(path)
  assert names == [f'n{i}' for i in range(depth)]
  assert edges == [*zip(names[:-1], names[1:], strict=True)]


TREE = """@relation tree
@attribute x numeric
@attribute class hierarchical 1,1/1,1/2,2
@data
0.5,1/1@2
?,1/2
"""
GRAPH = """@relation graph
@attribute x numeric
@attribute class hierarchical root/a,root/b,a/c,b/c
@data
{0 0.5,1 c}
{1 a@b}
"""
PIECES = [
  *(bytes([byte]) for byte in b"{}'\"\\,?%\n\r\t @/01\0\xff"), b'', b'\r\n',
  b'@data\n', b'@attribute ', b' numeric', b'@attribute q {0,1}\n', b' string',
  b' hierarchical', b'{1,0}', b'1e400', b'nan', b'-1', b'9' * 20, b'9' * 5000,
  b', {5}', b'{1 2}', b'-C 2', b'-C -1', b'root', 'é\u2028'.encode(),
  b'<!DOCTYPE', b'&x;', b'<label name="a">',
]  # fmt: skip
FLAT = '<labels><label name="a"/><label name="b"/></labels>'
OTHERS = [text.encode() for text in (SPARSE, PLAIN, TREE, GRAPH)]


def _table_or_refusal(folder, data, xml):
  write(folder, xml, 'a.xml')
  table_or_refusal(arff.read, write(folder, data, 'a.arff'))


@settings(deadline=None, derandomize=True, max_examples=1000)
@given(
  st.tuples(mutated([TYPED.encode()], PIECES), st.just(XML))
  | st.tuples(mutated(OTHERS, PIECES), st.just(FLAT))
)
def test_a_mutated_file_is_read_or_refused(tmp_path_factory, files):
  _table_or_refusal(tmp_path_factory.getbasetemp(), *files)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(mutated([XML.encode(), FLAT.encode()], PIECES))
def test_a_mutated_xml_is_read_or_refused(tmp_path_factory, xml):
  folder = tmp_path_factory.getbasetemp()
  _table_or_refusal(folder, TYPED.encode(), xml)
  _table_or_refusal(folder, PLAIN.encode(), xml)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.binary())
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
  folder = tmp_path_factory.getbasetemp()
  head = PLAIN[: PLAIN.index('0,0')].encode()
  for content in data, head + data:
    _table_or_refusal(folder, content, FLAT.encode())
  _table_or_refusal(folder, PLAIN.encode(), data)


# From the table of the data's README: rows of train and test, columns, labels,
# cardinality, density.
FACTS = {
  'birds': (322, 323, 260, 19, 1.014, 0.0534),
  'bibtex': (4880, 2515, 1836, 159, 2.4019, 0.0151),
  'cal500': (502, 0, 68, 174, 26.0438, 0.1497),
  'corel5k': (4500, 500, 499, 374, 3.522, 0.0094),
  'delicious': (12920, 3185, 500, 983, 19.02, 0.0193),
  'emotions': (391, 202, 72, 6, 1.8685, 0.3114),
  'enron': (1123, 579, 1001, 53, 3.3784, 0.0637),
  'flags': (129, 65, 19, 7, 3.3918, 0.4845),
  'foodtruck': (407, 0, 21, 12, 2.2899, 0.1908),
  'genbase': (463, 199, 1186, 27, 1.2523, 0.0464),
  'medical': (333, 645, 1449, 45, 1.2454, 0.0277),
  'scene': (1211, 1196, 294, 6, 1.074, 0.179),
  'yeast': (1500, 917, 103, 14, 4.2371, 0.3026),
}


def _facts(table):
  labels = table.labels
  assert not labels.missing_NxL.nnz and not table.features.num_missing
  assert set(labels.y_NxL.data.tolist()) == {1}
  return (
    len(table.features.names), len(labels.names),
    pytest.approx(labels.y_NxL.sum() / labels.num_rows, abs=6e-5),
    pytest.approx(labels.y_NxL.mean(), abs=6e-5),
  )  # fmt: skip


def _mulan(folder, name):
  return sorted(
    (folder / 'mulan' / name).glob('*.arff'),
    key=lambda path: 'test' in path.name,
  )


@pytest.mark.parametrize('name', FACTS)
def test_mulan_sets_have_the_published_numbers(mlc_data, name):
  paths = _mulan(mlc_data, name)
  # Without `labels`: each XML is found beside the file.
  tables = {str(i): arff.read(path) for i, path in enumerate(paths)}
  num_train, num_test, *facts = FACTS[name]
  rows = [table.labels.num_rows for table in tables.values()]
  assert rows == [n for n in (num_train, num_test) if n]
  assert tuple(facts) == _facts(concatenate(tables, name))


@pytest.mark.parametrize('name', FACTS)
def test_mulan_train_files_agree_with_liac_arff(mlc_data, name):
  path = _mulan(mlc_data, name)[0]
  made, text = arff.read(path), path.read_text()
  is_sparse = text[text.index('@data') + 5 :].lstrip().startswith('{')
  other = liac.loads(text, return_type=liac.LOD if is_sparse else liac.DENSE)
  # It keeps the escapes of bare names.
  names = [name.replace('\\', '') for name, _ in other['attributes']]
  kinds = dict(
    zip(names, (kind for _, kind in other['attributes']), strict=True)
  )
  cells = np.zeros((len(other['data']), len(names)), object)
  for i, row in enumerate(other['data']):
    for j, cell in row.items() if is_sparse else enumerate(row):
      cells[i, j] = cell
  column = dict(zip(names, cells.T, strict=True))
  assert len(column) == len(names)
  y_NxL = np.stack([column[n] for n in made.labels.names], 1).astype(float)
  np.testing.assert_array_equal(_y(made), y_NxL)
  assert list(made.labels.names) == [n for n in names if n in made.labels.names]
  features = made.features
  numbers = features.dense_names + features.sparse_names
  x_NxD = np.hstack([features.dense_NxD, features.sparse_NxS.toarray()])
  for name, x_N in zip(numbers, x_NxD.T, strict=True):
    np.testing.assert_array_equal(x_N, column[name].astype(np.float32))
  for i, name in enumerate(features.categorical_names):
    assert features.values[i] == tuple(kinds[name])
    found = [
      features.values[i][code] for code in features.categorical_NxC[:, i]
    ]
    assert found == column[name].tolist()
  assert {*made.labels.names, *features.names} == set(names)


def test_delicious_has_an_escaped_label(mlc_data):
  made = arff.read(mlc_data / 'mulan/delicious/delicious-test.arff')
  assert {"TAG_m'usica", 'TAG_musica', 'TAG_dise~no', 'TAG_dise?o'} <= set(
    made.labels.names
  )


def test_genbase_without_its_identifier(mlc_data):
  path = mlc_data / 'mulan/genbase/genbase-test.arff'
  features = arff.read(path, drop=('protein',)).features
  assert 'protein' not in features.names and len(features.names) == 1185
  assert set(features.values) == {('YES', 'NO')}


@pytest.mark.parametrize(
  'name, labels, facts',
  [
    ('CHD_49', 'first:6', (49, 6, 2.58, 0.43)),
    ('Water-quality', 'first:14', (16, 14, 5.07, 0.36)),
  ],
)
def test_labels_first_without_a_word(mlc_data, name, labels, facts):
  path = mlc_data / f'dacaf/{name}.arff'
  _refused('give labels=first:6', arff.read, path)
  made = arff.read(path, labels)
  num_features, num_labels, cardinality, density = facts
  y_NxL = made.labels.y_NxL
  assert made.features.dense_NxD.shape[1] == num_features
  assert y_NxL.shape[1] == num_labels
  assert y_NxL.sum(1).mean() == pytest.approx(cardinality, abs=6e-3)
  assert y_NxL.mean() == pytest.approx(density, abs=6e-3)


IMDB = """
import pathlib, re, resource, sys
from mlc.data.readers import arff
made = arff.read(sys.argv[1])
y_NxL, x_NxS = made.labels.y_NxL, made.features.sparse_NxS
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
# That is never less than what the parent held when it forked.
status = pathlib.Path('/proc/self/status')
if status.exists():
  peak = int(re.search(r'VmHWM:\\s+([0-9]+)', status.read_text())[1])
print(*y_NxL.shape, x_NxS.shape[1], y_NxL.nnz, x_NxS.nnz, peak * 1024)
"""


def test_imdb_is_read_in_less_than_a_gibibyte(mlc_data):
  path = mlc_data / 'meka/Imdb.arff.bz2'
  out = subprocess.check_output([sys.executable, '-c', IMDB, str(path)])
  *shape, on, stored, peak = map(int, out.split())
  assert shape == [120_919, 28, 1001]
  assert on / 120_919 == pytest.approx(1.9997, abs=6e-5)
  body = bz2.decompress(path.read_bytes()).split(b'@data')[1]
  assert on + stored == body.count(b' ')
  assert peak < 2**30
