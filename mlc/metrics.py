"""Metrics: (answers or scores NxL, y_NxL, mask_NxL) -> scalar.

Masked cells (mask 0) count nowhere: a row is judged on its observed labels, a
label on its observed rows, and a row or label with nothing observed, such as
padding, is left out; with nothing observed at all the value is nan. A soft
label counts as its nearer side, in NLL as the cross-entropy it adds.
Zero division: example-based 0/0 = 1 (an empty answer to an empty row is
right); label-based (macro) and micro 0/0 = 0, scikit-learn's default.
Source: Zhang and Zhou, IEEE TKDE 26, 2014; LRAP as scikit-learn.
"""

import jax
import jax.numpy as jnp


def hamming_loss(yhat_NxL, y_NxL, mask_NxL) -> jax.Array:
  """Share of observed cells that are wrong."""
  yhat_NxL, y_NxL, seen_NxL = _observed(yhat_NxL, y_NxL, mask_NxL)
  return (yhat_NxL != y_NxL).sum() / seen_NxL.sum()


def subset_accuracy(yhat_NxL, y_NxL, mask_NxL) -> jax.Array:
  """Share of rows that are right on all observed labels."""
  yhat_NxL, y_NxL, seen_NxL = _observed(yhat_NxL, y_NxL, mask_NxL)
  return _mean((yhat_NxL == y_NxL).all(1), seen_NxL.any(1))


def example_f1(yhat_NxL, y_NxL, mask_NxL) -> jax.Array:
  """Mean over rows of F1."""
  yhat_NxL, y_NxL, seen_NxL = _observed(yhat_NxL, y_NxL, mask_NxL)
  return _mean(_f1(yhat_NxL, y_NxL, 1, 1.0), seen_NxL.any(1))


def micro_f1(yhat_NxL, y_NxL, mask_NxL) -> jax.Array:
  """F1 of all observed cells taken together."""
  yhat_NxL, y_NxL, seen_NxL = _observed(yhat_NxL, y_NxL, mask_NxL)
  return _mean(_f1(yhat_NxL, y_NxL, None, 0.0), seen_NxL.any())


def macro_f1(yhat_NxL, y_NxL, mask_NxL) -> jax.Array:
  """Mean over labels of F1."""
  yhat_NxL, y_NxL, seen_NxL = _observed(yhat_NxL, y_NxL, mask_NxL)
  return _mean(_f1(yhat_NxL, y_NxL, 0, 0.0), seen_NxL.any(0))


def lrap(scores_NxL, y_NxL, mask_NxL) -> jax.Array:
  """Label ranking average precision; nan if an observed score is nan.

  Of equal scores each takes the lowest place ('max' rank). A row with none or
  all of its observed labels positive has 1. Time O(N L log L), memory NxL.
  """
  seen_NxL = mask_NxL > 0
  fall_NxL, y_NxL, seen_NxL = jax.lax.sort(
    (jnp.where(seen_NxL, -scores_NxL, 0), seen_NxL & (y_NxL > 0.5), seen_NxL),
    dimension=1,
    num_keys=1,
  )
  # Unobserved labels add nothing to either count, wherever they sort.
  end_NxL = (fall_NxL != jnp.roll(fall_NxL, -1, axis=1)).at[:, -1].set(True)

  def upto(flag_NxL):
    """Count of flags down to the last score that equals this one."""
    count_NxL = jnp.where(end_NxL, jnp.cumsum(flag_NxL, axis=1), flag_NxL.size)
    return jax.lax.cummin(count_NxL, axis=1, reverse=True)

  precision_NxL = upto(y_NxL) / jnp.maximum(upto(seen_NxL), 1)
  positives_N, seen_N = y_NxL.sum(1), seen_NxL.sum(1)
  value_N = jnp.where(y_NxL, precision_NxL, 0).sum(1)
  value_N = value_N / jnp.maximum(positives_N, 1)
  trivial_N = (positives_N == 0) | (positives_N == seen_N)
  value_N = jnp.where(trivial_N, 1, value_N)
  value_N = jnp.where(jnp.isnan(fall_NxL).any(1), jnp.nan, value_N)
  return _mean(value_N, seen_N > 0)


def nll(log_prob_N, rows_N) -> jax.Array:
  """Mean of -log p(y | x) over the rows with rows_N > 0; may be inf."""
  return _mean(-log_prob_N, rows_N > 0)


def unseen(log_prob_N, rows_N) -> jax.Array:
  """How many rows the model holds impossible: what makes `nll` infinite."""
  return (jnp.isneginf(log_prob_N) & (rows_N > 0)).sum()


OF_ANSWERS = hamming_loss, subset_accuracy, example_f1, micro_f1, macro_f1


def decision_metrics(yhat_NxL, y_NxL, mask_NxL) -> dict[str, jax.Array]:
  """The metrics of an answer, by name."""
  return {m.__name__: m(yhat_NxL, y_NxL, mask_NxL) for m in OF_ANSWERS}


def _observed(yhat_NxL, y_NxL, mask_NxL):
  """All three as booleans; masked cells are negatives rightly answered."""
  seen_NxL = mask_NxL > 0
  return seen_NxL & (yhat_NxL > 0.5), seen_NxL & (y_NxL > 0.5), seen_NxL


def _f1(yhat_NxL, y_NxL, axis, zero_division):
  """2 TP / (answered + true) along `axis`."""
  size = yhat_NxL.sum(axis) + y_NxL.sum(axis)
  f1 = 2 * (yhat_NxL & y_NxL).sum(axis) / jnp.maximum(size, 1)
  return jnp.where(size > 0, f1, zero_division)


def _mean(value, kept):
  """Mean of what is kept; nan if nothing is."""
  return jnp.where(kept, value, 0).sum() / kept.sum()
