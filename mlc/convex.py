"""Linear heads and chain links, all solved to the optimum in one program.

Given the true labels before it, each link of a chain is a logistic regression
of its own, on the features and those labels. `fit` says which links there are
and puts their weights into the variables; mlc/links.py finds them.
"""

import functools
import math
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mlc import calls, encoders, logistic, loop, train
from mlc import links as links_lib
from mlc.data import splits
from mlc.errors import InputError, nearest
from mlc.models import chain, independent, mixture

OPTIONS = ('name', 'polish', 'strengths', 'criterion', 'folds')
# What would mean something to the loop only.
FIXED = {
  'loss': 'likelihood',
  'select': 'loss',
  'compute': 'float32',
  'parallel': 'jit',
  'batch_size': 0,
  'patience': 0,
}


def check(model, config) -> None:
  """Raises InputError for what `fit` could not do with `model` or `config`."""
  member = _member(model)
  kinds = chain.Model, independent.Model
  own = type(member).__module__.rpartition('.')[-1]
  if (
    type(member) not in kinds
    or getattr(member, 'hidden', 0)
    or type(member.encoder) is not encoders.Linear
  ):
    raise InputError(
      f'convex on {own}: it solves linear links only: take the model'
      ' independent, or chain with hidden=0, or a mixture of these, on the'
      ' encoder Linear; or another train.optimizer.name'
    )
  if member.missing != 'complete' and not member.independent:
    raise InputError(
      f'convex with missing={member.missing!r}: its links are then not'
      " problems of their own: take missing='complete'"
    )
  calls.check(config.optimizer, OPTIONS, 'train.optimizer.name=convex')
  for key, only in FIXED.items():
    if config.get(key, only) != only:
      raise InputError(
        f'train.{key}={config[key]!r} with train.optimizer.name=convex, which'
        f' has no use for it: leave it at {only!r}'
      )
  folds = config.optimizer.get('folds', 5)
  if type(folds) is not int or folds < 2:
    raise InputError(f'train.optimizer.folds={folds!r}: give 2 or more')
  strengths = _strengths(config)
  if not strengths or not all(0 < c < math.inf for c in strengths):
    raise InputError(
      f'convex needs a penalty: l2={config.l2}, strengths={strengths}: give'
      ' train.l2 = 1 / C above 0, or strengths C above 0 to choose from'
    )
  criterion = config.optimizer.get('criterion', 'nll')
  if criterion not in logistic.CRITERIA:
    raise nearest(criterion, logistic.CRITERIA, 'criterion')


def fit(model, data, config, seeds: list[int]) -> loop.Result:
  """One run per seed, its links at the optimum.

  A link is scikit-learn's LogisticRegression(C) on the features and the labels
  before it, over the train rows where it and these are observed. A label that
  is constant in train has no link, and no link looks at it. With several
  strengths the C of each link is the one of least k-fold `criterion`, as in
  Mena et al. (IJCAI 2015; KAIS 2016).

  config: l2 (1 / C), and under optimizer: polish (go on in float64), strengths
    (C to choose from, () = l2's), criterion ('nll' or 'brier'), folds.

  Raises:
    InputError: no seeds, and what `check` and k-fold splits refuse.
  """
  if not seeds:
    raise InputError('no seeds: train at least one run, --config.seeds=1')
  check(model, config)
  clock = time.perf_counter()
  fitted = np.flatnonzero(np.isnan(data.constant_L))
  if not fitted.size:
    raise InputError(
      f'convex on {data.name}: every label is constant in train, so there is'
      ' nothing to fit: give other splits'
    )
  x, y_NxL, mask_NxL = data.split('train')
  structure, draw_seconds = links_lib.run(
    _draw,
    model,
    jax.tree.map(jnp.asarray, model.structure(data)),
    train.Batch(*jax.tree.map(lambda a: a[:2], (x, y_NxL, mask_NxL))),
    jnp.array(seeds),
  )
  of_member = structure.get('member', structure)
  links = links_lib.find(
    of_member['order'].reshape(len(seeds), -1, data.num_labels),
    fitted,
    look=not _member(model).independent,
  )
  options, strengths = config.optimizer, _strengths(config)
  mask_NxL = mask_NxL[:, fitted]
  solved, compile_seconds = links_lib.solve(
    x,
    np.where(mask_NxL > 0, y_NxL[:, fitted], 0).astype(np.float32),
    None if mask_NxL.all() else mask_NxL,
    links,
    strengths,
    fold_N=_folds(data, options.get('folds', 5)) if strengths[1:] else None,
    criterion=options.get('criterion', 'nll'),
    polish=options.get('polish', False),
  )
  params = _params(model, links, solved.w_PxQ, fitted)
  compile_seconds += draw_seconds
  return loop.Result(
    {'params': params, 'structure': structure},
    [_summary(links, solved, seeds)],
    compile_seconds,
    time.perf_counter() - clock - compile_seconds,
  )


def _member(model) -> Any:
  return model.member if type(model) is mixture.Model else model


def _strengths(config) -> tuple[float, ...]:
  strengths = tuple(config.optimizer.get('strengths', ()))
  return strengths or ((1 / config.l2,) if config.l2 else ())


def _folds(data, num_folds: int):
  """The fold of each train row."""
  y_NxL = data.labels.y_NxL[data.splits['train']]
  fold_N = np.zeros(y_NxL.shape[0], np.int32)
  for fold, (_, rows) in enumerate(splits.k_fold(y_NxL, num_folds, seed=0)):
    fold_N[rows] = fold
  return fold_N


@functools.partial(jax.jit, static_argnums=0)
def _draw(model, structure, sample, seeds):
  """The collection 'structure' of each run, as training has it."""

  def draw(seed):
    key = jax.random.key(seed)
    return train.init(model, optax.identity(), structure, sample, key).structure

  return jax.vmap(draw)(seeds)


def _params(model, links, w_PxQ, fitted_F):
  """The parameters of the runs, as `train.init` lays them out."""
  w_KxMxFxQ = w_PxQ[links.of_KxMxL[:, :, fitted_F]]
  num_labels = links.of_KxMxL.shape[-1]
  start = w_PxQ.shape[1] - len(fitted_F)
  mixed = type(model) is mixture.Model

  def columns(w_KxMxFxI):
    """KxMxIxL: zero for labels without a link."""
    shape = *w_KxMxFxI.shape[:2], w_KxMxFxI.shape[3], num_labels
    out = np.zeros(shape, np.float32)
    out[..., fitted_F] = np.swapaxes(w_KxMxFxI, 2, 3)
    return jnp.asarray(out if mixed else out[:, 0])

  dense = {
    'kernel': columns(w_KxMxFxQ[..., 1:start]),
    'bias': columns(w_KxMxFxQ[..., :1])[..., 0, :],
  }
  if _member(model).independent:
    return {'member': {'head': dense}} if mixed else {'head': dense}
  w_KxMxFxL = np.zeros((*w_KxMxFxQ.shape[:3], num_labels), np.float32)
  w_KxMxFxL[..., fitted_F] = w_KxMxFxQ[..., start:]
  params = {'from_h': dense, 'label_kernel': columns(w_KxMxFxL)[..., None]}
  return {'member': params} if mixed else params


def _summary(links, solved, seeds):
  """One line of the history: per run its worst gradient and mean steps."""

  def per_run(values_P, reduce):
    run_KxI = links.of_KxMxL.reshape(len(seeds), -1)
    return [float(reduce(values_P[run_I[run_I >= 0]])) for run_I in run_KxI]

  return {
    'epoch': 1,
    'seeds': list(seeds),
    'grad_norm': per_run(solved.residual_P, np.max),
    'steps': per_run(solved.steps_P, np.mean),
    'strength': per_run(solved.strength_P, np.median),
  }
