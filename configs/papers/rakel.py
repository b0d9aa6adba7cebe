"""RAkEL on yeast: 2 L label sets of three labels, by majority vote.

Paper: Tsoumakas, Katakis & Vlahavas, "Random k-Labelsets for Multi-Label
Classification", IEEE TKDE 23, 2011. Numbers: the authors' library
tsoumakas/mulan, file mulan/classifier/meta/RAkEL.java: k = 3, 2 L members,
labels that half of the votes are for.
Command: python -m experiments.train --config=configs/papers/rakel.py
  --workdir=runs/rakel
The paper's base learners are not here: the members are logistic regressions
with C = 1, over all 8 label sets of three labels. There subsets are drawn at
random, none twice, here so that each label is in about as many; a tie is on
there, off here. Not trained on the validation rows.
"""

from typing import Any

from configs import default


def get_config(data: str = 'mulan/yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config: Any = default.get_config(data)
  config.name = 'rakel_paper'
  config.model = {'name': 'rakel', 'k': 3, 'members': 0, 'votes': 'majority'}
  config.encoder = {'name': 'Linear'}
  config.inference = 'scores'
  config.decisions = ('fixed',)
  config.train.update({'batch_size': 0, 'patience': 0, 'l2': 1.0})
  config.train.update({'epochs': 300, 'tolerance': 1e-4})
  config.train.optimizer = {'name': 'lbfgs'}
  return config
