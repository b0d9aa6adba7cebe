"""LIBSVM's multi-label text, and that of the Extreme Classification Repository.

A line is a row: `label,label,... id:value id:value ...`. The label field is
empty where a line begins with a space, or at once with `id:value`. The
repository's files have a header, `rows features labels`; LIBSVM's have none.
"""

import bz2
from collections.abc import Iterable, Iterator, Sequence
import gzip
import itertools
import json
import lzma
import pathlib
import re

import numpy as np
from scipy import sparse

from mlc import run_folder
from mlc.data.dataset import Dataset
from mlc.data.features import Features
from mlc.data.labels import Labels
from mlc.data.readers import files
from mlc.data.readers.libsvm_rows import MAX_LABEL, SPACES, Limits, parse
from mlc.data.table import Table
from mlc.errors import InputError

MAX_COLUMNS = 10**7  # One costs some 200 bytes, most of them for its name.
BLOCK = 1 << 20  # Characters read at a time.
ROWS = 4096  # Rows written at a time.
HEADER = re.compile(r'[ \t]*' + r'([0-9]{1,18})[ \t]+' * 3)
QUERY = re.compile(r'(?<![^ \t])qid:[0-9]+(?![^ \t])')
COMPRESS = {
  '.gz': lambda text: gzip.compress(text, mtime=0),
  '.bz2': bz2.compress,
  '.xz': lzma.compress,
}


def read(
  path,
  *,
  label_names: Sequence[str] | None = None,
  feature_names: Sequence[str] | None = None,
  meta=None,
) -> Table:
  """Reads the file at `path`, plain or compressed; nothing is made dense.

  With a header, every line is a row, but for blank lines at the end. Feature
  ids count from 0, or from 1 where id D occurs; label ids count from 0.

  Without, blank lines are skipped. Feature ids count from 0 where id 0 occurs,
  else from 1, and go to the largest that occurs, or as far as `feature_names`.
  Label ids count from 0 where `label_names` are given; else the labels are
  those that occur, named by their ids unless these are 0 .. L-1.

  Comments (#) and query ids (qid:) are passed over.

  Args:
    path: compressed where its suffix is .gz, .bz2 or .xz.
    label_names: L names; default y0, y1, ...
    feature_names: D names, that of the lowest id first; default x0, x1, ...
    meta: a JSON file with both, as its lists 'labels' and 'features'.

  Raises:
    InputError: what `files.lines` refuses, other rows than the header says, an
      id that is out of range or twice in a row, no number, no colon.
  """
  if meta is not None:
    label_names, feature_names = _names(meta)
  lines = _uncommented(path)
  number, first = next(
    (pair for pair in lines if pair[1].strip(SPACES)), (1, '')
  )
  header = _header(first, f'{path}:{number}')
  if header:
    num_rows, num_features, num_labels = header
  else:
    lines = itertools.chain([(number, first)], lines)
    num_rows = None
    num_features = len(feature_names) if feature_names is not None else None
    num_labels = len(label_names) if label_names is not None else None
  limits = Limits(
    MAX_COLUMNS if num_features is None else num_features,
    MAX_LABEL if num_labels is None else num_labels - 1,
  )
  blocks = [
    parse(numbers, texts, limits, path)
    for numbers, texts in _blocks(_rows(lines, num_rows))
  ]
  found = sum(len(counts) for *_, counts in blocks)
  if found != num_rows and header:
    raise InputError(
      f'{path}:{number}: a header of {num_rows} rows, but {found} follow: get'
      ' the file again, or mend the header'
    )
  if not blocks:
    raise InputError(f'{path}: no rows: get the file again')
  label_ids, label_counts, ids, values, counts = map(
    np.concatenate, zip(*blocks, strict=True)
  )
  del blocks
  ids -= int(not header) if limits.base is None else limits.base
  if num_features is None:
    num_features = ids.max(initial=-1) + 1
  if num_labels is None:
    known, label_ids = np.unique(label_ids, return_inverse=True)
    num_labels = len(known)
    if (known != np.arange(num_labels)).any():
      label_names = tuple(map(str, known.tolist()))
  ones = np.ones(len(label_ids), np.float32)
  return Table(
    Features.of(
      sparse_columns=_csr(values, ids, counts, num_features),
      sparse_names=feature_names,
      where=str(path),
    ),
    Labels.of(
      _csr(ones, label_ids, label_counts, num_labels),
      label_names,
      where=str(path),
    ),
  )


def _names(meta) -> tuple[list[str], list[str]]:
  """Names of labels and of features in a JSON file."""
  try:
    content = json.loads(pathlib.Path(meta).read_bytes())
    names = content['labels'], content['features']
    if all(isinstance(name, str) for part in names for name in part):
      return names
  except OSError as error:
    raise InputError(
      f'{meta}: not readable ({error.strerror}): check the path'
    ) from None
  except (ValueError, KeyError, TypeError, RecursionError):
    pass
  raise InputError(
    f"{meta}: not a JSON object with lists of names 'labels' and 'features':"
    ' mend it'
  )


def _csr(data, indices, counts, width) -> sparse.csr_array:
  """The matrix of rows with so many cells each."""
  index = sparse.get_index_dtype(maxval=max(len(data), width))
  indptr = np.concatenate([[0], np.cumsum(counts)])
  return sparse.csr_array(
    (data, indices.astype(index, copy=False), indptr.astype(index)),
    shape=(len(counts), width),
  )


def _uncommented(path) -> Iterator[tuple[int, str]]:
  """(number, text) of the lines, but for those that are all comment."""
  for number, line in enumerate(files.lines(path), 1):
    text, comment, _ = line.partition('#')
    if comment and not text.strip(SPACES):
      continue
    if 'qid:' in text:  # Blanked out: columns in messages stay as they are.
      text = QUERY.sub(lambda match: ' ' * len(match[0]), text)
    yield number, text


def _header(text: str, where: str) -> tuple[int, ...] | None:
  """Rows, features and labels, where the line says them."""
  match = HEADER.fullmatch(text + ' ')
  if not match:
    return None
  counts = tuple(map(int, match.groups()))
  if min(counts) < 1 or max(counts[1:]) > MAX_COLUMNS:
    raise InputError(
      f'{where}: a header of {counts[0]} rows, {counts[1]} features and'
      f' {counts[2]} labels: mend it (1 to {MAX_COLUMNS} columns are read)'
    )
  return counts


def _rows(
  lines: Iterable[tuple[int, str]], num_rows: int | None
) -> Iterator[tuple[int, str]]:
  """Those lines that are rows; of blank ones, as many as the header leaves."""
  count = 0
  for number, text in lines:
    if text.strip(SPACES) or (num_rows is not None and count < num_rows):
      count += 1
      yield number, text


def _blocks(
  rows: Iterable[tuple[int, str]],
) -> Iterator[tuple[list[int], list[str]]]:
  """Numbers and texts of rows, by blocks of some length."""
  numbers, texts, size = [], [], 0
  for number, text in rows:
    numbers.append(number)
    texts.append(text)
    size += len(text)
    if size > BLOCK:
      yield numbers, texts
      numbers, texts, size = [], [], 0
  if texts:
    yield numbers, texts


def write(data: Table | Dataset, path, *, header: bool = True) -> None:
  """Writes features and labels, or nothing; compressed where `path` says so.

  Names, splits, a hierarchy and the declared kind have no place in the format.
  Without a header neither have columns after the last and labels that no row
  has; feature ids then count from 1, as LIBSVM has them.

  Raises:
    InputError: what the format cannot hold: dense or categorical columns, text,
      soft labels, anything missing, and without a header an empty row; a path
      that cannot be written to.
  """
  f, y = data.features, data.labels
  for what, found in {
    'text': f.text,
    'dense columns': f.dense_names,
    'categorical columns': f.categorical_names,
    'missing features': f.num_missing,
    'missing labels': y.missing_NxL.nnz,
    'soft labels': (y.y_NxL.data != 1).any(),
  }.items():
    if found:
      raise InputError(
        f'{path}: LIBSVM text holds no {what}: save an npz instead'
      )
  x_NxD, y_NxL = f.sparse_NxS, y.y_NxL
  empty = (np.diff(x_NxD.indptr) == 0) & (np.diff(y_NxL.indptr) == 0)
  if empty.any() and not header:
    raise InputError(
      f'{path}: row {empty.argmax()} has neither label nor feature, and LIBSVM'
      ' text without a header has no blank rows: write the header'
    )
  parts = []
  if header:
    parts.append(f'{f.num_rows} {len(f.names)} {len(y.names)}\n'.encode())
  for start in range(0, f.num_rows, ROWS):
    rows = slice(start, start + ROWS)
    parts.append(_text(x_NxD[rows], y_NxL[rows], base=int(not header)))
  compress = COMPRESS.get(pathlib.Path(path).suffix.lower(), lambda text: text)
  try:
    run_folder.atomic_write(path, compress(b''.join(parts)))
  except OSError as error:
    raise InputError(
      f'{path}: not written ({error.strerror}): check folder and disk'
    ) from None


def _text(x_BxD, y_BxL, base: int) -> bytes:
  """The lines of some rows."""
  # As strings, float32 are as short as read back the same.
  values = (text.removesuffix('.0') for text in x_BxD.data.astype(str).tolist())
  ids = (x_BxD.indices + base).tolist()
  cells = [f' {i}:{text}' for i, text in zip(ids, values, strict=True)]
  labels = list(map(str, y_BxL.indices.tolist()))
  lines = [
    ','.join(labels[y_start:y_end]) + ''.join(cells[start:end])
    for (y_start, y_end), (start, end) in zip(
      itertools.pairwise(y_BxL.indptr.tolist()),
      itertools.pairwise(x_BxD.indptr.tolist()),
      strict=True,
    )
  ]
  return ''.join(line + '\n' for line in lines).encode()
