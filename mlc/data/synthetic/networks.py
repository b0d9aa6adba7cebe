"""Worlds that are graphical models of the labels, given standard normal x."""

import dataclasses
import functools

import numpy as np
from scipy import special

from mlc.data.synthetic.base import (
  GRAPH,
  INPUTS,
  LABELS,
  MAX_EXACT,
  WEIGHTS,
  Enumerated,
  World,
  label_sets,
  log_softmax,
  number,
  overlap,
  stream,
)


class Linear(World):
  """x standard normal, and a linear score for each label.

  A subclass has the fields num_features, signal and seed, `signal` being the
  scale of the scores.
  """

  signal: float
  seed: int

  def inputs(self, num_rows, seed):
    x_NxD = stream(INPUTS, seed).normal(size=(num_rows, self.num_features))
    return x_NxD.astype(np.float32)

  def scores(self, x_BxD) -> np.ndarray:
    """The scores f_l(x) = signal (w_l . x / sqrt(D) + b_l) -> BxL.

    w and b are standard normal, drawn from the world's seed.
    """
    rng = stream(WEIGHTS, self.seed)
    w_DxL = rng.normal(size=(self.num_features, self.num_labels))
    b_L = rng.normal(size=self.num_labels)
    x_BxD = self.rows(x_BxD)
    return self.signal * (x_BxD @ w_DxL / self.num_features**0.5 + b_L)


class Directed(Linear):
  """logit P(y_l = 1 | x, parents) = own_l(x) + sum_j kernel_jl (2 y_j - 1).

  Exact, and drawn from label by label, at any L. A subclass writes `own`,
  `kernel_LxL` and `order_L`, which lists parents before children.
  """

  @property
  def kernel_LxL(self) -> np.ndarray:
    """Entry [j, l]: what label j says to label l; 0 where it is no parent."""
    raise NotImplementedError

  @property
  def order_L(self) -> np.ndarray:
    """The labels, parents before children."""
    raise NotImplementedError

  def own(self, x_BxD) -> np.ndarray:
    """What x alone says -> BxL."""
    return self.scores(x_BxD)

  def _logit(self, own_BxL, y_BxSxL, label):
    parents = np.flatnonzero(self.kernel_LxL[:, label])
    spin_BxSxP = 2.0 * y_BxSxL[..., parents] - 1
    from_parents = spin_BxSxP @ self.kernel_LxL[parents, label]
    return own_BxL[:, label, None] + from_parents

  def log_prob(self, x_BxD, y_BxSxL):
    y_BxSxL, own_BxL = np.asarray(y_BxSxL), self.own(x_BxD)
    total_BxS = np.zeros((len(own_BxL), y_BxSxL.shape[1]))
    for label in range(self.num_labels):  # So that nothing is BxSxL.
      sign_BxS = 2.0 * y_BxSxL[..., label] - 1
      logit_BxS = self._logit(own_BxL, y_BxSxL, label)
      total_BxS += special.log_expit(sign_BxS * logit_BxS)
    return total_BxS

  def sample(self, x_BxD, seed, num_samples=1):
    rng, own_BxL = stream(LABELS, seed), self.own(x_BxD)
    y_BxSxL = np.zeros((len(own_BxL), num_samples, self.num_labels), np.int8)
    for label in self.order_L:
      p_BxS = special.expit(self._logit(own_BxL, y_BxSxL, label))
      y_BxSxL[..., label] = rng.random(p_BxS.shape) < p_BxS
    return y_BxSxL


@dataclasses.dataclass(frozen=True)
class BayesNet(Directed):
  """A random Bayesian network: each label looks at up to `max_parents` others.

  Labels stand in a random order; each draws how many parents it has, and which,
  from those before it, and for each the sign of its weight, `coupling` in size.
  A chain with linear links in that order is well specified; `coupling` = 0
  leaves independent labels. p(y | x) is exact, and drawn from, at any L.
  """

  num_labels: int = number(8, 1)
  num_features: int = number(10, 1)
  max_parents: int = number(3, 0)
  coupling: float = number(1.0)
  signal: float = number(1.0)
  seed: int = number(0, 0)

  @functools.cached_property
  def _graph(self) -> tuple[np.ndarray, np.ndarray]:
    """Order and kernel."""
    rng = stream(GRAPH, self.seed)
    order_L = rng.permutation(self.num_labels)
    kernel_LxL = np.zeros((self.num_labels, self.num_labels))
    for place, label in enumerate(order_L):
      count = rng.integers(min(place, self.max_parents) + 1)
      parents = rng.choice(order_L[:place], count, replace=False)
      signs = rng.choice([-1, 1], count)
      kernel_LxL[parents, label] = self.coupling * signs
    return order_L, kernel_LxL

  @property
  def order_L(self):
    return self._graph[0]

  @property
  def kernel_LxL(self):
    return self._graph[1]


@dataclasses.dataclass(frozen=True)
class IsingTree(Directed):
  """An Ising model on a random tree, so exact, and drawn from, at any L.

  p(y | x) is proportional to exp(sum_l f_l(x) y_l + sum over edges of J s s'),
  s = 2y - 1, J = +-`coupling` with a random sign for each edge. Each label but
  the first hangs on one drawn from those before it. Summing the leaves out
  towards label 0 gives each label's distribution given its parent (belief
  propagation; Pearl, AAAI 1982): draws go from the root to the leaves.
  """

  num_labels: int = number(8, 1)
  num_features: int = number(10, 1)
  coupling: float = number(1.0)
  signal: float = number(1.0)
  seed: int = number(0, 0)

  @functools.cached_property
  def pairs_LxL(self) -> np.ndarray:
    """The J of each edge, in both triangles; 0 where there is none."""
    rng = stream(GRAPH, self.seed)
    child = np.arange(1, self.num_labels)
    parent, sign = rng.integers(child), rng.choice([-1, 1], len(child))
    pairs_LxL = np.zeros((self.num_labels, self.num_labels))
    pairs_LxL[parent, child] = self.coupling * sign
    return pairs_LxL + pairs_LxL.T

  @property
  def order_L(self):
    return np.arange(self.num_labels)

  @functools.cached_property
  def kernel_LxL(self):
    return 2 * np.triu(self.pairs_LxL)

  def own(self, x_BxD):
    own_BxL = self.scores(x_BxD)
    for label in range(self.num_labels - 1, 0, -1):
      # The message to the parent: log-odds of its being 1 against 0.
      for parent in np.flatnonzero(self.kernel_LxL[:, label]):
        j, own_B = self.pairs_LxL[parent, label], own_BxL[:, label]
        one_B, zero_B = np.logaddexp(-j, own_B + j), np.logaddexp(j, own_B - j)
        own_BxL[:, parent] += one_B - zero_B
    return own_BxL


@dataclasses.dataclass(frozen=True)
class Ising(Linear, Enumerated):
  """An Ising model on a random graph, by enumeration: at most 20 labels.

  p(y | x) is proportional to exp(sum_l f_l(x) y_l + sum over edges of J s s'),
  s = 2y - 1, J = +-`coupling` with a random sign for each edge. Each pair of
  labels is an edge with probability `density`: with loops no order makes the
  conditionals simple. `coupling` = 0 leaves independent labels.
  """

  num_labels: int = number(8, 1, MAX_EXACT)
  num_features: int = number(10, 1)
  coupling: float = number(1.0)
  density: float = number(0.5, 0, 1)
  signal: float = number(1.0)
  seed: int = number(0, 0)

  @functools.cached_property
  def pairs_LxL(self) -> np.ndarray:
    """The J of each edge, in both triangles; 0 where there is none."""
    rng, shape = stream(GRAPH, self.seed), (self.num_labels, self.num_labels)
    edge_LxL = np.triu(rng.random(shape) < self.density, 1)
    upper_LxL = self.coupling * edge_LxL * rng.choice([-1, 1], shape)
    return upper_LxL + upper_LxL.T

  @functools.cached_property
  def _pairs_U(self) -> np.ndarray:
    """The edges' share of each label set's energy."""
    spin_UxL = 2.0 * label_sets(self.num_labels) - 1
    return np.einsum('ul,ul->u', spin_UxL @ np.triu(self.pairs_LxL), spin_UxL)

  def log_probs(self, x_BxD):
    y_1xUxL = label_sets(self.num_labels)[None]
    return log_softmax(overlap(self.scores(x_BxD), y_1xUxL) + self._pairs_U)
