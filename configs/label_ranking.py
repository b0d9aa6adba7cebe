"""Calibrated label ranking by votes of pairs."""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = default.get_config(data)
  config.name = 'label_ranking'
  config.model = {'name': 'label_ranking', 'votes': 'binary'}
  config.inference = 'scores'
  config.decisions = ('fixed', 'scut')
  default.tuned(config, width=256, dropout=0.8, lr=1e-2, weight_decay=1.0)
  return config
