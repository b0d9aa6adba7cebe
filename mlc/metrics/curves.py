"""Areas under curves of each label, or of all cells: whole columns of scores.

Equal scores make one step: average precision is scikit-learn's step-wise sum,
sum_n (R_n - R_n-1) P_n, and in AUROC a tied pair counts a half. A label has no
average precision without positives and no AUROC with one class only: macro is
the mean over the others, and says how many it skipped. Time O(N L log N), micro
O(N L log NL); memory NxL.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from mlc.metrics import rankings
from mlc.metrics.base import Metric, mean, mean_of


class Columns(NamedTuple):
  """What a curve is drawn from; batches are concatenated."""

  scores_NxL: jax.Array
  y_NxL: jax.Array
  seen_NxL: jax.Array


def _columns(scores_NxL, y_NxL, mask_NxL) -> Columns:
  return Columns(jnp.asarray(scores_NxL), y_NxL > 0.5, mask_NxL > 0)


def _area(area, has_value, rows):
  """(area, it has one) of each row; a row here is a label, or all cells."""
  r = rankings.ranked(*rows)
  return jnp.where(r.valid_N, area(r), jnp.nan), has_value(r)


def _macro(area, has_value, columns):
  return mean(mean_of(*_area(area, has_value, [c.T for c in columns])))


def _micro(area, has_value, columns):
  one_row = [c.reshape(1, -1) for c in columns]
  return mean(mean_of(*_area(area, has_value, one_row)))


def _skipped(has_both, columns):
  """Labels that have no value."""
  y_NxL = columns.seen_NxL & columns.y_NxL
  has_L = y_NxL.any(0)
  if has_both:
    has_L &= (columns.seen_NxL & ~y_NxL).any(0)
  return (~has_L).sum()


def _auroc(r):
  return 1 - rankings.share_of_pairs(r, 0.5)


_AP = rankings.precision_of_positives, rankings.has_positives
_AUROC = _auroc, rankings.has_pairs


def _curve(name, average, area, **skipped) -> Metric:
  value = functools.partial(average, *area)
  return Metric(name, 'scores', _columns, value, **skipped, keeps_rows=True)


macro_average_precision = _curve(
  'macro_average_precision',
  _macro,
  _AP,
  skipped=functools.partial(_skipped, False),
)
micro_average_precision = _curve('micro_average_precision', _micro, _AP)
macro_auroc = _curve(
  'macro_auroc', _macro, _AUROC, skipped=functools.partial(_skipped, True)
)
# Source of AUROC: Fawcett, Pattern Recognition Letters 27, 2006, Sect. 7.
micro_auroc = _curve('micro_auroc', _micro, _AUROC)
# AU(PRC), the area under the curve of pooled precision and recall: Vens et al.,
# Machine Learning 73, 2008, who interpolate between its points; here the
# step-wise sum, as in Giunchiglia and Lukasiewicz, NeurIPS 2020, whose tables
# hold it: equal to micro_average_precision. Which labels are evaluated is said
# by the mask.
au_prc = _curve('au_prc', _micro, _AP)
