"""Answers with silence against brute force over all 3^L of them."""

import itertools

import decisions_oracle as oracle
from hypothesis import given, settings
from hypothesis import strategies as st
import jax.numpy as jnp
import numpy as np
import pytest

from mlc import decisions
from mlc.decisions.abstention import abstain
from mlc.errors import InputError
from mlc.posterior import Candidates, Marginals, Product

L = 4
SETS_UxL = oracle.label_sets(L)
ANSWERS_AxL = np.array(list(itertools.product([-1, 0, 1], repeat=L)))


def _expected(joint_BxU, cost):
  """Errors of the labels answered and cost of the silent ones -> BxA."""
  cost_L = np.broadcast_to(np.asarray(cost, float), L)
  cost_AxU = np.zeros((len(ANSWERS_AxL), len(SETS_UxL)))
  for a, answer_L in enumerate(ANSWERS_AxL):
    for u, y_L in enumerate(SETS_UxL):
      for label in range(L):
        if answer_L[label] < 0:
          cost_AxU[a, u] += cost_L[label]
        elif answer_L[label] != y_L[label]:
          cost_AxU[a, u] += 1
  return joint_BxU @ cost_AxU.T


@settings(max_examples=40, deadline=None, database=None)
@given(
  seed=st.integers(0, 2**20),
  cost=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, (0.0, 0.1, 0.3, 1.0)]),
  alone=st.booleans(),
)
def test_abstention_is_the_best_of_all_answers(seed, cost, alone):
  rng = np.random.default_rng(seed)
  if alone:
    p_BxL = rng.choice([0, 0.125, 0.25, 0.5, 0.75, 0.9, 1], (3, L))
    p_BxL = p_BxL.astype(np.float32)
    kind = Product if seed % 2 else Marginals
    posterior = kind(jnp.array(p_BxL))
    joint_BxU = oracle.joint_of_product(p_BxL)
  else:
    logw_BxS = rng.normal(0, 2, (3, 9)).astype(np.float32)
    y_BxSxL = SETS_UxL[rng.integers(len(SETS_UxL), size=(3, 9))]
    posterior = Candidates(jnp.array(y_BxSxL), jnp.array(logw_BxS))
    joint_BxU = oracle.joint_of_candidates(y_BxSxL, logw_BxS)
  answer_BxL = np.asarray(abstain(posterior, cost=cost))
  assert answer_BxL.dtype == np.int8
  value_BxA = _expected(joint_BxU, cost)
  at_B = (answer_BxL + 1) @ (3 ** np.arange(L)[::-1])
  best_B = value_BxA.min(1)
  np.testing.assert_allclose(
    value_BxA[np.arange(3), at_B], best_B, rtol=0, atol=2e-6
  )
  clear_B = np.sort(value_BxA, 1)[:, 1] > best_B + 1e-5
  np.testing.assert_array_equal(at_B[clear_B], value_BxA.argmin(1)[clear_B])


def test_ties_are_answered_and_half_is_never_silent():
  p_BxL = jnp.array([[0.25, 0.75, 0.5, 0.375]])
  np.testing.assert_array_equal(abstain(Product(p_BxL)), [[0, 1, -1, -1]])
  np.testing.assert_array_equal(
    abstain(Product(p_BxL), cost=0.5), decisions.hamming(Product(p_BxL))
  )


@pytest.mark.parametrize(
  'cost, words',
  [(-0.1, 'give 0 or more'), ((0.1, 0.2), '2 costs for 4'), ('a', "cost='a'")],
)
def test_bad_costs_are_refused_in_one_line(cost, words):
  with pytest.raises(InputError, match=words) as error:
    abstain(Product(jnp.full((1, L), 0.5)), cost=cost)
  assert '\n' not in str(error.value)
