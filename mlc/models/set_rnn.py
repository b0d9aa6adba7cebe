"""GRU or LSTM over the labels of a set: each step looks at those on before."""

from typing import ClassVar

from flax import linen as nn
import jax
import jax.numpy as jnp

from mlc import layers
from mlc.errors import nearest
from mlc.models import base


class Model(base.Sequence):
  """p(path | x) = prod_t softmax(W_o tanh(W s_t + V c_t)), see base.Sequence.

  s_t = cell(s_{t-1}, [embedding of the value before; c_{t-1}]); c_t: additive
  attention of s_t over the encoder's tokens, v . tanh(A s_t + U token). A
  label looks at the labels of the set before it in the order, those that are
  off among them by their absence. Cost of training and of decoding one path: a
  step for each label of the longest path, width^2 + width (tokens + L) each.
  Probabilities of label sets are proper (masks='order'); with masks='repeats'
  those of paths.

  cell: 'gru' or 'lstm'. attention: else c is the mean token.
  global_embedding: the value before comes with the mean embedding under its
    own distribution (before the masks), mixed by a gate.
  Source: Nam et al. (NIPS 2017), a sequence of the positive labels; SGM: Yang
  et al. (COLING 2018), attention, masks and global embedding.
  """

  width: int = 64
  cell: str = 'gru'
  attention: bool = True
  global_embedding: bool = False

  reads_tokens: ClassVar[bool] = True

  def setup(self):
    super().setup()
    cells = {'gru': nn.GRUCell, 'lstm': nn.OptimizedLSTMCell}
    if self.cell not in cells:
      raise nearest(self.cell, cells, 'cell')
    num_values = self.num_labels + 1
    # END is read by no step that counts: its place is that of the start.
    self.embedding = nn.Embed(num_values, self.width)
    self.first_state = nn.Dense(self.width)
    self.recurrent = cells[self.cell](
      self.width, recurrent_kernel_init=layers.orthogonal
    )
    self.token = nn.Dense(self.width)
    if self.attention:
      self.key, self.query = nn.Dense(self.width), nn.Dense(self.width)
      self.attend = nn.Dense(1, use_bias=False)
    if self.global_embedding:
      self.gate = nn.Dense(self.width)
    self.hidden = nn.Dense(self.width)
    self.readout = nn.Dense(num_values)

  def _context(self, memory, state_BxH):
    token_BxNxH, key_BxNxH, mask_BxN = memory
    if not self.attention:
      return layers.pooled(layers.Tokens(token_BxNxH, mask_BxN))
    query_Bx1xH = self.query(state_BxH)[:, None]
    score_BxN = self.attend(jnp.tanh(key_BxNxH + query_Bx1xH))[..., 0]
    # Not -inf: a row may have no token at all.
    score_BxN = jnp.where(mask_BxN, score_BxN.astype(jnp.float32), -1e30)
    weight_BxN = jax.nn.softmax(score_BxN).astype(token_BxNxH.dtype)
    return jnp.einsum('bn,bnh->bh', weight_BxN, token_BxNxH)

  def start(self, h):
    token_BxNxH = self.token(h.h_BxTxH)
    key_BxNxH = self.key(h.h_BxTxH) if self.attention else ()
    memory = token_BxNxH, key_BxNxH, h.mask_BxT
    state_BxH = jnp.tanh(self.first_state(layers.pooled(h)))
    context_BxH = self._context(memory, state_BxH)
    logits_BxV = ()
    if self.global_embedding:
      shape = len(state_BxH), self.num_labels + 1
      logits_BxV = jnp.zeros(shape, state_BxH.dtype)
    if self.cell == 'lstm':
      state_BxH = jnp.zeros_like(state_BxH), state_BxH
    return memory, (state_BxH, context_BxH, logits_BxV)

  def step(self, memory, carry, prev_B, step):
    state, context_BxH, logits_BxV = carry
    read_BxH = self.embedding(jnp.where(step > 0, prev_B, self.num_labels))
    if self.global_embedding:
      p_BxV = jax.nn.softmax(logits_BxV.astype(jnp.float32))
      mean_BxH = p_BxV.astype(read_BxH.dtype) @ self.embedding.embedding
      gate_BxH = nn.sigmoid(self.gate(jnp.concatenate([read_BxH, mean_BxH], 1)))
      gate_BxH = jnp.where(step > 0, gate_BxH, 0)
      read_BxH = (1 - gate_BxH) * read_BxH + gate_BxH * mean_BxH
    read_BxH = jnp.concatenate([read_BxH, context_BxH], axis=1)
    state, out_BxH = self.recurrent(state, read_BxH)
    context_BxH = self._context(memory, out_BxH)
    both_BxH = jnp.concatenate([out_BxH, context_BxH], axis=1)
    own_BxV = self.readout(jnp.tanh(self.hidden(both_BxH)))
    logits_BxV = own_BxV if self.global_embedding else ()
    return (state, context_BxH, logits_BxV), own_BxV

  def logits(self, h, values_BxT):
    memory, carry = self.start(h)
    prev_BxT = jnp.pad(values_BxT[:, :-1], ((0, 0), (1, 0)))

    def body(model, carry, inputs):
      return model.step(memory, carry, *inputs)

    run = nn.scan(
      body,
      variable_broadcast=['params', 'structure'],
      split_rngs={'params': False},
      out_axes=1,
    )
    _, logits_BxTxV = run(self, carry, (prev_BxT.T, self.steps_T))
    return logits_BxTxV
