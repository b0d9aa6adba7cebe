"""Ensembles of linear chains solved to the optimum, beside scikit-learn.

Ten chains in random orders, C = 1. The peer is ten ClassifierChains of
LogisticRegression(C=1, max_iter=1000), which stops at its own tolerance, short
of the optimum; on sparse sets by the faster of its lbfgs and liblinear (which
penalises the intercept too: a neighbouring problem), found at set-up.
"""

import functools
import time
import warnings

import ml_collections
import numpy as np

from experiments.suites import SideBySide, Took
from mlc import build, convex, links
from mlc import data as data_lib

CHAINS = 10
CHAIN = {'name': 'chain', 'order': 'random', 'hidden': 0}
ENSEMBLE = {'name': 'mixture', 'size': CHAINS, 'member': CHAIN}
HEADS = {'name': 'independent'}


def ours(name: str, model_config):
  """`convex.fit` of one run."""
  data = data_lib.load(name).standardised()
  model = build.model(model_config, {'name': 'Linear'}, data.num_labels)
  config = ml_collections.ConfigDict({'l2': 1.0, 'optimizer': {}})

  def run():
    result = convex.fit(model, data, config, [0])
    return Took(result.train_seconds, result.compile_seconds)

  return run


def _train(name: str):
  """x, dense or CSR, and y of the labels that vary in train."""
  data = data_lib.load(name).standardised()
  x, y_NxL, _ = data.split('train')
  x = x if isinstance(x, np.ndarray) else links.csr(x)
  return x, y_NxL[:, np.isnan(data.constant_L)]


def _quiet(run):
  """`run` without scikit-learn's warnings."""

  def quiet():
    with warnings.catch_warnings():
      warnings.simplefilter('ignore')
      run()

  return quiet


def chains(name: str, solvers: tuple[str, ...] = ('lbfgs',)):
  """Ten chains by the fastest of `solvers`."""
  from sklearn.linear_model import LogisticRegression
  from sklearn.multioutput import ClassifierChain

  x, y_NxL = _train(name)

  def fit(number, solver):
    link = LogisticRegression(C=1, max_iter=1000, solver=solver)
    ClassifierChain(link, order='random', random_state=number).fit(x, y_NxL)

  def seconds(solver):
    began = time.perf_counter()
    _quiet(functools.partial(fit, 0, solver))()
    return time.perf_counter() - began

  solver = min(solvers, key=seconds) if solvers[1:] else solvers[0]
  return _quiet(lambda: [fit(number, solver) for number in range(CHAINS)])


def heads(name: str):
  """One LogisticRegression a label, one after the other."""
  from sklearn.linear_model import LogisticRegression

  x, y_NxL = _train(name)
  return _quiet(
    lambda: [LogisticRegression(C=1, max_iter=1000).fit(x, y) for y in y_NxL.T]
  )


def _ensemble(name: str, sparse: bool = False) -> SideBySide:
  solvers = ('lbfgs', 'liblinear') if sparse else ('lbfgs',)
  return SideBySide(
    f'10 linear chains, {name}',
    functools.partial(ours, name, ENSEMBLE),
    f'scikit-learn, {" or ".join(solvers)}',
    functools.partial(chains, name, solvers),
  )


CASES = (
  _ensemble('mulan/yeast'),
  _ensemble('mulan/scene'),
  _ensemble('mulan/cal500'),
  _ensemble('mulan/enron', sparse=True),
  _ensemble('mulan/bibtex', sparse=True),
  SideBySide(
    'linear heads, mulan/cal500',
    functools.partial(ours, 'mulan/cal500', HEADS),
    'scikit-learn, lbfgs',
    functools.partial(heads, 'mulan/cal500'),
  ),
)
