"""Regret curves against NumPy, t tables and the worlds themselves."""

import csv
import io

import matplotlib.colors
import numpy as np
import pytest

from configs import regret as regret_config
from mlc import calls
from mlc.data import load, synthetic
from mlc.errors import InputError
from mlc.tables import regret_plot, regret_view
from mlc.tables.report import Record

LOSSES = ('hamming', 'subset')
WORLDS = ('one_flip', 'shared_flip')
MODELS = ('linear', 'network')
ROWS = (250, 1000, 4000)
T3 = 4.302653  # t(.975) of 2 degrees of freedom, by the printed table.


def _records():
  """Three draws of the data, two training seeds each."""
  rng = np.random.default_rng(0)
  return [
    Record(
      f'world/{world}(num_labels=3, num_rows={round(rows / 0.6)})',
      *(model, 'exact', decision, f'regret_{loss}'),
      tuple(rng.uniform(0.5, 1.5, 2) * 2.0 * rows**-0.5),
    )
    for world in WORLDS
    for rows in ROWS
    for _ in range(3)
    for model in MODELS
    for decision in LOSSES
    for loss in LOSSES
  ]


RECORDS = _records()


def _cells(text):
  """Of each line of a Markdown table, its cells."""
  lines = [line for line in text.splitlines() if line.startswith('|')]
  return [[c.strip() for c in line.strip('|').split('|')] for line in lines]


def _of(world, loss, model, decision, rows):
  """The means over training seeds, one a draw."""
  name = f'world/{world}(num_labels=3, num_rows={round(rows / 0.6)})'
  key = name, model, 'exact', decision, f'regret_{loss}'
  return np.array([np.mean(r.values) for r in RECORDS if r[:5] == key])


@pytest.fixture(scope='module')
def built():
  return regret_view.build(RECORDS, ['a footnote'], 'the title')


def test_csv_is_mean_and_t_interval_over_draws_of_the_data(built):
  rows = list(csv.DictReader(io.StringIO(built.csv())))
  assert len(rows) == len(RECORDS) / 3
  for row in rows:
    world = row['world'].removesuffix('(num_labels=3)')
    rest = row['loss'], row['model'], row['decision'], int(row['train_rows'])
    draws = _of(world, *rest)
    assert row['draws'] == '3' and len(draws) == 3
    half = T3 * draws.std(ddof=1) / 3**0.5
    got = [float(row[name]) for name in ('mean', 'low', 'high')]
    expected = draws.mean() + np.array([0, -half, half])
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_the_values_of_a_single_record_are_draws_themselves():
  records = [r._replace(values=(0.1, 0.2, 0.4)) for r in RECORDS]
  once = {r[:5]: r for r in records}.values()
  for row in csv.DictReader(io.StringIO(regret_view.build(once).csv())):
    assert row['draws'] == '3'
    np.testing.assert_allclose(float(row['mean']), 0.7 / 3)
    half = T3 * np.std([0.1, 0.2, 0.4], ddof=1) / 3**0.5
    np.testing.assert_allclose(float(row['high']), 0.7 / 3 + half, rtol=1e-6)


@pytest.mark.parametrize('rows', [250, 1000, 4000])
def test_training_rows_are_those_that_the_world_is_cut_into(rows):
  name = f'world/one_flip(num_labels=3, num_rows={round(rows / 0.6)})'
  assert regret_view.world_and_rows(name) == ('one_flip(num_labels=3)', rows)
  assert len(load(name).splits['train']) == rows
  assert regret_view.world_and_rows('world/logic') == ('logic', 600)
  assert len(load('world/logic').splits['train']) == 600


def test_markdown_has_a_line_for_each_curve_the_least_in_bold(built):
  text = built.markdown()
  for world in WORLDS:
    for loss in LOSSES:
      title = {'hamming': 'Hamming', 'subset': 'subset'}[loss]
      part = text.split(f'## {world}(num_labels=3): regret, {title}\n')[1]
      lines = part.split('\n## ')[0].splitlines()
      lines = [x for x in lines if x.startswith('|')]
      head, _, *body = [
        [c.strip() for c in x.strip('|').split('|')] for x in lines
      ]
      assert head == [
        'model',
        'decision',
        'n=250',
        'n=1,000',
        'n=4,000',
        'slope',
      ]
      assert len(body) == 4
      for j, rows in enumerate(ROWS):
        means = []
        for model, decision, *cells in body:
          rule = decision.removesuffix(' (matched)')
          assert (rule != decision) == (rule == loss)
          draws = _of(world, loss, model, rule, rows)
          half = T3 * draws.std(ddof=1) / 3**0.5
          expected = f'{draws.mean():.4f} ± {half:.4f}'
          assert cells[j].strip('*') == expected
          means.append((draws.mean(), cells[j]))
        assert min(means)[1].startswith('**')
        assert sum(cell.startswith('**') for _, cell in means) == 1


def _points(values, rows=(100, 1000, 10_000)):
  return tuple(
    regret_view.Point(n, (value,))
    for n, value in zip(rows, values, strict=True)
  )


def test_slope_is_the_exponent_of_a_power_law_above_the_floor():
  n = np.array([100, 1000, 10_000])
  for power in (-1.0, -0.5, 0.0):
    found = regret_view.steepness(_points(3.0 * n**power))
    assert abs(found - power) < 1e-9
  # 1e-6 and what is not above 0 are rounding: they say nothing of the slope.
  for low in (1e-6, 0.0, -1e-7):
    assert abs(regret_view.steepness(_points((1, 0.1, low))) + 1) < 1e-9
    assert np.isnan(regret_view.steepness(_points((1, low, low))))


def _panels(figure):
  """(world, loss) -> axes, in the order of the grid."""
  keys = [(world, loss) for world in WORLDS for loss in LOSSES]
  return dict(zip(keys, figure.axes, strict=True))


def test_figure_puts_every_mean_and_band_where_numpy_does(built):
  for (world, loss), axes in _panels(regret_plot.figure(built)).items():
    assert axes.get_xscale() == axes.get_yscale() == 'log'
    lines = [line for line in axes.lines if len(line.get_xdata()) > 1]
    got = sorted(tuple(line.get_ydata()) for line in lines)
    expected = sorted(
      tuple(_of(world, loss, model, rule, rows).mean() for rows in ROWS)
      for model in MODELS
      for rule in LOSSES
    )
    np.testing.assert_allclose(got, expected)
    for line in lines:
      np.testing.assert_allclose(line.get_xdata(), ROWS, rtol=0.06)
    # Full lines and intervals: the matched decision of each model.
    full = [tuple(x.get_ydata()) for x in lines if x.get_linestyle() == '-']
    matched = [
      tuple(_of(world, loss, model, loss, rows).mean() for rows in ROWS)
      for model in MODELS
    ]
    np.testing.assert_allclose(sorted(full), sorted(matched))
    bars = [path for c in axes.collections for path in c.get_paths()]
    got = sorted(tuple(bar.vertices[:, 1]) for bar in bars)
    floor, expected = axes.get_ylim()[0], []
    for model in MODELS:
      for rows in ROWS:
        draws = _of(world, loss, model, loss, rows)
        half = T3 * draws.std(ddof=1) / 3**0.5
        low, high = draws.mean() + np.array([-half, half])
        expected.append((max(low, floor), high))
    np.testing.assert_allclose(got, sorted(expected), rtol=1e-5)


def test_no_regret_is_a_hollow_mark_on_the_floor_that_says_so():
  values = {250: 0.1, 1000: 0.0, 4000: -1e-7}
  records = [
    Record(
      f'world/one_flip(num_rows={round(n / 0.6)})',
      *('linear', 'exact', 'hamming', 'regret_hamming'),
      (value,),
    )
    for n, value in values.items()
  ]
  made = regret_view.build(records)
  axes = regret_plot.figure(made).axes[0]
  marks = {
    round(line.get_xdata()[0]): (float(line.get_ydata()[0]), line)
    for line in axes.lines
    if len(line.get_xdata()) == 1
  }
  hollow = {
    n: matplotlib.colors.to_hex(line.get_markerfacecolor()) == '#ffffff'
    for n, (_, line) in marks.items()
  }
  assert hollow == {250: False, 1000: True, 4000: True}
  assert marks[1000][0] == marks[4000][0] == axes.get_ylim()[0] == 1e-5
  assert axes.yaxis.get_major_formatter()(1e-5, 0) == '≤ 1e-05'
  assert axes.yaxis.get_major_formatter()(1e-4, 0) == '0.0001'
  line = made.markdown().splitlines()[4]
  assert line.count('**0.0000**') == 2 and '-0.0000' not in line
  assert made.png()[:4] == b'\x89PNG'


@pytest.mark.parametrize('width', [60, 100, 200])
def test_terminal_of_any_width_cuts_nothing(built, width):
  file = io.StringIO()
  built.print(file, width=width)
  text = file.getvalue()
  assert max(map(len, text.splitlines())) <= width and '…' not in text
  for record in RECORDS:
    world = record.dataset.removeprefix('world/').partition('(')[0]
    loss = record.metric.removeprefix('regret_')
    rows = round(0.6 * int(record.dataset.partition('rows=')[2].strip(')')))
    draws = _of(world, loss, record.model, record.decision, rows)
    assert f'{draws.mean():.4f}' in text


@pytest.mark.parametrize(
  'records, message',
  [
    ([], 'no regret to show'),
    ([RECORDS[0]._replace(metric='hamming_loss')], 'regret_subset'),
    (
      [RECORDS[0]._replace(dataset='yeast')],
      'yeast: regret is known in',
    ),
  ],
)
def test_bad_records_are_refused_in_one_line(records, message):
  with pytest.raises(InputError, match=message) as caught:
    regret_view.build(records)
  assert '\n' not in str(caught.value)


def test_write_makes_four_files(tmp_path):
  regret_view.write(RECORDS, tmp_path)
  names = {path.name for path in tmp_path.iterdir()}
  assert names == {f'regret.{s}' for s in ('md', 'tex', 'csv', 'png')}


def test_config_has_a_row_for_each_world_size_draw_and_model():
  for size, train_rows in (
    ('small', (250, 1000, 4000)),
    ('full', (250, 1000, 4000, 16000)),
  ):
    config = regret_config.get_config(size)
    config.epochs = 7
    assert config.view == 'regret'
    seen = set()
    for name in config.models:
      row = config[name]
      world, rows = regret_view.world_and_rows(row.data)
      seen.add((world, rows, row.data_seed, row.name))
      assert name.startswith(world.partition('(')[0]) and f'/n{rows}/' in name
      assert name.endswith(row.name)
      kind, options = calls.parse(row.data.removeprefix('world/'), 'world')
      del options['num_rows']
      assert synthetic.worlds()[kind](**options).num_labels == 5
      assert not row.standardise
      assert row.train.epochs == (7 if row.train.batch_size else 1)
      assert row.metrics == ('regret_hamming', 'regret_subset', 'regret_f1')
      assert row.decisions == ('hamming', 'subset', 'f1')
    assert len(seen) == len(config.models) == 4 * len(train_rows) * 5 * 4
  with pytest.raises(InputError, match='did you mean: full'):
    regret_config.get_config('ful')
