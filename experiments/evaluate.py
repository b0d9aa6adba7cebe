"""Scores a trained model again, from its checkpoint alone.

python -m experiments.evaluate --workdir=runs/compare/chain --split=test
"""

from absl import flags

from experiments import main as main_lib
from mlc import experiment, report

SPLIT = flags.DEFINE_string('split', 'test', 'train, valid or test.')


def main(_):
  """The table of one model on one split."""
  outcome, title = experiment.evaluate_saved(
    main_lib.WORKDIR.value, SPLIT.value, main_lib.DOWNLOAD.value
  )
  notes = (*main_lib.FOOTNOTES, *outcome.notes)
  report.build(outcome.records, notes, title).print()


if __name__ == '__main__':
  main_lib.run(main, required=('workdir',))
