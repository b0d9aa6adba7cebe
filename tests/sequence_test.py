"""Label sets as sequences with an end, against all their paths in NumPy."""

import functools

import contract
import jax
import jax.numpy as jnp
import numpy as np
import paths
from paths import B, L, SETS_UxL, toy
import pytest

from mlc import data as data_lib
from mlc import inference
from mlc.errors import InputError
from mlc.models import set_rnn, set_transformer


@pytest.fixture(scope='module')
def ordered():
  return toy()


@pytest.fixture(scope='module')
def unordered():
  return toy(masks='repeats')


def run(method, case, **options):
  """What `method` answers, compiled."""
  infer = functools.partial(method, case.model, **options)
  return jax.jit(infer)(case.variables, case.x, jax.random.key(0))


def table(case, found):
  """BxU: the sum of the weights of each label set."""
  p_BxS = np.exp(np.asarray(found.logw_BxS, float))
  y_BxSxL = np.broadcast_to(found.y_BxSxL, (*p_BxS.shape, L)).astype(int)
  p_BxU = np.zeros((B, 2**L))
  for b in range(B):
    np.add.at(p_BxU[b], y_BxSxL[b] @ (1 << np.arange(L)[::-1]), p_BxS[b])
  return p_BxU


def test_an_ordered_set_has_the_probability_of_its_one_path(ordered):
  expected_BxU = paths.joint(ordered)
  np.testing.assert_allclose(expected_BxU.sum(1), 1)
  found_BxU = np.exp(ordered.of_sets('log_prob'))
  np.testing.assert_allclose(found_BxU, expected_BxU, atol=1e-6)


def test_sets_beyond_the_longest_path_have_probability_zero():
  case = toy(longest=2)
  assert case.model.apply(case.variables, method='num_steps') == 2
  expected_BxU = paths.joint(case, longest=2)
  np.testing.assert_allclose(expected_BxU.sum(1), 1)
  found_BxU = np.exp(case.of_sets('log_prob'))
  np.testing.assert_allclose(found_BxU, expected_BxU, atol=1e-6)
  for method in (inference.exact, inference.beam):
    found = run(method, case)
    np.testing.assert_allclose(table(case, found), expected_BxU, atol=1e-6)
  loss_B, weight_B = case.apply(
    'loss', case.x, jnp.ones((B, L)), jnp.ones((B, L))
  )
  assert not loss_B.any() and not weight_B.any()
  # Label 2 comes first and would leave no room for both given labels.
  found = run(inference.beam, case, given_BxL=np.array([[1, 1, -1]]))
  agree_1xU = (SETS_UxL == [1, 1, 0]).all(1)[None]
  possible_BxU = np.where(agree_1xU, expected_BxU, 0)
  np.testing.assert_allclose(table(case, found), possible_BxU, atol=1e-6)


def test_without_an_order_a_set_is_the_sum_of_its_paths(unordered):
  expected_BxU = paths.joint(unordered)
  np.testing.assert_allclose(expected_BxU.sum(1), 1)
  all_BxU = unordered.of_sets('log_prob_all_orders')
  np.testing.assert_allclose(np.exp(all_BxU), expected_BxU, atol=1e-6)
  bound_BxU = unordered.of_sets('log_prob_bound')
  assert (bound_BxU <= all_BxU + 1e-6).all()
  for b in range(B):
    of_paths = paths.paths(unordered, b)
    own_U = [
      of_paths[tuple(label for label in (2, 0, 1) if y_L[label])]
      for y_L in SETS_UxL
    ]
    np.testing.assert_allclose(np.exp(bound_BxU[b]), own_U, atol=1e-6)
  some_B = unordered.apply(
    'log_prob_all_orders', unordered.x, np.ones((B, L)), largest=2
  )
  assert np.isnan(some_B).all()


def test_sampled_orders_estimate_the_sum(unordered):
  expected_BxU = paths.joint(unordered)
  sets = np.array([0, 4, 6, 7])
  found_B = unordered.apply(
    *('log_prob_sampled_orders', unordered.x, SETS_UxL[sets]),
    *(jax.random.key(1),),
    orders=2000,
  )
  expected_B = expected_BxU[np.arange(B), sets]
  np.testing.assert_allclose(np.exp(found_B), expected_B, rtol=0.1)
  # Sets of one label have one order: no error then.
  np.testing.assert_allclose(np.exp(found_B)[:2], expected_B[:2], rtol=1e-5)


def test_beams_and_draws_of_paths_add_up_to_sets(unordered):
  expected_BxU = paths.joint(unordered)
  given_BxL = np.array([[-1, 1, -1]] * 2 + [[0, -1, 1]] + [[-1, -1, -1]])
  agree_BxU = (
    (given_BxL[:, None] < 0) | (given_BxL[:, None] == SETS_UxL[None])
  ).all(-1)

  @jax.jit
  def run_all(variables, x):
    args = unordered.model, variables, x
    key, draws = jax.random.key(0), {'samples': 4000}
    return {
      'beam': inference.beam(*args, width=16),
      'beam given': inference.beam(*args, width=16, given_BxL=given_BxL),
      'first': inference.best_first(*args, candidates=16),
      'draws': inference.monte_carlo(*args, key, **draws),
      'draws given': inference.monte_carlo(
        *args, key, given_BxL=given_BxL, **draws
      ),
    }

  found = run_all(unordered.variables, unordered.x)
  for name in ('beam', 'first'):
    np.testing.assert_allclose(
      table(unordered, found[name]), expected_BxU, atol=1e-5
    )
  possible_BxU = np.where(agree_BxU, expected_BxU, 0)
  np.testing.assert_allclose(
    table(unordered, found['beam given']), possible_BxU, atol=1e-5
  )
  for name, p_BxU in (('draws', expected_BxU), ('draws given', possible_BxU)):
    weight_BxU = table(unordered, found[name])
    weight_BxU /= weight_BxU.sum(1, keepdims=True)
    p_BxU = p_BxU / p_BxU.sum(1, keepdims=True)
    np.testing.assert_allclose(weight_BxU, p_BxU, atol=0.04)


def test_draws_without_replacement_weigh_by_what_is_drawn(ordered):
  given_1xL = np.array([[1, -1, -1]])
  agree_U = SETS_UxL[:, 0] == 1
  p_BxU = np.where(agree_U, paths.joint(ordered), 0)

  @jax.jit
  def mean(keys):
    def one(key):
      found = inference.without_replacement(
        ordered.model,
        ordered.variables,
        ordered.x,
        key,
        samples=2,
        given_BxL=given_1xL,
      )
      w_BxS = jnp.exp(found.logw_BxS)
      return jnp.einsum('bs,bsl->bl', w_BxS, found.y_BxSxL.astype(jnp.float32))

    return jax.lax.map(one, keys).mean(0)

  found_BxL = mean(jax.random.split(jax.random.key(0), 4000))
  # Before it is normalised the estimator has no bias.
  np.testing.assert_allclose(found_BxL, p_BxU @ SETS_UxL, atol=0.02)


def test_many_labels_are_not_cut_to_a_byte():
  case = toy(num_labels=140, order='random', masks='repeats', longest=6)
  y_BxL = np.asarray(run(inference.greedy, case).y_BxSxL[:, 0])
  first_BxV = np.asarray(
    case.apply('logits', case.x, jnp.full((B, 6), 140))[:, 0]
  )
  assert y_BxL[np.arange(B), first_BxV[:, :140].argmax(1)].all()
  drawn = run(inference.monte_carlo, case, samples=200)
  # All 140 labels, those beyond a byte too, in four rows of 200 draws.
  assert (np.asarray(drawn.y_BxSxL).sum((0, 1)) > 0)[128:].any()
  found = run(inference.best_first, case, nodes=3)
  assert (np.asarray(found.y_BxSxL).sum(-1) <= 6).all()


def test_nodes_are_prefixes_and_ends_once_each(ordered):
  # Seven sets beside the empty prefix; an END after all but the whole set.
  found = run(inference.beam, ordered, width=2**L)
  np.testing.assert_array_equal(found.nodes_B, 1 + 7 + 7)
  exhaustive = run(inference.epsilon, ordered, epsilon=1e-6)
  searched = run(inference.best_first, ordered)
  np.testing.assert_array_equal(exhaustive.nodes_B, searched.nodes_B)


def test_what_follows_the_end_is_no_label(ordered):
  values = np.array([[1, L, 0], [L, 2, 2], [0, 1, L]])
  np.testing.assert_array_equal(
    ordered.apply('to_labels', values), [[0, 1, 0], [0, 0, 0], [1, 1, 0]]
  )


def test_labels_after_the_first_missing_one_are_summed_out(ordered):
  # In the order 2, 0, 1 label 0 is missing: label 2 alone is known.
  mask_BxL, y_BxL = np.tile([0.0, 1, 1], (B, 1)), np.tile([0.0, 1, 0], (B, 1))
  y_BxL[1:, 2], y_BxL[:, 0] = 1, np.nan
  loss_B, weight_B = ordered.apply('loss', ordered.x, y_BxL, mask_BxL)
  np.testing.assert_allclose(weight_B, 1 / 3, rtol=1e-6)
  for b in range(B):
    agree_U = SETS_UxL[:, 2] == y_BxL[b, 2]
    expected = -np.log(paths.joint(ordered)[b][agree_U].sum())
    np.testing.assert_allclose(loss_B[b], expected, rtol=1e-5)
  # Where nothing is known, nothing is lost.
  none = ordered.apply('loss', ordered.x, y_BxL, 0 * mask_BxL)
  assert not np.any(none)


def test_without_an_order_a_row_with_a_missing_label_does_not_count(unordered):
  mask_BxL = np.ones((B, L))
  mask_BxL[0, 1] = 0
  y_BxL = np.where(mask_BxL > 0, 1.0, np.nan)
  loss_B, weight_B = unordered.apply('loss', unordered.x, y_BxL, mask_BxL)
  np.testing.assert_array_equal(weight_B, [0, 1, 1, 1])
  assert loss_B[0] == 0 and (loss_B[1:] > 0).all()


def data_of(y_NxL, **fields):
  y_NxL = np.asarray(y_NxL, float)
  return data_lib.from_arrays(
    np.zeros((len(y_NxL), 2)), y_NxL, name='of a test', **fields
  )


def test_paths_are_half_as_long_again_as_those_of_training_rows():
  y_NxL = np.zeros((20, 10))
  y_NxL[:, :3] = 1
  y_NxL[:15, 0] = 0
  y_NxL[:, 1] = np.arange(20) % 2
  data = data_of(y_NxL)
  train = y_NxL[data.splits['train']]
  expected = -(-3 * int(train.sum(1).max()) // 2)
  for order, first in (('frequency', 2), ('rare', 3)):
    found = set_rnn.Model(10, order=order).structure(data)
    assert len(found['steps']) == expected
    assert found['order'][0] == first
  assert len(set_rnn.Model(10, longest=3).structure(data)['steps']) == 3
  assert len(set_rnn.Model(10, longest=99).structure(data)['steps']) == 10


def test_what_has_no_meaning_is_refused(unordered):
  data = data_of(np.ones((20, 3)))
  for fields, message in (
    ({'set_loss': 'ocd'}, "set_loss='ocd' .*set masks='repeats'"),
    ({'set_loss': 'odc', 'masks': 'repeats'}, 'did you mean: ocd'),
    ({'masks': 'repeat'}, 'did you mean: repeats'),
    ({'order': 'frequency'}, 'of training rows: begin with'),
  ):
    with pytest.raises(InputError, match=message):
      toy(**fields)
  with pytest.raises(InputError, match='longest=2: of a test has a training'):
    set_rnn.Model(3, longest=2).structure(data)
  with pytest.raises(InputError, match='soft labels'):
    set_rnn.Model(3).structure(data_of(np.full((20, 3), 0.5)))
  with pytest.raises(InputError, match='masks=.repeats.: a label set has many'):
    inference.exact(unordered.model, unordered.variables, unordered.x)
  with pytest.raises(InputError, match='without_replacement on'):
    inference.without_replacement(
      unordered.model, unordered.variables, unordered.x, jax.random.key(0)
    )


class Repeats(set_rnn.Model):
  """A label may be named again."""

  def _leave_open(self, open_BxL, prev_B, step):
    return open_BxL & ((prev_B < self.num_labels) | (step == 0))[:, None]


class LooksAhead(set_transformer.Model):
  """A step sees its own value."""

  def logits(self, h, values_BxT):
    return super().logits(h, jnp.roll(values_BxT, -1, axis=1))


@pytest.mark.parametrize(
  'cls, check',
  [
    (Repeats, contract.check_normalised),
    (Repeats, contract.check_steps),
    (LooksAhead, contract.check_causal),
    (LooksAhead, contract.check_steps),
  ],
)
def test_the_contract_catches_planted_faults(cls, check):
  with pytest.raises(AssertionError):
    check(contract.case(contract.make(cls, width=8)))
