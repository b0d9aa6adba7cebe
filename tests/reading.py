"""What tests of readers share: files to write, bad bytes, what was read."""

import contextlib
import gzip
import itertools
import re
import signal
import warnings

from hypothesis import strategies as st
import numpy as np
import pytest

from mlc.data.table import Table
from mlc.errors import InputError


def write(folder, content, name='a'):
  """Writes text as UTF-8, or bytes; compressed where the name says so."""
  path = folder / name
  data = content.encode() if isinstance(content, str) else content
  path.write_bytes(gzip.compress(data) if name.endswith('.gz') else data)
  return path


def y_of(table) -> list[list[float]]:
  """y with NaN where it is missing."""
  y, mask = table.labels.rows(slice(None))
  return np.where(mask == 1, y, np.nan).tolist()


def label_sets(table) -> list[set[str]]:
  """The names of the labels that are on in each row."""
  y, names = table.labels.y_NxL, table.labels.names
  return [
    {names[i] for i in y.indices[start:end]}
    for start, end in itertools.pairwise(y.indptr)
  ]


def refused(message, read, path, **kwargs):
  """Checks that bad input raises InputError, on one line with `message`."""
  with pytest.raises(InputError, match=re.escape(message)) as caught:
    read(path, **kwargs)
  assert len(str(caught.value).splitlines()) == 1
  assert str(path) in str(caught.value)


@st.composite
def mutated(draw, valid: list[bytes], pieces: list[bytes]):
  """One of `valid` with pieces cut, doubled, put in, swapped."""
  data = draw(st.sampled_from(valid))
  for _ in range(draw(st.integers(1, 4))):
    start = draw(st.integers(0, len(data)))
    piece = data[start : start + draw(st.integers(0, 12))]
    other = draw(st.integers(0, len(data)))
    new = draw(st.one_of(st.just(piece), st.sampled_from(pieces)))
    if draw(st.booleans()):
      data = data[:start] + data[start + len(piece) :]
    data = data[:other] + new + data[other:]
  return data


@contextlib.contextmanager
def no_hang(seconds: int = 20):
  """Fails what takes longer."""

  def fail(*_):
    raise AssertionError(f'still busy after {seconds} s')

  previous = signal.signal(signal.SIGALRM, fail)
  signal.alarm(seconds)
  try:
    yield
  finally:
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


def table_or_refusal(read, *args, **kwargs) -> Table | None:
  """What `read` returns, or None where it raises one line of InputError."""
  with no_hang(), warnings.catch_warnings():
    warnings.simplefilter('error')
    try:
      table = read(*args, **kwargs)
    except InputError as error:
      assert len(str(error).splitlines()) == 1, str(error)
      return None
  assert isinstance(table, Table)
  assert table.features.num_rows == table.labels.num_rows > 0
  return table
