"""The masked label transformer: what it hides, what it sees, what it learns."""

import functools
import itertools

import contract
from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from mlc import data as data_lib
from mlc import encoders, inference, layers, loop
from mlc.errors import InputError
from mlc.models import independent, masked_transformer

B, L, SETS_UxL = contract.B, contract.L, contract.SETS_UxL
SMALL = {'width': 8, 'heads': 2, 'depth': 1}


@functools.cache
def case(**fields):
  return contract.case(
    contract.make(masked_transformer.Model, **SMALL, **fields)
  )


def bce(c, known_BxL) -> np.ndarray:
  """BxL: -log p(y_l | x, known), the model's own logits in float64."""
  h = c.apply('encode', c.x)
  known_BxL = jnp.asarray(known_BxL, jnp.float32)
  logits_BxL = np.asarray(c.apply('given_known', h, c.y, known_BxL), float)
  return -np.log(special.expit(np.where(c.y > 0, logits_BxL, -logits_BxL)))


def draws(c, mask_BxL, count):
  """countxB: the training loss under as many keys, and the last weights."""

  def one(key):
    return c.model.apply(
      c.variables,
      *(c.x, jnp.where(mask_BxL > 0, c.y, jnp.nan), jnp.asarray(mask_BxL)),
      train=True,
      rngs={'dropout': key},
      method='loss',
    )

  keys = jax.random.split(jax.random.key(0), count)
  loss, weight = jax.jit(jax.vmap(one))(keys)
  return np.asarray(loss, float), np.asarray(weight[-1])


def expected(c, mask_L, hidden):
  """B: the mean over all ways to hide so many of the observed labels."""
  observed = np.flatnonzero(mask_L)
  ways = list(itertools.combinations(observed, hidden))
  total_B = np.zeros(B)
  for way in ways:
    known_BxL = np.tile(mask_L, (B, 1)).astype(float)
    known_BxL[:, way] = 0
    total_B += bce(c, known_BxL)[:, way].mean(1) * len(observed)
  return total_B / len(ways)


@pytest.mark.parametrize('mask_L', [[1, 1, 1, 1], [1, 0, 1, 1]])
def test_the_loss_is_the_mean_over_all_that_may_be_hidden(mask_L):
  # Of 4 or 3 labels, half or a little more are always 2.
  c = case(least_unknown=0.5, most_unknown=0.5)
  mask_BxL = np.tile(np.float32(mask_L), (B, 1))
  loss_NxB, weight_B = draws(c, mask_BxL, 2000)
  np.testing.assert_array_equal(weight_B, mask_BxL.mean(1))
  error_B = 5 * loss_NxB.std(0) / np.sqrt(2000)
  off_B = np.abs(loss_NxB.mean(0) - expected(c, np.array(mask_L), 2))
  assert (off_B <= error_B + 1e-5).all()
  assert len(np.unique(loss_NxB[:, 0].round(5))) > 2  # Different ones.


def test_shares_are_uniform_from_the_least_to_the_most():
  c = case()
  loss_NxB, _ = draws(c, np.ones((B, L), np.float32), 4000)
  every = np.ones(L, int)
  mean_B = (
    sum(expected(c, every, hidden) for hidden in (2, 3, 4)) / 3
  )  # A share of just 1/4 alone hides one of four.
  error_B = 5 * loss_NxB.std(0) / np.sqrt(4000)
  assert (np.abs(loss_NxB.mean(0) - mean_B) <= error_B).all()


def test_all_hidden_is_the_same_with_and_without_draws():
  c = case(least_unknown=1.0, most_unknown=1.0)
  mask_BxL = np.ones((B, L), np.float32)
  loss_NxB, _ = draws(c, mask_BxL, 2)
  plain_B = bce(c, np.zeros((B, L))).sum(1)
  np.testing.assert_allclose(loss_NxB[0], plain_B, rtol=1e-5)
  np.testing.assert_allclose(loss_NxB[1], plain_B, rtol=1e-5)
  loss_B, _ = c.apply('loss', c.x, c.y, jnp.asarray(mask_BxL))
  np.testing.assert_allclose(loss_B, plain_B, rtol=1e-5)


def test_a_missing_label_is_not_looked_at_in_training_either():
  c = case()
  mask_BxL = np.float32(np.random.default_rng(1).random((B, L)) < 0.6)
  mask_BxL[0] = 0
  loss_NxB, weight_B = draws(c, mask_BxL, 3)
  assert np.isfinite(loss_NxB).all()
  assert (loss_NxB[:, 0] == 0).all()
  np.testing.assert_allclose(weight_B, mask_BxL.mean(1))


def test_a_known_label_is_told_from_an_unknown_one_by_the_others():
  c = case()
  h = c.apply('encode', c.x)
  found = {}
  for value, known in ((0, 1), (1, 1), (0, 0), (1, 0)):
    y_BxL = c.y.at[:, 2].set(value)
    known_BxL = jnp.zeros(c.y.shape).at[:, 2].set(known)
    logits_BxL = c.apply('given_known', h, y_BxL, known_BxL)
    found[value, known] = np.delete(np.asarray(logits_BxL), 2, axis=1)
  np.testing.assert_array_equal(found[0, 0], found[1, 0])
  for a, b in itertools.combinations([(0, 1), (1, 1), (0, 0)], 2):
    assert np.abs(found[a] - found[b]).min(0).max() > 1e-3


class Padded(nn.Module):
  """Three tokens, of which a row has as many as its first feature says."""

  @nn.compact
  def __call__(self, x, *, train=False):
    return layers.Tokens(
      x[:, 1:].reshape(-1, 3, 2), jnp.arange(3)[None] < x[:, :1]
    )


def test_tokens_that_are_not_there_are_not_looked_at():
  model = masked_transformer.Model(num_labels=L, encoder=Padded(), **SMALL)
  x = np.random.default_rng(0).normal(size=(2, 7)).astype(np.float32)
  x[:, 0] = 2
  other = x.copy()
  other[:, 5:] += 1  # Of the third token.
  args = jnp.asarray(x), jnp.zeros((2, L)), jnp.ones((2, L))
  variables = model.init(jax.random.key(0), *args, method='loss')
  passes = jax.jit(functools.partial(inference.one_pass, model))
  same, changed = (passes(variables, a).p_BxL for a in (x, other))
  np.testing.assert_array_equal(same, changed)
  other[:, 3:5] += 1
  assert np.abs(same - passes(variables, other).p_BxL).max() > 1e-4


@pytest.mark.parametrize('shares', [(-0.1, 1.0), (0.5, 0.2), (0.5, 1.1)])
def test_shares_that_are_none_are_refused(shares):
  model = contract.make(
    masked_transformer.Model, least_unknown=shares[0], most_unknown=shares[1]
  )
  with pytest.raises(InputError, match=r'give shares of labels in \[0, 1\]'):
    contract.start(model)


# Of labels 2k and 2k + 1, by the sign of feature k: the mode has probability
# .4, and yet both labels are more often on than off.
PAIR_2x2 = np.array([[0.0, 0.3], [0.4, 0.3]])


def pairs_world(x_NxK):
  """NxU: p(y | x) of two pairs of labels, each turned by its feature."""
  p_NxU = np.ones((len(x_NxK), 2**L))
  for k in range(2):
    first_U, second_U = SETS_UxL[:, 2 * k], SETS_UxL[:, 2 * k + 1]
    p_NxU *= np.where(
      x_NxK[:, k, None] > 0,
      PAIR_2x2[second_U, first_U][None],
      PAIR_2x2[first_U, second_U][None],
    )
  return p_NxU


def test_it_finds_the_conditionals_and_modes_that_heads_miss():
  rng = np.random.default_rng(0)
  x_NxK = rng.choice([-1.0, 1.0], (4000, 2))
  index_N = [rng.choice(2**L, p=p_U) for p_U in pairs_world(x_NxK)]
  data = data_lib.from_arrays(x_NxK, SETS_UxL[index_N], name='pairs')
  x = np.array(list(itertools.product((-1.0, 1.0), repeat=2)), np.float32)
  p_NxU = pairs_world(x)
  config = contract.sgd(epochs=20, batch_size=200, l2=0.0)
  config.optimizer.update({'name': 'adamw', 'lr': 0.01, 'schedule': 'cosine'})

  def trained(cls, **fields):
    model = cls(num_labels=L, encoder=encoders.Linear(), **fields)
    fitted = loop.fit(model, data, config, [0]).variables
    return model, jax.tree.map(lambda a: jnp.asarray(a[0]), fitted)

  def regret(y_NxL):
    index_N = np.asarray(y_NxL).astype(int) @ (1 << np.arange(L)[::-1])
    return (p_NxU.max(1) - p_NxU[np.arange(len(x)), index_N]).mean()

  model, variables = trained(masked_transformer.Model, **SMALL | {'width': 16})
  for given_L in ([-1, -1, -1, -1], [1, -1, -1, -1], [-1, 1, 1, -1]):
    given_1xL = np.array([given_L])
    found = jax.jit(functools.partial(inference.one_pass, model))(
      variables, x, given_BxL=given_1xL
    )
    agree_U = ((given_1xL < 0) | (given_1xL == SETS_UxL)).all(1)
    given_NxU = p_NxU * agree_U[None]
    given_NxU /= given_NxU.sum(1, keepdims=True)
    error_NxL = np.abs(found.p_BxL - given_NxU @ SETS_UxL)
    assert error_NxL.mean() < 0.05
  answer = jax.jit(functools.partial(inference.iterative, model, rounds=L))(
    variables, x
  )
  assert regret(answer.mode_BxL) < 0.01
  config.optimizer.lr = 0.1  # They have a single layer.
  model, variables = trained(independent.Model)
  heads_NxL = np.asarray(model.apply(variables, x, method='marginals'))
  # Not for want of training: the true marginals miss the modes too.
  np.testing.assert_allclose(heads_NxL, p_NxU @ SETS_UxL, atol=0.05)
  assert regret(heads_NxL > 0.5) > 0.06
  assert regret(p_NxU @ SETS_UxL > 0.5) > 0.06
