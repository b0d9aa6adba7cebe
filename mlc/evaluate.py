"""Variables + rows -> predictions and metrics, for K runs at once."""

import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mlc import build, decisions, metrics, parallel
from mlc import posterior as posterior_lib


class Predictions(NamedTuple):
  """What K runs say of N rows; seconds are of the device, compilation apart."""

  log_prob_KxN: np.ndarray
  marginals_KxNxL: np.ndarray
  answers: dict[str, np.ndarray]  # decision -> KxNxL
  seconds: dict[str, float]  # decision -> inference and decision
  compile_seconds: float


def predict(
  model,
  variables,
  rows,
  infer,
  rules: tuple[str, ...] = (),
  *,
  batch_size: int,
  thresholds_KxL=None,
  seed: int = 0,
) -> Predictions:
  """Decodes `rows` in batches of one compiled size.

  variables: with a leading axis K. rules: names of decisions.py; 'threshold'
  cuts the marginals at `thresholds_KxL`.
  """
  num_rows, num_runs = len(rows.y), len(jax.tree.leaves(variables)[0])
  batch_size = min(batch_size, num_rows)
  clock = _Clock()
  run_infer = clock.compiled(
    'infer',
    parallel.over_runs(
      lambda v, x, key: infer(model, v, x, key), in_axes=(0, None, 0)
    ),
  )
  run_log_prob = clock.compiled(
    'log_prob',
    parallel.over_runs(
      lambda v, x, y: model.apply(v, x, y, method='log_prob'),
      in_axes=(0, None, None),
    ),
  )
  run_marginals = clock.compiled(
    'marginals', parallel.over_runs(posterior_lib.marginals, in_axes=0)
  )
  run_rules = {
    name: clock.compiled(
      name, parallel.over_runs(build.decision(name), in_axes=0)
    )
    for name in rules
    if name != 'threshold'
  }
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
    posterior = run_infer(variables, x, keys)
    batch = {name: run(posterior) for name, run in run_rules.items()}
    batch['marginals'] = run_marginals(posterior)
    batch['log_prob'] = run_log_prob(variables, x, y_BxL)
    collected.append(jax.device_get(batch))
  found = {
    name: np.concatenate([b[name] for b in collected], axis=1)[:, :num_rows]
    for name in collected[0]
  }
  log_prob_KxN, marginals_KxNxL = found.pop('log_prob'), found.pop('marginals')
  if 'threshold' in rules:
    run = clock.compiled(
      'threshold', parallel.over_runs(decisions.threshold, in_axes=0)
    )
    found['threshold'] = np.asarray(
      run(jnp.asarray(marginals_KxNxL), jnp.asarray(thresholds_KxL))
    )
    clock.seconds['threshold'] += clock.seconds['marginals']
  return Predictions(
    log_prob_KxN,
    marginals_KxNxL,
    {name: found[name] for name in rules},
    {name: clock.seconds['infer'] + clock.seconds[name] for name in rules},
    clock.compile_seconds,
  )


def scores(predictions: Predictions, rows) -> dict[str, dict[str, Any]]:
  """Decision -> metric -> K values. LRAP and NLL are the model's, so equal."""
  y_NxL, mask_NxL = jnp.asarray(rows.y), jnp.asarray(rows.mask)
  complete_N = jnp.asarray(rows.mask.all(-1))

  @jax.jit
  def of_model(marginals_KxNxL, log_prob_KxN):
    over = parallel.over_runs
    return {
      'lrap': over(metrics.lrap, (0, None, None))(
        marginals_KxNxL, y_NxL, mask_NxL
      ),
      'nll': over(metrics.nll, (0, None))(log_prob_KxN, complete_N),
      'unseen': over(metrics.unseen, (0, None))(log_prob_KxN, complete_N),
    }

  of_answer = jax.jit(
    parallel.over_runs(metrics.decision_metrics, (0, None, None))
  )
  shared = of_model(predictions.marginals_KxNxL, predictions.log_prob_KxN)
  return {
    name: jax.device_get(of_answer(answer, y_NxL, mask_NxL) | shared)
    for name, answer in predictions.answers.items()
  }


class _Clock:
  """Compiles functions at their first call and sums the seconds they run."""

  def __init__(self):
    self.seconds: dict[str, float] = {}
    self.compile_seconds = 0.0

  def compiled(self, name, function):
    """`function`, timed under `name`, for arguments of one shape."""
    self.seconds[name] = 0.0
    executable = None

    def call(*args):
      nonlocal executable
      if executable is None:
        executable, seconds = parallel.compiled(function, *args)
        self.compile_seconds += seconds
      start = time.perf_counter()
      out = jax.block_until_ready(executable(*args))
      self.seconds[name] += time.perf_counter() - start
      return out

    return call
