"""Config -> objects: the only file where a string becomes an object."""

import dataclasses
import functools
import importlib
import inspect
import pkgutil
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mlc import calls, decisions, encoders, inference, losses, row_losses
from mlc.errors import InputError, nearest
import mlc.models
from mlc.models import base


def model(config, encoder_config, num_labels: int):
  """`mlc.models.<name>.Model` with the other keys of `config` as its fields.

  A nested config with a name is a model of its own (the member of a mixture):
  the encoder is then the member's.
  """
  names = [m.name for m in pkgutil.iter_modules(mlc.models.__path__)]
  name = config['name']
  if name not in names or name == 'base':
    raise nearest(name, set(names) - {'base'}, 'model')
  cls = importlib.import_module(f'mlc.models.{name}').Model
  fields = _arguments(config, cls, config['name'])
  for key, value in fields.items():
    if hasattr(value, 'keys'):
      fields[key] = model(value, encoder_config, num_labels)
      return cls(num_labels=num_labels, **fields)
  return cls(num_labels=num_labels, encoder=encoder(encoder_config), **fields)


def encoder(config):
  """The class of mlc/encoders.py with the other keys as its fields."""
  cls = _find(encoders, config['name'], 'encoder')
  return cls(**_arguments(config, cls, config['name']))


def infer(call: str):
  """'exact', 'beam(width=16)': a method of mlc/inference.py, with options.

  -> a function (model, variables, x, key) -> posterior.
  """
  name, config = calls.parse(call, 'inference')
  if name not in inference.METHODS:
    raise nearest(name, inference.METHODS, 'inference method')
  method = inference.METHODS[name]
  return functools.partial(method, **_arguments(config, method, name))


@dataclasses.dataclass(frozen=True, eq=False)
class Objective:
  """What training makes small: (variables, batch) -> (loss_B, weight_B).

  batch: train.Batch.
  loss: of losses.py or row_losses.py, on the model's cells; None: its
    likelihood.
  proper: the trained model gives probabilities.
  of_batch: the value is no sum over rows, nor over devices.
  """

  model: Any
  loss: Any = None
  proper: bool = True
  of_batch: bool = False

  def __call__(self, variables, batch, *, train: bool = False, rngs=None):
    apply = functools.partial(
      self.model.apply, variables, *batch, train=train, rngs=rngs
    )
    if self.loss is None:
      return apply(method='loss')
    logits_BxL, counted_BxL = apply(method='cells')
    return self.loss(logits_BxL, batch.y_BxL, counted_BxL)


def objective(model, call: str, data) -> Objective:
  """'likelihood', or a loss with options: 'focal(gamma=1.0)'.

  data: the Dataset to train on; its training rows give the counts that some
  losses weigh by.

  Raises:
    InputError: an unknown loss or option, or a loss without meaning on this
      model.
  """
  name, config = calls.parse(call, 'loss')
  of_rows = row_losses.ROW_LOSSES | row_losses.BATCH_LOSSES
  if name == 'likelihood':
    calls.check(config, (), name)
    return Objective(model)
  own = type(model).__module__.rpartition('.')[-1]
  if name == 'softmax':
    raise InputError(_no_softmax(data, own))
  if name not in losses.CELL_LOSSES | of_rows:
    known = losses.CELL_LOSSES | of_rows | {'likelihood'}
    raise nearest(name, known, 'loss')
  if not isinstance(model, base.Autoregressive):
    raise InputError(
      f'loss {name} on {own}: it takes a score for each label, and {own} scores'
      ' label sets or mixes models: train it by its likelihood'
    )
  if name in of_rows and not model.independent:
    raise InputError(
      f'loss {name} on {own}: it compares the scores of a row, and those of'
      f' {own} were given the true labels: train an independent model, or take'
      ' one of bce_mean, focal, asymmetric, ...'
    )
  function = getattr(row_losses if name in of_rows else losses, name)
  options = _arguments(config, function, name)
  if 'positive_L' in inspect.signature(function).parameters:
    options |= _counts(data)
  loss = functools.partial(function, **options)
  # Says here what is wrong with a value, not when training starts.
  jax.eval_shape(loss, *(jnp.zeros((1, model.num_labels)),) * 3)
  of_batch = name in row_losses.BATCH_LOSSES
  return Objective(model, loss, losses.proper(name, **config), of_batch)


def _no_softmax(data, own: str) -> str:
  """Why no model takes softmax for a loss."""
  if data.labels.kind == 'multi-class':
    return (
      f"loss softmax on {own}: its sigmoids are not the softmax's"
      " probabilities: train the model 'softmax' by its likelihood"
    )
  return (
    f'loss softmax on {data.name}: its rows may have any number of labels on,'
    ' softmax gives exactly one: take bce_mean, or a model of label sets such'
    ' as powerset'
  )


def _counts(data) -> dict[str, np.ndarray]:
  """Sums of y and of cells over the observed training cells of each label."""
  rows = data.splits['train']
  observed_L = len(rows) - data.labels.missing_NxL[rows].sum(0)
  positive_L = data.labels.y_NxL[rows].sum(0)
  return {
    'positive_L': np.asarray(positive_L, np.float32),
    'observed_L': np.asarray(observed_L, np.float32),
  }


def decision(name: str):
  """A rule of mlc/decisions.py: posterior -> answer BxL."""
  return _find(decisions, name, 'decision')


def _find(module, name, what):
  """What `module` itself defines under a public name."""
  own = {
    key: value
    for key, value in vars(module).items()
    if getattr(value, '__module__', None) == module.__name__
    and not key.startswith('_')
  }
  if name not in own:
    raise nearest(name, own, what)
  return own[name]


# What a config cannot set: it is given by the caller or by flax.
GIVEN = {'model', 'variables', 'x', 'key', 'num_labels', 'encoder'} | {
  *('name', 'parent', 'logits_BxL', 'y_BxL', 'counted_BxL', 'given_BxL'),
  *('positive_L', 'observed_L'),
}


def _arguments(config, function, name):
  """The keys of `config` but its name, each one that `function` knows."""
  known = inspect.signature(function).parameters
  known = {key: known[key] for key in known if key not in GIVEN}
  arguments = {key: value for key, value in config.items() if key != 'name'}
  calls.check(arguments, known, name)
  for key, value in arguments.items():
    if isinstance(value, list):  # A config read back from JSON.
      arguments[key] = value = tuple(value)
    default = known[key].default
    if isinstance(default, int | str) and type(value) is not type(default):
      raise InputError(
        f'option {key}={value!r} of {name}: give a {type(default).__name__},'
        f' as in {key}={default!r}'
      )
  return arguments
