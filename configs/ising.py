"""Conditional Ising model: unary scores from an MLP, a weight for each pair.

As in configs/chain.py, the few weights of pairs move late: hence the strong
dropout and the high learning rate.
"""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it; at most 20 labels."""
  config = default.get_config(data)
  config.name = 'ising'
  config.model.name = 'ising'
  config.inference = 'exact'
  default.tuned(config, width=64, dropout=0.8, lr=5e-2)
  return config
