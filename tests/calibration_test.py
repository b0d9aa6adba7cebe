"""Thresholds against the best of all cuts, by brute force."""

from hypothesis import given, settings
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlc import calibration, decisions

N, L = 24, 6
_thresholds = jax.jit(calibration.per_label_thresholds)


def _draw(seed, levels, density, observed):
  rng = np.random.default_rng(seed)
  p_NxL = rng.integers(1, levels + 1, (N, L)) / (levels + 2)
  y_NxL = (rng.random((N, L)) < density).astype(np.int8)
  mask_NxL = (rng.random((N, L)) < observed).astype(np.float32)
  y_NxL[:, 0], mask_NxL[:, 1] = 0, 0
  return p_NxL.astype(np.float32), y_NxL, mask_NxL


def _f1(yes, y):
  return 2 * (yes & y).sum() / max(yes.sum() + y.sum(), 1)


def _best_cut(p, y):
  """The best cut and its F1, from all of the cuts there are."""
  if not y.any():
    return 0.5, 0.0
  values = np.unique(p).astype(float)
  cuts = [values[0] / 2, *(values[1:] + values[:-1]) / 2, values[-1] + 1]
  scored = [(round(_f1(p > c, y), 9), -abs(c - 0.5), c) for c in cuts]
  best = max(scored)
  return best[2], best[0]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
  seed=st.integers(0, 2**31),
  levels=st.sampled_from([1, 2, 5, 1000]),
  density=st.floats(0, 1),
  observed=st.floats(0.1, 1),
)
def test_thresholds_are_the_best_of_all_cuts(seed, levels, density, observed):
  p_NxL, y_NxL, mask_NxL = _draw(seed, levels, density, observed)
  t_L = np.asarray(_thresholds(p_NxL, y_NxL, mask_NxL))
  answer_NxL = np.asarray(decisions.threshold(p_NxL, jnp.array(t_L)))
  for l in range(L):
    seen_N = mask_NxL[:, l] > 0
    y = y_NxL[seen_N, l] > 0
    cut, best = _best_cut(p_NxL[seen_N, l], y)
    assert t_L[l] == pytest.approx(cut, abs=1e-6)
    assert _f1(answer_NxL[seen_N, l] > 0, y) == pytest.approx(best)


def test_masked_cells_and_padding_change_nothing():
  p_NxL, y_NxL, mask_NxL = _draw(0, 1000, 0.4, 0.7)
  rng = np.random.default_rng(1)
  hidden_NxL = mask_NxL == 0
  q_NxL = np.where(hidden_NxL, rng.random((N, L)), p_NxL).astype(np.float32)
  z_NxL = np.where(hidden_NxL, 1 - y_NxL, y_NxL)
  want_L = _thresholds(p_NxL, y_NxL, mask_NxL)
  np.testing.assert_array_equal(_thresholds(q_NxL, z_NxL, mask_NxL), want_L)
  np.testing.assert_array_equal(want_L[:2], [0.5, 0.5])


def test_neighbouring_floats_are_still_divided():
  # 1 is even in its last bit: midway between it and the float below rounds up.
  below = np.nextafter(np.float32(1), np.float32(0))
  p_NxL = jnp.array([[below], [1]], jnp.float32)
  y_NxL = jnp.array([[0], [1]])
  t_L = _thresholds(p_NxL, y_NxL, jnp.ones((2, 1)))
  np.testing.assert_array_equal(decisions.threshold(p_NxL, t_L), y_NxL)


@pytest.mark.parametrize('lowest', [0.0, -3.0, 0.25])
def test_the_answer_yes_to_all_is_among_the_cuts(lowest):
  p_NxL = jnp.array([[lowest], [0.5], [0.9]])
  t_L = _thresholds(p_NxL, jnp.ones((3, 1)), jnp.ones((3, 1)))
  assert decisions.threshold(p_NxL, t_L).all()


def test_equally_good_cuts_yield_to_the_nearest_a_half():
  # F1 of the cuts below .2, .4, .6, .8: 4/6, 2/5, 2/4, 2/3; so .1 or .7.
  p_NxL = jnp.array([[0.2], [0.4], [0.6], [0.8]])
  y_NxL, mask_NxL = jnp.array([[1], [0], [0], [1]]), jnp.ones((4, 1))
  t_L = _thresholds(p_NxL, y_NxL, mask_NxL)
  np.testing.assert_allclose(t_L, [0.7], rtol=1e-6)


def test_vmap_equals_a_loop():
  runs = [_draw(seed, 1000, 0.3, 0.8) for seed in range(3)]
  stacked = [np.stack(a) for a in zip(*runs, strict=True)]
  np.testing.assert_array_equal(
    jax.vmap(_thresholds)(*stacked), [_thresholds(*r) for r in runs]
  )
