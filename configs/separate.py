"""Binary relevance by one small network for each label."""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = default.get_config(data)
  config.name = 'separate'
  config.model.name = 'separate'
  config.encoder.widths = (32,)
  return config
