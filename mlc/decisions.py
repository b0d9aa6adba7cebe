"""Decision rules: posterior -> the answer that is optimal for one loss.

A rule never sees the model. Answers are 0/1 in int8. Ties, here between equal
floats, go to the smaller answer: a label at exactly .5 is left out, and of
equally good sizes the smaller is taken; of equally good labels those with the
lower index; of equally good candidates the one listed first.
"""

import jax
import jax.numpy as jnp

from mlc.posterior import (
  Candidates,
  Posterior,
  Product,
  marginals,
  mix,
  weights,
)


def threshold(p_BxL: jax.Array, t_L: jax.Array) -> jax.Array:
  """Labels whose score is above their threshold -> BxL."""
  return (p_BxL > t_L[None]).astype(jnp.int8)


def hamming(posterior: Posterior) -> jax.Array:
  """Least expected Hamming loss: marginals above .5 -> BxL.

  Source: Dembczynski, Waegeman, Cheng, Huellermeier, Machine Learning 88,
  2012.
  """
  return (marginals(posterior) > 0.5).astype(jnp.int8)


def subset(posterior: Posterior) -> jax.Array:
  """Least expected subset 0/1 loss: the mode -> BxL.

  Copies of one label set are pooled, since the most frequent of many samples
  is wanted, not one of them. A row without candidates gets the empty set.
  Source: as `hamming`.
  """
  if isinstance(posterior, Product):
    return hamming(posterior)
  y_BxSxL, w_BxS = posterior.y_BxSxL, weights(posterior)
  shared = len(y_BxSxL) < len(w_BxS)  # Distinct then: there is nothing to pool.
  if not shared:
    w_BxS = jax.vmap(_pool)(w_BxS, y_BxSxL > 0.5)
  best_B = jnp.argmax(w_BxS, axis=-1)
  row_B = jnp.zeros_like(best_B) if shared else jnp.arange(len(best_B))
  some_Bx1 = w_BxS.max(-1, keepdims=True) > 0
  return ((y_BxSxL[row_B, best_B] > 0.5) & some_Bx1).astype(jnp.int8)


def f1(posterior: Posterior) -> jax.Array:
  """Greatest expected example-F1, exactly -> BxL; F1 of two empty sets is 1.

  `Candidates`: Dembczynski, Waegeman, Cheng, Huellermeier, NIPS 2011,
  Algorithm 1 (GFM); time O(B S L^2), memory that of the candidates.
  `Product`: the best answer holds the most probable labels (Lewis, SIGIR
  1995), how many by Ye, Chai, Lee, Chieu, ICML 2012, Algorithm 1; time and
  memory O(B L^2).
  """
  if isinstance(posterior, Product):
    value_Bx_ = _prefix_values(-jnp.sort(-posterior.p_BxL, axis=-1))
    return _top(posterior.p_BxL, jnp.argmax(value_Bx_, axis=-1))
  return _gfm(posterior)


def rank(posterior: Posterior) -> jax.Array:
  """Scores BxL to rank labels by: the marginals.

  Optimal for the unnormalised ranking loss (Dembczynski, Kotlowski,
  Huellermeier, ICML 2012); only a heuristic for LRAP.
  """
  return marginals(posterior)


def _pool(w_S, y_SxL):
  """Weight of each candidate's label set, summed over its copies."""
  S, L = y_SxL.shape
  # Sorting puts copies side by side in memory SxL; comparing all pairs would
  # need SxS. 32 labels make a word; one stable sort a word.
  y_SxL = jnp.pad(y_SxL, ((0, 0), (0, -L % 32))).reshape(S, -1, 32)
  bit_32 = jnp.uint32(1) << jnp.arange(32, dtype=jnp.uint32)
  word_WxS = jnp.where(y_SxL, bit_32[None, None], 0).sum(-1).T

  def refine(order_S, word_S):
    return order_S[jnp.argsort(word_S[order_S], stable=True)], None

  order_S, _ = jax.lax.scan(refine, jnp.arange(S), word_WxS)
  word_WxS = word_WxS[:, order_S]
  new_S = (word_WxS != jnp.roll(word_WxS, 1, axis=1)).any(0)
  group_S = jnp.cumsum(new_S.at[0].set(False))
  sum_S = jnp.zeros_like(w_S).at[group_S].add(w_S[order_S])
  return jnp.zeros_like(w_S).at[order_S].set(sum_S[group_S])


def _top(score_BxL, k_B):
  """The k labels of the highest score, as a label set."""
  order_BxL = jnp.argsort(-score_BxL, axis=-1, stable=True)
  place_BxL = jnp.argsort(order_BxL, axis=-1)
  return (place_BxL < k_B[:, None]).astype(jnp.int8)


def _gfm(c: Candidates):
  """The best answer of each size, then the best size."""
  w_BxS = weights(c)
  size_BxS = (c.y_BxSxL > 0.5).sum(-1)
  L = c.y_BxSxL.shape[-1]

  def gain(k_Bx1):
    # The paper's Delta_ik = sum_s 2 P(y_i = 1, |y| = s) / (s + k), summed over
    # candidates instead of sizes, so that no LxL table is kept.
    return mix(2 * w_BxS / (size_BxS + k_Bx1), c.y_BxSxL)

  def value(k):
    gain_BxL = -jnp.sort(-gain(k[None, None]), axis=-1)
    return jnp.where(jnp.arange(L)[None] < k, gain_BxL, 0).sum(-1)

  empty_B = jnp.where(size_BxS == 0, w_BxS, 0).sum(-1)
  value_LxB = jax.lax.map(value, jnp.arange(1, L + 1))
  k_B = jnp.argmax(jnp.concatenate([empty_B[None], value_LxB]), axis=0)
  return _top(gain(k_B[:, None]), k_B)


def _prefix_values(p_BxL):
  """Expected F1 of the first k labels, k = 0..L; p in falling order."""
  B, L = p_BxL.shape
  p_LxBx1 = p_BxL.T[:, :, None]
  k_L = jnp.arange(1, L + 1)

  def count(c_Bx_, p_Bx1):
    # P(k of the first labels are positive), k = 0..L.
    more_Bx_ = jnp.pad(c_Bx_[:, :-1], ((0, 0), (1, 0)))
    c_Bx_ = (1 - p_Bx1) * c_Bx_ + p_Bx1 * more_Bx_
    return c_Bx_, c_Bx_

  none_Bx_ = jnp.zeros((B, L + 1), p_BxL.dtype).at[:, 0].set(1)
  last_Bx_, c_LxBx_ = jax.lax.scan(count, none_Bx_, p_LxBx1)

  def back(s_Bx_, step):
    # s[a] = E 1 / (a + positives after label k). What lies beyond a = 2k is
    # never read again, so the edge may hold anything finite.
    p_Bx1, k, c_Bx_ = step
    here_Bx_ = jax.lax.dynamic_slice_in_dim(s_Bx_, k, L + 1, axis=1)
    value_B = (2 * jnp.arange(L + 1)[None] * c_Bx_ * here_Bx_).sum(-1)
    more_Bx_ = jnp.roll(s_Bx_, -1, axis=1)
    return (1 - p_Bx1) * s_Bx_ + p_Bx1 * more_Bx_, value_B

  inverse_Bx_ = 1 / jnp.maximum(jnp.arange(2 * L + 1, dtype=p_BxL.dtype), 1)
  inverse_Bx_ = jnp.broadcast_to(inverse_Bx_[None], (B, 2 * L + 1))
  _, value_LxB = jax.lax.scan(
    back, inverse_Bx_, (p_LxBx1, k_L, c_LxBx_), reverse=True
  )
  return jnp.concatenate([last_Bx_[:, :1], value_LxB.T], axis=1)
