"""Model -> posterior. Every method is pure: (model, variables, x, key).

exact, greedy, beam and monte_carlo know the three bases of models/base.py and
no model. All are compiled and batched over examples.
"""

import jax
import jax.numpy as jnp

from mlc.errors import InputError
from mlc.models import base
from mlc.posterior import Candidates, Posterior, Product


def exact(model, variables, x, key=None) -> Posterior:
  """The whole p(y | x): a Product, a support, or all 2^L sets for L <= 20."""
  if model.independent:
    return Product(model.apply(variables, x, method='marginals'))
  if isinstance(model, base.Energy):
    return _support(model, variables, x)
  if isinstance(model, base.Ensemble):
    if not isinstance(model.member, base.Autoregressive):
      return _union(model, variables, x, lambda m, v: exact(m, v, x))
    return _mean_of_trees(model, variables, x)
  y_UxL, logw_BxU = _tree(model, variables, x)
  return Candidates(y_UxL[None], logw_BxU)


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
    support = _support(model, variables, x)
    keep = min(width, support.logw_BxS.shape[1])
    logw_BxS, index_BxS = jax.lax.top_k(support.logw_BxS, keep)
    return Candidates(support.y_BxSxL[0][index_BxS], logw_BxS)
  if isinstance(model, base.Ensemble):
    return _union(model, variables, x, lambda m, v: beam(m, v, x, width=width))
  return _beam(model, variables, x, min(width, 2**model.num_labels))


def monte_carlo(model, variables, x, key, *, samples: int = 100) -> Candidates:
  """Independent draws from p(y | x), of equal weight (Read et al. 2014)."""
  if samples < 1:
    raise InputError(f'{samples} samples: give 1 or more')
  if isinstance(model, base.Ensemble):
    # The same number from each member (stratified): fewer wasted draws.
    if samples % model.size:
      raise InputError(
        f'{samples} samples from {model.size} members: give a multiple of'
        f' {model.size}'
      )
    members = model.member_variables(variables)
    draws = jax.vmap(
      lambda v, k: monte_carlo(
        model.member, v, x, k, samples=samples // model.size
      )
    )(members, jax.random.split(key, model.size))
    return _flatten_members(draws)
  y_SxBxL = jax.vmap(lambda k: model.apply(variables, x, k, method='sample'))(
    jax.random.split(key, samples)
  )
  y_BxSxL = jnp.swapaxes(y_SxBxL, 0, 1)
  return Candidates(y_BxSxL, jnp.zeros(y_BxSxL.shape[:2]))


def _advance(model, variables, memory):
  """`advance` for S prefixes of each example: carry BxSx..., prev BxS."""

  def advance(carry, prev_B, step):
    return model.apply(variables, memory, carry, prev_B, step, method='advance')

  return jax.vmap(advance, in_axes=(1, 1, None), out_axes=1)


def _begin(model, variables, x):
  memory, carry = model.apply(variables, x, method='begin')
  return memory, jax.tree.map(lambda a: a[:, None], carry)


def _tree(model, variables, x) -> tuple[jax.Array, jax.Array]:
  """All label sets y_UxL and their log p(y | x), BxU.

  The steps double the prefixes, so L labels cost 2^(L+1) steps of a prefix
  where scoring each label set by itself would cost L 2^L.
  """
  # Leaf u chose bit t of u in step t.
  steps_UxL = base.all_label_sets(model.num_labels)[:, ::-1]
  memory, carry = _begin(model, variables, x)
  carry_size = 1 if model.carry_is_prefix else base.batch_size(x)
  carry = jax.tree.map(lambda a: a[:carry_size], carry)
  advance = _advance(model, variables, memory)
  prev_BxS = jnp.zeros((carry_size, 1), jnp.int32)
  logw_BxS = jnp.zeros((base.batch_size(x), 1))
  for step in range(model.num_labels):
    carry, logp_BxSxV = advance(carry, prev_BxS, step)
    logw_BxS = jnp.concatenate(
      [logw_BxS + logp_BxSxV[..., 0], logw_BxS + logp_BxSxV[..., 1]], axis=1
    )
    prev_S = jnp.repeat(jnp.arange(2), 2**step)
    prev_BxS = jnp.tile(prev_S, (carry_size, 1))
    carry = jax.tree.map(lambda a: jnp.concatenate([a, a], axis=1), carry)
  return model.apply(variables, steps_UxL, method='to_labels'), logw_BxS


def _mean_of_trees(model, variables, x) -> Candidates:
  """The enumeration of an ensemble whose members decode in steps."""
  num_labels = model.num_labels
  power_L = 2 ** jnp.arange(num_labels - 1, -1, -1)

  def add(total_BxU, member_variables):
    y_UxL, logw_BxU = _tree(model.member, member_variables, x)
    # Each member lists the label sets by its own order: sort to a common one.
    logw_BxU = logw_BxU[:, jnp.argsort(y_UxL @ power_L)]
    return jnp.logaddexp(total_BxU, logw_BxU), None

  # A member at a time: memory holds two enumerations, not K.
  total_BxU = jnp.full((base.batch_size(x), 2**num_labels), -jnp.inf)
  total_BxU, _ = jax.lax.scan(add, total_BxU, model.member_variables(variables))
  return Candidates(
    base.all_label_sets(num_labels)[None], total_BxU - jnp.log(model.size)
  )


def _beam(model, variables, x, width) -> Candidates:
  memory, carry = _begin(model, variables, x)
  carry = jax.tree.map(lambda a: jnp.repeat(a, width, axis=1), carry)
  advance = _advance(model, variables, memory)
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


def _support(model, variables, x) -> Candidates:
  logw_BxU = model.apply(variables, x, method='log_probs')
  support_UxL = variables['structure']['support']
  return Candidates(support_UxL[None], logw_BxU)


def _union(model, variables, x, infer) -> Candidates:
  """The candidates of all members, once each, weighed by the ensemble."""
  found = jax.vmap(lambda v: infer(model.member, v))(
    model.member_variables(variables)
  )
  batch = base.batch_size(x)
  y_KxBxSxL = jnp.broadcast_to(
    found.y_BxSxL,
    (model.size, batch, *found.y_BxSxL.shape[2:]),
  )
  y_BxSxL = _flatten_members(Candidates(y_KxBxSxL, found.logw_BxS)).y_BxSxL
  log_prob = jax.vmap(
    lambda y_BxL: model.apply(variables, x, y_BxL, method='log_prob'),
    in_axes=1,
    out_axes=1,
  )
  signs_BxSxL = 2.0 * y_BxSxL - 1
  same_BxSxS = (
    jnp.einsum('bsl,btl->bst', signs_BxSxL, signs_BxSxL) == model.num_labels
  )
  repeated_BxS = jnp.tril(same_BxSxS, -1).any(-1)
  logw_BxS = jnp.where(repeated_BxS, -jnp.inf, log_prob(y_BxSxL))
  order_BxS = jnp.argsort(-logw_BxS, axis=1)
  return Candidates(
    jnp.take_along_axis(y_BxSxL, order_BxS[..., None], axis=1),
    jnp.take_along_axis(logw_BxS, order_BxS, axis=1),
  )


def _flatten_members(found: Candidates) -> Candidates:
  """KxBxS... -> Bx(K S)...: the members' candidates side by side."""
  return jax.tree.map(
    lambda a: jnp.moveaxis(a, 0, 1).reshape(a.shape[1], -1, *a.shape[3:]),
    found,
  )
