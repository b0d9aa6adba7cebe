"""Conditional Ising model: unary scores from an MLP, a weight for each pair.

As in configs/chain.py, the few weights of pairs move late: a larger encoder at
a lower rate has overfitted by then. Validation loss on yeast, best epoch: MLP
of 256, dropout .5, rate .003: 5.58; rate .01: 5.32; dropout .7 at these rates:
5.10, 4.74; MLP of 64, dropout .7, rate .01: 4.31; rate .03: 4.00.
"""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it; at most 20 labels."""
  config = default.get_config(data)
  config.name = 'ising'
  config.model.name = 'ising'
  config.encoder.update({'widths': (64,), 'dropout': 0.7})
  config.train.optimizer.lr = 3e-2
  return config
