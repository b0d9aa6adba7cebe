"""How time per epoch and peak memory grow with rows, labels and features.

No peers: a line for each model on log-log axes, with fitted slopes.
"""

import functools
import itertools
import math

from matplotlib.figure import Figure
import numpy as np

from configs import chain, independent
from experiments.suites import Case, Took
from mlc import build, loop, parallel
from mlc import data as data_lib
from mlc.run_folder import replacing
from mlc.tables.plots import COLORS, GREY, MARKERS

EPOCHS, BATCH = 2, 64
MODELS = {'independent': independent, 'chain': chain}
# What the other two are while one grows.
BASE = {'N': 1024, 'L': 14, 'D': 100}
SIZES = {
  'N': (1_000, 8_000, 64_000),
  'L': (10, 50, 250, 1_000, 5_000),
  'D': (10, 100, 1_000, 10_000),
}
AXES = {'N': 'training rows N', 'L': 'labels L', 'D': 'features D'}


def ours(model: str, axis: str, size: int):
  """Epochs on random data: heads, or linear links, on an MLP of 64."""
  parallel.dispatch_in_turn()  # As all the commands do.
  sizes = BASE | {axis: size}
  config = MODELS[model].get_config()
  config.encoder.widths = (64,)
  config.train.update({'epochs': EPOCHS, 'patience': 0, 'batch_size': BATCH})
  rng = np.random.default_rng(0)
  # One batch of validation rows, so that time is that of training.
  num_rows = sizes['N'] + 2 * BATCH
  splits = np.split(np.arange(num_rows), [sizes['N'], sizes['N'] + BATCH])
  data = data_lib.from_arrays(
    rng.standard_normal((num_rows, sizes['D']), np.float32),
    rng.random((num_rows, sizes['L']), np.float32) < 0.2,
    splits=dict(zip(('train', 'valid', 'test'), splits, strict=True)),
  )
  net = build.model(config.model, config.encoder, sizes['L'])

  def run():
    result = loop.fit(net, data, config.train, [0])
    return Took(result.train_seconds / EPOCHS, result.compile_seconds)

  return run


POINTS = {
  f'{model}, {axis} = {size:,}': (model, axis, size)
  for model, axis in itertools.product(MODELS, SIZES)
  for size in SIZES[axis]
}
CASES = tuple(
  Case(name, functools.partial(ours, *point)) for name, point in POINTS.items()
)


def slope(sizes, values) -> float:
  """Between the largest two sizes, above what the smallest takes, log-log."""
  above = values[-2:] - values[0]
  if len(sizes) < 3 or above.min() <= 0:
    return math.nan
  return float(
    np.diff(np.log(above)).item() / np.diff(np.log(sizes[-2:])).item()
  )


def finish(results, folder) -> None:
  """Prints the slopes; into the folder goes growth.png."""
  lines = {}
  for result in results:
    model, axis, size = POINTS[result['case']]
    ours = result['ours']
    point = size, ours['seconds'], ours['mib']
    lines.setdefault((model, axis), []).append(point)
  figure = Figure(figsize=(9, 5.5), layout='constrained')
  panels = figure.subplots(2, len(AXES), sharex='col', sharey='row')
  for (model, axis), points in lines.items():
    number, column = list(MODELS).index(model), list(AXES).index(axis)
    sizes, *rows = np.array(points).T
    slopes = []
    for panel, values in zip(panels[:, column], rows, strict=True):
      slopes.append(slope(sizes, values))
      panel.plot(
        sizes,
        values,
        color=COLORS[number],
        marker=MARKERS[number],
        label=f'{model}, slope {slopes[-1]:.2f}',
      )
    print(
      f'{model}, {axis}: seconds ~ {axis}^{slopes[0]:.2f}, MiB ~'
      f' {axis}^{slopes[1]:.2f} (largest two)'
    )
  labels = np.array(SIZES['L'], float)
  panels[1, 1].plot(
    labels, BATCH * labels**2 * 4 / 2**20, '--', color=GREY, label='one BxLxL'
  )
  for row, unit in enumerate(('seconds an epoch', 'peak MiB of the process')):
    panels[row, 0].set_ylabel(unit)
    for panel, title in zip(panels[row], AXES.values(), strict=True):
      panel.set(xscale='log', yscale='log')
      panel.grid(color=GREY, alpha=0.2)
      if panel.lines:
        panel.legend(fontsize=7)
      if row:
        panel.set_xlabel(title)
  panels[1, 0].set_ylim(100, 30_000)
  if folder:
    with replacing(folder / 'growth.png') as file:
      figure.savefig(file, format='png', dpi=120)
