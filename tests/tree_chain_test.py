"""Tree chain: its tree, exact answers at any L, and what it recovers."""

import dataclasses
import functools

import contract
import jax
import jax.numpy as jnp
import messages_test
import numpy as np
import pytest
from scipy import special

from mlc import data as data_lib
from mlc import encoders, inference, train
from mlc.data.synthetic.model_world import ModelWorld
from mlc.errors import InputError
from mlc.inference.best_first import search
from mlc.models import independent, tree_chain

L, D, SETS_UxL = contract.L, contract.D, contract.SETS_UxL


def divergences(model, params, structure, steps=300, rows=4000):
  """What training leaves of KL(world || model), and a product's least KL.

  The world is `model` itself with those parameters and that structure. No
  product of independent labels is nearer to p(y | x) than its own marginals.
  """
  variables = {'params': params, 'structure': structure}
  world = ModelWorld(model, variables, num_features=D)
  data = data_lib.from_arrays(*world.draw(rows, seed=0), name='recovery')
  batch = train.Batch(*map(jnp.asarray, data.split('train')))
  c = contract.descend(model, batch, steps=steps, data=data)
  x = world.inputs(200, seed=1)
  true_BxU = np.exp(world.log_probs(x))
  found_BxU = dataclasses.replace(c, x=jnp.asarray(x)).joint()
  p_Bx1xL = (true_BxU @ SETS_UxL)[:, None]
  product_BxU = np.where(SETS_UxL == 1, p_Bx1xL, 1 - p_Bx1xL).prod(-1)

  def kl(q_BxU):
    return special.rel_entr(true_BxU, q_BxU).sum(1).mean()

  # The mode, and what answering marginals above 1/2 costs in its place.
  def regret(q_BxU):
    answer_Bx1 = q_BxU.argmax(1)[:, None]
    best_B = true_BxU.max(1)
    return (best_B - np.take_along_axis(true_BxU, answer_Bx1, 1)[:, 0]).mean()

  found, product = (
    (kl(q_BxU), regret(q_BxU)) for q_BxU in (found_BxU, product_BxU)
  )
  return c, found, product


def started(model):
  """A new State on the rows of the contract, and their structure."""
  state, _ = contract.start(model)
  return state.params, state.structure


def linear(cls, **fields):
  return cls(num_labels=L, encoder=encoders.Linear(), **fields)


def pinned(c, label=1, logit=0.7):
  """`c` with a label that is constant in training."""
  structure = dict(c.variables['structure'])
  structure['constant'] = structure['constant'].at[label].set(logit)
  return dataclasses.replace(
    c, variables=c.variables | {'structure': structure}
  )


def check_log_odds(c):
  """The logit of a label given all others is that of the enumeration."""
  joint_BxU = c.joint().astype(float)
  h = c.apply('encode', c.x)
  for l in range(L):
    found_B = c.apply('log_odds', h, c.y, l)
    others = np.delete(np.arange(L), l)
    same_BxU = (
      np.asarray(c.y)[:, None, others] == SETS_UxL[None][..., others]
    ).all(-1)
    on_B, off_B = (
      np.where(same_BxU & (SETS_UxL[:, l] == v)[None], joint_BxU, 0).sum(1)
      for v in (1, 0)
    )
    np.testing.assert_allclose(found_B, np.log(on_B / off_B), atol=1e-4)


def check_reduces(c, head_name, same):
  """`c` without label weights is independent heads, to 1e-6.

  same: what stands for 0 in the names of its parameters.
  """
  params = {
    name: jax.tree.map(jnp.zeros_like, p) if name in same else p
    for name, p in c.variables['params'].items()
  }
  apart = independent.Model(L, c.model.encoder)
  apart_params = {'head': params[head_name]}
  if 'encoder' in params:
    apart_params['encoder'] = params['encoder']
  expected = contract.Case(
    apart,
    {
      'params': apart_params,
      'structure': {
        k: c.variables['structure'][k] for k in ('order', 'constant')
      },
    },
    c.x,
    c.y,
  ).apply('log_prob', c.x, c.y)
  reduced = dataclasses.replace(c, variables=c.variables | {'params': params})
  found = reduced.apply('log_prob', c.x, c.y)
  np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
  assert np.abs(c.apply('log_prob', c.x, c.y) - expected).max() > 1e-2


@pytest.fixture(scope='module', params=[False, True])
def case(request):
  model = contract.make(tree_chain.Model, features=request.param)
  return contract.case(model)


def test_marginals_are_those_of_the_enumeration(case):
  for c in (case, pinned(case)):
    joint_BxU = c.joint().astype(float)
    found_BxL = c.apply('marginals', c.x)
    np.testing.assert_allclose(found_BxL, joint_BxU @ SETS_UxL, atol=1e-6)


def test_marginals_given_labels_are_those_of_the_enumeration(case):
  given_BxL = np.random.default_rng(3).integers(-1, 2, (contract.B, L))
  agree_BxU = (
    (given_BxL[:, None] < 0) | (given_BxL[:, None] == SETS_UxL[None])
  ).all(-1)
  p_BxU = np.where(agree_BxU, case.joint().astype(float), 0)
  found_BxL = case.apply('marginals', case.x, given_BxL)
  np.testing.assert_allclose(
    found_BxL, p_BxU @ SETS_UxL / p_BxU.sum(1, keepdims=True), atol=1e-6
  )


def test_log_odds_are_those_of_the_enumeration(case):
  check_log_odds(case)
  check_log_odds(pinned(case))


def test_best_first_search_expands_no_more_than_the_mode(case):
  run = functools.partial(search, case.model, depth=1)
  for c in (case, pinned(case)):
    found = jax.jit(run)(c.variables, c.x)
    assert found.certain().all()
    np.testing.assert_array_equal(
      found.candidates.y_BxSxL[:, 0], SETS_UxL[c.joint().argmax(1)]
    )
    # L prefixes and one label set.
    np.testing.assert_array_equal(found.candidates.nodes_B, L + 1)


def test_without_edges_labels_are_independent():
  c = contract.case(contract.make(tree_chain.Model, order='2,0,3,1'))
  assert (np.asarray(c.variables['structure']['forest']) >= 0).sum() == L - 1
  check_reduces(c, 'unary', ['pairs'])
  bare = dataclasses.replace(c, model=c.model.clone(tree='none'))
  structure = bare.model.structure(contract.dataset())
  assert (structure['forest'] == -1).all()
  variables = {
    'params': c.variables['params'],
    'structure': c.variables['structure'] | {'parent': structure['forest']},
  }
  bare = dataclasses.replace(bare, variables=variables)
  np.testing.assert_allclose(
    np.exp(bare.apply('log_prob', bare.x, bare.y)),
    np.where(
      bare.y > 0,
      bare.apply('marginals', bare.x),
      1 - bare.apply('marginals', bare.x),
    ).prod(1),
    rtol=1e-5,
  )


def test_a_label_counts_where_it_and_its_parent_are_observed(case):
  parent_L = np.asarray(case.variables['structure']['parent'])
  rng = np.random.default_rng(0)
  mask_BxL = (rng.random((contract.B, L)) < 0.6).astype(np.float32)
  _, counted_BxL = case.apply('cells', case.x, case.y, jnp.asarray(mask_BxL))
  for l, parent in enumerate(parent_L):
    expected_B = mask_BxL[:, l] * (mask_BxL[:, parent] if parent >= 0 else 1)
    np.testing.assert_array_equal(counted_BxL[:, l], expected_B)


def test_the_tree_is_of_what_x_leaves():
  data = data_lib.from_arrays(*messages_test.shared())
  edges = {}
  for tree in ('conditional', 'marginal'):
    forest_L = contract.make(tree_chain.Model, tree=tree).structure(data)[
      'forest'
    ]
    edges[tree] = {
      frozenset((l, int(p))) for l, p in enumerate(forest_L) if p >= 0
    }
  assert {frozenset((1, 2)), frozenset((2, 3))} <= edges['conditional']
  assert frozenset((0, 1)) in edges['marginal']
  assert not {frozenset((1, 2)), frozenset((2, 3))} <= edges['marginal']


def test_each_seed_hangs_the_same_tree_up_by_another_label():
  model = contract.make(tree_chain.Model)
  roots, forests = set(), []
  for seed in range(6):
    state, _ = contract.start(model, seed)
    roots.add(int(state.structure['order'][0]))
    forests.append(np.asarray(state.structure['forest']))
  assert len(roots) > 1
  assert all((forest == forests[0]).all() for forest in forests)


def test_orders_that_data_decide_list_parents_first():
  model = contract.make(tree_chain.Model, order='rare')
  structure = model.structure(contract.dataset())
  parent_L = np.asarray(structure['forest'])
  base_order = contract.make(independent.Model, order='rare').structure(
    contract.dataset()
  )['order']
  order = structure['order'].tolist()
  assert order[0] == base_order[0]
  edges = {frozenset((l, int(p))) for l, p in enumerate(parent_L) if p >= 0}
  # Every label after the first has a neighbour before it.
  for place in range(1, L):
    assert any(frozenset((order[place], b)) in edges for b in order[:place])


def test_a_tree_of_another_name_is_refused():
  model = contract.make(tree_chain.Model, tree='margnal')
  with pytest.raises(InputError, match="'margnal'; did you mean: marginal"):
    model.structure(contract.dataset())


def test_it_recovers_its_own_world_and_the_tree():
  model = linear(tree_chain.Model)
  params, structure = started(model)
  # A path 0 - 2 - 3 - 1, hung up by label 0; strong pairs.
  structure |= {
    'forest': jnp.array([-1, 3, 0, 2], jnp.int32),
    'parent': jnp.array([-1, 3, 0, 2], jnp.int32),
    'order': jnp.array([0, 2, 3, 1], jnp.int32),
  }
  params['pairs'] = jnp.array([0.0, 5.0, 5.0, -5.0])
  params['unary']['bias'] = jnp.array([0.0, -2.5, -2.5, 2.5])
  params['unary']['kernel'] *= 0.7
  c, (kl, regret), (least_kl, least_regret) = divergences(
    model, params, structure
  )
  np.testing.assert_array_equal(
    c.variables['structure']['forest'], structure['forest']
  )
  assert kl < 0.05 * least_kl
  assert regret < 0.1 * least_regret


def test_many_labels_have_exact_answers():
  num_labels = 60
  rng = np.random.default_rng(0)
  x = rng.normal(size=(80, D))
  y = (x @ rng.normal(size=(D, num_labels)) > rng.normal(size=num_labels)) * 1.0
  data = data_lib.from_arrays(x, y, name='many')
  model = tree_chain.Model(num_labels, encoders.Linear(), tree='marginal')
  state, rows = contract.start(model, data=data)
  params = jax.tree.map(
    lambda p: p + jax.random.normal(jax.random.key(0), p.shape), state.params
  )
  c = contract.Case(model, {**state.variables, 'params': params}, rows.x[:3], 0)
  draws = jax.jit(
    functools.partial(inference.monte_carlo, model, samples=4000)
  )(c.variables, c.x, jax.random.key(1))
  error_BxL = np.asarray(draws.y_BxSxL).mean(1) - c.apply('marginals', c.x)
  assert np.abs(error_BxL).max() < 5 * (0.25 / 4000) ** 0.5
  best = jax.jit(functools.partial(inference.best_first, model, depth=1))(
    c.variables, c.x
  )
  mode_BxL = best.y_BxSxL[:, 0]
  log_prob_B = c.apply('log_prob', c.x, mode_BxL)
  np.testing.assert_allclose(best.logw_BxS[:, 0], log_prob_B, rtol=1e-4)
  for label in range(num_labels):
    other_B = c.apply(
      'log_prob', c.x, mode_BxL.at[:, label].set(1 - mode_BxL[:, label])
    )
    assert (other_B <= log_prob_B + 1e-4).all()
