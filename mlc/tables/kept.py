"""What the sittings of one comparison came to, kept beside its tables.

Each sitting, on some data sets or with some models, replaces its own rows in
one file; the tables are of all that is there. A line of JSON is a row:

  dataset, model: names; a row for each pair.
  made: by which commit and versions, on which day, with what changed.
  settings: key of the config -> what validation rows chose; {} where nothing is
    tuned.
  tried: of how many settings.
  values: metric -> a number for each seed, to 7 digits, by the decision that is
    made for it; {} of a model that is left out, and a footnote says why.
  notes: metric -> what an infinite value stands for.
  footnotes: of the table.
"""

from collections.abc import Container, Iterable, Mapping
import json
import pathlib
from typing import Any, NamedTuple

from mlc.errors import InputError
from mlc.tables import forms, ranks
from mlc.tables.report import Record

KEYS = (
  *('dataset', 'model', 'made', 'settings', 'tried'),
  *('values', 'notes', 'footnotes'),
)
Pair = tuple[str, str]  # Of a data set and a model.


class Chosen(NamedTuple):
  """Key of the config -> what validation rows chose, of how many settings."""

  settings: Mapping[str, Any] = {}
  tried: int = 0


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
      if found := records(rows):
        ranks.build(found)
      return rows
  except (ValueError, TypeError, AttributeError, InputError):
    pass
  raise InputError(
    f'{path} has a line that is no row of a comparison: put back what it was,'
    ' or move it away to begin anew'
  )


def rows(
  outcomes: Mapping[Pair, tuple[Iterable[Record], list[str]]],
  chosen: Mapping[Pair, Chosen],
  made: Mapping[Pair, str],
) -> list[dict]:
  """Those of one sitting; outcomes: the records and footnotes of each pair."""
  everything = [record for found, _ in outcomes.values() for record in found]
  found: dict[Pair, dict] = {}
  for key, (_, footnotes) in outcomes.items():
    of, tried = chosen.get(key, Chosen())
    row = (*key, made[key], dict(of), tried, {}, {}, footnotes)
    found[key] = dict(zip(KEYS, row, strict=True))
  values = ranks.build(everything).values if everything else {}
  for metric, by_set in values.items():
    for data, cells in by_set.items():
      for model, cell in cells.items():
        row = found[data, model]
        row['values'][metric] = [float(f'{v:.7g}') for v in cell.values]
        if cell.note:
          row['notes'][metric] = cell.note
  return list(found.values())


def merged(
  before: Iterable[dict], now: Iterable[dict], anew: Container[Pair] = ()
) -> list[dict]:
  """All rows, each in its first place; of two of one pair the later.

  anew: pairs of this sitting, of which no row before stays.
  """
  found, kept = by_pair(now), by_pair(before)
  stay = {k: row for k, row in kept.items() if k in found or k not in anew}
  return list((stay | found).values())


def by_pair(rows: Iterable[dict]) -> dict[Pair, dict]:
  """Each row by its names."""
  return {(row['dataset'], row['model']): row for row in rows}


def footnotes(rows: Iterable[dict]) -> list[str]:
  """Those of all rows, each with its data sets, if not of all of them."""
  of: dict[str, dict[str, None]] = {}
  every = set()
  for row in rows:
    every.add(row['dataset'])
    for note in row['footnotes']:
      of.setdefault(note, {})[row['dataset']] = None
  return [
    note if set(sets) == every else f'{", ".join(sets)}: {note}'
    for note, sets in of.items()
  ]


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


def settings(chosen: Mapping[Pair, Chosen]) -> forms.Grid | None:
  """What validation rows chose, None where nothing was tuned."""
  chosen = {pair: found for pair, found in chosen.items() if found.settings}
  if not chosen:
    return None
  sets, models, keys = (
    tuple(dict.fromkeys(names))
    for names in (
      (data for data, _ in chosen),
      (model for _, model in chosen),
      (key for found in chosen.values() for key in found.settings),
    )
  )
  lines = []
  for model in models:
    texts = []
    for data in sets:
      of = chosen.get((data, model), Chosen()).settings
      each = [json.dumps(of[k]).strip('[]') if k in of else '–' for k in keys]
      texts.append((' / '.join(each) if of else '–', False))
    lines.append(forms.Line((model,), tuple(texts)))
  tried = {data: 0 for data in sets}
  for (data, _), found in chosen.items():
    tried[data] = max(tried[data], found.tried)
  heads = [f'{data}, of {tried[data]}' for data in sets]
  names = ' / '.join(key.rpartition('.')[-1] for key in keys)
  title = f'Settings chosen: {names}'
  return forms.Grid(('model',), tuple(heads), tuple(lines), title)


def chosen(rows: Iterable[dict]) -> dict[Pair, Chosen]:
  """What each row was trained with."""
  return {
    (row['dataset'], row['model']): Chosen(row['settings'], row['tried'])
    for row in rows
  }
