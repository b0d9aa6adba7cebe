"""Ensemble of ten classifier chains (ECC) on yeast.

Paper: Read, Pfahringer, Holmes & Frank, "Classifier Chains for Multi-label
Classification", ECML PKDD 2009 and Machine Learning 85, 2011. Numbers: the
first author's framework Waikato/meka, its table of methods (BaggingML -I 10
-P 100 of CC), and tsoumakas/mulan, file
mulan/classifier/transformation/EnsembleOfClassifierChains.java: ten chains in
random orders, bootstraps of all rows, their confidences averaged, cut at 1/2.
Command: python -m experiments.train --config=configs/papers/mixture.py
  --workdir=runs/mixture
There: support vector machines and the confidences along one greedy path; here
logistic regressions with C = 1 and each chain's exact marginals. Not trained on
the validation rows.
"""

from typing import Any

from configs import default


def get_config(data: str = 'mulan/yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config: Any = default.get_config(data)
  config.name = 'mixture_paper'
  member = {'name': 'chain', 'order': 'random', 'hidden': 0}
  config.model = {'name': 'mixture', 'size': 10, 'bag': True, 'member': member}
  config.model.mean = 'marginals'
  config.encoder = {'name': 'Linear'}
  config.inference = 'mean_of_marginals'
  config.decisions = ('hamming',)
  config.metrics = tuple(m for m in config.metrics if m != 'nll')
  config.train.update({'batch_size': 0, 'patience': 0, 'l2': 1.0})
  config.train.update({'epochs': 300, 'tolerance': 1e-4})
  config.train.optimizer = {'name': 'lbfgs'}
  return config
