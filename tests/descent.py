"""A model after some steps of Adam on all training rows of a data set."""

import contract
import jax.numpy as jnp
import ml_collections
import numpy as np

from mlc import data as data_lib
from mlc import train


def three_parts(x, y, rows: int):
  """A Dataset of `rows` training rows, ten for validation, the rest test."""
  splits = {
    'train': np.arange(rows),
    'valid': np.arange(rows, rows + 10),
    'test': np.arange(rows + 10, len(x)),
  }
  return data_lib.from_arrays(x, y, name='world', splits=splits)


def descend(model, data, steps: int, lr: float = 0.02) -> contract.Case:
  """Of `data` the test rows, and `model` with what it has learnt."""
  config = ml_collections.ConfigDict(
    {'name': 'adamw', 'lr': lr, 'schedule': 'constant', 'weight_decay': 0.0}
  )
  batch = train.Batch(*map(jnp.asarray, data.split('train')))
  variables = contract.stepped(model, config, batch, steps, data)
  test = data.split('test')
  return contract.Case(model, variables, test.x, test.y)
