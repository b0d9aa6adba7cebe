"""Many logistic regressions solved to the optimum, by conjugate gradients."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mlc.logistic import Columns, Design, Problems, Rows, columns

# Problems at work at a time: a matrix product of this width runs at full
# speed, and what it reads and writes stays near the cores.
SLOTS = 256
MAX_STEPS = 500


class Solution(NamedTuple):
  """w_PxQ (intercept first); what each problem's search ended with.

  residual_P: the largest entry of the gradient. held_out_P: `criterion` summed
  over the rows of the fold held out.
  """

  w_PxQ: jax.Array
  steps_P: jax.Array
  residual_P: jax.Array
  held_out_P: jax.Array


class _Slots(NamedTuple):
  """The problems at work; an idle slot has the id P."""

  id_S: Any
  fresh_S: Any
  done_S: Any
  steps_S: Any
  w_QxS: Any
  margin_NxS: Any
  gradient_QxS: Any
  before_QxS: Any  # The gradient before the last step.
  direction_QxS: Any


def solve(
  design: Design,
  rows: Rows,
  problems: Problems,
  start_QxH,
  *,
  tolerance: float,
  criterion=None,
  slots: int = SLOTS,
) -> Solution:
  """All problems, by preconditioned nonlinear conjugate gradients.

  `slots` problems are at work at a time. One that has converged makes room for
  the next, so that easy problems do not wait for hard ones; put the hard ones
  first. A step costs one product with the design and one with its transpose
  for all slots together. Direction: Hestenes & Stiefel (J. Res. NBS 1952) with
  beta >= 0; step: Newton's on the line, bracketed; preconditioner: the exact
  inverse of the Hessian's diagonal with the row and column of the intercept.

  tolerance: largest entry of the gradient over l2, which bounds the error of
    a weight from about it; no less than rounding allows.
  criterion: None, or (margin, y) -> loss, to score the held-out fold; w is
    then not kept.
  """
  num_rows, num_columns = design.rows.shape
  num_problems = len(problems.label_P)
  slots = min(slots, num_problems)
  dtype = start_QxH.dtype
  # The intercept is free of penalty.
  penalised_Qx1 = jnp.ones((num_columns, 1), dtype).at[0].set(0)
  noise = float(jnp.finfo(dtype).eps) * num_rows / 4

  def preconditioner(margin_NxS, given: Columns):
    """(inverse diagonal, mean of each column) with the intercept taken out."""
    p_NxS = jax.nn.sigmoid(margin_NxS)
    s_NxS = p_NxS * (1 - p_NxS)
    free_QxS = given.free_QxS
    if given.weight_NxS is not None:
      s_NxS = s_NxS * given.weight_NxS
    cross_QxS = design.backward(s_NxS)
    square_QxS = cross_QxS
    if design.squares is not None:
      square_QxS = design.squares @ s_NxS
    total_S = jnp.maximum(cross_QxS[0], jnp.finfo(dtype).tiny ** 0.5)
    mean_QxS = (cross_QxS / total_S[None] * free_QxS).at[0].set(0)
    diagonal_QxS = square_QxS - mean_QxS * cross_QxS
    # Never negative but by rounding.
    diagonal_QxS = jnp.maximum(diagonal_QxS, 0) + given.l2_S[None]
    return (free_QxS / diagonal_QxS).at[0].set(1 / total_S), mean_QxS

  def step(state: _Slots, given: Columns, scale, start_QxS) -> _Slots:
    y_NxS, weight_NxS, _, free_QxS, l2_S = given
    inverse_QxS, mean_QxS = scale
    gradient_QxS = state.gradient_QxS
    z_QxS = gradient_QxS - mean_QxS * gradient_QxS[:1]
    z_QxS = inverse_QxS * z_QxS
    z_QxS = z_QxS.at[0].add(-(mean_QxS * z_QxS).sum(0))
    change_QxS = gradient_QxS - state.before_QxS
    beta_S = _ratio(
      (change_QxS * z_QxS).sum(0), (change_QxS * state.direction_QxS).sum(0)
    )
    # In its first two steps a slot has no direction to go on from.
    beta_S = jnp.where(state.steps_S < 2, 0, jnp.maximum(beta_S, 0))
    direction_QxS = beta_S[None] * state.direction_QxS - z_QxS
    slope_S = (gradient_QxS * direction_QxS).sum(0)
    direction_QxS = jnp.where(slope_S[None] < 0, direction_QxS, -z_QxS)
    # The first step of a slot goes from 0 to its start.
    direction_QxS = jnp.where(state.fresh_S[None], start_QxS, direction_QxS)
    direction_QxS = jnp.where(state.done_S[None], 0, direction_QxS)
    u_NxS = design.forward(direction_QxS)

    slope_S = (gradient_QxS * direction_QxS).sum(0)
    penalty_QxS = l2_S[None] * penalised_Qx1 * direction_QxS
    bend_S = (penalty_QxS * direction_QxS).sum(0)
    pull_S = (penalty_QxS * state.w_QxS).sum(0)

    def on_line(a_S):
      """First and second derivative of the objective at the step a."""
      p_NxS = jax.nn.sigmoid(state.margin_NxS + a_S[None] * u_NxS)
      wu_NxS = u_NxS if weight_NxS is None else u_NxS * weight_NxS
      first_S = ((p_NxS - y_NxS) * wu_NxS).sum(0) + pull_S + a_S * bend_S
      second_S = (p_NxS * (1 - p_NxS) * wu_NxS * u_NxS).sum(0) + bend_S
      return first_S, second_S

    a_S = _line_search(on_line, slope_S, state.fresh_S | state.done_S)
    a_S = jnp.where(state.fresh_S, 1, a_S)
    w_QxS = state.w_QxS + a_S[None] * direction_QxS
    margin_NxS = state.margin_NxS + a_S[None] * u_NxS
    r_NxS = jax.nn.sigmoid(margin_NxS) - y_NxS
    if weight_NxS is not None:
      r_NxS = r_NxS * weight_NxS
    new_QxS = design.backward(r_NxS) + l2_S[None] * penalised_Qx1 * w_QxS
    new_QxS = new_QxS * free_QxS
    steps_S = state.steps_S + ~state.done_S
    small_S = jnp.abs(new_QxS).max(0) <= jnp.maximum(tolerance * l2_S, noise)
    return _Slots(
      id_S=state.id_S,
      fresh_S=jnp.zeros_like(state.fresh_S),
      done_S=state.done_S | small_S | (steps_S >= MAX_STEPS),
      steps_S=steps_S,
      w_QxS=w_QxS,
      margin_NxS=margin_NxS,
      gradient_QxS=new_QxS,
      before_QxS=gradient_QxS,
      direction_QxS=direction_QxS,
    )

  def retire(state: _Slots, given: Columns, solution: Solution) -> Solution:
    out_S = jnp.where(state.done_S, state.id_S, num_problems)
    put = functools.partial(_put, out_S)
    held_out_P = solution.held_out_P
    if criterion is not None:
      loss_NxS = criterion(state.margin_NxS, given.y_NxS)
      loss_S = (loss_NxS * given.held_out_NxS).sum(0)
      held_out_P = put(held_out_P, loss_S)
    w_PxQ = solution.w_PxQ
    return Solution(
      w_PxQ if criterion is not None else put(w_PxQ, state.w_QxS.T),
      put(solution.steps_P, state.steps_S),
      put(solution.residual_P, jnp.abs(state.gradient_QxS).max(0)),
      held_out_P,
    )

  def refill(state: _Slots, position):
    fresh_S = state.done_S
    next_S = position + jnp.cumsum(fresh_S) - 1
    id_S = jnp.where(fresh_S, jnp.minimum(next_S, num_problems), state.id_S)
    clean = functools.partial(jnp.where, fresh_S[None], 0)
    state = _Slots(
      id_S=id_S,
      fresh_S=fresh_S,
      done_S=id_S == num_problems,
      steps_S=jnp.where(fresh_S, 0, state.steps_S),
      w_QxS=clean(state.w_QxS),
      margin_NxS=clean(state.margin_NxS),
      gradient_QxS=clean(state.gradient_QxS),
      before_QxS=clean(state.before_QxS),
      direction_QxS=clean(state.direction_QxS),
    )
    return state, position + fresh_S.sum()

  def cycle(carry):
    """Steps until it is time to refill or to renew the preconditioner."""
    state, position, scale, solution, number = carry
    # A preconditioner needs the margins of the start: after a refill comes one
    # step, then the preconditioner, then more steps with it.
    filled = number % 2 == 0
    state, position = jax.lax.cond(
      filled, refill, lambda *same: same, state, position
    )
    given = columns(num_columns, rows, problems, state.id_S)
    start_QxS = start_QxH[:, problems.start_P[state.id_S]]
    idle = jnp.where(position < num_problems, slots // 4, slots)
    limit = jnp.where(filled, 1, jnp.minimum(1 + number, 6))

    def more(inner):
      state, count = inner
      return ((state.done_S.sum() < idle) | filled) & (count < limit)

    def body(inner):
      state, count = inner
      return step(state, given, scale, start_QxS), count + 1

    state, _ = jax.lax.while_loop(more, body, (state, jnp.array(0)))
    scale = jax.lax.cond(
      filled,
      lambda: preconditioner(state.margin_NxS, given),
      lambda: scale,
    )
    return state, position, scale, retire(state, given, solution), number + 1

  def unfinished(carry):
    state, position, _, _, _ = carry
    return (position < num_problems) | ~state.done_S.all()

  def zeros(*shape):
    return jnp.zeros(shape, dtype)

  wide = zeros(num_columns, slots)
  state = _Slots(
    id_S=jnp.full(slots, num_problems),
    fresh_S=jnp.zeros(slots, bool),
    done_S=jnp.ones(slots, bool),
    steps_S=jnp.zeros(slots, int),
    w_QxS=wide,
    margin_NxS=zeros(num_rows, slots),
    gradient_QxS=wide,
    before_QxS=wide,
    direction_QxS=wide,
  )
  solution = Solution(
    w_PxQ=zeros(0 if criterion is not None else num_problems, num_columns),
    steps_P=jnp.zeros(num_problems, int),
    residual_P=zeros(num_problems),
    held_out_P=zeros(num_problems),
  )
  carry = state, jnp.array(0), (wide, wide), solution, jnp.array(0)
  return jax.lax.while_loop(unfinished, cycle, carry)[3]


def _line_search(on_line, slope_S, settled_S):
  """Steps a where the slope is small against that at 0, in a bracket.

  The slope of a convex function grows, so its root lies between the largest a
  seen with a negative and the smallest with a positive slope.
  """

  def narrow(carry):
    a_S, low, high, _, count = carry
    first_S, second_S = on_line(a_S)
    up_S = first_S > 0
    low = jax.tree.map(functools.partial(jnp.where, up_S), low, (a_S, first_S))
    high = jax.tree.map(
      functools.partial(jnp.where, up_S), (a_S, first_S), high
    )
    newton_S = a_S - _ratio(first_S, second_S)
    # Without an upper end, no more than tenfold.
    inside_S = (newton_S > low[0]) & (newton_S < jnp.minimum(high[0], 10 * a_S))
    share_S = _ratio(low[1], low[1] - high[1])
    secant_S = low[0] + jnp.clip(share_S, 0.1, 0.9) * (high[0] - low[0])
    outside_S = jnp.where(jnp.isinf(high[0]), 10 * a_S, secant_S)
    good_S = jnp.abs(first_S) <= 0.3 * jnp.abs(slope_S)
    return (
      jnp.where(inside_S, newton_S, outside_S),
      low,
      high,
      good_S | settled_S,
      count + 1,
    )

  # The first evaluation gives what the curvature at 0 would: begin there.
  _, second_S = on_line(jnp.zeros_like(slope_S))
  a_S = jnp.maximum(_ratio(-slope_S, second_S), 0)
  low = jnp.zeros_like(slope_S), slope_S
  high = jnp.full_like(slope_S, jnp.inf), jnp.zeros_like(slope_S)
  carry = a_S, low, high, settled_S, jnp.array(0)
  return jax.lax.while_loop(lambda c: ~c[3].all() & (c[4] < 10), narrow, carry)[
    0
  ]


def _ratio(a, b):
  return jnp.where(b == 0, 0, a / jnp.where(b == 0, 1, b))


def _put(at_S, into_P, values_S):
  """`into` with rows `at` replaced; a row beyond its end is dropped."""
  return into_P.at[at_S].set(values_S, mode='drop')
