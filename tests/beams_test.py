"""Beams: the nodes they explore, what they leave unseen; the epsilon search."""

import functools

import contract
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import searching

from mlc import encoders, inference
from mlc.errors import InputError
from mlc.models import chain, mixture, powerset


def compiled(method, case, **options):
  run = functools.partial(method, case.model, **options)
  return jax.jit(run)(case.variables, case.x)


def test_nodes_are_those_of_mena_et_al_2016_table_3():
  model = chain.Model(num_labels=14, encoder=encoders.Linear())
  x, y = jnp.zeros((2, 3)), jnp.zeros((2, 14))
  variables = jax.eval_shape(
    lambda: model.init(jax.random.key(0), x, y, y, method='loss')
  )
  variables = jax.tree.map(lambda a: jnp.ones(a.shape, a.dtype), variables)
  variables['structure'] = {
    'order': jnp.arange(14),
    'constant': jnp.full(14, jnp.nan),
  }
  for width, nodes in ((2, 29), (3, 42), (10, 125)):
    found = inference.beam(model, variables, x, width=width)
    np.testing.assert_array_equal(found.nodes_B, nodes)
  np.testing.assert_array_equal(
    inference.greedy(model, variables, x).nodes_B, 15
  )
  found = inference.epsilon(model, variables, x, epsilon=0.5)
  np.testing.assert_array_equal(found.nodes_B, 15)


@pytest.mark.parametrize('cls', [chain.Model, mixture.Model, powerset.Model])
def test_unseen_is_what_a_beam_leaves_of_one(cls):
  case = contract.case(contract.make(cls))
  for width in (1, 3, 16):
    found = compiled(inference.beam, case, width=width)
    assert found.y_BxSxL.dtype == jnp.int8
    seen_B = np.exp(np.asarray(found.logw_BxS, float)).sum(1)
    np.testing.assert_allclose(found.unseen_B, 1 - seen_B, atol=1e-6)
  assert (np.asarray(found.unseen_B) < 1e-6).all()


def test_an_ensemble_explores_what_its_members_do():
  case = contract.case(contract.make(mixture.Model))
  found = compiled(inference.beam, case, width=3)
  np.testing.assert_array_equal(found.nodes_B, 3 * (1 + 2 + 3 + 3 + 3))


def test_a_prefix_that_a_member_lacks_is_no_candidate_of_the_ensemble():
  case = contract.case(contract.make(mixture.Model))
  members = case.model.member_variables(case.variables)
  wanted = [set() for _ in range(contract.B)]
  for k in range(case.model.size):
    variables = jax.tree.map(lambda a, k=k: a[k], members)
    found = inference.epsilon(case.model.member, variables, case.x, epsilon=0.1)
    for b, s in np.argwhere(~np.isneginf(found.logw_BxS)):
      wanted[b].add(tuple(np.asarray(found.y_BxSxL)[b, s]))
  found = compiled(inference.epsilon, case, epsilon=0.1)
  joint_BxU = case.joint()
  for b, sets in enumerate(wanted):
    live_S = ~np.isneginf(found.logw_BxS[b])
    y_SxL = np.asarray(found.y_BxSxL)[b][live_S]
    assert len(y_SxL) == len(sets)
    assert set(map(tuple, y_SxL)) == sets
    index_S = y_SxL.astype(int) @ (1 << np.arange(contract.L)[::-1])
    np.testing.assert_allclose(
      np.exp(found.logw_BxS[b])[live_S], joint_BxU[b, index_S], rtol=1e-4
    )


@pytest.mark.parametrize('epsilon', [0.5, 0.25, 0.1, 1 / 64])
def test_the_epsilon_search_is_the_sequential_one(epsilon):
  run = jax.jit(
    functools.partial(
      inference.epsilon, searching.linear_chain(), epsilon=epsilon
    )
  )
  for name, variables in searching.WORLDS.items():
    found = run(variables, searching.rows())
    joint_BxU = searching.joints(variables)
    rows = 1 if name == 'ties' else searching.B
    for b in range(rows):
      p = searching.prefixes(joint_BxU[b])
      # The joint is a product in float32.
      least = epsilon * (1 - 1e-6)
      answer, nodes = searching.sequential(p, least)
      first = tuple(np.asarray(found.y_BxSxL)[b, 0, list(searching.ORDER)])
      assert first == answer, (name, b)
      assert found.nodes_B[b] == nodes, (name, b)
    seen_B = np.exp(np.asarray(found.logw_BxS, float)).sum(1)
    np.testing.assert_allclose(found.unseen_B, 1 - seen_B, atol=1e-6)
    assert (found.logw_BxS[:, 1:] <= found.logw_BxS[:, :-1]).all()


def test_epsilon_of_a_half_is_greedy():
  model, x = searching.linear_chain(), searching.rows()
  for name in ('spread', 'sharp', 'sure'):
    variables = searching.WORLDS[name]
    half = inference.epsilon(model, variables, x, epsilon=0.5)
    greedy = inference.greedy(model, variables, x)
    np.testing.assert_array_equal(half.y_BxSxL[:, 0], greedy.y_BxSxL[:, 0])
    np.testing.assert_array_equal(half.nodes_B, searching.L + 1)


def test_epsilon_of_a_support_keeps_what_is_as_probable():
  case = contract.case(contract.make(powerset.Model))
  joint_BxU = case.joint()
  for epsilon in (0.5, 0.1):
    found = compiled(inference.epsilon, case, epsilon=epsilon)
    p_BxS = np.exp(np.asarray(found.logw_BxS))
    kept_B = np.maximum((joint_BxU >= epsilon).sum(1), 1)
    np.testing.assert_array_equal((p_BxS > 0).sum(1), kept_B)
    np.testing.assert_allclose(p_BxS[:, 0], joint_BxU.max(1), rtol=1e-4)
    np.testing.assert_allclose(found.unseen_B, 1 - p_BxS.sum(1), atol=1e-6)


@pytest.mark.parametrize('epsilon', [0, -0.1, 0.51, float('nan')])
def test_an_epsilon_without_meaning_is_refused(epsilon):
  case = contract.case(contract.make(chain.Model))
  with pytest.raises(InputError, match=f'epsilon={epsilon}.*best_first'):
    compiled(inference.epsilon, case, epsilon=epsilon)
