"""What the methods do with an ensemble: its members' candidates as one."""

import jax
import jax.numpy as jnp

from mlc.models import base
from mlc.posterior import Candidates


def union(model, variables, x, infer) -> Candidates:
  """The candidates of all members, once each, weighed by the ensemble."""
  found = jax.vmap(lambda v: infer(model.member, v))(
    model.member_variables(variables)
  )
  batch = base.batch_size(x)
  y_KxBxSxL = jnp.broadcast_to(
    found.y_BxSxL,
    (model.size, batch, *found.y_BxSxL.shape[2:]),
  )
  y_BxSxL = flatten(Candidates(y_KxBxSxL, found.logw_BxS)).y_BxSxL
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


def flatten(found: Candidates) -> Candidates:
  """KxBxS... -> Bx(K S)...: the members' candidates side by side."""
  return jax.tree.map(
    lambda a: jnp.moveaxis(a, 0, 1).reshape(a.shape[1], -1, *a.shape[3:]),
    found,
  )
