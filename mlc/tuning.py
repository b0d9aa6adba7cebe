"""Settings chosen by validation rows, from a grid, before seeds are trained.

`config.tune` has pairs of a key of the config, such as 'train.optimizer.lr',
and the values to try. All combinations are tried with one run each, or
`config.trials` of them, drawn at random (Bergstra & Bengio, JMLR 2012) and the
same for every model with that grid; those that differ in numbers of the
optimizer alone are trained as one program. All runs have the same seed.
"""

import collections
import itertools
import json
import math
import pathlib
import shutil

import numpy as np

from mlc import build, optimizer, parallel, run_folder, session, stages, stats
from mlc.errors import InputError

# Keys whose values are side by side in one program.
_SIDE_BY_SIDE = tuple(f'train.optimizer.{key}' for key in optimizer.OF_RUNS)


# What validation scores would not be comparable across, or are of the data.
_NOT_TUNED = {
  *('name', 'seeds', 'tune', 'trials', 'metrics', 'decisions', 'calibration'),
  *('train.select', 'train.patience', *build.OF_DATA),
}


def epochs(config) -> int:
  """Of all trials and the training after them, at most."""
  return _epochs_of_trials(config) + stages.epochs(config)


def _epochs_of_trials(config) -> int:
  return sum(stages.epochs(_program(config, s)) for s in _programs(config))


def check(config) -> list:
  """The configs of the trials, one for each program.

  Raises:
    InputError: a key that the config has not, no value, or nothing to choose
      by.
  """
  grid = _grid(config)
  for key, values in grid.items():
    if key not in _flat(config):
      raise InputError(
        f'tune: {config.name} has no key {key}: take it out of the grid'
      )
    of_loss = key.endswith('train.loss') and config.train.select == 'loss'
    if key in _NOT_TUNED or of_loss:
      raise InputError(
        f'tune: {key} changes what the settings of {config.name} are compared'
        ' by: take it out of the grid'
      )
    if not isinstance(values, tuple | list) or not values:
      raise InputError(f'tune: {key}={values!r}: give a tuple of values')
  if config.trials < 0:
    raise InputError(
      f'trials={config.trials} of {config.name}: give how many settings of the'
      ' grid to try, or 0 for all'
    )
  if grid and not config.train.patience:
    raise InputError(
      f'tune on {config.name} with train.patience=0: give a patience, so that'
      ' validation rows choose'
    )
  return [_program(config, settings) for settings in _programs(config)]


def chosen(config, data, folder, progress, stop):
  """(config with the best settings of its grid, how they were found).

  folder: gets tuning.json, {'trials': [...], 'chosen': settings}; trials done
    before are read from there and from tuning/.
  Of equally good settings the first of the grid is taken. A trial that does not
  stay finite is the worst; it has no score, and `failed` says why.
  """
  if not _grid(config):
    return config, {}
  path = pathlib.Path(folder) / 'tuning.json'
  if path.exists():
    report = json.loads(path.read_text('utf-8'))
    if progress:
      progress.skip(_epochs_of_trials(config), 'tuned before')
  else:
    report = _search(config, data, path.parent, progress, stop)
    if parallel.is_first():
      run_folder.write_json(path, report)
      shutil.rmtree(path.parent / 'tuning', ignore_errors=True)
  return settled(config, report['chosen']), report


def best(config, history) -> list[dict]:
  """Of each run, the score that early stopping went by and its epoch.

  config: of training. history: lines of metrics.jsonl.
  """
  select = config.get('select', 'loss').partition('(')[0]
  name = f'valid_{select}'
  if not config.patience or not history or name not in history[0]:
    return []
  lower = select == 'loss' or stats.about(select).lower
  found = []
  for run in range(len(history[0][name])):
    column = (line[name][run] for line in history)
    values = [float(value) for value in column if value is not None]
    if not values:  # It failed in its first epoch.
      found.append({})
      continue
    at = max(
      range(len(values)), key=lambda i: -values[i] if lower else values[i]
    )
    found.append({name: values[at], 'epoch': at + 1})
  return found


def _search(config, data, folder, progress, stop) -> dict:
  select = config.train.get('select', 'loss').partition('(')[0]
  lower = select == 'loss' or stats.about(select).lower
  trials = []
  for number, settings in enumerate(_programs(config)):
    within = folder / 'tuning' / str(number)
    trials += _try(config, settings, data, within, progress, stop)
  sign = 1 if lower else -1

  def order(trial):
    # A number that is not finite is read back as text.
    score = float(trial.get(f'valid_{select}', math.nan))
    return sign * score if math.isfinite(score) else math.inf

  winner = min(trials, key=order)
  if order(winner) == math.inf:
    raise session.Diverged(
      'no setting of the grid has a finite validation score; of the first'
      f' {trials[0].get("failed", "it is not finite")}'
    )
  return {'trials': trials, 'chosen': winner['settings']}


def _try(config, settings, data, folder, progress, stop) -> list[dict]:
  """The trials of one program, made or read: {settings, score, epoch} each."""
  path = folder / 'trials.json'
  if path.exists():
    if progress:
      progress.skip(stages.epochs(config), 'tried before')
    return json.loads(path.read_text('utf-8'))['trials']
  config = _program(config, settings)
  try:
    result = stages.train(config, data, folder, progress, stop, False)
    failures = result.failures or ('',) * config.seeds
    scores = [
      {'failed': failed} if failed else score
      for score, failed in zip(
        best(config.train, result.history), failures, strict=True
      )
    ]
  except session.Diverged as error:
    failures = error.failures or (str(error),) * config.seeds
    scores = [{'failed': failed} for failed in failures]
  trials = [
    {'settings': one} | score
    for one, score in zip(_each(settings), scores, strict=True)
  ]
  if parallel.is_first():
    run_folder.write_json(path, {'trials': trials})
  return trials


def _grid(config) -> dict:
  return dict(config.get('tune', ()))


def _programs(config) -> list[dict]:
  """Settings of each program; what is side by side as tuples of all runs."""
  grid = _grid(config)
  if not grid:
    return []
  trials = list(itertools.product(*grid.values()))
  if config.trials:
    drawn = np.random.default_rng(0).permutation(len(trials))[: config.trials]
    trials = [trials[number] for number in sorted(drawn)]
  programs = collections.defaultdict(list)
  for values in trials:
    settings = dict(zip(grid, values, strict=True))
    beside = {key: settings.pop(key) for key in _SIDE_BY_SIDE if key in grid}
    programs[repr(settings)].append((settings, beside))
  return [
    runs[0][0] | {key: tuple(own[key] for _, own in runs) for key in runs[0][1]}
    for runs in programs.values()
  ]


def _each(settings) -> list[dict]:
  """The settings of each run of a program."""
  beside = [key for key in settings if key in _SIDE_BY_SIDE]
  count = len(settings[beside[0]]) if beside else 1
  return [
    {k: v[run] if k in beside else v for k, v in settings.items()}
    for run in range(count)
  ]


def _program(config, settings):
  """`config` with the settings of a program, a run for each of its trials."""
  config = settled(config, settings)
  with config.unlocked():
    config.seeds = len(_each(settings))
    config.equal_seeds = True
  return config


def settled(config, settings):
  """A copy of `config` with settings, by key, in place of its grid."""
  copy = config.copy_and_resolve_references()
  with copy.unlocked():
    copy.tune = ()
    for key, value in settings.items():
      *path, last = key.split('.')
      at = copy
      for part in path:
        at = at[part]
      del at[last]  # A tuple may not take the place of a number.
      at[last] = tuple(value) if isinstance(value, list) else value
  return copy


def _flat(config, prefix='') -> set[str]:
  keys = set()
  for key, value in config.items():
    keys.add(f'{prefix}{key}')
    if hasattr(value, 'items'):
      keys |= _flat(value, f'{prefix}{key}.')
  return keys
