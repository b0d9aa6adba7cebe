"""The verdicts of a study as text: a terminal, files, RESULTS.md."""

from collections.abc import Iterable, Mapping, Sequence
import csv
import dataclasses
import io
import re

from mlc.stats import mean_std
from mlc.tables import forms, study

HEADS = 'method', 'metric', 'verdict'
TITLES = 'ours', 'published', 'difference', 'tolerance'


@dataclasses.dataclass(frozen=True)
class Sheet(forms.View):
  """Verdicts in grids, one for each published table of each data set."""

  verdicts: tuple[study.Verdict, ...]
  digits: int
  title: str = ''

  def grids(self):
    """Reasons stand below, by number."""
    of_table: dict[tuple[str, str], list[forms.Line]] = {}
    for v in self.verdicts:
      key = v.published.cell.dataset, v.published.table
      of_table.setdefault(key, []).append(self._line(v))
    return [
      forms.Grid(HEADS, TITLES, tuple(lines), f'{dataset}: {table}')
      for (dataset, table), lines in of_table.items()
    ]

  @property
  def reasons(self) -> list[str]:
    """Each reason once."""
    return list(dict.fromkeys(v.why for v in self.verdicts if v.why))

  def notes(self, mark):
    del mark  # No cell is the best of its column.
    seeds = sorted({len(v.values) for v in self.verdicts} - {0, 1})
    of = f' over {"-".join(map(str, seeds))} seeds' if seeds else ''
    legend = f'ours: mean ± standard deviation{of}.' if seeds else ''
    numbered = [f'[{n}] {why}.' for n, why in enumerate(self.reasons, 1)]
    return [*([legend] if legend else []), *numbered]

  def _line(self, v: study.Verdict) -> forms.Line:
    row = v.published
    text = v.text
    if row.kind == study.LIKELY:
      text += ' (likely comparable)'
    if v.why:
      text += f' [{self.reasons.index(v.why) + 1}]'

    def number(value, std=None, sign=''):
      spread = '' if std is None or std != std else f' ± {std:.{self.digits}f}'
      return f'{value:{sign}z.{self.digits}f}{spread}'

    texts = [
      number(*mean_std(v.values)) if v.values else '–',
      number(row.value, row.std),
      number(v.difference, sign='+') if v.values else '–',
      number(v.tolerance) if v.target or row.kind == study.LIKELY else '–',
    ]
    names = row.cell.method, row.cell.metric, text
    return forms.Line(names, tuple((text, False) for text in texts))

  def csv(self):
    file = io.StringIO()
    writer = csv.writer(file, lineterminator='\n')
    ours = 'mean', 'std', 'seeds'
    theirs = 'published', 'published_std', 'difference', 'tolerance', 'table'
    writer.writerow([*study.Cell._fields, *ours, *theirs, 'verdict', 'why'])
    for v in self.verdicts:
      row = v.published
      std = '' if row.std is None else row.std
      writer.writerow(
        [
          *(*row.cell, *mean_std(v.values), len(v.values), row.value, std),
          *(v.difference, v.tolerance, row.table, v.text, v.why),
        ]
      )
    return file.getvalue()

  def latex(self):
    """A `longtable` for each grid: they may be longer than a page."""
    lines = [r'% needs \usepackage{booktabs,longtable}']
    for grid in self.grids():
      rows = [
        [*line.names, *(text for text, _ in line.texts)] for line in grid.lines
      ]
      head, *body = (
        ' & '.join(map(forms.tex, row)) + r' \\'
        for row in [[*grid.heads, *grid.titles], *rows]
      )
      lines += [
        rf'\begin{{longtable}}{{{"l" * len(HEADS)}{"r" * len(TITLES)}}}',
        rf'\caption{{{forms.tex(grid.title)}}} \\',
        *(r'\toprule', head, r'\midrule', r'\endhead'),
        *(*body, r'\bottomrule', r'\end{longtable}'),
      ]
    notes = [rf'\par\footnotesize {forms.tex(note)}' for note in self.notes('')]
    return '\n'.join([*lines, *notes, ''])


def block(
  found: Sequence[study.Verdict],
  dataset: str,
  digits: int,
  made: str,
  ours: study.Ours,
) -> str:
  """The Markdown of a data set: targets, and folded away what is none.

  made: by which code, when, in which time. ours: of these, what the source has
  no number of stands in a table of its own.
  """
  near = study.TARGET, study.LIKELY
  shown = tuple(v for v in found if v.published.kind in near)
  others = tuple(v for v in found if v.published.kind not in near)
  parts = [f'### {dataset}', f'{study.summary(found)}.', made]
  if shown:
    parts.append(_below(Sheet(shown, digits).markdown()))
  published = {v.published.cell[1:] for v in found}
  alone = {k: v for k, v in ours.values.items() if k not in published}
  if alone:
    parts.append(f'#### {dataset}: ours alone\n\n{_alone(alone, digits)}')
  if others:
    body = _below(Sheet(others, digits).markdown())
    title = f'{len(others)} published numbers that are no targets'
    parts.append(f'<details><summary>{title}</summary>\n\n{body}\n\n</details>')
  return '\n\n'.join(parts) + '\n'


def compared(
  view: forms.View, made: str, picture: str, last: forms.Grid | None = None
) -> str:
  """The Markdown of a comparison; picture: the file beside it; last: a grid."""
  head, text = f'{view.title}. {made}', view.markdown()
  text = _below(text.removeprefix(f'# {view.title}\n').strip())
  parts = [head, f'![{view.stem}]({picture})', text]
  if last:
    parts.append(f'#### {last.title}\n\n{forms.markdown(last)}')
  return '\n\n'.join(parts) + '\n'


def _alone(values: Mapping[tuple[str, str], Sequence[float]], digits) -> str:
  """A method a row, a metric a column."""
  methods, metrics = (
    list(dict.fromkeys(key[place] for key in values)) for place in (0, 1)
  )
  lines = [['method', *metrics], ['---', *('---:' for _ in metrics)]]
  for method in methods:
    cells = [mean_std(values.get((method, m), ())) for m in metrics]
    texts = [
      '–'
      if mean != mean
      else f'{mean:.{digits}f}' + (f' ± {std:.{digits}f}' if std == std else '')
      for mean, std in cells
    ]
    lines.append([method, *texts])
  return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _below(text: str) -> str:
  """Headings two levels deeper."""
  return re.sub(r'^##', '####', text.strip(), flags=re.M)


TITLE = (
  '# Results\n\nOurs beside published numbers. Generated by `python -m'
  ' experiments.reproduce` and `experiments.compare`; nothing here is typed.\n'
)
STUDY = re.compile(r'<!-- study (\S+) -->\n(.*?)<!-- end study \1 -->', re.S)
SET = re.compile(r'<!-- set (\S+) -->\n(.*?)<!-- end set \1 -->', re.S)


def merged(
  text: str,
  name: str,
  head: str,
  blocks: Mapping[str, str],
  order: Iterable[str],
) -> str:
  """RESULTS.md with some data sets of one study replaced and the rest kept.

  text: what it is now, '' where there is none. blocks: data set -> Markdown.
  order: of all data sets of the study.
  """
  sections = dict(STUDY.findall(text))
  kept = dict(SET.findall(sections.get(name, ''))) | dict(blocks)
  sets = [
    f'<!-- set {key} -->\n{kept[key]}<!-- end set {key} -->\n'
    for key in order
    if key in kept
  ]
  sections[name] = '\n'.join([f'## {name}\n\n{head.strip()}\n', *sets])
  studies = [
    f'<!-- study {key} -->\n{section}<!-- end study {key} -->\n'
    for key, section in sorted(sections.items())
  ]
  return '\n'.join([TITLE, *studies])
