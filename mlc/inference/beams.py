"""Beams: the label sets that a few prefixes of each length lead to."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from mlc.errors import InputError
from mlc.inference import ensembles, enumeration, steps
from mlc.inference.takes import takes
from mlc.models import base
from mlc.posterior import Candidates


@takes('steps', 'joint', paths=True)
def greedy(model, variables, x, key=None, *, given_BxL=None) -> Candidates:
  """The best value at each step: the classic classifier chain answer."""
  return beam(model, variables, x, key, width=1, given_BxL=given_BxL)


@takes('steps', 'joint', paths=True)
def beam(
  model, variables, x, key=None, *, width: int = 8, given_BxL=None
) -> Candidates:
  """The label sets that a beam search ends with, best first; width 1: greedy.

  logw is the exact log p(y | x) of each (of its path, where it has several). A
  width of 2^L or more enumerates. Of an ensemble: what the beams of its members
  end with, once each. Given labels as in `exact`; unseen is then what agrees
  with them.
  Source: Kumar, Vembu, Menon, Elkan, Machine Learning 92, 2013, Sect. 3.
  """
  given_BxL = steps.check_given(given_BxL, model, x)
  if width < 1:
    raise InputError(f'beam of width {width}: give a width of 1 or more')
  if isinstance(model, base.Energy):
    return best_of_support(model, variables, x, width, given_BxL)
  if isinstance(model, base.Ensemble):
    return ensembles.union(
      model,
      variables,
      x,
      lambda m, v: beam(m, v, x, width=width, given_BxL=given_BxL),
    )
  width = min(width, model.num_paths)

  def choose(live_BxS, total_BxSxV):
    live_BxSxV = ~jnp.isneginf(total_BxSxV)
    return total_BxSxV, live_BxSxV, live_BxSxV

  path, unseen_B = _search(model, variables, x, width, given_BxL, choose)
  nodes_B = 1 + path.node_TxBxS.sum((0, 2))
  slot_BxS = jnp.broadcast_to(
    jnp.arange(width)[None], path.logw_TxBxS.shape[1:]
  )
  y_BxSxL, _ = _trace(model, variables, path, slot_BxS)
  return Candidates(y_BxSxL, path.logw_TxBxS[-1], nodes_B, unseen_B)


def best_of_support(model, variables, x, count, given_BxL) -> Candidates:
  """The `count` most probable label sets of an energy model, best first."""
  all_of_it = enumeration.support(model, variables, x, given_BxL)
  num_sets = all_of_it.logw_BxS.shape[1]
  count = min(count, num_sets)
  logw_BxU, index_BxU = jax.lax.top_k(all_of_it.logw_BxS, num_sets)
  return Candidates(
    all_of_it.y_BxSxL[0][index_BxU[:, :count]],
    logw_BxU[:, :count],
    unseen_B=jnp.exp(logw_BxU[:, count:]).sum(-1),
  )


@takes('steps', 'joint', paths=True)
def epsilon(
  model, variables, x, key=None, *, epsilon: float = 0.25, given_BxL=None
) -> Candidates:
  """The label set that the epsilon-approximate search answers, first.

  A best-first search over prefixes of a probability of `epsilon` or more; if no
  label set is among them, greedily on from those whose children are not, and
  the best of that. .5 is greedy, 1/n and below needs a beam of n. nodes_B is
  what the sequential algorithm explores, equal probabilities in the order of
  their prefixes. The other label sets that prefixes ended in follow; unseen_B
  and given labels as in `beam`, a given label counting at its p(y_l | x, labels
  before). Energy: label sets of a probability of `epsilon`, at least the best.
  Ensemble: the union of its members' answers.
  Source: Dembczynski, Waegeman, Huellermeier, ECAI 2012, Algorithm 2.

  Raises:
    InputError: epsilon not in (0, .5].
  """
  given_BxL = steps.check_given(given_BxL, model, x)
  if not 0 < epsilon <= 0.5:
    raise InputError(
      f'epsilon={epsilon}: give more than 0, for which there is best_first, and'
      ' at most 0.5, which is greedy already'
    )
  return _epsilon(model, variables, x, epsilon, given_BxL)


def _epsilon(model, variables, x, least, given_BxL):
  # Neither 2^-k, a sum of k rounded logarithms, may fall below the least, nor
  # may its inverse fall below an integer.
  log_least = jnp.log(least) - 1e-6
  width = int((1 + 1e-5) / least)
  if isinstance(model, base.Energy):
    found = best_of_support(model, variables, x, width, given_BxL)
    assert found.unseen_B is not None
    live_BxS = (found.logw_BxS >= log_least).at[:, 0].set(True)
    left_BxS = jnp.where(live_BxS, -jnp.inf, found.logw_BxS)
    return found._replace(
      logw_BxS=jnp.where(live_BxS, found.logw_BxS, -jnp.inf),
      unseen_B=found.unseen_B + jnp.exp(left_BxS).sum(-1),
    )
  if isinstance(model, base.Ensemble):
    return ensembles.union(
      model, variables, x, lambda m, v: _epsilon(m, v, x, least, given_BxL)
    )

  width = min(width, model.num_paths)

  # The prefixes of one length are disjoint, and each is as probable as `least`
  # or goes on greedily from one that is, of which nothing else is held: there
  # are 1 / least at most, so one beam holds all that any order of the search
  # could reach. What the best-first order explores of it is counted after.
  def choose(live_BxS, total_BxSxV):
    live_BxSxV = live_BxS[..., None] & (total_BxSxV >= log_least)
    best_BxS = jnp.argmax(total_BxSxV, axis=-1)
    values_1x1xV = jnp.arange(total_BxSxV.shape[-1])[None, None]
    greedy_BxSxV = values_1x1xV == best_BxS[..., None]
    greedy_BxSxV &= ~live_BxSxV.any(-1, keepdims=True)
    held_BxSxV = live_BxSxV | (greedy_BxSxV & ~jnp.isneginf(total_BxSxV))
    # Held prefixes keep their order: top_k takes equals as they come.
    return held_BxSxV.astype(jnp.float32), held_BxSxV, live_BxSxV

  path, unseen_B = _search(model, variables, x, width, given_BxL, choose)
  logw_BxS, slot_BxS = jax.lax.top_k(path.logw_TxBxS[-1], width)
  y_BxSxL, slot_TxBxS = _trace(model, variables, path, slot_BxS)
  nodes_B = _explored(path, slot_TxBxS[..., 0])
  return Candidates(y_BxSxL, logw_BxS, nodes_B, unseen_B)


class _Path(NamedTuple):
  """The prefixes held at each length: where each came from, with what value.

  node: there is one in the slot, which did not end before. live: it survived
  on its own probability.
  """

  logw_TxBxS: jax.Array
  node_TxBxS: jax.Array
  live_TxBxS: jax.Array
  parent_TxBxS: jax.Array
  value_TxBxS: jax.Array


def _search(model, variables, x, width, given_BxL, choose):
  """-> (_Path, unseen_B) of a beam of `width` prefixes.

  choose: (live_BxS, total_BxSxV) -> (order, held, live), BxSxV each, of the
    prefixes longer by one: those held stay, as many as the width has room for,
    the highest in `order` first.
  """
  memory, carry = steps.begin(model, variables, x)
  carry = jax.tree.map(lambda a: jnp.repeat(a, width, axis=1), carry)
  advance = steps.advance(model, variables, memory, given_BxL)
  batch = base.batch_size(x)

  def body(state, step):
    carry, prev_BxS, logw_BxS, live_BxS, unseen_B = state
    carry, logp_BxSxV = advance(carry, prev_BxS, step)
    num_values = logp_BxSxV.shape[-1]
    total_BxSxV = logw_BxS[..., None] + logp_BxSxV
    order_BxSxV, held_BxSxV, live_BxSxV = choose(live_BxS, total_BxSxV)
    order_BxSV, held_BxSV, live_BxSV, total_BxSV = (
      a.reshape(batch, -1)
      for a in (order_BxSxV, held_BxSxV, live_BxSxV, total_BxSxV)
    )
    _, index_BxS = jax.lax.top_k(order_BxSV, width)
    held_BxS, live_BxS, logw_BxS = (
      jnp.take_along_axis(a, index_BxS, axis=1)
      for a in (held_BxSV, live_BxSV, total_BxSV)
    )
    logw_BxS = jnp.where(held_BxS, logw_BxS, -jnp.inf)
    stays_BxSV = jax.vmap(lambda a_SV, index_S: a_SV.at[index_S].set(True))(
      jnp.zeros(held_BxSV.shape, bool), index_BxS
    )
    stays_BxSV &= held_BxSV
    unseen_B += jnp.where(stays_BxSV, 0, jnp.exp(total_BxSV)).sum(-1)
    parent_BxS, value_BxS = index_BxS // num_values, index_BxS % num_values
    ended_BxS = model.apply(variables, prev_BxS, step, method='ended')
    ended_BxS = jnp.take_along_axis(ended_BxS, parent_BxS, axis=1)
    node_BxS = held_BxS & ~ended_BxS
    if width > 1:
      carry = jax.tree.map(
        lambda a: jax.vmap(lambda a_S, i_S: a_S[i_S])(a, parent_BxS), carry
      )
    state = carry, value_BxS, logw_BxS, live_BxS, unseen_B
    return state, _Path(logw_BxS, node_BxS, live_BxS, parent_BxS, value_BxS)

  # One live prefix, the empty one; the other slots have weight zero.
  live_BxS = jnp.zeros((batch, width), bool).at[:, 0].set(True)
  start = (
    carry,
    jnp.zeros((batch, width), jnp.int32),
    jnp.where(live_BxS, 0.0, -jnp.inf),
    live_BxS,
    jnp.zeros(batch),
  )
  num_steps = steps.count(model, variables)
  state, path = jax.lax.scan(body, start, jnp.arange(num_steps))
  return path, state[-1]


def _trace(model, variables, path, slot_BxS):
  """(y_BxSxL, slot_TxBxS): the prefixes that `slot_BxS` of the end came by."""

  def back(slot_BxS, step):
    parent_BxS, value_BxS = step
    value_BxS = jnp.take_along_axis(value_BxS, slot_BxS, axis=1)
    before_BxS = jnp.take_along_axis(parent_BxS, slot_BxS, axis=1)
    return before_BxS, (slot_BxS, steps.narrow(value_BxS, model))

  _, (slot_TxBxS, value_TxBxS) = jax.lax.scan(
    back, slot_BxS, (path.parent_TxBxS, path.value_TxBxS), reverse=True
  )
  value_BxSxT = jnp.moveaxis(value_TxBxS, 0, -1)
  y_BxSxL = model.apply(variables, value_BxSxT, method='to_labels')
  return y_BxSxL, slot_TxBxS


def _explored(path, answer_TxB):
  """Nodes that the sequential search explores, the root among them -> B.

  answer_TxB: the slots that the answer came by. It pops the prefixes that are
  more probable than the answer, and of equals those up to it in their order;
  where no label set survived all that did, and it walks all greedy ways.
  """
  end_Bx1 = answer_TxB[-1][:, None]
  found_1xBx1 = jnp.take_along_axis(path.live_TxBxS[-1], end_Bx1, 1)[None]
  logw_1xBx1 = jnp.take_along_axis(path.logw_TxBxS[-1], end_Bx1, 1)[None]
  slots_1x1xS = jnp.arange(path.logw_TxBxS.shape[-1])[None, None]
  before_TxBxS = slots_1x1xS <= answer_TxB[..., None]
  before_TxBxS &= path.logw_TxBxS == logw_1xBx1
  popped_TxBxS = (path.logw_TxBxS > logw_1xBx1) | before_TxBxS
  popped_TxBxS &= path.live_TxBxS & path.node_TxBxS
  return 1 + jnp.where(found_1xBx1, popped_TxBxS, path.node_TxBxS).sum((0, 2))
