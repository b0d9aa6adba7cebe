"""What the sittings of one comparison came to, kept beside its tables.

Each sitting, on some data sets or with some models, replaces its own rows in
one file; the tables are of all that is there. A line of JSON is a row:

  dataset, model: names; a row for each pair.
  made: by which commit and versions, on which day.
  settings: key of the config -> what validation rows chose; {} where nothing is
    tuned.
  values: metric -> a number for each seed, to 7 digits, by the decision that is
    made for it.
  notes: metric -> what an infinite value stands for.
"""

from collections.abc import Iterable, Mapping
import json
import pathlib

from mlc.errors import InputError
from mlc.tables import forms, ranks
from mlc.tables.report import Record

KEYS = 'dataset', 'model', 'made', 'settings', 'values', 'notes'


def read(path) -> list[dict]:
  """The rows of a file, [] where there is none.

  Raises InputError for a line that is no row.
  """
  path = pathlib.Path(path)
  if not path.exists():
    return []
  lines = path.read_text('utf-8').splitlines()
  try:
    rows = [json.loads(line) for line in lines]
    if all(set(row) == set(KEYS) for row in rows):
      return rows
  except (ValueError, TypeError):
    pass
  raise InputError(
    f'{path} has a line that is no row of a comparison: put back what it was,'
    ' or move it away to begin anew'
  )


def rows(
  records: Iterable[Record],
  settings: Mapping[tuple[str, str], Mapping],
  made: str,
) -> list[dict]:
  """Those of one sitting; settings: of (data set, model)."""
  values = ranks.build(records).values
  found: dict[tuple[str, str], dict] = {}
  for metric, by_set in values.items():
    for data, cells in by_set.items():
      for model, cell in cells.items():
        key = data, model
        chosen = dict(settings.get(key, {}))
        row = found.setdefault(
          key, dict(zip(KEYS, (*key, made, chosen, {}, {}), strict=True))
        )
        row['values'][metric] = [float(f'{v:.7g}') for v in cell.values]
        if cell.note:
          row['notes'][metric] = cell.note
  return list(found.values())


def merged(before: Iterable[dict], now: Iterable[dict]) -> list[dict]:
  """All rows, each in its first place; of two of one pair the later."""
  return list({(r['dataset'], r['model']): r for r in [*before, *now]}.values())


def records(rows: Iterable[dict]) -> list[Record]:
  """As `ranks.build` takes them."""
  return [
    Record(
      row['dataset'],
      row['model'],
      *('', ''),
      metric,
      tuple(map(float, values)),
      row['notes'].get(metric, ''),
    )
    for row in rows
    for metric, values in row['values'].items()
  ]


def made(rows: Iterable[dict]) -> str:
  """By what, in one sentence for each sitting that differs."""
  sets: dict[str, dict[str, None]] = {}
  for row in rows:
    sets.setdefault(row['made'], {})[row['dataset']] = None
  if len(sets) == 1:
    return f'{next(iter(sets))}.'
  return ' '.join(f'{", ".join(of)}: {by}.' for by, of in sets.items())


def settings(rows: Iterable[dict]) -> forms.Grid | None:
  """What validation rows chose, None where no row was tuned."""
  rows = list(rows)
  found: dict[str, dict[str, str]] = {}
  keys: dict[str, None] = {}
  for row in rows:
    if row['settings']:
      keys |= dict.fromkeys(row['settings'])
      texts = [
        json.dumps(value).strip('[]') for value in row['settings'].values()
      ]
      found.setdefault(row['model'], {})[row['dataset']] = ' / '.join(texts)
  if not found:
    return None
  sets = tuple(dict.fromkeys(row['dataset'] for row in rows))
  lines = tuple(
    forms.Line((model,), tuple((cells.get(data, '–'), False) for data in sets))
    for model, cells in found.items()
  )
  names = ' / '.join(key.rpartition('.')[-1] for key in keys)
  return forms.Grid(('model',), sets, lines, f'Settings chosen: {names}')
