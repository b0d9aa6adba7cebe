"""Answers of models that give any labels given any others."""

import jax
import jax.numpy as jnp

from mlc.errors import InputError
from mlc.inference import steps
from mlc.inference.takes import takes
from mlc.models import base
from mlc.posterior import Marginals


@takes('conditionals')
def one_pass(model, variables, x, key=None, *, given_BxL=None) -> Marginals:
  """P(y_l = 1 | x, given labels): no other label is known. One pass."""
  y_BxL, known_BxL, h = _start('one_pass', model, variables, x, given_BxL)
  logits_BxL = _logits(model, variables, h, y_BxL, known_BxL)
  p_BxL = jax.nn.sigmoid(logits_BxL)
  return Marginals(jnp.where(known_BxL, y_BxL, p_BxL))


@takes('conditionals')
def iterative(
  model, variables, x, key=None, *, given_BxL=None, rounds: int = 10
) -> Marginals:
  """A label set, the surest labels first, each fixed and then known.

  Round r of R fixes labels until r / R of the free ones are, those that are
  surest given all that is known; what is fixed stays. rounds = 1 is `one_pass`
  cut at 1/2, rounds = L fixes a label at a time. The set has the place of the
  mode; marginals are those of `one_pass`. Cost: `rounds` passes.
  Source: Ghazvininejad et al. (EMNLP 2019), Sect. 3: mask-predict, whose number
  of unknown ones also falls by the same share in each round, but which may
  take back what it said.

  Raises:
    InputError: fewer than one round; a model that gives a label only given all
      others.
  """
  if rounds < 1:
    raise InputError(f'iterative with rounds={rounds}: give 1 or more')
  start_BxL, given_BxL, h = _start('iterative', model, variables, x, given_BxL)
  free_B = (~given_BxL).sum(-1)

  def fix(state, number):
    y_BxL, known_BxL = state
    logits_BxL = _logits(model, variables, h, y_BxL, known_BxL)
    # Those known already come first; ties by index.
    sure_BxL = jnp.where(known_BxL, jnp.inf, jnp.abs(logits_BxL))
    place_BxL = jnp.argsort(jnp.argsort(-sure_BxL, axis=-1), axis=-1)
    fixed_B = given_BxL.sum(-1) + -(-free_B * number // rounds)
    y_BxL = jnp.where(known_BxL, y_BxL, (logits_BxL > 0).astype(y_BxL.dtype))
    return (y_BxL, place_BxL < fixed_B[:, None]), logits_BxL

  numbers = jnp.arange(1, rounds + 1)
  (y_BxL, _), logits_RxBxL = jax.lax.scan(fix, (start_BxL, given_BxL), numbers)
  p_BxL = jnp.where(given_BxL, start_BxL, jax.nn.sigmoid(logits_RxBxL[0]))
  return Marginals(p_BxL, y_BxL.astype(jnp.int8))


def _start(method, model, variables, x, given_BxL):
  """-> (y_BxL float, known_BxL, h): what is given, and the encoding."""
  if not isinstance(model, base.Conditional):
    name = type(model).__module__.rpartition('.')[-1]
    raise InputError(
      f'{method} on {name}: it gives a label only given all others; take gibbs'
      ' or mean_field'
    )
  given_BxL = steps.check_given(given_BxL, model, x)
  shape = base.batch_size(x), model.num_labels
  if given_BxL is None:
    given_BxL = jnp.full((1, model.num_labels), -1)
  given_BxL = jnp.broadcast_to(given_BxL, shape)
  h = model.apply(variables, x, method='encode')
  return (given_BxL == 1).astype(jnp.float32), given_BxL >= 0, h


def _logits(model, variables, h, y_BxL, known_BxL):
  known_BxL = known_BxL.astype(jnp.float32)
  logits_BxL = model.apply(variables, h, y_BxL, known_BxL, method='given_known')
  return logits_BxL.astype(jnp.float32)
