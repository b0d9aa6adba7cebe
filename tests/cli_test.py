"""The commands of the README, in a process of their own, on river's yeast."""

import csv
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from mlc import data as data_lib
from mlc.data import split_files

ROOT = pathlib.Path(__file__).parent.parent


def run(module, *flags, **environment):
  return subprocess.run(
    [sys.executable, '-m', f'experiments.{module}', *flags],
    cwd=ROOT,
    env={k: v for k, v in os.environ.items() if k != 'MLC_DATA'} | environment,
    capture_output=True,
    text=True,
    check=False,
  )


def compare(workdir, *flags, models='chain,powerset', **environment):
  return run(
    'compare', f'--config=configs/compare.py:{models}', f'--workdir={workdir}',
    *flags, **environment,
  )  # fmt: skip


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('runs') / 'compare'
  done = compare(workdir, '--config.seeds=2', '--config.epochs=2')
  assert done.returncode == 0, done.stderr
  return workdir, done


def test_table_has_every_row_and_no_noise(finished):
  workdir, done = finished
  with (workdir / 'table.csv').open() as file:
    rows = list(csv.DictReader(file))
  found = {(row['model'], row['decision']) for row in rows}
  rules = ('hamming', 'subset', 'f1', 'scut')
  assert found == {(m, d) for m in ('chain', 'powerset') for d in rules}
  assert 'inf (' in done.stdout
  assert 'a heuristic' in done.stdout
  assert '[100%] done' in done.stderr
  assert 'I1' not in done.stderr and 'Traceback' not in done.stderr
  assert (workdir / 'table.png').read_bytes()[:4] == b'\x89PNG'


def test_tables_of_two_configs_are_sections_of_one_file(finished, tmp_path):
  workdir, done = finished
  file = tmp_path / 'kept' / 'README.md'
  first = compare(
    workdir, '--config.seeds=2', '--config.epochs=2', f'--results={file}'
  )
  assert first.returncode == 0, first.stderr
  assert first.stdout.splitlines()[:-1] == done.stdout.splitlines()[:-1]
  second = run(
    'compare',
    '--config=configs/decision_matrix.py:independent_linear',
    f'--workdir={tmp_path / "run"}',
    f'--results={file}',
    '--config.seeds=1',
  )
  assert second.returncode == 0, second.stderr
  text = file.read_text()
  heads = [line for line in text.splitlines() if line.startswith('## ')]
  assert heads == ['## compare', '## decision_matrix']
  assert 'All models on one data set, in one table.' in text
  for name in ('compare', 'decision_matrix'):
    assert f']({name}.png)' in text
    assert file.with_name(f'{name}.png').read_bytes()[:4] == b'\x89PNG'
  with (workdir / 'table.md').open() as table:
    rows = [line for line in table if line.startswith('| powerset')]
  assert len(rows) == 4 and all(row in text for row in rows)


def test_predictions_score_what_the_table_says(finished):
  workdir, _ = finished
  from mlc import data

  test = data.load('yeast').split('test')
  with (workdir / 'table.csv').open() as file:
    rows = list(csv.DictReader(file))
  for model in ('chain', 'powerset'):
    with np.load(workdir / model / 'predictions_test.npz') as saved:
      for rule in ('hamming', 'subset', 'f1', 'scut'):
        loss = (saved[rule] != test.y[None]).mean(axis=(1, 2))
        (row,) = (
          r
          for r in rows
          if (r['model'], r['decision'], r['metric'])
          == (model, rule, 'hamming_loss')
        )
        np.testing.assert_allclose(float(row['mean']), loss.mean(), rtol=1e-5)
        np.testing.assert_allclose(float(row['std']), loss.std(ddof=1), 1e-3)


def test_evaluate_gives_the_same_numbers_from_what_was_saved(finished):
  workdir, _ = finished
  done = run('evaluate', f'--workdir={workdir / "chain"}')
  assert done.returncode == 0, done.stderr
  with (workdir / 'table.csv').open() as file:
    rows = {
      (r['decision'], r['metric']): float(r['mean'])
      for r in csv.DictReader(file)
      if r['model'] == 'chain'
    }
  lines = [line.split() for line in done.stdout.splitlines()]
  found = {line[2]: line for line in lines if line[:2] == ['chain', 'exact']}
  assert f'{rows["hamming", "hamming_loss"]:.3f}' in ' '.join(found['hamming'])
  assert f'{rows["hamming", "nll"]:.3f}' in ' '.join(found['hamming'])


def test_given_labels_help_with_the_others(finished):
  workdir, _ = finished
  before = (workdir / 'chain' / 'predictions_test.npz').read_bytes()
  done = run('evaluate', f'--workdir={workdir / "chain"}', '--given=Class3')
  assert done.returncode == 0, done.stderr
  assert 'given Class3' in done.stdout and 'NLL' not in done.stdout
  assert (workdir / 'chain' / 'predictions_test.npz').read_bytes() == before
  from mlc import data

  test = data.load('yeast').split('test')
  with np.load(workdir / 'chain' / 'predictions_test_given.npz') as saved:
    third = list(saved['label_names']).index('Class3')
    for rule in ('hamming', 'subset', 'f1'):
      np.testing.assert_array_equal(saved[rule][0][:, third], test.y[:, third])
  done = run('evaluate', f'--workdir={workdir / "chain"}', '--given=Clas3=1')
  assert done.returncode == 1
  assert done.stderr.startswith("error: unknown label to be given 'Clas3'")


def test_the_decision_matrix_is_printed_and_drawn(tmp_path):
  done = run(
    'compare',
    '--config=configs/decision_matrix.py:independent_linear',
    f'--workdir={tmp_path / "run"}',
    '--config.seeds=1',
  )
  assert done.returncode == 0, done.stderr
  for name in ('md', 'tex', 'csv', 'png'):
    assert (tmp_path / 'run' / f'matrix.{name}').stat().st_size > 1000
  with (tmp_path / 'run' / 'matrix.csv').open() as file:
    rows = list(csv.DictReader(file))
  found = {(row['decision'], row['metric']) for row in rows}
  assert {('f1', 'example_f1'), ('one_error', 'lrap')} <= found
  assert ('one_error', 'hamming_loss') not in found
  folder = tmp_path / 'run' / 'independent_linear'
  assert (folder / 'reliability_test.png').read_bytes()[:4] == b'\x89PNG'
  assert 'the truth: ' in (folder / 'coherence_test.txt').read_text()


@pytest.mark.parametrize(
  'flag, message',
  [
    ('--config.data=yeats', "unknown data set 'yeats'; did you mean: yeast"),
    ('--config.seeds=0', '0 seeds'),
    ('--config.sedes=3', 'no config key \'sedes\' Did you mean "seeds"'),
    ('--config.chain.train.batch_size=5000', 'batch_size 5000 is larger'),
    ('--config.chain.model.name=chian', "unknown model 'chian'; did you mean"),
    ('--config.chain.model.order=0,0', "order '0,0' of 14 labels"),
    ('--config.chain.inference=exat', 'did you mean: exact'),
    ('--config.chain.train.parallel=pmpa', 'did you mean: pmap'),
    ('--config.chain.train.loss=focla', 'did you mean: focal'),
    ('--config.chain.train.loss=lsep', 'were given the true labels'),
    ('--config.chain.train.select=macro_f2', 'did you mean: macro_f1'),
    ('--config.chain.train.optimizer.name=adam', 'did you mean: adamw'),
    ("--config.chain.decisions=('sbset',)", "decision 'sbset'; did you mean"),
    ("--config.chain.metrics=('macro_f2',)", "metric 'macro_f2'; did you mean"),
    ('--config.chain.calibration=plat', 'did you mean: platt'),
    (
      '--config.chain.inference=sampled_marginals',
      'decision subset needs',
    ),
    ('--config.chain.inference=gibbs', 'take monte_carlo'),
    ('--config.view=matirx', "unknown view 'matirx'; did you mean: matrix"),
  ],
)
def test_bad_input_is_one_line_and_leaves_nothing(flag, message, tmp_path):
  done = compare(tmp_path / 'run', flag, models='chain')
  assert done.returncode == 1
  (line,) = done.stderr.strip().splitlines()
  assert line.startswith('error: ') and message in line
  assert done.stdout == ''
  assert not (tmp_path / 'run').exists()


def test_a_row_that_explodes_is_left_out_and_told(tmp_path):
  done = compare(
    tmp_path / 'run',
    '--config.seeds=2',
    '--config.epochs=2',
    '--config.chain.train.optimizer.lr=1e30',
  )
  assert done.returncode == 0, done.stderr
  assert 'chain, left out: the loss is not finite at step' in done.stdout
  with (tmp_path / 'run' / 'table.csv').open() as file:
    assert {row['model'] for row in csv.DictReader(file)} == {'powerset'}


def test_unknown_model_config_lists_the_nearest(tmp_path):
  done = compare(tmp_path / 'run', models='chian')
  assert done.returncode == 1
  assert done.stderr.strip() == (
    "error: unknown model config 'chian'; did you mean: chain, crf_chain,"
    ' tree_chain?'
  )


def test_what_training_does_not_look_at_may_change_later(finished, tmp_path):
  workdir = tmp_path / 'copy'
  shutil.copytree(finished[0], workdir)
  flags = '--config.seeds=2', '--config.epochs=2'
  other = (
    '--config.chain.inference=greedy',
    "--config.chain.metrics=('subset_accuracy','one_error')",
  )
  before = (workdir / 'table.csv').read_text()
  trained = (workdir / 'chain' / 'metrics.jsonl').read_bytes()
  done = compare(workdir, *flags, *other)
  assert done.returncode == 0, done.stderr
  assert 'chain is judged again: ' in done.stderr
  assert 'powerset: done before' in done.stderr
  with (workdir / 'table.csv').open() as file:
    rows = [row for row in csv.DictReader(file) if row['model'] == 'chain']
  assert {row['inference'] for row in rows} == {'greedy'}
  assert 'one_error' in {row['metric'] for row in rows}
  (subset,) = (
    float(row['mean'])
    for row in rows
    if (row['decision'], row['metric']) == ('subset', 'subset_accuracy')
  )
  test = data_lib.load('yeast').split('test')
  with np.load(workdir / 'chain' / 'predictions_test.npz') as saved:
    right = (saved['subset'] == test.y[None]).all(-1)
  np.testing.assert_allclose(subset, right.mean(), rtol=1e-5)
  assert (workdir / 'chain' / 'metrics.jsonl').read_bytes() == trained
  done = compare(workdir, *flags)
  assert done.returncode == 0, done.stderr
  seconds = re.compile('.*_seconds.*\n')
  after = (workdir / 'table.csv').read_text()
  assert seconds.sub('', after) == seconds.sub('', before)


TWO = """
from configs import compare


def get_config(calls):
  config = compare.whole()
  for name, call in zip('ab', calls.split('|')):
    row = compare.row('chain')
    row.name, row.inference = name, call
    compare.add(config, name, row)
  return config
"""


def test_rows_that_differ_in_inference_alone_are_trained_once(tmp_path):
  (tmp_path / 'two.py').write_text(TWO)

  def run(calls, workdir):
    done = subprocess.run(
      [
        *(sys.executable, '-m', 'experiments.compare'),
        f'--config={tmp_path / "two.py"}:{calls}',
        f'--workdir={workdir}',
        '--config.data=world/one_flip(num_labels=4, num_rows=200)',
        *('--config.epochs=3', '--config.seeds=2'),
      ],
      capture_output=True,
      text=True,
      check=False,
    )
    assert done.returncode == 0, done.stderr
    with (workdir / 'table.csv').open() as file:
      return done.stderr, list(csv.DictReader(file))

  both, alone = tmp_path / 'both', tmp_path / 'alone'
  told, rows = run('greedy|beam(width=4)', both)
  assert 'a: goes on' not in told and 'b: goes on after epoch 3' in told
  lines = [(both / name / 'metrics.jsonl').read_bytes() for name in 'ab']
  assert lines[0] == lines[1]
  # As if it had been trained by itself.
  _, expected = run('beam(width=4)', alone)
  found = {
    (row['decision'], row['metric']): row['mean']
    for row in rows
    if row['model'] == 'b' and not row['metric'].endswith('_seconds')
  }
  assert found == {
    (row['decision'], row['metric']): row['mean']
    for row in expected
    if not row['metric'].endswith('_seconds')
  }
  greedy = [row['inference'] for row in rows if row['model'] == 'a']
  assert set(greedy) == {'greedy'}


def test_a_folder_of_another_config_is_refused_and_overwritten(finished):
  workdir, _ = finished
  flags = ('--config.seeds=1', '--config.epochs=2')
  done = compare(workdir, *flags, models='powerset')
  assert done.returncode == 1
  assert 'is of another config: ' in done.stderr
  assert '--overwrite' in done.stderr
  before = (workdir / 'table.csv').read_text()
  done = compare(workdir, *flags, '--overwrite', models='powerset')
  assert done.returncode == 0, done.stderr
  assert (workdir / 'table.csv').read_text() != before
  assert not (workdir / 'chain').exists()


def test_a_set_that_mlc_data_lacks_is_named(tmp_path):
  done = compare(
    tmp_path / 'run', '--config.data=mulan/yeast',
    MLC_DATA=str(tmp_path), MLC_CACHE=str(tmp_path),
  )  # fmt: skip
  assert done.returncode == 1 and done.stderr.count('\n') == 1
  assert f'at {tmp_path}/mulan/yeast/yeast-train.arff' in done.stderr


def test_a_table_of_mixed_columns_trains_on_the_splits_of_a_file(tmp_path):
  rng = np.random.default_rng(0)
  words = rng.choice(['red', 'green', 'blue'], 60)
  size = rng.normal(size=60).astype(str)
  size[::7] = ''
  on = np.stack([words == 'red', rng.random(60) < 0.5], 1).astype(int)
  cells = np.column_stack([words, size, on])
  table = tmp_path / 'mixed.csv'
  table.write_text(
    'colour,size,is_red,coin\n' + '\n'.join(map(','.join, cells)) + '\n'
  )
  rows = np.arange(60)
  split_files.save(
    tmp_path / 'fold.npz',
    data_lib.load(table, labels='is_red,coin'),
    {'train': rows[20:], 'valid': rows[10:20], 'test': rows[:10]},
  )
  flags = (
    f'--config.data={table}',
    f'--config.splits={tmp_path}/fold.npz',
    '--config.seeds=1',
    '--config.labels=is_red,coin',
    '--config.epochs=3',
    '--config.independent.train.batch_size=16',
  )
  done = compare(tmp_path / 'run', *flags, models='independent')
  assert done.returncode == 0, done.stderr
  with np.load(tmp_path / 'run/independent/predictions_test.npz') as found:
    assert found['marginals'].shape == (1, 10, 2)
    assert np.isfinite(found['marginals']).all()
  again = run('evaluate', f'--workdir={tmp_path}/run/independent')
  assert again.returncode == 0, again.stderr
  wrong = compare(tmp_path / 'other', *flags[:2], models='independent')
  assert wrong.returncode == 1 and 'is_red' in wrong.stderr
