"""CSV, TSV and Parquet: one table whose columns are features and labels."""

import collections
from collections.abc import Sequence
import importlib.util
import pathlib
from typing import NamedTuple

from mlc.data.readers import csv_records
from mlc.data.readers.text import SEPARATORS
from mlc.data.table import Table
from mlc.errors import InputError, nearest

PARQUET = {'.parquet', '.pq'}


class Chosen(NamedTuple):
  """Column names by use.

  single: whether one label column is named, and not by a star.
  separator: what the caller says separates its labels.
  """

  features: list[str]
  labels: list[str]
  text: str | None
  single: bool
  separator: str | None


def read(path, labels=None, drop=(), text=None) -> Table:
  """Reads a table with a header: .csv, .tsv (also compressed) or .parquet.

  Features are all columns that are not named below:
    Numbers and bools: dense. Missing where the cell is empty or a word that R
      or pandas writes for it: NA, null, None, nan and their like.
    Words: categorical, the values sorted. Missing where the cell is empty; NA
      is a value, as it may be Namibia. A category of Parquet keeps its values.
    A column of both is taken for what most of its cells are: then a word among
      numbers is an error, and a number among words is a word.

  Labels are columns of numbers (0/1, bools, soft, missing), or ONE column whose
  cells hold the labels of their rows: text as in `a|b`, taken apart by
  `text.separated`, or lists in Parquet. One column of numbers from 0 to 1 is
  one label.

  An index that pandas has saved in Parquet is left out.

  Args:
    path: CSV is UTF-8 and quoted as RFC 4180 has it.
    labels: names, in a sequence or between commas; `topic_*` stands for all
      that begin so. One name with a separator behind it, 'tags|', 'tags;',
      'tags,' or 'tags ' (blanks), says what separates labels.
    drop: columns to leave out, said in the same way.
    text: the name of a column of raw text.

  Raises:
    InputError: no labels named; a column that is not there, stands twice or
      has no name; words among numbers, an infinite number, a label that is not
      from 0 to 1; a column of ids or text, or neither numbers nor words; no
      rows; pyarrow not installed; what `csv_records`, `text.separated` and
      `text.listed` refuse.
  """
  # Imports pandas, which is slow and of use here only.
  import pandas

  from mlc.data.readers import columns

  path = pathlib.Path(path)
  if path.suffix.lower() in PARQUET:
    frame = _parquet(path)
    chosen = _choose(path, list(frame.columns), labels, drop, text)

    def place(row: int) -> str:
      return f'{path}: row {row}'
  else:
    records = csv_records.Records(path)
    chosen = _choose(path, records.names, labels, drop, text)
    # Names and raw text that look like numbers are not to be read as such.
    texts = [] if chosen.text is None else [chosen.text]
    raw = texts + (chosen.labels if chosen.single else [])
    frame = pandas.read_csv(
      records,
      sep=records.delimiter,
      header=0,
      names=records.names,
      usecols=chosen.features + chosen.labels + texts,
      dtype=dict.fromkeys(raw, 'str'),
      keep_default_na=False,
      na_values=[''],
      low_memory=False,  # Else a column can have two types.
    )

    def place(row: int) -> str:
      return f'{path}:{records.lines[row]}'

  if not len(frame):
    raise InputError(f'{path}: a header and no rows: add rows')
  return Table(
    columns.features(frame, chosen.features, chosen.text, place, str(path)),
    columns.labels(
      frame, chosen.labels, chosen.single, chosen.separator, place, str(path)
    ),
  )


def _parquet(path):
  """The file as a data frame."""
  import pandas

  if not importlib.util.find_spec('pyarrow'):
    raise InputError(
      f'{path}: Parquet needs pyarrow, which is not installed: pip install'
      ' pyarrow'
    )
  try:
    with open(path, 'rb') as file:
      frame = pandas.read_parquet(file, engine='pyarrow')
  # A damaged file raises a dozen types, from Arrow, json, NumPy and pandas.
  except Exception as error:
    reason = ' '.join(str(error).split())[:100]
    raise InputError(
      f'{path}: not readable as Parquet ({reason}): check the path, or write it'
      ' again'
    ) from None
  frame.columns = frame.columns.map(str)
  return frame


def _choose(path, names, labels, drop, text) -> Chosen:
  """Which column is what."""
  if twice := _twice(names):
    raise InputError(f'{path}: column {twice[0]!r} stands twice: rename one')
  if broken := [name for name in names if len(f'{name}.'.splitlines()) > 1]:
    raise InputError(f'{path}: a line break in column {broken[0]!r}: rename it')
  dropped = _named(path, names, _words(names, drop))
  left = [name for name in names if name not in dropped]
  if labels is None:
    shown = ', '.join(left[:12]) + (', ...' if len(left) > 12 else '')
    raise InputError(
      f'{path}: which columns are labels? Say labels=a,b or labels=topic_* or'
      f' labels=tags, one column of a|b; there are: {shown}'
    )
  words = _words(left, labels)
  separator = None
  if len(words) == 1 and words[0] not in left:
    name, last = words[0][:-1], words[0][-1:]
    if name in left and last in SEPARATORS + ' ':
      words, separator = [name], last
  chosen = _named(path, left, words)
  others = [name for name in left if name not in chosen]
  if text is not None and text not in others:
    raise InputError(f'{path}: {nearest(text, others, "column")}')
  if not others:
    raise InputError(
      f'{path}: every column is a label: leave some for features'
    )
  if '' in left:
    raise InputError(
      f'{path}: a column has no name, as pandas writes an index: name it, or'
      " leave it out by drop=['']"
    )
  return Chosen(
    features=[name for name in others if name != text],
    labels=chosen,
    text=text,
    single=len(words) == 1 and words == chosen,
    separator=separator,
  )


def _words(names, wanted: str | Sequence[str]) -> list[str]:
  """The items of what a caller names columns by."""
  if not isinstance(wanted, str):
    return list(map(str, wanted))
  # A name may have a comma in it, or a separator behind it.
  whole = wanted in names or wanted[:-1] in names
  return [wanted] if whole else wanted.split(',')


def _named(path, names: list[str], words: list[str]) -> list[str]:
  """The columns of these names, or that begin as a word with a star does."""
  found = []
  for word in words:
    start = word[:-1] if word.endswith('*') else None
    matches = [n for n in names if start is not None and n.startswith(start)]
    matches = [word] if word in names else matches
    if not matches:
      raise InputError(f'{path}: {nearest(word, names, "column")}')
    found += matches
  if twice := _twice(found):
    raise InputError(
      f'{path}: column {twice[0]!r} is named twice: name it once'
    )
  return found


def _twice(names: list[str]) -> list[str]:
  return [n for n, count in collections.Counter(names).items() if count > 1]
