"""What `experiments.bench` measures: a file a suite, a tuple CASES in each.

A suite may also have `finish(results, folder)`, called at the end with the
results of its cases (as in the JSON lines) and the work folder, or None.
"""

from collections.abc import Callable
import importlib
import json
import os
import pathlib
import pkgutil
import resource
import statistics
import time
from typing import NamedTuple


class Case(NamedTuple):
  """Ours beside a peer, if any, each in fresh processes.

  `ours` and `peer` set up and return what is timed, for the best of several
  processes.
  """

  name: str
  ours: Callable[[], Callable]
  peer_name: str = ''
  peer: Callable[[], Callable] | None = None


class SideBySide(NamedTuple):
  """Ours beside a peer, in turns in one process.

  `ours` and `peer` set up and return what is timed. The first call of each
  does not count: what it took longer than the later ones is compilation. On a
  machine with other work the ratio of neighbouring calls is steadier than
  their seconds. A peer that cannot be imported leaves a row without it.
  """

  name: str
  ours: Callable[[], Callable]
  peer_name: str
  peer: Callable[[], Callable]


class Took(NamedTuple):
  """Returned by what is timed, if it knows its own seconds better.

  nodes: how many were explored, if they are counted. decode: seconds of the
  decoding that came after, where `seconds` are of training.
  """

  seconds: float
  compile_seconds: float
  nodes: float = 0.0
  decode: float = 0.0


def names() -> list[str]:
  """The suites: the files of this folder."""
  return [module.name for module in pkgutil.iter_modules(__path__)]


def cases(suite: str) -> tuple[Case | SideBySide, ...]:
  """The CASES of experiments/suites/<suite>.py."""
  return load(suite).CASES


def load(suite: str):
  """The module experiments/suites/<suite>.py."""
  return importlib.import_module(f'experiments.suites.{suite}')


def measure(
  suite: str, number: int, whose: str, *, rounds: int, threads: int
) -> None:
  """Runs one case, or one side of it, here and prints what it took as JSON.

  whose: the side of a Case; a SideBySide has both in turns, `rounds` times.
  threads: the cores that this process may use. It comes before any import of
    a library that counts them.
  """
  if hasattr(os, 'sched_setaffinity'):  # Linux.
    mine = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, mine[:threads])
  case = cases(suite)[number]
  if isinstance(case, SideBySide):
    took = _in_turns(case, rounds)
  else:
    took = _timed(getattr(case, whose)())._asdict()
  print(json.dumps(took | {'mib': _peak_mib()}))


def _in_turns(case: SideBySide, rounds: int) -> dict:
  ours = case.ours()
  first = _timed(ours)
  try:
    peer = case.peer()
    peer()
    missing = ''
  except ImportError as error:
    peer, missing = None, str(error)
  ours_R, peer_R = [], []
  for _ in range(rounds):
    ours_R.append(_timed(ours).seconds)
    if peer:
      peer_R.append(_timed(peer).seconds)
  seconds = statistics.median(ours_R)
  extra = first.compile_seconds or max(first.seconds - seconds, 0.0)
  took = {'ours': {'seconds': seconds, 'compile_seconds': extra}}
  if not peer:
    return took | {'missing': missing}
  ratios = [p / o for p, o in zip(peer_R, ours_R, strict=True)]
  return took | {
    'peer': {'name': case.peer_name, 'seconds': statistics.median(peer_R)},
    'ratio': statistics.median(ratios),
    'ratio_range': [min(ratios), max(ratios)],
  }


def _timed(run: Callable) -> Took:
  began = time.perf_counter()
  took = run()
  seconds = time.perf_counter() - began
  return took if isinstance(took, Took) else Took(seconds, 0.0)


def _peak_mib() -> float:
  status = pathlib.Path('/proc/self/status')
  if status.exists():  # Linux hands the parent's ru_maxrss down.
    (line,) = [s for s in status.read_text().splitlines() if 'VmHWM' in s]
    return int(line.split()[1]) / 2**10
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
