"""Text as lines, plain or compressed, and XML; what can fail, in one line."""

import bz2
from collections.abc import Iterator
import gzip
import lzma
import pathlib
from xml.etree.ElementTree import ParseError
import zlib

from defusedxml import ElementTree

from mlc.errors import InputError

OPENERS = {'.gz': gzip.open, '.bz2': bz2.open, '.xz': lzma.open}


def lines(path, encoding: str = 'utf-8') -> Iterator[str]:
  """The lines of a file, decompressed by its last suffix, without their ends.

  Raises:
    InputError: no such file, a folder, a damaged archive, an empty file, bytes
      that are not of the encoding, a NUL (binary, or UTF-16).
  """
  path = pathlib.Path(path)
  opener = OPENERS.get(path.suffix.lower(), open)
  number = 0
  try:
    with opener(path, 'rb') as file:
      for number, line in enumerate(file, 1):  # noqa: B007 (used below)
        if number == 1:
          line = line.removeprefix(b'\xef\xbb\xbf')
        if b'\0' in line:
          raise InputError(f'{path}:{number}: not text: save it as {encoding}')
        yield line.rstrip(b'\r\n').decode(encoding)
  except UnicodeDecodeError as error:
    raise InputError(
      f'{path}:{number}:{error.start + 1}: not {encoding} text: save it as'
      f' {encoding}'
    ) from None
  except FileNotFoundError:
    raise InputError(f'{path}: no such file: check the path') from None
  except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
    reason = getattr(error, 'strerror', None) or str(error)
    raise InputError(
      f'{path}: not readable ({reason}): mend the file'
    ) from None
  if not number:
    raise InputError(f'{path}: an empty file: get it again')


def xml(path):
  """The element tree of an XML file.

  Raises:
    InputError: no such file, not XML, a DTD or entities in it.
  """
  try:
    return ElementTree.parse(path, forbid_dtd=True)
  except FileNotFoundError:
    raise InputError(f'{path}: no such file: check the path') from None
  except ParseError as error:
    line, column = error.position
    reason = str(error).partition(':')[0]
    raise InputError(
      f'{path}:{line}:{column + 1}: not XML ({reason}): mend the file'
    ) from None
  except OSError as error:
    raise InputError(
      f'{path}: not readable ({error.strerror}): check the path'
    ) from None
  # DTD and entities (DefusedXmlException), encodings that there are not.
  except (ValueError, LookupError) as error:
    reason = ' '.join(str(error).split())
    raise InputError(
      f'{path}: refused ({reason}): remove DTD and entities, save it as UTF-8'
    ) from None
