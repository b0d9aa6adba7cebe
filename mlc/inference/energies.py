"""What the methods for energy models share."""

import jax
import jax.numpy as jnp

from mlc.errors import InputError
from mlc.models import base


def check(method: str, model, forms: tuple[str, ...]) -> None:
  """Raises InputError unless `model` has a score of one of the `forms`."""
  name = type(model).__module__.rpartition('.')[-1]
  if not isinstance(model, base.Energy):
    raise InputError(
      f'{method} on {name}: it takes a model that scores whole label sets, such'
      ' as ising; take monte_carlo'
    )
  if model.form == 'table':
    raise InputError(
      f'{method} on {name}: its scores are a table of label sets, not a'
      ' function of labels; take exact'
    )
  if model.form not in forms:
    raise InputError(
      f'{method} on {name}: its score is not linear in each label, so its mean'
      ' is not its value at the marginals; take gibbs'
    )


def log_odds(model, variables, h, y_BxCxL, label) -> jax.Array:
  """Score with the label on, less that with it off -> BxC.

  h: the encoding, with a leading axis B. y: C label sets of each row.
  """

  def of_row(h, y_CxL):
    y_2CxL = (
      jnp.concatenate([y_CxL, y_CxL])
      .at[:, label]
      .set(jnp.repeat(jnp.array([1, 0], y_CxL.dtype), len(y_CxL)))
    )
    score_1x2C = model.apply(
      variables, jax.tree.map(lambda a: a[None], h), y_2CxL, method='score'
    )
    on_C, off_C = jnp.split(score_1x2C[0].astype(jnp.float32), 2)
    return on_C - off_C

  return jax.vmap(of_row)(h, y_BxCxL)
