"""Parsed files, kept so that a second load need not parse them."""

from collections.abc import Callable, Sequence
import hashlib
import json
import os
import pathlib

from absl import logging

from mlc.data.readers import npz
from mlc.data.table import Table
from mlc.errors import InputError

# To be raised when a reader gives another table of the same file.
VERSION = 1


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
  key = json.dumps([VERSION, npz.VERSION, *parts])
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
