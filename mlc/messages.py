"""Label forests: what to span, hung up by a label, summed or maximised over.

A forest is parent_L, -1 for a root, with an order_L that lists parents before
children. A table of links is logit_BxLx2: of each label, with its parent off
and on; of a root both are the same. Each sweep takes L steps of BxL memory.
"""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from mlc import links as links_lib
from mlc import losses

ROWS, FOLDS = 2000, 5  # Of what x leaves of labels.


def chain(unary_BxT, pair_BxT):
  """Logits of y_t given y_{t-1}, off and on -> BxTx2 float32.

  Of p(y) proportional to exp(sum_t unary_t y_t + pair_t y_{t-1} y_t), by the
  backward messages. pair_0 is not looked at; its leading axis may be 1.
  Source: Lafferty, McCallum & Pereira (ICML 2001).
  """
  unary_BxT = unary_BxT.astype(jnp.float32)
  pair_BxT = jnp.broadcast_to(pair_BxT.astype(jnp.float32), unary_BxT.shape)
  pair_BxT = pair_BxT.at[:, 0].set(0)

  def back(message_B, step):
    # What label t + 1 and all after it say: log-odds of y_t.
    unary_B, pair_B = step
    off_B = unary_B + message_B
    on_B = off_B + pair_B
    message_B = jax.nn.softplus(on_B) - jax.nn.softplus(off_B)
    return message_B, (off_B, on_B)

  steps = unary_BxT.T, pair_BxT.T
  _, logit_2xTxB = jax.lax.scan(
    back, jnp.zeros(len(unary_BxT)), steps, reverse=True
  )
  return jnp.stack(logit_2xTxB, axis=-1).swapaxes(0, 1)


def upward(score_BxLx2x2, parent_L, order_L, reduce):
  """Messages to parents BxLx2, and what each label gets from children BxLx2.

  score[..., i, j]: of label value j under parent value i. reduce: over j, as
  logsumexp (sum-product) or max (max-product).
  Source: Pearl (AAAI 1982).
  """
  batch, num_labels = score_BxLx2x2.shape[:2]

  def pass_on(inbox_BxMx2, label):
    total_Bx2x2 = score_BxLx2x2[:, label] + inbox_BxMx2[:, label][:, None]
    message_Bx2 = reduce(total_Bx2x2, axis=-1)
    return inbox_BxMx2.at[:, parent_L[label]].add(message_Bx2), message_Bx2

  # One more than labels: roots send to -1.
  inbox_BxMx2 = jnp.zeros((batch, num_labels + 1, 2))
  inbox_BxMx2, message_TxBx2 = jax.lax.scan(pass_on, inbox_BxMx2, order_L[::-1])
  place_L = num_labels - 1 - jnp.argsort(order_L)
  return message_TxBx2[place_L].swapaxes(0, 1), inbox_BxMx2[:, :-1]


def best(logit_BxLx2, parent_L, order_L):
  """Log p of the best values of a label and all below it, by parent: BxLx2."""
  return upward(losses.bernoulli(logit_BxLx2), parent_L, order_L, jnp.max)[0]


def given(logit_BxLx2, parent_L, order_L, given_BxL):
  """The links of p(y | x, given labels), infinite where given -> BxLx2.

  given_BxL: 0 or 1, -1 where a label is free; its leading axis may be 1.
  """
  score_BxLx2x2 = _agreeing(logit_BxLx2, given_BxL)
  _, inbox_BxLx2 = upward(score_BxLx2x2, parent_L, order_L, jax.nn.logsumexp)
  odds_BxLx2 = score_BxLx2x2[..., 1] - score_BxLx2x2[..., 0]
  return odds_BxLx2 + (inbox_BxLx2[..., 1] - inbox_BxLx2[..., 0])[..., None]


def log_prob(logit_BxLx2, parent_L, order_L, given_BxL):
  """Log p(given labels | x), the others summed out -> B."""
  score_BxLx2x2 = _agreeing(logit_BxLx2, given_BxL)
  message_BxLx2, _ = upward(score_BxLx2x2, parent_L, order_L, jax.nn.logsumexp)
  return jnp.where((parent_L < 0)[None], message_BxLx2[..., 0], 0).sum(-1)


def _agreeing(logit_BxLx2, given_BxL):
  """Log p of each label given its parent, -inf against what is given."""
  wrong_BxLx1x2 = jnp.stack([given_BxL == 1, given_BxL == 0], -1)[:, :, None]
  return jnp.where(wrong_BxLx1x2, -jnp.inf, losses.bernoulli(logit_BxLx2))


def marginals(logit_BxLx2, parent_L, order_L):
  """P(y_l = 1) -> BxL, from the roots down."""
  on_BxLx2 = jax.nn.sigmoid(logit_BxLx2)

  def down(p_BxM, label):
    p_Bx1 = p_BxM[:, parent_L[label]][:, None]
    chance_Bx2 = jnp.concatenate([1 - p_Bx1, p_Bx1], axis=-1)
    p_B = (chance_Bx2 * on_BxLx2[:, label]).sum(-1)
    return p_BxM.at[:, label].set(p_B), None

  batch, num_labels = logit_BxLx2.shape[:2]
  p_BxM, _ = jax.lax.scan(down, jnp.zeros((batch, num_labels + 1)), order_L)
  return p_BxM[:, :-1]


def rooted(forest_L, order_L):
  """(parent_L, order_L) of a forest hung up by the label order_L[0].

  Its other trees keep their roots; labels equally far from a root stay in the
  order they had.
  """

  def turn(state):
    label, child, parent_L = state
    return parent_L[label], label, parent_L.at[label].set(child)

  start = order_L[0].astype(forest_L.dtype), jnp.full_like(forest_L[0], -1)
  _, _, parent_L = jax.lax.while_loop(
    lambda state: state[0] >= 0, turn, (*start, forest_L)
  )
  # Depth by doubling: the ancestor 1, 2, 4, ... above, and how far it is.
  depth_L, above_L = (parent_L >= 0).astype(jnp.int32), parent_L
  for _ in range(len(parent_L).bit_length()):
    depth_L += jnp.where(above_L >= 0, depth_L[above_L], 0)
    above_L = jnp.where(above_L >= 0, above_L[above_L], -1)
  return parent_L, order_L[jnp.argsort(depth_L[order_L], stable=True)]


def information_given_x(data) -> np.ndarray:
  """I(y_i; y_j | x) in nats, roughly -> LxL, 0 on the diagonal.

  What a weight for the pair would add to the log-likelihood of logistic heads,
  by its score test: (sum r_i r_j)^2 / (2 n sum v_i v_j), r = y - p what x
  leaves of a label and v = p (1 - p). p is of heads fitted without the row, in
  five folds of up to 2,000 training rows; a pair counts those with both.
  Score test: Rao (Proc. Cambridge Philosophical Society 1948).
  """
  rows_N = data.splits['train']
  if len(rows_N) > ROWS:
    rows_N = rows_N[np.linspace(0, len(rows_N) - 1, ROWS).astype(int)]
  x, y_NxL, mask_NxL = data.rows(rows_N)
  z_NxD = x if isinstance(x, np.ndarray) else links_lib.csr(x)
  # A label that does not vary where heads are fitted has nothing left.
  p_NxL, fold_N = y_NxL.astype(float), np.arange(len(rows_N)) % FOLDS
  for fold in range(FOLDS):
    out_N = fold_N == fold
    fitted_NxL = np.where(out_N[:, None], 0, mask_NxL)
    on_L, count_L = (y_NxL * fitted_NxL).sum(0), fitted_NxL.sum(0)
    label_P = np.flatnonzero((on_L > 0) & (on_L < count_L)).astype(np.int32)
    none_PxL = np.zeros((len(label_P), data.num_labels), bool)
    heads = links_lib.Links(label_P, none_PxL, np.zeros(0, int))
    # Numbers even where a caller is being compiled.
    with jax.ensure_compile_time_eval():
      solved, _ = links_lib.solve(x, y_NxL, fitted_NxL, heads, (1.0,))
    w_PxQ = np.asarray(solved.w_PxQ, float)[:, : -data.num_labels]
    margin_NxP = w_PxQ[None, :, 0] + z_NxD @ w_PxQ[:, 1:].T
    p_NxL[np.ix_(out_N, label_P)] = special.expit(margin_NxP[out_N])
  r_NxL, v_NxL = mask_NxL * (y_NxL - p_NxL), mask_NxL * p_NxL * (1 - p_NxL)
  scale_LxL = 2 * (mask_NxL.T @ mask_NxL) * (v_NxL.T @ v_NxL)
  found_LxL = (r_NxL.T @ r_NxL) ** 2 / np.maximum(scale_LxL, 1e-12)
  np.fill_diagonal(found_LxL, 0)
  return found_LxL
