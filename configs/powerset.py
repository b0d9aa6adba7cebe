"""Softmax over the label sets seen in training."""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name of mlc/data/catalog.py."""
  config = default.get_config(data)
  config.name = 'powerset'
  config.model.name = 'powerset'
  return config
