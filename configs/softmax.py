"""Softmax over labels of which exactly one is on: multi-class data."""

from configs import default


def get_config(data: str = 'yeast'):
  """data: as mlc.data.load takes it; one class a row, or it is refused."""
  config = default.get_config(data)
  config.name = 'softmax'
  config.model.name = 'softmax'
  return config
