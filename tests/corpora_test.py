"""GoEmotions, Reuters-21578 and CMC 2007: typed files, and the real ones."""

import collections
import csv
from html.parser import HTMLParser
import io
import itertools
import re
import tarfile

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pandas as pd
import pytest
from reading import (
  label_sets,
  mutated,
  no_hang,
  refused,
  table_or_refusal,
  write,
  y_of,
)

from mlc.data.readers import cmc, goemotions, reuters

pytestmark = pytest.mark.filterwarnings('error')

# GoEmotions -----------------------------------------------------------------

EMOTIONS = {
  'labels.txt': 'joy\nfear\nneutral',
  'train.tsv': 'so "good\t0,2\te1\nwell\t2\te2\n',
  'dev.tsv': 'oh, no\t1\te3\n',
  'test.tsv': 'well\t2,0\te4\n',
}


def _emotions(folder, **changes):
  for name, content in EMOTIONS.items():
    write(folder, changes.get(name.partition('.')[0], content), name)
  return folder


def test_a_typed_goemotions_folder_is_read(tmp_path):
  table = goemotions.read(_emotions(tmp_path))
  assert table.features.text == ('so "good', 'well', 'oh, no', 'well')
  assert table.labels.names == ('joy', 'fear', 'neutral')
  assert y_of(table) == [[1, 0, 1], [0, 0, 1], [0, 1, 0], [1, 0, 1]]
  rows = {split: where.tolist() for split, where in table.splits.items()}
  assert rows == {'train': [0, 1], 'valid': [2], 'test': [3]}


@pytest.mark.parametrize(
  'changes, message',
  [
    ({'train': 'a\t0\n'}, 'train.tsv:1: 2 values for 3 columns'),
    ({'train': 'a\t0\tx\n\n'}, 'train.tsv:2: 1 values for 3 columns'),
    ({'dev': 'a\t0\tx\nb\t3\tx\n'}, "dev.tsv:2: label ids '3'"),
    ({'dev': 'a\t0\tx\nb\t-1\tx\n'}, "dev.tsv:2: label ids '-1'"),
    ({'dev': 'a\t\tx\n'}, "dev.tsv:1: label ids ''"),
    ({'dev': 'a\t1,1\tx\n'}, "dev.tsv:1: label ids '1,1'"),
    ({'dev': 'a\tjoy\tx\n'}, "dev.tsv:1: label ids 'joy'"),
    ({'test': ''}, 'test.tsv: an empty file'),
    ({'test': b'\xe9\t0\tx\n'}, 'test.tsv:1:1: not utf-8'),
    ({'labels': 'joy\nfear\njoy\n'}, "name 'joy' stands twice"),
  ],
)
def test_bad_goemotions_is_refused(tmp_path, changes, message):
  refused(message, goemotions.read, _emotions(tmp_path, **changes))


def test_goemotions_without_a_file_is_refused(tmp_path):
  (_emotions(tmp_path) / 'dev.tsv').unlink()
  refused('dev.tsv: no such file', goemotions.read, tmp_path)


def test_goemotions_has_its_published_numbers(mlc_data):
  folder = mlc_data / 'text' / 'goemotions'
  table = goemotions.read(folder)
  y, x = table.labels.y_NxL, table.features.text
  sizes = [len(table.splits[split]) for split in ('train', 'valid', 'test')]
  assert sizes == [43410, 5426, 5427] and y.shape == (sum(sizes), 28)
  assert y.sum() / len(x) == pytest.approx(1.176, abs=5e-4)
  assert y.sum() / (28 * len(x)) == pytest.approx(0.042, abs=5e-4)
  assert table.labels.names[::27] == ('admiration', 'neutral')
  train, test = ({x[i] for i in table.splits[s]} for s in ('train', 'test'))
  assert len(train & test) == 32
  # pandas, told that quotes are characters, reads the same.
  other = pd.concat(
    pd.read_csv(
      folder / f'{part}.tsv', sep='\t', header=None, quoting=csv.QUOTE_NONE,
      dtype=str, keep_default_na=False,
    )
    for part in ('train', 'dev', 'test')
  )  # fmt: skip
  assert x == tuple(other[0])
  ids = other[1].str.split(',').explode().astype(int)
  assert np.asarray(y.sum(0)).tolist() == np.bincount(ids).tolist()


# Reuters --------------------------------------------------------------------


def _document(split, *topics, body='<BODY>b\n Reuter\n&#3;</BODY>', yes='YES'):
  found = ''.join(f'<D>{topic}</D>' for topic in topics)
  return (
    f'<REUTERS TOPICS="{yes}" LEWISSPLIT="{split}" CGISPLIT="X" OLDID="1">\n'
    f'<TOPICS>{found}</TOPICS><PLACES><D>usa</D></PLACES>\n'
    f'<TEXT TYPE="X">&#2;\n<TITLE>A &lt;B> &amp;lt;\n</TITLE>{body}</TEXT>\n'
    '</REUTERS>\n'
  )


DOCTYPE = '<!DOCTYPE lewis SYSTEM "lewis.dtd">\n'
PARTS = {
  'reut2-000.sgm': DOCTYPE
  + _document('TRAIN', 'wheat', 'only-train', 'corn', 'wheat')
  + _document('TRAIN', 'corn', yes='NO')
  + _document('TRAIN', 'corn', yes='BYPASS')
  + _document('NOT-USED', 'corn')
  + _document('TRAIN', 'only-train')
  + _document('TRAIN')
  + _document('TEST', 'corn', 'only-test', body=''),
  'reut2-001.sgm': DOCTYPE
  + _document('TEST', 'wheat', body='<BODY>\u00fc&#127; &amp; 1&#50;</BODY>')
  + re.sub('</?(TITLE|BODY)>', '', _document('TRAIN', 'corn')),
}  # fmt: skip


def _archive(path, parts):
  with tarfile.open(path, 'w:gz') as tar:
    for name, content in parts.items():
      info = tarfile.TarInfo(f'./{name}')
      data = content.encode('latin-1')
      info.size = len(data)
      tar.addfile(info, io.BytesIO(data))
  return path


def test_typed_reuters_files_are_read_on_the_modapte_split(tmp_path):
  path = _archive(tmp_path / 'a.tar.gz', {**PARTS, 'README.txt': '<REUTERS'})
  for name, content in reversed(PARTS.items()):
    write(tmp_path, content.encode('latin-1'), name)
  for table in reuters.read(path), reuters.read(tmp_path):
    assert table.labels.names == ('corn', 'wheat')
    assert y_of(table) == [[1, 1], [1, 0], [0, 1], [1, 0]]
    assert table.features.text == (
      'A <B> &lt;\nb\n Reuter',
      'A <B> &lt;',
      'A <B> &lt;\n\u00fc & 12',
      'A <B> &lt;\nb\n Reuter',
    )
    assert table.splits['train'].tolist() == [0, 3]
    assert table.splits['test'].tolist() == [1, 2]


GOOD = DOCTYPE + _document('TRAIN', 'corn') + _document('TEST', 'corn')


@pytest.mark.parametrize(
  'content, message',
  [
    (GOOD.replace('</REUTERS>', '', 1), 'a.sgm:2: <REUTERS> lacks'),
    (GOOD.removesuffix('</REUTERS>\n'), 'a.sgm:10: <REUTERS> lacks'),
    (GOOD.replace('LEWISSPLIT="TEST"', ''), 'a.sgm:10: <REUTERS> lacks'),
    (GOOD.replace('TOPICS="YES" ', ''), 'a.sgm:2: <REUTERS> lacks'),
    (GOOD.replace('</TOPICS>', ''), 'a.sgm:2: <REUTERS> lacks'),
    (GOOD.replace('</TEXT>', ''), 'a.sgm:2: <REUTERS> lacks'),
    (GOOD.replace('"TEST"', '"TRAIN"'), ': no topic of both'),
    ('', ': no topic of both'),
  ],
)
def test_bad_reuters_is_refused(tmp_path, content, message):
  write(tmp_path, content, 'a.sgm')
  refused(message, reuters.read, tmp_path)


def test_reuters_without_its_files_is_refused(tmp_path):
  refused('no .sgm file', reuters.read, tmp_path)
  refused('absent', reuters.read, tmp_path / 'absent.tar.gz')
  refused('not readable', reuters.read, write(tmp_path, GOOD, 'a.tar.gz'))
  path = _archive(tmp_path / 'b.tar.gz', {'README.txt': GOOD})
  refused('b.tar.gz: no .sgm file', reuters.read, path)
  path = _archive(tmp_path / 'c.tar.gz', {'../a.sgm': GOOD})
  refused('c.tar.gz', reuters.read, path)
  (tmp_path / 'b.sgm').mkdir()
  refused('b.sgm: not readable', reuters.read, tmp_path)


@pytest.mark.parametrize(
  'piece', ['<REUTERS', '<REUTERS>', 'A', '<D>', '&#', '"']
)
def test_a_hostile_reuters_file_takes_no_longer_than_a_good_one(
  tmp_path, piece
):
  many = piece * (3_000_000 // len(piece))
  for where in '<REUTERS ', '</TOPICS>', '&#2;':
    write(tmp_path, GOOD.replace(where, f'{where}{many} '), 'a.sgm')
    table_or_refusal(reuters.read, tmp_path)


class _Parser(HTMLParser):
  """Python's own parser of markup: (attributes, text of each element)."""

  def __init__(self):
    super().__init__()
    self.documents, self.open = [], []

  def handle_starttag(self, tag, attrs):
    if tag == 'reuters':
      self.documents.append((dict(attrs), collections.defaultdict(list)))
    self.open.append(tag)
    if self.documents:
      self.documents[-1][1][tag].append('')

  def handle_endtag(self, tag):
    self.open.remove(tag)

  def handle_data(self, data):
    if self.documents and self.open:
      parts = self.documents[-1][1]
      if self.open[-1] == 'd':
        parts[f'{self.open[-2]}.d'].append(data)
      else:
        parts[self.open[-1]][-1] += data


def test_reuters_has_its_published_numbers(mlc_data):
  path = mlc_data / 'text' / 'reuters21578' / 'reuters21578.tar.gz'
  table = reuters.read(path)
  train, test = (table.labels.y_NxL[table.splits[s]] for s in ('train', 'test'))
  assert train.shape == (7770, 90) and test.shape == (3019, 90)
  assert train.sum() / 7770 == pytest.approx(1.234, abs=5e-4)
  assert test.sum() / 3019 == pytest.approx(1.240, abs=5e-4)
  assert table.labels.y_NxL.mean() == pytest.approx(0.0137, abs=5e-5)
  assert min(train.sum(0)) > 0 and min(test.sum(0)) > 0
  # R10: rows of the ten topics with the most train documents.
  top = np.argsort(-np.asarray(train.sum(0)))[:10]
  rows = [int((part[:, top].sum(1) > 0).sum()) for part in (train, test)]
  assert rows == [6490, 2545]
  assert table.labels.names[top[0]] == 'earn'
  # The texts and topics of two files as Python's HTML parser has them.
  texts = table.features.text
  assert not re.search('[^ -~\n\u00fc]', ''.join(texts))
  known, sets = set(table.labels.names), label_sets(table)
  for number in '000', '021':
    with tarfile.open(path) as tar:
      data = tar.extractfile(f'./reut2-{number}.sgm').read()
    parser = _Parser()
    parser.feed(data.decode('latin-1'))
    expected = []
    for attributes, parts in parser.documents:
      if attributes['topics'] == 'YES' and attributes['lewissplit'] in (
        'TRAIN', 'TEST',
      ):  # fmt: skip
        topics = known & set(parts['topics.d'])
        found = parts['title'] + parts['body'] or parts['text']
        if topics:
          expected.append(('\n'.join(t.strip() for t in found), topics))
    assert len(expected) > 300
    n = len(expected)
    rows = slice(n) if number == '000' else slice(-n, None)
    assert list(zip(texts[rows], sets[rows], strict=True)) == expected


# CMC 2007 -------------------------------------------------------------------

CMC = """<?xml version='1.0' standalone='yes'?>
<docs>
  <doc id="1" type="RADIOLOGY_REPORT">
    <codes>
      <code origin="CMC_MAJORITY" type="ICD-9-CM">786.2</code>
      <code origin="COMPANY1" type="ICD-9-CM">204.0</code>
      <code origin="CMC_MAJORITY" type="ICD-9-CM">486</code>
    </codes>
    <texts>
      <text origin="X" type="IMPRESSION">1. Normal. </text>
      <text origin="X" type="CLINICAL_HISTORY">Cough &amp; fever.</text>
    </texts>
  </doc>
  <doc id="2">
    <codes><code origin="COMPANY2">V42.0</code></codes>
    <texts><text type="CLINICAL_HISTORY">None.</text></texts>
  </doc>
</docs>
"""


def test_a_typed_cmc_file_is_read(tmp_path):
  table = cmc.read(write(tmp_path, CMC))
  assert table.features.text == ('Cough & fever.\n1. Normal.', 'None.')
  assert table.labels.names == ('486', '786.2')
  assert y_of(table) == [[1, 1], [0, 0]] and table.splits == {}


# A bomb of a billion laughs (expat itself stops it only at a hundred-fold), and
# a file of this machine.
BOMB = '<!DOCTYPE docs [<!ENTITY a "lol">' + ''.join(
  f'<!ENTITY {b} "{f"&{a};" * 10}">'
  for a, b in itertools.pairwise('abcdefghij')
)
LOCAL = '<!DOCTYPE docs [<!ENTITY a SYSTEM "file:///etc/passwd">'


@pytest.mark.parametrize(
  'content, message',
  [
    ('', ':1:1: not XML'),
    (CMC[: len(CMC) // 2], ': not XML'),
    (CMC.replace('</codes>', '</code>', 1), ':8:7: not XML'),
    (CMC.replace('&amp;', '&'), ':11:'),
    (CMC.replace('<docs>', BOMB + ']><docs>&j;'), ': refused'),
    (CMC.replace('<docs>', LOCAL + ']><docs>&a;'), ': refused'),
    (CMC.replace("standalone='yes'", "encoding='none'"), ': '),
    (
      CMC.replace('CMC_MAJORITY', 'CMC'),
      ': no reports with CMC_MAJORITY codes',
    ),
    ('<docs></docs>', ': no reports with CMC_MAJORITY codes'),
    (CMC.replace('486', '786.2'), ': report 1 has no text, or a code'),
    (CMC.replace('486', ' '), ': report 1 has no text, or a code'),
    (CMC.replace('None.', ''), ': report 2 has no text, or a code'),
    (CMC.encode('utf-16')[:-3], ': '),
  ],
)
def test_bad_cmc_is_refused(tmp_path, content, message):
  path = write(tmp_path, content)
  with no_hang():
    refused(message, cmc.read, path)
  if len(message) > 2:
    refused(str(path), cmc.read, path)


def test_cmc_without_a_file_is_refused(tmp_path):
  refused('absent: no such file', cmc.read, tmp_path / 'absent')


SWAPPED = [
  ('079.99', '759.89'), ('753.0', '786.2'), ('511.9', '596.8'),
  ('785.6', 'V67.09'), ('780.6', '486'), ('V13.02', '493.90'),
  ('788.30', '593.89'), ('758.6', '741.90'), ('599.7', '279.12'),
]  # fmt: skip


def test_cmc_is_the_raw_text_of_mulans_medical(mlc_data):
  table = cmc.read(mlc_data / 'text' / 'cmc2007' / '2007ChallengeTrainData.xml')
  y = table.labels.y_NxL
  assert y.shape == (978, 45) and len(table.features.text) == 978
  assert y.sum() / 978 == pytest.approx(1.2454, abs=5e-5)
  assert y.mean() == pytest.approx(0.0277, abs=5e-5)
  found = collections.Counter(map(frozenset, label_sets(table)))
  assert len(found) == 94
  # Mulan's labels are its last 45 attributes, Class-0-593_70 the first; 18 of
  # their names are exchanged (786.2 is cough, but there on in 1 row).
  other = dict(SWAPPED) | {b: a for a, b in SWAPPED}
  medical = collections.Counter()
  for part in 'train', 'test':
    content = (mlc_data / f'mulan/medical/medical-{part}.arff').read_text()
    names = re.findall(r'@attribute (\S+)', content)
    codes = [n.partition('-')[2].partition('-')[2] for n in names]
    codes = [
      other.get(code, code) for code in (c.replace('_', '.') for c in codes)
    ]
    for row in re.findall('^{(.*)}', content, re.MULTILINE):
      on = [int(cell.split()[0]) for cell in row.split(',')]
      medical[frozenset(codes[i] for i in on if i >= 1449)] += 1
  assert found == medical


TABBED = [
  b'\n', b'\r', b'\t', b'"', b',', b',2', b'\t1\tx\n', b'\xff', b'\0', b' ',
  b'2', b'-1', b'joy', b'\xef\xbb\xbf', b'\xe2\x80\xa8', b'9' * 5000,
]  # fmt: skip
MARKUP = [
  b'<REUTERS', b'</REUTERS>', b'<', b'>', b'"', b"'", b'&#999;', b'&#0;',
  b'<D>', b'</D>', b'<TITLE>', b'TEST', b'&', b'&a;', b'\xff', b'\0',
  b'&#x110000;', b'<!DOCTYPE x [<!ENTITY a "b">]>', b"encoding='utf-7'",
  b"encoding='big5'", b'<doc>', b'</doc>',
]  # fmt: skip


def _encoded(contents):
  return [content.encode() for content in contents]


@settings(deadline=None, derandomize=True, max_examples=200)
@given(
  st.one_of(st.binary(), mutated(_encoded(EMOTIONS.values()), TABBED)),
  st.sampled_from([name.partition('.')[0] for name in EMOTIONS]),
)
def test_any_goemotions_is_read_or_refused(tmp_path_factory, data, part):
  folder = tmp_path_factory.getbasetemp()
  table_or_refusal(goemotions.read, _emotions(folder, **{part: data}))


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.one_of(st.binary(), mutated(_encoded([GOOD]), MARKUP)))
def test_any_reuters_is_read_or_refused(tmp_path_factory, data):
  folder = tmp_path_factory.getbasetemp() / 'reuters'
  folder.mkdir(exist_ok=True)
  write(folder, data, 'a.sgm')
  table_or_refusal(reuters.read, folder)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.one_of(st.binary(), mutated(_encoded([CMC]), MARKUP)))
def test_any_cmc_is_read_or_refused(tmp_path_factory, data):
  path = write(tmp_path_factory.getbasetemp(), data, 'any.xml')
  table_or_refusal(cmc.read, path)
