"""GRU label decoder: label l looks at a state that has read all before it."""

from typing import ClassVar

from flax import linen as nn
import jax.numpy as jnp

from mlc import layers
from mlc.models import base


class Model(base.Autoregressive):
  """p(y | x) = prod_t s(y_t; r_t . s_t + b_t), s_t = GRU(s_{t-1}, token_t).

  token_t holds the label before, the label to predict and h(x), so that the
  state need not remember x. Trained by teacher forcing. Cost of training and
  of decoding one prefix: L steps of width^2 each.
  remat: steps keep their state only, and are run again for the gradient.
  Source: Nam et al. (NIPS 2017), Sect. 3 (recurrent chain over binary labels);
  GRU: Cho et al. (EMNLP 2014), Sect. 2.3.
  """

  width: int = 64
  remat: bool = False

  feeds_unknown: ClassVar[bool] = True

  def setup(self):
    super().setup()
    self.tokens = layers.LabelTokens(
      self.num_labels, self.width, unknown=self.missing == 'unknown'
    )
    self.context = nn.Dense(self.width)
    self.first_state = nn.Dense(self.width)
    self.cell = nn.GRUCell(self.width, recurrent_kernel_init=layers.orthogonal)
    self.readout = layers.Readout(self.num_labels)

  def logits(self, h, y_BxL):
    token_BxTxH = self.tokens(y_BxL, self.order_L)
    token_BxTxH += self.context(h)[:, None]

    def read(cell, state_BxH, token_BxH):
      return cell(state_BxH, token_BxH)

    run = nn.scan(
      nn.remat(read, prevent_cse=False) if self.remat else read,
      variable_broadcast='params',
      split_rngs={'params': False},
      in_axes=1,
      out_axes=1,
    )
    state_BxH = jnp.tanh(self.first_state(h))
    _, state_BxTxH = run(self.cell, state_BxH, token_BxTxH)
    return self.to_labels(self.readout(state_BxTxH, self.order_L))

  def start(self, h):
    return self.context(h), jnp.tanh(self.first_state(h))

  def step(self, memory, carry, prev_B, step):
    token_BxH = memory + self.tokens.step(prev_B, step, self.order_L)
    state_BxH, _ = self.cell(carry, token_BxH)
    return state_BxH, self.readout(state_BxH, self.order_L[step])
