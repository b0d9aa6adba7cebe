"""Canonical-correlated autoencoder: a code of x that label sets decode from."""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = default.get_config(data)
  config.name = 'c2ae'
  config.model = {
    'name': 'c2ae',
    'code': 0.8,
    'width': 64,
    'ranking': 1.0,
    'constraint': 0.5,
  }
  config.inference = 'scores'
  config.decisions = ('fixed', 'scut')
  default.tuned(config, width=64, dropout=0.8, lr=1e-2, weight_decay=1.0)
  return config
