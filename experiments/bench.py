"""Times ours beside a peer in fresh processes, and prints the ratios.

python -m experiments.bench --suite=training --workdir=runs/bench
"""

import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys

from absl import flags

from experiments import main as main_lib
from experiments import suites
from mlc import provenance, run_folder
from mlc.errors import InputError

SUITE = flags.DEFINE_enum('suite', None, suites.names(), 'What to measure.')
RUNS = flags.DEFINE_integer(
  'runs',
  3,
  'Processes a side, of which the fastest counts; or rounds of the two sides'
  ' in turns in one process, of which the median counts.',
  lower_bound=1,
)
THREADS = flags.DEFINE_integer(
  'threads', 2, 'Cores that each process may use.', lower_bound=1
)

PEERS = (
  *('scikit-learn', 'torch', 'dacaf-mlc'),
  *('liac-arff', 'iterative-stratification'),
)

HEADER = (
  f'{"":48}{"seconds":>9}{"compile":>9}{"peer s":>9}{"ratio":>8}'
  f'{"min - max":>15}{"MiB":>7}  peer'
)


def process(number: int, name: str, whose: str) -> dict:
  """What one fresh process measured of a case."""
  code = (
    f'from experiments import suites; suites.measure({SUITE.value!r}, {number},'
    f' {whose!r}, rounds={RUNS.value}, threads={THREADS.value})'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, check=False
  )
  if done.returncode:
    # A process that is killed says nothing.
    said = done.stderr.strip() or f'exit status {done.returncode}'
    said = said.splitlines()[-1].removeprefix('mlc.errors.InputError: ')
    raise InputError(f'{name}, {whose}: {said}')
  return json.loads(done.stdout.splitlines()[-1])


def fastest(number: int, name: str, whose: str) -> dict:
  """Of RUNS processes, each with one side of a case."""
  results = [process(number, name, whose) for _ in range(RUNS.value)]
  return min(results, key=lambda result: result['seconds'])


def result(number: int, case: suites.Case | suites.SideBySide) -> dict:
  """The line of a case in the JSON lines."""
  about: dict = {'case': case.name}
  if isinstance(case, suites.SideBySide):
    return about | process(number, case.name, 'both')
  about['ours'] = ours = fastest(number, case.name, 'ours')
  if case.peer:
    peer = fastest(number, case.name, 'peer')
    about['peer'] = {'name': case.peer_name} | peer
    about['ratio'] = peer['seconds'] / ours['seconds']
  return about


def row(about: dict) -> str:
  """The row of a case in the table."""
  ours, peer = about['ours'], about.get('peer', {})
  low, high = about.get('ratio_range', (None, None))
  cells = [
    f'{about["case"]:48}{ours["seconds"]:9.3f}',
    f'{ours["compile_seconds"]:9.2f}' if ours['compile_seconds'] else ' ' * 9,
    f'{peer["seconds"]:9.3f}' if peer else ' ' * 9,
    f'{about["ratio"]:8.2f}' if peer else ' ' * 8,
    f'{low:8.2f} -{high:5.2f}' if low is not None else ' ' * 15,
    f'{about.get("mib", ours.get("mib")):7.0f}',
    f'  {peer.get("name", about.get("missing", ""))}',
    f' ({peer["mib"]:.0f} MiB)' if 'mib' in peer else '',
    f'  {ours["nodes"] / ours["seconds"]:.3g} nodes/s'
    if ours.get('nodes')
    else '',
    f'decode {ours["decode"]:.3f}' if ours.get('decode') else '',
  ]
  return ''.join(cells).rstrip()


def versions() -> dict[str, str]:
  """Of the peers' packages, those that are installed."""
  found = importlib.metadata.distributions()
  return {d.name: d.version for d in found if d.name in PEERS}


def main(_):
  """A row a case; rows, JSON lines and the machine in the work folder."""
  suite, only = str(SUITE.value), main_lib.ONLY.value
  chosen = [
    (number, case)
    for number, case in enumerate(suites.cases(suite))
    if only in case.name
  ]
  if not chosen:
    raise InputError(f'no case of {suite} has {only!r} in its name')
  folder = None
  if main_lib.WORKDIR.value:
    folder = pathlib.Path(main_lib.WORKDIR.value)
    folder.mkdir(parents=True, exist_ok=True)
    about = provenance.metadata([]) | {
      'cores': os.cpu_count(),
      'threads': THREADS.value,
      'peers': versions(),
    }
    run_folder.write_json(folder / f'{suite}_metadata.json', about)
  lines, results, failed = [HEADER], [], []
  print(HEADER, flush=True)
  for number, case in chosen:
    try:
      results.append(result(number, case))
    except InputError as error:  # The others may be measured.
      failed.append(str(error))
      continue
    lines.append(row(results[-1]))
    print(lines[-1], flush=True)
    if folder:
      run_folder.write_jsonl(folder / f'{suite}.jsonl', results)
      text = '\n'.join(lines) + '\n'
      run_folder.atomic_write(folder / f'{suite}.txt', text)
  finish = getattr(suites.load(suite), 'finish', None)
  if finish and results:
    finish(results, folder)
  if failed:
    raise InputError(f'not measured: {"; ".join(failed)}')


if __name__ == '__main__':
  main_lib.run(main, required=('suite',))
