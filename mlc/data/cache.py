"""Parsed files, kept so that a second load need not parse them."""

from collections.abc import Callable, Sequence
import functools
import hashlib
import json
import os
import pathlib

from absl import logging

from mlc.data.readers import npz
from mlc.data.table import Table
from mlc.errors import InputError


@functools.cache
def _code() -> str:
  """A digest of all code that decides what a file is read as."""
  digest = hashlib.sha256()
  folder = pathlib.Path(__file__).parent
  for path in sorted([*folder.glob('*.py'), *folder.glob('readers/*.py')]):
    digest.update(path.read_bytes())
  return digest.hexdigest()


def cached(
  parts: Sequence[str], folder: pathlib.Path, parse: Callable[[], Table]
) -> Table:
  """`parse()`, from `folder` where it was kept there before.

  What goes wrong with the cache is a warning and never an error.

  Args:
    parts: all that the table follows from: the SHA-256 of each source file, the
      reader and its options.
    folder: made where there is none.
    parse: reads the source files.
  """
  key = json.dumps([_code(), *parts])
  path = folder / f'{hashlib.sha256(key.encode()).hexdigest()}.npz'
  if os.path.exists(path):
    try:
      return npz.read(path)
    except InputError as error:
      logging.warning('%s; the source is parsed again', error)
  table = parse()
  try:
    folder.mkdir(parents=True, exist_ok=True)
    npz.write(table, path)
  except (InputError, OSError) as error:
    logging.warning('%s; nothing is cached, loading stays slow', error)
  return table
