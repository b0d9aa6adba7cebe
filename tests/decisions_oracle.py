"""Answers by brute force in float64: the metrics of one row, pair by pair."""

import functools
import itertools

import numpy as np


def label_sets(num_labels) -> np.ndarray:
  """All 2^L of them, label 0 the most significant bit."""
  return np.array(list(itertools.product([0, 1], repeat=num_labels)), np.int8)


def index(y_xL) -> np.ndarray:
  """Row of `label_sets` that a label set is."""
  y_xL = np.asarray(y_xL, int)
  return y_xL @ (2 ** np.arange(y_xL.shape[-1])[::-1])


def _precision(tp, a, y, L):
  return tp / a if a else float(y == 0)


def _recall(tp, a, y, L):
  return tp / y if y else float(a == 0)


def _specificity(tp, a, y, L):
  return (L - a - y + tp) / (L - y) if y < L else 1.0


def _npv(tp, a, y, L):
  return (L - a - y + tp) / (L - a) if a < L else 1.0


def _fbeta(tp, a, y, L, beta=1.0):
  return (1 + beta**2) * tp / (beta**2 * y + a) if a or y else 1.0


# Of an answer of a labels to a truth of y, tp of them in both.
METRICS = {
  'hamming': lambda tp, a, y, L: (L - a - y + 2 * tp) / L,
  'subset': lambda tp, a, y, L: float(tp == a == y),
  'f1': _fbeta,
  'fbeta_2': functools.partial(_fbeta, beta=2.0),
  'fbeta_0.7': functools.partial(_fbeta, beta=0.7),
  'jaccard': lambda tp, a, y, L: tp / (a + y - tp) if a or y else 1.0,
  'precision': _precision,
  'recall': _recall,
  'specificity': _specificity,
  'npv': _npv,
  'informedness': lambda *row: (_recall(*row) + _specificity(*row)) / 2,
  'markedness': lambda tp, a, y, L: (
    ((tp / a if a else 1.0) + _npv(tp, a, y, L)) / 2
  ),
}
NAMES = (*METRICS, 'cost')

# (truth, answer) -> the cost of labels 0..7.
COSTS = {
  (0, 0): [0, 0.5, 0, 0, 0, 0, 0, 0],
  (0, 1): [1, 1, 2, 1, 5, 1, 0.3, 1],
  (1, 0): [1, 3, 1, 1, 1, 0.25, 2, 1],
  (1, 1): [0, 0, 0, 0.5, 0, 0, 0, 0],
}


@functools.cache
def utility(name, num_labels) -> np.ndarray:
  """The metric, or less the cost, of every answer to every truth -> AxU."""
  sets_UxL = label_sets(num_labels).astype(int)
  if name == 'cost':
    answer_Ax1xL, truth_1xUxL = sets_UxL[:, None], sets_UxL[None]
    return -sum(
      (
        (truth_1xUxL == truth)
        & (answer_Ax1xL == answer)
      ) @ np.array(cost[:num_labels], float)
      for (truth, answer), cost in COSTS.items()
    )  # fmt: skip
  value = functools.cache(METRICS[name])
  size_U = sets_UxL.sum(1).tolist()
  both_AxU = (sets_UxL @ sets_UxL.T).tolist()
  return np.array([
    [value(tp, a, y, num_labels) for tp, y in zip(both_U, size_U, strict=True)]
    for both_U, a in zip(both_AxU, size_U, strict=True)
  ])  # fmt: skip


def joint_of_product(p_BxL) -> np.ndarray:
  p_BxL = np.asarray(p_BxL, float)
  on_UxL = label_sets(p_BxL.shape[1]) > 0
  return np.where(on_UxL, p_BxL[:, None], 1 - p_BxL[:, None]).prod(-1)


def joint_of_candidates(y_BxSxL, logw_BxS) -> np.ndarray:
  """Copies added up, normalised; 0 in rows without candidates."""
  w_BxS = np.exp(np.asarray(logw_BxS, float))
  at_BxS = np.broadcast_to(index(y_BxSxL), w_BxS.shape)
  joint_BxU = np.zeros((len(w_BxS), 2 ** np.shape(y_BxSxL)[-1]))
  np.add.at(joint_BxU, (np.arange(len(w_BxS))[:, None], at_BxS), w_BxS)
  total_Bx1 = joint_BxU.sum(1, keepdims=True)
  return joint_BxU / np.where(total_Bx1 > 0, total_Bx1, 1)
