"""What an inference method answers: label sets with weights, or marginals."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from mlc.errors import InputError


class Candidates(NamedTuple):
  """Label sets and their log weights.

  y_BxSxL holds 0/1; its leading axis is 1 when all examples share one support
  of distinct label sets (enumeration: 1xUxL). logw_BxS need not be
  normalised; -inf marks what is not a candidate. A label set may occur more
  than once (Monte Carlo): its weight is then the sum.

  nodes_B: how many nodes of the tree of label prefixes were explored, the root
    among them, as Mena et al. (WIREs DMKD 2016) count; None: no tree.
  unseen_B: an upper bound of the probability of all label sets that are no
    candidates (not of rounding); None: no bound.
  Where labels are given, weights and bound are of p(y, given labels | x).
  """

  y_BxSxL: jax.Array
  logw_BxS: jax.Array
  nodes_B: jax.Array | None = None
  unseen_B: jax.Array | None = None


class Product(NamedTuple):
  """Marginals p_BxL of labels that are independent given x: a joint too."""

  p_BxL: jax.Array


class Marginals(NamedTuple):
  """P(y_l = 1 | x): what labels have in common is unknown.

  mode_BxL: but for the label set that stands for the most probable one; None:
    nor is that known.
  """

  p_BxL: jax.Array
  mode_BxL: jax.Array | None = None


class Scores(NamedTuple):
  """Scores of labels in [0, 1], cut at 1/2: no probabilities."""

  p_BxL: jax.Array


Posterior = Candidates | Product | Marginals | Scores

BLOCK = 512


def weights(c: Candidates) -> jax.Array:
  """Normalised weights BxS; all 0 in a row that has no candidate."""
  top_Bx1 = jnp.max(c.logw_BxS, axis=-1, keepdims=True)
  w_BxS = jnp.exp(c.logw_BxS - jnp.where(jnp.isneginf(top_Bx1), 0, top_Bx1))
  total_Bx1 = w_BxS.sum(-1, keepdims=True)
  return w_BxS / jnp.where(total_Bx1 == 0, 1, total_Bx1)


def mix(w_BxS: jax.Array, y_BxSxL: jax.Array) -> jax.Array:
  """Sum over s of w_s y_s -> BxL, a matmul where the support is shared."""
  # Without the highest precision an accelerator rounds weights to ten bits.
  y_BxSxL = y_BxSxL.astype(w_BxS.dtype)
  if y_BxSxL.shape[0] == 1:
    S, L = y_BxSxL.shape[1:]
    if S % BLOCK == 0:  # 2^L sets in one float32 sum would err by over 1e-6.
      w_BxNxS = w_BxS.reshape(-1, S // BLOCK, BLOCK)
      y_NxSxL = y_BxSxL.reshape(-1, BLOCK, L)
      return jnp.einsum(
        'bns,nsl->nbl', w_BxNxS, y_NxSxL, precision='highest'
      ).sum(0)
    return jnp.matmul(w_BxS, y_BxSxL[0], precision='highest')
  return jnp.einsum('bs,bsl->bl', w_BxS, y_BxSxL, precision='highest')


def marginals(posterior: Posterior) -> jax.Array:
  """P(y_l = 1 | x) -> BxL; memory BxS at most where the support is shared.

  Raises:
    InputError: there are only scores.
  """
  if isinstance(posterior, Scores):
    raise InputError(
      'this rule needs probabilities, and the model gives scores: take decision'
      ' fixed, a threshold rule such as scut, or calibration=platt'
    )
  return label_scores(posterior)


def label_scores(posterior: Posterior) -> jax.Array:
  """What labels are ranked by, BxL in [0, 1]: marginals, or scores."""
  if isinstance(posterior, Candidates):
    # Weights may sum to 1 + 1e-7; a probability may not.
    return jnp.minimum(mix(weights(posterior), posterior.y_BxSxL), 1)
  return posterior.p_BxL


def calibrated(posterior: Posterior, p_BxL: jax.Array) -> Posterior:
  """`posterior` with calibrated marginals; a joint keeps its weights.

  Scores become marginals: that is what their calibration is for.
  """
  if isinstance(posterior, Candidates):
    return posterior
  if isinstance(posterior, Scores):
    return Marginals(p_BxL)
  return posterior._replace(p_BxL=p_BxL)


def side_by_side(y_SxL: jax.Array) -> tuple[jax.Array, jax.Array]:
  """An order_S in which equal label sets are neighbours, the first one first.

  And new_S, in that order: True where no set before is the same. Memory SxL:
  comparing all pairs would need SxS.
  """
  S, L = y_SxL.shape
  # 32 labels make a word; one stable sort for each word.
  y_SxWx32 = jnp.pad(y_SxL > 0.5, ((0, 0), (0, -L % 32))).reshape(S, -1, 32)
  bit_32 = jnp.uint32(1) << jnp.arange(32, dtype=jnp.uint32)
  word_WxS = jnp.where(y_SxWx32, bit_32[None, None], 0).sum(-1).T

  def refine(order_S, word_S):
    return order_S[jnp.argsort(word_S[order_S], stable=True)], None

  order_S, _ = jax.lax.scan(refine, jnp.arange(S), word_WxS)
  word_WxS = word_WxS[:, order_S]
  new_S = (word_WxS[:, 1:] != word_WxS[:, :-1]).any(0)
  return order_S, jnp.pad(new_S, (1, 0), constant_values=True)


def first_of_each(y_SxL: jax.Array) -> jax.Array:
  """S: True where no label set before is the same."""
  order_S, new_S = side_by_side(y_SxL)
  return jnp.zeros_like(new_S).at[order_S].set(new_S)
