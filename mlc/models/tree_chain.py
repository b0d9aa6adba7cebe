"""Chain over a tree of labels: label l looks at its parent alone."""

from typing import ClassVar

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mlc import losses, messages, orders
from mlc.errors import nearest
from mlc.models import base

TREES = ('conditional', 'marginal', 'none')


class OneParent(base.Autoregressive):
  """p(y | x) = prod_l s(y_l; z_l(h, y_parent(l))): a forest of labels.

  Set `parent_L` in `setup` and write `links`, of `unary_and_pair`. Marginals
  are exact, by L messages, and so is the bound of best_first(depth=1): it finds
  the mode at once.
  A soft parent lies between the logits of its two values.
  """

  features: bool = False

  carry_is_prefix: ClassVar[bool] = True
  any_order: ClassVar[bool] = False
  sums_by_messages: ClassVar[bool] = True

  def setup(self):
    super().setup()
    self.unary = nn.Dense(self.num_labels)
    if self.features:
      self.pairs = nn.Dense(self.num_labels)
    else:
      zeros = nn.initializers.zeros
      self.pair_L = self.param('pairs', zeros, (self.num_labels,))

  def unary_and_pair(self, h):
    """BxL each (1xL without `features`): of a label alone, with its parent."""
    pair_BxL = self.pairs(h) if self.features else self.pair_L[None]
    return self.unary(h), pair_BxL

  def links(self, h) -> jax.Array:
    """BxLx2: the logit of each label, its parent off and on."""
    raise NotImplementedError

  def _table(self, h):
    """`links` in float32; those of a root and of a constant say the same."""
    link_BxLx2 = self.links(h).astype(jnp.float32)
    root_1xLx1 = (self.parent_L < 0)[None, :, None]
    link_BxLx2 = jnp.where(root_1xLx1, link_BxLx2[..., :1], link_BxLx2)
    return self._pin(link_BxLx2, self.constant_L[None, :, None])

  def counted(self, mask_BxL):
    # A constant label tells the others nothing: see the base.
    known_BxL = jnp.where(jnp.isnan(self.constant_L)[None], mask_BxL, 1.0)
    root_1xL = (self.parent_L < 0)[None]
    return mask_BxL * jnp.where(root_1xL, 1.0, known_BxL[:, self.parent_L])

  def logits(self, h, y_BxL):
    off_BxL, on_BxL = jnp.moveaxis(self._table(h), -1, 0)
    y_BxL = y_BxL[:, self.parent_L].astype(jnp.float32)
    return off_BxL + y_BxL * (on_BxL - off_BxL)

  def log_odds(self, h, y_BxL, label):
    """The logit of one label, given all others -> B; L work.

    Only its parent and its children have a say.
    """
    link_BxLx2 = self._table(h)
    own_B = self.logits(h, y_BxL)[:, label]
    # What each label would say of its parent.
    says_BxL = losses.bce(link_BxLx2[..., 0], y_BxL) - losses.bce(
      link_BxLx2[..., 1], y_BxL
    )
    child_1xL = (self.parent_L == label)[None]
    return own_B + jnp.where(child_1xL, says_BxL, 0).sum(-1)

  def marginals(self, x, given_BxL=None):
    """P(y_l = 1 | x) -> BxL, or given some labels: 0, 1, -1 where free."""
    forest = self.parent_L, self.order_L
    link_BxLx2 = self._table(self.encode(x))
    if given_BxL is not None:
      link_BxLx2 = messages.given(link_BxLx2, *forest, given_BxL)
    return messages.marginals(link_BxLx2, *forest)

  def observed_log_prob(self, h, y_BxL, mask_BxL):
    given_BxL = jnp.where(mask_BxL > 0, y_BxL, -1)
    forest = self.parent_L, self.order_L
    return messages.log_prob(self._table(h), *forest, given_BxL)

  def start(self, h):
    link_BxLx2 = self._table(h)
    best_BxLx2 = messages.best(link_BxLx2, self.parent_L, self.order_L)
    return (link_BxLx2, best_BxLx2), jnp.zeros((len(h), self.num_labels))

  def step(self, memory, carry, prev_B, step):
    y_BxL = self.feed(carry, prev_B, step)
    label = self.order_L[step]
    link_Bx2 = memory[0][:, label]
    on_B = y_BxL[:, self.parent_L[label]] == 1
    return y_BxL, jnp.where(on_B, link_Bx2[:, 1], link_Bx2[:, 0])

  def remaining(self, memory, carry, prev_B, step, depth):
    """Of the best labels to come, whatever `depth`: no bound is nearer."""
    y_BxL = self.feed(carry, prev_B, step)
    off_BxL, on_BxL = jnp.moveaxis(memory[1], -1, 0)
    best_BxL = jnp.where(y_BxL[:, self.parent_L] == 1, on_BxL, off_BxL)
    rank_L = jnp.argsort(self.order_L)
    above_L = jnp.where(self.parent_L < 0, -1, rank_L[self.parent_L])
    # A label whose parent is there answers for all below it.
    first_L = (rank_L >= step) & (above_L < step)
    return jnp.where(first_L[None], best_BxL, 0).sum(-1)


class Model(OneParent):
  """p(y | x) = prod_l s(y_l; w_l . h(x) + b_l + k_l y_parent(l)).

  With `features` k_l is u_l . h(x) + c_l. The tree spans the labels with the
  greatest sum of I(y_l; y_parent(l) | x) over training rows. The first label of
  `order` is its root (so that an ensemble with order 'random' has different
  ones) and labels equally far from it stand in that order.

  tree: 'conditional', I(.|x) from residuals (see mlc/messages.py); 'marginal',
    I(y_l; y_parent(l)) as in Chow & Liu; 'none', independent heads. The tree
    is found in N LxL, the residuals in up to 2,000^3.

  Proper. Cost of training: DxL for each row; of one step of one prefix: 1, but
  for its L labels; of all marginals or the mode: L.
  Source: Zaragoza, Sucar, Morales, Bielza & Larranaga (IJCAI 2011); Chow & Liu
  (IEEE Transactions on Information Theory 1968).
  """

  tree: str = 'conditional'

  def setup(self):
    # Without data there are no edges. The order needs the forest.
    self.forest_L = self.variable(
      'structure', 'forest', lambda: jnp.full(self.num_labels, -1, jnp.int32)
    ).value
    super().setup()
    self.parent_L = self.variable(
      'structure',
      'parent',
      lambda: messages.rooted(self.forest_L, self.order_L)[0],
    ).value

  def structure(self, data):
    if self.tree not in TREES:
      raise nearest(self.tree, TREES, 'tree of tree_chain')
    forest_L = np.full(self.num_labels, -1, np.int32)
    if self.tree != 'none':
      measure = {
        'conditional': messages.information_given_x,
        'marginal': orders.mutual_information,
      }[self.tree]
      forest_L = orders.spanning_tree(measure(data), 0).astype(np.int32)
    made = super().structure(data) | {'forest': forest_L}
    if 'order' not in made:
      return made
    rooted = messages.rooted(*map(jnp.asarray, (forest_L, made['order'])))
    return made | dict(zip(('parent', 'order'), rooted, strict=True))

  def _draw_order(self):
    return messages.rooted(self.forest_L, super()._draw_order())[1]

  def links(self, h):
    unary_BxL, pair_BxL = self.unary_and_pair(h)
    return jnp.stack([unary_BxL, unary_BxL + pair_BxL], axis=-1)
