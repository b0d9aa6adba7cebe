"""RAkEL: 2 L powersets of three labels each, their marginals averaged."""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = default.get_config(data)
  config.name = 'rakel'
  config.model = {'name': 'rakel', 'k': 3, 'members': 0, 'votes': 'marginals'}
  config.inference = 'scores'
  config.decisions = ('fixed', 'scut')
  default.tuned(config, width=256, dropout=0.8, lr=2e-3, weight_decay=1.0)
  return config
