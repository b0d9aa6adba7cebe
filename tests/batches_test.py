"""Batches against counting."""

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
