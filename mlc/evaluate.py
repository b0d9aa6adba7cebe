"""Variables + rows -> predictions and metrics, for K runs at once."""

from collections.abc import Callable
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mlc import build, calls, decisions, metrics, parallel
from mlc import posterior as posterior_lib
from mlc.errors import nearest
from mlc.session import Selection
from mlc.stats import METRICS


class Predictions(NamedTuple):
  """What K runs say of N rows; seconds are of the device, compilation apart."""

  log_prob_KxN: np.ndarray
  marginals_KxNxL: np.ndarray
  answers: dict[str, np.ndarray]  # decision -> KxNxL
  seconds: dict[str, float]  # decision -> inference and decision
  compile_seconds: float


class Decoder:
  """Decodes rows with K runs, in batches of one size, compiled once."""

  def __init__(self, model, infer, *, batch_size: int):
    self.batch_size = batch_size
    self.programs = parallel.Programs()
    self.seconds: dict[str, float] = {}
    self.run_rules: dict[str, Callable] = {}
    self.run_infer = self._timed(
      'infer', lambda v, x, key: infer(model, v, x, key), (0, None, 0)
    )
    self.run_log_prob = self._timed(
      'log_prob',
      lambda v, x, y: model.apply(v, x, y, method='log_prob'),
      (0, None, None),
    )
    self.run_marginals = self._timed('marginals', posterior_lib.marginals, 0)
    self.run_threshold = self._timed('threshold', decisions.threshold, 0)

  def _timed(self, name, function, in_axes):
    """`function` over K runs; the seconds it runs are summed under `name`."""
    run = self.programs.add(parallel.over_runs(function, in_axes))
    self.seconds[name] = 0.0

    def call(*args):
      start, compiled = time.perf_counter(), self.programs.compile_seconds
      out = jax.block_until_ready(run(*args))
      compiling = self.programs.compile_seconds - compiled
      self.seconds[name] += time.perf_counter() - start - compiling
      return out

    return call

  def __call__(
    self,
    variables,
    rows,
    rules: tuple[str, ...] = (),
    *,
    thresholds_KxL=None,
    seed: int = 0,
  ) -> Predictions:
    """What K runs say of `rows`.

    variables: with a leading axis K. rules: names of decisions.py; 'threshold'
    cuts the marginals at `thresholds_KxL`.
    """
    for name in set(rules) - {'threshold', *self.run_rules}:
      self.run_rules[name] = self._timed(name, build.decision(name), 0)
    num_rows, num_runs = len(rows.y), len(jax.tree.leaves(variables)[0])
    batch_size = min(self.batch_size, num_rows)
    self.seconds = dict.fromkeys(self.seconds, 0.0)
    collected = []
    for number, start in enumerate(range(0, num_rows, batch_size)):
      # The last batch is filled with its last row, and cut below.
      idx = np.minimum(np.arange(start, start + batch_size), num_rows - 1)
      x, y_BxL = jax.tree.map(
        lambda a, i=idx: jnp.asarray(a[i]), (rows.x, rows.y)
      )
      keys = jax.random.split(
        jax.random.fold_in(jax.random.key(seed), number), num_runs
      )
      posterior = self.run_infer(variables, x, keys)
      batch = {
        name: self.run_rules[name](posterior)
        for name in rules
        if name != 'threshold'
      }
      batch['marginals'] = self.run_marginals(posterior)
      batch['log_prob'] = self.run_log_prob(variables, x, y_BxL)
      collected.append(jax.device_get(batch))
    found = {
      name: np.concatenate([b[name] for b in collected], axis=1)[:, :num_rows]
      for name in collected[0]
    }
    log_prob_KxN = found.pop('log_prob')
    marginals_KxNxL = found.pop('marginals')
    if 'threshold' in rules:
      found['threshold'] = np.asarray(
        self.run_threshold(
          jnp.asarray(marginals_KxNxL), jnp.asarray(thresholds_KxL)
        )
      )
      self.seconds['threshold'] += self.seconds['marginals']
    return Predictions(
      log_prob_KxN,
      marginals_KxNxL,
      {name: found[name] for name in rules},
      {name: self.seconds['infer'] + self.seconds[name] for name in rules},
      self.programs.compile_seconds,
    )


@jax.jit
def _of_model(marginals_KxNxL, log_prob_KxN, y_NxL, mask_NxL):
  over = parallel.over_runs
  complete_N = mask_NxL.all(-1)
  return {
    'lrap': over(metrics.lrap, (0, None, None))(
      marginals_KxNxL, y_NxL, mask_NxL
    ),
    'nll': over(metrics.nll, (0, None))(log_prob_KxN, complete_N),
    'unseen': over(metrics.unseen, (0, None))(log_prob_KxN, complete_N),
  }


_of_answer = jax.jit(
  parallel.over_runs(metrics.decision_metrics, (0, None, None))
)


def scores(predictions: Predictions, rows) -> dict[str, dict[str, Any]]:
  """Decision -> metric -> K values. LRAP and NLL are the model's, so equal."""
  y_NxL, mask_NxL = jnp.asarray(rows.y), jnp.asarray(rows.mask)
  shared = _of_model(
    predictions.marginals_KxNxL, predictions.log_prob_KxN, y_NxL, mask_NxL
  )
  return {
    name: jax.device_get(_of_answer(answer, y_NxL, mask_NxL) | shared)
    for name, answer in predictions.answers.items()
  }


# The decision that a metric is best served by, where it needs one.
MATCHED = {'subset_accuracy': 'subset', 'example_f1': 'f1'}


def selection(call: str, model, rows, infer, *, batch_size):
  """'loss' (None), 'macro_f1', 'nll', ... on `rows`: what patience looks at.

  The answer is that of MATCHED, or of the decision given: "macro_f1(decision=
  'f1')".

  Raises:
    InputError: a metric or decision that there is not.
  """
  name, options = calls.parse(call, 'train.select')
  calls.check(options, ('decision',), 'train.select')
  if name == 'loss':
    return None
  known = {'lrap', 'nll', *(m.__name__ for m in metrics.OF_ANSWERS)}
  if name not in known:
    raise nearest(name, known | {'loss'}, 'metric to select by')
  rule = options.get('decision', MATCHED.get(name, 'hamming'))
  if rule not in ('hamming', 'subset', 'f1'):
    raise nearest(rule, ('hamming', 'subset', 'f1'), 'decision to select by')
  decode = Decoder(model, infer, batch_size=batch_size)

  def values(variables):
    answers = decode(variables, rows, (rule,))
    return np.asarray(scores(answers, rows)[rule][name])

  return Selection(name, values, not METRICS[name].lower)
