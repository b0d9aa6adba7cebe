"""Every metric in plain NumPy float64: a loop over rows or over labels.

A case is cut to what is observed first, so that no mask is left: rows are
[(prediction, y)], with label numbers where they matter; labels likewise.
"""

import math

import numpy as np

N, L = 16, 7


def draw(seed, density, observed=1.0, levels=1000):
  """Answers, scores with ties, truths and mask; some rows, columns empty."""
  rng = np.random.default_rng(seed)
  y_NxL = (rng.random((N, L)) < density).astype(np.int8)
  yhat_NxL = (rng.random((N, L)) < density).astype(np.int8)
  y_NxL[:2] = yhat_NxL[1:3] = y_NxL[:, 0] = yhat_NxL[:, :2] = 0
  y_NxL[3], y_NxL[:, 2], yhat_NxL[4], yhat_NxL[5] = 1, 1, y_NxL[4], 1
  scores_NxL = (rng.integers(levels, size=(N, L)) / 8).astype(np.float32)
  mask_NxL = (rng.random((N, L)) < observed).astype(np.float32)
  if observed < 1:
    mask_NxL[6:8] = mask_NxL[:, 3] = 0
    mask_NxL[0, 0] = 1
  return yhat_NxL, scores_NxL, y_NxL, mask_NxL


def cut(a_NxL, y_NxL, mask_NxL):
  """(rows, labels, one list of all cells), each only what is observed."""
  seen_NxL = mask_NxL > 0
  a_NxL, y_NxL = np.float64(a_NxL), np.float64(y_NxL)
  both = list(zip(a_NxL, y_NxL, seen_NxL, strict=True))
  rows = [(a[m], y[m]) for a, y, m in both if m.any()]
  both = list(zip(a_NxL.T, y_NxL.T, seen_NxL.T, strict=True))
  labels = [(a[m], y[m]) for a, y, m in both if m.any()]
  return rows, labels, (a_NxL[seen_NxL], y_NxL[seen_NxL])


def _over(top, bottom, otherwise):
  return top / bottom if bottom else otherwise


def fbeta(a, y, beta):
  """Example-based: two empty sets are equal."""
  hits = (a * y).sum()
  return _over((1 + beta**2) * hits, beta**2 * y.sum() + a.sum(), 1.0)


def _of_row(a, y):
  """All example-based values of one row, conventions spelt out."""
  hits, rejected = (a * y).sum(), ((1 - a) * (1 - y)).sum()
  both_empty = float(not a.any() and not y.any())
  precision = hits / a.sum() if a.any() else both_empty
  recall = hits / y.sum() if y.any() else both_empty
  specificity = rejected / (1 - y).sum() if not y.all() else 1.0
  npv = rejected / (1 - a).sum() if not a.all() else 1.0
  bold_precision = hits / a.sum() if a.any() else 1.0
  return {
    'subset_accuracy': float((a == y).all()),
    'example_precision': precision,
    'example_recall': recall,
    'example_f1': fbeta(a, y, 1),
    'example_fbeta(beta=2.0)': fbeta(a, y, 2),
    'example_fbeta(beta=0.5)': fbeta(a, y, 0.5),
    'example_jaccard': _over(hits, np.maximum(a, y).sum(), 1.0),
    'example_specificity': specificity,
    'example_npv': npv,
    'example_informedness': (recall + specificity) / 2,
    'example_markedness': (bold_precision + npv) / 2,
  }


def _of_label(a, y):
  """Label-based: 0/0 = 0."""
  hits = (a * y).sum()
  return {
    'precision': _over(hits, a.sum(), 0.0),
    'recall': _over(hits, y.sum(), 0.0),
    'f1': _over(2 * hits, a.sum() + y.sum(), 0.0),
    'jaccard': _over(hits, np.maximum(a, y).sum(), 0.0),
  }


def _means(values):
  return {k: np.mean([v[k] for v in values]) for k in values[0]}


def of_answer(yhat_NxL, y_NxL, mask_NxL):
  """Name -> value; -1 in an answer is as good as unobserved."""
  seen_NxL = mask_NxL > 0
  spoken_NxL = seen_NxL & (yhat_NxL >= 0)
  rows, labels, cells = cut(yhat_NxL, y_NxL, spoken_NxL)
  found = _means([_of_row(a, y) for a, y in rows])
  found['hamming_loss'] = np.mean(cells[0] != cells[1])
  found['answered'] = spoken_NxL.sum() / seen_NxL.sum()
  of_labels = [_of_label(a, y) for a, y in labels]
  support = [y.sum() for _, y in labels]
  for name, value in _of_label(*cells).items():
    values = [v[name] for v in of_labels]
    found[f'micro_{name}'] = value
    found[f'macro_{name}'] = np.mean(values)
    found[f'weighted_{name}'] = _over(
      np.dot(values, support), sum(support), 0.0
    )
  return found


def average_precision(s, y):
  """Mean over positives of the precision at their score."""
  at = s[y > 0]
  return np.mean([y[s >= t].mean() for t in at]) if len(at) else math.nan


def auroc(s, y):
  """Share of pairs in the right order, a tie half."""
  gap = s[y > 0][:, None] - s[y == 0][None]
  return np.mean((gap > 0) + (gap == 0) / 2) if gap.size else math.nan


def _first(s, k):
  """The k of the highest score, the lower index first: by selection."""
  left, found = list(range(len(s))), []
  while left and len(found) < k:
    best = max(left, key=lambda i: (s[i], -i))
    left.remove(best)
    found.append(best)
  return found


def _ndcg(s, y, k):
  """The gain of each score's group is spread over its places."""
  discount = [1 / math.log2(place + 1) for place in range(1, len(s) + 1)]
  discount[k:] = [0] * len(discount[k:])
  total = 0.0
  for value in set(s):
    above, here = (s > value).sum(), s == value
    total += y[here].mean() * sum(discount[above : above + here.sum()])
  best = sum(discount[: int(y.sum())])
  return _over(total, best, 0.0)


def _ranked_row(s, y):
  pairs = [(p, q) for p in s[y > 0] for q in s[y == 0]]
  trivial = not pairs
  found = {
    'lrap': 1.0 if trivial else average_precision(s, y),
    'ranking_loss': 0.0 if trivial else np.mean([q >= p for p, q in pairs]),
    'one_error': 1.0 - y[_first(s, 1)[0]],
    'coverage': (s >= min(s[y > 0])).sum() - 1.0 if y.any() else 0.0,
    'example_average_precision': average_precision(s, y),
    'example_auroc': auroc(s, y),
  }
  for k in (1, 3, 9):
    found[f'precision_at_{k}'] = y[_first(s, k)].mean()
    found[f'ndcg_at_{k}'] = _ndcg(s, y, k)
  return found


def _mean_of_known(values):
  known = [v for v in values if not math.isnan(v)]
  return np.mean(known) if known else math.nan


def of_scores(scores_NxL, y_NxL, mask_NxL):
  """Name -> value, of the metrics without options."""
  rows, labels, cells = cut(scores_NxL, y_NxL, mask_NxL)
  values = [_ranked_row(s, y) for s, y in rows]
  return {
    **{name: _mean_of_known([v[name] for v in values]) for name in values[0]},
    'macro_average_precision': _mean_of_known(
      [average_precision(s, y) for s, y in labels]
    ),
    'macro_auroc': _mean_of_known([auroc(s, y) for s, y in labels]),
    'micro_average_precision': average_precision(*cells),
    'au_prc': average_precision(*cells),
    'micro_auroc': auroc(*cells),
  }


def skipped(scores_NxL, y_NxL, mask_NxL):
  """Name -> labels or rows without a value; a row of padding is none."""
  rows, labels, _ = cut(scores_NxL, y_NxL, mask_NxL)
  no_label = mask_NxL.shape[1] - len(labels)

  def count(value, cases):
    return sum(math.isnan(value(s, y)) for s, y in cases)

  return {
    'macro_f1': no_label,
    'macro_average_precision': no_label + count(average_precision, labels),
    'macro_auroc': no_label + count(auroc, labels),
    'example_average_precision': count(average_precision, rows),
    'example_auroc': count(auroc, rows),
  }


def psp(scores_NxL, y_NxL, mask_NxL, propensity_L, k):
  """Sum of 1 / propensity of the hits, over the most there could be."""
  got = best = 0.0
  for s, y, m in zip(scores_NxL, y_NxL, mask_NxL > 0, strict=True):
    worth = y[m] / propensity_L[m]
    got += worth[_first(s[m], k)].sum()
    best += sum(sorted(worth, reverse=True)[:k])
  return got / best


def of_probabilities(p_NxL, y_NxL, mask_NxL):
  """Name -> value; y may be soft."""
  _, _, (p, y) = cut(np.float32(p_NxL), y_NxL, mask_NxL)
  q = np.clip(p, 2**-23, 1 - 2**-23)
  error = 0.0
  for m in range(15):
    # The last bin holds 1 as well.
    here = (m / 15 <= p) & ((p < (m + 1) / 15) | (m == 14))
    error += abs((p - y)[here].sum()) / len(p)
  return {
    'brier': np.mean(y * (1 - p) ** 2 + (1 - y) * p**2),
    'label_nll': -np.mean(y * np.log(q) + (1 - y) * np.log(1 - q)),
    'ece': error,
  }
