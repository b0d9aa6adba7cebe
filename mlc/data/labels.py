"""Labels of N rows, and how the form they come in is told."""

import dataclasses
from typing import Self

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from mlc.data import checks
from mlc.errors import InputError

KINDS = ('multi-label', 'multi-class')
# An id beyond is taken for a mistake: it would make as many names.
MAX_LABELS = 10_000_000


@dataclasses.dataclass(frozen=True, eq=False)
class Labels:
  """Label sets of N rows, stored sparse: L may be 100,000.

  y_NxL: CSR of float32, in (0, 1]: soft labels lie between.
  missing_NxL: CSR of bool, True = not observed; y is 0 there.
  names: L distinct names.
  kind: 'multi-label', or 'multi-class': exactly one label on in every row.
  edges_Ex2: int32 (parent, child) pairs of a label hierarchy; E may be 0.
  """

  y_NxL: sparse.csr_array
  missing_NxL: sparse.csr_array
  names: tuple[str, ...]
  kind: str = 'multi-label'
  edges_Ex2: np.ndarray = dataclasses.field(
    default_factory=lambda: np.zeros((0, 2), np.int32)
  )

  @classmethod
  def of(
    cls, y_NxL, names=None, *, kind='multi-label', edges=(), where='labels'
  ) -> Self:
    """Checks and freezes a dense or sparse matrix of numbers, NaN = missing.

    Raises:
      InputError: no rows or labels, a number outside [0, 1], a name twice or
        too few, a row whose labels are all missing, a multi-class row without
        exactly one label, an edge between labels that are not there, a cycle.
    """
    stored = 0
    if sparse.issparse(y_NxL):
      stored = np.count_nonzero(y_NxL.tocoo().data)
    else:
      y_NxL = checks.numbers(y_NxL, where)
    num_rows, num_labels = y_NxL.shape
    if not num_rows or not num_labels:
      raise InputError(
        f'{where}: {num_rows} rows of {num_labels} labels: give at least one of'
        ' each'
      )
    y_NxL = checks.csr(y_NxL, where)
    if y_NxL.nnz < stored:
      raise InputError(f'{where}: a cell is given twice: give each cell once')
    names = checks.names(names, 'y', num_labels, f'{where}: label')
    bad = np.flatnonzero((y_NxL.data < 0) | (y_NxL.data > 1))
    if bad.size:
      row, label = _cell(y_NxL, bad[0])
      raise InputError(
        f'{where}: label {names[label]!r} is {y_NxL.data[bad[0]]:.4g} in row'
        f' {row} ({bad.size} such cells): give 0, 1 or a probability, NaN where'
        ' missing'
      )
    missing_NxL = sparse.csr_array(
      (np.isnan(y_NxL.data), y_NxL.indices.copy(), y_NxL.indptr.copy()),
      shape=y_NxL.shape,
    )
    missing_NxL.eliminate_zeros()
    blind = np.flatnonzero(np.diff(missing_NxL.indptr) == num_labels)
    if blind.size:
      raise InputError(
        f'{where}: row {blind[0]} has no observed label, one of {blind.size}'
        ' such rows: drop them (a row known to have no label is all 0, not NaN)'
      )
    y_NxL.data = np.nan_to_num(y_NxL.data)
    y_NxL.eliminate_zeros()
    if kind not in KINDS:
      raise InputError(f'{where}: kind {kind!r}: give one of {KINDS}')
    if kind == 'multi-class':
      one = (np.diff(y_NxL.indptr) == 1) & (np.asarray(y_NxL.sum(1)) == 1)
      if not one.all():
        raise InputError(
          f'{where}: row {one.argmin()} has not exactly one label, one of'
          f' {(~one).sum()} such rows: declare the data multi-label'
        )
    made = cls(y_NxL, missing_NxL, names, kind, _edges(edges, names, where))
    for array in made.arrays().values():
      array.setflags(write=False)
    return made

  @property
  def num_rows(self) -> int:
    """N."""
    return len(self.y_NxL.indptr) - 1

  def arrays(self) -> dict[str, np.ndarray]:
    """All numbers by name, for checksums and for files."""
    return {
      'y_data': self.y_NxL.data,
      'y_indices': self.y_NxL.indices,
      'y_indptr': self.y_NxL.indptr,
      'missing_indices': self.missing_NxL.indices,
      'missing_indptr': self.missing_NxL.indptr,
      'edges': self.edges_Ex2,
    }

  def rows(self, rows_B) -> tuple[np.ndarray, np.ndarray]:
    """(y_BxL, mask_BxL) of the given rows: dense float32, mask 1 = observed."""
    y_BxL = self.y_NxL[rows_B].toarray()
    if not self.missing_NxL.nnz:
      return y_BxL, np.ones_like(y_BxL)
    return y_BxL, 1 - self.missing_NxL[rows_B].toarray().astype(np.float32)


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
  kinds = KINDS[0] if kind is None else kind
  if sparse.issparse(y) or _is_matrix(y):
    return Labels.of(y, names, kind=kinds, edges=edges, where=where)
  try:
    rows = list(y)
  except TypeError:
    raise InputError(
      f'{where}: {type(y).__name__} is no table: give a matrix, or a list of'
      ' labels for each row'
    ) from None
  if rows and not any(np.iterable(r) and not isinstance(r, str) for r in rows):
    rows = [[row] for row in rows]
    kinds = kind or 'multi-class'
    ids = True
  else:
    ids = _are_ids(rows, where)
  matrix = _from_ids(rows, names, where) if ids else (y, names)
  return Labels.of(*matrix, kind=kinds, edges=edges, where=where)


def _is_matrix(y) -> bool:
  """Whether an array can only be a matrix of cells, by its type alone."""
  if not isinstance(y, np.ndarray) or y.ndim != 2:
    return False
  # Of three cells 0 or 1 two are equal, and no row names a label twice.
  binary = y.dtype.kind in 'iu' and y.shape[1] > 2 and y.size
  return y.dtype.kind in 'bf' or bool(binary and ((y == 0) | (y == 1)).all())


def _are_ids(rows, where: str) -> bool:
  """Whether rows hold label ids or names, and not one cell a label."""
  cells = []
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
  cells = [cell for row in rows for cell in row]
  lengths = [len(row) for row in rows]
  if any(isinstance(cell, str) for cell in cells):
    if not all(isinstance(cell, str) for cell in cells):
      row = next(
        i for i, r in enumerate(rows) if any(not isinstance(c, str) for c in r)
      )
      raise InputError(
        f'{where}: row {row} mixes names with other things, or lacks a label:'
        ' give names alone; an empty list where a row has none'
      )
    if set(cells) <= {'0', '1'} and len(set(lengths)) == 1 < lengths[0]:
      raise InputError(
        f"{where}: a matrix of the texts '0' and '1': make it numbers"
      )
    names = sorted(set(map(str, cells))) if names is None else list(names)
    index = {str(name): i for i, name in enumerate(names)}
    unknown = next((c for c in map(str, cells) if c not in index), None)
    if unknown is not None:
      raise InputError(
        f'{where}: label {unknown!r} is not among the {len(names)} label names:'
        ' add it there'
      )
    ids = np.array([index[str(cell)] for cell in cells], int)
  else:
    ids = np.array(cells or np.zeros(0, int))
    if ids.dtype.kind not in 'iu':
      raise InputError(f'{where}: labels are no ids: give integers or names')
    count = ids.max(initial=-1) + 1 if names is None else len(names)
    count = min(count, MAX_LABELS)
    outside = np.flatnonzero((ids < 0) | (ids >= count))
    if outside.size:
      row = np.repeat(np.arange(len(rows)), lengths)[outside[0]]
      raise InputError(
        f'{where}: row {row} has label id {ids[outside[0]]}: ids go from 0 to'
        f' {count - 1}'
      )
    names = [f'y{i}' for i in range(count)] if names is None else names
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


def _cell(matrix, position: int) -> tuple[int, int]:
  """(row, column) of a stored number."""
  row = int(np.searchsorted(matrix.indptr, position, 'right')) - 1
  return row, int(matrix.indices[position])


def _edges(edges, names, where: str) -> np.ndarray:
  """Checked (parent, child) pairs: in range, without cycles."""
  try:
    edges_Ex2 = np.asarray(edges).reshape(-1, 2)
  except ValueError:
    edges_Ex2 = np.zeros((1, 2))
  if not len(edges_Ex2):
    return edges_Ex2.astype(np.int32)
  if edges_Ex2.dtype.kind not in 'iu':
    raise InputError(f'{where}: edges: give (parent, child) pairs of label ids')
  if edges_Ex2.min() < 0 or edges_Ex2.max() >= len(names):
    raise InputError(
      f'{where}: an edge between labels {edges_Ex2.min()} and'
      f' {edges_Ex2.max()}: labels go from 0 to {len(names) - 1}'
    )
  graph = sparse.csr_array(
    (np.ones(len(edges_Ex2)), tuple(edges_Ex2.T)), shape=(len(names),) * 2
  )
  _, part_L = csgraph.connected_components(graph, connection='strong')
  round_L = np.bincount(part_L)[part_L] > 1
  round_L[edges_Ex2[edges_Ex2[:, 0] == edges_Ex2[:, 1], 0]] = True
  if round_L.any():
    raise InputError(
      f'{where}: the hierarchy goes in a circle through label'
      f' {names[round_L.argmax()]!r}: remove one of its edges'
    )
  return edges_Ex2.astype(np.int32)
