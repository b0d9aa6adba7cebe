"""RAkEL on disjoint subsets of three labels."""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = default.get_config(data)
  config.name = 'rakel_disjoint'
  config.model = {'name': 'rakel_disjoint', 'order': 'random', 'k': 3}
  default.tuned(config, width=256, dropout=0.8, lr=1e-2, weight_decay=1.0)
  return config
