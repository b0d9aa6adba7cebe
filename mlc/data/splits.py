"""Stratified splits of multi-label rows: seeded, exact in size, complete."""

import numpy as np

from mlc.errors import InputError

SPLITS = ('train', 'valid', 'test')


def iterative_stratification(y_NxL, fractions, rng_or_seed) -> list[np.ndarray]:
  """Deals N rows into parts that share each label in proportion.

  Sechidis, Tsoumakas & Vlahavas, ECML PKDD 2011, Algorithm 1, with one change:
  a part that is full takes no more, so sizes are exact and not only wanted.

  Args:
    y_NxL: labels; 0.5 or more is positive, NaN (missing) is not.
    fractions: one positive number a part; they sum to 1.
    rng_or_seed: a seed, or a `np.random.Generator` to draw from.

  Returns:
    One sorted index array a part; together they hold every row once.

  Raises:
    InputError: fractions that do not sum to 1, or a part without rows.
  """
  rng = np.random.default_rng(rng_or_seed)
  positive_NxL = np.asarray(y_NxL) >= 0.5
  sizes_K = _sizes(len(positive_NxL), fractions)
  left_L = positive_NxL.sum(0)
  wanted_KxL = np.outer(sizes_K / len(positive_NxL), left_L)
  room = sizes_K.tolist()
  part_N = np.full(len(positive_NxL), -1)
  while left_L.any():
    # The rarest label first: later it could no longer be dealt evenly.
    label = np.where(left_L > 0, left_L, np.inf).argmin()
    rows = np.flatnonzero(positive_NxL[:, label] & (part_N < 0))
    rows = rng.permutation(rows)
    part_N[rows] = _deal(wanted_KxL[:, label].tolist(), room, len(rows), rng)
    # Only this label's wishes steer its own rows, so those of the other labels
    # can be brought up to date once they are all dealt.
    for part, wanted_L in enumerate(wanted_KxL):
      taken_L = positive_NxL[rows[part_N[rows] == part]].sum(0)
      wanted_L -= taken_L
      left_L -= taken_L
  rows = rng.permutation(np.flatnonzero(part_N < 0))
  part_N[rows] = np.repeat(np.arange(len(room)), room)
  return [np.flatnonzero(part_N == part) for part in range(len(room))]


def three_way(y_NxL, seed, fractions=(0.6, 0.2, 0.2)) -> dict[str, np.ndarray]:
  """Stratified 'train', 'valid' and 'test' rows; errors as above."""
  parts = iterative_stratification(y_NxL, fractions, seed)
  return dict(zip(SPLITS, parts, strict=True))


def cut_validation(
  y_NxL, train_indices, fraction, seed
) -> tuple[np.ndarray, np.ndarray]:
  """Cuts a stratified `fraction` from given train rows, for validation.

  Args:
    y_NxL: labels of all rows.
    train_indices: the rows that may be cut; the others are not looked at.
    fraction: of them, in (0, 1).
    seed: of the cut.

  Returns:
    (train, valid), sorted row numbers of `y_NxL`.

  Raises:
    InputError: a fraction outside (0, 1), or a part without rows.
  """
  train = np.asarray(train_indices)
  keep, cut = iterative_stratification(
    np.asarray(y_NxL)[train], (1 - fraction, fraction), seed
  )
  return np.sort(train[keep]), np.sort(train[cut])


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


def _deal(wanted: list, room: list, num_rows: int, rng) -> list[int]:
  """The part of each row of one label; counts `wanted` and `room` down."""
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
