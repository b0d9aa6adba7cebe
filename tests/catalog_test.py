"""Named sets, paths and worlds, by the numbers of their sources."""

import functools
import gzip
import hashlib
import http.server
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest

from mlc import data
from mlc.data import catalog
from mlc.errors import InputError

# Rows of the source's own split, D, L, cardinality, density, distinct label
# sets (0: not counted), missing cells: counted from the files by other code
# before these readers were written. D of genbase is less its identifier.
FACTS = """
mulan/emotions    391/202        72   6 1.8685 .3114    27 0
mulan/scene       1211/1196     294   6 1.074  .179     15 0
mulan/yeast       1500/917      103  14 4.2371 .3026   198 0
mulan/enron       1123/579     1001  53 3.3784 .0637   753 0
mulan/medical     333/645      1449  45 1.2454 .0277    94 0
mulan/bibtex      4880/2515    1836 159 2.4019 .0151  2856 0
mulan/corel5k     4500/500      499 374 3.522  .0094  3175 0
mulan/delicious   12920/3185    500 983 19.02  .0193 15806 0
mulan/birds       322/323       260  19 1.014  .0534   133 0
mulan/flags       129/65         19   7 3.3918 .4845    54 0
mulan/genbase     463/199      1185  27 1.2523 .0464    32 0
mulan/cal500      502            68 174 26.0438 .1497  502 0
mulan/foodtruck   407            21  12 2.2899 .1908   116 0
hmc/cellcycle_FUN 1628/848/1281  77  499 8.7578  .0176   0 16122
hmc/cellcycle_GO  1625/848/1278  77 4125 34.9096 .0085   0 16136
hmc/derisi_FUN    1608/842/1275  63  499 8.7874  .0176   0 0
hmc/derisi_GO     1605/842/1272  63 4119 34.9973 .0085   0 0
hmc/eisen_FUN     1058/529/837   79  461 9.2005  .02     0 3697
hmc/eisen_GO      1055/528/835   79 3573 38.0418 .0106   0 3686
hmc/gasch1_FUN    1634/846/1284 173  499 8.741   .0175   0 18064
hmc/gasch1_GO     1631/846/1281 173 4125 34.8803 .0085   0 18067
hmc/enron_corr    988/660      1001   56 5.3004  .0946   0 0
text/goemotions   43410/5426/5427 0   28 1.176   .042  782 0
text/reuters21578 7770/3019       0   90 1.2354  .0137   0 0
text/cmc2007      978             0   45 1.2454  .0277  94 0
meka/imdb         120919       1001   28 1.9997  .0714 4503 0
xmc/stackex_chess 1675          585  227 2.4113  .0106 1078 0
dacaf/CHD_49        555          49    6 2.58    .43     0 0
dacaf/Water-quality 1060         16   14 5.07    .36     0 0
"""
FACTS = {
  line.split()[0]: line.split()[1:] for line in FACTS.split('\n') if line
}
# Of real files: labels that never occur in the train or in the test rows.
ABSENT = {
  'mulan/enron': (1, 0),
  'mulan/medical': (7, 6),
  'mulan/corel5k': (3, 111),
  'mulan/delicious': (0, 1),
  'mulan/genbase': (2, 3),
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
  """Nothing is read from, or left in, the cache of whoever runs the tests."""
  monkeypatch.setenv('MLC_CACHE', str(tmp_path / 'cache'))
  return tmp_path / 'cache'


@pytest.mark.parametrize('name', FACTS)
def test_every_set_has_the_numbers_of_its_source(mlc_data, name):
  rows, width, labels, cardinality, density, sets, missing = FACTS[name]
  entry = catalog.find(name)
  table = catalog.read(entry)
  y_NxL = table.labels.y_NxL
  sizes = [int(size) for size in rows.split('/')]
  assert [len(part) for part in table.splits.values()] == (
    sizes if len(sizes) > 1 else []
  )
  assert y_NxL.shape == (sum(sizes), int(labels))
  assert len(table.features.names) == int(width)
  assert table.features.num_missing == int(missing)
  places = len(cardinality.partition('.')[2])
  assert round(y_NxL.nnz / sum(sizes), places) == float(cardinality)
  assert round(y_NxL.nnz / np.prod(y_NxL.shape), len(density) - 1) == float(
    density
  )
  if int(sets):
    label_sets = {
      row.tobytes() for row in np.split(y_NxL.indices, y_NxL.indptr[1:-1])
    }
    assert len(label_sets) == int(sets)
  if name in ABSENT:
    never = [(y_NxL[part].sum(0) == 0).sum() for part in table.splits.values()]
    assert tuple(never) == ABSENT[name]
  # What the catalogue says of itself is the same.
  assert entry.rows == sizes and entry.labels == int(labels)
  assert entry.features == int(width)
  assert entry.cardinality == pytest.approx(float(cardinality), abs=6e-3)


def test_the_catalogue_names_every_file_of_the_data_folder(mlc_data):
  named = {
    (entry.folder or name, file, digest)
    for name, entry in catalog.entries().items()
    for file, digest in entry.sha256.items()
  }
  listed = set()
  for line in (mlc_data / 'SHA256SUMS').read_text().splitlines():
    digest, path = line.split()
    folder, _, file = path.removeprefix('./').rpartition('/')
    listed.add((folder, file, digest))
  assert named <= listed
  beside = {file for _, file, _ in listed - named}
  assert beside == {
    'SHA256SUMS', 'categories.txt', 'README.txt', 'LICENSE_of_repo',
    'ekman_labels.txt', 'group_labels.txt',
  }  # fmt: skip
  assert {
    n for n, e in catalog.entries().items() if e.reader != 'graph'
  } == set(FACTS)


def test_no_file_beside_those_of_a_set_says_what_its_labels_are():
  for name, entry in catalog.entries().items():
    assert entry.reader != 'arff' or entry.options['labels'], name


def test_label_graphs_are_counts_of_their_labels(mlc_data):
  for name, size in ('graphs/voc2007', 20), ('graphs/coco2014', 80):
    made = catalog.label_graph(name)
    assert made.counts_L.shape == (size,)
    assert made.pairs_LxL.shape == (size, size)
  with pytest.raises(InputError, match="unknown label graph 'graphs/voc'"):
    catalog.label_graph('graphs/voc')


def test_splits_keep_the_test_rows_of_the_source(mlc_data):
  for name, train, test in (
    ('mulan/yeast', 1500, 917), ('hmc/enron_corr', 988, 660)
  ):  # fmt: skip
    made = data.load(name)
    assert made.splits['test'].tolist() == [*range(train, train + test)]
    cut = [*made.splits['train'], *made.splits['valid']]
    assert sorted(cut) == [*range(train)]
    assert len(made.splits['valid']) == round(train / 5)
  own = data.load('hmc/eisen_FUN').splits
  assert [len(own[k]) for k in ('train', 'valid', 'test')] == [1058, 529, 837]


def test_a_set_that_its_source_has_not_split_is_cut_60_20_20(mlc_data):
  made = data.load('mulan/cal500')
  assert sorted(np.concatenate([*made.splits.values()])) == [*range(502)]
  for split, share in ('train', 0.6), ('valid', 0.2), ('test', 0.2):
    assert abs(len(made.splits[split]) - share * 502) < 1


def test_river_yeast_is_mulan_yeast_in_another_order(mlc_data):
  river, mulan = data.load('yeast'), data.load('mulan/yeast')
  assert river.features.names == mulan.features.names
  assert river.label_names == mulan.label_names
  one, other = (
    np.hstack([d.features.dense_NxD, d.labels.y_NxL.toarray()])
    for d in (river, mulan)
  )
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
  assert made.splits['test'].tolist() != other.splits['test'].tolist()


HEAD = '@relation r\n@attribute n numeric\n@attribute a {0,1}\n@data\n'
ROWS = ''.join(f'{row},{row % 2}\n' for row in range(20))


def refused(message, name, **options):
  with pytest.raises(InputError, match=message) as told:
    data.load(name, **options)
  assert '\n' not in str(told.value)


def test_a_path_is_read_by_its_suffix(tmp_path):
  plain = tmp_path / 'plain.arff'
  plain.write_text(HEAD + ROWS)
  made = data.load(plain, labels='last:1')
  assert made.num_rows == 20 and made.label_names == ('a',)
  packed = tmp_path / 'packed.ARFF.gz'
  packed.write_bytes(gzip.compress(plain.read_bytes()))
  assert data.load(packed, labels='a').checksum == made.checksum
  frame = tmp_path / 'frame.csv'
  frame.write_text('n,a\n' + ROWS)
  assert data.load(str(frame), labels='a').checksum == made.checksum
  refused('no such file', tmp_path / 'gone.arff', labels='a')
  refused('no reader for', tmp_path)
  (tmp_path / 'x.docx').write_text('x')
  refused("no reader for '.docx': give one of .arff", tmp_path / 'x.docx')
  (tmp_path / 'x.svm').write_text('0 1:1\n1 2:1\n')
  refused("option of a .svm file 'labels'", tmp_path / 'x.svm', labels='a')
  frame.write_text(
    'id,n,a\n' + ''.join(f'{i}k,{i},{i % 2}\n' for i in range(20))
  )
  assert data.load(frame, labels='a', drop='id').features.names == ('n',)


def test_a_table_with_label_columns_may_be_tab_separated(tmp_path):
  path = tmp_path / 'a.tsv'
  path.write_text('n\ta\n' + ROWS.replace(',', '\t'))
  assert data.load(path, labels='a').label_names == ('a',)
  path.write_text('text\tlabels\n' + 'one\tx\ntwo\ty|x\n' * 10)
  assert data.load(path).label_names == ('x', 'y')


def test_a_world_is_drawn_by_its_name():
  made = data.load('world/ising(num_labels=5, num_rows=40)', seed=3)
  again = data.load('world/ising(num_labels=5, num_rows=40)', seed=3)
  other = data.load('world/ising(num_labels=5, num_rows=40)', seed=4)
  assert (made.num_rows, made.num_labels) == (40, 5)
  assert made.checksum == again.checksum != other.checksum
  refused("unknown world 'isin'; did you mean: ising,", 'world/isin')
  refused("option of ising 'labels'; .*num_labels", 'world/ising(labels=5)')
  refused("world 'ising.5.': give a name", 'world/ising(5)')


def test_names_that_are_not_there_are_refused(tmp_path, monkeypatch):
  refused('unknown data set', 'a' * 5000)
  refused(
    "unknown data set 'mulan/yaest'; did you mean: mulan/yeast,", 'mulan/yaest'
  )
  refused(
    "'labels': 'first:1'. is for the reader of a file",
    'mulan/yeast',
    labels='first:1',
  )
  monkeypatch.delenv('MLC_DATA', raising=False)
  refused(
    'emotions-train.arff is not here: --download fetches it, or put https://'
    f'.*emotions-train.arff at {tmp_path}/cache/data/mulan/emotions/',
    'mulan/emotions',
  )
  monkeypatch.setenv('MLC_DATA', str(tmp_path / 'gone'))
  refused(f'at {tmp_path}/gone/mulan/emotions/emot', 'mulan/emotions')
  refused('make .*chess.xmc.txt by hand from github.com/fcharte',
          'xmc/stackex_chess', download=True)  # fmt: skip


def test_a_file_with_other_bytes_is_refused(mlc_data, tmp_path, monkeypatch):
  shutil.copytree(mlc_data / 'mulan/flags', tmp_path / 'mulan/flags')
  monkeypatch.setenv('MLC_DATA', str(tmp_path))
  assert data.load('mulan/flags').num_rows == 194
  path = tmp_path / 'mulan/flags/flags-test.arff'
  path.chmod(0o644)
  path.write_bytes(path.read_bytes() + b'\n')
  refused('flags-test.arff: .*SHA-256|checksum', 'mulan/flags')


def test_a_second_load_comes_from_the_cache(mlc_data, cache, monkeypatch):
  made = data.load('mulan/flags')
  assert len([*cache.glob('parsed/*.npz')]) == 1

  def never(*_, **__):
    raise AssertionError('parsed again')

  monkeypatch.setattr('mlc.data.readers.arff.read', never)
  again = data.load('mulan/flags')
  assert again.checksum == made.checksum and again.name == made.name


def test_download_fetches_what_is_not_here(tmp_path, monkeypatch):
  served = tmp_path / 'served'
  served.mkdir()
  (served / 'tiny.arff').write_text(HEAD + ROWS)
  handler = functools.partial(
    http.server.SimpleHTTPRequestHandler, directory=served
  )
  server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
  threading.Thread(target=server.serve_forever, daemon=True).start()
  digest = hashlib.sha256((served / 'tiny.arff').read_bytes()).hexdigest()
  entry = catalog.Entry(
    'tiny', 'us', 'none', 'here', 'arff',
    parts={'all': 'tiny.arff'}, sha256={'tiny.arff': digest}, labels=1,
    url=f'http://127.0.0.1:{server.server_port}/',
    options={'labels': 'last:1'},
  )  # fmt: skip
  monkeypatch.setattr(catalog, 'entries', lambda: {'tiny': entry})
  monkeypatch.setenv('no_proxy', '127.0.0.1')
  monkeypatch.delenv('MLC_DATA', raising=False)
  try:
    refused('tiny.arff is not here: --download', 'tiny')
    assert data.load('tiny', download=True).num_rows == 20
    assert (tmp_path / 'cache/data/tiny/tiny.arff').exists()
  finally:
    server.shutdown()
    server.server_close()
  assert data.load('tiny').num_rows == 20  # Here now: no server, no flag.


def test_the_data_room_does_without_jax():
  code = 'import sys, mlc.data; sys.exit("jax" in sys.modules)'
  assert subprocess.run([sys.executable, '-c', code]).returncode == 0
