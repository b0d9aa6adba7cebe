"""Chain over the tree of what x leaves of labels, linear links.

As in configs/chain.py, the few label weights move late: hence the strong
dropout and the high learning rate.
"""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = default.get_config(data)
  config.name = 'tree_chain'
  config.model = {'name': 'tree_chain', 'tree': 'conditional', 'order': 'given'}
  default.tuned(config, width=256, dropout=0.8, lr=5e-2)
  return config
