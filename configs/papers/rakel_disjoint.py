"""RAkEL on disjoint subsets of three labels, on yeast.

Paper: Tsoumakas, Katakis & Vlahavas, "Random k-Labelsets for Multi-Label
Classification", IEEE TKDE 23, 2011. Numbers: the authors' library
tsoumakas/mulan, file mulan/classifier/meta/RAkELd.java: random subsets with
k = 3.
Command: python -m experiments.train --config=configs/papers/rakel_disjoint.py
  --workdir=runs/rakel_disjoint
The paper's base learners are not here: the powersets are logistic regressions
with C = 1, over all 8 label sets of three labels. There a label that is left
over joins the last subset, here it stays alone. Not trained on the validation
rows.
"""

from typing import Any

from configs import default


def get_config(data: str = 'mulan/yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config: Any = default.get_config(data)
  config.name = 'rakel_disjoint_paper'
  config.model = {'name': 'rakel_disjoint', 'order': 'random', 'k': 3}
  config.encoder = {'name': 'Linear'}
  config.decisions = ('subset',)
  config.train.update({'batch_size': 0, 'patience': 0, 'l2': 1.0})
  config.train.update({'epochs': 300, 'tolerance': 1e-4})
  config.train.optimizer = {'name': 'lbfgs'}
  return config
