"""The answer of the greatest expected Jaccard index."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from mlc.decisions.choose import first_best, top
from mlc.posterior import Candidates, Product, marginals, weights

MAX_EXACT = 10
HEAVIEST = 32


def of_product(product: Product) -> jax.Array:
  """The best of the k most probable labels, k = 0..L -> BxL; exact."""
  p_BxL = -jnp.sort(-product.p_BxL, axis=-1)
  B, L = p_BxL.shape

  def back(inverse_BxA, step):
    # inverse[a] = E 1 / (a + positives after the first k labels). What lies
    # beyond a = k is never read again: the edge may hold anything finite.
    p_Bx1, k = step
    here_B = inverse_BxA[:, k]
    more_BxA = jnp.roll(inverse_BxA, -1, axis=1)
    return inverse_BxA + p_Bx1 * (more_BxA - inverse_BxA), here_B

  inverse_A = 1 / jnp.maximum(jnp.arange(L + 1, dtype=p_BxL.dtype), 1)
  inverse_BxA = jnp.broadcast_to(inverse_A[None], (B, L + 1))
  steps = p_BxL.T[:, :, None], jnp.arange(1, L + 1)
  _, inverse_LxB = jax.lax.scan(back, inverse_BxA, steps, reverse=True)
  # Labels within the answer and outside it are independent.
  value_BxL = jnp.cumsum(p_BxL, axis=1) * inverse_LxB.T
  empty_B = jnp.prod(1 - p_BxL, axis=1)
  k_B = jnp.argmax(jnp.column_stack([empty_B, value_BxL]), axis=1)
  return top(product.p_BxL, k_B)


def of_all(c: Candidates) -> jax.Array:
  """The best of all 2^L answers -> BxL."""
  w_BxS, L = weights(c), c.y_BxSxL.shape[-1]
  # Smaller ones first, of one size those of lower labels: so ties are broken.
  chosen = [
    labels
    for k in range(L + 1)
    for labels in itertools.combinations(range(L), k)
  ]
  answer_AxL = np.zeros((2**L, L), np.float32)
  for row_L, labels in zip(answer_AxL, chosen, strict=True):
    row_L[list(labels)] = 1
  answer_AxL = jnp.asarray(answer_AxL)
  if len(c.y_BxSxL) == 1:
    index_SxA = _index(c.y_BxSxL[0], answer_AxL)
    value_BxA = jnp.matmul(w_BxS, index_SxA, precision='highest')
  else:
    value_BxA = jax.lax.map(
      lambda row: _value(row[0], row[1], answer_AxL), (w_BxS, c.y_BxSxL)
    )
  return answer_AxL[first_best(value_BxA)].astype(jnp.int8)


def of_some(c: Candidates) -> jax.Array:
  """The best of the k most probable labels and of heavy candidates -> BxL."""
  w_BxS, p_BxL = weights(c), marginals(c)
  S, L = c.y_BxSxL.shape[1:]
  _, heavy_BxA = jax.lax.top_k(w_BxS, min(HEAVIEST, S))
  k_TxL = jnp.arange(L + 1)[:, None]

  def best(row):
    w_S, p_L, heavy_A, y_SxL = row
    place_L = jnp.argsort(jnp.argsort(-p_L, stable=True))
    prefix_TxL = place_L[None] < k_TxL
    answer_AxL = jnp.concatenate([prefix_TxL, y_SxL[heavy_A] > 0.5])
    answer_AxL = answer_AxL.astype(w_S.dtype)
    value_A = _value(w_S, y_SxL, answer_AxL)
    return answer_AxL[first_best(value_A[None])[0]]

  rows = w_BxS, p_BxL, heavy_BxA
  if len(c.y_BxSxL) == 1:
    best_BxL = jax.lax.map(lambda row: best((*row, c.y_BxSxL[0])), rows)
  else:
    best_BxL = jax.lax.map(best, (*rows, c.y_BxSxL))
  return best_BxL.astype(jnp.int8)


def _value(w_S, y_SxL, answer_AxL):
  """The expected index of each answer, for one row."""
  index_SxA = _index(y_SxL, answer_AxL)
  return jnp.matmul(w_S, index_SxA, precision='highest')


def _index(y_SxL, answer_AxL):
  """Jaccard index of each label set with each answer; two empty ones have 1."""
  y_SxL = y_SxL.astype(answer_AxL.dtype)
  # Counts up to 2^8 are exact at any precision; beyond, not in bfloat16.
  both_SxA = jnp.matmul(y_SxL, answer_AxL.T, precision='highest')
  either_SxA = y_SxL.sum(-1)[:, None] + answer_AxL.sum(-1)[None] - both_SxA
  return jnp.where(either_SxA > 0, both_SxA / jnp.maximum(either_SxA, 1), 1)
