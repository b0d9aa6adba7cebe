"""Classifier trellis with linear links, labels placed by mutual information.

As in configs/chain.py, the few label weights move late: hence the strong
dropout and the high learning rate.
"""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = default.get_config(data)
  config.name = 'trellis'
  config.model = {'name': 'trellis', 'order': 'information', 'hidden': 0}
  default.tuned(config, width=256, dropout=0.8, lr=5e-2)
  return config
