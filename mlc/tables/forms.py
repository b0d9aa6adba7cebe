"""What a table can be written as: Markdown, LaTeX, a terminal, files."""

from collections.abc import Iterable, Sequence
import dataclasses
import io
import pathlib
import re
import sys
from typing import IO, ClassVar, NamedTuple

from matplotlib.figure import Figure
import rich.box
from rich.console import Console
import rich.table
from rich.text import Text

from mlc import run_folder

UNBOUNDED = 10_000  # columns of text


class Line(NamedTuple):
  """A line of a grid; of a text ' ± ' and ' (' may become line breaks."""

  names: tuple[str, ...]
  texts: tuple[tuple[str, bool], ...]  # (text, best of its column)
  gap: bool = False  # Something else begins here.


@dataclasses.dataclass(frozen=True)
class Grid:
  """Text in lines: names under `heads` to the left, then numbers."""

  heads: tuple[str, ...]
  titles: tuple[str, ...]
  lines: tuple[Line, ...]
  title: str = ''

  def part(self, start: int, stop: int | None) -> 'Grid':
    """The same of some columns of numbers, less the lines without any."""
    lines = [line._replace(texts=line.texts[start:stop]) for line in self.lines]
    lines = [line for line in lines if any(t != '–' for t, _ in line.texts)]
    return dataclasses.replace(
      self,
      titles=self.titles[start:stop],
      lines=tuple(lines),
      title='' if start else self.title,
    )


class View:
  """Records as grids with notes and a figure.

  A subclass writes `grids`, `notes`, `csv` and `figure`.
  """

  stem: ClassVar[str]  # Of the names of its files.
  title: str

  def grids(self) -> list[Grid]:
    """What is printed, in this order."""
    raise NotImplementedError

  def notes(self, mark: str) -> list[str]:
    """How to read a cell whose best are told by `mark`, then the footnotes."""
    raise NotImplementedError

  def csv(self) -> str:
    """Long form, full precision."""
    raise NotImplementedError

  def figure(self) -> Figure:
    """The picture."""
    raise NotImplementedError

  def markdown(self) -> str:
    """GitHub tables, legible as plain text too."""
    parts = [f'# {self.title}\n'] if self.title else []
    for grid in self.grids():
      parts += [f'## {grid.title}\n'] if grid.title else []
      parts.append(markdown(grid))
    notes = [f'- {note}' for note in self.notes('in bold')]
    return '\n'.join([*parts, *notes, ''])

  def latex(self) -> str:
    """A `table` float a grid, shrunk to the text width where it is wider."""
    grids = self.grids()
    notes = [
      rf'\par\smallskip{{\footnotesize {tex(note)}\par}}'
      for note in self.notes('in bold')
    ]
    lines = [r'% needs \usepackage{booktabs,graphicx}']
    for grid in grids:
      caption = ': '.join(filter(None, [self.title, grid.title]))
      lines += [
        r'\begin{table}',
        r'\centering',
        *([rf'\caption{{{tex(caption)}}}'] if caption else []),
        *_latex(grid),
        *(notes if grid is grids[-1] else []),
        r'\end{table}',
      ]
    return '\n'.join([*lines, ''])

  def png(self, dpi: int = 200) -> bytes:
    """The figure as a file."""
    file = io.BytesIO()
    self.figure().savefig(file, format='png', dpi=dpi)
    return file.getvalue()

  def print(
    self, file: IO[str] | None = None, width: int | None = None
  ) -> None:
    """To a terminal as wide as it is, to a file as wide as the table is."""
    console = Console(file=file or sys.stdout, width=width)
    plain = not console.is_terminal
    if plain and width is None:
      console.width = UNBOUNDED
    title = self.title
    for grid in self.grids():
      title = '\n'.join(filter(None, [title, grid.title]))
      grid = dataclasses.replace(grid, title=title)
      for table in _fitting(grid, console.width, plain):
        room = Console(width=UNBOUNDED).measure(table).maximum
        console.print(table, width=min(room, console.width))
      title = ''
    for note in self.notes('marked *' if plain else 'in bold'):
      console.print(Text(note, style='dim'))

  def write(self, workdir) -> None:
    """Writes <stem>.md, .tex, .csv and .png.

    All four are made before the first is written: a failure leaves the old
    ones.
    """
    files = {
      'md': self.markdown(),
      'tex': self.latex(),
      'csv': self.csv(),
      'png': self.png(),
    }
    for suffix, content in files.items():
      path = pathlib.Path(workdir) / f'{self.stem}.{suffix}'
      run_folder.atomic_write(path, content)


def markdown(grid: Grid) -> str:
  """A GitHub table, without the grid's title."""
  lines = [[*grid.heads, *grid.titles]]
  for line in grid.lines:
    texts = [f'**{t}**' if best else t for t, best in line.texts]
    lines.append([*line.names, *texts])
  lines = [[text.replace('|', '\\|') for text in line] for line in lines]
  left = len(grid.heads)
  widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
  rule = [f'{"":-<{w}}' for w in widths]
  lines.insert(1, rule[:left] + [r[1:] + ':' for r in rule[left:]])
  sides = '<' * left + '>' * len(grid.titles)
  body = [
    ' | '.join(
      f'{text:{side}{width}}'
      for text, side, width in zip(line, sides, widths, strict=True)
    )
    for line in lines
  ]
  return '\n'.join([*(f'| {b} |' for b in body), ''])


def _latex(grid: Grid) -> list[str]:
  heads = [
    r'\shortstack[r]{' + tex(title).replace(' ', r'\\', 1) + '}'
    for title in grid.titles
  ]
  body = []
  for line in grid.lines:
    if line.gap:
      body.append(r'\addlinespace')
    texts = [
      rf'\textbf{{{tex(text)}}}' if best else tex(text)
      for text, best in line.texts
    ]
    body.append(' & '.join([*map(tex, line.names), *texts]) + r' \\')
  columns = 'l' * len(grid.heads) + 'r' * len(grid.titles)
  return [
    r'\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%',
    rf'\begin{{tabular}}{{{columns}}}',
    r'\toprule',
    ' & '.join([*map(tex, grid.heads), *heads]) + r' \\',
    r'\midrule',
    *body,
    r'\bottomrule',
    r'\end{tabular}}',
  ]


MATH = ('pm', 'times', 'leq', 'geq', 'downarrow', 'uparrow')
SIGN = ('backslash', 'asciitilde', 'asciicircum', 'less', 'greater', 'bar')
TEX = {c: f'\\{c}' for c in '&%$#_{}'}
TEX |= {c: rf'$\{name}$' for c, name in zip('±×≤≥↓↑', MATH, strict=True)}
TEX |= {c: rf'\text{name}{{}}' for c, name in zip('\\~^<>|', SIGN, strict=True)}
# '[' would be the optional argument of the line break before it.
TEX |= {'[': '{[}', '–': '--'}


def tex(text: str) -> str:
  """`text` with TeX's special characters escaped and infinity as a sign."""
  text = ''.join(TEX.get(c, c) for c in text)
  return re.sub(r'^inf\b', lambda _: r'$\infty$', text)


def _fitting(grid: Grid, room: int, plain: bool) -> Iterable[rich.table.Table]:
  """Looser to tighter, the first form that fits, or two halves of it."""
  table = None
  for sep in (' ± ', '±', '\n±'):
    table = _rich(grid, sep, plain)
    if Console(width=UNBOUNDED).measure(table).maximum <= room:
      return [table]
  half = len(grid.titles) // 2
  if not half:
    return [table]
  halves = grid.part(0, half), grid.part(half, None)
  return [t for part in halves for t in _fitting(part, room, plain)]


def _rich(grid: Grid, sep: str, plain: bool) -> rich.table.Table:
  """The grid with this `sep`; a line break stacks the names too."""
  narrow = '\n' in sep
  table = rich.table.Table(
    title=Text(grid.title),
    title_justify='left',
    box=rich.box.SIMPLE_HEAD,
    padding=(0, 0 if narrow else 1, 0, 0),
    pad_edge=False,
  )

  def stack(names: Sequence[str]) -> list[str]:
    if not narrow or len(names) == 1:
      return list(names)
    return ['\n'.join(filter(None, names[:-1])), names[-1]]

  for head in stack(grid.heads):
    table.add_column(head, no_wrap=True)
  for title in grid.titles:
    title = title.replace(' ', '\n', -1 if narrow else 1)
    table.add_column(title, justify='right', overflow='fold')
  above = ()
  for number, line in enumerate(grid.lines):
    if line.gap and number:
      table.add_row()
    # A name is said where it changes; the last one on every line.
    *names, last = line.names
    for i in range(len(names)):
      if line.names[: i + 1] == above[: i + 1]:
        names[i] = ''
    texts = []
    for text, best in line.texts:
      text = text.replace(' ± ', sep)
      text = text.replace(' (', '\n(') if narrow else text
      mark = '*' if best and plain else ''
      texts.append(Text(mark + text, 'bold' if best else ''))
    table.add_row(*map(Text, stack([*names, last])), *texts)
    above = line.names
  return table
