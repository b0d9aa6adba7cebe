"""Posterior -> the answer that is optimal for one loss, by kind of answer.

sets.py: label sets, here by name; abstention.py: with silence; rankings.py:
orders of the labels; thresholds.py: label sets by cuts that validation rows
decide. targets.py says which metric each is best for.
"""

from mlc.decisions.sets import (
  cost,
  f1,
  fbeta,
  hamming,
  informedness,
  jaccard,
  markedness,
  npv,
  precision,
  recall,
  specificity,
  subset,
)

__all__ = [
  'cost',
  'f1',
  'fbeta',
  'hamming',
  'informedness',
  'jaccard',
  'markedness',
  'npv',
  'precision',
  'recall',
  'specificity',
  'subset',
]
