"""Calibration against scikit-learn and SciPy, in float64."""

from hypothesis import given, settings
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression

from mlc import calibration
from mlc.errors import InputError

N, L = 60, 5
_apply = jax.jit(calibration.apply)


def _sigmoid(z):
  return 1 / (1 + np.exp(-z))


def _logit(p):
  p = np.clip(p.astype(float), 2.0**-24, 1 - 2.0**-24)
  return np.log(p) - np.log1p(-p)


def _draw(seed, sharp=3.0, observed=0.8):
  """Marginals that are too sure of themselves, labels, mask."""
  rng = np.random.default_rng(seed)
  z_NxL = rng.normal(-0.5, 1.2, (N, L))
  y_NxL = (rng.random((N, L)) < _sigmoid(z_NxL)).astype(np.float32)
  mask_NxL = (rng.random((N, L)) < observed).astype(np.float32)
  mask_NxL[:2], y_NxL[:2] = 1, [[0] * L, [1] * L]
  # Rounded: so that scores tie.
  p_NxL = np.round(_sigmoid(sharp * z_NxL), 3).astype(np.float32)
  return p_NxL, y_NxL, mask_NxL


def _labels(p_NxL, y_NxL, mask_NxL, per_label):
  """What each map is fitted on: scores and labels."""
  seen_NxL = mask_NxL > 0
  if not per_label:
    return [(p_NxL[seen_NxL], y_NxL[seen_NxL])]
  columns = zip(p_NxL.T, y_NxL.T, seen_NxL.T, strict=True)
  return [(p[seen], y[seen]) for p, y, seen in columns]


def _temperature(p, y):
  z = _logit(p)

  def loss(log_t):
    at = z / np.exp(log_t)
    return np.mean(np.logaddexp(0, at) - y * at)

  bounds = np.log([0.01, 100])
  return np.exp(
    optimize.minimize_scalar(loss, bounds=bounds, options={'xatol': 1e-10}).x
  )


some = settings(max_examples=15, deadline=None, derandomize=True)
drawn = given(
  seed=st.integers(0, 2**31),
  sharp=st.sampled_from([0.3, 1.0, 4.0]),
  per_label=st.booleans(),
)


@some
@drawn
def test_temperature_is_the_minimum_that_scipy_finds(seed, sharp, per_label):
  args = _draw(seed, sharp)
  fitted = calibration.temperature(*args, per_label=per_label)
  want = [_temperature(p, y) for p, y in _labels(*args, per_label)]
  np.testing.assert_allclose(fitted['temperature'], want, rtol=2e-3)
  p_NxL = args[0]
  np.testing.assert_allclose(
    _apply({'temperature': fitted}, p_NxL),
    _sigmoid(_logit(p_NxL) / np.array(want)[None]),
    atol=2e-4,
  )


@some
@drawn
def test_platt_equals_scikit_learn(seed, sharp, per_label):
  # With few rows the targets differ much from 0 and 1.
  args = _draw(seed, sharp, observed=0.15 if seed % 2 else 0.8)
  fitted = calibration.platt(*args, per_label=per_label)
  p_NxL = args[0]
  got_NxL = np.asarray(_apply({'platt': fitted}, p_NxL))
  for l, (p, y) in enumerate(_labels(*args, per_label)):
    oracle = _SigmoidCalibration().fit(_logit(p), y)
    if oracle.a_ > 0:  # A falling map, which we refuse.
      assert per_label and fitted['slope'][l] == 0
      continue
    columns = slice(l, l + 1) if per_label else slice(None)
    want = oracle.predict(_logit(p_NxL[:, columns]).ravel())
    # Its minimiser stops at a gradient of about 1e-5 of a row.
    np.testing.assert_allclose(got_NxL[:, columns].ravel(), want, atol=2e-3)


@pytest.mark.parametrize('sharp', [0.01, 1.0, 30.0])
@pytest.mark.parametrize('kind', ['drawn', 'separated', 'rare'])
def test_platt_ends_where_its_loss_is_least(sharp, kind):
  p_NxL, y_NxL, mask_NxL = _draw(11, sharp)
  if kind == 'separated':
    y_NxL = (p_NxL > np.median(p_NxL)).astype(np.float32)
  if kind == 'rare':  # A whole step of Newton's leads far away here.
    rng = np.random.default_rng(0)
    z_NxL = rng.normal(-8, 2, (400, L))
    y_NxL, mask_NxL = np.zeros_like(z_NxL), np.ones_like(z_NxL)
    z_NxL[:3], y_NxL[:3] = rng.normal(6, 1, (3, L)), 1
    p_NxL = _sigmoid(z_NxL).astype(np.float32)
  fitted = calibration.platt(p_NxL, y_NxL, mask_NxL)
  for l, (p, y) in enumerate(_labels(p_NxL, y_NxL, mask_NxL, True)):
    z, on = _logit(p), y > 0
    high, low = (on.sum() + 1) / (on.sum() + 2), 1 / ((~on).sum() + 2)
    target = np.where(on, high, low)

    def loss(ab, z=z, target=target):
      at = ab[0] * z + ab[1]
      return np.mean(np.logaddexp(0, at) - target * at)

    best = optimize.minimize(
      *(loss, (0.0, 0.0)), method='Nelder-Mead',
      options={'xatol': 1e-9, 'fatol': 1e-13, 'maxiter': 10_000,
               'maxfev': 20_000},
    )  # fmt: skip
    if best.x[0] <= 0:
      assert fitted['slope'][l] == 0
      continue
    got = float(fitted['slope'][l]), float(fitted['offset'][l])
    assert loss(got) == pytest.approx(best.fun, abs=1e-6)


@some
@drawn
def test_knots_of_isotonic_equal_scikit_learn(seed, sharp, per_label):
  args = _draw(seed, sharp)
  knots = calibration.isotonic(*args, per_label=per_label)
  line = np.linspace(0, 1, 101)
  for l, (p, y) in enumerate(_labels(*args, per_label)):
    oracle = IsotonicRegression(out_of_bounds='clip').fit(p, y)
    got = np.interp(line, knots['p'][:, l], knots['value'][:, l])
    np.testing.assert_allclose(got, oracle.predict(line), atol=1e-5)


@pytest.mark.parametrize('per_label', [False, True])
def test_isotonic_is_applied_as_scikit_learn_does(per_label):
  args = _draw(8)
  fitted = calibration.isotonic(*args, per_label=per_label)
  p_BxL = np.random.default_rng(8).random((40, L)).astype(np.float32)
  p_BxL[:2], p_BxL[2:30] = [[0] * L, [1] * L], args[0][:28]
  got_BxL = np.asarray(_apply({'isotonic': fitted}, p_BxL))
  for l, (p, y) in enumerate(_labels(*args, per_label)):
    oracle = IsotonicRegression(out_of_bounds='clip').fit(p, y)
    columns = slice(l, l + 1) if per_label else slice(None)
    want = oracle.predict(p_BxL[:, columns].ravel())
    np.testing.assert_allclose(got_BxL[:, columns].ravel(), want, atol=1e-5)


@pytest.mark.parametrize('per_label', [False, True])
@pytest.mark.parametrize('name', calibration.METHODS)
def test_a_label_ranks_rows_as_before(name, per_label):
  p_NxL, y_NxL, mask_NxL = _draw(5)
  y_NxL[:, 2] = p_NxL[:, 2] < np.median(p_NxL[:, 2])  # Turned round.
  fitted = calibration.fit(
    name, p_NxL[None], y_NxL, mask_NxL, per_label=per_label
  )
  fitted = jax.tree.map(lambda a: a[0], fitted)
  line_BxL = np.linspace(0, 1, 200, dtype=np.float32)[:, None].repeat(L, 1)
  got_BxL = np.asarray(_apply(fitted, line_BxL))
  assert got_BxL.dtype == np.float32 and got_BxL.shape == line_BxL.shape
  assert (np.diff(got_BxL, axis=0) >= 0).all()
  assert (got_BxL >= 0).all() and (got_BxL <= 1).all()


@pytest.mark.parametrize('name', calibration.METHODS)
def test_labels_of_one_class_are_left_and_told(name):
  p_NxL, y_NxL, mask_NxL = _draw(6)
  y_NxL[:, 0], y_NxL[:, 1], mask_NxL[:, 2] = 0, 1, 0
  want_L = [True, True, True, False, False]
  np.testing.assert_array_equal(calibration.one_class(y_NxL, mask_NxL), want_L)
  fitted = calibration.METHODS[name](p_NxL, y_NxL, mask_NxL)
  got_NxL = np.asarray(_apply({name: fitted}, p_NxL))
  np.testing.assert_allclose(got_NxL[:, :3], p_NxL[:, :3], atol=1e-6)
  assert (np.abs(got_NxL - p_NxL)[:, 3:].max(0) > 0.02).all()


@pytest.mark.parametrize('per_label', [False, True])
@pytest.mark.parametrize('name', calibration.METHODS)
def test_masked_cells_change_nothing(name, per_label):
  p_NxL, y_NxL, mask_NxL = _draw(7, observed=0.6)
  hidden_NxL = mask_NxL == 0
  q_NxL = np.where(hidden_NxL, 0.77, p_NxL).astype(np.float32)
  z_NxL = np.where(hidden_NxL, 1 - y_NxL, y_NxL)
  method = calibration.METHODS[name]
  jax.tree.map(
    np.testing.assert_array_equal,
    method(p_NxL, y_NxL, mask_NxL, per_label=per_label),
    method(q_NxL, z_NxL, mask_NxL, per_label=per_label),
  )


@pytest.mark.parametrize('name', calibration.METHODS)
def test_runs_are_stacked_and_applied_by_vmap(name):
  runs = [_draw(seed) for seed in range(3)]
  _, y_NxL, mask_NxL = runs[0]
  p_KxNxL = np.stack([run[0] for run in runs])
  fitted = calibration.fit(name, p_KxNxL, y_NxL, mask_NxL)
  for array in jax.tree.leaves(fitted):
    assert len(array) == 3
  got_KxNxL = jax.vmap(calibration.apply)(fitted, p_KxNxL)
  for k, p_NxL in enumerate(p_KxNxL):
    alone = {name: calibration.METHODS[name](p_NxL, y_NxL, mask_NxL)}
    np.testing.assert_allclose(got_KxNxL[k], _apply(alone, p_NxL), atol=1e-6)


def test_soft_labels_count_by_their_share():
  # Each as often positive as its label says, in rows of their own.
  p_NxL = np.array([[0.9], [0.6], [0.2], [0.4]], np.float32)
  soft_NxL = np.array([[0.75], [0.25], [0.25], [0.5]], np.float32)
  four_NxL = np.repeat(p_NxL, 4, 0)
  hard_NxL = np.concatenate([[1, 1, 1, 0], [1, 0, 0, 0] * 2, [1, 1, 0, 0]])
  hard_NxL = hard_NxL[:, None].astype(np.float32)
  for name in ('temperature', 'isotonic'):  # Platt's targets count rows.
    got, want = (
      calibration.METHODS[name](p, y, np.ones_like(p))
      for p, y in ((p_NxL, soft_NxL), (four_NxL, hard_NxL))
    )
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), got, want
    )


def test_each_method_undoes_too_sharp_marginals():
  rng = np.random.default_rng(0)
  z_NxL = rng.normal(size=(20_000, 3))
  y_NxL = (rng.random(z_NxL.shape) < _sigmoid(z_NxL)).astype(np.float32)
  p_NxL = _sigmoid(2.5 * z_NxL).astype(np.float32)
  for name, method in calibration.METHODS.items():
    fitted = method(p_NxL, y_NxL, np.ones_like(y_NxL))
    error_NxL = np.asarray(_apply({name: fitted}, p_NxL)) - _sigmoid(z_NxL)
    assert np.sqrt(np.mean(error_NxL**2)) < 0.02, name
  t_L = calibration.temperature(p_NxL, y_NxL, np.ones_like(y_NxL))
  np.testing.assert_allclose(t_L['temperature'], [2.5] * 3, rtol=0.06)


def test_platt_gives_equal_marginals_the_share_of_positives():
  y_NxL = (np.arange(30) < 9).astype(np.float32)[:, None]
  p_L = np.array([0.02, 0.3, 0.61, 0.77, 0.9999], np.float32)
  p_NxL, y_NxL = np.tile(p_L, (30, 1)), y_NxL.repeat(L, 1)
  fitted = {'platt': calibration.platt(p_NxL, y_NxL, np.ones_like(y_NxL))}
  target = (9 * (10 / 11) + 21 * (1 / 23)) / 30
  for shift in (0, -0.01):
    got_1xL = _apply(fitted, p_L[None] + shift)
    np.testing.assert_allclose(got_1xL, [[target] * L], rtol=1e-5)


def test_certain_and_wrong_marginals_stay_finite():
  p_NxL = np.array([[0], [1], [1], [0], [0.5]], np.float32)
  y_NxL = np.array([[0], [1], [0], [1], [1]], np.float32)
  for name in calibration.METHODS:
    fitted = calibration.METHODS[name](p_NxL, y_NxL, np.ones_like(y_NxL))
    for leaf in jax.tree.leaves(fitted):
      assert np.isfinite(leaf).all()
    assert np.isfinite(_apply({name: fitted}, p_NxL)).all()


def test_another_method_is_refused():
  with pytest.raises(InputError, match="'plat'; did you mean: platt"):
    calibration.fit('plat', jnp.ones((1, 2, 3)), jnp.ones((2, 3)), 1)
