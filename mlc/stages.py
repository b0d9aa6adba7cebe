"""Training in stages: a short list over the one loop.

`config.stages` names keys of the config, each a stage with `model` and `train`.
`keep`: the parts of its parameters that the next stage begins with. `folds`:
the whole of it becomes the part of the next model that has the stage's name,
and its predictions a part of x (mlc/stacked.py): with folds=5 those of copies
trained without each fifth of the training rows, with folds=0 its own, as at
prediction time. The encoder, the seeds and the data are the same throughout.
The config itself is the last stage; it holds fixed what
`train.optimizer.freeze` names.
"""

import contextlib
import dataclasses
import functools

import jax
import numpy as np

from mlc import (
  build,
  checkpoint,
  convex,
  logs,
  loop,
  optimizer,
  parallel,
  scoring,
  session,
  stacked,
)
from mlc.data import batches
from mlc.errors import InputError


def of(config):
  """(name, config of the stage), the last one without a name."""
  stages = [(name, config[name]) for name in config.get('stages', ())]
  return [*stages, ('', config)]


def epochs(config) -> int:
  """Of all stages together, at most."""
  return sum(stage.train.epochs * _times(stage) for _, stage in of(config))


def _times(stage) -> int:
  """How often the epochs of a stage are gone through."""
  folds = stage.get('folds', 0)
  return 1 + (folds if _is_convex(stage) else bool(folds))


def _is_convex(stage) -> bool:
  return stage.train.optimizer.name == 'convex'


def check(config, name: str, model, data, variables, x) -> None:
  """Raises InputError where a stage cannot give predictions as it says.

  variables: of one run, like x shapes are enough.
  """
  stage = config[name]
  if [*of(config)][-2][0] != name:
    raise InputError(
      f'{name}.folds: what it predicts is for the last stage: make it the one'
      ' before'
    )
  folds = stage.get('folds', 0)
  num_rows = len(data.splits['train'])
  if type(folds) is not int or folds < 0 or folds == 1 or folds > num_rows:
    raise InputError(
      f'{name}.folds={folds!r} of {num_rows} training rows: give 0, or 2 to'
      f' {num_rows}'
    )
  try:
    predict = functools.partial(model.apply, method='marginals')
    jax.eval_shape(predict, variables, x)
  except NotImplementedError:
    own = type(model).__module__.rpartition('.')[-1]
    raise InputError(
      f'{name}.folds on {own}, which has no marginals in closed form to hand'
      ' on: take independent heads'
    ) from None
  if folds and not _is_convex(stage):
    kept = stacked.kept(stacked.folds(num_rows, folds)).shape[1]
    batches.epoch_indices(kept, stage.train.batch_size or kept, 0, 0)


def train(
  config, data, folder, progress, stop, tensorboard: bool
) -> loop.Result:
  """Trains all stages, each begun with what the one before keeps.

  folder: of the last one; the others are in stages/<name>/ of it. Each goes on
    from its last checkpoint, and one that was done is read from it. What a
    stage trains without a fold is in folds/ of its folder.
  Returns the last one's, with the seconds of all and each run's first failure.
  """
  results, given, structure = [], {}, {}
  for name, stage in of(config):
    within = folder / 'stages' / name if name else folder
    model = build.model(stage.model, config.encoder, data.num_labels)
    fit = functools.partial(
      _fit, config, stage, model, tensorboard, progress, stop
    )
    seeds = list(range(config.seeds))
    if config.get('equal_seeds'):
      seeds = [0] * config.seeds
    begin = {'given': given, 'structure': structure}
    results.append(fit(stage.train, data, seeds, within, **begin))
    variables = results[-1].variables
    params = variables['params']
    given = {part: params[part] for part in stage.get('keep', ())}
    structure = {}
    if 'folds' in stage:
      given[name], structure[name] = params, variables['structure']
    if stage.get('folds'):
      fold_N = stacked.folds(len(data.splits['train']), stage.folds)
      result = _without_folds(fit, stage, data, seeds, fold_N, within, begin)
      results.append(result)
      data = stacked.out_of_fold(model, result.variables, data, fold_N)
      structure['run'] = np.arange(config.seeds, dtype=np.int32)
  return together(results)


def together(results) -> loop.Result:
  """The last one, with the seconds of all and each run's first failure."""
  by_run = zip(*(r.failures for r in results if r.failures), strict=True)
  failures = tuple(next(filter(None, texts), '') for texts in by_run)
  if failures and all(failures):
    raise session.Diverged(failures[0], failures)
  return results[-1]._replace(
    compile_seconds=sum(r.compile_seconds for r in results),
    train_seconds=sum(r.train_seconds for r in results),
    failures=failures,
  )


def _fit(
  config,
  stage,
  model,
  tensorboard,
  progress,
  stop,
  train_config,
  data,
  seeds,
  folder,
  **options,
) -> loop.Result:
  """A run for each seed, from scratch or gone on with.

  options: of `loop.fit`.
  """
  log = functools.partial(_log, folder, tensorboard)
  common = model, data, train_config, seeds
  if _is_convex(stage):
    return _solve(*common, folder, log, progress, stop)
  select = scoring.selection(
    stage.train.select,
    model,
    data.split('valid'),
    build.infer(config.inference),
    batch_size=config.decode_batch,
    memory_mib=config.decode_mib,
  )
  with checkpoint.Checkpoints(folder / 'checkpoints') as saved:
    return loop.fit(
      *common,
      objective=build.objective(model, stage.train.loss, data),
      select=select,
      saved=saved,
      log=log,
      progress=progress,
      stop=stop,
      **options,
    )


def _without_folds(fit, stage, data, seeds, fold_N, folder, begin):
  """The stage once more without each fold: K x F runs, each seed's together.

  The copies of a seed begin with the same parameters as its run on all rows.
  """
  kept_FxM = stacked.kept(fold_N)
  num_folds = len(kept_FxM)
  folder = folder / 'folds'
  if not _is_convex(stage):
    each = functools.partial(np.repeat, repeats=num_folds, axis=0)
    result = fit(
      _repeated(stage.train, num_folds),
      data,
      each(seeds).tolist(),
      folder,
      kept_KxM=np.tile(kept_FxM, (len(seeds), 1)),
      **jax.tree.map(each, begin),
    )
    failures = np.reshape(result.failures, (len(seeds), num_folds))
    return result._replace(
      failures=tuple(next(filter(None, texts), '') for texts in failures)
    )
  rows = data.splits['train']
  results = [
    fit(
      stage.train,
      dataclasses.replace(
        data, splits=data.splits | {'train': rows[fold_N != fold]}
      ),
      seeds,
      folder / str(fold),
    )
    for fold in range(num_folds)
  ]
  variables = jax.tree.map(
    lambda *a: np.stack(a, 1).reshape(-1, *np.shape(a[0])[1:]),
    *(result.variables for result in results),
  )
  return loop.Result(
    variables,
    [],
    sum(result.compile_seconds for result in results),
    sum(result.train_seconds for result in results),
  )


def _repeated(config, times: int):
  """`config` with what a run has of its own given `times` times."""
  config = config.copy_and_resolve_references()
  for key in optimizer.OF_RUNS:
    value = config.optimizer.get(key)
    if isinstance(value, tuple | list):
      config.optimizer[key] = tuple(np.repeat(value, times).tolist())
  return config


def _solve(model, data, config, seeds, folder, log, progress, stop):
  """`convex.fit`, saved: a run that is cut does not solve again."""
  if stop():
    raise loop.Stopped
  path = folder / 'checkpoints' / 'solved'
  if path.exists():
    variables, about = checkpoint.restore(path)
    result = loop.Result(variables, **about)
  else:
    result = convex.fit(model, data, config, seeds)
    if parallel.is_first():
      about = result._asdict()
      checkpoint.save(path, about.pop('variables'), about)
  with log(0) as write:
    for line in result.history if write else ():
      write(line['epoch'], line)
  if progress:
    progress.advance(config.epochs, 'solved')
  return result


@contextlib.contextmanager
def _log(folder, tensorboard, epoch):
  """The `write` of a loop that goes on after `epoch`."""
  if not parallel.is_first():
    yield None
    return
  with logs.Scalars(
    folder, tensorboard=tensorboard, resume_after=epoch or None
  ) as scalars:
    yield scalars.write
