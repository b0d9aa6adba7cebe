import contextlib
import io
import json
import math
import os
import pathlib
import random
import re
import subprocess
import sys
import time
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest

from mlc import events, logs
from mlc.errors import InputError


class Terminal(io.StringIO):
  def isatty(self):
    return True


class Clock:
  now = 0.0

  def __call__(self):
    return self.now


@pytest.fixture
def clock():
  return Clock()


@pytest.fixture
def stream():
  return io.StringIO()


def test_plain_lines_say_name_percent_and_times(clock, stream):
  with logs.Progress(200, stream, clock=clock) as bar:
    bar.start('chain')
    clock.now = 12.0
    bar.advance(75, 'epoch 40/100, valid loss 5.912')
    clock.now = 3700.0
    bar.advance(125, 'epoch 100/100')
  assert stream.getvalue() == (
    '[  0%] chain: starts (0 s)\n'
    '[ 37%] chain: epoch 40/100, valid loss 5.912 '
    '(12 s, about 20 s left)\n'
    '[100%] chain: epoch 100/100 (1 h 01 min)\n'
    '[100%] done in 1 h 01 min\n'
  )


def test_plain_lines_are_seconds_apart_but_every_start_is_told(clock, stream):
  with logs.Progress(1000, stream, clock=clock) as bar:
    for name in ('chain', 'ising'):
      bar.start(name)
      for step in range(500):
        clock.now += 0.1
        bar.advance(1, f'step {step}')
  lines = stream.getvalue().splitlines()
  assert sum('starts' in line for line in lines) == 2
  assert 'ising: starts' in ''.join(lines)
  # 100 seconds, one line in five of them, none of it escape codes.
  assert 15 <= len(lines) <= 25
  assert '\x1b' not in stream.getvalue()


def test_next_to_nothing_done_tells_no_time_left(clock, stream):
  with logs.Progress(10_000, stream, clock=clock) as bar:
    bar.start('chain')
    bar.skip(5000, 'tuned before')
    clock.now = 10.0
    bar.advance(1, 'epoch 31/100')
  assert stream.getvalue().splitlines()[2:] == [
    '[ 50%] chain: epoch 31/100 (10 s)',
    '[100%] done in 10 s',
  ]


def test_what_is_skipped_does_not_shorten_the_time_left(clock, stream):
  with logs.Progress(100, stream, clock=clock) as bar:
    bar.start('chain')
    clock.now = 2.0
    bar.skip(60, 'goes on after epoch 60')
    clock.now = 10.0
    # 10 of the 40 units to do took 10 seconds.
    bar.advance(10, 'epoch 70/100')
    clock.now = 12.0
    bar.skip(30, 'done before')
  assert stream.getvalue().splitlines()[1:4] == [
    '[ 60%] chain: goes on after epoch 60 (2 s)',
    '[ 70%] chain: epoch 70/100 (10 s, about 30 s left)',
    '[100%] chain: done before (12 s)',
  ]


def test_rows_that_stop_early_shorten_the_time_left(clock, stream):
  with logs.Progress(300, stream, clock=clock) as bar:
    bar.start('chain')
    clock.now = 4.0
    bar.advance(20, 'epoch 20/100')
    bar.advance(80, 'epoch 20/100: stopped early', now=True)
  # A third took 4 seconds.
  assert stream.getvalue().splitlines()[1] == (
    '[ 33%] chain: epoch 20/100: stopped early (4 s, about 8 s left)'
  )


def test_an_exception_is_not_called_done(stream):
  with contextlib.suppress(RuntimeError), logs.Progress(10, stream) as bar:
    bar.start('chain')
    raise RuntimeError
  assert 'done' not in stream.getvalue()


@pytest.mark.parametrize('columns', [80, 120])
def test_a_terminal_gets_a_bar_that_fits(columns, clock):
  stream = Terminal()
  screen = {'TERM': 'xterm', 'COLUMNS': str(columns)}
  text = 'epoch 40/100, loss 5.912, valid nll 5.912, 123 k rows/s'
  with (
    mock.patch.dict(os.environ, screen),
    logs.Progress(200, stream, clock=clock) as bar,
  ):
    bar.start('chain[a]')
    clock.now = 12.0
    bar.advance(75, text)
  for part in ('chain[a]', '38%', 'about 20 s left', text, '━'):
    assert part in stream.getvalue()


@pytest.mark.parametrize(
  'seconds, expected',
  [(0.4, '0 s'), (59.4, '59 s'), (59.6, '1 min 00 s'), (185, '3 min 05 s'),
   (7440, '2 h 04 min')],
)  # fmt: skip
def test_duration(seconds, expected):
  assert logs.duration(seconds) == expected


@pytest.mark.parametrize(
  'rows, expected',
  [(0, '0 rows/s'), (0.25, '0.25 rows/s'), (999.4, '999 rows/s'),
   (999.6, '1 k rows/s'), (12_345, '12.3 k rows/s'),
   (123_456, '123 k rows/s'), (1.2e6, '1.2 M rows/s')],
)  # fmt: skip
def test_rate_has_three_digits(rows, expected):
  assert logs.rate(rows) == expected


def test_the_parameter_table_is_that_of_one_run():
  params = {
    'encoder': {'kernel': np.zeros((5, 103, 20), np.float32)},
    'links': {
      'bias': np.zeros((5, 14), np.float16),
      'scale': np.zeros(5, np.float32),
    },
  }
  table = logs.parameter_table(params, 5).splitlines()
  assert [line.split() for line in table] == [
    ['parameters', 'shape', 'type', 'size', 'bytes'],
    ['encoder/kernel', '103x20', 'float32', '2,060', '8.24', 'kB'],
    ['links/bias', '14', 'float16', '14', '28', 'B'],
    ['links/scale', 'scalar', 'float32', '1', '4', 'B'],
    ['total', 'of', 'each', 'of', '5', 'runs', '3', 'arrays',
     'float16/float32', '2,075', '8.27', 'kB'],
  ]  # fmt: skip
  assert len({len(line) for line in table}) == 1
  # Without runs no axis is left out; shapes and dtypes alone are enough.
  one = {'a': SimpleNamespace(shape=(5, 3), dtype=np.dtype('int8'))}
  assert '5x3' in logs.parameter_table(one)


@pytest.mark.parametrize('depths', [(1, 50), (3, 50), (50, 2), (2, 2)])
def test_the_parameter_table_is_short_and_its_total_is_right(depths):
  modules, layers = depths
  params = {
    f'module_{m}': {
      f'layer_{i}': {'kernel': np.zeros((m + 2, i + 1), np.float32)}
      for i in range(layers)
    }
    for m in range(modules)
  }
  sizes = [(m + 2) * (i + 1) for m in range(modules) for i in range(layers)]
  head, *rows, total = logs.parameter_table(params, max_rows=10).splitlines()
  assert 1 <= len(rows) <= 10
  assert f' {sum(sizes):,} ' in total
  numbers = [re.findall(r' ([\d,]+)  ', row)[-1] for row in rows]
  assert sum(int(n.replace(',', '')) for n in numbers) == sum(sizes)
  if depths == (3, 50):
    assert '50 arrays' in rows[0] and rows[0].startswith('module_0 ')


def values(epoch):
  """What training might tell of an epoch, all kinds of it."""
  generator = np.random.default_rng(epoch)
  return {
    'train_loss': generator.normal(size=3).astype(np.float32),
    'valid_nll': [1 / epoch, math.nan, None],
    'lr': 0.1 / epoch,
    'note': 'stopped' if epoch % 3 == 0 else None,
  }


def uninterrupted(folder, epochs):
  with logs.Scalars(folder, tensorboard=False) as scalars:
    for epoch in range(1, epochs + 1):
      scalars.write(epoch, values(epoch))
  return (folder / 'metrics.jsonl').read_bytes()


def test_every_epoch_is_a_line_of_strict_json_at_once(tmp_path):
  def refuse(name):
    raise AssertionError(f'{name} is not JSON')

  with logs.Scalars(tmp_path / 'a' / 'row') as scalars:
    scalars.write(7, {'loss': math.inf, 'f1': np.array([0.5, math.nan])})
    text = (tmp_path / 'a' / 'row' / 'metrics.jsonl').read_text()
  assert text.endswith('\n')
  assert json.loads(text, parse_constant=refuse) == {
    'epoch': 7, 'loss': 'inf', 'f1': [0.5, 'nan'],
  }  # fmt: skip


def test_a_resumed_file_is_that_of_an_uninterrupted_run(tmp_path):
  whole = uninterrupted(tmp_path, 6)
  path = tmp_path / 'metrics.jsonl'
  ends = [i + 1 for i, byte in enumerate(whole) if byte == ord('\n')]
  # Killed with any number of bytes written after the line of epoch 3.
  for cut in range(ends[2], len(whole), 7):
    path.write_bytes(whole[:cut])
    with logs.Scalars(tmp_path, tensorboard=False, resume_after=3) as scalars:
      assert path.read_bytes() == whole[: ends[2]]
      for epoch in (4, 5, 6):
        scalars.write(epoch, values(epoch))
    assert path.read_bytes() == whole


def test_a_run_that_starts_anew_keeps_no_older_scalars(tmp_path):
  for _ in range(2):
    with logs.Scalars(tmp_path) as scalars:
      scalars.write(1, values(1))
  assert (tmp_path / 'metrics.jsonl').read_bytes().count(b'\n') == 1
  assert len(list(tmp_path.glob(events.PREFIX + '*'))) == 1
  with logs.Scalars(tmp_path, resume_after=1):
    pass
  assert len(list(tmp_path.glob(events.PREFIX + '*'))) == 2
  with logs.Scalars(tmp_path, tensorboard=False):
    pass
  assert [p.name for p in tmp_path.iterdir()] == ['metrics.jsonl']


@pytest.mark.parametrize('line', ['{"epoch": 2, "tr', '[2]', '{}', 'null', ''])
def test_a_damaged_line_is_refused_by_its_number(tmp_path, line):
  path = tmp_path / 'metrics.jsonl'
  path.write_text(f'{{"epoch": 1}}\n{line}\n{{"epoch": 3}}\n')
  before = path.read_bytes()
  with pytest.raises(InputError, match='jsonl: line 2 .*--overwrite'):
    logs.Scalars(tmp_path, tensorboard=False, resume_after=3)
  assert path.read_bytes() == before


@pytest.mark.parametrize('full', ['metrics', 'events'])
def test_a_full_disk_is_one_line(tmp_path, full):
  with (
    pytest.raises(InputError, match='epoch 5 .*No space left') as caught,
    open('/dev/full', 'ab') as nowhere,
    logs.Scalars(tmp_path) as scalars,
  ):
    file = scalars.file if full == 'metrics' else scalars.events.file
    os.dup2(nowhere.fileno(), file.fileno())
    scalars.write(5, values(5))
  assert '\n' not in str(caught.value)
  assert str(tmp_path) in str(caught.value)


def test_without_tensorboardx_the_events_can_be_switched_off(tmp_path):
  absent = {'tensorboardX.proto.event_pb2': None}
  with mock.patch.dict(sys.modules, absent):
    with pytest.raises(InputError, match='pip install .*=false') as caught:
      logs.Scalars(tmp_path)
    assert '\n' not in str(caught.value)
    with logs.Scalars(tmp_path, tensorboard=False) as scalars:
      scalars.write(1, values(1))


# Says on stdout which epochs are written.
WRITER = """
import sys
sys.path[:0] = sys.argv[1:3]
from mlc import logs
from logs_test import values
first, last = map(int, sys.argv[4:])
with logs.Scalars(sys.argv[3], resume_after=first - 1 or None) as scalars:
  for epoch in range(first, last + 1):
    scalars.write(epoch, values(epoch))
    print(epoch, flush=True)
"""


def test_what_was_written_survives_sigkill(tmp_path):
  tests = pathlib.Path(__file__).parent
  path = tmp_path / 'killed' / 'metrics.jsonl'
  draw, first = random.Random(0), 1

  def writer(last):
    arguments = map(str, (tests.parent, tests, path.parent, first, last))
    command = [sys.executable, '-c', WRITER, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

  for _ in range(4):
    with writer(1_000_000) as process:
      told = [process.stdout.readline()]
      time.sleep(draw.uniform(0, 0.1))
      process.kill()
      told += process.stdout.readlines()
    told = int([line for line in told if line.endswith('\n')][-1])
    lines = path.read_bytes().split(b'\n')[:-1]
    epochs = [json.loads(line)['epoch'] for line in lines]
    assert epochs == list(range(1, len(epochs) + 1))
    assert len(epochs) >= told
    first = max(1, told - draw.randrange(20))
  with writer(first + 50) as process:
    process.stdout.read()
  assert path.read_bytes() == uninterrupted(tmp_path / 'whole', first + 50)


def test_progress_alone_starts_fast():
  # A download needs no JAX, and a run without events no tensorboardX.
  code = (
    'import sys, tempfile; from mlc import logs\n'
    'logs.Scalars(tempfile.mkdtemp(), tensorboard=False).write(1, {})\n'
    'assert not {"jax", "tensorboardX"} & set(sys.modules)'
  )
  subprocess.run([sys.executable, '-c', code], check=True)
