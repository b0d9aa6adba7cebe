"""Independent heads on an MLP: the baseline."""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = default.get_config(data)
  config.name = 'independent'
  config.model.name = 'independent'
  # Of the grid of configs/compare_all.py, by yeast's validation loss.
  config.encoder.update({'widths': (256,), 'dropout': 0.8})
  config.train.optimizer.lr = 1e-2
  return config
