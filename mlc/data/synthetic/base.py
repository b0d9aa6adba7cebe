"""What every known world can do, and what most of them share."""

from collections.abc import Iterator
import dataclasses
import functools
import math
import numbers
import re
from typing import Any

import jax.numpy as jnp
import numpy as np
from scipy import special

from mlc.data.dataset import Dataset, from_arrays
from mlc.data.labels import Labels
from mlc.errors import InputError
from mlc.posterior import Candidates

MAX_EXACT = 20  # Labels; beyond it nothing lists all 2^L label sets.

# What a seed is used for. Two uses never share a stream, so a world with seed
# 0 and a draw with seed 0 are independent.
INPUTS, LABELS, WEIGHTS, GRAPH = range(4)


def stream(purpose: int, seed: int) -> np.random.Generator:
  """The random numbers of one purpose; InputError for a bad seed."""
  if not _whole(seed) or seed < 0:
    raise InputError(f'seed={seed!r}: give a whole number of 0 or more')
  return np.random.default_rng([purpose, seed])


def number(default, low=-math.inf, high=math.inf) -> Any:
  """A field of a world: its default, and the range of what it may be.

  A whole default asks for whole numbers.
  """
  return dataclasses.field(default=default, metadata={'range': (low, high)})


@functools.cache
def label_sets(num_labels: int) -> np.ndarray:
  """UxL int8, U = 2^L: row u is u in binary, label 0 the highest bit.

  The order is that of `mlc.models.base.all_label_sets`.

  Raises:
    InputError: more than 20 labels.
  """
  if num_labels > MAX_EXACT:
    raise InputError(
      f'{num_labels} labels have 2^{num_labels} label sets, and enumeration'
      f' stops at {MAX_EXACT} labels: use `sample`'
    )
  shift_L = np.arange(num_labels - 1, -1, -1)
  y_UxL = (np.arange(2**num_labels)[:, None] >> shift_L & 1).astype(np.int8)
  y_UxL.setflags(write=False)  # The cache hands it to everybody.
  return y_UxL


def chunks(num_rows: int, row_size: int) -> Iterator[slice]:
  """Slices of at most 2^22 cells each, or of one row, that cover all rows."""
  step = max(1, 2**22 // row_size)
  return (slice(row, row + step) for row in range(0, num_rows, step))


def overlap(a_BxL: np.ndarray, y_BxSxL: np.ndarray) -> np.ndarray:
  """The product a . y -> BxS float64; the leading axis of y may be 1."""
  a_BxL = a_BxL.astype(float)
  if len(y_BxSxL) == 1:  # One matrix product: several times as fast.
    return a_BxL @ y_BxSxL[0].T.astype(float)
  return np.einsum('bl,bsl->bs', a_BxL, y_BxSxL)


class World:
  """A joint p(x, y) whose p(y | x) is known.

  A subclass is a frozen dataclass of plain numbers, each declared by `number`;
  it writes `num_features`, `inputs`, `log_prob` and `sample`. Equal fields make
  the same world: train and test rows are two draws from one.

  x is float32, and p(y | x) that of the x returned, to float64. y is 0/1. What
  takes x takes it as drawn: not standardised.
  """

  num_labels: int

  def __post_init__(self):
    for field in dataclasses.fields(self):  # pyright: ignore[reportArgumentType]
      if 'range' in field.metadata:
        self._check(field, *field.metadata['range'])

  def _check(self, field, low, high):
    value = getattr(self, field.name)
    whole = _whole(field.default)
    if whole:
      good = _whole(value)
    else:
      good = isinstance(value, numbers.Real) and math.isfinite(value)
    if not good or isinstance(value, bool) or not low <= value <= high:
      what = 'a whole number' if whole else 'a number'
      raise InputError(
        f'{type(self).__name__}: {field.name}={value!r}: give {what} in'
        f' [{low:g}, {high:g}]'
      )

  @classmethod
  def kind(cls) -> str:
    """The name of the class in a data set's name: BayesNet -> bayes_net."""
    return re.sub('(?<=.)(?=[A-Z])', '_', cls.__name__).lower()

  @property
  def name(self) -> str:
    """As 'world/ising(num_labels=5,seed=1)': what is not default."""
    options = ','.join(
      f'{field.name}={getattr(self, field.name)}'
      for field in dataclasses.fields(self)  # pyright: ignore[reportArgumentType]
      if 'range' in field.metadata
      and getattr(self, field.name) != field.default
    )
    return f'world/{self.kind()}' + (f'({options})' if options else '')

  @property
  def num_features(self) -> int:
    """D."""
    raise NotImplementedError

  def inputs(self, num_rows: int, seed: int) -> np.ndarray:
    """Draws x -> NxD float32."""
    raise NotImplementedError

  def log_prob(self, x_BxD, y_BxSxL) -> np.ndarray:
    """Log p(y | x) -> BxS float64, in nats; -inf where y is impossible.

    The leading axis of y may be 1: the same label sets for all rows.
    """
    raise NotImplementedError

  def sample(self, x_BxD, seed: int, num_samples: int = 1) -> np.ndarray:
    """Independent draws from p(y | x) -> BxSxL int8, S = num_samples."""
    raise NotImplementedError

  def draw(self, num_rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the world: x (N, D) and y (N, L), both float32."""
    x_NxD = self.inputs(num_rows, seed)
    return x_NxD, self.sample(x_NxD, seed)[:, 0].astype(np.float32)

  def log_probs(self, x_BxD) -> np.ndarray:
    """Log p(y | x) of all label sets, in the order of `label_sets` -> BxU.

    Memory is 8 bytes times B 2^L, or a few times that: 8 MiB a row for L = 20.

    Raises:
      InputError: more than 20 labels.
    """
    return self.log_prob(x_BxD, label_sets(self.num_labels)[None])

  def posterior(self, x_BxD) -> Candidates:
    """The whole p(y | x), in float32, for the decision rules.

    Memory and errors as `log_probs`.
    """
    logw_BxU = self.log_probs(x_BxD).astype(np.float32)
    y_1xUxL = label_sets(self.num_labels)[None]
    return Candidates(jnp.asarray(y_1xUxL), jnp.asarray(logw_BxU))

  def dataset(self, num_rows: int, seed: int) -> Dataset:
    """A draw as a `Dataset`, its splits by the same seed.

    Raises:
      InputError: fewer than one row, or too few to split.
    """
    if not _whole(num_rows) or num_rows < 1:
      raise InputError(f'{self.name}: {num_rows!r} rows: give 1 or more')
    x_NxD, y_NxL = self.draw(num_rows, seed)
    return from_arrays(x_NxD, Labels.of(y_NxL), name=self.name, seed=seed)

  def rows(self, x_BxD) -> np.ndarray:
    """Takes x as float64; InputError if it has not this world's shape."""
    x_BxD = np.asarray(x_BxD, float)
    if x_BxD.ndim != 2 or x_BxD.shape[1] != self.num_features:
      raise InputError(
        f'{self.name}: x has shape {x_BxD.shape}: give rows of'
        f' {self.num_features} features'
      )
    return x_BxD


class Enumerated(World):
  """A world that knows p(y | x) as a table over all label sets.

  A subclass writes `log_probs` in place of `log_prob` and `sample`; time and
  memory are those of 2^L.
  """

  def log_probs(self, x_BxD):
    raise NotImplementedError

  def log_prob(self, x_BxD, y_BxSxL):
    power_L = 2 ** np.arange(self.num_labels - 1, -1, -1)
    index_BxS = np.asarray(y_BxSxL).astype(int) @ power_L
    index_BxS = np.broadcast_to(index_BxS, (len(x_BxD), index_BxS.shape[1]))
    return np.concatenate(
      [
        np.take_along_axis(self.log_probs(x_BxD[rows]), index_BxS[rows], axis=1)
        for rows in chunks(len(x_BxD), 2**self.num_labels)
      ]
    )

  def sample(self, x_BxD, seed, num_samples=1):
    u_BxS = stream(LABELS, seed).random((len(x_BxD), num_samples))
    index_BxS = np.empty(u_BxS.shape, int)
    for rows in chunks(len(x_BxD), 2**self.num_labels):
      cdf_BxU = np.exp(self.log_probs(x_BxD[rows])).cumsum(1)
      cdf_BxU /= cdf_BxU[:, -1:]  # Exactly 1 at the end, above every u.
      for b, (cdf_U, u_S) in enumerate(zip(cdf_BxU, u_BxS[rows], strict=True)):
        index_BxS[rows.start + b] = np.searchsorted(cdf_U, u_S, side='right')
    return label_sets(self.num_labels)[index_BxS]


def log_softmax(energy_BxU: np.ndarray) -> np.ndarray:
  """Energies less their log partition function -> BxU."""
  return energy_BxU - special.logsumexp(energy_BxU, axis=1, keepdims=True)


def _whole(value) -> bool:
  return isinstance(value, numbers.Integral) and not isinstance(value, bool)
