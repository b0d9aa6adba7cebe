"""Files of splits: read back as written, and refused once damaged."""

import io
import os

import numpy as np
import pytest

from mlc.data import Dataset, from_arrays, split_files
from mlc.data.features import Features
from mlc.errors import InputError

ROWS = {
  'train': np.arange(0, 60),
  'valid': np.arange(80, 60, -1),
  'test': np.arange(81, 100),
}


def _labels(num_rows=100):
  y_NxL = np.random.default_rng(0).random((num_rows, 3)) < 0.5
  return y_NxL.astype(np.float32)


def _data(y_NxL=None, name='yeast', splits=None, **kwargs) -> Dataset:
  y_NxL = _labels() if y_NxL is None else y_NxL
  x_NxD = np.arange(2.0 * len(y_NxL)).reshape(-1, 2)
  return from_arrays(x_NxD, y_NxL, name=name, splits=splits, **kwargs)


DATA = _data()


def _saved(folder, splits=ROWS):
  path = folder / 'folds' / 'fold0.npz'
  split_files.save(path, DATA, splits)
  return path


def _agree(one, other):
  for name in ROWS:
    np.testing.assert_array_equal(one[name], other[name], strict=True)
  assert set(one) == set(other) == set(ROWS)


def _by_hand(path, **changed):
  """An npz as `save` writes it, but for what `changed` says (None = absent)."""
  split_files.save(path, DATA, ROWS)
  with np.load(path) as file:
    arrays = {**file, **changed}
  np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
  return path


def test_splits_are_read_back_as_they_were_saved(tmp_path):
  path = _saved(tmp_path)
  _agree(split_files.load(path, DATA), ROWS)
  with np.load(path, allow_pickle=False) as file:
    assert (file['num_rows'], file['data_name']) == (100, 'yeast')
  # Nothing besides the file: no temporary one stays.
  assert [file.name for file in path.parent.iterdir()] == ['fold0.npz']


def test_the_same_splits_are_the_same_bytes(tmp_path):
  first = _saved(tmp_path).read_bytes()
  assert _saved(tmp_path).read_bytes() == first


def test_a_data_set_saves_its_own_splits_unless_others_are_given(tmp_path):
  data = _data(splits=ROWS)
  _agree(split_files.load(_saved(tmp_path, None), data), DATA.splits)
  split_files.save(tmp_path / 'own.npz', data)
  _agree(split_files.load(tmp_path / 'own.npz', DATA), ROWS)


def test_the_same_rows_are_known_by_any_name_with_other_features(tmp_path):
  path = _saved(tmp_path)
  gaps_NxD = np.where(np.arange(100)[:, None] % 3, 1.5, np.nan)
  for data in (
    _data(name='./yeast.arff'),
    _data(splits=ROWS),
    DATA.standardised(),
    from_arrays(Features.of(dense=gaps_NxD), _labels()),
  ):
    _agree(split_files.load(path, data), ROWS)


def _changed(row, value):
  y_NxL = _labels()
  y_NxL[row, 1] = value
  return y_NxL


@pytest.mark.parametrize(
  'other, message',
  [
    (_data(_labels(101)), '100 rows there, 101 here'),
    (_data(_labels()[:99]), '100 rows there, 99 here'),
    (_data(_labels()[::-1]), 'other labels, or another order'),
    (_data(_labels()[:, ::-1]), 'other labels, or another order'),
    (_data(_changed(99, 0.5)), 'other labels, or another order'),
    (_data(_changed(99, np.nan)), 'other labels, or another order'),
    (_data(label_names=['a', 'b', 'c']), 'other labels, or another order'),
  ],
)
def test_splits_of_other_rows_are_refused_by_the_same_name(
  tmp_path, other, message
):
  path = _saved(tmp_path)
  with pytest.raises(InputError, match=f'fold0.npz: .*{message}') as error:
    split_files.load(path, other)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize(
  'changed, message',
  [
    ({'test': np.arange(59, 80)}, "row 59 stands in split 'train' and again"),
    ({'valid': np.array([70, 71, 70])}, "row 70 stands in split 'valid' and"),
    ({'test': np.arange(90.0, 99)}, "'test' is not a list of row numbers"),
    ({'test': np.ones((2, 2), int)}, "'test' is not a list of row numbers"),
    ({'test': np.array([], int)}, "'test' is not a list of row numbers"),
    ({'test': np.array([99, 100])}, "'test' has row 100: rows go from 0 to 99"),
    ({'valid': np.array([-1])}, "'valid' has row -1"),
    ({'valid': None}, 'not a file of splits .*valid is not a file'),
    ({'num_rows': None}, 'not a file of splits'),
    ({'labels': None}, 'not a file of splits .*labels is not a file'),
    ({'num_rows': np.arange(2)}, 'not a file of splits'),
    ({'test': np.zeros(1, [('a' * 11000, int)])}, 'not a file .*header'),
    ({'test': np.array([99, None])}, 'not a file of splits .*allow_pickle'),
  ],
)
def test_files_with_wrong_content_are_refused_in_one_line(
  tmp_path, changed, message
):
  path = _by_hand(tmp_path / 'fold.npz', **changed)
  with pytest.raises(InputError, match=f'fold.npz: .*{message}') as error:
    split_files.load(path, DATA)
  assert '\n' not in str(error.value)


def _npy():
  buffer = io.BytesIO()
  np.save(buffer, ROWS['train'])
  return buffer.getvalue()


@pytest.mark.parametrize(
  'content', [b'', b'0 1 2\n', b'PK\x03\x04', b'\x80\x04.', _npy()]
)
def test_other_files_are_refused(tmp_path, content):
  path = tmp_path / 'fold.npz'
  path.write_bytes(content)
  with pytest.raises(InputError, match='fold.npz: not a file of splits'):
    split_files.load(path, DATA)


def test_no_truncated_file_is_read(tmp_path):
  path = _saved(tmp_path)
  content = path.read_bytes()
  for length in range(len(content) - 1, -1, -7):
    path.write_bytes(content[:length])
    with pytest.raises(InputError, match='not a file of splits'):
      split_files.load(path, DATA)


def test_a_changed_byte_is_refused_or_without_effect(tmp_path):
  path = _by_hand(tmp_path / 'fold.npz')
  content = path.read_bytes()
  refused = 0
  for place in range(0, len(content), 7):
    damaged = bytearray(content)
    damaged[place] ^= 1
    path.write_bytes(damaged)
    try:
      _agree(split_files.load(path, DATA), ROWS)
    except InputError:
      refused += 1
  # Without effect: dates, versions and flags that zip repeats for each array.
  assert refused > len(content) / 7 * 0.8


def test_a_shorter_array_claimed_by_a_damaged_header_is_refused(tmp_path):
  # So long that NumPy, which reads half of it, never gets to the checksum.
  data = _data(_labels(20000))
  path = tmp_path / 'fold.npz'
  split_files.save(path, data, ROWS | {'test': np.arange(100, 20000)})
  with np.load(path) as file:
    np.savez(path, **file)  # Not compressed.
  content = path.read_bytes()
  assert content.count(b'(19900,)') == 1
  path.write_bytes(content.replace(b'(19900,)', b'(10000,)'))
  with np.load(path) as file:
    assert len(file['test']) == 10000
  with pytest.raises(InputError, match='test.npy is damaged'):
    split_files.load(path, data)


def test_a_path_that_is_not_there_is_refused(tmp_path):
  with pytest.raises(InputError, match='cannot be read .No such file'):
    split_files.load(tmp_path / 'none.npz', DATA)
  with pytest.raises(InputError, match='cannot be read .Is a directory'):
    split_files.load(tmp_path, DATA)


def test_bad_splits_are_not_saved(tmp_path):
  with pytest.raises(InputError, match='row 59 stands in'):
    _saved(tmp_path, ROWS | {'test': np.array([59])})
  assert not list(tmp_path.rglob('*.npz'))


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
  path = _saved(tmp_path)

  def full(*_):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(os, 'fsync', full)
  with pytest.raises(InputError, match='cannot be written .No space left'):
    _saved(tmp_path, {'train': [0], 'valid': [1], 'test': [2]})
  _agree(split_files.load(path, DATA), ROWS)
  assert len(list(path.parent.iterdir())) == 1


def test_a_folder_that_cannot_be_made_is_an_input_error(tmp_path):
  (tmp_path / 'folds').write_text('a file')
  with pytest.raises(InputError, match='cannot be written'):
    _saved(tmp_path)
