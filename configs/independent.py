"""Independent heads on an MLP: the baseline."""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name of mlc/data/catalog.py."""
  config = default.get_config(data)
  config.name = 'independent'
  config.model.name = 'independent'
  return config
