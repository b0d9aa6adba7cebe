"""What is fitted on validation rows only and applied to the answers."""

import jax
import jax.numpy as jnp


def per_label_thresholds(
  p_NxL: jax.Array, y_NxL: jax.Array, mask_NxL: jax.Array
) -> jax.Array:
  """The cut of each label that maximises its F1 on these rows -> t_L.

  To be read with `decisions.threshold` (score > cut). Cuts lie midway between
  neighbouring distinct observed scores, which must be finite; the cut that
  answers every row "yes" lies midway between the lowest score and 0, or below
  all scores where the lowest is not above 0. Of equally good cuts the one
  nearest .5, then the higher. A label without observed positives keeps .5.
  Time O(L N log N). Source: SCut, Yang, SIGIR 2001.
  """
  seen_NxL = mask_NxL > 0
  # Unobserved cells sort last and count as nothing.
  fall_NxL, seen_NxL, y_NxL = jax.lax.sort(
    (jnp.where(seen_NxL, -p_NxL, jnp.inf), seen_NxL, seen_NxL & (y_NxL > 0.5)),
    dimension=0,
    num_keys=1,
  )
  high_NxL = -fall_NxL
  last_NxL = seen_NxL & ~jnp.roll(seen_NxL, -1, axis=0).at[-1].set(False)
  below_NxL = jnp.where(high_NxL > 0, 0, 2 * high_NxL - 1)
  low_NxL = jnp.where(last_NxL, below_NxL, jnp.roll(high_NxL, -1, axis=0))
  mid_NxL = low_NxL + (high_NxL - low_NxL) / 2
  # Midway between neighbouring floats may round up, and no longer divide them.
  cut_NxL = jnp.where(mid_NxL < high_NxL, mid_NxL, low_NxL)

  hits_NxL = jnp.cumsum(y_NxL, axis=0)
  size_NxL = jnp.cumsum(seen_NxL, axis=0) + hits_NxL[-1:]
  f1_NxL = 2 * hits_NxL / jnp.maximum(size_NxL, 1)
  f1_NxL = jnp.where(low_NxL < high_NxL, f1_NxL, -1)
  far_NxL = jnp.where(
    f1_NxL == f1_NxL.max(0, keepdims=True), jnp.abs(cut_NxL - 0.5), jnp.inf
  )
  best_1xL = jnp.argmin(far_NxL, axis=0, keepdims=True)
  t_L = jnp.take_along_axis(cut_NxL, best_1xL, axis=0)[0]
  return jnp.where(hits_NxL[-1] > 0, t_L, 0.5)
