"""x -> h_BxD. Encoders are the only code that looks into x."""

from flax import linen as nn

from mlc import inputs, layers
from mlc.data.features import Inputs
from mlc.errors import InputError


class Linear(nn.Module):
  """h = x: every head or link on it is then linear in the features.

  Sparse and categorical columns are written out, for the rows at hand.
  """

  @nn.compact
  def __call__(self, x, *, train: bool = False):
    return inputs.written_out(x)


class MLP(nn.Module):
  """Dense, layer norm, GELU and dropout, once per entry of `widths`."""

  widths: tuple[int, ...] = (256,)
  dropout: float = 0.0

  @nn.compact
  def __call__(self, x, *, train: bool = False):
    if min(self.widths, default=1) < 1 or not 0 <= self.dropout < 1:
      raise InputError(
        f'MLP of widths {self.widths} and dropout {self.dropout}: give widths'
        ' of 1 or more and a dropout in [0, 1)'
      )
    wide = (
      isinstance(x, Inputs) and x.width > inputs.LOOKUP_WIDTH and self.widths
    )
    h = x if wide else inputs.written_out(x)
    for width in self.widths:
      dense = inputs.LookUp if isinstance(h, Inputs) else nn.Dense
      h = nn.gelu(nn.LayerNorm()(dense(width)(h)))
      h = layers.Dropout(self.dropout)(h, train=train)
    return h
