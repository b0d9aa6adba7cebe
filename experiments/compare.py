"""Trains and decodes the models of a config and prints them in one table.

python -m experiments.compare --config=configs/compare.py --workdir=runs/compare
"""

import json
import time

from absl import flags
from ml_collections import config_flags
import rich

from experiments import main as main_lib
from mlc import data as data_lib
from mlc import experiment, logs, parallel, report

CONFIG = config_flags.DEFINE_config_file('config', lock_config=True)
WORKDIR = flags.DEFINE_string('workdir', None, 'Folder for everything made.')
OVERWRITE = flags.DEFINE_bool('overwrite', False, 'Replace another run there.')
flags.mark_flags_as_required(['config', 'workdir'])

FOOTNOTES = (
  'hamming: labels with marginal above .5; subset: the most probable label set;'
  ' f1: the set of highest expected example-F1; threshold: each label cut where'
  ' its F1 on validation rows is highest.',
  'LRAP ranks by marginals, which is a heuristic for it.',
  'The spread is over training seeds on one split.',
  'Seconds are for all seeds, trained and decoded as one program; compilation'
  ' is not counted.',
)


def main(_):
  began = time.monotonic()
  config = CONFIG.value
  data = data_lib.load(config.data, config.data_seed)
  if config.standardise:
    data = data.standardised()
  as_dict = json.loads(config.to_json_best_effort())
  folder = logs.open_run(WORKDIR.value, as_dict, OVERWRITE.value)
  records = []
  total = sum(config[name].train.epochs for name in config.models)
  with logs.Progress(total) as progress:
    for name in config.models:
      progress.start(name)
      records += experiment.train_and_evaluate(
        config[name], data, folder / name, report=progress.advance
      )
  title = f'{data.name}: {config.seeds} seeds, test rows'
  table = report.write(records, folder, FOOTNOTES, title)
  about = logs.metadata(parallel.devices())
  about['seconds'] = time.monotonic() - began
  logs.atomic_write(folder / 'metadata.json', json.dumps(about, indent=2))
  table.print()
  rich.print(f'{folder}: {logs.duration(about["seconds"])}')


if __name__ == '__main__':
  main_lib.run(main)
