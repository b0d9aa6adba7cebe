"""ARFF files of Mulan and MEKA, and plain ones: which attributes are labels."""

import pathlib
import re

import numpy as np
from scipy import sparse

from mlc.data.labels import Labels
from mlc.data.readers import arff_syntax, clus, mulan
from mlc.data.readers.relation import Relation
from mlc.data.table import Table
from mlc.errors import InputError


def read(path, labels=None, drop=()) -> Table:
  """Reads an ARFF file, dense or sparse, plain or compressed.

  Labels are told, in this order, by
    1. `labels`;
    2. a `hierarchical` attribute, as CLUS has it (clus.py);
    3. a Mulan XML beside the file: `yeast.xml` for `yeast.arff`,
       `yeast-train.arff` and `yeast-train-sparse.arff`;
    4. MEKA's `-C n` in the name of the relation: the first n attributes, or
       the last for n < 0. Weka's filters write their names behind it; one
       that works on attributes may have moved or removed labels since (Mulan's
       medical), so then `-C` is refused.
  They keep the order of the attributes. Nominal features over 0 and 1 are
  numbers, other nominal ones categorical; numbers of sparse rows are sparse.

  Args:
    path: of the file.
    labels: 'first:6', 'last:14', names between commas, a sequence of names, or
      the path of a Mulan XML.
    drop: attributes to leave out: names between commas, or a sequence.

  Raises:
    InputError: nothing says what the labels are, a label or a name to drop that
      is no attribute, an attribute name twice, a label that is not 0, 1 or a
      probability, a feature that is no number and not nominal, and what
      `arff_syntax.parse`, `mulan.read` and `clus.read` refuse.
  """
  data = arff_syntax.parse(path)
  if labels is None and any(a.kind == 'hierarchical' for a in data.attributes):
    return clus.table(data, drop)
  line_of = {}
  for name, _, _, line in data.attributes:
    if name in line_of:
      raise InputError(
        f'{data.path}:{line}: attribute {name!r} stands in line'
        f' {line_of[name]} too: rename one'
      )
    line_of[name] = line
  columns, edges = _columns(data, labels)
  for column in columns:
    attribute = data.attributes[column]
    if not attribute.is_number:
      raise InputError(
        f'{data.path}:{attribute.line}: label {attribute.name!r} is'
        f' {attribute.kind}: write it as a number or {{0,1}}'
      )
  names = [data.attributes[column].name for column in columns]
  y_NxL = sparse.csr_array(data.numbers(columns))
  bad = np.flatnonzero((y_NxL.data < 0) | (y_NxL.data > 1))
  if bad.size:
    row = np.searchsorted(y_NxL.indptr, bad[0], 'right') - 1
    raise InputError(
      f'{data.path}:{data.lines_N[row]}: label'
      f' {names[y_NxL.indices[bad[0]]]!r} is {y_NxL.data[bad[0]]:.4g}, one of'
      f' {bad.size} such cells: give 0, 1 or a probability, ? where missing'
    )
  return Table(
    data.features(columns, drop),
    Labels.of(y_NxL, names, edges=edges, where=data.path),
  )


def _columns(data: Relation, labels):
  """(columns of the labels, edges between their positions)."""
  if labels is None:
    labels = _xml_beside(pathlib.Path(data.path)) or _meka(data)
  if isinstance(labels, pathlib.PurePath) or (
    isinstance(labels, str) and labels.lower().endswith('.xml')
  ):
    return _mulan(data, labels)
  if isinstance(labels, str) and (
    match := re.fullmatch(r'(first|last):(\d{1,9})', labels.strip())
  ):
    count, total = int(match[2]), len(data.attributes)
    if not 0 < count <= total:
      raise InputError(
        f'{data.path}: labels={labels} of {total} attributes: give 1 to {total}'
      )
    start = 0 if match[1] == 'first' else total - count
    return list(range(start, start + count)), ()
  return sorted(data.find(labels, 'label')), ()


def _mulan(data: Relation, xml):
  names, edges = mulan.read(xml)
  known = {attribute.name for attribute in data.attributes}
  # Mulan's delicious escapes the names in its XML, as in its ARFF.
  name_of = {n: n if n in known else arff_syntax.unescape(n) for n in names}
  absent = [name for name in name_of.values() if name not in known]
  if absent:
    raise InputError(
      f'{xml}: label {absent[0]!r} is no attribute of {data.path}: take the two'
      ' files from the same data set'
    )
  columns = sorted(data.find(name_of.values(), 'label'))
  label_of = {data.attributes[c].name: i for i, c in enumerate(columns)}
  return columns, [[label_of[name_of[n]] for n in edge] for edge in edges]


def _xml_beside(path: pathlib.Path) -> pathlib.Path | None:
  stem = re.sub(r'\.arff(\.\w+)?$', '', path.name, flags=re.IGNORECASE)
  end = r'[-_](?:train|test)(?:-sparse)?$'
  whole = re.sub(end, '', stem, flags=re.IGNORECASE)
  for name in stem, whole:
    if (xml := path.with_name(f'{name}.xml')).is_file():
      return xml
  return None


def _meka(data: Relation) -> str:
  """`-C n` as 'first:n' or 'last:n'."""
  match = re.search(r'(?:^|[\s:])-C\s+(-?)(\d{1,9})', data.name)
  if not match:
    raise InputError(
      f'{data.path}: no XML beside it and no -C in its relation name says which'
      ' attributes are labels: give labels=first:6, last:14 or their names'
    )
  if re.search(r'filters\.\w+\.attribute\.', data.name[match.end() :]):
    raise InputError(
      f'{data.path}: filters after -C {match[1]}{match[2]} in its relation name'
      ' may have moved the labels: give labels=first:6, last:14 or their names'
    )
  return f'{"last" if match[1] else "first"}:{match[2]}'
