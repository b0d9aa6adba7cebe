"""Records of worlds of known p(y | x) -> regret against training rows."""

from collections.abc import Iterable, Sequence
import csv
import dataclasses
import io
import math
from typing import ClassVar, NamedTuple

from matplotlib.figure import Figure
import numpy as np

from mlc import calls
from mlc.data.loading import WORLD
from mlc.errors import InputError
from mlc.stats import about, confidence_interval, mean_std
from mlc.tables import forms, regret_plot, report
from mlc.tables.regret_plot import FLOOR

PREFIX = 'regret_'
TRAIN = 0.6  # Share of a world's rows that are for training.


class Panel(NamedTuple):
  """A world and the loss that answers are judged by."""

  world: str
  loss: str


class Curve(NamedTuple):
  """A model and the decision made with it."""

  model: str
  decision: str


class Point(NamedTuple):
  """Regrets at one number of training rows, one a draw of the data."""

  num_rows: int
  values: tuple[float, ...]

  @property
  def mean(self) -> float:
    """Over draws."""
    return mean_std(self.values)[0]

  @property
  def interval(self) -> tuple[float, float]:
    """95%, of the mean over draws; nan of one draw."""
    return confidence_interval(self.values)


@dataclasses.dataclass(frozen=True)
class Regret(forms.View):
  """Curves by panel, their points by the number of training rows."""

  title: str
  curves: dict[Panel, dict[Curve, tuple[Point, ...]]]
  footnotes: tuple[str, ...]

  stem: ClassVar[str] = 'regret'

  def grids(self) -> list[forms.Grid]:
    """One a panel, a column for each number of rows, then the slope."""
    grids = []
    for panel, curves in self.curves.items():
      sizes = sorted({p.num_rows for points in curves.values() for p in points})
      best = {size: self._best(curves, size) for size in sizes}
      lines, above = [], None
      for curve, points in curves.items():
        at = {point.num_rows: point for point in points}
        texts = [
          (_text(at[n]), _mean(at[n]) == best[n]) if n in at else ('–', False)
          for n in sizes
        ]
        slope = steepness(points)
        texts.append(('–' if math.isnan(slope) else f'{slope:.1f}', False))
        matched = curve.decision == panel.loss
        names = curve.model, curve.decision + ' (matched)' * matched
        gap = above is not None and above != curve.model
        lines.append(forms.Line(names, tuple(texts), gap))
        above = curve.model
      titles = *(f'n={n:,}' for n in sizes), 'slope'
      title = f'{panel.world}: {about(PREFIX + panel.loss).title}'
      grids.append(
        forms.Grid(('model', 'decision'), titles, tuple(lines), title)
      )
    return grids

  def _best(self, curves, size) -> str:
    means = [
      _mean(point)
      for points in curves.values()
      for point in points
      if point.num_rows == size and math.isfinite(point.mean)
    ]
    return min(means, key=float, default='')

  def notes(self, mark: str) -> list[str]:
    """What is shown, then the footnotes."""
    draws = {
      len(point.values)
      for curves in self.curves.values()
      for points in curves.values()
      for point in points
    }
    over = '-'.join(map(str, sorted(draws)))
    return [
      'regret: expected loss of the answers less that of the best ones, both by'
      ' the known p(y | x) of the test rows; n: training rows; mean ± half of'
      f' its 95% interval over {over} draws of the data; best of each column'
      f' {mark}; ↓ lower is better.',
      f'slope: of log regret against log n, by least squares over means above'
      f' {FLOOR:g}: -1 is a regret like 1/n, 0 one that stays.',
      'matched: the decision is the one that is optimal for the loss.',
      *self.footnotes,
    ]

  def csv(self) -> str:
    """Long form, full precision; low and high of the 95% interval."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator='\n')
    writer.writerow(
      ['world', 'loss', 'model', 'decision', 'train_rows', 'mean', 'low',
       'high', 'draws']
    )  # fmt: skip
    for panel, curves in self.curves.items():
      for curve, points in curves.items():
        for point in points:
          numbers = point.mean, *point.interval, len(point.values)
          writer.writerow([*panel, *curve, point.num_rows, *numbers])
    return file.getvalue()

  def figure(self) -> Figure:
    """Log-log, a line for each curve."""
    return regret_plot.figure(self)


def steepness(points: Sequence[Point]) -> float:
  """The slope of log mean against log n above FLOOR; nan of fewer than 2."""
  above = [(p.num_rows, p.mean) for p in points if p.mean > FLOOR]
  if len(above) < 2:
    return math.nan
  n, mean = np.log(np.array(above, float)).T
  return float(np.polyfit(n, mean, 1)[0])


def _mean(point: Point) -> str:
  return f'{point.mean:.4f}'.replace('-0.0000', '0.0000')


def _text(point: Point) -> str:
  low, high = point.interval
  half = '' if math.isnan(low) else f' ± {(high - low) / 2:.4f}'
  return _mean(point) + half


def world_and_rows(dataset: str) -> tuple[str, int]:
  """'world/one_flip(num_labels=5, num_rows=1000)' -> (its name, 600).

  The name is without num_rows; 600 rows are for training. Raises InputError
  where it is no world.
  """
  if not dataset.startswith(WORLD):
    raise InputError(
      f'{dataset}: regret is known in worlds alone: set config.data to one,'
      " 'world/one_flip(num_rows=1000)'"
    )
  kind, options = calls.parse(dataset.removeprefix(WORLD), 'world')
  num_rows = options.pop('num_rows', 1000)
  rest = ', '.join(f'{key}={value}' for key, value in options.items())
  return kind + (f'({rest})' if rest else ''), round(TRAIN * num_rows)


def _draws(values: list[tuple[float, ...]]) -> tuple[float, ...]:
  if len(values) == 1:
    return values[0]
  return tuple(mean_std(of_draw)[0] for of_draw in values)


def build(
  records: Iterable[report.Record],
  footnotes: Sequence[str] = (),
  title: str = '',
) -> Regret:
  """Records -> Regret, of the metrics regret_hamming, regret_subset, ...

  The values of a cell are draws of the data. Where it has several records,
  these are the draws, and the values of each, of training seeds on it, are
  averaged: they are not independent of each other. Raises InputError for no
  such metric and for what is no world.
  """
  found: dict[Panel, dict[Curve, dict[int, list]]] = {}
  for record in records:
    if not record.metric.startswith(PREFIX):
      continue
    world, num_rows = world_and_rows(record.dataset)
    panel = Panel(world, record.metric.removeprefix(PREFIX))
    model = record.model + ('' if record.proper else ' (scores)')
    curve = Curve(model, record.decision)
    points = found.setdefault(panel, {}).setdefault(curve, {})
    points.setdefault(num_rows, []).append(record.values)
  if not found:
    raise InputError(
      'no regret to show: set config.metrics to some of regret_hamming,'
      ' regret_subset, regret_f1, and config.data to a world'
    )
  losses = dict.fromkeys(panel.loss for panel in found)
  worlds = dict.fromkeys(panel.world for panel in found)
  curves = {
    Panel(world, loss): {
      curve: tuple(Point(n, _draws(points[n])) for n in sorted(points))
      for curve, points in found[Panel(world, loss)].items()
    }
    for world in worlds
    for loss in losses
    if Panel(world, loss) in found
  }
  return Regret(title, curves, tuple(footnotes))


def write(
  records: Iterable[report.Record],
  workdir,
  footnotes: Sequence[str] = (),
  title: str = '',
) -> Regret:
  """Write regret.md, .tex, .csv and .png; return the Regret."""
  regret = build(records, footnotes, title)
  regret.write(workdir)
  return regret
