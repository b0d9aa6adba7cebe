"""RAkEL and pruned sets against NumPy, the powerset, and known label sets."""

import functools

import contract
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from mlc import data as data_lib
from mlc import encoders, inference, train
from mlc.errors import InputError
from mlc.models import independent, powerset, pruned_sets, rakel, rakel_disjoint

L = contract.L
SETS = contract.SETS_UxL
# Of two label sets x says nothing: the labels are all that there is to learn.
TWO_SETS = np.array([[1, 1, 0, 0], [0, 0, 1, 1]])


def head(case):
  """BxC: what the model's only layer makes of h, in float64."""
  h = np.asarray(case.apply('encode', case.x), float)
  dense = case.variables['params']['head']
  return h @ np.asarray(dense['kernel'], float) + np.asarray(dense['bias'])


def index(y, labels):
  """The class of y's values at `labels`, the first the highest bit."""
  power = 1 << np.arange(len(labels))[::-1]
  return np.asarray(y)[..., labels].astype(int) @ power


@pytest.fixture(scope='module', params=[1, 2, 3, 4])
def disjoint(request):
  return contract.case(contract.make(rakel_disjoint.Model, k=request.param))


def test_disjoint_is_a_product_of_powersets(disjoint):
  k, order = (
    disjoint.model.k,
    np.asarray(disjoint.variables['structure']['order']),
  )
  table_BxMxS = head(disjoint).reshape(contract.B, -1, 2**k)
  expected_BxU = np.ones((contract.B, 2**L))
  for m, table_BxS in enumerate(np.moveaxis(table_BxMxS, 1, 0)):
    labels = order[m * k : (m + 1) * k]
    p_BxS = special.softmax(table_BxS, axis=1)
    # Bits past the last label are summed out.
    p_BxS = p_BxS.reshape(contract.B, 2 ** len(labels), -1).sum(-1)
    expected_BxU *= p_BxS[:, index(SETS, labels)]
  np.testing.assert_allclose(disjoint.joint(), expected_BxU, atol=1e-6)


def test_one_subset_of_all_labels_is_the_powerset():
  case = contract.case(contract.make(rakel_disjoint.Model, k=L))
  order = np.asarray(case.variables['structure']['order'])
  model = contract.make(powerset.Model)
  classes_U = index(SETS, order)
  params = dict(case.variables['params'])
  params['head'] = jax.tree.map(lambda a: a[..., classes_U], params['head'])
  variables = {'params': params, 'structure': {'support': jnp.asarray(SETS)}}
  found = jax.jit(lambda v: model.apply(v, case.x, case.y, method='log_prob'))(
    variables
  )
  np.testing.assert_allclose(
    case.apply('log_prob', case.x, case.y), found, atol=2e-6
  )


def test_a_missing_label_takes_its_own_subset_along_alone():
  model = contract.make(rakel_disjoint.Model, k=2, order='2,0,3,1')
  case = contract.case(model)
  mask_BxL = jnp.ones(case.y.shape).at[:, 2].set(0)
  _, counted_BxL = case.apply('cells', case.x, case.y, mask_BxL)
  # 0 comes after 2 in their subset; 3 and 1 are the other one.
  np.testing.assert_array_equal(counted_BxL, [[0, 1, 0, 1]] * contract.B)


def test_a_label_that_nobody_tells_takes_none_along():
  model = contract.make(rakel_disjoint.Model, k=2, order='2,0,3,1')
  case = contract.case(model)
  constant_L = jnp.full(L, jnp.nan).at[2].set(-1.0)
  variables = case.variables | {
    'structure': case.variables['structure'] | {'constant': constant_L}
  }
  mask_BxL = jnp.ones(case.y.shape).at[:, 2].set(0)
  _, counted_BxL = model.apply(
    *(variables, case.x, case.y, mask_BxL), method='cells'
  )
  np.testing.assert_array_equal(counted_BxL, mask_BxL)


@pytest.fixture(scope='module')
def overlapping():
  return contract.case(contract.make(rakel.Model, k=3, members=5))


def members(case):
  """(subsets_MxK, p_BxMxS)."""
  subsets_MxK = np.asarray(case.variables['structure']['subsets'])
  table = head(case).reshape(contract.B, len(subsets_MxK), -1)
  return subsets_MxK, special.softmax(table, axis=-1)


def test_members_vote_on_the_labels_that_they_have(overlapping):
  subsets_MxK, p_BxMxS = members(overlapping)
  assert all(len(set(labels)) == 3 for labels in subsets_MxK)
  assert set(subsets_MxK.ravel()) == set(range(L))
  bits_SxK = (np.arange(8)[:, None] >> np.arange(2, -1, -1)) & 1
  for votes in rakel.VOTES:
    total_BxL, count_L = np.zeros((contract.B, L)), np.zeros(L)
    for labels, p_BxS in zip(
      subsets_MxK, np.moveaxis(p_BxMxS, 1, 0), strict=True
    ):
      sure_BxS = np.eye(8)[p_BxS.argmax(1)] if votes == 'majority' else p_BxS
      total_BxL[:, labels] += sure_BxS @ bits_SxK
      count_L[labels] += 1
    model = overlapping.model.clone(votes=votes)
    scores = jax.jit(functools.partial(model.apply, method='scores'))
    found = scores(overlapping.variables, overlapping.x)
    np.testing.assert_allclose(found, total_BxL / count_L, atol=1e-5)


def test_the_loss_is_of_what_is_observed_of_each_subset(overlapping):
  subsets_MxK, p_BxMxS = members(overlapping)
  mask_BxL = np.array([[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 1]] * 2)
  y_BxL = np.where(mask_BxL > 0, overlapping.y, np.nan)
  loss_B, weight_B = overlapping.apply(
    'loss', overlapping.x, y_BxL, jnp.asarray(mask_BxL, jnp.float32)
  )
  bits_SxK = (np.arange(8)[:, None] >> np.arange(2, -1, -1)) & 1
  for b in range(contract.B):
    total, share = 0.0, []
    for m, labels in enumerate(subsets_MxK):
      known = mask_BxL[b, labels] > 0
      y = np.asarray(overlapping.y)[b, labels]
      agree_S = (bits_SxK == y)[:, known].all(1)
      total -= np.log(p_BxMxS[b, m, agree_S].sum()) if known.any() else 0
      share.append(known.mean())
    assert loss_B[b] == pytest.approx(total, abs=1e-4)
    assert weight_B[b] == pytest.approx(np.mean(share), abs=1e-6)


def sets_data(y, name='sets'):
  """Rows to train on; the last one twice more, for the other splits."""
  y = np.concatenate([y, y[-1:], y[-1:]])
  x = np.random.default_rng(0).normal(size=(len(y), contract.D))
  rows = np.arange(len(y))
  splits = {'train': rows[:-2], 'valid': rows[-2:-1], 'test': rows[-1:]}
  return data_lib.from_arrays(x, y, name=name).with_splits(splits)


def test_what_is_left_out_are_subsets_in_the_order_of_the_paper():
  counts = {'1100': 3, '1000': 2, '0100': 4, '0011': 2, '1110': 1, '0000': 2}
  counts['0001'] = 1  # Of the frequent sets it has the empty one alone.
  y = np.array([list(map(int, s)) for s, n in counts.items() for _ in range(n)])
  data = sets_data(y)
  model = contract.make(pruned_sets.Model, least=2, subsets=2)
  case = contract.Case(
    model,
    contract.start(model, data=data)[0].variables,
    *(jnp.asarray(a) for a in data.split('train')[:2]),
  )
  support = np.asarray(case.variables['structure']['support'])
  texts = [''.join(map(str, u)) for u in support]
  assert texts == ['1100', '0011', '0100', '1000', '0000']
  loss_B, weight_B = case.apply('loss', case.x, case.y, jnp.ones(case.y.shape))
  logp_BxU = special.log_softmax(head_of(case), axis=1)
  for b, y_L in enumerate(np.asarray(case.y).astype(int)):
    text = ''.join(map(str, y_L))
    # 1110 holds 1100, 0100 (of four rows) and 1000 (of two): the first two.
    if text == '0001':
      assert loss_B[b] == weight_B[b] == 0
      continue
    of = ['1100', '0100'] if text == '1110' else [text]
    expected = -np.mean([logp_BxU[b, texts.index(t)] for t in of])
    assert loss_B[b] == pytest.approx(expected, abs=1e-5)
    assert weight_B[b] == 1


def head_of(case):
  h = np.asarray(case.apply('encode', case.x), float)
  dense = case.variables['params']['head']
  return h @ np.asarray(dense['kernel'], float) + np.asarray(dense['bias'])


def test_with_all_label_sets_kept_it_is_the_powerset():
  plain = contract.make(powerset.Model)
  pruned = contract.make(pruned_sets.Model, least=1)
  case = contract.case(plain)
  kept = pruned.structure(contract.dataset())['support']
  own = plain.structure(contract.dataset())['support']
  order = [int(np.flatnonzero((own == u).all(1))[0]) for u in kept]
  params = dict(case.variables['params'])
  params['head'] = jax.tree.map(lambda a: a[..., order], params['head'])
  variables = {'params': params, 'structure': {'support': jnp.asarray(kept)}}
  mask_BxL = jnp.ones(case.y.shape).at[0, 1].set(0)
  for method, args in (('log_prob', ()), ('loss', (mask_BxL,))):
    found = pruned.apply(variables, case.x, case.y, *args, method=method)
    expected = case.apply(method, case.x, case.y, *args)
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found, expected
    )


@pytest.mark.parametrize(
  'cls, fields, least',
  [
    (rakel_disjoint.Model, {'k': 4}, 0.8),
    (pruned_sets.Model, {}, 0.8),
    (independent.Model, {}, 0.0),
  ],
)
def test_two_label_sets_are_found(cls, fields, least):
  rng = np.random.default_rng(1)
  data = sets_data(TWO_SETS[rng.integers(0, 2, 60)])
  batch = train.Batch(*map(jnp.asarray, data.split('train')))
  model = cls(num_labels=L, encoder=encoders.Linear(), **fields)
  case = contract.descend(model, batch, steps=150, data=data)
  mass_B = case.joint()[:, index(TWO_SETS, np.arange(L))].sum(1)
  if least:
    assert mass_B.mean() > least
  else:  # What independent labels can give to both together.
    assert mass_B.mean() < 0.3


@pytest.mark.parametrize(
  'cls, fields, text',
  [
    (rakel_disjoint.Model, {'k': 11}, '1 to 10 labels'),
    (rakel.Model, {'k': 5}, '1 to 4 labels'),
    (rakel.Model, {'members': 1}, 'give more members'),
    (rakel.Model, {'votes': 'majorty'}, 'majority'),
    (pruned_sets.Model, {'least': 0}, 'give 1 or more'),
    (pruned_sets.Model, {'least': 99}, 'lower `least`'),
  ],
)
def test_what_cannot_be_is_one_line(cls, fields, text):
  with pytest.raises(InputError, match=text):
    contract.start(contract.make(cls, **fields))


def test_disjoint_takes_beams_of_many_labels():
  model = rakel_disjoint.Model(num_labels=30, encoder=encoders.Linear(), k=4)
  x = jax.random.normal(jax.random.key(0), (2, 3))
  y = jnp.zeros((2, 30))
  variables = model.init(
    {'params': jax.random.key(1), 'order': jax.random.key(2)},
    *(x, y, jnp.ones(y.shape)),
    method='loss',
  )
  found = jax.jit(lambda v: inference.beam(model, v, x, width=16))(variables)
  best = model.apply(variables, x, found.y_BxSxL[:, 0], method='log_prob')
  np.testing.assert_allclose(found.logw_BxS[:, 0], best, rtol=1e-4)
