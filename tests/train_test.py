"""Training ends at the optimum, stops when it should, and pads rightly."""

import functools

import contract
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from configs import chain_linear, independent_linear
from mlc import build, loop, optimizer, train
from mlc import data as data_lib
from mlc.errors import InputError


@pytest.fixture(scope='module')
def data():
  rng = np.random.default_rng(0)
  x = rng.normal(size=(300, 10))
  y = (x[:, :4] + rng.normal(size=(300, 4)) > 0.5).astype(float)
  y[:, 3] = np.where(rng.random(300) < 0.7, y[:, 0], y[:, 3])
  return data_lib.from_arrays(x, y)


def reference(x, y):
  """(weights, intercept) of logistic regression, to the optimum."""
  solver = LogisticRegression(C=1, solver='newton-cholesky', tol=1e-12)
  solver.fit(x.astype(float), y)
  return solver.coef_[0], solver.intercept_[0]


def lbfgs():
  """A training config that ends at the optimum, as mlc/convex.py does."""
  return contract.sgd(
    epochs=500,
    batch_size=0,
    tolerance=1e-4,
    l2=1.0,
    optimizer={'name': 'lbfgs'},
  )


def fitted(config_module, data, **fields):
  config = config_module.get_config()
  config.model.update(fields)
  model = build.model(config.model, config.encoder, data.num_labels)
  return loop.fit(model, data, lbfgs(), [0])


def test_linear_heads_end_at_the_optimum_of_scikit_learn(data):
  head = fitted(independent_linear, data).variables['params']['head']
  x, y, _ = data.split('train')
  for label in range(4):
    weights, bias = reference(x, y[:, label])
    np.testing.assert_allclose(head['kernel'][0, :, label], weights, atol=1e-3)
    np.testing.assert_allclose(head['bias'][0, label], bias, atol=1e-3)


def test_linear_links_end_at_the_optimum_of_scikit_learn(data):
  order = (2, 0, 3, 1)
  params = fitted(chain_linear, data, order='2,0,3,1').variables['params']
  x, y, _ = data.split('train')
  for place, label in enumerate(order):
    before = list(order[:place])
    weights, bias = reference(np.hstack([x, y[:, before]]), y[:, label])
    np.testing.assert_allclose(
      params['from_h']['kernel'][0, :, label], weights[:10], atol=1e-3
    )
    np.testing.assert_allclose(
      params['label_kernel'][0, before, label, 0], weights[10:], atol=1e-3
    )
    np.testing.assert_allclose(
      params['from_h']['bias'][0, label], bias, atol=1e-3
    )


def test_a_label_absent_from_train_gets_a_constant_and_the_rest_the_same(data):
  x, y, _ = data.split('train')
  with_absent = data_lib.from_arrays(
    data.rows(slice(None)).x,
    np.hstack([data.rows(slice(None)).y, np.zeros((300, 1))]),
    splits=data.splits,
  )
  config = independent_linear.get_config()
  model = build.model(config.model, config.encoder, 5)
  result = loop.fit(model, with_absent, lbfgs(), [0])
  variables = jax.tree.map(lambda a: a[0], result.variables)
  p = model.apply(variables, x, method='marginals')
  np.testing.assert_allclose(p[:, 4], 0.5 / (len(x) + 1), rtol=1e-4)
  weights, bias = reference(x, y[:, 1])
  np.testing.assert_allclose(
    p[:, 1], 1 / (1 + np.exp(-x @ weights - bias)), atol=1e-3
  )


def test_sparse_features_train_as_dense_ones(data):
  x, y, _ = data.rows(slice(None))
  x = np.where(np.abs(x) > 1, x, 0)
  sets = [
    data_lib.from_arrays(form, y, splits=data.splits)
    for form in (x, sparse.csr_array(x))
  ]
  model = build.model(
    {'name': 'chain'}, {'name': 'MLP', 'widths': (8,)}, data.num_labels
  )
  config = contract.sgd(epochs=3)
  one, other = (
    loop.fit(model, each, config, [0]).variables['params'] for each in sets
  )
  assert sets[1].features.sparse_names and not sets[1].features.dense_names
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
    one,
    other,
  )


def test_early_stopping_freezes_each_run_at_its_own_best(data):
  config = contract.sgd(
    epochs=40, patience=3, l2=0.0, optimizer=dict(
      contract.sgd().optimizer, lr=2.0
    )
  )  # fmt: skip
  model = build.model({'name': 'independent'}, {'name': 'MLP'}, 4)
  result = loop.fit(model, data, config, [0, 1, 2])
  stopped = []
  for run in range(3):
    losses = [line['valid_loss'][run] for line in result.history]
    seen = [loss for loss in losses if loss is not None]
    # Nothing after it stopped, and it stopped 3 epochs after its best.
    assert losses == seen + [None] * (len(losses) - len(seen))
    best = int(np.argmin(seen))
    assert len(seen) == best + 4
    variables = jax.tree.map(lambda a, run=run: a[run], result.variables)
    valid = train.Batch(*data.split('valid'))
    np.testing.assert_allclose(
      train.mean_loss(train.likelihood(model), variables, valid),
      seen[best],
      rtol=1e-5,
    )
    stopped.append(len(seen))
  assert len(set(stopped)) > 1


def test_padding_rows_change_nothing(data):
  model = contract.make(
    type(build.model({'name': 'chain'}, {'name': 'MLP'}, 4))
  )
  state, rows = contract.start(model)
  tx = optimizer.make(contract.sgd().optimizer, 1)
  step = jax.jit(
    functools.partial(
      train.train_step, objective=train.likelihood(model), tx=tx
    )
  )
  plain, _ = step(state, train.take(rows, jnp.arange(5)))
  padded, _ = step(state, train.take(rows, jnp.array([0, 1, 2, 3, 4, -1, -1])))
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, atol=1e-6),
    plain.params,
    padded.params,
  )


def test_hiding_labels_at_random_leaves_the_fit_unbiased():
  rng = np.random.default_rng(0)
  x = rng.normal(size=(6000, 1))
  first = rng.random(6000) < 1 / (1 + np.exp(-x[:, 0]))
  # The link of the second label: 4 times the first, nothing of x.
  second = rng.random(6000) < 1 / (1 + np.exp(-(4 * first - 2)))
  y = np.stack([first, second], axis=1).astype(float)
  y[rng.random(y.shape) < 0.3] = np.nan
  seen = ~np.isnan(y).all(1)
  data = data_lib.from_arrays(x[seen], y[seen])
  params = fitted(chain_linear, data).variables['params']
  assert abs(params['label_kernel'][0, 0, 1, 0] - 4) < 0.3
  assert abs(params['from_h']['kernel'][0, 0, 1]) < 0.2


def test_the_penalty_is_scikit_learns_with_labels_missing_too(data):
  rng = np.random.default_rng(2)
  hidden = np.where(
    rng.random(data.rows(slice(None)).y.shape) < 0.4,
    np.nan,
    data.rows(slice(None)).y,
  )
  hidden[:, 0] = data.rows(slice(None)).y[:, 0]
  some = data_lib.from_arrays(
    data.rows(slice(None)).x, hidden, splits=data.splits
  )
  head = fitted(independent_linear, some).variables['params']['head']
  x, y, mask = some.split('train')
  for label in range(4):
    seen = mask[:, label] > 0
    weights, bias = reference(x[seen], y[seen, label])
    np.testing.assert_allclose(head['kernel'][0, :, label], weights, atol=1e-3)
    np.testing.assert_allclose(head['bias'][0, label], bias, atol=1e-3)


def test_a_label_never_observed_takes_no_other_along(data):
  y = np.array(data.rows(slice(None)).y)
  y[:, 0] = np.nan
  blind = data_lib.from_arrays(data.rows(slice(None)).x, y, splits=data.splits)
  params = fitted(chain_linear, blind).variables['params']
  x, y, _ = blind.split('train')
  weights, _ = reference(np.hstack([x, y[:, [1]]]), y[:, 2])
  found = np.append(
    params['from_h']['kernel'][0, :, 2], params['label_kernel'][0, 1, 2, 0]
  )
  np.testing.assert_allclose(found, weights, atol=1e-3)


def test_a_batch_that_counts_nothing_does_not_end_a_run(data):
  y = np.array(data.rows(slice(None)).y)
  y[np.random.default_rng(0).random(len(y)) < 0.8, 0] = np.nan
  some = data_lib.from_arrays(data.rows(slice(None)).x, y, splits=data.splits)
  model = build.model({'name': 'chain'}, {'name': 'MLP'}, 4)
  rows = len(some.splits['train'])
  config = contract.sgd(epochs=12, batch_size=rows - 1)
  result = loop.fit(model, some, config, [0, 1, 2, 3])
  norms = np.array([line['grad_norm'] for line in result.history], float)
  assert (norms == 0).any()
  assert len(result.history) == 12
  assert np.isfinite(norms).all()


def test_no_validation_row_that_counts_is_an_error(data):
  y = np.array(data.rows(slice(None)).y)
  y[data.splits['valid'], 0] = np.nan
  blind = data_lib.from_arrays(data.rows(slice(None)).x, y, splits=data.splits)
  model = build.model({'name': 'chain'}, {'name': 'MLP'}, 4)
  with pytest.raises(InputError, match='no validation loss after epoch 1'):
    loop.fit(model, blind, contract.sgd(patience=3), [0])
  loop.fit(model, blind, contract.sgd(), [0])


def test_a_last_step_that_explodes_is_an_error(data):
  model = build.model({'name': 'independent'}, {'name': 'MLP'}, 4)
  config = contract.sgd(epochs=1, batch_size=0)
  config.optimizer.lr = 1e39
  match = r'parameters are not finite at step 0 \(epoch 1, seed 0, learning'
  with pytest.raises(InputError, match=match):
    loop.fit(model, data, config, [0])


def test_errors_name_what_is_wrong(data):
  model = build.model({'name': 'independent'}, {'name': 'MLP'}, 4)
  with pytest.raises(InputError, match='no seeds'):
    loop.fit(model, data, contract.sgd(), [])
  with pytest.raises(InputError, match='batch_size 999 is larger'):
    loop.fit(model, data, contract.sgd(batch_size=999), [0])
  config = contract.sgd(epochs=200)
  config.optimizer.lr = 1e30
  with pytest.raises(InputError, match=r'not finite at step \d+ .*seed 0'):
    loop.fit(model, data, config, [0])
  config = contract.sgd()
  config.optimizer.name = 'lbfgs'
  with pytest.raises(InputError, match='lbfgs needs the whole objective'):
    loop.fit(model, data, config, [0])
  config.optimizer.name = 'adam'
  with pytest.raises(InputError, match="unknown optimizer 'adam'.*adamw"):
    loop.fit(model, data, config, [0])
