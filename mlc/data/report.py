"""What `statistics.describe` found, as text for a reader."""

import sys
from typing import IO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mlc.tables.forms import UNBOUNDED

NAMED = 5  # of a long list of labels
LINE = 88  # columns of running text
SPLITS = {
  'rows': 'rows',
  'rows_without_labels': 'rows without labels',
  'labels_absent': 'labels absent',
  'duplicate_rows': 'duplicate rows',
  'duplicate_features': 'duplicate features',
  'conflicting_rows': 'conflicting rows',
}
OVERLAP = {
  'shared_rows': 'shared rows',
  'shared_features': 'shared features',
  'leaked_rows': 'leaked rows',
}
NOTES = (
  'IRLbl: rows of the most frequent label over those of this one; MeanIR and'
  ' CVIR: mean and coefficient of variation of it over the labels that occur'
  ' (Charte et al. 2015); SCUMBLE: from 0 to 1, how far rare labels occur'
  ' together with frequent ones (Charte et al. 2019).',
  'diversity: distinct label sets over 2^L (Moyano et al. 2017).',
  'duplicate rows: rows less distinct rows of features and labels; duplicate'
  ' features: the same without labels; conflicting rows: the same features'
  ' stand there with other labels too.',
  'shared: distinct rows, or features, that stand in both parts; leaked rows:'
  ' rows of the second part whose features stand in the first.',
)


def show(
  described: dict, file: IO[str] | None = None, width: int | None = None
) -> None:
  """To a terminal as wide as it is, to a file as wide as the text is."""
  console = Console(file=file or sys.stdout, width=width, highlight=False)
  if not console.is_terminal and width is None:
    console.width = UNBOUNDED
  head = (
    f'{described["name"]}: {described["kind"]}, {described["rows"]:,} rows,'
    f' {described["labels"]["count"]:,} labels'
  )
  console.print(Text(head, style='bold'))
  for title, lines in (
    ('Features', _features(described['features'])),
    ('Labels', _labels(described['labels'])),
    ('Imbalance', _imbalance(described['imbalance'], described['per_label'])),
    ('Hierarchy', _hierarchy(described['hierarchy'])),
  ):
    if lines:
      _print(console, [(title, ''), *lines])
  splits, overlap = described['splits'], described['overlap']
  _print(
    console,
    [
      ('Splits', *map(_spoken, splits)),
      *(
        (line, *(_count(split[key]) for split in splits.values()))
        for key, line in SPLITS.items()
      ),
    ],
  )
  absent = [
    (f'absent from {_spoken(name)}', _some(split['labels_absent']))
    for name, split in splits.items()
    if split['labels_absent']
  ]
  if absent:
    _print(console, [('Labels absent', ''), *absent])
  _print(
    console,
    [
      ('Overlap', *OVERLAP.values()),
      *(
        (_spoken(pair), *(_count(counts[key]) for key in OVERLAP))
        for pair, counts in overlap.items()
      ),
    ],
  )
  console.print()
  for note in NOTES:
    console.print(Text(note, style='dim'), width=min(console.width, LINE))


def _features(features: dict) -> list[tuple[str, str]]:
  lines = [
    (kind, f'{features[kind]:,}, {share:.2%} of their cells not 0')
    for kind in ('dense', 'sparse')
    if (share := features[f'{kind}_nonzero_share']) is not None
  ]
  if columns := features['categorical']:
    values = features['categorical_values']
    lines.append(('categorical', f'{columns:,}, of {values:,} values together'))
  if features['text']:
    lines.append(('text', 'one a row'))
  return [*lines, ('missing cells', _count(features['missing_cells']))]


def _labels(labels: dict) -> list[tuple[str, str]]:
  sets = (
    f'{labels["label_sets"]:,} distinct, {labels["distinct_share"]:.4f} a row;'
    f' {labels["label_sets_once"]:,} stand in one row only'
  )
  diversity = labels['diversity']
  return [
    ('cardinality', f'{labels["cardinality"]:.4f}'),
    ('density', f'{labels["density"]:.4f}'),
    ('label sets', sets),
    ('diversity', f'{diversity:.3g}' if diversity else 'below 1e-300'),
    ('missing cells', _count(labels['missing_cells'])),
    ('soft cells', _count(labels['soft_cells'])),
  ]


def _imbalance(imbalance: dict, labels: list) -> list[tuple[str, str]]:
  seen = [label for label in labels if label['irlbl'] is not None]
  seen.sort(key=lambda label: -label['irlbl'])
  named = [f'{label["name"]} {label["irlbl"]:.2f}' for label in seen]
  return [
    ('highest IRLbl', ', '.join(named[:NAMED]) or '–'),
    ('lowest IRLbl', ', '.join(named[-1:]) or '–'),
    *(
      (line, '–' if imbalance[key] is None else f'{imbalance[key]:.4f}')
      for line, key in (
        ('MeanIR', 'mean_ir'),
        ('CVIR', 'cvir'),
        ('SCUMBLE', 'scumble'),
      )
    ),
  ]


def _hierarchy(hierarchy: dict | None) -> list[tuple[str, str]]:
  if not hierarchy:
    return []
  return [
    ('edges', _count(hierarchy['edges'])),
    ('depth', _count(hierarchy['depth'])),
    ('several parents', f'{hierarchy["several_parents"]:,} labels'),
  ]


def _print(console: Console, lines: list[tuple]) -> None:
  """A block below its title, numbers to the right of where they stand."""
  title, *body = lines
  table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
  table.add_column(Text(title[0], style='bold'))
  side = 'right' if len(title) > 2 else 'left'
  for head in title[1:]:
    table.add_column(Text(head), justify=side, overflow='fold')
  for name, *cells in body:
    table.add_row(Padding(Text(name), (0, 0, 0, 2)), *map(Text, cells))
  console.print()
  console.print(table)


def _count(value) -> str:
  """A number, or how long a list is."""
  return f'{len(value) if isinstance(value, list) else value:,}'


def _some(names: list[str]) -> str:
  """The first of `names`, and how many more there are."""
  more = len(names) - NAMED
  named = ', '.join(names[:NAMED])
  return f'{named} and {more:,} more' if more > 0 else named


def _spoken(name: str) -> str:
  """A name of a split or of two of them, for a reader."""
  return name.replace('train_valid', 'train+valid').replace('_and_', ' and ')
