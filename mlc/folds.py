"""Linear models over many folds, fitted and judged in few compiled programs.

All folds of a cross-validation, or all draws of a known world, have nearly the
same shape: `Judge` pads their rows to one, and so compiles once for all.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import dataclasses
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mlc import build, convex, metrics, parallel
from mlc.data import Dataset
from mlc.data.splits import Fold
from mlc.errors import InputError


def cut(
  data: Dataset, folds: Iterable[Fold], *, standardise: bool = True
) -> Iterator[Dataset]:
  """The data of each fold, splits 'train' and 'test', prepared on its train.

  standardise: else missing features are only filled in.
  """
  for train, test in folds:
    fold = dataclasses.replace(data, splits={'train': train, 'test': test})
    yield fold.standardised() if standardise else fold.imputed()


class Judged(NamedTuple):
  """What one run says of one fold.

  values: (decision, metric) -> value. answers: decision -> NxL. nodes: those
  explored, mean over rows; None where the inference counts none.
  """

  values: dict[tuple[str, str], float]
  answers: dict[str, np.ndarray]
  nodes: float | None


class Judge:
  """Decodes the test rows of one fold after the other by one program."""

  def __init__(
    self,
    model,
    infer: str,
    rules: Mapping[str, Sequence[str]],
    *,
    num_rows: int,
    batch_size: int = 64,
  ):
    """Says what is to be judged; nothing is compiled yet.

    infer: an inference method, as in a config. rules: decision -> metrics of
    its answers. num_rows: the most test rows of any fold. batch_size: rows
    decoded at a time, which bounds memory.
    """
    self.model, self.infer = model, build.infer(infer)
    self.rules = {
      name: (build.decision(name), [metrics.named(m) for m in of_answers])
      for name, of_answers in rules.items()
    }
    self.num_rows = num_rows
    self.num_batches = -(-num_rows // batch_size)
    self.batch_size = -(-num_rows // self.num_batches)
    self.programs = parallel.Programs()
    self.run = self.programs.add(self._judged)
    self.seconds = 0.0

  @property
  def compile_seconds(self) -> float:
    """Of all programs so far; not part of `seconds`."""
    return self.programs.compile_seconds

  def __call__(self, variables, rows, seed: int = 0) -> Judged:
    """What one run's variables make of `rows`; seed: of methods that draw.

    Raises:
      InputError: more rows than `num_rows`.
    """
    if len(rows.y) > self.num_rows:
      raise InputError(
        f'{len(rows.y)} rows to judge: give Judge num_rows={len(rows.y)}, not'
        f' {self.num_rows}'
      )
    clock, compiled = time.perf_counter(), self.compile_seconds
    keys = jax.random.split(jax.random.key(seed), self.num_batches)
    out = self.run(variables, self._padded(rows), keys)
    values, answers, nodes = jax.device_get(out)
    compiling = self.compile_seconds - compiled
    self.seconds += time.perf_counter() - clock - compiling
    return Judged(
      {key: float(value) for key, value in values.items()},
      {name: answer[: len(rows.y)] for name, answer in answers.items()},
      None if nodes is None else float(nodes),
    )

  def _padded(self, rows):
    """Rows as batches; those beyond the last are its copies, masked out."""
    total = self.num_batches * self.batch_size
    idx_N = np.minimum(np.arange(total), len(rows.y) - 1)
    x, y_NxL, mask_NxL = jax.tree.map(lambda a: a[idx_N], rows)
    mask_NxL = mask_NxL * (np.arange(total) < len(rows.y))[:, None]
    x = jax.tree.map(
      lambda a: a.reshape(self.num_batches, self.batch_size, *a.shape[1:]), x
    )
    return jax.tree.map(jnp.asarray, (x, y_NxL, mask_NxL))

  def _judged(self, variables, rows, keys):
    x, y_NxL, mask_NxL = rows

    def decode(batch):
      posterior = self.infer(self.model, variables, *batch)
      answers = {
        name: rule.decide(posterior) for name, (rule, _) in self.rules.items()
      }
      nodes_B = getattr(posterior, 'nodes_B', None)
      return answers, nodes_B

    answers, nodes = jax.lax.map(decode, (x, keys))
    answers = {
      name: answer.reshape(-1, answer.shape[-1])
      for name, answer in answers.items()
    }
    found = {}
    for name, answer_NxL in answers.items():
      values = metrics.measure(self.rules[name][1], answer_NxL, y_NxL, mask_NxL)
      found |= {(name, metric): value for metric, value in values.items()}
    if nodes is not None:
      seen_N = mask_NxL.any(-1)
      nodes_N = jnp.where(seen_N, nodes.reshape(-1), 0)
      nodes = nodes_N.sum() / seen_N.sum()
    return found, answers, nodes


def fit(model, data: Dataset, train_config, num_rows: int):
  """Solves the links of one fold -> (variables, seconds, compile seconds).

  num_rows: the most training rows of any fold, to compile once for all.
  """
  result = convex.fit(model, data, train_config, [0], num_rows=num_rows)
  return first(result.variables), result.train_seconds, result.compile_seconds


def first(tree):
  """The first of K runs, without their axis."""
  return jax.tree.map(lambda a: a[0], tree)
