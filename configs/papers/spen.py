"""Structured prediction energy network on bibtex, as its authors train it.

Papers: Belanger & McCallum, "Structured Prediction Energy Networks", ICML 2016;
trained through the steps as in Belanger, Yang & McCallum, ICML 2017. Numbers:
the authors' code davidBelanger/SPEN, files mlc_cmd.sh and
flags/MultiLabelClassificationOptions.lua: two layers of 150, 16 softplus units
that see all labels, 20 steps; 100 "epochs" of 100 batches of 32 without these
units at 5e-4, 50 with the features held fixed at 1e-3, 500 of all at 5e-5;
gradients of norm 1 at most. An epoch has 122 batches here: 82, 41 and 410.
Command: python -m experiments.train --config=configs/papers/spen.py
  --workdir=runs/spen
There steps are of gradient descent on logits, found by line search from rate
.1; here damped updates at that rate, from the local prediction. The local
weights begin anew in the second stage, which there keeps them. The 2016 paper's
own F1 is of training by margin. There is a checkpoint every 25 of their epochs
to choose from; here 20 of ours without a better validation loss end a stage.
"""

from typing import Any

from configs import default


def get_config(data: str = 'mulan/bibtex'):
  """data: a name or a path, as mlc.data.load takes it."""
  config: Any = default.get_config(data)
  config.name = 'spen_paper'
  model = {'name': 'spen', 'units': 16, 'steps': 20, 'rate': 0.1}
  model['training'] = 'unrolled'
  config.model = model
  config.encoder = {'name': 'MLP', 'widths': (150, 150), 'dropout': 0.0}
  config.inference = 'scores'
  config.decisions = ('fixed', 'global_cut', 'scut')
  config.train.update({'batch_size': 32, 'patience': 20, 'epochs': 410})
  config.train.optimizer.update({'lr': 5e-5, 'clip': 1.0, 'weight_decay': 0.0})
  config.stages = ('local', 'energy')
  for name, epochs, lr in (('local', 82, 5e-4), ('energy', 41, 1e-3)):
    config[name] = {'train': config.train.copy_and_resolve_references()}
    config[name].train.epochs = epochs
    config[name].train.optimizer.lr = lr
  config.local.update({'model': model | {'units': 0}, 'keep': ('encoder',)})
  config.energy.update({'model': model, 'keep': ('encoder', 'network')})
  config.energy.train.optimizer.freeze = ('encoder',)
  return config
