"""BR-rerank on bibtex: ten candidates of logistic regressions, weighed anew.

Paper: Li, Pavlu, Aslam, Wang & Qin, "Learning to Calibrate and Rerank
Multi-label Predictions", ECML PKDD 2019. Numbers: the authors' code
cheng-li/pyramid, file core/config/br_rerank/rerank_exps/bibtex.properties: ten
candidates in training and at prediction, a first level with an elastic net of
1e-4, half of it on absolute values.
Command: python -m experiments.train --config=configs/papers/rerank.py
  --workdir=runs/rerank
There boosted trees of 10 leaves weigh the candidates, on rows kept apart whose
marginals isotonic regression has calibrated; here a network with one hidden
layer, on predictions from five folds. The features are the same. The half of
the penalty on squares is kept. Two iterations there, here solved.
"""

from typing import Any

from configs import default


def get_config(data: str = 'mulan/bibtex'):
  """data: a name or a path, as mlc.data.load takes it."""
  config: Any = default.get_config(data)
  config.name = 'rerank_paper'
  config.model = {'name': 'rerank', 'sets': 10, 'width': 64}
  config.encoder = {'name': 'Linear'}
  config.inference = 'beam(width=16)'
  config.decisions = ('subset', 'f1')
  first: Any = default.get_config()
  default.linear(first)
  # 1e-4 * .5 on half the squares beside the mean loss, times 3,904 rows.
  first.train.l2 = 0.195
  config.stages = ('first',)
  config.first = {'model': first.model, 'train': first.train, 'folds': 5}
  config.train.optimizer.freeze = ('first',)
  return config
