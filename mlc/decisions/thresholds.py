"""Cuts fitted on validation rows only, and the answers that they give.

Every rule is `(p_NxL, y_NxL, mask_NxL, **options) -> Cut`; under jit and vmap
too. Masked cells (mask 0) count nowhere; a soft label counts as its nearer
side. Cuts lie midway between neighbouring distinct observed scores, which must
be finite: the cut that answers every row "yes" midway between the lowest and 0,
or below all where the lowest is not above 0; the one that answers every row
"no" midway between the highest and 1, or at the highest where that is not below
1. Of equally good cuts the nearest .5 is taken, then the higher. Time
O(L N log N).

What the rules maximise is a plug-in for the loss of a population: with the best
cut of true marginals it is consistent (Koyejo, Natarajan, Ravikumar, Dhillon,
NIPS 2015, Theorem 2).
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from mlc.errors import InputError


class Cut(NamedTuple):
  """Yes to a label whose score is above t_L and among the k highest of its row.

  k: int32 scalar; L where no number is imposed.
  """

  t_L: jax.Array
  k: jax.Array


def answer(cut: Cut, p_BxL: jax.Array) -> jax.Array:
  """What the cut answers -> BxL, 0/1 in int8; equal scores by lower index."""
  order_BxL = jnp.argsort(-p_BxL, axis=-1, stable=True)
  place_BxL = jnp.argsort(order_BxL, axis=-1)
  above_BxL = p_BxL > cut.t_L[None]
  return (above_BxL & (place_BxL < cut.k)).astype(jnp.int8)


def scut(p_NxL, y_NxL, mask_NxL, *, least: int = 3) -> Cut:
  """The cut of each label that maximises its F1: plug-in for macro-F1.

  Labels that are `rare` get the `global_cut`. Source: SCut, Yang, SIGIR 2001,
  who does the same (SCutFBR) to labels of low F1.
  """
  t_L = _f1_cuts(p_NxL, y_NxL, mask_NxL)
  rare_L = rare(y_NxL, mask_NxL, least)
  shared = global_cut(p_NxL, y_NxL, mask_NxL)
  return _everywhere(jnp.where(rare_L, shared.t_L, t_L))


def rare(y_NxL, mask_NxL, least: int = 3) -> jax.Array:
  """Which labels have fewer than `least` observed positives -> L, bool.

  With two, F1 is 1, 4/5 or 2/3 by where a single row falls.
  """
  return ((mask_NxL > 0) & (y_NxL > 0.5)).sum(0) < least


def global_cut(p_NxL, y_NxL, mask_NxL) -> Cut:
  """One cut of all labels that maximises micro-F1; .5 without positives.

  The plug-in for micro-F1 (Koyejo et al., as above).
  """
  t_1 = _f1_cuts(*(a.reshape(-1, 1) for a in (p_NxL, y_NxL, mask_NxL)))
  return _everywhere(jnp.broadcast_to(t_1, p_NxL.shape[1:]))


def rcut(p_NxL, y_NxL, mask_NxL) -> Cut:
  """As many labels in every row: the k in 0..L of the greatest example-F1.

  Labels that are not observed take their places among the k, as they will when
  rows are answered; F1 is that of the others, 1 where 0/0. Of equally good k
  the smallest. Source: RCut, Yang, SIGIR 2001.
  """
  seen_NxL = mask_NxL > 0
  order_NxL = jnp.argsort(-p_NxL, axis=1, stable=True)
  true_NxL = jnp.take_along_axis(seen_NxL & (y_NxL > 0.5), order_NxL, axis=1)
  yes_NxL = jnp.take_along_axis(seen_NxL, order_NxL, axis=1)
  hits_Nx_, yes_Nx_ = (
    jnp.pad(jnp.cumsum(a, axis=1), ((0, 0), (1, 0)))
    for a in (true_NxL, yes_NxL)
  )
  size_Nx_ = yes_Nx_ + hits_Nx_[:, -1:]
  f1_Nx_ = jnp.where(size_Nx_ > 0, 2 * hits_Nx_ / jnp.maximum(size_Nx_, 1), 1)
  # A row without observed labels adds 1 to every k.
  k = jnp.argmax(f1_Nx_.sum(0))
  num_labels = p_NxL.shape[1]
  return Cut(jnp.full(num_labels, -jnp.inf, p_NxL.dtype), k.astype(jnp.int32))


def pcut(p_NxL, y_NxL, mask_NxL) -> Cut:
  """Yes to as large a share of the rows of a label as have it.

  Where scores tie, to the share nearest to that. Yang (SIGIR 2001) cuts the
  rows to be answered, all at once; a cut of validation rows answers row by row.
  A label that is never observed keeps .5.
  """
  trials = _trials(p_NxL, y_NxL, mask_NxL)

  def near(hits, yes, positive):
    del hits
    return -abs(yes - positive)

  return _everywhere(_best(trials, near, trials.observed_1xL, 0.5))


def cost_cut(
  p_NxL, y_NxL, mask_NxL, *, false_positive=1.0, false_negative=1.0
) -> Cut:
  """The cut of each label that costs least on these rows.

  Of equally good cuts the nearest to that of true probabilities, false_positive
  / (false_positive + false_negative) (Elkan, IJCAI 2001, Eq. 2); a label that
  is never observed has that.

  false_positive, false_negative: cost of a wrong yes and of a wrong no, each a
  number or L of them; right answers cost nothing.

  Raises:
    InputError: costs below 0, both 0, or more or fewer than labels.
  """
  num_labels = p_NxL.shape[1]
  wrong_yes_L = _costs('false_positive', false_positive, num_labels)
  wrong_no_L = _costs('false_negative', false_negative, num_labels)
  free = [l for l in range(num_labels) if wrong_yes_L[l] + wrong_no_L[l] == 0]
  if free:
    raise InputError(
      f'cost_cut: label {free[0]} costs nothing either way: give it a'
      ' false_positive or a false_negative above 0'
    )
  wrong_yes_1xL = jnp.array([wrong_yes_L])
  wrong_no_1xL = jnp.array([wrong_no_L])

  def saved(hits, yes, positive):
    return -(wrong_yes_1xL * (yes - hits) + wrong_no_1xL * (positive - hits))

  trials = _trials(p_NxL, y_NxL, mask_NxL)
  ideal_1xL = wrong_yes_1xL / (wrong_yes_1xL + wrong_no_1xL)
  return _everywhere(_best(trials, saved, trials.observed_1xL, ideal_1xL))


def _costs(name, cost, num_labels) -> list[float]:
  """A cost for each label, checked."""
  many = isinstance(cost, tuple | list)
  costs = [float(c) for c in cost] if many else [float(cost)] * num_labels
  if len(costs) != num_labels:
    raise InputError(
      f'cost_cut: {len(costs)} numbers for {name} of {num_labels} labels: give'
      ' one, or one for each label'
    )
  for c in costs:
    if not 0 <= c < math.inf:
      raise InputError(f'cost_cut: {name} {c}: give a number of 0 or more')
  return costs


def _f1_cuts(p_NxL, y_NxL, mask_NxL) -> jax.Array:
  """The cut of each label of the greatest F1 -> t_L; .5 without positives."""
  trials = _trials(p_NxL, y_NxL, mask_NxL)

  def f1(hits, yes, positive):
    return 2 * hits / jnp.maximum(yes + positive, 1)

  return _best(trials, f1, trials.positive_1xL > 0, 0.5)


class _Trials(NamedTuple):
  """All cuts of each label from the highest down, and what they come to.

  hits, yes: positives, and rows, that are answered yes. positive: of the label.
  allowed: False between equal scores, and where nothing is observed.
  """

  cut_NxL: jax.Array  # N + 1 of them: the first answers "no" to all.
  allowed_NxL: jax.Array
  hits_NxL: jax.Array
  yes_NxL: jax.Array
  positive_1xL: jax.Array
  observed_1xL: jax.Array


def _trials(p_NxL, y_NxL, mask_NxL) -> _Trials:
  seen_NxL = mask_NxL > 0
  # Unobserved cells sort last, as infinite, and count as nothing.
  fall_NxL, y_NxL = jax.lax.sort(
    (jnp.where(seen_NxL, -p_NxL, jnp.inf), seen_NxL & (y_NxL > 0.5)),
    dimension=0,
    num_keys=1,
  )
  high_NxL, seen_NxL = -fall_NxL, fall_NxL < jnp.inf
  last_NxL = seen_NxL & ~jnp.roll(seen_NxL, -1, axis=0).at[-1].set(False)
  below_NxL = jnp.where(high_NxL > 0, 0, 2 * high_NxL - 1)
  low_NxL = jnp.where(last_NxL, below_NxL, jnp.roll(high_NxL, -1, axis=0))
  cut_NxL = _midway(low_NxL, high_NxL)
  top_1xL = high_NxL[:1]
  none_1xL = _midway(top_1xL, jnp.maximum(top_1xL, 1))
  some_1xL = seen_NxL[:1]

  def after_none(first_1xL, rest_NxL):
    return jnp.concatenate([first_1xL, rest_NxL])

  zero_1xL = jnp.zeros_like(y_NxL[:1], jnp.int32)
  hits_NxL, yes_NxL = jnp.cumsum(y_NxL, axis=0), jnp.cumsum(seen_NxL, axis=0)
  return _Trials(
    after_none(none_1xL, cut_NxL),
    after_none(some_1xL, seen_NxL & (low_NxL < high_NxL)),
    after_none(zero_1xL, hits_NxL),
    after_none(zero_1xL, yes_NxL),
    hits_NxL[-1:],
    yes_NxL[-1:] > 0,
  )


def _midway(low, high):
  """Between two floats: at least the lower, below the higher where they differ.

  Midway between neighbouring floats may round up, and no longer divide them.
  """
  middle = low + (high - low) / 2
  return jnp.where(middle < high, middle, low)


def _best(trials: _Trials, value, known_1xL, ideal) -> jax.Array:
  """The cut of the greatest value, of these the nearest `ideal` -> t_L.

  `ideal` itself where the label is not `known`.
  """
  t_NxL, allowed_NxL = trials.cut_NxL, trials.allowed_NxL
  value_NxL = value(trials.hits_NxL, trials.yes_NxL, trials.positive_1xL)
  value_NxL = jnp.where(allowed_NxL, value_NxL, -jnp.inf)
  best_NxL = allowed_NxL & (value_NxL == value_NxL.max(0, keepdims=True))
  far_NxL = jnp.where(best_NxL, jnp.abs(t_NxL - ideal), jnp.inf)
  at_1xL = jnp.argmin(far_NxL, axis=0, keepdims=True)
  t_1xL = jnp.take_along_axis(t_NxL, at_1xL, axis=0)
  return jnp.where(known_1xL, t_1xL, ideal)[0]


def _everywhere(t_L) -> Cut:
  """A cut without a number of labels."""
  return Cut(t_L, jnp.asarray(t_L.shape[0], jnp.int32))
