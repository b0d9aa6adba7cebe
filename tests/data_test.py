"""Data sets against the numbers of their sources and files typed by hand."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn import preprocessing

from mlc import data
from mlc.data import arff, catalog
from mlc.errors import InputError

# Counted from the files before this reader was written: train and test rows,
# columns (nominal ones one-hot: `+ values - attributes`), labels, cardinality,
# density.
SPLIT = {
  'birds': (322, 323, 260 + 12 - 1, 19, 1.014, 0.0534),
  'emotions': (391, 202, 72, 6, 1.8685, 0.3114),
  'flags': (129, 65, 19 + 28 - 4, 7, 3.3918, 0.4845),
  'scene': (1211, 1196, 294, 6, 1.074, 0.179),
  'yeast': (1500, 917, 103, 14, 4.2371, 0.3026),
}
WHOLE = {
  'cal500': (502, 68, 174, 26.0438, 0.1497),
  'foodtruck': (407, 21 + 15 - 4, 12, 2.2899, 0.1908),
}


def _statistics(made):
  y_NxL = made.y_NxL.astype(float)
  assert made.mask_NxL.all() and set(np.unique(y_NxL)) == {0, 1}
  return (
    made.num_features, made.num_labels,
    pytest.approx(y_NxL.sum(1).mean(), abs=6e-5),
    pytest.approx(y_NxL.mean(), abs=6e-5),
  )  # fmt: skip


@pytest.mark.parametrize('name', SPLIT)
def test_mulan_sets_have_the_published_numbers(mlc_data, name):
  train, test, *numbers = SPLIT[name]
  made = data.load(f'mulan/{name}')
  assert tuple(numbers) == _statistics(made)
  # Mulan's own test rows stand last; validation is cut from train only.
  assert made.splits['test'].tolist() == [*range(train, train + test)]
  cut = [*made.splits['train'], *made.splits['valid']]
  assert sorted(cut) == [*range(train)]
  assert len(made.splits['valid']) == round(train / 5)


@pytest.mark.parametrize('name', WHOLE)
def test_mulan_sets_without_split_are_cut_60_20_20(mlc_data, name):
  rows, *numbers = WHOLE[name]
  made = data.load(f'mulan/{name}')
  assert tuple(numbers) == _statistics(made)
  assert sorted(np.concatenate([*made.splits.values()])) == [*range(rows)]
  for split, share in ('train', 0.6), ('valid', 0.2), ('test', 0.2):
    assert abs(len(made.splits[split]) - share * rows) < 1


def test_catalogue_lists_river_and_the_dense_mulan_sets():
  assert set(catalog.NAMES) == {
    'yeast', *(f'mulan/{name}' for name in [*SPLIT, *WHOLE])
  }  # fmt: skip


def test_mulan_test_rows_are_those_of_the_test_file(mlc_data):
  text = (mlc_data / 'mulan/yeast/yeast-test.arff').read_text()
  cells = np.loadtxt(text.split('@data')[1].split(), delimiter=',')
  x, y, _ = data.load('mulan/yeast').split('test')
  np.testing.assert_allclose(x, cells[:, :103], rtol=1e-6)
  np.testing.assert_array_equal(y, cells[:, 103:])


def test_river_yeast_is_mulan_yeast_in_another_order(mlc_data):
  river, mulan = data.load('yeast'), data.load('mulan/yeast')
  assert river.feature_names == mulan.feature_names
  assert river.label_names == mulan.label_names
  one, other = (np.hstack([d.x_NxD, d.y_NxL]) for d in (river, mulan))
  assert not np.array_equal(one, other)
  np.testing.assert_array_equal(
    one[np.lexsort(one.T)], other[np.lexsort(other.T)]
  )


def test_river_yeast_is_cut_60_20_20_by_seed():
  made, again, other = (data.load('yeast', seed=s) for s in (0, 0, 1))
  sizes = {split: len(rows) for split, rows in made.splits.items()}
  assert sizes in ({'train': 1450, 'valid': 484, 'test': 483},
                   {'train': 1450, 'valid': 483, 'test': 484})  # fmt: skip
  assert made.checksum == again.checksum != other.checksum
  np.testing.assert_array_equal(made.x_NxD, other.x_NxD)
  assert made.splits['test'].tolist() != other.splits['test'].tolist()


ARFF = r"""% labels stand first, in the middle and last
@relation typed
@attribute 'Swainson\'s Thrush' {0,1}
@attribute width numeric
@attribute colour {red, green, blue}
@attribute rain {0,1}
@attribute crow {0,1}
@attribute flag {1,0}
@data
1, 2.5, green, 0, 0, 1
0, -1, red, 0, 1, 0

0, 3e2, blue, ?, 1, 1
"""
# Nested, in another order, and the name escaped as in Mulan's delicious.
XML = r"""<?xml version="1.0" encoding="utf-8"?>
<labels xmlns="http://mulan.sourceforge.net/labels">
<label name="rain"><label name="Swainson\'s Thrush"></label></label>
<label name="crow"/>
</labels>
"""


def _write(folder, arff_text=ARFF, xml_text=XML):
  (folder / 'a.arff').write_text(arff_text)
  (folder / 'a.xml').write_text(xml_text)
  return folder / 'a.arff', folder / 'a.xml'


def test_arff_reads_features_and_labels_wherever_they_stand(tmp_path):
  table = arff.read(*_write(tmp_path))
  assert table.feature_names == (
    'width', 'colour=red', 'colour=green', 'colour=blue', 'flag'
  )  # fmt: skip
  assert table.label_names == ("Swainson's Thrush", 'rain', 'crow')
  np.testing.assert_array_equal(
    table.x, [[2.5, 0, 1, 0, 1], [-1, 1, 0, 0, 0], [300, 0, 0, 1, 1]]
  )
  np.testing.assert_array_equal(table.y, [[1, 0, 0], [0, 0, 1], [0, np.nan, 1]])


@pytest.mark.parametrize(
  'old, new, message',
  [
    ('1, 2.5, green, 0, 0, 1', '{0 1, 1 2.5}', 'sparse ARFF is not read yet'),
    ('3e2', '?', "feature 'width' is missing .* row 2, one of 1"),
    ('red, 0', '?, 0', "feature 'colour' is missing .* row 1"),
    ('1, 1\n', '1, ?\n', "feature 'flag' is missing .* row 2"),
    ('crow', 'raven', "label 'crow' is no attribute"),
    ('rain {0,1}', 'rain {0,1,2}', "label 'rain' has values"),
    ('width numeric', 'width date "yyyy"', r'not readable|of type date'),
    ('width numeric', 'width string', 'not readable as dense ARFF'),
    ('3e2, blue', 'blue', 'not readable as dense ARFF'),
    ('@data', '', 'not readable as dense ARFF'),
  ],
)
def test_arff_that_cannot_be_read_is_refused(tmp_path, old, new, message):
  paths = _write(tmp_path, ARFF.replace(old, new))
  _refused(message, arff.read, *paths)


@pytest.mark.parametrize(
  'xml, message',
  [
    ('<labels><label', 'not XML'),
    ('<labels/>', 'no <label'),
  ],
)
def test_xml_without_labels_is_refused(tmp_path, xml, message):
  _refused(message, arff.read, *_write(tmp_path, xml_text=xml))


def test_files_that_are_not_there_are_refused(tmp_path):
  arff_path, xml_path = _write(tmp_path)
  _refused('no such file', arff.read, tmp_path / 'b.arff', xml_path)
  _refused('no such file', arff.read, arff_path, tmp_path / 'b.xml')


@pytest.mark.parametrize(
  'attributes, row, message',
  [
    ('', '1', 'every attribute is a label'),
    ('@attribute b date "yyyy"\n', '1999,1', "'b' is of type date"),
  ],
)
def test_arff_without_numbers_is_refused(tmp_path, attributes, row, message):
  text = f'@relation r\n{attributes}@attribute a {{0,1}}\n@data\n{row}\n'
  paths = _write(tmp_path, text, '<labels><label name="a"/></labels>')
  _refused(message, arff.read, *paths)


def _refused(message, function, *args, **kwargs):
  """Bad input raises InputError, on one line that matches `message`."""
  with pytest.raises(InputError, match=message) as caught:
    function(*args, **kwargs)
  assert '\n' not in str(caught.value)


def test_names_and_folders_that_are_not_there_are_refused(
  tmp_path, monkeypatch
):
  _refused("unknown data set 'yeats'; .*yeast", data.load, 'yeats')
  monkeypatch.delenv('MLC_DATA', raising=False)
  _refused('MLC_DATA is not set', data.load, 'mulan/scene')
  monkeypatch.setenv('MLC_DATA', str(tmp_path / 'gone'))
  _refused('is not a folder', data.load, 'mulan/scene')
  monkeypatch.setenv('MLC_DATA', str(tmp_path))
  _refused('has no mulan/scene: copy', data.load, 'mulan/scene')


@pytest.fixture
def scene(tmp_path, monkeypatch):
  """A folder of 20 train and 5 test rows, numbered, under mulan's names."""
  folder = tmp_path / 'mulan/scene'
  folder.mkdir(parents=True)
  head = '@relation r\n@attribute n numeric\n@attribute a {0,1}\n@data\n'
  xml = '<labels><label name="a"/></labels>'
  for part, rows in ('train', range(20)), ('test', range(20, 25)):
    cells = ''.join(f'{row},{row % 2}\n' for row in rows)
    (folder / f'scene-{part}.arff').write_text(head + cells)
  (folder / 'scene.xml').write_text(xml)
  monkeypatch.setenv('MLC_DATA', str(tmp_path))
  return folder


def test_validation_is_cut_by_seed_from_the_train_file(scene):
  cuts = set()
  for seed in 0, 1, 1:
    made = data.load('mulan/scene', seed)
    train, valid, test = (
      made.split(split).x.ravel().tolist()
      for split in ('train', 'valid', 'test')
    )
    assert test == [*range(20, 25)] and sorted(train + valid) == [*range(20)]
    assert made.split('valid').y.mean() == 0.5 and len(valid) == 4
    cuts.add(tuple(valid))
  assert len(cuts) == 2


def test_train_and_test_files_with_other_columns_are_refused(scene):
  other = (scene / 'scene-test.arff').read_text().replace(' n ', ' m ')
  (scene / 'scene-test.arff').write_text(other)
  _refused('scene-test.arff: its columns', data.load, 'mulan/scene')


def _arrays(**kwargs):
  """Ten rows of two features and two labels, with what `kwargs` change."""
  x_NxD = np.arange(20.0).reshape(10, 2) ** 2
  y_NxL = np.stack([np.arange(10) % 2, np.arange(10) > 4], 1).astype(float)
  rows = {'train': [0, 1, 2, 8, 9], 'valid': [3, 4], 'test': [5, 6, 7]}
  return {'x': x_NxD, 'y': y_NxL, 'splits': rows} | kwargs


def _with(key, cells, value):
  array = _arrays()[key].copy()
  array[cells] = value
  return {key: array}


@pytest.mark.parametrize(
  'change, message',
  [
    ({'x': [[1.0, 2.0]]}, 'x has 1 rows, y has 10'),
    ({'x': np.ones((0, 2)), 'y': np.ones((0, 2))}, r'x has shape \(0, 2\)'),
    ({'x': np.ones((10, 0))}, r'x has shape \(10, 0\)'),
    ({'x': np.ones(10)}, r'x has shape \(10,\)'),
    ({'y': np.ones((10, 0))}, r'y has shape \(10, 0\)'),
    ({'x': [['red', 'blue']] * 10}, 'x is not a dense matrix of numbers'),
    ({'y': [[1], [1, 0]] * 5}, 'y is not a dense matrix of numbers'),
    (_with('x', ([4, 7], 1), np.nan), "feature 'x1' is nan in row 4 .2 such"),
    (_with('x', (3, 0), -np.inf), "feature 'x0' is -inf in row 3 .1 such"),
    (_with('x', (3, 0), 1e60), "feature 'x0' is inf in row 3 .1 such"),
    (_with('y', ([5, 6], 0), 2), "label 'y0' is 2 in row 5 .2 such"),
    (_with('y', (5, 1), -0.1), "label 'y1' is -0.1 in row 5"),
    (_with('y', ([3, 6],), np.nan), 'row 3 has no observed label, one of 2'),
    ({'feature_names': ['a']}, 'feature names: 1 for 2 columns'),
    ({'feature_names': ['a', 'a']}, "feature name 'a' stands twice"),
    ({'label_names': ['b', 'b']}, "label name 'b' stands twice"),
    ({'splits': {'train': [0], 'test': [1]}}, 'give train, valid and test'),
    ({'splits': {'train': [0], 'valid': [1], 'test': np.arange(0)}},
     "'test' is not"),
    ({'splits': {'train': [0], 'valid': [.5], 'test': [2]}}, "'valid' is not"),
    ({'splits': {'train': [0], 'valid': [1], 'test': [10]}}, 'from 0 to 9'),
    ({'splits': {'train': [-1], 'valid': [1], 'test': [2]}}, 'has row -1'),
    ({'splits': {'train': [0, 1], 'valid': [2], 'test': [3, 1]}},
     "row 1 stands in split 'train' and again in 'test'"),
  ],
)  # fmt: skip
def test_bad_arrays_are_refused(change, message):
  _refused(message, data.from_arrays, **_arrays(**change))


def test_an_unknown_split_is_refused():
  made = data.from_arrays(**_arrays())
  _refused("unknown split 'dev'; did you mean", made.split, 'dev')


def test_a_split_holds_its_rows_and_a_mask_of_what_is_observed():
  arrays = _arrays(**_with('y', ([3, 6], [0, 1]), np.nan))
  made = data.from_arrays(**arrays)
  for split, rows in arrays['splits'].items():
    x, y, mask = made.split(split)
    np.testing.assert_array_equal(x, arrays['x'][rows])
    np.testing.assert_array_equal(
      np.where(mask == 1, y, np.nan), arrays['y'][rows]
    )
    assert {x.dtype, y.dtype, mask.dtype} == {np.dtype('float32')}
  # NaN times a mask of 0 is NaN: a missing label must be stored as a number.
  assert (made.y_NxL[[3, 6], [0, 1]] == 0).all()
  assert (made.num_features, made.num_labels) == (2, 2)


def test_without_splits_the_rows_are_cut_60_20_20_by_seed():
  one, same, other = (
    data.from_arrays(**_arrays(splits=None), seed=seed) for seed in (0, 0, 1)
  )
  assert [len(rows) for rows in one.splits.values()] == [6, 2, 2]
  assert one.checksum == same.checksum != other.checksum


def test_a_data_set_does_not_change_after_it_is_made():
  arrays = _arrays()
  arrays |= {key: arrays[key].astype(np.float32) for key in 'xy'}
  arrays['splits'] = {k: np.array(v) for k, v in arrays['splits'].items()}
  made = data.from_arrays(**arrays)
  arrays['x'][0] = arrays['y'][0] = 0.5
  arrays['splits']['train'][0] = 7
  assert made.x_NxD[0, 1] == 1 and made.y_NxL[0, 1] == 0
  assert made.splits['train'][0] == 0
  kept = [made.x_NxD, made.y_NxL, made.mask_NxL, *made.splits.values()]
  for array in [*kept, made.standardised().x_NxD]:
    with pytest.raises(ValueError, match='read-only'):
      array[0] = 0


def test_standardised_looks_at_train_rows_only():
  arrays = _arrays(x=np.random.default_rng(0).normal(3, 5, (10, 4)))
  train = arrays['splits']['train']
  arrays['x'][train, 2] = 0.1  # Constant in train, not elsewhere.
  oracle = preprocessing.StandardScaler().fit(arrays['x'][train])
  made = data.from_arrays(**arrays).standardised()
  np.testing.assert_allclose(
    made.x_NxD,
    np.asarray(oracle.transform(arrays['x'])),
    rtol=1e-4,
    atol=1e-5,
  )
  assert not made.x_NxD[train, 2].any() and made.x_NxD.dtype == np.float32
  np.testing.assert_array_equal(made.y_NxL, arrays['y'])


def test_constant_labels_get_smoothed_log_odds(caplog):
  # Train rows of six labels: mixed, never, always, unobserved, soft, and
  # always where observed (twice).
  nan = np.nan
  y_NxL = np.array([
    [0, 0, 1, nan, 0.2, nan],
    [1, 0, 1, nan, 0.2, 1],
    [1, 0, 1, nan, 0.2, 1],
    [1, 1, 0, 1, 1.0, 0],
    [0, 0, 0, 0, 0.0, 0],
  ])  # fmt: skip
  made = data.from_arrays(
    np.ones((5, 1)),
    y_NxL,
    splits={'train': [0, 1, 2], 'valid': [3], 'test': [4]},
  )
  np.testing.assert_allclose(
    made.constant_L, [nan, -np.log(7), np.log(7), 0, nan, np.log(5)], rtol=1e-6
  )
  constant, empty = caplog.messages
  assert '4 of 6 labels' in constant and '(y1, y2, y3, ...): kept' in constant
  assert '1 of 5 rows have no label: kept' in empty


def test_ordinary_data_warns_of_nothing(caplog):
  made = data.from_arrays(**_arrays(y=np.eye(2)[[0, 1] * 5]))
  assert np.isnan(made.constant_L).all() and not caplog.messages


@pytest.mark.parametrize(
  'change',
  [
    _with('x', (9, 1), 0), _with('y', (9, 1), 0), _with('y', (0, 0), np.nan),
    {'feature_names': ['x0', 'b']}, {'label_names': ['y0', 'b']},
    {'splits': {'train': [0, 1, 2, 8], 'valid': [9, 3, 4], 'test': [5, 6, 7]}},
  ],
)  # fmt: skip
def test_checksum_tells_content_apart(change):
  made = data.from_arrays(**_arrays())
  assert made.checksum == data.from_arrays(**_arrays(name='other')).checksum
  assert made.checksum != data.from_arrays(**_arrays(**change)).checksum
  assert len(made.checksum) == 16 and int(made.checksum, 16)


def test_the_data_room_does_without_jax():
  code = 'import sys, mlc.data; sys.exit("jax" in sys.modules)'
  assert subprocess.run([sys.executable, '-c', code]).returncode == 0
