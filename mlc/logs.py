"""What a run tells: progress and sizes to a human, scalars to files."""

from collections.abc import Iterator, Mapping
import contextlib
import json
import math
import pathlib
import sys
import time
from typing import IO, Any

from rich import progress as rich_progress
from rich.console import Console, RenderableType
from rich.text import Text

from mlc import events, run_folder
from mlc.errors import InputError


def duration(seconds: float) -> str:
  """Seconds as a reader says them: '12 s', '3 min 05 s', '2 h 04 min'."""
  whole = round(seconds)
  if whole < 60:
    return f'{whole} s'
  if whole < 3600:
    return f'{whole // 60} min {whole % 60:02d} s'
  return f'{whole // 3600} h {whole % 3600 // 60:02d} min'


def _scaled(value: float) -> tuple[str, str]:
  """Three digits and the prefix of the unit: 123456 -> ('123', 'k')."""
  prefix = ''
  for larger in 'kMGT':
    if value < 999.5:
      break
    value, prefix = value / 1000, larger
  return f'{value:.3g}', prefix


def rate(rows_per_second: float) -> str:
  """How fast rows are seen: '123 k rows/s'."""
  return ' '.join(filter(None, (*_scaled(rows_per_second), 'rows/s')))


class _Bar(rich_progress.Progress):
  """A bar, and below it the text: beside it, 80 columns cut both."""

  def get_renderables(self) -> Iterator[RenderableType]:
    yield self.make_tasks_table(self.tasks)
    for task in self.tasks:
      text = task.fields['text']
      yield Text(text, style='dim', no_wrap=True, overflow='ellipsis')


class Progress:
  """What runs now, how far it is, and how long it will take.

  A bar on a terminal; elsewhere plain lines: one when a name starts, then at
  most one every `every` seconds.
  """

  def __init__(
    self,
    total_units: float,
    stream: IO[str] | None = None,
    *,
    every: float = 5.0,
    clock=time.monotonic,
  ):
    self.total, self.done, self.name = total_units, 0.0, ''
    self.skipped = 0.0
    self.stream = sys.stderr if stream is None else stream
    self.every, self.clock = every, clock
    self.began = self.printed = clock()
    self.bar = None
    console = Console(file=self.stream)
    if self.stream.isatty() and not console.is_dumb_terminal:
      column = rich_progress.TextColumn
      self.bar = _Bar(
        column('{task.description}', style='bold', markup=False),
        rich_progress.BarColumn(bar_width=24),
        rich_progress.TaskProgressColumn(),
        rich_progress.TimeElapsedColumn(),
        column('{task.fields[left]}', style='cyan', markup=False),
        console=console,
        # Else what is printed to a redirected stdout would land on the bar's
        # stream and be missing from the file.
        redirect_stdout=sys.stdout.isatty(),
      )
      self.task = self.bar.add_task('', total=total_units, left='', text='')

  def __enter__(self) -> 'Progress':
    """Start the clock and, on a terminal, draw the bar."""
    self.began = self.printed = self.clock()
    if self.bar:
      self.bar.start()
    return self

  def __exit__(self, kind, *_) -> None:
    """Close the bar; in plain lines, say how long all of it took."""
    if self.bar:
      self.bar.stop()
    elif kind is None:
      took = duration(self.clock() - self.began)
      print(f'[100%] done in {took}', file=self.stream, flush=True)

  def start(self, name: str) -> None:
    """`name` runs from now on."""
    self.name = name
    self._show('starts', now=True)

  def advance(self, units: float, text: str = '', now: bool = False) -> None:
    """`units` more are done; `text` says where it stands, for a human.

    now: it is told however late the last line was.
    """
    self.done += units
    self._show(text, now)

  def skip(self, units: float, text: str) -> None:
    """`units` need not be done, for the reason `text`: they took no time."""
    self.done += units
    self.skipped += units
    self._show(text, now=True)

  def _show(self, text: str, now: bool = False) -> None:
    clock = self.clock()
    elapsed = clock - self.began
    part = min(self.done / self.total, 1.0) if self.total else 1.0
    left = ''
    worked = self.done - self.skipped
    # Too little to tell from, where nearly all was done before; of a length
    # that is not known, every part is 0.
    if worked > 0 and worked >= self.done / 100 and 0 < part < 1:
      seconds = elapsed * (self.total - self.done) / worked
      left = f'about {duration(seconds)} left'
    if self.bar:
      self.bar.update(
        self.task,
        description=self.name,
        completed=self.done,
        left=left,
        text=text,
      )
    elif now or clock - self.printed >= self.every:
      self.printed = clock
      times = ', '.join(filter(None, (duration(elapsed), left)))
      line = f'[{math.floor(100 * part):3d}%] {self.name}: {text} ({times})'
      print(line, file=self.stream, flush=True)


def _leaves(tree, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple, Any]]:
  """(path, array) of every leaf of nested mappings."""
  if not isinstance(tree, Mapping):
    yield path, tree
  else:
    for key, value in tree.items():
      yield from _leaves(value, (*path, str(key)))


def _row(name: str, arrays: list[tuple[tuple[int, ...], Any]]) -> list[str]:
  """A row of the table, for arrays given by (shape, dtype)."""
  form = f'{len(arrays)} arrays'
  if len(arrays) == 1:
    form = 'x'.join(map(str, arrays[0][0])) or 'scalar'
  sizes = [math.prod(shape) for shape, _ in arrays]
  number, prefix = _scaled(
    sum(n * dtype.itemsize for n, (_, dtype) in zip(sizes, arrays, strict=True))
  )
  kinds = '/'.join(sorted({str(dtype) for _, dtype in arrays}))
  return [name, form, kinds, f'{sum(sizes):,}', f'{number} {prefix}B']


def parameter_table(
  params: Mapping, num_runs: int | None = None, *, max_rows: int = 20
) -> str:
  """Path, shape, type, size and bytes of the parameters of one run.

  params: nested mappings of arrays, or of what has their shape and dtype.
  num_runs: K where every array has a leading axis of K runs; it is left out.
  max_rows: where arrays are more, those below one path share a row.
  """
  leaves = [
    (path, (leaf.shape if num_runs is None else leaf.shape[1:], leaf.dtype))
    for path, leaf in _leaves(params)
  ]
  groups = {}
  for depth in range(max((len(p) for p, _ in leaves), default=0), 0, -1):
    groups = {}
    for path, array in leaves:
      groups.setdefault('/'.join(path[:depth]), []).append(array)
    if len(groups) <= max_rows:
      break
  names = list(groups)
  if len(names) > max_rows:
    rest = names[max_rows - 1 :]
    groups[f'{len(rest)} others'] = sum(map(groups.pop, rest), [])
  rows = [['parameters', 'shape', 'type', 'size', 'bytes']]
  rows += [_row(name, arrays) for name, arrays in groups.items()]
  name = 'total' if num_runs is None else f'total of each of {num_runs} runs'
  rows.append(_row(name, [array for _, array in leaves]))
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  return '\n'.join(
    f'{row[0]:<{widths[0]}}  '
    + '  '.join(f'{c:>{w}}' for c, w in zip(row[1:], widths[1:], strict=True))
    for row in rows
  )


class Scalars:
  """Values of each epoch: a line of metrics.jsonl, and TensorBoard events.

  A killed process leaves at most a torn last line. A run that goes on after
  epoch `resume_after` drops that line and those of later epochs, so that its
  file ends as that of an uninterrupted run; None starts both files anew.

  Raises InputError where tensorboardX is missing, metrics.jsonl is damaged, or
  the disk is full.
  """

  def __init__(
    self, folder, *, tensorboard: bool = True, resume_after: int | None = None
  ):
    folder = pathlib.Path(folder)
    self.path = folder / 'metrics.jsonl'
    kept = b''
    if resume_after is not None:
      kept = _lines_until(self.path, resume_after)
    folder.mkdir(parents=True, exist_ok=True)
    run_folder.atomic_write(self.path, kept)
    if resume_after is None:
      for old in folder.glob(events.PREFIX + '*'):
        old.unlink()
    self.events = None
    with contextlib.ExitStack() as files:
      self.file = files.enter_context(open(self.path, 'ab'))
      if tensorboard:
        file = files.enter_context(open(events.new_path(folder), 'xb'))
        self.events = events.Writer(file, resume_after)
      self.files = files.pop_all()

  def __enter__(self) -> 'Scalars':
    return self

  def __exit__(self, *_) -> None:
    """Close the files; what was written is in them already."""
    # Fails only where a write has failed, which has been told.
    with contextlib.suppress(OSError):
      self.files.close()

  def write(self, epoch: int, values: Mapping) -> None:
    """`values` of `epoch`: numbers, lists with a number a run, text, None.

    TensorBoard gets the numbers; run k of a list is the series name/seed<k>.
    """
    line = run_folder.json_line({'epoch': epoch, **values})
    try:
      self.file.write(line.encode())
      self.file.flush()
      if self.events:
        numbers = json.loads(line)
        self.events.write(numbers.pop('epoch'), numbers)
    except OSError as error:
      raise InputError(
        f'{self.path.parent}: the metrics of epoch {epoch} are not written '
        f'({error.strerror}): free the disk and give the same command again'
      ) from None


def _lines_until(path: pathlib.Path, epoch: int) -> bytes:
  """The whole lines of epochs up to `epoch`, byte for byte."""
  if not path.exists():
    return b''
  kept = []
  # What follows the last newline is nothing, or a torn line.
  for number, line in enumerate(path.read_bytes().split(b'\n')[:-1], start=1):
    try:
      if json.loads(line)['epoch'] <= epoch:
        kept.append(line + b'\n')
    except (ValueError, TypeError, KeyError):
      raise InputError(
        f'{path}: line {number} is damaged; remove the line, or start anew '
        'with --overwrite'
      ) from None
  return b''.join(kept)
