"""Files from the network, checked against their SHA-256, and archives."""

from collections.abc import Callable, Iterator
import contextlib
import gzip
import hashlib
import http.client
import io
import math
import os
import pathlib
import tarfile
from typing import IO
import urllib.error
import urllib.request

from mlc import logs, run_folder
from mlc.errors import InputError

CHUNK = 1 << 16


def cache_folder() -> pathlib.Path:
  """$MLC_CACHE, else mlc/ in $XDG_CACHE_HOME, else ~/.cache/mlc."""
  if folder := os.environ.get('MLC_CACHE'):
    return pathlib.Path(folder)
  cache = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
  return pathlib.Path(cache, 'mlc')


def sha256_of(path) -> str:
  """The SHA-256 of a file, 64 hexadecimal digits."""
  with open(path, 'rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def verify(path, sha256: str) -> None:
  """Raises InputError where the file's SHA-256 is not `sha256`."""
  try:
    found = sha256_of(path)
  except OSError as error:
    raise InputError(
      f'{path}: not readable ({error.strerror}): put the file there'
    ) from None
  if found != sha256:
    raise InputError(
      f'{path}: {_differs(found, sha256)}: delete it, or put the original there'
    )


def fetch(
  url: str,
  path,
  sha256: str,
  *,
  timeout: float = 30.0,
  max_bytes: int = 1 << 30,
  report: Callable[[int, int | None], None] | None = None,
) -> None:
  """Downloads `url` to `path`, all of it and the right bytes, or nothing.

  timeout: seconds without a byte, after which the download is given up.
  max_bytes: what a longer body is refused at, before it fills the disk.
  report: called with the bytes so far and, where the server tells it, of how
    many; `progress_bar` makes one.

  Raises:
    InputError: no connection, an HTTP error, a redirect that leaves
      https, a stall, a body cut short or of another SHA-256, a full disk.
  """
  path = pathlib.Path(path)

  def failed(what) -> InputError:
    return InputError(
      f'{url}: {_one_line(what)}: try again, or put the file at {path} yourself'
    )

  def ask(function, *args, **kwargs):
    """What a call to the network returns, or the error of `fetch`."""
    try:
      return function(*args, **kwargs)
    except urllib.error.HTTPError as error:
      error.close()
      raise failed(f'HTTP {error.code} {error.reason}') from None
    except http.client.IncompleteRead:
      raise failed('the body is cut short') from None
    # A ValueError is a malformed URL, given here or in a redirect.
    except (OSError, http.client.HTTPException, ValueError) as error:
      cause = (
        error.reason if isinstance(error, urllib.error.URLError) else error
      )
      if isinstance(cause, TimeoutError):
        raise failed(f'nothing came for {timeout:g} s') from None
      what = getattr(cause, 'strerror', None) or cause
      raise failed(what) from None

  digest = hashlib.sha256()
  size = 0
  try:
    with ask(_opener().open, url, timeout=timeout) as response:
      path.parent.mkdir(parents=True, exist_ok=True)
      with run_folder.replacing(path) as file:
        total = response.length
        while chunk := ask(response.read, CHUNK):
          size += len(chunk)
          if max(size, total or 0) > max_bytes:
            raise failed(f'more than the {max_bytes} bytes allowed')
          file.write(chunk)
          digest.update(chunk)
          if report:
            report(size, total)
        if total not in (None, size):
          raise failed(f'the body is cut short, {size} of {total} bytes')
        if digest.hexdigest() != sha256:
          raise failed(_differs(digest.hexdigest(), sha256))
  except OSError as error:
    raise InputError(
      f'{path}: not written ({error.strerror}): free the disk or choose another'
      f' folder, or put the file there from {url} yourself'
    ) from None


@contextlib.contextmanager
def progress_bar(
  name: str, stream: IO[str] | None = None
) -> Iterator[Callable[[int, int | None], None]]:
  """A `report` for one `fetch`: a bar on a terminal, else plain lines."""
  with contextlib.ExitStack() as stack:
    bar = None

    def report(size: int, total: int | None) -> None:
      nonlocal bar
      if bar is None:
        # Of an unknown total no part is ever done.
        bar = stack.enter_context(logs.Progress(total or math.inf, stream))
        bar.start(name)
      bar.advance(size - bar.done, f'{size / 1e6:.1f} MB')

    yield report


def members(
  path, suffix: str, max_bytes: int = 1 << 28
) -> list[tuple[str, bytes]]:
  """(name, content) of a .tar.gz file's members whose name ends in `suffix`.

  Nothing is written to disk, and a name is safe to make a path of. All members
  are checked, those of other names too.
  max_bytes: what a larger archive, unpacked, is refused at.

  Raises:
    InputError: an archive that is cut short, corrupt or too large; a member
      that is a link or a device, stands twice, or has an absolute name, a drive
      letter or `..` in it.
  """
  try:
    with gzip.open(path) as file:
      data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
      raise tarfile.ReadError(f'unpacks to more than {max_bytes} bytes')
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode='r:') as tar:
      for member in tar:
        # tarfile goes on to the next header by the size: where it is negative,
        # back, and round in a circle (CVE-2025-8194).
        if not 0 <= member.size <= len(data):
          raise tarfile.ReadError(f'a member has the size {member.size}')
        name = _safe_name(member)
        if name in found:
          raise tarfile.ReadError(f'member {name!r} stands twice')
        if file := tar.extractfile(member):  # None for a folder.
          found[name] = file.read() if name.endswith(suffix) else None
      # tarfile takes a bad header for the end, which is a block of zeros.
      if data[tar.offset : tar.offset + 512] != bytes(512):
        raise tarfile.ReadError(f'no header at unpacked byte {tar.offset}')
  # tarfile raises many kinds for a bad header, among them RecursionError.
  except Exception as error:
    raise InputError(
      f'{path}: not readable as .tar.gz ({_one_line(error)}): delete it, or put'
      ' the original there'
    ) from None
  return [(name, data) for name, data in found.items() if data is not None]


def _safe_name(member: tarfile.TarInfo) -> str:
  """The member's name as a relative path, without a leading `./`."""
  # Windows' rules know every absolute name: /a, C:a, \a and \\host\share\a.
  path = pathlib.PureWindowsPath(member.name)
  if path.anchor or '..' in path.parts or not member.name.isprintable():
    raise tarfile.ReadError(f'member {member.name!r} is no plain relative path')
  # A sparse file claims any size without the bytes.
  if member.issparse() or not (member.isfile() or member.isdir()):
    raise tarfile.ReadError(
      f'member {member.name!r} is no plain file or folder'
    )
  return path.as_posix()


def _one_line(what) -> str:
  """Text from elsewhere, fit for a line on a terminal."""
  line = ' '.join(str(what).split())
  return ''.join(c if c.isprintable() else '?' for c in line)


def _differs(found: str, expected: str) -> str:
  return f'its SHA-256 starts with {found[:12]}, not {expected[:12]}'


def _opener() -> urllib.request.OpenerDirector:
  """Opens http and https, through the user's proxies, and nothing else."""
  opener = urllib.request.OpenerDirector()
  for handler in (
    urllib.request.ProxyHandler,
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPErrorProcessor,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.UnknownHandler,
    _Redirects,
  ):
    opener.add_handler(handler())
  return opener


class _Redirects(urllib.request.HTTPRedirectHandler):
  """Never from https to http, where anyone may answer."""

  def redirect_request(self, req, fp, code, msg, headers, newurl):
    # Not req.type: a proxy sets it to its own.
    secure = req.full_url.lower().startswith('https:')
    if secure and not newurl.lower().startswith('https:'):
      raise urllib.error.URLError(f'redirected to {newurl}, without TLS')
    return super().redirect_request(req, fp, code, msg, headers, newurl)
