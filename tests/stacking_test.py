"""Two levels: predictions out of fold, handed on and kept in the model."""

from typing import Any

import jax
import numpy as np
import pytest
from scipy import special
from sklearn import linear_model

from configs import default, stacking
from mlc import checks, encoders, errors, loop, stacked, stages
from mlc import data as data_lib
from mlc.models import stacking as model_lib

D, L, TRAIN = 3, 3, 40


def world(seed, num_rows, noise=0.1):
  """Copies, with noise, of one label below -.5, one between, one above .5.

  Between is no linear function of x, and one of the other two.
  """
  rng = np.random.default_rng(seed)
  x = rng.normal(size=(num_rows, D))
  above = np.digitize(x[:, 0], (-0.5, 0.5))
  y = np.tile(np.eye(3)[above], (1, 4))
  return x, np.where(rng.random(y.shape) < noise, 1 - y, y)


def dataset(num_train=TRAIN, seed=0, labels=L, **options):
  x, y = world(seed, num_train + 420, **options)
  return data_lib.from_arrays(
    x,
    y[:, :labels],
    splits={
      'train': np.arange(num_train),
      'valid': np.arange(num_train, num_train + 20),
      'test': np.arange(num_train + 20, len(x)),
    },
    name='copies',
  )


def linear(optimizer='lbfgs', folds=5, seeds=1, epochs=120):
  """Both levels logistic regressions with C = 1."""
  config: Any = stacking.get_config()
  config.seeds, config.inference = seeds, 'exact'
  config.encoder = {'name': 'Linear'}
  for stage in (config, config.first):
    stage.train.update(batch_size=0, patience=0, l2=1.0, tolerance=1e-5)
    stage.train.epochs = epochs
    freeze = ('first',) if stage is config else ()
    stage.train.optimizer = {'name': 'lbfgs', 'freeze': freeze}
  if optimizer == 'convex':
    other: Any = default.get_config()
    default.linear(other)
    config.first.train = other.train
  config.first.folds = folds
  return config


def trained(config, data, folder):
  """(variables of the last stage, data as it was trained on)."""
  seen = [data]
  out_of_fold = stacked.out_of_fold

  def spy(*args):
    seen.append(out_of_fold(*args))
    return seen[-1]

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(stacked, 'out_of_fold', spy)
    result = stages.train(config, data, folder, None, lambda: False, False)
  return result.variables, seen[-1]


def heads(x, y, seen):
  """Scikit-learn's logistic regression of each label: (kernel, bias)."""
  fitted = [
    linear_model.LogisticRegression(
      C=1, solver='newton-cholesky', tol=1e-8
    ).fit(x[seen[:, l]], y[seen[:, l], l])
    for l in range(y.shape[1])
  ]
  kernel = np.concatenate([f.coef_ for f in fitted]).T
  return kernel, np.concatenate([f.intercept_ for f in fitted])


def answers(first, x):
  return special.expit(x @ first[0] + first[1])


@pytest.fixture(scope='module')
def missing():
  """Data some of whose labels are missing."""
  x, y = world(1, 100)
  y = y[:, :L].copy()
  y[np.random.default_rng(2).random(y.shape) < 0.1] = np.nan
  numbers = np.arange(100)
  return data_lib.from_arrays(
    x,
    y,
    splits={
      'train': numbers[:TRAIN],
      'valid': numbers[TRAIN:60],
      'test': numbers[60:],
    },
    name='missing',
  )


@pytest.fixture(scope='module', params=['lbfgs', 'convex'])
def fitted(request, missing, tmp_path_factory):
  """(variables, data handed to the second level) of two linear levels."""
  config = linear(request.param)
  checks.check(config, missing)
  return trained(config, missing, tmp_path_factory.mktemp('fitted'))


def test_out_of_fold_predictions_are_those_of_runs_by_hand(fitted, missing):
  _, handed_on = fitted
  x, y, mask = missing.split('train')
  fold_N = stacked.folds(TRAIN, 5)
  assert np.bincount(fold_N).tolist() == [TRAIN // 5] * 5
  found_NxKxL = handed_on.split('train').x.p_BxKxL
  for fold in range(5):
    kept_N = fold_N != fold
    first = heads(x[kept_N], y[kept_N], mask[kept_N] > 0)
    np.testing.assert_allclose(
      found_NxKxL[~kept_N, 0], answers(first, x[~kept_N]), atol=2e-3
    )


def test_both_levels_are_those_of_scikit_learn_in_one_model(fitted, missing):
  """It answers for rows that training never saw."""
  variables, handed_on = fitted
  x, y, mask = missing.split('train')
  first = heads(x, y, mask > 0)
  p_NxL = handed_on.split('train').x.p_BxKxL[:, 0]
  second = heads(np.hstack([x, p_NxL]), y, mask > 0)
  new = np.random.default_rng(3).normal(size=(10, D))
  expected = answers(second, np.hstack([new, answers(first, new)]))
  model = model_lib.Model(num_labels=L, encoder=encoders.Linear())
  one = jax.tree.map(lambda a: a[0], variables)
  found: Any = model.apply(one, new.astype(np.float32), method='marginals')
  np.testing.assert_allclose(found, expected, atol=5e-3)


def test_no_row_looks_at_its_own_labels(tmp_path):
  config: Any = stacking.get_config()
  config.inference = 'exact'
  config.seeds = 2
  config.encoder.update(widths=(4,), dropout=0.1)
  for stage in (config, config.first):
    stage.train.update(batch_size=8, epochs=2)
  data = dataset()
  flipped = data_lib.from_arrays(
    data.features,
    np.where(
      np.arange(data.num_rows)[:, None] == 7,
      1 - data.labels.y_NxL.toarray(),
      data.labels.y_NxL.toarray(),
    ),
    splits=data.splits,
    name='flipped',
  )
  found = []
  for number, of in enumerate((data, flipped)):
    _, handed_on = trained(config, of, tmp_path / str(number))
    found.append(handed_on.split('train').x.p_BxKxL)
  np.testing.assert_array_equal(found[0][7], found[1][7])
  changed_N = np.abs(found[0] - found[1]).max((1, 2))
  fold_N = stacked.folds(TRAIN, 5)
  assert (changed_N[fold_N != fold_N[7]] > 0).all()
  # Each seed has predictions of its own.
  assert np.abs(found[0][:, 0] - found[0][:, 1]).min(1).max() > 1e-3


def test_a_run_learns_from_its_own_column():
  data = dataset()
  rng = np.random.default_rng(4)
  p_NxKxL = rng.random((data.num_rows, 2, L)).astype(np.float32)
  p_NxKxL[TRAIN:] = np.nan
  model = model_lib.Model(num_labels=L, encoder=encoders.Linear())
  config = linear(epochs=3)

  def fit(seeds, columns):
    of = stacked.Dataset(
      *(data.name, data.features, data.labels, data.splits),
      p_NxKxL=p_NxKxL[:, columns],
    )
    structure = {'run': np.arange(len(seeds), dtype=np.int32)}
    result = loop.fit(model, of, config.train, seeds, structure=structure)
    return result.variables['params']['head']['kernel']

  both = fit([0, 1], [0, 1])
  for run in range(2):
    np.testing.assert_allclose(fit([run], [run])[0], both[run], atol=1e-5)
  assert np.abs(fit([1], [0])[0] - both[1]).max() > 1e-2


def log_losses(p, data):
  _, y, _ = data.split('test')
  return -np.where(y > 0, np.log(p), np.log1p(-p)).mean()


def second_level(data, folder, folds):
  """Log loss a label on test rows: (second level, first level)."""
  variables, _ = trained(linear(folds=folds), data, folder)
  one = jax.tree.map(lambda a: a[0], variables)
  model = model_lib.Model(num_labels=data.num_labels, encoder=encoders.Linear())
  x = data.split('test').x
  both = model.apply(one, x, method='marginals')
  first = model.apply(one, x, method=lambda m, x: m.first.marginals(x))
  return log_losses(both, data), log_losses(first, data)


LONG = [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2))]


@pytest.mark.parametrize('seed', LONG)
def test_labels_share_strength_where_rows_are_few(tmp_path, seed):
  data = dataset(num_train=100, seed=seed, labels=12, noise=0.05)
  both, first = second_level(data, tmp_path, folds=5)
  assert both < first - 0.05


@pytest.mark.parametrize('seed', LONG)
def test_in_sample_predictions_overfit_where_those_out_of_fold_do_not(
  tmp_path, seed
):
  rng = np.random.default_rng(seed)
  x = rng.normal(size=(1080, 20))
  y = (x @ rng.normal(size=(20, 1)) > 0).repeat(10, axis=1)
  y = np.where(rng.random(y.shape) < 0.2, ~y, y).astype(float)
  splits = np.split(np.arange(1080), (60, 80))
  data = data_lib.from_arrays(
    x, y, splits=dict(zip(('train', 'valid', 'test'), splits, strict=True))
  )
  out_of_fold, first = second_level(data, tmp_path / 'folds', folds=5)
  in_sample, same = second_level(data, tmp_path / 'none', folds=0)
  assert first == same
  assert out_of_fold < first < in_sample - 0.01


@pytest.mark.parametrize(
  'folds, message',
  [
    (1, 'first.folds=1 of 40 training rows: give 0, or 2 to 40'),
    (41, 'folds=41'),
    (2.5, 'folds=2.5'),
  ],
)
def test_folds_that_cannot_be_are_refused(folds, message):
  config = linear()
  with config.unlocked():
    del config.first.folds
    config.first.folds = folds
  with pytest.raises(errors.InputError, match=message) as caught:
    checks.check(config, dataset())
  assert '\n' not in str(caught.value)


def test_what_has_no_marginals_cannot_be_a_first_level():
  config = linear()
  config.first.model = {'name': 'chain'}
  with pytest.raises(errors.InputError, match='folds on chain'):
    checks.check(config, dataset())


def test_a_first_level_without_a_place_is_refused():
  config = linear()
  config.stages = ('second',)
  config.second = config.first
  with pytest.raises(errors.InputError, match='second'):
    checks.check(config, dataset())
