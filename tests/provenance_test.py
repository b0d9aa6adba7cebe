"""What made a run: the commit, versions, devices, data and who went on."""

import datetime
import json
import subprocess

import numpy as np
import pytest

from mlc import provenance
from mlc.errors import InputError


def write(folder, *files):
  for name in files:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text('x')


def test_git_state_is_that_of_the_checkout_that_tracks_the_folder(tmp_path):
  assert provenance.git_state(tmp_path) == (None, None)

  def git(*words):
    about = ('-c', 'user.name=a', '-c', 'user.email=a@b.c')
    command = ('git', '-C', str(tmp_path), *about, *words)
    subprocess.run(command, check=True, capture_output=True)

  git('init', '-b', 'main')
  write(tmp_path, 'package/a.py')
  git('add', '.')
  git('commit', '-m', 'first')
  commit = (tmp_path / '.git/refs/heads/main').read_text().strip()
  assert provenance.git_state(tmp_path / 'package') == (commit, False)
  written = 'RESULTS.md', 'all.jsonl', 'ablations/a.png'
  write(tmp_path, *(f'experiments/{name}' for name in written))
  assert provenance.git_state(tmp_path / 'package') == (commit, False)
  write(tmp_path, 'new.py')
  assert provenance.git_state(tmp_path / 'package') == (commit, True)
  (tmp_path / 'environment').mkdir()
  assert provenance.git_state(tmp_path / 'environment') == (None, None)


def test_metadata_is_json_and_names_versions_devices_and_data():
  found = json.loads(json.dumps(provenance.metadata(['cpu:0'], 'c0ffee')))
  assert found['devices'] == ['cpu:0']
  assert found['data_checksum'] == 'c0ffee'
  assert found['versions']['numpy'] == np.__version__
  assert None not in found['versions'].values()
  time = datetime.datetime.fromisoformat(found['time'])
  assert time.tzinfo is not None


def test_metadata_stays_that_of_the_first_and_lists_who_went_on(tmp_path):
  first = provenance.note_session(tmp_path, ['cpu'], 'abc')
  again = provenance.note_session(tmp_path, ['gpu'], 'abc')
  read = json.loads((tmp_path / 'metadata.json').read_text())
  assert read == again
  assert {k: read[k] for k in first} == json.loads(json.dumps(first))
  assert [one['devices'] for one in read['continued']] == [['gpu']]
  with pytest.raises(InputError, match='abc then, xyz now'):
    provenance.note_session(tmp_path, ['cpu'], 'xyz')
  (tmp_path / 'metadata.json').write_text('{')
  with pytest.raises(InputError, match='cannot be read'):
    provenance.note_session(tmp_path, ['cpu'], 'abc')
