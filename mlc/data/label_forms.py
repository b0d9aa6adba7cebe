"""How the form that labels come in is told."""

import numpy as np
from scipy import sparse

from mlc.data.labels import Labels
from mlc.errors import InputError

# An id beyond is taken for a mistake: it would make as many names.
MAX_LABELS = 10_000_000


def detect(y, names=None, *, kind=None, edges=(), where='labels') -> Labels:
  """Tells what form labels have come in, and reads them.

  A matrix of numbers or bools, dense or sparse (0/1, soft, NaN = missing; a
  data frame brings its names); a list of lists or sets of label ids or of
  names; one id or name a row, which is multi-class data.

  Integers that could be both ids and a 0/1 matrix are refused: a matrix of
  bools or floats is never read as ids, nor a list of sets as a matrix.

  Args:
    y: the labels of N rows.
    names: L label names; without them, ids count from 0 to the largest, and
      names are sorted.
    kind: 'multi-class' to declare that exactly one label is on in every row.
    edges: (parent, child) pairs of a label hierarchy.
    where: what messages begin with.

  Raises:
    InputError: an ambiguous or unknown form, an id below 0 or that no name
      has, a name that `names` lacks, a row that names a label twice, and what
      `Labels.of` refuses.
  """
  if hasattr(y, 'columns'):
    names = list(y.columns) if names is None else names
    y = y.to_numpy()  # Its columns are the labels, so no cell is an id.
    y = y.astype(float) if y.dtype.kind in 'iu' else y
  elif hasattr(y, 'to_numpy'):
    y = y.to_numpy()
  options = {'kind': kind or 'multi-label', 'edges': edges, 'where': where}
  if sparse.issparse(y) or _is_matrix(y):
    return Labels.of(y, names, **options)
  try:
    rows = list(y)
  except TypeError:
    raise InputError(
      f'{where}: {type(y).__name__} is no table: give a matrix, or a list of'
      ' labels for each row'
    ) from None
  if rows and not any(np.iterable(r) and not isinstance(r, str) for r in rows):
    rows = [[row] for row in rows]
    options['kind'] = kind or 'multi-class'
  elif not _are_ids(rows, where):
    return Labels.of(y, names, **options)
  return Labels.of(*_from_ids(rows, names, where), **options)


def _is_matrix(y) -> bool:
  """Whether an array can only be a matrix of cells, by its type alone."""
  if not isinstance(y, np.ndarray) or y.ndim != 2:
    return False
  # Of three cells 0 or 1 two are equal, and no row names a label twice.
  binary = y.dtype.kind in 'iu' and y.shape[1] > 2 and y.size
  return y.dtype.kind in 'bf' or bool(binary and ((y == 0) | (y == 1)).all())


def _are_ids(rows, where: str) -> bool:
  """Whether rows hold label ids or names, and not one cell a label."""
  cells: list = []
  for i, row in enumerate(rows):
    if isinstance(row, str) or not np.iterable(row):
      raise InputError(
        f'{where}: row {i} is {row!r}: give a list of labels in every row'
      )
    row = row.tolist() if isinstance(row, np.ndarray) else list(row)
    if any(np.iterable(cell) and not isinstance(cell, str) for cell in row):
      raise InputError(
        f'{where}: row {i} holds lists in turn: give a matrix, or one list of'
        ' labels a row'
      )
    cells.extend(row)
  types = {type(c.item() if isinstance(c, np.generic) else c) for c in cells}
  if any(isinstance(row, set | frozenset) for row in rows) or str in types:
    return True
  if types & {bool, float, type(None)}:
    return False
  lengths = {len(row) for row in rows}
  binary = len(lengths) == 1 and lengths != {0} and set(cells) <= {0, 1}
  distinct = all(len(set(row)) == len(row) for row in rows)
  if binary and distinct:
    raise InputError(
      f'{where}: could be a 0/1 matrix or lists of label ids: give a matrix of'
      ' bools, np.array(y, bool), or a list of sets, [set(row) for row in y]'
    )
  return not binary


def _from_ids(rows, names, where: str):
  """Lists of ids or names -> (CSR matrix, names)."""
  lengths = [len(row) for row in rows]
  if any(isinstance(cell, str) for row in rows for cell in row):
    ids, names = _number_names(rows, names, where)
  else:
    ids, names = _check_ids(rows, names, where)
  row_of = np.repeat(np.arange(len(rows)), lengths)
  place = row_of * np.int64(max(len(names), 1)) + ids
  values, counts = np.unique(place, return_counts=True)
  if (counts > 1).any():
    row, label = divmod(int(values[counts > 1][0]), len(names))
    raise InputError(
      f'{where}: row {row} has label {names[label]!r} twice: give each once'
    )
  indptr = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
  matrix = sparse.csr_array(
    (np.ones(len(ids), np.float32), ids, indptr), shape=(len(rows), len(names))
  )
  return matrix, names


def _number_names(rows, names, where: str):
  """Lists of names -> (ids of all rows after one another, names)."""
  for i, row in enumerate(rows):
    if not all(isinstance(cell, str) for cell in row):
      raise InputError(
        f'{where}: row {i} mixes names with other things, or lacks a label:'
        ' give names alone; an empty list where a row has none'
      )
  cells = [str(cell) for row in rows for cell in row]
  widths = {len(row) for row in rows}
  if set(cells) <= {'0', '1'} and len(widths) == 1 and widths != {1}:
    raise InputError(
      f"{where}: a matrix of the texts '0' and '1': make it numbers"
    )
  names = sorted(set(cells)) if names is None else list(map(str, names))
  index = {name: i for i, name in enumerate(names)}
  unknown = next((cell for cell in cells if cell not in index), None)
  if unknown is not None:
    raise InputError(
      f'{where}: label {unknown!r} is not among the {len(names)} label names:'
      ' add it there'
    )
  return np.array([index[cell] for cell in cells], int), names


def _check_ids(rows, names, where: str):
  """Lists of ids -> (ids of all rows after one another, names)."""
  cells = [cell for row in rows for cell in row]
  ids = np.array(cells or np.zeros(0, int))
  if ids.dtype.kind not in 'iu':
    raise InputError(f'{where}: labels are no ids: give integers or names')
  count = ids.max(initial=-1) + 1 if names is None else len(names)
  count = min(count, MAX_LABELS)
  outside = np.flatnonzero((ids < 0) | (ids >= count))
  if outside.size:
    row = np.repeat(np.arange(len(rows)), list(map(len, rows)))[outside[0]]
    raise InputError(
      f'{where}: row {row} has label id {ids[outside[0]]}: ids go from 0 to'
      f' {count - 1}'
    )
  return ids, [f'y{i}' for i in range(count)] if names is None else names
