"""GoEmotions as its authors lay it out: three TSV files, and label names.

Demszky, Movshovitz-Attias, Ko, Cowen, Nemade & Ravi, GoEmotions: A Dataset of
Fine-Grained Emotions, ACL 2020.
"""

import pathlib

import numpy as np

from mlc.data.features import Features
from mlc.data.label_forms import detect
from mlc.data.readers import files, text
from mlc.data.table import Table
from mlc.errors import InputError

FILES = {'train': 'train.tsv', 'valid': 'dev.tsv', 'test': 'test.tsv'}
COLUMNS = ['text', 'label ids', 'comment id']


def read(folder) -> Table:
  """Reads train.tsv, dev.tsv and test.tsv as splits, and labels.txt.

  A line is a text (quotes are characters like any other), the numbers of its
  labels, `3,10`, counted from 0 in labels.txt, and the id of the comment, which
  is left out. There is no header. 32 texts of train stand in test too.

  Raises:
    InputError: a file that is not there, a line without three columns, an id
      that labels.txt lacks or that stands twice, a label name twice.
  """
  folder = pathlib.Path(folder)
  names = [line.strip() for line in files.lines(folder / 'labels.txt')]
  index = {str(i): i for i in range(len(names))}
  texts, rows, splits = [], [], {}
  for split, file in FILES.items():
    start = len(rows)
    for number, line in enumerate(files.lines(folder / file), 1):
      place = f'{folder / file}:{number}'
      words, ids, _ = text.fields(place, line, COLUMNS)
      given = ids.split(',')
      row = {index[i] for i in given if i in index}
      if len(row) < len(given):
        raise InputError(
          f'{place}: label ids {ids[:40]!r}: give numbers from 0 to'
          f' {len(names) - 1}, each once, between commas'
        )
      texts.append(words)
      rows.append(row)
    splits[split] = np.arange(start, len(rows))
  return Table(
    Features.of(text=texts, where=str(folder)),
    detect(rows, names, where=str(folder)),
    splits,
  )
