"""The whole p(y | x), enumerated where it is small."""

import jax
import jax.numpy as jnp

from mlc.inference import ensembles, steps
from mlc.models import base
from mlc.posterior import Candidates, Posterior, Product


def exact(model, variables, x, key=None) -> Posterior:
  """The whole p(y | x): a Product, a support, or all 2^L sets for L <= 20."""
  if model.independent:
    return Product(model.apply(variables, x, method='marginals'))
  if isinstance(model, base.Energy):
    return support(model, variables, x)
  if isinstance(model, base.Ensemble):
    if not isinstance(model.member, base.Autoregressive):
      return ensembles.union(model, variables, x, lambda m, v: exact(m, v, x))
    return _mean_of_trees(model, variables, x)
  y_UxL, logw_BxU = _tree(model, variables, x)
  return Candidates(y_UxL[None], logw_BxU)


def _tree(model, variables, x) -> tuple[jax.Array, jax.Array]:
  """All label sets y_UxL and their log p(y | x), BxU.

  The steps double the prefixes, so L labels cost 2^(L+1) steps of a prefix
  where scoring each label set by itself would cost L 2^L.
  """
  # Leaf u chose bit t of u in step t.
  steps_UxL = base.all_label_sets(model.num_labels)[:, ::-1]
  memory, carry = steps.begin(model, variables, x)
  carry_size = 1 if model.carry_is_prefix else base.batch_size(x)
  carry = jax.tree.map(lambda a: a[:carry_size], carry)
  advance = steps.advance(model, variables, memory)
  prev_BxS = jnp.zeros((carry_size, 1), jnp.int32)
  logw_BxS = jnp.zeros((base.batch_size(x), 1))
  for step in range(model.num_labels):
    carry, logp_BxSxV = advance(carry, prev_BxS, step)
    logw_BxS = jnp.concatenate(
      [logw_BxS + logp_BxSxV[..., 0], logw_BxS + logp_BxSxV[..., 1]], axis=1
    )
    prev_S = jnp.repeat(jnp.arange(2), 2**step)
    prev_BxS = jnp.tile(prev_S, (carry_size, 1))
    carry = jax.tree.map(lambda a: jnp.concatenate([a, a], axis=1), carry)
  return model.apply(variables, steps_UxL, method='to_labels'), logw_BxS


def _mean_of_trees(model, variables, x) -> Candidates:
  """The enumeration of an ensemble whose members decode in steps."""
  num_labels = model.num_labels
  power_L = 2 ** jnp.arange(num_labels - 1, -1, -1)

  def add(total_BxU, member_variables):
    y_UxL, logw_BxU = _tree(model.member, member_variables, x)
    # Each member lists the label sets by its own order: sort to a common one.
    logw_BxU = logw_BxU[:, jnp.argsort(y_UxL @ power_L)]
    return jnp.logaddexp(total_BxU, logw_BxU), None

  # A member at a time: memory holds two enumerations, not K.
  total_BxU = jnp.full((base.batch_size(x), 2**num_labels), -jnp.inf)
  total_BxU, _ = jax.lax.scan(add, total_BxU, model.member_variables(variables))
  return Candidates(
    base.all_label_sets(num_labels)[None], total_BxU - jnp.log(model.size)
  )


def support(model, variables, x) -> Candidates:
  """The label sets of an energy model, all of them."""
  logw_BxU = model.apply(variables, x, method='log_probs')
  support_UxL = variables['structure']['support']
  return Candidates(support_UxL[None], logw_BxU)
