"""What the experiment scripts share: flags, caches, errors in one line."""

import json
import os
import sys
import time

from absl import app, flags, logging
from ml_collections import config_flags

from mlc import experiment, logs, parallel, report
from mlc.data.download import cache_folder
from mlc.errors import InputError

FOOTNOTES = (
  'hamming: labels with marginal above .5; subset: the most probable label set;'
  ' f1: the set of highest expected example-F1; threshold: each label cut where'
  ' its F1 on validation rows is highest.',
  'LRAP ranks by marginals, which is a heuristic for it.',
  'The spread is over training seeds on one split.',
  'Seconds are for all seeds, trained and decoded as one program; compilation'
  ' is not counted.',
)


CONFIG = config_flags.DEFINE_config_file('config', lock_config=True)
WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the run.')
DOWNLOAD = flags.DEFINE_bool('download', False, 'Fetch data not here yet.')
OVERWRITE = flags.DEFINE_bool('overwrite', False, 'Replace another run there.')


def run(main, required: tuple[str, ...]) -> None:
  """`main(argv)` under absl; what a user can mend is one line and exit 1."""
  flags.mark_flags_as_required(required)
  parallel.dispatch_in_turn()
  parallel.cache_compilations(str(cache_folder() / 'xla'))

  def quietly(argv):
    # Orbax tells every step of a save at level INFO.
    if not flags.FLAGS['verbosity'].present:
      logging.set_verbosity(logging.WARNING)
    main(argv)

  try:
    app.run(quietly, flags_parser=_parse)
  except BrokenPipeError:  # `... | head` has read enough.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)
  # A config file that is not there, or a full disk, is an OSError.
  except (InputError, OSError) as error:
    print('error:', ' '.join(str(error).split()), file=sys.stderr)
    sys.exit(1)


def _parse(argv):
  """The flags; what is wrong with them, or with a config, as InputError."""
  try:
    return flags.FLAGS(argv)
  # A locked config answers to a wrong key by AttributeError.
  except (flags.Error, AttributeError) as error:
    text = str(error)
    if isinstance(error, AttributeError) and error.args:
      cause = error.args[0]
      text = f'no config key {getattr(cause, "args", [cause])[0]}'
    if 'Traceback' in text:  # From inside a config file.
      text = text.strip().splitlines()[-1]
      text = text.strip().removeprefix('mlc.errors.InputError: ')
    raise InputError(text) from None


def table(config, rows: dict) -> None:
  """Trains every config of `rows` (folder -> config) and writes one table.

  config: the whole, which names the data and is saved in the work folder.
  """
  began = time.monotonic()
  data = experiment.load_data(config, DOWNLOAD.value)
  # Before anything is written: what can be found wrong without training.
  names = [row.name for row in rows.values()]
  if len(set(names)) < len(names):
    raise InputError(
      f'two rows have one name among {names}: set config.name in each config'
    )
  for row in rows.values():
    experiment.check(row, data)
  as_dict = json.loads(config.to_json_best_effort())
  folder = logs.open_run(WORKDIR.value, as_dict, OVERWRITE.value)
  records = []
  total = sum(row.train.epochs for row in rows.values())
  with logs.Progress(total) as progress:
    for name, row in rows.items():
      progress.start(row.name)
      records += experiment.train_and_evaluate(
        row, data, folder / name, report=progress.advance
      )
  title = f'{data.name}: {config.seeds} seeds, test rows'
  written = report.write(records, folder, FOOTNOTES, title)
  about = logs.metadata(parallel.devices())
  about['seconds'] = time.monotonic() - began
  logs.atomic_write(folder / 'metadata.json', json.dumps(about, indent=2))
  written.print()
  print(f'{folder}: {logs.duration(about["seconds"])}')
