"""Columns of a data frame as features and labels, by what their cells are."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas

from mlc.data.features import Features
from mlc.data.labels import Labels
from mlc.data.readers.text import listed, separated
from mlc.errors import InputError

# What pandas takes for a missing number (its STR_NA_VALUES, but for '').
MISSING = frozenset([
  '#N/A', '#N/A N/A', '#NA', '-1.#IND', '-1.#QNAN', '-NaN', '-nan', '1.#IND',
  '1.#QNAN', '<NA>', 'N/A', 'NA', 'NULL', 'NaN', 'None', 'n/a', 'nan', 'null',
])  # fmt: skip
# What pandas takes for bools.
BOOLS = {'True': 1, 'TRUE': 1, 'true': 1, 'False': 0, 'FALSE': 0, 'false': 0}
# What pandas calls columns of numbers and bools; 'empty' is all missing.
NUMBERS = {'boolean', 'integer', 'floating', 'decimal', 'empty'}


def features(
  frame,
  names: Sequence[str],
  text: str | None,
  place: Callable[[int], str],
  where: str,
) -> Features:
  """Features of a data frame: see `frame.read`.

  names: their columns; text: that of raw text.
  place: of row i, for messages; where: the file.
  """
  dense, categories, values = {}, {}, []
  for name in names:
    column = frame[name]
    if isinstance(column.dtype, pandas.CategoricalDtype):
      codes, words = column.cat.codes, column.cat.categories
    else:
      number_N, word_N = _numbers(column, where)
      if word_N.sum() <= (~np.isnan(number_N)).sum():
        dense[name] = _finite(column, number_N, word_N, place)
        continue
      codes, words = pandas.factorize(column, sort=True)
    used = len(np.unique(codes[codes >= 0]))
    if used > max(10, len(frame) / 2):
      raise InputError(
        f'{where}: column {name!r} has {used} values in {len(frame)} rows: if'
        f' an id, leave it out by drop={name}; if text, say text={name}'
      )
    categories[name] = codes
    values.append(words)
  return Features.of(
    dense=np.stack([*dense.values()], 1) if dense else None,
    dense_names=dense,
    categorical=np.stack([*categories.values()], 1) if categories else None,
    categorical_names=categories,
    values=values,
    text=() if text is None else _strings(frame[text], where),
    where=where,
  )


def labels(
  frame,
  names: Sequence[str],
  single: bool,
  separator: str | None,
  place: Callable[[int], str],
  where: str,
) -> Labels:
  """Labels of a data frame: see `frame.read`.

  names: their columns.
  single: whether it may be one column of label sets.
  separator: what the caller says separates the labels in it.
  place: of row i, for messages; where: the file.
  """
  columns = []
  for name in names:
    column = frame[name]
    if single and any(isinstance(c, np.ndarray) for c in column):
      rows = [c.tolist() if isinstance(c, np.ndarray) else [] for c in column]
      return listed(rows, place, where)
    if isinstance(column.dtype, pandas.CategoricalDtype):
      column = column.astype(object)
    number_N, word_N = _numbers(column, where)
    bad_N = word_N | (number_N < 0) | (number_N > 1)
    if single and (separator or bad_N.any()):
      return separated(
        _strings(column, where),
        place,
        where,
        f'put what separates behind the name, as in {name + "|"!r}',
        separator,
      )
    if bad_N.any():
      row = int(bad_N.argmax())
      raise InputError(
        f'{place(row)}: label {name!r} is {_cell(column, row)}: write 0, 1 or a'
        ' probability, nothing where missing'
      )
    columns.append(number_N)
  y_NxL = np.stack(columns, 1)
  blind_N = np.isnan(y_NxL).all(1)
  if blind_N.any():
    raise InputError(
      f'{place(int(blind_N.argmax()))}: no observed label, one of'
      f' {blind_N.sum()} such rows: write 0 where a label is off, or drop them'
    )
  return Labels.of(y_NxL, names, where=where)


def _numbers(column, where: str) -> tuple[np.ndarray, np.ndarray]:
  """(N,) float64, NaN where missing or a word; and where there is a word."""
  kind = pandas.api.types.infer_dtype(column, skipna=True)
  if kind not in NUMBERS | {'string'}:
    raise InputError(
      f'{where}: column {column.name!r} is of type {kind}: make it numbers or'
      ' words, or leave it out by drop='
    )
  if kind != 'string' and column.dtype != object:
    number_N = column.to_numpy(float, na_value=np.nan)
    return number_N, np.zeros(len(column), bool)
  # Objects are bools with gaps, decimals, and integers that no float holds.
  codes, words = pandas.factorize(column.astype('str'))
  number_U = np.asarray(pandas.to_numeric(words, errors='coerce'), float)
  bool_U = np.array([BOOLS.get(word, np.nan) for word in words], float)
  number_U = np.where(np.isnan(bool_U), number_U, bool_U)
  known_U = np.array([word in MISSING for word in words], bool)
  word_U = np.isnan(number_U) & ~known_U
  # The entry behind the last stands for code -1, an empty cell.
  return np.append(number_U, np.nan)[codes], np.append(word_U, False)[codes]


def _finite(column, number_N, word_N, place) -> np.ndarray:
  """The numbers; raises for the first word, or what float32 cannot hold."""
  with np.errstate(over='ignore'):  # Infinite from here on, and reported.
    bad_N = word_N | np.isinf(number_N.astype(np.float32))
  if bad_N.any():
    row = int(bad_N.argmax())
    raise InputError(
      f'{place(row)}: {_cell(column, row)} in {column.name!r}, a column of'
      ' finite numbers up to 3e38: mend it, or leave it empty where missing'
    )
  return number_N


def _strings(column, where: str) -> list[str]:
  """The cells of a column of words, '' where empty."""
  kind = pandas.api.types.infer_dtype(column, skipna=True)
  if kind not in {'string', 'empty'}:
    raise InputError(
      f'{where}: column {column.name!r} is of type {kind}: write text, or'
      ' labels as text or lists'
    )
  return [cell if isinstance(cell, str) else '' for cell in column]


def _cell(column, row: int) -> str:
  """One cell for a message."""
  return f'{str(column.iloc[row])[:40]!r}'
