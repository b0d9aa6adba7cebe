"""The run folder: its files, and what a run was made with."""

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
from typing import IO, Any

from mlc.errors import InputError

# What --overwrite may remove, and so what a run may write. All else in a run
# folder is the user's.
RUN_CONTENT = (
  *('config.json', 'metadata.json', '*.jsonl', 'predictions*'),
  *('checkpoint*', 'table.*', 'matrix.*', 'ranks.*', 'regret.*', '.*.tmp'),
  *('coherence_*', 'reliability_*'),
  *('events.out.tfevents.*', 'profile*', 'stages'),
  *('tuning', 'tuning.json'),
  *('summary.json', 'DONE'),
)
# A folder with one of these is a run's. The first is the last to go.
RUN_MARKS = ('config.json', 'metrics.jsonl', 'checkpoint', 'checkpoints')
PACKAGES = (
  *('jax', 'jaxlib', 'flax', 'optax'),
  *('orbax-checkpoint', 'numpy', 'mlc'),
)
ABSENT = object()


def _sync(folder: pathlib.Path) -> None:
  """Wait until the names in `folder` are on the disk, in the order written."""
  file = os.open(folder, os.O_RDONLY)
  try:
    # Some network file systems refuse this for folders.
    with contextlib.suppress(OSError):
      os.fsync(file)
  finally:
    os.close(file)


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
    _sync(path.parent)
  except OSError as error:
    # Of a full disk the system does not say which file it was.
    error.filename = error.filename or str(path)
    raise
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


def json_line(row: Mapping) -> str:
  """`row` as one line of strict JSON.

  Numbers that JSON lacks become the strings 'nan', 'inf' and '-inf', which
  `float` reads back; null would not say which.
  """
  return json.dumps(_plain(row), allow_nan=False) + '\n'


def write_jsonl(path, rows: Iterable[Mapping]) -> None:
  """A `json_line` for each row: all lines or none."""
  atomic_write(path, ''.join(map(json_line, rows)))


def finish(folder, summary: Mapping) -> None:
  """Write summary.json and, when it is on the disk, the empty file DONE."""
  text = json.dumps(_plain(summary), indent=2, allow_nan=False) + '\n'
  atomic_write(pathlib.Path(folder) / 'summary.json', text)
  atomic_write(pathlib.Path(folder) / 'DONE', '')


def finished(folder) -> dict | None:
  """The summary of a run that is done, None of one that is not.

  Raises InputError where the run is done but its summary cannot be read.
  """
  folder = pathlib.Path(folder)
  if not (folder / 'DONE').exists():
    return None
  path = folder / 'summary.json'
  try:
    summary = json.loads(path.read_text())
    if isinstance(summary, dict):
      return summary
  except (OSError, ValueError):
    pass
  raise InputError(
    f'{path} cannot be read, though {folder.name}/DONE says that the run is '
    'done; remove DONE to finish the run again, or start anew with --overwrite'
  )


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


def _differences(old: dict, new: dict) -> dict[str, str]:
  """The keys that differ, each with both values as text."""
  old, new = _flat(old), _flat(new)
  found = {}
  for key in new | old:
    there, here = old.get(key, ABSENT), new.get(key, ABSENT)
    if there != here:
      there, here = (
        'absent' if v is ABSENT else json.dumps(v)[:60] for v in (there, here)
      )
      found[key] = f'{key} ({there} there, {here} here)'
  return found


def _clear(folder: pathlib.Path) -> None:
  """Remove what runs wrote, here and in run folders below; keep the rest."""

  # A clearing cut short leaves a run folder, and no run that seems done.
  def turn(path):
    name = path.name
    return name == RUN_MARKS[0], name in RUN_MARKS, name != 'DONE'

  for path in sorted(folder.iterdir(), key=turn):
    real_folder = path.is_dir() and not path.is_symlink()
    if any(fnmatch.fnmatch(path.name, name) for name in RUN_CONTENT):
      shutil.rmtree(path) if real_folder else path.unlink()
    elif real_folder:
      _clear_below(path)


def _clear_below(folder: pathlib.Path) -> None:
  """`_clear` of the folder, or of those in it, that are a run's."""
  if any((folder / name).exists() for name in RUN_MARKS):
    _clear(folder)
  else:
    for path in folder.iterdir():
      if path.is_dir() and not path.is_symlink():
        _clear_below(path)
  if not any(folder.iterdir()):
    folder.rmdir()


def open_run(
  workdir, config_dict: Mapping, overwrite: bool, free: Iterable[str] = ()
) -> list[str]:
  """The folder of one run: new, gone on with, or overwritten.

  free: keys that may differ from those of the run that is there. What it came
    to is then no longer done, and what led there is kept.
  Returns those of them that do.

  Raises InputError where it holds a run of another config, or files that are
  not a run's; the latter are never removed.
  """
  folder = pathlib.Path(workdir)
  file = folder / 'config.json'
  config = _plain(config_dict)
  changed = []
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise InputError(
      f'cannot make {folder}: {error.strerror}; give another --workdir'
    ) from None
  if file.is_file() and not overwrite:
    try:
      differs = _differences(json.loads(file.read_text()), config)
    except ValueError:
      raise InputError(
        f'{file} cannot be read as a config; start anew with --overwrite'
      ) from None
    changed = [key for key in differs if key in {*free}]
    for key in changed:
      del differs[key]
    if differs:
      raise InputError(
        f'{file} is of another config: {next(iter(differs.values()))}; take'
        ' another --workdir, or start anew with --overwrite'
      )
    if not changed:
      return []
    (folder / 'DONE').unlink(missing_ok=True)
  elif file.is_file():
    _clear(folder)
  elif any(not p.match('.*.tmp') for p in folder.iterdir()):
    raise InputError(
      f'{folder} has files but no config.json, so it is not a run folder; '
      'give an empty or new folder as --workdir'
    )
  atomic_write(file, json.dumps(config, indent=2, allow_nan=False) + '\n')
  return changed


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
    # What the studies write is no code.
    written = ('RESULTS.md', '*.png', 'ablations/*')
    others = [':/', *(f':(top,exclude)experiments/{w}' for w in written)]
    changed = git('status', '--porcelain', '--', *others)
    return git('rev-parse', 'HEAD'), bool(changed)
  except (OSError, subprocess.CalledProcessError):
    return None, None


def metadata(devices: list[str], data_checksum=None) -> dict:
  """What made a run: code, versions, machine, devices, data, command, time."""

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
    'data_checksum': data_checksum,
    'command': list(sys.argv),
    'time': datetime.datetime.now().astimezone().isoformat(timespec='seconds'),
  }


def note_session(
  folder, devices: list[str], data_checksum: str | dict[str, str]
) -> dict:
  """What metadata.json says, once it knows of this process too.

  data_checksum: of the data, or of each of several by name; these may be more
    than they were.

  The first process that wrote there stays what it was; those that went on are
  listed under 'continued'. Raises InputError where the data are others.
  """
  path = pathlib.Path(folder) / 'metadata.json'
  now = metadata(devices, data_checksum)
  about = now
  if path.exists():
    try:
      about = json.loads(path.read_text())
      there = about['data_checksum']
    except (ValueError, KeyError, TypeError):
      raise InputError(
        f'{path} cannot be read; start anew with --overwrite'
      ) from None
    if isinstance(there, dict) and isinstance(data_checksum, dict):
      about['data_checksum'] = both = there | data_checksum
      changed = both != data_checksum | there
    else:
      changed = there != data_checksum
    if changed:
      raise InputError(
        f'{folder}: the data have changed since it was begun (checksum {there}'
        f' then, {data_checksum} now): put them back, or start anew with'
        ' --overwrite'
      )
    about['continued'] = [*about.get('continued', []), now]
  write_json(path, about)
  return about


def write_json(path, content: Mapping) -> None:
  """`content` in strict JSON, all of it or nothing."""
  atomic_write(path, json.dumps(_plain(content), indent=2) + '\n')
