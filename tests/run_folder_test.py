import errno
import json
import math
import os
import pathlib
import re
import threading
from unittest import mock

import numpy as np
import pytest

from mlc import run_folder
from mlc.errors import InputError

CONFIG = {
  'train': {'lr': 0.01, 'sizes': (64, 64)},
  'models': [{'name': 'chain'}, {'name': 'ising'}],
  'seeds': np.int64(5),
}


@pytest.fixture
def folder(tmp_path):
  """Where a run may go; not made yet."""
  return tmp_path / 'a' / 'run'


@pytest.fixture
def path(tmp_path):
  """A file that may be written, alone in its folder."""
  (tmp_path / 'files').mkdir()
  return tmp_path / 'files' / 'a.txt'


def names(folder):
  return sorted(
    str(p.relative_to(folder)) for p in folder.rglob('*') if p.is_file()
  )


def write(folder, *files):
  for name in files:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text('x')


def test_new_folder_holds_the_config_and_the_same_config_goes_on(folder):
  run_folder.open_run(folder, CONFIG, overwrite=False)
  written = json.loads((folder / 'config.json').read_text())
  assert written['train'] == {'lr': 0.01, 'sizes': [64, 64]}
  assert written['seeds'] == 5
  write(folder, 'metrics.jsonl', 'DONE')
  run_folder.open_run(folder, CONFIG, overwrite=False)
  assert names(folder) == ['DONE', 'config.json', 'metrics.jsonl']


@pytest.mark.parametrize(
  'change, message',
  [
    ({'train': {'lr': 0.02, 'sizes': (64, 64)}}, 'train.lr (0.01 there, 0.02'),
    ({'train': {'lr': 0.01, 'sizes': (64,)}}, 'train.sizes ([64, 64] there'),
    ({'train': {'sizes': (64, 64)}}, 'train.lr (0.01 there, absent here)'),
    ({'width': 3}, 'width (absent there, 3 here)'),
    (
      {'models': [{'name': 'chain'}, {'name': 'gru'}]},
      'models.1.name ("ising" there, "gru" here)',
    ),
    ({'train': {'lr': math.nan, 'sizes': (64, 64)}}, '"nan" here'),
  ],
)
def test_another_config_is_refused_by_its_first_key(folder, change, message):
  run_folder.open_run(folder, CONFIG, overwrite=False)
  before = (folder / 'config.json').read_text()
  with pytest.raises(InputError) as caught:
    run_folder.open_run(folder, CONFIG | change, overwrite=False)
  text = str(caught.value)
  for part in (message, '--overwrite', 'config.json'):
    assert part in text
  assert '\n' not in text
  assert (folder / 'config.json').read_text() == before


def test_free_keys_may_change_and_the_run_is_then_not_done(folder):
  run_folder.open_run(folder, CONFIG, overwrite=False)
  write(folder, 'metrics.jsonl', 'DONE')
  free = 'seeds', 'train.lr', 'width'
  assert run_folder.open_run(folder, CONFIG, False, free) == []
  assert (folder / 'DONE').exists()
  other = CONFIG | {'train': {'lr': 0.02, 'sizes': (64, 32)}}
  before = (folder / 'config.json').read_text()
  with pytest.raises(InputError, match=re.escape('train.sizes ([64, 64]')):
    run_folder.open_run(folder, other, False, free)
  assert (folder / 'config.json').read_text() == before
  assert (folder / 'DONE').exists()
  other = CONFIG | {'train': {'lr': 0.02, 'sizes': (64, 64)}, 'width': 1}
  changed = run_folder.open_run(folder, other, False, free)
  assert sorted(changed) == ['train.lr', 'width']
  assert names(folder) == ['config.json', 'metrics.jsonl']
  assert json.loads((folder / 'config.json').read_text())['width'] == 1


def test_done_is_a_run_of_just_this_config(folder):
  assert not run_folder.is_done(folder, CONFIG)
  run_folder.open_run(folder, CONFIG, overwrite=False)
  assert not run_folder.is_done(folder, CONFIG)
  write(folder, 'DONE')
  assert run_folder.is_done(folder, CONFIG)
  assert not run_folder.is_done(folder, CONFIG | {'seeds': 6})
  (folder / 'config.json').write_text('{')
  assert not run_folder.is_done(folder, CONFIG)


RUNS = (
  *('metrics.jsonl', 'table.png', 'checkpoint/state', 'summary.json', 'DONE'),
  *('checkpoints/40/state', 'events.out.tfevents.1', 'profile/plugins/a.pb'),
  *('chain/checkpoint/state', 'chain/predictions_test.npz'),
  *('chain/metrics.jsonl', 'chain/summary.json', 'chain/DONE'),
  'chain/stages/heads/checkpoints/3/state',
  *('ising/checkpoints/3/state', 'ising/events.out.tfevents.7.host'),
)
MINE = (
  *('notes.txt', 'paper/table.tex', 'chain/notes.txt', 'summary.txt'),
  *('paper/DONE', 'events.txt'),
)


def test_overwrite_removes_runs_and_keeps_what_is_not_theirs(folder):
  run_folder.open_run(folder, CONFIG, overwrite=False)
  write(folder, *RUNS, *MINE)
  outside = folder.parent / 'outside'
  write(outside, 'metrics.jsonl')
  (folder / 'link').symlink_to(outside)
  (folder / 'checkpoint_link').symlink_to(outside)
  run_folder.open_run(folder, {'new': 1}, overwrite=True)
  assert names(folder) == sorted(('config.json', *MINE))
  written = json.loads((folder / 'config.json').read_text())
  assert written == {'new': 1}
  assert (outside / 'metrics.jsonl').exists()


@pytest.mark.parametrize('backwards', [False, True])
def test_an_overwrite_cut_short_seems_not_done_and_can_be_repeated(
  folder, backwards
):
  unlink, iterdir = pathlib.Path.unlink, pathlib.Path.iterdir
  cut, calls = True, 0
  while cut:
    run_folder.open_run(folder, CONFIG, overwrite=True)
    write(folder, *RUNS, *MINE)
    left, calls, cut = calls, calls + 1, False

    def planted(path, **options):
      nonlocal left, cut
      if path.suffix != '.tmp':
        cut = left == 0
        left -= 1
      if cut:
        raise KeyboardInterrupt
      unlink(path, **options)

    def in_order(path):
      return iter(sorted(iterdir(path), reverse=backwards))

    with (
      mock.patch.object(pathlib.Path, 'unlink', planted),
      # Else the file system's order decides what this tests.
      mock.patch.object(pathlib.Path, 'iterdir', in_order),
    ):
      try:
        run_folder.open_run(folder, {'new': 1}, overwrite=True)
      except KeyboardInterrupt:
        missing = set(RUNS) - set(names(folder))
        for row in ('', 'chain/'):
          ours = {n for n in missing if n.rpartition('/')[0] + '/' == row}
          assert not ours or row + 'DONE' in missing
    run_folder.open_run(folder, {'new': 1}, overwrite=True)
    assert names(folder) == sorted(('config.json', *MINE))
    run_folder.open_run(folder, CONFIG, overwrite=True)
  assert calls > 8


@pytest.mark.parametrize('overwrite', [False, True])
def test_a_folder_that_is_no_run_is_refused_and_left_alone(folder, overwrite):
  write(folder, 'table.tex')
  with pytest.raises(InputError, match='not a run folder'):
    run_folder.open_run(folder, CONFIG, overwrite)
  assert names(folder) == ['table.tex']


def test_a_file_and_a_broken_config_are_refused(folder):
  run_folder.open_run(folder, CONFIG, overwrite=False)
  for workdir in (folder / 'config.json', folder / 'config.json/a'):
    with pytest.raises(InputError, match='cannot make .*--workdir'):
      run_folder.open_run(workdir, CONFIG, overwrite=False)
  (folder / 'config.json').write_text('{"train":')
  with pytest.raises(InputError, match='cannot be read.*--overwrite'):
    run_folder.open_run(folder, CONFIG, overwrite=False)
  run_folder.open_run(folder, CONFIG, overwrite=True)


def test_a_run_is_finished_with_its_summary(tmp_path):
  assert run_folder.finished(tmp_path) is None
  (tmp_path / 'summary.json').write_text('{"f1": 0.1}')
  assert run_folder.finished(tmp_path) is None
  summary = {'f1': np.float64(0.5), 'nll': [math.inf, 2], 'model': 'chain'}
  run_folder.finish(tmp_path, summary)
  assert run_folder.finished(tmp_path) == {
    'f1': 0.5, 'nll': ['inf', 2], 'model': 'chain',
  }  # fmt: skip
  assert names(tmp_path) == ['DONE', 'summary.json']


@pytest.mark.parametrize('content', [None, '', '{"f1": 0.', '[1]', '\xff'])
def test_a_damaged_summary_is_refused_by_its_name(tmp_path, content):
  run_folder.finish(tmp_path, {'f1': 0.5})
  (tmp_path / 'summary.json').unlink()
  if content is not None:
    (tmp_path / 'summary.json').write_bytes(content.encode('latin-1'))
  with pytest.raises(InputError, match='summary.json .*DONE') as caught:
    run_folder.finished(tmp_path)
  assert '\n' not in str(caught.value)


def test_done_is_on_the_disk_after_the_summary_is(tmp_path):
  order = []

  def fsync(file):
    target = pathlib.Path(os.readlink(f'/proc/self/fd/{file}'))
    kind = 'names' if target.is_dir() else target.name.split('.')[1]
    empty = not os.fstat(file).st_size
    order.append(f'fsync {"empty " * empty}{kind}')

  def replace(old, new):
    order.append(f'replace {new.name}')
    old.rename(new)

  with (
    mock.patch.object(os, 'fsync', fsync),
    mock.patch.object(os, 'replace', replace),
  ):
    run_folder.finish(tmp_path, {'f1': 0.5})
  assert order == [
    *('fsync summary', 'replace summary.json', 'fsync names'),
    *('fsync empty DONE', 'replace DONE', 'fsync names'),
  ]


def test_a_file_system_that_syncs_no_folders_will_do(path):
  fsync = os.fsync

  def planted(file):
    if pathlib.Path(os.readlink(f'/proc/self/fd/{file}')).is_dir():
      raise OSError(errno.EINVAL, 'Invalid argument')
    fsync(file)

  with mock.patch.object(os, 'fsync', planted):
    run_folder.atomic_write(path, 'new')
  assert path.read_text() == 'new'


@pytest.mark.parametrize('planted', ['fsync', 'replace'])
def test_a_write_that_fails_leaves_the_old_file_alone(path, planted):
  run_folder.atomic_write(path, 'old')
  full = OSError(errno.ENOSPC, 'No space left on device')
  with (
    mock.patch.object(os, planted, side_effect=full),
    pytest.raises(OSError, match=f'No space .*{path}'),
  ):
    run_folder.atomic_write(path, b'new')
  assert (path.read_text(), names(path.parent)) == ('old', ['a.txt'])


def test_an_interrupted_write_leaves_the_old_file_alone(path):
  run_folder.atomic_write(path, 'old')
  with pytest.raises(KeyboardInterrupt), run_folder.replacing(path) as file:
    file.write(b'new')
    raise KeyboardInterrupt
  assert (path.read_text(), names(path.parent)) == ('old', ['a.txt'])


def test_many_may_write_one_path_at_once(path):
  contents = [letter * 10_000 for letter in 'abcdefgh']
  failed = []

  def write_often(content):
    try:
      for _ in range(50):
        run_folder.atomic_write(path, content)
    except OSError as error:
      failed.append(error)

  writers = [threading.Thread(target=write_often, args=(c,)) for c in contents]
  # On a disk it is fsync that takes time, and it is not what is tested.
  with mock.patch.object(os, 'fsync'):
    for writer in writers:
      writer.start()
    for writer in writers:
      writer.join()
  assert failed == []
  assert path.read_text() in contents
  assert names(path.parent) == ['a.txt']


def test_jsonl_is_strict_and_all_or_nothing(path):
  row = {'step': np.int32(3), 'nll': [math.inf, -math.inf], 'f1': math.nan,
         'values': np.array([0.5, math.nan])}  # fmt: skip
  run_folder.write_jsonl(path, [row, {'step': 4}])

  def refuse(name):
    raise AssertionError(f'{name} is not JSON')

  first, second = [
    json.loads(line, parse_constant=refuse)
    for line in path.read_text().splitlines()
  ]
  assert first['nll'] == ['inf', '-inf']
  assert (first['step'], first['f1']) == (3, 'nan')
  assert first['values'] == [0.5, 'nan']
  assert second == {'step': 4}

  def rows():
    yield {'step': 5}
    raise RuntimeError('planted')

  before = path.read_text()
  with pytest.raises(RuntimeError, match='planted'):
    run_folder.write_jsonl(path, rows())
  assert (path.read_text(), names(path.parent)) == (before, [path.name])


def test_a_training_is_shared_whole_and_over_no_other(tmp_path):
  source, target, own = (tmp_path / name for name in ('a', 'b', 'own'))
  for folder in (source, target, own):
    folder.mkdir()
  (source / 'metrics.jsonl').write_text('lines')
  for step in ('7', 'final'):
    (source / 'checkpoints' / step).mkdir(parents=True)
    (source / 'checkpoints' / step / 'arrays').write_text(step)
  (source / 'tuning').mkdir()
  (source / 'table.md').write_text('of a')
  (own / 'checkpoints').mkdir()
  run_folder.share(source, target)
  assert not list(target.iterdir())  # It is not done.
  (source / 'DONE').touch()
  # A copying that was cut short: some is there, its checkpoints are not.
  (target / 'tuning' / 'old').mkdir(parents=True)
  run_folder.share(source, target)
  run_folder.share(source, own)
  assert not list((own / 'checkpoints').iterdir())
  found = {str(p.relative_to(target)) for p in target.rglob('*')}
  assert found == {
    *('metrics.jsonl', 'tuning', 'checkpoints', 'checkpoints/7'),
    *('checkpoints/7/arrays', 'checkpoints/final', 'checkpoints/final/arrays'),
  }
  assert (target / 'checkpoints/7/arrays').read_text() == '7'
