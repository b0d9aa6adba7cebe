"""The commands killed, stopped and refused: they end as if never cut.

Real processes on a small synthetic world, which save after every chunk of
steps, two chunks an epoch. A kill may come at any moment, also while a program
is written to the cache of compiled ones: hence a cache of their own.
"""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

from outcomes import (
  assert_same,
  ended,
  files,
  newest,
  numbered,
  refused,
  succeeded,
  table,
  wait_until,
)
import pytest

from mlc import archive

ROOT = pathlib.Path(__file__).parent.parent
WORLD = 'world/ising(num_labels=6,num_rows=600)'
TRAIN = {'epochs': 10, 'batch_size': 1, 'patience': 0, 'save_seconds': 0}
# Early stopping ends the runs of the group one after the other.
KINDS = {'jit': (1, {}), 'group': (3, {'patience': 2, 'optimizer.lr': 0.02})}
LONG = pytest.mark.long
# One worker, for all compare with the same whole runs.
pytestmark = pytest.mark.xdist_group('kill')


def flags(kind='group', prefix='', **changes):
  seeds, more = KINDS[kind]
  values = TRAIN | more | changes
  return [
    f'--config.seeds={seeds}',
    f'--config.{prefix}encoder.widths=(8,)',
    *(f'--config.{prefix}train.{k}={v}' for k, v in values.items()),
  ]


@pytest.fixture(scope='module')
def start(tmp_path_factory):
  """Starts a command of experiments/; none is left at the end."""
  env = {k: v for k, v in os.environ.items() if k != 'MLC_DATA'} | {
    'JAX_PLATFORMS': 'cpu',
    'JAX_COMPILATION_CACHE_DIR': str(tmp_path_factory.mktemp('xla')),
  }
  started = []

  def start(
    workdir, *flags, config=f'chain.py:{WORLD}', module='train', before=()
  ):
    process = subprocess.Popen(
      [
        *before,
        *(sys.executable, '-m', f'experiments.{module}'),
        *(f'--config=configs/{config}', f'--workdir={workdir}', *flags),
      ],
      cwd=ROOT,
      env=env,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    started.append(process)
    return process

  yield start
  for process in started:
    process.kill()
    process.wait()


@pytest.fixture(scope='module')
def wholes(start, tmp_path_factory):
  """`wholes(kind)` -> (workdir, stdout) of the run that nothing cut."""
  done = {}

  def whole(kind):
    if kind not in done:
      workdir = tmp_path_factory.mktemp('whole') / kind
      done[kind] = workdir, succeeded(start(workdir, *flags(kind)))[0]
    return done[kind]

  return whole


@pytest.fixture(scope='module')
def cut(start, tmp_path_factory):
  """A run ended by SIGTERM in the middle, and how it ended."""
  workdir = tmp_path_factory.mktemp('cut') / 'run'
  process = start(workdir, *flags())
  assert wait_until(process, lambda: len(numbered(workdir)) > 1)
  process.send_signal(signal.SIGTERM)
  return workdir, *ended(process)


@pytest.fixture
def cut_copy(cut, tmp_path):
  return shutil.copytree(cut[0], tmp_path / 'run')


def kill(process, workdir, moment, rng):
  """Kills `process` at `moment`; False if it ended before."""
  before = numbered(workdir)
  condition, seconds = {
    'starting': (lambda: True, 4),
    'training': (lambda: numbered(workdir) - before, 0.5),
    'saving': (lambda: numbered(workdir, '.[0-9]*.tmp'), 0.02),
    'ending': (lambda: numbered(workdir, '.final.tmp'), 0.1),
  }[moment]
  # What the last kill left half-written is removed before anything is saved.
  if moment != 'starting':
    wait_until(process, lambda: not numbered(workdir, '.*.tmp'))
  if wait_until(process, condition):
    time.sleep(rng.uniform(0, seconds))
  process.kill()
  status, _, err = ended(process)
  assert status in (0, -signal.SIGKILL), err
  return status != 0


def random_moments(seed):
  """Twenty, most of them while it trains."""
  moments = ('starting', 'training', 'saving', 'ending')
  return random.Random(seed).choices(moments, (2, 8, 8, 2), k=20)


@pytest.mark.parametrize(
  'kind, moments',
  [
    ('group', ['training', 'saving']),
    pytest.param('jit', random_moments(0), marks=LONG),
    pytest.param('group', random_moments(1), marks=LONG),
  ],
)
def test_killed_at_any_moment_it_ends_bit_for_bit_the_same(
  start, wholes, tmp_path, kind, moments
):
  whole, _ = wholes(kind)
  rng, left, run, in_a_save = random.Random(0), list(moments), 0, 0
  while left:
    workdir = tmp_path / str(run)
    process = start(workdir, *flags(kind))
    if kill(process, workdir, left[0], rng):
      moment, half = left.pop(0), numbered(workdir, '.[0-9]*.tmp')
      print(f'{kind}: {moment}, saved {numbered(workdir)}, half-written {half}')
      in_a_save += bool(half) and moment != 'starting'
      for name in numbered(workdir):
        archive.read(workdir / 'checkpoints' / name, advice='')
    else:
      # It came to its end before that moment: the next kills are of a new run.
      assert_same(workdir, whole)
      run += 1
      assert run < len(moments), f'no kill hits while {left[0]}'
  succeeded(start(tmp_path / str(run), *flags(kind)))
  assert_same(tmp_path / str(run), whole)
  print(f'{kind}: {len(moments)} kills, {in_a_save} in a save, {run + 1} runs')
  assert in_a_save or 'saving' not in moments


def test_early_stopping_ends_runs_of_the_group_apart(wholes):
  lines = (wholes('group')[0] / 'metrics.jsonl').read_text().splitlines()
  running = [
    [v is not None for v in json.loads(s)['valid_loss']] for s in lines
  ]
  assert len({tuple(alive) for alive in running}) > 1


def test_sigterm_saves_and_the_same_command_goes_on(start, wholes, cut):
  workdir, status, out, err = cut
  assert status == 0, err
  assert out == f'{workdir}: stopped and saved; the same command goes on\n'
  assert not (workdir / 'DONE').exists()
  workdir = shutil.copytree(workdir, workdir.with_name('goes_on'))
  _, err = succeeded(start(workdir, *flags()))
  assert 'goes on after epoch' in err
  assert_same(workdir, wholes('group')[0])


@LONG
def test_sigterm_saves_though_no_save_is_due(start, tmp_path):
  process = start(tmp_path / 'run', *flags(save_seconds=1000))
  assert wait_until(process, (tmp_path / 'run/metadata.json').exists)
  process.send_signal(signal.SIGTERM)
  out, _ = succeeded(process)
  assert 'stopped and saved' in out
  assert numbered(tmp_path / 'run')


def test_another_config_is_refused_by_its_key_and_changes_nothing(
  start, cut_copy
):
  before = files(cut_copy)
  line = refused(start(cut_copy, *flags(**{'optimizer.lr': 0.5})))
  assert 'is of another config: train.optimizer.lr (0.02 there, 0.5 h' in line
  assert files(cut_copy) == before


def test_a_finished_run_is_read_and_not_trained_again(start, wholes, tmp_path):
  whole, printed = wholes('group')
  workdir = shutil.copytree(whole, tmp_path / 'run')
  again = ('table', 'metadata.json')
  before = files(workdir)
  out, err = succeeded(start(workdir, *flags()))
  assert 'chain: done before' in err
  # The last line says where the table is, and how long all took.
  assert out.splitlines()[:-1] == printed.splitlines()[:-1]
  for name, found in files(workdir).items():
    assert found == before[name] or name.startswith(again), name
  assert table(workdir) == table(whole)


@pytest.mark.parametrize(
  'damaged',
  [
    lambda data: data[:-99] + bytes([data[-99] ^ 1]) + data[-98:],
    pytest.param(lambda data: data[:-99], marks=LONG),
  ],
  ids=['flipped', 'truncated'],
)
def test_a_damaged_checkpoint_is_refused_by_name(start, cut_copy, damaged):
  last = newest(cut_copy)
  (arrays,) = (last / archive.ARRAYS / 'd').iterdir()
  arrays.write_bytes(damaged(arrays.read_bytes()))
  before = files(cut_copy / 'checkpoints')
  line = refused(start(cut_copy, *flags()))
  assert line.startswith(f'error: {last}: a damaged checkpoint (')
  assert files(cut_copy / 'checkpoints') == before
  shutil.rmtree(last)
  assert f'go on from step {newest(cut_copy).name}' in line
