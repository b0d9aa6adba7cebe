"""A study says of each published number what is true of it, and keeps the rest.

The oracle is arithmetic on numbers written here.
"""

import csv
import io
import math

import pytest

from mlc.errors import InputError
from mlc.tables import study, study_view

HEAD = ','.join(study.COLUMNS)


def line(method='chain', value='50', std='0.5', comparable='yes', dataset='a'):
  """A row of a published CSV."""
  known = {'method': method, 'value': value, 'std': std, 'dataset': dataset}
  known |= {'comparable': comparable, 'metric': 'F1', 'table': 'Table 1'}
  return ','.join(known.get(column, '') for column in study.COLUMNS)


def made(**fields):
  """A study that uses every row as it is."""
  return study.Study(
    **{
      'datasets': {'a': {'seeds': 2}, 'b': {'seeds': 2}},
      'values': lambda *_: study.Ours({}),
      'cell': lambda row: study.Cell(
        row['dataset'], row['method'], row['metric']
      ),
      'tolerance': lambda row: row.std or 0.1,
    }
    | fields
  )


def read(tmp_path, *lines, **fields):
  path = tmp_path / 'published.csv'
  path.write_text('\n'.join([HEAD, *lines]) + '\n')
  one = made(**fields)
  return one, study.read(path, one)


def verdict(tmp_path, values, *, guesses=(), **columns):
  one, rows = read(tmp_path, line(**columns), guesses=dict(guesses))
  ours = study.Ours({('chain', 'F1'): values} if values else {})
  (found,) = study.verdicts(one, rows, 'a', ours)
  return found


@pytest.mark.parametrize(
  ('values', 'text'),
  [
    ((50.5,), 'hit'),
    ((49.5,), 'hit'),
    ((50.4, 50.6), 'hit'),  # The mean counts.
    ((50.51,), 'miss'),
    ((49.49,), 'miss'),
    ((), 'not computed'),
  ],
)
def test_a_target_is_hit_within_the_tolerance_on_both_sides(
  tmp_path, values, text
):
  found = verdict(tmp_path, values)
  assert found.text == text
  assert found.fails == (text != 'hit')


def test_decimals_at_the_edge_of_the_tolerance_are_a_hit(tmp_path):
  assert 0.8 - 0.6 > 0.2  # In binary.
  assert verdict(tmp_path, (0.8,), value='0.6', std='0.2').text == 'hit'


def test_a_guess_explains_a_miss_but_is_not_said_of_a_hit(tmp_path):
  guesses = {('a', 'chain', 'F1'): 'other folds'}
  found = verdict(tmp_path, (60.0,), guesses=guesses)
  assert (found.text, found.why, found.fails) == ('miss', 'other folds', False)
  found = verdict(tmp_path, (50.0,), guesses=guesses)
  assert (found.text, found.why, found.fails) == ('hit', '', False)
  elsewhere = {('b', 'chain', 'F1'): 'other folds'}
  assert verdict(tmp_path, (60.0,), guesses=elsewhere).fails


def test_a_guess_does_not_stand_for_a_value(tmp_path):
  guesses = {('a', 'chain', 'F1'): 'other folds'}
  assert verdict(tmp_path, (), guesses=guesses).fails


@pytest.mark.parametrize(
  ('comparable', 'text', 'why'),
  [
    ('likely', 'miss', ''),
    ('no: other rows', 'not comparable', 'other rows'),
    ('quote only: a: b', 'quoted', 'a: b'),
    ('source: 49.1', 'not reproduced by the source itself', '49.1'),
  ],
)
def test_what_is_no_target_never_fails(tmp_path, comparable, text, why):
  found = verdict(tmp_path, (60.0,), comparable=comparable)
  assert (found.text, found.why, found.fails) == (text, why, False)
  assert found.difference == pytest.approx(10.0)


def test_rows_of_other_data_sets_and_unused_rows_are_left_out(tmp_path):
  one, rows = read(
    tmp_path,
    line(),
    line(dataset='b'),
    line(method='skip', value='x'),
    cell=lambda row: (
      None
      if row['method'] == 'skip'
      else study.Cell(row['dataset'], row['method'], row['metric'])
    ),
  )
  assert len(rows) == 2
  found = study.verdicts(one, rows, 'b', study.Ours({('chain', 'F1'): (50,)}))
  assert [v.published.cell.dataset for v in found] == ['b']


@pytest.mark.parametrize(
  ('bad', 'message'),
  [
    (line(value=''), "line 3: value ''"),
    (line(std='x'), "std 'x'"),
    (line(comparable='maybe'), "comparable='maybe'"),
  ],
)
def test_a_bad_row_is_told_with_its_line(tmp_path, bad, message):
  with pytest.raises(InputError, match=message):
    read(tmp_path, line(), bad)


def test_a_missing_column_is_named(tmp_path):
  path = tmp_path / 'published.csv'
  path.write_text(HEAD.replace(',std', '') + '\n')
  with pytest.raises(InputError, match="no column 'std'"):
    study.read(path, made())


def test_the_digest_is_of_the_settings_alone():
  assert study.digest({'a': 1, 'b': [2]}) == study.digest({'b': [2], 'a': 1})
  assert study.digest({'a': 1}) != study.digest({'a': 2})


def test_the_summary_counts_each_kind_once(tmp_path):
  kinds = ['yes', 'yes', 'yes', 'yes', 'likely', 'likely', 'no: x']
  values = [50, 50, 60, 60, 50, 60, 50]
  one, rows = read(
    tmp_path,
    *(line(method=f'm{i}', comparable=k) for i, k in enumerate(kinds)),
    guesses={('a', 'm2', 'F1'): 'why'},
  )
  ours = study.Ours({(f'm{i}', 'F1'): (v,) for i, v in enumerate(values)})
  assert study.summary(study.verdicts(one, rows, 'a', ours)) == (
    '2 of 4 targets hit, 1 missed with a stated guess, 1 missed; 1 of 2 likely'
    ' comparable numbers hit; 1 shown that are not comparable'
  )


@pytest.fixture
def found(tmp_path):
  one, rows = read(
    tmp_path,
    line(method='a|b', std='0.25'),
    line(method='c', comparable='no: 5% & more'),
    line(method='d', comparable='likely', std=''),
  )
  ours = {('a|b', 'F1'): (50.0, 51.0), ('c', 'F1'): (10.0, 10.0)}
  return study.verdicts(one, rows, 'a', study.Ours(ours))


def test_a_line_holds_ours_theirs_and_the_difference(found):
  text = study_view.Sheet(tuple(found), 2).markdown()
  lines = [line.split(' | ') for line in text.splitlines() if '| F1' in line]
  cells = [[cell.strip(' |\\') for cell in line[-5:]] for line in lines]
  # The spread of 50 and 51 with n - 1 is .7071.
  assert cells[0] == ['miss', '50.50 ± 0.71', '50.00 ± 0.25', '+0.50', '0.25']
  not_comparable = ['not comparable [1]', '10.00 ± 0.00', '50.00 ± 0.50']
  assert cells[1] == [*not_comparable, '-40.00', '–']
  assert cells[2][0] == 'not computed (likely comparable)'
  assert cells[2][1:] == ['–', '50.00', '–', '0.10']
  assert '- [1] 5% & more.' in text.splitlines()


def test_latex_escapes_what_tex_would_read(found):
  text = study_view.Sheet(tuple(found), 2).latex()
  assert r'5\% \& more' in text and r'$\pm$' in text
  assert 'a|b' not in text and '±' not in text
  assert text.count(r'\begin{longtable}') == text.count(r'\end{longtable}') == 1


def test_csv_has_full_precision_and_every_row(found):
  text = study_view.Sheet(tuple(found), 2).csv()
  rows = list(csv.DictReader(io.StringIO(text)))
  assert len(rows) == 3
  assert float(rows[0]['mean']) == 50.5
  assert float(rows[0]['std']) == math.sqrt(0.5)
  assert (rows[1]['verdict'], rows[1]['why']) == ('not comparable', '5% & more')


def test_what_is_no_target_is_folded_away(found):
  ours = study.Ours({('alone', 'seconds'): (1.0, 3.0)}, 0.0)
  text = study_view.block(found, 'a', 2, 'Made today.', ours)
  assert '| alone | 2.00 ± 1.41 |' in text
  shown, _, folded = text.partition('<details>')
  assert 'a\\|b' in shown and 'not comparable [1]' not in shown
  assert 'not comparable [1]' in folded and 'a\\|b' not in folded


def test_one_data_set_is_replaced_and_the_rest_is_kept():
  old = study_view.merged('', 'x', 'About x.', {'a': 'A1\n', 'b': 'B1\n'}, 'ab')
  both = study_view.merged(old, 'y', 'About y.', {'c': 'C1\n'}, 'c')
  new = study_view.merged(both, 'x', 'More of x.', {'b': 'B2\n'}, 'ab')
  for text in ('A1', 'B2', 'C1', 'More of x.', 'About y.'):
    assert new.count(text) == 1
  assert 'B1' not in new and 'About x.' not in new
  assert new.index('A1') < new.index('B2') < new.index('C1')
  # Twice the same changes nothing.
  assert study_view.merged(new, 'x', 'More of x.', {'b': 'B2\n'}, 'ab') == new
