"""Masked MLP chain, one hidden layer, labels as given."""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = default.get_config(data)
  config.name = 'made'
  config.model = {'name': 'made', 'order': 'given', 'width': 64, 'depth': 1}
  default.tuned(config, width=64, dropout=0.8, lr=1e-2)
  return config
