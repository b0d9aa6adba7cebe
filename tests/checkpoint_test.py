import json
import logging
import os
import pathlib
import random
import shutil
import subprocess
import sys
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
import saving

from mlc import archive, checkpoint, train
from mlc.errors import InputError

ROOT = pathlib.Path(__file__).parent.parent
ODD = {
  'bfloat16': np.arange(5).astype(jnp.bfloat16),
  'bool': np.array([True, False]),
  'number': 3,
  'scalar': np.float32(0.1),
  'int8': np.array([[-128, 127]], np.int8),
  'uint64': np.array(2**64 - 1, np.uint64),
  'complex': np.array([1 + 2j], np.complex64),
  'minus zero': -np.zeros(3, np.float32),
  'nan': np.array([0x7FC00001, 0xFFC12345], np.uint32).view(np.float32),
  'empty': np.zeros((0, 3), np.float32),
  'columns first': np.asfortranarray(np.arange(6.0).reshape(2, 3)),
}


def bits(leaf) -> tuple:
  """Type, shape and bytes of a leaf; a typed key's by its raw data."""
  if isinstance(leaf, jax.Array) and jnp.issubdtype(
    leaf.dtype, jax.dtypes.prng_key
  ):
    return str(leaf.dtype), bits(jax.random.key_data(leaf))
  array = np.asarray(leaf)
  return str(array.dtype), array.shape, array.tobytes()


def assert_identical(found, expected):
  assert jax.tree.structure(found) == jax.tree.structure(expected)
  found, expected = (
    list(map(bits, jax.tree.leaves(t))) for t in (found, expected)
  )
  assert found == expected


def state(seed=0):
  """A State of AdamW after two steps, with everything that is odd."""
  rng = np.random.default_rng(seed)
  params = {
    'dense': {'kernel': jnp.asarray(rng.normal(size=(4, 3)), jnp.float32)},
    'half': jnp.asarray(rng.normal(size=5), jnp.bfloat16),
  }
  tx = optax.chain(
    optax.clip_by_global_norm(1.0), optax.adamw(optax.constant_schedule(0.1))
  )
  opt_state = tx.init(params)
  for _ in range(2):
    updates, opt_state = tx.update(params, opt_state, params)
    params = optax.apply_updates(params, updates)
  return train.State(
    step=jnp.int32(2),
    key=jax.random.key(seed),
    params=params,
    structure={'order': jnp.arange(3), 'none': None, 'nothing': {}},
    opt_state=opt_state,
  )


def tree(seed=0):
  return {
    'state': state(seed),
    'keys': jax.random.split(jax.random.key(seed, impl='rbg'), 3),
    'odd': ODD,
  }


def save_all(folder, keep=2, **trees):
  """Checkpoints of {'s1': tree of step 1, ...}."""
  with checkpoint.Checkpoints(folder, keep) as saved:
    for name, value in trees.items():
      saved.save(int(name[1:]), value, {'step': int(name[1:])})
  return saved


def refused(call, *args) -> str:
  """The one line of the InputError that must come."""
  with pytest.raises(InputError) as caught:
    call(*args)
  assert '\n' not in str(caught.value)
  return str(caught.value)


def test_state_comes_back_bit_identical(tmp_path):
  expected = tree()
  like = {
    'state': jax.eval_shape(state),
    'keys': jax.eval_shape(lambda: tree()['keys']),
    'odd': ODD,
  }
  saved = save_all(tmp_path, s3=tree(1), s7=expected)
  for given in (like, tree(2)):
    found = saved.latest(given)
    assert found.step == 7
    assert found.about == {'step': 7}
    assert_identical(found.tree, expected)
  numbers = jax.tree.leaves((found.tree['odd'], found.tree['state'].params))
  assert all(type(leaf) is np.ndarray for leaf in numbers)
  drawn = jax.random.normal(found.tree['keys'][1], (3,))
  np.testing.assert_array_equal(
    drawn, jax.random.normal(expected['keys'][1], (3,))
  )


def test_what_follows_a_save_does_not_change_it(tmp_path):
  host = np.zeros(1000, np.float32)
  device = jnp.zeros(1000, jnp.float32)
  add = jax.jit(lambda x: x + 1, donate_argnums=0)
  with checkpoint.Checkpoints(tmp_path) as saved:
    saved.save(1, {'host': host, 'device': device}, {})
    host += 1
    for _ in range(20):
      device = add(device)
    found = saved.latest({'host': host, 'device': device}).tree
  assert not found['host'].any()
  assert not found['device'].any()


def test_another_tree_is_refused_at_its_first_difference(tmp_path):
  good = {'a': np.zeros(2), 'k': jax.random.key(0), 'w': np.ones((2, 3))}
  saved = save_all(tmp_path, s1=good)
  for change, words in {
    'w': (np.ones((2, 4)), 'w is float64[2, 3] there and float64[2, 4] here'),
    'a': (np.zeros(2, np.float32), 'a is float64[2] there and float32[2]'),
    'k': (jax.random.key_data(good['k']), 'k is absent there and uint32[2]'),
    'new': (np.zeros(1), 'new is absent there and float64[1] here'),
  }.items():
    leaf, text = words
    line = refused(saved.latest, good | {change: leaf})
    assert text in line
    assert str(tmp_path / '1') in line
  line = refused(saved.latest, {'a': good['a'], 'k': good['k']})
  assert 'w is float64[2, 3] there and absent here' in line


def test_about_is_strict_json(tmp_path):
  about = {'best': float('inf'), 'at': [np.float32(0.5), {'n': np.int64(3)}]}
  checkpoint.save(tmp_path / 'c', {'a': np.zeros(2)}, about)

  def refuse(name):
    raise ValueError(name)

  text = (tmp_path / 'c' / archive.ABOUT).read_text()
  json.loads(text, parse_constant=refuse)
  _, found = checkpoint.restore(tmp_path / 'c')
  assert found == {'best': 'inf', 'at': [0.5, {'n': 3}]}
  for bad in ({'a': {1, 2}}, {'a': b'x'}):
    with pytest.raises(TypeError):
      checkpoint.save(tmp_path / 'c', {'a': np.zeros(2)}, bad)
  with pytest.raises(TypeError, match='names'):
    checkpoint.save(tmp_path / 'c', {'names': np.array(['x'])}, {})
  assert checkpoint.restore(tmp_path / 'c')[1] == found


def test_final_variables_come_back_bit_identical(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  variables = {
    'params': {'a/b': {'kernel': ODD['bfloat16']}},
    'structure': {},
    'thresholds': ODD['empty'],
    'list': [np.ones(2), np.zeros(3, bool)],
  }
  for about in ({'first': 1}, {'second': [2]}):
    checkpoint.save('relative/final', variables, about)
  found, about = checkpoint.restore('relative/final')
  assert about == {'second': [2]}
  assert_identical(found, variables)
  assert os.listdir('relative') == ['final']
  line = refused(checkpoint.restore, 'nowhere')
  assert line == 'no checkpoint at nowhere: train into this folder first'


def test_relative_folders_of_checkpoints(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  saved = save_all('runs/a', s1=ODD)
  assert_identical(saved.latest(ODD).tree, jax.tree.map(np.asarray, ODD))
  assert saved.latest(ODD).step == 1
  assert checkpoint.Checkpoints('runs/b').latest(ODD) is None


def test_the_last_ones_are_kept(tmp_path):
  trees = {f's{step}': {'a': np.full(3, step)} for step in (1, 2, 9, 10, 11)}
  (tmp_path / 'notes').mkdir()
  assert save_all(tmp_path, 3, **trees).steps() == [9, 10, 11]
  assert sorted(os.listdir(tmp_path)) == ['10', '11', '9', 'notes']
  saved = save_all(tmp_path, 1, s11={'a': np.full(3, 0)})
  assert saved.latest(trees['s1']).tree['a'].tolist() == [11, 11, 11]
  with pytest.raises(ValueError, match='step 10 comes after step 11'):
    save_all(tmp_path, 1, s10=trees['s10'])
  assert 'give 1 or more' in refused(checkpoint.Checkpoints, tmp_path, 0)


def test_writing_goes_on_in_the_background(tmp_path, monkeypatch):
  write, go = archive.write, threading.Event()

  def slow(*args):
    assert go.wait(30)
    write(*args)

  monkeypatch.setattr(archive, 'write', slow)
  leaf = {'a': np.zeros(3)}
  with checkpoint.Checkpoints(tmp_path, keep=1) as saved:
    saved.save(1, leaf, {})
    assert saved.steps() == []
    threading.Timer(0.2, go.set).start()
    saved.save(2, leaf, {})
    assert saved.steps()[0] == 1
    go.clear()
    threading.Timer(0.2, go.set).start()
    saved.wait()
    assert saved.steps() == [2]
    saved.save(3, leaf, {})
  assert saved.steps() == [3]


def test_old_ones_stay_until_the_new_one_is_whole(tmp_path, monkeypatch):
  saved = save_all(tmp_path, 1, s1={'a': np.zeros(3)})
  sync = archive._sync

  def broken(path):
    sync(path)
    raise OSError(5, 'Input/output error')

  monkeypatch.setattr(archive, '_sync', broken)
  line = refused(lambda: save_all(tmp_path, 1, s2={'a': np.ones(3)}))
  assert 'Input/output error' in line
  assert os.listdir(tmp_path) == ['1']
  assert saved.latest({'a': np.zeros(3)}).step == 1


def test_a_removal_cut_short_leaves_no_part(tmp_path, monkeypatch):
  def cut(path, **_):
    if path.exists():
      (path / archive.ABOUT).unlink()
      raise OSError(16, 'Device or resource busy')

  saved = save_all(tmp_path, 1, s1={'a': np.zeros(3)})
  monkeypatch.setattr(shutil, 'rmtree', cut)
  line = refused(lambda: save_all(tmp_path, 1, s2={'a': np.ones(3)}))
  assert f'{tmp_path}/1: not removed (Device or resource busy)' in line
  assert saved.steps() == [2]
  assert saved.latest({'a': np.zeros(3)}).step == 2


def test_everything_is_synced_before_it_counts(tmp_path, monkeypatch):
  sync, synced = archive._sync, set()

  def record(path):
    # Renamed or not, a file is known by its number.
    synced.add(os.stat(path).st_ino)
    sync(path)
    assert path == tmp_path or not (tmp_path / '1').exists()

  monkeypatch.setattr(archive, '_sync', record)
  save_all(tmp_path, s1=ODD)
  entries = [tmp_path, tmp_path / '1', *(tmp_path / '1').rglob('*')]
  assert len(entries) > 6
  assert {os.stat(path).st_ino for path in entries} <= synced


@pytest.fixture
def blocked(tmp_path):
  """A folder that cannot be made, since a file has its name."""
  (tmp_path / 'file').write_text('')
  return checkpoint.Checkpoints(tmp_path / 'file' / 'run')


def test_errors_of_the_background_are_raised(blocked, caplog):
  leaf = {'a': np.zeros(3)}
  blocked.save(1, leaf, {})
  line = refused(blocked.wait)
  assert 'file/run/1: not saved (NotADirectoryError' in line
  blocked.wait()
  blocked.save(1, leaf, {})
  assert refused(blocked.save, 2, leaf, {}) == line
  blocked.save(1, leaf, {})
  with pytest.raises(InputError), blocked:
    sys.exit(0)


def test_an_error_of_the_training_is_not_replaced(blocked, caplog):
  with pytest.raises(ZeroDivisionError), blocked as saved:
    saved.save(1, {'a': np.zeros(3)}, {})
    raise ZeroDivisionError
  assert 'not saved' in caplog.text


def test_terminals_stay_clean(tmp_path, caplog):
  with caplog.at_level(logging.DEBUG, logger='absl'):
    saved = save_all(tmp_path, s1=ODD)
    saved.latest(ODD)
    for path in (tmp_path / '1').rglob('*'):
      if path.is_file() and path.name != archive.ABOUT:
        path.write_bytes(b'')
    refused(saved.latest, ODD)
    with archive._orbax('test'):
      logging.getLogger('absl').info('ours')
  assert [r.getMessage() for r in caplog.records if r.name == 'absl'] == [
    'ours'
  ]


def test_what_is_half_written_is_no_checkpoint(tmp_path):
  saved = save_all(tmp_path, s1=ODD)
  for name in ('.2.tmp', '.0.old.tmp'):
    shutil.copytree(tmp_path / '1', tmp_path / name)
  assert saved.latest(ODD).step == 1
  with checkpoint.Checkpoints(tmp_path):
    assert os.listdir(tmp_path) == ['1']


def damages(data: bytes):
  """Ways to damage a file: a bit flipped, cut, lengthened, emptied, gone."""
  rng = np.random.default_rng(len(data))
  for at in rng.integers(0, max(len(data), 1), 4 if data else 0):
    flipped = bytearray(data)
    flipped[at] ^= 1 << int(rng.integers(8))
    yield bytes(flipped)
  # Not one byte: the last of about.json but ends its line.
  others = data[:-2], data[: len(data) // 2], b'', data + b'0', None
  yield from (other for other in others if other != data)


def test_damage_is_refused_by_name(tmp_path):
  good = {'x': np.random.default_rng(0).random((30, 7)), 'key': ODD['bfloat16']}
  checkpoint.save(tmp_path / 'run' / '5', good, {'step': 5})
  saved = save_all(tmp_path / 'run', s6=good)
  folder = tmp_path / 'run' / '6'
  files = [path for path in folder.rglob('*') if path.is_file()]
  assert len(files) > 5
  for path in files:
    data = path.read_bytes()
    for damaged in damages(data):
      path.unlink()
      if damaged is not None:
        path.write_bytes(damaged)
      line = refused(saved.latest, good)
      assert line.startswith(f'{folder}: a damaged checkpoint'), path
      assert line.endswith('remove it to go on from step 5')
      path.write_bytes(data)
  assert saved.latest(good).step == 6
  shutil.rmtree(folder / archive.ARRAYS)
  refused(saved.latest, good)
  shutil.rmtree(folder)
  assert saved.latest(good).step == 5
  (tmp_path / 'run' / '5' / archive.ABOUT).unlink()
  assert 'remove it to start anew' in refused(saved.latest, good)
  line = refused(checkpoint.restore, tmp_path / 'run' / '5')
  assert 'remove it and train again' in line


def test_content_that_orbax_finds_whole_is_refused_too(tmp_path):
  good = {'x': np.arange(30.0), 'y': np.arange(3)}
  saved = save_all(tmp_path, s1=good, s2=good)
  arrays, about = (
    tmp_path / '2' / archive.ARRAYS,
    tmp_path / '2' / archive.ABOUT,
  )
  for other in (
    good | {'x': np.arange(30.0) + 1},
    good | {'x': np.arange(30.0, dtype=np.float32)},
    good | {'x': np.arange(30.0).reshape(5, 6)},
    {'x': good['x'], 'z': good['y']},
  ):
    shutil.rmtree(arrays)
    with ocp.StandardCheckpointer() as checkpointer:
      checkpointer.save(arrays, other)
    # That it is not like `like` is not what refuses it.
    assert 'not what was saved' in refused(saved.latest, good)
  # Nor is any other name, or a file more.
  shutil.rmtree(arrays)
  shutil.copytree(tmp_path / '1' / archive.ARRAYS, arrays)
  shutil.copy(tmp_path / '1' / archive.ABOUT, about)
  assert saved.latest(good).about == {'step': 1}
  (arrays / 'more').write_text('')
  assert 'not what was saved' in refused(saved.latest, good)
  (arrays / 'more').unlink()
  about.write_text(about.read_text().replace('"step": 1', '"step": 2'))
  assert 'not what was saved' in refused(saved.latest, good)


@pytest.mark.xdist_group('devices')
def test_arrays_on_many_devices_come_back_on_any(tmp_path):
  devices = np.array(jax.devices())
  assert devices.size == 8
  x = np.random.default_rng(0).random((16, 6), np.float32)

  def on(count, spec):
    mesh = jax.sharding.Mesh(devices[:count], ('data',))
    spec = jax.sharding.PartitionSpec(*spec)
    return jax.device_put(x, jax.sharding.NamedSharding(mesh, spec))

  spread = {'rows': on(8, ['data']), 'copies': on(8, [])}
  saved = save_all(tmp_path, s1=spread)
  for like in (spread, {'rows': x, 'copies': on(2, ['data'])}):
    found = saved.latest(like).tree
    assert all(type(array) is np.ndarray for array in found.values())
    assert_identical(found, {'rows': x, 'copies': x})


def child(*args, **kwargs):
  """tests/saving.py in a process of its own."""
  env = os.environ | {'PYTHONPATH': str(ROOT), 'JAX_PLATFORMS': 'cpu'}
  command = [sys.executable, str(ROOT / 'tests' / 'saving.py'), *map(str, args)]
  return [*kwargs.pop('before', ()), *command], {'env': env} | kwargs


@pytest.mark.parametrize('kills', [6, pytest.param(20, marks=pytest.mark.long)])
def test_killed_at_any_moment_nothing_is_lost(tmp_path, kills):
  rng = random.Random(kills)
  reader = checkpoint.Checkpoints(tmp_path)
  during = 0
  for _ in range(kills):
    command, options = child(
      'loop', tmp_path, stdout=subprocess.PIPE, text=True
    )
    with subprocess.Popen(command, **options) as process:
      assert process.stdout
      lines = [process.stdout.readline() for _ in range(rng.randint(1, 4))]
      time.sleep(rng.uniform(0, 0.3))
      process.kill()
      lines += process.stdout.readlines()
    assert process.returncode == -9
    reported = int([line for line in lines if line.endswith('\n')][-1])
    during += any(tmp_path.glob('.*.tmp'))
    found = reader.latest(saving.content(0))
    for step in reader.steps():
      archive.read(tmp_path / str(step), '')
    if reported or found:
      assert found
      assert found.step >= reported
      assert saving.same(found, found.step)
  assert found
  assert during
  with reader:
    assert not any(tmp_path.glob('.*'))
    assert len(reader.steps()) <= 3
  with checkpoint.Checkpoints(tmp_path) as saved:
    saved.save(found.step + 1, saving.content(0), {})
  assert len(saved.steps()) == 2


def test_a_full_disk_leaves_what_was_saved(tmp_path):
  disk = tmp_path / 'disk'
  disk.mkdir()
  mount = f'mount -t tmpfs -o size=8m tmpfs {disk}'
  enter = ['unshare', '-rm', 'sh', '-c']
  tried = shutil.which('unshare') and subprocess.run(
    [*enter, mount], capture_output=True
  )
  if not tried or tried.returncode:
    pytest.skip('no right to mount a small disk here (unshare -rm, mount)')
  command, options = child(
    'full', disk, before=[*enter, f'{mount} && exec "$@"', 'sh']
  )
  done = subprocess.run(command, capture_output=True, text=True, **options)
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout)
  for key, name in {
    'large': 'run/3',
    'none': 'run/3',
    'final': 'final',
  }.items():
    assert result[key] == (
      f'{disk}/{name}: not saved (no space left on the disk): see to space and'
      ' rights on this disk, then run the same command again; what was saved'
      ' before is whole'
    )
  assert result['steps'] == [1, 2]
  assert result['names'] == ['1', '2']
  assert result['whole']
  assert result['again']
  assert result['kept']
  assert 'Traceback' not in done.stderr
