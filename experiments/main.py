"""What the experiment scripts share: flags, caches, errors in one line."""

from collections.abc import Callable
import contextlib
import io
import json
import os
import pathlib
import signal
import sys
import threading
import time

from absl import app, flags, logging
from ml_collections import config_flags

from mlc import (
  build,
  checks,
  experiment,
  hosts,
  logs,
  loop,
  parallel,
  provenance,
  run_folder,
  session,
)
from mlc import (
  outcomes as outcomes_lib,
)
from mlc.data.download import cache_folder
from mlc.errors import InputError, nearest
from mlc.tables import matrix, ranks, regret_view, report

OF_SEEDS = (
  'The spread is over training seeds on one split.',
  'Seconds are for all seeds, trained and decoded as one program; compilation'
  ' is not counted.',
)
# What a comparison may look like: `config.view`.
VIEWS = {
  'table': report,
  'matrix': matrix,
  'ranks': ranks,
  'regret': regret_view,
}

CONFIG = config_flags.DEFINE_config_file('config', lock_config=True)
WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the run.')
DOWNLOAD = flags.DEFINE_bool('download', False, 'Fetch data not here yet.')
OVERWRITE = flags.DEFINE_bool('overwrite', False, 'Replace another run there.')
TENSORBOARD = flags.DEFINE_bool('tensorboard', True, 'Write its event files.')
PROFILE = flags.DEFINE_bool('profile', False, 'Trace into WORKDIR/profile.')
RESULTS = flags.DEFINE_string(
  'results',
  '',
  'Its file, in place of experiments/RESULTS.md; of a comparison the file to'
  ' put it into.',
)
ONLY = flags.DEFINE_string('only', '', 'Of a bench or study, cases or a set.')
COORDINATOR = flags.DEFINE_string(
  'coordinator_address', None, 'host:port of process 0, of several processes.'
)
PROCESSES = flags.DEFINE_integer('num_processes', None, 'How many there are.')
PROCESS = flags.DEFINE_integer('process_id', None, 'Which one this is, from 0.')


def run(main, required: tuple[str, ...]) -> None:
  """`main(argv)` under absl; what a user can mend is one line and exit 1."""
  flags.mark_flags_as_required(required)
  parallel.dispatch_in_turn()
  parallel.cache_compilations(str(cache_folder() / 'xla'))

  def quietly(argv):
    # Orbax tells every step of a save at level INFO.
    if not flags.FLAGS['verbosity'].present:
      logging.set_verbosity(logging.WARNING)
    hosts.connect(COORDINATOR.value, PROCESSES.value, PROCESS.value)
    with hosts.watched():
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


def table(config, rows: dict, join: Callable | None = None):
  """Trains every config of `rows` (folder -> config) and writes one table.

  config: the whole, saved in the work folder; its `view` says what the table
    is like. The folder '' is the work folder itself. Rows that differ in
    `data_seed` only are one row of the table. What was done there before is
    not done again; a SIGTERM saves, and ends the process with status 0. In view
    `ranks` a row that cannot be is left out, and a note says why.
  join: folder -> Outcome of the rows, without records of one left out, to the
    Outcome that the table is of; None: of these rows.
  Returns the view that was written; None for a process that writes nothing, or
  that was stopped.
  """
  began = time.monotonic()
  asked = threading.Event()
  signal.signal(signal.SIGTERM, lambda *_: asked.set())
  sets = {}
  for name, row in rows.items():
    key = tuple(row.get(k) for k in build.OF_DATA)
    if key not in sets:
      sets[key] = build.dataset(row, DOWNLOAD.value)
    rows[name] = row, sets[key]
  # Before anything is written: what can be found wrong without training.
  names = [(row.name, row.data, row.data_seed) for row, _ in rows.values()]
  if len(set(names)) < len(names):
    raise InputError(
      f'two rows have one name among {[name for name, *_ in names]}: set'
      ' config.name in each config'
    )
  view = config.get('view', 'table')
  if view not in VIEWS:
    raise nearest(view, VIEWS, 'view')
  left_out = {}
  folder = pathlib.Path(str(WORKDIR.value))
  for name, (row, data) in list(rows.items()):
    # Tracing all models takes minutes: not those that did more here.
    ready = None if OVERWRITE.value else done(folder / name, row)
    try:
      rows[name] = ready or checks.check(row, data), data
    except InputError as error:
      if view != 'ranks':
        raise
      note = f'{row.name} is not run: {error}'
      print(f'{data.name}: {note}', file=sys.stderr)
      left_out[name] = outcomes_lib.Outcome([], [note])
      del rows[name]
  if not rows:
    raise InputError(next(iter(left_out.values())).notes[0])
  peers = ranks.peers(config.peers) if config.get('peers') else []
  if config.get('band'):
    peers += ranks.band(config.band)
  first = parallel.is_first()
  about = None
  if first:
    if '' not in rows and not _takes_more(folder, view, rows):
      _open(folder, _whole(config), _of_tables(config))
    for name, (row, _) in rows.items():
      again = _open(folder / name, row, experiment.after_training(row))
      if again:
        print(f'{folder / name} is judged again: {again}', file=sys.stderr)
    if not all(run_folder.finished(folder / name) for name in rows):
      checksums = {
        f'{key[0]}, data_seed {key[1]}': data.checksum
        for key, data in sets.items()
      }
      if len(checksums) == 1 and view != 'ranks':
        (checksums,) = checksums.values()
      about = provenance.note_session(folder, parallel.devices(), checksums)
    if list(rows) == ['']:
      print(experiment.parameter_table(*rows['']), file=sys.stderr)
  parallel.any_of(False)  # The others wait until the folder is ready.
  profile = contextlib.nullcontext()
  if PROFILE.value:
    profile = parallel.trace(str(folder / 'profile'))
  stream = None if first else io.StringIO()
  total = sum(experiment.epochs(row) for row, _ in rows.values())
  try:
    with logs.Progress(total, stream) as progress, profile:
      outcomes, trained = dict(left_out), {}
      for name, (row, data) in rows.items():
        before = trained.setdefault(experiment.of_training(row), name)
        if first:
          run_folder.share(folder / before, folder / name)
        parallel.any_of(False)
        outcomes[name] = _outcome(
          progress, name, row, data, asked.is_set, len(rows) == 1 and not join
        )
  except loop.Stopped:
    if first:
      print(f'{folder}: stopped and saved; the same command goes on')
    return None
  if not first:
    return None
  if join:
    found = join(outcomes)
  else:
    found = outcomes_lib.merged(outcomes.values(), pool=view != 'regret')
  records, notes = found.records, found.notes
  if not records:
    raise InputError(f'no row stayed finite: {" ".join(notes)}')
  seeds = config.seeds
  if join:
    seeds = max(len(record.values) for record in records)
  title = f'{seeds} seed{"s" * (seeds > 1)}, test rows'
  if len(on := {record.dataset for record in records}) == 1:
    title = f'{on.pop()}: {title}'
  if view == 'table':
    notes = [*OF_SEEDS, *notes]
  shown = VIEWS[view].write([*records, *peers], folder, notes, title)
  shown.print()
  seconds = time.monotonic() - began
  if about:
    about['seconds'] = about.get('seconds', 0.0) + seconds
    run_folder.write_json(folder / 'metadata.json', about)
  print(f'{folder}: {logs.duration(seconds)}')
  return shown


def _outcome(progress, name, row, data, stop, alone):
  """What one config comes to, trained now or before in the folder `name`."""
  folder = pathlib.Path(str(WORKDIR.value)) / name
  progress.start(name or row.name)
  try:
    return experiment.train_and_evaluate(
      row,
      data,
      folder,
      progress=progress,
      stop=stop,
      tensorboard=TENSORBOARD.value,
    )
  except session.Diverged as error:
    if alone:
      raise
    # The other rows may be sound, and the same command would end here again.
    progress.skip(experiment.epochs(row), 'not finite')
    return outcomes_lib.Outcome([], [f'{row.name}, left out: {error}'])


def done(folder, row):
  """The row as it was run in `folder` and is done, or None."""
  for one in checks.alternatives(row):
    if run_folder.is_done(folder, _dict(one)):
      return one
  return None


def _open(folder, config, free) -> str:
  """Opens the folder of a run; which keys differ from what it was run with."""
  changed = run_folder.open_run(folder, _dict(config), OVERWRITE.value, free)
  return ', '.join(changed)


def _takes_more(folder, view, rows) -> bool:
  """Is it a folder of ranks that has other rows, or none to overwrite."""
  file = folder / 'config.json'
  if view != 'ranks' or not file.is_file():
    return False
  try:
    if json.loads(file.read_text('utf-8'))['view'] != 'ranks':
      return False
  except (ValueError, KeyError, TypeError):
    return False
  own = {folder / name for name in rows}
  return not OVERWRITE.value or any(
    not own & {path.parent, *path.parents}
    for path in folder.rglob('config.json')
    if path != file
  )


def _dict(config) -> dict:
  return json.loads(config.to_json_best_effort())


def _of_tables(config) -> list[str]:
  """Keys of a comparison that no training has looked at."""
  of_rows = [
    f'{name}.{key}'
    for name in config.models
    for key in experiment.after_training(config[name])
  ]
  return ['view', 'peers', 'band', *of_rows]


def _whole(config):
  """What the work folder is known by.

  A comparison of several data sets may get more of them, and more models: its
  rows, each in a folder of its own, know theirs.
  """
  if config.get('view') != 'ranks':
    return config
  return type(config)({'view': 'ranks'})
