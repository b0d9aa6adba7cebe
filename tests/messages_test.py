"""Messages on chains and forests against enumeration; what forests span."""

import itertools

import contract
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse, special
from sklearn import linear_model

from mlc import data as data_lib
from mlc import messages, orders

L, B = 6, 30
SETS_UxL = np.array(list(itertools.product((0, 1), repeat=L)))
# Two trees: 4 over 1 and 5, 1 over 0 and 3; 2 by itself.
PARENT_L = np.array([1, 4, -1, 1, -1, 4], np.int32)
ORDER_L = np.array([4, 2, 1, 5, 3, 0], np.int32)


@pytest.fixture(scope='module')
def table():
  """logit_BxLx2, those of roots the same for both values."""
  logit_BxLx2 = np.random.default_rng(0).normal(0, 2, (B, L, 2))
  logit_BxLx2[:, PARENT_L < 0, 1] = logit_BxLx2[:, PARENT_L < 0, 0]
  return jnp.asarray(logit_BxLx2, jnp.float32)


def factors(table):
  """BxUxL: log p of each label given its parent, of all label sets."""
  logit_BxLx2 = np.asarray(table, float)
  above_UxL = np.where(PARENT_L >= 0, SETS_UxL[:, PARENT_L], 0)
  logit_BxUxL = np.where(
    above_UxL == 1, logit_BxLx2[:, None, :, 1], logit_BxLx2[:, None, :, 0]
  )
  return special.log_expit(np.where(SETS_UxL == 1, logit_BxUxL, -logit_BxUxL))


def joint(table):
  return np.exp(factors(table).sum(-1))


def test_chain_conditionals_are_of_the_enumerated_joint():
  rng = np.random.default_rng(1)
  unary_BxL, pair_BxL = rng.normal(0, 2, (2, B, L))
  both_UxL = SETS_UxL[:, 1:] * SETS_UxL[:, :-1]
  score_BxU = unary_BxL @ SETS_UxL.T + pair_BxL[:, 1:] @ both_UxL.T
  p_BxU = np.exp(score_BxU)
  found_BxLx2 = jax.jit(messages.chain)(
    jnp.asarray(unary_BxL, jnp.float32), jnp.asarray(pair_BxL, jnp.float32)
  )
  # The first label has none before it.
  np.testing.assert_array_equal(found_BxLx2[:, 0, 0], found_BxLx2[:, 0, 1])
  for step in range(L):
    for prefix in itertools.product((0, 1), repeat=step):
      same_U = (SETS_UxL[:, :step] == prefix).all(1)
      on_B, off_B = (
        p_BxU[:, same_U & (SETS_UxL[:, step] == v)].sum(1) for v in (1, 0)
      )
      before = prefix[-1] if prefix else 0
      np.testing.assert_allclose(
        found_BxLx2[:, step, before], np.log(on_B / off_B), atol=1e-4
      )


def test_a_chain_is_finite_at_extreme_scores():
  unary_BxL = jnp.array([[1e4, -1e4, 1e4, -1e4], [1e4, 1e4, 1e4, 1e4]])
  pair_1xL = jnp.array([[0.0, 1e4, -1e4, 1e4]])

  def total(unary_BxL, pair_1xL):
    return messages.chain(unary_BxL, pair_1xL).sum()

  found_BxLx2 = messages.chain(unary_BxL, pair_1xL)
  grads = jax.grad(total, argnums=(0, 1))(unary_BxL, pair_1xL)
  assert all(np.isfinite(a).all() for a in (found_BxLx2, *grads))
  # Label 3 is on for sure, 2 then costs what 1 gives.
  np.testing.assert_allclose(found_BxLx2[1, 3], [1e4, 2e4])
  np.testing.assert_allclose(found_BxLx2[1, 2], [2e4, 1e4])
  np.testing.assert_allclose(found_BxLx2[1, 1], [0, 1e4])


def test_marginals_are_those_of_the_enumeration(table):
  found_BxL = jax.jit(messages.marginals)(table, PARENT_L, ORDER_L)
  np.testing.assert_allclose(found_BxL, joint(table) @ SETS_UxL, atol=1e-6)


def test_given_labels_condition_the_marginals(table):
  given_BxL = np.full((B, L), -1)
  given_BxL[0, [0, 5]] = 1, 0
  given_BxL[1, [4, 2]] = 1, 1
  agree_BxU = (
    (given_BxL[:, None] < 0) | (given_BxL[:, None] == SETS_UxL[None])
  ).all(-1)
  p_BxU = np.where(agree_BxU, joint(table), 0)
  expected_BxL = p_BxU @ SETS_UxL / p_BxU.sum(1, keepdims=True)
  links = jax.jit(messages.given)(table, PARENT_L, ORDER_L, given_BxL)
  found_BxL = jax.jit(messages.marginals)(links, PARENT_L, ORDER_L)
  np.testing.assert_allclose(found_BxL, expected_BxL, atol=1e-6)


def test_best_is_the_best_of_all_below(table):
  found_BxLx2 = jax.jit(messages.best)(table, PARENT_L, ORDER_L)
  factor_BxUxL = factors(table)
  below = {0: [0], 3: [3], 5: [5], 2: [2], 1: [1, 0, 3], 4: [4, 1, 5, 0, 3]}
  for label, labels in below.items():
    parent = PARENT_L[label]
    for value in (0, 1):
      same_U = SETS_UxL[:, parent] == value if parent >= 0 else slice(None)
      best_B = factor_BxUxL[:, same_U][:, :, labels].sum(-1).max(1)
      np.testing.assert_allclose(
        found_BxLx2[:, label, value], best_B, atol=1e-5
      )


@pytest.mark.parametrize('seed', range(4))
def test_a_forest_is_hung_up_by_any_label(seed):
  rng, num_labels = np.random.default_rng(seed), 12
  name_L = rng.permutation(num_labels)
  forest_L = np.full(num_labels, -1, np.int32)
  for place in range(1, num_labels):  # A second tree begins at place 8.
    if place != 8:
      low = 8 if place > 8 else 0
      forest_L[name_L[place]] = name_L[rng.integers(low, place)]
  drawn_L = rng.permutation(num_labels).astype(np.int32)
  parent_L, order_L = map(
    np.asarray, jax.jit(messages.rooted)(forest_L, drawn_L)
  )

  def edges(parent_L):
    pairs = zip(parent_L.tolist(), range(num_labels), strict=True)
    return {frozenset(pair) for pair in pairs if pair[0] >= 0}

  assert edges(parent_L) == edges(forest_L)
  assert parent_L[drawn_L[0]] == -1
  assert (parent_L < 0).sum() == 2
  depth_L = np.zeros(num_labels, int)
  for label in range(num_labels):
    above = parent_L[label]
    while above >= 0:
      depth_L[label], above = depth_L[label] + 1, parent_L[above]
  expected = sorted(
    range(num_labels), key=lambda l: (depth_L[l], drawn_L.tolist().index(l))
  )
  np.testing.assert_array_equal(order_L, expected)


def shared(rows=600, seed=0):
  """Labels 0 and 1 share what x says; 1 and 2, 2 and 3 what it does not."""
  rng = np.random.default_rng(seed)
  x = rng.normal(size=(rows, 5))
  noise = rng.logistic(size=(rows, 4)) * 0.5
  noise[:, 2] = 0.3 * noise[:, 2] + noise[:, 1]
  noise[:, 3] = 0.3 * noise[:, 3] + noise[:, 2]
  signal = np.stack([x[:, 0], x[:, 0], x[:, 1], x[:, 2]], axis=1) * 3
  return x, (signal + noise > 0).astype(float)


def test_information_given_x_is_not_of_x():
  x, y = shared()
  data = data_lib.from_arrays(x, y)
  found_LxL = messages.information_given_x(data)
  assert min(found_LxL[1, 2], found_LxL[2, 3]) > 3 * found_LxL[0, 1]
  # As counts of labels have it, it is the other way round.
  marginal_LxL = orders.mutual_information(data)
  assert marginal_LxL[0, 1] > 10 * marginal_LxL[1:, 2].max()


@pytest.mark.parametrize('kind', ['dense', 'sparse'])
def test_information_given_x_is_the_score_of_a_weight(kind):
  x, y = shared(rows=100, seed=1)
  y[np.random.default_rng(0).random(y.shape) < 0.1] = np.nan
  given_x = x if kind == 'dense' else sparse.csr_array(x)
  data = data_lib.from_arrays(given_x, y)
  rows = data.splits['train']
  x, y = x[rows].astype(np.float32).astype(float), y[rows]
  p = np.full(y.shape, np.nan)
  for label, fold in itertools.product(range(4), range(5)):
    out = np.arange(len(y)) % 5 == fold
    fitted = ~out & ~np.isnan(y[:, label])
    head = linear_model.LogisticRegression(
      C=1, solver='newton-cholesky', tol=1e-12
    ).fit(x[fitted], y[fitted, label])
    p[out, label] = head.predict_proba(x[out])[:, 1]
  expected_LxL = np.zeros((4, 4))
  for i, j in itertools.permutations(range(4), 2):
    both = ~np.isnan(y[:, i]) & ~np.isnan(y[:, j])
    (a, b), (p_a, p_b) = y[both][:, [i, j]].T, p[both][:, [i, j]].T
    # The log-likelihood in a weight t near 0: t slope - t^2 curve / 2.
    slope = ((a - p_a) * (b - p_b)).sum()
    curve = (p_a * (1 - p_a) * p_b * (1 - p_b)).sum()
    expected_LxL[i, j] = slope**2 / curve / 2 / both.sum()
  found_LxL = messages.information_given_x(data)
  np.testing.assert_allclose(found_LxL, expected_LxL, rtol=5e-3, atol=1e-5)


def test_information_is_of_training_rows_alone():
  x, y = shared(rows=100)
  data = data_lib.from_arrays(x, y)
  others = np.concatenate([data.splits['valid'], data.splits['test']])
  y[others], x[others] = 1 - y[others], 9
  other = data_lib.from_arrays(x, y).with_splits(data.splits)
  np.testing.assert_array_equal(
    messages.information_given_x(data), messages.information_given_x(other)
  )


def test_a_label_that_never_varies_tells_nothing():
  x, y = shared(rows=100)
  y[:, 2] = 1
  found_LxL = messages.information_given_x(data_lib.from_arrays(x, y))
  assert np.isfinite(found_LxL).all()
  assert found_LxL[2].max() < 1e-3


def test_many_rows_are_sampled(monkeypatch):
  monkeypatch.setattr(messages, 'ROWS', 30)
  data = contract.dataset()
  rows = data.splits['train']
  rows = rows[[i * (len(rows) - 1) // 29 for i in range(30)]]
  few = data.with_splits(data.splits | {'train': rows})
  np.testing.assert_array_equal(
    messages.information_given_x(data), messages.information_given_x(few)
  )
