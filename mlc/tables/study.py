"""A published table beside our own values: what is to be said of each number.

A study is one file of experiments/studies with a `STUDY`; nothing here runs
it. All values are in the units of the published ones.
"""

from collections.abc import Callable, Mapping, Sequence
import csv
import dataclasses
import hashlib
import json
import pathlib
from typing import Any, NamedTuple

from mlc.errors import InputError
from mlc.stats import mean_std

COLUMNS = (
  *('paper', 'year', 'table', 'dataset', 'method', 'metric', 'value', 'std'),
  *('unit', 'split', 'status', 'note', 'source', 'comparable'),
)
# Kinds of published numbers: the first are targets, the second only likely so.
TARGET, LIKELY = 'yes', 'likely'
KINDS = {
  TARGET: '',
  LIKELY: '',
  'no': 'not comparable',
  'quote only': 'quoted',
  'source': 'not reproduced by the source itself',
}


class Cell(NamedTuple):
  """What a number is about, in the study's own words."""

  dataset: str
  method: str
  metric: str


class Published(NamedTuple):
  """A number of the source.

  std: None where the source gives none. kind: of `KINDS`. why: it is no target.
  """

  cell: Cell
  table: str
  value: float
  std: float | None
  kind: str
  why: str = ''


class Ours(NamedTuple):
  """Our values of a data set, one a seed: (method, metric) -> values."""

  values: Mapping[tuple[str, str], Sequence[float]]
  compile_seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Study:
  """A table to reproduce.

  datasets: name -> all that decides its values, in JSON's types: where that
    has changed, the data set is run again.
  values: (data set, download, say) -> `Ours`; download: fetch files that are
    not here; say(text): how far it is.
  cell: a row of the published CSV -> its cell, None where it is not used.
  tolerance: how far ours may be from a published number.
  guesses: cell -> why its target is missed.
  digits: of the numbers in tables.
  """

  datasets: Mapping[str, Any]
  values: Callable[[str, bool, Callable[[str], None]], Ours]
  cell: Callable[[Mapping[str, str]], Cell | None]
  tolerance: Callable[[Published], float]
  guesses: Mapping[tuple[str, str, str], str] = dataclasses.field(
    default_factory=dict
  )
  digits: int = 2


class Verdict(NamedTuple):
  """A published number, ours, and how they stand to each other.

  text: 'hit', 'miss', 'not computed', or what the number's kind is called.
  why: the guess for a miss, or the reason why it is no target.
  """

  published: Published
  values: tuple[float, ...]
  tolerance: float
  text: str
  why: str = ''

  @property
  def target(self) -> bool:
    """Whether ours is meant to be equal."""
    return self.published.kind == TARGET

  @property
  def fails(self) -> bool:
    """A target missed for no stated reason."""
    return self.target and self.text != 'hit' and not self.why

  @property
  def difference(self) -> float:
    """Our mean less the published number; nan where we have none."""
    return mean_std(self.values)[0] - self.published.value


def read(path, study: Study) -> list[Published]:
  """The rows of a published CSV that `study` uses, in their order.

  Raises:
    InputError: a file without the columns, a row without a number or with an
      unknown word in its column `comparable`.
  """
  path = pathlib.Path(path)
  with open(path, encoding='utf-8', newline='') as file:
    reader = csv.DictReader(file)
    rows = list(reader)
  missing = [c for c in COLUMNS if c not in (reader.fieldnames or ())]
  if missing:
    raise InputError(f'{path}: no column {missing[0]!r}: add it')
  found = []
  for number, row in enumerate(rows, 2):
    cell = study.cell(row)
    if cell is None:
      continue
    kind, _, why = row['comparable'].partition(': ')
    try:
      std = float(row['std']) if row['std'] else None
      value = float(row['value'])
    except ValueError:
      raise InputError(
        f'{path}, line {number}: value {row["value"]!r}, std {row["std"]!r}:'
        ' give numbers; std may be empty'
      ) from None
    if kind not in KINDS:
      raise InputError(
        f'{path}, line {number}: comparable={row["comparable"]!r}: begin with'
        f' one of {", ".join(KINDS)}'
      )
    found.append(Published(cell, row['table'], value, std, kind, why))
  return found


def digest(settings) -> str:
  """16 hexadecimal digits of what decides the values of a data set."""
  text = json.dumps(settings, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:16]


def verdicts(
  study: Study, published: Sequence[Published], dataset: str, ours: Ours
) -> list[Verdict]:
  """What is to be said of each published number of a data set."""
  rows = [row for row in published if row.cell.dataset == dataset]
  return [_verdict(study, row, ours) for row in rows]


def _verdict(study: Study, row: Published, ours: Ours) -> Verdict:
  values = tuple(ours.values.get(row.cell[1:], ()))
  tolerance = study.tolerance(row)
  text, why = KINDS[row.kind], row.why
  if not text and not values:
    text = 'not computed'
  elif not text:
    # Not to fail by the rounding of a difference of decimal numbers.
    hit = abs(mean_std(values)[0] - row.value) <= tolerance + 1e-9
    text, why = (
      ('hit', '') if hit else ('miss', study.guesses.get(row.cell, ''))
    )
  return Verdict(row, values, tolerance, text, why)


def summary(found: Sequence[Verdict]) -> str:
  """'12 of 14 targets hit, 1 missed with a stated guess, 1 missed; ...'."""
  targets = [v for v in found if v.target]
  likely = [v for v in found if v.published.kind == LIKELY]
  hits = sum(v.text == 'hit' for v in targets)
  fails = sum(v.fails for v in targets)
  parts = [f'{hits} of {len(targets)} targets hit']
  if explained := len(targets) - hits - fails:
    parts.append(f'{explained} missed with a stated guess')
  if fails:
    parts.append(f'{fails} missed')
  text = ', '.join(parts)
  if likely:
    near = sum(v.text == 'hit' for v in likely)
    text += f'; {near} of {len(likely)} likely comparable numbers hit'
  if rest := len(found) - len(targets) - len(likely):
    text += f'; {rest} shown that are not comparable'
  return text
