import csv
import io
import math
import re
import tempfile
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np

from mlc import run_folder, stats
from mlc.errors import InputError
from mlc.tables import plots, report

RULES = ('hamming', 'subset', 'f1', 'threshold')
MODELS = ('independent', 'chain_50%', 'powerset')
LOWER = ('hamming_loss', 'nll', 'train_seconds', 'decode_seconds')
DIGITS = {'train_seconds': 1}
TITLES = {
  'hamming_loss': 'Hamming loss ↓',
  'subset_accuracy': 'subset accuracy ↑',
  'lrap': 'LRAP ↑',
  'nll': 'NLL ↓',
  'train_seconds': 'train s ↓',
  'decode_seconds': 'decode s ↓',
}
METRICS = tuple(TITLES)
NOTES = ['LRAP ranks by marginals & is a heuristic.', 'train s: 5 seeds.']


def synthetic(datasets=('yeast',), models=MODELS, seeds=5):
  rng = np.random.default_rng(0)
  records = []
  for dataset in datasets:
    for model in models:
      for rule in RULES:
        for metric in METRICS:
          values = rng.uniform(0.1, 0.9, 1 if 'seconds' in metric else seeds)
          note = ''
          if (model, metric) == ('powerset', 'nll'):
            values, note = [math.inf] * seeds, '37.4 rows'
          key = (dataset, model, 'exact', rule, metric)
          records.append(report.Record(*key, tuple(values), note))
  return records


def printed(record):
  """(mean, std) of a record as text, by numpy's own rounding."""
  values, digits = np.array(record.values), DIGITS.get(record.metric, 3)
  mean = f'%.{digits}f' % np.mean(values)
  one = len(values) == 1 or not np.isfinite(values).all()
  return mean, None if one else f'%.{digits}f' % np.std(values, ddof=1)


def winners(records):
  """The records that tie for the best printed mean of their column."""
  best = set()
  for dataset in {r.dataset for r in records}:
    for metric in METRICS:
      rivals = [r for r in records if r.dataset == dataset]
      rivals = [r for r in rivals if r.metric == metric]
      means = np.array([float(printed(r)[0]) for r in rivals])
      means[~np.isfinite(means)] = np.nan
      i = (np.nanargmin if metric in LOWER else np.nanargmax)(means)
      best |= {r[:5] for r, m in zip(rivals, means, strict=True)
               if m == means[i]}  # fmt: skip
  return best


def markdown_cells(text):
  """{(model, inference, decision, title): cell} of a Markdown table."""
  lines = [line for line in text.splitlines() if line.startswith('|')]
  split = [[c.strip() for c in line.strip('|').split(' | ')] for line in lines]
  head, rule, *body = split
  assert all(set(c) <= set('-:') for c in rule), rule
  return {
    (*line[:3], title): cell
    for line in body
    for title, cell in zip(head[3:], line[3:], strict=True)
  }


class StatsTest(parameterized.TestCase):
  def test_interval_covers_the_mean_as_often_as_its_level(self):
    rng = np.random.default_rng(1)
    draws = rng.normal(3.0, 2.0, (4000, 5))
    for level in (0.5, 0.95):
      ends = np.array([stats.confidence_interval(d, level) for d in draws])
      covered = np.mean((ends[:, 0] < 3.0) & (ends[:, 1] > 3.0))
      self.assertAlmostEqual(covered, level, delta=0.025)

  def test_interval_of_five_values_is_that_of_the_printed_t_table(self):
    low, high = stats.confidence_interval((1.0, 2.0, 3.0, 4.0, 5.0))
    half = 2.776 * 1.5811388 / 5**0.5  # t(.975, 4) = 2.776
    np.testing.assert_allclose((low, high), (3 - half, 3 + half), atol=1e-3)

  @parameterized.parameters(
    ((2.0,), 2.0),
    ((1.0, math.inf), math.inf),
    ((math.inf, math.inf), math.inf),
    ((1.0, math.nan), math.nan),
    ((math.inf, -math.inf), math.nan),
  )
  def test_no_spread_where_it_has_no_meaning(self, values, expected):
    with np.errstate(all='raise'):
      mean, std = stats.mean_std(values)
    np.testing.assert_equal(mean, expected)
    self.assertTrue(math.isnan(std))
    self.assertTrue(np.isnan(stats.confidence_interval(values)).all())


class ReportTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.workdir = self.enterContext(tempfile.TemporaryDirectory())
    self.records = synthetic()

  def read(self, name):
    with open(f'{self.workdir}/{name}', encoding='utf-8') as file:
      return file.read()

  def test_csv_holds_numpy_means_at_full_precision(self):
    report.write(self.records, self.workdir, NOTES, 'title')
    text = self.read('table.csv')
    head = 'dataset,model,inference,decision,metric,mean,std,seeds'
    self.assertEqual(text.splitlines()[0], head)
    rows = list(csv.DictReader(io.StringIO(text)))
    self.assertLen(rows, len(self.records))
    for row, record in zip(rows, self.records, strict=True):
      self.assertEqual(tuple(row.values())[:5], record[:5])
      self.assertEqual(int(row['seeds']), len(record.values))
      mean, std = float(row['mean']), float(row['std'])
      np.testing.assert_allclose(mean, np.mean(record.values), rtol=1e-15)
      if printed(record)[1]:
        expected = np.std(record.values, ddof=1)
        np.testing.assert_allclose(std, expected, rtol=1e-14)
      else:
        self.assertTrue(math.isnan(std))

  def test_markdown_cells_are_mean_and_std_with_the_best_in_bold(self):
    report.write(self.records, self.workdir, NOTES, 'title')
    text = self.read('table.md')
    cells, best = markdown_cells(text), winners(self.records)
    self.assertLen(cells, len(self.records))
    for record in self.records:
      mean, std = printed(record)
      expected = f'{mean} ± {std}' if std else mean
      expected += f' ({record.note})' if record.note else ''
      if record[:5] in best:
        expected = f'**{expected}**'
      self.assertEqual(cells[*record[1:4], TITLES[record.metric]], expected)
    self.assertEqual(cells['powerset', 'exact', 'f1', 'NLL ↓'],
                     'inf (37.4 rows)')  # fmt: skip
    for note in NOTES:
      self.assertIn(f'- {note}\n', text)

  def test_ties_as_printed_are_all_best_and_near_misses_are_not(self):
    key = ('yeast', 'exact', 'f1', 'subset_accuracy')
    means = {'a': 0.2504, 'b': 0.2496, 'c': 0.2494, 'd': math.nan, 'e': 0.1}
    table = report.build(
      report.Record(key[0], model, *key[1:], (mean,))
      for model, mean in means.items()
    )
    best = [row.model for (row, _), cell in table.cells.items() if cell.best]
    self.assertEqual(best, ['a', 'b'])

  def test_a_column_of_small_numbers_shows_three_digits_of_the_greatest(self):
    record = report.Record(*('yeast', 'a', 'exact', 'f1'), 'hamming_loss', ())
    table = report.build(
      [
        record._replace(model='a', values=(0.0141, 0.0145)),
        record._replace(model='b', values=(0.0009,)),
        record._replace(metric='nll', values=(0.0141,)),
        record._replace(metric='nll', model='b', values=(math.inf,)),
        record._replace(metric='ece', values=(0.0,)),
        record._replace(metric='train_seconds', values=(0.0141,)),
        record._replace(metric='regret_f1', values=(0.0141,)),
        record._replace(metric='brier', values=(-3e-18,)),
      ]
    )
    self.assertEqual(
      [cell.text() for cell in table.cells.values()],
      [
        '0.0143 ± 0.0003',
        '0.0009',
        '0.0141',
        'inf',
        '0.000',
        '0.0',
        '0.0141',
        '-0.000000',
      ],
    )

  def test_infinite_everywhere_has_no_best(self):
    records = [
      report.Record('yeast', m, 'exact', 'f1', 'nll', (math.inf,), '3 rows')
      for m in MODELS
    ]
    table = report.write(records, self.workdir)
    self.assertFalse(any(cell.best for cell in table.cells.values()))
    self.assertNotIn('**', self.read('table.md'))

  def test_best_is_by_data_set_and_data_sets_are_named(self):
    records = synthetic(datasets=('yeast', 'emotions'))
    table = report.build(records)
    best = {(*row, m) for (row, m), cell in table.cells.items() if cell.best}
    self.assertEqual(best, winners(records))
    self.assertIn('| emotions | powerset', table.markdown())

  def test_missing_cells_are_dashes(self):
    records = [r for r in self.records
               if (r.decision, r.metric) != ('f1', 'lrap')]  # fmt: skip
    cells = markdown_cells(report.build(records).markdown())
    self.assertEqual(cells['powerset', 'exact', 'f1', 'LRAP ↑'], '–')

  def test_a_row_without_probabilities_is_marked_in_every_form(self):
    records = [
      r._replace(proper=r.model != 'chain_50%')
      for r in synthetic(datasets=('yeast', 'emotions'))
    ]
    table = report.write(records, self.workdir, NOTES)
    said = {True: 'yes', False: 'no'}
    rows = list(csv.DictReader(io.StringIO(self.read('table.csv'))))
    shown = [r for r in records if r.proper or r.metric != 'nll']
    self.assertLen(rows, len(shown))
    for row, record in zip(rows, shown, strict=True):
      names = [row[key] for key in report.Row._fields]
      self.assertEqual(names, list(record[:4]))
      self.assertEqual(row['proper'], said[record.proper])
    files = {'|': self.read('table.md'), '&': self.read('table.tex')}
    file = io.StringIO()
    table.print(file)
    for mark, text in files.items():
      self.assertRegex(text, rf'model +\{mark} proper +\{mark} inference')
      for record in shown:
        name = record.model.replace(
          '_50%', '_50%' if mark == '|' else r'\_50\%'
        )
        line = rf'{re.escape(name)} +\{mark} {said[record.proper]} '
        self.assertRegex(text, line)
    for text in (*files.values(), file.getvalue()):
      self.assertIn('scores, not probabilities', text)
      self.assertNotRegex(text, r'chain\S* .* yes .* exact')
    self.assertRegex(file.getvalue(), 'model +proper +inference')
    self.assertRegex(file.getvalue(), 'chain_50% +no +exact')
    last = table.columns.index('nll') - len(table.columns)
    for line in files['|'].splitlines():
      if '| chain' in line:
        self.assertEqual(line.strip('|').split('|')[last].strip(), '–')

  def test_a_score_without_probability_is_best_of_no_nll(self):
    table = report.build(
      report.Record('yeast', model, 'exact', 'f1', metric, (value,), '', proper)
      for model, proper, value in (('a', True, 0.5), ('b', False, 0.1))
      for metric in ('nll', 'hamming_loss')
    )
    best = {(row.model, m) for (row, m), c in table.cells.items() if c.best}
    self.assertEqual(best, {('a', 'nll'), ('b', 'hamming_loss')})

  def test_a_table_of_probabilities_alone_says_nothing_of_it(self):
    report.write(self.records, self.workdir, NOTES)
    for name in ('table.md', 'table.tex', 'table.csv'):
      self.assertNotIn('proper', self.read(name))

  def test_latex_is_balanced_escaped_and_rectangular(self):
    title = r'50% of A_B & C#1 {x} ~ ^ \ $'
    text = report.build(self.records, NOTES, title).latex()
    opened = re.findall(r'\\(begin|end)\{(\w+)\}', text)
    stack = []
    for kind, name in opened:
      if kind == 'begin':
        stack.append(name)
      else:
        self.assertEqual(stack.pop(), name)
    self.assertEmpty(stack)
    bare = re.sub(r'\\[{}]', '', text)
    self.assertEqual(bare.count('{'), bare.count('}'))
    self.assertIn(
      r'\caption{50\% of A\_B \& C\#1 \{x\} \textasciitilde{} '
      r'\textasciicircum{} \textbackslash{} \$}',
      text,
    )
    self.assertIn(r'marginals \& is', text)
    code = text.split('\n', 1)[1]  # after the comment
    outside = code.replace(r'\\', '\n')  # line breaks escape nothing
    outside = re.sub(r'(?<!\\)\$[^$]*\$', '', outside)
    self.assertNotRegex(outside, r'(?<!\\)[_#$^]')
    # The one other % ends the line of \resizebox.
    self.assertLen(re.findall(r'(?<!\\)%', code), 1)
    rows = text.split(r'\toprule')[1].split(r'\bottomrule')[0]
    rows = rows.replace(r'\midrule', '').replace(r'\addlinespace', '')
    rows = [r for r in rows.splitlines() if r]
    self.assertLen(rows, 1 + len(MODELS) * len(RULES))
    columns = re.search(r'\\begin\{tabular\}\{([lr]+)\}', text)[1]
    for row in rows:
      self.assertEndsWith(row, r' \\')
      self.assertLen(re.findall(r'(?<!\\)&', row), len(columns) - 1)
    self.assertEqual(text.count(r'\textbf{'), len(winners(self.records)))
    self.assertIn(r'chain\_50\% & exact', text)
    self.assertIn(r'$\infty$ (37.4 rows)', text)
    self.assertTrue(text.isascii())

  def test_piped_text_holds_every_cell_on_one_line(self):
    file = io.StringIO()
    table = report.build(self.records, NOTES, 'a title')
    table.print(file)
    lines = file.getvalue().splitlines()
    self.assertNotIn('…', file.getvalue())
    self.assertNotIn('\x1b', file.getvalue())
    best = winners(self.records)
    body = [line for line in lines if ' hamming' in line]
    self.assertLen(body, len(MODELS))
    for model, line in zip(MODELS, body, strict=True):
      for record in self.records:
        if (record.model, record.decision) == (model, 'hamming'):
          mean, std = printed(record)
          cell = (
            '*' * (record[:5] in best) + mean + (f' ± {std}' if std else '')
          )
          self.assertIn(f' {cell} ', f'{line} ')
    for text in ('a title', *NOTES):
      self.assertIn(text, file.getvalue())

  @parameterized.parameters(60, 80, 100, 160)
  def test_terminal_of_any_width_cuts_nothing(self, width):
    file = io.StringIO()
    report.build(self.records, NOTES).print(file, width=width)
    text = file.getvalue()
    self.assertNotIn('…', text)
    self.assertLessEqual(max(map(len, text.splitlines())), width)
    for record in self.records:
      for part in filter(None, printed(record)):
        self.assertIn(part, text)

  def test_figure_shows_every_finite_mean_where_numpy_puts_it(self):
    records = [r for r in self.records if 'seconds' not in r.metric]
    figure = plots.points(report.build(records, title='a title'))
    axes = {a.get_title(loc='left'): a for a in figure.axes}
    axes.pop('')  # the unused places of the grid
    shown = ['Hamming loss', 'subset accuracy', 'LRAP', 'NLL']
    self.assertCountEqual(axes, shown)
    for metric, title in TITLES.items():
      name = title[:-2]
      if name not in axes:
        continue
      shown = [r for r in records if r.metric == metric and not r.note]
      if metric in ('lrap', 'nll'):
        shown = [r for r in shown if r.decision == 'hamming']
      marks = [line for line in axes[name].lines if len(line.get_xdata()) == 1]
      self.assertCountEqual(
        np.round([float(line.get_xdata()[0]) for line in marks], 9),
        np.round([np.mean(r.values) for r in shown], 9),
      )
      better = '← better' if title.endswith('↓') else 'better →'
      self.assertEqual(axes[name].get_title(loc='right'), better)
    self.assertIn('inf (37.4 rows)', [t.get_text() for t in axes['NLL'].texts])
    legend = [t.get_text() for t in figure.legends[0].get_texts()]
    self.assertEqual(legend, [*RULES, 'any decision'])

  def test_written_png_is_a_picture_even_if_all_is_infinite(self):
    records = [
      report.Record('yeast', m, i, 'f1', 'nll', (math.inf,) * 2, '3 rows')
      for m in MODELS
      for i in ('exact', 'beam')
    ]
    report.write(records, self.workdir)
    with open(f'{self.workdir}/table.png', 'rb') as file:
      self.assertEqual(file.read(8), b'\x89PNG\r\n\x1a\n')

  def test_a_writer_that_fails_leaves_the_old_files_and_no_others(self):
    report.write(self.records, self.workdir, title='old')
    names = ('table.md', 'table.tex', 'table.csv')
    old = {name: self.read(name) for name in names}
    for planted in ('latex', 'csv', 'png'):
      fail = mock.Mock(side_effect=RuntimeError('planted'))
      with (
        mock.patch.object(report.Table, planted, fail),
        self.assertRaisesRegex(RuntimeError, 'planted'),
      ):
        report.write(self.records, self.workdir, title='new')
      self.assertEqual({name: self.read(name) for name in names}, old)
    with mock.patch.object(run_folder, 'atomic_write') as writes:
      report.write(self.records, self.workdir)
    written = [call.args[0].name for call in writes.call_args_list]
    self.assertCountEqual(written, [*names, 'table.png'])

  def test_bad_records_are_refused_in_one_line(self):
    first = self.records[0]
    for records, message in (
      ([], 'no records'),
      ([first, first], 'hamming_loss of yeast/independent/exact/hamming twice'),
      ([first._replace(values=())], 'without a value'),
      ([first._replace(metric='haming_loss')], 'did you mean: hamming_loss'),
    ):
      with self.assertRaisesRegex(InputError, message) as caught:
        report.build(records)
      self.assertNotIn('\n', str(caught.exception))

  @parameterized.parameters(
    ([0] * 5, ''), ([37] * 5, '37 rows'), ([37, 38], '37.5 rows'),
    ([12345, 12346, 12346], '12345.7 rows'),
  )  # fmt: skip
  def test_rows_note_has_a_decimal_only_where_needed(self, counts, expected):
    self.assertEqual(report.rows_note(counts), expected)


if __name__ == '__main__':
  absltest.main()
