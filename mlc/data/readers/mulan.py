"""Mulan's XML: the names of labels, flat, or nested into a hierarchy."""

import collections

from mlc.data.readers import files
from mlc.errors import InputError


def read(path) -> tuple[list[str], list[tuple[str, str]]]:
  """The names of all <label> elements and the (parent, child) pairs of names.

  Raises:
    InputError: what `files.xml` refuses, no labels, a label without name, or a
      name twice.
  """
  tree = files.xml(path)
  names, edges = [], []
  for element in tree.iter():
    children = [child.get('name', '') for child in element if _is_label(child)]
    names += children
    if _is_label(element):
      edges += [(element.get('name', ''), child) for child in children]
  if not names:
    raise InputError(f'{path}: no <label name=...> element: add the labels')
  if '' in names:
    raise InputError(f'{path}: a <label> without a name: name it')
  if len(set(names)) < len(names):
    twice = collections.Counter(names).most_common(1)[0][0]
    raise InputError(f'{path}: label {twice!r} stands twice: remove one')
  return names, edges


def _is_label(element) -> bool:
  """Tags carry Mulan's namespace, {http://...}label, in most files."""
  return element.tag.rpartition('}')[2] == 'label'
