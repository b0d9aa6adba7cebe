"""Reranking of the 50 best label sets of independent heads.

The first level is configs/independent.py.
"""

from configs import default, stacking


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = stacking.get_config(data)
  config.name = 'rerank'
  config.model = {'name': 'rerank', 'sets': 50, 'width': 64}
  default.tuned(config, width=256, dropout=0.8, lr=5e-2)
  return config
