"""Which rows stand in which batch, as a pure function of seed and epoch."""

import numpy as np

from mlc.errors import InputError


def epoch_indices(
  num_rows: int, batch_size: int, seed: int, epoch: int
) -> np.ndarray:
  """Row numbers of every batch of one epoch.

  The position in the data is (epoch, step) and nothing else, so a run resumes
  anywhere without the epochs before it.

  Returns:
    int32 (T, B), T = ceil(num_rows / batch_size): a permutation of the rows,
    drawn from (seed, epoch). No row is dropped: the last batch is padded with
    -1.

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
  return rows.reshape(num_batches, batch_size)
