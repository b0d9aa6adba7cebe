"""Independent sigmoid heads on one shared encoder: the baseline."""

from typing import ClassVar

from flax import linen as nn
import jax

from mlc.models import base


class Model(base.Autoregressive):
  """p(y | x) = prod_l s(y_l; w_l . h(x) + b_l): label l looks at no label.

  With a linear encoder this is binary relevance by logistic regression. Cost
  of training and decoding: one pass of the encoder and DxL.
  Source: Tsoumakas & Katakis (IJDWM 2007), Sect. 3 (binary relevance).
  """

  independent: ClassVar[bool] = True
  carry_is_prefix: ClassVar[bool] = True

  def setup(self):
    super().setup()
    self.head = self.make_head()

  def make_head(self):
    return nn.Dense(self.num_labels)

  def counted(self, mask_BxL):
    return mask_BxL

  def logits(self, h, y_BxL):
    return self.head(h)

  def marginals(self, x):
    logits_BxL = self.logits(self.encode(x), None)
    return jax.nn.sigmoid(self._pin(logits_BxL, self.constant_L[None]))

  def start(self, h):
    return self.logits(h, None), ()

  def step(self, memory, carry, prev_B, step):
    return carry, memory[:, self.order_L[step]]
