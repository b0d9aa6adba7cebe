"""Stacking (2BR) on yeast, on predictions from ten folds.

Papers: Godbole & Sarawagi, PAKDD 2004; Tsoumakas, Dimou, Spyromitros, Mezaris,
Kompatsiaris & Vlahavas, "Correlation-Based Pruning of Stacked Binary Relevance
Models for Multi-Label Learning", MLD 2009. Numbers: the latter's library
tsoumakas/mulan, file mulan/classifier/transformation/MultiLabelStacking.java:
ten folds, predictions of all labels beside the features, none pruned.
Command: python -m experiments.train --config=configs/papers/stacking.py
  --workdir=runs/stacking
The papers' base learners are not here: both levels are logistic regressions
with C = 1. Not trained on the validation rows.
"""

from typing import Any

from configs import default


def get_config(data: str = 'mulan/yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config: Any = default.get_config(data)
  config.name = 'stacking_paper'
  config.model.name = 'stacking'
  config.encoder = {'name': 'Linear'}
  config.decisions = ('hamming',)
  first: Any = default.get_config()
  default.linear(first)
  config.stages = ('first',)
  config.first = {'model': first.model, 'train': first.train, 'folds': 10}
  config.train.update({'batch_size': 0, 'patience': 0, 'l2': 1.0})
  config.train.update({'epochs': 300, 'tolerance': 1e-4})
  config.train.optimizer = {'name': 'lbfgs', 'freeze': ('first',)}
  return config
