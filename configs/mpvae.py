"""Multivariate probit VAE: a code of x and correlated noise for all labels."""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = default.get_config(data)
  config.name = 'mpvae'
  config.model = {
    'name': 'mpvae',
    'latent': 16,
    'rank': 8,
    'width': 64,
    'samples': 10,
    'draws': 100,
    'kl': 1.0,
    'ranking': 0.0,
  }
  config.inference = 'exact or monte_carlo(samples=100)'
  config.metrics = (*config.metrics[:-1], 'nll_bound')
  default.tuned(config, width=64, dropout=0.5, lr=2e-3)
  return config
