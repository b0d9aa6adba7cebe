"""The size and the labels of the answer of the greatest expected F-beta."""

import jax
import jax.numpy as jnp

from mlc.decisions import sizes
from mlc.decisions.choose import top
from mlc.posterior import Candidates, Product, mix, weights


def of_product(product: Product, beta: float) -> jax.Array:
  """The best of the k most probable labels, k = 0..L -> BxL."""
  p_BxL = -jnp.sort(-product.p_BxL, axis=-1)
  k_1xL = jnp.arange(1, p_BxL.shape[1] + 1)[None]

  def term(both_BxL, size):
    return jnp.cumsum(both_BxL, axis=1) * _per_hit(size, k_1xL, beta)

  value_BxL = sizes.sum_sizes(p_BxL, term)
  return top(product.p_BxL, _size(sizes.empty(product), value_BxL))


def of_table(c: Candidates, beta: float) -> jax.Array:
  """The best answer by P(y_l = 1, |y| = s) of all label sets -> BxL."""
  both_BxSxL = sizes.table(c)
  k_L = jnp.arange(1, both_BxSxL.shape[1] + 1)
  per_hit_KxS = _per_hit(k_L[None], k_L[:, None], beta)
  # The paper's Delta, by size of the answer.
  gain_BxKxL = jnp.einsum(
    'ks,bsl->bkl', per_hit_KxS, both_BxSxL, precision='highest'
  )
  best_BxKxL = -jnp.sort(-gain_BxKxL, axis=-1)
  within_KxL = k_L[None] <= k_L[:, None]
  value_BxK = jnp.where(within_KxL[None], best_BxKxL, 0).sum(-1)
  k_B = _size(sizes.empty(c), value_BxK)
  row_B = jnp.arange(len(k_B))
  return top(gain_BxKxL[row_B, jnp.maximum(k_B - 1, 0)], k_B)


def of_candidates(c: Candidates, beta: float) -> jax.Array:
  """The best answer of each size, then the best size -> BxL."""
  w_BxS = weights(c)
  size_BxS = (c.y_BxSxL > 0.5).sum(-1)
  L = c.y_BxSxL.shape[-1]

  def gain(k_Bx1):
    # The paper's Delta, summed over candidates instead of sizes, so that no
    # LxL table is kept.
    return mix(w_BxS * _per_hit(size_BxS, k_Bx1, beta), c.y_BxSxL)

  def value(k):
    best_BxL = -jnp.sort(-gain(k[None, None]), axis=-1)
    return jnp.where(jnp.arange(L)[None] < k, best_BxL, 0).sum(-1)

  value_LxB = jax.lax.map(value, jnp.arange(1, L + 1))
  k_B = _size(sizes.empty(c), value_LxB.T)
  return top(gain(k_B[:, None]), k_B)


def _per_hit(true_size, size, beta):
  """What one right label adds to F-beta."""
  return (1 + beta**2) / (beta**2 * true_size + size)


def _size(empty_B, value_BxL):
  """The best size from the value of the best answer of each, 0..L."""
  return jnp.argmax(jnp.column_stack([empty_B, value_BxL]), axis=1)
