"""How a command of experiments/ ended, and what it left in its work folder."""

import csv
import json
import time

import jax
import numpy as np

from mlc import checkpoint

# For a machine on which all is slow; where all is well none is waited for.
PATIENCE = 300


def ended(process):
  """(exit status, stdout, stderr)."""
  out, err = process.communicate(timeout=PATIENCE)
  return process.returncode, out, err


def succeeded(process):
  status, out, err = ended(process)
  assert status == 0, err
  return out, err


def refused(process):
  """The line of an error; what came before it on stderr is no traceback."""
  status, out, err = ended(process)
  assert status == 1 and out == '', (out, err)
  assert 'Traceback' not in err, err
  *_, line = err.strip().splitlines()
  assert line.startswith('error: ') and err.count('error: ') == 1, err
  return line


def numbered(workdir, pattern='[0-9]*'):
  return {path.name for path in (workdir / 'checkpoints').glob(pattern)}


def newest(workdir):
  return workdir / 'checkpoints' / max(numbered(workdir), key=int)


def wait_until(process, condition):
  """True when `condition()` comes true, False if the process ends first."""
  deadline = time.monotonic() + PATIENCE
  while not condition():
    if process.poll() is not None:
      return False
    assert time.monotonic() < deadline, 'waited in vain'
    time.sleep(0.002)
  return True


def files(folder):
  """Bytes and time of change of all files below, by name."""
  return {
    str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
    for path in folder.rglob('*')
    if path.is_file()
  }


def without_seconds(records):
  return [r for r in records if not r['metric'].endswith('_seconds')]


def result(folder):
  """All that a run leaves, but for the time it took."""
  variables, about = checkpoint.restore(folder / 'checkpoints' / 'final')
  leaves = jax.tree_util.tree_leaves_with_path(variables)
  summary = json.loads((folder / 'summary.json').read_text())
  with np.load(folder / 'predictions_test.npz') as saved:
    predictions = dict(saved)
  assert (folder / 'DONE').exists()
  assert not numbered(folder, '.*')
  arrays = {jax.tree_util.keystr(path): leaf for path, leaf in leaves}
  for one in (about, summary):
    del one['compile_seconds'], one['train_seconds']
  return {
    'about': about,
    'summary': summary | {'records': without_seconds(summary['records'])},
    'metrics': (folder / 'metrics.jsonl').read_bytes(),
  } | {
    name: (array.dtype.str, array.shape, array.tobytes())
    for name, array in (arrays | predictions).items()
  }


def table(workdir):
  with (workdir / 'table.csv').open() as file:
    return without_seconds(csv.DictReader(file))


def assert_same(workdir, whole):
  found, expected = result(workdir), result(whole)
  differ = [k for k in found | expected if found.get(k) != expected.get(k)]
  assert not differ, differ
  assert table(workdir) == table(whole), 'another table'
