"""Training once more, on training and validation rows together.

Validation rows have by then chosen the settings, the epochs, thresholds and
calibration; with `config.refit` they are trained on too, for as long as each
stage took before, to its runs' best parameters on average (Alg. 7.2 of
Goodfellow, Bengio & Courville, Deep Learning, 2016). Nothing is left to pick
the best epoch by, and at a constant learning rate the last parameters have the
noise of the last steps: the rate falls on half a cosine instead, in twice the
epochs, so that rates sum to what they did (but for a warm-up, a share of all).
Not in twice as many where labels are fed by a schedule in steps.
"""

import dataclasses
import json

import numpy as np

from mlc import loop, optimizer, stages, tuning
from mlc.errors import InputError

# Epochs for each one before: a rate on half a cosine is half of it on average.
SPAN = 2


def epochs(config) -> int:
  """Of all stages, at most; 0 where none is trained once more."""
  return config.refit * SPAN * stages.epochs(config)


def check(config, data) -> None:
  """Raises InputError where there are no rows to add."""
  if config.refit and not len(data.splits.get('valid', ())):
    raise InputError(
      f'refit on {data.name}, which has no validation rows to train on too:'
      ' set refit=False'
    )


def train(
  first, config, data, folder, progress, stop, tensorboard: bool
) -> loop.Result:
  """As `stages.train`, in folder/refit, after the `first` Result in `folder`.

  Returns it with the seconds of both, and the history of the first.
  """
  rows = np.concatenate([data.splits['train'], data.splits['valid']])
  # The validation rows stay: their loss is told, and nothing goes by it.
  data = dataclasses.replace(data, splits=data.splits | {'train': rows})
  again = _as_long(config, folder, first.failures)
  result = stages.train(
    again, data, folder / 'refit', progress, stop, tensorboard
  )
  if progress:
    left = epochs(config) - stages.epochs(again)
    progress.advance(left, 'trained on validation rows too')
  return stages.together([first, result])._replace(history=first.history)


def _as_long(config, folder, failures):
  """`config` with stages as long as they were, and no early stopping.

  failures: of each run, '' where it is sound; or () where all are.
  """
  again = config.copy_and_resolve_references()
  for name, stage in stages.of(again):
    path = (folder / 'stages' / name if name else folder) / 'metrics.jsonl'
    lines = path.read_text('utf-8').splitlines() if path.exists() else []
    history = [json.loads(line) for line in lines]
    best = tuning.best(stage.train, history)
    took = [
      found['epoch']
      for run, found in enumerate(best)
      if found and not (failures and failures[run])
    ]
    if not took:
      continue
    with again.unlocked():
      stage.train.update({'epochs': round(np.mean(took)), 'patience': 0})
      stage.train.select = 'loss'
      if optimizer.is_constant(stage.train.optimizer):
        model = stage.get('model') or again.model
        scheduled = model.get('feeding') == 'scheduled'
        stage.train.epochs *= 1 if scheduled else SPAN
        stage.train.optimizer.schedule = 'cosine'
  return again
