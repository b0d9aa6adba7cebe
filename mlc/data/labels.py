"""Label sets of N rows, stored sparse."""

import dataclasses
from typing import Self

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from mlc.data import checks
from mlc.errors import InputError

KINDS = ('multi-label', 'multi-class')


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
