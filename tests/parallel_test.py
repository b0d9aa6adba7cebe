"""One device, shares of batches or runs, and meshes train to the same end."""

import contract
import jax
import numpy as np
import pytest

from mlc import loop, parallel
from mlc.errors import InputError
from mlc.models import chain

pytestmark = pytest.mark.xdist_group('devices')
SEEDS = [0, 1]


def trained(how, **changes):
  """Parameters of two runs; their batches of 18 divide by 2, not by 8."""
  model = contract.make(chain.Model)
  config = contract.sgd(parallel=how, batch_size=18, **changes)
  return loop.fit(model, contract.dataset(), config, SEEDS)


@pytest.fixture(scope='module')
def alone():
  return trained('jit')


@pytest.mark.parametrize(
  'how',
  [
    'pmap(devices=1)',
    'pmap(devices=2)',
    'pmap',
    "pmap(over='runs', devices=2)",
    'mesh(data=1)',
    'mesh(data=2)',
    'mesh',
    'mesh(label=4)',
    'mesh(runs=2, data=2, label=2)',
  ],
)
def test_every_way_ends_where_one_device_does(alone, how):
  other = trained(how)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
    alone.variables,
    other.variables,
  )
  for one, two in zip(alone.history, other.history, strict=True):
    for name in ('train_loss', 'valid_loss'):
      np.testing.assert_allclose(one[name], two[name], rtol=1e-5)


def test_twenty_steps_of_adam_agree():
  adam = {'name': 'adamw', 'lr': 1e-2, 'weight_decay': 1e-2}
  one, two, three = (
    trained(how, epochs=10, optimizer=adam)
    for how in ('jit', 'pmap', 'mesh(data=4, label=2)')
  )
  for other in (two, three):
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, atol=2e-4),
      one.variables,
      other.variables,
    )


def test_a_mesh_shards_runs_rows_and_the_output_layer():
  plan = parallel.plan('mesh(runs=2, data=2, label=2)', 2, 4)
  kernel = plan.runs(np.zeros((2, 5, 4), np.float32))
  assert {s.data.shape for s in kernel.addressable_shards} == {(1, 5, 2)}
  bias = plan.runs(np.zeros((2, 7), np.float32))
  assert {s.data.shape for s in bias.addressable_shards} == {(1, 7)}
  idx = plan.shared_out(np.zeros((2, 3, 5), np.int32))
  # Five rows become six, so that they divide.
  assert {s.data.shape for s in idx.addressable_shards} == {(1, 3, 3)}
  assert np.asarray(idx)[..., 5].max() == -1
  rows = plan.rows(np.zeros((9, 4), np.float32))
  assert {s.data.shape for s in rows.addressable_shards} == {(9, 4)}


def test_the_old_state_is_donated():
  plan = parallel.plan('jit', 1, 4)
  run = plan.compile(parallel.Programs(), lambda fits, rows, idx, axis_name: (
    fits + rows[idx].sum(), fits
  ))  # fmt: skip
  fits = plan.runs(np.zeros(1000, np.float32))
  out, _ = run(fits, plan.rows(np.ones(3, np.float32)), np.array([0, 1]))
  assert fits.is_deleted()
  assert float(out[0]) == 2


def test_a_program_is_compiled_once_for_each_shape():
  programs, traced = parallel.Programs(), []

  def function(x):
    traced.append(x.shape)
    return x + 1

  run = programs.add(function)
  for size in (2, 3, 2, 3):
    np.testing.assert_array_equal(run(np.zeros(size)), np.ones(size))
  assert traced == [(2,), (3,)]
  assert programs.compile_seconds > 0


@pytest.mark.parametrize(
  'how, runs, message',
  [
    ('pmpa', 2, 'unknown way of running in parallel .*pmap'),
    ('pmap(over="seeds")', 2, "unknown axis of pmap 'seeds'"),
    ('mesh(rows=2)', 2, "unknown option of mesh 'rows'"),
    ('mesh(data=0)', 2, 'give counts of devices, 1 or more'),
    ('mesh(data=4, label=4)', 2, 'more than the 8 devices there are'),
    ('mesh(label=3)', 2, 'cannot share 4 label out over 3 devices'),
    ('mesh(runs=2)', 3, 'cannot share 3 runs out over 2 devices'),
    ('pmap(over="runs")', 2, 'cannot share 2 runs out over 8 devices'),
    ('pmap(data=2)', 2, "unknown option of pmap 'data'"),
  ],
)
def test_what_cannot_be_shared_out_is_told_in_one_line(how, runs, message):
  with pytest.raises(InputError, match=message):
    parallel.plan(how, runs, 4)
