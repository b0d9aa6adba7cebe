"""Text files, plain or compressed, as lines; what can fail, in one line."""

import bz2
from collections.abc import Iterator
import gzip
import lzma
import pathlib
import zlib

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
