"""Published tables that `experiments.reproduce` puts beside ours: a file each.

A file has a docstring (paper, table, protocol, command, time) and a `STUDY`;
the published numbers are in ../published/<name>.csv.
"""

import importlib
import json
import os
import pathlib
import pkgutil
import sys
import time
from typing import Any

from mlc import logs, parallel, provenance, run_folder
from mlc.errors import InputError, nearest
from mlc.tables import study

PUBLISHED = pathlib.Path(__file__).parent.parent / 'published'


def names() -> list[str]:
  """The studies: the files of this folder."""
  return [module.name for module in pkgutil.iter_modules(__path__)]


def load(name: str) -> tuple[Any, list[study.Published]]:
  """The module of a study and its published numbers."""
  if name not in names():
    raise nearest(name, names(), 'study')
  module = importlib.import_module(f'{__name__}.{name}')
  return module, study.read(PUBLISHED / f'{name}.csv', module.STUDY)


def ours(
  made: study.Study, dataset: str, folder: pathlib.Path, download: bool
) -> tuple[study.Ours, dict]:
  """Our values of a data set and how they were made.

  Read from `folder` where they are there for the same settings, else computed
  and kept there.
  """
  path = folder / f'{dataset}.json'
  digest = study.digest(made.datasets[dataset])
  if path.exists():
    try:
      kept = json.loads(path.read_text())
      if kept['digest'] == digest:
        cells = {(row[0], row[1]): tuple(row[2]) for row in kept['values']}
        return study.Ours(cells, kept['compile_seconds']), kept
    except (ValueError, KeyError, TypeError, IndexError):
      raise InputError(
        f'{path} cannot be read: remove it to compute it again'
      ) from None

  def say(text):
    if sys.stderr.isatty():
      print(f'\r{dataset}: {text:<60}', end='', file=sys.stderr, flush=True)

  clock = time.perf_counter()
  found = made.values(dataset, download, say)
  seconds = time.perf_counter() - clock
  say(f'{logs.duration(seconds)}\n')
  kept = {
    'digest': digest,
    'settings': made.datasets[dataset],
    'seconds': seconds - found.compile_seconds,
    'compile_seconds': found.compile_seconds,
    'cores': os.cpu_count(),
    'about': provenance.metadata(parallel.devices()),
    'values': [[*key, list(values)] for key, values in found.values.items()],
  }
  folder.mkdir(parents=True, exist_ok=True)
  run_folder.write_json(path, kept)
  return found, kept


def code_of(about: dict) -> str:
  """Commits, versions and date of what `provenance.metadata` says."""
  commits = [
    (run['commit'] or 'unknown')[:7] + ' with changes' * bool(run['dirty'])
    for run in (about, *about.get('continued', ()))
  ]
  versions = ', '.join(
    f'{name} {about["versions"][name]}' for name in ('jax', 'flax', 'numpy')
  )
  which = ', then '.join(dict.fromkeys(commits))
  return f'Commit {which}, {versions}, {about["time"][:10]}'


def made_by(kept: dict) -> str:
  """Commit, versions, date and seconds, in one sentence."""
  seconds, compiling = kept['seconds'], kept['compile_seconds']
  return (
    f'{code_of(kept["about"])}: {seconds:.0f} s and {compiling:.0f} s of'
    f' compilation on {kept["cores"]} CPU cores.'
  )
