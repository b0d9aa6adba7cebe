"""Config -> objects: the only file where a string becomes an object."""

import functools
import importlib
import inspect
import pkgutil

from mlc import calls, decisions, encoders, inference
from mlc.errors import InputError, nearest
import mlc.models


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
  method = _find(inference, name, 'inference method')
  return functools.partial(method, **_arguments(config, method, name))


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
  *('name', 'parent')
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
