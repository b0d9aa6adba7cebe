"""Config -> optax."""

import jax
import optax

from mlc.errors import nearest


def decayed(params):
  """True for the parameters that weight decay and L2 act on: no biases."""

  def leaf(path, _):
    return path[-1].key not in ('bias', 'scale')

  return jax.tree_util.tree_map_with_path(leaf, params)


def make(config, num_steps: int) -> optax.GradientTransformationExtraArgs:
  """config: name (sgd, adamw, lbfgs), lr, schedule, weight_decay."""
  if config.name == 'lbfgs':
    return optax.lbfgs()
  schedules = {
    'constant': lambda: config.lr,
    'cosine': lambda: optax.cosine_decay_schedule(config.lr, num_steps),
  }
  if config.schedule not in schedules:
    raise nearest(config.schedule, schedules, 'schedule')
  lr = schedules[config.schedule]()
  if config.name == 'sgd':
    tx = optax.sgd(lr, momentum=config.momentum or None)
  elif config.name == 'adamw':
    tx = optax.adamw(lr, weight_decay=config.weight_decay, mask=decayed)
  else:
    raise nearest(config.name, ('sgd', 'adamw', 'lbfgs'), 'optimizer')
  return optax.with_extra_args_support(tx)
