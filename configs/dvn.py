"""Deep value network on an MLP, early stopping on validation example-F1."""

from typing import Any

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config: Any = default.get_config(data)
  config.name = 'dvn'
  config.model = {'name': 'dvn', 'units': 16, 'steps': 20, 'rate': 0.5}
  config.inference = 'scores'
  config.decisions = ('fixed', 'scut')
  config.train.select = "example_f1(decision='fixed')"
  default.tuned(config, width=64, dropout=0.5, lr=1e-2, weight_decay=1.0)
  return config
