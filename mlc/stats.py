"""Means over seeds: how far to trust them, which are better, in print."""

from collections.abc import Sequence
import math
from typing import NamedTuple

import numpy as np
from scipy import stats


class Metric(NamedTuple):
  """How a metric is titled, compared and printed."""

  title: str
  lower: bool  # lower is better
  digits: int = 3
  by_decision: bool = True  # False: the same for all decisions of a model

  @property
  def arrow(self) -> str:
    """Where better is."""
    return '↓' if self.lower else '↑'


METRICS = {
  'hamming_loss': Metric('Hamming loss', True),
  'subset_accuracy': Metric('subset accuracy', False),
  'example_f1': Metric('example F1', False),
  'micro_f1': Metric('micro F1', False),
  'macro_f1': Metric('macro F1', False),
  'jaccard': Metric('Jaccard', False),
  'lrap': Metric('LRAP', False, by_decision=False),
  'ranking_loss': Metric('ranking loss', True, by_decision=False),
  'one_error': Metric('one-error', True, by_decision=False),
  'coverage': Metric('coverage', True, by_decision=False),
  'nll': Metric('NLL', True, by_decision=False),
  'train_seconds': Metric('train s', True, digits=1, by_decision=False),
  'decode_seconds': Metric('decode s', True, digits=3),
}


def mean_std(values: Sequence[float]) -> tuple[float, float]:
  """Mean and sample standard deviation (ddof=1) over seeds.

  The deviation is nan where it has no meaning: for one value, and where a
  value is not finite.
  """
  array = np.asarray(values, np.float64)
  # The mean of (inf, -inf) is nan, without a warning.
  with np.errstate(invalid='ignore'):
    mean = float(array.mean()) if array.size else math.nan
  if array.size < 2 or not np.isfinite(array).all():
    return mean, math.nan
  return mean, float(array.std(ddof=1))


def confidence_interval(
  values: Sequence[float], level: float = 0.95
) -> tuple[float, float]:
  """Student's t interval of the mean, (low, high).

  (nan, nan) where `mean_std` has no deviation. Source: Student, "The probable
  error of a mean", Biometrika, 1908.
  """
  mean, std = mean_std(values)
  n = len(values)
  if math.isnan(std):
    return math.nan, math.nan
  half = float(stats.t.ppf((1 + level) / 2, n - 1)) * std / math.sqrt(n)
  return mean - half, mean + half


class Cell(NamedTuple):
  """One number, its spread, and whether it is the best of its column."""

  values: tuple[float, ...]
  note: str
  digits: int
  best: bool = False

  @property
  def mean(self) -> str:
    """The mean as printed: two cells tie when these are equal."""
    return f'{mean_std(self.values)[0]:.{self.digits}f}'

  def text(self, sep: str = ' ± ') -> str:
    """'0.193 ± 0.005', '4.1', 'inf (37 rows)'."""
    std = mean_std(self.values)[1]
    spread = '' if math.isnan(std) else f'{sep}{std:.{self.digits}f}'
    gap = '\n' if '\n' in sep else ' '
    note = f'{gap}({self.note})' if self.note else ''
    return self.mean + spread + note
