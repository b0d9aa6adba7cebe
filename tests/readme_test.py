"""The numbers of README.md are those of the tables that are generated."""

import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
# A column of README's table of all models, as RESULTS.md names its grid.
METRICS = {
  'Hamming': 'Hamming loss ↓',
  'subset': 'subset accuracy ↑',
  'F1': 'example F1 ↑',
}


def cells(lines):
  """[line][column] of a Markdown table, without its rule."""
  rows = [line.strip().strip('|').split('|') for line in lines]
  plain = [[cell.replace('*', '').strip() for cell in row] for row in rows]
  return [plain[0], *plain[2:]]


def table(text, after):
  """The first table below the text `after`."""
  lines = text.partition(after)[2].splitlines()
  start = next(i for i, line in enumerate(lines) if line.startswith('|'))
  stop = start
  while lines[stop].startswith('|'):
    stop += 1
  return cells(lines[start:stop])


@pytest.fixture(scope='module')
def generated():
  """(metric, data set) -> model -> the cell of RESULTS.md."""
  text = (ROOT / 'experiments/RESULTS.md').read_text('utf-8')
  section = text.partition('## compare_all')[2].partition('\n## ')[0]
  found = {}
  for metric, title in METRICS.items():
    head, *rows = table(section, f'#### {title}')
    for column, name in enumerate(head[1:-1], start=1):
      data = name.removeprefix('mulan/')
      found[metric, data] = {row[0]: row[column] for row in rows}
  return found


def test_the_table_of_all_models_is_that_of_results(generated):
  text = (ROOT / 'README.md').read_text('utf-8')
  head, *rows = table(text, '## All models, tuned alike')
  columns = [tuple(name.split()[:2][::-1]) for name in head[1:]]
  assert {data for _, data in columns} == {'emotions', 'scene', 'yeast'}
  for key in columns:
    assert {row[0] for row in rows} == set(generated[key])
  for model, *values in rows:
    for key, value in zip(columns, values, strict=True):
      # A peer's name stands there too.
      assert generated[key][model].split(' (')[0] == value, (model, key)
