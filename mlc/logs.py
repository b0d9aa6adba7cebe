"""Progress, the run folder, and what a run was made with."""

from collections.abc import Iterable, Iterator, Mapping
import contextlib
import datetime
import fnmatch
import importlib.metadata
import json
import math
import os
import pathlib
import platform
import secrets
import shutil
import subprocess
import sys
import time
from typing import IO, Any

from rich import progress as rich_progress
from rich.console import Console

from mlc.errors import InputError

# What --overwrite may remove, and so what a run may write. All else in a run
# folder is the user's.
RUN_CONTENT = (
  *('config.json', 'metadata.json', '*.jsonl', 'predictions*'),
  *('checkpoint*', 'table.*', '.*.tmp'),
)
RUN_MARKS = ('config.json', 'metrics.jsonl', 'checkpoint')
PACKAGES = (
  *('jax', 'jaxlib', 'flax', 'optax'),
  *('orbax-checkpoint', 'numpy', 'mlc'),
)
ABSENT = object()


def duration(seconds: float) -> str:
  """Seconds as a reader says them: '12 s', '3 min 05 s', '2 h 04 min'."""
  whole = round(seconds)
  if whole < 60:
    return f'{whole} s'
  if whole < 3600:
    return f'{whole // 60} min {whole % 60:02d} s'
  return f'{whole // 3600} h {whole % 3600 // 60:02d} min'


class Progress:
  """What runs now, how far it is, and how long it will take.

  A bar on a terminal; elsewhere plain lines: one when a name starts, then at
  most one every `every` seconds.
  """

  def __init__(
    self,
    total_units: float,
    stream: IO[str] | None = None,
    *,
    every: float = 5.0,
    clock=time.monotonic,
  ):
    self.total, self.done, self.name = total_units, 0.0, ''
    self.stream = sys.stderr if stream is None else stream
    self.every, self.clock = every, clock
    self.began = self.printed = clock()
    self.bar = None
    console = Console(file=self.stream)
    if self.stream.isatty() and not console.is_dumb_terminal:
      column = rich_progress.TextColumn
      self.bar = rich_progress.Progress(
        column('{task.description}', style='bold', markup=False),
        rich_progress.BarColumn(bar_width=24),
        rich_progress.TaskProgressColumn(),
        rich_progress.TimeElapsedColumn(),
        column('{task.fields[left]}', style='cyan', markup=False),
        column('{task.fields[text]}', style='dim', markup=False),
        console=console,
        # Else what is printed to a redirected stdout would land on the bar's
        # stream and be missing from the file.
        redirect_stdout=sys.stdout.isatty(),
      )
      self.task = self.bar.add_task('', total=total_units, left='', text='')

  def __enter__(self) -> 'Progress':
    """Start the clock and, on a terminal, draw the bar."""
    self.began = self.printed = self.clock()
    if self.bar:
      self.bar.start()
    return self

  def __exit__(self, kind, *_) -> None:
    """Close the bar; in plain lines, say how long all of it took."""
    if self.bar:
      self.bar.stop()
    elif kind is None:
      took = duration(self.clock() - self.began)
      print(f'[100%] done in {took}', file=self.stream, flush=True)

  def start(self, name: str) -> None:
    """`name` runs from now on."""
    self.name = name
    self._show('starts', now=True)

  def advance(self, units: float, text: str = '') -> None:
    """`units` more are done; `text` says where it stands, for a human."""
    self.done += units
    self._show(text)

  def _show(self, text: str, now: bool = False) -> None:
    clock = self.clock()
    elapsed = clock - self.began
    part = min(self.done / self.total, 1.0) if self.total else 1.0
    left = ''
    if 0 < part < 1:
      left = f'about {duration(elapsed * (1 - part) / part)} left'
    if self.bar:
      self.bar.update(
        self.task,
        description=self.name,
        completed=self.done,
        left=left,
        text=text,
      )
    elif now or clock - self.printed >= self.every:
      self.printed = clock
      times = ', '.join(filter(None, (duration(elapsed), left)))
      line = f'[{math.floor(100 * part):3d}%] {self.name}: {text} ({times})'
      print(line, file=self.stream, flush=True)


@contextlib.contextmanager
def replacing(path) -> Iterator[IO[bytes]]:
  """A file to write, which becomes `path` if the block succeeds.

  Any number of threads and hosts may do so at once: the last one stays.
  """
  path = pathlib.Path(path)
  # Not the process id: threads share it, and containers may all have the same.
  unique = secrets.token_hex(8)
  temporary = path.with_name(f'.{path.name}.{unique}.tmp')
  try:
    with open(temporary, 'xb') as file:
      yield file
      file.flush()
      os.fsync(file.fileno())
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)


def atomic_write(path, content: str | bytes) -> None:
  """Write all of `content` to `path` or, when that fails, nothing."""
  with replacing(path) as file:
    file.write(content.encode() if isinstance(content, str) else content)


def _plain(value) -> Any:
  """`value` in strict JSON's types."""
  if hasattr(value, 'tolist'):  # numpy and jax, scalars and arrays
    value = value.tolist()
  if isinstance(value, Mapping):
    return {str(key): _plain(item) for key, item in value.items()}
  if isinstance(value, list | tuple):
    return [_plain(item) for item in value]
  if isinstance(value, float) and not math.isfinite(value):
    return str(value)
  return value


def write_jsonl(path, rows: Iterable[Mapping]) -> None:
  """One strict JSON object a line, all lines or none.

  Numbers that JSON lacks become the strings 'nan', 'inf' and '-inf', which
  `float` reads back; null would not say which.
  """
  lines = (json.dumps(_plain(row), allow_nan=False) for row in rows)
  atomic_write(path, ''.join(line + '\n' for line in lines))


def _flat(value, prefix: str = '') -> dict:
  """Nested keys joined by dots; lists of dicts count as dicts by index."""
  if isinstance(value, list) and any(isinstance(v, dict) for v in value):
    value = dict(enumerate(value))
  if not isinstance(value, dict) or (prefix and not value):
    return {prefix: value}
  flat = {}
  for key, item in value.items():
    flat |= _flat(item, f'{prefix}.{key}' if prefix else str(key))
  return flat


def _difference(old: dict, new: dict) -> str:
  """The first key that differs, with both values; '' where none does."""
  old, new = _flat(old), _flat(new)
  for key in new | old:
    there, here = old.get(key, ABSENT), new.get(key, ABSENT)
    if there != here:
      there, here = (
        'absent' if v is ABSENT else json.dumps(v)[:60] for v in (there, here)
      )
      return f'{key} ({there} there, {here} here)'
  return ''


def _clear(folder: pathlib.Path) -> None:
  """Remove what runs wrote, here and in run folders below; keep the rest."""
  # The config goes last: a clearing cut short leaves a run folder.
  for path in sorted(folder.iterdir(), key=lambda p: p.name == 'config.json'):
    real_folder = path.is_dir() and not path.is_symlink()
    if any(fnmatch.fnmatch(path.name, name) for name in RUN_CONTENT):
      shutil.rmtree(path) if real_folder else path.unlink()
    elif real_folder and any((path / name).exists() for name in RUN_MARKS):
      _clear(path)
      if not any(path.iterdir()):
        path.rmdir()


def open_run(workdir, config_dict: Mapping, overwrite: bool) -> pathlib.Path:
  """The folder of one run: new, gone on with, or overwritten.

  Raises InputError where it holds a run of another config, or files that are
  not a run's; the latter are never removed.
  """
  folder = pathlib.Path(workdir)
  file = folder / 'config.json'
  config = _plain(config_dict)
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise InputError(
      f'cannot make {folder}: {error.strerror}; give another --workdir'
    ) from None
  if file.is_file():
    if not overwrite:
      try:
        differs = _difference(json.loads(file.read_text()), config)
      except ValueError:
        raise InputError(
          f'{file} cannot be read as a config; start anew with --overwrite'
        ) from None
      if differs:
        raise InputError(
          f'{file} is of another config: {differs}; take another --workdir, '
          'or start anew with --overwrite'
        )
      return folder
    _clear(folder)
  elif any(not p.match('.*.tmp') for p in folder.iterdir()):
    raise InputError(
      f'{folder} has files but no config.json, so it is not a run folder; '
      'give an empty or new folder as --workdir'
    )
  atomic_write(file, json.dumps(config, indent=2, allow_nan=False) + '\n')
  return folder


def git_state(folder) -> tuple[str | None, bool | None]:
  """(commit, dirty) of the checkout that tracks `folder`, else (None, None).

  Untracked files count as dirty: a new model is one new file.
  """

  def git(*words):
    command = ['git', '-C', str(folder), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()

  try:
    # A package installed below another project's checkout is not tracked by
    # it, and that project's commit would say nothing.
    if not git('ls-files', '.'):
      return None, None
    return git('rev-parse', 'HEAD'), bool(git('status', '--porcelain'))
  except (OSError, subprocess.CalledProcessError):
    return None, None


def metadata(devices: list[str]) -> dict:
  """What made a run: code, versions, machine, devices, command and time."""

  def version(name):
    try:
      return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
      return None

  commit, dirty = git_state(pathlib.Path(__file__).parent)
  return {
    'commit': commit,
    'dirty': dirty,
    'versions': {name: version(name) for name in PACKAGES},
    'python': platform.python_version(),
    'platform': platform.platform(),
    'devices': list(devices),
    'command': list(sys.argv),
    'time': datetime.datetime.now().astimezone().isoformat(timespec='seconds'),
  }
