"""What every dependency model must do, by its declared capability.

Each check is a function of a `Case`, so that contract_test.py can hold every
model to it and faults_test.py can see it fail. The oracle is enumeration: the
log_prob of all 2^L label sets, listed by itertools.
"""

import dataclasses
import functools
import importlib
import itertools
import pkgutil
from typing import Any

import flax
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from scipy import special, stats

from mlc import checkpoint, encoders, inference, loop, optimizer, train
from mlc import data as data_lib
from mlc import posterior as posterior_lib
import mlc.models
from mlc.models import base

L, D, B = 4, 5, 6
SETS_UxL = np.array(list(itertools.product((0, 1), repeat=L)))


def _of_conditionals(model, *args):
  """An energy gives labels only given all others."""
  if isinstance(model, base.Energy):
    return inference.gibbs(model, *args, samples=4000, chains=2000)
  return inference.one_pass(model, *args)


# Capability -> inference that answers as the model is meant to.
INFERENCE = {
  'steps': inference.exact,
  'joint': inference.exact,
  'bound': inference.exact,
  'conditionals': _of_conditionals,
  'scores': inference.scores,
}


# Of 16 rows learnt by heart: all, but where a search may end too early.
CELLS_RIGHT = {'dvn': 0.8}
# At a high rate what learns from its own answers fixes on those of the start.
LEARNS_FROM_ANSWERS = ('dvn',)


def model_names(*capabilities: str) -> list[str]:
  """The files of mlc/models/ that are models, all or with a capability."""
  found = [m.name for m in pkgutil.iter_modules(mlc.models.__path__)]
  return [
    name
    for name in found
    if name != 'base'
    and (not capabilities or small(name).capability in capabilities)
  ]


@functools.cache
def small(name: str):
  """The model of a file, as `make` makes it."""
  return make(importlib.import_module(f'mlc.models.{name}').Model)


def file(model) -> str:
  """The name of the file that the class of `model` is in."""
  return type(model).__module__.rpartition('.')[-1]


def make(cls, **fields):
  """A small model of any class: random order, a small member if it has any."""
  known = {field.name for field in dataclasses.fields(cls)}
  if 'order' in known:
    fields = {'order': 'random'} | fields
  if 'member' in known:
    chain = importlib.import_module('mlc.models.chain').Model
    fields = {'member': make(chain), 'size': 3} | fields
  else:
    fields['encoder'] = encoders.MLP((8,))
  return cls(num_labels=L, **fields)


def kind(model) -> str:
  """The labels that `model` is for; only models for fewer data say so."""
  return getattr(model, 'kind', 'multi-label')


@functools.cache
def dataset(kind='multi-label') -> data_lib.Dataset:
  """60 rows whose labels depend on x and on each other."""
  rng = np.random.default_rng(0)
  x = rng.normal(size=(60, D))
  y = (x[:, :L] + rng.normal(size=(60, L)) > 0).astype(float)
  y[:, 1] = np.where(rng.random(60) < 0.8, y[:, 0], y[:, 1])
  if kind == 'multi-class':
    y = np.eye(L)[(x[:, :L] + rng.normal(size=(60, L))).argmax(1)]
  return data_lib.from_arrays(x, y, name='contract', kind=kind)


@dataclasses.dataclass(frozen=True)
class Case:
  """A model with random parameters, and rows to apply it to."""

  model: Any
  variables: Any
  x: Any
  y: Any

  def apply(self, method, *args, **kwargs):
    """The compiled method on this case's variables."""
    apply = functools.partial(self.model.apply, method=method, **kwargs)
    return jax.jit(apply)(self.variables, *args)

  @property
  def likelihood(self) -> str:
    """The method that says how probable a label set is; '' if none does."""
    return base.LIKELIHOODS[self.model.capability]

  def infer(self):
    """The posterior by the inference of the model's capability."""
    run = functools.partial(INFERENCE[self.model.capability], self.model)
    return jax.jit(run)(self.variables, self.x, jax.random.key(4))

  def joint(self) -> np.ndarray:
    """BxU: p(y | x) of all label sets, by log_prob or its bound."""
    y_UxBxL = jnp.asarray(np.repeat(SETS_UxL[:, None], len(self.x), axis=1))
    log_prob = jax.vmap(
      lambda y: self.model.apply(
        self.variables, self.x, y, method=self.likelihood
      )
    )
    return np.exp(np.asarray(jax.jit(log_prob)(y_UxBxL))).T


def start(model, seed=0, data=None, tx=None):
  """A new State, and the training rows."""
  data = data or dataset(kind(model))
  rows = train.Batch(*map(jnp.asarray, data.split('train')))
  structure = jax.tree.map(jnp.asarray, model.structure(data))
  tx = tx or optimizer.make(sgd().optimizer, 1)
  init = functools.partial(train.init, model, tx, structure, rows)
  return jax.jit(init)(jax.random.key(seed)), rows


def case(model, seed=0) -> Case:
  """`model` with parameters far from their initial zeros and symmetries."""
  state, rows = start(model, seed)
  leaves, tree = jax.tree.flatten(state.params)
  keys = jax.random.split(jax.random.key(seed + 1), len(leaves))
  leaves = [
    p + 0.5 * jax.random.normal(k, p.shape)
    for p, k in zip(leaves, keys, strict=True)
  ]
  variables = {
    'params': jax.tree.unflatten(tree, leaves),
    'structure': state.structure,
  }
  return Case(model, variables, rows.x[:B], rows.y_BxL[:B])


def sgd(**changes):
  """A training config: three epochs of SGD."""
  config = {
    'epochs': 3,
    'batch_size': 20,
    'patience': 0,
    'tolerance': 0.0,
    'l2': 0.1,
    'compute': 'float32',
    'parallel': 'jit',
    'device_mib': 1024,
    'save_seconds': 60.0,
    'optimizer': {
      'name': 'sgd',
      'lr': 0.05,
      'schedule': 'constant',
      'momentum': 0.0,
      'weight_decay': 0.0,
    },
  }
  return ml_collections.ConfigDict(config | changes)


def check_capability(c: Case):
  """The model says which contract it is held to."""
  assert c.model.capability in base.LIKELIHOODS
  assert not c.likelihood or callable(getattr(c.model, c.likelihood))
  others = set(base.LIKELIHOODS.values()) - {c.likelihood, ''}
  # What is no likelihood has no method of its name.
  for method in others:
    with pytest.raises((NotImplementedError, AttributeError)):
      c.model.apply(c.variables, c.x, c.y, method=method)


def check_normalised(c: Case):
  """The probabilities of all label sets sum to one (noise held fixed)."""
  np.testing.assert_allclose(c.joint().sum(1), 1, atol=1e-5)


def check_samples(c: Case):
  """20,000 draws look like the enumeration (chi-squared)."""
  draws = 20_000
  x = jnp.repeat(c.x[:1], draws, axis=0)
  y = np.asarray(c.apply('sample', x, jax.random.key(5)))
  assert y.shape == (draws, L)
  expected_U = c.joint()[0].astype(float) * draws
  index_N = y.astype(int) @ (1 << np.arange(L)[::-1])
  counts_U = np.bincount(index_N, minlength=2**L)
  assert not counts_U[expected_U == 0].any()
  rare_U = expected_U < 10
  observed = np.append(counts_U[~rare_U], counts_U[rare_U].sum())
  expected = np.append(expected_U[~rare_U], expected_U[rare_U].sum())
  if expected[-1] == 0:
    observed, expected = observed[:-1], expected[:-1]
  expected *= observed.sum() / expected.sum()
  assert stats.chisquare(observed, expected).pvalue > 1e-3


def check_marginals(c: Case):
  """Closed-form and posterior marginals are those of the enumeration."""
  expected_BxL = c.joint() @ SETS_UxL
  posterior = jax.jit(functools.partial(inference.exact, c.model))(
    c.variables, c.x
  )
  if c.model.independent:
    found_BxL = posterior.p_BxL
  else:
    weights_BxS = np.exp(np.asarray(posterior.logw_BxS))
    np.testing.assert_allclose(weights_BxS.sum(1), 1, atol=1e-5)
    found_BxL = np.einsum(
      'bs,bsl->bl',
      weights_BxS,
      np.broadcast_to(posterior.y_BxSxL, (*weights_BxS.shape, L)),
    )
  np.testing.assert_allclose(found_BxL, expected_BxL, atol=1e-5)
  if isinstance(c.model, base.Energy) or c.model.independent:
    found_BxL = c.apply('marginals', c.x)
    np.testing.assert_allclose(found_BxL, expected_BxL, atol=1e-5)


def check_noise(c: Case):
  """What is reported is of the noises kept, and draws are of new ones."""
  logits_SxBxL = np.stack(
    [
      c.model.apply(
        c.variables,
        c.apply('encode', c.x),
        jnp.tile(noise_Z, (B, 1)),
        method='logits_given',
      )
      for noise_Z in np.asarray(c.variables['structure']['noise'])
    ]
  ).astype(float)
  p_SxBxL = special.expit(logits_SxBxL)
  cells_UxSxBxL = np.where(
    SETS_UxL[:, None, None] == 1, p_SxBxL[None], 1 - p_SxBxL[None]
  )
  expected_BxU = cells_UxSxBxL.prod(-1).mean(1).T
  np.testing.assert_allclose(c.joint(), expected_BxU, atol=1e-5)
  np.testing.assert_allclose(
    c.apply('marginals', c.x), p_SxBxL.mean(0), atol=1e-5
  )
  found = c.infer()
  np.testing.assert_array_equal(found.y_BxSxL[0], SETS_UxL)
  np.testing.assert_allclose(np.exp(found.logw_BxS), expected_BxU, atol=1e-5)
  draws = 4000
  x = jnp.repeat(c.x[:1], draws, axis=0)
  y = np.asarray(c.apply('sample', x, jax.random.key(5))).astype(int)
  counts_U = np.bincount(y @ (1 << np.arange(L)[::-1]), minlength=2**L)
  # Two errors: of the draws, and of the noises kept.
  error = 2.5 * (draws**-0.5 + len(p_SxBxL) ** -0.5)
  assert np.abs(counts_U / draws - expected_BxU[0]).max() < error
  drawn = jax.jit(functools.partial(inference.monte_carlo, c.model, samples=50))
  other = drawn(c.variables, x[:80], jax.random.key(6)).y_BxSxL
  counts_U = np.bincount(
    np.ravel(np.asarray(other) @ (1 << np.arange(L)[::-1])), minlength=2**L
  )
  assert np.abs(counts_U / draws - expected_BxU[0]).max() < error


def check_conditionals(c: Case):
  """A label's conditional looks at others, and never at the label itself."""
  h = c.apply('encode', c.x)
  total_B, looked = np.zeros(B), False
  for l in range(L):
    odds_B = np.asarray(c.apply('log_odds', h, c.y, l), float)
    total_B += np.log(special.expit(np.where(c.y[:, l] > 0, odds_B, -odds_B)))
    for j in range(L):
      flipped = c.y.at[:, j].set(1 - c.y[:, j])
      changed = np.abs(c.apply('log_odds', h, flipped, l) - odds_B).max()
      if j == l:
        assert changed < 1e-6, f'the conditional of {l} looks at itself'
      looked |= changed > 1e-3
  assert looked
  found_B = c.apply('pseudo_log_prob', c.x, c.y)
  np.testing.assert_allclose(found_B, total_B, rtol=1e-4, atol=1e-4)


def check_scores(c: Case):
  """Scores are in [0, 1], for each row by itself."""
  score_BxL = np.asarray(c.apply('scores', c.x))
  assert score_BxL.shape == (B, L)
  assert ((score_BxL >= 0) & (score_BxL <= 1)).all()
  assert score_BxL.std(0).min() > 1e-4
  for b in range(2):
    alone_1xL = c.apply('scores', c.x[b : b + 1])
    np.testing.assert_allclose(alone_1xL[0], score_BxL[b], atol=1e-5)


def check_full_beam(c: Case):
  """A beam of width 2^L finds every label set, at its probability."""
  found = jax.jit(functools.partial(inference.beam, c.model, width=2**L))(
    c.variables, c.x
  )
  p_BxU = c.joint()
  for b in range(B):
    total_U = np.zeros(2**L)
    index_S = np.asarray(found.y_BxSxL)[b].astype(int) @ (
      1 << np.arange(L)[::-1]
    )
    np.add.at(total_U, index_S, np.exp(np.asarray(found.logw_BxS)[b]))
    np.testing.assert_allclose(total_U, p_BxU[b], atol=1e-5)


def check_monte_carlo(c: Case):
  """Monte Carlo marginals come near the enumeration's."""
  samples = 6000
  found = jax.jit(
    functools.partial(inference.monte_carlo, c.model, samples=samples)
  )(c.variables, c.x, jax.random.key(3))
  assert found.y_BxSxL.shape == (B, samples, L)
  error = np.asarray(found.y_BxSxL).mean(1) - c.joint() @ SETS_UxL
  assert np.abs(error).max() < 5 * np.sqrt(0.25 / samples)


def check_paths(c: Case):
  """log_prob is that of the steps: each label once, in order, then END."""
  rank_L = np.argsort(np.asarray(c.variables['structure']['order']))
  assert sorted(rank_L) == list(range(L))
  # In some row all labels are on, in some none.
  y_BxL = np.asarray(c.y).astype(int)
  y_BxL[0], y_BxL[1] = 1, 0
  T = len(c.variables['structure']['steps'])
  values_BxT = np.full((B, T), L)
  for b in range(B):
    path = sorted(np.flatnonzero(y_BxL[b]), key=lambda l: rank_L[l])
    values_BxT[b, : len(path)] = path
  np.testing.assert_array_equal(c.apply('values_of', y_BxL), values_BxT)
  np.testing.assert_array_equal(c.apply('to_labels', values_BxT), y_BxL)
  along_BxTxV = c.apply('logp_along', c.apply('encode', c.x), values_BxT)
  memory, carry = c.apply('begin', c.x)
  prev_B, total_B = np.zeros(B, np.int32), np.zeros(B)
  for step in range(T):
    carry, logp_BxV = c.apply('advance', memory, carry, prev_B, step)
    logp_BxV = np.asarray(logp_BxV)
    np.testing.assert_allclose(
      special.logsumexp(logp_BxV, axis=1), 0, atol=1e-5
    )
    np.testing.assert_allclose(along_BxTxV[:, step], logp_BxV, atol=2e-5)
    last_B = np.append(rank_L, L)[prev_B] if step else np.full(B, -1)
    later_BxL = rank_L[None] > last_B[:, None]
    np.testing.assert_array_equal(logp_BxV[:, :L] > -np.inf, later_BxL)
    prev_B = values_BxT[:, step]
    total_B += logp_BxV[np.arange(B), prev_B]
  np.testing.assert_allclose(
    c.apply('log_prob', c.x, y_BxL), total_B, atol=2e-5
  )


def check_paths_causal(c: Case):
  """The logits of a step change with the values before it alone."""
  T = len(c.variables['structure']['steps'])
  values_BxT = np.random.default_rng(0).integers(0, L, (B, T))
  h = c.apply('encode', c.x)
  logits_BxTxV = np.asarray(c.apply('logits', h, values_BxT))
  for step in range(T):
    other_BxT = values_BxT.copy()
    other_BxT[:, step] = (other_BxT[:, step] + 1) % L
    changed_BxTxV = np.abs(
      np.asarray(c.apply('logits', h, other_BxT)) - logits_BxTxV
    )
    changed_T = changed_BxTxV.max((0, 2))
    assert (changed_T[: step + 1] < 1e-6).all()
    assert (changed_T[step + 1 :] > 1e-3).all()


def check_steps(c: Case):
  """log_prob and the logits of `cells` are those of the steps."""
  if isinstance(c.model, base.Sequence):
    return check_paths(c)
  order_L = np.asarray(c.variables['structure']['order'])
  assert sorted(order_L) == list(range(L))
  memory, carry = c.apply('begin', c.x)
  prev_B = jnp.zeros(B, jnp.int32)
  total_B = np.zeros(B)
  cells_BxL, counted_BxL = c.apply('cells', c.x, c.y, jnp.ones(c.y.shape))
  assert (counted_BxL == 1).all()
  for step, label in enumerate(order_L):
    carry, logp_Bx2 = c.apply('advance', memory, carry, prev_B, step)
    prev_B = c.y[:, label].astype(jnp.int32)
    total_B += np.asarray(logp_Bx2)[np.arange(B), np.asarray(prev_B)]
    np.testing.assert_allclose(
      special.logsumexp(logp_Bx2, axis=1), 0, atol=1e-5
    )
    np.testing.assert_allclose(
      cells_BxL[:, label], logp_Bx2[:, 1] - logp_Bx2[:, 0], atol=2e-5
    )
  np.testing.assert_allclose(c.apply('log_prob', c.x, c.y), total_B, atol=2e-5)


def check_causal(c: Case):
  """A label's logit changes with no label that comes after it, or itself."""
  if isinstance(c.model, base.Sequence):
    return check_paths_causal(c)
  order = list(np.asarray(c.variables['structure']['order']))
  h = c.apply('encode', c.x)
  logits_BxL = np.asarray(c.apply('logits', h, c.y))
  looked_back = False
  for j in range(L):
    flipped = c.y.at[:, j].set(1 - c.y[:, j])
    changed_L = np.abs(
      np.asarray(c.apply('logits', h, flipped)) - logits_BxL
    ).max(0)
    for l in range(L):
      if order.index(j) >= order.index(l):
        assert changed_L[l] < 1e-6, f'logit {l} looks at label {j}'
      else:
        looked_back |= bool(changed_L[l] > 1e-3)
  # Else the test above would be empty.
  assert looked_back != c.model.independent


def check_eager(c: Case):
  """Compiled and eager give the same loss and likelihood."""
  mask = jnp.ones(c.y.shape)
  methods = {'loss': (c.y, mask)}
  if c.likelihood:
    methods[c.likelihood] = (c.y,)
  for method, args in methods.items():
    eager = c.model.apply(c.variables, c.x, *args, method=method)
    jax.tree.map(
      functools.partial(np.testing.assert_allclose, atol=1e-5, rtol=1e-5),
      c.apply(method, c.x, *args),
      eager,
    )


def draws_in_training(model) -> bool:
  """Does the loss of training need random numbers?"""
  c = case(model)
  loss = functools.partial(model.apply, train=True, method='loss')
  try:
    jax.eval_shape(loss, c.variables, c.x, c.y, jnp.ones(c.y.shape))
  except flax.errors.InvalidRngError:
    return True
  return False


def check_devices(model):
  """Eight devices give the parameters of one, on a batch that needs padding."""
  assert jax.local_device_count() == 8
  data = dataset(kind(model))
  one = loop.fit(model, data, sgd(), [0])
  for how in ('pmap', 'mesh(data=4, label=2)'):
    eight = loop.fit(model, data, sgd(parallel=how), [0])
    if how == 'pmap' and draws_in_training(model):
      continue  # Each device draws for itself: only that it trains.
    jax.tree.map(
      functools.partial(np.testing.assert_allclose, atol=1e-6),
      one.variables,
      eight.variables,
    )
  return one


def check_seeds(model):
  """The last of five vmapped seeds gives the parameters of a single run."""
  together = loop.fit(model, dataset(kind(model)), sgd(), list(range(5)))
  alone = loop.fit(model, dataset(kind(model)), sgd(), [4])
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a[4], b[0], atol=1e-6),
    together.variables,
    alone.variables,
  )
  drawn, _ = start(model, 4)
  jax.tree.map(
    lambda a, b: np.testing.assert_array_equal(a[4], b),
    together.variables['structure'],
    drawn.structure,
  )
  moved = jax.tree.map(
    lambda a, b: np.abs(a[4] - b).max(),
    together.variables['params'],
    drawn.params,
  )
  assert max(jax.tree.leaves(moved)) > 1e-3


def descend(model, batch, steps=400, data=None) -> Case:
  """`model` after some steps of Adam on one batch."""
  adam = {'name': 'adamw', 'lr': 0.02, 'schedule': 'constant'}
  # The noise of what draws dies down with the rate.
  if draws_in_training(model) or file(model) in LEARNS_FROM_ANSWERS:
    adam |= {'lr': 0.003, 'schedule': 'cosine'}
    steps *= 2
  config = ml_collections.ConfigDict(adam | {'weight_decay': 0.0})
  variables = stepped(model, config, batch, steps, data)
  return Case(model, variables, batch.x, batch.y_BxL)


def stepped(model, config, batch, steps, data=None):
  """The variables after `steps` of the optimizer `config` on one batch."""
  tx = optimizer.make(config, steps)
  state, _ = start(model, data=data, tx=tx)
  objective = train.likelihood(model)
  step = functools.partial(train.train_step, objective=objective, tx=tx)
  run = jax.jit(
    lambda state: jax.lax.scan(
      lambda state, _: step(state, batch), state, length=steps
    )[0]
  )
  return run(state).variables


def check_overfit(model):
  """Sixteen rows are learnt by heart."""
  rows = dataset(kind(model)).split('train')
  batch = train.Batch(*(jnp.asarray(a[:16]) for a in rows))
  c = descend(model, batch)
  learnt_B = np.ones(16, bool)
  if c.likelihood:
    log_prob_B = np.asarray(c.apply(c.likelihood, c.x, c.y))
    # A support may lack the label sets of some rows.
    learnt_B = np.isfinite(log_prob_B)
    assert learnt_B.sum() > 12
    assert -log_prob_B[learnt_B].mean() < 0.1
  answer_BxL = np.asarray(posterior_lib.label_scores(c.infer())) > 0.5
  right_BxL = (answer_BxL == c.y)[learnt_B]
  assert right_BxL.mean() >= CELLS_RIGHT.get(file(model), 1)


def check_columns(model):
  """Answers stand in the original columns, whatever the order is.

  x says nothing, so the marginals must come to the prevalences.
  """
  rank_N = np.random.default_rng(0).permutation(200) / 200
  y = rank_N[:, None] < np.array([0.1, 0.35, 0.65, 0.9])[None]
  if kind(model) == 'multi-class':
    y = np.eye(L)[np.searchsorted([0.1, 0.35, 0.65], rank_N, side='right')]
  data = data_lib.from_arrays(
    np.zeros((200, D)), y, name='prevalences', kind=kind(model)
  )
  batch = train.Batch(*map(jnp.asarray, data.split('train')))
  c = descend(model, batch, steps=300, data=data)
  posterior = dataclasses.replace(c, x=c.x[:1]).infer()
  found_L = np.asarray(posterior_lib.label_scores(posterior))[0]
  if isinstance(posterior, posterior_lib.Scores):
    assert (np.diff(found_L) > 0).all()
    on_L = [0, 0, kind(model) == 'multi-label', 1]
    np.testing.assert_array_equal(found_L > 0.5, on_L)
  else:
    np.testing.assert_allclose(found_L, batch.y_BxL.mean(0), atol=0.05)


def check_gradients(c: Case):
  """Gradients are finite, at extreme features, at extreme parameters too.

  Labels are missing, and NaN where they are.
  """
  rng = np.random.default_rng(0)
  mask = jnp.asarray(rng.random(c.y.shape) < 0.5, jnp.float32).at[0].set(0)

  def mean(params, x):
    loss_B, weight_B = c.model.apply(
      {'params': params, 'structure': c.variables['structure']},
      x,
      jnp.where(mask > 0, c.y, jnp.nan),
      mask,
      train=True,
      rngs={'dropout': jax.random.key(0)},
      method='loss',
    )
    return loss_B.sum() / weight_B.sum()

  value_and_grad = jax.jit(jax.value_and_grad(mean))
  for of_x, of_params in ((1, 1), (1e4, 1), (1, 1e3)):
    params = jax.tree.map(
      functools.partial(jnp.multiply, of_params), c.variables['params']
    )
    loss, grads = value_and_grad(params, c.x * of_x)
    assert np.isfinite(loss)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))
    if of_x == of_params == 1:
      largest = max(np.abs(g).max() for g in jax.tree.leaves(grads))
      assert largest > 1e-4


def check_missing(c: Case):
  """A missing label is not looked at, and a padding row counts as nothing."""
  rng = np.random.default_rng(1)
  mask = jnp.asarray(rng.random(c.y.shape) < 0.6, jnp.float32)
  mask = mask.at[0].set(0).at[1].set(1)
  loss_B, weight_B = c.apply('loss', c.x, c.y, mask)
  for other in (1 - c.y, jnp.nan):
    hidden = jnp.where(mask > 0, c.y, other)
    for found, expected in zip(
      c.apply('loss', c.x, hidden, mask), (loss_B, weight_B), strict=True
    ):
      np.testing.assert_allclose(found, expected, atol=1e-6)
  assert loss_B[0] == weight_B[0] == 0
  assert weight_B[1] == 1
  # The loss of an ensemble is a sum of losses.
  if c.likelihood == 'log_prob' and not isinstance(c.model, base.Ensemble):
    log_prob_B = c.apply('log_prob', c.x, c.y)
    np.testing.assert_allclose(loss_B[1], -log_prob_B[1], rtol=1e-5)


def check_saved(c: Case, folder):
  """Another process gets the same answers from what was saved."""
  checkpoint.save(folder / 'saved', c.variables, {'labels': ['a', 'b']})
  variables, about = checkpoint.restore(folder / 'saved')
  assert about == {'labels': ['a', 'b']}
  jax.tree.map(np.testing.assert_array_equal, variables, c.variables)
  again = dataclasses.replace(c, variables=variables)
  jax.tree.map(np.testing.assert_array_equal, again.infer(), c.infer())
  # The structure must have come from the file: another seed has another.
  drawn, _ = start(c.model, seed=7)
  if 'random' in str(c.model):
    assert any(
      (np.asarray(a) != np.asarray(b)).any()
      for a, b in zip(
        jax.tree.leaves(drawn.structure),
        jax.tree.leaves(variables['structure']),
        strict=True,
      )
    )
