"""Inference and decisions on linear chains with C = 1, solved to the optimum.

First yeast in Mulan's split: all 2^14 label sets of each of the 917 test rows
and the best answers for Hamming, subset 0/1, example-F1, markedness and
informedness, and the ranking for precision@k, as one program; Jaccard apart.
Beside it dacaf-mlc (Nguyen et al., Information Fusion 2026), its statistics and
its rules for the same losses but informedness, which it has not, with as many
rows at a time as ours, to bound its memory. It asks for NumPy below 2 and runs
with later ones: `pip install --no-deps dacaf-mlc`. Where it is not installed,
the enumeration in plain NumPy and scikit-learn.

Then enron, 53 labels, 579 test rows: searches and draws, with the nodes that
they explore in a second. `--runs` processes a side, of which the fastest
counts; MiB are the peak of the process, with all that it imports.
"""

from collections.abc import Callable
import functools
import importlib.util
import time
from typing import Any
import warnings

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from experiments.suites import Case, Took
from mlc import build, convex, decisions, parallel
from mlc import data as data_lib
from mlc.decisions import rankings

CHAIN = {'name': 'chain', 'hidden': 0}
RULES = (
  *(decisions.hamming, decisions.subset, decisions.f1),
  *(decisions.markedness, decisions.informedness, rankings.precision_at),
)
# Rows decoded at a time: 64 x 2^14 weights take 4 MiB.
BATCH = 64
PEER = 'dacaf-mlc'


def ours(name: str, infer: str, rules: tuple[Callable, ...]):
  """One posterior of each test row, and an answer by each of the rules."""
  parallel.dispatch_in_turn()  # As all the commands do.
  data = data_lib.load(name).standardised()
  model = build.model(CHAIN, {'name': 'Linear'}, data.num_labels)
  config = ml_collections.ConfigDict({'l2': 1.0, 'optimizer': {}})
  fitted = convex.fit(model, data, config, [0])
  variables = jax.tree.map(lambda a: jnp.asarray(a[0]), fitted.variables)
  method = build.infer(infer)
  x = data.split('test').x
  num_rows = len(jax.tree.leaves(x)[0])
  num_batches = -(-num_rows // BATCH)
  idx_N = np.minimum(np.arange(num_batches * BATCH), num_rows - 1)
  batches = jax.tree.map(
    lambda a: jnp.asarray(a[idx_N].reshape(num_batches, BATCH, *a.shape[1:])), x
  )
  keys = jax.random.split(jax.random.key(0), num_batches)
  programs = parallel.Programs()

  def decode(variables, batch):
    posterior = method(model, variables, *batch)
    nodes_B = getattr(posterior, 'nodes_B', None)
    return [rule(posterior) for rule in rules], nodes_B

  program = programs.add(
    lambda variables, given: jax.lax.map(
      functools.partial(decode, variables), given
    )
  )
  _, nodes = jax.device_get(program(variables, (batches, keys)))

  def run():
    began = time.perf_counter()
    jax.block_until_ready(program(variables, (batches, keys)))
    seconds = time.perf_counter() - began
    explored = 0.0 if nodes is None else float(nodes.ravel()[:num_rows].sum())
    return Took(seconds, programs.compile_seconds, explored)

  return run


def _train(name: str):
  """Dense x, y and the x of test."""
  data = data_lib.load(name).standardised()
  x, y_NxL, _ = data.split('train')
  return np.asarray(x, float), y_NxL, np.asarray(data.split('test').x, float)


def dacaf(name: str):
  """The statistics of dacaf-mlc and its rules on them."""
  from dacaf_mlc import (  # pyright: ignore[reportMissingImports]
    probability_classifier_chains as pcc,
  )
  from sklearn.linear_model import LogisticRegression

  x, y_NxL, x_test = _train(name)
  chain = pcc.ProbabilisticClassifierChain(LogisticRegression(max_iter=1000))
  chain.fit(x, y_NxL.astype(int))

  def run():
    stats = chain.compute_stats(x_test, batch_size=BATCH)
    pcc.bop_hamming(stats)
    pcc.bop_subset(stats)
    pcc.bop_fmeasure(stats)
    pcc.bop_markedness(stats)
    np.argsort(-stats.marginals, axis=1)

  return run


def plain(name: str):
  """Scikit-learn's chain, every prefix of every row by a product with NumPy.

  The mode, the marginals and the answers that follow from them.
  """
  from sklearn.linear_model import LogisticRegression
  from sklearn.multioutput import ClassifierChain

  x, y_NxL, x_test = _train(name)
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    chain = ClassifierChain(LogisticRegression(max_iter=1000)).fit(x, y_NxL)
  fitted: list[Any] = list(chain.estimators_)
  num_labels = y_NxL.shape[1]
  y_UxL = np.arange(2**num_labels)[:, None] >> np.arange(num_labels) & 1

  def run():
    p_NxU = np.ones((len(x_test), 1))
    for label, link in enumerate(fitted):
      w_D, w_L = np.split(link.coef_[0], [x.shape[1]])
      from_x_N = x_test @ w_D + link.intercept_[0]
      from_y_U = y_UxL[: 2**label, :label] @ w_L
      on_NxU = 1 / (1 + np.exp(-from_x_N[:, None] - from_y_U[None]))
      p_NxU = np.concatenate([p_NxU * (1 - on_NxU), p_NxU * on_NxU], axis=1)
    marginals_NxL = p_NxU @ y_UxL
    return y_UxL[p_NxU.argmax(1)], marginals_NxL > 0.5

  return run


def _beside(title: str, name: str, rules: tuple[Callable, ...]) -> Case:
  there = importlib.util.find_spec('dacaf_mlc') is not None
  return Case(
    title,
    functools.partial(ours, name, 'exact', rules),
    PEER if there else f'scikit-learn, no {PEER} here',
    functools.partial(dacaf if there else plain, name),
  )


def _search(infer: str, name: str = 'mulan/enron') -> Case:
  return Case(
    f'{infer}, {name.removeprefix("mulan/")}',
    functools.partial(ours, name, infer, (decisions.subset,)),
  )


YEAST = 'mulan/yeast'
CASES = (
  _beside('exact and six rules, yeast', YEAST, RULES),
  Case(
    'exact and Jaccard, yeast',
    functools.partial(ours, YEAST, 'exact', (decisions.jaccard,)),
  ),
  _search('greedy'),
  _search('beam(width=10)'),
  _search('epsilon(epsilon=0.25)'),
  _search('best_first'),
  _search('monte_carlo(samples=100)'),
)
