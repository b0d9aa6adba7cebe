"""(logits, y) -> losses that compare the scores of a row, or of a batch.

The form of a loss is that of losses.py. They need scores that were not given
the true labels, so only independent models can be trained by them. The value
of a batch loss depends on which rows share a batch.
"""

import jax
import jax.numpy as jnp

from mlc import losses

ROW_LOSSES = frozenset({'bpmll', 'lsep', 'soft_f1'})
BATCH_LOSSES = frozenset({'soft_macro_f1_batch'})


def bpmll(logits_BxL, y_BxL, counted_BxL):
  """Mean over pairs (k on, l off) of exp(-(c_k - c_l)), c = tanh(logits).

  A row without a pair counts as nothing. The sum over pairs is a product of
  two sums: O(L). Source: Zhang & Zhou (IEEE TKDE 2006), the error function of
  Sect. 3, whose outputs are tanh units.
  """
  logits_BxL, on_BxL, off_BxL = losses.sides(logits_BxL, y_BxL, counted_BxL)
  score_BxL = jnp.tanh(logits_BxL)
  pairs_B = on_BxL.sum(-1) * off_BxL.sum(-1)
  some_B = pairs_B > 0
  total_B = (on_BxL * jnp.exp(-score_BxL)).sum(-1)
  total_B *= (off_BxL * jnp.exp(score_BxL)).sum(-1)
  return total_B / jnp.where(some_B, pairs_B, 1.0), some_B.astype(jnp.float32)


def lsep(logits_BxL, y_BxL, counted_BxL):
  """Log(1 + sum over pairs (k on, l off) of exp(z_l - z_k)).

  A row without a pair counts as nothing. The sum over pairs is a product of
  two sums: O(L). Source: Li, Song & Luo (CVPR 2017), log-sum-exp pairwise.
  """
  logits_BxL, on_BxL, off_BxL = losses.sides(logits_BxL, y_BxL, counted_BxL)
  # Of an empty sum the logarithm is -inf, and so the loss and its slope 0.
  total_B = jax.nn.logsumexp(-logits_BxL, axis=-1, b=on_BxL)
  total_B += jax.nn.logsumexp(logits_BxL, axis=-1, b=off_BxL)
  some_B = on_BxL.any(-1) & off_BxL.any(-1)
  return jax.nn.softplus(total_B), some_B.astype(jnp.float32)


def soft_f1(logits_BxL, y_BxL, counted_BxL, *, smooth: float = 1.0):
  """1 - example-F1 of a row, probabilities in place of answers.

  F1 = (2 sum p y + smooth) / (sum p + sum y + smooth), so that of an empty
  answer to an empty row it is 1, as in metrics.py. Source: Pastor-Pellicer et
  al. (IWANN 2013), there on all rows together.
  """
  loss_B = 1 - _soft_f1(logits_BxL, y_BxL, counted_BxL, smooth, axis=1)
  some_B = (counted_BxL > 0).any(-1)
  return jnp.where(some_B, loss_B, 0.0), some_B.astype(jnp.float32)


def soft_macro_f1_batch(logits_BxL, y_BxL, counted_BxL, *, smooth: float = 1.0):
  """1 - the mean over labels of F1 of the BATCH, probabilities for answers.

  F1 as in `soft_f1`, of the labels that any row counts; every such row is
  given the batch's value. It is no mean over rows: it depends on which rows
  share a batch, and devices with a part each would sum something else. Source:
  Benedict et al. (TMLR 2022), sigmoidF1 with a plain sigmoid.
  """
  f1_L = _soft_f1(logits_BxL, y_BxL, counted_BxL, smooth, axis=0)
  seen_BxL = counted_BxL > 0
  some_L, some_B = seen_BxL.any(0), seen_BxL.any(1).astype(jnp.float32)
  loss = jnp.where(some_L, 1 - f1_L, 0.0).sum() / jnp.maximum(some_L.sum(), 1)
  return loss * some_B, some_B


def _soft_f1(logits_BxL, y_BxL, counted_BxL, smooth, axis):
  losses.within('smooth', smooth, 1e-6, 1e6)
  logits_BxL, on_BxL, off_BxL = losses.sides(logits_BxL, y_BxL, counted_BxL)
  p_BxL = (on_BxL + off_BxL) * jax.nn.sigmoid(logits_BxL)
  hits = 2 * (p_BxL * on_BxL).sum(axis) + smooth
  return hits / (p_BxL.sum(axis) + on_BxL.sum(axis) + smooth)
