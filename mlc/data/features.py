"""Features of N rows: dense, sparse and categorical columns, raw text."""

import dataclasses
import functools
from typing import Any, Self

import numpy as np
from scipy import sparse

from mlc.data import checks
from mlc.errors import InputError


# Arrays have no single truth value, so equality is identity: eq=False.
@dataclasses.dataclass(frozen=True, eq=False)
class Inputs:
  """x of a batch with other than dense columns: what an encoder opens.

  A pytree (mlc/inputs.py registers it): all arrays share the leading axis B.

  dense: float32 (B, D).
  ids, values: int32 and float32 (B, Z): the columns of a sparse row that are
    not 0, padded with column 0 at value 0.
  categorical: int32 (B, C): the number of each attribute's value, -1 = missing.
  num_sparse, num_values: how many sparse columns, and values per attribute.
  """

  dense: np.ndarray
  ids: np.ndarray
  values: np.ndarray
  categorical: np.ndarray
  num_sparse: int
  num_values: tuple[int, ...]

  @property
  def width(self) -> int:
    """Columns when all are written out, categorical ones one-hot."""
    return self.dense.shape[-1] + self.num_sparse + sum(self.num_values)


@dataclasses.dataclass(frozen=True, eq=False)
class Features:
  """Columns of N rows by kind; a kind may have no columns.

  dense_NxD: float32, NaN where missing.
  sparse_NxS: CSR of float32, never made dense as a whole; NaN where missing.
  categorical_NxC: int32, the number of the value, -1 where missing.
  dense_names, sparse_names, categorical_names: distinct over all kinds.
  values: the value names of each categorical column.
  text: N strings, or none at all.
  """

  dense_NxD: np.ndarray
  sparse_NxS: sparse.csr_array
  categorical_NxC: np.ndarray
  dense_names: tuple[str, ...] = ()
  sparse_names: tuple[str, ...] = ()
  categorical_names: tuple[str, ...] = ()
  values: tuple[tuple[str, ...], ...] = ()
  text: tuple[str, ...] = ()

  @classmethod
  def of(
    cls,
    *,
    dense=None,
    dense_names=None,
    sparse_columns=None,
    sparse_names=None,
    categorical=None,
    categorical_names=None,
    values=(),
    text=(),
    where='features',
  ) -> Self:
    """Checks and freezes columns; those of a kind not given are none.

    Names default to x0, x1, ... through all kinds.

    Raises:
      InputError: kinds of different length, no column and no text, not a
        matrix, an infinite number, an id that no value has, a name twice or
        too few of them.
    """
    text = tuple(map(str, text))
    dense = None if dense is None else checks.numbers(dense, where)
    if sparse_columns is not None:
      sparse_columns = checks.csr(sparse_columns, where)
    if categorical is not None:
      categorical = checks.ids(categorical, where)
    lengths = {
      part.shape[0]
      for part in (dense, sparse_columns, categorical)
      if part is not None
    } | ({len(text)} if text else set())
    if len(lengths) != 1 or lengths == {0}:
      raise InputError(
        f'{where}: columns of {sorted(lengths)} rows: give at least one row,'
        ' and every kind of column the same rows'
      )
    none = np.zeros((lengths.pop(), 0), np.float32)
    dense = none if dense is None else dense
    if sparse_columns is None:
      sparse_columns = checks.csr(none, where)
    categorical = none.astype(np.int32) if categorical is None else categorical
    names, start = [], 0
    for part, some in (
      (dense, dense_names),
      (sparse_columns, sparse_names),
      (categorical, categorical_names),
    ):
      stop = start + part.shape[1]
      default = (f'x{i}' for i in range(start, stop))
      names.append(tuple(default) if some is None else tuple(map(str, some)))
      start = stop
    if not start and not text:
      raise InputError(f'{where}: no columns: give at least one feature')
    made = cls(
      dense,
      sparse_columns,
      categorical,
      dense_names=names[0],
      sparse_names=names[1],
      categorical_names=names[2],
      values=tuple(tuple(map(str, of_one)) for of_one in values),
      text=text,
    )
    made._check(where)
    for array in made.arrays().values():
      array.setflags(write=False)
    return made

  def _check(self, where: str) -> None:
    parts: Any = self.dense_NxD, self.sparse_NxS, self.categorical_NxC
    for names, part in zip(
      (self.dense_names, self.sparse_names, self.categorical_names),
      parts,
      strict=True,
    ):
      checks.names(names, 'x', part.shape[1], where)
    checks.names(self.names, 'x', len(self.names), where)
    checks.cells(
      np.isinf(self.dense_NxD),
      self.dense_NxD,
      self.dense_names,
      where,
      'impute it or drop the row (float32 ends at 3e38)',
    )
    infinite = np.flatnonzero(np.isinf(self.sparse_NxS.data))
    if infinite.size:
      row = np.searchsorted(self.sparse_NxS.indptr, infinite[0], 'right') - 1
      name = self.sparse_names[self.sparse_NxS.indices[infinite[0]]]
      raise InputError(
        f'{where} {name!r} is infinite in row {row} ({infinite.size} such'
        ' cells): impute it or drop the row'
      )
    for name, values in zip(self.categorical_names, self.values, strict=False):
      checks.names(values, 'v', len(values), f'{where} {name!r}: value')
    counts_C = np.array([len(values) for values in self.values], int)
    if len(counts_C) != self.categorical_NxC.shape[1]:
      raise InputError(
        f'{where}: value names for {len(counts_C)} of'
        f' {self.categorical_NxC.shape[1]} categorical columns: give all'
      )
    checks.cells(
      (self.categorical_NxC < -1) | (self.categorical_NxC >= counts_C[None]),
      self.categorical_NxC,
      self.categorical_names,
      where,
      'give the number of a value, -1 where missing',
    )

  @property
  def num_rows(self) -> int:
    """N."""
    return len(self.dense_NxD)

  @property
  def names(self) -> tuple[str, ...]:
    """Of all columns: dense, then sparse, then categorical ones."""
    return self.dense_names + self.sparse_names + self.categorical_names

  @functools.cached_property
  def num_missing(self) -> int:
    """Cells without a value."""
    return int(
      np.isnan(self.dense_NxD).sum()
      + np.isnan(self.sparse_NxS.data).sum()
      + (self.categorical_NxC < 0).sum()
    )

  @functools.cached_property
  def _longest(self) -> int:
    """Numbers in the fullest sparse row."""
    return int(np.diff(self.sparse_NxS.indptr).max())

  def arrays(self) -> dict[str, np.ndarray]:
    """All numbers by name, for checksums and for files."""
    return {
      'dense': self.dense_NxD,
      'sparse_data': self.sparse_NxS.data,
      'sparse_indices': self.sparse_NxS.indices,
      'sparse_indptr': self.sparse_NxS.indptr,
      'categorical': self.categorical_NxC,
    }

  def rows(self, rows_B):
    """What a model gets: float32 (B, D) where all is dense, else `Inputs`.

    Sparse rows are padded to the longest of ALL rows, so that every batch has
    one shape and one compiled program.

    Raises:
      InputError: text, which no encoder reads.
    """
    if self.text:
      raise InputError(
        'the features are raw text, which no encoder reads yet: turn it into'
        ' columns first, as in TfidfVectorizer of scikit-learn'
      )
    dense_BxD = self.dense_NxD[rows_B]
    if not self.sparse_names and not self.categorical_names:
      return dense_BxD
    part = self.sparse_NxS[rows_B]
    inside_BxZ = np.arange(self._longest) < np.diff(part.indptr)[:, None]
    ids_BxZ = np.zeros(inside_BxZ.shape, np.int32)
    values_BxZ = np.zeros(inside_BxZ.shape, np.float32)
    ids_BxZ[inside_BxZ] = part.indices
    values_BxZ[inside_BxZ] = part.data
    return Inputs(
      dense_BxD,
      ids_BxZ,
      values_BxZ,
      self.categorical_NxC[rows_B],
      num_sparse=len(self.sparse_names),
      num_values=tuple(map(len, self.values)),
    )

  def imputed(self, train: np.ndarray) -> Self:
    """Missing numbers replaced by the column's mean over `train` rows.

    A missing categorical value stays -1, which encoders read as 'none'. A
    column without a value in train gets 0.
    """
    dense_NxD, sparse_NxS = self.dense_NxD, self.sparse_NxS
    missing_NxD = np.isnan(dense_NxD)
    if missing_NxD.any():
      seen_TxD = ~missing_NxD[train]
      total_D = np.where(seen_TxD, dense_NxD[train], 0).sum(0, dtype=float)
      mean_D = total_D / np.maximum(seen_TxD.sum(0), 1)
      dense_NxD = np.where(missing_NxD, mean_D[None], dense_NxD)
    missing_Z = np.isnan(sparse_NxS.data)
    if missing_Z.any():
      known = sparse_NxS[train].copy()
      unknown_S = np.bincount(
        known.indices[np.isnan(known.data)], minlength=known.shape[1]
      )
      known.data = np.nan_to_num(known.data)
      mean_S = known.sum(0, dtype=float) / np.maximum(len(train) - unknown_S, 1)
      sparse_NxS = sparse_NxS.copy()
      sparse_NxS.data[missing_Z] = mean_S[sparse_NxS.indices[missing_Z]]
    return self._with(dense_NxD, sparse_NxS)

  def standardised(self, train: np.ndarray) -> Self:
    """Imputed; dense columns less their train mean, over their deviation.

    A column that is constant in train is only shifted (deviation taken as 1).
    Sparse columns are left alone: shifted, they would not be sparse.
    """
    made = self.imputed(train)
    train_TxD = made.dense_NxD[train].astype(float)
    # The deviation of equal values can round to 1e-17: compare the values.
    constant_D = (train_TxD == train_TxD[0]).all(0)
    deviation_D = np.where(constant_D, 1.0, train_TxD.std(0))
    dense_NxD = (made.dense_NxD - train_TxD.mean(0)) / deviation_D
    return made._with(dense_NxD, made.sparse_NxS)

  def _with(self, dense_NxD, sparse_NxS) -> Self:
    with np.errstate(over='ignore'):
      dense_NxD = np.asarray(dense_NxD, np.float32)
    made = dataclasses.replace(self, dense_NxD=dense_NxD, sparse_NxS=sparse_NxS)
    checks.cells(
      np.isinf(dense_NxD),
      dense_NxD,
      self.dense_names,
      'standardised feature',
      'its train rows hardly differ: drop it, or do not standardise',
    )
    for array in made.arrays().values():
      array.setflags(write=False)
    return made
