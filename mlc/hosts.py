"""One run in several processes: the only file that knows of processes.

Every process runs the same program on the same rows; process 0 alone writes.

What jax 0.10.2 does when a process is lost, tried with two on gloo:
- Process 1 killed: the next collective of process 0 raises ValueError at once,
  "Gloo all-reduce failed"; at exit it then waits for process 1 until the
  heartbeat times out, and aborts. So `watched` leaves without that wait.
- Process 0 killed, which holds the coordination service: a thread of XLA logs
  40 lines and aborts process 1 within .1 s, before or after that ValueError.
- A process frozen, or its machine gone: the others hang in their collective
  until the heartbeat times out; then they are aborted in the same way.
- A process that fails while connecting is aborted so too; the port of the
  service being taken is a segmentation fault.
jax_enable_recoverability mends the first alone, and a callback in Python for
missed heartbeats ends in std::bad_cast. So `_Listener` reads what XLA says.
"""

from collections.abc import Iterator
import contextlib
import ctypes
import os
import re
import signal
import socket
import sys
import threading
import traceback
from typing import NoReturn

import jax

from mlc.errors import InputError

CONNECT_SECONDS = 120
HEARTBEAT_SECONDS = 30
# While one process writes the last table the others wait; that it lives, they
# know by its heartbeat.
SHUTDOWN_SECONDS = 24 * 3600
LOST = (
  'a process of the run was lost, or left it with an error of its own: start'
  ' all processes again, the run goes on from its last checkpoint'
)
# XLA's log lines that speak of it: a letter and a time, then file and text.
_FATAL = re.compile(rb'[EF]\d{4} .*(coordination_service|distributed service)')
# In the exceptions of a collective, or of a barrier, that lacks a process.
_LACKING = re.compile('Gloo|NCCL|UNAVAILABLE|heartbeat|[Bb]arrier')
_ending = threading.Lock()


def connect(
  coordinator_address: str | None = None,
  num_processes: int | None = None,
  process_id: int | None = None,
) -> None:
  """Makes this process one of a run; call it before any jax computation.

  coordinator_address: host:port of process 0; or 'auto', then the cluster's
    variables say all three. Without any argument: 'auto' where SLURM or TPU
    variables tell of several processes, else one process, nothing is done.
  Raises InputError for arguments that are missing or make no sense, and for a
  port that is taken. If not all processes come within CONNECT_SECONDS, this
  one ends with one line.
  """
  given = {
    'coordinator_address': coordinator_address,
    'num_processes': num_processes,
    'process_id': process_id,
  }
  if set(given.values()) == {None}:
    if not _in_cluster():
      return
    given['coordinator_address'] = 'auto'
  if given['coordinator_address'] == 'auto':
    given = {name: given[name] for name in ('num_processes', 'process_id')}
    where = "the cluster's first host"
  else:
    _check(given)
    where = coordinator_address
  if num_processes == 1:
    return
  # The service would take SIGTERM, which is the training loop's.
  jax.config.update('jax_enable_preemption_service', False)
  listener = _Listener(
    f'not all processes of the run came to {where} in {CONNECT_SECONDS} s:'
    ' start them all, with the same coordinator_address and num_processes'
  )
  listener.start()
  try:
    jax.distributed.initialize(
      **given,
      initialization_timeout=CONNECT_SECONDS,
      heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
      shutdown_timeout_seconds=SHUTDOWN_SECONDS,
    )
  except (ValueError, KeyError) as error:
    raise InputError(
      f'the variables of the cluster do not tell the processes of the run'
      f' ({error}): give coordinator_address, num_processes and process_id'
    ) from None
  listener.meaning = LOST


@contextlib.contextmanager
def watched() -> Iterator[None]:
  """An error in one of several processes ends that process at once, with 1.

  What a user can mend, and a lost peer, is one line; else the traceback. Put
  it around all that follows `connect`. Without it the process would wait at
  exit for the others, which wait for it in a collective.
  """
  try:
    yield
    code = 0
  except SystemExit as error:
    if not error.code or not jax.distributed.is_initialized():
      raise
    code = error.code if isinstance(error.code, int) else 1
    if isinstance(error.code, str):
      print(error.code, file=sys.stderr)
  except BaseException as error:
    if not jax.distributed.is_initialized():
      raise
    if _is_lost(error):
      _end(LOST)
    if isinstance(error, InputError | OSError):
      _end(' '.join(str(error).split()))
    traceback.print_exc()
    code = 1
  if code:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _check(given) -> None:
  """InputError for arguments of `connect` that cannot be."""
  missing = [name for name, value in given.items() if value is None]
  if missing:
    raise InputError(
      f'{" and ".join(missing)} missing: a run of several processes needs'
      f' {", ".join(given)}'
    )
  address, number, which = given.values()
  if not re.fullmatch(r'.+:\d+', address):
    raise InputError(
      f'coordinator_address {address!r}: give host:port of process 0'
    )
  if not 0 <= which < number:
    raise InputError(
      f'process_id {which} of num_processes {number}: give each process its'
      f' own of 0 to {number - 1}'
    )
  if which == 0 and number > 1:
    port = int(address.rpartition(':')[2])
    # As the service will: on all addresses, IPv6 and IPv4.
    try:
      socket.create_server(
        ('', port), family=socket.AF_INET6, dualstack_ipv6=True
      ).close()
    except OSError as error:
      raise InputError(
        f'coordinator_address {address}: cannot listen there'
        f' ({error.strerror}); give another port'
      ) from None


def _in_cluster() -> bool:
  """True if SLURM's or TPU's variables tell of several processes.

  SLURM_STEP_NODELIST is set for what srun has started, not for the script
  itself, which would wait for others in vain.
  """
  hosts = os.environ.get('TPU_PROCESS_ADDRESSES') or os.environ.get(
    'TPU_WORKER_HOSTNAMES', ''
  )
  in_step = 'SLURM_STEP_NODELIST' in os.environ and 'SLURM_PROCID' in os.environ
  tasks = os.environ.get('SLURM_NTASKS', '1') if in_step else '1'
  return ',' in hosts or int(tasks) > 1


def _is_lost(error) -> bool:
  """True for the error of a collective whose other processes are gone."""
  return (
    isinstance(error, ValueError | RuntimeError)
    and not isinstance(error, InputError)
    and bool(_LACKING.search(str(error)))
  )


def _end(text: str) -> NoReturn:
  """Prints the one line and ends the process, whichever thread comes first."""
  _ending.acquire()
  os.write(sys.stderr.fileno(), f'error: {text}\n'.encode())
  os._exit(1)


class _Listener(threading.Thread):
  """Ends the process with one line, `meaning`, when XLA is about to abort it.

  What XLA prints comes here by a pipe and is passed on to stderr; Python's
  stdout and stderr stay what they were. An abort is held up until this thread
  has read why it comes.
  """

  def __init__(self, meaning: str):
    super().__init__(daemon=True)
    self.meaning = meaning

  def start(self):
    self.stderr = os.dup(2)
    self.source, sink = os.pipe()
    for name, number in ('stdout', 1), ('stderr', 2):
      getattr(sys, name).flush()
      setattr(sys, name, os.fdopen(os.dup(number), 'w', buffering=1))
      os.dup2(sink, number)
    os.close(sink)
    # The handler of SIGABRT is C's sleep(SIGABRT): six seconds in which the
    # other threads go on, and then the abort takes its course. A handler in
    # Python would be run after the abort.
    libc = ctypes.CDLL(None)
    libc.signal(signal.SIGABRT, ctypes.cast(libc.sleep, ctypes.c_void_p))
    super().start()

  def run(self):
    with os.fdopen(self.source, 'rb') as lines:
      for line in lines:
        if _FATAL.match(line):
          _end(self.meaning)
        # Gloo greets its peers on stdout, its threads in each other's words.
        if b'[Gloo]' not in line:
          os.write(self.stderr, line)
