"""The command of a study computes what is missing and says what it missed."""

import json

from absl import flags
from absl.testing import flagsaver
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler

from experiments import reproduce, studies
from experiments.studies import dacaf2026, dembczynski2012
from mlc import data as data_lib
from mlc.errors import InputError
from mlc.tables import study

TOY = '''"""A toy table."""
from mlc.tables import study

RUNS = []
VALUE = {'a': 1.0, 'b': 2.0}

def values(dataset, download, say):
  say('working')
  RUNS.append(dataset)
  return study.Ours({('m', 'F1'): (VALUE[dataset],)}, 0.5)

STUDY = study.Study(
  datasets={'a': {'seeds': 1}, 'b': {'seeds': 1}},
  values=values,
  cell=lambda r: study.Cell(r['dataset'], r['method'], r['metric']),
  tolerance=lambda row: 0.1,
  guesses={},
)
'''


@pytest.fixture
def toy(tmp_path, monkeypatch):
  """The module of a study that is found by its file."""
  folder = tmp_path / 'studies'
  folder.mkdir()
  (folder / 'toy_study.py').write_text(TOY)
  rows = [','.join(study.COLUMNS)]
  for dataset in 'ab':
    row = {'dataset': dataset, 'method': 'm', 'metric': 'F1', 'value': '1'}
    row |= {'table': 'T', 'comparable': 'yes'}
    rows.append(','.join(row.get(column, '') for column in study.COLUMNS))
  (tmp_path / 'toy_study.csv').write_text('\n'.join(rows) + '\n')
  monkeypatch.setattr(studies, '__path__', [*studies.__path__, str(folder)])
  monkeypatch.setattr(studies, 'PUBLISHED', tmp_path)
  module, _ = studies.load('toy_study')
  module.RUNS.clear()
  module.VALUE.update(a=1.0, b=2.0)
  return module


@pytest.fixture
def command(tmp_path):
  """Runs the command's `main` with flags."""
  if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()
  paths = {'workdir': str(tmp_path / 'w'), 'results': str(tmp_path / 'R.md')}

  def run(name='toy_study', **options):
    with flagsaver.flagsaver(study=name, **(paths | options)):
      reproduce.main([])
    return (tmp_path / 'R.md').read_text()

  return run


def test_only_what_is_missing_is_computed(toy, command, tmp_path):
  text = command(only='b')
  assert '### b' in text and '### a' not in text
  text = command()
  assert toy.RUNS == ['b', 'a']
  assert text.index('### a') < text.index('### b')
  command()
  assert toy.RUNS == ['b', 'a']
  for suffix in ('md', 'csv', 'tex'):
    assert 'F1' in (tmp_path / f'w/toy_study/table.{suffix}').read_text()


def test_other_settings_are_computed_again(toy, command, monkeypatch):
  command(only='a')
  monkeypatch.setitem(toy.STUDY.datasets, 'a', {'seeds': 2})
  command(only='a')
  assert toy.RUNS == ['a', 'a']


def test_the_other_data_sets_rows_are_left_as_they_are(toy, command):
  before = command().split('### b')[1]
  toy.VALUE['b'] = 3.0
  assert command(only='a').split('### b')[1] == before


def test_results_say_by_what_they_were_made(toy, command, tmp_path):
  del toy
  text = command()
  kept = json.loads((tmp_path / 'w/toy_study/a.json').read_text())
  commit = kept['about']['commit'] or 'unknown'  # Of a copy without git.
  assert f'Commit {commit[:7]}' in text
  assert f'jax {kept["about"]["versions"]["jax"]}' in text
  assert kept['about']['time'][:10] in text
  assert 'A toy table.' in text
  assert kept['compile_seconds'] == 0.5


def test_check_fails_by_a_target_missed_for_no_stated_reason(
  toy, command, capsys
):
  command(only='a', check=True)
  with pytest.raises(SystemExit) as caught:
    command(check=True)
  assert caught.value.code == 1
  assert '1 of 2 targets hit, 1 missed' in capsys.readouterr().out
  guess = {('b', 'm', 'F1'): 'their rounding'}
  object.__setattr__(toy.STUDY, 'guesses', guess)
  assert '[1] their rounding.' in command(check=True)


def test_names_that_are_not_there_get_the_nearest(toy, command):
  del toy
  with pytest.raises(InputError, match='did you mean: dacaf2026'):
    command('dacaf2062')
  with pytest.raises(InputError, match="data set of toy_study 'c'"):
    command(only='c')


def test_a_damaged_result_is_named(toy, command, tmp_path):
  del toy
  command(only='a')
  (tmp_path / 'w/toy_study/a.json').write_text('{"digest"')
  with pytest.raises(InputError, match=r'a\.json cannot be read: remove it'):
    command(only='a')


@pytest.mark.parametrize('name', studies.names())
def test_every_published_number_belongs_to_a_data_set_of_its_study(name):
  module, published = studies.load(name)
  assert module.__doc__ and f'--study={name}' in module.__doc__
  assert {row.cell.dataset for row in published} == set(module.STUDY.datasets)
  assert set(module.STUDY.guesses) <= {row.cell for row in published}
  assert any(row.kind == study.TARGET for row in published)
  for row in published:
    assert module.STUDY.tolerance(row) >= 0
  json.dumps(module.STUDY.datasets, allow_nan=False)


def test_the_folds_of_dacaf2026_are_scikit_learns(mlc_data, monkeypatch):
  del mlc_data
  settings = dacaf2026.SETTINGS | {'seeds': [3], 'folds': 4}
  monkeypatch.setattr(dacaf2026, 'SETTINGS', settings)
  monkeypatch.setattr(dacaf2026, 'CONFIGS', {'BR': dacaf2026.CONFIGS['BR']})
  rules = {'hamming': ('hamming_loss', 'macro_f1'), 'npv': ('example_npv',)}
  monkeypatch.setattr(dacaf2026, 'RULES', rules)
  ours = dacaf2026.values('emotions', False, lambda _: None).values
  data = data_lib.load('mulan/emotions')
  x = data.features.dense_NxD.astype(float)
  y = data.labels.y_NxL.toarray().astype(int)
  accuracy, macro = [], []
  for train, test in KFold(4, shuffle=True, random_state=3).split(x):
    scaler = StandardScaler().fit(x[train])
    heads = [
      LogisticRegression(solver='newton-cholesky', tol=1e-10).fit(
        scaler.transform(x[train]), y[train, label]
      )
      for label in range(6)
    ]
    found = np.stack([h.predict(scaler.transform(x[test])) for h in heads], 1)
    accuracy.append((found == y[test]).mean())
    macro.append(f1_score(y[test], found, average='macro', zero_division=0))
  one = np.mean(accuracy) * 100, np.mean(macro) * 100
  assert ours['BR hamming', 'Hamming accuracy'] == pytest.approx([one[0]])
  assert ours['BR hamming', 'macro F1'] == pytest.approx([one[1]])
  assert ours['BR npv', 'NPV'] == [100]


def test_dacaf2026_prints_every_measure_so_that_more_is_better():
  assert dacaf2026._percent('hamming_loss', 0.25, 6) == 75
  assert dacaf2026._percent('coverage', 2.0, 6) == pytest.approx(60)
  assert dacaf2026._percent('lrap', 0.25, 6) == 25


def published(method, metric, std=None, world='one_flip'):
  cell = study.Cell(world, method, metric)
  return study.Published(cell, 'T', 0.0, std, 'yes')


def test_the_bound_on_regret_shrinks_as_the_root_of_the_rows():
  bound = dembczynski2012.tolerance
  few = bound(published('BR, n = 500', 'Hamming regret'))
  # .4 sqrt(2 / 500), and a hundred times the rows.
  assert few == pytest.approx(0.0252982)
  many = bound(published('BR, n = 50000', 'Hamming regret'))
  assert many == pytest.approx(few / 10)
  subset = bound(published('BR, n = 500', 'subset regret'))
  assert subset == pytest.approx(6 * few)
  # Twelve features in Sect. 7.2.
  world = 'marginal_independence'
  wide = published('BR, n = 500', 'Hamming regret', world=world)
  assert bound(wide) == pytest.approx(few * 6**0.5)
  assert bound(published('BR', 'Hamming loss', 0.01)) == pytest.approx(0.03)
  assert bound(published('BR', 'Hamming loss', 0.001)) == 0.01
  assert bound(published('Bayes optimum', 'Hamming loss')) == 1e-5


def test_dembczynski2012_measures_losses_and_regrets(monkeypatch):
  sizes = {'sizes': [300], 'compared': 300, 'seeds': [0, 1], 'test_rows': 2000}
  settings = dembczynski2012.SETTINGS | sizes
  monkeypatch.setattr(dembczynski2012, 'SETTINGS', settings)
  only = {'BR': dembczynski2012.METHODS['BR']}
  monkeypatch.setattr(dembczynski2012, 'METHODS', only)
  ours = dembczynski2012.values('shared_flip', False, lambda _: None).values
  assert ours['Bayes optimum', 'Hamming loss'] == pytest.approx([0.1] * 2)
  assert ours['Bayes optimum', 'subset loss'] == pytest.approx([0.1] * 2)
  clean = np.array(ours['Clean', 'Hamming loss'])
  assert (abs(clean - 0.1) < 4 * (0.09 / 2000) ** 0.5).all()
  # All labels flip together, so the clean set is wrong in all or in none.
  assert ours['Clean', 'subset loss'] == pytest.approx(list(clean))
  for loss in ('Hamming', 'subset'):
    regret = np.array(ours['BR, n = 300', f'{loss} regret'])
    drawn = np.array(ours['BR', f'{loss} loss'])
    assert (regret > 0).all()
    # What the labels drawn show is regret over what they cost the clean set.
    spread = 4 * (0.25 / 2000) ** 0.5
    assert (abs(drawn - clean - regret) < spread).all()


def test_train_and_test_rows_of_a_world_are_other_draws_of_one():
  kind, options = dembczynski2012.WORLDS['one_flip']
  world = kind(num_labels=6, seed=4, **options)
  data = dembczynski2012.drawn(world, 50, 4)
  train, test = data.split('train'), data.split('test')
  assert len(train.y) == 50 and len(test.y) == 10000
  for rows in (train, test):
    assert ((rows.y != world.clean(rows.x)).sum(1) == 1).all()
  # Radii are drawn first: one seed for both would show in these.
  radius = [np.linalg.norm(rows.x[:50], axis=1) for rows in (train, test)]
  assert (abs(radius[0] - radius[1]) > 1e-4).mean() > 0.9


def test_all_commits_that_went_on_are_told():
  versions = dict.fromkeys(('jax', 'flax', 'numpy'), '1')
  first, later = (
    {'commit': letter * 40, 'dirty': letter == 'b', 'versions': versions}
    for letter in 'ab'
  )
  first |= {'time': '2026-01-02T03:04', 'continued': [first, later, later]}
  text = studies.code_of(first)
  assert text.startswith('Commit aaaaaaa, then bbbbbbb with changes, jax 1')
