"""The text of an ARFF file -> Relation.

The format: Weka's manual, "Attribute-Relation File Format", with sparse rows,
and the `hierarchical` type of CLUS. As Mulan's files do, bare names may have
escaped quotes in them.
"""

import array
import collections
from collections.abc import Callable, Iterator
import math
import re
from typing import NoReturn

import numpy as np
from scipy import sparse

from mlc.data.readers import files
from mlc.data.readers.relation import Attribute, Relation
from mlc.errors import InputError

KINDS = {
  'numeric': 'numeric',
  'real': 'numeric',
  'integer': 'numeric',
  'string': 'string',
  'date': 'date',
  'hierarchical': 'hierarchical',
}
_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_ATTRIBUTE = re.compile(
  rf"""\s*\S+\s+({_QUOTED}|(?!['"])(?:[^\s{{\\]|\\.)+)\s*"""
)
_CELL = re.compile(rf"""\s*+({_QUOTED}|(?!['"])(?:[^,{{}}\\]|\\.?)*)\s*+""")
_INDEX = re.compile(r'\s*+([0-9]{1,9})\s++')
_ODD = re.compile(r"""['"\\{}]""")
_FLOAT32_MAX = float(np.finfo(np.float32).max)

Codes = dict[str, float]  # What a cell's text stands for.
Fail = Callable[[int, str], NoReturn]


def parse(path) -> Relation:
  """Reads an ARFF file, dense or sparse, plain or compressed.

  Raises:
    InputError: with its line, and column where it helps: a header that is not
      ARFF's, rows of both kinds, too few or too many values, a column twice or
      that is not there, a cell that is no number or value of its attribute, a
      quote or brace that is not closed, an instance weight. No @data, no rows,
      what `files.lines` refuses.
  """
  path = str(path)
  lines = enumerate(files.lines(path), 1)
  name, attributes = _header(path, lines)
  codes = [_codes(attribute) for attribute in attributes]
  codes_NxA, lines_N = _rows(path, lines, codes, attributes)
  texts = {
    column: [text for text in table if text != '?']
    for column, table in enumerate(codes)
    if isinstance(table, _Texts)
  }
  return Relation(path, name, attributes, codes_NxA, lines_N, texts)


def unescape(text: str) -> str:
  r"""ARFF writes `Swainson\'s Thrush`, sometimes an XML does too."""
  control = {'n': '\n', 'r': '\r', 't': '\t'}
  return re.sub(r'\\(.)', lambda match: control.get(match[1], match[1]), text)


def _unquote(text: str) -> str:
  return unescape(text[1:-1] if text[:1] in ('"', "'") else text.strip())


def _failure(path: str, number: int) -> Fail:
  """What raises for a place (from 0) in a line."""

  def fail(place: int, what: str) -> NoReturn:
    raise InputError(f'{path}:{number}:{place + 1}: {what}')

  return fail


def _header(path, lines) -> tuple[str, list[Attribute]]:
  """(name of the relation, attributes); leaves `lines` after @data."""
  name, attributes = '', []
  for number, line in lines:
    text = line.strip()
    if not text or text.startswith('%'):
      continue
    keyword, *rest = text.split(None, 1)
    match keyword.lower():
      case '@relation':
        name = unescape(' '.join(rest).strip('\'"'))
      case '@attribute':
        attributes.append(_attribute(path, number, line))
      case '@data' if not rest:
        if not attributes:
          raise InputError(
            f'{path}:{number}: no @attribute before @data: add one'
          )
        return name, attributes
      case _:
        raise InputError(
          f'{path}:{number}: {text[:40]!r} before @data: write @relation,'
          ' @attribute or @data (is this an ARFF file?)'
        )
  raise InputError(f'{path}: no @data: an ARFF file cut short? get it again')


def _attribute(path: str, number: int, line: str) -> Attribute:
  fail = _failure(path, number)
  match = _ATTRIBUTE.match(line)
  if not match:
    place = len(line) - len(line.split(None, 1)[-1])
    fail(place, 'no name, or a quote that is not closed: mend the line')
  name = _unquote(match[1])
  start, stop = match.end(), len(line.rstrip())
  if line[start : start + 1] == '{':
    if line[stop - 1] != '}':
      fail(stop, f'the values of {name!r} end without }}: close the brace')
    values = _values(line, start + 1, stop - 1, fail)
    value, times = collections.Counter(values).most_common(1)[0]
    if times > 1:
      fail(start, f'{name!r} has the value {value!r} twice: remove one')
    if '' in values or '?' in values:
      fail(start, f'{name!r} has an empty value or ? (missing): remove it')
    return Attribute(name, 'nominal', values, number)
  word = line[start:stop].split(None, 1)[0] if start < stop else ''
  if word.lower() not in KINDS:
    fail(
      start,
      f'{name!r} is of unknown type {word[:40]!r}: write numeric,'
      ' {0,1} or another list of values in braces',
    )
  kind = KINDS[word.lower()]
  values = ()
  if kind == 'hierarchical':
    values = _values(line, start + len(word), stop, fail)
  return Attribute(name, kind, values, number)


def _values(line: str, start: int, stop: int, fail: Fail) -> tuple[str, ...]:
  if not _ODD.search(line, start, stop):  # Thousands of them: the fast path.
    return tuple(map(str.strip, line[start:stop].split(',')))
  return tuple(text for _, _, text in _cells(line, start, stop, fail))


def _cells(
  line: str, start: int, stop: int, fail: Fail, indexed: bool = False
) -> Iterator[tuple[int, int, str]]:
  """(place, column, text) of the comma-separated cells in line[start:stop].

  `indexed` ones, of a sparse row, are a column and a value each.
  """
  column = 0
  while True:
    if indexed:
      match = _INDEX.match(line, start, stop)
      if not match:
        fail(start, 'not a column number and a value: write as in {3 1,8 2.5}')
      column, start = int(match[1]), match.end()
    match = _CELL.match(line, start, stop)
    if not match:
      place = stop - len(line[start:stop].lstrip())
      fail(place, 'a quote is opened and not closed: close it, or escape it')
    yield match.start(1), column, _unquote(match[1])
    start = match.end()
    if start >= stop:
      return
    if line[start] in '{}':
      fail(
        start,
        f'unexpected {line[start]}: quote the value, drop an instance weight',
      )
    if line[start] != ',':
      fail(start, 'text after a quoted value: escape the quotes in it')
    column, start = column + 1, start + 1


class _Numbers(dict[str, float]):
  """Number by text, for any text: finite and within float32, or ValueError."""

  def __missing__(self, text: str) -> float:
    value = float(text)
    if not abs(value) <= _FLOAT32_MAX or '_' in text:
      raise ValueError(text)
    return value


class _Texts(dict[str, float]):
  """Position by text in the order of first appearance."""

  def __missing__(self, text: str) -> float:
    self[text] = code = len(self) - 1.0  # Less the `?`.
    return code


def _codes(attribute: Attribute) -> Codes:
  missing = {'?': math.nan}
  if attribute.kind == 'numeric':
    return _Numbers(missing)
  if attribute.kind == 'nominal':
    return {v: float(i) for i, v in enumerate(attribute.values)} | missing
  return _Texts(missing | {'': 0.0})  # What a sparse row leaves out.


def _rows(path, lines, codes, attributes):
  """(codes_NxA, lines_N) of a `Relation`."""
  column_of = {str(column): column for column in range(len(codes))}
  is_sparse, row_lines = False, array.array('i')
  values, columns = array.array('d'), array.array('i')
  ends = array.array('q', [0])
  for number, line in lines:
    row = line.strip()
    if not row or row[0] == '%':
      continue
    if not row_lines:
      is_sparse = row[0] == '{'
    elif is_sparse != (row[0] == '{'):
      raise InputError(
        f'{path}:{number}: sparse and dense rows in one file: write all alike'
      )
    try:
      in_row, of_row = _plain(row, is_sparse, codes, column_of)
    except (KeyError, ValueError):
      in_row, of_row = _careful(path, number, line, codes, attributes)
    columns.extend(in_row)
    values.extend(of_row)
    ends.append(len(values))
    row_lines.append(number)
  if not row_lines:
    raise InputError(f'{path}: no rows after @data: an ARFF file cut short?')
  lines_N = np.array(row_lines)
  if not is_sparse:
    return np.array(values).reshape(len(lines_N), len(codes)), lines_N
  codes_NxA = sparse.csr_array(
    (np.array(values), np.array(columns), np.array(ends)),
    shape=(len(lines_N), len(codes)),
  )
  codes_NxA.sort_indices()
  if not codes_NxA.has_canonical_format:
    row_Z = np.repeat(np.arange(len(lines_N)), np.diff(ends))
    twice = (np.diff(codes_NxA.indices) == 0) & (np.diff(row_Z) == 0)
    first = int(twice.argmax())
    line, column = lines_N[row_Z[first]], codes_NxA.indices[first]
    raise InputError(
      f'{path}:{line}: column {column} stands twice in the row: give it once'
    )
  return codes_NxA, lines_N


def _plain(row: str, is_sparse: bool, codes: list[Codes], column_of):
  """(columns if sparse, codes) of a row; KeyError, ValueError if not plain."""
  if _ODD.search(row, is_sparse, len(row) - is_sparse):
    raise ValueError(row)
  if not is_sparse:
    cells = zip(codes, row.split(','), strict=True)
    return (), [table[cell.strip()] for table, cell in cells]
  if row[-1] != '}':
    raise ValueError(row)
  pairs = [cell.split() for cell in row[1:-1].split(',')]
  columns = [column_of[column] for column, _ in pairs]
  cells = zip(columns, pairs, strict=True)
  return columns, [codes[column][text] for column, (_, text) in cells]


def _careful(path, number, line: str, codes: list[Codes], attributes):
  """The same of a row with quotes, escapes or empty; or what is wrong."""
  fail = _failure(path, number)
  start, stop = len(line) - len(line.lstrip()), len(line.rstrip())
  is_sparse = line[start] == '{'
  if is_sparse and line[stop - 1] != '}':
    fail(stop, 'a sparse row ends without }: close the brace')
  if is_sparse and not line[start + 1 : stop - 1].strip():
    return [], []
  cells = list(
    _cells(line, start + is_sparse, stop - is_sparse, fail, is_sparse)
  )
  if not is_sparse and len(cells) != len(codes):
    fail(
      cells[min(len(cells) - 1, len(codes))][0],
      f'{len(cells)} values for {len(codes)} attributes: mend the row',
    )
  of_row = []
  for place, column, text in cells:
    if column >= len(codes):
      fail(place, f'column {column}: columns go from 0 to {len(codes) - 1}')
    try:
      of_row.append(codes[column][text])
    except (KeyError, ValueError):
      name, kind, *_ = attributes[column]
      what = f'{text[:40]!r} in {name!r} is no number that float32 holds'
      if kind == 'nominal':
        what = f'{name!r} has no value {text[:40]!r}'
      fail(place, f'{what}: mend it, or write ? where missing')
  return [column for _, column, _ in cells], of_row
