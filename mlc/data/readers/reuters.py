"""Reuters-21578 in its SGML files, on the ModApte split.

Lewis, Reuters-21578 text categorization test collection, Distribution 1.0,
1997 (its README.txt, VIII.B, defines the split); the 90 topics: Yang & Liu,
SIGIR 1999. Files are latin-1, their markup is flat: no SGML parser is needed.
"""

from collections.abc import Iterator
import pathlib
import re
from typing import NamedTuple

import numpy as np

from mlc.data import download
from mlc.data.features import Features
from mlc.data.label_forms import detect
from mlc.data.table import Table
from mlc.errors import InputError

SPLITS = {'TRAIN': 'train', 'TEST': 'test'}
ATTRIBUTE = re.compile(r'\b([A-Z]+)="([^"]*)"')
# All that lewis.dtd and the files use.
ENTITY = re.compile(r'&(lt|amp|#\d{1,3});')
NAMED = {'lt': '<', 'amp': '&'}


class Document(NamedTuple):
  """A document of the split."""

  split: str
  text: str
  topics: set[str]


def read(path) -> Table:
  """Reads the .tar.gz file, or the folder, that holds the .sgm files.

  Rows are the documents with TOPICS="YES" and LEWISSPLIT="TRAIN" or "TEST"
  that have one of the labels: the topics of at least one train and one test
  document. All 22 files give 7,770 train and 3,019 test rows of 90 labels;
  topics are sorted, documents in the order of the files. NLTK's copy has one
  train document less.

  The text is the title and, from the next line on, the body; of an unformatted
  document, which has neither, all of its text. Control codes are left out.

  Raises:
    InputError: nothing to read there, a document that is not closed or lacks
      an attribute or element, no topic in both splits.
  """
  documents = []
  for name, data in _files(pathlib.Path(path)):
    documents += _documents(name, data)
  seen = {name: set() for name in SPLITS.values()}
  for document in documents:
    seen[document.split] |= document.topics
  names = seen['train'] & seen['test']
  if not names:
    raise InputError(
      f'{path}: no topic of both a train and a test document: give all 22 files'
    )
  kept = [document for document in documents if document.topics & names]
  splits = np.array([document.split for document in kept])
  return Table(
    Features.of(text=[document.text for document in kept], where=str(path)),
    detect([d.topics & names for d in kept], sorted(names), where=str(path)),
    {name: np.flatnonzero(splits == name) for name in SPLITS.values()},
  )


def _files(path: pathlib.Path) -> list[tuple[str, bytes]]:
  """(name for messages, content) of the .sgm files, sorted by name."""
  if path.is_dir():
    try:
      found = [(str(p), p.read_bytes()) for p in sorted(path.glob('*.sgm'))]
    except OSError as error:
      raise InputError(
        f'{error.filename}: not readable ({error.strerror}): get it again'
      ) from None
  else:
    members = sorted(download.members(path, '.sgm'))
    found = [(f'{path}({name})', data) for name, data in members]
  if not found:
    raise InputError(f'{path}: no .sgm file: give their folder, or .tar.gz')
  return found


def _documents(name: str, data: bytes) -> Iterator[Document]:
  """The documents of the ModApte split in one file."""
  # Cut, not matched: a pattern would search to the end for each missing tag.
  head, *pieces = data.decode('latin-1').split('<REUTERS')
  line = 1 + head.count('\n')
  for piece in pieces:
    inside, closed, _ = piece.partition('</REUTERS>')
    tag, opened, content = inside.partition('>')
    attributes = dict(ATTRIBUTE.findall(tag))
    topics, text = _element(content, 'TOPICS'), _element(content, 'TEXT')
    present = {'TOPICS', 'LEWISSPLIT'} <= set(attributes)
    if not (opened and closed and present) or topics is None or text is None:
      raise InputError(
        f'{name}:{line}: <REUTERS> lacks its end, TOPICS, LEWISSPLIT or TEXT:'
        ' get the file again'
      )
    split = SPLITS.get(attributes['LEWISSPLIT'])
    if split and attributes['TOPICS'] == 'YES':
      # A set, as two documents have a topic twice.
      found = set(map(_unescape, re.findall('<D>([^<]*)</D>', topics)))
      yield Document(split, _content(text), found)
    line += piece.count('\n')


def _content(text: str) -> str:
  """Title and body of a <TEXT>, or all of it where it has neither."""
  parts = [_element(text, 'TITLE'), _element(text, 'BODY')]
  found = [part for part in parts if part is not None] or [text]
  return '\n'.join(_unescape(part).strip() for part in found)


def _element(content: str, tag: str) -> str | None:
  """What stands inside the first <tag>, which may have attributes."""
  _, _, rest = content.partition(f'<{tag}')
  inside, closed, _ = rest.partition('>')[2].partition(f'</{tag}>')
  return inside if closed else None


def _unescape(text: str) -> str:
  """Entities as characters; control codes such as &#3; as nothing."""
  return ENTITY.sub(_character, text)


def _character(match: re.Match) -> str:
  name = match[1]
  if name in NAMED:
    return NAMED[name]
  character = chr(int(name[1:]))
  return character if character.isprintable() else ''
