"""Worlds with one clean label set for each x, of which some labels flip."""

import dataclasses

import numpy as np
from scipy import special

from mlc.data.synthetic.base import (
  INPUTS,
  LABELS,
  WEIGHTS,
  World,
  number,
  overlap,
  stream,
)


class Flipped(World):
  """y = clean(x) xor flips, and p(flips) depends on their number alone.

  So p(y | x) is exact, and drawn from, at any L. A subclass writes `clean`,
  `log_flips` and `flips`.
  """

  def clean(self, x_BxD) -> np.ndarray:
    """The label set before any flip -> BxL int8."""
    raise NotImplementedError

  def log_flips(self) -> np.ndarray:
    """Log probability of any one pattern of k flips, k = 0..L -> (L + 1,)."""
    raise NotImplementedError

  def flips(self, rng: np.random.Generator, shape) -> np.ndarray:
    """Draws flips, 0/1, of a shape that ends in L."""
    raise NotImplementedError

  def log_prob(self, x_BxD, y_BxSxL):
    y_BxSxL = np.asarray(y_BxSxL)
    # A label differs when it is in just one of the two sets.
    away_BxL = 1 - 2 * self.clean(x_BxD)
    base_B = (away_BxL < 0).sum(1)
    count_BxS = overlap(away_BxL, y_BxSxL) + base_B[:, None]
    return self.log_flips()[count_BxS.astype(int)]

  def sample(self, x_BxD, seed, num_samples=1):
    clean_BxL = self.clean(x_BxD)
    shape = (len(clean_BxL), num_samples, self.num_labels)
    return clean_BxL[:, None] ^ self.flips(stream(LABELS, seed), shape)


@dataclasses.dataclass(frozen=True)
class Independent(Flipped):
  """Each label flips by itself with probability `noise`."""

  noise: float = number(0.1, 0, 0.5)

  def log_flips(self):
    k = np.arange(self.num_labels + 1)
    kept = special.xlog1py(self.num_labels - k, -self.noise)
    return special.xlogy(k, self.noise) + kept

  def flips(self, rng, shape):
    return (rng.random(shape) < self.noise).astype(np.int8)


@dataclasses.dataclass(frozen=True)
class Disc(Flipped):
  """x uniform on the unit disc; a clean label is a half of it, 1[a_l . x >= 0].

  `tau`: from 0, where all half discs are the same, to 1. The a_l are drawn from
  `seed`.
  """

  num_labels: int = number(6, 1)
  tau: float = number(1.0, 0, 1)
  seed: int = number(0, 0)

  @property
  def num_features(self):
    return 2

  def inputs(self, num_rows, seed):
    return _discs(num_rows, 1, seed)[:, 0]

  def clean(self, x_BxD):
    a_Lx2 = _normals(self.num_labels, self.tau, self.seed)
    return (self.rows(x_BxD) @ a_Lx2.T >= 0).astype(np.int8)


@dataclasses.dataclass(frozen=True)
class MarginalIndependence(Independent):
  """A disc of its own for each label: independent labels, also given x.

  x holds the L discs side by side, 2L features. Bayes risks: Hamming p, subset
  1 - (1 - p)^L with p = `noise`. Source: Dembczynski, Waegeman, Cheng,
  Huellermeier, Machine Learning 88, 2012, Sect. 7.2.
  """

  num_labels: int = number(6, 1)
  seed: int = number(0, 0)

  @property
  def num_features(self):
    return 2 * self.num_labels

  def inputs(self, num_rows, seed):
    return _discs(num_rows, self.num_labels, seed).reshape(num_rows, -1)

  def clean(self, x_BxD):
    x_BxLx2 = self.rows(x_BxD).reshape(-1, self.num_labels, 2)
    a_Lx2 = _normals(self.num_labels, 1, self.seed)
    return ((x_BxLx2 * a_Lx2).sum(-1) >= 0).astype(np.int8)


@dataclasses.dataclass(frozen=True)
class ConditionalIndependence(Independent, Disc):
  """One disc, independent flips: labels dependent, but not given x.

  Bayes risks: Hamming p, subset 1 - (1 - p)^L with p = `noise`. Source: as
  `MarginalIndependence`, Sect. 7.3.
  """


@dataclasses.dataclass(frozen=True)
class SharedFlip(Disc):
  """One disc; with probability `noise` all labels flip together.

  Bayes risks: Hamming and subset p = `noise`, both by the clean label set; but
  P(y_l | x, labels before l) is not linear in x and y. Source: as
  `MarginalIndependence`, Sect. 7.4.
  """

  noise: float = number(0.1, 0, 0.5)

  def log_flips(self):
    table = np.full(self.num_labels + 1, -np.inf)
    table[0], table[-1] = np.log1p(-self.noise), special.xlogy(1, self.noise)
    return table

  def flips(self, rng, shape):
    all_flip = rng.random((*shape[:-1], 1)) < self.noise
    return np.broadcast_to(all_flip, shape).astype(np.int8)


@dataclasses.dataclass(frozen=True)
class OneFlip(Disc):
  """One disc; exactly one label flips, each as likely as the others.

  Bayes risks, for L >= 3: Hamming 1/L by the clean label set, which never
  occurs; subset 1 - 1/L by any set that differs from it in one label. Source:
  as `MarginalIndependence`, Sect. 7.5.
  """

  def log_flips(self):
    table = np.full(self.num_labels + 1, -np.inf)
    table[1] = -np.log(self.num_labels)
    return table

  def flips(self, rng, shape):
    label = rng.integers(self.num_labels, size=shape[:-1])
    return (np.arange(self.num_labels) == label[..., None]).astype(np.int8)


@dataclasses.dataclass(frozen=True)
class Logic(Independent):
  """OR, AND and XOR of two fair bits, each flipped with probability `noise`.

  The labels are independent given x, yet XOR is linear only given x and the
  other two: what a chain gains here is a better link, not a dependence. Source:
  'Logic' of Read, Martino, Olmos, Luengo, Pattern Recognition 48, 2015, there
  without noise.
  """

  @property
  def num_labels(self) -> int:
    """L = 3."""
    return 3

  @property
  def num_features(self):
    return 2

  def inputs(self, num_rows, seed):
    bits_Nx2 = stream(INPUTS, seed).integers(2, size=(num_rows, 2))
    return bits_Nx2.astype(np.float32)

  def clean(self, x_BxD):
    a_B, b_B = (self.rows(x_BxD) > 0.5).T
    return np.stack([a_B | b_B, a_B & b_B, a_B ^ b_B], 1).astype(np.int8)


def _discs(num_rows: int, num_discs: int, seed: int) -> np.ndarray:
  """Points uniform on unit discs, float32."""
  u = stream(INPUTS, seed).random((2, num_rows, num_discs))
  radius, angle = np.sqrt(u[0]), 2 * np.pi * u[1]
  point = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
  return point.astype(np.float32)


def _normals(num_labels: int, tau: float, seed: int) -> np.ndarray:
  """The a_l, (1 - tau r_1, tau r_2) at unit length, r uniform -> Lx2."""
  r_Lx2 = stream(WEIGHTS, seed).random((num_labels, 2))
  a_Lx2 = np.array([1, 0]) + tau * r_Lx2 * np.array([-1, 1])
  return a_Lx2 / np.linalg.norm(a_Lx2, axis=1, keepdims=True)
