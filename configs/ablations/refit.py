"""What the validation rows are worth once they have chosen.

Rows MODEL_once are trained on training rows alone, MODEL_refit once more on
validation rows too, for as long (config.refit, mlc/refit.py); settings and
thresholds are the same.
Command: python -m experiments.compare --config=configs/ablations/refit.py
  --workdir=runs/refit
The argument names the models: --config=configs/ablations/refit.py:chain,rnn.
"""

from configs import compare

MODELS = (
  *('independent_linear', 'chain_linear', 'independent', 'chain'),
  *('mixture', 'powerset'),
)


def get_config(models: str = ','.join(MODELS)):
  """models: names of configs, separated by commas."""
  config = compare.whole()
  for model in (name.strip() for name in models.split(',')):
    for refit in (False, True):
      row = compare.row(model)
      row.name = f'{model}_{"refit" if refit else "once"}'
      row.refit = refit
      compare.add(config, row.name, row)
  return config
