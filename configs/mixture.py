"""Ensemble of ten classifier chains in random orders (ECC)."""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name of mlc/data/catalog.py."""
  config = default.get_config(data)
  config.name = 'mixture'
  config.model = {
    'name': 'mixture',
    'size': 10,
    'member': {'name': 'chain', 'order': 'random', 'hidden': 0},
  }
  config.decode_batch = 32
  return config
