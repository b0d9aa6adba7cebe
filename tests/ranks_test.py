"""Mean ranks over data sets, what tells them apart, and best peers beside."""

import io
import itertools
import math
import re

import numpy as np
import pytest
from scipy import stats as scipy_stats

from configs import compare as compare_config
from experiments import compare as compare_main
from mlc import stats
from mlc.errors import InputError
from mlc.tables import ranks, study_view
from mlc.tables.report import Record

# Nemenyi's q at .05 for 2, 3, ... models: Demsar (JMLR 2006), Table 5(a).
Q = (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164)
SETS = ('a', 'b', 'c')


def test_ranks_share_ties():
  value_MxD = np.array([[0.3, 0.5], [0.1, 0.5], [0.2, 0.1]])
  np.testing.assert_array_equal(
    stats.ranks(value_MxD, lower=True), [[3, 2.5], [1, 2.5], [2, 1]]
  )
  np.testing.assert_array_equal(
    stats.ranks(value_MxD, lower=False), [[1, 1.5], [3, 1.5], [2, 3]]
  )


@pytest.mark.parametrize('num_models, q', list(enumerate(Q, 2))[1:])
def test_the_critical_difference_is_that_of_the_table(num_models, q):
  rng = np.random.default_rng(num_models)
  value_MxD = rng.random((num_models, 14))
  found = stats.friedman(value_MxD, lower=True)
  expected = q * math.sqrt(num_models * (num_models + 1) / (6 * 14))
  assert found.critical == pytest.approx(expected, rel=1e-3)
  # By the definition, without ties: 12 D / (M (M + 1)) sum (R - (M + 1) / 2)^2.
  rank_M = value_MxD.argsort(0).argsort(0).mean(1) + 1
  statistic = ((rank_M - (num_models + 1) / 2) ** 2).sum()
  statistic *= 12 * 14 / (num_models * (num_models + 1))
  p = scipy_stats.chi2.sf(statistic, num_models - 1)
  assert found.p == pytest.approx(p, rel=1e-6)


def test_cliques_are_the_longest_runs_within_the_difference():
  rng = np.random.default_rng(0)
  for critical in (0.5, 1.5, 4.0):
    rank_M = np.sort(rng.uniform(1, 8, 8))
    inside = [
      (i, j)
      for i, j in itertools.combinations(range(8), 2)
      if rank_M[j] - rank_M[i] < critical
    ]
    longest = [
      (i, j)
      for i, j in inside
      if not any(a <= i and j <= b and (a, b) != (i, j) for a, b in inside)
    ]
    assert stats.cliques(rank_M, critical) == longest


def records():
  """Model m has Hamming loss .1 (m + 1) by its rule, 0 by another's."""
  found = []
  for d, data in enumerate(SETS):
    for m in range(4):
      for rule, loss in (('hamming', 0.1 * (m + 1) + 0.01 * d), ('f1', 0.0)):
        key = data, f'model{m}', 'exact', rule
        found.append(Record(*key, 'hamming_loss', (loss, loss + 0.002)))
        found.append(Record(*key, 'example_f1', (1 - loss - 0.5 * (m == 3),)))
        found.append(Record(*key, 'train_seconds', (1.0,)))
  return found


def test_a_metric_is_judged_by_the_rule_made_for_it():
  view = ranks.build(records())
  cells = view.values['hamming_loss']['a']
  assert cells['model2'].values == (pytest.approx(0.3), pytest.approx(0.302))
  assert cells['model0'].best and not cells['model1'].best
  assert view.values['example_f1']['a']['model1'].values == (1.0,)
  rows = [r for r in records() if r.decision == 'hamming']
  assert ranks.build(rows).values['example_f1']['a']['model1'].values == (0.8,)


def test_mean_ranks_leave_out_a_model_that_is_not_on_all_sets():
  rows = [r for r in records() if (r.dataset, r.model) != ('b', 'model1')]
  view = ranks.build(rows)
  names, test = view.friedman('hamming_loss')
  assert names == ['model0', 'model2', 'model3']
  np.testing.assert_array_equal(test.rank_M, [1, 2, 3])
  first = view.grids()[0]
  assert [line.names for line in first.lines][0] == ('model0',)
  text = view.markdown()
  assert '| model1 ' in text and 'Friedman p = ' in text
  assert view.figure().axes[0].get_title(loc='left') == 'Hamming loss'
  file = io.StringIO()
  view.print(file)
  assert '*1.0' in file.getvalue()


def test_a_set_on_which_few_models_were_run_costs_no_ranks():
  few = ('model0', 'model1')
  rows = records()
  rows = [
    *(
      r._replace(dataset='d')
      for r in rows
      if (r.dataset, r.model) == ('a', few[0])
    ),
    *rows,
    *(
      r._replace(dataset='e')
      for r in rows
      if r.dataset == 'a' and r.model in few
    ),
  ]
  view = ranks.build(rows)
  # By hand: 4 models on 3 sets are 12 cells; 2 on 4 are 8, 1 on 5 is 5.
  names, sets = view.block('hamming_loss')
  assert (sorted(names), sets) == ([f'model{m}' for m in range(4)], [*SETS])
  text = view.markdown()
  assert 'over 4 models and 3 data sets (without d, e);' in text
  alone = ranks.build(records()).friedman('hamming_loss')[1]
  assert view.friedman('hamming_loss')[1].p == alone.p
  # Three more of two models: 2 on 6 tie with 4 on 3, and more sets win.
  more = [
    r._replace(dataset=f'f{n}')
    for r in rows
    for n in range(2)
    if r.dataset == 'e'
  ]
  names, sets = ranks.build([*rows, *more]).block('hamming_loss')
  assert (sorted(names), len(sets)) == ([*few], 6)


def test_peers_stand_beside_and_are_not_ranked(tmp_path):
  file = tmp_path / 'peers.csv'
  file.write_text(
    'dataset,metric,value,who\na,hamming_loss,0.05,lib\nb,hamming_loss,0.5,lib\n'
    'c,hamming_loss,0.5,lib\n'
    'z,hamming_loss,0.5,lib\na,macro_f1,0.5,lib\n'
  )
  view = ranks.build(records() + ranks.peers(file))
  assert ranks.PEER not in view.friedman('hamming_loss')[0]
  assert 'macro_f1' not in view.values
  notes = ' '.join(view.notes('in bold'))
  assert 'in 2 of 3 cells; not in a Hamming loss 0.101 (0.05).' in notes
  assert view.values['hamming_loss']['a']['model0'].best
  view.write(tmp_path)
  assert (tmp_path / 'ranks.png').stat().st_size > 10_000


def test_a_study_is_a_band_beside_that_is_no_peer(tmp_path):
  file = tmp_path / 'study.csv'
  file.write_text(
    'dataset,metric,LP,BR,Failed\na,hamming_loss,0.3,0.25,1\n'
    'small,hamming_loss,0.01,0.009,1\na,subset_accuracy,0.5,0.25,0\n'
    'z,hamming_loss,0.3,0.25,1\n'
  )
  ours = Record('small', 'one', 'exact', 'hamming', 'hamming_loss', (0.0123,))
  view = ranks.build([*records(), ours, *ranks.band(file)])
  cells = view.values['hamming_loss']['a']
  shown = [cells[name].text() for name in ranks.BAND]
  assert shown == ['0.250 (BR)', '0.300 (of 3)']
  # As it was published, whatever ours are printed with.
  small = view.values['hamming_loss']['small']
  assert small['one'].text() == '0.0123'
  assert small[ranks.BAND[0]].text() == '0.009 (BR)'
  assert 'z' not in view.values['hamming_loss']
  for metric in view.values:
    assert not {*ranks.BAND} & {*view.friedman(metric)[0]}
  (grid,) = (g for g in view.grids() if g.title.startswith('Hamming'))
  *_, best, median = grid.lines
  assert (best.names, best.texts[0]) == (ranks.BAND[:1], (shown[0], False))
  assert (best.gap, median.gap) == (True, False)
  assert 'best peer' not in ' '.join(view.notes('in bold'))


def test_small_losses_have_digits_enough_to_be_told_apart(tmp_path):
  file = tmp_path / 'peers.csv'
  file.write_text('dataset,metric,value,who\na,hamming_loss,0.01244,lib\n')
  found = [
    Record(data, model, 'exact', 'hamming', 'hamming_loss', (scale * loss,))
    for model, loss in (('one', 0.012460), ('two', 0.012524))
    for data, scale in (('a', 1), ('b', 10), ('c', 0.1))
  ]
  view = ranks.build(found + ranks.peers(file))
  shown = {
    data: [cell.text() for cell in cells.values()]
    for data, cells in view.values['hamming_loss'].items()
  }
  assert shown == {
    'a': ['0.0125', '0.0125', '0.0124 (lib)'],
    'b': ['0.125', '0.125'],
    'c': ['0.00125', '0.00125'],
  }
  assert 'in 0 of 1 cells; not in a Hamming loss 0.0125 (0.0124).' in ' '.join(
    view.notes('in bold')
  )


def test_a_comparison_is_a_section_of_the_results():
  text = study_view.compared(ranks.build(records()), 'Commit 1.', 'all.png')
  assert '![ranks](all.png)' in text and '\n#### Mean ranks\n' in text
  # Headings above are those of the file.
  assert not [line for line in text.splitlines() if re.match('#{1,3} ', line)]
  assert 'Commit 1.' in text.splitlines()[0]


def test_no_records_is_one_line():
  with pytest.raises(InputError, match='no records'):
    ranks.build([])


def test_a_row_is_run_on_every_data_set_that_is_named():
  config = compare_config.get_config('independent,chain')
  config.data = 'mulan/emotions, world/one_flip(num_labels=4, num_rows=90)'
  rows = compare_main.rows_of(config)
  worlds = 'world/one_flip(num_labels=4, num_rows=90)'
  assert list(rows) == [
    *('mulan/emotions/independent', 'mulan/emotions/chain'),
    *(f'{worlds}/independent', f'{worlds}/chain'),
  ]
  assert rows[f'{worlds}/chain'].data == worlds
  config.data = 'yeast'
  assert list(compare_main.rows_of(config)) == ['independent', 'chain']
