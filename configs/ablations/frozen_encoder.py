"""Dependency models on one frozen encoder: only what is on top differs.

The encoder is trained with independent heads, then held fixed under every
model. What a row gains over `independent` is then due to its labels looking at
each other, and not to another representation of x.
Command: python -m experiments.compare
  --config=configs/ablations/frozen_encoder.py --workdir=runs/frozen_encoder
The argument names the rows, as in configs/compare.py.
"""

from configs import compare, independent

MODELS = ('independent', 'chain', 'mixture', 'rnn', 'transformer', 'powerset')


def get_config(models: str = ','.join(MODELS)):
  """models: names of configs with an MLP, separated by commas."""
  config = compare.get_config(models)
  for name in config.models:
    row = config[name]
    first = independent.get_config()
    row.encoder = first.encoder
    row.stages = ('heads',)
    row.heads = {
      'model': first.model,
      'train': first.train.copy_and_resolve_references(),
      'keep': ('encoder',),
    }
    row.heads.train.epochs = config.get_ref('epochs') + 0
    row.train.optimizer.freeze = ('encoder',)
  return config
