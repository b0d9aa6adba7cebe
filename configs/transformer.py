"""Causal transformer over labels, labels in the order given."""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = default.get_config(data)
  config.name = 'transformer'
  config.model = {
    'name': 'transformer',
    'order': 'given',
    'width': 64,
    'heads': 4,
    'depth': 1,
  }
  config.inference = 'beam(width=16)'
  default.tuned(config, width=64, dropout=0.8, lr=2e-3, weight_decay=1.0)
  return config
