"""Classifier chain with linear links on a shared MLP, labels as given.

The links have few label weights beside many feature weights, which overfit
before the label weights have moved: hence the small, strongly dropped out
encoder and the high learning rate (of those in configs/compare_all.py).
"""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = default.get_config(data)
  config.name = 'chain'
  config.model = {'name': 'chain', 'order': 'given', 'hidden': 0}
  default.tuned(config, width=64, dropout=0.8, lr=5e-2)
  return config
