"""A world that is one of our own label models with fixed variables."""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from mlc.data.synthetic.base import INPUTS, LABELS, World, number, stream


@dataclasses.dataclass(frozen=True, eq=False)
class ModelWorld(World):
  """p(y | x) of `model` with `variables`, and x standard normal.

  model: a `LabelModel` of capability 'steps' or 'joint'.
  variables: what its `init` gave, or training.
  p(y | x) is as exact as the model's own float32 arithmetic, at any L that the
  model itself can do.
  """

  model: Any
  variables: Any
  num_features: int = number(10, 1)

  @property
  def num_labels(self) -> int:
    """L of the model."""
    return self.model.num_labels

  def inputs(self, num_rows, seed):
    x_NxD = stream(INPUTS, seed).normal(size=(num_rows, self.num_features))
    return x_NxD.astype(np.float32)

  @functools.cached_property
  def _apply(self):
    """The compiled (x, S arguments, method) -> Sx..., not all S at once."""

    def apply(variables, x, each, method):
      def one(argument):
        return self.model.apply(variables, x, argument, method=method)

      return jax.lax.map(one, each, batch_size=256)

    return functools.partial(
      jax.jit(apply, static_argnames='method'), self.variables
    )

  def log_prob(self, x_BxD, y_BxSxL):
    x_BxD = self.rows(x_BxD).astype(np.float32)
    y_SxBxL = np.broadcast_to(
      np.swapaxes(y_BxSxL, 0, 1),
      (np.shape(y_BxSxL)[1], len(x_BxD), self.num_labels),
    )
    return np.asarray(self._apply(x_BxD, y_SxBxL, method='log_prob'), float).T

  def sample(self, x_BxD, seed, num_samples=1):
    key = jax.random.key(stream(LABELS, seed).integers(2**31))
    keys_S = jax.random.split(key, num_samples)
    x_BxD = self.rows(x_BxD).astype(np.float32)
    y_SxBxL = self._apply(x_BxD, keys_S, method='sample')
    return np.swapaxes(np.asarray(y_SxBxL, np.int8), 0, 1)
