"""Records -> one table -> terminal, Markdown, LaTeX, CSV and a plot."""

from collections.abc import Iterable, Sequence
import csv
import dataclasses
import io
import math
import pathlib
import re
import sys
from typing import IO, NamedTuple

import rich.box
from rich.console import Console
import rich.table
from rich.text import Text

from mlc import plots, run_folder
from mlc.errors import InputError, nearest
from mlc.stats import METRICS, Cell, mean_std

UNBOUNDED = 10_000  # columns of text
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


@dataclasses.dataclass(frozen=True)
class Table:
  """Rows and columns in the order of the records, and the cells there are."""

  title: str
  rows: tuple[Row, ...]
  columns: tuple[str, ...]
  cells: dict[tuple[Row, str], Cell]
  footnotes: tuple[str, ...]
  improper: frozenset[Row] = frozenset()

  @property
  def heads(self) -> tuple[str, ...]:
    """Titles of the columns of names."""
    return self._names(
      Row('data set', 'model', 'inference', 'decision'), 'proper'
    )

  @property
  def titles(self) -> list[str]:
    """Titles of the columns of numbers, with arrows to where better is."""
    return [f'{METRICS[c].title} {METRICS[c].arrow}' for c in self.columns]

  def notes(self, mark: str) -> list[str]:
    """How to read a cell whose best are told by `mark`, then the footnotes."""
    seeds = sorted({len(cell.values) for cell in self.cells.values()} - {1})
    of = f'mean ± std over {"-".join(map(str, seeds))} seeds; ' if seeds else ''
    legend = f'best of each column {mark}; ↓ lower is better, ↑ higher.'
    marks = [NOT_PROPER] if self.improper else []
    return [of + legend, *marks, *self.footnotes]

  def markdown(self) -> str:
    """A GitHub table, legible as plain text too."""
    lines = [[*self.heads, *self.titles]]
    for row in self.rows:
      texts = [f'**{t}**' if best else t for t, best in self._texts(row)]
      lines.append([*self._names(row), *texts])
    lines = [[text.replace('|', '\\|') for text in line] for line in lines]
    left = len(self.heads)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = [f'{"":-<{w}}' for w in widths]
    lines.insert(1, rule[:left] + [r[1:] + ':' for r in rule[left:]])
    sides = '<' * left + '>' * len(self.columns)
    body = [
      ' | '.join(
        f'{text:{side}{width}}'
        for text, side, width in zip(line, sides, widths, strict=True)
      )
      for line in lines
    ]
    head = [f'# {self.title}', ''] if self.title else []
    notes = [f'- {note}' for note in self.notes('in bold')]
    return '\n'.join([*head, *(f'| {b} |' for b in body), '', *notes, ''])

  def latex(self) -> str:
    """A `table` float, shrunk to the text width where it is wider."""
    heads = [
      r'\shortstack[r]{' + _tex(title).replace(' ', r'\\', 1) + '}'
      for title in self.titles
    ]
    body, above = [], None
    for row in self.rows:
      if above and row[:2] != above[:2]:
        body.append(r'\addlinespace')
      above = row
      texts = [
        rf'\textbf{{{_tex(text)}}}' if best else _tex(text)
        for text, best in self._texts(row)
      ]
      names = map(_tex, self._names(row))
      body.append(' & '.join([*names, *texts]) + r' \\')
    notes = [
      rf'\par\smallskip{{\footnotesize {_tex(note)}\par}}'
      for note in self.notes('in bold')
    ]
    columns = 'l' * len(self.heads) + 'r' * len(self.columns)
    lines = [
      r'% needs \usepackage{booktabs,graphicx}',
      r'\begin{table}',
      r'\centering',
      *([rf'\caption{{{_tex(self.title)}}}'] if self.title else []),
      r'\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%',
      rf'\begin{{tabular}}{{{columns}}}',
      r'\toprule',
      ' & '.join([*map(_tex, self.heads), *heads]) + r' \\',
      r'\midrule',
      *body,
      r'\bottomrule',
      r'\end{tabular}}',
      *notes,
      r'\end{table}',
    ]
    return '\n'.join([*lines, ''])

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

  def png(self) -> bytes:
    """The main metrics as points with intervals."""
    file = io.BytesIO()
    plots.points(self).savefig(file, format='png', dpi=200)
    return file.getvalue()

  def print(
    self, file: IO[str] | None = None, width: int | None = None
  ) -> None:
    """To a terminal as wide as it is, to a file as wide as the table is."""
    console = Console(file=file or sys.stdout, width=width)
    plain = not console.is_terminal
    if plain and width is None:
      console.width = UNBOUNDED
    for table in self._fitting(console.width, plain):
      room = Console(width=UNBOUNDED).measure(table).maximum
      console.print(table, width=min(room, console.width))
    for note in self.notes('marked *' if plain else 'in bold'):
      console.print(Text(note, style='dim'))

  def _fitting(self, room: int, plain: bool) -> list[rich.table.Table]:
    """Looser to tighter, the first form that fits, or two halves of it."""
    table = None
    for sep in (' ± ', '±', '\n±'):
      table = self._rich(sep, plain)
      if Console(width=UNBOUNDED).measure(table).maximum <= room:
        return [table]
    half = len(self.columns) // 2
    if not half:
      return [table]
    first = dataclasses.replace(self, columns=self.columns[:half])
    rest = dataclasses.replace(self, columns=self.columns[half:], title='')
    return first._fitting(room, plain) + rest._fitting(room, plain)

  def _proper(self, row: Row) -> str:
    return 'no' if row in self.improper else 'yes'

  def _marked(self, names: Sequence[str], proper: str) -> tuple[str, ...]:
    """`proper` put behind the model, where a row of the table is not."""
    return (*names[:2], *([proper] if self.improper else []), *names[2:])

  def _names(self, row: Row, proper: str = '') -> tuple[str, ...]:
    """The row's names, the data set only where there are several."""
    names = self._marked(row, proper or self._proper(row))
    return names[len({row.dataset for row in self.rows}) == 1 :]

  def _texts(self, row: Row, sep: str = ' ± ') -> list[tuple[str, bool]]:
    """(text, best) of each column."""
    cells = [self.cells.get((row, column)) for column in self.columns]
    return [(c.text(sep), c.best) if c else ('–', False) for c in cells]

  def _rich(self, sep: str, plain: bool) -> rich.table.Table:
    """The table with this `sep`; a line break stacks the names too."""
    narrow = '\n' in sep
    table = rich.table.Table(
      title=Text(self.title),
      title_justify='left',
      box=rich.box.SIMPLE_HEAD,
      padding=(0, 0 if narrow else 1, 0, 0),
      pad_edge=False,
    )

    def stack(names):
      first = '\n'.join(filter(None, names[:-1]))
      return [first, names[-1]] if narrow else names

    for head in stack(self.heads):
      table.add_column(head, no_wrap=True)
    for title in self.titles:
      title = title.replace(' ', '\n', -1 if narrow else 1)
      table.add_column(title, justify='right', overflow='fold')
    above, names_above = Row('', '', '', ''), ()
    for row in self.rows:
      if above.model and row[:2] != above[:2]:
        table.add_row()
      # A name is said where it changes; the decision on every line.
      *names, decision = full = self._names(row)
      for i in range(len(names)):
        if full[: i + 1] == names_above[: i + 1]:
          names[i] = ''
      texts = [
        Text('*' * (best and plain) + text, 'bold' if best else '')
        for text, best in self._texts(row, sep)
      ]
      table.add_row(*map(Text, stack([*names, decision])), *texts)
      above, names_above = row, full
    return table


def build(
  records: Iterable[Record], footnotes: Sequence[str] = (), title: str = ''
) -> Table:
  """Records -> Table, in their order, with the best of each column marked.

  Best is by data set and by the mean as printed: ties are all marked, inf and
  nan never. Raises InputError for no record, a cell given twice or without a
  value, and an unknown metric. The NLL of a model that gives no probabilities
  is left out: beside the others it would say how far its scores are from being
  calibrated, and read as how badly the model fits.
  """
  improper = set()
  cells: dict[tuple[Row, str], Cell] = {}
  rivals: dict[tuple[str, str], list[float]] = {}
  for record in records:
    row, metric = Row(*record[:4]), record.metric
    if not record.proper:
      improper.add(row)
    if metric == 'nll' and not record.proper:
      continue
    if metric not in METRICS:
      raise nearest(metric, METRICS, 'metric')
    if (row, metric) in cells or not record.values:
      raise InputError(
        f'the records give {metric} of {"/".join(row)} twice or without a '
        'value; give each cell once, with one value a seed'
      )
    cell = Cell(tuple(record.values), record.note, METRICS[metric].digits)
    cells[row, metric] = cell
    if math.isfinite(mean := float(cell.mean)):
      rivals.setdefault((row.dataset, metric), []).append(mean)
  if not cells:
    raise InputError('no records to report; run at least one model first')
  for (row, metric), cell in cells.items():
    pick = min if METRICS[metric].lower else max
    best = pick(rivals.get((row.dataset, metric), [math.nan]))
    cells[row, metric] = cell._replace(best=float(cell.mean) == best)
  rows = tuple(dict.fromkeys(row for row, _ in cells))
  columns = tuple(dict.fromkeys(metric for _, metric in cells))
  return Table(
    title, rows, columns, cells, tuple(footnotes), frozenset(improper)
  )


def write(
  records: Iterable[Record],
  workdir,
  footnotes: Sequence[str] = (),
  title: str = '',
) -> Table:
  """Write table.md, table.tex, table.csv and table.png; return the Table.

  All four are made before the first is written: a failure leaves the old ones.
  """
  table = build(records, footnotes, title)
  files = {
    'table.md': table.markdown(),
    'table.tex': table.latex(),
    'table.csv': table.csv(),
    'table.png': table.png(),
  }
  for name, content in files.items():
    run_folder.atomic_write(pathlib.Path(workdir) / name, content)
  return table


MATH = ('pm', 'times', 'leq', 'geq', 'downarrow', 'uparrow')
SIGN = ('backslash', 'asciitilde', 'asciicircum', 'less', 'greater', 'bar')
TEX = {c: f'\\{c}' for c in '&%$#_{}'}
TEX |= {c: rf'$\{name}$' for c, name in zip('±×≤≥↓↑', MATH, strict=True)}
TEX |= {c: rf'\text{name}{{}}' for c, name in zip('\\~^<>|', SIGN, strict=True)}
# '[' would be the optional argument of the line break before it.
TEX |= {'[': '{[}', '–': '--'}


def _tex(text: str) -> str:
  """`text` with TeX's special characters escaped and infinity as a sign."""
  text = ''.join(TEX.get(c, c) for c in text)
  return re.sub(r'^inf\b', lambda _: r'$\infty$', text)
