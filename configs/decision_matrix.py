"""Every decision under every metric: what a mismatch of the two costs.

Command: python -m experiments.compare
  --config=configs/decision_matrix.py:chain_linear
  --config.data=mulan/emotions --workdir=runs/decision_matrix
The argument names the models, as in configs/compare.py, whose keys are all
here too. A model trained once answers by every decision, and each answer is
judged by every metric of its kind. Time: that of training, and seconds.
"""

from configs import compare
from mlc.decisions import targets

DECISIONS = (
  *('hamming', 'subset', 'f1', 'jaccard', 'precision', 'recall', 'npv'),
  *('specificity', 'informedness', 'markedness', 'scut', 'global_cut'),
  *('precision_at', 'ranking_loss', 'one_error', 'lrap'),
)


def get_config(models: str = 'independent_linear,chain_linear'):
  """models: names of configs, separated by commas."""
  config = compare.get_config(models)
  config.view = 'matrix'
  config.decisions = DECISIONS
  config.metrics = tuple(targets.target(name) for name in DECISIONS)
  for name in config.models:
    config[name].decisions = config.get_ref('decisions')
    config[name].metrics = config.get_ref('metrics')
  return config
