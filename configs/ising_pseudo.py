"""Conditional Ising model by pseudo-likelihood: any number of labels.

As configs/ising.py; the validation loss is the pseudo-likelihood, and no
likelihood is reported.
"""

from configs import ising


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = ising.get_config(data)
  config.name = 'ising_pseudo'
  config.model.likelihood = 'pseudo'
  config.inference = 'gibbs'
  config.metrics = tuple(
    'pseudo_nll' if name == 'nll' else name for name in config.metrics
  )
  return config
