"""`load`: a named data set, a known world, or a file that a reader knows."""

import importlib
import inspect
import os
import pathlib

from mlc import calls
from mlc.data import catalog
from mlc.data.dataset import Dataset, from_arrays, from_table
from mlc.data.readers.files import OPENERS
from mlc.data.table import Table
from mlc.errors import InputError, nearest

# The reader of a file by its suffix; a table that has labels= is a frame.
READERS = {
  '.arff': 'arff',
  '.svm': 'libsvm',
  '.libsvm': 'libsvm',
  '.txt': 'libsvm',
  '.csv': 'frame',
  '.tab': 'frame',
  '.pq': 'frame',
  '.parquet': 'frame',
  '.tsv': 'text',
  '.jsonl': 'text',
  '.npz': 'npz',
}
WORLD = 'world/'


def load(name, seed: int = 0, *, download: bool = False, **options) -> Dataset:
  """Loads a data set.

  Args:
    name: a set of the catalogue, 'mulan/yeast' (catalog.toml lists them);
      'yeast', river's copy, which is on every machine but has Mulan's rows in
      another order, so that no table of Mulan's split fits it; a world whose
      p(y | x) is known, 'world/ising(num_labels=8, num_rows=2000)'
      (synthetic/); or the path of a file (`READERS`).
    seed: cuts what the source has not cut: 60/20/20 where it has no split, a
      fifth of train for validation where it has no validation rows. Draws the
      rows of a world.
    download: fetch files of the catalogue that are not on this machine.
    **options: for the reader of a path, as labels='first:6', drop=('id',).
      Those that are '' or None do not count.

  Raises:
    InputError: an unknown name, files that are not there or not the right
      ones, and what the reader refuses.
  """
  name = str(name)
  # A flag or a config line that is not given is '' or None.
  options = {k: v for k, v in options.items() if v is not None and str(v) != ''}
  if options and not _is_path(name):
    raise InputError(
      f'{name}: {options} is for the reader of a file: give a path, or nothing'
    )
  if name == 'yeast':
    return _river_yeast(seed)
  if name.startswith(WORLD):
    drawn, num_rows = world(name)
    return drawn.dataset(num_rows, seed)
  if _is_path(name):
    return from_table(_read(pathlib.Path(name), options), name=name, seed=seed)
  entry = catalog.find(name, also=['yeast', WORLD])
  return from_table(catalog.read(entry, download), name=name, seed=seed)


def _is_path(name: str) -> bool:
  return name not in catalog.entries() and (
    _suffix(name) in READERS or os.path.exists(name)
  )


def _suffix(name: str) -> str:
  """'.arff' of a.arff and of a.ARFF.gz."""
  path = pathlib.Path(name.lower())
  return path.with_suffix('').suffix if path.suffix in OPENERS else path.suffix


def _read(path: pathlib.Path, options) -> Table:
  suffix = _suffix(path.name)
  if suffix not in READERS:
    raise InputError(
      f'{path}: no reader for {suffix or "a folder"!r}: give one of'
      f' {", ".join(READERS)}, or a name of the catalogue'
    )
  name = 'frame' if suffix == '.tsv' and options else READERS[suffix]
  reader = importlib.import_module(f'mlc.data.readers.{name}')
  known = [*inspect.signature(reader.read).parameters][1:]
  calls.check(options, known, f'a {suffix} file')
  return reader.read(path, **options)


def world(name: str):
  """'world/ising(num_labels=8, num_rows=2000)' -> (the world, its rows).

  Raises:
    InputError: an unknown world or option.
  """
  from mlc.data import synthetic  # It needs JAX, which no file does.

  kind, options = calls.parse(name.removeprefix(WORLD), 'world')
  worlds = synthetic.worlds()
  if kind not in worlds:
    raise nearest(kind, worlds, 'world')
  known = inspect.signature(worlds[kind]).parameters
  calls.check(options, [*known, 'num_rows'], kind)
  num_rows = options.pop('num_rows', 1000)
  return worlds[kind](**options), num_rows


def _river_yeast(seed: int) -> Dataset:
  from river import datasets  # Slow (seconds), and no other set needs it.

  rows = list(datasets.Yeast())
  features, labels = rows[0]
  return from_arrays(
    [list(x.values()) for x, _ in rows],
    [list(y.values()) for _, y in rows],
    name='yeast',
    feature_names=features,
    label_names=labels,
    seed=seed,
  )
