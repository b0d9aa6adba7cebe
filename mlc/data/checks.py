"""The checks behind `from_arrays`: each says what is wrong, and where."""

import collections
from typing import Any

import numpy as np
from scipy import sparse

from mlc.data.splits import SPLITS
from mlc.errors import InputError


def numbers(array, where: str) -> np.ndarray:
  """A new float32 matrix with at least one row and column."""
  try:
    with np.errstate(over='ignore'):  # Infinite from here on, reported later.
      matrix = np.array(array, np.float32)
  except (TypeError, ValueError, OverflowError):
    raise InputError(
      f'{where} is not a dense matrix of numbers: encode text, fill ragged'
      ' rows, call .toarray() on a sparse matrix'
    ) from None
  if matrix.ndim != 2 or not matrix.size:
    raise InputError(
      f'{where} has shape {matrix.shape}: give a matrix with at least one row'
      ' and one column'
    )
  return matrix


def csr(matrix) -> Any:
  """A float32 CSR copy in one form: sorted, each cell once, short indices.

  SciPy keeps 64-bit indices where it was given them; then equal matrices
  would differ in memory and in checksum.
  """
  made: Any = sparse.csr_array(matrix, dtype=np.float32, copy=True)
  made.sum_duplicates()
  if max(made.nnz, *made.shape) < 2**31:
    made.indices = made.indices.astype(np.int32)
    made.indptr = made.indptr.astype(np.int32)
  return made


def names(given, letter: str, count: int, what: str) -> tuple[str, ...]:
  """The `given` names as a tuple; where None, `letter` and a number."""
  if given is None:
    return tuple(f'{letter}{i}' for i in range(count))
  checked = tuple(map(str, given))
  if len(checked) != count:
    raise InputError(
      f'{what} names: {len(checked)} for {count} columns: give one each'
    )
  if len(set(checked)) < count:
    twice = collections.Counter(checked).most_common(1)[0][0]
    raise InputError(f'{what} name {twice!r} stands twice: rename one')
  return checked


def cells(bad_NxC, values_NxC, names, what: str, remedy: str):
  """Raises for the first bad column, naming its first bad row."""
  if bad_NxC.any():
    column = int(bad_NxC.any(0).argmax())
    row = int(bad_NxC[:, column].argmax())
    raise InputError(
      f'{what} {names[column]!r} is {values_NxC[row, column]:.4g} in row {row}'
      f' ({bad_NxC.sum()} such cells): {remedy}'
    )


def splits(given, num_rows: int, name: str) -> dict[str, np.ndarray]:
  """Copies of the `given` row numbers, disjoint and in range."""
  if set(given) != set(SPLITS):
    raise InputError(
      f'{name}: splits {sorted(given)}: give train, valid and test'
      ' (splits.cut_validation makes a valid from train)'
    )
  checked, owner_N = {}, [''] * num_rows
  for split in SPLITS:
    rows = np.asarray(given[split])
    if rows.ndim != 1 or not rows.size or rows.dtype.kind not in 'iu':
      raise InputError(
        f'{name}: split {split!r} is not a list of row numbers: give at least'
        ' one integer'
      )
    for row in rows.tolist():
      if not 0 <= row < num_rows:
        raise InputError(
          f'{name}: split {split!r} has row {row}: rows go from 0 to'
          f' {num_rows - 1}'
        )
      if owner_N[row]:
        raise InputError(
          f'{name}: row {row} stands in split {owner_N[row]!r} and again in'
          f' {split!r}: keep it in one'
        )
      owner_N[row] = split
    checked[split] = rows.astype(np.int64)
  return checked
