"""Inference beyond the contract: greedy, ensembles, and what it refuses."""

import functools

import contract
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlc import encoders, inference
from mlc.errors import InputError
from mlc.models import chain, independent, mixture, powerset


def compiled(method, case, **options):
  run = functools.partial(method, case.model, **options)
  return jax.jit(run)(case.variables, case.x)


def test_greedy_takes_the_likelier_value_at_each_step():
  case = contract.case(contract.make(chain.Model, order='2,0,3,1'))
  joint_BxU = case.joint()
  found = compiled(inference.greedy, case)
  assert found.y_BxSxL.shape == (contract.B, 1, contract.L)
  for b, joint_U in enumerate(joint_BxU):
    kept_U = np.ones(2**contract.L, bool)
    for label in (2, 0, 3, 1):
      one_U = kept_U & (contract.SETS_UxL[:, label] == 1)
      kept_U = one_U if joint_U[one_U].sum() > joint_U[kept_U].sum() / 2 else (
        kept_U & ~one_U
      )  # fmt: skip
    np.testing.assert_array_equal(
      found.y_BxSxL[b, 0], contract.SETS_UxL[kept_U][0]
    )


def test_a_beam_finds_the_best_that_its_width_reaches():
  case = contract.case(contract.make(chain.Model))
  joint_BxU = np.sort(case.joint(), axis=1)[:, ::-1]
  for width in (1, 3, 8):
    found = np.exp(compiled(inference.beam, case, width=width).logw_BxS)
    assert (np.diff(found, axis=1) <= 0).all()
    assert (found <= joint_BxU[:, :width] + 1e-6).all()
  np.testing.assert_allclose(found[:, 0], joint_BxU[:, 0], rtol=1e-4)


@pytest.mark.parametrize('cls', [chain.Model, mixture.Model, powerset.Model])
def test_enumeration_sees_all_and_counts_the_whole_tree(cls):
  case = contract.case(contract.make(cls))
  found = compiled(inference.exact, case)
  assert found.y_BxSxL.dtype == jnp.int8
  assert not np.asarray(found.unseen_B).any()
  nodes = {chain.Model: 31, mixture.Model: 3 * 31, powerset.Model: None}[cls]
  if nodes is None:
    assert found.nodes_B is None
  else:
    np.testing.assert_array_equal(found.nodes_B, [nodes] * contract.B)


@pytest.mark.parametrize(
  'member', [powerset.Model, independent.Model, chain.Model]
)
def test_an_ensemble_of_any_model_is_the_mean_of_its_members(member):
  case = contract.case(
    mixture.Model(num_labels=contract.L, size=3, member=contract.make(member))
  )
  members = case.model.member_variables(case.variables)
  mean_BxU = np.mean(
    [
      contract.Case(
        case.model.member, jax.tree.map(lambda a, k=k: a[k], members),
        case.x, case.y,
      ).joint()
      for k in range(3)
    ],
    axis=0,
  )  # fmt: skip
  contract.check_normalised(case)
  np.testing.assert_allclose(case.joint(), mean_BxU, atol=1e-6)
  contract.check_marginals(case)
  contract.check_full_beam(case)
  contract.check_samples(case)


def test_what_it_refuses_is_named():
  case = contract.case(contract.make(chain.Model))
  with pytest.raises(InputError, match='beam of width 0'):
    compiled(inference.beam, case, width=0)
  with pytest.raises(InputError, match='0 samples'):
    inference.monte_carlo(
      case.model, case.variables, case.x, jax.random.key(0), samples=0
    )
  many = chain.Model(num_labels=21, encoder=encoders.Linear())
  x, y = jnp.zeros((2, 3)), jnp.zeros((2, 21))
  variables = many.init(jax.random.key(0), x, y, y, method='loss')
  with pytest.raises(InputError, match=r'2\^21 label sets.*beam'):
    inference.exact(many, variables, x)
  mixed = contract.case(contract.make(mixture.Model))
  with pytest.raises(InputError, match='100 samples from 3 members'):
    inference.monte_carlo(
      mixed.model, mixed.variables, mixed.x, jax.random.key(0)
    )
