"""Every optimizer takes the steps of its paper, redone in NumPy float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
from mlc import optimizer
from mlc.errors import InputError

T = 10
SHAPES = {
  ('encoder', 'bias'): (2,),
  ('encoder', 'kernel'): (3, 2),
  ('head', 'bias'): (2,),
  ('head', 'kernel'): (2, 2),
}
ENCODER_W = np.arange(14) < 8
KERNEL_W = np.concatenate(
  [np.full(np.prod(s), p[1] == 'kernel') for p, s in SHAPES.items()]
)
rng = np.random.default_rng(0)
ROOT_WxW = rng.normal(size=(14, 14)) / 3
HESSIAN_WxW = ROOT_WxW @ ROOT_WxW.T + 0.1 * np.eye(14)
LINEAR_W = rng.normal(size=14)
START_W = rng.normal(size=14)


def gradient(w_W):
  """Of the objective w H w / 2 - b w, in float64."""
  return HESSIAN_WxW @ w_W - LINEAR_W


def tree(w_W):
  params, start = {'encoder': {}, 'head': {}}, 0
  for (outer, inner), shape in SHAPES.items():
    stop = start + int(np.prod(shape))
    params[outer][inner] = jnp.asarray(w_W[start:stop].reshape(shape), 'f4')
    start = stop
  return params


def flat(params):
  """The inverse of `tree`, with any leading axes."""
  parts = [
    np.asarray(params[outer][inner]).reshape(
      *params[outer][inner].shape[: -len(shape)], -1
    )
    for (outer, inner), shape in SHAPES.items()
  ]
  return np.concatenate(parts, axis=-1)


def objective(params):
  w_W = jnp.concatenate(
    [params[outer][inner].ravel() for outer, inner in SHAPES]
  )
  hessian, linear = jnp.asarray(HESSIAN_WxW, 'f4'), jnp.asarray(LINEAR_W, 'f4')
  return w_W @ hessian @ w_W / 2 - linear @ w_W


def config(name, **settings):
  return {'name': name, 'lr': 0.1, 'weight_decay': 0.0, **settings}


def descend(settings, params, steps=T, frozen=()):
  """(params, params to evaluate) after each step, and the last state."""
  tx = optimizer.make(settings, steps, frozen)

  def step(carry, _):
    params, state = carry
    value, grad = jax.value_and_grad(objective)(params)
    updates, state = tx.update(
      grad, state, params, value=value, grad=grad, value_fn=objective
    )
    params = jax.tree.map(jnp.add, params, updates)
    seen = params, optimizer.eval_params(settings, state, params)
    return (params, state), seen

  start = params, tx.init(params)
  (_, state), seen = jax.lax.scan(step, start, length=steps)
  return *seen, state


def ran(settings, steps=T, frozen=()):
  """The same as vectors: TxW and TxW."""
  run = functools.partial(descend, settings, steps=steps, frozen=frozen)
  params, averages, _ = jax.jit(run)(tree(START_W))
  return flat(params), flat(averages)


def sgd(lr_T, *, momentum=0.0, nesterov=False, decay=0.0, clip=np.inf):
  """Loshchilov & Hutter, ICLR 2019, Alg. 1, as weights after each step."""
  w_W, velocity_W, seen = START_W, np.zeros(14), []
  for lr in lr_T:
    g_W = gradient(w_W)
    g_W = g_W * min(1, clip / np.sqrt((g_W**2).sum()))
    velocity_W = momentum * velocity_W + g_W
    step_W = g_W + momentum * velocity_W if nesterov else velocity_W
    w_W = w_W - lr * (step_W + decay * KERNEL_W * w_W)
    seen.append(w_W)
  return np.array(seen)


def adamw(lr_T, decay=0.0):
  """The same, Alg. 2."""
  w_W, m_W, v_W, seen = START_W, 0, 0, []
  for t, lr in enumerate(lr_T, start=1):
    g_W = gradient(w_W)
    m_W = 0.9 * m_W + 0.1 * g_W
    v_W = 0.999 * v_W + 0.001 * g_W**2
    ratio_W = m_W / (1 - 0.9**t) / (np.sqrt(v_W / (1 - 0.999**t)) + 1e-8)
    w_W = w_W - lr * (ratio_W + decay * KERNEL_W * w_W)
    seen.append(w_W)
  return np.array(seen)


def schedule_free(adam, warmup_steps, decay):
  """Defazio et al., NeurIPS 2024, Alg. 1 -> (y, x) after each step."""
  z_W = x_W = START_W
  v_W, squares, seen = 0, 0, []
  for t in range(1, T + 1):
    y_W = 0.1 * z_W + 0.9 * x_W
    g_W = gradient(y_W)
    if adam:
      v_W = 0.999 * v_W + 0.001 * g_W**2
      g_W = g_W / (np.sqrt(v_W / (1 - 0.999**t)) + 1e-8)
    lr = 0.1 * min(1, t / warmup_steps)
    z_W = z_W - lr * g_W - lr * decay * KERNEL_W * y_W
    squares += lr**2
    c = lr**2 / squares
    x_W = (1 - c) * x_W + c * z_W
    seen.append((0.1 * z_W + 0.9 * x_W, x_W))
  return np.array(seen).transpose(1, 0, 2)


close = functools.partial(np.testing.assert_allclose, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
  'settings, expected',
  [
    ({}, [2] * 10),
    ({'warmup': 0.4}, [0.5, 1, 1.5] + [2] * 7),
    (
      {'schedule': 'linear', 'lr_end': 0.1},
      [2, 1.82, 1.64, 1.46, 1.28, 1.1, 0.92, 0.74, 0.56, 0.38],
    ),
    ({'schedule': 'linear', 'warmup': 0.5}, [0.4, 0.8, 1.2, 1.6, 2] + [
      2, 1.6, 1.2, 0.8, 0.4
    ]),
    (
      {'schedule': 'cosine'},
      [1 + np.cos(np.pi * t / 10) for t in range(10)],
    ),
    (
      {'schedule': 'cosine', 'warmup': 0.2, 'lr_end': 0.5},
      [1, 2] + [1.5 + 0.5 * np.cos(np.pi * t / 8) for t in range(8)],
    ),
  ],
)  # fmt: skip
def test_the_learning_rate_rises_and_falls_as_said(settings, expected):
  rate = optimizer.learning_rate(config('adamw', **settings) | {'lr': 2.0}, 10)
  close([rate(t) for t in range(10)], expected)
  close(jax.jit(jax.vmap(lambda t: jnp.asarray(rate(t))))(np.arange(10)),
        expected)  # fmt: skip


def test_sgd_takes_the_steps_of_its_paper():
  for momentum, nesterov in ((0.0, False), (0.9, False), (0.9, True)):
    settings = config('sgd', momentum=momentum, nesterov=nesterov)
    settings |= {'schedule': 'linear', 'warmup': 0.2, 'weight_decay': 0.3}
    lr_T = 0.1 * np.array([0.5, 1, *(1 - np.arange(8) / 8)])
    expected = sgd(lr_T, momentum=momentum, nesterov=nesterov, decay=0.3)
    w_TxW, eval_TxW = ran(settings)
    close(w_TxW, expected)
    np.testing.assert_array_equal(eval_TxW, w_TxW)


def test_adamw_takes_the_steps_of_its_paper():
  settings = config('adamw', schedule='cosine', weight_decay=0.3)
  lr_T = 0.05 * (1 + np.cos(np.pi * np.arange(T) / T))
  close(ran(settings)[0], adamw(lr_T, decay=0.3))


def test_clipping_bounds_the_norm_of_the_whole_gradient():
  free = sgd([0.1] * T)
  norm_T = [np.linalg.norm(gradient(w)) for w in [START_W, *free[:-1]]]
  clip = np.median(norm_T)
  assert min(norm_T) < clip < max(norm_T)
  close(ran(config('sgd', clip=clip))[0], sgd([0.1] * T, clip=clip))


def test_ema_is_the_weighted_mean_of_the_parameters_after_each_step():
  for decay in (0.7, 0.9999):
    w_TxW, ema_TxW = ran(config('sgd', momentum=0.9, ema=decay))
    expected = sgd([0.1] * T, momentum=0.9)
    close(w_TxW, expected)
    for t in range(T):
      weights = decay ** np.arange(t, -1, -1)
      close(ema_TxW[t], weights @ expected[: t + 1] / weights.sum())


@pytest.mark.parametrize('base', ['sgd', 'adamw'])
def test_schedule_free_takes_the_steps_of_its_paper(base):
  name = f'schedule_free_{base}'
  y_TxW, x_TxW = schedule_free(base == 'adamw', warmup_steps=3, decay=0.3)
  w_TxW, eval_TxW = ran(config(name, warmup=0.3, weight_decay=0.3))
  close(w_TxW, y_TxW)
  close(eval_TxW, x_TxW)
  assert np.abs(x_TxW - y_TxW).max() > 0.01


def optimum(free_W):
  """Of the objective over the free weights, the others at the start."""
  w_W = START_W.copy()
  system = HESSIAN_WxW[np.ix_(free_W, free_W)]
  fixed = HESSIAN_WxW[np.ix_(free_W, ~free_W)] @ START_W[~free_W]
  w_W[free_W] = np.linalg.solve(system, LINEAR_W[free_W] - fixed)
  return w_W


def test_lbfgs_ends_at_the_optimum_of_what_is_not_frozen():
  for freeze, free_W in (((), ENCODER_W >= 0), (('encoder',), ~ENCODER_W)):
    w_TxW, _ = ran({'name': 'lbfgs', 'freeze': freeze}, steps=30)
    np.testing.assert_allclose(w_TxW[-1], optimum(free_W), atol=1e-3)


EVERY = (
  config('sgd', momentum=0.9, weight_decay=0.3, clip=0.5, ema=0.9),
  config('adamw', weight_decay=0.3, schedule='cosine', ema=0.9),
  config('schedule_free_sgd', warmup=0.3, weight_decay=0.3),
  config('schedule_free_adamw', weight_decay=0.3),
  {'name': 'lbfgs'},
)


@pytest.mark.parametrize('settings', EVERY, ids=lambda s: s['name'])
def test_what_is_frozen_stays_to_the_bit_and_leaves_no_trace(settings):
  run = functools.partial(descend, settings | {'freeze': ('encoder',)})
  params, averages, state = jax.jit(run)(tree(START_W))
  for leaf in ('kernel', 'bias'):
    for seen in (params, averages):
      kept = np.asarray(seen['encoder'][leaf])
      before = np.asarray(tree(START_W)['encoder'][leaf])
      assert kept.tobytes() == np.stack([before] * T).tobytes()
      assert np.abs(np.diff(seen['head'][leaf], axis=0)).max() > 1e-6
  # (3, 2) is the shape of the encoder's kernel alone.
  assert not [a for a in jax.tree.leaves(state) if a.shape[-2:] == (3, 2)]
  same = functools.partial(descend, settings, frozen=('encoder',))
  jax.tree.map(
    np.testing.assert_array_equal,
    (params, averages),
    jax.jit(same)(tree(START_W))[:2],
  )


def test_the_norm_that_is_clipped_is_that_of_the_trained_parameters():
  w_TxW, _ = ran(config('sgd', clip=0.5, freeze=('encoder',)), steps=1)
  g_W = gradient(START_W)[~ENCODER_W]
  assert np.linalg.norm(g_W) > 0.5
  step_W = START_W[~ENCODER_W] - w_TxW[0, ~ENCODER_W]
  close(step_W, 0.1 * 0.5 * g_W / np.linalg.norm(g_W))


@pytest.mark.parametrize('settings', EVERY, ids=lambda s: s['name'])
def test_runs_together_are_the_runs_alone(settings):
  starts = [START_W, START_W[::-1], 0 * START_W]
  settings = settings | {'freeze': ('bias',)}
  run = functools.partial(descend, settings)
  stacked = jax.tree.map(lambda *a: jnp.stack(a), *map(tree, starts))
  together = jax.jit(jax.vmap(run))(stacked)
  alone = [jax.jit(run)(tree(start)) for start in starts]
  # Nothing that a checkpoint could not hold, and a leading axis for each run.
  assert {a.shape[0] for a in jax.tree.leaves(together)} == {3}
  for k in range(3):
    for many, one in zip(together[:2], alone[k][:2], strict=True):
      close(flat(many)[k], flat(one))


def test_before_the_first_step_the_start_is_evaluated():
  for settings in EVERY:
    params = tree(START_W)
    state = optimizer.make(settings, T).init(params)
    close(flat(optimizer.eval_params(settings, state, params)), START_W)


@pytest.mark.parametrize(
  'settings, message',
  [
    ({'name': 'adam'}, "unknown optimizer 'adam'.*adamw"),
    ({'schedule': 'cosin'}, "unknown schedule 'cosin'.*cosine"),
    ({'weight_dacay': 0.1}, "unknown setting .*'weight_dacay'.*weight_decay"),
    ({'lr': 0.0}, r'train.optimizer.lr=0.0: give a number above 0'),
    ({'lr': float('nan')}, 'lr=nan: give a number above 0'),
    ({'weight_decay': -1.0}, 'weight_decay=-1.0: give a number 0'),
    ({'clip': -1.0}, 'clip=-1.0: give a number 0'),
    ({'warmup': 1.0}, r'warmup=1.0: give a number in \[0, 1\)'),
    ({'ema': 1.0}, r'ema=1.0: give a number in \[0, 1\)'),
    ({'lr_end': 2.0}, 'lr_end=2.0: give a number a share of lr'),
    ({'lr_end': 0.1}, 'lr_end=0.1: a constant schedule has no use for it'),
    ({'momentum': 0.9}, 'momentum=0.9: adamw has no use for it'),
    ({'name': 'sgd', 'momentum': 1.0}, r'momentum=1.0: give a number in'),
    ({'name': 'sgd', 'nesterov': True}, 'nesterov=True: give .*momentum'),
    ({'name': 'lbfgs'}, r'lr=0.1: lbfgs has no use for it: leave it at 0.003'),
    ({'name': 'lbfgs', 'lr': 3e-3, 'clip': 1.0}, 'clip=1.0: lbfgs has no use'),
    ({'name': 'schedule_free_sgd', 'ema': 0.9}, 'ema=0.9: .* no use for it'),
    ({'name': 'schedule_free_sgd', 'schedule': 'cosine'}, "schedule='cosine'"),
  ],
)
def test_errors_name_what_is_wrong(settings, message):
  settings = config('adamw') | settings
  for ask in (optimizer.make, optimizer.learning_rate):
    with pytest.raises(InputError, match=message) as caught:
      ask(settings, 10)
    assert '\n' not in str(caught.value)


def test_errors_name_what_cannot_be_frozen():
  params = tree(START_W)
  tx = optimizer.make(config('sgd', freeze=('encodr',)), 1)
  with pytest.raises(InputError, match="'encodr'; did you mean: encoder"):
    tx.init(params)
  tx = optimizer.make(config('sgd', freeze='encoder'), 1, frozen=('head',))
  with pytest.raises(InputError, match='encoder, head.*nothing to train'):
    tx.init(params)


def test_the_default_config_begins_with_the_defaults():
  settings = default.get_config().train.optimizer
  optimizer.make(settings, 1)
  assert {k: settings[k] for k in optimizer.DEFAULTS} == optimizer.DEFAULTS
