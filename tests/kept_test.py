"""What sittings of a comparison came to, line by line, and their one table."""

import json
import math
import os
import pathlib
import re
import subprocess
import sys

import pytest

from configs import compare_all
from experiments import compare
from mlc.errors import InputError
from mlc.tables import kept, ranks, study_view
from mlc.tables.report import Record

ROOT = pathlib.Path(__file__).parent.parent


def records(data, models, *, loss=0.25):
  return [
    Record(data, model, 'exact', rule, metric, values, note)
    for model in models
    for rule in ('hamming', 'subset')
    for metric, values, note in (
      # Of each metric another rule's is better.
      ('hamming_loss', (loss + 0.1 * (rule == 'subset'), loss), ''),
      ('subset_accuracy', (0.5 - 0.1 * (rule == 'subset'), 1 / 3), ''),
      ('nll', (math.inf, 2.0), '3 rows'),
    )
  ]


def rows(found, chosen, made, footnotes=()):
  """As `kept.rows`, of records: each pair has the same footnotes."""
  outcomes = {(r.dataset, r.model): ([], [*footnotes]) for r in found}
  for record in found:
    outcomes[record.dataset, record.model][0].append(record)
  chosen = {pair: kept.Chosen(*of) for pair, of in chosen.items()}
  return kept.rows(outcomes, chosen, dict.fromkeys(outcomes, made))


def test_a_file_gives_back_what_the_tables_show(tmp_path):
  found = records('a', ['chain', 'rnn']) + records('b', ['chain'])
  saved = rows(found, {}, 'Commit 1')
  file = tmp_path / 'rows.jsonl'
  file.write_text(''.join(json.dumps(row) + '\n' for row in saved))
  shown, again = ranks.build(found), ranks.build(kept.records(kept.read(file)))
  for metric, by_set in shown.values.items():
    for data, cells in by_set.items():
      for model, cell in cells.items():
        other = again.values[metric][data][model]
        assert (other.note, other.best) == (cell.note, cell.best)
        assert other.values == pytest.approx(cell.values, rel=1e-6)
  assert shown.markdown() == again.markdown()
  assert len(saved) == 3
  assert saved[0]['values']['subset_accuracy'] == [0.4, 0.3333333]


def test_a_sitting_replaces_its_own_rows_in_their_place():
  first = rows(records('a', ['chain', 'rnn']), {}, 'Commit 1')
  second = rows(
    records('b', ['chain']) + records('a', ['rnn'], loss=0.125), {}, 'Commit 2'
  )
  both = kept.merged(first, second)
  keys = [(row['dataset'], row['model'], row['made']) for row in both]
  assert keys == [
    ('a', 'chain', 'Commit 1'),
    ('a', 'rnn', 'Commit 2'),
    ('b', 'chain', 'Commit 2'),
  ]
  assert both[1]['values']['hamming_loss'] == [0.125, 0.125]
  assert kept.made(both) == 'a: Commit 1. a, b: Commit 2.'
  assert kept.made(first) == 'Commit 1.'
  anew = [('a', 'chain'), ('b', 'chain')]
  keys = [(r['dataset'], r['model']) for r in kept.merged(first, second, anew)]
  assert keys == [('a', 'rnn'), ('b', 'chain')]


def test_footnotes_say_which_sets_they_are_of():
  both = [
    *rows(records('a', ['chain', 'rnn']), {}, '', ['all', 'of a']),
    *rows(records('b', ['chain']), {}, '', ['all']),
  ]
  assert kept.footnotes(both) == ['all', 'a: of a']


def test_chosen_settings_are_told_for_each_set():
  chosen = {
    (data, 'chain'): ({'encoder.widths': [64], 'train.optimizer.lr': lr}, tried)
    for data, lr, tried in (('a', 0.1, 8), ('b', 0.02, 4))
  }
  # Of another grid.
  chosen['b', 'rnn'] = {'train.optimizer.lr': 0.5}, 3
  both = records('a', ['independent', 'chain']) + records('b', ['chain', 'rnn'])
  assert kept.settings(kept.chosen(rows(both, {}, 'Commit 1'))) is None
  grid = kept.settings(kept.chosen(rows(both, chosen, 'Commit 1')))
  text = study_view.compared(ranks.build(both), 'x', 'all.png', grid)
  below = text.partition('#### Settings chosen: widths / lr\n')[2]
  assert re.search(r'\| model +\| +a, of 8 \| +b, of 4 \|', below)
  assert re.search(r'\| chain +\| +64 / 0.1 \| +64 / 0.02 \|', below)
  assert re.search(r'\| rnn +\| +– \| +– / 0.5 \|', below)
  assert '| independent' not in below


CHOSEN = {
  'encoder.widths': [96],
  'encoder.dropout': 0.25,
  'train.optimizer.lr': 0.5,
  'train.optimizer.weight_decay': 0.125,
}


@pytest.fixture
def settings(tmp_path):
  """A file with the settings of one of two rows."""
  both = records('a', ['chain', 'independent'])
  file = tmp_path / 'rows.jsonl'
  saved = rows(both, {('a', 'chain'): (CHOSEN, 8)}, 'x')
  file.write_text(''.join(json.dumps(row) + '\n' for row in saved))
  return file


def test_rows_take_settings_that_were_chosen_before(tmp_path, settings):
  config = compare_all.get_config('chain,independent,chain_linear')
  config.data, config.settings = 'a,b', str(settings)
  found = compare.rows_of(config)
  row = found['a/chain']
  assert (row.encoder.widths, row.encoder.dropout) == ((96,), 0.25)
  assert row.train.optimizer.to_dict() == found[
    'b/chain'
  ].train.optimizer.to_dict() | {'lr': 0.5, 'weight_decay': 0.125}
  tuned = {name for name, row in found.items() if row.tune}
  assert tuned == {'a/independent', 'b/independent', 'b/chain'}
  assert compare.chosen(found, config, tmp_path) == {
    ('a', 'chain'): kept.Chosen(CHOSEN, 8)
  }
  config.tune = config.tune[1:]
  with pytest.raises(
    InputError, match=r'chain on a was tuned by encoder.widths'
  ):
    compare.rows_of(config)
  config.settings = str(tmp_path / 'none.jsonl')
  with pytest.raises(InputError, match=r'none\.jsonl: no such file'):
    compare.rows_of(config)


def test_rows_go_on_with_the_settings_they_began_with(tmp_path, settings):
  """The file has meanwhile lost those of one row and got another's."""
  config = compare_all.get_config('chain,independent')
  config.data, config.settings = 'a', str(settings)
  first = compare.rows_of(config, tmp_path)
  for name, row in first.items():
    (tmp_path / name).mkdir(parents=True)
    text = row.to_json_best_effort()
    (tmp_path / name / 'config.json').write_text(text)
  lines = settings.read_text().splitlines()
  chain, independent = map(json.loads, lines)
  chain['settings'], independent['settings'] = {}, CHOSEN
  text = ''.join(json.dumps(row) + '\n' for row in (chain, independent))
  settings.write_text(text)
  again = compare.rows_of(config, tmp_path)
  for name, row in first.items():
    assert again[name].to_json_best_effort() == row.to_json_best_effort()
  assert compare.rows_of(config)['a/chain'].tune


def test_rows_of_models_left_out_alone_are_rows(tmp_path):
  file = tmp_path / 'rows.jsonl'
  found = kept.rows({('a', 'ising'): ([], ['why'])}, {}, {('a', 'ising'): 'x'})
  file.write_text(json.dumps(found[0]) + '\n')
  assert kept.read(file) == found and not kept.records(found)


@pytest.mark.parametrize('line', ['{"dataset": "a"}', 'x', '3', '[]', 'values'])
def test_a_broken_line_is_one_line(tmp_path, line):
  file = tmp_path / 'rows.jsonl'
  good = rows(records('a', ['chain']), {}, 'Commit 1')[0]
  if line == 'values':
    line = json.dumps(good | {'values': {'hamming_loss': ['x']}})
  file.write_text(f'{json.dumps(good)}\n{line}\n')
  with pytest.raises(InputError, match=r'rows\.jsonl has a line'):
    kept.read(file)
  assert kept.read(tmp_path / 'none.jsonl') == []


def test_two_sittings_of_the_command_make_one_table(tmp_path):
  file = tmp_path / 'RESULTS.md'

  def sit(data, models='independent_linear', *flags, seeds=2):
    done = subprocess.run(
      [
        *(sys.executable, '-m', 'experiments.compare'),
        f'--config=configs/compare_all.py:{models}',
        f'--workdir={tmp_path / data.partition("/")[2]}',
        f'--results={file}',
        f'--config.data={data}',
        f'--config.seeds={seeds}',
        *flags,
      ],
      cwd=ROOT,
      env={k: v for k, v in os.environ.items() if k != 'MLC_DATA'},
      capture_output=True,
      text=True,
      check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout

  one = 'world/one_flip(num_labels=4, num_rows=300)'
  two = 'world/shared_flip(num_labels=4, num_rows=300)'
  alone = sit(one)
  sit(two, 'independent_linear,ising', '--config.ising.inference=iterative')
  first = kept.read(tmp_path / 'compare_all.jsonl')
  # One model more in the same folder.
  strengths = '--config.chain_linear.train.optimizer.strengths'
  both = sit(two, 'independent_linear,chain_linear', f'{strengths}=(3.0,)')
  saved = kept.read(tmp_path / 'compare_all.jsonl')
  assert saved[:-1] == first
  models = ['independent_linear', 'ising', 'independent_linear', 'chain_linear']
  assert [row['model'] for row in saved] == models
  lost = saved[1]
  (why,) = lost['footnotes']
  assert not lost['values'] and why.startswith('ising is not run: ')
  # Not only by the sitting that found it.
  assert f'{lost["dataset"]}: {why}' in both
  told = [re.findall(r'iterative|\(3.0', row['made']) for row in saved]
  assert told == [[], ['iterative'], [], ['(3.0']]
  # The other rows there are not overwritten.
  sit(two, 'chain_linear', f'{strengths}=(4.0,)', '--overwrite')
  again = kept.read(tmp_path / 'compare_all.jsonl')
  assert again[:-1] == first and '(4.0' in again[-1]['made']
  assert list(tmp_path.glob('shared*/**/independent_linear/DONE'))
  assert 'shared_flip' not in alone
  assert 'one_flip' in both and 'shared_flip' in both
  text = file.read_text('utf-8')
  assert text.count('## compare_all') == 1
  first, *_ = (
    line
    for line in text.partition('#### Hamming loss')[2].splitlines()
    if line.startswith('| independent_linear')
  )
  for row in [row for row in saved if row['model'] == 'independent_linear']:
    mean = sum(row['values']['hamming_loss']) / 2
    assert f'{mean:.3f} ±' in first
