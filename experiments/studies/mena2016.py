"""Inference in a probabilistic classifier chain: losses, nodes and seconds.

Paper: Mena, Montanes, Quevedo, del Coz, "An overview of inference methods in
probabilistic classifier chains for multilabel classification", WIREs Data
Mining and Knowledge Discovery 2016: Table 2 (subset 0/1 loss, %), Table 3
(nodes explored, mean over rows) and, beside our own seconds, Table 4. Of
its sets image, slashdot and mediamill are not at hand, and reuters is another.
bibtex and corel5k are shown but not run: one draw of the folds is 111,300 and
261,800 regressions for the choice of C.

Protocol: 10-fold cross-validation; the folds are not given, so ours are drawn
anew for each seed, and the spread is over these draws. One chain in the order
of the labels, of logistic regressions; C of each from 10^-3, ..., 10^3 by the
Brier score in a cross-validation of 2 folds, repeated 5 times. "Balanced" folds
are taken to be stratified by the label of the link. The exact mode is found by
best-first search, the paper's eps-A(0). Features are as in the files: tried on
yeast, standardised ones are further from the published losses (exact 77.45,
beam(2) 77.66, greedy 79.81, where as they are 76.75, 76.75 and 79.40; one draw
of the folds).

Tolerance, set before any set but yeast was run: subset loss 1 point on yeast,
1.5 on scene, 3 on emotions, 2 on the others; nodes of greedy, beams and draws,
which have closed forms, equal to the last digit printed; nodes of eps-A, which
depend on the model, 5 %. flags is too small to be a target, and the draws on
scene contradict exact inference there.

Command: python -m experiments.reproduce --study=mena2016
Time on 2 cores: emotions, flags, scene, yeast and medical 6 minutes together,
half of it compilation; enron, of 3 draws, 9, most of it the choice of C.
"""

from typing import Any

import numpy as np

from configs import chain_linear
from mlc import build, folds
from mlc.data import load, splits
from mlc.tables import study

# The paper's words -> ours.
METHODS = {
  'ES/eps-A(0)': 'best_first',
  'eps-A(.25)': 'epsilon(epsilon=0.25)',
  'GS/BS(1)/eps-A(.5)': 'greedy',
  'BS(2)': 'beam(width=2)',
  'BS(3)': 'beam(width=3)',
  'BS(10)': 'beam(width=10)',
  'MC(10)': 'monte_carlo(samples=10)',
  'MC(50)': 'monte_carlo(samples=50)',
  'MC(100)': 'monte_carlo(samples=100)',
  'EMC(10)': 'monte_carlo(samples=10,rescore=True)',
  'EMC(50)': 'monte_carlo(samples=50,rescore=True)',
  'EMC(100)': 'monte_carlo(samples=100,rescore=True)',
}
LOSS, NODES, HAMMING, TIME = (
  *('subset 0/1 loss, %', 'nodes explored', 'Hamming loss, %'),
  'decoding, ms a row',
)
COLUMNS = {'subset_01_loss': LOSS, 'explored_nodes': NODES, 'pred_time': TIME}
SETTINGS = {
  'folds': 10,
  'seeds': [1, 2, 3, 4, 5],
  'standardise': False,
  'methods': METHODS,
  'optimizer': {
    'name': 'convex',
    'strengths': [10.0**power for power in range(-3, 4)],
    'criterion': 'brier',
    'folds': 2,
    'repeats': 5,
  },
}
DATA = {
  'emotions': SETTINGS,
  'flags': SETTINGS,
  'scene': SETTINGS,
  'yeast': SETTINGS,
  'medical': SETTINGS,
  'enron': SETTINGS | {'seeds': [1, 2, 3]},
  # Shown with their numbers, not run: see published/mena2016.csv.
  'bibtex': SETTINGS | {'seeds': []},
  'corel5k': SETTINGS | {'seeds': []},
}
POINTS = {'yeast': 1.0, 'scene': 1.5, 'emotions': 3.0}
OTHER_CHAIN = (
  'the source ends 0.7 points above its own exact mode on yeast by 100 draws'
  ' that it scores exactly, 1.3 above on emotions, where there are 64 label'
  ' sets, and 2.6 below on scene: its draws seem to be from another chain than'
  ' its searches'
)
OTHER_FEATURES = (
  'the source errs more on emotions by every method, also in its mean over 144'
  ' orders of the labels (Table 5: 71.55), and explores more; ours explores 9.2'
  ' to 9.5 nodes with features as they are, standardised or in [0, 1]: its'
  ' features or its links are others'
)
FEW_ROWS = (
  'the mean is ruled by few rows of flat posteriors, which explore hundreds of'
  ' nodes where most need 54: a little difference of the folds or of the chosen'
  ' C moves it by tens and the loss hardly (exact: 83.5, published 83.1)'
)
GUESSES = {
  ('yeast', 'MC(100)', LOSS): OTHER_CHAIN,
  ('emotions', 'MC(10)', LOSS): OTHER_CHAIN,
  ('emotions', 'MC(100)', LOSS): OTHER_CHAIN,
  ('emotions', 'EMC(10)', LOSS): OTHER_CHAIN,
  ('enron', 'MC(10)', LOSS): OTHER_CHAIN,
  ('enron', 'EMC(10)', LOSS): OTHER_CHAIN,
  ('enron', 'ES/eps-A(0)', NODES): FEW_ROWS,
  ('emotions', 'ES/eps-A(0)', NODES): OTHER_FEATURES,
  ('emotions', 'eps-A(.25)', NODES): OTHER_FEATURES,
}


def values(dataset: str, download: bool, say) -> study.Ours:
  """Means over folds, a seed each; of seconds only what decoding took."""
  settings = DATA[dataset]
  if not settings['seeds']:
    return study.Ours({}, 0.0)
  data = load(f'mulan/{dataset}', download=download)
  config: Any = chain_linear.get_config()
  config.train.optimizer = settings['optimizer']
  model = build.model(config.model, config.encoder, data.num_labels)
  num_folds = settings['folds']
  num_train = data.num_rows - data.num_rows // num_folds
  rules = {'subset': ('subset_accuracy', 'hamming_loss')}
  judges = {
    method: folds.Judge(
      model, infer, rules, num_rows=-(-data.num_rows // num_folds)
    )
    for method, infer in settings['methods'].items()
  }
  found: dict[tuple[str, str], list[float]] = {}
  compile_seconds = 0.0
  for seed in settings['seeds']:
    pairs = splits.random_k_fold(data.num_rows, num_folds, seed)
    of_folds = []
    cut = folds.cut(data, pairs, standardise=settings['standardise'])
    for number, fold in enumerate(cut, 1):
      say(f'seed {seed} of {settings["seeds"][-1]}, fold {number}')
      variables, _, compiling = folds.fit(model, fold, config.train, num_train)
      compile_seconds += compiling
      rows = fold.split('test')
      of_folds.append(
        {
          (method, column): value
          for method, judge in judges.items()
          for column, value in _judged(judge, variables, rows, number).items()
        }
      )
    for key in of_folds[0]:
      mean = np.mean([of_fold[key] for of_fold in of_folds])
      found.setdefault(key, []).append(float(mean))
  compile_seconds += sum(judge.compile_seconds for judge in judges.values())
  return study.Ours(found, compile_seconds)


def _judged(judge, variables, rows, seed) -> dict[str, float]:
  """The columns of one method on one fold."""
  before = judge.seconds
  judged = judge(variables, rows, seed)
  return {
    LOSS: 100 * (1 - judged.values['subset', 'subset_accuracy']),
    HAMMING: 100 * judged.values['subset', 'hamming_loss'],
    NODES: judged.nodes,
    TIME: 1000 * (judge.seconds - before) / len(rows.y),
  }


def cell(row) -> study.Cell | None:
  """'PCC eps-A(0)' -> 'ES/eps-A(0)', 'PCC MC/EMC(10)' -> 'MC(10)'."""
  if row['dataset'] not in DATA:
    return None
  method = row['method'].removeprefix('PCC ').replace('MC/EMC', 'MC')
  if method == 'eps-A(0)':
    method = 'ES/eps-A(0)'
  return study.Cell(row['dataset'], method, COLUMNS[row['metric']])


def tolerance(row: study.Published) -> float:
  """In points, nodes or milliseconds."""
  if row.cell.metric == LOSS:
    return POINTS.get(row.cell.dataset, 2.0)
  closed = row.cell.method not in ('ES/eps-A(0)', 'eps-A(.25)')
  return 0.05 if closed else 0.05 * row.value


STUDY = study.Study(
  datasets={
    name: settings | {'data': f'mulan/{name}'}
    for name, settings in DATA.items()
  },
  values=values,
  cell=cell,
  tolerance=tolerance,
  guesses=GUESSES,
)
