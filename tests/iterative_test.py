"""One pass and easy-first decoding, held to conditionals by enumeration."""

import dataclasses
import functools

import conditional_test
import contract
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlc import inference, posterior
from mlc.decisions import sets
from mlc.errors import InputError
from mlc.models import chain, ising

B, L = contract.B, contract.L
GIVEN_1xL = np.array([[-1, 1, -1, 0]])
GIVEN_BxL = np.random.default_rng(7).integers(-1, 2, (B, L))
GIVEN_BxL[0] = [1, 0, 0, 1]


def run(method, given_BxL=None, c=None, **options):
  c = c or conditional_test.case()
  call = jax.jit(functools.partial(method, c.model, **options))
  return call(c.variables, c.x, given_BxL=given_BxL)


def known_of(b, given_BxL) -> dict[int, int]:
  given_L = np.broadcast_to(
    [[-1] * L] if given_BxL is None else given_BxL, (B, L)
  )[b]
  return {label: int(v) for label, v in enumerate(given_L) if v >= 0}


def easy_first(b, given_BxL, rounds):
  """One label set: round r fixes up to ceil(free r / rounds) labels."""
  known = known_of(b, given_BxL)
  free = L - len(known)
  for number in range(1, rounds + 1):
    p = {
      label: conditional_test.conditional(b, label, known)
      for label in range(L)
      if label not in known
    }
    surest = sorted(p, key=lambda label: -abs(p[label] - 0.5))
    fixed = int(np.ceil(free * number / rounds)) - (free - len(p))
    known |= {label: int(p[label] > 0.5) for label in surest[:fixed]}
  return [known[label] for label in range(L)]


@pytest.mark.parametrize('given_BxL', [None, GIVEN_1xL, GIVEN_BxL])
def test_one_pass_gives_marginals_given_what_is_known(given_BxL):
  found = run(inference.one_pass, given_BxL)
  assert isinstance(found, posterior.Marginals)
  expected_BxL = [
    [
      known_of(b, given_BxL).get(
        label,
        conditional_test.conditional(b, label, known_of(b, given_BxL)),
      )
      for label in range(L)
    ]
    for b in range(B)
  ]
  np.testing.assert_allclose(found.p_BxL, expected_BxL, atol=1e-5)


@pytest.mark.parametrize('given_BxL', [None, GIVEN_1xL, GIVEN_BxL])
@pytest.mark.parametrize('rounds', [1, 2, 3, L, 9])
def test_the_surest_labels_are_fixed_first(rounds, given_BxL):
  found = run(inference.iterative, given_BxL, rounds=rounds)
  assert found.mode_BxL.dtype == jnp.int8
  expected_BxL = [easy_first(b, given_BxL, rounds) for b in range(B)]
  np.testing.assert_array_equal(found.mode_BxL, expected_BxL)
  once = run(inference.one_pass, given_BxL)
  np.testing.assert_allclose(found.p_BxL, once.p_BxL, atol=1e-6)


def test_the_set_answers_for_the_mode_and_marginals_for_the_rest():
  found = run(inference.iterative, rounds=L)
  np.testing.assert_array_equal(sets.subset(found), found.mode_BxL)
  cut_BxL = np.asarray(found.p_BxL) > 0.5
  np.testing.assert_array_equal(sets.hamming(found), cut_BxL)
  assert (cut_BxL != found.mode_BxL).any()
  with pytest.raises(InputError, match='needs a joint posterior'):
    sets.f1(found)


def test_rounds_matter():
  assert any(easy_first(b, None, 1) != easy_first(b, None, L) for b in range(B))


def test_one_round_is_one_pass_cut_at_a_half():
  cut_BxL = np.asarray(run(inference.one_pass).p_BxL) > 0.5
  found = run(inference.iterative, rounds=1)
  np.testing.assert_array_equal(found.mode_BxL, cut_BxL)


def test_a_row_is_answered_as_if_it_were_the_only_one():
  c = conditional_test.case()
  one = dataclasses.replace(c, x=c.x[:1])
  np.testing.assert_array_equal(
    run(inference.iterative, c=one).mode_BxL,
    run(inference.iterative).mode_BxL[:1],
  )


@pytest.mark.parametrize('method', ['one_pass', 'iterative'])
@pytest.mark.parametrize(
  ('model', 'message'),
  [
    (contract.make(chain.Model), 'on chain: it gives labels one after'),
    (contract.make(ising.Model), 'on ising: it gives a joint .*take exact'),
    (
      contract.make(ising.Model, likelihood='pseudo'),
      'on ising: it gives a label only given all others; take gibbs',
    ),
  ],
)
def test_what_gives_no_label_given_some_others_is_refused(
  method, model, message
):
  with pytest.raises(InputError, match=f'{method} {message}'):
    inference.METHODS[method](model, {}, jnp.zeros((1, 2)))


def test_no_round_and_a_wrong_given_label_are_refused():
  with pytest.raises(InputError, match='rounds=0: give 1 or more'):
    run(inference.iterative, rounds=0)
  c = conditional_test.case()
  with pytest.raises(InputError, match='given labels of shape'):
    inference.one_pass(c.model, c.variables, c.x, given_BxL=GIVEN_1xL[:, :2])
