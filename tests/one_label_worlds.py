"""Worlds where one label of four is on, and heads by themselves miss it."""

import functools
from typing import Any

import contract
import descent
import jax
import ml_collections
import numpy as np
from sklearn import metrics

from mlc import encoders, loop

L = 4
# Its stubs do not know the numbers that zero_division takes.
f1_score: Any = metrics.f1_score


@functools.cache
def noisy():
  """The first label is on twice as often; x says little."""
  rng = np.random.default_rng(3)
  x = rng.normal(size=(1200, 3))
  label = np.log([0.4, 0.2, 0.2, 0.2]) + 0.6 * x @ rng.normal(size=(3, L))
  label = (label + rng.gumbel(size=label.shape)).argmax(1)
  return descent.three_parts(x, np.eye(L)[label], rows=800)


@functools.cache
def largest():
  """Without noise: on is the label with the largest linear function of x.

  Linear heads find two rows of three; with 'exactly one is on', all.
  """
  rng = np.random.default_rng(3)
  x = rng.normal(size=(2000, 3))
  label = (x @ rng.normal(size=(3, L))).argmax(1)
  return descent.three_parts(x, np.eye(L)[label], rows=1400)


def _answers(model, method: str, data, config, seeds):
  """KxNxL: of the test rows, cut at 1/2."""
  result = loop.fit(model, data, config, seeds)
  apply = functools.partial(model.apply, method=method)
  scores = jax.jit(jax.vmap(apply, (0, None)))
  return np.asarray(scores(result.variables, data.split('test').x)) > 0.5


def example_f1(cls, method: str, **fields) -> float:
  """Test example-F1 in the noisy world, mean over two seeds."""
  model = cls(num_labels=L, encoder=encoders.MLP((16,)), **fields)
  config: Any = contract.sgd(epochs=20, batch_size=40, l2=0.0)
  config.optimizer.lr = 0.1
  y_NxL = noisy().split('test').y
  return np.mean(
    [
      f1_score(y_NxL, answer_NxL, average='samples', zero_division=0)
      for answer_NxL in _answers(model, method, noisy(), config, [0, 1])
    ]
  )


def found(cls, method: str, **fields) -> float:
  """Which share of label sets is found in the other, mean over three seeds."""
  model = cls(num_labels=L, encoder=encoders.Linear(), **fields)
  config: Any = contract.sgd(epochs=40, batch_size=50, l2=0.0)
  with config.unlocked():
    config.optimizer = ml_collections.ConfigDict(
      {'name': 'adamw', 'lr': 0.03, 'schedule': 'cosine', 'weight_decay': 0.0}
    )
  answer_KxNxL = _answers(model, method, largest(), config, [0, 1, 2])
  return (answer_KxNxL == largest().split('test').y).all(-1).mean()
