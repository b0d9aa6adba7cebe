"""Classifier chain with MLP links on a shared MLP, labels as given."""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name of mlc/data/catalog.py."""
  config = default.get_config(data)
  config.name = 'chain'
  config.model = {'name': 'chain', 'order': 'given', 'hidden': 16}
  config.decode_batch = 32
  return config
