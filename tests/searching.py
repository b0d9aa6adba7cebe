"""The searches of the literature, one prefix at a time: an oracle in NumPy."""

import heapq

import jax
import jax.numpy as jnp
import numpy as np

from mlc import encoders
from mlc.models import chain

L, B = 6, 120
SETS_UxL = (np.arange(2**L)[:, None] >> np.arange(L)[::-1]) & 1
ORDER = (3, 0, 5, 1, 4, 2)


def linear_chain():
  """A chain of six linear links in an order of its own."""
  order = ','.join(map(str, ORDER))
  return chain.Model(num_labels=L, encoder=encoders.Linear(), order=order)


def rows():
  return jnp.asarray(np.random.default_rng(3).normal(size=(B, L)), jnp.float32)


def parameters(of_x=1.0, of_labels=1.0, seed=0):
  """Variables of `linear_chain`; each row of x is another chain."""
  rng = np.random.default_rng(seed)
  params = {
    'from_h': {
      'kernel': of_x * rng.normal(size=(L, L)),
      'bias': of_x * rng.normal(size=L),
    },
    'label_kernel': of_labels * rng.normal(size=(L, L, 1)),
  }
  return {
    'params': jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), params),
    'structure': {
      'order': jnp.array(ORDER),
      'constant': jnp.full(L, jnp.nan),
    },
  }


# Spread out; sharp; so sure of some labels that float32 knows no other; ties.
WORLDS = {
  'spread': parameters(),
  'sharp': parameters(of_x=2, of_labels=3, seed=1),
  'sure': parameters(of_x=12, of_labels=9, seed=2),
  'ties': parameters(of_x=0, of_labels=0),
}


def joints(variables):
  """BxU in float64: p(y | x), by log_prob of each label set."""
  model, x = linear_chain(), rows()
  log_prob = jax.vmap(
    lambda y_L: model.apply(
      variables, x, jnp.tile(y_L, (B, 1)), method='log_prob'
    ),
    out_axes=1,
  )
  return np.exp(np.asarray(jax.jit(log_prob)(jnp.asarray(SETS_UxL)), float))


def prefixes(joint_U, order=ORDER):
  """Prefix, in the order of prediction -> its probability."""
  table = joint_U.reshape((2,) * len(order)).transpose(order)
  found = {(): table.sum()}
  for length in range(1, len(order) + 1):
    for prefix in np.ndindex((2,) * length):
      found[prefix] = table[prefix].sum()
  return found


def sequential(p, epsilon, num_labels=L):
  """(answer, nodes explored) of Algorithm 2; epsilon 0: uniform-cost search.

  p: `prefixes`. Equal probabilities go in the order of their prefixes.
  """
  queue: list[tuple] = [(-p[()], ())]
  parents, explored = [], 0
  while queue:
    _, prefix = heapq.heappop(queue)
    explored += 1
    if len(prefix) == num_labels:
      return prefix, explored
    children = [prefix + (v,) for v in (0, 1)]
    children = [c for c in children if p[c] > 0 and p[c] >= epsilon]
    for child in children:
      heapq.heappush(queue, (-p[child], child))
    if not children:
      parents.append(prefix)
  ends = []
  for prefix in parents:
    while len(prefix) < num_labels:
      zero, one = prefix + (0,), prefix + (1,)
      prefix = one if p[one] > p[zero] else zero
      explored += 1
    ends.append((-p[prefix], prefix))
  return min(ends)[1], explored
