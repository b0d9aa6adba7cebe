"""Layers that models share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlc import layers


def dropped(rate, h, seed=0, train=True):
  layer, key = layers.Dropout(rate), jax.random.key(seed)
  return np.asarray(layer.apply({}, h, train=train, rngs={'dropout': key}))


@pytest.mark.parametrize('rate', [0.1, 0.5, 0.8])
def test_dropout_keeps_its_share_and_the_mean(rate):
  out = dropped(rate, jnp.ones((999, 101)))
  # Five standard deviations of a share of that many draws.
  margin = 5 * np.sqrt(rate * (1 - rate) / out.size)
  assert abs((out == 0).mean() - rate) < margin
  np.testing.assert_allclose(out[out != 0], 1 / (1 - rate), rtol=1e-4)


def test_dropout_draws_cells_independently():
  keep = dropped(0.5, jnp.ones((400, 300))) > 0
  first, second = keep.ravel()[:60000], keep.ravel()[60000:]  # One word each.
  for a, b in ((first, second), (keep[:, 1:], keep[:, :-1])):
    assert abs((a == b).mean() - 0.5) < 5 * 0.5 / np.sqrt(a.size)


def test_dropout_lets_pass_what_is_not_trained():
  h = jnp.arange(6.0).reshape(2, 3)
  np.testing.assert_array_equal(dropped(0.5, h, train=False), h)
  np.testing.assert_array_equal(dropped(0.0, h), h)


def test_dropout_differs_by_key_and_keeps_the_type():
  h = jnp.ones((50, 7), jnp.bfloat16)
  assert dropped(0.5, h).dtype == jnp.bfloat16
  assert (dropped(0.5, h) != dropped(0.5, h, seed=1)).any()


def test_orthogonal_draws_one_matrix_at_a_time_and_the_same():
  keys = jax.random.split(jax.random.key(0), 6)
  draw = jax.vmap(lambda key: layers.orthogonal(key, (5, 5)))
  many = draw(keys)
  for key, found in zip(keys, many, strict=True):
    np.testing.assert_allclose(found @ found.T, np.eye(5), atol=1e-6)
    expected = jax.nn.initializers.orthogonal()(key, (5, 5))
    np.testing.assert_allclose(found, expected, atol=1e-6)
  # A decomposition of all six at once may wait for ever.
  text = jax.jit(draw).lower(keys).as_text()
  calls = [line for line in text.splitlines() if 'geqrf' in line]
  assert calls
  assert all('tensor<6x5x5' not in line for line in calls)
