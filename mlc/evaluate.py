"""Variables + rows -> predictions and metrics, for K runs at once."""

from collections.abc import Callable
import functools
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mlc import build, calibration, calls, metrics, parallel, stats
from mlc import posterior as posterior_lib
from mlc.decisions import thresholds
from mlc.decisions.targets import TARGETS
from mlc.errors import InputError, nearest
from mlc.session import Selection

# What inference and a decision hold at a time, in posteriors.
COPIES = 8


class Predictions(NamedTuple):
  """What K runs say of N rows; seconds are of the device, compilation apart.

  raw: the marginals before calibration. nodes, unseen: see `Candidates`; None
  where the method of inference has none.
  """

  log_prob_KxN: np.ndarray
  marginals_KxNxL: np.ndarray
  raw_KxNxL: np.ndarray
  answers: dict[str, np.ndarray]  # decision -> KxNxL
  seconds: dict[str, float]  # decision -> inference and decision
  compile_seconds: float
  nodes_KxN: np.ndarray | None = None
  unseen_KxN: np.ndarray | None = None


class Fitted(NamedTuple):
  """What validation rows decided for K runs; saved with the weights.

  cuts: decision -> thresholds. calibration: see mlc/calibration.py, {} = none.
  """

  cuts: dict[str, thresholds.Cut]
  calibration: dict[str, Any]

  def arrays(self, decisions) -> dict[str, Any]:
    """A tree of arrays, for a checkpoint; a cut by its place in `decisions`."""
    cuts = {
      str(decisions.index(call)): cut._asdict()
      for call, cut in self.cuts.items()
    }
    return {'cuts': cuts, 'calibration': self.calibration}

  @classmethod
  def of(cls, arrays, decisions):
    """The inverse of `arrays`."""
    cuts = {
      decisions[int(place)]: thresholds.Cut(**cut)
      for place, cut in arrays.get('cuts', {}).items()
    }
    return cls(cuts, arrays.get('calibration', {}))


NOTHING = Fitted({}, {})


class Decoder:
  """Decodes rows with K runs, in batches of one size, compiled once.

  batch_size: rows at a time, at most; fewer where the posteriors of so many
  would need more than `memory_mib`.
  """

  def __init__(
    self, model, infer, *, batch_size: int, memory_mib: float = np.inf
  ):
    self.batch_size, self.memory_mib = batch_size, memory_mib
    self.programs = parallel.Programs()
    self.seconds: dict[str, float] = {}
    self.run_rules: dict[str, Callable] = {}
    self.infer = parallel.over_runs(
      lambda v, x, key, given_BxL: infer(model, v, x, key, given_BxL=given_BxL),
      (0, None, 0, None),
    )
    self.run_infer = self._timed('infer', self.infer)
    self.run_log_prob = self._timed(
      'log_prob',
      parallel.over_runs(
        lambda v, x, y: model.apply(v, x, y, method='log_prob'),
        (0, None, None),
      ),
    )
    self.run_marginals = self._timed(
      'marginals', parallel.over_runs(posterior_lib.marginals, 0)
    )
    self.run_calibrate = self._timed(
      'calibrate', parallel.over_runs(calibration.apply, 0)
    )

  def _timed(self, name, function):
    """`function`, compiled; the seconds it runs are summed under `name`."""
    run = self.programs.add(function)
    self.seconds[name] = 0.0

    def call(*args):
      start, compiled = time.perf_counter(), self.programs.compile_seconds
      out = jax.block_until_ready(run(*args))
      compiling = self.programs.compile_seconds - compiled
      self.seconds[name] += time.perf_counter() - start - compiling
      return out

    return call

  def _rows_at_once(self, variables, x, given_BxL) -> int:
    """The size of a batch."""
    if self.memory_mib == np.inf:
      return self.batch_size
    keys = jax.random.split(
      jax.random.key(0), len(jax.tree.leaves(variables)[0])
    )

    def size(rows):
      def some(a):
        return jax.ShapeDtypeStruct((rows, *a.shape[1:]), a.dtype)

      x_B, given_B = jax.tree.map(some, (x, given_BxL))
      found = jax.eval_shape(self.infer, variables, x_B, keys, given_B)
      return sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(found))

    # What all rows share, such as a support, is in both.
    row_mib = COPIES * (size(2) - size(1)) / 2**20
    return max(1, min(self.batch_size, int(self.memory_mib / row_mib)))

  def __call__(
    self,
    variables,
    rows,
    decisions: tuple[str, ...] = (),
    *,
    fitted: Fitted = NOTHING,
    given_NxL=None,
    seed: int = 0,
  ) -> Predictions:
    """What K runs say of `rows`.

    variables: with a leading axis K. decisions: as `build.decision` takes them.
    given: 0 or 1 where a label is given, -1 where it is free.

    A calibration changes the posterior where it is marginals or a product of
    them; a joint keeps its weights, and its marginals alone are calibrated.
    """
    rules = {call: build.decision(call) for call in decisions}
    for call, rule in rules.items():
      if call not in self.run_rules:
        self.run_rules[call] = self._timed(
          call, parallel.over_runs(rule.decide, 0)
        )
    num_rows, num_runs = len(rows.y), len(jax.tree.leaves(variables)[0])
    batch_size = min(num_rows, self._rows_at_once(variables, rows.x, given_NxL))
    self.seconds = dict.fromkeys(self.seconds, 0.0)
    collected = []
    for number, start in enumerate(range(0, num_rows, batch_size)):
      # The last batch is filled with its last row, and cut below.
      idx = np.minimum(np.arange(start, start + batch_size), num_rows - 1)
      x, y_BxL, given_BxL = jax.tree.map(
        lambda a, i=idx: jnp.asarray(a[i]), (rows.x, rows.y, given_NxL)
      )
      keys = jax.random.split(
        jax.random.fold_in(jax.random.key(seed), number), num_runs
      )
      posterior = self.run_infer(variables, x, keys, given_BxL)
      if given_NxL is not None:
        _check_possible(posterior)
      batch = {'raw': self.run_marginals(posterior)}
      batch['marginals'] = batch['raw']
      if fitted.calibration:
        p_KxBxL = self.run_calibrate(fitted.calibration, batch['raw'])
        batch['marginals'] = p_KxBxL
        if not isinstance(posterior, posterior_lib.Candidates):
          posterior = posterior._replace(p_BxL=p_KxBxL)
      for call, rule in rules.items():
        run = self.run_rules[call]
        if rule.kind == 'cut':
          batch[call] = run(fitted.cuts[call], batch['marginals'])
        else:
          batch[call] = run(posterior)
      batch['log_prob'] = self.run_log_prob(variables, x, y_BxL)
      for extra in ('nodes_B', 'unseen_B'):
        if getattr(posterior, extra, None) is not None:
          batch[extra] = getattr(posterior, extra)
      collected.append(jax.device_get(batch))
    found = {
      name: np.concatenate([b[name] for b in collected], axis=1)[:, :num_rows]
      for name in collected[0]
    }
    seconds, base = {}, self.seconds['infer'] + self.seconds['calibrate']
    for call, rule in rules.items():
      cut = self.seconds['marginals'] if rule.kind == 'cut' else 0.0
      seconds[call] = base + cut + self.seconds[call]
    return Predictions(
      found['log_prob'],
      found['marginals'],
      found['raw'],
      {call: found[call] for call in decisions},
      seconds,
      self.programs.compile_seconds,
      found.get('nodes_B'),
      found.get('unseen_B'),
    )

  def fit(self, variables, rows, decisions, calibrate: str = 'none') -> Fitted:
    """Calibration and thresholds of K runs, by these (validation) rows.

    Raises:
      InputError: there are no rows to fit them on.
    """
    rules = map(build.decision, decisions)
    cuts = [rule for rule in rules if rule.kind == 'cut']
    if not cuts and calibrate == 'none':
      return NOTHING
    if not len(rows.y):
      wish = cuts[0].call if cuts else calibrate
      raise InputError(
        f'{wish} is fitted on validation rows, and there are none: give a split'
        ' with some, or a decision without thresholds and calibration=none'
      )
    p_KxNxL = self(variables, rows).marginals_KxNxL
    y_NxL, mask_NxL = jnp.asarray(rows.y), jnp.asarray(rows.mask)
    fitted = {}
    if calibrate != 'none':
      fitted = build.calibrator(calibrate)(p_KxNxL, y_NxL, mask_NxL)
      p_KxNxL = self.run_calibrate(fitted, jnp.asarray(p_KxNxL))
    return Fitted(
      {
        rule.call: jax.jit(parallel.over_runs(rule.fit, (0, None, None)))(
          p_KxNxL, y_NxL, mask_NxL
        )
        for rule in cuts
      },
      fitted,
    )


def _check_possible(posterior):
  """Raises InputError where what is given has probability 0."""
  if isinstance(posterior, posterior_lib.Candidates):
    none_KxB = jnp.isneginf(posterior.logw_BxS).all(-1)
    if count := int(none_KxB.any(0).sum()):
      raise InputError(
        f'{count} rows of a batch: no candidate has the given labels, which'
        ' have probability 0 or were not found: give others, or take'
        ' inference=exact or more samples'
      )


# Cells that are judged at a time.
CELLS = 2**25


def scores(
  predictions: Predictions, rows, names: tuple[str, ...], propensity_L=None
) -> dict[str, dict[str, Any]]:
  """Decision -> metric -> (K values, K counts of what has none: see Metric).

  Label sets are ranked by the marginals; a ranking has no metrics of answers.
  propensity_L: of training, see metrics.propensities; psp_at_K needs them.
  """
  of = {name: _metric(name, propensity_L).of for name in names}

  def measured(kind, prediction):
    wanted = tuple(name for name in names if of[name] == kind)
    return _measured(wanted, prediction, rows, propensity_L) if wanted else {}

  shared = {
    **measured('probabilities', predictions.marginals_KxNxL),
    **measured('log_prob', predictions.log_prob_KxN),
  }
  by_marginals = measured('scores', predictions.marginals_KxNxL)
  found = {}
  for call, prediction in predictions.answers.items():
    if build.decision(call).kind == 'scores':
      own = measured('scores', prediction)
    else:
      own = by_marginals | measured('answer', prediction)
    own |= shared
    found[call] = {name: own[name] for name in names if name in own}
  return found


def trust(p_KxNxL, rows) -> dict[str, float]:
  """How far marginals can be trusted: metric -> mean over K runs."""
  names = tuple(metric.name for metric in metrics.KINDS['probabilities'])
  found = _measured(names, p_KxNxL, rows, None)
  return {name: float(value_K.mean()) for name, (value_K, _) in found.items()}


def _metric(name: str, propensity_L) -> metrics.Metric:
  if name.startswith('psp_at_') and propensity_L is not None:
    return metrics.named(name, propensity_L=propensity_L)
  return metrics.named(name)


def _measured(names, prediction, rows, propensity_L):
  """Metric -> (values, left out), by batches of rows."""
  num_runs, num_rows = prediction.shape[:2]
  step = max(1, CELLS // (num_runs * rows.y.shape[1]))
  sums = {}
  for start in range(0, num_rows, step):
    part = slice(start, start + step)
    truth = rows.y[part], rows.mask[part]
    more = _sums(names, prediction[:, part], truth, propensity_L)
    for name in names:
      if name in sums:
        metric = _metric(name, propensity_L)
        more[name] = metrics.combine(metric, sums[name], more[name])
      sums[name] = more[name]
  return jax.device_get(_values(names, sums, propensity_L))


@functools.partial(jax.jit, static_argnums=0)
def _sums(names, prediction, truth, propensity_L):
  if prediction.ndim == 2:  # A log_prob is of whole rows.
    truth = (truth[1].all(-1),)
  axes = 0, *(None for _ in truth)
  return {
    name: parallel.over_runs(_metric(name, propensity_L).update, axes)(
      prediction, *truth
    )
    for name in names
  }


@functools.partial(jax.jit, static_argnums=0)
def _values(names, sums, propensity_L):
  found = {}
  for name in names:
    metric = _metric(name, propensity_L)
    value_K = parallel.over_runs(metric.value, 0)(sums[name])
    found[name] = value_K, parallel.over_runs(_skipped(metric), 0)(sums[name])
  return found


def _skipped(metric):
  return lambda sums: jnp.asarray(metric.skipped(sums))


def selection(call: str, model, rows, infer, *, batch_size):
  """'loss' (None), 'macro_f1', 'nll', ... on `rows`: what patience looks at.

  The answer is that of the decision given, "macro_f1(decision='f1')", else of
  the one that is best for the metric, else of `hamming`; none is fitted.

  Raises:
    InputError: a metric or decision that there is not.
  """
  name, options = calls.parse(call, 'train.select')
  calls.check(options, ('decision',), 'train.select')
  if name == 'loss':
    return None
  if stats.at(name)[0] not in metrics.names():
    raise nearest(name, {*metrics.names(), 'loss'}, 'metric to select by')
  best_for = [rule for rule, metric in TARGETS.items() if metric == name]
  rules = [*options.values(), *best_for, 'hamming']
  rules = [rule for rule in rules if build.decision(rule).fit is None]
  rule = rules[0]
  decode = Decoder(model, infer, batch_size=batch_size)

  def values(variables):
    answers = decode(variables, rows, (rule,))
    return np.asarray(scores(answers, rows, (name,))[rule][name][0])

  return Selection(name, values, not stats.about(name).lower)
