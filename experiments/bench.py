"""Times ours beside a peer, each in fresh processes, and prints the ratios.

python -m experiments.bench --suite=data --workdir=runs/bench
"""

import json
import os
import pathlib
import subprocess
import sys

from absl import flags

from experiments import main as main_lib
from experiments import suites
from mlc import logs
from mlc.errors import InputError

SUITE = flags.DEFINE_enum('suite', None, ['data'], 'What to measure.')
RUNS = flags.DEFINE_integer(
  'runs', 3, 'Processes a side; the fastest counts.', lower_bound=1
)


def fastest(number: int, whose: str) -> dict[str, float]:
  """Seconds, and peak MiB of the whole process, of one side of a case."""
  code = f'from experiments import suites; suites.measure({SUITE.value!r}, '
  command = [sys.executable, '-c', f'{code}{number}, {whose!r})']
  results = []
  for _ in range(RUNS.value):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
      # A process that is killed says nothing.
      said = done.stderr.strip() or f'exit status {done.returncode}'
      raise InputError(
        f'case {number} of {SUITE.value}, {whose}: {said.splitlines()[-1]}'
      )
    results.append(json.loads(done.stdout.splitlines()[-1]))
  return min(results, key=lambda result: result['seconds'])


def main(_):
  """One line a case; the same as JSON in the work folder."""
  print(f'{"":46}{"seconds":>9}{"MiB":>7}{"peer s":>9}{"MiB":>7}{"ratio":>8}')
  results = []
  for number, case in enumerate(suites.cases(str(SUITE.value))):
    ours = fastest(number, 'ours')
    line = f'{case.name:46}{ours["seconds"]:9.2f}{ours["mib"]:7.0f}'
    result = {'case': case.name, 'ours': ours}
    if case.peer:
      peer = fastest(number, 'peer')
      ratio = peer['seconds'] / ours['seconds']
      line += f'{peer["seconds"]:9.2f}{peer["mib"]:7.0f}{ratio:8.1f}'
      line += f'  {case.peer_name}'
      result |= {'peer': {'name': case.peer_name} | peer, 'ratio': ratio}
    print(line, flush=True)
    results.append(result)
  if main_lib.WORKDIR.value:
    folder = pathlib.Path(main_lib.WORKDIR.value)
    folder.mkdir(parents=True, exist_ok=True)
    about = logs.metadata([]) | {'cores': os.cpu_count(), 'cases': results}
    logs.atomic_write(
      folder / f'bench_{SUITE.value}.json', json.dumps(about, indent=2)
    )


if __name__ == '__main__':
  main_lib.run(main, required=('suite',))
