"""Rows that do not fit on the device: gathered by chunks, ahead of use."""

import collections
from collections.abc import Callable, Generator, Iterable
from concurrent import futures
import itertools
from typing import Any

import jax
import numpy as np

from mlc import train


def prefetched(
  make: Callable[[Any], Any], numbers: Iterable, depth: int = 2
) -> Generator:
  """make(number) for each number in turn, made ahead by one other thread.

  At most `depth` chunks are ready or being made, besides those handed over. An
  exception of `make` comes when its chunk is asked for. Closed, or at an end,
  it waits for the chunk being made, and leaves no thread; a loop that may end
  early stands in `contextlib.closing`.
  """
  if depth < 1:
    raise ValueError(f'depth {depth}: give 1 or more')
  return _prefetched(make, iter(numbers), depth)


def _prefetched(make, numbers, depth):
  # One worker: chunks are made one after the other.
  pool = futures.ThreadPoolExecutor(1, thread_name_prefix='prefetch')
  try:
    ahead = collections.deque(
      pool.submit(make, number) for number in itertools.islice(numbers, depth)
    )
    while ahead:
      made = ahead.popleft().result()
      for number in itertools.islice(numbers, 1):
        ahead.append(pool.submit(make, number))
      yield made
  finally:
    pool.shutdown(cancel_futures=True)


def chunk(
  rows_of: Callable[[np.ndarray], Any], idx, size: int | None = None
) -> tuple[train.Batch, np.ndarray]:
  """(the rows that `idx` names, `idx` as positions among them), in NumPy.

  rows_of: row numbers -> (x, y, mask), as `Dataset.rows`.
  idx: row numbers of any shape, as KxTxB; -1 = padding, and stays -1.
  size: how many rows to give, the same for all chunks of one program; at least
    as many as `idx` has different ones. Each comes once, in rising order; the
    last is repeated for what is left. Default: one for each number in `idx`,
    which is enough; the rows there are, where that is less, are enough too.
  """
  idx = np.asarray(idx)
  # Row 0 stands in for padding, which `train.take` will mask.
  rows, local = np.unique(np.maximum(idx, 0), return_inverse=True)
  lacking = (idx.size if size is None else size) - len(rows)
  if lacking < 0:
    raise ValueError(f'{len(rows)} different rows do not fit in size={size}')
  gathered = rows_of(np.pad(rows, (0, lacking), mode='edge'))
  local = np.where(idx < 0, -1, local.reshape(idx.shape))
  return train.Batch(*gathered), local.astype(np.int32)


def device_bytes(data, split: str) -> int:
  """Bytes of a split's rows as one `train.Batch`, which is not made."""
  numbers = data.splits[split]
  # All rows have one shape.
  one = jax.tree.leaves(tuple(data.rows(numbers[:1])))
  return sum(leaf.nbytes for leaf in one) * len(numbers)
