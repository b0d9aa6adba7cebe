"""Classifier trellis: label l looks at its left and its upper neighbour."""

from typing import ClassVar

from flax import linen as nn
import jax.numpy as jnp
import numpy as np

from mlc import losses, orders
from mlc.errors import InputError
from mlc.models import base


class Model(base.Autoregressive):
  """p(y | x) = prod_l s(y_l; f_l(h(x), y_left(l), y_up(l))) on a grid.

  The labels fill the rows of a grid `width` wide (0: about sqrt(L)) from the
  left, in the order. Label l looks at the two beside and above it: links and
  parameters grow with L, not LxL. A soft label is fed onward as it is.

  order: 'information' begins with the label that has the most mutual
    information with all others (training rows); then each place gets the label
    with the most with those beside and above it. Or any order of the base.
  hidden: 0 for links linear in (h, y); else one hidden layer of that width.

  Proper. Cost of training: DxLxH + 2xLxH for each row; of one step of one
  prefix: H; of a Gibbs step, by `log_odds`: 3H.
  Source: Read, Martino, Olmos & Luengo (Pattern Recognition 2015); Gibbs
  sampling is what their undirected variant decodes by.
  """

  order: str = 'information'
  width: int = 0
  hidden: int = 0

  carry_is_prefix: ClassVar[bool] = True
  any_order: ClassVar[bool] = False

  def setup(self):
    super().setup()
    place_L, across = jnp.argsort(self.order_L), self._across()
    # Of each label its two parents and its two children; -1: there is none.
    before_Lx2 = jnp.stack([place_L - 1, place_L - across], axis=-1)
    after_Lx2 = jnp.stack([place_L + 1, place_L + across], axis=-1)
    same_row_Lx2 = jnp.stack(
      [place_L % across > 0, (place_L + 1) % across > 0], axis=-1
    )
    self.parent_Lx2 = self._labels_at(before_Lx2, same_row_Lx2[:, 0])
    self.child_Lx2 = self._labels_at(after_Lx2, same_row_Lx2[:, 1])
    size = self.hidden or 1
    self.from_h = nn.Dense(self.num_labels * size)
    # What the left and the upper label say to link l.
    init = nn.initializers.lecun_normal(in_axis=1, out_axis=2, batch_axis=0)
    shape = (self.num_labels, 2, size)
    self.kernel_Lx2xH = self.param('label_kernel', init, shape)
    if self.hidden:
      init = nn.initializers.lecun_normal(in_axis=1, out_axis=())
      self.out_LxH = self.param('out_kernel', init, (self.num_labels, size))
      self.bias_L = self.param(
        'bias', nn.initializers.zeros, (self.num_labels,)
      )

  def _across(self):
    """How many labels are in a row of the grid."""
    if self.width < 0:
      raise InputError(f'width={self.width} of trellis: give 0 or more')
    return self.width or round(self.num_labels**0.5)

  def _labels_at(self, place_Lx2, same_row_L):
    """The labels at some places; -1 where it is no place of the grid."""
    inside_Lx2 = (place_Lx2 >= 0) & (place_Lx2 < self.num_labels)
    inside_Lx2 = inside_Lx2.at[:, 0].set(inside_Lx2[:, 0] & same_row_L)
    return jnp.where(inside_Lx2, self.order_L[place_Lx2 % self.num_labels], -1)

  def _draw_order(self):
    if self.order == 'information':
      raise orders.needs_rows(self.order)
    return super()._draw_order()

  def structure(self, data):
    if self.order != 'information':
      return super().structure(data)
    made = self.clone(order='given').structure(data)
    weight_LxL = orders.mutual_information(data)
    order, across = [int(weight_LxL.sum(0).argmax())], self._across()
    for place in range(1, self.num_labels):
      gain_L = np.zeros(self.num_labels)
      if place % across:
        gain_L += weight_LxL[order[place - 1]]
      if place >= across:
        gain_L += weight_LxL[order[place - across]]
      gain_L[order] = -1
      order.append(int(gain_L.argmax()))
    return made | {'order': np.array(order, np.int32)}

  def counted(self, mask_BxL):
    known_BxL = jnp.where(jnp.isnan(self.constant_L)[None], mask_BxL, 1.0)
    known_BxLx2 = jnp.where(
      self.parent_Lx2[None] < 0, 1.0, known_BxL[:, self.parent_Lx2]
    )
    return mask_BxL * known_BxLx2.prod(-1)

  def _logits_of(self, features_BxKxH, y_BxL, label_K):
    """BxK: the logits of some labels."""
    kernel_Kx2xH = self.kernel_Lx2xH[label_K]
    parent_Kx2 = self.parent_Lx2[label_K]
    y_BxKx2 = jnp.where(parent_Kx2[None] < 0, 0, y_BxL[:, parent_Kx2])
    # Not the other way round: the product is in the kernel's precision.
    y_BxKx2 = y_BxKx2.astype(kernel_Kx2xH.dtype)
    hidden_BxKxH = features_BxKxH + jnp.einsum(
      'bkp,kph->bkh', y_BxKx2, kernel_Kx2xH
    )
    if not self.hidden:
      return hidden_BxKxH[..., 0]
    out_BxK = jnp.einsum(
      'bkh,kh->bk', nn.gelu(hidden_BxKxH), self.out_LxH[label_K]
    )
    return out_BxK + self.bias_L[label_K][None]

  def _features(self, h):
    return self.from_h(h).reshape(len(h), self.num_labels, -1)

  def logits(self, h, y_BxL):
    labels_L = jnp.arange(self.num_labels)
    return self._logits_of(self._features(h), y_BxL, labels_L)

  def start(self, h):
    return self._features(h), jnp.zeros((len(h), self.num_labels))

  def step(self, memory, carry, prev_B, step):
    y_BxL = self.feed(carry, prev_B, step)
    label_1 = self.order_L[step][None]
    return y_BxL, self._logits_of(memory[:, label_1], y_BxL, label_1)[:, 0]

  def log_odds(self, h, y_BxL, label):
    """The logit of one label, given all others -> B; the work of 3 links.

    Its own link and those of the two labels that look at it have a say.
    """
    label_3 = jnp.append(self.child_Lx2[label], label)
    features_Bx3xH = self._features(h)[:, label_3]
    constant_3 = self.constant_L[label_3]
    y_BxL = y_BxL.astype(jnp.float32)
    log_prob_Bx3 = []
    for value in (1.0, 0.0):
      y_BxL = y_BxL.at[:, label].set(value)
      logits_Bx3 = self._logits_of(features_Bx3xH, y_BxL, label_3)
      logits_Bx3 = self._pin(logits_Bx3, constant_3[None])
      log_prob_Bx3.append(-losses.bce(logits_Bx3, y_BxL[:, label_3]))
    says_Bx3 = log_prob_Bx3[0] - log_prob_Bx3[1]
    there_1x3 = (label_3 >= 0)[None]
    return jnp.where(there_1x3, says_Bx3, 0).sum(-1)
