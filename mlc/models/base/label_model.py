"""What every dependency model is."""

from typing import Any, ClassVar

from flax import linen as nn
import jax
import jax.numpy as jnp

from mlc import layers, orders
from mlc.errors import InputError

# Capability -> the method that says how probable label sets are; a model that
# gives scores has none.
LIKELIHOODS = {
  'steps': 'log_prob',
  'joint': 'log_prob',
  'conditionals': 'pseudo_log_prob',
  'bound': 'log_prob_bound',
  'scores': '',
}


def all_label_sets(num_labels: int) -> jax.Array:
  """UxL int8, U = 2^L: row u is u in binary, label 0 the highest bit."""
  if num_labels > 20:
    raise InputError(
      f'exact enumeration of 2^{num_labels} label sets: it stops at 20 labels;'
      ' use beam or monte_carlo'
    )
  shifts_L = jnp.arange(num_labels - 1, -1, -1)
  bits_UxL = (jnp.arange(2**num_labels)[:, None] >> shifts_L[None]) & 1
  return bits_UxL.astype(jnp.int8)


def batch_size(x) -> int:
  """The length of the leading axis that all leaves of x share."""
  return jax.tree.leaves(x)[0].shape[0]


def refuse_soft(data, name: str) -> None:
  """Raises InputError where labels are soft, for the model `name`."""
  if (data.labels.y_NxL.data != 1).any():
    raise InputError(
      f'{data.name} has soft labels, which belong to no label set: train'
      f' another model than {name} on it'
    )


def drawn_order(model) -> jax.Array:
  """The order L that `model.order` names, at init; one of data is given."""
  if model.order == 'random':
    return jax.random.permutation(model.make_rng('order'), model.num_labels)
  order_L = orders.listed(model.order, model.num_labels)
  if order_L is None:
    raise orders.needs_rows(model.order)
  return jnp.array(order_L)


class LabelModel(nn.Module):
  """p(y | x) over y in {0,1}^L.

  capability: what the model can do, and so which contract it is held to.
    'steps': normalised and decoded step by step; 'joint': normalised;
    'conditionals': p(y_l | x, other labels) alone; 'bound': a bound of log p,
    and draws; 'scores': numbers to rank labels by and to cut at 1/2.
  independent: the labels are independent given x, so that `marginals` is the
    whole posterior.
  """

  num_labels: int
  encoder: nn.Module | None = None

  # A property where it depends on a field.
  capability: ClassVar[Any]
  independent: ClassVar[bool] = False
  # Does its own loss make its outputs probabilities? A property where that
  # depends on a field.
  proper: ClassVar[Any] = True
  # Does the model take `layers.Tokens`, or one vector?
  reads_tokens: ClassVar[bool] = False

  def structure(self, data) -> dict[str, Any]:
    """Arrays of the collection 'structure' that `data` (a Dataset) decides."""
    return {}

  def encode(self, x, *, train: bool = False) -> Any:
    """h_BxH, or layers.Tokens for a model that reads them."""
    assert self.encoder is not None, f'{type(self).__module__} has no encoder'
    h = self.encoder(x, train=train)
    return layers.as_tokens(h) if self.reads_tokens else layers.pooled(h)

  def log_prob(self, x, y_BxL) -> jax.Array:
    """Log p(y | x) -> B, in nats."""
    raise NotImplementedError

  def sample(self, x, key) -> jax.Array:
    """One draw of y for each row of x -> BxL."""
    raise NotImplementedError

  def loss(self, x, y_BxL, mask_BxL, *, train: bool = False):
    """(loss_B, weight_B): the mean loss is sum(loss_B) / sum(weight_B).

    A label whose mask is 0 is missing: its y is not looked at.
    """
    raise NotImplementedError

  @property
  def has_marginals(self) -> bool:
    """Whether `marginals` is there."""
    return type(self).marginals is not LabelModel.marginals

  def marginals(self, x) -> jax.Array:
    """P(y_l = 1 | x) -> BxL, where there is a closed form."""
    raise NotImplementedError
