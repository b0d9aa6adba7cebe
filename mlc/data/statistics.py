"""What a data set is like before a model sees it: counts and ratios."""

from collections.abc import Hashable, Iterable, Iterator
import hashlib
import itertools
import math
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from mlc.data import splits
from mlc.data.dataset import Dataset
from mlc.data.features import Features
from mlc.data.labels import Labels

# The source's train rows, where the valid ones were cut from them.
BOTH = 'train_valid'
PAIRS = (
  *(('train', 'valid'), ('train', 'test'), ('valid', 'test')),
  (BOTH, 'test'),
)


class Imbalance(NamedTuple):
  """How unevenly labels occur, and whether rare ones occur with frequent ones.

  Labels that are never on have no IRLbl, and the means leave them out.

  irlbl_L: NaN where never on.
  mean_ir, cvir, scumble: NaN where no label is ever on; cvir where one is.
  """

  irlbl_L: np.ndarray
  mean_ir: float
  cvir: float
  scumble: float


class Identity(NamedTuple):
  """Numbers of N rows that are equal where their contents are.

  x_N: the features, xy_N: features and labels.
  """

  x_N: np.ndarray
  xy_N: np.ndarray


def describe(data: Dataset) -> dict:
  """All that `experiments.describe` tells, in the plain types of JSON.

  A label is on from 0.5 on; a missing one is not. What cannot be computed is
  None. Over all rows:

  cardinality, density: labels on a row, and that over L (Tsoumakas & Katakis,
    IJDWM 2007).
  label_sets, distinct_share: distinct ones, and that over N (LDiv and PLDiv;
    Zhang & Zhou, TKDE 2014, Sect. 2.1.1).
  diversity: distinct label sets over 2^L (MLDA; Moyano, Gibaja & Ventura,
    Knowledge-Based Systems 2017).
  imbalance: see `imbalance`.
  splits, overlap: see `repeats` and `overlap`; 'train_valid' is both at once.
  """
  features, labels, num_rows = data.features, data.labels, data.num_rows
  on_NxL = on(labels)
  count_L = on_NxL.sum(0)
  cardinality = on_NxL.nnz / num_rows
  sets, times = np.unique(_numbers(_digests(on_NxL)), return_counts=True)
  uneven = imbalance(on_NxL)
  parts = dict(data.splits)
  parts[BOTH] = np.concatenate([parts['train'], parts['valid']])
  parts['all'] = np.arange(num_rows)
  identity = identify(features, labels)
  described = {
    'name': data.name,
    'kind': labels.kind,
    'rows': num_rows,
    'features': {
      'dense': len(features.dense_names),
      'dense_nonzero_share': _share(features.dense_NxD),
      'sparse': len(features.sparse_names),
      'sparse_nonzero_share': _share(features.sparse_NxS),
      'categorical': len(features.categorical_names),
      'categorical_values': sum(map(len, features.values)),
      'text': int(bool(features.text)),
      'missing_cells': features.num_missing,
    },
    'labels': {
      'count': data.num_labels,
      'cardinality': cardinality,
      'density': cardinality / data.num_labels,
      'label_sets': len(sets),
      'label_sets_once': (times == 1).sum(),
      'distinct_share': len(sets) / num_rows,
      'diversity': math.ldexp(len(sets), -data.num_labels),
      'missing_cells': labels.missing_NxL.nnz,
      'soft_cells': (labels.y_NxL.data < 1).sum(),
    },
    'imbalance': {
      'max_irlbl': np.fmax.reduce(uneven.irlbl_L),
      'min_irlbl': np.fmin.reduce(uneven.irlbl_L),
      'mean_ir': uneven.mean_ir,
      'cvir': uneven.cvir,
      'scumble': uneven.scumble,
    },
    'hierarchy': hierarchy(labels),
    'splits': {
      name: _occurrence(on_NxL[rows], labels.names) | repeats(identity, rows)
      for name, rows in parts.items()
    },
    'overlap': {
      f'{one}_and_{other}': overlap(identity, parts[one], parts[other])
      for one, other in PAIRS
    },
    'per_label': [
      {'name': name, 'rows': count, 'irlbl': irlbl}
      for name, count, irlbl in zip(
        labels.names, count_L, uneven.irlbl_L, strict=True
      )
    ],
  }
  return _plain(described)


def on(labels: Labels) -> Any:
  """CSR of ones where a label is 0.5 or more; a missing one is not."""
  return splits.positive(labels.y_NxL).astype(np.int64)


def imbalance(on_NxL: sparse.csr_array) -> Imbalance:
  """Imbalance of labels, and its concurrence in rows, of a matrix of ones.

  IRLbl of a label is the rows of the most frequent label over its own; MeanIR
  is its mean over labels, CVIR its sample deviation over that (Charte, Rivera,
  del Jesus & Herrera, Neurocomputing 2015; Charte & Charte, R Journal 2015,
  Eq. 3-5). SCUMBLE is the mean over rows of 1 - (geometric / arithmetic mean of
  the IRLbl of the row's labels), 0 for a row without (Charte et al., HAIS 2014
  and Neurocomputing 2019; R Journal Eq. 6-7). The papers print the exponent
  1/L; with the number of the row's own labels, as in their package mldr, their
  numbers come out.
  """
  count_L = on_NxL.sum(0)
  seen_L = count_L > 0
  if not seen_L.any():
    nothing_L = np.full(len(count_L), np.nan)
    return Imbalance(nothing_L, math.nan, math.nan, math.nan)
  ratio_L = count_L.max() / np.maximum(count_L, 1)
  ratios = ratio_L[seen_L]
  cvir = ratios.std(ddof=1) / ratios.mean() if len(ratios) > 1 else math.nan
  size_N = np.diff(on_NxL.indptr)
  labelled = size_N > 0
  size = size_N[labelled]
  geometric = np.exp((on_NxL @ np.log(ratio_L))[labelled] / size)
  arithmetic = (on_NxL @ ratio_L)[labelled] / size
  return Imbalance(
    np.where(seen_L, ratio_L, np.nan),
    ratios.mean(),
    cvir,
    # No mean is less than the geometric one, but for rounding.
    np.maximum(1 - geometric / arithmetic, 0).sum() / len(size_N),
  )


def identify(features: Features, labels: Labels) -> Identity:
  """Which rows are equal: in every feature cell, and in every label too.

  Two missing cells are equal; 0 and -0 are. Soft and missing labels are
  compared as they are.
  """
  x_N = _numbers(
    zip(
      _digests(features.dense_NxD),
      _digests(features.sparse_NxS),
      _digests(features.categorical_NxC),
      features.text or itertools.repeat('', features.num_rows),
      strict=True,
    )
  )
  y = zip(_digests(labels.y_NxL), _digests(labels.missing_NxL), strict=True)
  return Identity(x_N, _numbers(zip(x_N.tolist(), y, strict=True)))


def repeats(identity: Identity, rows) -> dict:
  """How far the given rows repeat each other.

  duplicate_rows: rows less distinct (features, labels), so that three equal
    rows are two duplicates.
  duplicate_features: rows less distinct features.
  conflicting_rows: rows whose features stand there with other labels too.
  """
  x, xy = identity.x_N[rows], identity.xy_N[rows]
  distinct, first = np.unique(xy, return_index=True)
  variants = np.bincount(x[first])
  return {
    'duplicate_rows': len(rows) - len(distinct),
    'duplicate_features': len(rows) - np.count_nonzero(variants),
    'conflicting_rows': np.count_nonzero(variants[x] > 1),
  }


def overlap(identity: Identity, one, other) -> dict:
  """How far two lists of rows repeat each other.

  shared_rows: distinct (features, labels) that stand in both.
  shared_features: distinct features that do.
  leaked_rows: rows of `other` whose features stand in `one`.
  """
  x_N, xy_N = identity
  return {
    'shared_rows': len(np.intersect1d(xy_N[one], xy_N[other])),
    'shared_features': len(np.intersect1d(x_N[one], x_N[other])),
    'leaked_rows': np.count_nonzero(np.isin(x_N[other], x_N[one])),
  }


def hierarchy(labels: Labels) -> dict | None:
  """Edges, labels on the longest path, labels with several parents."""
  if not len(labels.edges_Ex2):
    return None
  edges_Ex2 = np.unique(labels.edges_Ex2, axis=0)
  depth, left = 1, edges_Ex2
  while len(left):  # It ends: Labels has no cycle.
    left = left[np.isin(left[:, 0], left[:, 1])]
    depth += 1
  return {
    'edges': len(edges_Ex2),
    'depth': depth,
    'several_parents': np.count_nonzero(np.bincount(edges_Ex2[:, 1]) > 1),
  }


def _occurrence(on_NxL: sparse.csr_array, names) -> dict:
  """Rows of a split, those without labels, and labels that none of them has."""
  size_N = np.diff(on_NxL.indptr)
  return {
    'rows': len(size_N),
    'rows_without_labels': (size_N == 0).sum(),
    'labels_absent': [names[i] for i in np.flatnonzero(on_NxL.sum(0) == 0)],
  }


def _digests(matrix) -> Iterator[bytes]:
  """16 bytes of BLAKE2 for each row: equal cells, equal bytes."""
  if sparse.issparse(matrix):
    matrix = matrix.copy()
    matrix.eliminate_zeros()
    values = _canonical(matrix.data)
    for start, end in itertools.pairwise(matrix.indptr.tolist()):
      row = matrix.indices[start:end].tobytes() + values[start:end].tobytes()
      yield hashlib.blake2b(row, digest_size=16).digest()
  else:
    for row in _canonical(matrix):
      yield hashlib.blake2b(row.tobytes(), digest_size=16).digest()


def _canonical(values: np.ndarray) -> np.ndarray:
  """One NaN and one zero among the many that floats have."""
  if values.dtype.kind != 'f':
    return values
  return np.where(np.isnan(values), np.float32(np.nan), values) + np.float32(0)


def _numbers(contents: Iterable[Hashable]) -> np.ndarray:
  """A number for each of `contents`, counted up as they first occur."""
  seen = {}
  return np.array([seen.setdefault(item, len(seen)) for item in contents])


def _share(matrix) -> float:
  """Share of cells that hold a number other than 0; NaN without cells."""
  stored = matrix.data if sparse.issparse(matrix) else matrix
  cells = math.prod(matrix.shape)
  held = np.count_nonzero(stored) - np.isnan(stored).sum()
  return held / cells if cells else math.nan


def _plain(value) -> Any:
  """`value` in JSON's types, None for NaN."""
  if isinstance(value, dict):
    return {key: _plain(item) for key, item in value.items()}
  if isinstance(value, list):
    return [_plain(item) for item in value]
  if isinstance(value, np.generic):
    value = value.item()
  return None if value != value else value
