"""One model on one data set: train, fit thresholds, decode, score, save."""

from collections.abc import Iterator
import contextlib
import functools
import json
import pathlib

from absl import logging
import jax
import jax.numpy as jnp
import numpy as np
import optax

from mlc import (
  build,
  calibration,
  calls,
  checkpoint,
  convex,
  logs,
  loop,
  optimizer,
  outcomes,
  parallel,
  provenance,
  run_folder,
  saved,
  scoring,
  stacked,
  stages,
  train,
  tuning,
)
from mlc import posterior as posterior_lib
from mlc.decisions import thresholds
from mlc.errors import InputError, nearest
from mlc.tables.report import Record


def after_training(config) -> tuple[str, ...]:
  """Keys of `config` that training does not look at: they may change later."""
  judged = 'decisions', 'metrics', 'calibration', 'rules'
  if any(stage.train.select != 'loss' for _, stage in stages.of(config)):
    return judged  # It is stopped by its answers.
  return *judged, 'inference', 'decode_batch', 'decode_mib'


def of_training(config) -> str:
  """What training looks at: alike in configs that train the same runs."""
  found = json.loads(config.to_json_best_effort())
  for key in ('name', *after_training(config)):
    del found[key]
  return json.dumps(found, sort_keys=True)


def alternatives(config) -> Iterator:
  """`config` with each inference of 'exact or beam(width=64)'."""
  for call in config.inference.split(' or '):
    one = config.copy_and_resolve_references()
    one.inference = call.strip()
    yield one


def check(config, data):
  """`config` with the first of its inferences that takes the model on `data`.

  Raises InputError for what is wrong with it, in no time: all but the numbers
  is tried, the model is traced and not run.
  """
  config = _settled(config, data)
  _check(config, data)
  return config


def _settled(config, data):
  *others, last = alternatives(config)
  if not others:
    return last
  model = build.model(config.model, config.encoder, data.num_labels)
  rows = train.Batch(*data.rows(data.splits['train'][:2]))
  variables = _shapes(model, optax.identity(), data, rows)
  for one in others:
    with contextlib.suppress(InputError):
      _posterior(build.infer(one.inference), model, variables, rows.x)
      return one
  return last


def _check(config, data) -> None:
  for trial in tuning.check(config):
    _check(trial, data)
  if config.seeds < 1:
    raise InputError(
      f'{config.seeds} seeds: train at least one run, --config.seeds=1'
    )
  if config.decode_batch < 1:
    raise InputError(
      f'decode_batch {config.decode_batch}: give the rows to decode at once, 1'
      ' or more'
    )
  if config.decode_mib <= 0:
    raise InputError(f'decode_mib {config.decode_mib}: give MiB, above 0')
  if not config.decisions or len({*config.decisions}) < len(config.decisions):
    raise InputError(
      f'decisions={tuple(config.decisions)}: give one or more, each once:'
      " decisions=('hamming',)"
    )
  rules = [build.decision(call) for call in config.decisions]
  fits = [rule.fit for rule in rules if rule.fit]
  if config.calibration != 'none':
    fits.append(build.calibrator(config.calibration))
  if fits and not len(data.splits.get('valid', ())):
    raise InputError(
      f'{data.name} has no validation rows, which thresholds and calibration'
      ' are fitted on: give splits with some, or other decisions'
    )
  cells = jax.ShapeDtypeStruct((2, data.num_labels), jnp.float32)
  for rule in rules:
    if rule.fit:
      jax.eval_shape(rule.fit, cells, cells, cells)
  outcomes.check(config, data)
  infer = build.infer(config.inference)
  rows = train.Batch(*data.rows(data.splits['train'][:2]))
  # In training a stage before may have put predictions into x.
  given, in_training = {}, rows
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
      optimizer.of_runs(stage.train.optimizer, config.seeds)
      scoring.selection(stage.train.select, model, rows, infer, batch_size=1)
      tx = optimizer.make(stage.train.optimizer, num_steps=1)
    variables = _shapes(model, tx, data, in_training)
    params = variables['params']
    jax.eval_shape(train.filled, params, given)
    for part in stage.get('keep', ()):
      if part not in params:
        raise nearest(part, params, f'part of the model for {name}.keep')
    given = {part: params[part] for part in stage.get('keep', ())}
    if 'folds' in stage:
      stages.check(config, name, model, data, variables, rows.x)
      given[name] = params
    posterior = _posterior(infer, model, variables, rows.x)
    if config.calibration != 'none':
      posterior = jax.eval_shape(
        lambda p: posterior_lib.calibrated(p, posterior_lib.label_scores(p)),
        posterior,
      )
    for rule in rules:
      if rule.fit is None:
        jax.eval_shape(rule.decide, posterior)
    rngs = {'dropout': jax.random.key(0)}
    trace = functools.partial(objective, train=True, rngs=rngs)
    jax.eval_shape(trace, variables, in_training)
    if stage.get('folds'):
      p_BxKxL = np.zeros((2, config.seeds, data.num_labels), np.float32)
      in_training = rows._replace(x=stacked.Stacked(rows.x, p_BxKxL))


def _posterior(infer, model, variables, x):
  return jax.eval_shape(
    functools.partial(infer, model), variables, x, jax.random.key(0)
  )


def _shapes(model, tx, data, rows):
  """Those of the variables of one run, from a few of its training rows."""
  make = functools.partial(_variables, model, tx, model.structure(data))
  return jax.eval_shape(make, rows)


def _variables(model, tx, structure, rows):
  """Those of one run before training."""
  arrays = jax.tree.map(jnp.asarray, structure)
  return train.init(model, tx, arrays, rows, jax.random.key(0)).variables


def _count(params) -> int:
  """Of one of K runs."""
  return sum(int(np.prod(a.shape[1:])) for a in jax.tree.leaves(params))


def parameter_table(config, data) -> str:
  """The parameters of the model of `config`, for a terminal."""
  model = build.model(config.model, config.encoder, data.num_labels)
  tx = optax.identity()
  rows = train.Batch(*data.rows(data.splits['train'][:2]))
  variables = _shapes(model, tx, data, rows)
  return logs.parameter_table(variables['params'])


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

  config: as `check` gives it.
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
      progress.skip(tuning.epochs(config), 'done before')
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
      'best': tuning.best(config, result.history),
      'compile_seconds': result.compile_seconds,
      'train_seconds': result.train_seconds,
    }
    run_folder.finish(folder, summary)
  return outcome


def _remarks(config, valid) -> list[str]:
  """Labels with too few validation rows for what was fitted on these."""
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
  return found
