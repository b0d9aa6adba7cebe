"""Metrics of rankings: scores NxL, higher first; one value a row, their mean.

A row is judged on its observed labels, P of them positive and Q not. Equal
scores: each label takes the lowest place of its group ('max' rank) in lrap,
ranking_loss, coverage and example_average_precision, as in scikit-learn; in
example_auroc a tied pair counts a half; in ndcg_at_K a group shares its gains
evenly, as in scikit-learn; in one_error, precision_at_K and psp_at_K, which
need one order, the lower index comes first. A row with a nan among its observed
scores has the value nan. Time O(N L log L), memory NxL.
Source: Zhang and Zhou, IEEE TKDE 26, 2014, but for what is named below.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mlc.errors import InputError
from mlc.metrics.base import Mean, Metric, mean, mean_of, ratio


class Ranking(NamedTuple):
  """Each row by falling score, unobserved labels somewhere among the others."""

  label_NxL: jax.Array  # which label stands here
  y_NxL: jax.Array  # it is observed and positive
  no_NxL: jax.Array  # it is observed and not positive
  place_NxL: jax.Array  # observed labels down to here, itself among them
  positives_NxL: jax.Array  # of them positives
  first_NxL: jax.Array  # where the labels of this score begin
  last_NxL: jax.Array  # where they end
  valid_N: jax.Array  # no observed score is nan

  def down_to(self):
    """(positives, observed labels) that stand above or level."""
    counts = self.positives_NxL, self.place_NxL
    return tuple(_take(count_NxL, self.last_NxL) for count_NxL in counts)

  def above(self):
    """(positives, observed labels) that have a higher score."""
    # Down to the first of equals, less itself.
    counts = self.positives_NxL - self.y_NxL, self.place_NxL - self.seen_NxL
    return tuple(_take(count_NxL, self.first_NxL) for count_NxL in counts)

  @property
  def seen_NxL(self):
    """It is observed."""
    return self.y_NxL | self.no_NxL


def _take(count_NxL, at_NxL):
  return jnp.take_along_axis(count_NxL, at_NxL, axis=1, mode='clip')


def ranked(scores_NxL, y_NxL, mask_NxL) -> Ranking:
  """One stable sort of each row: of equal scores the lower index is first."""
  seen_NxL = mask_NxL > 0
  y_NxL = seen_NxL & (y_NxL > 0.5)
  # What the sort carries besides the key is packed into one integer: a sort
  # of two arrays is cheaper than one of four. Unobserved labels add nothing to
  # any count, wherever they sort.
  label_NxL = jax.lax.broadcasted_iota(jnp.int32, y_NxL.shape, 1)
  fall_NxL, packed_NxL = jax.lax.sort(
    (
      jnp.where(seen_NxL, -scores_NxL, 0),
      (label_NxL << 2) | (y_NxL.astype(jnp.int32) << 1) | seen_NxL,
    ),
    dimension=1,
    num_keys=1,
  )
  y_NxL, seen_NxL = (packed_NxL & 2) > 0, (packed_NxL & 1) > 0
  new_NxL = fall_NxL != jnp.roll(fall_NxL, 1, axis=1)
  ends_NxL, at_NxL = jnp.roll(new_NxL, -1, axis=1), label_NxL
  L = y_NxL.shape[1]
  return Ranking(
    packed_NxL >> 2,
    y_NxL,
    seen_NxL & ~y_NxL,
    jnp.cumsum(seen_NxL, axis=1),
    jnp.cumsum(y_NxL, axis=1),
    jax.lax.cummax(jnp.where(new_NxL, at_NxL, 0), axis=1),
    jax.lax.cummin(jnp.where(ends_NxL, at_NxL, L - 1), axis=1, reverse=True),
    ~jnp.isnan(fall_NxL).any(1),
  )


def precision_of_positives(r: Ranking) -> jax.Array:
  """Mean over a row's positives of precision down to them -> N; 0 of none.

  The step-wise sum of scikit-learn's average precision.
  """
  positives_NxL, place_NxL = r.down_to()
  precision_NxL = positives_NxL / jnp.maximum(place_NxL, 1)
  total_N = jnp.where(r.y_NxL, precision_NxL, 0).sum(1)
  return total_N / jnp.maximum(r.y_NxL.sum(1), 1)


def share_of_pairs(r: Ranking, tie: float) -> jax.Array:
  """Share of a row's P Q pairs whose negative stands above; `tie` of a tie."""
  no_N, positives_N = r.no_NxL.sum(1), r.y_NxL.sum(1)
  # Observed labels less positives are negatives.
  higher_NxL, level_NxL = (
    place_NxL - positives_NxL
    for positives_NxL, place_NxL in (r.above(), r.down_to())
  )
  higher_NxL = (1 - tie) * higher_NxL + tie * level_NxL
  # Divided twice: P Q may be more than an int32 holds.
  share_NxL = higher_NxL / jnp.maximum(no_N, 1)[:, None]
  total_N = jnp.where(r.y_NxL, share_NxL, 0).sum(1)
  return total_N / jnp.maximum(positives_N, 1)


class Skipping(NamedTuple):
  """A mean, and how many rows it leaves out though they are observed."""

  mean: Mean
  skipped: jax.Array  # int32


def _of_rows(name, row_value, has_value=None) -> Metric:
  """The mean over rows of `row_value`; over those that `has_value` if given."""

  def update(scores_NxL, y_NxL, mask_NxL):
    r = ranked(scores_NxL, y_NxL, mask_NxL)
    value_N = jnp.where(r.valid_N, row_value(r), jnp.nan)
    some_N = r.seen_NxL.any(1)
    if has_value is None:
      return mean_of(value_N, some_N)
    kept_N = some_N & has_value(r)
    return Skipping(mean_of(value_N, kept_N), (some_N & ~kept_N).sum())

  if has_value is None:
    return Metric(name, 'scores', update, mean)
  return Metric(
    name, 'scores', update, lambda s: mean(s.mean), lambda s: s.skipped
  )


def _lrap(r: Ranking):
  trivial_N = ~r.y_NxL.any(1) | ~r.no_NxL.any(1)
  return jnp.where(trivial_N, 1, precision_of_positives(r))


def _coverage(r: Ranking):
  return jnp.maximum(
    jnp.where(r.y_NxL, r.down_to()[1] - 1, 0).max(1), 0
  ).astype(jnp.float32)


def _hits_at(r: Ranking, k: int):
  """Positives among the first k."""
  return (r.y_NxL & (r.place_NxL <= k)).sum(1)


def has_positives(r: Ranking) -> jax.Array:
  """Whether average precision has a value -> N."""
  return r.y_NxL.any(1)


def has_pairs(r: Ranking) -> jax.Array:
  """Whether AUROC has a value: positives and negatives both -> N."""
  return r.y_NxL.any(1) & r.no_NxL.any(1)


# Label ranking average precision, as scikit-learn: 1 where P or Q is 0.
lrap = _of_rows('lrap', _lrap)
# Share of the P Q pairs in the wrong order, a tied one too, as scikit-learn: 0
# where P or Q is 0.
ranking_loss = _of_rows('ranking_loss', lambda r: share_of_pairs(r, 1.0))
# 1 where the first label is not positive, thus always where P is 0.
one_error = _of_rows('one_error', lambda r: 1.0 - _hits_at(r, 1))
# Labels above the lowest positive: its depth - 1; 0 where P is 0.
# scikit-learn's coverage_error is the depth itself.
coverage = _of_rows('coverage', _coverage)
# Rows without positives have no value and are skipped.
example_average_precision = _of_rows(
  'example_average_precision', precision_of_positives, has_positives
)
# Rows without positives, or without negatives, are skipped.
example_auroc = _of_rows(
  'example_auroc', lambda r: 1 - share_of_pairs(r, 0.5), has_pairs
)


def checked_k(k, of: str) -> int:
  """K, a whole number above 0. Raises InputError."""
  if not isinstance(k, int) or isinstance(k, bool) or k < 1:
    raise InputError(f'{of}_at_K: K={k!r} must be 1 or more, as in {of}_at_3')
  return k


@functools.cache
def precision_at(k: int) -> Metric:
  """Share of positives among the k first; of all where there are fewer."""
  checked_k(k, 'precision')

  def row_value(r):
    return _hits_at(r, k) / jnp.clip(r.seen_NxL.sum(1), 1, k)

  return _of_rows(f'precision_at_{k}', row_value)


@functools.cache
def ndcg_at(k: int) -> Metric:
  """DCG of the k first over that of the best order; 0 where P is 0.

  Gain 1 for a positive, discount log2(1 + place); as scikit-learn. Source:
  Jarvelin and Kekalainen, ACM TOIS 20, 2002.
  """
  checked_k(k, 'ndcg')

  def row_value(r):
    gain = 1 / np.log2(2 + np.arange(r.y_NxL.shape[1]))
    gain[k:] = 0
    # Of the first 0, 1, 2, ... places.
    total = jnp.asarray(np.append(0, np.cumsum(gain)), jnp.float32)
    low_NxL, high_NxL = r.above()[1], r.down_to()[1]
    gain_NxL = total[high_NxL] - total[low_NxL]
    gain_NxL = gain_NxL / jnp.maximum(high_NxL - low_NxL, 1)
    dcg_N = jnp.where(r.y_NxL, gain_NxL, 0).sum(1)
    return ratio(dcg_N, total[r.y_NxL.sum(1)], 0.0)

  return _of_rows(f'ndcg_at_{k}', row_value)


def propensities(positive_L, num_rows: int, a=0.55, b=1.5) -> np.ndarray:
  """How likely a positive of each label is to be noted -> L in (0, 1].

  positive_L: positives in training, of `num_rows` rows. 1 / (1 + C (n + b)^-a)
  with C = (log N - 1) (b + 1)^a; a and b as for most data sets there. Source:
  Jain, Prabhu and Varma, KDD 2016, eq. in Sect. 4.
  """
  positive_L = np.asarray(positive_L, np.float64)
  # Below e rows C would be negative, and a propensity above 1.
  c = max(np.log(num_rows) - 1, 0) * (b + 1) ** a
  return 1 / (1 + c * (positive_L + b) ** -a)


def psp_at(k: int, propensity_L) -> Metric:
  """Propensity-scored precision of the k first, over that of the best order.

  Each positive counts 1 / propensity. Both are summed over all rows first, as
  the Extreme Classification repository publishes it; nan without positives.
  Source: Jain, Prabhu and Varma, KDD 2016.
  """
  checked_k(k, 'psp')
  weight_L = 1 / jnp.asarray(propensity_L, jnp.float32)

  def update(scores_NxL, y_NxL, mask_NxL):
    r = ranked(scores_NxL, y_NxL, mask_NxL)
    hit_NxL = r.y_NxL & (r.place_NxL <= k)
    got_N = jnp.where(hit_NxL, weight_L[r.label_NxL], 0).sum(1)
    got_N = jnp.where(r.valid_N, got_N, jnp.nan)
    own_NxL = (mask_NxL > 0) & (y_NxL > 0.5)
    best_NxL = -jnp.sort(jnp.where(own_NxL, -weight_L[None], 0), axis=1)
    return got_N.sum(), best_NxL[:, :k].sum()

  def value(sums):
    return ratio(sums[0], sums[1], jnp.nan)

  return Metric(f'psp_at_{k}', 'scores', update, value)
