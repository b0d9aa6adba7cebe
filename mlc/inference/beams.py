"""Beam search: the label sets that the best prefixes lead to."""

import jax
import jax.numpy as jnp

from mlc.errors import InputError
from mlc.inference import ensembles, enumeration, steps
from mlc.models import base
from mlc.posterior import Candidates


def greedy(model, variables, x, key=None) -> Candidates:
  """The best value at each step: the classic classifier chain answer."""
  return beam(model, variables, x, key, width=1)


def beam(model, variables, x, key=None, *, width: int = 8) -> Candidates:
  """The label sets that a beam search ends with, best first; width 1: greedy.

  logw is the exact log p(y | x) of each. A width of 2^L or more enumerates.
  Of an ensemble: what the beams of its members end with, once each.
  """
  if width < 1:
    raise InputError(f'beam of width {width}: give a width of 1 or more')
  if isinstance(model, base.Energy):
    support = enumeration.support(model, variables, x)
    keep = min(width, support.logw_BxS.shape[1])
    logw_BxS, index_BxS = jax.lax.top_k(support.logw_BxS, keep)
    return Candidates(support.y_BxSxL[0][index_BxS], logw_BxS)
  if isinstance(model, base.Ensemble):
    return ensembles.union(
      model, variables, x, lambda m, v: beam(m, v, x, width=width)
    )
  return _beam(model, variables, x, min(width, 2**model.num_labels))


def _beam(model, variables, x, width) -> Candidates:
  memory, carry = steps.begin(model, variables, x)
  carry = jax.tree.map(lambda a: jnp.repeat(a, width, axis=1), carry)
  advance = steps.advance(model, variables, memory)
  batch = base.batch_size(x)
  # One live prefix, the empty one; the others have weight zero.
  logw_S = jnp.where(jnp.arange(width) == 0, 0.0, -jnp.inf)
  values_BxSxT = jnp.zeros((batch, width, model.num_labels), jnp.int32)

  def body(state, step):
    carry, prev_BxS, logw_BxS, values_BxSxT = state
    carry, logp_BxSxV = advance(carry, prev_BxS, step)
    num_values = logp_BxSxV.shape[-1]
    total_BxSV = (logw_BxS[..., None] + logp_BxSxV).reshape(batch, -1)
    logw_BxS, index_BxS = jax.lax.top_k(total_BxSV, width)
    parent_BxS, value_BxS = index_BxS // num_values, index_BxS % num_values
    carry, values_BxSxT = jax.tree.map(
      jax.vmap(lambda a, parent_S: a[parent_S], in_axes=(0, 0)),
      (carry, values_BxSxT),
      jax.tree.map(lambda _: parent_BxS, (carry, values_BxSxT)),
    )
    values_BxSxT = values_BxSxT.at[:, :, step].set(value_BxS)
    return (carry, value_BxS, logw_BxS, values_BxSxT), None

  start = (
    carry,
    jnp.zeros((batch, width), jnp.int32),
    jnp.tile(logw_S, (batch, 1)),
    values_BxSxT,
  )
  state, _ = jax.lax.scan(body, start, jnp.arange(model.num_labels))
  _, _, logw_BxS, values_BxSxT = state
  y_BxSxL = model.apply(variables, values_BxSxT, method='to_labels')
  return Candidates(y_BxSxL, logw_BxS)
