"""Canonical-correlated autoencoder: a code of x that label sets decode from."""

from typing import Any

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config: Any = default.get_config(data)
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
  # Its loss is of codes and ranks: neither says what decoded answers are worth.
  config.train.select = "example_f1(decision='fixed')"
  default.tuned(config, width=256, dropout=0.5, lr=2e-3, weight_decay=1.0)
  return config
