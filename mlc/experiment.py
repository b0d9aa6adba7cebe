"""One model on one data set: train, fit thresholds, decode, score, save."""

import json
import pathlib

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from mlc import (
  build,
  calibration,
  checkpoint,
  evaluate,
  logs,
  loop,
  optimizer,
  train,
)
from mlc.data import Dataset, load, split_files
from mlc.errors import InputError
from mlc.report import Record, rows_note

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
  model = build.model(config.model, config.encoder, data.num_labels)
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
  loop.check(config.train, len(data.splits['train']))

  structure = model.structure(data)

  def trace(rows):
    tx = optimizer.make(config.train.optimizer, num_steps=1)
    arrays = jax.tree.map(jnp.asarray, structure)
    state = train.init(model, tx, arrays, rows, jax.random.key(0))
    infer(model, state.variables, rows.x, jax.random.key(0))

  jax.eval_shape(trace, train.Batch(*data.rows(data.splits['train'][:2])))


def train_and_evaluate(config, data, folder, *, report) -> list[Record]:
  """Trains K seeds of `config` on `data`, scores them on test, saves them.

  data: a Dataset, standardised where that is wanted. Thresholds, like early
  stopping, see validation rows only. Into `folder` go the checkpoint (with
  thresholds), metrics.jsonl and predictions_test.npz.
  """
  model = build.model(config.model, config.encoder, data.num_labels)
  infer = build.infer(config.inference)
  seeds = list(range(config.seeds))
  result = loop.fit(model, data, config.train, seeds, report=report)
  valid = data.split('valid')
  on_valid = evaluate.predict(
    model, result.variables, valid, infer, batch_size=config.decode_batch
  )
  thresholds_KxL = jax.vmap(
    calibration.per_label_thresholds, in_axes=(0, None, None)
  )(
    jnp.asarray(on_valid.marginals_KxNxL),
    jnp.asarray(valid.y),
    jnp.asarray(valid.mask),
  )
  variables = result.variables | {'thresholds': thresholds_KxL}
  on_test = _predict(config, model, variables, data.split('test'))
  folder = pathlib.Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  checkpoint.save(
    folder / 'checkpoint',
    variables,
    {
      'config': json.loads(config.to_json_best_effort()),
      'label_names': list(data.label_names),
      'data': data.name,
      'data_checksum': data.checksum,
      'compile_seconds': result.compile_seconds,
      'train_seconds': result.train_seconds,
    },
  )
  logs.write_jsonl(folder / 'metrics.jsonl', result.history)
  save_predictions(folder / 'predictions_test.npz', on_test, data.label_names)
  return _records(
    config, data.name, result.train_seconds, on_test, data.split('test')
  )


def evaluate_saved(
  folder, split: str, download: bool = False
) -> tuple[list[Record], str]:
  """Scores what `train_and_evaluate` saved -> (records, title of the table).

  The model, its structure and its thresholds come from the checkpoint; the
  data must be what it was trained on.
  """
  variables, about = checkpoint.restore(pathlib.Path(folder) / 'checkpoint')
  config = ml_collections.ConfigDict(about['config'])
  data = load_data(config, download)
  if data.checksum != about['data_checksum']:
    raise InputError(
      f'{folder}: {data.name} has changed since it was trained (checksum'
      f' {about["data_checksum"]} then, {data.checksum} now): train again'
    )
  model = build.model(config.model, config.encoder, len(about['label_names']))
  rows = data.split(split)
  predictions = _predict(config, model, variables, rows)
  records = _records(
    config, data.name, about['train_seconds'], predictions, rows
  )
  return records, f'{data.name}: {config.seeds} seeds, {split} rows'


def _predict(config, model, variables, rows) -> evaluate.Predictions:
  variables = dict(variables)
  thresholds_KxL = variables.pop('thresholds')
  return evaluate.predict(
    model,
    variables,
    rows,
    build.infer(config.inference),
    tuple(config.decisions),
    batch_size=config.decode_batch,
    thresholds_KxL=thresholds_KxL,
  )


def save_predictions(path, predictions, label_names) -> None:
  """Marginals and one array per decision (KxNxL), label names; no pickle."""
  with logs.replacing(path) as file:
    np.savez_compressed(
      file,
      marginals=predictions.marginals_KxNxL,
      log_prob=predictions.log_prob_KxN,
      label_names=np.array(label_names),
      **predictions.answers,
    )


def _records(
  config, data_name, train_seconds, predictions, rows
) -> list[Record]:
  records = []
  for rule, values in evaluate.scores(predictions, rows).items():
    note = rows_note(values.pop('unseen'))
    key = (data_name, config.name, config.inference, rule)
    for metric in SCORES:
      per_seed = tuple(map(float, values[metric]))
      records.append(
        Record(*key, metric, per_seed, note if metric == 'nll' else '')
      )
    records.append(Record(*key, 'train_seconds', (train_seconds,)))
    records.append(Record(*key, 'decode_seconds', (predictions.seconds[rule],)))
  return records
