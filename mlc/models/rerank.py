"""Reranking (BR-rerank): a first level's best label sets, weighed anew."""

from typing import Any, ClassVar, NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mlc import losses, stacked
from mlc.errors import InputError
from mlc.models import base, stacking

# Of p of the first level: log-odds stay finite.
LEAST = 1e-6
# Of |f|: what float32 leaves of 1 - sum of probabilities is then below e^f.
MOST = 8.0


class Ranked(NamedTuple):
  """The first level's logits, and its best label sets C.

  logb: their log probability there; f: what the scorer adds to it.
  """

  logits_BxL: jax.Array
  y_BxSxL: jax.Array
  logb_BxS: jax.Array
  f_BxS: jax.Array


class Model(base.Autoregressive):
  """p(y | x) = b(y | x) exp(f(y, b)) / Z, f = 0 but for the `sets` best of b.

  b is the product of the marginals of `first`, independent heads; f a network
  with one hidden layer on log b(y), y itself, how many labels are on (one-hot)
  and the log count of y among complete training rows (of label sets seen twice
  or more: that a set was seen once tells a row its own labels; that it was seen
  twice still tells it half, so that f trusts rare sets somewhat too much). Z =
  1 + sum over C of b (e^f - 1), and so is the probability of any part of a
  label set a sum over C: label l looks at the labels before it, in any order,
  and the joint is the same in all. It is normalised over all 2^L label sets,
  also those beyond C, so that the truth always has a likelihood: -log p(y | x)
  trains it, missing labels summed out exactly. f = 0 is `first`, where training
  begins.
  In stages (mlc/stages.py) `first` is trained by itself and held fixed
  (train.optimizer.freeze), f on out-of-fold b. Cost: that of independent heads
  and, of f, SxLxH; C takes L steps of SxL; a step of one prefix takes S,
  all marginals SxL. `proper`.
  Source: Li, Pavlu, Aslam, Wang & Qin (ECML PKDD 2019), whose features these
  are. There boosted trees estimate by least squares whether a candidate is
  right, which is not normalised; here the candidates compete.
  """

  any_order: ClassVar[bool] = False

  sets: int = 10
  width: int = 64

  def setup(self):
    super().setup()
    if self.feeding != 'teacher' or self.missing != 'complete':
      raise InputError(
        'rerank is trained by its likelihood, missing labels summed out: leave'
        " feeding='teacher' and missing='complete'"
      )
    self.first = stacking.first_level(self)
    self.run = self.variable('structure', 'run', jnp.int32, 0).value
    self.seen_Ux2 = self.variable(
      'structure', 'seen', jnp.zeros, (0, 2), jnp.uint32
    ).value
    self.count_U = self.variable('structure', 'count', jnp.zeros, (0,)).value
    self.hidden = nn.Dense(self.width)
    self.out = nn.Dense(1, kernel_init=nn.initializers.zeros)

  def structure(self, data):
    own = super().structure(data)
    base.refuse_soft(data, 'rerank')
    rows = data.splits['train']
    missing_N = np.asarray(data.labels.missing_NxL[rows].sum(1)).ravel()
    on_NxL = data.labels.y_NxL[rows[missing_N == 0]] >= 0.5
    words_2xL = _words(data.num_labels)
    word_2xN = [(on_NxL @ word_L).astype(np.uint32) for word_L in words_2xL]
    seen_Ux2, count_U = np.unique(
      np.stack(word_2xN, axis=-1), axis=0, return_counts=True
    )
    twice_U = count_U > 1
    return own | {
      'first': own,
      'seen': seen_Ux2[twice_U],
      'count': np.log(count_U[twice_U]).astype(np.float32),
    }

  def encode(self, x, *, train: bool = False):
    """-> Ranked."""
    _, p_BxL = stacked.predictions(self.first, x, self.run)
    p_BxL = jnp.clip(p_BxL.astype(jnp.float32), LEAST, 1 - LEAST)
    logits_BxL = jnp.log(p_BxL) - jnp.log1p(-p_BxL)
    y_BxSxL = most_probable(logits_BxL, min(self.sets, 2**self.num_labels))
    logb_BxS = -losses.bce(logits_BxL[:, None], y_BxSxL).sum(-1)
    f_BxS = self._added(y_BxSxL, logb_BxS)
    return Ranked(logits_BxL, y_BxSxL, logb_BxS, f_BxS)

  def _added(self, y_BxSxL, logb_BxS):
    """f, by the features of candidates."""
    same_BxSxU: Any = True
    for word_L, seen_U in zip(
      _words(self.num_labels), self.seen_Ux2.T, strict=True
    ):
      word_BxS = jnp.where(y_BxSxL > 0.5, word_L[None, None], 0).sum(-1)
      same_BxSxU &= word_BxS[..., None] == seen_U[None, None]
    count_BxS = jnp.where(same_BxSxU, self.count_U[None, None], 0).sum(-1)
    size_BxS = y_BxSxL.sum(-1).astype(jnp.int32)
    features = [
      jnp.stack([logb_BxS, count_BxS], axis=-1),
      y_BxSxL,
      jax.nn.one_hot(size_BxS, self.num_labels + 1),
    ]
    # In the precision of the first level's parameters.
    dtype = self.first.variables['params']['head']['kernel'].dtype
    hidden = self.hidden(jnp.concatenate(features, axis=-1).astype(dtype))
    f_BxS = self.out(nn.gelu(hidden))[..., 0].astype(jnp.float32)
    return MOST * jnp.tanh(f_BxS / MOST)

  def logits(self, h, y_BxL):
    y_BxT = y_BxL[:, self.order_L]

    def body(state, step):
      carry, prev_B = state
      carry, logit_B = self.step(h, carry, prev_B, step)
      return (carry, y_BxT[:, step]), logit_B

    start = self.start(h)[1], jnp.zeros(len(y_BxT), y_BxT.dtype)
    _, logit_TxB = jax.lax.scan(body, start, jnp.arange(self.num_labels))
    return self.to_labels(logit_TxB.T)

  def _pin(self, logits, constant):
    # The first level has a label that is constant in training pinned already.
    return logits.astype(jnp.float32)

  def log_prob_given(self, h, y_BxL):
    return self._log_mass_of(h, y_BxL, jnp.ones(y_BxL.shape))

  def loss(self, x, y_BxL, mask_BxL, *, train: bool = False):
    y_BxL = jnp.where(mask_BxL > 0, y_BxL, 0.0)
    h = self.encode(x, train=train)
    log_prob_B = self._log_mass_of(h, y_BxL, mask_BxL)
    return -log_prob_B * mask_BxL.any(-1), mask_BxL.mean(-1)

  def _log_mass_of(self, h, y_BxL, mask_BxL):
    """Log of the probability of the observed labels -> B."""
    y_BxL = y_BxL.astype(jnp.float32)
    logb_B = -(losses.bce(h.logits_BxL, y_BxL) * mask_BxL).sum(-1)
    wrong_BxSxL = jnp.abs(h.y_BxSxL - y_BxL[:, None]) * mask_BxL[:, None]
    agree_BxS = wrong_BxSxL.max(-1) < 0.5
    free_B = (1 - mask_BxL).sum(-1)
    log_z_B = _log_mass(h, jnp.ones(agree_BxS.shape, bool), 0, self.num_labels)
    return _log_mass(h, agree_BxS, logb_B, free_B) - log_z_B

  def marginals(self, x, given_BxL=None):
    """P(y_l = 1 | x) -> BxL, or given some labels: 0, 1, -1 where free; SxL."""
    h = self.encode(x)
    if given_BxL is None:
      given_BxL = jnp.full(h.logits_BxL.shape, -1)
    free_BxL = given_BxL < 0
    same_BxSxL = h.y_BxSxL == given_BxL[:, None]
    agree_BxS = (same_BxSxL | free_BxL[:, None]).all(-1)
    loss_BxSxL = losses.bce(h.logits_BxL[:, None], h.y_BxSxL)
    logb_BxS = -(loss_BxSxL * free_BxL[:, None]).sum(-1)
    share_BxS = jnp.where(agree_BxS, jnp.exp(logb_BxS), 0)
    weighed_BxS = share_BxS * jnp.exp(h.f_BxS)

    def mass(p_BxL, y_BxSxL):
      """Z times the probability of a value of each label, p under b."""
      among_BxL = jnp.einsum('bs,bsl->bl', share_BxS, y_BxSxL)
      rest_BxL = jnp.maximum(p_BxL - among_BxL, 0)
      return rest_BxL + jnp.einsum('bs,bsl->bl', weighed_BxS, y_BxSxL)

    on_BxL = mass(jax.nn.sigmoid(h.logits_BxL), h.y_BxSxL)
    off_BxL = mass(jax.nn.sigmoid(-h.logits_BxL), 1 - h.y_BxSxL)
    p_BxL = on_BxL / (on_BxL + off_BxL)
    return jnp.where(free_BxL, p_BxL, given_BxL.astype(p_BxL.dtype))

  def start(self, h):
    """The carry: which candidates go on from a prefix, and its log b."""
    agree_BxS = jnp.ones(h.logb_BxS.shape, bool)
    return h, (agree_BxS, jnp.zeros(len(agree_BxS)))

  def step(self, memory, carry, prev_B, step):
    agree_BxS, logb_B = carry
    last, label = self.order_L[step - 1], self.order_L[step]
    went_on_BxS = memory.y_BxSxL[..., last] == prev_B[:, None]
    agree_BxS &= went_on_BxS | (step == 0)
    log_last_B = -losses.bce(memory.logits_BxL[:, last], prev_B)
    logb_B += jnp.where(step == 0, 0, log_last_B)
    logp_Bx2 = losses.bernoulli(memory.logits_BxL[:, label])
    off_B, on_B = (
      _log_mass(
        memory,
        agree_BxS & (memory.y_BxSxL[..., label] == value),
        logb_B + logp_Bx2[:, value],
        self.num_labels - 1 - step,
      )
      for value in range(2)
    )
    return (agree_BxS, logb_B), on_B - off_B


def _words(num_labels: int) -> np.ndarray:
  """2xL uint32: the sums of a label set's are its name, of 64 bits."""
  rng = np.random.default_rng(0)
  return rng.integers(2**32, size=(2, num_labels), dtype=np.uint32)


def _log_mass(h: Ranked, agree_BxS, logb_B, free):
  """Log of Z times the probability of a part of a label set -> B.

  agree: the candidates that have it. logb: its log probability under the first
  level. free: how many labels are no part of it.
  """
  logb_B = jnp.broadcast_to(logb_B, agree_BxS.shape[:1])
  log_share_BxS = jnp.where(agree_BxS, h.logb_BxS - logb_B[:, None], 0)
  share_BxS = jnp.where(agree_BxS, jnp.exp(jnp.minimum(log_share_BxS, 0)), 0)
  # What is no candidate; exactly nothing where all are.
  every_B = agree_BxS.sum(-1) == 2.0**free
  rest_B = jnp.where(every_B, 0, jnp.maximum(1 - share_BxS.sum(-1), 0))
  total_B = rest_B + (share_BxS * jnp.exp(h.f_BxS)).sum(-1)
  return logb_B + jnp.log(jnp.maximum(total_B, jnp.finfo(jnp.float32).tiny))


def most_probable(logits_BxL, count: int) -> jax.Array:
  """BxSxL float32: the `count` best label sets of independent labels, in order.

  Exact: the best of all labels go on from the best of the labels before, since
  a label adds the same to each. count: at most 2^L.
  """
  batch, num_labels = logits_BxL.shape
  rows_Bx1 = jnp.arange(batch)[:, None]

  def add(state, label):
    logp_BxS, y_BxSxL = state
    logp_Bx2 = losses.bernoulli(logits_BxL[:, label])
    both_Bx2S = jnp.concatenate(
      [logp_BxS + logp_Bx2[:, value][:, None] for value in range(2)], axis=1
    )
    logp_BxS, index_BxS = jax.lax.top_k(both_Bx2S, count)
    y_BxSxL = y_BxSxL[rows_Bx1, index_BxS % count]
    on_BxS = (index_BxS >= count).astype(y_BxSxL.dtype)
    return (logp_BxS, y_BxSxL.at[..., label].set(on_BxS)), None

  start = (
    jnp.full((batch, count), -jnp.inf).at[:, 0].set(0),
    jnp.zeros((batch, count, num_labels)),
  )
  logits_BxL = jax.lax.stop_gradient(logits_BxL)
  (_, y_BxSxL), _ = jax.lax.scan(add, start, jnp.arange(num_labels))
  return y_BxSxL
