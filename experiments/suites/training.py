"""Small neural models beside the same in PyTorch: both train whole epochs.

The sets are looked for as `mlc.data.load` does: set MLC_DATA, or fetch them
first with `python -m experiments.describe --download --data=mulan/enron`. The
peers are in experiments/plain_torch.py.
"""

import atexit
import functools
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

import jax
import jax.numpy as jnp
import numpy as np

from experiments.suites import Case, SideBySide, Took
from mlc import build, inputs, loop, parallel

PEER = 'PyTorch'


def config_of(model: str, name: str, epochs: int):
  """configs/<model>.py on a set, for all of `epochs`.

  'nets' is the chain of which each link is a network of its own.
  """
  nets = model == 'nets'
  module = importlib.import_module(f'configs.{"chain" if nets else model}')
  config = module.get_config(name)
  if nets:
    config.model['hidden'] = 64
    config.encoder = {'name': 'Linear'}
  config.train.update({'epochs': epochs, 'patience': 0})
  return config


def ours(model: str, name: str, epochs: int, runs: int):
  """`runs` seeds as one program."""
  parallel.dispatch_in_turn()  # As all the commands do.
  config = config_of(model, name, epochs)
  data = build.dataset(config)
  net = build.model(config.model, config.encoder, data.num_labels)

  def run():
    result = loop.fit(net, data, config.train, list(range(runs)))
    return Took(result.train_seconds, result.compile_seconds)

  return run


def peer(
  model: str, name: str, epochs: int, runs: int, masked: bool, fused: bool
):
  """`runs` seeds one after the other."""
  import torch  # pyright: ignore[reportMissingImports]

  from experiments import plain_torch

  config = config_of(model, name, epochs)
  data = build.dataset(config)
  train, valid = (tensors(data.split(name)) for name in ('train', 'valid'))

  widths = train[0].shape[1], data.num_labels

  def run():
    for seed in range(runs):
      torch.manual_seed(seed)
      net = plain_torch.network(model, config, *widths, masked)
      plain_torch.fit(net, train, valid, config.train, fused)

  return run


def tensors(rows):
  """Dense x and y of rows, as float tensors of PyTorch."""
  import torch  # pyright: ignore[reportMissingImports]

  x = inputs.written_out(jax.tree.map(jnp.asarray, rows.x))
  return [
    torch.from_numpy(np.array(array, np.float32)) for array in (x, rows.y)
  ]


def compile_apart(cached: bool):
  """Compiles the transformer for yeast in a new process.

  cached: with a folder of compiled programs that a process before it filled.
  """
  folder = tempfile.mkdtemp()
  atexit.register(shutil.rmtree, folder)
  code = 'from experiments.suites import training; training.compile_here()'
  environment = os.environ | {'JAX_COMPILATION_CACHE_DIR': folder}

  def run():
    done = subprocess.run(
      [sys.executable, '-c', code],
      env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return Took(json.loads(done.stdout.splitlines()[-1]), 0.0)

  if cached:
    run()
  return run


def compile_here() -> None:
  """Trains one epoch and prints the seconds that it took to compile."""
  parallel.cache_compilations('')
  print(ours('transformer', 'mulan/yeast', 1, 1)().compile_seconds)


def _case(title, model, name, epochs, runs=1, masked=False, fused=False):
  seeds = f', {runs} seeds' if runs > 1 else ''
  how = ', masked' * masked + ', fused AdamW' * fused
  return SideBySide(
    f'{title}, {name.removeprefix("mulan/")}, {epochs} epochs{seeds}',
    functools.partial(ours, model, name, epochs, runs),
    PEER + how,
    functools.partial(peer, model, name, epochs, runs, masked, fused),
  )


YEAST, ENRON = 'mulan/yeast', 'mulan/enron'
CASES = (
  _case('MLP, heads', 'independent', YEAST, 40),
  _case('MLP, heads', 'independent', YEAST, 40, fused=True),
  _case('MLP, heads', 'independent', ENRON, 40),
  _case('MLP, chain', 'chain', YEAST, 40),
  _case('MLP, chain', 'chain', YEAST, 40, masked=True),
  _case('MLP, chain', 'chain', ENRON, 20),
  _case('MLP, chain', 'chain', ENRON, 20, masked=True),
  _case('chain of networks', 'nets', YEAST, 20),
  _case('chain of networks', 'nets', YEAST, 20, masked=True),
  _case('chain of networks', 'nets', ENRON, 5),
  _case('chain of networks', 'nets', ENRON, 5, masked=True),
  _case('transformer decoder', 'transformer', YEAST, 10),
  _case('transformer decoder', 'transformer', ENRON, 5),
  _case('MLP, heads', 'independent', YEAST, 20, runs=10),
  _case('MLP, heads', 'independent', ENRON, 20, runs=10),
  _case('MLP, chain', 'chain', YEAST, 20, runs=10),
  _case('chain of networks', 'nets', YEAST, 5, runs=10),
  _case('transformer decoder', 'transformer', YEAST, 2, runs=10),
  Case(
    'compile the transformer again, cache kept',
    functools.partial(compile_apart, True),
    'no cache',
    functools.partial(compile_apart, False),
  ),
)
