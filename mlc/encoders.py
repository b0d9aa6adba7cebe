"""x -> h_BxD. Encoders are the only code that looks into x."""

from flax import linen as nn

from mlc.errors import InputError


class Linear(nn.Module):
  """h = x: every head or link on it is then linear in the features."""

  @nn.compact
  def __call__(self, x_BxD, *, train: bool = False):
    return x_BxD


class MLP(nn.Module):
  """Dense, layer norm, GELU and dropout, once per entry of `widths`."""

  widths: tuple[int, ...] = (256,)
  dropout: float = 0.0

  @nn.compact
  def __call__(self, x_BxD, *, train: bool = False):
    if min(self.widths, default=1) < 1 or not 0 <= self.dropout < 1:
      raise InputError(
        f'MLP of widths {self.widths} and dropout {self.dropout}: give widths'
        ' of 1 or more and a dropout in [0, 1)'
      )
    h = x_BxD
    for width in self.widths:
      h = nn.gelu(nn.LayerNorm()(nn.Dense(width)(h)))
      h = nn.Dropout(self.dropout, deterministic=not train)(h)
    return h
