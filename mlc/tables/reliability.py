"""Reliability diagrams: whether marginals of .7 are right in 7 of 10 cells."""

from collections.abc import Mapping

from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
import numpy as np

from mlc import metrics
from mlc.tables.plots import COLORS, GREY, INK

PALE = '#80b8d8'  # The first of COLORS, half of it white.
WIDE = 4  # panels beside each other


def diagram(
  p_by_name: Mapping[str, np.ndarray], y_NxL, mask_NxL, *, title: str = ''
) -> Figure:
  """Frequency against marginal, a panel each of `p_by_name` (KxNxL).

  All observed cells of all labels and runs, in the bins of `metrics.ece`: 15 of
  equal width; below, how many cells a bin holds. ECE is the mean over runs, as
  in a table. Whiskers: 95%, as if cells were independent (Wilson, JASA 22,
  1927). Source: DeGroot & Fienberg, The Statistician 32, 1983; Guo et al., ICML
  2017, Fig. 1.
  """
  deep, wide = -(-len(p_by_name) // WIDE), min(WIDE, len(p_by_name))
  figure = Figure(figsize=(0.5 + 2.6 * wide, 0.3 + 3.4 * deep))
  figure.set_layout_engine('constrained', wspace=0.04, hspace=0.02)
  grid = figure.subplots(
    2 * deep,
    wide,
    squeeze=False,
    sharex=True,
    sharey='row',
    gridspec_kw={'height_ratios': [3.4, 1] * deep},
  )
  for i, (name, p_KxNxL) in enumerate(p_by_name.items()):
    row, column = divmod(i, wide)
    above, below = grid[2 * row, column], grid[2 * row + 1, column]
    bins = [metrics.ece.update(p_NxL, y_NxL, mask_NxL) for p_NxL in p_KxNxL]
    ece = np.mean([metrics.ece.value(b) for b in bins])
    # Of each bin, over labels and runs.
    cells_M, p_M, y_M = (
      np.sum([np.asarray(b[j], float).sum(1) for b in bins], axis=0)
      for j in range(3)
    )
    _curve(above, cells_M, p_M, y_M)
    above.set_title(
      f'{name}\nECE {ece:.4f}',
      loc='left',
      fontsize=9,
      color=INK,
      parse_math=False,
    )
    _counts(below, cells_M)
    # Labelled where no panel is below, which would share its axis.
    below.tick_params(labelbottom=i + wide >= len(p_by_name))
    if not column:
      above.set_ylabel('share of positives', fontsize=9, color=INK)
      below.set_ylabel('cells', fontsize=9, color=INK)
  for axes in grid.flat:
    _plain(axes)
  for i in range(len(p_by_name), deep * wide):
    for half in range(2):
      grid[2 * (i // wide) + half, i % wide].set_axis_off()
  figure.supxlabel('marginal, 15 bins of equal width', fontsize=9, color=INK)
  if title:
    figure.suptitle(title, fontsize=11, color=INK, parse_math=False)
  return figure


def _curve(axes: Axes, cells_M, p_M, y_M) -> None:
  """Mean marginal and share of positives of each bin that holds a cell."""
  full_M = cells_M > 0
  cells_M, p_M, y_M = cells_M[full_M], p_M[full_M], y_M[full_M]
  at_M, share_M = p_M / cells_M, y_M / cells_M
  axes.plot([0, 1], [0, 1], color='#bbbbbb', lw=1, ls='--', zorder=1)
  axes.vlines(at_M, *_wilson(share_M, cells_M), color=COLORS[0], lw=0.9)
  axes.plot(
    at_M,
    share_M,
    color=COLORS[0],
    lw=1.3,
    marker='o',
    ms=4.5,
    mec='white',
    mew=0.6,
    zorder=3,
  )
  axes.set_xlim(-0.02, 1.02)
  axes.set_ylim(-0.02, 1.02)
  axes.yaxis.set_major_locator(ticker.MultipleLocator(0.25))


def _wilson(share_M, cells_M):
  """Ends of the 95% score interval of a share."""
  z = 1.96
  width_M = 1 + z**2 / cells_M
  middle_M = (share_M + z**2 / (2 * cells_M)) / width_M
  spread_M = share_M * (1 - share_M) / cells_M + z**2 / (4 * cells_M**2)
  half_M = z * np.sqrt(spread_M) / width_M
  return middle_M - half_M, middle_M + half_M


def _counts(axes: Axes, cells_M) -> None:
  """How many cells each bin holds, on a logarithmic axis."""
  edges = np.linspace(0, 1, len(cells_M) + 1)
  axes.bar(
    *(edges[:-1], cells_M),
    width=np.diff(edges),
    align='edge',
    color=PALE,
    ec='white',
    lw=0.6,
  )
  axes.set_yscale('log')
  axes.set_ylim(0.7)
  axes.yaxis.set_major_locator(ticker.LogLocator(numticks=4))
  axes.yaxis.set_minor_locator(ticker.NullLocator())
  axes.xaxis.set_major_locator(ticker.MultipleLocator(0.25))


def _plain(axes: Axes) -> None:
  axes.grid(color='#dddddd', lw=0.6)
  axes.set_axisbelow(True)
  axes.spines[['top', 'right']].set_visible(False)
  axes.spines[['left', 'bottom']].set_color('#bbbbbb')
  axes.tick_params(which='both', labelsize=8, color='#bbbbbb', labelcolor=GREY)
