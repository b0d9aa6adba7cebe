"""Ensemble of ten classifier chains in random orders (ECC)."""

from configs import chain


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = chain.get_config(data)
  config.name = 'mixture'
  member = {'name': 'chain', 'order': 'random', 'hidden': 0}
  config.model = {'name': 'mixture', 'size': 10, 'member': member}
  return config
