"""ARFF of CLUS-HMC: one attribute holds the classes, nodes of a hierarchy.

The format: Vens, Struyf, Schietgat, Dzeroski & Blockeel, Machine Learning 73,
2008, and the manual of their program CLUS.
"""

import collections
from collections.abc import Iterable

import numpy as np
from scipy import sparse

from mlc.data.labels import Labels
from mlc.data.readers import arff_syntax
from mlc.data.readers.relation import Relation
from mlc.data.table import Table
from mlc.errors import InputError

ROOT = 'root'

# Position by name, and (parent, child) positions.
Hierarchy = tuple[dict[str, int], list[tuple[int, int]]]


def read(path, drop=()) -> Table:
  """Reads an ARFF file with one `hierarchical` attribute.

  The attribute lists the nodes of a tree as paths (`01,01/03`), or the edges
  of a directed acyclic graph as `parent/child`; a cell names nodes,
  `01/03@20/01`. CLUS is told which in its settings; the file says it too: a
  graph's entries all have one slash and its cells none.

  Labels are the nodes in the order of first appearance, in a tree all paths
  above a node too; but a `root` of a graph, which every row would have, is
  none. A row has the labels of its cell and all above them.

  CLUS knows attributes by number, and its gasch1 has a name twice: the second
  becomes `name (2)`. Those named in `drop` are left out.

  Raises:
    InputError: not one hierarchical attribute, a row without class, a class
      that the attribute lacks, a path with an empty part, a cycle, and what
      `arff.read` refuses in features.
  """
  return table(arff_syntax.parse(path), drop)


def table(data: Relation, drop=()) -> Table:
  """As `read`, of a file that is parsed."""
  seen, attributes = collections.Counter(), []
  for attribute in data.attributes:
    seen[attribute.name] += 1
    times = f' ({seen[attribute.name]})' if seen[attribute.name] > 1 else ''
    attributes.append(attribute._replace(name=attribute.name + times))
  data = data._replace(attributes=attributes)
  columns = [
    i for i, a in enumerate(data.attributes) if a.kind == 'hierarchical'
  ]
  if len(columns) != 1:
    raise InputError(
      f'{data.path}: {len(columns)} attributes of type hierarchical: give one'
    )
  (column,) = columns
  attribute, texts = data.attributes[column], data.texts[column]
  for entry in attribute.values:
    if '' in entry.split('/'):
      raise InputError(
        f'{data.path}:{attribute.line}: class {entry[:40]!r} has an empty part:'
        ' write paths, or parent/child'
      )
  is_graph = all(entry.count('/') == 1 for entry in attribute.values) and not (
    any('/' in text for text in texts)
  )
  nodes, edges = (_graph if is_graph else _tree)(attribute.values)
  code_N = data.categories(columns)[:, 0]
  cells, used = [], set(code_N.tolist())
  for code, text in [(-1, '?'), *enumerate(texts)]:
    classes = text.split('@') if code in used else []
    unknown = [name for name in classes if name not in nodes]
    if unknown:
      line = data.lines_N[(code_N == code).argmax()]
      raise InputError(
        f'{data.path}:{line}: class {unknown[0][:40]!r} is none of the'
        f' {len(nodes)} of {attribute.name!r}: mend the row'
      )
    cells.append(sorted({nodes[name] for name in classes}))
  y_UxL = _closed(_matrix(cells, len(nodes)), edges, len(nodes))
  return Table(
    data.features(columns, drop),
    Labels.of(y_UxL[code_N + 1], nodes, edges=edges, where=data.path),
  )


def _tree(paths: Iterable[str]) -> Hierarchy:
  """Of a tree given as paths."""
  nodes, edges = {}, []
  for path in paths:
    parts = path.split('/')
    for depth in range(1, len(parts) + 1):
      node = '/'.join(parts[:depth])
      if node not in nodes:
        nodes[node] = len(nodes)
        if depth > 1:
          edges.append((nodes['/'.join(parts[: depth - 1])], nodes[node]))
  return nodes, edges


def _graph(entries: Iterable[str]) -> Hierarchy:
  """Of a graph given as `parent/child`, less its artificial root."""
  pairs = [entry.split('/') for entry in dict.fromkeys(entries)]
  root = {ROOT}.difference(child for _, child in pairs)
  nodes = {}
  for node in [node for pair in pairs for node in pair if node not in root]:
    nodes.setdefault(node, len(nodes))
  return nodes, [(nodes[a], nodes[b]) for a, b in pairs if a not in root]


def _matrix(rows: list[list[int]], num_labels: int) -> sparse.csr_array:
  """Bool CSR, True at the listed columns of each row."""
  columns = np.array([column for row in rows for column in row], np.int32)
  ends = np.cumsum([0, *map(len, rows)])
  return sparse.csr_array(
    (np.ones(len(columns), bool), columns, ends), shape=(len(rows), num_labels)
  )


def _closed(y_UxL: sparse.csr_array, edges, num_labels: int):
  """`y_UxL` with all labels above those of a row; ends on cycles as well."""
  above = [[] for _ in range(num_labels)]
  for parent, child in edges:
    above[child].append(parent)
  above_LxL = _matrix(above, num_labels)
  while True:
    more_UxL = y_UxL + y_UxL @ above_LxL  # Of bools: or.
    if more_UxL.nnz == y_UxL.nnz:
      return y_UxL
    y_UxL = more_UxL
