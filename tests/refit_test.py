"""Training once more, on validation rows too."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from configs import chain_linear, chain_scheduled, independent, stacking
from mlc import checkpoint, checks, encoders, experiment, loop, orders, refit
from mlc import data as data_lib
from mlc.errors import InputError
from mlc.models import independent as heads

NAMES = 'hamming_loss', 'lrap'


@pytest.fixture(scope='module')
def data():
  rng = np.random.default_rng(0)
  x = rng.normal(size=(90, 5))
  y = x[:, :3] + rng.normal(size=(90, 3)) > 0
  splits = np.split(np.arange(90), [40, 65])
  names = 'train', 'valid', 'test'
  return data_lib.from_arrays(
    x, y.astype(float), splits=dict(zip(names, splits, strict=True))
  )


def small(module):
  config = module.get_config()
  config.seeds, config.refit, config.metrics = 2, True, NAMES
  config.decisions = ('scut',)
  config.inference = 'exact'
  if module is not chain_linear:
    config.encoder.update({'widths': (4,), 'dropout': 0.0})
    config.train.update({'epochs': 30, 'batch_size': 10, 'patience': 3})
    config.train.optimizer.lr = 0.05
  return config


def run(config, data, folder):
  outcome = experiment.train_and_evaluate(
    checks.check(config, data), data, folder, tensorboard=False
  )
  variables, about = checkpoint.restore(folder / 'checkpoints' / 'final')
  return outcome, variables, about


def history(folder):
  lines = (folder / 'metrics.jsonl').read_text().splitlines()
  return [json.loads(line) for line in lines]


def test_it_is_a_training_on_both_with_rates_that_sum_to_the_best_epochs(
  data, tmp_path
):
  config = small(independent)
  outcome, found, _ = run(config, data, tmp_path)
  assert 'refit: trained once more, on validation rows too.' in outcome.notes
  losses = np.array([line['valid_loss'] for line in history(tmp_path)], float)
  epochs = round(np.mean(np.nanargmin(losses, axis=0) + 1))
  assert 1 < epochs < len(losses)  # It stopped early, after the best.
  assert len(history(tmp_path / 'refit')) == 2 * epochs
  # The same by hand, from the loop.
  rows = np.arange(65)
  both = dataclasses.replace(data, splits=data.splits | {'train': rows})
  config.train.update({'epochs': 2 * epochs, 'patience': 0})
  config.train.optimizer.schedule = 'cosine'
  model = heads.Model(num_labels=3, encoder=encoders.MLP((4,)))
  expected = loop.fit(model, both, config.train, [0, 1]).variables
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
    found['params'],
    expected['params'],
  )


def test_thresholds_are_of_the_model_that_had_not_seen_validation_rows(
  data, tmp_path
):
  config = small(independent)
  _, with_refit, about = run(config, data, tmp_path / 'again')
  config.refit = False
  _, once, _ = run(config, data, tmp_path / 'once')
  jax.tree.map(
    np.testing.assert_array_equal, with_refit['fitted'], once['fitted']
  )
  changed = jax.tree.map(
    lambda a, b: np.abs(a - b).max(), with_refit['params'], once['params']
  )
  assert max(jax.tree.leaves(changed)) > 1e-3
  assert about['config']['refit']


def test_linear_links_are_solved_on_both(data, tmp_path):
  _, found, _ = run(small(chain_linear), data, tmp_path / 'a')
  rows = np.arange(65)
  both = dataclasses.replace(data, splits=data.splits | {'train': rows})
  config = small(chain_linear)
  config.refit = False
  _, expected, _ = run(config, both, tmp_path / 'b')
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
    found['params'],
    expected['params'],
  )


def test_every_stage_takes_its_own_epochs(data, tmp_path):
  config = small(stacking)
  config.first.train.update({'epochs': 30, 'batch_size': 8, 'patience': 3})
  config.first.train.optimizer.lr = 0.02
  run(config, data, tmp_path)
  for part in ('.', 'stages/first'):
    losses = [line['valid_loss'] for line in history(tmp_path / part)]
    losses = np.array(losses, float)
    epochs = round(np.mean(np.nanargmin(losses, axis=0) + 1))
    assert len(history(tmp_path / 'refit' / part)) == 2 * epochs


@pytest.mark.parametrize(
  'own',
  [
    {'schedule': 'linear'},
    {'name': 'schedule_free_adamw', 'weight_decay': 0.0},
  ],
  ids=lambda own: own.get('name', 'linear'),
)
def test_rates_that_fall_or_average_themselves_stay(data, tmp_path, own):
  config = small(independent)
  config.train.optimizer.update(own)
  run(config, data, tmp_path)
  losses = np.array([line['valid_loss'] for line in history(tmp_path)], float)
  epochs = round(np.mean(np.nanargmin(losses, axis=0) + 1))
  assert len(history(tmp_path / 'refit')) == epochs


def test_what_is_scheduled_by_the_step_is_not_taken_further(data, tmp_path):
  """A rate that falls, in as many epochs: the share of own labels is alike."""
  run(small(chain_scheduled), data, tmp_path)
  lines = [line['valid_example_f1'] for line in history(tmp_path)]
  scores = np.array(lines, float)
  epochs = round(np.mean(np.nanargmax(scores, axis=0) + 1))
  assert len(history(tmp_path / 'refit')) == epochs


def test_runs_that_failed_have_no_say_in_the_epochs(tmp_path):
  """The second run exploded after its first epoch."""
  config = small(independent)
  losses = [[3.0, 3.0], *([2.0 - 0.1 * epoch, None] for epoch in range(9))]
  lines = [json.dumps({'valid_loss': line}) for line in losses]
  (tmp_path / 'metrics.jsonl').write_text('\n'.join(lines))
  for failures, epochs in (((), 6), (('', 'epoch 2: nan'), 10)):
    again = refit._as_long(config, tmp_path, failures)
    assert again.train.epochs == refit.SPAN * epochs


def test_an_optimizer_may_leave_its_schedule_out(tmp_path):
  config = small(independent)
  config.train.optimizer = {'name': 'sgd', 'lr': 0.1}
  (tmp_path / 'metrics.jsonl').write_text('{"valid_loss": [1.0, 1.0]}')
  again = refit._as_long(config.lock(), tmp_path, ())
  assert again.train.optimizer.schedule == 'cosine'
  assert 'schedule' not in config.train.optimizer


def test_an_order_is_searched_by_rows_that_links_are_not_solved_on(data):
  rows = np.concatenate([data.splits['train'], data.splits['valid']])
  both = dataclasses.replace(data, splits=data.splits | {'train': rows})
  label_P, before_PxL = np.array([1]), np.array([[1.0, 0.0, 0.0]])
  once, again = (
    orders._held_out_nll(d, label_P, before_PxL) for d in (data, both)
  )
  np.testing.assert_array_equal(once, again)


def test_there_must_be_rows_to_add(data):
  none = data.splits | {'valid': np.zeros(0, int)}
  config = small(chain_linear)
  config.decisions = ('hamming',)
  with pytest.raises(InputError, match='no validation rows to train on too'):
    checks.check(config, dataclasses.replace(data, splits=none))
