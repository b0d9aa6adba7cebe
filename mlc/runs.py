"""What a run does in a chunk of steps and after an epoch: pure functions."""

from collections.abc import Callable
import functools
from typing import Any

from flax import struct
import jax
import jax.numpy as jnp

from mlc import train


class Fit(struct.PyTreeNode):
  """A State and what early stopping remembers of it."""

  state: train.State
  best_params: Any
  best_score: jax.Array
  since_best: jax.Array
  running: jax.Array


def chunk(
  fit: Fit,
  rows: train.Batch,
  idx_TxB,
  axis_name: str | None,
  *,
  step: Callable,
) -> tuple[Fit, dict[str, jax.Array]]:
  """T steps on the rows idx (-1 = padding).

  A run that has stopped, or that does not stay finite, ends with the state it
  came with; under vmap it is computed all the same, since its neighbours are.
  """

  def body(state, idx_B):
    return step(state, train.take(rows, idx_B), axis_name=axis_name)

  state, scalars = jax.lax.scan(body, fit.state, idx_TxB)
  # A loss is taken before its update: the last update may have exploded.
  sums = [jnp.isfinite(p).all() for p in jax.tree.leaves(state.params)]
  finite_T = jnp.isfinite(scalars['loss']) & jnp.isfinite(scalars['grad_norm'])
  running = fit.running & finite_T.all() & jnp.stack(sums).all()
  keep = functools.partial(jnp.where, running)
  state = jax.tree.map(keep, state, fit.state)
  return fit.replace(state=state, running=running), scalars


def loss_sums(
  fit: Fit,
  rows: train.Batch,
  idx_MxB,
  axis_name=None,
  *,
  objective: train.Objective,
  params_of: Callable,
) -> jax.Array:
  """(sum of losses, sum of weights) over the rows idx, without dropout."""
  variables = {
    'params': params_of(fit.state.opt_state, fit.state.params),
    'structure': fit.state.structure,
  }

  def body(sums, idx_B):
    loss_B, weight_B = objective(variables, train.take(rows, idx_B))
    return sums + jnp.stack([loss_B.sum(), weight_B.sum()]), None

  return jax.lax.scan(body, jnp.zeros(2), idx_MxB)[0]


def judge(
  fit: Fit,
  score,
  grad_norm,
  *,
  params_of: Callable,
  patience: int,
  tolerance: float,
) -> Fit:
  """Early stopping by `score`, lower is better, at the end of an epoch.

  The best score is nan before the first one; a run whose score is nan stops.
  """
  params = params_of(fit.state.opt_state, fit.state.params)
  # Without early stopping the last parameters are the best.
  better = (score < fit.best_score) | jnp.isnan(fit.best_score)
  better = fit.running & (better | (patience == 0))
  since_best = jnp.where(better, 0, fit.since_best + 1)
  going = ((since_best < patience) & ~jnp.isnan(score)) | (patience == 0)
  going &= (tolerance == 0) | (grad_norm > tolerance)
  return fit.replace(
    best_params=jax.tree.map(
      functools.partial(jnp.where, better), params, fit.best_params
    ),
    best_score=jnp.where(better, score, fit.best_score),
    since_best=jnp.where(fit.running, since_best, fit.since_best),
    running=fit.running & going,
  )
