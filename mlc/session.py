"""K runs in training, on the devices: what moves them and what they report."""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import functools
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mlc import feed, optimizer, parallel, runs, train
from mlc.errors import InputError

# Weights, of all runs, below which the threads of a CPU cost more than they do.
SMALL = 100_000
# Of a batch that is not finite, how many rows are told.
MOST_ROWS = 64


class Diverged(InputError):
  """No run has stayed finite; failures: why, of each run, where known."""

  def __init__(self, text: str, failures: Sequence[str] = ()):
    super().__init__(text)
    self.failures = tuple(failures)


class Selection(NamedTuple):
  """What early stopping looks at: `values(variables)` -> K numbers."""

  name: str
  values: Callable[[Any], np.ndarray]
  higher_is_better: bool


class Session:
  """K runs in training: where they stand on the devices and in the data."""

  def __init__(
    self,
    model,
    data,
    config,
    seeds,
    objective,
    select,
    given,
    structure=None,
    kept_KxM=None,
  ):
    self.data, self.config, self.seeds = data, config, seeds
    self.select = select
    self.plan = parallel.plan(config.parallel, len(seeds), data.num_labels)
    self.feed = feed.Feed(
      *(data, config.batch_size, seeds, self.plan, config.device_mib),
      kept_KxM=kept_KxM,
    )
    self.programs = parallel.Programs()
    num_steps = self.feed.num_steps * config.epochs
    self.num_steps = num_steps
    tx = optimizer.make(config.optimizer, num_steps)
    of_data = jax.tree.map(jnp.asarray, model.structure(data))

    def start(seed, given, structure, own):
      key = jax.random.key(seed)
      state = train.init(model, tx, of_data, self.feed.sample(), key)
      state = state.replace(structure=state.structure | structure)
      if given:
        params = train.filled(state.params, given)
        state = state.replace(params=params, opt_state=tx.init(params))
      opt_state = optimizer.begun_with(state.opt_state, own)
      state = state.replace(opt_state=opt_state)
      return runs.Fit(
        state=state,
        best_params=jax.tree.map(jnp.copy, state.params),
        best_score=jnp.array(jnp.nan),
        since_best=jnp.array(0),
        running=jnp.array(True),
      )

    begin = self.programs.add(parallel.over_runs(start, in_axes=0))
    own = optimizer.of_runs(config.optimizer, len(seeds))
    fits = begin(jnp.array(seeds), given or {}, structure or {}, own)
    self.like = jax.eval_shape(lambda: fits)
    self._compile(model, tx, objective)
    self.fits = self.plan.runs(jax.device_get(fits))
    self.running = np.ones(len(seeds), bool)
    self.failures = [''] * len(seeds)
    self.epoch = self.step = 0
    self.loss_sum = np.zeros(len(seeds))
    self.grad_norm = np.zeros(len(seeds), np.float32)
    self.history: list[dict] = []
    self.clock = time.perf_counter()
    self.earlier_seconds = self.programs.compile_seconds

  def _compile(self, model, tx, objective):
    """The programs; they are compiled when they are first called."""
    config, over = self.config, parallel.over_runs
    objective = objective or train.likelihood(model)
    in_training = objective
    if config.compute == 'bfloat16':
      in_training = train.in_bfloat16(objective)
    if frozen := config.optimizer.get('freeze'):
      in_training = train.without_gradients(in_training, tuple(frozen))
    params_of = functools.partial(optimizer.eval_params, config.optimizer)
    step = functools.partial(
      train.train_step,
      objective=in_training,
      tx=tx,
      l2=config.l2 / self.feed.num_rows,
    )

    def chunk(fits, rows, idx, axis_name):
      one = functools.partial(runs.chunk, axis_name=axis_name, step=step)
      return over(one, in_axes=(0, None, 0))(fits, rows, idx)

    weights = sum(a.size for a in jax.tree.leaves(self.like.state.params))
    small = weights < SMALL
    self._chunk = self.plan.compile(self.programs, chunk, small=small)
    sums = functools.partial(
      runs.loss_sums, objective=objective, params_of=params_of
    )
    self._loss_sums = self.programs.add(over(sums, in_axes=(0, None, 0)))
    judge = functools.partial(
      runs.judge,
      params_of=params_of,
      patience=config.patience,
      tolerance=config.tolerance,
    )
    self._judge = self.programs.add(over(judge, in_axes=0), donate_argnums=0)
    self._params = self.programs.add(
      over(lambda f: params_of(f.state.opt_state, f.state.params), in_axes=0)
    )

  @property
  def seconds(self) -> float:
    """Of training so far, compilation apart."""
    since = time.perf_counter() - self.clock - self.programs.compile_seconds
    return self.earlier_seconds + since

  def steps(self) -> Iterator[None]:
    """Trains the rest of the epoch; yields where the position is consistent."""
    if self.step == 0:
      self.loss_sum = np.zeros(len(self.seeds))
    # Closed at once where the loop ends early: a thread may be at work.
    with contextlib.closing(self.feed.epoch(self.epoch, self.step)) as parts:
      for part in parts:
        self._take(part)
        yield

  def _take(self, part):
    """The steps of one chunk."""
    self.fits, scalars = self._chunk(self.fits, part.rows, part.idx)
    scalars, running = self.plan.fetch((scalars, self.fits.running))
    for run in np.flatnonzero(self.running & ~running):
      self._fail(run, part, {name: a[run] for name, a in scalars.items()})
    self.running, self.step = np.array(running), part.stop
    self.loss_sum += scalars['loss'].sum(1, dtype=float)
    self.grad_norm = scalars['grad_norm'][:, -1]

  def _fail(self, run, part, scalars):
    """Notes where `run` stopped being finite."""
    finite_T = np.isfinite(scalars['loss']) & np.isfinite(scalars['grad_norm'])
    # Where all losses are finite the last update exploded.
    at = int(np.argmin(finite_T)) if not finite_T.all() else len(finite_T) - 1
    idx_B = part.idx_KxTxB[run, at]
    rows = self.data.splits['train'][idx_B[idx_B >= 0]]
    step = self.epoch * self.feed.num_steps + part.start + at
    what = 'the loss is' if not finite_T.all() else 'the parameters are'
    told = ', '.join(map(str, rows[:MOST_ROWS]))
    rate = optimizer.learning_rate(
      optimizer.of_run(self.config.optimizer, run), self.num_steps
    )(step)
    told += ', ...' if len(rows) > MOST_ROWS else ''
    self.failures[run] = (
      f'{what} not finite at step {step} (epoch {self.epoch + 1}, seed'
      f' {self.seeds[run]}, learning rate {rate:.3g}, rows'
      f' {told}): lower train.optimizer.lr, or look at the features of these'
      ' rows'
    )
    self._end_if_all_failed()

  def _end_if_all_failed(self):
    if all(self.failures):
      raise Diverged(self.failures[0], self.failures)

  def judge(self) -> tuple[dict, str]:
    """Ends the epoch: validation, early stopping -> line of history, text."""
    sums = np.zeros((len(self.seeds), 2))
    for piece in self.feed.valid():
      sums += self.plan.fetch(self._loss_sums(self.fits, *piece))
    with np.errstate(invalid='ignore', divide='ignore'):
      valid_loss = (sums[:, 0] / sums[:, 1]).astype(np.float32)
    scores = {'valid_loss': valid_loss}
    score = valid_loss
    if self.select:
      values = np.asarray(
        self.select.values(self.variables(self._params(self.fits))), np.float32
      )
      scores[f'valid_{self.select.name}'] = values
      score = -values if self.select.higher_is_better else values
    if self.config.patience:
      self._look_for_scores(score, sums[:, 1])
    per_run = {
      'train_loss': self.loss_sum / self.feed.num_steps,
      **scores,
      'grad_norm': self.grad_norm,
    }
    line = {
      'epoch': self.epoch + 1,
      'seeds': list(self.seeds),
      **{
        name: [
          float(v) if on else None
          for v, on in zip(values, self.running, strict=True)
        ]
        for name, values in per_run.items()
      },
    }
    text = f'epoch {self.epoch + 1}/{self.config.epochs}' + ''.join(
      f', {name.replace("_", " ")} {values[self.running].mean():.3f}'
      for name, values in per_run.items()
      if name != 'grad_norm' and self.running.any()
    )
    self.fits = self._judge(self.fits, score, self.grad_norm)
    self.running = np.array(self.plan.fetch(self.fits.running))
    self.history.append(line)
    self.epoch, self.step = self.epoch + 1, 0
    return line, text

  def _look_for_scores(self, score, weight):
    """Early stopping cannot go by what is not a number, or infinite."""
    after = f'after epoch {self.epoch + 1}'
    for run in np.flatnonzero(self.running & np.isnan(score)):
      if weight[run]:
        why = 'look at the features of the validation rows'
      else:
        why = 'no validation row has the labels that the model needs'
      self.failures[run] = (
        f'there is no validation loss {after} (seed {self.seeds[run]}): {why};'
        ' or set train.patience=0'
      )
    self._end_if_all_failed()
    if np.isposinf(score[self.running]).all():
      raise Diverged(
        f'the validation score is infinite {after}, so that early stopping'
        ' cannot go by it: set another train.select, or train.patience=0'
      )

  def variables(self, params):
    """`params` with the structure of the runs, as NumPy arrays."""
    structure = self.fits.state.structure
    return self.plan.fetch({'params': params, 'structure': structure})

  def save(self, saved) -> None:
    """To `saved`: all that the same command needs to go on as if never cut."""
    about = {
      'epoch': self.epoch,
      'step': self.step,
      'loss_sum': self.loss_sum.tolist(),
      'grad_norm': self.grad_norm.tolist(),
      'history': self.history,
      'failures': self.failures,
      'seconds': self.seconds,
    }
    number = self.epoch * self.feed.num_steps + self.step
    saved.save(number, self.plan.fetch(self.fits), about)

  def restore(self, saved) -> None:
    """Goes on from the last of `saved`, if there is one."""
    found = saved.latest(self.like)
    if not parallel.same_everywhere(found.step if found else -1):
      raise InputError(
        f'{saved.folder}: the processes of the run see different checkpoints:'
        ' give them all the same folder'
      )
    if found is None:
      return
    _, fits, about = found
    self.fits = self.plan.runs(fits)
    self.running = np.array(fits.running)
    self.epoch, self.step = about['epoch'], about['step']
    self.loss_sum = np.array(about['loss_sum'], float)
    self.grad_norm = np.array(about['grad_norm'], np.float32)
    self.history, self.failures = about['history'], about['failures']
    self.earlier_seconds += about['seconds']
