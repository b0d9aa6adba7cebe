import contextlib
import functools
import gzip
import http.server
import io
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import tarfile
import tempfile
import threading
import time
import tracemalloc
import zipfile

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from mlc.data import download
from mlc.errors import InputError

# The third example of FIPS 180-2, section B.
BODY = b'a' * 1_000_000
DIGEST = 'cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0'
TIMEOUT = 10.0  # No test waits for it.


@pytest.fixture(scope='module', autouse=True)
def no_proxy():
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('no_proxy', '*')
    yield


@pytest.fixture(autouse=True)
def no_hang():
  def fail(*_):
    pytest.fail('still busy after 60 s')

  previous = signal.signal(signal.SIGALRM, fail)
  signal.alarm(60)
  yield
  signal.alarm(0)
  signal.signal(signal.SIGALRM, previous)


@contextlib.contextmanager
def serving(answer, tls: ssl.SSLContext | None = None):
  """The URL at which `answer(handler)` answers to GET."""

  class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
      answer(self)

    def log_message(self, *_):
      pass

  class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
      pass  # A client that hangs up.

  with Server(('127.0.0.1', 0), Handler) as server:
    if tls:
      server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
      scheme = 'https' if tls else 'http'
      yield f'{scheme}://127.0.0.1:{server.server_port}/set.arff'
    finally:
      server.shutdown()
      thread.join()


def send(handler, body=BODY, code=200, reason=None, **headers):
  handler.send_response(code, reason)
  headers = {'Content_Length': len(body)} | headers
  for name, value in headers.items():
    if value is not None:
      handler.send_header(name.replace('_', '-'), str(value))
  handler.end_headers()
  handler.wfile.write(body)


def answering(*args, **kwargs):
  return lambda handler: send(handler, *args, **kwargs)


def truncated(handler):
  send(handler, BODY[:-1], Content_Length=len(BODY))
  handler.close_connection = True


def stalled_body(handler):
  send(handler, BODY[:1000], Content_Length=len(BODY))
  time.sleep(5)


def stalled_head(handler):
  time.sleep(5)
  send(handler)


def chunked(handler, end=b'0\r\n\r\n'):
  send(handler, b'', Content_Length=None, Transfer_Encoding='chunked')
  for start in range(0, len(BODY), 100_000):
    piece = BODY[start : start + 100_000]
    handler.wfile.write(b'%x\r\n%s\r\n' % (len(piece), piece))
  handler.wfile.write(end)
  handler.close_connection = True


def unknown_length(handler, body=BODY):
  send(handler, body, Content_Length=None, Connection='close')


def endless(handler):
  send(handler, b'', Content_Length=None, Connection='close')
  for _ in range(1000):
    handler.wfile.write(b'a' * 100_000)


def onward(handler):
  """Redirects to ever new addresses."""
  send(handler, b'', 302, Location=handler.path + 'x')


def hung_up(handler):
  handler.connection.shutdown(socket.SHUT_RDWR)


FAULTS = {
  'not found': (answering(b'no', 404), 'HTTP 404 Not Found'),
  'gone': (answering(b'no', 410), 'HTTP 410 Gone'),
  'server error': (answering(b'no', 500), 'HTTP 500 Internal Server Error'),
  'unavailable': (answering(b'no', 503), 'HTTP 503 Service Unavailable'),
  'escapes': (answering(b'no', 404, '\x1b[31m'), r'HTTP 404 \?\[31m'),
  'truncated': (truncated, 'cut short, 999999 of 1000000 bytes'),
  'truncated chunks': (functools.partial(chunked, end=b''), 'cut short'),
  'truncated, length unknown': (
    functools.partial(unknown_length, body=BODY[:-1]),
    'SHA-256 starts with [0-9a-f]{12}, not cdc76e5c9914',
  ),
  # `printf b | sha256sum`
  'wrong bytes': (
    answering(b'b'),
    'SHA-256 starts with 3e23e8160039, not cdc76e5c9914',
  ),
  'empty': (
    answering(b''),
    'SHA-256 starts with e3b0c44298fc, not cdc76e5c9914',
  ),
  'hung up': (hung_up, 'closed connection without response'),
  'loop': (answering(b'', 302, Location='/set.arff'), 'HTTP 302 .*loop. The'),
  'onward': (onward, 'HTTP 302 .*loop'),
  'to a file': (
    answering(b'', 302, Location='file:///etc/passwd'),
    "HTTP 302 .*'file:///etc/passwd' is not allowed",
  ),
  'to ftp': (answering(b'', 302, Location='ftp://127.0.0.1/'), 'ftp'),
  'to nonsense': (answering(b'', 302, Location='http://[::1'), 'IPv6'),
  'to nowhere': (answering(b'', 302), 'HTTP 302'),
}


def refused(url, path, timeout=TIMEOUT, **kwargs) -> str:
  """The error of a download, which leaves every file as it was."""
  root = path.parent.parent

  def files():
    return {p: p.read_bytes() for p in root.rglob('*') if p.is_file()}

  before = files()
  with pytest.raises(InputError) as raised:
    download.fetch(url, path, DIGEST, timeout=timeout, **kwargs)
  assert files() == before
  message = str(raised.value)
  assert message.isprintable()
  assert url in message
  assert str(path) in message
  return message


@pytest.fixture(params=['new', 'there'])
def path(request, tmp_path):
  """Where a download goes: in no folder yet, or over an older file."""
  path = tmp_path / 'mulan' / 'set.arff'
  if request.param == 'there':
    path.parent.mkdir()
    path.write_bytes(b'older')
  return path


@pytest.mark.parametrize(
  'answer', [answering(), chunked, unknown_length], ids=lambda _: ''
)
def test_a_good_file_arrives_alone_and_readable(answer, path):
  with serving(answer) as url:
    download.fetch(url, path, DIGEST, timeout=TIMEOUT)
  assert path.read_bytes() == BODY
  assert list(path.parent.iterdir()) == [path]
  other = path.with_name('other')
  other.touch()
  assert path.stat().st_mode == other.stat().st_mode


@pytest.mark.parametrize('fault', FAULTS)
def test_a_fault_is_one_line_and_leaves_nothing(fault, path):
  answer, pattern = FAULTS[fault]
  with serving(answer) as url:
    assert re.search(pattern, refused(url, path))


@pytest.mark.parametrize('answer', [stalled_head, stalled_body])
def test_a_stall_is_given_up(answer, path):
  with serving(answer) as url:
    assert 'nothing came for 0.1 s' in refused(url, path, timeout=0.1)


def test_a_body_of_exactly_the_limit_is_no_larger_than_it(path):
  with serving(answering()) as url:
    message = refused(url, path, max_bytes=len(BODY) - 1)
    assert 'more than the 999999 bytes allowed' in message
    download.fetch(url, path, DIGEST, timeout=TIMEOUT, max_bytes=len(BODY))
  assert path.read_bytes() == BODY


def test_an_endless_body_is_cut_off(path):
  seen = []
  with serving(endless) as url:
    refused(url, path, max_bytes=200_000, report=lambda *a: seen.append(a))
  assert max(size for size, _ in seen) <= 200_000


def test_a_claimed_length_above_the_limit_is_refused_before_it_is_read(path):
  seen = []
  claim = answering(Content_Length=10**12)
  with serving(claim) as url:
    message = refused(url, path, report=lambda *a: seen.append(a))
  assert 'more than' in message
  assert not seen


def test_a_redirect_is_followed(path):
  def answer(handler):
    if handler.path == '/set.arff':
      send(handler, b'', 302, Location='/moved')
    else:
      send(handler)

  with serving(answer) as url:
    download.fetch(url, path, DIGEST, timeout=TIMEOUT)
  assert path.read_bytes() == BODY


def test_a_failure_before_the_first_byte_makes_no_folder(tmp_path):
  path = tmp_path / 'mulan' / 'set.arff'
  with serving(answering(b'no', 404)) as url:
    refused(url, path)
  assert not path.parent.exists()


def test_a_file_is_no_address_though_its_bytes_are_right(path, tmp_path):
  good = tmp_path / 'good'
  good.write_bytes(BODY)
  assert 'unknown url type' in refused(good.as_uri(), path)


@pytest.mark.parametrize(
  'url',
  [
    'ftp://127.0.0.1/a',
    'data:,a',
    '/etc/passwd',
    '',
    'http://',
    'http://[::1',
    'http://127.0.0.1:x/',
    'http://127.0.0.1/a b',
    'http://127.0.0.1/é',
  ],
)
def test_what_is_no_http_address_is_refused(url, path):
  refused(url, path)


def test_a_connection_refused(path):
  with socket.socket() as listener:
    listener.bind(('127.0.0.1', 0))
    port = listener.getsockname()[1]
    assert 'Connection refused' in refused(f'http://127.0.0.1:{port}/', path)


def test_a_host_without_address(path, monkeypatch):
  def unknown(*_, **__):
    raise socket.gaierror(socket.EAI_NONAME, 'Name or service not known')

  monkeypatch.setattr(socket, 'getaddrinfo', unknown)
  message = refused('http://no.example/set.arff', path)
  assert ': Name or service not known:' in message


def test_a_connection_reset(path):
  def reset(handler):
    send(handler, BODY[:1000], Content_Length=len(BODY))
    linger = b'\1\0\0\0\0\0\0\0'
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.connection.close()

  with serving(reset) as url:
    refused(url, path)


def test_an_interrupt_leaves_nothing(path):
  before = path.exists() and path.read_bytes()

  def interrupt(size, _):
    if size > 500_000:
      raise KeyboardInterrupt

  with serving(answering()) as url, pytest.raises(KeyboardInterrupt):
    download.fetch(url, path, DIGEST, timeout=TIMEOUT, report=interrupt)
  assert (path.exists() and path.read_bytes()) == before
  assert set(path.parent.iterdir()) <= {path}


def test_a_full_disk_leaves_nothing(path):
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  with serving(answering()) as url:
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, limits[1]))
    try:
      assert 'File too large' in refused(url, path)
    finally:
      resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_folder_that_cannot_be_made(tmp_path):
  (tmp_path / 'mulan').write_text('a file')
  with serving(answering()) as url:
    message = refused(url, tmp_path / 'mulan' / 'yeast' / 'set.arff')
  assert 'Not a directory' in message


def test_a_folder_that_has_the_name_of_the_file(tmp_path):
  path = tmp_path / 'mulan' / 'set.arff'
  path.mkdir(parents=True)
  with serving(answering()) as url:
    assert 'Is a directory' in refused(url, path)


@pytest.fixture(scope='module')
def certificate(tmp_path_factory):
  if not shutil.which('openssl'):
    pytest.skip('no openssl to make a certificate with')
  folder = tmp_path_factory.mktemp('tls')
  options = '-x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1'
  subprocess.run(
    ['openssl', 'req', *options.split()]
    + ['-addext', 'subjectAltName=IP:127.0.0.1']
    + ['-keyout', folder / 'key.pem', '-out', folder / 'cert.pem'],
    check=True,
    capture_output=True,
  )
  tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
  tls.load_cert_chain(folder / 'cert.pem', folder / 'key.pem')
  return tls, folder / 'cert.pem'


def test_a_certificate_that_nobody_vouches_for_is_refused(certificate, path):
  with serving(answering(), certificate[0]) as url:
    assert 'certificate verify failed' in refused(url, path)


def test_a_redirect_may_leave_http_but_not_https(
  certificate, path, monkeypatch
):
  tls, trusted = certificate
  monkeypatch.setenv('SSL_CERT_FILE', str(trusted))
  with serving(answering(), tls) as secure, serving(answering()) as open_to_all:
    with serving(answering(b'', 302, Location=open_to_all), tls) as url:
      assert f'redirected to {open_to_all}' in refused(url, path)
    with serving(answering(b'', 302, Location=secure)) as url:
      download.fetch(url, path, DIGEST, timeout=TIMEOUT)
  assert path.read_bytes() == BODY


@settings(deadline=None, derandomize=True, max_examples=100)
@given(
  st.tuples(
    st.sampled_from([b'', b'HTTP/1.1 200 OK\r\n', b'HTTP/1.1 302 Found\r\n']),
    st.lists(
      st.sampled_from(
        [
          *(b'Content-Length: 5\r\n', b'Content-Length: -1\r\n'),
          *(b'Transfer-Encoding: chunked\r\n', b'Location: //a:b:c/\r\n'),
          *(b'Location: \xff\0\r\n', b'\r\n', b'5\r\nhello\r\n', b'-1\r\n'),
        ]
      )
      | st.binary(max_size=20),
      max_size=5,
    ).map(b''.join),
  ).map(b''.join)
)
def test_any_bytes_for_an_answer_are_refused_in_one_line(answer):
  def write(handler):
    handler.wfile.write(answer)
    handler.close_connection = True

  with serving(write) as url, tempfile.TemporaryDirectory() as folder:
    refused(url, pathlib.Path(folder, 'mulan', 'set.arff'))


def test_progress_counts_to_the_total_where_it_is_known(tmp_path):
  def reports(answer):
    seen = []
    report = lambda *args: seen.append(args)  # noqa: E731
    with serving(answer) as url:
      download.fetch(
        url, tmp_path / 'a', DIGEST, timeout=TIMEOUT, report=report
      )
    sizes = [size for size, _ in seen]
    assert len(sizes) > 10
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == len(BODY)
    return {total for _, total in seen}

  assert reports(answering()) == {len(BODY)}
  assert reports(unknown_length) == {None}


class Terminal(io.StringIO):
  def isatty(self):
    return True


@pytest.mark.parametrize('total, part', [(4_000_000, ' 75%'), (None, '  0%')])
def test_progress_is_a_bar_on_a_terminal(total, part, monkeypatch):
  monkeypatch.setenv('TERM', 'xterm')
  monkeypatch.setenv('COLUMNS', '120')
  stream = Terminal()
  with download.progress_bar('mulan/yeast yeast.xml', stream) as report:
    for size in (1_000_000, 3_000_000):
      report(size, total)
  for text in ('mulan/yeast yeast.xml', part, '3.0 MB', '━'):
    assert text in stream.getvalue()


@pytest.mark.parametrize('total', [4_000_000, None])
def test_progress_is_plain_lines_elsewhere(total):
  stream = io.StringIO()
  with download.progress_bar('mulan/yeast yeast.xml', stream) as report:
    report(1_000_000, total)
  assert stream.getvalue().startswith('[  0%] mulan/yeast yeast.xml: starts')
  assert '\x1b' not in stream.getvalue()


def test_progress_of_nothing_is_silent():
  stream = io.StringIO()
  with download.progress_bar('mulan/yeast yeast.xml', stream):
    pass
  assert not stream.getvalue()


def test_a_checksum_is_that_of_the_standard(tmp_path):
  file = tmp_path / 'a'
  file.write_bytes(BODY)
  assert download.sha256_of(file) == DIGEST


def test_verify_names_both_checksums(tmp_path):
  file = tmp_path / 'a'
  file.write_bytes(BODY)
  download.verify(file, DIGEST)
  file.write_bytes(b'b')
  pattern = (
    r'/a: its SHA-256 starts with 3e23e8160039, not cdc76e5c9914: delete'
  )
  with pytest.raises(InputError, match=pattern):
    download.verify(file, DIGEST)
  with pytest.raises(InputError, match='/a/b: not readable .Not a directory'):
    download.verify(file / 'b', DIGEST)


def test_the_cache_is_where_the_user_wants_it(monkeypatch):
  monkeypatch.setenv('HOME', '/home/me')
  monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
  monkeypatch.delenv('MLC_CACHE', raising=False)
  assert str(download.cache_folder()) == '/home/me/.cache/mlc'
  monkeypatch.setenv('XDG_CACHE_HOME', '/big')
  assert str(download.cache_folder()) == '/big/mlc'
  monkeypatch.setenv('MLC_CACHE', '/own')
  assert str(download.cache_folder()) == '/own'
  monkeypatch.setenv('MLC_CACHE', '')
  assert str(download.cache_folder()) == '/big/mlc'


def entry(name, data=b'', **fields):
  info = tarfile.TarInfo(name)
  info.size = len(data)
  for field, value in fields.items():
    setattr(info, field, value)
  return info, data


def tar(*entries) -> bytes:
  stream = io.BytesIO()
  with tarfile.open(fileobj=stream, mode='w') as file:
    for info, data in entries:
      file.addfile(info, io.BytesIO(data))
  return stream.getvalue()


def archive(folder, content: bytes) -> pathlib.Path:
  file = folder / 'set.tar.gz'
  file.write_bytes(gzip.compress(content))
  return file


LONG = 'folder/' * 40 + 'c.sgm'
GOOD = (
  entry('.', type=tarfile.DIRTYPE),
  entry('./b.sgm', b'second' * 500),
  entry('read.me', b'text'),
  entry('sub', type=tarfile.DIRTYPE),
  entry('sub/a.sgm', b''),
  entry(LONG, b'third'),
)


def test_members_are_those_of_the_suffix_in_their_order(tmp_path):
  file = archive(tmp_path, tar(*GOOD))
  assert download.members(file, '.sgm') == [
    ('b.sgm', b'second' * 500),
    ('sub/a.sgm', b''),
    (LONG, b'third'),
  ]
  assert list(tmp_path.iterdir()) == [file]


def test_reuters_has_all_its_documents(mlc_data):
  path = mlc_data / 'text' / 'reuters21578' / 'reuters21578.tar.gz'
  found = dict(download.members(path, '.sgm'))
  assert sorted(found) == [f'reut2-{i:03d}.sgm' for i in range(22)]
  assert sum(data.count(b'<REUTERS ') for data in found.values()) == 21578


def sparse(size):
  headers = {'GNU.sparse.size': str(size), 'GNU.sparse.map': '0,0'}
  return entry('a', pax_headers=headers)


EVIL = {
  'absolute': (entry('/etc/passwd'), 'relative'),
  'parent': (entry('../a'), 'relative'),
  'parent inside': (entry('a/../../b'), 'relative'),
  'parent folder': (entry('..', type=tarfile.DIRTYPE), 'relative'),
  'drive': (entry('C:a'), 'relative'),
  'drive root': (entry('C:\\a'), 'relative'),
  'share': (entry('\\\\host\\share\\a'), 'relative'),
  'backslash parent': (entry('..\\a'), 'relative'),
  'NUL': (entry('a', pax_headers={'path': 'a\0b'}), 'relative'),
  'new line': (entry('a\nb'), 'relative'),
  'escape': (entry('a\x1b[31m'), 'relative'),
  'symlink': (entry('a', type=tarfile.SYMTYPE, linkname='/etc'), 'plain file'),
  'link': (entry('a', type=tarfile.LNKTYPE, linkname='b.sgm'), 'plain file'),
  'device': (entry('a', type=tarfile.CHRTYPE), 'plain file'),
  'disk': (entry('a', type=tarfile.BLKTYPE), 'plain file'),
  'pipe': (entry('a', type=tarfile.FIFOTYPE), 'plain file'),
  'unknown type': (entry('a', type=b'Z'), 'plain file'),
  'sparse': (sparse(100), 'plain file'),
  'twice': (entry('b.sgm', b'other'), 'twice'),
  'twice, by another name': (entry('././b.sgm', b'other'), 'twice'),
  'back to the start': (
    entry('a', pax_headers={'size': str(-512 * 100)}),
    'the size -',
  ),
  'larger than all': (entry('a', pax_headers={'size': '9' * 30}), 'the size 9'),
}


@pytest.mark.parametrize('suffix', ['', '.txt'])
@pytest.mark.parametrize('kind', EVIL)
def test_one_bad_member_refuses_the_archive(kind, suffix, tmp_path):
  evil, pattern = EVIL[kind]
  file = archive(tmp_path, tar(*GOOD, evil))
  with pytest.raises(InputError, match=pattern) as raised:
    download.members(file, suffix)
  assert str(raised.value).isprintable()
  assert str(raised.value).startswith(f'{file}: not readable as .tar.gz')


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
  content = tar(entry('a', bytes(30_000_000)))
  file = archive(tmp_path, content)
  assert file.stat().st_size < 50_000
  tracemalloc.start()
  try:
    with pytest.raises(InputError, match='unpacks to more than 1000000 bytes'):
      download.members(file, '.sgm', max_bytes=1_000_000)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
  finally:
    tracemalloc.stop()


def test_an_archive_of_exactly_the_limit_is_no_larger_than_it(tmp_path):
  content = tar(*GOOD)
  file = archive(tmp_path, content)
  assert download.members(file, '.sgm', max_bytes=len(content))
  with pytest.raises(InputError, match='unpacks to more'):
    download.members(file, '.sgm', max_bytes=len(content) - 1)


def damaged(kind) -> bytes:
  content = tar(*GOOD)
  whole = gzip.compress(content)
  if kind == 'zip':
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as file:
      file.writestr('b.sgm', 'second')
    return stream.getvalue()
  return {
    'empty': b'',
    'text': b'<html>Not found</html>',
    'gzip of text': gzip.compress(b'<html>Not found</html>' * 100),
    'gzip of nothing': gzip.compress(b''),
    'truncated': whole[: len(whole) // 2],
    'truncated in its checksum': whole[:-5],
    'wrong checksum': whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:],
    'cut in a member': gzip.compress(content[: 512 * 4]),
    'cut between members': gzip.compress(content[: 512 * 8]),
    'cut in a header': gzip.compress(content[: 512 * 8 + 100]),
    'nested headers': gzip.compress(entry('a', type=b'L')[0].tobuf() * 2000),
    'second header damaged': gzip.compress(
      content[:512] + b'x' + content[513:]
    ),
  }[kind]


@pytest.mark.parametrize(
  'kind',
  [
    *('empty', 'text', 'zip', 'gzip of text', 'gzip of nothing'),
    *('truncated', 'truncated in its checksum', 'wrong checksum'),
    *('cut in a member', 'cut between members', 'cut in a header'),
    *('second header damaged', 'nested headers'),
  ],
)
def test_a_damaged_archive_is_refused(kind, tmp_path):
  file = tmp_path / 'set.tar.gz'
  file.write_bytes(damaged(kind))
  with pytest.raises(InputError, match='not readable as .tar.gz') as raised:
    download.members(file, '.sgm')
  assert str(raised.value).isprintable()


@pytest.mark.parametrize('name', ['absent.tar.gz', '.'])
def test_an_archive_that_is_no_file_is_refused(name, tmp_path):
  with pytest.raises(InputError, match='not readable as .tar.gz'):
    download.members(tmp_path / name, '.sgm')


def members_or_refusal(raw: bytes):
  with tempfile.TemporaryDirectory() as folder:
    file = pathlib.Path(folder, 'set.tar.gz')
    file.write_bytes(raw)
    try:
      found = download.members(file, '', max_bytes=1 << 20)
    except InputError as error:
      assert str(error).isprintable()
      return
    assert os.listdir(folder) == [file.name]
  names = [name for name, _ in found]
  assert len(set(names)) == len(names)
  for name, data in found:
    assert isinstance(data, bytes)
    assert not os.path.isabs(name)
    assert os.path.normpath(name) == name
    assert '..' not in name.split('/')


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.binary(max_size=2000), st.booleans())
def test_any_bytes_are_members_or_an_input_error(raw, packed):
  members_or_refusal(gzip.compress(raw) if packed else raw)


HEADERS = tar(
  entry('a.sgm', b'x' * 600),
  entry('b.sgm', b'x', pax_headers={'size': '0000000001', 'comment': 'some'}),
  entry('f', type=tarfile.GNUTYPE_SPARSE),
  entry(LONG, b'y'),
)


@settings(deadline=None, derandomize=True, max_examples=500)
@given(
  st.lists(
    st.tuples(
      st.integers(0, len(HEADERS) - 1),
      st.binary(min_size=1, max_size=12)
      | st.sampled_from(
        [b'-', b'\x80\xff', b'\xff' * 12, b'7' * 11, b'L', b'x']
      ),
    ),
    max_size=4,
  )
)
def test_any_headers_are_members_or_an_input_error(edits):
  content = bytearray(HEADERS)
  for start, piece in edits:
    content[start : start + len(piece)] = piece
  # A header's checksum is made right, or nothing else of it would be read.
  for start in range(0, len(content), 512):
    if HEADERS[start + 257 : start + 262] == b'ustar':
      block = content[start : start + 512]
      block[148:156] = b' ' * 8
      content[start + 148 : start + 156] = b'%06o\0 ' % sum(block)
  members_or_refusal(gzip.compress(bytes(content)))
