"""Reading, cached loading, batches and splits of large sets, beside peers.

The sets are looked for as `mlc.data.load` does: set MLC_DATA, or fetch them
first with `python -m experiments.describe --download --data=meka/imdb`.
"""

import atexit
import bz2
import functools
import os
import pathlib
import shutil
import tempfile

import numpy as np
from scipy import sparse

from experiments.suites import Case
from mlc import data as data_lib
from mlc.data import batches, catalog, download, splits
from mlc.data.readers import arff, libsvm
from mlc.data.table import Table

# Of XMC's kind: 50 of the features and 5 of the labels of each row are on.
XMC_ROWS, XMC_FEATURES, XMC_LABELS = 200_000, 100_000, 10_000
PEER_ARFF, PEER_SVM = 'liac-arff', 'scikit-learn'


def _file(name: str, number: int) -> pathlib.Path:
  entry = catalog.find(name)
  return catalog.locate(entry, list(entry.sha256)[number])


def _folder() -> pathlib.Path:
  """A new folder, removed when this process ends."""
  folder = tempfile.mkdtemp()
  atexit.register(shutil.rmtree, folder)
  return pathlib.Path(folder)


def ours_arff(name: str):
  """Reads the first file of a set, with the XML beside it."""
  return functools.partial(arff.read, _file(name, 0))


def liac_arff(name: str):
  """The same by liac-arff, its sparse form."""
  import arff as liac

  path = _file(name, 0)
  opener = bz2.open if path.suffix == '.bz2' else open

  def run():
    with opener(path, 'rt', encoding='utf-8') as file:
      liac.load(file, return_type=liac.COO)

  return run


def cached(name: str):
  """A second load, from the binary cache."""
  folder = _folder()
  # Nothing is parsed there yet, but what has been fetched is found.
  (folder / 'data').symlink_to(download.cache_folder().resolve() / 'data')
  os.environ['MLC_CACHE'] = str(folder)
  data_lib.load(name)
  return functools.partial(data_lib.load, name)


def one_epoch(name: str):
  """An epoch of train-ready batches of 128 rows."""
  data = data_lib.load(name)
  train = data.splits['train']

  def run():
    for rows in batches.epoch_indices(len(train), 128, seed=0, epoch=0):
      data.rows(train[rows])

  return run


def one_dense_epoch(name: str):
  """The same by SciPy, written out."""
  data = data_lib.load(name)
  train = data.splits['train']
  x, y = data.features.sparse_NxS, data.labels.y_NxL

  def run():
    for rows in batches.epoch_indices(len(train), 128, seed=0, epoch=0):
      x[train[rows]].toarray(), y[train[rows]].toarray()

  return run


def _xmc_file() -> pathlib.Path:
  rng = np.random.default_rng(0)

  def on(columns, count):
    ids = rng.integers(0, columns // count, (XMC_ROWS, count))
    ids += np.arange(count) * (columns // count)
    indptr = np.arange(0, ids.size + 1, count)
    values = np.ones(ids.size, np.float32)
    return sparse.csr_array((values, ids.ravel(), indptr), (XMC_ROWS, columns))

  path = _folder() / 'xmc.txt'
  made = data_lib.from_arrays(on(XMC_FEATURES, 50), on(XMC_LABELS, 5))
  libsvm.write(Table(made.features, made.labels), path, header=False)
  return path


def ours_xmc():
  """Reads the XMC file, labels made a matrix."""
  return functools.partial(libsvm.read, _xmc_file())


def scikit_learn_xmc():
  """The same by scikit-learn, labels left tuples."""
  from sklearn import datasets

  path = _xmc_file()
  return functools.partial(
    datasets.load_svmlight_file, str(path), multilabel=True
  )


def _many_labels():
  rng = np.random.default_rng(0)
  return rng.random((100_000, 100)) < np.geomspace(1e-3, 0.3, 100)


def ours_ten_folds():
  """Stratified 10-fold cross-validation of 100,000 rows, 100 labels."""
  return functools.partial(splits.k_fold, _many_labels(), 10, seed=0)


def iterative_stratification():
  """The same by iterative-stratification."""
  from iterstrat import ml_stratifiers

  folds = ml_stratifiers.MultilabelStratifiedKFold(
    10, shuffle=True, random_state=0
  )
  y_NxL = _many_labels()
  return lambda: list(folds.split(y_NxL, y_NxL))


CASES = (
  Case(
    'read meka/imdb, 120,919 x 1,001 sparse',
    functools.partial(ours_arff, 'meka/imdb'),
    PEER_ARFF,
    functools.partial(liac_arff, 'meka/imdb'),
  ),
  Case(
    'read mulan/delicious, train file, 983 labels',
    functools.partial(ours_arff, 'mulan/delicious'),
    PEER_ARFF,
    functools.partial(liac_arff, 'mulan/delicious'),
  ),
  Case('read XMC text, 10 M numbers', ours_xmc, PEER_SVM, scikit_learn_xmc),
  Case('load meka/imdb again', functools.partial(cached, 'meka/imdb')),
  Case(
    'load mulan/delicious again', functools.partial(cached, 'mulan/delicious')
  ),
  Case(
    'an epoch of meka/imdb, batches of 128',
    functools.partial(one_epoch, 'meka/imdb'),
    'SciPy, dense',
    functools.partial(one_dense_epoch, 'meka/imdb'),
  ),
  Case(
    '10 stratified folds, 100,000 x 100',
    ours_ten_folds,
    'iterative-stratification',
    iterative_stratification,
  ),
)
