"""Named data sets: where their files are, and that they are the right ones."""

from collections.abc import Iterable
import dataclasses
import functools
import importlib
import importlib.resources
import os
import pathlib
import tomllib
from typing import Any

from mlc.data import cache, download
from mlc.data.readers import graph
from mlc.data.table import Table, concatenate
from mlc.errors import InputError, nearest


@dataclasses.dataclass(frozen=True)
class Entry:
  """One set of catalog.toml.

  reader: the module of mlc/data/readers that reads its files.
  parts: file of each of the source's splits, or of 'all' rows.
  sha256: of every file, also those that `options` name.
  rows, features, labels, cardinality: what the source's files hold.
  note: a trap in the data.
  """

  name: str
  citation: str
  licence: str
  source: str
  reader: str
  parts: dict[str, str]
  sha256: dict[str, str]
  labels: int
  rows: list[int] = dataclasses.field(default_factory=list)
  features: int = 0
  cardinality: float = 0.0
  url: str = ''
  note: str = ''
  folder: str = ''
  options: dict[str, Any] = dataclasses.field(default_factory=dict)


@functools.cache
def entries() -> dict[str, Entry]:
  """All named sets that are files."""
  file = importlib.resources.files('mlc.data') / 'catalog.toml'
  content = tomllib.loads(file.read_text('utf-8'))
  return {name: Entry(name, **fields) for name, fields in content.items()}


def find(name: str, also: Iterable[str] = ()) -> Entry:
  """The entry of a set; InputError, with the nearest name, where none is."""
  known = {key for key, entry in entries().items() if entry.reader != 'graph'}
  if name not in known:
    raise nearest(name, [*known, *also], 'data set')
  return entries()[name]


def read(entry: Entry, fetch: bool = False) -> Table:
  """The set as its reader gives it: from the cache, else from its files.

  fetch: download files that are nowhere on this machine.

  Raises:
    InputError: a file that is not there, or has other bytes than the source's.
  """
  paths = {file: locate(entry, file, fetch) for file in entry.sha256}
  folder, *others = {path.parent for path in paths.values()}
  if others:
    raise InputError(
      f'{entry.name}: its files lie in {folder} and {others[0]}: put all into'
      ' one'
    )
  # A part, or an option, that names no file stands for itself.
  options = {
    key: paths.get(value, value) if isinstance(value, str) else value
    for key, value in entry.options.items()
  }

  def parse() -> Table:
    reader = importlib.import_module(f'mlc.data.readers.{entry.reader}')
    tables = {
      split: reader.read(paths.get(part, folder), **options)
      for split, part in entry.parts.items()
    }
    if len(tables) == 1:
      return tables['all']
    return concatenate(tables, entry.name)

  key = [entry.reader, repr((entry.parts, entry.options, entry.sha256))]
  return cache.cached(key, download.cache_folder() / 'parsed', parse)


def label_graph(name: str, fetch: bool = False) -> graph.LabelGraph:
  """How often labels occur together: 'graphs/voc2007', 'graphs/coco2014'."""
  known = {n: e for n, e in entries().items() if e.reader == 'graph'}
  if name not in known:
    raise nearest(name, known, 'label graph')
  return graph.read(locate(known[name], known[name].parts['all'], fetch))


def locate(entry: Entry, file: str, fetch: bool = False) -> pathlib.Path:
  """Where a file of `entry` is, its bytes verified.

  In order: the folder of the set under $MLC_DATA; under data/ of the user
  cache; with `fetch`, downloaded to there.
  """
  folder = entry.folder or entry.name
  own = download.cache_folder() / 'data' / folder / file
  root = os.environ.get('MLC_DATA')
  places = [pathlib.Path(root, folder, file)] if root else []
  for path in [*places, own]:
    if path.exists():
      download.verify(path, entry.sha256[file])
      return path
  wanted = places[0] if places else own
  if not entry.url:
    raise InputError(
      f'{entry.name}: {file} is not here: make {wanted} by hand from'
      f' {entry.source}'
    )
  url = entry.url + file
  if not fetch:
    raise InputError(
      f'{entry.name}: {file} is not here: --download fetches it, or put {url}'
      f' at {wanted}'
    )
  with download.progress_bar(f'{entry.name} {file}') as report:
    download.fetch(url, own, entry.sha256[file], report=report)
  return own
