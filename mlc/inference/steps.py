"""One step of a label prefix, for S prefixes of each example at once."""

import jax
import jax.numpy as jnp


def begin(model, variables, x):
  """-> (memory, carry): `model.begin`, the carry with one prefix: Bx1x..."""
  memory, carry = model.apply(variables, x, method='begin')
  return memory, jax.tree.map(lambda a: a[:, None], carry)


def advance(model, variables, memory, given_BxL=None):
  """`model.advance` of S prefixes: (carry BxSx..., prev BxS, step) -> same.

  given_BxL: 0 or 1 where a label is given, -1 where it is free; its leading
  axis may be 1. The other value of a given label has probability 0, and its
  own keeps p(y_l | x, labels before): a prefix weighs p(prefix | x), so that
  candidates, once normalised, are of p(y | x, given).
  """

  def one(carry, prev_B, step):
    return model.apply(variables, memory, carry, prev_B, step, method='advance')

  each = jax.vmap(one, in_axes=(1, 1, None), out_axes=1)
  if given_BxL is None:
    return each
  order_L = variables['structure']['order']

  def clamped(carry, prev_BxS, step):
    carry, logp_BxSxV = each(carry, prev_BxS, step)
    given_Bx1x1 = given_BxL[:, order_L[step]][:, None, None]
    other_BxV = (given_Bx1x1 >= 0) & (jnp.arange(2)[None, None] != given_Bx1x1)
    return carry, jnp.where(other_BxV, -jnp.inf, logp_BxSxV)

  return clamped
