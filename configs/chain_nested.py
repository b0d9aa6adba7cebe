"""Classifier chain trained on its own predictions (nested stacking).

Senge, del Coz & Huellermeier (LWA 2013). It answers greedily, as it was
trained, and stops early by these answers: its likelihood says nothing.
"""

from configs import chain, default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = chain.get_config(data)
  config.name = 'chain_nested'
  config.model.feeding = 'predicted'
  config.inference = 'greedy'
  config.train.select = 'example_f1'
  default.tuned(config, width=256, dropout=0.5, lr=1e-2, weight_decay=1.0)
  return config
