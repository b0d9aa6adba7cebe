"""What each decision rule is best for, and how far that is true."""

from mlc import calls

# Decision -> the metric that its answer is the best for. A rule of none, such
# as cost(...), is judged by others' metrics alone.
TARGETS = {
  'hamming': 'hamming_loss',
  'subset': 'subset_accuracy',
  'f1': 'example_f1',
  'jaccard': 'example_jaccard',
  'precision': 'example_precision',
  'recall': 'example_recall',
  'npv': 'example_npv',
  'specificity': 'example_specificity',
  'informedness': 'example_informedness',
  'markedness': 'example_markedness',
  'scut': 'macro_f1',
  'global_cut': 'micro_f1',
  'rcut': 'example_f1',
  'precision_at': 'precision_at_1',  # Of every k: 1 stands for all.
  'ranking_loss': 'ranking_loss',
  'one_error': 'one_error',
  'lrap': 'lrap',
}

DEGENERATE = {
  'recall': 'all labels',
  'npv': 'all labels',
  'specificity': 'the empty set',
}
PLUG_IN = ('scut', 'global_cut', 'rcut')
HEURISTIC = ('lrap',)


def target(decision: str) -> str | None:
  """'subset' -> 'subset_accuracy': what the rule is best for, if anything.

  decision: a call, 'fbeta(beta=2.0)'.
  """
  name, options = calls.parse(decision, 'decision')
  if name == 'fbeta':
    return f'example_fbeta(beta={float(options.get("beta", 1.0))})'
  return TARGETS.get(name)


def remarks(decisions) -> list[str]:
  """What a reader must know of those of `decisions` that are no optimum."""
  by_name = {calls.parse(d, 'decision')[0]: d for d in decisions}
  degenerate = [name for name in DEGENERATE if name in by_name]
  plug_in = [by_name[name] for name in PLUG_IN if name in by_name]
  heuristic = [by_name[name] for name in HEURISTIC if name in by_name]
  found = []
  if degenerate:
    answers = [f'{name} by {DEGENERATE[name]}' for name in degenerate]
    found.append(
      f'{", ".join(degenerate)}: degenerate, the same answer to (almost) every'
      f' row is the best: {", ".join(answers)}.'
    )
  if plug_in:
    found.append(
      f'{", ".join(plug_in)}: plug-in rules, cut where validation rows have the'
      ' highest value, which is the optimum only of infinitely many rows.'
    )
  if heuristic:
    found.append(
      f'{", ".join(heuristic)}: a heuristic, no fast optimum being known.'
    )
  return found
