"""Splits in a file: cut once, read by every run that refers to it."""

import io
import pathlib

import numpy as np

from mlc import logs
from mlc.data import checks
from mlc.data.splits import SPLITS
from mlc.errors import InputError


def save(path, splits, num_rows: int, data_name: str = ''):
  """Writes the splits of a data set of N rows as npz: all of it, or nothing.

  Args:
    path: of the file; folders that lack are made.
    splits: disjoint row numbers of 'train', 'valid' and 'test', none empty.
    num_rows: N.
    data_name: of the data set.

  Raises:
    InputError: splits that are not as above, or a path that cannot be written.
  """
  path = pathlib.Path(path)
  rows = checks.splits(splits, num_rows, str(path))
  buffer = io.BytesIO()
  np.savez_compressed(
    buffer,
    allow_pickle=False,
    num_rows=num_rows,
    data_name=data_name,
    **rows,
  )
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    logs.atomic_write(path, buffer.getvalue())
  except OSError as error:
    raise InputError(
      f'{path}: cannot be written ({error.strerror}): give another path'
    ) from None


def load(path, num_rows: int, data_name: str = '') -> dict[str, np.ndarray]:
  """The splits that `save` wrote for a data set of N rows.

  Args:
    path: of the file.
    num_rows: N of the data set that they are for.
    data_name: its name; '' fits any file, as does a file saved without one.

  Raises:
    InputError: no such file, one that `save` did not write or that is damaged,
      or one for another data set.
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
      saved_rows = int(file['num_rows'])
      saved_name = str(file['data_name'])
  # NumPy, zipfile and zlib raise a dozen kinds for a bad file.
  except Exception as error:
    reason = ' '.join(str(error).split()) or type(error).__name__
    raise InputError(
      f'{path}: not a file of splits ({reason}): make it anew'
    ) from error
  if saved_rows != num_rows:
    raise InputError(
      f'{path}: splits of {saved_rows} rows, the data set has {num_rows}: make'
      ' splits of this one'
    )
  if data_name and saved_name and saved_name != data_name:
    raise InputError(
      f'{path}: splits of {saved_name!r}, the data set is {data_name!r}: make'
      ' splits of this one'
    )
  return checks.splits(splits, num_rows, str(path))
