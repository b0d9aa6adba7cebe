"""--given: names and values read, and the rows that they are true of."""

import numpy as np
import pytest

from mlc import given
from mlc.errors import InputError

NAMES = ('cat', 'dog', 'cat,dog', 'a=b', 'cow')


@pytest.mark.parametrize(
  'text, want',
  [
    ('', (-1, -1, -1, -1, -1)),
    ('cat=1', (1, -1, -1, -1, -1)),
    ('cat=1,cow=0', (1, -1, -1, -1, 0)),
    ('cat,dog=1', (-1, -1, 1, -1, -1)),
    ('a=b=0,dog', (-1, 2, -1, 0, -1)),
    ('cow,cat=0', (0, -1, -1, -1, 2)),
  ],
)
def test_names_and_values_are_read(text, want):
  np.testing.assert_array_equal(given.parse(text, NAMES), want)


@pytest.mark.parametrize(
  'text, message',
  [
    ('cta=1', "unknown label to be given 'cta'; did you mean: cat"),
    ('cow=2', 'given cow=2: give it 0 or 1'),
    ('cow=', 'given cow=: give it 0 or 1'),
    ('cow=1,cow=0', 'given cow twice, with two values'),
    ('cow=1,cow', 'given cow twice, with two values'),
  ],
)
def test_what_cannot_be_is_one_line(text, message):
  with pytest.raises(InputError, match=message):
    given.parse(text, NAMES)


def test_rows_are_those_where_it_is_so():
  y = np.array([[1, 0, 1], [1, 1, 0], [0, 1, 0], [1, 1, 1]], float)
  mask = np.ones_like(y)
  mask[3, 0] = mask[1, 1] = 0  # Not known, so not known to be so.
  rows, values = given.of_rows(np.array([1, 2, -1], np.int8), y, mask)
  np.testing.assert_array_equal(rows, [0, 1])
  np.testing.assert_array_equal(values, [[1, 0, -1], [1, -1, -1]])
  with pytest.raises(InputError, match='no row of the split has the given'):
    given.of_rows(np.array([0, 0, -1], np.int8), y, mask)
