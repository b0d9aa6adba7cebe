"""Draws from p(y | x)."""

import jax
import jax.numpy as jnp

from mlc.errors import InputError
from mlc.inference import ensembles
from mlc.models import base
from mlc.posterior import Candidates


def monte_carlo(model, variables, x, key, *, samples: int = 100) -> Candidates:
  """Independent draws from p(y | x), of equal weight (Read et al. 2014)."""
  if samples < 1:
    raise InputError(f'{samples} samples: give 1 or more')
  if isinstance(model, base.Ensemble):
    # The same number from each member (stratified): fewer wasted draws.
    if samples % model.size:
      raise InputError(
        f'{samples} samples from {model.size} members: give a multiple of'
        f' {model.size}'
      )
    members = model.member_variables(variables)
    draws = jax.vmap(
      lambda v, k: monte_carlo(
        model.member, v, x, k, samples=samples // model.size
      )
    )(members, jax.random.split(key, model.size))
    return ensembles.flatten(draws)
  y_SxBxL = jax.vmap(lambda k: model.apply(variables, x, k, method='sample'))(
    jax.random.split(key, samples)
  )
  y_BxSxL = jnp.swapaxes(y_SxBxL, 0, 1)
  return Candidates(y_BxSxL, jnp.zeros(y_BxSxL.shape[:2]))
