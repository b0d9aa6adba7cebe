import math
import struct
import time
from unittest import mock

import pytest

from mlc import events

VARINT, DOUBLE, BYTES, FLOAT = 0, 1, 2, 5


def crc32c(content):
  """Castagnoli's checksum, bit by bit (RFC 3720, appendix B.4)."""
  crc = 0xFFFFFFFF
  for byte in content:
    crc ^= byte
    for _ in range(8):
      crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
  return crc ^ 0xFFFFFFFF


def unframed(content):
  """The records of a TFRecord file, checksums checked."""

  def checked(part):
    crc = crc32c(part)
    masked = (crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF
    assert content[at + len(part) : at + len(part) + 4] == struct.pack(
      '<I', masked
    )
    return part, at + len(part) + 4

  at = 0
  while at < len(content):
    length, at = checked(content[at : at + 8])
    record, at = checked(content[at : at + struct.unpack('<Q', length)[0]])
    yield record


def fields(message):
  """{number: values} of a protocol buffer."""
  at, found = 0, {}

  def varint():
    nonlocal at
    value, shift = 0, 0
    while True:
      byte = message[at]
      at += 1
      value |= (byte & 127) << shift
      shift += 7
      if byte < 128:
        return value

  while at < len(message):
    number, kind = divmod(varint(), 8)
    value = varint() if kind in (VARINT, BYTES) else 0
    if kind != VARINT:
      size = {DOUBLE: 8, FLOAT: 4, BYTES: value}[kind]
      value, at = message[at : at + size], at + size
      if kind != BYTES:
        value = struct.unpack('<d' if kind == DOUBLE else '<f', value)[0]
    found.setdefault(number, []).append(value)
  return found


def read(path):
  """The events of a file, by the numbers of TensorFlow's event.proto."""
  found = []
  for record in unframed(path.read_bytes()):
    event = fields(record)
    (when,) = event[1]
    assert abs(when - time.time()) < 60
    kind = {3: 'version', 5: 'summary', 7: 'session'}
    (name,) = (kind[number] for number in event if number in kind)
    step = event.get(2, [0])[0]
    if name == 'version':
      found.append((name, event[3][0].decode()))
    elif name == 'session':
      found.append((name, step, fields(event[7][0])))
    else:
      series = [fields(value) for value in fields(event[5][0]).get(1, [])]
      found.append((name, step, [(s[1][0].decode(), s[2][0]) for s in series]))
  return found


def test_the_checksum_is_that_of_the_standard():
  assert crc32c(b'123456789') == 0xE3069283


def test_events_read_back_one_series_a_run(tmp_path):
  with open(tmp_path / 'a', 'wb') as file:
    writer = events.Writer(file)
    writer.write(1, {'f1': 0.25, 'loss': [1, None, 'nan', '-inf'], 'x': 'text'})
    writer.write(300, {'f1': None})
    # All is in the file before it is closed.
    version, first, second = read(tmp_path / 'a')
  assert version == ('version', 'brain.Event:2')
  name, step, series = first
  assert (name, step) == ('summary', 1)
  assert [tag for tag, _ in series] == [
    'f1', 'loss/seed0', 'loss/seed2', 'loss/seed3',
  ]  # fmt: skip
  numbers = [number for _, number in series]
  assert numbers[:2] == [0.25, 1] and numbers[3] == -math.inf
  assert math.isnan(numbers[2])
  assert second == ('summary', 300, [])


def test_a_resumed_run_purges_later_epochs(tmp_path):
  with open(tmp_path / 'a', 'wb') as file:
    events.Writer(file, resume_after=40).write(41, {'f1': 0.5})
  # SessionLog.status = START, at the first step to forget.
  assert read(tmp_path / 'a')[1:] == [
    ('session', 41, {1: [1]}),
    ('summary', 41, [('f1', 0.5)]),
  ]


@pytest.mark.parametrize('seconds', [0, 3600, -3600])
def test_a_new_file_comes_after_the_older_ones(tmp_path, seconds):
  older = tmp_path / f'{events.PREFIX}{int(time.time())}.host'
  older.touch()
  (tmp_path / f'{events.PREFIX}other').touch()
  names = [older.name]
  with mock.patch.object(time, 'time', return_value=time.time() + seconds):
    for _ in range(3):
      path = events.new_path(tmp_path)
      path.touch(exist_ok=False)
      assert int(path.suffix[1:]) >= int(time.time())
      names.append(path.name)
  assert names == sorted(names)
