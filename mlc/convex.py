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
from mlc.errors import InputError, nearest
from mlc.models import chain, independent, mixture

OPTIONS = ('name', 'polish', 'strengths', 'criterion', 'folds', 'repeats')
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
  if member.feeding != 'teacher' or member.agnostic:
    raise InputError(
      f'convex with feeding={member.feeding!r}, agnostic={member.agnostic}: its'
      " links look at the true labels, in one order: take feeding='teacher'"
      ' and agnostic=False'
    )
  if getattr(model, 'bag', False):
    raise InputError(
      'convex on a mixture with bag=True: it solves for all rows, each once:'
      " take bag=False, or train.optimizer.name='lbfgs'"
    )
  calls.check(config.optimizer, OPTIONS, 'train.optimizer.name=convex')
  for key, only in FIXED.items():
    if config.get(key, only) != only:
      raise InputError(
        f'train.{key}={config[key]!r} with train.optimizer.name=convex, which'
        f' has no use for it: leave it at {only!r}'
      )
  for key, default, least in (('folds', 5, 2), ('repeats', 1, 1)):
    number = config.optimizer.get(key, default)
    if type(number) is not int or number < least:
      raise InputError(
        f'train.optimizer.{key}={number!r}: give {least} or more'
      )
  strengths = _strengths(config)
  if not strengths or not all(0 < c < math.inf for c in strengths):
    raise InputError(
      f'convex needs a penalty: l2={config.l2}, strengths={strengths}: give'
      ' train.l2 = 1 / C above 0, or strengths C above 0 to choose from'
    )
  criterion = config.optimizer.get('criterion', 'nll')
  if criterion not in logistic.CRITERIA:
    raise nearest(criterion, logistic.CRITERIA, 'criterion')


def fit(
  model, data, config, seeds: list[int], *, num_rows: int = 0
) -> loop.Result:
  """One run per seed, its links at the optimum.

  A link is scikit-learn's LogisticRegression(C) on the features and the labels
  before it, over the train rows where it and these are observed. A label that
  is constant in train has no link, and no link looks at it. With several
  strengths the C of each link is the one of least `criterion` over the held
  out folds of a cross-validation, as in Mena et al. (IJCAI 2015; KAIS 2016).
  Each label has divisions of its own, whose folds share its positive rows
  evenly, and `repeats` of them.

  config: l2 (1 / C), and under optimizer: polish (go on in float64), strengths
    (C to choose from, () = l2's), criterion ('nll' or 'brier'), folds, repeats.
  num_rows: no fewer than there are in train; the rest is filled up with rows
    of weight 0, which change nothing but rounding. Give the folds of a
    cross-validation the largest one's number, and all but the first compile
    nothing (of sparse features: seldom anything); 0 adds none.

  Raises:
    InputError: no seeds, and what `check` refuses.
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
  if 0 < num_rows < len(y_NxL):
    raise InputError(
      f'convex: num_rows={num_rows}, but {data.name} has {len(y_NxL)} rows in'
      ' train: give that number or more'
    )
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
  y_NxL = np.where(mask_NxL > 0, y_NxL, 0)
  fold_RxLxN = None
  if strengths[1:]:
    folds, repeats = options.get('folds', 5), options.get('repeats', 1)
    fold_RxLxN = _divisions(y_NxL, mask_NxL, folds, repeats)
  # A label that is constant has no link to take rows from.
  mask_NxL = None if mask_NxL[:, fitted].all() else mask_NxL
  solved, compile_seconds = links_lib.solve(
    x,
    y_NxL.astype(np.float32),
    mask_NxL,
    links,
    strengths,
    fold_RxLxN=fold_RxLxN,
    criterion=options.get('criterion', 'nll'),
    polish=options.get('polish', False),
    num_rows=num_rows,
  )
  params = _params(model, links, solved.w_PxQ)
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


def _divisions(y_NxL, mask_NxL, num_folds: int, repeats: int):
  """RxLxN: each label's division of the rows into folds, as even in its value.

  The folds are dealt in turn to its positive rows, then to its negative ones,
  then to those where it is missing.
  """
  kind_LxN = np.where(mask_NxL > 0, y_NxL < 0.5, 2).T
  rng = np.random.default_rng(0)
  chance_RxLxN = rng.random((repeats, *kind_LxN.shape))
  order_RxLxN = np.argsort(kind_LxN + chance_RxLxN, axis=2)
  fold_RxLxN = np.empty(order_RxLxN.shape, np.int8)
  turn_N = np.arange(order_RxLxN.shape[2]) % num_folds
  np.put_along_axis(fold_RxLxN, order_RxLxN, turn_N[None, None], axis=2)
  return fold_RxLxN


@functools.partial(jax.jit, static_argnums=0)
def _draw(model, structure, sample, seeds):
  """The collection 'structure' of each run, as training has it."""

  def draw(seed):
    key = jax.random.key(seed)
    return train.init(model, optax.identity(), structure, sample, key).structure

  return jax.vmap(draw)(seeds)


def _params(model, links, w_PxQ):
  """The parameters of the runs, as `train.init` lays them out."""
  of_KxMxL = links.of_KxMxL
  # Zero for labels without a link.
  w_KxMxLxQ = np.where(of_KxMxL[..., None] >= 0, w_PxQ[of_KxMxL], 0)
  start = w_PxQ.shape[1] - of_KxMxL.shape[-1]
  mixed = type(model) is mixture.Model

  def columns(w_KxMxLxI):
    """KxMxIxL."""
    out = np.swapaxes(w_KxMxLxI, 2, 3).astype(np.float32)
    return jnp.asarray(out if mixed else out[:, 0])

  dense = {
    'kernel': columns(w_KxMxLxQ[..., 1:start]),
    'bias': columns(w_KxMxLxQ[..., :1])[..., 0, :],
  }
  if _member(model).independent:
    return {'member': {'head': dense}} if mixed else {'head': dense}
  label_kernel = columns(w_KxMxLxQ[..., start:])[..., None]
  params = {'from_h': dense, 'label_kernel': label_kernel}
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
