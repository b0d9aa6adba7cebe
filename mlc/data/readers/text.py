"""Raw text with label sets, TSV or JSON lines, and labels written as text."""

from collections.abc import Callable, Sequence
import json

from mlc.data.features import Features
from mlc.data.label_forms import MAX_LABELS, detect
from mlc.data.labels import Labels
from mlc.data.readers import files
from mlc.data.table import Table
from mlc.errors import InputError

COLUMNS = ['text', 'labels']
SEPARATORS = '|;,'


def read(path) -> Table:
  r"""Reads N texts, kept as they are, and their labels. Blank lines are none.

  The first line tells the format:
    `text<TAB>labels`: TSV with this header, then one text a line and behind the
      tab its labels as `separated` takes them apart. Quotes are characters
      like any other, so no text has a tab or a line break.
    `{...`: JSON lines, {"text": "...", "labels": [...]}, of the forms that
      `listed` reads; other keys are ignored.

  Raises:
    InputError: another first line, a line without text or labels, and what
      `files.lines`, `separated` and `listed` refuse.
  """
  lines = [(i, line) for i, line in enumerate(files.lines(path), 1) if line]
  first = lines[0][1] if lines else ''
  is_tsv = first.split('\t') == COLUMNS
  if not is_tsv and not first.lstrip().startswith('{'):
    raise InputError(
      f'{path}: the first line is of neither TSV nor JSON lines: begin with the'
      ' header text<TAB>labels, or write {"text": "...", "labels": [...]}'
    )
  rows = lines[1:] if is_tsv else lines
  if not rows:
    raise InputError(f'{path}: a header and no rows: add texts and labels')

  def place(row: int) -> str:
    return f'{path}:{rows[row][0]}'

  parse = _tsv if is_tsv else _json
  pairs = [parse(f'{path}:{number}', line) for number, line in rows]
  texts, given = zip(*pairs, strict=True)
  if is_tsv:
    remedy = 'write JSON lines, which leave no doubt'
    labels = separated(given, place, str(path), remedy)
  else:
    labels = listed(given, place, str(path))
  return Table(Features.of(text=texts, where=str(path)), labels)


def fields(place: str, line: str, columns: Sequence[str]) -> list[str]:
  """The cells of one line of TSV, as many as there are columns."""
  cells = line.split('\t')
  if len(cells) != len(columns):
    raise InputError(
      f'{place}: {len(cells)} values for {len(columns)} columns: write'
      f' {"<TAB>".join(columns)}, without tabs in them'
    )
  return cells


def separated(
  cells: Sequence[str],
  place: Callable[[int], str],
  where: str,
  remedy: str,
  separator: str | None = None,
) -> Labels:
  """Labels of N cells such as `a|b`, where blank means none.

  Whichever of | ; , occurs in the cells separates labels. Where none does, a
  cell is one label, and if no cell is blank the data are multi-class. Labels
  are names; those that all consist of digits are put in the order of numbers.

  Args:
    cells: N strings.
    place: of row i, for messages.
    where: the file, for messages.
    remedy: how to say the separator where it is in doubt.
    separator: what separates, said instead of detected; ' ' is any blank space.

  Raises:
    InputError: several of | ; , occur; none does, but blank space; lists in
      brackets; an empty label between separators, and what `listed` refuses.
  """
  kind = None
  if separator is None:
    separator = _separator(cells, place, remedy)
    if separator is None and all(map(str.strip, cells)):
      kind = 'multi-class'
  rows = [_split(cell, separator) for cell in cells]
  names = {name for row in rows for name in row}
  if all(name.isascii() and name.isdecimal() for name in names):
    order = sorted(names, key=lambda n: (len(n.lstrip('0')), n.lstrip('0'), n))
  else:
    order = sorted(names)
  return listed(rows, place, where, names=order, kind=kind)


def listed(
  rows: Sequence[list],
  place: Callable[[int], str],
  where: str,
  names: Sequence[str] | None = None,
  kind: str | None = None,
) -> Labels:
  """`label_forms.detect` of N lists, with the place of what is wrong in one.

  Args:
    rows: N lists of names, of ids from 0, or of L numbers (0/1, soft, None =
      missing).
    place: of row i, for messages.
    where: the file, for messages.
    names: L label names in order, where rows hold names.
    kind: as in `label_forms.detect`.

  Raises:
    InputError: no list, a label that is none of these, names beside numbers,
      an id below 0 or of `MAX_LABELS` and more, a label twice in a row, a row
      of missing labels only, integers that could be both ids and a 0/1 matrix,
      and what `label_forms.detect` refuses.
  """
  types = set()
  largest = 0
  for i, row in enumerate(rows):
    if not isinstance(row, list):
      raise InputError(f'{place(i)}: labels are no list: write ["a", "b"]')
    for label in row:
      types.add(type(label))
      if not isinstance(label, str | int | float | None) or (
        str in types and len(types) > 1
      ):
        raise InputError(
          f'{place(i)}: label {_short(label)}: write names, or numbers, in'
          ' every row'
        )
      if isinstance(label, str):
        if not label:
          raise InputError(f'{place(i)}: an empty label: remove it')
        check_unicode(label, place(i))
      elif isinstance(label, int):
        largest = max(largest, label)
        if not 0 <= label < MAX_LABELS:
          raise InputError(
            f'{place(i)}: label id {_short(label)}: number labels from 0 to'
            f' {MAX_LABELS - 1} at most, or write names'
          )
    if row and all(label is None for label in row):
      raise InputError(
        f'{place(i)}: every label is missing: drop the row, or write 0 where'
        ' none is on'
      )
  binary = types == {int} and largest < 2 and len({*map(len, rows)}) == 1
  if binary and all(len(set(row)) == len(row) for row in rows):
    raise InputError(
      f'{where}: could be a 0/1 matrix or lists of label ids: write true and'
      ' false, or names'
    )
  # Zeros and ones may be one cell a label: those stand twice.
  if types == {str} or (types == {int} and largest > 1):
    for i, row in enumerate(rows):
      if len(set(row)) < len(row):
        twice = next(label for label in row if row.count(label) > 1)
        raise InputError(
          f'{place(i)}: label {_short(twice)} stands twice: give each once'
        )
  return detect(rows, names, kind=kind, where=where)


def check_unicode(text: str, place: str) -> None:
  r"""InputError for half a surrogate pair, which JSON can write as \ud83d."""
  try:
    text.encode()
  except UnicodeEncodeError as error:
    raise InputError(
      f'{place}: half a surrogate pair {ascii(text[error.start])}: write the'
      ' character itself'
    ) from None


def _tsv(place: str, line: str) -> list[str]:
  """Text and labels of one line of TSV."""
  return fields(place, line, COLUMNS)


def _json(place: str, line: str) -> tuple[str, list]:
  """Text and labels of one line of JSON."""
  try:
    row = json.loads(line)
  except json.JSONDecodeError as error:
    raise InputError(
      f'{place}:{error.colno}: not JSON ({error.msg}): mend the line'
    ) from None
  # Thousands of digits, thousands of brackets.
  except (ValueError, RecursionError):
    raise InputError(
      f'{place}: a number too long or lists too deep: mend the line'
    ) from None
  if not isinstance(row, dict) or not isinstance(row.get('text'), str):
    raise InputError(
      f'{place}: no text: write {{"text": "...", "labels": [...]}}'
    )
  if 'labels' not in row:
    raise InputError(f'{place}: no labels: write "labels": [] where none is on')
  check_unicode(row['text'], place)
  return row['text'], row['labels']


def _split(cell: str, separator: str | None) -> list[str]:
  cell = cell.strip()
  if separator is None or not cell:
    return [cell] if cell else []
  if separator == ' ':
    return cell.split()
  return [part.strip() for part in cell.split(separator)]


def _separator(cells, place, remedy) -> str | None:
  """The one of | ; , that occurs; None where a cell is one label."""
  first = {}
  for i, cell in enumerate(cells):
    for character in SEPARATORS:
      if character in cell:
        first.setdefault(character, i)
    if len(first) > 1:
      raise InputError(
        f'{place(i)}: {" and ".join(first)} could separate labels: {remedy}'
      )
    bare = cell.strip()
    if bare[:1] == '[' and bare[-1:] == ']':
      raise InputError(
        f'{place(i)}: {_short(bare)} is a list in brackets: write a|b'
      )
  for i, cell in enumerate(cells):
    if not first and len(cell.split()) > 1:
      raise InputError(
        f'{place(i)}: {_short(cell)} could be one label or several: {remedy}'
      )
  return next(iter(first), None)


def _short(value) -> str:
  """At most 40 characters of a value, in one line."""
  # Not repr of an int: it fails beyond 4300 digits.
  if isinstance(value, int) and abs(value) > 10**12:
    return 'of more than 12 digits'
  shown = repr(value)
  return shown if len(shown) <= 40 else shown[:37] + '...'
