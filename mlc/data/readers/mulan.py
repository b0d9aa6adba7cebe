"""Mulan's XML: the names of labels, flat, or nested into a hierarchy."""

import collections
from xml.etree.ElementTree import ParseError

from defusedxml import ElementTree

from mlc.errors import InputError


def read(path) -> tuple[list[str], list[tuple[str, str]]]:
  """The names of all <label> elements and the (parent, child) pairs of names.

  Raises:
    InputError: no such file, not XML, a DTD or entities in it, no labels, a
      label without name, or a name twice.
  """
  try:
    tree = ElementTree.parse(path, forbid_dtd=True)
  except FileNotFoundError:
    raise InputError(f'{path}: no such file: give the label list') from None
  except ParseError as error:
    line, column = error.position
    reason = str(error).partition(':')[0]
    raise InputError(
      f'{path}:{line}:{column + 1}: not XML ({reason}): mend the file'
    ) from None
  except OSError as error:
    raise InputError(
      f'{path}: not readable ({error.strerror}): give the label list'
    ) from None
  # DTD and entities (DefusedXmlException), encodings that there are not.
  except (ValueError, LookupError) as error:
    reason = ' '.join(str(error).split())
    raise InputError(
      f'{path}: refused ({reason}): remove DTD and entities, save it as UTF-8'
    ) from None
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
