"""Data sets against the numbers of their sources and files typed by hand."""

import subprocess
import sys

import numpy as np
import pytest

from mlc import data
from mlc.data import arff, catalog
from mlc.errors import InputError

# What shared statistics say: train and test rows, columns once nominal ones
# are one-hot (`+ values - attributes`), labels, cardinality, density.
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


def test_arff_with_labels_only_is_refused(tmp_path):
  text = '@relation r\n@attribute a {0,1}\n@data\n1\n'
  paths = _write(tmp_path, text, '<labels><label name="a"/></labels>')
  _refused('every attribute is a label', arff.read, *paths)


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


def test_the_data_room_does_without_jax():
  code = 'import sys, mlc.data; sys.exit("jax" in sys.modules)'
  assert subprocess.run([sys.executable, '-c', code]).returncode == 0
