"""Batches against counting, and against a run that nothing interrupts."""

import itertools
import json

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from mlc.data import batches
from mlc.errors import InputError

seeds = st.integers(0, 2**31)
few = settings(max_examples=60, deadline=None, derandomize=True)


@st.composite
def sizes(draw):
  """(number of rows, batch size)."""
  num_rows = draw(st.integers(1, 60))
  return num_rows, draw(st.integers(1, num_rows))


def _take(count, num_rows, batch_size, position, **hosts):
  """`count` batches from `position` on, as lists, and the positions after."""
  stream = batches.iterate(num_rows, batch_size, position, **hosts)
  shown = list(itertools.islice(stream, count))
  return [rows.tolist() for rows, _ in shown], [after for _, after in shown]


@few
@given(seed=seeds, sizes=sizes())
def test_an_epoch_shows_every_row_once(seed, sizes: tuple[int, int]):
  num_rows, batch_size = sizes
  index_TxB = batches.epoch_indices(num_rows, batch_size, seed, epoch=3)
  assert index_TxB.dtype == np.int32
  assert index_TxB.shape[1] == batch_size
  shown = index_TxB.ravel()[:num_rows]
  assert sorted(shown) == list(range(num_rows))
  # Padding fills less than one batch, and only its end.
  padding = index_TxB.ravel()[num_rows:]
  assert len(padding) < batch_size and (padding == -1).all()


def test_the_order_is_a_function_of_seed_and_epoch():
  orders = {
    place: batches.epoch_indices(50, 8, *place).tobytes()
    for place in [(0, 0), (0, 1), (1, 0), (1, 1)]
  }
  assert len(set(orders.values())) == 4
  for place, order in orders.items():
    assert batches.epoch_indices(50, 8, *place).tobytes() == order


@few
@given(seed=seeds, sizes=sizes(), num_hosts=st.integers(1, 9))
def test_the_shares_of_all_hosts_are_the_batch(
  seed, sizes: tuple[int, int], num_hosts
):
  _, batch_size = sizes
  whole_TxB = batches.epoch_indices(*sizes, seed, epoch=1)
  shares = [
    batches.epoch_indices(*sizes, seed, 1, host=host, num_hosts=num_hosts)
    for host in range(num_hosts)
  ]
  width = -(-batch_size // num_hosts)
  assert {share.shape for share in shares} == {(len(whole_TxB), width)}
  for step, batch in enumerate(whole_TxB.tolist()):
    side_by_side = [row for share in shares for row in share[step].tolist()]
    assert side_by_side[:batch_size] == batch
    assert set(side_by_side[batch_size:]) <= {-1}


@few
@given(
  seed=seeds, sizes=sizes(), epoch=st.integers(0, 5), host=st.integers(0, 1)
)
def test_batches_go_on_from_epoch_to_epoch(
  seed, sizes: tuple[int, int], epoch, host
):
  num_steps = -(-sizes[0] // sizes[1])
  start = batches.Position(seed, epoch)
  hosts = {'host': host, 'num_hosts': 2}
  shown, after = _take(2 * num_steps, *sizes, start, **hosts)
  assert shown == [
    batch
    for number in (epoch, epoch + 1)
    for batch in batches.epoch_indices(*sizes, seed, number, **hosts).tolist()
  ]
  steps = itertools.product((epoch, epoch + 1, epoch + 2), range(num_steps))
  # A position names the batch to come, so the first one is no one's successor.
  expected = [(seed, *place) for place in steps][1 : 2 * num_steps + 1]
  assert after == expected


@few
@given(
  seed=seeds, sizes=sizes(), done=st.integers(1, 90), host=st.integers(0, 2)
)
def test_a_run_resumed_anywhere_goes_on_as_if_never_stopped(
  seed, sizes: tuple[int, int], done, host
):
  hosts = {'host': host, 'num_hosts': 3}
  start = batches.Position(seed)
  whole, after = _take(done + 40, *sizes, start, **hosts)
  saved = json.dumps(after[done - 1])
  position = batches.Position(*json.loads(saved))
  assert _take(40, *sizes, position, **hosts) == (whole[done:], after[done:])


@pytest.mark.parametrize(
  'batch_size, message',
  [
    (5000, 'batch_size 5000 is larger than the 1450 training rows: lower'),
    (0, 'batch_size 0: give at least 1'),
  ],
)
def test_impossible_batch_sizes_are_refused(batch_size, message):
  with pytest.raises(InputError, match=message):
    batches.epoch_indices(1450, batch_size, 0, 0)


@pytest.mark.parametrize('step', [-1, 7, 8])
def test_a_position_of_another_batch_size_is_refused(step):
  position = batches.Position(0, 0, step)
  with pytest.raises(InputError, match=f'step {step} of an epoch of 7 batches'):
    next(batches.iterate(50, 8, position))
