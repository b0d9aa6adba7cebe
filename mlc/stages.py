"""Training in stages: a short list over the one loop.

`config.stages` names keys of the config, each a stage with `model`, `train`
and `keep`: the parts of its parameters that the next stage begins with. The
encoder, the seeds and the data are the same throughout. The config itself is
the last stage; it holds fixed what `train.optimizer.freeze` names.
"""

import contextlib
import functools

from mlc import (
  build,
  checkpoint,
  convex,
  logs,
  loop,
  parallel,
  scoring,
)


def of(config):
  """(name, config of the stage), the last one without a name."""
  stages = [(name, config[name]) for name in config.get('stages', ())]
  return [*stages, ('', config)]


def epochs(config) -> int:
  """Of all stages together, at most."""
  return sum(stage.train.epochs for _, stage in of(config))


def train(
  config, data, folder, progress, stop, tensorboard: bool
) -> loop.Result:
  """Trains all stages, each begun with what the one before keeps.

  folder: of the last one; the others are in stages/<name>/ of it. Each goes on
    from its last checkpoint, and one that was done is read from it.
  Returns the last one's, with the seconds of all and each run's first failure.
  """
  results, given = [], {}
  for name, stage in of(config):
    within = folder / 'stages' / name if name else folder
    model = build.model(stage.model, config.encoder, data.num_labels)
    log = functools.partial(_log, within, tensorboard)
    common = model, data, stage.train, list(range(config.seeds))
    if stage.train.optimizer.name == 'convex':
      results.append(_solve(*common, within, log, progress, stop))
    else:
      select = scoring.selection(
        stage.train.select,
        model,
        data.split('valid'),
        build.infer(config.inference),
        batch_size=config.decode_batch,
        memory_mib=config.decode_mib,
      )
      with checkpoint.Checkpoints(within / 'checkpoints') as saved:
        result = loop.fit(
          *common,
          objective=build.objective(model, stage.train.loss, data),
          select=select,
          given=given,
          saved=saved,
          log=log,
          progress=progress,
          stop=stop,
        )
      results.append(result)
    params = results[-1].variables['params']
    given = {part: params[part] for part in stage.get('keep', ())}
  by_run = zip(*(r.failures for r in results if r.failures), strict=True)
  return results[-1]._replace(
    compile_seconds=sum(r.compile_seconds for r in results),
    train_seconds=sum(r.train_seconds for r in results),
    failures=tuple(next(filter(None, texts), '') for texts in by_run),
  )


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
