"""(scores, y) -> loss of every cell. The likelihood that all models share."""

import jax
import jax.numpy as jnp


def bce(logits: jax.Array, y: jax.Array) -> jax.Array:
  """Binary cross-entropy of each cell, in nats; `y` may be soft, in [0, 1].

  -y log s(z) - (1 - y) log s(-z). The shortcut -log s((2y - 1) z) agrees for
  y in {0, 1} only.
  """
  return -y * jax.nn.log_sigmoid(logits) - (1 - y) * jax.nn.log_sigmoid(-logits)


def bernoulli(logits: jax.Array) -> jax.Array:
  """Log p(0), log p(1) on a new last axis."""
  # One exp and one log for both, where two log_sigmoids take twice that.
  tail = jnp.log1p(jnp.exp(-jnp.abs(logits)))
  return jnp.stack(
    [-jnp.maximum(logits, 0) - tail, jnp.minimum(logits, 0) - tail], axis=-1
  )
