"""A process of a run, for hosts_test.py: a small training over all devices.

python two_processes.py DEVICES EPOCHS [ADDRESS PROCESSES PROCESS]

Prints the loss of every step, and the parameters at the end, as JSON lines.
"""

import functools
import json
import os
import sys

# The package of this tree, wherever the process was started.
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..'))

import contract
import jax
import numpy as np

from mlc import hosts, optimizer, train
from mlc.errors import InputError
from mlc.models import chain

P = jax.sharding.PartitionSpec


def main(devices, epochs, address=None, processes=None, process=None):
  jax.config.update('jax_platforms', 'cpu')
  jax.config.update('jax_num_cpu_devices', int(devices))
  jax.config.update('jax_cpu_enable_async_dispatch', False)
  # Bounds for a busy machine that a test can still wait for.
  hosts.CONNECT_SECONDS = int(os.environ.get('CONNECT_SECONDS', 90))
  hosts.HEARTBEAT_SECONDS = 10
  hosts.connect(address, processes and int(processes), process and int(process))
  with hosts.watched():
    fit(int(epochs), process)


def fit(epochs, process):
  mesh = jax.sharding.Mesh(np.array(jax.devices()), ('data',))
  everywhere = jax.sharding.NamedSharding(mesh, P())
  by_row = jax.sharding.NamedSharding(mesh, P(None, 'data'))

  def put(array, sharding):
    array = np.asarray(array)
    return jax.make_array_from_callback(
      array.shape, sharding, lambda index: array[index]
    )

  model = contract.make(chain.Model)
  data = contract.dataset()
  rows, structure = jax.tree.map(
    lambda a: put(a, everywhere),
    (train.Batch(*data.split('train')), model.structure(data)),
  )
  tx = optimizer.make(contract.sgd().optimizer, 1)
  init = functools.partial(train.init, model, tx)
  state = jax.jit(init, out_shardings=everywhere)(
    structure, rows, jax.random.key(0)
  )
  step = functools.partial(
    train.train_step, objective=train.likelihood(model), tx=tx, l2=0.01
  )

  @functools.partial(jax.jit, out_shardings=everywhere, donate_argnums=0)
  def epoch(state, rows, idx_TxB):
    return jax.lax.scan(
      lambda state, idx_B: step(state, train.take(rows, idx_B)), state, idx_TxB
    )

  rng = np.random.default_rng(0)
  for _ in range(epochs):
    idx_TxB = np.stack([rng.permutation(40)[:16] for _ in range(4)])
    idx_TxB[-1, -3:] = -1
    state, scalars = epoch(state, rows, put(idx_TxB, by_row))
    print(json.dumps(np.asarray(scalars['loss']).tolist()), flush=True)
    if os.environ.get('FAILS', 'none') == process:
      raise InputError('the disk of this machine is full')
  params = jax.tree.map(lambda a: np.asarray(a).tolist(), state.params)
  print(json.dumps({'params': params, 'devices': len(jax.devices())}))


if __name__ == '__main__':
  main(*sys.argv[1:])
