"""The cache: a second load parses nothing, and no trouble with it is fatal."""

import logging
import os
from unittest import mock

import numpy as np
import pytest

from mlc.data import cache
from mlc.data.features import Features
from mlc.data.labels import Labels
from mlc.data.readers import npz
from mlc.data.table import Table
from mlc.errors import InputError

PARTS = ['arff', "{'labels': 'last:2'}", 'ab' * 32]


def _table(value=1.0):
  return Table(
    Features.of(dense=[[value], [2.0]]),
    Labels.of([[1, np.nan], [0, 1]]),
    {'train': np.array([1]), 'test': np.array([0])},
  )


class Parser:
  """Counts its calls, and gives another value each time."""

  calls = 0

  def __call__(self):
    self.calls += 1
    return _table(float(self.calls))


def _value(table):
  return table.features.dense_NxD[0, 0]


@pytest.fixture
def warned(caplog):
  """The warnings so far."""
  return lambda: [
    r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING
  ]


def test_the_second_load_parses_nothing(tmp_path, warned):
  parse = Parser()
  folder = tmp_path / 'not' / 'yet'
  first = cache.cached(PARTS, folder, parse)
  second = cache.cached(PARTS, folder, parse)
  assert parse.calls == 1 and _value(first) == _value(second) == 1
  assert {k: v.tolist() for k, v in second.splits.items()} == {
    'train': [1], 'test': [0],
  }  # fmt: skip
  assert second.labels.missing_NxL.toarray().tolist() == [
    [False, True], [False, False],
  ]  # fmt: skip
  assert len(list(folder.iterdir())) == 1 and not warned()


def test_each_part_and_version_has_its_own_entry(tmp_path):
  parse = Parser()

  def values():
    others = [
      PARTS, PARTS[::-1], PARTS[:2], [*PARTS, ''], [''.join(PARTS)],
      *([*PARTS[:i], PARTS[i] + 'x', *PARTS[i + 1 :]] for i in range(3)),
    ]  # fmt: skip
    return [_value(cache.cached(parts, tmp_path, parse)) for parts in others]

  first = values()
  assert first == [*range(1, 9)]
  assert values() == first
  with mock.patch.object(cache, '_code', lambda: 'other readers'):
    assert values() == [*range(9, 17)]
  assert values() == first


@pytest.mark.parametrize('damage', [
  lambda path: path.write_bytes(path.read_bytes()[:-100]),
  lambda path: path.write_bytes(b''),
  lambda path: path.write_bytes(b'garbage' * 100),
  lambda path: npz.write(_table(), path) or path.write_bytes(
    path.read_bytes().replace(b'dense', b'sense', 1)
  ),
])  # fmt: skip
def test_a_damaged_entry_is_replaced_with_a_warning(tmp_path, warned, damage):
  parse = Parser()
  cache.cached(PARTS, tmp_path, parse)
  (entry,) = tmp_path.iterdir()
  damage(entry)
  assert _value(cache.cached(PARTS, tmp_path, parse)) == 2
  (warning,) = warned()
  assert warning.startswith(f'{entry}: damaged') and '\n' not in warning
  assert _value(cache.cached(PARTS, tmp_path, parse)) == 2
  assert parse.calls == 2 and len(warned()) == 1


def test_a_folder_that_cannot_be_made_is_one_warning(tmp_path, warned):
  (tmp_path / 'file').write_text('')
  parse = Parser()
  assert _value(cache.cached(PARTS, tmp_path / 'file' / 'c', parse)) == 1
  assert len(warned()) == 1 and 'nothing is cached' in warned()[0]


@pytest.mark.parametrize('failing', ['open', 'os.replace'])
def test_a_write_that_fails_is_one_warning_and_leaves_nothing(
  tmp_path, warned, failing
):
  module = 'builtins.' if '.' not in failing else ''
  full = OSError(28, os.strerror(28))
  with mock.patch(module + failing, side_effect=full):
    assert _value(cache.cached(PARTS, tmp_path, Parser())) == 1
  assert len(warned()) == 1 and 'No space left' in warned()[0]
  assert not list(tmp_path.iterdir())


def test_the_errors_of_a_reader_pass_and_keep_nothing(tmp_path):
  def parse():
    raise InputError('a.arff:3: mend the row')

  with pytest.raises(InputError, match='mend the row'):
    cache.cached(PARTS, tmp_path, parse)
  assert not list(tmp_path.iterdir())
