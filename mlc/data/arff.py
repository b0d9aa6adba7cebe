"""Mulan's format: one dense ARFF table, and an XML list of its labels."""

import pathlib
import re
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
from scipy.io import arff

from mlc.errors import InputError


class Table(NamedTuple):
  """Features x (N, D), labels y (N, L; NaN where missing) and their names."""

  x: np.ndarray
  y: np.ndarray
  feature_names: tuple[str, ...]
  label_names: tuple[str, ...]


def read(arff_path, xml_path) -> Table:
  """Reads a dense ARFF file whose labels are named in an XML file.

  Labels keep the order of the ARFF columns, not that of the XML: Mulan's XML
  may nest them, and then lists them in the order of a tree. A nominal feature
  over {0, 1} is read as a number, any other as one column per value, named
  `attribute=value` (one-hot).

  Raises:
    InputError: a missing file, sparse ARFF, a label that is not a column or
      has values besides 0 and 1, a missing (?) feature value.
  """
  labels = read_labels(xml_path)
  rows, meta = _load(pathlib.Path(arff_path))
  names = {column: _unescape(column) for column in meta.names()}
  absent = labels - set(names.values())
  if absent:
    raise InputError(
      f'{xml_path}: label {min(absent)!r} is no attribute of {arff_path}: take'
      ' the two files from the same data set'
    )
  features, targets = {}, {}
  for column, name in names.items():
    kind, values = meta[column]
    where = f'{arff_path}: {"label" if name in labels else "feature"} {name!r}'
    if kind not in ('numeric', 'nominal'):
      raise InputError(f'{where} is of type {kind}: make it a number')
    if name in labels:
      if values and not set(values) <= {'0', '1'}:
        raise InputError(f'{where} has values {values}: write them as 0 and 1')
      targets[name] = _floats(rows[column])
    elif values and not set(values) <= {'0', '1'}:
      cells = np.char.decode(rows[column])
      _refuse_missing(cells == '?', where)
      features |= {f'{name}={value}': cells == value for value in values}
    else:
      features[name] = _floats(rows[column])
      _refuse_missing(np.isnan(features[name]), where)
  if not features:
    raise InputError(f'{arff_path}: every attribute is a label: add features')
  return Table(
    np.stack(list(features.values()), 1).astype(np.float32),
    np.stack(list(targets.values()), 1).astype(np.float32),
    tuple(features),
    tuple(targets),
  )


def read_labels(xml_path) -> set[str]:
  """The names of all <label> elements, flat or nested."""
  try:
    root = ElementTree.parse(xml_path).getroot()
  except FileNotFoundError:
    raise InputError(f'{xml_path}: no such file: give the label list') from None
  except ElementTree.ParseError as error:
    raise InputError(f'{xml_path}: not XML ({error}): mend the file') from None
  # Tags carry Mulan's namespace, {http://...}label, in most files but not all.
  labels = {
    _unescape(element.get('name', ''))
    for element in root.iter()
    if element.tag.rpartition('}')[2] == 'label'
  }
  if not labels:
    raise InputError(f'{xml_path}: no <label name=...> element: add the labels')
  return labels


def _load(path: pathlib.Path):
  try:
    if _is_sparse(path):
      raise InputError(
        f'{path}: sparse ARFF is not read yet: write the rows out in full'
      )
    return arff.loadarff(path)
  except FileNotFoundError:
    raise InputError(f'{path}: no such file: give an ARFF file') from None
  except InputError:
    raise
  # scipy raises five kinds for a bad file, among them IndexError.
  except Exception as error:
    reason = ' '.join(str(error).split()) or type(error).__name__
    raise InputError(
      f'{path}: not readable as dense ARFF ({reason}): mend the file'
    ) from error


def _is_sparse(path: pathlib.Path) -> bool:
  """Whether the first row of data is written {column value, ...}."""
  in_data = False
  with path.open(encoding='latin-1') as lines:
    for line in map(str.strip, lines):
      if in_data and line and not line.startswith('%'):
        return line.startswith('{')
      in_data = in_data or line.lower().startswith('@data')
  return False


def _unescape(name: str) -> str:
  r"""ARFF writes `Swainson\'s Thrush`, sometimes the XML does too."""
  return re.sub(r'\\(.)', r'\1', name)


def _floats(column: np.ndarray) -> np.ndarray:
  """Numbers, or nominal 0 and 1 as bytes; NaN where the file has a `?`."""
  if column.dtype.kind == 'S':
    column = np.where(column == b'?', b'nan', column)
  return column.astype(float)


def _refuse_missing(missing_N: np.ndarray, where: str):
  if missing_N.any():
    raise InputError(
      f'{where} is missing (?) in data row {missing_N.argmax()}, one of'
      f' {missing_N.sum()}: impute it or drop the column'
    )
