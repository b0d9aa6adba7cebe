"""Conditional Ising model: every pair of labels has a weight."""

from typing import ClassVar

from flax import linen as nn
import jax.numpy as jnp

from mlc.models import base


class Model(base.Energy):
  """p(y | x) = exp(b(h(x)) . y + sum_{i<j} w_ij y_i y_j) / Z(x).

  All labels look at each other. With `features` a pair's weight is w_ij + u_ij
  . h(x). Normalised over all 2^L label sets, L <= 20. Cost of training and
  decoding: 2^L L for each row, with `features` 2^L L^2; memory 2^L (B + L),
  with `features` 2^L (B + L^2).
  Source: Ghamrawi & McCallum (CIKM 2005): CML, with `features` CMLF; one
  weight for a pair where they have one for each of its four values (the other
  three are in b and Z).
  """

  features: bool = False

  form: ClassVar[str] = 'multilinear'

  def setup(self):
    super().setup()
    self.unary = nn.Dense(self.num_labels)
    self.first_P, self.second_P = jnp.triu_indices(self.num_labels, 1)
    if self.features:
      self.pairs = nn.Dense(len(self.first_P))
    else:
      zeros = nn.initializers.zeros
      self.pair_P = self.param('pairs', zeros, self.first_P.shape)

  def score(self, h, y_UxL):
    unary_BxL = self.unary(h)
    y_UxL = y_UxL.astype(unary_BxL.dtype)
    score_BxU = _product(unary_BxL, y_UxL.T)
    if self.features:
      both_UxP = y_UxL[:, self.first_P] * y_UxL[:, self.second_P]
      return score_BxU + _product(self.pairs(h), both_UxP.T)
    pair_LxL = jnp.zeros((self.num_labels,) * 2, self.pair_P.dtype)
    pair_LxL = pair_LxL.at[self.first_P, self.second_P].set(self.pair_P)
    return score_BxU + (_product(y_UxL, pair_LxL) * y_UxL).sum(-1)[None]


def _product(a, b):
  """Summed in float32: Z takes small differences of large scores."""
  return jnp.matmul(a, b, preferred_element_type=jnp.float32)
