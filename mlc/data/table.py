"""What a reader gives: features and labels, before splits are settled."""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from mlc.data.features import Features
from mlc.data.labels import Labels
from mlc.errors import InputError


class Table(NamedTuple):
  """One file or several, read.

  splits: row numbers of 'train' and 'test', perhaps 'valid', as the source
    has cut them; empty where it has not.
  """

  features: Features
  labels: Labels
  splits: dict[str, np.ndarray] = {}  # noqa: RUF012 (never changed)


def concatenate(tables: dict[str, Table], where: str) -> Table:
  """Stacks the rows of files of one data set, named by split.

  Raises:
    InputError: columns, labels or a hierarchy that differ between them.
  """
  (first_name, first), *others = tables.items()
  for name, table in others:
    if _columns(table) != _columns(first):
      raise InputError(
        f'{where}: the columns of {name} are not those of {first_name}: take'
        ' both from the same source'
      )
  parts = list(tables.values())
  f, y = first.features, first.labels
  features = Features.of(
    dense=np.concatenate([t.features.dense_NxD for t in parts]),
    sparse_columns=sparse.vstack([t.features.sparse_NxS for t in parts]),
    categorical=np.concatenate([t.features.categorical_NxC for t in parts]),
    dense_names=f.dense_names,
    sparse_names=f.sparse_names,
    categorical_names=f.categorical_names,
    values=f.values,
    text=[line for t in parts for line in t.features.text],
    where=where,
  )
  y_NxL = sparse.vstack([t.labels.y_NxL for t in parts], format='csr')
  missing_NxL = sparse.vstack([t.labels.missing_NxL for t in parts])
  labels = Labels.of(
    y_NxL + missing_NxL * np.float32(np.nan),
    y.names,
    kind=y.kind,
    edges=y.edges_Ex2,
    where=where,
  )
  ends = np.cumsum([0, *(t.labels.num_rows for t in parts)])
  splits = {
    name: np.arange(start, end)
    for name, start, end in zip(tables, ends[:-1], ends[1:], strict=True)
  }
  return Table(features, labels, splits)


def _columns(table: Table):
  f, y = table.features, table.labels
  names = f.dense_names, f.sparse_names, f.categorical_names, f.values
  return *names, bool(f.text), y.names, y.kind, y.edges_Ex2.tolist()
