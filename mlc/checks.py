"""What is wrong with a config is found before anything is trained."""

from collections.abc import Iterator
import contextlib
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mlc import (
  build,
  convex,
  loop,
  optimizer,
  outcomes,
  refit,
  scoring,
  stacked,
  stages,
  train,
  tuning,
)
from mlc import posterior as posterior_lib
from mlc.errors import InputError, nearest


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
  variables = shapes(model, optax.identity(), data, rows)
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
  refit.check(config, data)
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
    variables = shapes(model, tx, data, in_training)
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


def shapes(model, tx, data, rows):
  """Those of the variables of one run, from a few of its training rows."""
  make = functools.partial(_variables, model, tx, model.structure(data))
  return jax.eval_shape(make, rows)


def _variables(model, tx, structure, rows):
  """Those of one run before training."""
  arrays = jax.tree.map(jnp.asarray, structure)
  return train.init(model, tx, arrays, rows, jax.random.key(0)).variables
