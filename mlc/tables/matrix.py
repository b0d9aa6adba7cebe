"""Records -> decision x metric: what an answer made for another loss costs."""

from collections.abc import Iterable, Sequence
import csv
import dataclasses
import io
import math
from typing import ClassVar

from matplotlib.figure import Figure

from mlc.decisions import targets
from mlc.errors import InputError
from mlc.stats import Cell, about, mean_std
from mlc.tables import forms, heat_map, report

TIMES = ('train_seconds', 'decode_seconds')


@dataclasses.dataclass(frozen=True)
class Panel:
  """One model on one data set; cells by (decision, metric)."""

  key: tuple[str, str, str]  # Data set, model, inference.
  title: str
  rows: tuple[str, ...]
  columns: tuple[str, ...]
  cells: dict[tuple[str, str], Cell]

  def costs(self, metric: str) -> dict[str, float]:
    """How far each decision is from the best one of the column, 0 or more."""
    means = {
      row: mean
      for row in self.rows
      if (row, metric) in self.cells
      and math.isfinite(mean := mean_std(self.cells[row, metric].values)[0])
    }
    pick = min if about(metric).lower else max
    best = pick(means.values(), default=0.0)
    return {row: abs(mean - best) for row, mean in means.items()}


@dataclasses.dataclass(frozen=True)
class Matrix(forms.View):
  """A panel for each model on each data set, with the same columns."""

  title: str
  panels: tuple[Panel, ...]
  footnotes: tuple[str, ...]

  stem: ClassVar[str] = 'matrix'

  def grids(self) -> list[forms.Grid]:
    """One a panel, a line for each decision; means only."""
    return [
      forms.Grid(
        ('decision',),
        tuple(report.titled(metric) for metric in panel.columns),
        tuple(
          forms.Line((row,), tuple(_text(panel, row, c) for c in panel.columns))
          for row in panel.rows
        ),
        panel.title,
      )
      for panel in self.panels
    ]

  def notes(self, mark: str) -> list[str]:
    """How to read the grids, which rules are no optimum, the footnotes."""
    cells = [cell for panel in self.panels for cell in panel.cells.values()]
    stds = [mean_std(cell.values)[1] for cell in cells]
    most = max((std for std in stds if not math.isnan(std)), default=math.nan)
    means = []
    if f'{most:.3f}' == '0.000':
      means = [f'the same {report.seeds_note(cells)}.']
    elif not math.isnan(most):
      means = [
        f'means {report.seeds_note(cells)}; standard deviations, at most'
        f' {most:.3f}, in the CSV file.'
      ]
    wins = []
    for panel in self.panels:
      own = [
        cell.best
        for (row, metric), cell in panel.cells.items()
        if targets.target(row) == metric
      ]
      if own:
        wins.append(
          f'{panel.title}: {sum(own)} of {len(own)} decisions are the best of'
          ' the column of their own loss.'
        )
    rows = dict.fromkeys(row for panel in self.panels for row in panel.rows)
    return [
      'a line is a decision, optimal for one loss; a column what it is judged'
      f' by; [ ] where the two agree; best of each column {mark}; ↓ lower is'
      ' better, ↑ higher; –: a ranking is no label set, nor the reverse.',
      *means,
      *wins,
      *targets.remarks(rows),
      *self.footnotes,
    ]

  def csv(self) -> str:
    """Long form, full precision; own: the metric of the decision's own loss."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator='\n')
    writer.writerow(
      ['dataset', 'model', 'inference', 'decision', 'metric', 'own', 'best',
       'mean', 'std', 'seeds']
    )  # fmt: skip
    for panel in self.panels:
      for (row, metric), cell in panel.cells.items():
        own = 'yes' if targets.target(row) == metric else 'no'
        best = 'yes' if cell.best else 'no'
        numbers = *mean_std(cell.values), len(cell.values)
        writer.writerow([*panel.key, row, metric, own, best, *numbers])
    return file.getvalue()

  def figure(self) -> Figure:
    """The panels as heat maps."""
    return heat_map.figure(self)


def _text(panel: Panel, row: str, metric: str) -> tuple[str, bool]:
  if (row, metric) not in panel.cells:
    return '–', False
  cell = panel.cells[row, metric]
  own = targets.target(row) == metric
  return f'[{cell.mean}]' if own else cell.mean, cell.best


def _judges(metric: str, decision: str) -> bool:
  """False: it judges the ranking by marginals that comes with a label set."""
  own = targets.target(decision)
  return own is None or about(metric).by_decision == about(own).by_decision


def build(
  records: Iterable[report.Record],
  footnotes: Sequence[str] = (),
  title: str = '',
) -> Matrix:
  """Records -> Matrix; its columns in the order of the decisions they are for.

  Metrics that no decision changes (NLL, seconds) are left out. Raises
  InputError as `report.build`, and where nothing is left.
  """
  cells = report.cells_of(records := list(records))
  wanted = {targets.target(row.decision) for row, _ in cells}
  cells = {
    (row, metric): cell
    for (row, metric), cell in cells.items()
    if metric in wanted or (about(metric).by_decision and metric not in TIMES)
    if _judges(metric, row.decision)
  }
  if not cells:
    raise InputError(
      'no metric of a decision to make a matrix of: set config.decisions, and'
      ' config.metrics to what they are for'
    )
  cells = report.mark_best(cells, lambda key: (key[0][:3], key[1]))
  decisions = dict.fromkeys(row.decision for row, _ in cells)
  there = dict.fromkeys(metric for _, metric in cells)
  first = [m for m in map(targets.target, decisions) if m and m in there]
  columns = tuple(dict.fromkeys([*first, *there]))
  keys = dict.fromkeys(row[:3] for row, _ in cells)
  improper = {r[:3] for r in records if not r.proper}
  several = [len({key[i] for key in keys}) > 1 for i in range(3)]
  panels = []
  for key in keys:
    own = {(r.decision, m): c for (r, m), c in cells.items() if r[:3] == key}
    names = [n for i, n in enumerate(key) if several[i] or i == 1]
    names += ['scores, not probabilities'] if key in improper else []
    rows = tuple(dict.fromkeys(row for row, _ in own))
    panels.append(Panel(key, ', '.join(names), rows, columns, own))
  return Matrix(title, tuple(panels), tuple(footnotes))


def write(
  records: Iterable[report.Record],
  workdir,
  footnotes: Sequence[str] = (),
  title: str = '',
) -> Matrix:
  """Write matrix.md, .tex, .csv and .png; return the Matrix."""
  matrix = build(records, footnotes, title)
  matrix.write(workdir)
  return matrix
