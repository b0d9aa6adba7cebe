"""A train step and decoding of every model, and how they grow with labels.

No peers. Batches of 64 rows of random data, about five labels on in each, heads
or decoders of each model's own config on an MLP of 64. Decoding is by the
inference of the config, greedily where that enumerates label sets and there are
too many (by draws, where there is no greedy answer); seconds are of 64 rows. A
model that is not for so many labels has no number. All of it takes an hour of
one core; --only='ising_pseudo, L' measures one model.
"""

import contextlib
import functools
import importlib
import itertools
import math
import pkgutil
import sys

import jax
import jax.numpy as jnp
import numpy as np

from experiments.suites import Case, Took
from mlc import build, evaluate, loop, parallel, run_folder
from mlc import data as data_lib
from mlc.errors import InputError
import mlc.models

BATCH, FEATURES = 64, 100
SIZES = (14, 159, 983)
# Steps of an epoch; fewer where labels attend to labels, for ten seconds each.
STEPS, FEW = 16, 4
ATTENDING = 'lamp', 'masked_transformer', 'transformer'
WHAT = 'train step', 'decode'
# The config of each model, and of what another one of them does beyond L = 20.
FILES = {module.name for module in pkgutil.iter_modules(mlc.models.__path__)}
MODELS = tuple(sorted(FILES - {'base'} | {'ising_pseudo'}))


@functools.cache
def rows(num_labels: int, kind: str, steps: int):
  """Random data; of multi-class data one label a row."""
  rng = np.random.default_rng(0)
  num_rows = BATCH * (steps + 2)
  y = rng.random((num_rows, num_labels)) < min(0.3, 5 / num_labels)
  if kind == 'multi-class':
    y = np.eye(num_labels)[rng.integers(0, num_labels, num_rows)]
  cuts = [BATCH * steps, BATCH * (steps + 1)]
  splits = np.split(np.arange(num_rows), cuts)
  return data_lib.from_arrays(
    rng.standard_normal((num_rows, FEATURES), np.float32),
    y.astype(np.float32),
    splits=dict(zip(('train', 'valid', 'test'), splits, strict=True)),
    kind=kind,
  )


def ours(name: str, num_labels: int):
  """Two epochs, then a batch decoded; nan where the model refuses."""
  parallel.dispatch_in_turn()  # As all the commands do.
  config = importlib.import_module(f'configs.{name}').get_config()
  config.encoder = {'name': 'MLP', 'widths': (64,), 'dropout': 0.5}
  config.train.update(
    {'epochs': 2, 'patience': 0, 'batch_size': BATCH, 'select': 'loss'}
  )
  took = Took(math.nan, 0.0, decode=math.nan)
  steps = FEW if name in ATTENDING and num_labels > 500 else STEPS
  try:
    model = build.model(config.model, config.encoder, num_labels)
    data = rows(num_labels, getattr(model, 'kind', 'multi-label'), steps)
    result = loop.fit(model, data, config.train, [0])
    seconds = result.train_seconds / (2 * steps)
    took = Took(seconds, result.compile_seconds, decode=math.nan)
    decode, compiling = _decode(model, config, data, result.variables)
    compiling += took.compile_seconds
    took = took._replace(decode=decode, compile_seconds=compiling)
  except InputError as error:
    print(f'{name}, L = {num_labels}: {error}', file=sys.stderr)

  def run():
    return took

  return run


def _decode(model, config, data, variables):
  """(seconds, compilation) of 64 rows, the second time."""
  variables = jax.tree.map(jnp.asarray, variables)
  keys, x = jax.random.split(jax.random.key(0), 1), data.split('test').x
  infer = _inference(config, model, variables, x)
  decode = evaluate.Decoder(model, infer, batch_size=BATCH)
  # Nothing but inference: a pseudo-likelihood takes a pass for each label.
  for _ in range(2):
    decode.seconds['infer'] = 0.0
    decode.run_infer(variables, x, keys, None)
  return decode.seconds['infer'], decode.programs.compile_seconds


def _inference(config, model, variables, x):
  """The first of the config's that takes the model, after exact greedily."""
  calls = config.inference.split(' or ')
  if calls[0] == 'exact':
    calls.insert(1, 'greedy')
  one = jax.tree.map(lambda a: a[0], variables)
  for call in calls[:-1]:
    infer = build.infer(call)
    with contextlib.suppress(InputError):
      jax.eval_shape(functools.partial(infer, model), one, x, jax.random.key(0))
      return infer
  return build.infer(calls[-1])


POINTS = tuple(itertools.product(MODELS, SIZES))
CASES = tuple(
  Case(f'{name}, L = {size}', functools.partial(ours, name, size))
  for name, size in POINTS
)


def exponent(sizes, seconds) -> float:
  """The slope between the largest two sizes, log-log."""
  found = [(s, t) for s, t in zip(sizes, seconds, strict=True) if t > 0]
  if len(found) < 2:
    return math.nan
  (s0, t0), (s1, t1) = found[-2:]
  return math.log(t1 / t0) / math.log(s1 / s0)


def finish(results, folder) -> None:
  """Prints one line a model; into the folder goes models.md."""
  points = {f'{name}, L = {size}': (name, size) for name, size in POINTS}
  found = {points[result['case']]: result['ours'] for result in results}
  heads = [
    'model',
    *(f'{what} {size}' for what in WHAT for size in (*SIZES, 'L^')),
    f'MiB at {SIZES[-1]}',
  ]
  lines = ['| ' + ' | '.join(heads) + ' |', '| --- ' + '| ---: ' * 9 + '|']
  for name in dict.fromkeys(name for name, _ in found):
    of_sizes = [found.get((name, size), {}) for size in SIZES]
    cells = [name]
    for what in ('seconds', 'decode'):
      seconds = [took.get(what, math.nan) for took in of_sizes]
      cells += [_shown(1e3 * s) for s in seconds]
      cells.append(_shown(exponent(SIZES, seconds), 2))
    cells.append(_shown(of_sizes[-1].get('mib', math.nan), 0))
    lines.append('| ' + ' | '.join(cells) + ' |')
  text = '\n'.join(lines) + '\n'
  print(text)
  if folder:
    run_folder.atomic_write(folder / 'models.md', text)


def _shown(value: float, digits: int = 1) -> str:
  return '–' if math.isnan(value) else f'{value:.{digits}f}'
