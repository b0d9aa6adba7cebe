"""Causal transformer over labels: label l attends to every label before it."""

from typing import ClassVar

from flax import linen as nn
import jax.numpy as jnp

from mlc import layers
from mlc.models import base


class Model(base.Autoregressive):
  """p(y | x) = prod_t s(y_t; r_t . f(token_1..t) + b_t), f causal attention.

  token_t holds the label before, the label to predict and h(x). Trained by
  teacher forcing. Cost of training: L tokens of width^2 and L^2 of width; of
  one step of one prefix, with cached keys and values: width^2 + L width.
  remat: blocks keep their inputs only, and are run again for the gradient.
  Source: Vaswani et al. (NIPS 2017), Sect. 3; over labels: Yang et al. (ACL
  2019), Sect. 3.
  """

  width: int = 64
  heads: int = 4
  depth: int = 2
  remat: bool = False

  feeds_unknown: ClassVar[bool] = True

  def setup(self):
    super().setup()
    self.tokens = layers.LabelTokens(
      self.num_labels, self.width, unknown=self.missing == 'unknown'
    )
    self.context = nn.Dense(self.width)
    block = nn.remat(layers.Block) if self.remat else layers.Block
    self.blocks = [block(self.width, self.heads) for _ in range(self.depth)]
    self.norm = nn.LayerNorm()
    self.readout = layers.Readout(self.num_labels)

  def logits(self, h, y_BxL):
    h_BxTxH = self.tokens(y_BxL, self.order_L) + self.context(h)[:, None]
    mask_TxT = jnp.tril(jnp.ones((self.num_labels,) * 2, bool))
    for block in self.blocks:
      h_BxTxH = block(h_BxTxH, mask_TxT)
    return self.to_labels(self.readout(self.norm(h_BxTxH), self.order_L))

  def start(self, h):
    h_BxH = self.context(h)
    caches = [
      block.empty_cache(h_BxH, self.num_labels) for block in self.blocks
    ]
    return h_BxH, caches

  def step(self, memory, carry, prev_B, step):
    h_BxH = memory + self.tokens.step(prev_B, step, self.order_L)
    caches = []
    for block, cache in zip(self.blocks, carry, strict=True):
      h_BxH, cache = block.step(h_BxH, cache, step)
      caches.append(cache)
    return caches, self.readout(self.norm(h_BxH), self.order_L[step])
