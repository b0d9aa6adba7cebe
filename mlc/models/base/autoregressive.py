"""Models that predict one label after the other."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from mlc import feeding, losses, missing, orders
from mlc.errors import InputError
from mlc.models.base.label_model import (
  LabelModel,
  all_label_sets,
  batch_size,
  drawn_order,
)


class Autoregressive(LabelModel):
  """p(y | x) = prod_l Bernoulli(y_l | logits_l(h, labels before l)).

  Write `logits`. `start` and `step` are a slow default in terms of it, for a
  model to replace where it can go on from what the earlier steps computed.

  order: 'given' (label 0 first), 'random' (drawn at init), '2,0,1', or by the
    data: 'frequency', 'rare', 'entropy', 'tree' or 'searched' (see
    mlc/orders.py): the labels in the order of prediction. y, logits and
    answers keep their ORIGINAL columns.
  missing: what the loss makes of missing labels, 'complete', 'marginal' or
    'unknown' (see mlc/missing.py). At prediction time nothing is unknown.
  feeding: which labels before a label looks at in training: the true ones
    ('teacher') or the model's own ('predicted'; 'scheduled', more of them with
    every step, the later the larger `decay` is). See mlc/feeding.py.
  agnostic: every training batch has an order of its own, and any order may
    stand in the structure at test time.
  """

  order: str = 'given'
  missing: str = 'complete'
  feeding: str = 'teacher'
  decay: float = 100.0
  agnostic: bool = False

  capability: ClassVar[str] = 'steps'
  # Does the carry depend on the labels chosen alone, not on x? Enumeration
  # then holds it once for the whole batch, and `step` gets it with B = 1.
  carry_is_prefix: ClassVar[bool] = False
  # Does `logits` take NaN in y for a label that is not known?
  feeds_unknown: ClassVar[bool] = False
  # Does `observed_log_prob` sum labels out with any number of them?
  sums_by_messages: ClassVar[bool] = False
  # May labels be predicted in any order? Not where a graph decides it.
  any_order: ClassVar[bool] = True

  @property
  def proper(self) -> bool:
    """Fed with its own answers the loss is of no likelihood."""
    return self.feeding == 'teacher'

  def setup(self):
    missing.check(self)
    feeding.check(self)
    # An independent model's cells sum missing labels out as they are.
    self.sums_out = self.missing == 'marginal' and not self.independent
    self.order_L = self.variable('structure', 'order', self._draw_order).value
    self.constant_L = self.variable(
      'structure', 'constant', lambda: jnp.full(self.num_labels, jnp.nan)
    ).value

  def structure(self, data):
    # A label that is constant in training has its maximum likelihood at
    # infinite logits: it gets a fixed, finite one instead (NaN elsewhere).
    arrays = {'constant': np.asarray(data.constant_L, np.float32)}
    order_L = orders.of_data(self.order, data)
    return arrays if order_L is None else arrays | {'order': order_L}

  def _draw_order(self):
    return drawn_order(self)

  def logits(self, h, y_BxL) -> jax.Array:
    """BxL, in original columns; column l sees only labels before l in order.

    In any float dtype: what is made of logits is float32.
    """
    raise NotImplementedError

  def counted(self, mask_BxL) -> jax.Array:
    """BxL: 1 where a label and all the labels it looks at are observed."""
    if self.missing == 'unknown':
      return mask_BxL
    # A label that is constant in training tells the others nothing, and may
    # be missing throughout: it takes none of them along.
    known_BxL = jnp.where(jnp.isnan(self.constant_L)[None], mask_BxL, 1.0)
    known_BxT = jnp.cumprod(jnp.take(known_BxL, self.order_L, axis=1), axis=1)
    return mask_BxL * self.to_labels(known_BxT)

  def _pin(self, logits, constant):
    """float32, and the constant where there is one."""
    logits = logits.astype(jnp.float32)
    return jnp.where(jnp.isnan(constant), logits, constant)

  def _pinned(self, h, y_BxL):
    return self._pin(self.logits(h, y_BxL), self.constant_L[None])

  def cells(self, x, y_BxL, mask_BxL, *, train: bool = False):
    """(logits_BxL, counted_BxL): each label's logit given what it is fed.

    Of an independent model these are scores, which depend on no label.
    counted: 1 where the cell belongs in a loss. y where the mask is 0 is not
    looked at.
    """
    if train and self.agnostic:
      return feeding.in_any_order(self, '_cells', x, y_BxL, mask_BxL)
    return self._cells(x, y_BxL, mask_BxL, train)

  def _cells(self, x, y_BxL, mask_BxL, train):
    """`cells` in the order that stands."""
    if self.sums_out:
      raise InputError(
        "missing='marginal' sums over label sets, which only the likelihood"
        " can: use the loss 'likelihood', or missing='complete'"
      )
    blank = jnp.nan if self.missing == 'unknown' else 0.0
    y_BxL = jnp.where(mask_BxL > 0, y_BxL, blank)
    h = self.encode(x, train=train)
    if train and self.feeding != 'teacher':
      y_BxL, known_BxL = feeding.fed(self, h, y_BxL, mask_BxL)
      return self._pinned(h, y_BxL), mask_BxL * self.counted(known_BxL)
    return self._pinned(h, y_BxL), self.counted(mask_BxL)

  def log_prob_given(self, h, y_BxL):
    """Log p(y | h) -> B, h the encoding of x."""
    y_BxL = y_BxL.astype(jnp.float32)
    return -losses.bce(self._pinned(h, y_BxL), y_BxL).sum(-1)

  def log_prob(self, x, y_BxL):
    return self.log_prob_given(self.encode(x), y_BxL)

  def loss(self, x, y_BxL, mask_BxL, *, train: bool = False):
    if train and self.agnostic:
      return feeding.in_any_order(self, '_loss', x, y_BxL, mask_BxL)
    return self._loss(x, y_BxL, mask_BxL, train)

  def _loss(self, x, y_BxL, mask_BxL, train):
    known_BxL = jnp.where(mask_BxL > 0, y_BxL, 0.0)
    if self.sums_out:
      h = self.encode(x, train=train)
      log_prob_B = self.observed_log_prob(h, known_BxL, mask_BxL)
      return -log_prob_B * mask_BxL.any(-1), mask_BxL.mean(-1)
    logits_BxL, counted_BxL = self._cells(x, y_BxL, mask_BxL, train)
    nll_BxL = losses.bce(logits_BxL, known_BxL)
    return (nll_BxL * counted_BxL).sum(-1), counted_BxL.mean(-1)

  def observed_log_prob(self, h, y_BxL, mask_BxL):
    """Log p(observed labels | h) -> B: a sum over all 2^L label sets."""
    sets_UxL = all_label_sets(self.num_labels)
    return missing.observed_log_prob(self, h, y_BxL, mask_BxL, sets_UxL)

  def begin(self, x):
    """-> (memory, carry) before the first step.

    Every leaf of `carry` has a leading axis B and belongs to one label prefix;
    `memory` is what all prefixes of an example share.
    """
    return self.start(self.encode(x))

  def advance(self, memory, carry, prev_B, step):
    """Predicts the label order[step] -> (carry, logp_Bx2).

    prev_B: the value chosen in the step before; 0 in the first step.
    """
    carry, logit_B = self.step(memory, carry, prev_B, step)
    logit_B = self._pin(logit_B, self.constant_L[self.order_L[step]])
    return carry, losses.bernoulli(logit_B)

  def start(self, h):
    """Memory and carry from the encoding: here h and the labels so far."""
    return h, jnp.zeros((batch_size(h), self.num_labels))

  def step(self, memory, carry, prev_B, step):
    """-> (carry, logit_B) of the label order[step]."""
    y_BxL = self.feed(carry, prev_B, step)
    return y_BxL, self.logits(memory, y_BxL)[:, self.order_L[step]]

  @property
  def num_values(self) -> int:
    """V: what a step chooses from."""
    return 2

  @property
  def num_paths(self) -> int:
    """How many sequences of values there are."""
    return 2**self.num_labels

  def num_steps(self) -> int:
    """T: how many values a sequence has."""
    return self.num_labels

  def ended(self, value, length):
    """Whether a sequence of `length` values that ends in `value` is whole."""
    return jnp.broadcast_to(length == self.num_labels, jnp.shape(value))

  def clamp(self, carry, logp_Bx2, given_BxL, step):
    """logp, -inf at the values that go against the given labels.

    given_BxL: as `inference.steps.advance` takes it. carry: that which
    `advance` gave with logp.
    """
    given_B = given_BxL[:, self.order_L[step]]
    return jnp.stack(
      [
        jnp.where(given_B == 1 - value, -jnp.inf, logp_Bx2[:, value])
        for value in range(2)
      ],
      axis=-1,
    )

  def remaining(self, memory, carry, prev_B, step, depth: int):
    """Log of an upper bound, B: how probable the best labels to come are.

    Of the labels order[step:] given those before, order[step - 1] = prev_B
    among them; 0 is a bound of whatever is not looked at. Here the next label
    alone is: of those after it a model at large says nothing before.

    depth: how many labels to look at, 1 or more.
    """
    _, logp_BxV = self.advance(memory, carry, prev_B, step)
    return jnp.where(step < self.num_labels, logp_BxV.max(-1), 0)

  def feed(self, y_BxL, prev_B, step):
    """`y_BxL` with the value of the step before filled in."""
    # In the first step this writes prev = 0 over the last label's 0.
    return y_BxL.at[:, self.order_L[step - 1]].set(prev_B.astype(y_BxL.dtype))

  def to_labels(self, values):
    """Values in the order of steps (...xL) -> y in original columns (...xL)."""
    return values[..., jnp.argsort(self.order_L)]

  def sample(self, x, key):
    # A plain lax.scan may not close over a bound module.
    model, variables = self.unbind()
    memory, carry = self.begin(x)

    def body(state, step):
      carry, prev_B = state
      out: Any = model.apply(
        variables, memory, carry, prev_B, step, method='advance'
      )
      carry, logp_BxV = out
      prev_B = jax.random.categorical(jax.random.fold_in(key, step), logp_BxV)
      return (carry, prev_B), prev_B

    start = carry, jnp.zeros(batch_size(x), jnp.int32)
    _, values_TxB = jax.lax.scan(body, start, jnp.arange(self.num_labels))
    return self.to_labels(values_TxB.T)
