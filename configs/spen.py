"""Structured prediction energy network on an MLP."""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = default.get_config(data)
  config.name = 'spen'
  config.model = {'name': 'spen', 'units': 16, 'training': 'unrolled'}
  config.inference = 'scores'
  config.decisions = ('fixed', 'scut')
  default.tuned(config, width=256, dropout=0.8, lr=2e-3, weight_decay=1.0)
  return config
