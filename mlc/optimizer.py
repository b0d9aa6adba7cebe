"""Config -> optax, and the parameters to evaluate with."""

from collections.abc import Callable
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from mlc.errors import InputError, nearest

# What configs/default.py gives, and what a key that is not there means. A key
# that means nothing to an optimizer must be off (0, empty) or have this value.
DEFAULTS = {
  'name': 'adamw',
  'lr': 3e-3,
  'schedule': 'constant',
  'warmup': 0.0,
  'lr_end': 0.0,
  'momentum': 0.0,
  'nesterov': False,
  'weight_decay': 1e-2,
  'clip': 0.0,
  'ema': 0.0,
  'freeze': (),
}

_COMMON = {'name', 'freeze'}
_DESCENT = _COMMON | {'lr', 'warmup', 'weight_decay', 'clip'}
_SCHEDULED = _DESCENT | {'schedule', 'lr_end', 'ema'}
MEANT = {
  'sgd': _SCHEDULED | {'momentum', 'nesterov'},
  'adamw': _SCHEDULED,
  # An average of its own in place of schedule, momentum and EMA.
  'schedule_free_sgd': _DESCENT,
  'schedule_free_adamw': _DESCENT,
  # The line search finds the step.
  'lbfgs': _COMMON,
}

# What may be a number for each run: a tuple of them.
OF_RUNS = ('lr', 'weight_decay')

SCHEDULES = ('constant', 'cosine', 'linear')


def decayed(params):
  """True for the parameters that weight decay and L2 act on: no biases."""

  def leaf(path, _):
    return path[-1].key not in ('bias', 'scale')

  return jax.tree_util.tree_map_with_path(leaf, params)


def make(
  config, num_steps: int, frozen=()
) -> optax.GradientTransformationExtraArgs:
  """The optimizer of a run of `num_steps` steps.

  config: any of DEFAULTS, of which MEANT says what each optimizer uses.
    name: sgd; adamw; schedule_free_sgd and schedule_free_adamw (Defazio et al.,
      The Road Less Scheduled, NeurIPS 2024, Alg. 1, beta 0.9); lbfgs, which
      needs value, grad and value_fn in `update`.
    lr, schedule, warmup, lr_end: as in `learning_rate`. lr and weight_decay
      may be tuples, a number for each run: see `of_runs`, `begun_with`.
    momentum, nesterov: of sgd.
    weight_decay: decoupled: lr * weight_decay * p is taken off kernels at each
      step (Loshchilov & Hutter, ICLR 2019, Alg. 1 and 2).
    clip: largest norm of the gradient of all trained parameters; 0 = any.
    ema: decay of the average of the parameters that `eval_params` gives.
    freeze: names; a parameter with one of them in its path stays as it is, and
      neither clipping nor the optimizer's state knows of it.
  frozen: more such names.

  Raises:
    InputError: an unknown name, an impossible value, one that the optimizer has
      no use for; and `init`, for a name to freeze that no parameter has, and
      for no parameter left.
  """
  settings = _checked(config)
  clip, ema = settings['clip'], settings['ema']

  def chained(own):
    return optax.chain(
      *([optax.clip_by_global_norm(clip)] if clip else []),
      _descent(settings | own, num_steps),
      # `eval_params` looks at the state of the last one.
      *([_averaging(ema)] if ema else []),
    )

  own = {key: settings[key][0] for key in _of_runs(settings)}
  tx = _with_own(chained, own) if own else chained({})
  names = frozenset(_names(settings['freeze'])) | frozenset(_names(frozen))
  return _without(names, tx)


def is_constant(config) -> bool:
  """Whether the learning rate stays, by a schedule that might fall."""
  settings = _checked(config)
  falls = 'schedule' in MEANT[settings['name']]
  return falls and settings['schedule'] == DEFAULTS['schedule']


def of_runs(config, num_runs: int) -> dict[str, jax.Array]:
  """The settings that runs have of their own, K numbers each.

  Raises:
    InputError: not one for each run.
  """
  settings = _checked(config)
  found = {}
  for key in _of_runs(settings):
    if len(settings[key]) != num_runs:
      raise _refused(
        key, settings[key], f'give a number, or one for each of {num_runs} runs'
      )
    found[key] = jnp.array(settings[key], jnp.float32)
  return found


def of_run(config, run: int) -> dict[str, Any]:
  """The settings of one run: numbers all."""
  settings = _checked(config)
  return settings | {key: settings[key][run] for key in _of_runs(settings)}


def begun_with(opt_state, own: dict[str, jax.Array]):
  """A new `opt_state` of `make`, with a run's own settings."""
  return opt_state._replace(own=own) if own else opt_state


def learning_rate(config, num_steps: int) -> Callable[[Any], Any]:
  """The learning rate at step 0, 1, ...; nan for lbfgs, which has none.

  In the share `warmup` of the steps, W of them, it rises in equal parts from
  lr / W to lr. In the rest it stays; or it falls towards lr * lr_end, which
  step `num_steps` would have, on half a cosine (Loshchilov & Hutter, ICLR 2017,
  eq. 5) or a line.
  """
  settings = _checked(config)
  if settings['name'] == 'lbfgs':
    return lambda step: jnp.full(jnp.shape(step), jnp.nan)
  return _schedule(settings, num_steps)


def eval_params(config, opt_state, params):
  """The parameters to evaluate with: pure, for one run (vmap it over more).

  Those of schedule-free and EMA are averages; else they are `params`.
  """
  name, ema = (config.get(key, DEFAULTS[key]) for key in ('name', 'ema'))
  if isinstance(opt_state, _Own):
    opt_state = opt_state.inner
  if ema:
    average = opt_state[-1].average
  elif name.startswith('schedule_free'):
    state = opt_state[-1]
    trained = jax.tree.map(
      lambda z, p: None if z is None else p, state.z, params, is_leaf=_is_none
    )
    average = optax.contrib.schedule_free_eval_params(state, trained)
  else:
    return params
  return _filled(average, params)


def _checked(config) -> dict[str, Any]:
  """All settings; InputError for what `make` and `learning_rate` refuse."""
  for key in config:
    if key not in DEFAULTS:
      raise nearest(key, DEFAULTS, 'setting of train.optimizer')
  settings = {**DEFAULTS, **config}
  if settings['name'] not in MEANT:
    raise nearest(settings['name'], MEANT, 'optimizer')
  if settings['schedule'] not in SCHEDULES:
    raise nearest(settings['schedule'], SCHEDULES, 'schedule')
  name, meant = settings['name'], MEANT[settings['name']]
  for key, value in settings.items():
    if key not in meant and value and value != DEFAULTS[key]:
      raise _refused(
        key, value, f'{name} has no use for it: leave it at {DEFAULTS[key]!r}'
      )
  for keys, good, what in (
    (('lr',), lambda v: 0 < v < math.inf, 'above 0'),
    (('weight_decay', 'clip'), lambda v: 0 <= v < math.inf, '0 (none) or more'),
    (('warmup', 'momentum', 'ema'), lambda v: 0 <= v < 1, 'in [0, 1)'),
    (('lr_end',), lambda v: 0 <= v <= 1, 'a share of lr, in [0, 1]'),
  ):
    for key in keys:
      values = settings[key] if key in _of_runs(settings) else [settings[key]]
      if not all(map(good, values)):
        raise _refused(key, settings[key], f'give a number {what}')
  if settings['schedule'] == 'constant' and settings['lr_end']:
    raise _refused(
      'lr_end', settings['lr_end'], 'a constant schedule has no use for it'
    )
  if settings['nesterov'] and not settings['momentum']:
    raise _refused('nesterov', True, 'give train.optimizer.momentum, as 0.9')
  return settings


def _of_runs(settings) -> list[str]:
  return [key for key in OF_RUNS if isinstance(settings[key], tuple | list)]


def _refused(key, value, why) -> InputError:
  return InputError(f'train.optimizer.{key}={value!r}: {why}')


def _names(names) -> tuple[str, ...]:
  return (names,) if isinstance(names, str) else tuple(names)


def _schedule(settings, num_steps):
  lr, end = settings['lr'], settings['lr_end']
  rise = min(round(settings['warmup'] * num_steps), num_steps - 1)
  schedule = {
    'constant': lambda: optax.constant_schedule(lr),
    'cosine': lambda: optax.cosine_decay_schedule(lr, num_steps - rise, end),
    'linear': lambda: optax.linear_schedule(lr, lr * end, num_steps - rise),
  }[settings['schedule']]()
  if not rise:
    return schedule
  warmup = optax.linear_schedule(lr / rise, lr, rise - 1)
  return optax.join_schedules([warmup, schedule], [rise])


def _descent(settings, num_steps):
  """The named optimizer, without what goes before and after it."""
  name, weight_decay = settings['name'], settings['weight_decay']
  if name == 'lbfgs':
    return optax.lbfgs()
  schedule = _schedule(settings, num_steps)
  if name == 'adamw':
    return optax.adamw(schedule, weight_decay=weight_decay, mask=decayed)
  step = (
    optax.add_decayed_weights(weight_decay, mask=decayed),
    optax.scale_by_learning_rate(schedule),
  )
  if name == 'sgd':
    if settings['momentum']:
      step = optax.trace(settings['momentum'], settings['nesterov']), *step
    return optax.chain(*step)
  if name == 'schedule_free_adamw':
    # Adam without its first moment.
    second = optax.scale_by_rms(
      0.999, eps=1e-8, eps_in_sqrt=False, bias_correction=True
    )
    step = second, *step
  # optax counts the steps that the average's weights are taken at from 1.
  return optax.contrib.schedule_free(
    optax.chain(*step), lambda count: schedule(count - 1), b1=0.9
  )


class _Own(NamedTuple):
  """What a run has of its own, and the state of its optimizer."""

  own: dict[str, jax.Array]
  inner: Any


def _with_own(make, own) -> optax.GradientTransformationExtraArgs:
  """`make(own)`, the settings `own` being a part of the state."""

  def init(params):
    values = {key: jnp.float32(value) for key, value in own.items()}
    return _Own(values, make(own).init(params))

  def update(updates, state, params=None, **extra):
    updates, inner = make(state.own).update(
      updates, state.inner, params, **extra
    )
    return updates, _Own(state.own, inner)

  return optax.GradientTransformationExtraArgs(init, update)


class _Average(NamedTuple):
  """Steps taken, and the average of the parameters after each."""

  count: jax.Array
  average: Any


def _averaging(decay: float) -> optax.GradientTransformationExtraArgs:
  """Lets updates pass, and averages the parameters that they lead to.

  The weights decay^(t-i) sum to one at every step t: the average with bias
  correction of Kingma & Ba (ICLR 2015, sec. 7.2).
  """

  def init(params):
    return _Average(jnp.zeros((), jnp.int32), jax.tree.map(jnp.copy, params))

  def update(updates, state, params=None, **_):
    count = state.count + 1
    # (1 - decay) / (1 - decay^count); float32 would round 1 - decay.
    weight = (1 - decay) / -jnp.expm1(count * math.log(decay))
    average = jax.tree.map(
      lambda a, p: a + weight * (p - a),
      state.average,
      jax.tree.map(jnp.add, params, updates),
    )
    return updates, _Average(count, average)

  return optax.GradientTransformationExtraArgs(init, update)


def _without(
  names: frozenset[str], tx
) -> optax.GradientTransformationExtraArgs:
  """`tx` for the parameters that no name is in the path of; 0 for the others.

  Not optax.partition, under which a line search would call `value_fn` with a
  part of the parameters.
  """
  if not names:
    return tx

  def trained(tree):
    def leaf(path, value):
      return None if names & {entry.key for entry in path} else value

    return jax.tree.map_with_path(leaf, tree)

  def init(params):
    paths = [path for path, _ in jax.tree.leaves_with_path(params)]
    known = {entry.key for path in paths for entry in path}
    for name in sorted(names - known):
      raise nearest(name, known, 'part of the parameters to freeze')
    rest = trained(params)
    if not jax.tree.leaves(rest):
      raise InputError(
        f'frozen are {", ".join(sorted(names))}, which leaves nothing to train:'
        ' take one out of train.optimizer.freeze'
      )
    return tx.init(rest)

  def update(updates, state, params=None, **extra):
    if 'grad' in extra:
      extra['grad'] = trained(extra['grad'])
    if 'value_fn' in extra:
      value_fn = extra['value_fn']
      extra['value_fn'] = lambda some: value_fn(_filled(some, params))
    some, state = tx.update(trained(updates), state, trained(params), **extra)
    return _filled(some, jax.tree.map(jnp.zeros_like, updates)), state

  return optax.GradientTransformationExtraArgs(init, update)


def _filled(some, tree):
  """`some`, with the leaves of `tree` where it has None."""
  return jax.tree.map(
    lambda s, t: t if s is None else s, some, tree, is_leaf=_is_none
  )


def _is_none(leaf) -> bool:
  return leaf is None
