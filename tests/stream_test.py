"""Streamed batches are those of rows on the device; no thread is left over."""

import contextlib
import functools
import threading
import time

import contract
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse

from mlc import build, optimizer, stream, train
from mlc import data as data_lib
from mlc.data import batches
from mlc.data.features import Features

N, D, L = 100, 5, 3
K, T, B = 2, 4, 8


@functools.cache
def dataset(form):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(N, D)).astype(np.float32)
  y = (rng.random((N, L)) < 0.4).astype(float)
  if form == 'missing':
    y[rng.random((N, L)) < 0.3] = np.nan
    y[:, 0] = np.nan_to_num(y[:, 0])
  if form == 'sparse':
    x = sparse.csr_array(np.where(x > 0.5, x, 0))
  if form == 'mixed':
    x = Features.of(
      dense=x,
      sparse_columns=sparse.csr_array(np.where(x > 1, x, 0)),
      sparse_names=tuple('abcde'),
      categorical=rng.integers(-1, 2, (N, 2)),
      values=(('u', 'v'), ('u', 'v')),
    )
  return data_lib.from_arrays(x, y)


FORMS = ('dense', 'missing', 'sparse', 'mixed')


def epochs(data):
  """Chunks KxTxB of two epochs of training rows, with padding at their end."""
  total = len(data.splits['train'])
  for number in range(2):
    idx = [batches.epoch_indices(total, B, seed, number) for seed in range(K)]
    idx_KxTxB = np.stack(idx)
    for start in range(0, idx_KxTxB.shape[1], T):
      part = idx_KxTxB[:, start : start + T]
      widths = [(0, 0), (0, T - part.shape[1]), (0, 0)]
      yield np.pad(part, widths, constant_values=-1)


def on_device(rows):
  return jax.tree.map(jnp.asarray, train.Batch(*rows))


def streamed(data, size, put=lambda chunk: chunk):
  numbers = data.splits['train']

  def make(idx):
    rows, local = stream.chunk(lambda at: data.rows(numbers[at]), idx, size)
    return put((rows, local))

  return stream.prefetched(make, epochs(data))


@pytest.mark.parametrize('form', FORMS)
def test_streamed_batches_are_those_of_rows_on_the_device(form):
  data = dataset(form)
  numbers = data.splits['train']
  shapes, padded = set(), False
  # More slots than there are rows.
  assert len(numbers) < K * T * B
  for idx, (rows, local) in zip(
    epochs(data), streamed(data, len(numbers)), strict=True
  ):
    assert local.dtype == np.int32
    np.testing.assert_array_equal(local < 0, idx < 0)
    shapes.add(tuple(leaf.shape for leaf in jax.tree.leaves((rows, local))))
    for run, step in np.ndindex(K, T):
      # One row at a time, from the data set itself.
      batch = train.take(
        jax.tree.map(jax.numpy.asarray, rows), local[run, step]
      )
      for place, row in enumerate(idx[run, step]):
        seen = jax.tree.map(lambda a, at=place: a[at : at + 1], batch)
        if row < 0:
          padded = True
          assert not np.any(seen.mask_BxL)
          continue
        alone = train.Batch(*data.rows(numbers[row : row + 1]))
        jax.tree.map(np.testing.assert_array_equal, seen, alone)
  assert padded
  # One compiled program serves them all.
  assert len(shapes) == 1


def test_training_on_the_stream_is_training_on_the_device_to_the_bit():
  data = dataset('missing')
  model = build.model({'name': 'chain'}, {'name': 'MLP', 'widths': (4,)}, L)
  tx = optimizer.make(contract.sgd().optimizer, 1)
  state, _ = contract.start(model, data=data)
  step = functools.partial(
    train.train_step, objective=train.likelihood(model), tx=tx
  )

  @jax.jit
  def run(state, rows, idx_TxB):
    return jax.lax.scan(
      lambda state, idx_B: step(state, train.take(rows, idx_B)), state, idx_TxB
    )

  one = other = state
  everything = on_device(data.split('train'))
  numbers = data.splits['train']
  for idx, (rows, local) in zip(
    epochs(data), streamed(data, len(numbers), jax.device_put), strict=True
  ):
    # One program serves both.
    assert jax.typeof(rows.x) == jax.typeof(everything.x)
    one, losses = run(one, everything, idx[0])
    other, same = run(other, rows, local[0])
    np.testing.assert_array_equal(losses['loss'], same['loss'])
  jax.tree.map(np.testing.assert_array_equal, one.params, other.params)


def test_every_row_of_a_chunk_is_gathered_once():
  asked = []

  def rows_of(numbers):
    asked.append(numbers.tolist())
    return numbers, numbers, numbers

  idx = np.array([[[7, 3], [9, -1]], [[3, 9], [7, 7]]])
  rows, local = stream.chunk(rows_of, idx)
  assert asked == [[0, 3, 7, 9, 9, 9, 9, 9]]
  np.testing.assert_array_equal(rows.x[local], np.where(idx < 0, 9, idx))
  stream.chunk(rows_of, idx[1], size=3)
  assert asked[1] == [3, 7, 9]
  stream.chunk(rows_of, np.full((1, 2), -1))
  assert asked[2] == [0, 0]
  with pytest.raises(ValueError, match='3 different rows .* size=2'):
    stream.chunk(rows_of, idx[1], size=2)


@pytest.mark.parametrize('form', FORMS)
def test_the_bytes_of_a_split_are_those_of_its_batch(form):
  data = dataset(form)
  for split in ('train', 'test'):
    batch = train.Batch(*data.split(split))
    held = sum(leaf.nbytes for leaf in jax.tree.leaves(batch))
    assert stream.device_bytes(data, split) == held


def threads():
  return {thread for thread in threading.enumerate() if thread.is_alive()}


def test_chunks_come_in_order_and_leave_no_thread():
  before = threads()
  names = set()

  def make(number):
    names.add(threading.current_thread())
    time.sleep(0.002 * (number % 3))
    return number * 10

  assert list(stream.prefetched(make, range(20), depth=3)) == [
    number * 10 for number in range(20)
  ]
  assert len(names) == 1
  assert threading.current_thread() not in names
  assert threads() == before
  assert list(stream.prefetched(make, [])) == []
  with pytest.raises(ValueError, match='depth 0'):
    stream.prefetched(make, [1], depth=0)


@pytest.mark.parametrize('depth', [1, 2, 4])
def test_a_slow_consumer_finds_no_more_than_depth_chunks_made(depth):
  made = []
  chunks = stream.prefetched(made.append, range(100), depth=depth)
  for taken in range(1, 6):
    next(chunks)
    deadline = time.monotonic() + 30
    while len(made) < taken + depth and time.monotonic() < deadline:
      time.sleep(0.001)
    time.sleep(0.02)
    assert made == list(range(taken + depth))
  chunks.close()
  assert made == list(range(5 + depth))


def test_chunks_are_made_while_one_is_worked_on():
  second = threading.Event()

  def make(number):
    if number == 1:
      second.set()

  chunks = stream.prefetched(make, range(3), depth=1)
  next(chunks)
  assert second.wait(30)
  chunks.close()


def test_an_exception_comes_when_its_chunk_is_asked_for():
  before = threads()

  def make(number):
    if number == 2:
      raise KeyError('row 2')
    return number

  chunks, seen = stream.prefetched(make, range(9), depth=4), []
  with pytest.raises(KeyError, match='row 2'):
    seen.extend(iter(chunks.__next__, None))
  for _ in range(2):
    seen.extend(chunks)
  assert threads() == before


def test_chunks_before_the_exception_are_given():
  chunks = stream.prefetched(lambda number: 1 / (2 - number), range(9), depth=4)
  assert [next(chunks), next(chunks)] == [0.5, 1]
  with pytest.raises(ZeroDivisionError):
    next(chunks)


def test_a_consumer_that_stops_or_fails_leaves_no_thread():
  before = threads()

  def endless():
    number = 0
    while True:
      yield number
      number += 1

  made = []

  def make(number):
    time.sleep(0.05)
    made.append(number)
    return number

  for error in (None, RuntimeError):
    made.clear()
    chunks = stream.prefetched(make, endless(), depth=20)
    with contextlib.suppress(RuntimeError), contextlib.closing(chunks):
      for number in chunks:
        if number == 1:
          if error:
            raise error
          break
    assert threads() == before
    # It did not wait for all 20 that were ahead.
    assert len(made) < 22
