"""How a function of a State and a batch runs: the only file with devices.

`wrap` takes one function `run(state, rows, idx, axis_name)`, of which `idx` is
all that differs between data-parallel shares.
"""

import functools
import os
import time

import jax
import numpy as np

from mlc.errors import nearest


def devices() -> list[str]:
  """The devices of this process, in words."""
  return [f'{d.platform}:{d.id} {d.device_kind}' for d in jax.devices()]


def cache_compilations(folder: str) -> None:
  """Keeps every compiled program in `folder`, for the next process."""
  if not os.environ.get('JAX_COMPILATION_CACHE_DIR'):
    jax.config.update('jax_compilation_cache_dir', folder)
  # The defaults skip programs that compile in under a second.
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
  jax.config.update('jax_persistent_cache_min_entry_size_bytes', 0)


def dispatch_in_turn() -> None:
  """Runs one program at a time on the CPU.

  Programs dispatched asynchronously share one small pool of threads, where
  they once waited for each other for ever (jax 0.10.2, 2 cores).
  """
  jax.config.update('jax_cpu_enable_async_dispatch', False)


def compiled(function, *args, **jit_kwargs):
  """(executable, seconds): `function` compiled for `args`, not run."""
  start = time.perf_counter()
  jitted = jax.jit(function, **jit_kwargs)
  return jitted.lower(*args).compile(), time.perf_counter() - start


def over_runs(function, in_axes):
  """`function` for K runs at once, on a leading axis of `in_axes` 0."""
  return jax.vmap(function, in_axes=in_axes)


def check(how: str) -> None:
  """Raises InputError for a way that `wrap` does not know."""
  if how not in ('jit', 'pmap'):
    raise nearest(how, ('jit', 'pmap'), 'way of running in parallel')


def wrap(run, how: str, *args):
  """`run(state, rows, idx, axis_name)` compiled for `args`.

  how: 'jit', on one device; or 'pmap', data parallel over all local devices:
    state and rows are replicated, the last axis of idx (row indices, -1 =
    padding) is shared out, padded where it does not divide.
  -> a function of (state, rows, idx) that returns what `run` returns.
  """
  if how == 'jit':
    executable, _ = compiled(
      functools.partial(run, axis_name=None), *args, donate_argnums=0
    )
    return executable
  check(how)
  shares = jax.local_device_count()
  mapped = jax.pmap(
    functools.partial(run, axis_name='data'),
    axis_name='data',
    in_axes=(None, None, 0),
    out_axes=None,  # pyright: ignore[reportArgumentType]
  )

  def shared_out(idx):
    idx = np.asarray(idx)
    lacking = -idx.shape[-1] % shares
    widths = [(0, 0)] * (idx.ndim - 1) + [(0, lacking)]
    idx = np.pad(idx, widths, constant_values=-1)
    return np.stack(np.split(idx, shares, axis=-1))

  state, rows, idx = args
  executable = mapped.lower(state, rows, shared_out(idx)).compile()
  return lambda state, rows, idx: executable(state, rows, shared_out(idx))
