"""Scalars in the file format of TensorBoard."""

from collections.abc import Iterator, Mapping
import pathlib
import struct
import time
from typing import IO

from mlc.errors import InputError

PREFIX = 'events.out.tfevents.'


def _numbers(values: Mapping) -> Iterator[tuple[str, float]]:
  """(series, number) of values in JSON's types; what is no number is left."""
  for name, value in values.items():
    many = isinstance(value, list)
    for run, item in enumerate(value if many else [value]):
      if isinstance(item, int | float) or item in ('nan', 'inf', '-inf'):
        yield f'{name}/seed{run}' if many else name, float(item)


def new_path(folder) -> pathlib.Path:
  """Where the next file of events goes: after the older ones by name.

  That is the order in which TensorBoard reads the files of a folder.
  """
  folder = pathlib.Path(folder)
  older = (path.name.removeprefix(PREFIX) for path in folder.glob(PREFIX + '*'))
  stamps = (name.split('.')[0] for name in older)
  last = max((int(s) for s in stamps if s.isdecimal()), default=0)
  return folder / f'{PREFIX}{max(int(time.time()), last + 1)}'


class Writer:
  """Appends events to `file`, in the order of epochs.

  resume_after: TensorBoard shall forget what older files of the folder say of
    later epochs; None where there are no older files.

  Raises InputError where tensorboardX is missing, OSError on a full disk.
  """

  def __init__(self, file: IO[bytes], resume_after: int | None = None):
    try:
      # Only here, since it imports PyTorch where that is installed. Its
      # SummaryWriter is not used: it writes in a thread that `flush` does not
      # wait for, and where that thread died of a full disk it blocks for ever.
      from tensorboardX.proto.event_pb2 import Event  # pyright: ignore
      from tensorboardX.record_writer import masked_crc32c
    except ImportError as error:
      raise InputError(
        f'no TensorBoard events without tensorboardX ({error}): pip install '
        'tensorboardX, or give --tensorboard=false'
      ) from None
    self.file, self.event, self.checksum = file, Event, masked_crc32c
    self._append(file_version='brain.Event:2')
    if resume_after is not None:
      self._append(step=resume_after + 1, session_log={'status': 'START'})

  def write(self, epoch: int, values: Mapping) -> None:
    """The numbers of `values`, in JSON's types, as one event."""
    series = [
      {'tag': name, 'simple_value': number} for name, number in _numbers(values)
    ]
    self._append(step=epoch, summary={'value': series})

  def _append(self, **fields) -> None:
    event = self.event(wall_time=time.time(), **fields)
    record = event.SerializeToString()
    # The frame of a TFRecord: length, its checksum, record, its checksum.
    for part in (struct.pack('<Q', len(record)), record):
      self.file.write(part + struct.pack('<I', self.checksum(part)))
    self.file.flush()
