"""Regret against training rows on log-log axes: worlds down, losses across."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from mlc.stats import about
from mlc.tables.plots import COLORS, GREY, INK, MARKERS

if TYPE_CHECKING:
  from mlc.tables.regret_view import Point, Regret

# Below it what is left is the rounding of the decisions, made in float32.
FLOOR = 1e-5
SIZE = 2.9, 2.3  # Inches of a panel.
APART = 1.05  # Each model's points, so that their intervals are.


def figure(regret: Regret) -> Figure:
  """Full lines with 95% intervals: matched decisions; dotted: the others."""
  worlds = list(dict.fromkeys(panel.world for panel in regret.curves))
  losses = list(dict.fromkeys(panel.loss for panel in regret.curves))
  of = [curve for curves in regret.curves.values() for curve in curves]
  models = list(dict.fromkeys(curve.model for curve in of))
  rules = list(dict.fromkeys(curve.decision for curve in of))
  points = [
    point
    for curves in regret.curves.values()
    for points in curves.values()
    for point in points
  ]
  sizes = sorted({point.num_rows for point in points})
  means = [point.mean for point in points if math.isfinite(point.mean)]
  # No lower than what there is to show.
  least = max(min(means, default=FLOOR), FLOOR)
  floor = max(10.0 ** math.floor(math.log10(least)), FLOOR)
  width, height = SIZE[0] * len(losses) + 0.7, SIZE[1] * len(worlds) + 1.3
  made = Figure(figsize=(max(width, 6), height))
  made.set_layout_engine('constrained', wspace=0.04, hspace=0.04)
  grid = made.subplots(
    len(worlds), len(losses), squeeze=False, sharex=True, sharey=True
  )
  for axes in grid.flat:
    _dress(axes, sizes, floor)
    axes.set_ylim(floor, 1.6 * max([*means, 10 * floor]))
  for panel, curves in regret.curves.items():
    axes = grid[worlds.index(panel.world)][losses.index(panel.loss)]
    # The matched last, on top of the others.
    for curve in sorted(curves, key=lambda c: c.decision == panel.loss):
      number = models.index(curve.model)
      _line(
        axes,
        curves[curve],
        APART ** (number - (len(models) - 1) / 2),
        floor,
        matched=curve.decision == panel.loss,
        color=COLORS[number % len(COLORS)],
        marker=MARKERS[rules.index(curve.decision) % len(MARKERS)],
      )
  for axes, loss in zip(grid[0], losses, strict=True):
    axes.set_title(about(f'regret_{loss}').title, fontsize=10, color=INK)
  for axes in grid[-1]:
    axes.set_xlabel('training rows', fontsize=9, color=GREY)
  for axes, world in zip(grid[:, 0], worlds, strict=True):
    text = world.replace('(', '\n(')
    axes.set_ylabel(text, fontsize=9, fontweight='bold', color=INK)
  handles = [
    Line2D([], [], color=COLORS[m % len(COLORS)], lw=2, label=model)
    for m, model in enumerate(models)
  ] + [
    Line2D(
      *([], []),
      color=GREY,
      marker=MARKERS[r % len(MARKERS)],
      ls='',
      ms=5,
      label=f'decision for {rule}',
    )
    for r, rule in enumerate(rules)
  ]
  made.legend(
    handles=handles,
    title='full, with 95% interval: the decision for the loss of the column;'
    ' dotted: another decision',
    loc='outside lower center',
    ncols=4,
    frameon=False,
    fontsize=9,
    title_fontsize=9,
  )
  if regret.title:
    made.suptitle(regret.title, fontsize=12, color=INK)
  return made


def _line(
  axes: Axes, points: tuple[Point, ...], shift, floor, *, matched, color, marker
) -> None:
  """What is at or below the floor is drawn on it, hollow."""
  n = [point.num_rows * shift for point in points]
  mean = [max(point.mean, floor) for point in points]
  style = (
    {'lw': 1.8, 'zorder': 4}
    if matched
    else {'lw': 0.9, 'ls': (0, (1, 1.5)), 'alpha': 0.75, 'zorder': 3}
  )
  axes.plot(n, mean, color=color, **style)
  for x, y, point in zip(n, mean, points, strict=True):
    axes.plot(
      *([x], [y]),
      ls='',
      marker=marker,
      ms=5 if matched else 3.5,
      color=color,
      mfc='white' if point.mean <= floor else color,
      mec='white' if matched and point.mean > floor else color,
      mew=0.6,
      zorder=style['zorder'] + 1,
      clip_on=False,
    )
    if matched and not math.isnan(point.interval[0]):
      low, high = (max(end, floor) for end in point.interval)
      axes.vlines(x, low, high, color=color, lw=1.2, alpha=0.6, zorder=2)


def _dress(axes: Axes, sizes: list[int], floor: float) -> None:
  axes.set_xscale('log')
  axes.set_yscale('log')
  axes.set_xticks(sizes, [f'{n:,}' for n in sizes])
  axes.xaxis.set_minor_locator(NullLocator())
  axes.yaxis.set_major_formatter(
    FuncFormatter(lambda y, _: f'≤ {y:g}' if y <= floor else f'{y:g}')
  )
  axes.yaxis.set_minor_formatter(NullFormatter())
  axes.grid(color='#e3e3e3', lw=0.6)
  axes.set_axisbelow(True)
  axes.spines[['top', 'right']].set_visible(False)
  axes.spines[['bottom', 'left']].set_color('#bbbbbb')
  axes.tick_params(which='both', color='#bbbbbb', labelcolor=GREY, labelsize=8)
