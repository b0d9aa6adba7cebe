"""What checkpoint_test.py runs in a process of its own.

`loop FOLDER` saves without end, to be killed; `full FOLDER` fills the disk
that FOLDER is on, and prints what came of it as JSON.
"""

import json
import pathlib
import sys

import jax
import numpy as np

from mlc import checkpoint
from mlc.errors import InputError


def content(step: int, size: int = 200_000) -> dict:
  """A tree of which every part says its step."""
  rng = np.random.default_rng(step)
  return {
    'count': np.int64(step),
    'x': rng.random(size, np.float32),
    'flags': rng.random(7) < 0.5,
  }


def same(found, step: int, size: int = 200_000) -> bool:
  """Whether `found` is the checkpoint of `step`, to the last bit."""
  expected = content(step, size)
  return (
    found.step == step == found.about['step']
    and found.tree.keys() == expected.keys()
    and all(np.array_equal(found.tree[k], v) for k, v in expected.items())
  )


def loop(folder) -> None:
  """Says a step only when it is on the disk: the next save waits for it."""
  with checkpoint.Checkpoints(folder, keep=2) as saved:
    found = saved.latest(content(0))
    step = found.step if found else 0
    assert found is None or same(found, step)
    while True:
      saved.save(step + 1, content(step + 1), {'step': step + 1})
      print(step, flush=True)
      step += 1


def failure(call, *args) -> str:
  """The message of the InputError that must come."""
  try:
    call(*args)
  except InputError as error:
    return str(error)
  return ''


def full(folder) -> None:
  small, large = 50_000, 4_000_000  # 0.2 and 16 MB on a disk of 8.
  folder = pathlib.Path(folder)
  result = {}
  with checkpoint.Checkpoints(folder / 'run', keep=2) as saved:
    for step in (1, 2):
      saved.save(step, content(step, small), {'step': step})
    saved.save(3, content(3, large), {'step': 3})
    result['large'] = failure(saved.wait)
    # Not one byte left, not even for a folder.
    filler = folder / 'filler'
    with open(filler, 'wb', buffering=0) as file:
      while failure(lambda: _fill(file)) == '':
        pass
    saved.save(3, content(3, small), {'step': 3})
    result['none'] = failure(saved.save, 4, content(4, small), {})
    result['steps'] = saved.steps()
    result['names'] = sorted(p.name for p in saved.folder.iterdir())
    result['whole'] = same(saved.latest(content(0, small)), 2, small)
    filler.unlink()
    saved.save(3, content(3, small), {'step': 3})
    saved.wait()
    result['again'] = same(saved.latest(content(0, small)), 3, small)
  final = folder / 'final'
  checkpoint.save(final, content(1, small), {'a': 1})
  arguments = final, content(1, large), {'a': 2}
  result['final'] = failure(checkpoint.save, *arguments)
  tree, about = checkpoint.restore(final)
  result['kept'] = about == {'a': 1} and np.array_equal(
    tree['x'], content(1, small)['x']
  )
  print(json.dumps(result))


def _fill(file) -> None:
  try:
    file.write(bytes(1024))
  except OSError as error:
    raise InputError('full') from error


if __name__ == '__main__':
  jax.config.update('jax_platforms', 'cpu')
  {'loop': loop, 'full': full}[sys.argv[1]](sys.argv[2])
