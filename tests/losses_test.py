"""Training losses against their papers' formulas, as loops in float64."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics

from mlc import losses, row_losses
from mlc.errors import InputError

B, L = 6, 5
EACH = ('class_balanced', 'distribution_balanced')  # Need label counts.
CALLS = (
  ('bce_sum', {}),
  ('bce_sum', {'smoothing': 0.2}),
  ('bce_sum', {'positive': 3.0}),
  ('bce_mean', {}),
  ('bce_mean', {'smoothing': 0.1, 'positive': 0.5}),
  ('bce_weighted', {'weights': (1.0, 0.5, 2.0, 3, 0.1)}),
  ('class_balanced', {}),
  ('class_balanced', {'beta': 0.9, 'gamma': 1.5}),
  ('focal', {}),
  ('focal', {'gamma': 0.5, 'positive': 2.0}),
  ('asymmetric', {}),
  ('asymmetric', {'gamma_pos': 1.0, 'gamma_neg': 0.5, 'clip': 0.3}),
  ('asymmetric', {'gamma_pos': 1.0, 'gamma_neg': 2.0, 'clip': 0.0}),
  ('distribution_balanced', {}),
  ('distribution_balanced', {'kappa': 0.3, 'scale': 5.0, 'mu': 0.6}),
  ('bpmll', {}),
  ('lsep', {}),
  ('soft_f1', {}),
  ('soft_f1', {'smooth': 0.01}),
  ('soft_macro_f1_batch', {}),
)
IDS = [f'{name}{list(options.values())}' for name, options in CALLS]
N_POS = np.array([3, 40, 1, 250, 120])
N_SEEN = np.array([300, 300, 200, 300, 250])


def find(name):
  return getattr(row_losses if hasattr(row_losses, name) else losses, name)


@functools.cache
def compiled(name, options):
  options = dict(options)
  if name in EACH:
    options |= {
      'positive_L': jnp.asarray(N_POS, jnp.float32),
      'observed_L': jnp.asarray(N_SEEN, jnp.float32),
    }
  loss = functools.partial(find(name), **options)

  def total(logits_BxL, y_BxL, counted_BxL):
    loss_B, weight_B = loss(logits_BxL, y_BxL, counted_BxL)
    return loss_B.sum() / jnp.maximum(weight_B.sum(), 1e-9)

  return jax.jit(loss), jax.jit(jax.grad(total))


def call(name, options, *arrays):
  loss, grad = compiled(name, tuple(options.items()))
  arrays = [jnp.asarray(a, jnp.float32) for a in arrays]
  found = [np.asarray(a, float) for a in loss(*arrays)]
  return *found, np.asarray(grad(*arrays), float)


def sigmoid(z):
  return 1 / (1 + np.exp(-z))


def softplus(z):
  return np.log(1 + np.exp(z))


def cell(name, z, y, label, row, options):
  """The loss of one cell; `row` is the (y, counted) of its row."""
  p = sigmoid(z)
  n, total = N_POS[label], N_SEEN[label]
  gamma = options.get('gamma', {'focal': 2.0}.get(name, 0.0))
  if name == 'distribution_balanced':
    o = dict(alpha=0.1, beta=10, mu=0.2, kappa=0.05, scale=2) | options
    share = sum(y_j / n_j for y_j, c, n_j in zip(*row, N_POS, strict=True) if c)
    with np.errstate(divide='ignore', over='ignore'):
      ratio = np.float64(1 / n) / share
      weight = o['alpha'] + 1 / (1 + np.exp(-o['beta'] * (ratio - o['mu'])))
    u = z - o['kappa'] * np.log(total / n - 1)
    on, off = softplus(-u), softplus(o['scale'] * u) / o['scale']
    return weight * (y * on + (1 - y) * off)
  if name == 'asymmetric':
    o = dict(gamma_pos=0, gamma_neg=4, clip=0.05) | options
    q = max(p - o['clip'], 0)
    on = -((1 - p) ** o['gamma_pos']) * np.log(p)
    off = -(q ** o['gamma_neg']) * np.log(1 - q)
    return y * on + (1 - y) * off
  on = -((1 - p) ** gamma) * np.log(p) * options.get('positive', 1)
  off = -(p**gamma) * np.log(1 - p)
  if name == 'class_balanced':
    beta = options.get('beta', 0.9999)
    a, b = ((1 - beta) / (1 - beta**m) for m in (n, total - n))
    on, off = 2 * on * a / (a + b), 2 * off * b / (a + b)
  if name == 'bce_weighted':
    on, off = (side * options['weights'][label] for side in (on, off))
  smooth = options.get('smoothing', 0)
  y = (1 - smooth) * y + smooth / 2
  return y * on + (1 - y) * off


def soft_f1(z, y, smooth):
  p = sigmoid(z)
  return (2 * (p * y).sum() + smooth) / (p.sum() + y.sum() + smooth)


def oracle(name, options, z, y, counted):
  """(loss_B, weight_B) by loops over cells and pairs."""
  loss_B, weight_B = np.zeros(len(z)), np.zeros(len(z))
  smooth = options.get('smooth', 1.0)
  if name == 'soft_macro_f1_batch':
    f1 = [
      soft_f1(z[c, l], y[c, l], smooth)
      for l, c in enumerate(counted.T > 0)
      if c.any()
    ]
    weight_B = (counted > 0).any(1).astype(float)
    return weight_B * (1 - np.mean(f1)), weight_B
  for b in range(len(z)):
    seen = [l for l in range(z.shape[1]) if counted[b, l]]
    if name == 'soft_f1':
      if seen:
        loss_B[b] = 1 - soft_f1(z[b, seen], y[b, seen], smooth)
        weight_B[b] = 1
      continue
    if name in ('bpmll', 'lsep'):
      pairs = [(k, l, y[b, k] * (1 - y[b, l])) for k in seen for l in seen]
      total = sum(w for *_, w in pairs)
      if not total:
        continue
      weight_B[b] = 1
      if name == 'bpmll':
        c = np.tanh(z[b])
        terms = [w * np.exp(-(c[k] - c[l])) for k, l, w in pairs]
        loss_B[b] = sum(terms) / total
      else:
        terms = [w * np.exp(z[b, l] - z[b, k]) for k, l, w in pairs]
        loss_B[b] = np.log(1 + sum(terms))
      continue
    row = y[b], counted[b]
    loss_B[b] = sum(cell(name, z[b, l], y[b, l], l, row, options) for l in seen)
    weight_B[b] = len(seen) / (L if name == 'bce_sum' else 1)
  return loss_B, weight_B


def batch(seed=0, soft=False):
  """Rows in general, one without positives, one without negatives, padding."""
  rng = np.random.default_rng(seed)
  z = rng.normal(size=(B, L)) * 2
  y = (rng.random((B, L)) < 0.5).astype(float)
  if soft:
    y = np.round(rng.random((B, L)), 3)
  y[1], y[2] = 0, 1
  counted = (rng.random((B, L)) < 0.7).astype(float)
  counted[:3] = 1
  counted[5] = 0
  return z, y, counted


@pytest.mark.parametrize('soft', [False, True])
@pytest.mark.parametrize(('name', 'options'), CALLS, ids=IDS)
def test_loss_is_the_papers_formula(name, options, soft):
  z, y, counted = batch(soft=soft)
  loss_B, weight_B, _ = call(name, options, z, y, counted)
  expected_B, expected_weight_B = oracle(name, options, z, y, counted)
  np.testing.assert_allclose(loss_B, expected_B, rtol=2e-5, atol=2e-6)
  np.testing.assert_allclose(weight_B, expected_weight_B, rtol=1e-6)
  assert loss_B[5] == weight_B[5] == 0
  assert (np.abs(loss_B[[0, 3, 4]]) > 1e-3).all()


@pytest.mark.parametrize(('name', 'options'), CALLS, ids=IDS)
def test_gradient_is_that_of_the_formula_by_finite_differences(name, options):
  z, y, counted = batch(seed=1, soft=True)
  *_, grad_BxL = call(name, options, z, y, counted)

  def mean(z):
    loss_B, weight_B = oracle(name, options, z, y, counted)
    return loss_B.sum() / weight_B.sum()

  step = 1e-5
  for b, l in np.ndindex(B, L):
    shift = np.zeros((B, L))
    shift[b, l] = step
    slope = (mean(z + shift) - mean(z - shift)) / (2 * step)
    np.testing.assert_allclose(grad_BxL[b, l], slope, rtol=1e-3, atol=2e-6)


@pytest.mark.parametrize(('name', 'options'), CALLS, ids=IDS)
def test_cells_that_do_not_count_are_not_looked_at(name, options):
  z, y, counted = batch()
  plain = call(name, options, z, y, counted)
  hidden = counted == 0
  for other in (np.nan, 1e9):
    found = call(
      *(name, options),
      np.where(hidden, other, z),
      np.where(hidden, other, y),
      counted,
    )
    for a, b in zip(found, plain, strict=True):
      np.testing.assert_array_equal(a, b)
  assert not plain[2][hidden].any()
  # And those that count are.
  y[0] = 1 - y[0]
  flipped = call(name, options, z, y, counted)
  assert abs(flipped[0][0] - plain[0][0]) > 1e-3


@pytest.mark.parametrize('size', [30.0, 1e4])
@pytest.mark.parametrize(('name', 'options'), CALLS, ids=IDS)
def test_extreme_logits_have_finite_losses_and_gradients(name, options, size):
  rng = np.random.default_rng(0)
  for soft in (False, True):
    z, y, counted = batch(soft=soft)
    z = size * rng.choice([-1.0, 1.0], z.shape)
    for found in call(name, options, z, y, counted):
      assert np.isfinite(found).all()


@pytest.mark.parametrize(
  ('name', 'options'),
  [
    ('focal', {'gamma': 0.0}),
    ('asymmetric', {'gamma_pos': 0.0, 'gamma_neg': 0.0, 'clip': 0.0}),
    ('class_balanced', {'beta': 0.0}),
    ('bce_weighted', {'weights': (1.0,) * L}),
  ],
)
def test_without_their_options_losses_are_cross_entropy(name, options):
  arrays = batch(soft=True)
  for found, expected in zip(
    call(name, options, *arrays), call('bce_mean', {}, *arrays), strict=True
  ):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_balanced_weights_are_half_apart_and_bounded():
  # r = 1/2 + s(0) and no margin: the mean cross-entropy.
  options = {'alpha': 0.5, 'beta': 0.0, 'kappa': 0.0, 'scale': 1.0}
  arrays = batch(soft=True)
  for found, expected in zip(
    call('distribution_balanced', options, *arrays),
    call('bce_mean', {}, *arrays),
    strict=True,
  ):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_rare_classes_weigh_as_the_inverse_of_their_count():
  # beta -> 1 is the inverse count: label 0 has 3 positives of 300.
  z, y, counted = np.zeros((2, L)), np.zeros((2, L)), np.zeros((2, L))
  y[0, 0], counted[:, 0] = 1, 1
  on, off = call('class_balanced', {'beta': 1 - 1e-9}, z, y, counted)[0]
  np.testing.assert_allclose(on / off, 297 / 3, rtol=1e-4)
  np.testing.assert_allclose(on + off, 2 * np.log(2), rtol=1e-5)


@pytest.mark.parametrize('name', EACH)
def test_labels_that_never_vary_in_training_have_finite_losses(name):
  counts = {
    'positive_L': jnp.array([0.0, 300, 0, 1, 1]),
    'observed_L': jnp.array([300.0, 300, 0, 1, 2]),
  }
  z, y, counted = map(jnp.asarray, batch())
  loss = functools.partial(find(name), **counts)
  slope_BxL = jax.grad(lambda z: loss(z, y, counted)[0].sum())(z)
  for found in (*loss(z, y, counted), slope_BxL):
    assert np.isfinite(found).all()


def test_saturated_scores_have_scikit_learns_f1():
  rng = np.random.default_rng(2)
  y, yhat = (rng.random((40, L)) < 0.6).astype(int), rng.random((40, L)) < 0.5
  y[:, 0] |= 1
  z, ones = np.where(yhat, 1e4, -1e4), np.ones(y.shape)
  averages = {'soft_f1': 'samples', 'soft_macro_f1_batch': 'macro'}
  for name, average in averages.items():
    loss_B, weight_B, _ = call(name, {'smooth': 1e-6}, z, y, ones)
    expected = metrics.f1_score(
      *(y, yhat.astype(int)), average=average, zero_division=1.0
    )
    np.testing.assert_allclose(
      1 - loss_B.sum() / weight_B.sum(), expected, atol=1e-4
    )


def test_a_label_that_no_row_counts_is_not_in_the_batchs_f1():
  z, y, counted = batch()
  counted[:, 2] = 0
  loss_B, *_ = call('soft_macro_f1_batch', {}, z, y, counted)
  expected_B, _ = oracle('soft_macro_f1_batch', {}, z, y, counted)
  np.testing.assert_allclose(loss_B, expected_B, rtol=2e-5)


def test_ranking_losses_are_least_where_no_pair_is_wrong():
  y = np.array([[1, 0, 1, 0, 0]])
  right, wrong = 8 * (2 * y - 1), 8 * (1 - 2 * y)
  ones = np.ones(y.shape)
  assert call('lsep', {}, right, y, ones)[0] < 1e-5
  np.testing.assert_allclose(
    [call('bpmll', {}, z, y, ones)[0][0] for z in (right, wrong)],
    np.exp([-2, 2]),  # The ends of the paper's range, as tanh is bounded.
    rtol=1e-5,
  )


@pytest.mark.parametrize('name', ['bpmll', 'lsep'])
def test_ranking_losses_build_no_square_of_labels(name):
  many = jnp.zeros((1, 3000))
  grad = jax.grad(lambda z: find(name)(z, many, many + 1)[0].sum())
  memory = jax.jit(grad).lower(many).compile().memory_analysis()
  assert memory.temp_size_in_bytes < 100 * 3000


def test_half_precision_logits_are_computed_in_float32():
  z, y, counted = batch()
  half = jnp.asarray(z, jnp.bfloat16)
  for name in ('bce_mean', 'bpmll'):
    loss, _ = compiled(name, ())
    found_B, weight_B = loss(half, jnp.asarray(y), jnp.asarray(counted))
    assert found_B.dtype == weight_B.dtype == jnp.float32
    expected_B, _ = oracle(name, {}, np.asarray(half, float), y, counted)
    np.testing.assert_allclose(found_B, expected_B, rtol=2e-5, atol=2e-6)


def test_every_loss_is_in_one_set():
  sets = (losses.CELL_LOSSES, row_losses.ROW_LOSSES, row_losses.BATCH_LOSSES)
  named = [name for names in sets for name in names]
  assert len(named) == len(set(named))
  taking_cells = {
    name
    for module in (losses, row_losses)
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if not name.startswith('_')
    and [*inspect.signature(function).parameters][2:3] == ['counted_BxL']
  }
  assert taking_cells - {'sides'} == set(named)
  assert {name for name, _ in CALLS} == set(named)


@pytest.mark.parametrize(('name', 'options'), CALLS, ids=IDS)
def test_proper_losses_alone_are_least_at_the_conditional_distribution(
  name, options
):
  """The slope of the expected loss of a row of three labels, at logit p."""
  sets_UxL = np.array(list(np.ndindex(2, 2, 2)))
  # Labels that depend on each other: if they do not, lsep is level here too.
  chance_U = np.random.default_rng(0).dirichlet(np.ones(8))
  p_L = chance_U @ sets_UxL
  z, y, counted = np.zeros((3, B, L))
  z[0, :3], counted[0, :3] = np.log(p_L / (1 - p_L)), 1
  slope_L = np.zeros(L)
  for chance, set_L in zip(chance_U, sets_UxL, strict=True):
    y[0, :3] = set_L
    slope_L += chance * call(name, options, z, y, counted)[2][0]
  assert losses.proper(name, **options) == bool(np.abs(slope_L).max() < 1e-6)


@pytest.mark.parametrize(
  ('name', 'options', 'message'),
  [
    ('bce_sum', {'smoothing': 1.0}, 'smoothing=1.0 of the loss.*below 1'),
    ('bce_mean', {'positive': 0}, 'positive=0 of'),
    ('bce_weighted', {}, 'give 5 numbers, one a label'),
    ('bce_weighted', {'weights': (1, 2)}, 'give 5 numbers'),
    ('bce_weighted', {'weights': (1, 2, 0, 1, 1)}, 'weights=0 of'),
    ('class_balanced', {'beta': 1.0}, 'beta=1.0'),
    ('focal', {'gamma': -1}, 'gamma=-1'),
    ('focal', {'gamma': 'two'}, "gamma='two'"),
    ('focal', {'gamma': float('nan')}, 'gamma=nan'),
    ('asymmetric', {'clip': 1}, 'clip=1'),
    ('distribution_balanced', {'scale': 0}, 'scale=0'),
    ('soft_f1', {'smooth': 0}, 'smooth=0'),
  ],
)
def test_options_out_of_range_are_named(name, options, message):
  with pytest.raises(InputError, match=message) as caught:
    compiled(name, tuple(options.items()))[0](*map(jnp.asarray, batch()))
  assert '\n' not in str(caught.value)
