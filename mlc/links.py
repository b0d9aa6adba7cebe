"""The links of chains as problems on one design matrix, and their optimum.

Given the true labels before it, each link of a linear chain is a logistic
regression of its own, on the features and those labels: a problem on the
matrix [1, X, Y]. All links are solved in one program: the heads first, then,
from these, the links, after the choice of each one's strength if it is to be
made.
"""

import functools
import time
from typing import Any, NamedTuple

from absl import logging
import jax
import jax.numpy as jnp
import numpy as np
from scipy import sparse

from mlc import conjugate, logistic
from mlc.data.features import Inputs

# Largest entry of the gradient where a search stops, for l2 = 1.
TOLERANCE, POLISHED = 3e-4, 1e-8
# With fewer cells than this other than 0, a product with the compressed design
# takes less time than half as many with the dense, rotated one.
DENSITY = 0.05


class Links(NamedTuple):
  """P problems of L labels; label l of member m of run k has of[k, m, l].

  label_P: which label it fits. before_PxL: those it looks at. of_KxMxL: -1
  for a label that is constant in train and has no link.
  """

  label_P: np.ndarray
  before_PxL: np.ndarray
  of_KxMxL: np.ndarray


def find(orders_KxMxL, fitted_F, *, look: bool = True) -> Links:
  """The distinct links of chains, of the labels `fitted` alone.

  Two chains have a link in common where the same labels come before it, in
  whatever order. look: False where no label looks at another. A label that is
  not fitted has a problem that no label of a chain refers to, so that the
  folds of a cross-validation have as many, whatever is constant in one.
  """
  rank_KxMxL = np.argsort(np.asarray(orders_KxMxL), axis=-1)
  num_labels = rank_KxMxL.shape[-1]
  rank_RxL = rank_KxMxL.reshape(-1, num_labels)
  fitted_L = np.isin(np.arange(num_labels), fitted_F)
  before_RxLxL = (rank_RxL[:, None, :] < rank_RxL[:, :, None]) & look
  before_RxLxL &= fitted_L[:, None] & fitted_L
  before_IxL = before_RxLxL.reshape(-1, num_labels)
  label_I = np.tile(np.arange(num_labels, dtype=np.uint32), len(rank_RxL))
  key_IxB = np.hstack(
    [label_I.view(np.uint8).reshape(-1, 4), np.packbits(before_IxL, axis=1)]
  )
  # Whole rows as one value each: np.unique sorts these much faster.
  key_I = key_IxB.view(f'V{key_IxB.shape[1]}').ravel()
  _, first_P, problem_I = np.unique(
    key_I, return_index=True, return_inverse=True
  )
  of_KxMxL = np.where(fitted_L, problem_I.reshape(rank_KxMxL.shape), -1)
  return Links(label_I[first_P].astype(np.int32), before_IxL[first_P], of_KxMxL)


class Solved(NamedTuple):
  """w_PxQ (intercept, features, labels) and how each search ended."""

  w_PxQ: Any
  steps_P: Any
  residual_P: Any
  strength_P: Any


def solve(
  x,
  y_NxL,
  mask_NxL,
  links: Links,
  strengths,
  *,
  fold_RxLxN=None,
  criterion: str = 'nll',
  polish: bool = False,
  num_rows: int = 0,
) -> tuple[Solved, float]:
  """Every link at its optimum, and the seconds that went into compiling.

  x: dense NxD or `Inputs`. y_NxL in [0, 1]; mask_NxL: None = all observed.
  strengths: C; of several each link takes its best over the R divisions of the
  rows into folds that its label has in fold_RxLxN.
  num_rows: rows of weight 0 fill up to this number; 0 = none are added.
  """
  rows, fold_RxLxN = _filled(y_NxL, mask_NxL, fold_RxLxN, num_rows)
  design = _design(x, rows)
  problems = links.label_P, links.before_PxL
  solution, seconds = run(
    _solve,
    design,
    rows,
    problems,
    1 / np.asarray(strengths, np.float32),
    fold_RxLxN,
    criterion=criterion,
    num_folds=0 if fold_RxLxN is None else int(fold_RxLxN.max()) + 1,
  )
  w_PxQ, steps_P, residual_P, l2_P = solution
  if polish:
    with jax.enable_x64(True):
      args = design, rows, problems, l2_P, w_PxQ
      polished, more = run(_polish, *_float64(args))
    w_PxQ, steps_P, residual_P = polished
    seconds += more
  short = int((steps_P >= conjugate.MAX_STEPS).sum())
  if short:
    logging.warning(
      'convex: %d of %d links stopped after %d steps, short of the optimum:'
      ' standardise the features, or raise l2',
      short,
      len(steps_P),
      conjugate.MAX_STEPS,
    )
  return Solved(w_PxQ, steps_P, residual_P, 1 / l2_P), seconds


def run(function, *args, **static):
  """(what a jitted function gives, in NumPy; seconds of compilation).

  Arguments of shapes seen before in this process compile nothing.
  """
  clock = time.perf_counter()
  function.lower(*args, **static).compile()
  seconds = time.perf_counter() - clock
  return jax.device_get(function(*args, **static)), seconds


@functools.partial(jax.jit, static_argnames=('criterion', 'num_folds'))
def _solve(design, rows, links, l2_C, fold_RxLxN, *, criterion, num_folds):
  """(w_PxQ, steps_P, residual_P, l2_P) from nothing."""
  label_P, before_PxL = links
  design, basis_DxR = _rotated(design, rows)
  num_problems, num_labels = before_PxL.shape
  # What all links of a label start from: its head, which looks at no label.
  # And what that starts from: the constant that fits best.
  num_l2 = len(l2_C)
  counted_NxL = rows.counted()
  total_L, positive_L = counted_NxL.sum(0), (rows.y_NxL * counted_NxL).sum(0)
  constant_L = jnp.log((positive_L + 0.5) / (total_L - positive_L + 0.5))
  head_H = jnp.repeat(jnp.arange(num_labels), num_l2)
  heads = conjugate.solve(
    design,
    rows,
    logistic.Problems(
      label_P=head_H,
      before_PxL=jnp.zeros((len(head_H), num_labels), bool),
      l2_P=jnp.tile(l2_C, num_labels),
      start_P=head_H,
    ),
    jnp.zeros((design.rows.shape[1], num_labels)).at[0].set(constant_L),
    tolerance=TOLERANCE,
  )

  def solve(rows, problems, **options):
    order_P = jnp.argsort(-heads.steps_P[problems.start_P])
    solution = conjugate.solve(
      design,
      rows,
      jax.tree.map(lambda a: a[order_P], problems),
      heads.w_PxQ.T,
      tolerance=TOLERANCE,
      **options,
    )
    back_P = jnp.argsort(order_P)
    return jax.tree.map(lambda a: a[back_P] if len(a) else a, solution)

  choice_P = jnp.zeros(num_problems, int)
  if num_l2 > 1:
    repeats = len(fold_RxLxN)
    shape = num_problems, num_l2, repeats * num_folds
    one, of_C, number = (a.ravel() for a in jnp.indices(shape))
    held_out = solve(
      rows._replace(fold_DxN=fold_RxLxN.reshape(-1, fold_RxLxN.shape[-1])),
      logistic.Problems(
        label_P[one],
        before_PxL[one],
        l2_C[of_C],
        start_P=label_P[one] * num_l2 + of_C,
        division_P=number // num_folds * num_labels + label_P[one],
        fold_P=number % num_folds,
      ),
      criterion=logistic.CRITERIA[criterion],
    )
    choice_P = held_out.held_out_P.reshape(shape).sum(-1).argmin(-1)
  problems = logistic.Problems(
    label_P, before_PxL, l2_C[choice_P], label_P * num_l2 + choice_P
  )
  w_PxQ, steps_P, residual_P, _ = solve(rows, problems)
  return _turn(w_PxQ, basis_DxR), steps_P, residual_P, problems.l2_P


@jax.jit
def _polish(design, rows, links, l2_P, start_PxQ):
  """(w_PxQ, steps_P, residual_P) from near the optimum."""
  label_P, before_PxL = links
  design, basis_DxR = _rotated(design, rows)
  back_DxR = None if basis_DxR is None else basis_DxR.T
  solution = conjugate.solve(
    design,
    rows,
    logistic.Problems(label_P, before_PxL, l2_P, jnp.arange(len(l2_P))),
    _turn(start_PxQ, back_DxR).T,
    tolerance=POLISHED,
  )
  return _turn(solution.w_PxQ, basis_DxR), *solution[1:3]


def _rotated(design, rows):
  """The dense features on their principal axes, and these; sparse as it is.

  A rotation changes neither the problem nor its penalty, and leaves less for
  the search to find out than correlated features do. Of many more features
  than rows only what the rows span is kept: no optimum has anything beyond it.
  """
  if isinstance(design, logistic.Design):
    return design, None
  x_NxD = design
  num_rows, num_features = x_NxD.shape
  basis_DxR = jnp.eye(num_features, dtype=x_NxD.dtype)
  if num_features > 2 * num_rows:
    basis_DxR = jnp.linalg.qr(x_NxD.T)[0]
    x_NxD = x_NxD @ basis_DxR
  _, axes_RxR = jnp.linalg.eigh(x_NxD.T @ x_NxD)
  one_Nx1 = jnp.ones((num_rows, 1), x_NxD.dtype)
  z_NxQ = jnp.concatenate([one_Nx1, x_NxD @ axes_RxR, rows.y_NxL], axis=1)
  return logistic.dense(z_NxQ), basis_DxR @ axes_RxR


def _turn(w_PxQ, basis_DxR):
  """Weights of R rotated features as weights of D features."""
  if basis_DxR is None:
    return w_PxQ
  stop = 1 + basis_DxR.shape[1]
  turned_PxD = w_PxQ[:, 1:stop] @ basis_DxR.T
  return jnp.concatenate([w_PxQ[:, :1], turned_PxD, w_PxQ[:, stop:]], axis=1)


def _filled(y_NxL, mask_NxL, fold_RxLxN, num_rows):
  """(Rows, folds) of `num_rows`, where that is not 0."""
  if not num_rows:
    return logistic.Rows(y_NxL, mask_NxL), fold_RxLxN
  after = 0, num_rows - len(y_NxL)
  if mask_NxL is not None:
    mask_NxL = np.pad(mask_NxL, (after, (0, 0)))
  weight_N = (np.arange(num_rows) < len(y_NxL)).astype(np.float32)
  y_NxL = np.pad(y_NxL, (after, (0, 0)))
  if fold_RxLxN is not None:
    fold_RxLxN = np.pad(fold_RxLxN, ((0, 0), (0, 0), after))
  return logistic.Rows(y_NxL, mask_NxL, weight_N), fold_RxLxN


def _design(x, rows):
  """The whole design of sparse features; of others the features, dense."""
  y_NxL = rows.y_NxL
  if not isinstance(x, Inputs):
    x_NxD = np.asarray(x, np.float32)
    return np.pad(x_NxD, ((0, len(y_NxL) - len(x_NxD)), (0, 0)))
  x_NxD = csr(x)
  x_NxD.resize((len(y_NxL), x.width))
  if x_NxD.nnz > DENSITY * len(y_NxL) * x.width:
    return x_NxD.toarray()
  ones_Nx1 = sparse.csr_array(np.ones((len(y_NxL), 1), np.float32))
  parts = ones_Nx1, x_NxD, sparse.csr_array(y_NxL)
  z_NxQ = sparse.hstack(parts, format='csr')
  if rows.weight_N is None:
    return logistic.compressed(z_NxQ)
  # The folds of a cross-validation differ a little in their cells: up to one
  # of few numbers, an eighth more at most, so that most are of one shape.
  step = 1 << max(int(z_NxQ.nnz).bit_length() - 4, 0)
  return logistic.compressed(z_NxQ, -z_NxQ.nnz % step)


def csr(x: Inputs):
  """All columns of x in the order that `inputs.written_out` has them."""
  starts_C = x.num_sparse + np.cumsum([0, *x.num_values])[:-1]
  ids_NxZ = np.hstack([x.ids, x.categorical + starts_C])
  values_NxZ = np.hstack([x.values, np.ones_like(x.categorical)])
  on_NxZ = np.hstack([x.values != 0, x.categorical >= 0])
  rows_M, _ = on_NxZ.nonzero()
  shape = len(x.dense), x.width - x.dense.shape[1]
  rest = sparse.coo_array(
    (values_NxZ[on_NxZ].astype(np.float32), (rows_M, ids_NxZ[on_NxZ])), shape
  )
  return sparse.hstack([sparse.csr_array(x.dense), rest], format='csr')


def _float64(tree):
  def leaf(a):
    a = np.asarray(a)
    return jnp.asarray(a, np.float64 if a.dtype.kind == 'f' else a.dtype)

  return jax.tree.map(leaf, tree)
