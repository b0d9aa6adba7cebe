"""Models on several data sets: metric by metric, and their mean ranks.

Each model is judged on a metric by the decision that is made for it, chosen by
name and never by test scores; seeds are averaged before data sets are ranked.
"""

from collections.abc import Iterable, Sequence
import csv
import dataclasses
import io
import math
import pathlib
from typing import ClassVar

from matplotlib.figure import Figure
import numpy as np

from mlc import stats
from mlc.decisions import targets
from mlc.errors import InputError
from mlc.tables import critical_difference, forms, report
from mlc.tables.report import Record

# Names that stand for others' numbers: shown, not ranked.
PEER = 'best peer'
BAND = 'best of the study', 'median of the study'
REFERENCES = PEER, *BAND
# Of a model whose decisions are made for none of the metrics.
PLAIN = 'hamming', 'fixed'
COSTS = 'parameters', 'train_seconds', 'decode_seconds'


@dataclasses.dataclass(frozen=True)
class Ranks(forms.View):
  """One grid for each metric, one of mean ranks, and their diagrams.

  values: metric -> data set -> model -> cell.
  """

  title: str
  values: dict[str, dict[str, dict[str, stats.Cell]]]
  footnotes: tuple[str, ...]

  stem: ClassVar[str] = 'ranks'

  def grids(self) -> list[forms.Grid]:
    """Mean ranks of all metrics, then each metric on the data sets."""
    ranked = {
      metric: self.friedman(metric)
      for metric in self.values
      if metric not in COSTS
    }
    models = list(
      dict.fromkeys(m for names, _ in ranked.values() for m in names)
    )
    best = {
      metric: min(f.rank_M, default=math.nan)
      for metric, (_, f) in ranked.items()
    }
    of = {
      metric: dict(zip(names, f.rank_M, strict=True))
      for metric, (names, f) in ranked.items()
    }

    def rank(model, metric):
      if model not in of[metric]:
        return '–', False
      value = of[metric][model]
      return f'{value:.1f}', value == best[metric]

    def mean(model):
      found = [of[metric][model] for metric in of if model in of[metric]]
      return len(of) - len(found), np.mean(found)

    lines = [
      forms.Line((model,), tuple(rank(model, metric) for metric in of))
      for model in sorted(models, key=mean)
    ]
    titles = tuple(stats.about(metric).title for metric in of)
    first = forms.Grid(('model',), titles, tuple(lines), 'Mean ranks')
    return [first, *map(self._grid, self.values)]

  def _grid(self, metric: str) -> forms.Grid:
    by_set = self.values[metric]
    models = dict.fromkeys(m for cells in by_set.values() for m in cells)
    names, found = self.friedman(metric)
    rank = dict(zip(names, found.rank_M, strict=True))
    own = [model for model in models if model not in REFERENCES]
    order = sorted(own, key=lambda model: rank.get(model, math.inf))
    peers = [model for model in REFERENCES if model in models]
    lines = []
    for model in order + peers:
      cells = [by_set[data].get(model) for data in by_set]
      texts = [(c.text(), c.best) if c else ('–', False) for c in cells]
      if metric not in COSTS:
        texts.append((f'{rank[model]:.1f}' if model in rank else '–', False))
      gap = bool(peers) and model == peers[0]
      lines.append(forms.Line((model,), tuple(texts), gap))
    titles = (*by_set, *([] if metric in COSTS else ['mean rank']))
    return forms.Grid(('model',), titles, tuple(lines), report.titled(metric))

  def block(self, metric: str) -> tuple[list[str], list[str]]:
    """(models, data sets) that are ranked: each of these has each of those.

    Of the data sets with most models, as many as give most cells: sets on which
    few models were run do not cost the others their ranks.
    """
    has = {
      data: {
        model: None
        for model, cell in cells.items()
        if model not in REFERENCES and math.isfinite(float(cell.mean))
      }
      for data, cells in self.values[metric].items()
    }
    blocks = []
    names: list[str] = []
    order = sorted(has, key=lambda data: -len(has[data]))
    for count, data in enumerate(order, 1):
      names = [n for n in (names if count > 1 else has[data]) if n in has[data]]
      blocks.append((len(names) * count, count, names))
    _, count, names = max(blocks, key=lambda block: block[:2])
    return names, [data for data in has if data in order[:count]]

  def friedman(self, metric: str) -> tuple[list[str], stats.Friedman]:
    """(models of the metric's block, their test)."""
    names, sets = self.block(metric)
    by_set = self.values[metric]
    value_MxD = [
      [stats.mean_std(by_set[data][model].values)[0] for data in sets]
      for model in names
    ]
    lower = stats.about(metric).lower
    value_MxD = np.reshape(value_MxD, (len(names), len(sets)))
    return names, stats.friedman(value_MxD, lower)

  def notes(self, mark: str) -> list[str]:
    """How to read a cell, what the tests say, then the footnotes."""
    cells = [
      cell
      for by_set in self.values.values()
      for of_set in by_set.values()
      for cell in of_set.values()
    ]
    seeds = report.seeds_note(cells)
    found = [
      f'mean ± std {seeds}; best of our models in each column {mark}.'
      if seeds
      else f'best of our models in each column {mark}.',
      'Each metric by the decision that is made for it; a model without a'
      ' number on each data set that is ranked has no mean rank.',
    ]
    for metric in self.values:
      names, test = self.friedman(metric)
      if metric in COSTS or math.isnan(test.p):
        continue
      _, sets = self.block(metric)
      others = ', '.join(d for d in self.values[metric] if d not in sets)
      less = f' (without {others})' if others else ''
      found.append(
        f'{stats.about(metric).title}: Friedman p = {test.p:.2g} over'
        f' {len(names)} models and {len(sets)} data sets{less}; mean ranks that'
        f' differ by less than {test.critical:.1f} are not told apart (Nemenyi,'
        ' .05).'
      )
    return [*found, *self._against_peers(), *self.footnotes]

  def _against_peers(self) -> list[str]:
    """In how many cells our best is as good as other libraries'."""
    reached, missed = 0, []
    for metric, by_set in self.values.items():
      about = stats.about(metric)
      pick = min if about.lower else max
      for data, cells in by_set.items():
        own = [float(c.mean) for m, c in cells.items() if m not in REFERENCES]
        own = list(filter(math.isfinite, own))
        if PEER not in cells or not own:
          continue
        peer, best = float(cells[PEER].mean), pick(own)
        if pick(best, peer) == best:
          reached += 1
        else:
          missed.append(f'{data} {about.title} {best:g} ({peer:g})')
    if not reached and not missed:
      return []
    count = reached + len(missed)
    text = f'The best peer is reached or passed in {reached} of {count} cells'
    return [text + (f'; not in {", ".join(missed)}.' if missed else '.')]

  def csv(self) -> str:
    """Long form, full precision, with 95% intervals over seeds."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator='\n')
    writer.writerow(
      ['metric', 'dataset', 'model', 'mean', 'std', 'low', 'high', 'seeds']
    )
    for metric, by_set in self.values.items():
      for data, cells in by_set.items():
        for model, cell in cells.items():
          spread = (
            *stats.mean_std(cell.values),
            *stats.confidence_interval(cell.values),
          )
          writer.writerow([metric, data, model, *spread, len(cell.values)])
    return file.getvalue()

  def figure(self) -> Figure:
    """Critical-difference diagrams."""
    panels = {
      stats.about(metric).title: self.friedman(metric)
      for metric in self.values
      if metric not in COSTS
    }
    return critical_difference.diagrams(panels, self.title)


def build(
  records: Iterable[Record], footnotes: Sequence[str] = (), title: str = ''
) -> Ranks:
  """Raises InputError for no record."""
  by_key: dict[tuple[str, str, str], dict[str, Record]] = {}
  for record in records:
    if record.metric in stats.OF_LIKELIHOOD and not record.proper:
      continue
    key = record.metric, record.dataset, record.model
    by_key.setdefault(key, {})[record.decision] = record
  if not by_key:
    raise InputError('no records to report; run at least one model first')
  cells = {}
  for (metric, data, model), of_rules in by_key.items():
    record = of_rules[matched(metric, list(of_rules))]
    digits = stats.about(metric).digits
    cells[data, model, metric] = stats.Cell(record.values, record.note, digits)

  def column(key):
    return key[0], key[2]

  judged = {column(key) for key in cells if key[1] not in REFERENCES}
  cells = {key: c for key, c in cells.items() if column(key) in judged}
  # Of the study three decimals are known.
  cells |= report.with_digits(
    {key: c for key, c in cells.items() if key[1] not in BAND}, column
  )
  own = {key: c for key, c in cells.items() if key[1] not in REFERENCES}
  cells |= report.mark_best(own, column)
  values: dict = {}
  for (data, model, metric), cell in cells.items():
    values.setdefault(metric, {}).setdefault(data, {})[model] = cell
  return Ranks(title, values, tuple(footnotes))


def matched(metric: str, decisions: list[str]) -> str:
  """Of a model's decisions the one that is made for `metric`."""
  made_for = [d for d in decisions if targets.target(d) == metric]
  plain = [d for d in PLAIN if d in decisions]
  return [*made_for, *plain, *decisions][0]


def peers(path) -> list[Record]:
  """Numbers of other libraries, as records of a model that is not ranked.

  path: CSV with the columns dataset, metric, value, who.
  """
  return [
    _reference(row, PEER, float(row['value']), row['who'])
    for row in _lines(path)
  ]


def band(path) -> list[Record]:
  """Best and median of a study of many methods, as `peers`.

  path: CSV with the columns dataset and metric, then one for each method.
  """
  found = []
  for row in _lines(path):
    of = {k: float(v) for k, v in row.items() if k not in ('dataset', 'metric')}
    pick = min if stats.about(row['metric']).lower else max
    who = pick(of, key=lambda name, of=of: of[name])
    median = float(np.median(list(of.values())))
    notes = (of[who], who), (median, f'of {len(of)}')
    for name, (value, note) in zip(BAND, notes, strict=True):
      found.append(_reference(row, name, value, note))
  return found


def _lines(path) -> list[dict]:
  with pathlib.Path(path).open(newline='', encoding='utf-8') as file:
    return list(csv.DictReader(file))


def _reference(row, name: str, value: float, note: str) -> Record:
  return Record(row['dataset'], name, '', '', row['metric'], (value,), note)


def write(
  records: Iterable[Record],
  workdir,
  footnotes: Sequence[str] = (),
  title: str = '',
) -> Ranks:
  """Write ranks.md, ranks.tex, ranks.csv and ranks.png; return the view."""
  view = build(records, footnotes, title)
  view.write(workdir)
  return view
