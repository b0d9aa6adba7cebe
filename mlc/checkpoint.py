"""Trees of arrays and what belongs to them, saved and restored by orbax."""

from concurrent import futures
import logging
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mlc import archive
from mlc.errors import InputError


def save(folder, variables, about: dict[str, Any]) -> None:
  """Writes nested dicts of arrays and `about` (JSON), or nothing at all.

  What was there is replaced. NaN and infinity in `about` become strings.
  Raises InputError where the disk is full or not to be written to.
  """
  names = jax.tree.unflatten(
    jax.tree.structure(variables), list(_leaves(variables))
  )
  arrays = _snapshot(variables)
  content = archive.describe(arrays, about=about, tree=names)
  archive.write(pathlib.Path(folder), arrays, content)


def restore(folder) -> tuple[Any, dict[str, Any]]:
  """(variables as NumPy arrays, about).

  Raises InputError if there is none, or a damaged one.
  """
  path = pathlib.Path(folder)
  if not path.is_dir():
    raise InputError(f'no checkpoint at {folder}: train into this folder first')
  advice = 'put back a copy, or remove it and train again'
  arrays, content = archive.read(path, advice)
  variables = jax.tree.map(arrays.__getitem__, content['tree'])
  return variables, content['about']


class Saved(NamedTuple):
  """A checkpoint of a run in training."""

  step: int
  tree: Any
  about: dict[str, Any]


class Checkpoints:
  """The last `keep` checkpoints of a run, in folder/<step>/.

  A context manager: at its start what a killed process left half-written is
  removed, at its end what is still being saved is waited for. Of several
  processes (jax.process_count() > 1) process 0 alone writes and all read; they
  must see the same folder and give host arrays.
  """

  def __init__(self, folder, keep: int = 2):
    if keep < 1:
      raise InputError(f'keep {keep} checkpoints: give 1 or more')
    self.folder, self.keep = pathlib.Path(folder), keep
    self.executor = futures.ThreadPoolExecutor(1, 'checkpoint')
    self.running: futures.Future | None = None

  def __enter__(self) -> 'Checkpoints':
    """Remove what was left half-written."""
    if jax.process_index() == 0:
      archive.clean(self.folder)
    return self

  def __exit__(self, kind, *_) -> None:
    """Wait for what is still being saved; raise if that failed.

    An error that ends the block is not replaced: then the other is logged.
    """
    try:
      self.wait()
    except InputError as error:
      if kind is None or not issubclass(kind, Exception):
        raise
      logging.getLogger('absl').error('%s', error)
    finally:
      self.executor.shutdown()

  def steps(self) -> list[int]:
    """The steps of which there is a checkpoint, in ascending order."""
    if not self.folder.is_dir():
      return []
    names = (path.name for path in self.folder.iterdir() if path.is_dir())
    return sorted(int(name) for name in names if name.isdecimal())

  def save(self, step: int, tree, about: dict[str, Any]) -> None:
    """Copies `tree` to the host, and writes it in the background.

    A save that still runs is waited for. A step that is saved already is left
    as it is, since nothing may be half-replaced.

    Args:
      step: no smaller than the last one.
      tree: a pytree of arrays, typed keys and numbers.
      about: JSON; NaN and infinity in it become strings.

    Raises:
      InputError: the save before this one failed; those before it are whole.
      ValueError: a step before the last one.
    """
    self.wait()
    if jax.process_index() != 0:
      return
    last = max(self.steps(), default=-1)
    if step < last:
      raise ValueError(f'{self.folder}: step {step} comes after step {last}')
    if step == last:
      return
    arrays = _snapshot(tree)
    content = archive.describe(arrays, about=about)
    self.running = self.executor.submit(self._write, step, arrays, content)

  def _write(self, step: int, arrays, content) -> None:
    archive.write(self.folder / str(step), arrays, content)
    for old in self.steps()[: -self.keep]:
      archive.remove(self.folder / str(old))

  def wait(self) -> None:
    """Returns when all is on the disk; InputError where that failed."""
    running, self.running = self.running, None
    if running:
      running.result()

  def latest(self, like) -> Saved | None:
    """The newest checkpoint, or None where there is none.

    A damaged one is refused, never passed over: whether to go back is for the
    user to say, by removing it.

    Args:
      like: a tree of arrays, or of `jax.eval_shape`, with the structure,
        shapes and types to restore. Typed keys come back as such (on the
        default device), all else as NumPy arrays.

    Raises:
      InputError: the newest is damaged, or is not like `like`.
    """
    self.wait()
    steps = self.steps()
    if not steps:
      return None
    path = self.folder / str(steps[-1])
    before = f'go on from step {steps[-2]}' if steps[1:] else 'start anew'
    arrays, content = archive.read(
      path, f'put back a copy, or remove it to {before}'
    )
    leaves = _leaves(like)
    here = {name: archive.kind(_data(leaf)) for name, leaf in leaves.items()}
    there = {name: archive.kind(array) for name, array in arrays.items()}
    for name in here | there:
      if here.get(name) != there.get(name):
        raise InputError(
          f'{path} is of another model or optimizer: {name} is'
          f' {_shown(there.get(name))} there and {_shown(here.get(name))} here;'
          ' take the code and config it was made with, or another workdir'
        )
    restored = [
      _key(arrays[name], leaf.dtype) if _is_key(leaf) else arrays[name]
      for name, leaf in leaves.items()
    ]
    tree = jax.tree.unflatten(jax.tree.structure(like), restored)
    return Saved(steps[-1], tree, content['about'])


def _leaves(tree) -> dict[str, Any]:
  """Leaves by name, in the tree's order; a typed key's says its algorithm."""
  leaves = {}
  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    if _is_key(leaf):
      name += f' {leaf.dtype}'
    if name in leaves:
      raise ValueError(f'two leaves of the tree have the name {name}')
    leaves[name] = leaf
  return leaves


def _snapshot(tree) -> dict[str, np.ndarray]:
  """Host copies of the leaves, which nobody donates or changes in place."""
  data = {name: _data(leaf) for name, leaf in _leaves(tree).items()}
  # The transfers run side by side. On a CPU they are views: hence np.array.
  return {name: np.array(a) for name, a in jax.device_get(data).items()}


def _is_key(leaf) -> bool:
  return hasattr(leaf, 'dtype') and jnp.issubdtype(
    leaf.dtype, jax.dtypes.prng_key
  )


def _data(leaf):
  """What is saved of a leaf, or its shape where the leaf is a shape."""
  if not _is_key(leaf):
    return leaf
  if isinstance(leaf, jax.Array):
    return jax.random.key_data(leaf)
  return jax.eval_shape(jax.random.key_data, leaf)


def _key(data, dtype) -> jax.Array:
  """A typed key from its data."""
  algorithm = jax.random.key_impl(jnp.zeros((), dtype))
  return jax.random.wrap_key_data(data, impl=algorithm)


def _shown(kind) -> str:
  return '{}{}'.format(*kind) if kind else 'absent'
