"""A data set as NumPy's npz, complete, checksummed and without pickle."""

import hashlib
import io
import json
import pathlib
import zipfile

import numpy as np
from scipy import sparse

from mlc import run_folder
from mlc.data.dataset import Dataset
from mlc.data.features import Features
from mlc.data.labels import Labels
from mlc.data.table import Table
from mlc.errors import InputError

VERSION = 1
DIGITS = 64  # Of a SHA-256: the comment of the archive, which ends the file.
INDEX = np.int32, np.int64
# Types and dimensions of `Features.arrays` and `Labels.arrays`.
ARRAYS = {
  'dense': ((np.float32,), 2),
  'sparse_data': ((np.float32,), 1),
  'sparse_indices': (INDEX, 1),
  'sparse_indptr': (INDEX, 1),
  'categorical': ((np.int32,), 2),
  'y_data': ((np.float32,), 1),
  'y_indices': (INDEX, 1),
  'y_indptr': (INDEX, 1),
  'missing_indices': (INDEX, 1),
  'missing_indptr': (INDEX, 1),
  'edges': ((np.int32,), 2),
}


def write(data: Table | Dataset, path) -> None:
  """Saves all of `data` but its name, or nothing.

  Raises:
    InputError: a path that cannot be written to.
  """
  f, y = data.features, data.labels
  content = {
    'version': VERSION,
    'dense_names': f.dense_names,
    'sparse_names': f.sparse_names,
    'categorical_names': f.categorical_names,
    'values': f.values,
    'text': f.text,
    'label_names': y.names,
    'kind': y.kind,
    'splits': list(data.splits),
  }
  buffer = io.BytesIO()
  np.savez(
    buffer,
    allow_pickle=False,
    content=np.frombuffer(json.dumps(content).encode(), np.uint8),
    **f.arrays(),
    **y.arrays(),
    **{f'split_{i}': rows for i, rows in enumerate(data.splits.values())},
  )
  with zipfile.ZipFile(buffer, 'a') as archive:
    archive.comment = bytes(DIGITS)
  with buffer.getbuffer() as view:
    digest = hashlib.sha256(view[:-DIGITS]).hexdigest()
    view[-DIGITS:] = digest.encode()
  try:
    run_folder.atomic_write(path, buffer.getvalue())
  except OSError as error:
    raise InputError(
      f'{path}: not written ({error.strerror}): check folder and disk'
    ) from None


def read(path) -> Table:
  """Reads what `write` wrote; nothing is unpickled or unpacked.

  Raises:
    InputError: no such file, a damaged one, one of another version, or what
      `Features.of` and `Labels.of` refuse.
  """
  try:
    data = pathlib.Path(path).read_bytes()
  except OSError as error:
    raise InputError(
      f'{path}: not readable ({error.strerror}): check the path'
    ) from None
  digest = hashlib.sha256(memoryview(data)[:-DIGITS]).hexdigest()
  if data[-DIGITS:] != digest.encode():
    raise InputError(
      f'{path}: damaged, or not written by mlc: write it again, or get it again'
    )
  try:
    return _table(data, str(path))
  except InputError:
    raise
  # The checksum holds, so somebody made the file by hand, and there is no end
  # to what zipfile, NumPy, JSON and SciPy raise on what they do not expect.
  except Exception as error:
    reason = ' '.join(f'{type(error).__name__} {error}'.split())[:100]
    raise InputError(
      f'{path}: not a data set ({reason}): write it with mlc.data.readers.npz'
    ) from error


def _table(data: bytes, where: str) -> Table:
  """The checked content of a file."""
  with np.load(io.BytesIO(data), allow_pickle=False) as file:
    if any(member.compress_type for member in file.zip.infolist()):
      raise InputError(f'{where}: compressed: save it with numpy.savez')
    content = json.loads(file['content'].tobytes())
    if content['version'] != VERSION:
      raise InputError(
        f'{where}: of version {content["version"]!r}, not {VERSION}: write it'
        ' again'
      )
    arrays = {name: file[name] for name in ARRAYS}
    splits = {
      name: file[f'split_{i}'] for i, name in enumerate(content['splits'])
    }
  for name, (types, ndim) in ARRAYS.items():
    array = arrays[name]
    if array.dtype not in types or array.ndim != ndim:
      raise InputError(
        f'{where}: {name} is of type {array.dtype}{array.shape}: write the file'
        ' with mlc.data.readers.npz'
      )
  num_x, num_y = len(arrays['dense']), len(arrays['y_indptr']) - 1
  if num_x != num_y:
    raise InputError(
      f'{where}: x of {num_x} rows and y of {num_y}: give both the same rows'
    )
  names = content['label_names']
  y_NxL = _csr(arrays, 'y', arrays['y_data'], len(names))
  unknown = np.full(len(arrays['missing_indices']), np.nan, np.float32)
  missing_NxL = _csr(arrays, 'missing', unknown, len(names))
  return Table(
    Features.of(
      dense=arrays['dense'],
      dense_names=content['dense_names'],
      sparse_columns=_csr(
        arrays, 'sparse', arrays['sparse_data'], len(content['sparse_names'])
      ),
      sparse_names=content['sparse_names'],
      categorical=arrays['categorical'],
      categorical_names=content['categorical_names'],
      values=content['values'],
      text=content['text'],
      where=where,
    ),
    Labels.of(
      y_NxL + missing_NxL,
      names,
      kind=content['kind'],
      edges=arrays['edges'],
      where=where,
    ),
    splits,
  )


def _csr(arrays, name: str, data, width: int) -> sparse.csr_array:
  """The matrix of that name; ValueError where its indices lie outside."""
  indptr = arrays[f'{name}_indptr']
  matrix = sparse.csr_array(
    (data, arrays[f'{name}_indices'], indptr), shape=(len(indptr) - 1, width)
  )
  matrix.check_format(full_check=True)
  return matrix
