"""Stratified splits of multi-label rows: seeded, exact in size, complete."""

import heapq

import numpy as np
from scipy import sparse

from mlc.errors import InputError

SPLITS = ('train', 'valid', 'test')

Fold = tuple[np.ndarray, np.ndarray]


def iterative_stratification(
  y_NxL, fractions, rng_or_seed, order: int = 1
) -> list[np.ndarray]:
  """Deals N rows into parts that share each label in proportion.

  Order 1: Sechidis, Tsoumakas & Vlahavas, ECML PKDD 2011, Algorithm 1. Order
  2: Szymański & Kajdanowicz, LIDTA, PMLR 74, 2017: pairs of labels are shared
  first, then single labels, at some cost in the latter. It gains nothing where
  nearly each row has a pair that no other has (delicious). One change to both:
  a part that is full takes no more, so sizes are exact and not only wanted.

  Args:
    y_NxL: labels, dense or SciPy sparse; 0.5 or more is positive, NaN (missing)
      is not.
    fractions: one positive number a part; they sum to 1.
    rng_or_seed: a seed, or a `np.random.Generator` to draw from.
    order: 1 or 2; the memory of 2 grows with the label pairs of all rows.

  Returns:
    One sorted index array a part; together they hold every row once.

  Raises:
    InputError: fractions that do not sum to 1, a part without rows, or another
      order.
  """
  if order not in (1, 2):
    raise InputError(f'stratification of order {order}: give 1 or 2')
  try:
    rng = np.random.default_rng(rng_or_seed)
  except (TypeError, ValueError):
    raise InputError(
      f'seed {rng_or_seed!r}: give an integer of 0 or more'
    ) from None
  positive_NxL = positive(y_NxL)
  num_rows = np.shape(y_NxL)[0]
  room = _sizes(num_rows, fractions).tolist()
  part_N = np.full(num_rows, -1)
  if order == 2:
    _deal_columns(_pairs(positive_NxL), fractions, part_N, room, rng)
  _deal_columns(positive_NxL, fractions, part_N, room, rng)
  rows = rng.permutation(np.flatnonzero(part_N < 0))
  part_N[rows] = np.repeat(np.arange(len(room)), room)
  return [np.flatnonzero(part_N == part) for part in range(len(room))]


def three_way(
  y_NxL, seed, fractions=(0.6, 0.2, 0.2), order: int = 1
) -> dict[str, np.ndarray]:
  """Stratified 'train', 'valid' and 'test' rows; errors as above."""
  parts = iterative_stratification(y_NxL, fractions, seed, order)
  return dict(zip(SPLITS, parts, strict=True))


def cut_validation(
  y_NxL, train_indices, fraction, seed, order: int = 1
) -> tuple[np.ndarray, np.ndarray]:
  """Cuts a stratified `fraction` from given train rows, for validation.

  Args:
    y_NxL: labels of all rows.
    train_indices: the rows that may be cut; the others are not looked at.
    fraction: of them, in (0, 1).
    seed: of the cut.
    order: of the stratification.

  Returns:
    (train, valid), sorted row numbers of `y_NxL`.

  Raises:
    InputError: a fraction outside (0, 1), or a part without rows.
  """
  train = np.asarray(train_indices)
  keep, cut = iterative_stratification(
    positive(y_NxL)[train], (1 - fraction, fraction), seed, order
  )
  return np.sort(train[keep]), np.sort(train[cut])


def k_fold(y_NxL, num_folds: int, seed, order: int = 1) -> list[Fold]:
  """Stratified folds: (train, test) rows of each, sorted.

  Raises:
    InputError: fewer than 2 folds, or more folds than rows.
  """
  num_rows = np.shape(y_NxL)[0]
  _check_folds(num_rows, num_folds)
  tests = iterative_stratification(
    y_NxL, np.full(num_folds, 1 / num_folds), seed, order
  )
  return [(np.setdiff1d(np.arange(num_rows), test), test) for test in tests]


def random_k_fold(num_rows: int, num_folds: int, seed: int) -> list[Fold]:
  """Folds as scikit-learn's `KFold(shuffle=True, random_state=seed)` has them.

  For papers whose protocol they are; they look at no label. Errors as above.
  """
  from sklearn import model_selection  # Slow (a second), and seldom needed.

  _check_folds(num_rows, num_folds)
  folds = model_selection.KFold(num_folds, shuffle=True, random_state=seed)
  return list(folds.split(range(num_rows)))


def of_fold(
  y_NxL, fold: Fold, fraction, seed, order: int = 1
) -> dict[str, np.ndarray]:
  """The splits of one fold of a cross-validation.

  'test' is the fold's test part; 'valid' is a stratified `fraction` of the
  rest, cut off as `cut_validation` does.
  """
  train, valid = cut_validation(y_NxL, fold[0], fraction, seed, order)
  return {'train': train, 'valid': valid, 'test': fold[1]}


def _check_folds(num_rows: int, num_folds: int):
  if not 2 <= num_folds <= num_rows:
    raise InputError(
      f'{num_folds} folds of {num_rows} rows: give at least 2, and at most one'
      ' a row'
    )


def positive(y_NxL) -> sparse.csr_array:
  """The labels that are on: CSR of bool, only True stored."""
  # A copy, because SciPy sorts in place what it compares.
  return sparse.csr_array(sparse.csr_array(y_NxL, copy=True) >= 0.5)


def _sizes(num_rows: int, fractions) -> np.ndarray:
  """Whole numbers by largest remainder: they sum to `num_rows`."""
  fractions_K = np.asarray(fractions, float)
  if not (fractions_K > 0).all() or abs(fractions_K.sum() - 1) > 1e-6:
    raise InputError(
      f'split fractions {fractions_K.tolist()}: give positive numbers that '
      'sum to 1'
    )
  exact_K = fractions_K * num_rows
  sizes_K = np.floor(exact_K + 1e-9).astype(int)
  largest = np.argsort(sizes_K - exact_K, kind='stable')
  sizes_K[largest[: num_rows - sizes_K.sum()]] += 1
  if not sizes_K.all():
    raise InputError(
      f'{num_rows} rows cut by {fractions_K.tolist()} leave part '
      f'{int(sizes_K.argmin())} empty: give more rows, or splits of your own'
    )
  return sizes_K


def _pairs(positive_NxL) -> sparse.csr_array:
  """(N, P) bool: which rows have both labels of which of P pairs."""
  num_rows, num_labels = np.shape(positive_NxL)
  count_N = np.diff(positive_NxL.indptr)
  row_E = np.repeat(np.arange(num_rows), count_N)
  label_E = positive_NxL.indices.astype(np.int64)
  rows, codes = [row_E[:0]], [label_E[:0]]
  # Labels stand sorted, so each pair of a row is met once, at one distance.
  for apart in range(1, count_N.max()):
    same = row_E[apart:] == row_E[:-apart]
    rows.append(row_E[apart:][same])
    codes.append((label_E[:-apart] * num_labels + label_E[apart:])[same])
  row_E = np.concatenate(rows)
  found_P, pair_E = np.unique(np.concatenate(codes), return_inverse=True)
  return sparse.csr_array(
    (np.ones(len(row_E), bool), (row_E, pair_E)),
    shape=(num_rows, len(found_P)),
  )


def _deal_columns(columns_NxC: sparse.csr_array, fractions, part_N, room, rng):
  """Gives a part to every row that has a column, the rarest column first.

  Fills in `part_N` where it is -1 and counts `room` down.
  """
  by_column = columns_NxC.tocsc()
  left_C = columns_NxC[part_N < 0].sum(0, dtype=int)
  num_columns = len(left_C)
  # The rarest column first: later it could no longer be dealt evenly. As counts
  # only fall, a column's newest entry comes out first, and deals all its rows.
  heap = (left_C * num_columns + np.arange(num_columns))[left_C > 0].tolist()
  heapq.heapify(heap)
  while heap:
    column = heapq.heappop(heap) % num_columns
    if not left_C[column]:
      continue
    start, stop = by_column.indptr[column : column + 2]
    rows = by_column.indices[start:stop]
    dealt = part_N[rows]
    taken_K = np.bincount(dealt + 1, minlength=len(room) + 1)[1:]
    # Not by exact sizes: those of equal fractions differ by a row, and then the
    # larger parts would get every column that has a single row.
    wanted_K = np.multiply(fractions, len(rows)) - taken_K
    rows = rng.permutation(rows[dealt < 0])
    part_N[rows] = _deal(wanted_K.tolist(), room, len(rows), rng)
    touched, counts = np.unique(columns_NxC[rows].indices, return_counts=True)
    left_C[touched] -= counts
    touched = touched[left_C[touched] > 0]
    for entry in (left_C[touched] * num_columns + touched).tolist():
      heapq.heappush(heap, entry)


def _deal(wanted: list, room: list, num_rows: int, rng) -> list[int]:
  """The part of each row of a column; counts `wanted` and `room` down."""
  dealt = []
  for ties in rng.random((num_rows, len(room))).tolist():
    _, _, _, part = max(
      (want, free, tie, part)
      for part, (want, free, tie) in enumerate(
        zip(wanted, room, ties, strict=True)
      )
      if free
    )
    wanted[part] -= 1
    room[part] -= 1
    dealt.append(part)
  return dealt
