"""Scores a trained model again, from its checkpoint alone.

python -m experiments.evaluate --workdir=runs/compare/chain --split=test
With --given='Class1=1,Class3=0' the other labels are predicted given these.
"""

from absl import flags

from experiments import main as main_lib
from mlc import saved
from mlc.tables import report

GIVEN = flags.DEFINE_string('given', '', 'Labels that are known: a=1,b=0.')
SPLIT = flags.DEFINE_string('split', 'test', 'train, valid or test.')


def main(_):
  """The table of one model on one split."""
  outcome, title = saved.again(
    main_lib.WORKDIR.value,
    SPLIT.value,
    main_lib.DOWNLOAD.value,
    GIVEN.value,
  )
  notes = (*main_lib.OF_SEEDS, *outcome.notes)
  report.build(outcome.records, notes, title).print()


if __name__ == '__main__':
  main_lib.run(main, required=('workdir',))
