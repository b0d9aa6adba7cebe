"""Rows with sparse and categorical columns, written out ahead of training."""

import numpy as np
import pytest

from mlc import inputs
from mlc.data.features import Inputs

X = Inputs(
  dense=np.float32([[7, 8], [9, 10]]),
  ids=np.int32([[2, 0, 0], [0, 1, 0]]),
  values=np.float32([[0.5, 0, 0], [4, 3, 0]]),
  categorical=np.int32([[0, -1], [1, 2]]),
  num_sparse=3,
  num_values=(2, 3),
)
OUT = [
  [7, 8, 0, 0, 0.5, 1, 0, 0, 0, 0],
  [9, 10, 4, 3, 0, 0, 1, 0, 0, 1],
]


def test_rows_written_out_ahead_are_those_of_the_device():
  ahead = inputs.unpacked(X, 2 * 10 * 4)
  np.testing.assert_array_equal(ahead, OUT)
  np.testing.assert_array_equal(ahead, inputs.written_out(X))


@pytest.mark.parametrize(('width', 'limit'), [(16_384, 79), (9, 1e9)])
def test_rows_stay_packed_where_they_do_not_fit_or_are_looked_up(
  monkeypatch, width, limit
):
  monkeypatch.setattr(inputs, 'LOOKUP_WIDTH', width)
  assert inputs.unpacked(X, limit) is X
