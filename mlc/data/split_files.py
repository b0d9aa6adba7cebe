"""Splits in a file: cut once, read by every run that refers to it."""

import io
import pathlib

import numpy as np

from mlc import run_folder
from mlc.data import checks
from mlc.data.dataset import Dataset, digest
from mlc.data.labels import Labels
from mlc.data.splits import SPLITS
from mlc.errors import InputError


def save(path, data: Dataset, splits=None) -> None:
  """Writes splits of `data` as npz: all of it, or nothing.

  Args:
    path: of the file; folders that lack are made.
    data: what the splits are of. The file holds its number of rows, its name,
      and the SHA-256 of its labels.
    splits: disjoint row numbers of 'train', 'valid' and 'test', none empty;
      default those of `data`.

  Raises:
    InputError: splits that are not as above, or a path that cannot be written.
  """
  path = pathlib.Path(path)
  splits = data.splits if splits is None else splits
  rows = checks.splits(splits, data.num_rows, str(path))
  buffer = io.BytesIO()
  np.savez_compressed(
    buffer,
    allow_pickle=False,
    num_rows=data.num_rows,
    data_name=data.name,
    labels=_fingerprint(data.labels),
    **rows,
  )
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    run_folder.atomic_write(path, buffer.getvalue())
  except OSError as error:
    raise InputError(
      f'{path}: cannot be written ({error.strerror}): give another path'
    ) from None


def load(path, data: Dataset) -> dict[str, np.ndarray]:
  """The splits that `save` wrote of the rows of `data`, in their order.

  Rows are told by their labels: a name says where a file lies, not what it
  holds, and features may have been imputed since.

  Raises:
    InputError: no such file, one that `save` did not write or that is damaged,
      or one of other rows.
  """
  path = pathlib.Path(path)
  try:
    content = path.read_bytes()
  except OSError as error:
    raise InputError(
      f'{path}: cannot be read ({error.strerror}): check the path'
    ) from None
  try:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
      # NumPy stops reading, unchecked, where a damaged header says so.
      if damaged := file.zip.testzip():
        raise ValueError(f'{damaged} is damaged')
      splits = {name: file[name] for name in SPLITS}
      num_rows = int(file['num_rows'])
      data_name = str(file['data_name'])
      labels = str(file['labels'])
  # NumPy, zipfile and zlib raise a dozen kinds for a bad file.
  except Exception as error:
    reason = ' '.join(str(error).split()) or type(error).__name__
    raise InputError(
      f'{path}: not a file of splits ({reason}): make it anew'
    ) from error
  differs = ''
  if num_rows != data.num_rows:
    differs = f'{num_rows} rows there, {data.num_rows} here'
  elif labels != _fingerprint(data.labels):
    differs = 'other labels, or another order of rows'
  if differs:
    raise InputError(
      f'{path}: splits of {data_name!r}, not of {data.name!r} ({differs}): make'
      ' splits of this one'
    )
  return checks.splits(splits, num_rows, str(path))


def _fingerprint(labels: Labels) -> str:
  """Of label names and cells."""
  return digest(labels.names, labels.arrays())
