"""Texts: TSV and JSON lines, typed, of other writers, and bad bytes."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from reading import (
  label_sets,
  mutated,
  refused,
  table_or_refusal,
  write,
  y_of,
)

from mlc.data.readers import text

pytestmark = pytest.mark.filterwarnings('error')

nan = np.nan

TSV = """text\tlabels
He said "yes\ta|b

\tb
 caf\u00e9 \u2028 , x\t
"quoted"\tb | c
"""
JSON = """{"text": "He said \\"yes", "labels": ["a", "b"], "id": 7}
{"labels": ["b"], "text": ""}

{"text": " caf\u00e9 \\u2028 , x", "labels": []}
{"text": "\\"quoted\\"", "labels": ["c", "b"]}
"""


@pytest.mark.parametrize('name', ['a', 'a.gz'])
@pytest.mark.parametrize(
  'content',
  [TSV, JSON, TSV.replace('\n', '\r\n'), '\ufeff' + TSV, '\ufeff' + JSON[:-1]],
)
def test_typed_texts_are_kept_as_they_are(tmp_path, content, name):
  table = text.read(write(tmp_path, content, name))
  assert table.features.text == (
    'He said "yes', '', ' caf\u00e9 \u2028 , x', '"quoted"',
  )  # fmt: skip
  assert table.features.names == () and table.splits == {}
  assert table.labels.names == ('a', 'b', 'c')
  assert y_of(table) == [[1, 1, 0], [0, 1, 0], [0, 0, 0], [0, 1, 1]]
  assert table.labels.kind == 'multi-label'


@pytest.mark.parametrize(
  'rows, y',
  [
    ([[0, 2], [], [2, 1]], [[1, 0, 1], [0, 0, 0], [0, 1, 1]]),
    ([[0], [1, 0]], [[1, 0], [1, 1]]),
    ([[0, 0], [1, 0], [0, 0]], [[0, 0], [1, 0], [0, 0]]),
    ([[0.0, 1.0], [1.0, 0.0]], [[0, 1], [1, 0]]),
    ([[True, False], [False, True]], [[1, 0], [0, 1]]),
    ([[0.25, None], [1, 0]], [[0.25, nan], [1, 0]]),
  ],
)
def test_json_numbers_are_ids_or_one_number_a_label(tmp_path, rows, y):
  lines = [json.dumps({'text': '', 'labels': row}) for row in rows]
  table = text.read(write(tmp_path, '\n'.join(lines)))
  np.testing.assert_array_equal(y_of(table), y)
  assert table.labels.names == tuple(f'y{i}' for i in range(len(y[0])))


def test_tsv_numbers_are_names_in_their_order(tmp_path):
  table = text.read(write(tmp_path, 'text\tlabels\na\t10,9\nb\t2\nc\t\n'))
  assert table.labels.names == ('2', '9', '10')
  assert y_of(table) == [[0, 1, 1], [1, 0, 0], [0, 0, 0]]


def test_one_name_in_every_line_is_multi_class(tmp_path):
  table = text.read(write(tmp_path, 'text\tlabels\na\tx\nb\ty\nc\tx\n'))
  assert table.labels.kind == 'multi-class'
  assert y_of(table) == [[1, 0], [0, 1], [1, 0]]


J = '{"text": "a", "labels": ["x"]}\n'


@pytest.mark.parametrize(
  'content, message',
  [
    ('', ': an empty file'),
    ('\n\n', ': the first line is of neither'),
    ('a\tx\nb\ty\n', ': the first line is of neither'),
    ('text\tlabel\na\tx\n', ': the first line is of neither'),
    ('text\tlabels\n', ': a header and no rows'),
    ('text\tlabels\na\tx\nb\n', ':3: 1 values for 2 columns'),
    ('text\tlabels\n\na\tb\tx\n', ':3: 3 values for 2 columns'),
    ('text\tlabels\na\tx|y\n\nb\ty,z\n', ':4: | and , could separate'),
    ('text\tlabels\na\tx;y\nb\ty;\n', ':3: an empty label'),
    ('text\tlabels\na\tx;y\nb\ty; y\n', ":3: label 'y' stands twice"),
    ('text\tlabels\na\tx\nb\ty z\n', ":3: 'y z' could be one label or"),
    ('text\tlabels\na\t["x"]\n', ":2: '[\"x\"]' is a list in brackets"),
    ('text\tlabels\na\t\n', ': 1 rows of 0 labels'),
    (b'text\tlabels\na\tx\ncaf\xe9\ty\n', ':3:4: not utf-8 text'),
    ('{"text": "a",\n "labels": []}\n', ':1:14: not JSON'),
    (J + '\n[1]\n', ':3: no text'),
    (J + '{"labels": ["x"]}\n', ':2: no text'),
    (J + '{"text": 1, "labels": ["x"]}\n', ':2: no text'),
    (J + '{"text": "a"}\n', ':2: no labels'),
    (J + '{"text": "a", "labels": "x"}\n', ':2: labels are no list'),
    (J + '{"text": "a", "labels": null}\n', ':2: labels are no list'),
    (J + '{"text": "a", "labels": [["x"]]}\n', ":2: label ['x']: write names"),
    (J + '{"text": "a", "labels": [1]}\n', ':2: label 1: write names'),
    (J + '{"text": "a", "labels": ["x", "x"]}\n', ":2: label 'x' stands twice"),
    (J + '{"text": "a", "labels": [""]}\n', ':2: an empty label'),
    (J + '{"text": "\\ud83d", "labels": ["x"]}\n', ':2: half a surrogate'),
    (J + '{"text": "a", "labels": ["\\udc00"]}\n', ':2: half a surrogate'),
    (J.replace('"x"', '2') + J.replace('"x"', '3, 3'), ':2: label 3 stands'),
    (J.replace('"x"', '2') + J.replace('"x"', '-1'), ':2: label id -1'),
    (J.replace('"x"', '2') + J.replace('"x"', '10000000'), ':2: label id 1000'),
    (J.replace('"x"', '9' * 999), ':1: label id of more than 12 digits'),
    (J.replace('"x"', '9' * 9999), ':1: a number too long'),
    (J.replace('"x"', '[' * 9999), ':1: a number too long or lists too deep'),
    (
      J.replace('"x"', '0, 1') + J.replace('"x"', '1, 0'),
      'a: could be a 0/1 matrix or lists of label ids: write true and false',
    ),
    (J.replace('"x"', '0.5') + J.replace('"x"', 'null'), ':2: every label is'),
    (J.replace('"x"', '0.5') + J.replace('"x"', '1.5'), "label 'y0' is 1.5"),
    (J.replace('"x"', '0.5') + J.replace('"x"', '1e999'), "'y0' is inf"),
  ],
)  # fmt: skip
def test_bad_text_is_refused_with_its_place(tmp_path, content, message):
  path = write(tmp_path, content)
  refused(message, text.read, path)


LINES = st.text(st.characters(exclude_categories=['Cs']), max_size=8)
NAMES = st.text(
  st.characters(exclude_categories=['Cs']), min_size=1, max_size=3
)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.lists(st.tuples(LINES, st.sets(NAMES)), min_size=1), st.booleans())
def test_what_json_writes_is_read_as_it_was(tmp_path_factory, rows, ascii):
  lines = [
    json.dumps({'text': words, 'labels': [*names]}, ensure_ascii=ascii)
    for words, names in rows
  ]
  path = write(tmp_path_factory.getbasetemp(), '\n'.join(lines), 'a.jsonl')
  if not any(names for _, names in rows):
    return refused('rows of 0 labels', text.read, path)
  table = text.read(path)
  assert table.features.text == tuple(words for words, _ in rows)
  assert label_sets(table) == [names for _, names in rows]
  assert list(table.labels.names) == sorted(set().union(*(n for _, n in rows)))


TSV_WORDS = st.text(
  st.characters(exclude_categories=['Cs'], exclude_characters='\0\t\r\n'),
  max_size=8,
)
TSV_NAMES = st.sets(st.text('ab 01\u00e9"', min_size=1).filter(str.strip))


@settings(deadline=None, derandomize=True, max_examples=100)
@given(
  st.lists(st.tuples(TSV_WORDS, TSV_NAMES), min_size=1),
  st.sampled_from(['|', ' ; ', ',']),
)
def test_texts_of_tsv_are_read_as_they_were(tmp_path_factory, rows, separator):
  rows = [(words, {n.strip() for n in names}) for words, names in rows]
  rows.append(('at last', {'a', 'b'}))  # So that a separator occurs.
  lines = [f'{words}\t{separator.join(names)}\n' for words, names in rows]
  path = write(
    tmp_path_factory.getbasetemp(), 'text\tlabels\n' + ''.join(lines), 'a.tsv'
  )
  table = text.read(path)
  assert table.features.text == tuple(words for words, _ in rows)
  assert label_sets(table) == [names for _, names in rows]


PIECES = [
  b'\n', b'\r', b'\t', b'"', b'|', b';', b',', b' ', b'\xff', b'\0', b'[', b'{',
  b'{"', b'"labels":', b'null', b'NaN', b'Infinity', b'true', b'-1', b'1e400',
  b'\\ud83d', b'\\u0000', b'[' * 3000, b'9' * 5000, b'""', b'1000000000000',
  b'\xef\xbb\xbf', b'\xe2\x80\xa8', b'2',
]  # fmt: skip
TEXTS = [TSV, JSON] + [
  f'{{"text": "a", "labels": [{first}]}}\n{{"labels": [{last}], "text": ""}}\n'
  for first, last in [('0, 2', '1'), ('0, 0.5', '1, null'), ('0, 1', '1, 1')]
]


@settings(deadline=None, derandomize=True, max_examples=400)
@given(st.one_of(st.binary(), mutated([t.encode() for t in TEXTS], PIECES)))
def test_any_text_is_read_or_refused(tmp_path_factory, data):
  path = write(tmp_path_factory.getbasetemp(), data, 'any.txt')
  table_or_refusal(text.read, path)
