"""Binary relevance by L separate networks: nothing is shared."""

from flax import linen as nn

from mlc.models import independent


class Model(independent.Model):
  """p(y | x) = prod_l s(y_l; w_l . h_l(x) + b_l), an encoder h_l per label.

  Label l looks at no label. Cost of training and decoding: L encoders, run as
  one vmapped program.
  Source: Tsoumakas & Katakis (IJDWM 2007), Sect. 3 (binary relevance).
  """

  def make_head(self):
    return nn.vmap(
      nn.Dense,
      variable_axes={'params': 0},
      split_rngs={'params': True},
      axis_size=self.num_labels,
    )(1)

  def encode(self, x, *, train: bool = False):
    """-> h_LxBxH."""
    encode = nn.vmap(
      lambda encoder, x: encoder(x, train=train),
      variable_axes={'params': 0},
      split_rngs={'params': True, 'dropout': True},
      in_axes=None,  # pyright: ignore[reportArgumentType]
      axis_size=self.num_labels,
    )
    return encode(self.encoder, x)

  def logits(self, h, y_BxL):
    return self.head(h)[..., 0].T
