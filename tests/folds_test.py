"""Folds judged by one program are what scikit-learn and NumPy make of each."""

import itertools

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from configs import chain_linear
from mlc import build, folds
from mlc import data as data_lib
from mlc.data import splits
from mlc.errors import InputError

N, D, L, K = 53, 4, 3, 5  # Folds of 10 and of 11 rows.


@pytest.fixture(scope='module')
def data():
  rng = np.random.default_rng(0)
  x = rng.normal(3, 2, (N, D)).astype(np.float32)
  y = (x[:, :L] + rng.normal(size=(N, L)) > 3).astype(int)
  y[:, 2] = np.where(rng.random(N) < 0.8, y[:, 0], y[:, 2])
  return data_lib.from_arrays(x, y)


@pytest.fixture(scope='module')
def pairs():
  return splits.random_k_fold(N, K, 1)


@pytest.fixture(scope='module')
def judged(data, pairs):
  """What was said of each fold, and seconds of compilation after each."""
  config = chain_linear.get_config()
  model = build.model(config.model, config.encoder, L)
  rules = {
    'hamming': ('hamming_loss', 'example_f1'),
    'subset': ('subset_accuracy',),
  }
  judge = folds.Judge(model, 'exact', rules, num_rows=11, batch_size=2)
  found, seconds = [], []
  for fold in folds.cut(data, pairs):
    variables, _, _ = folds.fit(model, fold, config.train, 43)
    found.append(judge(variables, fold.split('test')))
    seconds.append(judge.compile_seconds)
  return found, seconds


def oracle(data, train, test):
  """(true labels, marginals, mode) of a fold's test rows, in float64."""
  x, y = data.features.dense_NxD.astype(float), data.labels.y_NxL.toarray()
  scaler = StandardScaler().fit(x[train])
  x_train, x_test = scaler.transform(x[train]), scaler.transform(x[test])
  links = [
    LogisticRegression(solver='newton-cholesky', tol=1e-10).fit(
      np.hstack([x_train, y[train][:, :label]]), y[train][:, label]
    )
    for label in range(L)
  ]
  sets = np.array(list(itertools.product([0, 1], repeat=L)))
  joint = np.ones((len(test), len(sets)))
  for u, answer in enumerate(sets):
    for label, link in enumerate(links):
      before = np.tile(answer[:label], (len(test), 1))
      p = link.predict_proba(np.hstack([x_test, before]))
      joint[:, u] *= p[:, answer[label]]
  return y[test], joint @ sets, sets[joint.argmax(1)]


def test_each_fold_is_decoded_and_judged_as_by_scikit_learn(
  data, pairs, judged
):
  for (train, test), found in zip(pairs, judged[0], strict=True):
    y, p, mode = oracle(data, train, test)
    assert len(found.answers['hamming']) == len(test)
    np.testing.assert_array_equal(found.answers['hamming'], p > 0.5)
    np.testing.assert_array_equal(found.answers['subset'], mode)
    size = (p > 0.5).sum(1) + y.sum(1)
    both = ((p > 0.5) & (y > 0)).sum(1)
    f1 = np.where(size == 0, 1, 2 * both / np.maximum(size, 1)).mean()
    assert found.values == pytest.approx(
      {
        ('hamming', 'hamming_loss'): ((p > 0.5) != y).mean(),
        ('hamming', 'example_f1'): f1,
        ('subset', 'subset_accuracy'): (mode == y).all(1).mean(),
      }
    )


def test_folds_of_other_sizes_compile_nothing(judged):
  assert judged[1][0] > 0
  assert len(set(judged[1])) == 1


def test_a_fold_is_standardised_on_its_training_rows(data, pairs):
  train, _ = pairs[0]
  (fold,) = folds.cut(data, pairs[:1])
  x = fold.split('train').x
  np.testing.assert_allclose(x.mean(0), 0, atol=1e-5)
  np.testing.assert_allclose(x.std(0), 1, atol=1e-5)
  (as_it_is,) = folds.cut(data, pairs[:1], standardise=False)
  np.testing.assert_array_equal(
    as_it_is.split('train').x, data.features.dense_NxD[train]
  )


def test_nodes_are_a_mean_over_real_rows(data, pairs):
  config = chain_linear.get_config()
  model = build.model(config.model, config.encoder, L)
  judge = folds.Judge(model, 'greedy', {'subset': ()}, num_rows=20)
  (fold,) = folds.cut(data, pairs[:1])
  variables, _, _ = folds.fit(model, fold, config.train, 43)
  found = judge(variables, fold.split('test'))
  assert found.nodes == L + 1
  assert found.answers['subset'].shape == (len(pairs[0][1]), L)


def test_more_rows_than_were_promised_are_refused(data, pairs):
  config = chain_linear.get_config()
  model = build.model(config.model, config.encoder, L)
  judge = folds.Judge(model, 'greedy', {'subset': ()}, num_rows=9)
  fold = next(folds.cut(data, pairs))
  with pytest.raises(InputError, match='11 rows'):
    judge({}, fold.split('test'))
