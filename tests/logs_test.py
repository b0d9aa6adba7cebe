import contextlib
import io
import json
import math
import os
import pathlib
import subprocess
import tempfile
import threading
from unittest import mock

from absl.testing import absltest, parameterized
import numpy as np

from mlc import logs
from mlc.errors import InputError


class Terminal(io.StringIO):
  def isatty(self):
    return True


class ProgressTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.now, self.stream = 0.0, io.StringIO()

  def progress(self, total, stream=None):
    clock = lambda: self.now  # noqa: E731
    return logs.Progress(total, stream or self.stream, clock=clock)

  def test_plain_lines_say_name_percent_and_times(self):
    with self.progress(200) as bar:
      bar.start('chain')
      self.now = 12.0
      bar.advance(75, 'epoch 40/100, valid loss 5.912')
      self.now = 3700.0
      bar.advance(125, 'epoch 100/100')
    self.assertEqual(
      self.stream.getvalue(),
      '[  0%] chain: starts (0 s)\n'
      '[ 37%] chain: epoch 40/100, valid loss 5.912 '
      '(12 s, about 20 s left)\n'
      '[100%] chain: epoch 100/100 (1 h 01 min)\n'
      '[100%] done in 1 h 01 min\n',
    )

  def test_plain_lines_are_seconds_apart_but_every_start_is_told(self):
    with self.progress(1000) as bar:
      for name in ('chain', 'ising'):
        bar.start(name)
        for step in range(500):
          self.now += 0.1
          bar.advance(1, f'step {step}')
    lines = self.stream.getvalue().splitlines()
    self.assertLen([line for line in lines if 'starts' in line], 2)
    self.assertIn('ising: starts', ''.join(lines))
    # 100 seconds, one line in five of them, none of it escape codes.
    self.assertBetween(len(lines), 15, 25)
    self.assertNotIn('\x1b', self.stream.getvalue())

  def test_an_exception_is_not_called_done(self):
    with contextlib.suppress(RuntimeError), self.progress(10) as bar:
      bar.start('chain')
      raise RuntimeError
    self.assertNotIn('done', self.stream.getvalue())

  def test_a_terminal_gets_a_bar(self):
    stream = Terminal()
    screen = {'TERM': 'xterm', 'COLUMNS': '120'}
    with (
      mock.patch.dict(os.environ, screen),
      self.progress(200, stream) as bar,
    ):
      bar.start('chain[a]')
      self.now = 12.0
      bar.advance(75, 'valid loss 5.912')
    for part in ('chain[a]', '38%', 'about 20 s left', 'valid loss 5.912', '━'):
      self.assertIn(part, stream.getvalue())

  @parameterized.parameters(
    (0.4, '0 s'), (59.4, '59 s'), (59.6, '1 min 00 s'), (185, '3 min 05 s'),
    (7440, '2 h 04 min'),
  )  # fmt: skip
  def test_duration(self, seconds, expected):
    self.assertEqual(logs.duration(seconds), expected)


class RunFolderTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = (
      pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
      / 'a'
      / 'run'
    )
    self.config = {
      'train': {'lr': 0.01, 'sizes': (64, 64)},
      'models': [{'name': 'chain'}, {'name': 'ising'}],
      'seeds': np.int64(5),
    }

  def names(self):
    return sorted(str(p.relative_to(self.folder))
                  for p in self.folder.rglob('*') if p.is_file())  # fmt: skip

  def test_new_folder_holds_the_config_and_the_same_config_goes_on(self):
    logs.open_run(self.folder, self.config, overwrite=False)
    written = json.loads((self.folder / 'config.json').read_text())
    self.assertEqual(written['train'], {'lr': 0.01, 'sizes': [64, 64]})
    self.assertEqual(written['seeds'], 5)
    (self.folder / 'metrics.jsonl').write_text('{}\n')
    logs.open_run(self.folder, self.config, overwrite=False)
    self.assertEqual(self.names(), ['config.json', 'metrics.jsonl'])

  @parameterized.parameters(
    ({'train': {'lr': 0.02, 'sizes': (64, 64)}}, 'train.lr (0.01 there, 0.02'),
    ({'train': {'lr': 0.01, 'sizes': (64,)}}, 'train.sizes ([64, 64] there'),
    ({'train': {'sizes': (64, 64)}}, 'train.lr (0.01 there, absent here)'),
    ({'width': 3}, 'width (absent there, 3 here)'),
    ({'models': [{'name': 'chain'}, {'name': 'gru'}]},
     'models.1.name ("ising" there, "gru" here)'),
    ({'train': {'lr': math.nan, 'sizes': (64, 64)}}, '"nan" here'),
  )  # fmt: skip
  def test_another_config_is_refused_by_its_first_key(self, change, message):
    logs.open_run(self.folder, self.config, overwrite=False)
    before = (self.folder / 'config.json').read_text()
    with self.assertRaises(InputError) as caught:
      logs.open_run(self.folder, self.config | change, overwrite=False)
    text = str(caught.exception)
    for part in (message, '--overwrite', 'config.json'):
      self.assertIn(part, text)
    self.assertNotIn('\n', text)
    self.assertEqual((self.folder / 'config.json').read_text(), before)

  def test_overwrite_removes_runs_and_keeps_what_is_not_theirs(self):
    logs.open_run(self.folder, self.config, overwrite=False)
    runs = ('metrics.jsonl', 'table.png', 'checkpoint/state',
            'chain/checkpoint/state', 'chain/predictions_test.npz',
            'chain/metrics.jsonl')  # fmt: skip
    mine = ('notes.txt', 'paper/table.tex', 'chain/notes.txt')
    for name in runs + mine:
      path = self.folder / name
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_text('x')
    outside = self.folder.parent / 'outside'
    outside.mkdir()
    (outside / 'metrics.jsonl').write_text('x')
    (self.folder / 'link').symlink_to(outside)
    (self.folder / 'checkpoint_link').symlink_to(outside)
    logs.open_run(self.folder, {'new': 1}, overwrite=True)
    self.assertEqual(self.names(), sorted(('config.json',) + mine))
    written = json.loads((self.folder / 'config.json').read_text())
    self.assertEqual(written, {'new': 1})
    self.assertTrue((outside / 'metrics.jsonl').exists())

  @parameterized.parameters(False, True)
  def test_a_folder_that_is_no_run_is_refused_and_left_alone(self, overwrite):
    self.folder.mkdir(parents=True)
    (self.folder / 'table.tex').write_text('mine')
    with self.assertRaisesRegex(InputError, 'not a run folder'):
      logs.open_run(self.folder, self.config, overwrite)
    self.assertEqual(self.names(), ['table.tex'])

  def test_a_file_and_a_broken_config_are_refused(self):
    logs.open_run(self.folder, self.config, overwrite=False)
    for workdir in (self.folder / 'config.json', self.folder / 'config.json/a'):
      with self.assertRaisesRegex(InputError, 'cannot make .*--workdir'):
        logs.open_run(workdir, self.config, overwrite=False)
    (self.folder / 'config.json').write_text('{"train":')
    with self.assertRaisesRegex(InputError, 'cannot be read.*--overwrite'):
      logs.open_run(self.folder, self.config, overwrite=False)
    logs.open_run(self.folder, self.config, overwrite=True)

  @parameterized.parameters('fsync', 'replace')
  def test_a_write_that_fails_leaves_the_old_file_alone(self, planted):
    self.folder.mkdir(parents=True)
    path = self.folder / 'a.txt'
    logs.atomic_write(path, 'old')
    with (
      mock.patch.object(os, planted, side_effect=OSError('planted')),
      self.assertRaisesRegex(OSError, 'planted'),
    ):
      logs.atomic_write(path, b'new')
    self.assertEqual((path.read_text(), self.names()), ('old', ['a.txt']))

  def test_an_interrupted_write_leaves_the_old_file_alone(self):
    self.folder.mkdir(parents=True)
    path = self.folder / 'a.txt'
    logs.atomic_write(path, 'old')
    with self.assertRaises(KeyboardInterrupt), logs.replacing(path) as file:
      file.write(b'new')
      raise KeyboardInterrupt
    self.assertEqual((path.read_text(), self.names()), ('old', ['a.txt']))

  def test_many_may_write_one_path_at_once(self):
    self.folder.mkdir(parents=True)
    path = self.folder / 'a.txt'
    contents = [letter * 10_000 for letter in 'abcdefgh']
    failed = []

    def write(content):
      try:
        for _ in range(50):
          logs.atomic_write(path, content)
      except OSError as error:
        failed.append(error)

    writers = [threading.Thread(target=write, args=(c,)) for c in contents]
    # On a disk it is fsync that takes time, and it is not what is tested.
    with mock.patch.object(os, 'fsync'):
      for writer in writers:
        writer.start()
      for writer in writers:
        writer.join()
    self.assertEqual(failed, [])
    self.assertIn(path.read_text(), contents)
    self.assertEqual(self.names(), ['a.txt'])

  def test_jsonl_is_strict_and_all_or_nothing(self):
    self.folder.mkdir(parents=True)
    path = self.folder / 'metrics.jsonl'
    row = {'step': np.int32(3), 'nll': [math.inf, -math.inf], 'f1': math.nan,
           'values': np.array([0.5, math.nan])}  # fmt: skip
    logs.write_jsonl(path, [row, {'step': 4}])

    def refuse(name):
      raise AssertionError(f'{name} is not JSON')

    first, second = [json.loads(line, parse_constant=refuse)
                     for line in path.read_text().splitlines()]  # fmt: skip
    self.assertEqual(first['nll'], ['inf', '-inf'])
    self.assertEqual((first['step'], first['f1']), (3, 'nan'))
    self.assertEqual(first['values'], [0.5, 'nan'])
    self.assertEqual(second, {'step': 4})

    def rows():
      yield {'step': 5}
      raise RuntimeError('planted')

    before = path.read_text()
    with self.assertRaisesRegex(RuntimeError, 'planted'):
      logs.write_jsonl(path, rows())
    self.assertEqual((path.read_text(), self.names()), (before, [path.name]))


class MetadataTest(absltest.TestCase):
  def test_git_state_is_that_of_the_checkout_that_tracks_the_folder(self):
    folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.assertEqual(logs.git_state(folder), (None, None))

    def git(*words):
      names = ('-c', 'user.name=a', '-c', 'user.email=a@b.c')
      subprocess.run(('git', '-C', str(folder), *names, *words), check=True,
                     capture_output=True)  # fmt: skip

    git('init', '-b', 'main')
    (folder / 'package').mkdir()
    (folder / 'package' / 'a.py').write_text('1')
    git('add', '.')
    git('commit', '-m', 'first')
    commit = (folder / '.git/refs/heads/main').read_text().strip()
    self.assertEqual(logs.git_state(folder / 'package'), (commit, False))
    (folder / 'new.py').write_text('2')
    self.assertEqual(logs.git_state(folder / 'package'), (commit, True))
    (folder / 'environment').mkdir()
    self.assertEqual(logs.git_state(folder / 'environment'), (None, None))

  def test_metadata_is_json_and_names_versions_and_devices(self):
    found = json.loads(json.dumps(logs.metadata(['cpu:0'])))
    self.assertEqual(found['devices'], ['cpu:0'])
    self.assertEqual(found['versions']['numpy'], np.__version__)
    self.assertNotIn(None, found['versions'].values())
    self.assertRegex(found['time'], r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]')


if __name__ == '__main__':
  absltest.main()
