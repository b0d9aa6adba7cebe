"""Linear-chain CRF: neighbours in an order look at each other."""

import jax.numpy as jnp

from mlc import messages
from mlc.models import tree_chain


class Model(tree_chain.OneParent):
  """p(y | x) = exp(sum_t u_t(h) y_t + w_t y_{t-1} y_t) / Z(x), t in the order.

  All labels depend on each other, through the neighbours in the order. With
  `features` a weight w_t depends on h(x). One weight for two neighbours where
  Lafferty et al. have one for each of their four values: the others are in u
  and Z. Z is never needed by itself: the backward messages m_t give p(y_t |
  y_{t-1}, x) = s(y_t; u_t + w_t y_{t-1} + m_t), so that it trains and decodes
  as a chain, at any L. A label missing takes its own cell and the next one out
  of the loss.

  Proper. Cost of training: DxL, and 2L in L steps, for each row; of one step of
  one prefix: 1; of all marginals or the mode: L.
  Source: Lafferty, McCallum & Pereira (ICML 2001); over labels it is the
  pairwise model of Ghamrawi & McCallum (CIKM 2005) with the pairs of a chain.
  """

  def setup(self):
    super().setup()
    none_1 = jnp.full(1, -1)
    before_T = jnp.concatenate([none_1, self.order_L[:-1]])
    self.parent_L = before_T[jnp.argsort(self.order_L)]

  def _scores(self, h):
    """u_BxL and w_BxL of each label and the one before it, float32."""
    unary_BxL, pair_BxL = self.unary_and_pair(h)
    # A constant label has its own logit and tells its neighbours nothing.
    constant_L = ~jnp.isnan(self.constant_L)
    alone_L = constant_L | constant_L[self.parent_L] | (self.parent_L < 0)
    pair_BxL = jnp.where(alone_L[None], 0, pair_BxL.astype(jnp.float32))
    return self._pin(unary_BxL, self.constant_L[None]), pair_BxL

  def links(self, h):
    unary_BxL, pair_BxL = self._scores(h)
    link_BxTx2 = messages.chain(
      unary_BxL[:, self.order_L], pair_BxL[:, self.order_L]
    )
    return link_BxTx2[:, jnp.argsort(self.order_L)]

  def log_odds(self, h, y_BxL, label):
    """The logit of one label, given all others -> B; no message is needed."""
    unary_BxL, pair_BxL = self._scores(h)
    before_B = (pair_BxL * y_BxL[:, self.parent_L])[:, label]
    after_1xL = (self.parent_L == label)[None]
    after_B = jnp.where(after_1xL, pair_BxL * y_BxL, 0).sum(-1)
    return unary_BxL[:, label] + before_B + after_B
