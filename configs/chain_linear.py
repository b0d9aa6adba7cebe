"""Probabilistic classifier chain with logistic links, solved to the optimum.

Dembczynski, Cheng & Huellermeier (ICML 2010); labels in the order given.
"""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = default.get_config(data)
  config.name = 'chain_linear'
  config.model = {'name': 'chain', 'order': 'given', 'hidden': 0}
  default.linear(config)
  return config
