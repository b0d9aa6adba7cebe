"""ML-GCN: classifier weights from the co-occurrence graph, on an MLP."""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = default.get_config(data)
  config.name = 'ml_gcn'
  config.model = {
    'name': 'ml_gcn',
    'embedding': 64,
    'widths': (64,),
    'graph': 'prior',
    'threshold': 0.4,
    'share': 0.2,
  }
  default.tuned(config, width=256, dropout=0.8, lr=1e-2, weight_decay=1.0)
  return config
