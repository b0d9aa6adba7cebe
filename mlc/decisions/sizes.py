"""Labels together with the size of their label set: P(y_l = 1, |y| = s)."""

from collections.abc import Callable
import functools

import jax
import jax.numpy as jnp
import numpy as np

from mlc.decisions.choose import Joint
from mlc.posterior import Candidates, Product, mix, weights


def empty(posterior: Joint) -> jax.Array:
  """P(|y| = 0) -> B."""
  if isinstance(posterior, Product):
    return jnp.prod(1 - posterior.p_BxL, axis=-1)
  none_BxS = ~(posterior.y_BxSxL > 0.5).any(-1)
  return jnp.where(none_BxS, weights(posterior), 0).sum(-1)


def complete(c: Candidates) -> bool:
  """Whether all 2^L label sets are listed once, for several rows together."""
  _, S, L = c.y_BxSxL.shape
  return len(c.y_BxSxL) < len(c.logw_BxS) and S == 2**L


def table(c: Candidates) -> jax.Array:
  """P(y_l = 1, |y| = s) of complete candidates -> BxSxL, s = 1..L.

  Label sets of one size are laid side by side, then a matmul a size reads each
  weight once: the L(L+1) numbers take the time of one pass over BxU.
  """
  w_BxU, y_UxL = weights(c), c.y_BxSxL[0]
  L = y_UxL.shape[-1]
  place_U, edges = _by_size(L)
  code_U = ((y_UxL > 0.5).astype(jnp.int32) << jnp.arange(L)[None]).sum(-1)
  order_U = (
    jnp.zeros_like(code_U)
    .at[jnp.asarray(place_U)[code_U]]
    .set(jnp.arange(len(code_U)))
  )
  y_UxL = y_UxL[order_U].astype(w_BxU.dtype)
  w_BxU = w_BxU[:, order_U]
  return jnp.stack(
    [
      jnp.matmul(w_BxU[:, a:b], y_UxL[a:b], precision='highest')
      for a, b in zip(edges[1:-1], edges[2:], strict=True)
    ],
    axis=1,
  )


@functools.cache
def _by_size(L):
  """The place of each code among codes sorted by size; where a size starts."""
  size_U = np.bitwise_count(np.arange(2**L))
  place_U = np.empty(2**L, np.int32)
  place_U[np.argsort(size_U, kind='stable')] = np.arange(2**L)
  return place_U, (0, *np.cumsum(np.bincount(size_U)).tolist())


def sizes(p_BxL: jax.Array) -> jax.Array:
  """P(|y| = s) of independent labels -> Bx(L+1), s = 0..L; time O(L^2)."""
  B, L = p_BxL.shape

  def add(size_BxT, p_B):
    more_BxT = jnp.pad(size_BxT[:, :-1], ((0, 0), (1, 0)))
    return size_BxT + p_B[:, None] * (more_BxT - size_BxT), None

  none_BxT = jnp.zeros((B, L + 1), p_BxL.dtype).at[:, 0].set(1)
  return jax.lax.scan(add, none_BxT, p_BxL.T)[0]


def sum_sizes(
  p_BxL: jax.Array, term: Callable[[jax.Array, jax.Array], jax.Array]
) -> jax.Array:
  """Sum over s = 1..L of term(P(y_l = 1, |y| = s) BxL, s), labels independent.

  term: linear in its first argument. Time O(L) calls of it, memory BxL. Each
  label is divided out of P(|y| = s) by its rarer value, which is stable.
  """
  L = p_BxL.shape[1]
  size_BxT = sizes(p_BxL)
  rare_BxL = p_BxL <= 0.5
  less_BxL = jnp.where(rare_BxL, p_BxL, 1 - p_BxL)

  def add(carry, n):
    others_BxL, sum_BxL = carry
    # P(n of the other labels have the value that is rare for this one).
    here_BxL = jnp.where(
      rare_BxL, size_BxT[:, n, None], size_BxT[:, L - n, None]
    )
    others_BxL = (here_BxL - less_BxL * others_BxL) / (1 - less_BxL)
    both_BxL = p_BxL * others_BxL
    sum_BxL += term(jnp.where(rare_BxL, both_BxL, 0), n + 1)
    sum_BxL += term(jnp.where(rare_BxL, 0, both_BxL), L - n)
    return (others_BxL, sum_BxL), None

  zero_BxL = jnp.zeros_like(p_BxL)
  return jax.lax.scan(add, (zero_BxL, zero_BxL), jnp.arange(L))[0][1]


def mean_share(posterior: Joint) -> jax.Array:
  """E y_l / |y|, the share of no labels taken as 0 -> BxL."""
  if isinstance(posterior, Product):
    return sum_sizes(posterior.p_BxL, lambda both_BxL, size: both_BxL / size)
  size_BxS = (posterior.y_BxSxL > 0.5).sum(-1)
  return mix(weights(posterior) / jnp.maximum(size_BxS, 1), posterior.y_BxSxL)
