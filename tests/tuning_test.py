"""Runs with settings of their own, and settings chosen by validation rows."""

import itertools
import json

import contract
import jax
import numpy as np
import pytest

from configs import default
from mlc import (
  checks,
  encoders,
  loop,
  provenance,
  run_folder,
  session,
  stages,
  tuning,
)
from mlc import data as data_lib
from mlc.errors import InputError
from mlc.models import independent

LR, DECAY = (0.05, 0.3), (0.0, 0.5)
GRID = (
  ('encoder.widths', ((4,), (8,))),
  ('train.optimizer.lr', (1e-3, 3e-2)),
  ('train.optimizer.weight_decay', (0.0, 0.1)),
)


def config(**changes):
  made = default.get_config('contract')
  made.tune, made.seeds, made.inference = GRID, 2, 'exact'
  made.encoder.dropout = 0.0
  made.train.update({'epochs': 4, 'batch_size': 18})
  made.update(changes)
  return made


def fitted(name, lr, weight_decay, seeds):
  sgd = contract.sgd()
  with sgd.unlocked():
    sgd.optimizer = sgd.optimizer.to_dict() | {
      'name': name,
      'lr': lr,
      'weight_decay': weight_decay,
    }
  model = independent.Model(num_labels=contract.L, encoder=encoders.MLP((8,)))
  return loop.fit(model, contract.dataset(), sgd, seeds).variables


@pytest.mark.parametrize('name', ['sgd', 'adamw'])
def test_runs_with_their_own_numbers_are_runs_alone(name):
  both = fitted(name, LR, DECAY, [3, 4])
  for run in range(2):
    alone = fitted(name, LR[run], DECAY[run], [3 + run])
    jax.tree.map(
      lambda a, b, run=run: np.testing.assert_allclose(a[run], b[0], atol=1e-5),
      both,
      alone,
    )


@pytest.fixture(scope='module')
def tuned(tmp_path_factory):
  """What a search wrote, and the config it ended with."""
  folder = tmp_path_factory.mktemp('tuned')
  data = contract.dataset()
  checks.check(config(), data)
  chosen, report = tuning.chosen(config(), data, folder, None, lambda: False)
  return folder, chosen, report


def test_every_combination_is_tried_and_the_best_is_chosen(tuned):
  folder, chosen, report = tuned
  tried = [tuple(trial['settings'].values()) for trial in report['trials']]
  values = [found for _, found in GRID]
  assert sorted(tried) == sorted(itertools.product(*values))
  best = min(report['trials'], key=lambda trial: trial['valid_loss'])
  assert best['settings'] == report['chosen']
  assert chosen.train.optimizer.lr == best['settings']['train.optimizer.lr']
  assert chosen.seeds == 2 and not chosen.tune
  assert json.loads((folder / 'tuning.json').read_text())['trials']


def test_some_settings_are_drawn_from_the_grid(tmp_path):
  drawn = config(trials=3)
  checks.check(drawn, contract.dataset())
  _, report = tuning.chosen(
    drawn, contract.dataset(), tmp_path, None, lambda: False
  )
  tried = [tuple(trial['settings'].values()) for trial in report['trials']]
  assert len(set(tried)) == 3
  assert set(tried) < set(itertools.product(*(found for _, found in GRID)))
  assert all('valid_loss' in trial for trial in report['trials'])


def test_a_score_is_that_of_the_setting_trained_alone(tuned, tmp_path):
  _, _, report = tuned
  # The first trial of a program has seed 0, as a run alone.
  trial = report['trials'][4]
  alone = config(tune=(), seeds=1)
  alone.encoder.widths = trial['settings']['encoder.widths']
  alone.train.optimizer.update({'lr': 1e-3, 'weight_decay': 0.0})
  result = stages.train(
    alone, contract.dataset(), tmp_path, None, lambda: False, False
  )
  losses = [line['valid_loss'][0] for line in result.history]
  assert trial['valid_loss'] == pytest.approx(min(losses), rel=1e-5)


def test_what_was_tried_is_not_tried_again(tuned, monkeypatch):
  folder, chosen, _ = tuned
  monkeypatch.setattr(stages, 'train', None)
  again, _ = tuning.chosen(
    config(), contract.dataset(), folder, None, lambda: False
  )
  assert again.to_dict() == chosen.to_dict()


@pytest.mark.parametrize(
  'changes, text',
  [
    ({'tune': (('model.depth', (1, 2)),)}, 'has no key model.depth'),
    ({'tune': (('encoder.dropout', 0.5),)}, 'give a tuple of values'),
    ({'train': {'patience': 0}}, 'give a patience'),
    ({'trials': -1}, 'how many settings'),
    ({'tune': (('train.optimizer.lr', (1e-3, -1.0)),)}, 'above 0'),
    ({'tune': (('train.patience', (0, 10)),)}, 'are compared by'),
    ({'tune': (('train.loss', ('likelihood', 'focal')),)}, 'are compared by'),
    ({'tune': (('seeds', (1, 2)),)}, 'are compared by'),
  ],
)
def test_a_grid_that_cannot_be_tried(changes, text):
  with pytest.raises(InputError, match=text):
    checks.check(config(**changes), contract.dataset())


def test_a_number_for_each_run():
  bad = config(tune=(), seeds=3)
  with bad.unlocked():
    del bad.train.optimizer.lr
    bad.train.optimizer.lr = LR
  with pytest.raises(InputError, match='one for each of 3 runs'):
    checks.check(bad, contract.dataset())


def test_a_trial_that_fails_later_is_the_worst(tmp_path):
  # In its second epoch the rate that was best in the first one explodes.
  grid = (('train.optimizer.lr', (1e-3, 1e30)),)
  failing = config(tune=grid)
  failing.train.optimizer.update({'name': 'sgd', 'weight_decay': 0.0})
  chosen, report = tuning.chosen(
    failing, contract.dataset(), tmp_path, None, lambda: False
  )
  assert chosen.train.optimizer.lr == 1e-3
  assert 'valid_loss' not in report['trials'][1]


def test_a_search_without_any_score_says_why(tmp_path):
  y_NxL = np.array(list(itertools.product((0, 1), repeat=4)), np.float32)
  splits = {'train': range(8), 'valid': range(8, 12), 'test': range(12, 16)}
  splits = {name: np.array(rows) for name, rows in splits.items()}
  data = data_lib.from_arrays(y_NxL, y_NxL, splits=splits)
  made = config(model={'name': 'powerset'})
  made.train.update({'select': 'nll', 'batch_size': 8})
  with pytest.raises(
    session.Diverged,
    match='no setting .* of the first the validation score is infinite',
  ):
    tuning.chosen(made, data, tmp_path, None, lambda: False)


def test_a_search_goes_on_after_a_cut_whatever_it_found(tmp_path, monkeypatch):
  calls = []
  real = stages.train

  def cut(*args):
    calls.append(args)
    if len(calls) == 2:
      raise loop.Stopped
    return real(*args)

  monkeypatch.setattr(stages, 'train', cut)
  arguments = contract.dataset(), tmp_path, None, lambda: False
  with pytest.raises(loop.Stopped):
    tuning.chosen(config(), *arguments)
  path = tmp_path / 'tuning' / '0' / 'trials.json'
  kept = json.loads(path.read_text())
  kept['trials'][0]['valid_loss'] = 'inf'  # As what is not finite is written.
  path.write_text(json.dumps(kept))
  _, report = tuning.chosen(config(), *arguments)
  assert len(calls) == 3  # The first program was not trained again.
  losses = [float(trial['valid_loss']) for trial in report['trials']]
  assert report['chosen'] == report['trials'][np.argmin(losses)]['settings']


def test_trials_of_a_program_begin_alike(tmp_path, monkeypatch):
  seeds = []
  real = loop.fit

  def spied(model, data, config, of_runs, **options):
    seeds.append(of_runs)
    return real(model, data, config, of_runs, **options)

  monkeypatch.setattr(loop, 'fit', spied)
  grid = (('train.optimizer.lr', (1e-3, 1e-2)),)
  arguments = contract.dataset(), tmp_path, None, lambda: False
  tuning.chosen(config(tune=grid), *arguments)
  assert seeds == [[0, 0]]


def test_overwriting_takes_the_search_along_and_rows_at_any_depth(tmp_path):
  rows = tmp_path / 'mulan' / 'emotions' / 'chain'
  for folder in (tmp_path, rows):
    run_folder.open_run(folder, {'a': 1}, overwrite=False)
  (rows / 'tuning').mkdir()
  (rows / 'tuning.json').write_text('{}')
  (rows / 'mine.txt').write_text('kept')
  (tmp_path / 'ranks.csv').write_text('old')
  run_folder.open_run(tmp_path, {'a': 2}, overwrite=True)
  left = {path.name for path in tmp_path.rglob('*') if path.is_file()}
  assert left == {'config.json', 'mine.txt'}


def test_data_sets_may_be_added_and_not_changed(tmp_path):
  provenance.note_session(tmp_path, ['cpu'], {'a': '1', 'b': '2'})
  about = provenance.note_session(tmp_path, ['cpu'], {'b': '2', 'c': '3'})
  assert about['data_checksum'] == {'a': '1', 'b': '2', 'c': '3'}
  with pytest.raises(InputError, match='the data have changed'):
    provenance.note_session(tmp_path, ['cpu'], {'a': '9'})
