"""A decision matrix in colours: each column scaled by its own best and worst.

The colour goes by the square root of the cost: a degenerate rule, which is far
off nearly everywhere, would else leave all others white.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
import numpy as np

from mlc.decisions import targets
from mlc.stats import about
from mlc.tables.plots import GREY, INK

if TYPE_CHECKING:
  from mlc.tables.matrix import Matrix, Panel

# White to a dark orange of one hue: read in grey too.
COLORMAP = LinearSegmentedColormap.from_list(
  'cost', ['#ffffff', '#fdd9b5', '#f4a261', '#d55e00', '#8c3b00']
)
NORM = PowerNorm(0.5, 0, 1)
DARK = 0.45  # Of the colour map, from where ink is white.
WIDE, HIGH = 0.62, 0.36  # Inches of a cell.
GAP = 0.45  # Inches above a panel, for its title.
NONE = '#f0f0f0'


def figure(matrix: Matrix) -> Figure:
  """Panels below each other, the number in each cell."""
  panels = matrix.panels
  columns = len(panels[0].columns)
  names = max(len(row) for panel in panels for row in panel.rows)
  # Inches of text at 45 degrees, and how far it leans out to the right.
  heads = [0.042 * len(about(c).title) for c in panels[0].columns]
  head = 0.35 + max(heads)
  heights = [HIGH * (len(panel.rows) + 1) for panel in panels]
  left, foot = 0.2 + 0.085 * max(names, 12), 0.85
  right = max(h - WIDE * i for i, h in enumerate(reversed(heads)))
  top = 0.45 if matrix.title else 0.1
  width = max(left + WIDE * columns + max(right, 0.1), 5.5)
  height = top + foot + sum(heights) + (head + GAP) * len(panels)
  made = Figure(figsize=(width, height))
  above = top
  for panel, high in zip(panels, heights, strict=True):
    above += GAP + head
    box = left, height - above - high, WIDE * columns, high
    axes = made.add_axes(
      (box[0] / width, box[1] / height, box[2] / width, box[3] / height)
    )
    _panel(axes, panel)
    made.text(
      0.1 / width,
      1 - (above - head - 0.2) / height,
      panel.title,
      fontweight='bold',
      fontsize=10,
      color=INK,
    )
    above += high
  bar = made.add_axes((left / width, 0.5 / height, 2.2 / width, 0.12 / height))
  scale = ScalarMappable(NORM, COLORMAP)
  made.colorbar(scale, cax=bar, orientation='horizontal', ticks=[0, 0.25, 1])
  bar.set_xticklabels(['best of\nits column', '¼ of the\ncost', 'worst'])
  bar.tick_params(labelsize=8, color=GREY, labelcolor=INK, length=2)
  bar.spines['outline'].set_color(GREY)
  made.text(
    (left + 2.6) / width,
    0.56 / height,
    'outlined: made for this metric\nbold: best of its column',
    va='center',
    fontsize=8,
    color=INK,
  )
  if matrix.title:
    made.text(
      0.1 / width,
      1 - 0.3 / height,
      matrix.title,
      fontsize=12,
      color=INK,
    )
  return made


def _panel(axes: Axes, panel: Panel) -> None:
  rows, columns = panel.rows, panel.columns
  colors = np.ones((len(rows) + 1, len(columns), 4))
  for j, metric in enumerate(columns):
    costs = panel.costs(metric)
    worst = max(costs.values(), default=0.0)
    for i, row in enumerate(rows):
      cell = panel.cells.get((row, metric))
      if cell is None or row not in costs:  # No cell, or infinite.
        colors[i, j, :3] = [int(NONE[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        _say(axes, j, i, cell.mean if cell else '–', GREY)
        continue
      level = float(NORM(costs[row] / worst)) if worst else 0.0
      colors[i, j] = COLORMAP(level)
      ink = 'white' if level > DARK else INK
      _say(axes, j, i, cell.mean, ink, 'bold' if cell.best else 'normal')
    _say(axes, j, len(rows), f'{worst:.3f}', GREY)
    _say(axes, j, -0.72, about(metric).arrow, INK)
  axes.imshow(colors, aspect='auto')
  for i, row in enumerate(rows):
    if (target := targets.target(row)) in columns:
      corner = columns.index(target) - 0.46, i - 0.45
      axes.add_patch(
        Rectangle(corner, 0.92, 0.9, fill=False, ec=INK, lw=1.6, zorder=3)
      )
  axes.set_xticks(
    range(len(columns)),
    [about(metric).title for metric in columns],
    rotation=45,
    ha='left',
    rotation_mode='anchor',
  )
  axes.xaxis.set_ticks_position('top')
  axes.set_yticks(range(len(rows) + 1), [*rows, 'worst − best'])
  axes.tick_params(length=0, labelsize=9, labelcolor=INK)
  axes.tick_params(axis='x', pad=13)  # For the arrows, which stay upright.
  axes.get_yticklabels()[-1].set_color(GREY)
  axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
  axes.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
  axes.grid(which='minor', color='#dddddd', lw=0.8)
  axes.tick_params(which='minor', length=0)
  axes.spines[:].set_visible(False)


def _say(axes: Axes, x, y, text: str, color, weight: str = 'normal') -> None:
  axes.text(
    *(x, y, text),
    ha='center',
    va='center',
    fontsize=9,
    color=color,
    fontweight=weight,
  )
