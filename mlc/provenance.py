"""What a run was made with: code, versions, machine, data, command, time."""

import datetime
import importlib.metadata
import json
import pathlib
import platform
import subprocess
import sys

from mlc import run_folder
from mlc.errors import InputError

PACKAGES = (
  *('jax', 'jaxlib', 'flax', 'optax'),
  *('orbax-checkpoint', 'numpy', 'mlc'),
)


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
    written = ('RESULTS.md', '*.png', '*.jsonl', 'ablations/*')
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
  run_folder.write_json(path, about)
  return about
