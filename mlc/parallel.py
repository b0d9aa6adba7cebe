"""How a function of a State and a batch runs: the only file with devices.

A `Plan` places the runs, the rows and the row numbers and compiles one
function `run(fits, rows, idx, axis_name)`: on one device ('jit'), on shares of
every batch or of the runs ('pmap'), or over a mesh with the axes runs, data and
label ('mesh').
"""

from collections.abc import Callable
import functools
import os
import time
from typing import Any
import warnings

import jax
from jax import sharding
from jax.experimental import multihost_utils
import numpy as np

from mlc import calls
from mlc.errors import InputError, nearest

OPTIONS = {
  'jit': (),
  'pmap': ('over', 'devices'),
  'mesh': ('runs', 'data', 'label'),
}


def devices() -> list[str]:
  """The devices of all processes, in words."""
  return [f'{d.platform}:{d.id} {d.device_kind}' for d in jax.devices()]


def cache_compilations(folder: str) -> None:
  """Keeps every compiled program in `folder`, for the next process."""
  if not os.environ.get('JAX_COMPILATION_CACHE_DIR'):
    jax.config.update('jax_compilation_cache_dir', folder)
  # The defaults skip programs that compile in under a second.
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
  jax.config.update('jax_persistent_cache_min_entry_size_bytes', 0)
  # An entry torn by a kill is compiled anew; that it is torn helps no one.
  warnings.filterwarnings(
    'ignore', 'Error reading persistent compilation cache'
  )


def dispatch_in_turn() -> None:
  """Runs one program at a time on the CPU.

  Programs dispatched asynchronously share one small pool of threads, where
  they once waited for each other for ever (jax 0.10.2, 2 cores).
  """
  jax.config.update('jax_cpu_enable_async_dispatch', False)


def trace(folder: str):
  """A context: what runs in it is traced into `folder`, for Perfetto too."""
  return jax.profiler.trace(folder, create_perfetto_trace=True)


class Programs:
  """Functions compiled at their first call, and the seconds that took."""

  def __init__(self):
    self.compile_seconds = 0.0

  def add(self, function, wrapper=jax.jit, small=False, **kwargs) -> 'Program':
    """`wrapper(function)`, compiled once for each shape of its arguments.

    small: its operations are so short that a CPU's threads do not pay.
    """
    return Program(self, wrapper(function, **kwargs), _options(small))


class Program:
  """A function of `Programs`."""

  def __init__(self, programs: Programs, wrapped, options: dict[str, Any]):
    self.programs, self.wrapped, self.options = programs, wrapped, options
    self.executables: dict[Any, Any] = {}

  def __call__(self, *args):
    return self._compiled(*args)(*args)

  def mib(self, *args) -> float:
    """What a call holds beside its arguments, which may be shapes alone."""
    found = self._compiled(*args).memory_analysis()
    if found is None:  # Not every platform says.
      return 0.0
    return (found.temp_size_in_bytes + found.output_size_in_bytes) / 2**20

  def _compiled(self, *args):
    leaves, tree = jax.tree.flatten(args)
    key = tree, tuple((np.shape(a), a.dtype) for a in leaves)
    if key not in self.executables:
      start = time.perf_counter()
      lowered = self.wrapped.lower(*args)
      self.executables[key] = lowered.compile(compiler_options=self.options)
      self.programs.compile_seconds += time.perf_counter() - start
    return self.executables[key]


def _options(small: bool) -> dict[str, Any]:
  """What XLA is told for a CPU; measured in notes/benchmark.md."""
  if jax.default_backend() != 'cpu':
    return {}
  # Has no effect without AVX-512.
  options: dict[str, Any] = {'xla_cpu_prefer_vector_width': 512}
  if small:
    options['xla_disable_hlo_passes'] = 'cpu-parallel-task-assigner'
  return options


def over_runs(function, in_axes):
  """`function` for K runs at once, on a leading axis of `in_axes` 0."""
  mapped = jax.vmap(function, in_axes=in_axes)

  def call(*args):
    axes = in_axes if isinstance(in_axes, tuple) else (in_axes,) * len(args)
    own = [arg for arg, axis in zip(args, axes, strict=True) if axis == 0]
    if jax.tree.leaves(own)[0].shape[0] > 1:
      return mapped(*args)
    # On a CPU a batch dimension of 1 makes reductions ten times as slow.
    one = (
      jax.tree.map(lambda a: a[0], arg) if axis == 0 else arg
      for arg, axis in zip(args, axes, strict=True)
    )
    return jax.tree.map(lambda a: a[None], function(*one))

  return call


def parse(how: str) -> tuple[str, dict[str, Any]]:
  """'mesh(data=4, label=2)' -> the way and its options, checked.

  Raises:
    InputError: an unknown way or option, or more devices than there are.
  """
  name, options = calls.parse(how, 'train.parallel')
  if name not in OPTIONS:
    raise nearest(name, OPTIONS, 'way of running in parallel')
  calls.check(options, OPTIONS[name], name)
  if options.get('over', 'data') not in ('data', 'runs'):
    raise nearest(options['over'], ('data', 'runs'), 'axis of pmap')
  sizes = {key: n for key, n in options.items() if key != 'over'}
  if any(type(n) is not int or n < 1 for n in sizes.values()):
    raise InputError(
      f'train.parallel={how!r}: give counts of devices, 1 or more'
    )
  if np.prod(list(sizes.values()) or [1]) > jax.device_count():
    raise InputError(
      f'train.parallel={how!r} asks for more than the {jax.device_count()}'
      ' devices there are'
    )
  if name != 'mesh' and jax.process_count() > 1:
    raise InputError(
      f'train.parallel={how!r} on {jax.process_count()} processes: set'
      ' train.parallel=mesh, which spans them'
    )
  return name, options


class Plan:
  """Where K runs stand and how their rows reach them: here, one device.

  splits_batches: a program sees its device's share of a batch alone.
  """

  splits_batches = False

  def __init__(self, num_runs: int, num_labels: int):
    """What the options of a way decide; none here."""

  def runs(self, tree):
    """Arrays with a leading axis K, where the runs stand."""
    return jax.tree.map(jax.numpy.asarray, tree)

  def rows(self, tree):
    """Arrays that every run reads."""
    return jax.tree.map(jax.numpy.asarray, tree)

  def shared_out(self, idx):
    """Row numbers, K first and B last, to the devices that need them."""
    return idx

  def compile(self, programs: Programs, run, small: bool = False) -> Callable:
    """`run(fits, rows, idx, axis_name)` as a function of the first three."""
    run = functools.partial(run, axis_name=None)
    return programs.add(run, small=small, donate_argnums=0)

  def fetch(self, tree):
    """The whole of `tree` as NumPy arrays, on every process."""
    return jax.device_get(tree)


class Pmap(Plan):
  """A share of every batch, or of the runs, on each device of the process."""

  def __init__(self, num_runs, num_labels, over='data', devices=0):
    self.devices = jax.local_devices()[: devices or None]
    self.over_runs = over == 'runs'
    self.splits_batches = not self.over_runs
    if self.over_runs:
      _divides(num_runs, 'runs', len(self.devices), 'pmap')

  def compile(self, programs, run, small=False):
    shares = len(self.devices)

    def split(a):
      return a.reshape(shares, -1, *a.shape[1:])

    def split_rows(idx):
      return np.stack(np.split(_padded(idx, shares), shares, axis=-1))

    def mapped(in_axes, out_axes, axis_name):
      return programs.add(
        functools.partial(run, axis_name=axis_name),
        wrapper=jax.pmap,
        small=small,
        axis_name='data',
        devices=self.devices,
        in_axes=in_axes,
        out_axes=out_axes,
      )

    if not self.over_runs:
      on_shares = mapped((None, None, 0), None, 'data')
      return lambda fits, rows, idx: on_shares(fits, rows, split_rows(idx))
    on_runs = mapped((0, None, 0), 0, None)

    def call(fits, rows, idx):
      out = on_runs(jax.tree.map(split, fits), rows, split(idx))
      return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), out)

    return call


class Mesh(Plan):
  """Named axes over all processes: runs, rows of a batch, the labels' axis."""

  def __init__(self, num_runs, num_labels, runs=1, data=0, label=1):
    _divides(num_runs, 'runs', runs, 'mesh')
    _divides(num_labels, 'label', label, 'mesh')
    data = data or jax.device_count() // (runs * label)
    found = np.array(jax.devices()[: runs * data * label])
    # Not jax.make_mesh: its axes are Explicit, which flax.linen cannot trace.
    self.mesh = sharding.Mesh(found.reshape(runs, data, label), OPTIONS['mesh'])
    self.num_labels, self.label, self.data = num_labels, label, data
    self._gathered = jax.jit(lambda tree: tree, out_shardings=self._named())
    if jax.process_count() > 1 and found.size < jax.device_count():
      raise InputError(
        f'train.parallel: a mesh of {found.size} devices leaves some of the'
        f' {jax.device_count()} of {jax.process_count()} processes out: give'
        ' runs, data and label so that their product is all of them'
      )

  def _named(self, *axes):
    return sharding.NamedSharding(self.mesh, sharding.PartitionSpec(*axes))

  def _sharding(self, leaf):
    """Runs on the first axis; the last one that is as long as L by label.

    It decides where an array stands, never what is computed.
    """
    axes: list[str | None] = ['runs'] + [None] * (np.ndim(leaf) - 1)
    of_labels = [
      axis
      for axis in range(1, np.ndim(leaf))
      if np.shape(leaf)[axis] == self.num_labels
    ]
    if self.label > 1 and of_labels:
      axes[of_labels[-1]] = 'label'
    return self._named(*axes)

  def runs(self, tree):
    return jax.tree.map(lambda a: _placed(a, self._sharding(a)), tree)

  def rows(self, tree):
    return jax.tree.map(lambda a: _placed(a, self._named()), tree)

  def shared_out(self, idx):
    idx = _padded(np.asarray(idx), self.data)
    middle = [None] * (idx.ndim - 2)
    return _placed(idx, self._named('runs', *middle, 'data'))

  def compile(self, programs, run, small=False):
    run = functools.partial(run, axis_name=None)

    def constrained(fits, rows, idx):
      fits, scalars = run(fits, rows, idx)
      keep = jax.lax.with_sharding_constraint
      fits = jax.tree.map(lambda a: keep(a, self._sharding(a)), fits)
      # Every process reads the scalars.
      return fits, jax.tree.map(lambda a: keep(a, self._named()), scalars)

    return programs.add(constrained, small=small, donate_argnums=0)

  def fetch(self, tree):
    if jax.process_count() > 1:
      tree = self._gathered(tree)
    return jax.device_get(tree)


def plan(how: str, num_runs: int, num_labels: int) -> Plan:
  """'mesh(data=4, label=2)' -> its Plan. Raises InputError as `parse`."""
  name, options = parse(how)
  ways = {'jit': Plan, 'pmap': Pmap, 'mesh': Mesh}
  return ways[name](num_runs, num_labels, **options)


def is_first() -> bool:
  """Whether this process is the one that writes files and prints."""
  return jax.process_index() == 0


def any_of(flag: bool) -> bool:
  """Whether `flag` is true on any process, so that all do the same."""
  if jax.process_count() == 1:
    return flag
  return bool(multihost_utils.process_allgather(np.array(flag)).any())


def same_everywhere(number: int) -> bool:
  """Whether all processes have the same `number`."""
  if jax.process_count() == 1:
    return True
  return len(set(multihost_utils.process_allgather(np.array(number)))) == 1


def _divides(number, axis, by, way):
  if number % by:
    raise InputError(
      f'train.parallel: {way} cannot share {number} {axis} out over {by}'
      ' devices: give a number that divides them'
    )


def _padded(idx, shares):
  """The last axis filled with -1 to a multiple of `shares`."""
  widths = [(0, 0)] * (idx.ndim - 1) + [(0, -idx.shape[-1] % shares)]
  return np.pad(idx, widths, constant_values=-1)


def _placed(array, where):
  """Every process passes the same array, and keeps the parts it holds."""
  if isinstance(array, jax.Array):
    return jax.device_put(array, where)
  array = np.asarray(array)
  return jax.make_array_from_callback(
    array.shape, where, lambda part: array[part]
  )
