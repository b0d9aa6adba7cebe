"""Masked label transformer (C-Tran): labels given any others, easiest first.

Label sets are filled in, the surest labels first; marginals are those of one
pass. Draws from a joint: `--config.inference=gibbs`, which takes far longer.
"""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = default.get_config(data)
  config.name = 'masked_transformer'
  config.model = {
    'name': 'masked_transformer',
    'width': 64,
    'heads': 4,
    'depth': 1,
    'dropout': 0.1,
  }
  config.inference = 'iterative'
  config.decisions = ('hamming', 'subset', 'scut')
  config.metrics = tuple(
    'pseudo_nll' if name == 'nll' else name for name in config.metrics
  )
  default.tuned(config, width=64, dropout=0.8, lr=2e-3)
  return config
