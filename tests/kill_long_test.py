"""The commands on a full disk, and killed between the rows of a table.

All of it is long; what always runs is in kill_test.py.
"""

import shutil
import signal
import subprocess

import kill_test
from outcomes import (
  assert_same,
  ended,
  files,
  newest,
  numbered,
  result,
  succeeded,
  table,
  wait_until,
)
import pytest

from mlc import archive

flags, start, wholes = kill_test.flags, kill_test.start, kill_test.wholes
# One worker with kill_test.py, so that both take the same whole runs.
pytestmark = [pytest.mark.xdist_group('kill'), pytest.mark.long]


def test_a_row_that_is_done_is_not_trained_again(start, wholes, tmp_path):
  workdir = tmp_path / 'compare'
  command = {
    'module': 'compare',
    'config': 'compare.py:independent,chain',
  }
  same = (
    f'--config.data={kill_test.WORLD}',
    '--config.independent.train.epochs=1',
    *flags('jit', prefix='chain.'),
  )
  process = start(workdir, *same, **command)
  assert wait_until(process, lambda: numbered(workdir / 'chain'))
  process.kill()
  assert ended(process)[0] == -signal.SIGKILL
  before = files(workdir / 'independent')
  assert 'DONE' in before
  succeeded(start(workdir, *same, **command))
  assert files(workdir / 'independent') == before
  found, expected = (result(d) for d in (workdir / 'chain', wholes('jit')[0]))
  # Only the row's config is that of the command `train`.
  assert found == expected
  assert {row['model'] for row in table(workdir)} == {'independent', 'chain'}


def test_without_a_damaged_checkpoint_it_goes_on_from_the_one_before(
  start, wholes, tmp_path
):
  process = start(tmp_path / 'run', *flags())
  assert wait_until(process, lambda: len(numbered(tmp_path / 'run')) > 1)
  process.send_signal(signal.SIGTERM)
  succeeded(process)
  shutil.rmtree(newest(tmp_path / 'run'))
  succeeded(start(tmp_path / 'run', *flags()))
  assert_same(tmp_path / 'run', wholes('group')[0])


# Runs "$@" in the background, fills the disk after the first checkpoint, says
# how it ended, makes room, and runs it again.
FULL = """
set -u
disk=$1; shift
mount -t tmpfs -o size=4m tmpfs "$disk" || exit 99
"$@" 2> "$disk/../first.err" & pid=$!
until ls "$disk"/run/checkpoints/[0-9]* > /dev/null 2>&1; do
  kill -0 $pid || break
  sleep 0.01
done
cat /dev/zero > "$disk/filler" 2> /dev/null
wait $pid
echo $? > "$disk/../first.status"
cp -a "$disk/run" "$disk/../full"
rm "$disk/filler"
"$@"
status=$?
cp -a "$disk/run" "$disk/../run"
exit $status
"""


def test_a_full_disk_is_one_line_and_costs_nothing(start, wholes, tmp_path):
  disk = tmp_path / 'disk'
  disk.mkdir()
  enter = ['unshare', '-rm', 'sh', '-c']
  mount = [*enter, 'mount -t tmpfs tmpfs "$0"', disk]
  if not shutil.which('unshare') or subprocess.call(mount):
    pytest.skip('no right to mount a small disk here (unshare -rm, mount)')
  before = [*enter, FULL, 'sh', disk]
  succeeded(start(disk / 'run', *flags('jit'), before=before))
  assert (tmp_path / 'first.status').read_text() == '1\n'
  err = (tmp_path / 'first.err').read_text()
  assert 'Traceback' not in err
  (line,) = [s for s in err.splitlines() if 'error' in s.lower()]
  assert line.startswith(f'error: {disk}/run')
  assert 'no space left' in line.lower()
  left = tmp_path / 'full'
  assert not (left / 'DONE').exists()
  assert numbered(left)
  for name in numbered(left):
    archive.read(left / 'checkpoints' / name, advice='')
  assert_same(tmp_path / 'run', wholes('jit')[0])
