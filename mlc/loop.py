"""The loop over epochs, with early stopping, for K runs in one program."""

from collections.abc import Callable
import functools
import time
from typing import Any, NamedTuple

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np

from mlc import optimizer, parallel, train
from mlc.data import batches
from mlc.errors import InputError


class Fit(struct.PyTreeNode):
  """A State and what early stopping remembers of it."""

  state: train.State
  best_params: Any
  best_loss: jax.Array
  since_best: jax.Array
  running: jax.Array


def epoch(
  fit: Fit,
  rows: dict[str, train.Batch],
  idx_TxB,
  axis_name: str | None,
  *,
  step: Callable,
  valid_loss: Callable,
  patience: int,
  tolerance: float,
) -> tuple[Fit, dict[str, jax.Array]]:
  """T steps on the training rows idx (-1 = padding), then early stopping.

  A run that has stopped is computed on, since its neighbours under vmap are,
  but nothing of it changes any more.
  """

  def body(state, idx_B):
    return step(state, train.take(rows['train'], idx_B), axis_name=axis_name)

  state, scalars = jax.lax.scan(body, fit.state, idx_TxB)
  loss = valid_loss(state.variables, rows['valid'])
  grad_norm = scalars['grad_norm'][-1]
  # Without early stopping the last parameters are the best.
  better = (loss < fit.best_loss) | (patience == 0)
  since_best = jnp.where(better, 0, fit.since_best + 1)
  running = (since_best < patience) | (patience == 0)
  new = Fit(
    state=state,
    best_params=jax.tree.map(
      functools.partial(jnp.where, better), state.params, fit.best_params
    ),
    best_loss=jnp.where(better, loss, fit.best_loss),
    since_best=since_best,
    running=running & ((tolerance == 0) | (grad_norm > tolerance)),
  )
  scalars = {
    'train_loss': scalars['loss'],
    'grad_norm': grad_norm,
    'valid_loss': loss,
  }
  return jax.tree.map(
    functools.partial(jnp.where, fit.running), new, fit
  ), scalars


class Result(NamedTuple):
  """K trained runs: variables with a leading axis K, and how it went."""

  variables: Any
  history: list[dict]
  compile_seconds: float
  train_seconds: float


def check(config, num_rows: int) -> None:
  """Raises InputError for what `fit` could not do with `config`."""
  parallel.check(config.parallel)
  batches.epoch_indices(num_rows, config.batch_size or num_rows, 0, 0)
  if config.epochs < 1:
    raise InputError(f'{config.epochs} epochs: give train.epochs=1 or more')
  if config.patience < 0:
    raise InputError(f'patience {config.patience}: give 0 (none) or more')
  if config.optimizer.name == 'lbfgs' and (
    config.batch_size or config.parallel != 'jit'
  ):
    raise InputError(
      'lbfgs needs the whole objective in one place: set'
      ' train.batch_size=0 and train.parallel=jit'
    )


def fit(
  model,
  data,
  config,
  seeds: list[int],
  *,
  report: Callable[[int, str], None] = lambda epochs, text: None,
) -> Result:
  """Trains one run per seed, all in one program.

  config: epochs, batch_size (0 = all rows), patience (epochs without a better
    validation loss; 0 = none, the last parameters are kept), tolerance (stop
    at this gradient norm), l2 (of the SUM of losses: 1 / C of scikit-learn),
    optimizer, parallel.
  report: called with the epochs just done (early stopping skips many) and a
    line on where it stands.
  Raises InputError if a loss is not finite, or for no seeds, or a batch size
  larger than the data.
  """
  if not seeds:
    raise InputError('no seeds: train at least one run, --config.seeds=1')
  check(config, len(data.splits['train']))
  rows = {
    name: train.Batch(*jax.tree.map(jnp.asarray, tuple(data.split(name))))
    for name in ('train', 'valid')
  }
  num_rows = len(rows['train'].y_BxL)
  batch_size = config.batch_size or num_rows
  num_steps = -(-num_rows // batch_size) * config.epochs
  tx = optimizer.make(config.optimizer, num_steps)
  structure = jax.tree.map(jnp.asarray, model.structure(data))
  sample = jax.tree.map(lambda a: a[:2], rows['train'])

  def start(seed):
    state = train.init(model, tx, structure, sample, jax.random.key(seed))
    return Fit(
      state=state,
      best_params=jax.tree.map(jnp.copy, state.params),
      best_loss=jnp.array(jnp.inf),
      since_best=jnp.array(0),
      running=jnp.array(True),
    )

  clock = time.perf_counter()
  fits = jax.jit(parallel.over_runs(start, in_axes=0))(jnp.array(seeds))
  step = functools.partial(
    train.train_step, model=model, tx=tx, l2=config.l2 / num_rows
  )
  one_run = functools.partial(
    epoch,
    step=step,
    valid_loss=functools.partial(train.mean_loss, model),
    patience=config.patience,
    tolerance=config.tolerance,
  )

  def runs(fits, rows, idx, axis_name):
    run = functools.partial(one_run, axis_name=axis_name)
    return parallel.over_runs(run, in_axes=(0, None, 0))(fits, rows, idx)

  def indices(number):
    per_seed = [
      batches.epoch_indices(num_rows, batch_size, seed, number)
      for seed in seeds
    ]
    return np.stack(per_seed)

  run_epoch = parallel.wrap(runs, config.parallel, fits, rows, indices(0))
  compile_seconds = time.perf_counter() - clock
  clock = time.perf_counter()
  history = []
  for number in range(config.epochs):
    running = np.asarray(fits.running)
    fits, scalars = run_epoch(fits, rows, indices(number))
    scalars = jax.device_get(scalars)
    _check_finite(scalars, running, seeds, number, config.patience)
    history.append(_summary(scalars, running, seeds, number))
    valid = scalars['valid_loss'][running].mean()
    left = np.asarray(fits.running)
    done = 1 if left.any() else config.epochs - number
    report(done, f'epoch {number + 1}/{config.epochs}, valid loss {valid:.3f}')
    if not left.any():
      break
  variables = {'params': fits.best_params, 'structure': fits.state.structure}
  jax.block_until_ready(variables)
  train_seconds = time.perf_counter() - clock
  # A loss is taken before its update: the last update may have exploded.
  if not all(np.isfinite(p).all() for p in jax.tree.leaves(fits.best_params)):
    raise InputError(
      'parameters are not finite after the last step: lower train.optimizer.lr'
    )
  return Result(variables, history, compile_seconds, train_seconds)


def _check_finite(scalars, running, seeds, number, patience):
  """Raises if a run that had not stopped met a loss that is not finite."""
  blind = running & np.isnan(scalars['valid_loss']) & (patience > 0)
  bad_KxT = ~np.isfinite(scalars['train_loss']) & running[:, None]
  if bad_KxT.any():
    run, step = np.argwhere(bad_KxT)[0]
    step += number * bad_KxT.shape[1]
    raise InputError(
      f'the loss is not finite at step {step} (epoch {number + 1}, seed'
      f' {seeds[run]}): lower train.optimizer.lr, or look at the features'
    )
  if blind.any():
    raise InputError(
      f'there is no validation loss after epoch {number + 1}: no validation row'
      ' has the labels that the model needs; set train.patience=0'
    )


def _summary(scalars, running, seeds, number):
  """One line of the history: each run's scalars, None where it had stopped."""
  per_run = {
    'train_loss': scalars['train_loss'].mean(1),
    'valid_loss': scalars['valid_loss'],
    'grad_norm': scalars['grad_norm'],
  }
  return {
    'epoch': number + 1,
    'seeds': list(seeds),
    **{
      name: [
        float(v) if on else None for v, on in zip(values, running, strict=True)
      ]
      for name, values in per_run.items()
    },
  }
