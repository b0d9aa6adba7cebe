"""Marginals made to agree with frequencies, fitted on validation rows only.

`fit(name, p_KxNxL, y_NxL, mask_NxL, per_label=...)` gives arrays for K runs,
under the method's name, that a checkpoint can hold; `apply` takes those of one
run (`jax.vmap` for all). Masked cells (mask 0) count nowhere; a soft label is a
share of a positive and of a negative. No map falls anywhere, so a label ranks
rows as before, but for ties. A label with one class only on these rows
(`one_class`) keeps its marginals.
"""

from collections.abc import Callable
import functools

import jax
import jax.numpy as jnp
import numpy as np
from scipy import optimize

from mlc.errors import nearest

# The float next to 1 is as far from it: logits stay within 16.7.
SMALLEST = 2.0**-24
# Where labels are separated the best temperature is 0, where they are turned
# round it is infinite.
TEMPERATURES = 0.01, 100.0


def fit(name: str, p_KxNxL, y_NxL, mask_NxL, *, per_label: bool = True) -> dict:
  """{name: arrays with a leading axis K}, for `apply`.

  per_label: a map for each label; else one for all cells together.

  Raises:
    InputError: another name than temperature, platt, isotonic.
  """
  if name not in METHODS:
    raise nearest(name, METHODS, 'calibration')
  runs = [
    METHODS[name](p_NxL, y_NxL, mask_NxL, per_label=per_label)
    for p_NxL in p_KxNxL
  ]
  return {name: jax.tree.map(_stack, *runs)}


def apply(fitted: dict, p_BxL) -> jax.Array:
  """The marginals of one run, calibrated -> BxL float32."""
  ((name, arrays),) = fitted.items()
  return APPLY[name](arrays, p_BxL)


def one_class(y_NxL, mask_NxL) -> jax.Array:
  """Which labels are all positive, all negative or not observed -> L, bool."""
  _, positive_L, negative_L = _counts(y_NxL, mask_NxL)
  return (positive_L == 0) | (negative_L == 0)


@functools.partial(jax.jit, static_argnames='per_label')
def temperature(p_NxL, y_NxL, mask_NxL, *, per_label: bool = True) -> dict:
  """sigmoid(logit p / T) of least cross-entropy -> T_L (or of one).

  T is kept within TEMPERATURES. Source: Guo, Pleiss, Sun, Weinberger, ICML
  2017, Sect. 4.2.
  """
  p_NxL, y_NxL, mask_NxL = _cells(p_NxL, y_NxL, mask_NxL, per_label)
  z_NxL = _logit(p_NxL)
  w_NxL, *_ = _counts(y_NxL, mask_NxL)

  def halve(bounds, _):
    # The cross-entropy is convex in 1 / T, so its slope tells the side.
    low_L, high_L = bounds
    middle_L = jnp.sqrt(low_L * high_L)
    error_NxL = jax.nn.sigmoid(z_NxL * middle_L[None]) - y_NxL
    rising_L = (w_NxL * z_NxL * error_NxL).sum(0) > 0
    low_L = jnp.where(rising_L, low_L, middle_L)
    return (low_L, jnp.where(rising_L, middle_L, high_L)), None

  least, most = (
    jnp.full(p_NxL.shape[1:], 1 / t, jnp.float32) for t in TEMPERATURES[::-1]
  )
  (low_L, high_L), _ = jax.lax.scan(halve, (least, most), length=32)
  t_L = 1 / jnp.sqrt(low_L * high_L)
  return {'temperature': jnp.where(one_class(y_NxL, mask_NxL), 1, t_L)}


@functools.partial(jax.jit, static_argnames='per_label')
def platt(p_NxL, y_NxL, mask_NxL, *, per_label: bool = True) -> dict:
  """sigmoid(slope logit p + offset), slope >= 0 -> slope_L, offset_L (or one).

  Least cross-entropy with Platt's targets (P + 1) / (P + 2) for positives and
  1 / (N + 2) for negatives (Platt, in Advances in Large Margin Classifiers,
  1999, Sect. 2.2), by Newton's method; a step is shortened as is safe for any
  start (Bach, EJS 4, 2010, Prop. 1). Where a falling map would be better, the
  best constant.
  """
  p_NxL, y_NxL, mask_NxL = _cells(p_NxL, y_NxL, mask_NxL, per_label)
  z_NxL = _logit(p_NxL)
  w_NxL, positive_L, negative_L = _counts(y_NxL, mask_NxL)
  high_1xL = ((positive_L + 1) / (positive_L + 2))[None]
  low_1xL = (1 / (negative_L + 2))[None]
  target_NxL = low_1xL + (high_1xL - low_1xL) * y_NxL
  mean_L = (w_NxL * target_NxL).sum(0)
  start_L = jnp.log(mean_L) - jnp.log1p(-mean_L)

  def step(at, _):
    slope_L, offset_L = at
    q_NxL = jax.nn.sigmoid(slope_L[None] * z_NxL + offset_L[None])
    error_NxL = w_NxL * (q_NxL - target_NxL)
    ga_L, gb_L = (error_NxL * z_NxL).sum(0), error_NxL.sum(0)
    h_NxL = w_NxL * q_NxL * (1 - q_NxL)
    total_L = jnp.maximum(h_NxL.sum(0), 1e-30)
    # About the mean of z the Hessian is diagonal, and does not cancel.
    mean_L = (h_NxL * z_NxL).sum(0) / total_L
    spread_L = (h_NxL * (z_NxL - mean_L[None]) ** 2).sum(0)
    # Of scores that are all equal the spread is rounding: no slope, then.
    varies_L = spread_L > 1e-6 * total_L * (1 + mean_L**2)
    da_L = jnp.where(varies_L, (mean_L * gb_L - ga_L) / spread_L, 0)
    db_L = -gb_L / total_L - mean_L * da_L
    move_NxL = jnp.abs(da_L[None] * z_NxL + db_L[None])
    most_L = jnp.max(move_NxL, axis=0, where=w_NxL > 0, initial=1e-6)
    short_L = jnp.log1p(most_L) / most_L
    return (slope_L + short_L * da_L, offset_L + short_L * db_L), None

  zero_L = jnp.zeros_like(start_L)
  (slope_L, offset_L), _ = jax.lax.scan(step, (zero_L, start_L), length=60)
  alone_L = one_class(y_NxL, mask_NxL)
  falls_L = ~(slope_L > 0)
  slope_L = jnp.where(alone_L, 1, jnp.where(falls_L, 0, slope_L))
  offset_L = jnp.where(alone_L, 0, jnp.where(falls_L, start_L, offset_L))
  return {'slope': slope_L, 'offset': offset_L}


def isotonic(p_NxL, y_NxL, mask_NxL, *, per_label: bool = True) -> dict:
  """The rising map of least squares, straight between its knots -> MxL (Mx1).

  On the host. Scores beyond the outer knots get the values there; the last
  knot is repeated where others have more. Source: Zadrozny & Elkan, KDD 2002,
  Sect. 4 (pool adjacent violators; they jump where we draw a line).
  """
  p_NxL, y_NxL, mask_NxL = (
    np.asarray(a) for a in _cells(p_NxL, y_NxL, mask_NxL, per_label)
  )
  alone_L = np.asarray(one_class(y_NxL, mask_NxL))
  knots = []
  for l, alone in enumerate(alone_L):
    seen_N = mask_NxL[:, l] > 0
    knots.append(
      np.array([[0, 1], [0, 1]])
      if alone
      else _knots(p_NxL[seen_N, l], y_NxL[seen_N, l])
    )
  most = max(k.shape[1] for k in knots)
  p_MxL, value_MxL = (
    np.stack([_longer(k[i], most) for k in knots], 1).astype(np.float32)
    for i in range(2)
  )
  return {'p': p_MxL, 'value': value_MxL}


def _knots(p_N, y_N) -> np.ndarray:
  """(score, value) of the ends of each level of the isotonic regression."""
  p_M, of_N, rows_M = np.unique(p_N, return_inverse=True, return_counts=True)
  mean_M = np.bincount(of_N, y_N.astype(float)) / rows_M
  value_M = optimize.isotonic_regression(mean_M, weights=rows_M).x
  inner_M = np.zeros(len(p_M), bool)
  flat = value_M[1:] == value_M[:-1]
  inner_M[1:-1] = flat[1:] & flat[:-1]
  return np.stack([p_M, value_M])[:, ~inner_M]


def _longer(knots_M, length):
  return np.pad(knots_M, (0, length - len(knots_M)), mode='edge')


def _stack(*runs):
  """Arrays of K runs as one; knots, if their numbers differ, made as many."""
  longest = max(len(a) for a in runs)
  return np.stack(
    [
      np.pad(a, [(0, longest - len(a))] + [(0, 0)] * (a.ndim - 1), mode='edge')
      for a in map(np.asarray, runs)
    ]
  )


def _apply_logistic(slope_L, offset_L, p_BxL):
  return jax.nn.sigmoid(slope_L[None] * _logit(p_BxL) + offset_L[None])


def _apply_isotonic(arrays, p_BxL):
  """One shared map has knots Mx1."""
  p_MxL, value_MxL = arrays['p'], arrays['value']
  if p_MxL.shape[1] == 1:
    return jnp.interp(p_BxL, p_MxL[:, 0], value_MxL[:, 0])
  return jax.vmap(jnp.interp, 1, 1)(p_BxL, p_MxL, value_MxL)


METHODS: dict[str, Callable[..., dict]] = {
  'temperature': temperature,
  'platt': platt,
  'isotonic': isotonic,
}
APPLY: dict[str, Callable[[dict, jax.Array], jax.Array]] = {
  'temperature': lambda a, p_BxL: _apply_logistic(
    1 / a['temperature'], jnp.zeros_like(a['temperature']), p_BxL
  ),
  'platt': lambda a, p_BxL: _apply_logistic(a['slope'], a['offset'], p_BxL),
  'isotonic': _apply_isotonic,
}


def _cells(p_NxL, y_NxL, mask_NxL, per_label):
  """All cells as one label, where one map is to serve all."""
  if per_label:
    return p_NxL, y_NxL, mask_NxL
  return p_NxL.reshape(-1, 1), y_NxL.reshape(-1, 1), mask_NxL.reshape(-1, 1)


def _counts(y_NxL, mask_NxL):
  """Weights NxL that sum to 1 over the observed, positives L, negatives L."""
  seen_NxL = jnp.asarray(mask_NxL) > 0
  positive_L = jnp.where(seen_NxL, y_NxL, 0).sum(0)
  negative_L = jnp.where(seen_NxL, 1 - y_NxL, 0).sum(0)
  w_NxL = seen_NxL / jnp.maximum(seen_NxL.sum(0, keepdims=True), 1)
  return w_NxL, positive_L, negative_L


def _logit(p_NxL):
  p_NxL = jnp.clip(p_NxL, SMALLEST, 1 - SMALLEST)
  return jnp.log(p_NxL) - jnp.log1p(-p_NxL)
