"""Records -> one table -> terminal, Markdown, LaTeX, CSV and a plot."""

from collections.abc import Iterable, Sequence
import csv
import dataclasses
import io
import math
from typing import ClassVar, NamedTuple

from matplotlib.figure import Figure

from mlc.errors import InputError
from mlc.stats import OF_LIKELIHOOD, Cell, about, mean_std
from mlc.tables import forms, plots

NOT_PROPER = (
  'proper no: trained by a loss that is no proper scoring rule, so its outputs'
  ' are scores, not probabilities, and have no NLL.'
)


class Record(NamedTuple):
  """One cell: a metric's value for each seed."""

  dataset: str
  model: str
  inference: str
  decision: str
  metric: str
  values: tuple[float, ...]
  note: str = ''  # what an infinite value stands for: '37 rows'
  proper: bool = True  # the model gives probabilities, not only scores


class Row(NamedTuple):
  """What a line of the table is about."""

  dataset: str
  model: str
  inference: str
  decision: str


def rows_note(counts: Sequence[float]) -> str:
  """The note of an infinite NLL: mean rows over seeds, as '37.4 rows'."""
  mean = round(mean_std(counts)[0], 1)
  return f'{mean:.10g} rows' if mean else ''


def seeds_note(cells: Iterable[Cell]) -> str:
  """'over 5 seeds', '' where no cell has several."""
  seeds = sorted({len(cell.values) for cell in cells} - {1})
  return f'over {"-".join(map(str, seeds))} seeds' if seeds else ''


@dataclasses.dataclass(frozen=True)
class Table(forms.View):
  """Rows and columns in the order of the records, and the cells there are."""

  title: str
  rows: tuple[Row, ...]
  columns: tuple[str, ...]
  cells: dict[tuple[Row, str], Cell]
  footnotes: tuple[str, ...]
  improper: frozenset[Row] = frozenset()

  stem: ClassVar[str] = 'table'

  def grids(self) -> list[forms.Grid]:
    """One, a line for each row."""
    lines, above = [], None
    for row in self.rows:
      cells = [self.cells.get((row, column)) for column in self.columns]
      texts = tuple((c.text(), c.best) if c else ('–', False) for c in cells)
      gap = bool(above) and row[:2] != above[:2]
      lines.append(forms.Line(self._names(row), texts, gap))
      above = row
    heads = self._names(
      Row('data set', 'model', 'inference', 'decision'), 'proper'
    )
    titles = tuple(titled(column) for column in self.columns)
    return [forms.Grid(heads, titles, tuple(lines))]

  def notes(self, mark: str) -> list[str]:
    """How to read a cell whose best are told by `mark`, then the footnotes."""
    seeds = seeds_note(self.cells.values())
    of = f'mean ± std {seeds}; ' if seeds else ''
    legend = f'best of each column {mark}; ↓ lower is better, ↑ higher.'
    marks = [NOT_PROPER] if self.improper else []
    return [of + legend, *marks, *self.footnotes]

  def csv(self) -> str:
    """Long form, full precision; `seeds` says how many values there are."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator='\n')
    head = self._marked(Row._fields, 'proper')
    writer.writerow([*head, 'metric', 'mean', 'std', 'seeds'])
    for (row, metric), cell in self.cells.items():
      names, values = self._marked(row, self._proper(row)), cell.values
      writer.writerow([*names, metric, *mean_std(values), len(values)])
    return file.getvalue()

  def figure(self) -> Figure:
    """The main metrics as points with intervals."""
    return plots.points(self)

  def _proper(self, row: Row) -> str:
    return 'no' if row in self.improper else 'yes'

  def _marked(self, names: Sequence[str], proper: str) -> tuple[str, ...]:
    """`proper` put behind the model, where a row of the table is not."""
    return (*names[:2], *([proper] if self.improper else []), *names[2:])

  def _names(self, row: Row, proper: str = '') -> tuple[str, ...]:
    """The row's names, the data set only where there are several."""
    names = self._marked(row, proper or self._proper(row))
    return names[len({row.dataset for row in self.rows}) == 1 :]


def titled(metric: str) -> str:
  """'Hamming loss ↓': the arrow to where better is."""
  return f'{about(metric).title} {about(metric).arrow}'


def cells_of(
  records: Iterable[Record],
) -> dict[tuple[Row, str], Cell]:
  """The cell of each record, none marked as best.

  Raises InputError for a cell given twice or without a value, and an unknown
  metric.
  """
  cells = {}
  for record in records:
    row, metric = Row(*record[:4]), record.metric
    digits = about(metric).digits
    if (row, metric) in cells or not record.values:
      raise InputError(
        f'the records give {metric} of {"/".join(row)} twice or without a '
        'value; give each cell once, with one value a seed'
      )
    cells[row, metric] = Cell(tuple(record.values), record.note, digits)
  return cells


def with_digits(cells: dict, group) -> dict:
  """The cells, by (..., metric), with decimals for the greatest of group(key).

  Three of its digits are shown, in up to six decimals: a Hamming loss over
  hundreds of labels is a hundredth for every model. What is printed with fewer
  or more decimals than three stays.
  """
  greatest = {}
  for key, cell in cells.items():
    size = abs(mean_std(cell.values)[0])
    if math.isfinite(size):
      greatest[group(key)] = max(size, greatest.get(group(key), 0.0))
  more = {
    key: min(math.ceil(-math.log10(size)) - 1, 3)
    for key, size in greatest.items()
    if 0 < size < 0.1
  }
  return {
    key: cell._replace(digits=cell.digits + more.get(group(key), 0))
    if about(key[-1]).digits == 3
    else cell
    for key, cell in cells.items()
  }


def mark_best(cells: dict, group) -> dict:
  """The cells, by (..., metric), with the best of each group(key) marked.

  Best is by the mean as printed: ties are all marked, inf and nan never.
  """
  rivals = {}
  for key, cell in cells.items():
    if math.isfinite(mean := float(cell.mean)):
      rivals.setdefault(group(key), []).append(mean)
  marked = {}
  for key, cell in cells.items():
    pick = min if about(key[-1]).lower else max
    best = pick(rivals.get(group(key), [math.nan]))
    marked[key] = cell._replace(best=float(cell.mean) == best)
  return marked


def build(
  records: Iterable[Record], footnotes: Sequence[str] = (), title: str = ''
) -> Table:
  """Records -> Table, in their order, with the best of each column marked.

  Best is by data set. Raises InputError for no record, and as `cells_of`. The
  NLL of a model that gives no probabilities is left out: beside the others it
  would say how far its scores are from being calibrated, and read as how badly
  the model fits.
  """
  records = list(records)
  improper = frozenset(Row(*r[:4]) for r in records if not r.proper)
  cells = cells_of(
    r for r in records if r.proper or r.metric not in OF_LIKELIHOOD
  )
  if not cells:
    raise InputError('no records to report; run at least one model first')

  def column(key):
    return key[0].dataset, key[1]

  cells = mark_best(with_digits(cells, column), column)
  rows = tuple(dict.fromkeys(row for row, _ in cells))
  columns = tuple(dict.fromkeys(metric for _, metric in cells))
  return Table(title, rows, columns, cells, tuple(footnotes), improper)


def write(
  records: Iterable[Record],
  workdir,
  footnotes: Sequence[str] = (),
  title: str = '',
) -> Table:
  """Write table.md, table.tex, table.csv and table.png; return the Table."""
  table = build(records, footnotes, title)
  table.write(workdir)
  return table
