"""Known worlds against their exact Bayes risks: which answer, which loss.

Paper: Dembczynski, Waegeman, Cheng, Huellermeier, "On label dependence and loss
minimization in multi-label classification", Machine Learning 88, 2012, Sect.
7.2 to 7.5. Its generator is public, its result tables could not be read. So
ours stand beside (a) the exact Bayes risks, (b) the regret that theory gives in
the limit of many rows, and (c) runs of scikit-learn on the same worlds, by this
project's authors: a second implementation, not numbers of the paper.

Worlds: L = 6 labels, each a half of the unit disc before noise. 7.2: a disc
of its own for each label, independent flips with p = .1. 7.3: one disc, the
halves all equal (tau = 0) or not (tau = 1), independent flips. 7.4: one flip
for all labels. 7.5: no noise, then exactly one label is flipped.

Protocol: 5 worlds (seeds 0 to 4), each with 500, 5,000 or 50,000 training rows
and 10,000 test rows, features as drawn; logistic regressions with C = 1e4. BR:
independent labels; PCC: a chain in the order given, its greedy path, its mode,
or its marginals above .5; LP: one softmax over the label sets seen, by L-BFGS
on all rows; Clean: the labels before noise. (c) is of 5,000 rows and loss on
the labels drawn; regret is exact given x, not by the labels drawn.

Where earlier labels nearly tell a label (7.4) some searches in float32 end at
their last step, short of the optimum, and say so; in float64, with polish, 1 of
60,000 answers was another.

What is well specified: P(y_l | x) is a step at the border of a half disc, so no
logistic function anywhere, but by symmetry the border it finds is right: all
decisions of BR by marginals go to the best. So do those of PCC in 7.2, where
labels before l are independent of it, and in 7.3 with tau = 0, where all links
have one direction. In 7.3 with tau = 1 earlier labels tell a step's logistic
fit something of x which it lacks, and turn its border: the mode pays, the
marginals hardly. In 7.4 P(y_l | x, labels before l) asks whether an earlier
label was flipped, an exclusive or of it and x, which is linear in neither: BR,
which needs no such link, beats the chain for both losses, as its Bayes answer
is the clean set for both. In 7.5 the count of flips so far is such a function
too; and the best answer for Hamming loss, the clean set, never occurs, so no
single answer serves both losses: the regret of BR for subset loss goes to 1/6.

Tolerances. (a): 1e-5. (b): Hamming .4 sqrt(D / n), D features: an error of the
border's angle of the order sqrt(D / n) costs in proportion; subset L times
that, by the union bound. (c): 3 of their standard deviations, at least .01.

Command: python -m experiments.reproduce --study=dembczynski2012
Time on 2 cores: 2 minutes.
"""

import numpy as np

from configs import chain_linear, independent_linear, powerset
from mlc import build, folds, loop
from mlc.data import Dataset, synthetic
from mlc.data.features import Features
from mlc.data.labels import Labels
from mlc.tables import study

WORLDS = {
  'marginal_independence': (synthetic.MarginalIndependence, {}),
  'conditional_independence_0': (
    synthetic.ConditionalIndependence,
    {'tau': 0.0},
  ),
  'conditional_independence_1': (synthetic.ConditionalIndependence, {}),
  'shared_flip': (synthetic.SharedFlip, {}),
  'one_flip': (synthetic.OneFlip, {}),
}
# Method -> (config, inference, decision).
METHODS = {
  'BR': (independent_linear, 'exact', 'hamming'),
  'PCC greedy': (chain_linear, 'greedy', 'subset'),
  'PCC mode': (chain_linear, 'exact', 'subset'),
  'PCC marginals': (chain_linear, 'exact', 'hamming'),
  'LP': (powerset, 'exact', 'subset'),
}
LOSSES = {'Hamming': 'hamming', 'subset': 'subset'}
NUM_LABELS = 6
SETTINGS = {
  'num_labels': NUM_LABELS,
  'sizes': [500, 5000, 50000],
  'compared': 5000,  # Of the reference runs; LP is fitted at this size alone.
  'test_rows': 10000,
  'seeds': [0, 1, 2, 3, 4],
  'C': 1e4,
  'lp_steps': 300,
}


def values(dataset: str, download: bool, say) -> study.Ours:
  """Losses and regrets, a world each."""
  del download  # The worlds are drawn.
  made = _Run(dataset)
  for size in SETTINGS['sizes']:
    for seed in SETTINGS['seeds']:
      say(f'{size} rows, seed {seed} of {SETTINGS["seeds"][-1]}')
      made.add(size, seed)
  found = {key: tuple(values) for key, values in made.found.items()}
  return study.Ours(found, made.compile_seconds)


class _Run:
  """The values of one kind of world so far."""

  def __init__(self, dataset: str):
    self.kind, self.options = WORLDS[dataset]
    self.found: dict[tuple[str, str], list[float]] = {}
    self.judges = {}
    self.fit_seconds = 0.0
    self.configs = {}
    for name, (module, infer, rule) in METHODS.items():
      config = module.get_config()
      config.encoder = {'name': 'Linear'}
      config.train.l2 = 1 / SETTINGS['C']
      self.configs[name] = config
      model = build.model(config.model, config.encoder, NUM_LABELS)
      self.judges[name] = folds.Judge(
        model,
        infer,
        {rule: ('hamming_loss', 'subset_accuracy')},
        num_rows=SETTINGS['test_rows'],
        batch_size=1000,
      )

  @property
  def compile_seconds(self) -> float:
    judging = sum(judge.compile_seconds for judge in self.judges.values())
    return self.fit_seconds + judging

  def add(self, size: int, seed: int):
    world = self.kind(num_labels=NUM_LABELS, seed=seed, **self.options)
    data = drawn(world, size, seed)
    test = data.split('test')
    compared = size == SETTINGS['compared']
    for name, judge in self.judges.items():
      if name == 'LP' and not compared:
        continue
      variables, compiling = self._fit(name, judge.model, data, size)
      self.fit_seconds += compiling
      (answer_NxL,) = judge(variables, test).answers.values()
      if compared:
        self._losses(name, answer_NxL, test.y)
      for loss, of_rule in LOSSES.items():
        regret = synthetic.regret(world, test.x, answer_NxL, of_rule)
        mean = float(regret.value_B.mean())
        self._put(f'{name}, n = {size}', f'{loss} regret', mean)
        if compared and name == 'BR':
          mean = float(regret.bayes_B.mean())
          self._put('Bayes optimum', f'{loss} loss', mean)
    if compared:
      self._losses('Clean', world.clean(test.x), test.y)

  def _fit(self, name, model, data, size):
    config = self.configs[name].train
    if name != 'LP':
      variables, _, compiling = folds.fit(model, data, config, size)
      return variables, compiling
    config.update({'epochs': SETTINGS['lp_steps'], 'batch_size': 0})
    config.update({'patience': 0, 'tolerance': 1e-4})
    config.optimizer.name = 'lbfgs'
    result = loop.fit(model, data, config, [0])
    return folds.first(result.variables), result.compile_seconds

  def _losses(self, name, answer_NxL, y_NxL):
    wrong_NxL = answer_NxL != y_NxL
    self._put(name, 'Hamming loss', float(wrong_NxL.mean()))
    self._put(name, 'subset loss', float(wrong_NxL.any(1).mean()))

  def _put(self, method, metric, value):
    self.found.setdefault((method, metric), []).append(value)


def drawn(world, size: int, seed: int) -> Dataset:
  """Train and test rows of a world; 100 more that L-BFGS reports on."""
  numbers = size, 100, SETTINGS['test_rows']
  draws = [
    world.draw(number, seed=3 * seed + part)
    for part, number in enumerate(numbers)
  ]
  x_NxD, y_NxL = (np.concatenate(a) for a in zip(*draws, strict=True))
  parts = np.split(np.arange(len(x_NxD)), np.cumsum(numbers)[:-1])
  return Dataset(
    world.name,
    Features.of(dense=x_NxD),
    Labels.of(y_NxL),
    dict(zip(('train', 'valid', 'test'), parts, strict=True)),
  )


def cell(row) -> study.Cell:
  """The published file has our words."""
  return study.Cell(row['dataset'], row['method'], row['metric'])


def tolerance(row: study.Published) -> float:
  """See above."""
  if row.std is not None:
    return max(3 * row.std, 0.01)
  _, _, size = row.cell.method.partition(', n = ')
  if not size:
    return 1e-5
  kind, options = WORLDS[row.cell.dataset]
  world = kind(num_labels=NUM_LABELS, **options)
  bound = 0.4 * (world.num_features / int(size)) ** 0.5
  return bound * (NUM_LABELS if 'subset' in row.cell.metric else 1)


STUDY = study.Study(
  datasets={
    name: SETTINGS | {'world': kind.kind(), 'options': options}
    for name, (kind, options) in WORLDS.items()
  },
  values=values,
  cell=cell,
  tolerance=tolerance,
  digits=4,
)
