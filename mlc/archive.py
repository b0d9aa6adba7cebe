"""Named arrays and JSON in one folder: whole, as written, or refused.

An archive is a folder with `arrays`, which is orbax's, and `about.json`, which
names every array and holds a SHA-256 over all files. It is written under a
hidden name, synced to the disk and renamed, so that a process killed at any
moment leaves it whole or not at all. (Orbax renames too, and tensorstore syncs
the arrays; but nobody syncs orbax's metadata and the folders.)
"""

from collections.abc import Iterator
import contextlib
import functools
import hashlib
import json
import logging
import os
import pathlib
import shutil
import sys
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from mlc import run_folder
from mlc.errors import InputError

ABOUT, ARRAYS, DIGEST = 'about.json', 'arrays', 'sha256'


def kind(leaf) -> tuple[str, list[int]]:
  """Type and shape of an array, or of a number."""
  if not hasattr(leaf, 'dtype'):
    leaf = np.asarray(leaf)
  return leaf.dtype.name, list(leaf.shape)


def describe(arrays: dict[str, np.ndarray], **content) -> dict[str, Any]:
  """What about.json is to say: `content` and the kind of each array.

  As reading gives it, so NaN and infinity are strings already.

  Raises:
    TypeError: what JSON cannot hold, or an array that is not of numbers.
  """
  for name, array in arrays.items():
    if array.dtype.kind in 'OSUMm' or not array.dtype.isnative:
      raise TypeError(f'{name} is of type {array.dtype}: not to be saved')
  kinds = {name: kind(array) for name, array in arrays.items()}
  return json.loads(run_folder.json_line(content | {'arrays': kinds}))


def write(path: pathlib.Path, arrays: dict[str, np.ndarray], content) -> None:
  """Makes or replaces the archive `path`; where that fails, nothing changes.

  Args:
    path: a folder.
    arrays: by name.
    content: from `describe`.

  Raises:
    InputError: no space, no rights, or whatever else orbax fails with.
  """
  temporary = path.with_name(f'.{path.name}.tmp')
  try:
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    # Orbax refuses arrays of no elements; their kind says all of them.
    filled = {name: array for name, array in arrays.items() if array.size}
    if filled:
      with _orbax('write') as checkpointer:
        checkpointer.save(
          # Orbax refuses relative paths.
          (temporary / ARRAYS).absolute(),
          args=ocp.args.StandardSave(filled),
        )
    content = content | {DIGEST: _digest(temporary / ARRAYS, content)}
    (temporary / ABOUT).write_text(json.dumps(content) + '\n')
    for entry in (temporary, *temporary.rglob('*')):
      _sync(entry)
    old = _aside(path) if path.exists() else None
    temporary.rename(path)
    _sync(path.parent)
    if old:
      shutil.rmtree(old)
  except Exception as error:
    shutil.rmtree(temporary, ignore_errors=True)
    raise InputError(
      f'{path}: not saved ({_reason(error)}): see to space and rights on this'
      ' disk, then run the same command again; what was saved before is whole'
    ) from error


def read(path: pathlib.Path, advice: str) -> tuple[dict[str, Any], Any]:
  """(arrays by name, content) as they were written.

  Raises:
    InputError: it is damaged; `advice` says what to do then.
  """
  try:
    content = json.loads((path / ABOUT).read_text())
    # Before orbax opens a file: what is damaged it may read for ever, or print
    # a traceback for each of its threads.
    if content.pop(DIGEST) != _digest(path / ARRAYS, content):
      raise ValueError('not what was saved')
    arrays = {
      name: np.zeros(shape, dtype)
      for name, (dtype, shape) in content['arrays'].items()
      if 0 in shape
    }
    if (path / ARRAYS).exists():
      with _orbax('read') as checkpointer:
        filled = checkpointer.restore(
          (path / ARRAYS).absolute(), args=ocp.args.StandardRestore()
        )
      arrays |= {name: np.asarray(array) for name, array in filled.items()}
  # There is no end to what orbax, tensorstore and json raise.
  except Exception as error:
    raise InputError(
      f'{path}: a damaged checkpoint ({_reason(error)}): {advice}'
    ) from error
  return arrays, content


def remove(path: pathlib.Path) -> None:
  """Removes an archive; killed meanwhile, it leaves no part that counts.

  Raises:
    InputError: no rights.
  """
  try:
    shutil.rmtree(_aside(path))
  except OSError as error:
    raise InputError(
      f'{path}: not removed ({error.strerror}): see to the rights, then run the'
      ' same command again'
    ) from error


def clean(folder: pathlib.Path) -> None:
  """Removes what killed processes left half-written in `folder`."""
  for path in folder.glob('.*.tmp'):
    shutil.rmtree(path, ignore_errors=True)


def _digest(folder: pathlib.Path, content) -> str:
  """SHA-256 over `content` and the names and bytes of all files in `folder`."""
  made = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
  for file in sorted(path for path in folder.rglob('*') if path.is_file()):
    with open(file, 'rb') as opened:
      whole = hashlib.file_digest(opened, 'sha256').hexdigest()
    made.update(f'\n{file.relative_to(folder)} {whole}'.encode())
  return made.hexdigest()


@contextlib.contextmanager
def _orbax(name: str) -> Iterator[ocp.Checkpointer]:
  """A checkpointer of this process alone, which prints nothing.

  What goes wrong it raises; that it prints tracebacks too is of no use.
  """

  def others(record) -> bool:
    return 'orbax' not in pathlib.Path(record.pathname).parts

  process = jax.process_index()
  options = ocp.options.MultiprocessingOptions(
    primary_host=process,
    active_processes={process},
    barrier_sync_key_prefix=f'{name}{process}',
  )
  logger = logging.getLogger('absl')
  logger.addFilter(others)
  _leave_orphans_quiet()
  try:
    handler = ocp.StandardCheckpointHandler(multiprocessing_options=options)
    with ocp.Checkpointer(
      handler, multiprocessing_options=options
    ) as checkpointer:
      yield checkpointer
  finally:
    logger.removeFilter(others)


@functools.cache  # Once in a process.
def _leave_orphans_quiet() -> None:
  """Where one of several writes of orbax has failed it leaves the others.

  They end on a closed event loop and would print a traceback each.
  """
  logging.getLogger('asyncio').setLevel(logging.CRITICAL)
  before = sys.unraisablehook

  def unless_orphaned(unraisable):
    if str(unraisable.exc_value) != 'Event loop is closed':
      before(unraisable)

  sys.unraisablehook = unless_orphaned


def _reason(error: Exception) -> str:
  """One line that says what happened."""
  text = ' '.join(str(error).split())
  if 'No space left' in text:
    return 'no space left on the disk'
  return f'{type(error).__name__}: {text[:200]}'


def _sync(path: pathlib.Path) -> None:
  """Waits until a file, or the names in a folder, are on the disk."""
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  except OSError:
    # Some network file systems refuse this for folders.
    if not path.is_dir():
      raise
  finally:
    os.close(descriptor)


def _aside(path: pathlib.Path) -> pathlib.Path:
  """Hides an archive, since its removal may be cut short -> where it is."""
  trash = path.with_name(f'.{path.name}.old.tmp')
  shutil.rmtree(trash, ignore_errors=True)
  return path.rename(trash)
