"""Many logistic regressions on one design matrix: what they are.

Problem p is scikit-learn's LogisticRegression with C = 1 / l2: the minimum of
sum_n weight_n nll_n + l2 / 2 |w|^2 over the columns it may look at, intercept
not penalised. mlc/conjugate.py finds the minima.
"""

from typing import Any, NamedTuple

import jax
from jax.experimental import sparse
import jax.numpy as jnp
import numpy as np

from mlc import losses


class Design(NamedTuple):
  """NxQ matrix; its column 0 is all ones, its last L columns the labels.

  rows: the matrix, dense or BCSR. columns: its transpose if BCSR, else None.
  squares: QxN, the transpose with its values squared; None where that is the
    transpose itself, since all values are 0 or 1.
  """

  rows: Any
  columns: Any = None
  squares: Any = None

  def forward(self, w_QxS):
    """NxS."""
    return self.rows @ w_QxS

  def backward(self, r_NxS):
    """QxS."""
    return (self.rows.T if self.columns is None else self.columns) @ r_NxS


def dense(z_NxQ) -> Design:
  """The design of a matrix as it is."""
  return Design(z_NxQ, None, (z_NxQ * z_NxQ).T)


def compressed(z_NxQ, extra: int = 0) -> Design:
  """The design of a SciPy CSR matrix, with so many `extra` cells that are 0."""

  def bcsr(matrix):
    starts = matrix.indptr.copy()
    starts[-1] += extra  # In column 0 of the last row.
    data, ids = (np.pad(a, (0, extra)) for a in (matrix.data, matrix.indices))
    arrays = jnp.asarray(data), jnp.asarray(ids), jnp.asarray(starts)
    return sparse.BCSR(arrays, shape=matrix.shape)

  z_QxN = z_NxQ.T.tocsr()
  squares = None if (z_NxQ.data == 1).all() else bcsr(z_QxN * z_QxN)
  return Design(bcsr(z_NxQ), bcsr(z_QxN), squares)


class Problems(NamedTuple):
  """P problems: what each fits, what it looks at, where it begins.

  label_P: the label. before_PxL: 1 for the labels it looks at. l2_P: 1 / C.
  start_P: a column of the starts. fold_P: the fold held out, of the division
  division_P of the rows.
  """

  label_P: Any
  before_PxL: Any
  l2_P: Any
  start_P: Any
  division_P: Any = None
  fold_P: Any = None


class Rows(NamedTuple):
  """What the problems share beside the design.

  mask_NxL: None where every label is observed. weight_N: of rows, None = 1.
  fold_DxN: D divisions of the rows into folds, None without folds.
  """

  y_NxL: Any
  mask_NxL: Any = None
  weight_N: Any = None
  fold_DxN: Any = None

  def counted(self):
    """NxL: the weight of each cell."""
    counted = 1.0 if self.mask_NxL is None else self.mask_NxL
    if self.weight_N is not None:
      counted = counted * self.weight_N[:, None]
    return jnp.broadcast_to(counted, self.y_NxL.shape)


class Columns(NamedTuple):
  """S problems written out: what each step of their search reads.

  weight_NxS: None = 1; its second axis may be 1. held_out_NxS: the weight in
  the fold held out. free_QxS: 1 for the columns that a problem looks at.
  """

  y_NxS: Any
  weight_NxS: Any
  held_out_NxS: Any
  free_QxS: Any
  l2_S: Any


def columns(num_columns: int, rows: Rows, problems: Problems, id_S) -> Columns:
  """The problems `id` on a design of that many columns."""
  label_S = problems.label_P[id_S]
  l2_S = problems.l2_P[id_S]
  before_LxS = problems.before_PxL[id_S].T.astype(l2_S.dtype)
  free = num_columns - len(before_LxS)
  free_QxS = jnp.concatenate(
    [jnp.ones((free, len(id_S)), l2_S.dtype), before_LxS]
  )
  weight_NxS = held_out_NxS = None
  if rows.weight_N is not None:
    weight_NxS = rows.weight_N[:, None]
  if rows.mask_NxL is not None:
    unseen_NxS = (1 - rows.mask_NxL) @ before_LxS
    mask_NxS = rows.mask_NxL[:, label_S] * (unseen_NxS == 0)
    weight_NxS = mask_NxS if weight_NxS is None else weight_NxS * mask_NxS
  if rows.fold_DxN is not None:
    fold_NxS = rows.fold_DxN[problems.division_P[id_S]].T
    out_NxS = fold_NxS == problems.fold_P[id_S][None]
    counted = 1 if weight_NxS is None else weight_NxS
    weight_NxS, held_out_NxS = ~out_NxS * counted, out_NxS * counted
  return Columns(
    rows.y_NxL[:, label_S], weight_NxS, held_out_NxS, free_QxS, l2_S
  )


def brier(margin, y):
  """(s(margin) - y)^2."""
  return (jax.nn.sigmoid(margin) - y) ** 2


CRITERIA = {'nll': losses.bce, 'brier': brier}
