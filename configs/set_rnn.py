"""GRU over the labels that are on, most frequent first, then an end."""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = default.get_config(data)
  config.name = 'set_rnn'
  config.model = {
    'name': 'set_rnn',
    'order': 'frequency',
    'masks': 'order',
    'width': 64,
  }
  config.inference = 'beam(width=16)'
  default.tuned(config, width=64, dropout=0.8, lr=2e-3)
  return config
