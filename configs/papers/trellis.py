"""Classifier trellis on scene, decoded greedily.

Paper: Read, Martino, Olmos & Luengo, "Scalable multi-output label prediction:
From classifier chains to classifier trellises", Pattern Recognition 48, 2015:
Algorithms 1 and 2 and Section 5.1: a grid sqrt(L) wide, the parents to the left
and above, labels placed by the mutual information of their frequencies, linear
links, the greedy path; accuracy (Jaccard), Hamming score and exact match.
Command: python -m experiments.train --config=configs/papers/trellis.py
  --workdir=runs/trellis
There the links are support vector machines with default parameters, here
logistic regressions with C = 1. There the first label is random, here the one
that tells most of the others. Not trained on the validation rows.
"""

from typing import Any

from configs import default


def get_config(data: str = 'mulan/scene'):
  """data: a name or a path, as mlc.data.load takes it."""
  config: Any = default.get_config(data)
  config.name = 'trellis_paper'
  config.model = {'name': 'trellis', 'order': 'information', 'width': 0}
  config.model.hidden = 0
  config.encoder = {'name': 'Linear'}
  config.inference = 'greedy'
  config.decisions = ('subset',)
  config.metrics = ('example_jaccard', 'hamming_loss', 'subset_accuracy', 'nll')
  config.train.update({'batch_size': 0, 'patience': 0, 'l2': 1.0})
  config.train.update({'epochs': 300, 'tolerance': 1e-4})
  config.train.optimizer = {'name': 'lbfgs'}
  return config
