"""What `experiments.bench` measures: a file a suite, a tuple CASES in each."""

from collections.abc import Callable
import importlib
import json
import pathlib
import resource
import time
from typing import NamedTuple


class Case(NamedTuple):
  """`ours` and `peer` set up and return what is timed."""

  name: str
  ours: Callable[[], Callable]
  peer_name: str = ''
  peer: Callable[[], Callable] | None = None


def cases(suite: str) -> tuple[Case, ...]:
  """The CASES of experiments/suites/<suite>.py."""
  return importlib.import_module(f'experiments.suites.{suite}').CASES


def measure(suite: str, number: int, whose: str) -> None:
  """Runs one side of a case in this process and prints what it took."""
  run = getattr(cases(suite)[number], whose)()
  began = time.perf_counter()
  run()
  seconds = time.perf_counter() - began
  print(json.dumps({'seconds': seconds, 'mib': _peak_mib()}))


def _peak_mib() -> float:
  status = pathlib.Path('/proc/self/status')
  if status.exists():  # Linux hands the parent's ru_maxrss down.
    (line,) = [s for s in status.read_text().splitlines() if 'VmHWM' in s]
    return int(line.split()[1]) / 2**10
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
