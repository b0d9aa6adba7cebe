"""Rows of LIBSVM text -> arrays: many at once, or the place of a fault."""

import dataclasses
import re
import warnings

import numpy as np

from mlc.errors import InputError

MAX_LABEL = 2**31 - 1
SPACES = ' \t'
NUMBER = re.compile(r'[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?')

# What a token is follows from the separators on its two sides and from the
# highest class of the bytes in it.
LINE, SPACE, COLON, COMMA, DIGIT, FLOAT, OTHER = range(7)
CLASS = np.full(256, OTHER, np.uint8)
for _class, _bytes in (
  (LINE, b'\n'),
  (SPACE, SPACES.encode()),
  (COLON, b':'),
  (COMMA, b','),
  (DIGIT, b'0123456789'),
  (FLOAT, b'+-.eE'),
):
  CLASS[list(_bytes)] = _class
WRONG, NOTHING, LABEL, FEATURE, VALUE = range(5)
# [separator before, separator after, class]; up to COMMA the token is empty.
ROLE = np.full((4, 4, OTHER + 1), WRONG, np.uint8)
ROLE[: SPACE + 1, : SPACE + 1, : COMMA + 1] = NOTHING
ROLE[: SPACE + 1, COLON, DIGIT] = FEATURE
ROLE[COLON, : SPACE + 1, DIGIT : FLOAT + 1] = VALUE
ROLE[np.ix_((LINE, COMMA), (LINE, SPACE, COMMA), (DIGIT,))] = LABEL
BLANKED = bytes.maketrans(b':,', b'  ')


@dataclasses.dataclass
class Limits:
  """Which ids may occur.

  features: D; ids go from 0 to D - 1 or from 1 to D.
  max_label: the highest label id.
  base: 0 or 1, the lowest feature id, once an id 0 or D has told.
  """

  features: int
  max_label: int
  base: int | None = None


def parse(numbers: list[int], texts: list[str], limits: Limits, path):
  """Reads rows, given with their line numbers, and narrows `limits`.

  Returns:
    Label ids, how many each row has, feature ids, values, how many each row
    has: flat int32, but float32 values.

  Raises:
    InputError: a row that is not of the format, with line and column.
  """
  if (parsed := _parse(texts, limits)) is not None:
    return parsed
  for number, text in zip(numbers, texts, strict=True):
    if fault := _fault(text, limits):
      column, what = fault
      raise InputError(f'{path}:{number}:{column}: {what}')
  raise AssertionError(f'{path}:{numbers[0]}: refused, but without a fault')


def _parse(texts: list[str], limits: Limits):
  """As `parse`; None where anything is wrong."""
  text = '\n'.join(['', *texts, '']).encode()
  class_of_byte = CLASS[np.frombuffer(text, np.uint8)]
  separators = np.flatnonzero(class_of_byte <= COMMA)
  before, after = separators[:-1], separators[1:]
  role = ROLE[
    class_of_byte[before],
    class_of_byte[after],
    np.maximum.reduceat(class_of_byte, before),
  ]
  if (role == WRONG).any():
    return None
  token_role = role[role != NOTHING]
  flat = np.zeros(0)
  if len(token_role):  # Of blank text NumPy makes one number, -1.
    try:
      # NumPy before 2.4 only warns of what is no number.
      with warnings.catch_warnings(action='error'):
        flat = np.fromstring(text.translate(BLANKED), sep=' ')
    except (ValueError, DeprecationWarning):
      return None
  labels = flat[token_role == LABEL]
  ids = flat[token_role == FEATURE]
  with np.errstate(over='ignore'):  # Infinite from here on, and refused.
    values = flat[token_role == VALUE].astype(np.float32)
  bases = {limits.base} - {None}
  bases |= {0} if (ids == 0).any() else set()
  bases |= {1} if (ids == limits.features).any() else set()
  if (
    len(bases) > 1
    or ids.max(initial=-1) > limits.features
    or labels.max(initial=-1) > limits.max_label
    or not np.isfinite(values).all()
  ):
    return None
  labels, ids = labels.astype(np.int32), ids.astype(np.int32)
  ends = np.flatnonzero(class_of_byte[separators] == LINE)
  label_counts, counts = (
    np.diff(np.searchsorted(np.flatnonzero(role == kind), ends))
    for kind in (LABEL, FEATURE)
  )
  if _repeats(labels, label_counts) or _repeats(ids, counts):
    return None
  limits.base = next(iter(bases), None)
  return labels, label_counts, ids, values, counts


def _repeats(ids, counts) -> bool:
  """Whether a row, of so many ids each, has an id twice."""
  place = np.repeat(np.arange(len(counts)), counts) * (MAX_LABEL + 1) + ids
  if (np.diff(place) > 0).all():  # In order, as in most files: no need to sort.
    return False
  return len(np.unique(place)) < len(place)


def _fault(text: str, limits: Limits) -> tuple[int, str] | None:
  """(column, what) of the first fault of a row; else narrows `limits`."""
  labels, ids = set(), set()
  for match in re.finditer(rf'[^{SPACES}]+', text):
    column, token = match.start() + 1, match[0]
    if column == 1 and ':' not in token:
      for label in token.split(','):
        if what := _id_fault(label, limits.max_label, labels, 'label'):
          return column, what
        column += len(label) + 1
      continue
    name, colon, value = token.partition(':')
    if not colon:
      return column, f'{_short(token)} has no colon: write features as id:value'
    if what := _id_fault(name, limits.features, ids, 'feature'):
      return column, what
    if (number := float(name)) in (0, limits.features):
      base = int(number != 0)
      if limits.base not in (None, base):
        return column, (
          f'feature id {number:.0f}, though an id'
          f' {0 if base else limits.features} occurs: count'
          f' {limits.features} features from 0 or from 1'
        )
      limits.base = base
    column += len(name) + 1
    if not NUMBER.fullmatch(value):
      return column, f'{_short(value)} is no number: mend it'
    with np.errstate(over='ignore'):
      if np.isinf(np.float32(value)):
        return column, f'{_short(value)} is beyond float32: scale the column'
  return None


def _id_fault(text: str, limit: int, seen: set[float], kind: str) -> str | None:
  """What is wrong with an id; else puts it into `seen`."""
  if not re.fullmatch('[0-9]+', text):
    return f'{kind} id {_short(text)}: give a whole number, not below 0'
  number = float(text)  # int() refuses numbers of some thousand digits.
  if number > limit:
    return f'{kind} id {_short(text)} is above {limit}: mend it, or the header'
  if number in seen:
    return f'{kind} id {number:.0f} stands twice in the row: remove one'
  seen.add(number)
  return None


def _short(text: str) -> str:
  """A token as a message quotes it."""
  return repr(text if len(text) < 24 else text[:20] + '...')
