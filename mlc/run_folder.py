"""The run folder: its files, and whether what is there may be gone on with."""

from collections.abc import Iterable, Iterator, Mapping
import contextlib
import fnmatch
import json
import math
import os
import pathlib
import secrets
import shutil
from typing import IO, Any

from mlc.errors import InputError

# What --overwrite may remove, and so what a run may write. All else in a run
# folder is the user's.
RUN_CONTENT = (
  *('config.json', 'metadata.json', '*.jsonl', 'predictions*'),
  *('checkpoint*', 'table.*', 'matrix.*', 'ranks.*', 'regret.*', '.*.tmp'),
  *('coherence_*', 'reliability_*'),
  *('events.out.tfevents.*', 'profile*', 'stages', 'refit'),
  *('tuning', 'tuning.json'),
  *('summary.json', 'DONE'),
)
# What training writes; the last is the last to be shared.
TRAINED = (
  *('tuning', 'tuning.json', 'stages', 'metrics.jsonl'),
  *('refit', 'checkpoints'),
)
# A folder with one of these is a run's. The first is the last to go.
RUN_MARKS = ('config.json', 'metrics.jsonl', 'checkpoint', 'checkpoints')
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


def is_done(folder, config_dict: Mapping) -> bool:
  """Whether a run of just this config is done there."""
  folder = pathlib.Path(folder)
  if not (folder / 'DONE').exists():
    return False
  try:
    there = json.loads((folder / 'config.json').read_text())
  except (OSError, ValueError):
    return False
  return not _differences(there, _plain(config_dict))


def share(source, target) -> None:
  """Gives the run in `target` what training wrote in `source`, which is done.

  Nothing where `target` has a training of its own.
  """
  source, target = pathlib.Path(source), pathlib.Path(target)
  if not (source / 'DONE').exists() or (target / TRAINED[-1]).exists():
    return
  for path in (source / name for name in TRAINED if (source / name).exists()):
    copy = target / f'.{path.name}.{secrets.token_hex(8)}.tmp'
    place = target / path.name
    if path.is_dir():
      shutil.copytree(path, copy)
      shutil.rmtree(place, ignore_errors=True)  # Of a copying cut short.
    else:
      shutil.copyfile(path, copy)
    copy.replace(place)


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


def write_json(path, content: Mapping) -> None:
  """`content` in strict JSON, all of it or nothing."""
  atomic_write(path, json.dumps(_plain(content), indent=2) + '\n')
