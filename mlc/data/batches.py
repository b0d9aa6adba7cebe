"""Which rows stand in which batch, as a pure function of seed and epoch."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mlc.errors import InputError


class Position(NamedTuple):
  """The batch to come: all that a checkpoint must hold of the data."""

  seed: int
  epoch: int = 0
  step: int = 0


def iterate(
  num_rows: int,
  batch_size: int,
  position: Position,
  *,
  host: int = 0,
  num_hosts: int = 1,
) -> Iterator[tuple[np.ndarray, Position]]:
  """Batches without end from `position` on, each with the position after it.

  What follows a position never depends on how it was reached. Rows as in
  `epoch_indices`, int32 (W,).

  Raises:
    InputError: as `epoch_indices`; a step that the epoch does not have.
  """
  seed, epoch, step = position
  while True:
    index_TxW = epoch_indices(
      num_rows, batch_size, seed, epoch, host=host, num_hosts=num_hosts
    )
    if not 0 <= step < len(index_TxW):
      raise InputError(
        f'step {step} of an epoch of {len(index_TxW)} batches: go on with the'
        ' data and train.batch_size that the run began with'
      )
    for index_W in index_TxW[step:]:
      step += 1
      if step == len(index_TxW):
        epoch, step = epoch + 1, 0
      yield index_W, Position(seed, epoch, step)


def epoch_indices(
  num_rows: int,
  batch_size: int,
  seed: int,
  epoch: int,
  *,
  host: int = 0,
  num_hosts: int = 1,
) -> np.ndarray:
  """Row numbers of every batch of one epoch, or a host's share of each.

  The position in the data is (epoch, step) and nothing else, so a run resumes
  anywhere without the epochs before it.

  Returns:
    int32 (T, W), T = ceil(num_rows / batch_size), W = ceil(batch_size /
    num_hosts): a permutation of the rows, drawn from (seed, epoch), of which a
    host has W neighbours in each batch. No row is dropped: the last batch, and
    the shares of the last hosts, are padded with -1.

  Raises:
    InputError: a batch size below 1 or above `num_rows`.
  """
  if batch_size < 1:
    raise InputError(f'batch_size {batch_size}: give at least 1')
  if batch_size > num_rows:
    raise InputError(
      f'batch_size {batch_size} is larger than the {num_rows} training rows:'
      ' lower train.batch_size'
    )
  num_batches = -(-num_rows // batch_size)
  rows = np.full(num_batches * batch_size, -1, np.int32)
  rows[:num_rows] = np.random.default_rng([seed, epoch]).permutation(num_rows)
  rows_TxB = np.pad(
    rows.reshape(num_batches, batch_size),
    [(0, 0), (0, -batch_size % num_hosts)],
    constant_values=-1,
  )
  return np.split(rows_TxB, num_hosts, axis=1)[host]
