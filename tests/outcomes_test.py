"""What a table is told of one model: columns, notes, regret, coherence."""

import contract
import ml_collections
import numpy as np
import pytest

from mlc import data as data_lib
from mlc import evaluate, outcomes
from mlc.data import synthetic
from mlc.errors import InputError
from mlc.tables.report import Record


def config(**changes):
  return ml_collections.ConfigDict(
    {
      'name': 'mine',
      'data': 'contract',
      'inference': 'exact',
      'standardise': True,
      'metrics': ('hamming_loss', 'nll'),
      'rules': 'none',
      'calibration': 'none',
    }
    | changes
  )


def predicted(answers, rows, **more):
  """Predictions of given answers (KxNxL); all else is made up."""
  some = next(iter(answers.values()))
  marginals = np.full(some.shape, 0.25, np.float32)
  log_prob = np.full(some.shape[:2], -2.0, np.float32)
  seconds = dict.fromkeys(answers, 1.5)
  return evaluate.Predictions(
    log_prob, marginals, marginals, answers, seconds, 0.0, **more
  )


def about(num_runs, **changes):
  return {
    'failures': [''] * num_runs,
    'fitted': [],
    'proper': True,
    'train_seconds': 2.0,
  } | changes


def columns(outcome, call):
  return {r.metric: r.values for r in outcome.records if r.decision == call}


def test_regret_is_that_of_the_world_on_the_rows_of_the_table():
  name = 'world/one_flip(num_labels=3, num_rows=60)'
  data = data_lib.load(name)
  rows = data.split('test')
  answers = np.stack([np.zeros_like(rows.y), np.ones_like(rows.y)]).astype(int)
  found = outcomes.of(
    config(
      data=name, standardise=False, metrics=('regret_subset', 'regret_hamming')
    ),
    about(2), predicted({'subset': answers}, rows), rows, data,
  )  # fmt: skip
  world = synthetic.OneFlip(num_labels=3)
  # Exactly one label is flipped: each of three sets has a third, others none.
  p_NxU = np.exp(world.log_probs(rows.x))
  for run, answer in enumerate((0, 7)):
    want = (1 / 3 - p_NxU[:, answer]).mean()
    got = columns(found, 'subset')['regret_subset'][run]
    assert got == pytest.approx(want, abs=1e-9) and got > 0
  assert {r.dataset for r in found.records} == {name}


def test_regret_needs_a_world_and_x_as_drawn():
  data = contract.dataset()
  wish = {'metrics': ('regret_f1',)}
  with pytest.raises(InputError, match='only of a world is p.y . x. known'):
    outcomes.check(config(**wish), data)
  with pytest.raises(InputError, match='x as drawn: give standardise=False'):
    outcomes.check(config(data='world/logic', **wish), data)
  with pytest.raises(InputError, match="unknown metric 'haming_loss'"):
    outcomes.check(config(metrics=('haming_loss',)), data)
  with pytest.raises(InputError, match='did you mean: y1'):
    outcomes.check(config(rules='y1 -> yy1'), data)


def test_coherence_counts_new_sets_and_broken_rules():
  data = contract.dataset()
  rows = data.split('test')
  names = data.label_names
  train = {tuple(y) for y in data.split('train').y.astype(int)}
  answers = contract.SETS_UxL[np.arange(len(rows.y)) % 16][None]
  want = np.mean([tuple(y) not in train for y in answers[0]])
  assert 0 < want < 1
  wish = config(
    rules=f'{names[0]} -> {names[1]}; {names[2]} excludes {names[3]}',
    metrics=('unseen_sets', 'violations', 'hamming_loss'),
  )
  found = outcomes.of(
    wish, about(1), predicted({'f1': answers}, rows), rows, data
  )
  got = columns(found, 'f1')
  a, b, c, d = answers[0].T
  assert got['unseen_sets'] == pytest.approx([want])
  assert got['violations'] == pytest.approx([((a > b) | (c & d > 0)).mean()])
  assert f'{names[0]} -> {names[1]}' in found.broken
  assert found.broken.startswith('the truth: ')
  assert got['hamming_loss'] == pytest.approx([(answers[0] != rows.y).mean()])


def test_seeds_that_failed_are_a_note_and_search_is_a_mean_over_rows():
  data = contract.dataset()
  rows = data.split('test')
  answers = np.zeros((3, *rows.y.shape), int)
  nodes = np.arange(3 * len(rows.y), dtype=float).reshape(3, -1)
  found = outcomes.of(
    config(metrics=('nll', 'nodes', 'unseen_mass')),
    about(3, failures=['', 'seed 1 broke', '']),
    predicted({'hamming': answers}, rows, nodes_KxN=nodes),
    rows, data,
  )  # fmt: skip
  got = columns(found, 'hamming')
  assert got['nodes'] == pytest.approx(nodes.mean(1)[[0, 2]])
  assert got['nll'] == (2.0, 2.0) and 'unseen_mass' not in got
  assert found.notes[0] == 'mine, left out: seed 1 broke'
  assert any('marginals above .5' in note for note in found.notes)


def test_what_calibration_did_is_told():
  data = contract.dataset()
  rows = data.split('test')
  found = predicted({'f1': np.zeros((1, *rows.y.shape), int)}, rows)
  after = np.full(rows.y.shape, 0.5, np.float32)[None]
  told = outcomes.of(
    config(calibration='platt'), about(1),
    found._replace(marginals_KxNxL=after), rows, data,
  ).notes  # fmt: skip
  brier = ((rows.y - 0.25) ** 2).mean()
  (note,) = (text for text in told if 'platt' in text)
  assert f'Brier score {brier:.4f} to 0.2500' in note


def test_equal_cells_of_other_data_become_one():
  one = Record('d', 'm', 'exact', 'f1', 'nll', (1.0, 2.0))
  two = one._replace(values=(4.0,))
  other = one._replace(decision='subset')
  merged = outcomes.merged(
    [outcomes.Outcome([one, other], ['a']), outcomes.Outcome([two], ['b', 'a'])]
  )
  assert merged.records == [one._replace(values=(1.0, 2.0, 4.0)), other]
  assert merged.notes == ['a', 'b']
  apart = outcomes.merged(
    [outcomes.Outcome([one], []), outcomes.Outcome([two], [])], pool=False
  )
  assert apart.records == [one, two]
