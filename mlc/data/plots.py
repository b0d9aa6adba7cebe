"""Pictures of the labels of a data set: which together, how often, how many."""

import io
import pathlib

from matplotlib import colormaps, ticker
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
import numpy as np
from scipy import sparse
from scipy.cluster import hierarchy
from scipy.spatial import distance

from mlc import run_folder
from mlc.data import statistics
from mlc.data.dataset import Dataset
from mlc.errors import InputError
from mlc.tables.plots import COLORS, GREY, INK, MARKERS

MOST = 60  # labels of a heat map
WRITTEN_OUT = 15  # labels of a heat map whose cells hold numbers
LIMIT = 8.0  # lift, and one over it, where colours end
NAME = 34  # characters of a label's name
BLANK, RULE = '#cccccc', '#bbbbbb'


def write(data: Dataset, folder) -> list[pathlib.Path]:
  """Writes cooccurrence.png, frequency.png and cardinality.png.

  All are made before the first is written.

  Raises:
    InputError: a folder that cannot be made.
  """
  folder = pathlib.Path(folder)
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise InputError(
      f'cannot make {folder}: {error.strerror}: give another folder'
    ) from None
  figures = {
    'cooccurrence.png': cooccurrence(data),
    'frequency.png': frequency(data),
    'cardinality.png': cardinality(data),
  }
  pictures = {folder / name: _png(made) for name, made in figures.items()}
  for path, picture in pictures.items():
    run_folder.atomic_write(path, picture)
  return list(pictures)


def cooccurrence(data: Dataset) -> Figure:
  """Lift of the most frequent labels as a heat map, similar ones together."""
  on_NxL = statistics.on(data.labels)
  count_L = on_NxL.sum(0)
  shown = np.argsort(-count_L, kind='stable')[:MOST]
  lift_LxL, expected_LxL = lift(
    on_NxL[:, shown], data.labels.missing_NxL[:, shown]
  )
  # With fewer, none is no news: the rule of three (Hanley & Lippman-Hand, JAMA
  # 1983), exp(-3) = 5%.
  lift_LxL[(lift_LxL == 0) & (expected_LxL < 3)] = np.nan
  np.fill_diagonal(lift_LxL, np.nan)
  order = clustered(lift_LxL)
  lift_LxL, shown = lift_LxL[np.ix_(order, order)], shown[order]

  names = [_short(data.label_names[label]) for label in shown]
  size = 8 if len(shown) <= 30 else 6.5
  # Inches: of the map, and of the longest name at 0.6 em a letter.
  side = np.clip(0.16 * len(shown), 2.8, 9.6)
  beside = 0.6 * size / 72 * max(map(len, names))
  figure = Figure(
    figsize=(side + beside + 1.4, side + beside + 0.8), layout='compressed'
  )
  axes = figure.subplots()
  colors = colormaps['RdBu_r'].with_extremes(bad=BLANK)
  drawn = axes.imshow(
    np.clip(lift_LxL, 1 / LIMIT, LIMIT),
    cmap=colors,
    norm=LogNorm(1 / LIMIT, LIMIT),
    interpolation='nearest',
  )
  style = {'fontsize': size, 'parse_math': False}
  axes.set_xticks(range(len(names)), names, rotation=90, **style)
  axes.set_yticks(range(len(names)), names, **style)
  axes.tick_params(length=0, labelcolor=INK)
  axes.spines[:].set_visible(False)
  if len(shown) <= WRITTEN_OUT:
    _write_out(axes, lift_LxL)
  ticks = [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8]
  bar = figure.colorbar(drawn, ax=axes, shrink=0.7, aspect=25, ticks=ticks)
  bar.set_ticklabels(['≤ 1/8', '1/4', '1/2', '1', '2', '4', '≥ 8'])
  bar.minorticks_off()
  bar.set_label('lift, P(i, j) / (P(i) P(j))', fontsize=8, color=INK)
  bar.ax.tick_params(labelsize=8, color=RULE, labelcolor=GREY)
  bar.outline.set_visible(False)
  which = f'{len(shown)} labels'
  if len(shown) < data.num_labels:
    which = f'the {len(shown)} most frequent of {data.num_labels:,} labels'
  _title(axes, data.name, f'co-occurrence over independence, {which}')
  figure.supxlabel(
    'grey: a label with itself, or a pair that never occurs\n'
    'where independence expects fewer than 3 rows',
    fontsize=7,
    color=GREY,
  )
  return figure


def lift(
  on_NxL: sparse.csr_array, missing_NxL: sparse.csr_array
) -> tuple[np.ndarray, np.ndarray]:
  """(L, L) lift P(i, j) / (P(i) P(j)) and rows expected of independent labels.

  Over the rows where both labels are observed; lift is NaN where no row is
  expected. Brin, Motwani & Silverstein, SIGMOD 1997, there called interest.
  """
  num_rows = len(on_NxL.indptr) - 1
  one_NxL, hidden_NxL = on_NxL.astype(float), missing_NxL.astype(float)
  # [i, j]: rows where i is on and j is observed; where both are observed.
  alone_LxL = one_NxL.sum(0)[:, None] - (one_NxL.T @ hidden_NxL).toarray()
  hidden_L = hidden_NxL.sum(0)
  observed_LxL = num_rows - hidden_L[:, None] - hidden_L[None]
  observed_LxL += (hidden_NxL.T @ hidden_NxL).toarray()
  expected_LxL = alone_LxL * alone_LxL.T / np.maximum(observed_LxL, 1)
  together_LxL = (one_NxL.T @ one_NxL).toarray()
  lift_LxL = np.full(together_LxL.shape, np.nan)
  np.divide(together_LxL, expected_LxL, lift_LxL, where=expected_LxL > 0)
  return lift_LxL, expected_LxL


def clustered(lift_LxL: np.ndarray) -> np.ndarray:
  """An order of labels in which those of high lift stand together.

  Average linkage of -log lift, NaN taken as 1, with the leaves ordered as Bar-
  Joseph, Gifford & Jaakkola, Bioinformatics 2001.
  """
  if len(lift_LxL) < 2:
    return np.arange(len(lift_LxL))
  log_LxL = np.log(np.clip(np.nan_to_num(lift_LxL, nan=1), 1 / LIMIT, LIMIT))
  apart = distance.squareform(np.log(LIMIT) - log_LxL, checks=False)
  tree = hierarchy.linkage(apart, 'average', optimal_ordering=True)
  return hierarchy.leaves_list(tree)


def frequency(data: Dataset) -> Figure:
  """Share of the rows of each split that have a label, labels by frequency."""
  on_NxL = statistics.on(data.labels)
  figure, axes = _small()
  shares = []
  for i, (split, rows) in enumerate(data.splits.items()):
    share_L = np.sort(on_NxL[rows].sum(0) / len(rows))[::-1]
    share_L = share_L[share_L > 0]
    absent = data.num_labels - len(share_L)
    axes.plot(
      np.arange(1, len(share_L) + 1),
      share_L,
      color=COLORS[i],
      lw=1.3,
      marker=MARKERS[i] if data.num_labels <= 40 else '',
      ms=4,
      label=f'{split}, {absent:,} absent' if absent else split,
    )
    shares.extend(share_L)
  if max(shares, default=1) > 10 * min(shares, default=1):
    axes.set_yscale('log')
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_formatter(ticker.NullFormatter())
  else:
    axes.set_ylim(0)
  if data.num_labels > 100:
    axes.set_xscale('log')
    axes.xaxis.set_major_formatter('{x:,.0f}')
  else:
    axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
  axes.yaxis.set_major_formatter(lambda y, _: f'{100 * y:.3g}%')
  axes.grid(axis='y', color='#dddddd', lw=0.6)
  axes.legend(frameon=False, fontsize=8, labelcolor=INK)
  axes.set_xlabel('rank of the label in the split')
  axes.set_ylabel('rows with the label')
  _title(axes, data.name, f'label frequency, {data.num_labels:,} labels')
  return figure


def cardinality(data: Dataset) -> Figure:
  """Share of rows by how many labels they have, and the mean of that."""
  size_N = np.diff(statistics.on(data.labels).indptr)
  share = np.bincount(size_N) / len(size_N)
  figure, axes = _small()
  axes.bar(np.arange(len(share)), share, width=0.9, color=COLORS[0], lw=0)
  mean = size_N.mean()
  axes.axvline(mean, color=INK, lw=1, ls='--')
  right = mean < np.mean(axes.get_xlim())
  axes.annotate(
    f'cardinality {mean:.2f}',
    (mean, 1),
    xycoords=axes.get_xaxis_transform(),
    xytext=(5 if right else -5, -4),
    textcoords='offset points',
    ha='left' if right else 'right',
    va='top',
    fontsize=8,
    color=INK,
  )
  axes.set_ylim(0, 1.15 * share.max())  # Room for the words.
  axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
  axes.yaxis.set_major_formatter(lambda y, _: f'{100 * y:.3g}%')
  axes.grid(axis='y', color='#dddddd', lw=0.6)
  axes.set_xlabel('labels of a row')
  axes.set_ylabel('rows')
  _title(axes, data.name, f'label sets by size, {data.num_rows:,} rows')
  return figure


def _small() -> tuple[Figure, Axes]:
  """A figure of one column of a paper, and its axes."""
  figure = Figure(figsize=(4.6, 3.1), layout='constrained')
  axes = figure.subplots()
  axes.set_axisbelow(True)
  axes.spines[['top', 'right']].set_visible(False)
  axes.spines[['left', 'bottom']].set_color(RULE)
  axes.tick_params(which='both', labelsize=8, color=RULE, labelcolor=GREY)
  axes.xaxis.label.set(fontsize=9, color=INK)
  axes.yaxis.label.set(fontsize=9, color=INK)
  return figure, axes


def _title(axes: Axes, name: str, what: str) -> None:
  """Name, of a path its end, above what is shown."""
  name = name if len(name) <= NAME else '…' + name[1 - NAME :]
  axes.set_title(
    f'{name}\n{what}', loc='left', fontsize=9, color=INK, parse_math=False
  )


def _write_out(axes: Axes, lift_LxL: np.ndarray) -> None:
  """The numbers in their cells, legible on any colour."""
  for (y, x), value in np.ndenumerate(lift_LxL):
    if np.isfinite(value):
      pale = 1 / 3 < value < 3
      axes.text(
        *(x, y, f'{value:.1f}' if 0 < value < 10 else f'{value:.0f}'),
        ha='center',
        va='center',
        fontsize=6,
        color=INK if pale else 'white',
      )


def _short(name: str) -> str:
  return name if len(name) <= NAME else name[: NAME - 1] + '…'


def _png(figure: Figure) -> bytes:
  file = io.BytesIO()
  figure.savefig(file, format='png', dpi=200)
  return file.getvalue()
