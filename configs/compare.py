"""All models on one data set, in one table.

Command: python -m experiments.compare --config=configs/compare.py
  --workdir=runs/compare
The argument names the rows: --config=configs/compare.py:chain,rnn. Each name
is a file of this folder, so a model of your own joins without an edit here.
--config.data, data_seed, labels, drop, splits, seeds, epochs and parallel are
for all, --config.chain.train.patience=20 to one.
"""

import importlib
import pathlib

import ml_collections

from mlc.errors import nearest

MODELS = (
  'independent_linear',
  'chain_linear',
  'independent',
  'separate',
  'chain',
  'mixture',
  'rnn',
  'transformer',
  'powerset',
)

# Files of this folder that are no model's.
NO_MODEL = {
  *('compare', 'compare_all', 'default'),
  *('decision_matrix', 'regret'),
}

# Keys of the whole that every row has too.
SHARED = ('data', 'data_seed', 'labels', 'drop', 'splits', 'standardise')


def whole() -> ml_collections.ConfigDict:
  """A comparison without rows: what they all have."""
  config = ml_collections.ConfigDict()
  config.data = 'yeast'
  config.data_seed = 0
  config.labels = ''
  config.drop = ''
  config.splits = ''
  config.standardise = True
  config.seeds = 5
  config.epochs = 100  # At most, of the models trained on minibatches.
  config.parallel = 'jit'  # Of the same; or pmap, mesh(data=4).
  config.view = 'table'  # Or matrix, ranks, regret.
  config.models = ()
  return config


def row(name: str):
  """A new config of the file `name` of this folder."""
  here = pathlib.Path(__file__).parent
  known = {file.stem for file in here.glob('*.py')} - NO_MODEL
  if name not in known:
    raise nearest(name, known, 'model config')
  return importlib.import_module(f'configs.{name}').get_config()


def add(config: ml_collections.ConfigDict, name: str, row) -> None:
  """Makes `row` the last row of a comparison, under `name`."""
  for key in SHARED:
    row[key] = config.get_ref(key)
  # A sum follows the whole, but an override of it stays with the row.
  del row.data
  row.data = config.get_ref('data') + ''
  row.seeds = config.get_ref('seeds') + 0
  if row.train.batch_size:
    row.train.epochs = config.get_ref('epochs') + 0
    row.train.parallel = config.get_ref('parallel') + ''
  for stage in row.get('stages', ()):
    if row[stage].train.batch_size:
      row[stage].train.epochs = config.get_ref('epochs') + 0
  config[name] = row
  config.models = (*config.models, name)


def get_config(models: str = ','.join(MODELS)) -> ml_collections.ConfigDict:
  """models: names of configs, separated by commas."""
  config = whole()
  for name in (name.strip() for name in models.split(',')):
    add(config, name, row(name))
  return config
