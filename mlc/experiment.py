"""One model on one data set: train, fit thresholds, decode, score, save."""

import functools
import json
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from mlc import (
  build,
  calibration,
  checkpoint,
  convex,
  evaluate,
  logs,
  loop,
  optimizer,
  parallel,
  run_folder,
  stages,
  train,
)
from mlc.data import Dataset, load, split_files
from mlc.errors import InputError, nearest
from mlc.report import Record, rows_note
from mlc.stats import METRICS

# The columns of a table, in their order.
SCORES = (
  'hamming_loss',
  'subset_accuracy',
  'example_f1',
  'micro_f1',
  'macro_f1',
  'lrap',
  'nll',
)


def load_data(config, download: bool = False) -> Dataset:
  """The data set that `config` names, imputed, standardised if it says so."""
  options = {key: config.get(key) for key in ('labels', 'drop')}
  data = load(config.data, config.data_seed, download=download, **options)
  if config.get('splits'):
    rows = split_files.load(config.splits, data)
    data = data.with_splits(rows)
  return data.standardised() if config.standardise else data.imputed()


def check(config, data) -> None:
  """Raises InputError for what is wrong with `config` on `data`, in no time.

  All but the numbers is tried: the model is traced, not run.
  """
  if config.seeds < 1:
    raise InputError(
      f'{config.seeds} seeds: train at least one run, --config.seeds=1'
    )
  if config.decode_batch < 1:
    raise InputError(
      f'decode_batch {config.decode_batch}: give the rows to decode at once, 1'
      ' or more'
    )
  if not config.decisions:
    raise InputError("no decisions: give one, decisions=('hamming',)")
  for rule in config.decisions:
    build.decision(rule)
  infer = build.infer(config.inference)
  rows = train.Batch(*data.rows(data.splits['train'][:2]))
  given = {}
  for name, stage in stages.of(config):
    model = build.model(stage.model, config.encoder, data.num_labels)
    objective = build.objective(model, stage.train.loss, data)
    tx = optax.identity()
    if stage.train.optimizer.name == 'convex':
      convex.check(model, stage.train)
      if given:
        raise InputError(
          'train.optimizer.name=convex begins with nothing that a stage before'
          ' it keeps: take keep=() there, or another optimizer here'
        )
    else:
      loop.check(stage.train, config.seeds, data, objective)
      evaluate.selection(stage.train.select, model, rows, infer, batch_size=1)
      tx = optimizer.make(stage.train.optimizer, num_steps=1)
    variables = jax.eval_shape(
      functools.partial(_variables, model, tx, model.structure(data)), rows
    )
    params = variables['params']
    jax.eval_shape(train.filled, params, given)
    for part in stage.get('keep', ()):
      if part not in params:
        raise nearest(part, params, f'part of the model for {name}.keep')
    given = {part: params[part] for part in stage.get('keep', ())}
    jax.eval_shape(
      functools.partial(infer, model), variables, rows.x, jax.random.key(0)
    )
    rngs = {'dropout': jax.random.key(0)}
    trace = functools.partial(objective, train=True, rngs=rngs)
    jax.eval_shape(trace, variables, rows)


def _variables(model, tx, structure, rows):
  """Those of one run before training."""
  arrays = jax.tree.map(jnp.asarray, structure)
  return train.init(model, tx, arrays, rows, jax.random.key(0)).variables


def parameter_table(config, data) -> str:
  """The parameters of the model of `config`, for a terminal."""
  model = build.model(config.model, config.encoder, data.num_labels)
  tx = optax.identity()
  rows = train.Batch(*data.rows(data.splits['train'][:2]))
  variables = jax.eval_shape(
    functools.partial(_variables, model, tx, model.structure(data)), rows
  )
  return logs.parameter_table(variables['params'])


class Outcome(NamedTuple):
  """What a table has of one model: its cells and its footnotes."""

  records: list[Record]
  notes: list[str]


def train_and_evaluate(
  config,
  data,
  folder,
  *,
  progress=None,
  stop=lambda: False,
  tensorboard: bool = True,
) -> Outcome:
  """Trains K seeds of `config` on `data`, scores them on test, saves them.

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
      progress.skip(stages.epochs(config), 'done before')
    records = [
      Record(**r | {'values': tuple(map(float, r['values']))})
      for r in summary['records']
    ]
    return Outcome(records, summary['notes'])
  model = build.model(config.model, config.encoder, data.num_labels)
  result = stages.train(config, data, folder, progress, stop, tensorboard)
  decode = _decoder(config, model)
  valid, test = data.split('valid'), data.split('test')
  on_valid = decode(result.variables, valid)
  thresholds_KxL = np.asarray(
    _fit_thresholds(on_valid.marginals_KxNxL, valid.y, valid.mask)
  )
  rules = tuple(config.decisions)
  on_test = decode(result.variables, test, rules, thresholds_KxL=thresholds_KxL)
  about = {
    'config': json.loads(config.to_json_best_effort()),
    'label_names': list(data.label_names),
    'data': data.name,
    'data_checksum': data.checksum,
    'versions': run_folder.metadata(parallel.devices())['versions'],
    'compile_seconds': result.compile_seconds,
    'train_seconds': result.train_seconds,
    'failures': result.failures or ('',) * config.seeds,
    'proper': build.objective(model, config.train.loss, data).proper,
  }
  outcome = _outcome(config, about, on_test, test)
  if parallel.is_first():
    variables = result.variables | {'thresholds': thresholds_KxL}
    checkpoint.save(folder / 'checkpoints' / 'final', variables, about)
    save_predictions(folder / 'predictions_test.npz', on_test, data.label_names)
    summary = {
      'records': [r._asdict() for r in outcome.records],
      'notes': outcome.notes,
      'epochs': len(result.history),
      'best': _best(config, result.history),
      'compile_seconds': result.compile_seconds,
      'train_seconds': result.train_seconds,
    }
    run_folder.finish(folder, summary)
  return outcome


def _best(config, history) -> list[dict]:
  """Of each run, the score that early stopping went by and its epoch."""
  select = config.train.get('select', 'loss').partition('(')[0]
  name = f'valid_{select}'
  if not config.train.patience or not history or name not in history[0]:
    return []
  lower = select == 'loss' or METRICS[select].lower
  best = []
  for run in range(config.seeds):
    column = (line[name][run] for line in history)
    values = [float(value) for value in column if value is not None]
    if not values:  # It failed in its first epoch.
      best.append({})
      continue
    at = max(
      range(len(values)), key=lambda i: -values[i] if lower else values[i]
    )
    best.append({name: values[at], 'epoch': at + 1})
  return best


_fit_thresholds = jax.jit(
  parallel.over_runs(calibration.per_label_thresholds, (0, None, None))
)


def _decoder(config, model) -> evaluate.Decoder:
  return evaluate.Decoder(
    model, build.infer(config.inference), batch_size=config.decode_batch
  )


def evaluate_saved(
  folder, split: str, download: bool = False
) -> tuple[Outcome, str]:
  """Scores what `train_and_evaluate` saved -> (outcome, title of the table).

  The model, its structure and its thresholds come from the checkpoint; the
  data must be what it was trained on. Writes predictions_<split>.npz.
  """
  folder = pathlib.Path(folder)
  variables, about = checkpoint.restore(folder / 'checkpoints' / 'final')
  config: Any = ml_collections.ConfigDict(about['config'])
  data = load_data(config, download)
  if data.checksum != about['data_checksum']:
    raise InputError(
      f'{folder}: {data.name} has changed since it was trained (checksum'
      f' {about["data_checksum"]} then, {data.checksum} now): train again'
    )
  model = build.model(config.model, config.encoder, len(about['label_names']))
  rows = data.split(split)
  variables = dict(variables)
  thresholds_KxL = variables.pop('thresholds')
  predictions = _decoder(config, model)(
    variables,
    rows,
    tuple(config.decisions),
    thresholds_KxL=thresholds_KxL,
  )
  save_predictions(
    folder / f'predictions_{split}.npz', predictions, data.label_names
  )
  outcome = _outcome(config, about, predictions, rows)
  return outcome, f'{data.name}: {config.seeds} seeds, {split} rows'


def save_predictions(path, predictions, label_names) -> None:
  """Marginals and one array per decision (KxNxL), label names; no pickle."""
  with run_folder.replacing(path) as file:
    np.savez_compressed(
      file,
      marginals=predictions.marginals_KxNxL,
      log_prob=predictions.log_prob_KxN,
      label_names=np.array(label_names),
      **predictions.answers,
    )


def _outcome(config, about, predictions, rows) -> Outcome:
  """The cells of a model's rows; seeds that failed are in a note instead."""
  failures, proper = about['failures'], about['proper']
  alive = [run for run, failure in enumerate(failures) if not failure]
  notes = [f'{config.name}, left out: {text}' for text in failures if text]
  records = []
  for rule, values in evaluate.scores(predictions, rows).items():
    note = rows_note(values.pop('unseen')[alive])
    key = (about['data'], config.name, config.inference, rule)
    for metric in SCORES:
      per_seed = tuple(map(float, values[metric][alive]))
      text = note if metric == 'nll' else ''
      records.append(Record(*key, metric, per_seed, text, proper))
    for metric, seconds in (
      ('train_seconds', about['train_seconds']),
      ('decode_seconds', predictions.seconds[rule]),
    ):
      records.append(Record(*key, metric, (seconds,), proper=proper))
  return Outcome(records, notes)
