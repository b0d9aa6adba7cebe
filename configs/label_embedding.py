"""Bilinear score of an MLP's features and principal label embeddings."""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = default.get_config(data)
  config.name = 'label_embedding'
  config.model = {
    'name': 'label_embedding',
    'width': 64,
    'embeddings': 'fixed',
  }
  default.tuned(config, width=256, dropout=0.8, lr=1e-2, weight_decay=1.0)
  return config
