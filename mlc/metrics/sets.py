"""Metrics of answers: 0, 1, or -1 (silent: such a cell is judged by nobody).

hamming_loss, subset_accuracy, answered; example_, micro_, macro_ and weighted_
precision, recall, f1 and jaccard; example_ specificity, npv, informedness and
markedness; example_fbeta(beta). Zero division of the example-based ones, over
the observed labels of one row with truth y and answer a:

- precision |y & a| / |a|: of an empty a 1 where y is empty too, else 0. recall
  |y & a| / |y|: of an empty y 1 where a is empty too, else 0.
- f1, fbeta, jaccard: 1 where both are empty.
- specificity: 1 where y has no negatives. npv: 1 where a has none, whatever y.
- informedness (recall + specificity) / 2. markedness (precision + npv) / 2,
  where the precision of an empty a is 1, whatever y: Nguyen et al., Information
  Fusion, 2026, whose conventions those of precision, recall and npv are too.

Micro, macro and weighted: 0/0 = 0, scikit-learn's default; macro is the mean
over the labels that are observed at all. Source: Zhang and Zhou, IEEE TKDE 26,
2014.
"""

from collections.abc import Callable
import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from mlc.errors import InputError
from mlc.metrics.base import (
  Cells,
  Mean,
  Metric,
  mean,
  mean_of,
  mean_of_cells,
  ratio,
)


class Counts(NamedTuple):
  """Of each row, or of each label, int32: a |y & a|, |a|, |y|, cells seen."""

  hits: jax.Array
  answered: jax.Array
  true: jax.Array
  seen: jax.Array


def _observed(yhat_NxL, y_NxL, mask_NxL):
  """All three as booleans; what is not seen is a negative rightly answered."""
  seen_NxL = (mask_NxL > 0) & ~(yhat_NxL < 0)
  return seen_NxL & (yhat_NxL > 0.5), seen_NxL & (y_NxL > 0.5), seen_NxL


def _counts(axis, yhat_NxL, y_NxL, mask_NxL) -> Counts:
  yhat_NxL, y_NxL, seen_NxL = _observed(yhat_NxL, y_NxL, mask_NxL)
  flags = yhat_NxL & y_NxL, yhat_NxL, y_NxL, seen_NxL
  return Counts(*(flag_NxL.sum(axis) for flag_NxL in flags))


def _precision(c: Counts, empty):
  """`empty` is the precision of an empty answer."""
  return ratio(c.hits, c.answered, empty)


def _recall(c: Counts, empty):
  """`empty` is the recall of a truth that has no positives."""
  return ratio(c.hits, c.true, empty)


def _fbeta(c: Counts, zero_division, beta=1.0):
  """(1 + beta^2) |y & a| / (beta^2 |y| + |a|)."""
  b = beta**2
  return ratio((1 + b) * c.hits, b * c.true + c.answered, zero_division)


def _jaccard(c: Counts, zero_division):
  return ratio(c.hits, c.answered + c.true - c.hits, zero_division)


def _specificity(c: Counts):
  right = c.seen - c.answered - c.true + c.hits
  return ratio(right, c.seen - c.true, 1.0)


def _npv(c: Counts):
  right = c.seen - c.answered - c.true + c.hits
  return ratio(right, c.seen - c.answered, 1.0)


def _row_recall(c: Counts):
  return _recall(c, c.answered == 0)


def _of_rows(name, row_value: Callable[[Counts], jax.Array]) -> Metric:
  """The mean over rows of a value of each row."""

  def update(yhat_NxL, y_NxL, mask_NxL) -> Mean:
    of_rows = _counts(1, yhat_NxL, y_NxL, mask_NxL)
    return mean_of(row_value(of_rows), of_rows.seen > 0)

  return Metric(name, 'answer', update, mean)


def _micro(label_value, c: Counts):
  # Floats: all cells together may be more than an int32 counts.
  total = Counts(*(count_L.astype(jnp.float32).sum() for count_L in c))
  return jnp.where(total.seen > 0, label_value(total, 0.0), jnp.nan)


def _macro(label_value, c: Counts):
  return mean(mean_of(label_value(c, 0.0), c.seen > 0))


def _weighted(label_value, c: Counts):
  """The mean over labels, weighted by their positives."""
  weight_L = c.true.astype(jnp.float32)
  value = ratio((weight_L * label_value(c, 0.0)).sum(), weight_L.sum(), 0.0)
  return jnp.where(c.seen.any(), value, jnp.nan)


def _unobserved(c: Counts):
  return (c.seen == 0).sum()


def _of_labels(average, name, label_value) -> Metric:
  """A value of the labels' counts: of their sum, or a mean of each."""
  of, skipped = {
    'micro': (_micro, {}),
    'macro': (_macro, {'skipped': _unobserved}),
    'weighted': (_weighted, {}),
  }[average]
  value = functools.partial(of, label_value)
  update = functools.partial(_counts, 0)
  return Metric(f'{average}_{name}', 'answer', update, value, **skipped)


def _wrong_share(c: Counts):
  # By label in int32, then in float32: see `Cells`.
  wrong_L = c.answered + c.true - 2 * c.hits
  return mean_of_cells(Cells(wrong_L, c.seen))


def _not_silent(yhat_NxL, y_NxL, mask_NxL) -> Cells:
  seen_NxL = mask_NxL > 0
  return Cells((seen_NxL & ~(yhat_NxL < 0)).sum(0), seen_NxL.sum(0))


# Share of cells that are wrong.
hamming_loss = Metric(
  'hamming_loss', 'answer', functools.partial(_counts, 0), _wrong_share
)
# Share of rows that are right on all their cells.
subset_accuracy = _of_rows(
  'subset_accuracy', lambda c: c.answered + c.true == 2 * c.hits
)
# Share of observed cells that the answer is not silent on.
answered = Metric('answered', 'answer', _not_silent, mean_of_cells)

example_precision = _of_rows(
  'example_precision', lambda c: _precision(c, c.true == 0)
)
example_recall = _of_rows('example_recall', _row_recall)
example_f1 = _of_rows('example_f1', lambda c: _fbeta(c, 1.0))
example_jaccard = _of_rows('example_jaccard', lambda c: _jaccard(c, 1.0))
example_specificity = _of_rows('example_specificity', _specificity)
example_npv = _of_rows('example_npv', _npv)
example_informedness = _of_rows(
  'example_informedness', lambda c: (_row_recall(c) + _specificity(c)) / 2
)
example_markedness = _of_rows(
  'example_markedness', lambda c: (_precision(c, 1.0) + _npv(c)) / 2
)


@functools.cache
def example_fbeta(beta: float = 1.0) -> Metric:
  """Mean over rows of F-beta; beta > 1 values recall more than precision."""
  number = isinstance(beta, int | float)
  if not number or not 0 < beta < math.inf:
    raise InputError(
      f'example_fbeta: beta={beta!r} must be a number above 0, such as 2.0'
    )
  return _of_rows(
    f'example_fbeta(beta={float(beta)})', lambda c: _fbeta(c, 1.0, beta)
  )


micro_precision = _of_labels('micro', 'precision', _precision)
micro_recall = _of_labels('micro', 'recall', _recall)
micro_f1 = _of_labels('micro', 'f1', _fbeta)
micro_jaccard = _of_labels('micro', 'jaccard', _jaccard)
macro_precision = _of_labels('macro', 'precision', _precision)
macro_recall = _of_labels('macro', 'recall', _recall)
macro_f1 = _of_labels('macro', 'f1', _fbeta)
macro_jaccard = _of_labels('macro', 'jaccard', _jaccard)
weighted_precision = _of_labels('weighted', 'precision', _precision)
weighted_recall = _of_labels('weighted', 'recall', _recall)
weighted_f1 = _of_labels('weighted', 'f1', _fbeta)
weighted_jaccard = _of_labels('weighted', 'jaccard', _jaccard)
