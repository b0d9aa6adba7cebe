"""Independent heads on an MLP: the baseline."""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = default.get_config(data)
  config.name = 'independent'
  config.model.name = 'independent'
  default.tuned(config, width=256, dropout=0.8, lr=1e-2)
  return config
