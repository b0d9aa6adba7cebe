"""Layers that models share."""

from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np


class Dropout(nn.Module):
  """h with a share `rate` of its cells 0 and the others divided by 1 - rate.

  The rate is rounded to a multiple of 2^-16, also in the division: on a CPU
  drawing is a third of a small step, and a word gives two cells their bits.
  Source: Srivastava et al. (JMLR 2014), Sect. 10.
  """

  rate: float

  @nn.compact
  def __call__(self, h, *, train: bool):
    dropped = min(round(self.rate * 2**16), 2**16 - 1)
    if not train or not dropped:
      return h
    key = self.make_rng('dropout')
    words_C = jax.random.bits(key, (-(-h.size // 2),), jnp.uint32)
    bits_2C = jnp.concatenate([words_C & 0xFFFF, words_C >> 16])
    keep = bits_2C[: h.size].reshape(h.shape) >= np.uint32(dropped)
    return jnp.where(keep, h / (1 - dropped / 2**16), 0)


def orthogonal(key, shape, dtype=jnp.float32):
  """A random orthogonal matrix, the initializer of recurrent kernels.

  One matrix at a time under `vmap`: two QR decompositions of many matrices wait
  for each other for ever where the CPU has few threads (jaxlib 0.10.2).
  """

  def draw(key):
    return nn.initializers.orthogonal()(key, shape, dtype)

  return jax.custom_batching.sequential_vmap(draw)(key)


class Tokens(NamedTuple):
  """What an encoder knows of parts of x; mask: True where there is a token."""

  h_BxTxH: jax.Array
  mask_BxT: jax.Array


def as_tokens(h) -> Tokens:
  """Tokens as they are; a vector h_BxH is one."""
  if isinstance(h, Tokens):
    return h
  return Tokens(h[:, None], jnp.ones((len(h), 1), bool))


def pooled(h):
  """The mean of tokens -> BxH; anything else as it is."""
  if not isinstance(h, Tokens):
    return h
  mask_BxTx1 = h.mask_BxT[..., None].astype(h.h_BxTxH.dtype)
  count_Bx1 = jnp.maximum(mask_BxTx1.sum(1), 1)
  return (h.h_BxTxH * mask_BxTx1).sum(1) / count_Bx1


class LabelTokens(nn.Module):
  """What a label decoder reads: the label before, and which label is next.

  token_t = value of label order[t-1] (a start token if t = 0) + query of label
  order[t]. A value in [0, 1] lies between the embeddings of 0 and of 1;
  with `unknown`, NaN has an embedding of its own.
  """

  num_labels: int
  width: int
  unknown: bool = False

  def setup(self):
    init = nn.initializers.normal(1.0)
    shape = (self.num_labels, self.width)
    self.off_LxH = self.param('off_embedding', init, shape)
    self.on_LxH = self.param('on_embedding', init, shape)
    self.query_LxH = self.param('query_embedding', init, shape)
    self.start_H = self.param('start_embedding', init, shape[1:])
    if self.unknown:
      self.unknown_LxH = self.param('unknown_embedding', init, shape)

  def __call__(self, y_BxL, order_L):
    """-> BxTxH, T = L tokens in the order of prediction."""
    before_T = order_L[:-1]
    y_BxTx1 = y_BxL[:, before_T, None].astype(self.off_LxH.dtype)
    unknown_BxTx1 = jnp.isnan(y_BxTx1)
    if self.unknown:
      y_BxTx1 = jnp.where(unknown_BxTx1, 0, y_BxTx1)
    off_TxH, on_TxH = self.off_LxH[before_T], self.on_LxH[before_T]
    value_BxTxH = (1 - y_BxTx1) * off_TxH[None] + y_BxTx1 * on_TxH[None]
    if self.unknown:
      unknown_TxH = self.unknown_LxH[before_T]
      value_BxTxH = jnp.where(unknown_BxTx1, unknown_TxH[None], value_BxTxH)
    start_Bx1xH = jnp.broadcast_to(self.start_H, (len(y_BxL), 1, self.width))
    token_BxTxH = jnp.concatenate([start_Bx1xH, value_BxTxH], axis=1)
    return token_BxTxH + self.query_LxH[order_L][None]

  def step(self, prev_B, step, order_L):
    """-> BxH, the token of one step."""
    last = order_L[step - 1]
    value_BxH = jnp.where(
      (prev_B == 1)[:, None], self.on_LxH[last][None], self.off_LxH[last][None]
    )
    value_BxH = jnp.where(step > 0, value_BxH, self.start_H[None])
    return value_BxH + self.query_LxH[order_L[step]][None]


class Readout(nn.Module):
  """One logit per token, by the weights of the label it predicts."""

  num_labels: int

  @nn.compact
  def __call__(self, h_H, label):
    """All tokens: BxTxH, labels T -> BxT. One: BxH, a label -> B."""
    kernel_LxH = self.param(
      'kernel',
      nn.initializers.lecun_normal(in_axis=1, out_axis=()),
      (self.num_labels, h_H.shape[-1]),
    )
    bias_L = self.param('bias', nn.initializers.zeros, (self.num_labels,))
    kernel, bias = kernel_LxH[label], bias_L[label]
    return (h_H * kernel[None]).sum(-1) + bias[None]


class Block(nn.Module):
  """Pre-norm transformer block, for a whole sequence or a step with a cache.

  Source: Vaswani et al. (NIPS 2017), Sect. 3; norm first: Xiong et al. (ICML
  2020), Fig. 1b.
  """

  width: int
  heads: int

  def setup(self):
    shape = (self.heads, self.width // self.heads)
    self.norm_attention, self.norm_mlp = nn.LayerNorm(), nn.LayerNorm()
    # Not one projection that is cut in three: that was slower on a CPU.
    self.query = nn.DenseGeneral(shape)
    self.key = nn.DenseGeneral(shape)
    self.value = nn.DenseGeneral(shape)
    self.out = nn.DenseGeneral(self.width, axis=(-2, -1))
    self.widen, self.narrow = nn.Dense(4 * self.width), nn.Dense(self.width)

  def _mlp(self, h):
    return h + self.narrow(nn.gelu(self.widen(self.norm_mlp(h))))

  def __call__(self, h_BxTxH, mask_TxT):
    """mask_TxT: True where token t (row) may look at token s (column)."""
    h = self.norm_attention(h_BxTxH)
    mixed = jax.nn.dot_product_attention(
      self.query(h), self.key(h), self.value(h), mask=mask_TxT[None, None]
    )
    return self._mlp(h_BxTxH + self.out(mixed))

  def step(self, h_BxH, cache, step):
    """One token, looking at the tokens up to it -> (h_BxH, cache).

    cache: (keys, values) of all T tokens, each BxNxTxH, N heads of H: what one
    head reads is together, which is five times as fast on a CPU as BxTxNxH.
    """
    h = self.norm_attention(h_BxH)
    keys_BxNxTxH, values_BxNxTxH = cache
    keys_BxNxTxH = keys_BxNxTxH.at[:, :, step].set(self.key(h))
    values_BxNxTxH = values_BxNxTxH.at[:, :, step].set(self.value(h))
    query_BxNxH = self.query(h) / np.sqrt(self.width // self.heads)
    logits_BxNxT = jnp.einsum(
      'bnh,bnth->bnt',
      query_BxNxH,
      keys_BxNxTxH,
      preferred_element_type=jnp.float32,
    )
    later_T = jnp.arange(logits_BxNxT.shape[-1]) > step
    logits_BxNxT = jnp.where(later_T[None, None], -jnp.inf, logits_BxNxT)
    weight_BxNxT = jax.nn.softmax(logits_BxNxT).astype(h.dtype)
    mixed_BxNxH = jnp.einsum('bnt,bnth->bnh', weight_BxNxT, values_BxNxTxH)
    cache = keys_BxNxTxH, values_BxNxTxH
    return self._mlp(h_BxH + self.out(mixed_BxNxH)), cache

  def empty_cache(self, h_BxH, tokens: int):
    """Of the dtype of h, the input of the first step."""
    shape = (len(h_BxH), self.heads, tokens, self.width // self.heads)
    return (jnp.zeros(shape, h_BxH.dtype),) * 2


class CrossAttention(nn.Module):
  """h + attention of its tokens to others, whose keys and values are made once.

  Pre-norm; the softmax is in float32, which that of flax's own layer is not.
  Source: Vaswani et al. (NIPS 2017), Sect. 3.2.3.
  """

  width: int
  heads: int

  def setup(self):
    shape = (self.heads, self.width // self.heads)
    self.norm, self.norm_tokens = nn.LayerNorm(), nn.LayerNorm()
    self.query = nn.DenseGeneral(shape)
    self.key = nn.DenseGeneral(shape)
    self.value = nn.DenseGeneral(shape)
    self.out = nn.DenseGeneral(self.width, axis=(-2, -1))

  def read(self, tokens: Tokens):
    """(keys, values, mask_BxT) of the tokens."""
    token_BxTxH = self.norm_tokens(tokens.h_BxTxH)
    return self.key(token_BxTxH), self.value(token_BxTxH), tokens.mask_BxT

  def __call__(self, h_BxQxH, keys, values, mask_BxT):
    """-> BxQxH; what was read in three arguments."""
    mixed = jax.nn.dot_product_attention(
      self.query(self.norm(h_BxQxH)),
      keys,
      values,
      mask=mask_BxT[:, None, None],
    )
    return h_BxQxH + self.out(mixed)


class CrossBlock(nn.Module):
  """Queries attend to each other, if they may, then to tokens; then an MLP."""

  width: int
  heads: int
  self_attention: bool = False

  def setup(self):
    if self.self_attention:
      self.among = CrossAttention(self.width, self.heads)
    self.across = CrossAttention(self.width, self.heads)
    self.norm = nn.LayerNorm()
    self.widen, self.narrow = nn.Dense(4 * self.width), nn.Dense(self.width)

  def __call__(self, query_BxQxH, tokens: Tokens):
    """-> BxQxH; queries of all rows alike may have B = 1."""
    if self.self_attention:
      every_BxQ = jnp.ones(query_BxQxH.shape[:2], bool)
      among = self.among.read(Tokens(query_BxQxH, every_BxQ))
      query_BxQxH = self.among(query_BxQxH, *among)
    shape = len(tokens.h_BxTxH), *query_BxQxH.shape[1:]
    query_BxQxH = jnp.broadcast_to(query_BxQxH, shape)
    h_BxQxH = self.across(query_BxQxH, *self.across.read(tokens))
    widened = nn.gelu(self.widen(self.norm(h_BxQxH)))
    return h_BxQxH + self.narrow(widened)
