"""LaMP with the prior graph on bibtex, with the numbers of its authors.

Paper: Lanchantin, Sekhon & Qi, "Neural Message Passing for Multi-Label
Classification", ECML PKDD 2019; bibtex is one of its seven data sets. Numbers:
the authors' code QData/LaMP, the command in README.md (given for Reuters-21578)
and config_args.py: two rounds of four heads, width 512, dropout .2, Adam at
2e-4, batches of 32, 50 epochs, edges between labels that are on together.
Command: python -m experiments.train --config=configs/papers/lamp.py
  --workdir=runs/lamp
There the tokens are embeddings of the words that a row has, with messages among
them in two rounds too; here they are 8 groups of features. Their inner layers
have 512 units, ours 4 times the width. For an accelerator.
"""

from typing import Any

from configs import default


def get_config(data: str = 'mulan/bibtex'):
  """data: a name or a path, as mlc.data.load takes it."""
  config: Any = default.get_config(data)
  config.name = 'lamp_paper'
  config.model = {'name': 'lamp', 'width': 512, 'heads': 4, 'rounds': 2}
  config.model.graph = 'prior'
  config.encoder = {'name': 'Groups', 'groups': 8, 'width': 512, 'dropout': 0.2}
  config.inference = 'marginals'
  config.decisions = ('hamming', 'global_cut', 'scut')
  config.train.update({'epochs': 50, 'patience': 50, 'batch_size': 32})
  config.train.optimizer.update({'lr': 2e-4, 'weight_decay': 0.0})
  return config
