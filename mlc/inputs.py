"""x with sparse and categorical columns, opened on the device."""

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mlc.data.features import Inputs

jax.tree_util.register_dataclass(
  Inputs,
  data_fields=['dense', 'ids', 'values', 'categorical'],
  meta_fields=['num_sparse', 'num_values'],
)

# Looking a row of the kernel up costs some 200 times what a column costs that
# is written out, and so about as much where one in 200 columns is on.
LOOKUP_WIDTH = 16_384


class LookUp(nn.Module):
  """nn.Dense of `Inputs` that does not write their columns out."""

  features: int

  @nn.compact
  def __call__(self, x: Inputs):
    shape = x.width, self.features
    kernel = self.param('kernel', nn.linear.default_kernel_init, shape)
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    ids_BxZ, values_BxZ = _lookups(x)
    num_dense = x.dense.shape[1]
    h = x.dense @ kernel[:num_dense] + bias[None]
    return h + jnp.einsum('bz,bzh->bh', values_BxZ, kernel[num_dense + ids_BxZ])


def written_out(x) -> jax.Array:
  """A batch with all its columns: BxD, sparse ones and one-hot values too."""
  if not isinstance(x, Inputs):
    return x
  ids_BxZ, values_BxZ = _lookups(x)
  rows_Bx1 = jnp.arange(len(x.dense))[:, None]
  shape = len(x.dense), x.width - x.dense.shape[1]
  rest = jnp.zeros(shape, values_BxZ.dtype)
  rest = rest.at[rows_Bx1, ids_BxZ].add(values_BxZ)
  return jnp.concatenate([x.dense, rest], axis=1)


def unpacked(x, limit_bytes: float):
  """`written_out` in NumPy for rows at rest, where no encoder looks rows up.

  x as it is where that takes more than `limit_bytes`.
  """
  if not isinstance(x, Inputs) or x.width > LOOKUP_WIDTH:
    return x
  num_rows, num_dense = x.dense.shape
  if num_rows * x.width * x.dense.itemsize > limit_bytes:
    return x
  out = np.zeros((num_rows, x.width), x.dense.dtype)
  out[:, :num_dense] = x.dense
  rows = np.arange(num_rows)
  for ids_B, values_B in zip(x.ids.T, x.values.T, strict=True):
    out[rows, num_dense + ids_B] += values_B
  start = num_dense + x.num_sparse
  for value_B, count in zip(x.categorical.T, x.num_values, strict=True):
    known_B = value_B >= 0
    out[rows[known_B], start + value_B[known_B]] = 1
    start += count
  return out


def _lookups(x: Inputs):
  """Sparse and categorical columns as (ids, values); 0 pads."""
  starts_C = x.num_sparse + np.cumsum([0, *x.num_values])[:-1]
  known_BxC = x.categorical >= 0
  ids_BxC = jnp.where(known_BxC, x.categorical + starts_C[None], 0)
  return (
    jnp.concatenate([x.ids, ids_BxC], axis=1),
    jnp.concatenate([x.values, known_BxC], axis=1),
  )
