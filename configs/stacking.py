"""Stacking (2BR): heads on out-of-fold predictions of all labels.

The first level is configs/independent.py.
"""

from configs import default, independent


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = default.get_config(data)
  config.name = 'stacking'
  config.model.name = 'stacking'
  first = independent.get_config()
  config.stages = ('first',)
  config.first = {'model': first.model, 'train': first.train, 'folds': 5}
  config.train.optimizer.freeze = ('first',)
  default.tuned(config, width=256, dropout=0.8, lr=1e-2)
  return config
