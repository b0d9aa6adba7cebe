"""Trains and decodes the models of a config and prints them in one table.

python -m experiments.compare --config=configs/compare.py --workdir=runs/compare
"""

from experiments import main as main_lib


def main(_):
  """One table of all rows of the config."""
  config = main_lib.CONFIG.value
  main_lib.table(config, {name: config[name] for name in config.models})


if __name__ == '__main__':
  main_lib.run(main, required=('config', 'workdir'))
