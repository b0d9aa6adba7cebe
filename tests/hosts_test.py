"""Runs of two real processes on this machine: the same numbers, a clean end."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
from outcomes import PATIENCE, ended, files, succeeded, wait_until
import pytest

from mlc import checkpoint, hosts
from mlc.errors import InputError

BODY = pathlib.Path(__file__).parent / 'two_processes.py'
LONG = pytest.mark.long
CLUSTER = ('SLURM_', 'TPU_', 'OMPI_', 'JAX_COORDINATOR')


def environment(**extra):
  clean = {k: v for k, v in os.environ.items() if not k.startswith(CLUSTER)}
  # conftest's folder of compiled programs, if there is one.
  cache = jax.config.jax_compilation_cache_dir
  clean |= {
    'JAX_COMPILATION_CACHE_DIR': cache or '',
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
    'JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES': '0',
  }
  return clean | extra


@pytest.fixture
def started():
  """Starts processes; none is left at the end."""
  with contextlib.ExitStack() as stack:

    def start(*args, of=(str(BODY),), **env):
      process = subprocess.Popen(
        [sys.executable, *of, *map(str, args)],
        cwd=BODY.parent.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**env),
      )
      stack.callback(process.wait)
      stack.callback(process.kill)
      return process

    yield start


def free_address():
  """A port that was free now: process 0 says so if it no longer is."""
  with socket.create_server(('', 0)) as server:
    return f'localhost:{server.getsockname()[1]}'


def pair(start, devices, epochs, **env):
  """Two processes of one run."""
  address = free_address()
  return [
    start(devices, epochs, address, 2, process, **env) for process in (0, 1)
  ]


def parsed(out):
  """(losses, parameters by name, number of devices) of a run's stdout."""
  *losses, last = map(json.loads, out.splitlines())
  return np.array(losses), last['params'], last['devices']


def complaint(process):
  """The lines of stderr of a process that must fail, in the middle of a run."""
  status, _, err = ended(process)
  assert status == 1, err
  return [line for line in err.splitlines() if 'WARNING' not in line]


def train_a_while(*processes):
  """Waits until each has done an epoch, and so is in the middle of others."""
  for process in processes:
    assert process.stdout.readline(), process.stderr.read()


@pytest.fixture(scope='module')
def alone():
  """What one process on one device comes to."""
  process = subprocess.run(
    [sys.executable, str(BODY), '1', '3'],
    capture_output=True,
    text=True,
    env=environment(),
    timeout=PATIENCE,
  )
  assert process.returncode == 0, process.stderr
  return parsed(process.stdout)


@LONG
@pytest.mark.parametrize('devices', [1, 2])
def test_two_processes_are_one_run(alone, started, devices):
  expected_losses, expected_params, one = alone
  assert one == 1
  for process in pair(started, devices, epochs=3):
    losses, params, found = parsed(succeeded(process)[0])
    assert found == 2 * devices
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-6)
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-6),
      params,
      expected_params,
    )


# Process 0 holds the service, so its loss is the harder one. A frozen process
# stands for a machine or a cable that is gone.
@pytest.mark.parametrize(
  'victim, how',
  [
    (0, signal.SIGKILL),
    pytest.param(1, signal.SIGKILL, marks=LONG),
    pytest.param(0, signal.SIGSTOP, marks=LONG),
    pytest.param(1, signal.SIGSTOP, marks=LONG),
  ],
)
def test_a_lost_process_ends_the_other_in_one_line(started, victim, how):
  processes = pair(started, 1, epochs=10**6)
  train_a_while(*processes)
  processes[victim].send_signal(how)
  # The heartbeat is 10 s here; a killed process is told from its connections.
  began = time.monotonic()
  assert complaint(processes[1 - victim]) == [f'error: {hosts.LOST}']
  assert time.monotonic() - began < 60


def test_an_error_of_one_process_ends_both(started):
  processes = pair(started, 1, epochs=10**6, FAILS='1')
  assert complaint(processes[1]) == ['error: the disk of this machine is full']
  assert complaint(processes[0]) == [f'error: {hosts.LOST}']


@pytest.mark.parametrize('process', [pytest.param(0, marks=LONG), 1])
def test_a_process_that_stays_alone_ends_in_one_line(started, process):
  address = free_address()
  alone = started(1, 1, address, 2, process, CONNECT_SECONDS='4')
  (line,) = complaint(alone)
  assert line.startswith('error: not all processes of the run came to')
  assert address in line


def test_a_port_that_is_taken_is_named():
  with socket.create_server(('', 0)) as server:
    address = f'localhost:{server.getsockname()[1]}'
    with pytest.raises(InputError, match=f'{address}: cannot listen there'):
      hosts.connect(address, 2, 0)


@pytest.mark.parametrize(
  'given, words',
  [
    (('a:1', None, 0), 'num_processes missing'),
    ((None, 2, None), 'coordinator_address and process_id missing'),
    (('localhost', 2, 1), "'localhost': give host:port"),
    (('a:1', 2, 2), 'process_id 2 of num_processes 2'),
    (('a:1', 2, -1), 'process_id -1'),
    (('a:1', 0, 0), 'num_processes 0'),
  ],
)
def test_flags_that_cannot_be_are_one_line(given, words, monkeypatch):
  for name in list(os.environ):
    if name.startswith(CLUSTER):
      monkeypatch.delenv(name)
  with pytest.raises(InputError, match=words) as caught:
    hosts.connect(*given)
  assert '\n' not in str(caught.value)


def test_a_cluster_that_is_none_is_one_line():
  # In a process of its own: `connect` takes over the descriptors of this one.
  done = subprocess.run(
    [sys.executable, '-c', 'from mlc import hosts; hosts.connect("auto")'],
    cwd=pathlib.Path(__file__).parent.parent,
    env={k: v for k, v in os.environ.items() if not k.startswith(CLUSTER)},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 1
  last = done.stderr.strip().splitlines()[-1]
  assert 'InputError: the variables of the cluster' in last


def test_without_flags_and_cluster_nothing_is_done(monkeypatch):
  for name in list(os.environ):
    if name.startswith(CLUSTER):
      monkeypatch.delenv(name)
  hosts.connect()
  hosts.connect('a:1', 1, 0)
  assert not jax.distributed.is_initialized()


@LONG
def test_slurm_tells_the_processes(alone, started):
  address = free_address()
  port = address.rpartition(':')[2]
  processes = [
    started(
      1,
      3,
      SLURM_JOB_ID='7',
      SLURM_STEP_NODELIST='localhost',
      SLURM_NTASKS='2',
      SLURM_PROCID=str(process),
      SLURM_LOCALID=str(process),
      JAX_COORDINATOR_PORT=port,
    )
    for process in (0, 1)
  ]
  for process in processes:
    losses, _, devices = parsed(succeeded(process)[0])
    assert devices == 2
    np.testing.assert_allclose(losses, alone[0], rtol=1e-6)


COMMAND = (
  '-m',
  'experiments.train',
  '--config=configs/chain.py:world/ising(num_labels=4,num_rows=200)',
  '--config.train.optimizer.name=sgd',
  '--config.train.patience=0',
  '--config.train.save_seconds=0.0',
)
MESH = (*COMMAND, '--config.train.parallel=mesh')
WHILE = (*MESH, '--config.train.epochs=60')


def of_command(start, folder, command):
  """Two processes of `experiments.train` in one folder."""
  address = free_address()
  return [
    start(
      f'--workdir={folder}',
      f'--coordinator_address={address}',
      '--num_processes=2',
      f'--process_id={process}',
      of=command,
    )
    for process in (0, 1)
  ]


def losses(folder):
  """Of all epochs and runs, as metrics.jsonl has them; one line an epoch."""
  text = (folder / 'metrics.jsonl').read_text()
  lines = [json.loads(line) for line in text.splitlines()]
  assert [line['epoch'] for line in lines] == [1, 2, 3]
  return [(line['train_loss'], line['valid_loss']) for line in lines]


def names(folder):
  """Of all files below, without what orbax and the events' writer make up."""
  plain = {name.partition('.tfevents')[0] for name in files(folder)}
  return {name.partition('/arrays/')[0] for name in plain}


def test_two_processes_of_the_command_are_one_run(started, tmp_path):
  alone, both = tmp_path / 'alone', tmp_path / 'both'
  few = '--config.seeds=2', '--config.train.epochs=3'
  one = started(f'--workdir={alone}', *few, of=COMMAND)
  first, second = of_command(started, both, (*MESH, *few))
  printed = succeeded(one)[0], succeeded(first)[0], succeeded(second)[0]
  assert ['subset' in out for out in printed] == [True, True, False]
  assert not printed[2]
  np.testing.assert_allclose(losses(both), losses(alone), rtol=0, atol=1e-6)
  # The second has left nothing of its own.
  assert names(both) == names(alone)
  about = json.loads((both / 'metadata.json').read_text())
  assert about['command'][-1] == '--process_id=0' and len(about['devices']) == 2


def trained(folder):
  """The variables that a command has saved."""
  return checkpoint.restore(folder / 'checkpoints' / 'final')[0]


@LONG
@pytest.mark.parametrize('processes', [1, 2])
def test_a_killed_command_goes_on_with_as_many_as_there_are(
  started, tmp_path, processes
):
  whole, broken = tmp_path / 'whole', tmp_path / 'broken'
  succeeded(started(f'--workdir={whole}', of=WHILE))
  first, second = of_command(started, broken, WHILE)
  assert wait_until(
    first, lambda: list(broken.glob('checkpoints/[0-9]*/about.json'))
  )
  second.kill()
  assert complaint(first)[-1] == f'error: {hosts.LOST}'
  assert not (broken / 'DONE').exists()
  if processes == 1:
    succeeded(started(f'--workdir={broken}', of=WHILE))
  else:
    for process in of_command(started, broken, WHILE):
      succeeded(process)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-6),
    trained(broken),
    trained(whole),
  )
