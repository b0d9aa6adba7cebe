"""RAkEL on overlapping label subsets: members vote, each on k labels."""

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mlc.errors import InputError, nearest
from mlc.models import base

VOTES = 'marginals', 'majority'


class Model(base.Scorer):
  """score_l = mean over subsets m with l of p_m(y_l = 1 | x), p_m a powerset.

  p_m(y_m | x) = softmax_s(W_m h(x) + b_m), over all 2^k label sets of a subset,
  where the paper has those seen in training. A label looks at those it shares a
  subset with. votes 'majority': the mean of the members' most probable sets, as
  in the paper, cut at 1/2. Members are no factors of one distribution, so there
  are scores and no p(y | x). Subsets are drawn at init: permutations of the
  labels cut into runs of k, so that each label is in about members k / L; the
  last run of one is filled up from its begin. members 0: 2 L, as in the paper.
  Cost of training and decoding: Dx2^k x members for each row, one product.
  Source: Tsoumakas, Katakis & Vlahavas (IEEE TKDE 23, 2011):
  RAkEL_o.
  """

  k: int = 3
  members: int = 0
  votes: str = 'marginals'

  def setup(self):
    if not 1 <= self.k <= min(10, self.num_labels):
      raise InputError(
        f'rakel with k={self.k} of {self.num_labels} labels: give 1 to'
        f' {min(10, self.num_labels)} labels a subset, 2^k are its classes'
      )
    if self.votes not in VOTES:
      raise nearest(self.votes, VOTES, 'votes of rakel')
    self.num_members = self.members or 2 * self.num_labels
    if self.num_members * self.k < self.num_labels:
      raise InputError(
        f'rakel with {self.num_members} members of {self.k} labels: some of'
        f' {self.num_labels} labels would be in none: give more members'
      )
    self.subsets_MxK = self.variable('structure', 'subsets', self._draw).value
    self.head = nn.Dense(self.num_members * 2**self.k)
    shifts_K = np.arange(self.k - 1, -1, -1)
    self.bits_SxK = np.arange(2**self.k)[:, None] >> shifts_K[None] & 1

  def structure(self, data):
    base.refuse_soft(data, 'rakel')
    return {}

  def _draw(self):
    each = -(-self.num_labels // self.k)
    rounds = -(-self.num_members // each)
    keys = jax.random.split(self.make_rng('order'), rounds)
    order_RxL = jax.vmap(
      lambda key: jax.random.permutation(key, self.num_labels)
    )(keys)
    places_T = jnp.arange(each * self.k) % self.num_labels
    subsets_MxK = order_RxL[:, places_T].reshape(-1, self.k)
    return subsets_MxK[: self.num_members]

  def _log_probs(self, h):
    """BxMxS."""
    scores_BxMS = self.head(h).astype(jnp.float32)
    table_BxMxS = scores_BxMS.reshape(-1, self.num_members, 2**self.k)
    return jax.nn.log_softmax(table_BxMxS, axis=-1)

  def loss(self, x, y_BxL, mask_BxL, *, train: bool = False):
    # A missing label is summed out of its subsets.
    log_prob_BxMxS = self._log_probs(self.encode(x, train=train))
    # jnp.take, not []: at init the rows may be NumPy's.
    known_BxMxK = jnp.take(mask_BxL, self.subsets_MxK, axis=1)
    y_BxMxK = jnp.take(y_BxL, self.subsets_MxK, axis=1) > 0.5
    power_1x1xK = 1 << np.arange(self.k - 1, -1, -1)[None, None]
    known_BxM = jnp.where(known_BxMxK > 0, power_1x1xK, 0).sum(-1)
    set_BxM = jnp.where(y_BxMxK, power_1x1xK, 0).sum(-1)
    differ_BxMxS = set_BxM[..., None] ^ jnp.arange(2**self.k)[None, None]
    log_prob_BxM = jax.nn.logsumexp(
      log_prob_BxMxS, axis=-1, where=differ_BxMxS & known_BxM[..., None] == 0
    )
    share_BxM = known_BxMxK.mean(-1)
    return -(log_prob_BxM * (share_BxM > 0)).sum(-1), share_BxM.mean(-1)

  def scores(self, x):
    log_prob_BxMxS = self._log_probs(self.encode(x))
    bits_SxK = jnp.asarray(self.bits_SxK, jnp.float32)
    if self.votes == 'majority':
      vote_BxMxK = bits_SxK[log_prob_BxMxS.argmax(-1)]
    else:
      vote_BxMxK = jnp.exp(log_prob_BxMxS) @ bits_SxK
    labels_MK = self.subsets_MxK.reshape(-1)
    vote_BxMK = vote_BxMxK.reshape(len(vote_BxMxK), -1)
    sums_BxL = jnp.zeros((len(vote_BxMxK), self.num_labels))
    sums_BxL = sums_BxL.at[:, labels_MK].add(vote_BxMK)
    count_L = jnp.zeros(self.num_labels).at[labels_MK].add(1)
    return jnp.minimum(sums_BxL / count_L[None], 1)
