"""Classifier chain by scheduled sampling, of its own draws more and more.

Bengio et al. (NIPS 2015). It answers greedily and stops early by these answers:
its likelihood says little.
"""

from configs import chain, default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = chain.get_config(data)
  config.name = 'chain_scheduled'
  config.model.update({'feeding': 'scheduled', 'decay': 100.0})
  config.inference = 'greedy'
  config.train.select = 'example_f1'
  default.tuned(config, width=256, dropout=0.5, lr=1e-2, weight_decay=1.0)
  return config
