"""A table as points with intervals: one panel a metric, one line a model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlc.stats import about, confidence_interval, mean_std

if TYPE_CHECKING:
  from mlc.tables.report import Table

PANELS = (
  *('hamming_loss', 'subset_accuracy', 'example_f1'),
  *('macro_f1', 'lrap', 'nll'),
)
# Okabe and Ito, "Color universal design", 2008: told apart by color-blind
# readers; the shapes tell the rules apart in grey.
COLORS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9')
MARKERS = ('o', 's', '^', 'D', 'v', 'P', 'X')
INK, GREY, BAND = '#222222', '#6b6b6b', '#f4f4f4'
NO_RULE = 'any decision'


def points(table: Table) -> Figure:
  """Means with 95% intervals over seeds, data sets below each other.

  Metrics that do not depend on the decision have one point a model.
  """
  panels = [m for m in PANELS if m in table.columns] or list(table.columns)
  datasets = list(dict.fromkeys(row.dataset for row in table.rows))
  rules = list(dict.fromkeys(row.decision for row in table.rows))
  styles = {
    rule: (COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)])
    for i, rule in enumerate(rules)
  }
  styles[NO_RULE] = (INK, 'o')
  lines = {
    dataset: list(
      dict.fromkeys(r[1:3] for r in table.rows if r.dataset == dataset)
    )
    for dataset in datasets
  }
  wide = min(3, len(panels))
  deep = math.ceil(len(panels) / wide)
  heights = [0.8 + 0.4 * len(lines[d]) for d in datasets for _ in range(deep)]
  figure = Figure(figsize=(2.2 + 2.9 * wide, sum(heights) + 0.6))
  figure.set_layout_engine('constrained', wspace=0.05, hspace=0.03)
  grid = figure.subplots(
    deep * len(datasets),
    wide,
    squeeze=False,
    sharey='row',
    gridspec_kw={'height_ratios': heights},
  )
  handles = {}
  for d, dataset in enumerate(datasets):
    for i in range(deep * wide):
      axes = grid[d * deep + i // wide][i % wide]
      if i >= len(panels):
        axes.set_axis_off()
        continue
      _panel(axes, table, dataset, panels[i], lines[dataset], styles, handles)
    if len(datasets) > 1:
      grid[d * deep][0].set_ylabel(dataset, fontweight='bold', color=INK)
  order = [rule for rule in styles if rule in handles]
  figure.legend(
    [handles[rule] for rule in order],
    order,
    title='mean and 95% interval over seeds, by decision rule',
    loc='outside lower center',
    ncols=min(len(order), 6),
    frameon=False,
    handletextpad=0.2,
    fontsize=9,
    title_fontsize=9,
  )
  if table.title:
    figure.suptitle(table.title, fontsize=12, color=INK)
  return figure


def _panel(
  axes: Axes,
  table: Table,
  dataset: str,
  metric: str,
  lines: list[tuple[str, str]],
  styles: dict,
  handles: dict,
) -> None:
  """One metric; what it drew is added to `handles` by rule."""
  kind = about(metric)
  rules = [r for r in styles if (r == NO_RULE) != kind.by_decision]
  for y, line in enumerate(lines):
    if y % 2 == 0:
      axes.axhspan(y - 0.5, y + 0.5, color=BAND, lw=0, zorder=0)
    cells = {
      row.decision if kind.by_decision else NO_RULE: table.cells[row, metric]
      # Reversed, so that the first row is the one that stays.
      for row in reversed(table.rows)
      if row[:3] == (dataset, *line) and (row, metric) in table.cells
    }
    for i, rule in enumerate(rules):
      if rule not in cells:
        continue
      color, marker = styles[rule]
      at = y + 0.76 * ((i + 0.5) / len(rules) - 0.5)
      mean = mean_std(cells[rule].values)[0]
      if not math.isfinite(mean):
        axes.text(
          0.97,
          at,
          cells[rule].text(),
          transform=axes.get_yaxis_transform(),
          ha='right',
          va='center',
          fontsize=8,
          color=color,
        )
        continue
      low, high = confidence_interval(cells[rule].values)
      if math.isfinite(low):
        axes.plot([low, high], [at, at], color=color, lw=1.3, zorder=2)
      handles[rule] = axes.plot(
        *([mean], [at]),
        marker=marker,
        ms=5,
        ls='',
        color=color,
        mec='white',
        mew=0.6,
        zorder=3,
      )[0]
  axes.set_ylim(len(lines) - 0.5, -0.5)
  several = len({model for model, _ in lines}) < len(lines)
  axes.set_yticks(
    range(len(lines)),
    [f'{m} ({i})' if several and i else m for m, i in lines],
  )
  if axes.lines:
    axes.locator_params(axis='x', nbins=5)
  else:  # all infinite: there is no scale to show
    axes.set_xticks([])
  axes.set_title(kind.title, loc='left', fontsize=10, color=INK)
  way = '← better' if kind.lower else 'better →'
  axes.set_title(way, loc='right', fontsize=8, color=GREY)
  axes.grid(axis='x', color='#dddddd', lw=0.6)
  axes.set_axisbelow(True)
  axes.spines[['top', 'left', 'right']].set_visible(False)
  axes.spines['bottom'].set_color('#bbbbbb')
  axes.tick_params(axis='y', length=0, labelsize=9, labelcolor=INK)
  axes.tick_params(axis='x', labelsize=8, color='#bbbbbb', labelcolor=GREY)
