"""The loop over epochs for K runs in one program: stop, save, go on."""

from collections.abc import Callable
import contextlib
import time
from typing import Any, NamedTuple

from mlc import logs, parallel, session, train
from mlc.data import batches
from mlc.errors import InputError, nearest


class Result(NamedTuple):
  """K trained runs, as NumPy arrays with a leading axis K, and how it went."""

  variables: Any
  history: list[dict]
  compile_seconds: float
  train_seconds: float
  # Why a run ended before its time, '' for all that did not.
  failures: tuple[str, ...] = ()


class Stopped(Exception):
  """Training was asked to stop, and what it had is saved."""


def check(config, num_runs: int, data, objective=None) -> None:
  """Raises InputError for what `fit` could not do with `config`."""
  if not num_runs:
    raise InputError('no seeds: train at least one run, --config.seeds=1')
  plan = parallel.plan(config.parallel, num_runs, data.num_labels)
  if plan.splits_batches and getattr(objective, 'of_batch', False):
    raise InputError(
      f'loss {config.loss} is of a batch as a whole, and train.parallel='
      f'{config.parallel} splits it: set train.parallel=jit or mesh'
    )
  num_rows = len(data.splits['train'])
  batches.epoch_indices(num_rows, config.batch_size or num_rows, 0, 0)
  if config.compute not in ('float32', 'bfloat16'):
    raise nearest(config.compute, ('float32', 'bfloat16'), 'type to compute in')
  if config.epochs < 1:
    raise InputError(f'{config.epochs} epochs: give train.epochs=1 or more')
  if config.patience < 0:
    raise InputError(f'patience {config.patience}: give 0 (none) or more')
  if not config.patience and config.get('select', 'loss') != 'loss':
    raise InputError(
      f'train.select={config.select} with train.patience=0, which keeps the'
      ' last parameters: give a patience, train.epochs at most'
    )
  if config.optimizer.name == 'lbfgs' and (
    config.batch_size or plan.splits_batches
  ):
    raise InputError(
      'lbfgs needs the whole objective in one place: set'
      ' train.batch_size=0 and train.parallel=jit or mesh'
    )


def fit(
  model,
  data,
  config,
  seeds: list[int],
  *,
  objective: train.Objective | None = None,
  select: session.Selection | None = None,
  given=None,
  structure=None,
  kept_KxM=None,
  saved=None,
  log=None,
  progress=None,
  stop: Callable[[], bool] = lambda: False,
) -> Result:
  """Trains one run per seed, all in one program.

  config: epochs, batch_size (0 = all rows), patience (epochs without a better
    score; 0 = none, the last parameters are kept), tolerance (stop at this
    gradient norm), l2 (of the SUM of losses: 1 / C of scikit-learn), optimizer,
    parallel, compute, device_mib, save_seconds.
  objective: what is minimised; the model's own loss unless given.
  select: what early stopping looks at; the validation loss unless given.
  given: parameters to begin with, a part of the tree, with a leading axis K.
  structure: so of the collection 'structure', its own subtrees.
  kept_KxM: the rows of train that each run is trained on, -1 to fill up; all
    of them unless given.
  saved: checkpoint.Checkpoints, to go on from and to save to.
  log: `log(epoch)`, a context that gives `write(epoch, line of the history)`
    for the epochs after that one.
  progress: logs.Progress, in epochs.
  stop: asked after each chunk of steps; if true, saves and raises Stopped.
  Raises InputError if no run stays finite, or for no seeds, or a batch size
  larger than the data.
  """
  check(config, len(seeds), data, objective)
  runs = session.Session(
    *(model, data, config, seeds, objective, select, given),
    structure=structure,
    kept_KxM=kept_KxM,
  )
  if saved:
    runs.restore(saved)
  if progress and runs.epoch:
    progress.skip(runs.epoch, f'goes on after epoch {runs.epoch}')
  with log(runs.epoch) if log else contextlib.nullcontext() as write:
    _epochs(runs, config, saved, write, progress, stop)
  if saved:
    runs.save(saved)
    saved.wait()
  return Result(
    runs.variables(runs.fits.best_params),
    runs.history,
    runs.programs.compile_seconds,
    runs.seconds,
    tuple(runs.failures),
  )


def _epochs(runs, config, saved, write, progress, stop):
  """Trains until all runs have stopped."""
  epochs, save_seconds = config.epochs, config.save_seconds
  saved_at = time.monotonic()
  while runs.epoch < epochs and runs.running.any():
    began = time.monotonic()
    with contextlib.closing(runs.steps()) as steps:
      for _ in steps:
        due = time.monotonic() - saved_at > save_seconds
        if saved and parallel.any_of(stop()):
          runs.save(saved)
          saved.wait()
          raise Stopped
        if saved and parallel.any_of(due):
          runs.save(saved)
          saved_at = time.monotonic()
    line, text = runs.judge()
    if write:
      write(runs.epoch, line)
    if progress:
      rows = runs.feed.num_rows * len(runs.seeds)
      speed = logs.rate(rows / max(time.monotonic() - began, 1e-9))
      progress.advance(1, f'{text}, {speed}')
      if not runs.running.any() and runs.epoch < epochs:
        # Not skipped: what is still to come will stop early too.
        left = epochs - runs.epoch
        progress.advance(left, f'{text}: stopped early', now=True)
