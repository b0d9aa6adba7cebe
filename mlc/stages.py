"""Training in stages: a short list over the one loop.

`config.stages` names keys of the config, each a stage with `model`, `train`
and `keep`: the parts of its parameters that the next stage begins with. The
encoder, the seeds and the data are the same throughout. The config itself is
the last stage; it holds fixed what `train.optimizer.freeze` names.
"""

import contextlib
import functools

from mlc import build, checkpoint, convex, evaluate, logs, loop, parallel


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
  """
  seeds, result, given = list(range(config.seeds)), None, {}
  for name, stage in of(config):
    model = build.model(stage.model, config.encoder, data.num_labels)
    if stage.train.optimizer.name == 'convex':
      result = convex.fit(model, data, stage.train, seeds)
      with _log(folder, tensorboard, 0) as write:
        for line in result.history if write else ():
          write(line['epoch'], line)
      if progress:
        progress.advance(stage.train.epochs, 'solved')
      continue
    infer = build.infer(stage.get('inference', config.inference))
    within = folder / 'stages' / name if name else folder
    with checkpoint.Checkpoints(within / 'checkpoints') as saved:
      result = loop.fit(
        model,
        data,
        stage.train,
        seeds,
        objective=build.objective(model, stage.train.loss, data),
        select=evaluate.selection(
          stage.train.select,
          model,
          data.split('valid'),
          infer,
          batch_size=config.decode_batch,
        ),
        given=given,
        saved=saved,
        log=functools.partial(_log, within, tensorboard),
        progress=progress,
        stop=stop,
      )
    given = {
      part: result.variables['params'][part] for part in stage.get('keep', ())
    }
  assert result
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
