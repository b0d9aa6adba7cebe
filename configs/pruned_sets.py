"""Label powerset over the label sets of two training rows or more."""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = default.get_config(data)
  config.name = 'pruned_sets'
  config.model = {'name': 'pruned_sets', 'least': 2, 'subsets': 2}
  default.tuned(config, width=256, dropout=0.8, lr=1e-2, weight_decay=1.0)
  return config
