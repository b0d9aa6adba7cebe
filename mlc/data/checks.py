"""The checks behind `from_arrays`: each says what is wrong, and where."""

import collections
from typing import Any

import numpy as np
from scipy import sparse

from mlc.data.splits import SPLITS
from mlc.errors import InputError


def numbers(array, where: str) -> np.ndarray:
  """A new float32 matrix; NaN where a masked array is masked.

  Raises:
    InputError: not a matrix of numbers, or a column whose numbers lie so far
      from 0 that float32 blurs what tells them apart.
  """
  try:
    if np.ma.isMaskedArray(array):
      array = np.ma.filled(array.astype(float), np.nan)
    with np.errstate(over='ignore'):  # Infinite from here on, reported later.
      matrix = np.array(array, np.float32) + np.float32(0)  # No -0.
  except (TypeError, ValueError, OverflowError):
    raise InputError(
      f'{where} is not a dense matrix of numbers: encode text, fill ragged'
      ' rows, call .toarray() on a sparse matrix'
    ) from None
  if matrix.ndim != 2:
    raise InputError(
      f'{where} has shape {matrix.shape}: give a matrix, one row for each row'
    )
  _refuse_blurred(array, matrix, where)
  return matrix


def _refuse_blurred(given, matrix: np.ndarray, where: str) -> None:
  given = np.asarray(given)
  if given.dtype.kind not in 'fiu' or given.dtype.itemsize < 4:
    return
  if given.dtype == np.float32 or not matrix.size:
    return
  for column in range(matrix.shape[1]):
    exact_N = given[:, column].astype(float)
    exact_N = exact_N[np.isfinite(matrix[:, column])]
    rounded_N = exact_N.astype(np.float32)
    extent = np.ptp(exact_N) if exact_N.size else 0.0
    if abs(exact_N - rounded_N).max(initial=0) > extent / 256 > 0:
      raise InputError(
        f'{where} column {column} goes from {exact_N.min():.10g} to'
        f' {exact_N.max():.10g}, which float32 hardly tells apart: subtract an'
        ' offset'
      )


def ids(array, where: str) -> np.ndarray:
  """A new int32 matrix of integers."""
  try:
    matrix = np.asarray(array)
  except (TypeError, ValueError, OverflowError):
    matrix = np.zeros(0)
  if matrix.ndim != 2 or matrix.dtype.kind not in 'iu':
    raise InputError(
      f'{where}: ids of shape {matrix.shape} and type {matrix.dtype}: give a'
      ' matrix of integers'
    )
  if matrix.size and (matrix.min() < -1 or matrix.max() >= 2**31):
    raise InputError(
      f'{where}: ids from {matrix.min()} to {matrix.max()}: give the numbers of'
      ' values, -1 where missing'
    )
  return matrix.astype(np.int32)


def csr(matrix, where: str) -> Any:
  """A float32 CSR copy in one form: sorted, no zeros, short indices.

  SciPy keeps 64-bit indices where it was given them; then equal matrices
  would differ in memory and in checksum.
  """
  try:
    with np.errstate(over='ignore'):  # Infinite from here on, reported later.
      made: Any = sparse.csr_array(matrix, dtype=np.float32, copy=True)
  except (TypeError, ValueError, OverflowError):
    made = None
  if made is None or made.ndim != 2:
    raise InputError(f'{where}: not a sparse matrix of numbers: give one')
  made.sum_duplicates()
  made.eliminate_zeros()
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


def splits(
  given, num_rows: int, name: str, wanted=SPLITS
) -> dict[str, np.ndarray]:
  """Copies of the `given` row numbers, disjoint and in range."""
  if not isinstance(given, dict) or set(given) != set(wanted):
    found = [*given] if isinstance(given, dict) else type(given).__name__
    raise InputError(
      f'{name}: splits {found}: give row numbers of train, valid and test, or'
      ' of train and test (a fifth of train is then cut off for valid)'
    )
  checked: dict[str, np.ndarray] = {}
  owner_N: Any = np.full(num_rows, -1)
  for number, split in enumerate(wanted):
    try:
      rows: Any = np.asarray(given[split])
    except ValueError:
      rows = np.zeros(0)
    if rows.ndim != 1 or not rows.size or rows.dtype.kind not in 'iu':
      raise InputError(
        f'{name}: split {split!r} is not a list of row numbers: give at least'
        ' one integer'
      )
    outside = (rows < 0) | (rows >= num_rows)
    if outside.any():
      raise InputError(
        f'{name}: split {split!r} has row {rows[outside.argmax()]}: rows go'
        f' from 0 to {num_rows - 1}'
      )
    values, counts = np.unique(rows, return_counts=True)
    again = values[(counts > 1) | (owner_N[values] >= 0)]
    if again.size:
      owner = wanted[owner_N[again[0]]] if owner_N[again[0]] >= 0 else split
      raise InputError(
        f'{name}: row {again[0]} stands in split {owner!r} and again in'
        f' {split!r}: keep it in one'
      )
    owner_N[rows] = number
    checked[split] = rows.astype(np.int64)
  return checked
