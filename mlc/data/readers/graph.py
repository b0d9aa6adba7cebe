"""A label graph: how often labels stand alone and together, as JSON."""

import json
from typing import NamedTuple

import numpy as np

from mlc.data.readers import files
from mlc.errors import InputError


class LabelGraph(NamedTuple):
  """Counts over a training set: of each label (L,), of each pair (L, L)."""

  counts_L: np.ndarray
  pairs_LxL: np.ndarray


def read(path) -> LabelGraph:
  """Reads {"nums": [L counts], "adj": [L rows of L counts]}.

  Raises:
    InputError: other JSON, counts that are infinite, below 0 or above those of
      their labels, a graph that is not symmetric.
  """
  try:
    content = json.loads('\n'.join(files.lines(path)))
    counts_L = np.array(content['nums'], float)
    pairs_LxL = np.array(content['adj'], float)
  except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
    raise InputError(
      f'{path}: not a label graph: write {{"nums": [...], "adj": [[...], ...]}}'
    ) from None
  size = counts_L.size
  if counts_L.ndim != 1 or not size or pairs_LxL.shape != (size, size):
    raise InputError(
      f'{path}: {counts_L.shape} counts and {pairs_LxL.shape} pairs: give L and'
      ' L x L of them'
    )
  most_LxL = np.minimum(counts_L[:, None], counts_L[None])
  if (
    not np.isfinite(counts_L).all()
    or not ((pairs_LxL >= 0) & (pairs_LxL <= most_LxL)).all()
  ):
    raise InputError(
      f'{path}: a pair is on below 0 times, or more often than its labels:'
      ' give counts'
    )
  if (pairs_LxL != pairs_LxL.T).any():
    raise InputError(f'{path}: the pairs are not symmetric: give both ways')
  return LabelGraph(counts_L, pairs_LxL)
