"""Rules that may keep silent: posterior -> answers BxL, 0, 1 or -1 (silent)."""

import jax
import jax.numpy as jnp

from mlc.decisions.choose import per_label
from mlc.errors import InputError
from mlc.posterior import Posterior, marginals


def abstain(posterior: Posterior, cost=0.25) -> jax.Array:
  """Least expected sum of errors and of costs of silence -> BxL int8.

  A wrong label costs 1, a silent one `cost`, a number or a tuple of L: silent
  where cost < min(p, 1 - p), else as `hamming`; so never from 1/2 on. Ties are
  answered. Source: Chow, IEEE Trans. Information Theory 16, 1970; for each
  label, Nguyen and Huellermeier, AAAI 2020 (their linear penalty of a silent
  label).

  Raises:
    InputError: a cost that is negative or not finite, or not one for each
      label.
  """
  p_BxL = marginals(posterior)
  cost_1xL = per_label(cost, p_BxL.shape[-1], 'decision abstain: cost')
  if (cost_1xL < 0).any():
    raise InputError(f'decision abstain: cost={cost!r}: give 0 or more')
  answer_BxL = (p_BxL > 0.5).astype(jnp.int8)
  silent_BxL = cost_1xL < jnp.minimum(p_BxL, 1 - p_BxL)
  return jnp.where(silent_BxL, jnp.int8(-1), answer_BxL)
