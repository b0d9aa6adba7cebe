"""Labels that are given: 'cat=1,dog=0' as an array."""

import numpy as np

from mlc.errors import InputError, nearest

TRUTH = 2


def parse(text: str, label_names) -> np.ndarray:
  """'cat=1,dog=0,cow' -> L int8: the values, -1 where a label is free.

  A name without a value stands for the true value of each row: TRUTH. A name
  may hold what separates the others: the longest one that fits is taken.

  Raises:
    InputError: an unknown name, another value than 0 and 1, or two.
  """
  given_L = np.full(len(label_names), -1, np.int8)
  place = {name: label for label, name in enumerate(label_names)}
  rest = text
  while rest:
    fits = [
      n for n in place if rest == n or rest.startswith((f'{n}=', f'{n},'))
    ]
    if not fits:
      word = rest.partition(',')[0].partition('=')[0]
      raise nearest(word, place, 'label to be given')
    name = max(fits, key=len)
    value, _, rest = rest[len(name) :].partition(',')
    if value not in ('', '=0', '=1'):
      raise InputError(
        f'given {name}{value}: give it 0 or 1, as in {name}=1, or no value for'
        ' that of each row'
      )
    asked = int(value[1:]) if value else TRUTH
    label = place[name]
    if given_L[label] not in (-1, asked):
      raise InputError(f'given {name} twice, with two values: give one')
    given_L[label] = asked
  return given_L


def of_rows(given_L: np.ndarray, y_NxL, mask_NxL):
  """-> (rows in which what is given is true, given_MxL of these).

  Raises:
    InputError: there is no such row.
  """
  fixed_L = (given_L == 0) | (given_L == 1)
  true_NxL = (y_NxL > 0.5) == (given_L == 1)
  rows_M = np.flatnonzero((true_NxL & (mask_NxL > 0))[:, fixed_L].all(1))
  if not len(rows_M):
    raise InputError(
      'no row of the split has the given labels: give others, or a name without'
      " a value for each row's own"
    )
  own_MxL = np.where(mask_NxL[rows_M] > 0, y_NxL[rows_M] > 0.5, -1)
  given_MxL = np.where(given_L == TRUTH, own_MxL, given_L)
  return rows_M, given_MxL.astype(np.int8)
