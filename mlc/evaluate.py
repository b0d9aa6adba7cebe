"""Variables + rows -> predictions and metrics, for K runs at once."""

from collections.abc import Callable
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mlc import build, calibration, parallel
from mlc import posterior as posterior_lib
from mlc.decisions import thresholds
from mlc.errors import InputError
from mlc.models import base


class Predictions(NamedTuple):
  """What K runs say of N rows; seconds are of the device, compilation apart.

  log_prob: by the model's method named in `likelihood`; None where it has
    none. marginals: scores where they are no `probabilities`. raw: the same
    before calibration. nodes, unseen: see `Candidates`; None where the method
    of inference has none.
  """

  log_prob_KxN: np.ndarray | None
  marginals_KxNxL: np.ndarray
  raw_KxNxL: np.ndarray
  answers: dict[str, np.ndarray]  # decision -> KxNxL
  seconds: dict[str, float]  # decision -> inference and decision
  compile_seconds: float
  nodes_KxN: np.ndarray | None = None
  unseen_KxN: np.ndarray | None = None
  likelihood: str = 'log_prob'
  probabilities: bool = True

  def only(self, runs: list[int]) -> 'Predictions':
    """Those of some of the runs."""
    answers = {call: a[runs] for call, a in self.answers.items()}
    own = {
      name: a[runs]
      for name, a in self._asdict().items()
      if isinstance(a, np.ndarray)
    }
    return self._replace(answers=answers, **own)


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

  batch_size: rows at a time, at most; fewer where the inference of so many
  would hold more than `memory_mib`.
  """

  def __init__(
    self, model, infer, *, batch_size: int, memory_mib: float = np.inf
  ):
    self.batch_size, self.memory_mib = batch_size, memory_mib
    self.programs = parallel.Programs()
    self.seconds: dict[str, float] = {}
    self.run_rules: dict[str, Callable] = {}
    self.infer = self.programs.add(
      parallel.over_runs(
        lambda v, x, key, given: infer(model, v, x, key, given_BxL=given),
        (0, None, 0, None),
      )
    )
    self.run_infer = self._timed('infer', self.infer)
    self.likelihood = base.LIKELIHOODS[model.capability]
    if self.likelihood:
      self.run_log_prob = self._timed(
        'log_prob',
        parallel.over_runs(
          lambda v, x, y: model.apply(v, x, y, method=self.likelihood),
          (0, None, None),
        ),
      )
    self.run_marginals = self._timed(
      'marginals', parallel.over_runs(posterior_lib.label_scores, 0)
    )
    self.run_calibrate = self._timed(
      'calibrate', parallel.over_runs(calibration.apply, 0)
    )

  def _timed(self, name, function):
    """`function`, compiled; the seconds it runs are summed under `name`."""
    is_program = isinstance(function, parallel.Program)
    run = function if is_program else self.programs.add(function)
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
    num_rows = min(self.batch_size, len(jax.tree.leaves(x)[0]))
    if self.memory_mib == np.inf:
      return num_rows
    keys = jax.random.split(
      jax.random.key(0), len(jax.tree.leaves(variables)[0])
    )

    def mib(num_rows):
      def some(a):
        dtype = jax.dtypes.canonicalize_dtype(a.dtype)
        return jax.ShapeDtypeStruct((num_rows, *a.shape[1:]), dtype)

      x_B, given_B = jax.tree.map(some, (x, given_BxL))
      return self.infer.mib(variables, x_B, keys, given_B)

    while num_rows > 1 and (wanted := mib(num_rows)) > self.memory_mib:
      fit = int(num_rows * self.memory_mib / wanted)
      num_rows = max(1, min(num_rows // 2, fit))
    return num_rows

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
    given: 0 or 1 where a label is given, -1 where it is free. A rule decides
      the labels that are free in some row alone, so that what it maximises is
      what is judged.

    A calibration changes the posterior where it is marginals or a product of
    them; a joint keeps its weights, and its marginals alone are calibrated.
    """
    rules = {call: build.decision(call) for call in decisions}
    for call, rule in rules.items():
      if call not in self.run_rules:
        self.run_rules[call] = self._timed(
          call, parallel.over_runs(rule.decide, 0)
        )
    free_F = None
    if given_NxL is not None:
      free_F = np.flatnonzero((given_NxL < 0).any(0))
      if not len(free_F):
        raise InputError('every label is given: leave one to predict')
    num_rows, num_runs = len(rows.y), len(jax.tree.leaves(variables)[0])
    batch_size = self._rows_at_once(variables, rows.x, given_NxL)
    self.seconds = dict.fromkeys(self.seconds, 0.0)
    collected, probabilities = [], True
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
        if given_BxL is not None:  # What is known needs no calibration.
          p_KxBxL = jnp.where(given_BxL[None] >= 0, batch['raw'], p_KxBxL)
        batch['marginals'] = p_KxBxL
        posterior = posterior_lib.calibrated(posterior, p_KxBxL)
      for call, rule in rules.items():
        run = self.run_rules[call]
        if rule.kind == 'cut':
          batch[call] = run(fitted.cuts[call], batch['marginals'])
        elif free_F is None:
          batch[call] = run(posterior)
        else:
          answer = run(_of_labels(posterior, free_F, given_BxL))
          known_KxBxL = jnp.round(batch['raw']).astype(answer.dtype)
          batch[call] = known_KxBxL.at[..., free_F].set(answer)
      if self.likelihood:
        batch['log_prob'] = self.run_log_prob(variables, x, y_BxL)
      probabilities = not isinstance(posterior, posterior_lib.Scores)
      for extra in ('nodes_B', 'unseen_B'):
        if getattr(posterior, extra, None) is not None:
          batch[extra] = getattr(posterior, extra)
      collected.append(jax.device_get(batch))
    found = {
      name: np.concatenate([b[name] for b in collected], axis=1)[:, :num_rows]
      for name in collected[0]
    }
    seconds, shared = {}, self.seconds['infer'] + self.seconds['calibrate']
    for call, rule in rules.items():
      cut = self.seconds['marginals'] if rule.kind == 'cut' else 0.0
      seconds[call] = shared + cut + self.seconds[call]
    return Predictions(
      found.get('log_prob'),
      found['marginals'],
      found['raw'],
      {call: found[call] for call in decisions},
      seconds,
      self.programs.compile_seconds,
      found.get('nodes_B'),
      found.get('unseen_B'),
      self.likelihood,
      probabilities,
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


def _of_labels(posterior, labels_F, given_BxL):
  """The posterior of K runs of the labels that are free."""
  if not isinstance(posterior, posterior_lib.Candidates):
    return jax.tree.map(lambda a_KxBxL: a_KxBxL[..., labels_F], posterior)
  y, logw = posterior.y_BxSxL, posterior.logw_BxS
  given_BxL = np.asarray(given_BxL)
  if y.shape[1] < logw.shape[1] and (given_BxL == given_BxL[:1]).all():
    # A support stays one, of the label sets that agree with what is given.
    same_KxUxL = np.asarray(y)[:, 0] == given_BxL[0]
    agree_KxU = (same_KxUxL | (given_BxL[0] < 0)).all(-1)
    found = [np.flatnonzero(agree_U) for agree_U in agree_KxU]
    if len({len(places) for places in found}) == 1:
      places_KxM = np.stack(found)
      y = jnp.take_along_axis(y, places_KxM[:, None, :, None], axis=2)
      logw = jnp.take_along_axis(logw, places_KxM[:, None], axis=2)
      return posterior._replace(y_BxSxL=y[..., labels_F], logw_BxS=logw)
  # Else label sets may be equal in the free labels: no support of distinct.
  y = jnp.broadcast_to(y[..., labels_F], (*logw.shape, len(labels_F)))
  return posterior._replace(y_BxSxL=y)


def _check_possible(posterior):
  """Raises InputError where what is given has probability 0."""
  if isinstance(posterior, posterior_lib.Candidates):
    none_KxB = jnp.isneginf(posterior.logw_BxS).all(-1)
  else:
    none_KxB = jnp.isnan(posterior.p_BxL).any(-1)
  if count := int(none_KxB.any(0).sum()):
    raise InputError(
      f'{count} rows of a batch: no candidate has the given labels, which have'
      ' probability 0 or were not found: give others, or take inference=exact'
      ' or more samples'
    )
