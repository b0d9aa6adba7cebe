"""Ensemble of pruned sets (EPS) on scene, p and b chosen as in the paper.

Paper: Read, Pfahringer & Holmes, "Multi-label Classification using Ensembles of
Pruned Sets", ICDM 2008. Numbers: its replication in tsoumakas/mulan, file
mulan/experiments/ICDM08EnsembleOfPrunedSets.java: label sets of at most p = 2,
..., 5 rows pruned, b = 1, 2, 3 subsets of them kept, ten members, one threshold
for all labels.
Command: python -m experiments.train --config=configs/papers/pruned_sets.py
  --workdir=runs/pruned_sets
There: support vector machines, here logistic regressions with C = 1; members on
63 % of the rows, here on bootstraps; p, b and the threshold by cross-validation
of a single member and of the ensemble for each metric, here of the ensemble by
validation rows and example-F1 or, the threshold, micro-F1; strategy B too.
"""

from typing import Any

from configs import default


def get_config(data: str = 'mulan/scene'):
  """data: a name or a path, as mlc.data.load takes it."""
  config: Any = default.get_config(data)
  config.name = 'pruned_sets_paper'
  member = {'name': 'pruned_sets', 'least': 3, 'subsets': 2}
  config.model = {'name': 'mixture', 'size': 10, 'bag': True, 'member': member}
  config.model.mean = 'marginals'
  # Of more than p rows.
  least = ('model.member.least', (3, 4, 5, 6))
  config.tune = (least, ('model.member.subsets', (1, 2, 3)))
  config.encoder = {'name': 'Linear'}
  config.inference = 'mean_of_marginals'
  config.decisions = ('global_cut',)
  config.metrics = ('example_jaccard', 'hamming_loss', 'example_f1')
  config.train.update({'batch_size': 0, 'l2': 1.0, 'epochs': 100})
  config.train.update({'select': 'example_f1', 'patience': 20})
  config.train.optimizer = {'name': 'lbfgs'}
  return config
