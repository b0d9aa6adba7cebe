"""Eight CPU devices and one compilation cache for the whole run."""

import os
import pathlib
import tempfile

# Most of the time is compilation, and half of that LLVM's optimisation. Read at
# the first one, here and in the processes that tests start.
os.environ['XLA_FLAGS'] = ' '.join(
  ['--xla_backend_optimization_level=0', os.environ.get('XLA_FLAGS', '')]
)

import jax
import pytest

jax.config.update('jax_platforms', 'cpu')
jax.config.update('jax_num_cpu_devices', 8)
# More forced devices than cores, dispatched asynchronously, can time out in a
# collective and abort the process.
jax.config.update('jax_cpu_enable_async_dispatch', False)
jax.config.update(
  'jax_compilation_cache_dir',
  os.environ.get('JAX_COMPILATION_CACHE_DIR')
  or os.path.join(tempfile.gettempdir(), f'mlc-test-cache-{os.getuid()}'),
)
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
jax.config.update('jax_persistent_cache_min_entry_size_bytes', 0)
jax.config.update('jax_numpy_rank_promotion', 'raise')


@pytest.fixture
def mlc_data() -> pathlib.Path:
  """The folder of real data sets; skips where there is none."""
  folder = os.environ.get('MLC_DATA')
  if not folder:
    pytest.skip('MLC_DATA is not set: no real data sets here')
  return pathlib.Path(folder)
