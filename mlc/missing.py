"""What an autoregressive model's loss makes of labels that are missing.

'complete': label l counts in the rows where it and all labels that it looks at
  are observed. Unbiased where labels are missing at random.
'marginal': the likelihood of the observed labels, the others summed out: no
  observed label is lost, at 2^L times the cost (on trees at L messages).
'unknown': a missing label is fed on as an input of its own. Biased where the
  links are linear: the logit of the next label is then linear given each of 0
  and 1, but not given 'unknown', and they share the weights of x.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp

from mlc.errors import InputError, nearest

WAYS = ('complete', 'marginal', 'unknown')
# 4,096 label sets, each at the cost of a plain loss.
MOST_SUMMED = 12
# Label sets at once: the sum takes the memory of so many plain losses.
AT_ONCE = 64


def check(model) -> None:
  """Raises InputError where `model` cannot go the way it is told to."""
  way, name = model.missing, type(model).__module__.rpartition('.')[2]
  if way not in WAYS:
    raise nearest(way, WAYS, 'way with missing labels')
  if way == 'unknown' and not model.feeds_unknown:
    raise InputError(
      f"missing='unknown' of {name}: it has no input for an unknown label; use"
      " 'complete'" + (" or 'marginal'" if not model.independent else '')
    )
  enumerates = not (model.independent or model.sums_by_messages)
  if way == 'marginal' and enumerates and model.num_labels > MOST_SUMMED:
    raise InputError(
      f"missing='marginal' sums over 2^{model.num_labels} label sets: it stops"
      f" at {MOST_SUMMED} labels; use 'complete'"
    )


def observed_log_prob(model, h, y_BxL, mask_BxL, sets_UxL) -> jax.Array:
  """Log of the sum of p(y | x) over all y that agree with the observed -> B.

  model: has log_prob_given(h, y_BxL) -> B. sets_UxL: all 2^L label sets.
  """
  chunk = min(AT_ONCE, len(sets_UxL))
  sets_CxKxL = sets_UxL.reshape(-1, chunk, model.num_labels)

  def one_set(model, set_L):
    filled_BxL = jnp.where(mask_BxL > 0, y_BxL, set_L[None])
    return model.log_prob_given(h, filled_BxL)

  each = nn.vmap(
    one_set,
    variable_axes={'params': None, 'structure': None},
    split_rngs={'params': False},
  )
  run = nn.scan(
    # Kept for the gradient: nothing, or the chunks would save no memory.
    nn.remat(lambda model, _, sets_KxL: ((), each(model, sets_KxL))),
    variable_broadcast=['params', 'structure'],
    split_rngs={'params': False},
  )
  _, log_prob_CxKxB = run(model, (), sets_CxKxL)
  log_prob_UxB = log_prob_CxKxB.reshape(len(sets_UxL), -1)
  # Filled in, many sets are the same: it counts where it has 0 for observed.
  once_UxB = (sets_UxL @ mask_BxL.T) == 0
  return jax.nn.logsumexp(log_prob_UxB, axis=0, where=once_UxB)
