"""(logits, y) -> losses: the likelihood's cells, and what else one trains on.

A loss of CELL_LOSSES, or of row_losses.py, is a function (logits_BxL, y_BxL,
counted_BxL, *, options) -> (loss_B, weight_B); the training loss is
sum(loss_B) / sum(weight_B), over the batch and over devices. y may be soft, in
[0, 1]: both sides then count, by y and 1 - y. Where `counted` is 0 a label is
missing or does not count, and neither its y nor its logit is looked at; a row
that counts nothing has loss and weight 0. `positive_L` and `observed_L` are
sums of y and of cells over the observed training cells.

The losses of this file are sums over cells, so that they serve a chain by
teacher forcing too.
"""

import math

import jax
import jax.numpy as jnp

from mlc.errors import InputError

CELL_LOSSES = frozenset(
  {
    *('bce_sum', 'bce_mean', 'bce_weighted', 'class_balanced'),
    *('focal', 'asymmetric', 'distribution_balanced'),
  }
)


def bce(logits: jax.Array, y: jax.Array) -> jax.Array:
  """Binary cross-entropy of each cell, in nats; `y` may be soft, in [0, 1].

  -y log s(z) - (1 - y) log s(-z). The shortcut -log s((2y - 1) z) agrees for
  y in {0, 1} only.
  """
  # One exp and one log, where two log_sigmoids take twice that.
  tail = jnp.log1p(jnp.exp(-jnp.abs(logits)))
  return jnp.maximum(logits, 0) - logits * y + tail


def bernoulli(logits: jax.Array) -> jax.Array:
  """Log p(0), log p(1) on a new last axis."""
  # One exp and one log for both, where two log_sigmoids take twice that.
  tail = jnp.log1p(jnp.exp(-jnp.abs(logits)))
  return jnp.stack(
    [-jnp.maximum(logits, 0) - tail, jnp.minimum(logits, 0) - tail], axis=-1
  )


def proper(name: str, *, smoothing=0.0, positive=1.0, **options) -> bool:
  """Whether the loss is least, in expectation, at p(y | x) and nowhere else.

  A weight for each label leaves every label's minimum where it was. All else
  here moves it: a model so trained gives scores, not probabilities.
  """
  sums = ('bce_sum', 'bce_mean', 'bce_weighted')
  return name in sums and smoothing == 0 and positive == 1


def within(name: str, value, low: float, high: float) -> None:
  """Raises InputError for an option that is not a number in [low, high)."""
  number = isinstance(value, int | float) and not isinstance(value, bool)
  if not number or not low <= value < high:
    raise InputError(
      f'option {name}={value!r} of the loss: give a number of {low:g} or more,'
      f' below {high:g}'
    )


def sides(logits_BxL, y_BxL, counted_BxL):
  """float32 logits, y and 1 - y: all 0 where a cell is not counted."""
  seen_BxL = counted_BxL > 0
  y_BxL = jnp.where(seen_BxL, y_BxL, 0.0).astype(jnp.float32)
  logits_BxL = jnp.where(seen_BxL, logits_BxL, 0.0).astype(jnp.float32)
  return logits_BxL, y_BxL, seen_BxL - y_BxL


def bce_sum(
  logits_BxL, y_BxL, counted_BxL, *, smoothing: float = 0.0, positive=1.0
):
  """Cross-entropy of a row: the SUM over its labels, as in a likelihood.

  A row weighs its share of counted cells. smoothing: y becomes (1 - e) y +
  e / 2 (Szegedy et al., CVPR 2016, Sect. 7, for two classes). positive: the
  weight of the term of y.
  """
  loss_B, count_B = bce_mean(
    *(logits_BxL, y_BxL, counted_BxL),
    smoothing=smoothing,
    positive=positive,
  )
  return loss_B, count_B / y_BxL.shape[-1]


def bce_mean(
  logits_BxL, y_BxL, counted_BxL, *, smoothing: float = 0.0, positive=1.0
):
  """Cross-entropy: the MEAN over the counted cells. Options as `bce_sum`."""
  within('smoothing', smoothing, 0, 1)
  within('positive', positive, 1e-6, 1e6)
  logits_BxL, on_BxL, off_BxL = sides(logits_BxL, y_BxL, counted_BxL)
  flip = smoothing / 2
  on_BxL, off_BxL = (
    (1 - flip) * on_BxL + flip * off_BxL,
    flip * on_BxL + (1 - flip) * off_BxL,
  )
  return _cells(logits_BxL, positive * on_BxL, off_BxL, counted_BxL)


def bce_weighted(logits_BxL, y_BxL, counted_BxL, *, weights: tuple = ()):
  """Cross-entropy, each label by its weight; over the count of cells."""
  num_labels = y_BxL.shape[-1]
  if not isinstance(weights, tuple) or len(weights) != num_labels:
    raise InputError(
      f'weights of bce_weighted: give {num_labels} numbers, one a label, as in'
      ' weights=(1.0, 2.5, ...)'
    )
  for weight in weights:
    within('weights', weight, 1e-6, 1e6)
  logits_BxL, on_BxL, off_BxL = sides(logits_BxL, y_BxL, counted_BxL)
  weight_1xL = jnp.array(weights, jnp.float32)[None]
  return _cells(
    logits_BxL, weight_1xL * on_BxL, weight_1xL * off_BxL, counted_BxL
  )


def class_balanced(
  logits_BxL,
  y_BxL,
  counted_BxL,
  *,
  positive_L,
  observed_L,
  beta: float = 0.9999,
  gamma: float = 0.0,
):
  """Focal loss by the effective numbers of a label's positives and negatives.

  Each label is a problem of two classes: that of n training cells weighs
  (1 - beta) / (1 - beta^n), scaled so that the two weights sum to 2; n is at
  least 1. beta = 0: no weights. gamma: as `focal`. Mean over counted cells.
  Source: Cui et al. (CVPR 2019), Sect. 4.
  """
  within('beta', beta, 0, 1)
  n_2xL = jnp.maximum(jnp.stack([positive_L, observed_L - positive_L]), 1.0)
  # In float32 the logarithm would keep three digits of 1 - beta.
  log_beta = math.log(beta) if beta else -math.inf
  weight_2xL = 1 / -jnp.expm1(n_2xL * log_beta)
  on_1xL, off_1xL = 2 * weight_2xL[:, None] / weight_2xL.sum(0)[None, None]
  return _focal(logits_BxL, y_BxL, counted_BxL, gamma, on_1xL, off_1xL)


def focal(logits_BxL, y_BxL, counted_BxL, *, gamma: float = 2.0, positive=1.0):
  """-(1 - p_t)^gamma log p_t, p_t the probability of the true value.

  positive: the weight of the term of y; alpha of Eq. 5 is positive = alpha /
  (1 - alpha), but for a factor. Mean over counted cells (the paper divides by
  the number of positives). Source: Lin et al. (ICCV 2017), Eq. 4.
  """
  within('positive', positive, 1e-6, 1e6)
  return _focal(logits_BxL, y_BxL, counted_BxL, gamma, positive, 1.0)


def asymmetric(
  logits_BxL,
  y_BxL,
  counted_BxL,
  *,
  gamma_pos: float = 0.0,
  gamma_neg: float = 4.0,
  clip: float = 0.05,
):
  """-y (1-p)^gamma_pos log p - (1-y) q^gamma_neg log(1-q), q = max(p-clip, 0).

  Mean over counted cells (published code sums over the batch, so its numbers
  look huge). Source: Ridnik et al. (ICCV 2021), Sect. 2.
  """
  within('gamma_pos', gamma_pos, 0, 100)
  within('gamma_neg', gamma_neg, 0, 100)
  within('clip', clip, 0, 1)
  logits_BxL, on_BxL, off_BxL = sides(logits_BxL, y_BxL, counted_BxL)
  on_BxL *= jnp.exp(gamma_pos * jax.nn.log_sigmoid(-logits_BxL))
  if not clip:
    off_BxL *= jnp.exp(gamma_neg * jax.nn.log_sigmoid(logits_BxL))
    return _cells(logits_BxL, on_BxL, off_BxL, counted_BxL)
  q_BxL = jax.nn.sigmoid(logits_BxL) - clip
  # Below the clip the term and its slope are 0; the power's slope there, or
  # that of the logarithm at 0, would make it nan.
  above_BxL = q_BxL > 0
  q_BxL = jnp.where(above_BxL, q_BxL, 0.5)
  rest_BxL = jnp.where(above_BxL, jax.nn.sigmoid(-logits_BxL) + clip, 0.5)
  term_BxL = -jnp.exp(gamma_neg * jnp.log(q_BxL)) * jnp.log(rest_BxL)
  loss_BxL = -on_BxL * jax.nn.log_sigmoid(logits_BxL)
  loss_BxL += off_BxL * jnp.where(above_BxL, term_BxL, 0.0)
  return loss_BxL.sum(-1), _count(counted_BxL)


def distribution_balanced(
  logits_BxL,
  y_BxL,
  counted_BxL,
  *,
  positive_L,
  observed_L,
  alpha: float = 0.1,
  beta: float = 10.0,
  mu: float = 0.2,
  kappa: float = 0.05,
  scale: float = 2.0,
):
  """Re-balanced weights and negative-tolerant logits; mean over counted cells.

  Of label l with n_l positives of N, weight r_l = alpha + s(beta (P_l - mu)),
  P_l = (1 / n_l) / sum of y_j / n_j over the row, infinite in a row without
  positives; cell r_l [y softplus(-u) + (1-y) softplus(scale u) / scale], u = z
  - kappa log(N / n_l - 1), n_l at least 1/2 and at most N - 1/2. Defaults: the
  authors' for COCO. Source: Wu et al. (ECCV 2020), Sect. 3.
  """
  for name, value in (('alpha', alpha), ('beta', beta), ('kappa', kappa)):
    within(name, value, 0, 1e6)
  within('mu', mu, -1e6, 1e6)
  within('scale', scale, 1e-6, 1e6)
  logits_BxL, on_BxL, off_BxL = sides(logits_BxL, y_BxL, counted_BxL)
  n_L = jnp.clip(positive_L, 0.5, jnp.maximum(observed_L - 0.5, 0.5))
  share_Bx1 = (on_BxL / n_L[None]).sum(-1, keepdims=True)
  ratio_BxL = 1 / (n_L[None] * share_Bx1)
  weight_BxL = alpha + (
    jax.nn.sigmoid(beta * (ratio_BxL - mu)) if beta else 0.5
  )
  margin_L = kappa * jnp.log((jnp.maximum(observed_L, 1.0) - n_L) / n_L)
  logits_BxL = logits_BxL - margin_L[None]
  loss_BxL = weight_BxL * (
    on_BxL * jax.nn.softplus(-logits_BxL)
    + off_BxL * jax.nn.softplus(scale * logits_BxL) / scale
  )
  return loss_BxL.sum(-1), _count(counted_BxL)


def _count(counted_BxL):
  return (counted_BxL > 0).sum(-1).astype(jnp.float32)


def _cells(logits_BxL, on_BxL, off_BxL, counted_BxL):
  """Cross-entropy by the weights of its two sides; over the count of cells."""
  # As in `bce`: one exp and one log for both log s(z) and log s(-z).
  tail_BxL = jnp.log1p(jnp.exp(-jnp.abs(logits_BxL)))
  loss_BxL = on_BxL * (tail_BxL - jnp.minimum(logits_BxL, 0))
  loss_BxL += off_BxL * (tail_BxL + jnp.maximum(logits_BxL, 0))
  return loss_BxL.sum(-1), _count(counted_BxL)


def _focal(logits_BxL, y_BxL, counted_BxL, gamma, on_weight, off_weight):
  within('gamma', gamma, 0, 100)
  logits_BxL, on_BxL, off_BxL = sides(logits_BxL, y_BxL, counted_BxL)
  on_BxL *= on_weight * jnp.exp(gamma * jax.nn.log_sigmoid(-logits_BxL))
  off_BxL *= off_weight * jnp.exp(gamma * jax.nn.log_sigmoid(logits_BxL))
  return _cells(logits_BxL, on_BxL, off_BxL, counted_BxL)
