"""Trains one model and prints its rows of the table.

python -m experiments.train --config=configs/chain.py:mulan/yeast
  --workdir=runs/chain
"""

from absl import flags
from ml_collections import config_flags

from experiments import main as main_lib

CONFIG = config_flags.DEFINE_config_file('config', lock_config=True)
WORKDIR = flags.DEFINE_string('workdir', None, 'Folder for everything made.')
OVERWRITE = flags.DEFINE_bool('overwrite', False, 'Replace another run there.')
flags.mark_flags_as_required(['config', 'workdir'])


def main(_):
  """One table of the one model."""
  config = CONFIG.value
  rows = {config.name: config}
  main_lib.table(config, rows, WORKDIR.value, OVERWRITE.value)


if __name__ == '__main__':
  main_lib.run(main)
