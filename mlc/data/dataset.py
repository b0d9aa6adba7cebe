"""Rows, labels and splits of one data set, checked once when it is made."""

import dataclasses
import functools
import hashlib
from typing import Any, NamedTuple, Self

from absl import logging
import numpy as np
from scipy import sparse

from mlc.data import checks, label_forms
from mlc.data import splits as splits_lib
from mlc.data.features import Features
from mlc.data.labels import Labels
from mlc.data.table import Table
from mlc.errors import InputError, nearest


class Rows(NamedTuple):
  """Some rows: x as `Features.rows` gives it, y and mask (N, L)."""

  x: Any
  y: np.ndarray
  mask: np.ndarray


# Arrays have no single truth value, so equality is identity: eq=False.
@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
  """What a model may learn from. `from_arrays` and `load` make and check it.

  name: for messages and tables.
  splits: row numbers of 'train', 'valid' and 'test'.
  """

  name: str
  features: Features
  labels: Labels
  splits: dict[str, np.ndarray]

  @property
  def num_rows(self) -> int:
    """N."""
    return self.labels.num_rows

  @property
  def num_features(self) -> int:
    """D, over all kinds of columns."""
    return len(self.features.names)

  @property
  def num_labels(self) -> int:
    """L."""
    return len(self.labels.names)

  @property
  def label_names(self) -> tuple[str, ...]:
    """L distinct names."""
    return self.labels.names

  @functools.cached_property
  def checksum(self) -> str:
    """16 hexadecimal digits of SHA-256 over arrays, names and splits."""
    f, y = self.features, self.labels
    texts = f.names, f.values, f.text, y.names, y.kind
    return digest(texts, f.arrays() | y.arrays() | self.splits)[:16]

  @functools.cached_property
  def constant_L(self) -> np.ndarray:
    """Log-odds of labels that never vary in train, NaN for all others.

    log((n_pos + 1/2) / (n - n_pos + 1/2)) over the n observed train rows, for
    labels that are all 0, all 1 or never observed there: a finite answer (the
    add-1/2 empirical logit, Haldane, Ann. Hum. Genet. 1956) where the maximum
    likelihood has none.
    """
    train = self.splits['train']
    n_L = len(train) - self.labels.missing_NxL[train].sum(0)
    positive_L = self.labels.y_NxL[train].sum(0, dtype=float)
    logit_L = np.log((positive_L + 0.5) / (n_L - positive_L + 0.5))
    varies_L = (positive_L > 0) & (positive_L < n_L)
    return np.where(varies_L, np.nan, logit_L).astype(np.float32)

  def rows(self, rows_B) -> Rows:
    """The given rows, ready for a model: nothing else is made dense."""
    return Rows(self.features.rows(rows_B), *self.labels.rows(rows_B))

  def split(self, name: str) -> Rows:
    """The rows of 'train', 'valid' or 'test'; InputError for another name."""
    if name not in self.splits:
      raise nearest(name, self.splits, 'split')
    return self.rows(self.splits[name])

  def with_splits(self, splits) -> Self:
    """The same rows cut otherwise; InputError for bad splits."""
    return dataclasses.replace(
      self, splits=_frozen_splits(splits, self.num_rows, self.name)
    )

  def imputed(self) -> Self:
    """The same data with missing features filled in by train means."""
    features = self.features.imputed(self.splits['train'])
    return dataclasses.replace(self, features=features)

  def standardised(self) -> Self:
    """Imputed; dense features less train mean, over train deviation."""
    features = self.features.standardised(self.splits['train'])
    return dataclasses.replace(self, features=features)


def digest(texts, arrays: dict[str, np.ndarray]) -> str:
  """64 hexadecimal digits of SHA-256 over texts and named arrays."""
  made = hashlib.sha256(repr(texts).encode())
  for key, array in sorted(arrays.items()):
    made.update(f'{key}{array.shape}{array.dtype.str}'.encode())
    made.update(np.ascontiguousarray(array).data)
  return made.hexdigest()


def from_arrays(
  x,
  y,
  *,
  name='arrays',
  feature_names=None,
  label_names=None,
  kind=None,
  splits=None,
  seed=0,
) -> Dataset:
  """Checks arrays and makes a `Dataset` of copies of them.

  Labels that are constant in train, and rows with no label set, are kept; one
  warning each says so.

  Args:
    x: (N, D) finite numbers, dense or SciPy sparse; a data frame; N strings;
      or `Features`, which may have missing values.
    y: any form that `label_forms.detect` tells apart: 0/1 or soft matrix (NaN =
      missing), sparse, lists of ids or names, one class a row; or `Labels`.
    name: for messages and tables.
    feature_names: D distinct names; default x0, x1, ...
    label_names: L distinct names; default y0, y1, ...
    kind: 'multi-class' declares that every row has exactly one label on.
    splits: disjoint row numbers of 'train', 'valid' and 'test', none empty;
      default 60/20/20, stratified (splits.py). Without 'valid', a fifth of
      train is cut off for it.
    seed: of the splits that are not given.

  Raises:
    InputError: anything else than the above; it names the first row and
      column.
  """
  for given, cls, ignored in (
    (x, Features, {'feature_names': feature_names}),
    (y, Labels, {'label_names': label_names, 'kind': kind}),
  ):
    for key, value in ignored.items():
      if isinstance(given, cls) and value is not None:
        raise InputError(
          f'{name}: {key} beside {cls.__name__}, which have their own: give one'
        )
  if not isinstance(x, Features):
    x = _features(x, feature_names, f'{name}: feature')
  if not isinstance(y, Labels):
    y = label_forms.detect(y, label_names, kind=kind, where=f'{name}: labels')
  return from_table(
    Table(x, y, {} if splits is None else splits), name=name, seed=seed
  )


def from_table(table: Table, *, name: str, seed: int = 0) -> Dataset:
  """A `Dataset` of what a reader gave, its splits completed by `seed`.

  Raises:
    InputError: features and labels of different length, bad splits.
  """
  features, labels, splits = table
  if features.num_rows != labels.num_rows:
    raise InputError(
      f'{name}: x has {features.num_rows} rows, y has {labels.num_rows}: give'
      ' one row of labels for each row of features'
    )
  if isinstance(splits, dict) and not splits:
    splits = splits_lib.three_way(labels.y_NxL, seed)
  elif isinstance(splits, dict) and set(splits) == {'train', 'test'}:
    splits = checks.splits(splits, labels.num_rows, name, ('train', 'test'))
    train, valid = splits_lib.cut_validation(
      labels.y_NxL, splits['train'], 0.2, seed
    )
    splits = splits | {'train': train, 'valid': valid}
  splits = _frozen_splits(splits, labels.num_rows, name)
  data = Dataset(name, features, labels, splits)
  _warn(data)
  return data


def _frozen_splits(splits, num_rows: int, name: str) -> dict[str, np.ndarray]:
  """Checked copies: disjoint and in range, of the three names."""
  checked = checks.splits(splits, num_rows, name)
  for rows in checked.values():
    rows.setflags(write=False)
  return checked


def _features(x, names, where: str) -> Features:
  """A matrix, data frame of numbers, sparse matrix or strings, checked."""
  if hasattr(x, 'columns'):
    names = list(x.columns) if names is None else names
    x = x.to_numpy()
  if sparse.issparse(x):
    made = Features.of(sparse_columns=x, sparse_names=names, where=where)
  elif isinstance(x, list | tuple | np.ndarray) and all(
    isinstance(row, str) for row in x
  ):
    if names is not None:
      raise InputError(f'{where}: names for raw text, which has no columns')
    made = Features.of(text=x, where=where)
  else:
    made = Features.of(dense=x, dense_names=names, where=where)
  if made.num_missing:
    columns = made.sparse_NxS.tocoo() if made.sparse_names else made.dense_NxD
    row, column = _first_missing(columns)
    raise InputError(
      f'{where} {made.names[column]!r} is nan in row {row} ({made.num_missing}'
      ' such cells): impute it, or declare it missing: x=Features.of(dense=x)'
    )
  return made


def _first_missing(columns) -> tuple[int, int]:
  """(row, column) of the first NaN of a dense or COO matrix."""
  if not sparse.issparse(columns):
    return tuple(np.argwhere(np.isnan(columns))[0])
  place = np.isnan(columns.data).argmax()
  return columns.row[place], columns.col[place]


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
  empty = int((np.diff(data.labels.y_NxL.indptr) == 0).sum())
  if empty:
    logging.warning(
      '%s: %d of %d rows have no label: kept, an empty label set is a valid'
      ' answer',
      data.name,
      empty,
      data.num_rows,
    )
