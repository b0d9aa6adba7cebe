"""CSV text, checked record by record while pandas reads it.

Pandas fills short rows up, takes the first cell of long ones for an index and
tells no line: here each record is counted first, and its line kept.
"""

import csv
import io
import pathlib

from mlc.data.readers import files
from mlc.errors import InputError

TABS = {'.tsv', '.tab'}


class Records(io.TextIOBase):
  """The records of a CSV file, as text that pandas can read.

  Blank lines are no records. The header that is read is a stand-in: pandas
  strips a byte order mark off whatever comes first.

  delimiter: a tab in .tsv and .tab, else a comma.
  names: the header.
  lines: where each record begins, of those read so far.
  """

  def __init__(self, path):
    name = pathlib.Path(pathlib.Path(path).name.lower())
    plain = name.with_suffix('') if name.suffix in files.OPENERS else name
    self.delimiter = '\t' if plain.suffix in TABS else ','
    self.lines: list[int] = []
    self._path = path
    self._raw: list[str] = []
    self._reader = csv.reader(
      self._tap(), delimiter=self.delimiter, strict=True
    )
    _, _, self.names = self._next() or (0, '', [])
    if len(self.names) < 2:
      between = 'tabs' if self.delimiter == '\t' else 'commas'
      raise InputError(
        f'{path}: one column: write a header of names with {between} between'
      )
    self._header = self.delimiter.join(map(str, range(len(self.names)))) + '\n'

  def read(self, size: int = -1, /) -> str:
    """Whole records of `size` characters or more, '' where there are no more.

    Raises:
      InputError: too few or too many values, wrong quotes, and what
        `files.lines` refuses.
    """
    found, total = [self._header], len(self._header)
    self._header = ''
    while (size < 0 or total < size) and (record := self._next()):
      line, raw, cells = record
      if len(cells) != len(self.names):
        raise InputError(
          f'{self._path}:{line}: {len(cells)} values for {len(self.names)}'
          ' columns: mend the row'
        )
      self.lines.append(line)
      found.append(raw)
      total += len(raw)
    return ''.join(found)

  def _next(self) -> tuple[int, str, list[str]] | None:
    """Line, text and cells of the next record; None at the end."""
    line = self._reader.line_num + 1
    try:
      for cells in self._reader:
        raw = ''.join(self._raw)
        self._raw.clear()
        if cells:
          return line, raw, cells
        line = self._reader.line_num + 1
    except csv.Error as error:
      raise InputError(
        f'{self._path}:{line}: not CSV ({error}): put cells with quotes or line'
        ' breaks in them between quotes, and double those quotes'
      ) from None
    return None

  def _tap(self):
    """Hands lines to the CSV reader and keeps them as text."""
    for line in files.lines(self._path):
      self._raw.append(line + '\n')
      yield self._raw[-1]
