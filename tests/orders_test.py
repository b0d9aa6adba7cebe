"""Orders by counts, entropy, tree and search are those of plain loops."""

import dataclasses
import itertools

import contract
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.sparse import csgraph
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score

from configs.ablations import order as order_config
from mlc import build, orders
from mlc import data as data_lib
from mlc.errors import InputError
from mlc.models import chain, trellis

L = 5


def made(missing=0.0, num_labels=L, rows=300, seed=0):
  """Labels that hang on x and on each other, some of them not observed."""
  rng = np.random.default_rng(seed)
  x = rng.normal(size=(rows, 3))
  y = np.zeros((rows, num_labels))
  for label in range(num_labels):
    logit = x[:, label % 3] - 0.4 * label
    if label:  # Its parent in a binary tree.
      logit += 5 * y[:, (label - 1) // 2] - 2
    y[:, label] = rng.random(rows) < 1 / (1 + np.exp(-logit))
  y[rng.random(y.shape) < missing] = np.nan
  y[np.isnan(y).all(1), 0] = 1
  cut = np.array_split(rng.permutation(rows), [rows // 2, rows * 4 // 5])
  splits = dict(zip(('train', 'valid', 'test'), cut, strict=True))
  return data_lib.from_arrays(x, y, splits=splits)


def observed(data):
  """The training labels as they were given, NaN = missing."""
  _, y, mask = data.split('train')
  return np.where(mask > 0, y, np.nan)


def found(order, data):
  found_L = orders.of_data(order, data)
  assert found_L is not None
  return found_L


def entropy(values):
  _, counts = np.unique(values, axis=0, return_counts=True)
  p = counts / counts.sum()
  return -(p * np.log(p)).sum()


@pytest.fixture(scope='module', params=[0.0, 0.3])
def data(request):
  return made(request.param)


def test_frequency_and_rare_go_by_the_share_of_observed_rows(data):
  share_L = np.nanmean(observed(data), axis=0)
  by_share = sorted(range(L), key=lambda label: (-share_L[label], label))
  assert list(found('frequency', data)) == by_share
  by_share = sorted(range(L), key=lambda label: (share_L[label], label))
  assert list(found('rare', data)) == by_share


def test_mutual_information_is_scikit_learns_of_the_rows_with_both(data):
  y = observed(data)
  found_LxL = orders.mutual_information(data)
  for one, other in itertools.permutations(range(L), 2):
    both = ~np.isnan(y[:, [one, other]]).any(1)
    expected = mutual_info_score(y[both, one], y[both, other])
    np.testing.assert_allclose(found_LxL[one, other], expected, atol=1e-10)
  assert not np.diag(found_LxL).any()


@pytest.mark.parametrize('missing', [0.0, 0.3])
def test_entropy_takes_the_label_of_least_bound_by_those_before(missing):
  expected, by_share = [], []
  for seed in range(10):
    data = made(missing, rows=80, seed=seed)
    expected.append(least_bounds(observed(data)))
    by_share.append(list(found('rare', data)))
    assert list(found('entropy', data)) == expected[-1]
  assert expected != by_share


def least_bounds(y):
  def given(label, other):
    both = y[~np.isnan(y[:, [label, other]]).any(1)]
    return entropy(both[:, [label, other]]) - entropy(both[:, [other]])

  order = []
  while len(order) < L:
    bounds = {
      label: min(
        [entropy(y[~np.isnan(y[:, label])][:, [label]])]
        + [given(label, other) for other in order]
      )
      for label in set(range(L)) - set(order)
    }
    order.append(
      min(bounds, key=lambda label: (round(bounds[label], 9), label))
    )
  return order


def test_the_tree_is_the_one_of_most_weight():
  rng = np.random.default_rng(1)
  for size in (2, 5, 12):
    weight = rng.random((size, size))
    weight += weight.T
    expected = csgraph.minimum_spanning_tree(np.triu(-weight, 1)).tocoo()
    expected = {frozenset(e) for e in zip(*expected.coords, strict=True)}
    root = int(rng.integers(size))
    parent_L = orders.spanning_tree(weight, root)
    assert parent_L[root] == -1
    edges = {
      frozenset((label, int(parent)))
      for label, parent in enumerate(parent_L)
      if label != root
    }
    assert edges == {frozenset(map(int, e)) for e in expected}


def test_tree_goes_level_by_level_from_the_label_that_tells_most(data):
  weight = orders.mutual_information(data)
  order = list(found('tree', data))
  assert sorted(order) == list(range(L))
  assert order[0] == weight.sum(1).argmax()
  edges = csgraph.minimum_spanning_tree(np.triu(-weight, 1))
  depth_L, before_L = csgraph.breadth_first_order(
    edges, order[0], directed=False
  )
  parent = {l: int(before_L[l]) for l in range(L) if l != order[0]}
  depth = {order[0]: 0}
  for label in map(int, depth_L[1:]):
    depth[label] = depth[parent[label]] + 1
  assert max(depth.values()) > 1
  rank = {label: place for place, label in enumerate(order)}
  levels = [depth[label] for label in order]
  assert levels == sorted(levels)
  for one, other in itertools.permutations(parent, 2):
    if parent[one] == parent[other]:
      heavier = weight[parent[one], one] > weight[parent[one], other]
      assert heavier == (rank[one] < rank[other])
    elif depth[one] == depth[other]:
      later = rank[parent[one]] < rank[parent[other]]
      assert later == (rank[one] < rank[other])


def links_nll(data):
  """(label, labels before) -> mean validation nll, by scikit-learn."""
  train, valid = data.split('train'), data.split('valid')

  def one(label, before):
    columns = [label, *before]
    seen = train.mask[:, columns].all(1)
    z = np.hstack([train.x, train.y[:, before]]).astype(float)
    solver = LogisticRegression(solver='newton-cholesky', tol=1e-12)
    solver.fit(z[seen], train.y[seen, label])
    seen = valid.mask[:, columns].all(1)
    z = np.hstack([valid.x, valid.y[:, before]]).astype(float)[seen]
    p = solver.predict_proba(z)[:, 1]
    return -np.log(np.where(valid.y[seen, label] > 0, p, 1 - p)).mean()

  return {
    (label, frozenset(before)): one(label, list(before))
    for label in range(data.num_labels)
    for size in range(data.num_labels)
    for before in itertools.combinations(range(data.num_labels), size)
    if label not in before
  }


@pytest.mark.parametrize(('missing', 'random'), [(0.0, 10), (0.1, 0)])
def test_searched_is_the_best_chain_on_validation_rows(
  monkeypatch, missing, random
):
  data = made(missing, num_labels=4)
  monkeypatch.setattr(orders, 'RANDOM', random)
  # Without other orders to begin with: what is left are the swaps.
  if not random:
    worst = {'searched': orders.by_search}
    monkeypatch.setattr(orders, 'FROM_DATA', worst)
  nll = links_nll(data)

  def total(order):
    return sum(nll[l, frozenset(order[:t])] for t, l in enumerate(order))

  everything = {o: total(o) for o in itertools.permutations(range(4))}
  best = tuple(found('searched', data).tolist())
  assert everything[best] < everything[0, 1, 2, 3] - 1e-3
  for name in set(orders.FROM_DATA) - {'searched'}:
    other = tuple(found(name, data).tolist())
    assert everything[best] < everything[other] + 1e-5
  for place in range(3):
    swapped = list(best)
    swapped[place : place + 2] = swapped[place : place + 2][::-1]
    assert everything[best] < everything[tuple(swapped)] + 1e-5


class Drawn(orders._Scores):
  """Scores of links that are drawn at random, each once."""

  def __init__(self, rng):
    super().__init__(made(num_labels=7))
    self.rng = rng

  def solve(self, links):
    for link in links:
      self.nll.setdefault(link, self.rng.random())


def test_a_round_of_swaps_helps_until_none_does():
  rng = np.random.default_rng(0)
  for _ in range(30):
    nll, order = Drawn(rng), rng.permutation(7)
    nll.solve(nll.links(order))
    for _ in range(100):
      swapped = orders._swapped_round(nll, order)
      if (swapped == order).all():
        break
      nll.solve(nll.links(swapped))
      assert nll.total(nll.links(swapped)) < nll.total(nll.links(order))
      order = swapped
    assert (swapped == order).all()


def test_searched_puts_constant_labels_last_and_needs_validation_rows():
  data = made(num_labels=4)
  y = np.array(data.rows(slice(None)).y)
  y[:, 1] = 0
  data = data_lib.from_arrays(
    data.rows(slice(None)).x, y, splits=dict(data.splits)
  )
  first = found('searched', data)
  assert sorted(first) == list(range(4)) and first[-1] == 1
  orders.by_search.cache_clear()
  np.testing.assert_array_equal(found('searched', data), first)
  without = dataclasses.replace(data, splits={'train': data.splits['train']})
  with pytest.raises(InputError, match='no validation rows') as error:
    found('searched', without)
  assert '\n' not in str(error.value)


def test_orders_of_data_stand_in_the_structure_and_are_told_apart():
  data = contract.dataset()
  for order in ('frequency', 'rare', 'entropy', 'tree'):
    model = contract.make(chain.Model, order=order)
    expected = orders.of_data(order, data)
    structure = model.structure(data)
    np.testing.assert_array_equal(structure['order'], expected)
  state, _ = contract.start(model)
  np.testing.assert_array_equal(state.structure['order'], expected)
  names = ('random', 'given', '1,0,2,3')
  assert [orders.of_data(name, data) for name in names] == [None] * 3


def test_bad_orders_are_refused_in_one_line():
  data = contract.dataset()
  for order, says in (
    ('frequent', "unknown order 'frequent'; did you mean: frequency"),
    ('0,1,1,2', 'give each label once'),
    ('2,0,1', 'of 4 labels'),
  ):
    model = build.model({'name': 'chain', 'order': order}, {'name': 'MLP'}, 4)
    with pytest.raises(InputError, match=says) as error:
      model.structure(data)
    assert '\n' not in str(error.value)
  rows = jnp.zeros((2, 3)), jnp.zeros((2, 4))
  for file, order in ((chain, 'tree'), (trellis, 'information')):
    model = contract.make(file.Model, order=order)
    with pytest.raises(InputError, match=f"order '{order}' is of training"):
      model.init(jax.random.key(0), *rows, method='log_prob')


def test_the_rows_of_the_ablation_differ_in_the_order_alone():
  config = order_config.get_config('chain,rnn')
  config.data, config.epochs = 'mulan/emotions', 7
  assert len(config.models) == 2 * len(orders.NAMES)
  rows = {
    name: config[name].copy_and_resolve_references().to_dict()
    for name in config.models
  }
  for name, row in rows.items():
    model, _, order = name.partition('_')
    assert row['model'].pop('order') == order and row.pop('name') == name
    assert row['data'] == 'mulan/emotions' and row['train']['epochs'] == 7
    assert row == rows[f'{model}_given']
  config.chain_given.train.patience = 3
  assert config.chain_rare.train.patience != 3
