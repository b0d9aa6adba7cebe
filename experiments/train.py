"""Trains one model and prints its rows of the table.

python -m experiments.train --config=configs/chain.py:mulan/yeast
  --workdir=runs/chain
"""

from experiments import main as main_lib


def main(_):
  """One table of the one model."""
  config = main_lib.CONFIG.value
  main_lib.table(config, {'': config})


if __name__ == '__main__':
  main_lib.run(main, required=('config', 'workdir'))
