"""Trains and decodes the models of a config and prints them in one table.

python -m experiments.compare --config=configs/compare.py --workdir=runs/compare
"""

from absl import flags
from ml_collections import config_flags

from experiments import main as main_lib

CONFIG = config_flags.DEFINE_config_file('config', lock_config=True)
WORKDIR = flags.DEFINE_string('workdir', None, 'Folder for everything made.')
OVERWRITE = flags.DEFINE_bool('overwrite', False, 'Replace another run there.')
flags.mark_flags_as_required(['config', 'workdir'])


def main(_):
  """One table of all rows of the config."""
  config = CONFIG.value
  rows = {name: config[name] for name in config.models}
  main_lib.table(config, rows, WORKDIR.value, OVERWRITE.value)


if __name__ == '__main__':
  main_lib.run(main)
