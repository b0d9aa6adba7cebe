"""Rows, labels and splits of one data set, checked once when it is made."""

import dataclasses
import functools
import hashlib
from typing import NamedTuple

from absl import logging
import numpy as np

from mlc.data import checks
from mlc.data import splits as splits_lib
from mlc.errors import InputError, nearest


class Rows(NamedTuple):
  """The rows of one split: x (N, D), y and mask (N, L)."""

  x: np.ndarray
  y: np.ndarray
  mask: np.ndarray


# Arrays have no single truth value, so equality is identity: eq=False.
@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
  """What a model may learn from. Make one with `from_arrays`, which checks it.

  name: for messages and tables.
  x_NxD: float32, finite.
  y_NxL: float32, 0 or 1 or soft between; 0 where missing.
  mask_NxL: float32, 1 = observed, 0 = missing.
  splits: row numbers of 'train', 'valid' and 'test'.
  """

  name: str
  x_NxD: np.ndarray
  y_NxL: np.ndarray
  mask_NxL: np.ndarray
  feature_names: tuple[str, ...]
  label_names: tuple[str, ...]
  splits: dict[str, np.ndarray]

  @property
  def num_features(self) -> int:
    """D."""
    return self.x_NxD.shape[1]

  @property
  def num_labels(self) -> int:
    """L."""
    return self.y_NxL.shape[1]

  @functools.cached_property
  def checksum(self) -> str:
    """16 hexadecimal digits of SHA-256 over arrays, names and splits."""
    digest = hashlib.sha256(
      repr((self.feature_names, self.label_names)).encode()
    )
    arrays = {'x': self.x_NxD, 'y': self.y_NxL, 'mask': self.mask_NxL}
    for key, array in sorted((arrays | self.splits).items()):
      digest.update(f'{key}{array.shape}{array.dtype.str}'.encode())
      digest.update(array.tobytes())
    return digest.hexdigest()[:16]

  @property
  def constant_L(self) -> np.ndarray:
    """Log-odds of labels that never vary in train, NaN for all others.

    log((n_pos + 1/2) / (n - n_pos + 1/2)) over the n observed train rows, for
    labels that are all 0, all 1 or never observed there: a finite answer (the
    add-1/2 empirical logit, Haldane, Ann. Hum. Genet. 1956) where the maximum
    likelihood has none.
    """
    _, y_NxL, mask_NxL = self.split('train')
    n_L = mask_NxL.sum(0, dtype=float)
    positive_L = (y_NxL * mask_NxL).sum(0, dtype=float)
    logit_L = np.log((positive_L + 0.5) / (n_L - positive_L + 0.5))
    varies_L = (positive_L > 0) & (positive_L < n_L)
    return np.where(varies_L, np.nan, logit_L).astype(np.float32)

  def split(self, name: str) -> Rows:
    """The rows of 'train', 'valid' or 'test'; InputError for another name."""
    if name not in self.splits:
      raise nearest(name, self.splits, 'split')
    rows = self.splits[name]
    return Rows(self.x_NxD[rows], self.y_NxL[rows], self.mask_NxL[rows])

  def standardised(self) -> 'Dataset':
    """The same data, x less its train mean and over its train deviation.

    Only train rows are looked at: valid and test stay unseen. A column that is
    constant in train is only shifted (deviation taken as 1).
    """
    train_NxD = self.split('train').x.astype(float)
    # The deviation of equal values can round to 1e-17: compare the values.
    constant_D = (train_NxD == train_NxD[0]).all(0)
    deviation_D = np.where(constant_D, 1.0, train_NxD.std(0))
    x_NxD = (self.x_NxD - train_NxD.mean(0)) / deviation_D
    return dataclasses.replace(self, x_NxD=_frozen(x_NxD.astype(np.float32)))


def from_arrays(
  x,
  y,
  *,
  name='arrays',
  feature_names=None,
  label_names=None,
  splits=None,
  seed=0,
) -> Dataset:
  """Checks arrays and makes a `Dataset` of copies of them.

  Labels that are constant in train, and rows with no label set, are kept; one
  warning each says so.

  Args:
    x: (N, D) finite numbers.
    y: (N, L) in [0, 1]; NaN where missing.
    name: for messages and tables.
    feature_names: D distinct names; default x0, x1, ...
    label_names: L distinct names; default y0, y1, ...
    splits: disjoint row numbers of 'train', 'valid' and 'test', none empty;
      default 60/20/20, stratified (splits.py).
    seed: of the default splits.

  Raises:
    InputError: anything else than the above, or a row whose labels are all
      missing; it names the first row and column.
  """
  x_NxD = checks.numbers(x, f'{name}: x')
  y_NxL = checks.numbers(y, f'{name}: y')
  if len(x_NxD) != len(y_NxL):
    raise InputError(
      f'{name}: x has {len(x_NxD)} rows, y has {len(y_NxL)}: give one row of'
      ' labels for each row of features'
    )
  feature, label = f'{name}: feature', f'{name}: label'
  feature_names = checks.names(feature_names, 'x', x_NxD.shape[1], feature)
  label_names = checks.names(label_names, 'y', y_NxL.shape[1], label)
  checks.cells(
    ~np.isfinite(x_NxD),
    x_NxD,
    feature_names,
    feature,
    'impute it or drop the row (float32 ends at 3e38)',
  )
  checks.cells(
    (y_NxL < 0) | (y_NxL > 1),
    y_NxL,
    label_names,
    label,
    'give 0, 1 or a probability, NaN where missing',
  )
  missing_NxL = np.isnan(y_NxL)
  if missing_NxL.all(1).any():
    raise InputError(
      f'{name}: row {missing_NxL.all(1).argmax()} has no observed label, one'
      f' of {missing_NxL.all(1).sum()} such rows: drop them (a row known to'
      ' have no label is all 0, not NaN)'
    )
  if splits is None:
    splits = splits_lib.three_way(y_NxL, seed)
  splits = checks.splits(splits, len(x_NxD), name)
  data = Dataset(
    name=name,
    x_NxD=_frozen(x_NxD),
    y_NxL=_frozen(np.where(missing_NxL, np.float32(0), y_NxL)),
    mask_NxL=_frozen((~missing_NxL).astype(np.float32)),
    feature_names=feature_names,
    label_names=label_names,
    splits={split: _frozen(rows) for split, rows in splits.items()},
  )
  _warn(data)
  return data


def _frozen(array: np.ndarray) -> np.ndarray:
  """Read-only: a checksum must not outlive the content that it stands for."""
  array.setflags(write=False)
  return array


def _warn(data: Dataset):
  constant = np.flatnonzero(~np.isnan(data.constant_L))
  if constant.size:
    names = ', '.join(data.label_names[label] for label in constant[:3])
    logging.warning(
      '%s: %d of %d labels never or always occur among the train rows (%s):'
      ' kept, each with a constant head',
      data.name,
      constant.size,
      data.num_labels,
      names + (', ...' if constant.size > 3 else ''),
    )
  empty = int((~data.y_NxL.any(1)).sum())
  if empty:
    logging.warning(
      '%s: %d of %d rows have no label: kept, an empty label set is a valid'
      ' answer',
      data.name,
      empty,
      len(data.y_NxL),
    )
