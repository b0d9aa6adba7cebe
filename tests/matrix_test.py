"""The decision matrix against NumPy and a list of targets written by hand."""

import csv
import io
import math
import re

import numpy as np
import pytest

from configs import decision_matrix
from mlc.decisions import targets
from mlc.errors import InputError
from mlc.stats import about
from mlc.tables import heat_map, matrix
from mlc.tables.report import Record

# Decision -> its metric, lower is better, title in print.
OWN = {
  'hamming': ('hamming_loss', True, 'Hamming loss ↓'),
  'subset': ('subset_accuracy', False, 'subset accuracy ↑'),
  'recall': ('example_recall', False, 'example recall ↑'),
  'scut': ('macro_f1', False, 'macro F1 ↑'),
  'ranking_loss': ('ranking_loss', True, 'ranking loss ↓'),
  'lrap': ('lrap', False, 'LRAP ↑'),
}
RANKINGS = ('ranking_loss', 'lrap')
MODELS = ('chain', 'powerset')


def _records():
  """Metrics in another order than the decisions, and with NLL and seconds."""
  rng = np.random.default_rng(0)
  records = []
  for model in MODELS:
    for decision in OWN:
      for own in reversed(OWN):
        if (own in RANKINGS) == (decision in RANKINGS) or own == 'lrap':
          values = tuple(rng.uniform(0.1, 0.9, 3))
          key = 'emotions', model, 'exact', decision, OWN[own][0]
          records.append(Record(*key, values))
      for metric in ('nll', 'decode_seconds', 'train_seconds'):
        records.append(
          Record('emotions', model, 'exact', decision, metric, (1.0,))
        )
  return records


RECORDS = _records()


def _cells(text):
  """Of each line of a Markdown table, its cells."""
  lines = [line for line in text.splitlines() if line.startswith('|')]
  return [[c.strip() for c in line.strip('|').split('|')] for line in lines]


def _kept():
  """(model, decision, metric) -> values, less what is no choice's doing."""
  return {
    (r.model, r.decision, r.metric): r.values
    for r in RECORDS
    if r.metric not in ('nll', 'decode_seconds', 'train_seconds')
    # The ranking that comes with a label set is not the decision's.
    and not (r.metric == 'lrap' and r.decision not in RANKINGS)
  }


def _best(model, metric):
  """Means, to three digits, of the decisions; the best of them."""
  means = {
    d: round(float(np.mean(values)), 3)
    for (m, d, k), values in _kept().items()
    if (m, k) == (model, metric)
  }
  lower = next(low for name, low, _ in OWN.values() if name == metric)
  return (min if lower else max)(means.values()), means


@pytest.fixture(scope='module')
def built():
  return matrix.build(RECORDS, ['a footnote'], 'the title')


def test_csv_holds_what_a_decision_changes_at_full_precision(built):
  rows = list(csv.DictReader(io.StringIO(built.csv())))
  kept = _kept()
  assert len(rows) == len(kept)
  for row in rows:
    values = kept[row['model'], row['decision'], row['metric']]
    assert np.isclose(float(row['mean']), np.mean(values), rtol=1e-14)
    assert np.isclose(float(row['std']), np.std(values, ddof=1), rtol=1e-13)
    assert row['seeds'] == '3' and row['dataset'] == 'emotions'
    own = OWN[row['decision']][0] == row['metric']
    assert row['own'] == ('yes' if own else 'no')
    best, means = _best(row['model'], row['metric'])
    assert row['best'] == ('yes' if means[row['decision']] == best else 'no')


def test_markdown_marks_own_metric_and_best_and_dashes_the_rest(built):
  text = built.markdown()
  for model in MODELS:
    lines = text.split(f'## {model}\n')[1].split('\n- ')[0].split('\n## ')[0]
    lines = [x for x in lines.splitlines() if x.startswith('|')]
    head, _, *body = [
      [c.strip() for c in x.strip('|').split('|')] for x in lines
    ]
    assert head == ['decision', *(title for _, _, title in OWN.values())]
    assert [line[0] for line in body] == list(OWN)
    for decision, *cells in body:
      for (metric, _, _), cell in zip(OWN.values(), cells, strict=True):
        values = _kept().get((model, decision, metric))
        if values is None:
          assert cell == '–'
          continue
        expected = f'{np.mean(values):.3f}'
        if OWN[decision][0] == metric:
          expected = f'[{expected}]'
        best, means = _best(model, metric)
        if means[decision] == best:
          expected = f'**{expected}**'
        assert cell == expected


def test_notes_name_degenerate_plug_in_and_heuristic_rules(built):
  text = '\n'.join(built.notes('in bold'))
  assert re.search(r'^recall: degenerate.*recall by all labels', text, re.M)
  assert re.search(r'^scut: plug-in', text, re.M)
  assert re.search(r'^lrap: a heuristic', text, re.M)
  assert text.endswith('a footnote')
  stds = [np.std(values, ddof=1) for values in _kept().values()]
  assert f'over 3 seeds; standard deviations, at most {max(stds):.3f}' in text
  for model in MODELS:
    wins = 0
    for decision, (metric, _, _) in OWN.items():
      best, means = _best(model, metric)
      wins += means[decision] == best
    assert f'{model}: {wins} of {len(OWN)} decisions are the best' in text
  same = [r._replace(values=(0.5,) * 3) for r in RECORDS]
  assert 'the same over 3 seeds.' in matrix.build(same).notes('')
  few = matrix.build(r for r in RECORDS if r.decision == 'subset')
  assert not re.search('degenerate|plug-in|heuristic', few.markdown())


def test_latex_is_a_float_for_each_model(built):
  text = built.latex()
  assert text.count(r'\begin{table}') == text.count(r'\end{table}') == 2
  for model in MODELS:
    assert rf'\caption{{the title: {model}}}' in text
  assert text.count('a footnote') == 1
  outside = [line for line in text.splitlines() if line.startswith('hamming')]
  assert all('{[}0.' in line for line in outside)


@pytest.mark.parametrize('width', [50, 90, 200])
def test_terminal_of_any_width_cuts_nothing(built, width):
  file = io.StringIO()
  built.print(file, width=width)
  lines = file.getvalue().splitlines()
  assert max(map(len, lines)) <= width
  assert '…' not in file.getvalue()
  for (_, decision, metric), values in _kept().items():
    text = f'{np.mean(values):.3f}'
    text = f'[{text}]' if OWN[decision][0] == metric else text
    assert any(
      line.split()[:1] == [decision] and text in line for line in lines
    )
  # In a part of the columns, no line of dashes alone.
  assert not any(re.fullmatch(r' *\w+( +–)+ *', line) for line in lines)


def _drawn(figure):
  """Of each panel: texts by (row, column), colours, outlined places."""
  found = []
  for axes in figure.axes[: len(MODELS)]:
    texts = {
      (round(t.get_position()[1]), round(t.get_position()[0])): t
      for t in axes.texts
      if t.get_position()[1] >= 0
    }
    colors = np.asarray(axes.images[0].get_array())
    boxes = {
      (round(p.get_y() + 0.45), round(p.get_x() + 0.46)) for p in axes.patches
    }
    found.append((axes, texts, colors, boxes))
  return found


def test_heat_map_shows_every_mean_and_outlines_own_metrics(built):
  for model, (axes, texts, _, boxes) in zip(
    MODELS, _drawn(heat_map.figure(built)), strict=True
  ):
    titles = [f'{t.get_text()}' for t in axes.get_xticklabels()]
    assert titles == [title[:-2] for _, _, title in OWN.values()]
    arrows = [t.get_text() for t in axes.texts if t.get_position()[1] < 0]
    assert arrows == [title[-1] for _, _, title in OWN.values()]
    for i, decision in enumerate(OWN):
      for j, (metric, _, _) in enumerate(OWN.values()):
        values = _kept().get((model, decision, metric))
        text = texts[i, j]
        shown = '–' if values is None else f'{np.mean(values):.3f}'
        assert text.get_text() == shown
        if values is not None:
          best, means = _best(model, metric)
          bold = text.get_fontweight() == 'bold'
          assert bold == (means[decision] == best)
    assert boxes == {(i, i) for i in range(len(OWN))}
    for j, (metric, _, _) in enumerate(OWN.values()):
      means = [np.mean(v) for (m, _, k), v in _kept().items()
               if (m, k) == (model, metric)]  # fmt: skip
      worst = float(texts[len(OWN), j].get_text())
      assert math.isclose(worst, np.ptp(means), abs_tol=6e-4)


def test_heat_map_is_the_darker_the_worse_in_each_column(built):
  for model, (_, _, colors, _) in zip(
    MODELS, _drawn(heat_map.figure(built)), strict=True
  ):
    for j, (metric, lower, _) in enumerate(OWN.values()):
      there = [
        (i, float(np.mean(_kept()[model, decision, metric])))
        for i, decision in enumerate(OWN)
        if (model, decision, metric) in _kept()
      ]
      there.sort(key=lambda pair: pair[1] if lower else -pair[1])
      light = [float(colors[i, j, :3].sum()) for i, _ in there]
      assert light[0] == 3.0  # White: the best.
      assert all(a > b for a, b in zip(light, light[1:], strict=False))
      assert light[-1] < 1.0


def test_constant_infinite_and_single_cells_are_drawn():
  key = 'emotions', 'chain', 'exact'
  made = matrix.build(
    Record(*key, decision, metric, (value,))
    for decision in ('hamming', 'subset')
    for metric, value in (('hamming_loss', 0.5), ('subset_accuracy', math.inf))
  )
  assert made.png()[:4] == b'\x89PNG'
  assert '**[0.500]**' in made.markdown()
  assert 'seeds' not in made.markdown()


def test_data_sets_and_inference_are_named_where_there_are_several():
  records = [
    Record(data, 'chain', inference, 'hamming', 'hamming_loss', (0.5,), '', ok)
    for data, ok in (('emotions', True), ('yeast', False))
    for inference in ('exact', 'beam(width=4)')
  ]
  titles = [panel.title for panel in matrix.build(records).panels]
  assert titles == [
    'emotions, chain, exact',
    'emotions, chain, beam(width=4)',
    'yeast, chain, exact, scores, not probabilities',
    'yeast, chain, beam(width=4), scores, not probabilities',
  ]


def test_write_makes_four_files(tmp_path):
  matrix.write(RECORDS, tmp_path)
  names = {path.name for path in tmp_path.iterdir()}
  assert names == {f'matrix.{s}' for s in ('md', 'tex', 'csv', 'png')}


@pytest.mark.parametrize(
  'records, message',
  [
    ([], 'no metric of a decision'),
    ([r for r in RECORDS if r.metric == 'nll'], 'config.metrics'),
    ([RECORDS[0], RECORDS[0]], 'twice'),
    ([RECORDS[0]._replace(metric='lrab')], 'did you mean: lrap'),
  ],
)
def test_bad_records_are_refused_in_one_line(records, message):
  with pytest.raises(InputError, match=message) as caught:
    matrix.build(records)
  assert '\n' not in str(caught.value)


def test_targets_are_metrics_there_are_and_follow_options():
  for decision, (metric, _, _) in OWN.items():
    assert targets.target(decision) == metric
  assert targets.target('fbeta(beta=2.0)') == 'example_fbeta(beta=2.0)'
  assert targets.target('fbeta') == 'example_fbeta(beta=1.0)'
  assert targets.target('scut(least=5)') == 'macro_f1'
  assert targets.target('rank') is None
  for name in (*targets.TARGETS, 'fbeta(beta=0.5)'):
    about(targets.target(name) or '')


def test_config_gives_every_row_all_decisions_and_their_metrics():
  config = decision_matrix.get_config('chain,powerset')
  config.decisions = config.decisions[:3]
  config.data = 'mulan/emotions'
  assert config.view == 'matrix' and config.models == ('chain', 'powerset')
  for name in config.models:
    assert config[name].decisions == ('hamming', 'subset', 'f1')
    assert config[name].data == 'mulan/emotions'
    assert len(config[name].metrics) == len(decision_matrix.DECISIONS)
    assert None not in config[name].metrics
