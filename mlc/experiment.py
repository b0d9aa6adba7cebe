"""One model on one data set: train, fit thresholds, decode, score, save."""

import json
import pathlib

from absl import logging
import jax
import numpy as np
import optax

from mlc import (
  build,
  calibration,
  calls,
  checkpoint,
  checks,
  logs,
  outcomes,
  parallel,
  provenance,
  refit,
  run_folder,
  saved,
  stages,
  train,
  tuning,
)
from mlc.decisions import thresholds
from mlc.errors import InputError
from mlc.tables.report import Record


def after_training(config) -> tuple[str, ...]:
  """Keys of `config` that training does not look at: they may change later."""
  judged = 'decisions', 'metrics', 'calibration', 'rules', 'refit'
  if any(stage.train.select != 'loss' for _, stage in stages.of(config)):
    return judged  # It is stopped by its answers.
  return *judged, 'inference', 'decode_batch', 'decode_mib'


def of_training(config) -> str:
  """What training looks at: alike in configs that train the same runs."""
  found = json.loads(config.to_json_best_effort())
  for key in ('name', *after_training(config)):
    del found[key]
  return json.dumps(found, sort_keys=True)


def _count(params) -> int:
  """Of one of K runs."""
  return sum(int(np.prod(a.shape[1:])) for a in jax.tree.leaves(params))


def parameter_table(config, data) -> str:
  """The parameters of the model of `config`, for a terminal."""
  model = build.model(config.model, config.encoder, data.num_labels)
  tx = optax.identity()
  rows = train.Batch(*data.rows(data.splits['train'][:2]))
  variables = checks.shapes(model, tx, data, rows)
  return logs.parameter_table(variables['params'])


def epochs(config) -> int:
  """Of trials, of the training after them and of a refit, at most."""
  return tuning.epochs(config) + refit.epochs(config)


def train_and_evaluate(
  config,
  data,
  folder,
  *,
  progress=None,
  stop=lambda: False,
  tensorboard: bool = True,
) -> outcomes.Outcome:
  """Trains K seeds of `config` on `data`, scores them on test, saves them.

  config: as `checks.check` gives it.
  data: a Dataset, standardised where that is wanted. Thresholds, like early
    stopping, see validation rows only.
  folder: gets checkpoints/, metrics.jsonl, TensorBoard events,
    predictions_test.npz, summary.json and DONE. What an earlier call with the
    same arguments has left there is gone on with, or read where it was done.
  Raises InputError, and loop.Stopped when `stop()` has come true.
  """
  folder = pathlib.Path(folder)
  summary = run_folder.finished(folder)
  if parallel.any_of(summary is not None) and summary is None:
    raise InputError(
      f'{folder}: done for another process of the run, not for this one: give'
      ' them all the same folder'
    )
  if summary:
    if progress:
      progress.skip(epochs(config), 'done before')
    records = [
      Record(**r | {'values': tuple(map(float, r['values']))})
      for r in summary['records']
    ]
    return outcomes.Outcome(records, summary['notes'])
  config, tuned = tuning.chosen(config, data, folder, progress, stop)
  model = build.model(config.model, config.encoder, data.num_labels)
  result = stages.train(config, data, folder, progress, stop, tensorboard)
  decode = saved.decoder(config, model)
  fitted = decode.fit(
    result.variables, data.split('valid'), config.decisions, config.calibration
  )
  if config.refit:
    how = progress, stop, tensorboard
    result = refit.train(result, config, data, folder, *how)
  test = data.split('test')
  on_test = decode(result.variables, test, config.decisions, fitted=fitted)
  about = {
    'config': json.loads(config.to_json_best_effort()),
    'label_names': list(data.label_names),
    'data': data.name,
    'data_checksum': data.checksum,
    'versions': provenance.metadata(parallel.devices())['versions'],
    'compile_seconds': result.compile_seconds,
    'train_seconds': result.train_seconds,
    'failures': result.failures or ('',) * config.seeds,
    'fitted': _remarks(config, data.split('valid')),
    'parameters': _count(result.variables['params']),
    'proper': build.objective(model, config.train.loss, data).proper,
  }
  outcome = outcomes.of(config, about, on_test, test, data)
  if parallel.is_first():
    variables = result.variables | {
      saved.FITTED: fitted.arrays(config.decisions)
    }
    checkpoint.save(folder / 'checkpoints' / 'final', variables, about)
    saved.write(folder, 'test', on_test, outcome, data, test)
    summary = {
      'records': [r._asdict() for r in outcome.records],
      'notes': outcome.notes,
      'epochs': len(result.history),
      'tuned': tuned.get('chosen', {}),
      'best': tuning.best(config.train, result.history),
      'compile_seconds': result.compile_seconds,
      'train_seconds': result.train_seconds,
    }
    run_folder.finish(folder, summary)
  return outcome


def _remarks(config, valid) -> list[str]:
  """What validation rows were used for beyond the usual, or too few for."""
  found = []
  for call in config.decisions:
    name, options = calls.parse(call, 'decision')
    if name == 'scut':
      few = int(thresholds.rare(valid.y, valid.mask, **options).sum())
      if few:
        found.append(
          f'{call}: {few} labels have too few positives among validation rows'
          ' for a cut of their own: they get the common one.'
        )
  if config.calibration != 'none':
    one = int(calibration.one_class(valid.y, valid.mask).sum())
    if one:
      found.append(
        f'{config.calibration}: {one} labels are all on or all off in'
        ' validation rows and stay as they are.'
      )
  for text in found:
    logging.warning('%s: %s', config.name, text)
  if config.refit:
    found.append('refit: trained once more, on validation rows too.')
  return found
