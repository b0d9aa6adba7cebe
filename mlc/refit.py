"""Training once more, on training and validation rows together.

Validation rows have by then chosen the settings, the epochs, thresholds and
calibration; with `config.refit` they are trained on too. Each stage takes as
many epochs as it took before, to its runs' best parameters on average (Alg. 7.2
of Goodfellow, Bengio & Courville, Deep Learning, 2016). What is tested is then
no longer what validation rows have seen, but has more rows behind it, where
rows are few.
"""

import dataclasses
import json

import numpy as np

from mlc import loop, stages, tuning
from mlc.errors import InputError


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
  again = _as_long(config, folder)
  result = stages.train(
    again, data, folder / 'refit', progress, stop, tensorboard
  )
  if progress:
    left = stages.epochs(config) - stages.epochs(again)
    progress.advance(left, 'trained on validation rows too')
  return stages.together([first, result])._replace(history=first.history)


def _as_long(config, folder):
  """`config` with the epochs that its stages took, and no early stopping."""
  again = config.copy_and_resolve_references()
  for name, stage in stages.of(again):
    path = (folder / 'stages' / name if name else folder) / 'metrics.jsonl'
    lines = path.read_text('utf-8').splitlines() if path.exists() else []
    history = [json.loads(line) for line in lines]
    best = tuning.best(stage.train, history)
    epochs = [found['epoch'] for found in best if found]
    if epochs:
      stage.train.update({'epochs': round(np.mean(epochs)), 'patience': 0})
      stage.train.select = 'loss'
  return again
