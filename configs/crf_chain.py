"""Linear-chain CRF, a weight for each two neighbours, labels as given.

As in configs/chain.py, the few label weights move late: hence the strong
dropout and the high learning rate.
"""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = default.get_config(data)
  config.name = 'crf_chain'
  config.model = {'name': 'crf_chain', 'order': 'given', 'features': False}
  default.tuned(config, width=64, dropout=0.8, lr=5e-2)
  return config
