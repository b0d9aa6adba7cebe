"""Linear links end at scikit-learn's optimum, each at the C it was promised."""

import dataclasses
from typing import Any, cast

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest
from scipy import optimize, sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.multioutput import ClassifierChain

from mlc import build, conjugate, convex, inference, links, logistic, train
from mlc import data as data_lib
from mlc.data.features import Features
from mlc.errors import InputError

LINEAR = {'name': 'Linear'}
CHAIN = {'name': 'chain', 'order': 'random', 'hidden': 0}
N, D, L = 150, 6, 4


def made(x=None, y=None):
  """A data set whose labels depend on x and on each other."""
  rng = np.random.default_rng(0)
  if x is None:
    x = rng.normal(size=(N, D)).astype(np.float32)
  if y is None:
    y = (x[:, :L] + rng.normal(size=(len(x), L)) > 0.5).astype(float)
    y[:, 3] = np.where(rng.random(len(x)) < 0.7, y[:, 0], y[:, 3])
  ends = [len(y) * 2 // 3, len(y) * 5 // 6]
  third = np.array_split(np.arange(len(y)), ends)
  cut = dict(zip(('train', 'valid', 'test'), third, strict=True))
  return data_lib.from_arrays(x, y, splits=cut)


def config(l2=1.0, **optimizer):
  return ml_collections.ConfigDict({'l2': l2, 'optimizer': optimizer})


def fitted(model_config, data, seeds=(0,), **options):
  model = build.model(model_config, LINEAR, data.num_labels)
  return model, convex.fit(model, data, config(**options), list(seeds))


def oracle(z, y, c=1.0):
  """Weights and intercept by scikit-learn, to the optimum."""
  solver = LogisticRegression(
    C=c, solver='newton-cholesky', tol=1e-12, max_iter=1000
  ).fit(np.asarray(z, float), y)
  return np.append(solver.coef_[0], solver.intercept_)


def link_of(params, before, label, run=0):
  """Weights of the features, of the labels `before`, and the intercept."""
  parts = (
    params['from_h']['kernel'][run, :, label],
    params['label_kernel'][run, before, label, 0],
    params['from_h']['bias'][run, [label]],
  )
  return np.concatenate([np.asarray(part, float) for part in parts])


def close_to_oracle(data, result, x, atol, rows=lambda y: slice(None)):
  """Every link of every run of a chain, against scikit-learn."""
  y = data.split('train').y
  orders = np.asarray(result.variables['structure']['order'])
  for run, order in enumerate(orders):
    for place, label in enumerate(order):
      if not np.isnan(data.constant_L[label]):
        continue
      before = [b for b in order[:place] if np.isnan(data.constant_L[b])]
      seen = rows([label, *before])
      z = np.hstack([x, y[:, before]])[seen]
      np.testing.assert_allclose(
        link_of(result.variables['params'], before, label, run),
        oracle(z, y[seen, label]),
        atol=atol,
      )


@pytest.fixture(scope='module')
def data():
  return made()


def test_links_are_within_1e_3_of_scikit_learn_and_polished_within_1e_6(data):
  x = data.split('train').x
  for polish, atol in ((False, 1e-3), (True, 1e-6)):
    _, result = fitted(CHAIN, data, seeds=(0, 1), polish=polish)
    close_to_oracle(data, result, x, atol)


def test_heads_are_at_the_optimum_of_scikit_learn(data):
  _, result = fitted({'name': 'independent'}, data, polish=True)
  head = result.variables['params']['head']
  x, y, _ = data.split('train')
  for label in range(L):
    expected = oracle(x, y[:, label])
    np.testing.assert_allclose(
      head['kernel'][0, :, label], expected[:-1], atol=1e-6
    )
    np.testing.assert_allclose(head['bias'][0, label], expected[-1], atol=1e-6)


@pytest.mark.parametrize(
  'model_config',
  [{'name': 'independent'}, CHAIN, {'name': 'mixture', 'size': 3}],
)
def test_variables_are_laid_out_and_drawn_as_training_does(data, model_config):
  if model_config['name'] == 'mixture':
    model_config = model_config | {'member': CHAIN}
  model, result = fitted(model_config, data, seeds=(3, 5))
  rows = train.Batch(*data.split('train'))
  structure = jax.tree.map(jnp.asarray, model.structure(data))
  for run, seed in enumerate((3, 5)):
    state = train.init(
      model, optax.identity(), structure, rows, jax.random.key(seed)
    )
    ours = jax.tree.map(lambda a, run=run: a[run], result.variables)
    assert jax.tree.map(jnp.shape, ours) == jax.tree.map(
      jnp.shape, dict(state.variables)
    )
    jax.tree.map(
      np.testing.assert_array_equal, ours['structure'], dict(state.structure)
    )
    loss_B, _ = model.apply(ours, *rows, method='loss')
    assert np.isfinite(loss_B).all()


def test_a_constant_label_keeps_its_constant_and_tells_the_others_nothing():
  y = np.array(made().rows(slice(None)).y)
  y[:, 1] = 0
  y[:, 2] = np.where(np.arange(N) % 3 == 0, np.nan, 1)
  data = made(y=y)
  model, result = fitted(CHAIN, data, polish=True)
  close_to_oracle(data, result, data.split('train').x, 1e-6)
  params = result.variables['params']
  for label in (1, 2):
    assert not np.any(params['label_kernel'][0, label])
    assert not np.any(params['from_h']['kernel'][0, :, label])
  variables = jax.tree.map(lambda a: a[0], result.variables)
  constant = data.constant_L[[1, 2]]
  scores, _ = model.apply(variables, *data.split('train'), method='cells')
  np.testing.assert_array_equal(scores[:, 1:3], np.tile(constant, (100, 1)))


def test_a_link_counts_the_rows_where_it_and_what_it_looks_at_are_seen():
  y = np.array(made().rows(slice(None)).y)
  hidden = np.random.default_rng(1).random(y.shape) < 0.2
  data = made(y=np.where(hidden, np.nan, y))
  _, result = fitted(CHAIN, data, polish=True)
  mask = data.split('train').mask > 0
  close_to_oracle(
    data,
    result,
    data.split('train').x,
    1e-6,
    rows=lambda labels: mask[:, labels].all(1),
  )


@pytest.mark.parametrize('zeros', [0.5, 0.97])
def test_sparse_and_categorical_columns_are_features_as_written_out(zeros):
  rng = np.random.default_rng(2)
  x = rng.normal(size=(N, 40)) * (rng.random((N, 40)) > zeros)
  kinds = rng.integers(-1, 3, (N, 1)).astype(np.int32)
  features = Features.of(
    sparse_columns=sparse.csr_array(x.astype(np.float32)),
    categorical=kinds,
    values=[('a', 'b', 'c')],
  )
  y = (x[:, :3].sum(1, keepdims=True) + rng.normal(size=(N, L)) > 0) * 1.0
  data = made(features, y)
  _, result = fitted(CHAIN, data, polish=True)
  written = np.hstack([x.astype(np.float32), kinds == np.arange(3)])[:100]
  close_to_oracle(data, result, written, 1e-6)


def test_more_features_than_rows_are_solved_in_their_span():
  rng = np.random.default_rng(3)
  data = made(x=rng.normal(size=(60, 90)).astype(np.float32))
  _, result = fitted(CHAIN, data, polish=True)
  close_to_oracle(data, result, data.split('train').x, 1e-6)


def test_soft_labels_are_fitted_and_fed_on_as_they_are():
  rng = np.random.default_rng(4)
  y = rng.random((N, 2))
  data = made(y=y)
  model = {'name': 'chain', 'order': '1,0', 'hidden': 0}
  _, result = fitted(model, data, polish=True)
  x, y, _ = (np.asarray(part, float) for part in data.split('train'))
  z = np.hstack([x, y[:, [1]], np.ones((len(x), 1))])

  def objective(w):
    m = z @ w
    nll = np.logaddexp(0, m) - y[:, 0] * m
    gradient = z.T @ (1 / (1 + np.exp(-m)) - y[:, 0])
    w = np.append(w[:-1], 0)
    return nll.sum() + w @ w / 2, gradient + w

  found = optimize.minimize(
    objective, np.zeros(8), jac=True, method='BFGS', options={'gtol': 1e-8}
  )
  np.testing.assert_allclose(
    link_of(result.variables['params'], [1], 0), found.x, atol=2e-6
  )


@pytest.mark.parametrize(
  ('criterion', 'repeats', 'num_rows'),
  [('nll', 1, 0), ('brier', 1, 0), ('brier', 3, 110)],
)
def test_each_link_takes_the_strength_that_its_own_folds_favour(
  data, criterion, repeats, num_rows
):
  strengths = (0.01, 0.1, 0.4, 30.0)
  x, y, _ = data.split('train')
  order = [2, 0, 3, 1]
  fold_RxLxN = np.zeros((repeats, L, len(x)), np.int8)
  for repeat, label in np.ndindex(repeats, L):
    dealt = StratifiedKFold(3, shuffle=True, random_state=9 * repeat + label)
    for fold, (_, out) in enumerate(dealt.split(x, y[:, label])):
      fold_RxLxN[repeat, label, out] = fold
  found = links.find(np.array([[order]]), np.arange(L))
  solved, _ = links.solve(
    x,
    y,
    None,
    found,
    strengths,
    fold_RxLxN=fold_RxLxN,
    criterion=criterion,
    num_rows=num_rows,
  )
  score = {'nll': log_loss, 'brier': brier_score_loss}[criterion]
  chosen = []
  for place, label in enumerate(order):
    z = np.hstack([x, y[:, order[:place]]]).astype(float)
    totals = np.zeros(len(strengths))
    for number, c in enumerate(strengths):
      for repeat, fold in np.ndindex(repeats, 3):
        out = fold_RxLxN[repeat, label] == fold
        w = oracle(z[~out], y[~out, label], c)
        p = 1 / (1 + np.exp(-z[out] @ w[:-1] - w[-1]))
        totals[number] += score(y[out, label], p, labels=[0, 1]) * out.sum()
    best = np.argmin(totals)
    ours = found.of_KxMxL[0, 0, label]
    np.testing.assert_allclose(solved.strength_P[ours], strengths[best])
    w = oracle(z, y[:, label], strengths[best])
    np.testing.assert_allclose(solved.w_PxQ[ours, 0], w[-1], atol=1e-3)
    np.testing.assert_allclose(solved.w_PxQ[ours, 1 : 1 + D], w[:D], atol=1e-3)
    chosen.append(strengths[best])
  assert len(set(chosen)) > 1


def test_divisions_differ_and_share_positive_and_observed_rows_evenly():
  rng = np.random.default_rng(6)
  y = (rng.random((101, 3)) < [0.5, 0.1, 0.02]).astype(np.float32)
  mask = (rng.random((101, 3)) < 0.8).astype(np.float32)
  fold_RxLxN = convex._divisions(y, mask, 2, 5)
  for fold_LxN in fold_RxLxN:
    for label, fold_N in enumerate(fold_LxN):
      for rows in (mask[:, label] > 0, (y * mask)[:, label] > 0):
        counts = np.bincount(fold_N[rows], minlength=2)
        assert np.ptp(counts) <= 1 and counts.sum() == rows.sum()
  flat = fold_RxLxN.reshape(15, -1)
  assert len(np.unique(flat, axis=0)) == 15
  # Labels and repeats are dealt independently: agreement is by chance.
  agree = (flat[:, None] == flat[None]).mean(-1)[~np.eye(15, dtype=bool)]
  assert np.all((agree > 0.25) & (agree < 0.75))


def test_strengths_repeats_and_folds_reach_the_choice(monkeypatch, data):
  seen = []

  def solve(*args, fold_RxLxN, **options):
    seen.append((args[4], fold_RxLxN, options['criterion']))
    return links_solve(*args, fold_RxLxN=fold_RxLxN, **options)

  links_solve = links.solve
  monkeypatch.setattr(links, 'solve', solve)
  options = {'criterion': 'brier', 'folds': 2, 'repeats': 3}
  fitted(CHAIN, data, strengths=(0.1, 1.0), **options)
  strengths, fold_RxLxN, criterion = seen[0]
  assert (strengths, criterion) == ((0.1, 1.0), 'brier')
  assert fold_RxLxN.shape == (3, L, 100) and set(fold_RxLxN.flat) == {0, 1}


@pytest.mark.parametrize('zeros', [0.5, 0.97])
def test_rows_filled_up_change_nothing_and_compile_once(zeros):
  rng = np.random.default_rng(8)
  x = rng.normal(size=(N, 40)) * (rng.random((N, 40)) > zeros)
  y = (x[:, :3].sum(1, keepdims=True) + rng.normal(size=(N, L)) > 0) * 1.0
  y[:, 1] = np.where(np.arange(N) == 0, 1, 0)
  features = Features.of(sparse_columns=sparse.csr_array(x.astype(np.float32)))
  model = build.model({'name': 'chain', 'hidden': 0}, LINEAR, L)
  made_once = data_lib.from_arrays(features, y)
  sizes, solver = [], cast(Any, links._solve)
  for start, stop in ((0, 100), (1, 100), (2, 101)):
    cut = {'train': np.arange(start, stop)}
    data = dataclasses.replace(made_once, splits=cut)
    # The second and third lack a row, and in them label 1 is constant.
    assert np.isnan(data.constant_L[1]) == (start == 0)
    result = convex.fit(model, data, config(), [0], num_rows=100)
    sizes.append(solver._cache_size())
    close_to_oracle(data, result, x.astype(np.float32)[start:stop], 1e-3)
  assert len(set(sizes)) == 1
  with pytest.raises(InputError, match='num_rows=98, but arrays has 99 rows'):
    convex.fit(model, data, config(), [0], num_rows=98)


def test_a_link_that_two_chains_share_is_solved_once():
  orders = np.array([[[0, 1, 2], [1, 0, 2]], [[0, 2, 1], [0, 1, 2]]])
  found = links.find(orders, np.arange(3))
  # 0, 1|0, 2|01, then 1, 0|1 (2|01 again), then 2|0 and 1|02.
  assert len(found.label_P) == 7
  for run, member, label in np.ndindex(2, 2, 3):
    order = list(orders[run, member])
    problem = found.of_KxMxL[run, member, label]
    assert found.label_P[problem] == label
    before = np.flatnonzero(found.before_PxL[problem])
    assert set(before) == set(order[: order.index(label)])
  assert len(links.find(orders, np.arange(3), look=False).label_P) == 3


def test_a_label_without_a_link_has_a_problem_that_nothing_refers_to():
  found = links.find(np.array([[[0, 1, 2], [1, 2, 0]]]), np.array([0, 2]))
  # 0, 2|0, 2, 0|2, and that of label 1.
  assert sorted(found.label_P) == [0, 0, 1, 2, 2]
  assert (found.of_KxMxL[:, :, 1] == -1).all()
  assert not found.before_PxL[:, 1].any()
  assert not found.before_PxL[found.label_P == 1].any()
  assert set(found.of_KxMxL[found.of_KxMxL >= 0]) == set(
    np.flatnonzero(found.label_P != 1)
  )


def test_few_slots_give_what_many_give():
  rng = np.random.default_rng(5)
  x = rng.normal(size=(80, 5))
  y = (rng.random((80, 7)) < np.linspace(0.05, 0.6, 7)).astype(np.float32)
  y[0] = 1
  z = np.hstack([np.ones((80, 1)), x, y]).astype(np.float32)
  # From the link that looks at most to the one that looks at nothing, so that
  # what a slot leaves behind would show in the next.
  label_P = np.arange(7)[::-1]
  problems = logistic.Problems(
    label_P,
    np.tri(7, k=-1)[label_P] > 0,
    np.full(7, 1.0, np.float32),
    np.zeros(7, int),
  )
  for slots in (2, 7):
    solution = conjugate.solve(
      logistic.dense(jnp.asarray(z)),
      logistic.Rows(jnp.asarray(y)),
      jax.tree.map(jnp.asarray, problems),
      jnp.zeros((13, 1)),
      tolerance=1e-3,
      slots=slots,
    )
    for place, label in enumerate(label_P):
      expected = oracle(np.hstack([x, y[:, :label]]), y[:, label])
      ours = np.asarray(solution.w_PxQ[place])
      np.testing.assert_allclose(ours[0], expected[-1], atol=1e-3)
      np.testing.assert_allclose(ours[1 : 6 + label], expected[:-1], atol=1e-3)
      assert not ours[6 + label :].any()


def test_the_same_call_gives_the_same_bits(data):
  one, other = (fitted(CHAIN, data)[1].variables for _ in range(2))
  jax.tree.map(np.testing.assert_array_equal, one, other)


REAL = ('yeast', 'scene', 'emotions', 'enron', 'cal500')


@pytest.mark.parametrize(
  'name', [*REAL, pytest.param('bibtex', marks=pytest.mark.long)]
)
def test_real_sets_get_scikit_learns_weights_and_decisions(name, mlc_data):
  del mlc_data  # It skips.
  data = data_lib.load(f'mulan/{name}').standardised()
  _, result = fitted(CHAIN, data)
  (x, y, _), (x_test, y_test, _) = data.split('train'), data.split('test')
  if not isinstance(x, np.ndarray):
    x, x_test = (links.csr(part).toarray() for part in (x, x_test))
  order = result.variables['structure']['order'][0]
  varies = [
    t for t, label in enumerate(order) if np.isnan(data.constant_L[label])
  ]
  # Links from the first to the last; few where the oracle is slow.
  some = 2 if name == 'bibtex' else 6
  places = [varies[i] for i in np.linspace(0, len(varies) - 1, some, dtype=int)]
  differ = []
  for place in places:
    label, before = order[place], order[:place]
    w = link_of(result.variables['params'], before, label)
    expected = oracle(np.hstack([x, y[:, before]]), y[:, label])
    np.testing.assert_allclose(w, expected, atol=1e-3)
    z = np.hstack([x_test, y_test[:, before], np.ones((len(x_test), 1))])
    differ.append((z @ w > 0) != (z @ expected > 0))
  assert np.mean(differ) < 1e-3


@pytest.mark.parametrize('name', ['yeast', 'emotions'])
def test_a_whole_chain_predicts_what_scikit_learns_does(name, mlc_data):
  del mlc_data  # It skips.
  data = data_lib.load(f'mulan/{name}').standardised()
  model, result = fitted(CHAIN, data)
  variables = jax.tree.map(lambda a: a[0], result.variables)
  (x, y, _), (x_test, _, _) = data.split('train'), data.split('test')
  # Both follow the likelier value of each label, one after the other.
  greedy = jax.jit(lambda v, x: inference.beam(model, v, x, width=1))
  found_NxL = np.asarray(greedy(variables, x_test).y_BxSxL)[:, 0]
  peer = ClassifierChain(
    LogisticRegression(solver='newton-cholesky', tol=1e-12, max_iter=1000),
    order=variables['structure']['order'].tolist(),
  ).fit(x.astype(float), y)
  assert np.mean(found_NxL == peer.predict(x_test.astype(float))) > 0.999


def test_errors_name_what_is_wrong(data):
  mlp = build.model(CHAIN, {'name': 'MLP'}, L)
  hidden = build.model(CHAIN | {'hidden': 2}, LINEAR, L)
  rnn = build.model({'name': 'rnn'}, LINEAR, L)
  for model in (mlp, hidden, rnn):
    with pytest.raises(InputError, match='linear links only') as error:
      convex.fit(model, data, config(), [0])
    assert '\n' not in str(error.value)
  linear = build.model(CHAIN, LINEAR, L)
  with pytest.raises(InputError, match='no seeds'):
    convex.fit(linear, data, config(), [])
  with pytest.raises(InputError, match='needs a penalty: l2=0'):
    convex.fit(linear, data, config(l2=0.0), [0])
  with pytest.raises(InputError, match="unknown criterion 'briar'.*brier"):
    convex.fit(linear, data, config(criterion='briar'), [0])
  bags = build.model(
    {'name': 'mixture', 'bag': True, 'member': CHAIN}, LINEAR, L
  )
  with pytest.raises(InputError, match='convex on a mixture with bag=True'):
    convex.fit(bags, data, config(), [0])
  marginal = build.model(CHAIN | {'missing': 'marginal'}, LINEAR, L)
  with pytest.raises(InputError, match="convex with missing='marginal'"):
    convex.fit(marginal, data, config(), [0])
