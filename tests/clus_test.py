"""CLUS-HMC files against typed ones, and against a walk up the hierarchy."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from reading import label_sets, refused, write

from mlc.data.readers import arff, clus
from mlc.data.table import concatenate

TREE = """@RELATION 'yeast.names'

@ATTRIBUTE x                    numeric
@ATTRIBUTE 'colour'             {red,blue}
@ATTRIBUTE class                hierarchical 01,01/01,01/01/03,01/02,7/1,2

@DATA
0.5,red,01/01/03@2
?,blue,01/02
% 7 is not listed, but above 7/1
-1,?,7/1@01
"""
TREE_NAMES = ('01', '01/01', '01/01/03', '01/02', '7', '7/1', '2')
GRAPH = """@relation go
@attribute x numeric
@attribute class hierarchical root/a,a/b,root/c,c/d,b/d,d/e,a/b
@data
{0 0.5,1 e}
{1 b@c}
{1 d,0 ?}
"""


def _edges(table):
  """(parent, child) names."""
  names = table.labels.names
  return [(names[a], names[b]) for a, b in table.labels.edges_Ex2]


@pytest.mark.parametrize('read', [arff.read, clus.read])
def test_a_tree_of_paths(tmp_path, read):
  made = read(write(tmp_path, TREE, 'a.arff'))
  assert made.labels.names == TREE_NAMES
  rows, edges = label_sets(made), _edges(made)
  assert rows == [{'01', '01/01', '01/01/03', '2'}, {'01', '01/02'},
                  {'01', '7', '7/1'}]  # fmt: skip
  assert edges == [('01', '01/01'), ('01/01', '01/01/03'), ('01', '01/02'),
                   ('7', '7/1')]  # fmt: skip
  np.testing.assert_array_equal(
    made.features.dense_NxD, [[0.5], [np.nan], [-1]]
  )
  assert made.features.categorical_NxC.tolist() == [[0], [1], [-1]]
  assert made.features.names == ('x', 'colour')
  assert made.labels.missing_NxL.nnz == 0


def test_cells_may_have_spaces_and_quotes_around_them(tmp_path):
  text = TREE.replace(',01/01/03@2\n', ", '01/01/03@2'\n")
  text = text.replace('blue,01/02', 'blue,\t01/02')
  rows = label_sets(arff.read(write(tmp_path, text, 'a.arff')))
  assert rows[:2] == [{'01', '01/01', '01/01/03', '2'}, {'01', '01/02'}]


def test_a_class_named_twice_is_on_once(tmp_path):
  text = TREE[: TREE.index('0.5')] + '0.5,red,7/1@7/1'
  rows = label_sets(arff.read(write(tmp_path, text, 'a.arff')))
  assert rows == [{'7', '7/1'}]


def test_labels_given_leave_the_class_to_drop(tmp_path):
  path = write(tmp_path, GRAPH, 'a.arff')
  refused("'class' is of type hierarchical", arff.read, path, labels='x')


def test_a_graph_of_edges_less_its_root(tmp_path):
  made = arff.read(write(tmp_path, GRAPH, 'a.arff'))
  assert made.labels.names == ('a', 'b', 'c', 'd', 'e')
  rows, edges = label_sets(made), _edges(made)
  assert rows == [{*'abcde'}, {*'abc'}, {*'abcd'}]
  assert edges == [('a', 'b'), ('c', 'd'), ('b', 'd'), ('d', 'e')]
  np.testing.assert_array_equal(
    made.features.sparse_NxS.toarray(), [[0.5], [0], [np.nan]]
  )


def test_a_slash_in_a_cell_or_an_entry_tells_a_tree(tmp_path):
  # Entries of one slash each, as of a graph with edges a-b, a-c and b-c.
  text = GRAPH.replace('root/a,a/b,root/c,c/d,b/d,d/e,a/b', 'a/b,a/c,b/c')
  cells = ('1 e', '1 b@c', '1 d')

  def names(one, two, three):
    made = text
    for old, new in zip(cells, (one, two, three), strict=True):
      made = made.replace(old, f'1 {new}')
    return arff.read(write(tmp_path, made, 'a.arff')).labels.names

  assert names('a', 'b@a', 'c') == ('a', 'b', 'c')
  assert names('a', 'b@a', 'a/c') == ('a', 'a/b', 'a/c', 'b', 'b/c')
  text = text.replace('a/b,', 'a,a/b,')
  assert names('a', 'a', 'b') == ('a', 'a/b', 'a/c', 'b', 'b/c')


def test_names_that_stand_twice_are_numbered(tmp_path):
  text = GRAPH.replace('@attribute c', '@attribute x real\n@attribute c')
  text = text.replace('1 ', '2 ').replace('0 0.5', '0 0.5,1 7')
  made = clus.read(write(tmp_path, text, 'a.arff'))
  assert made.features.names == ('x', 'x (2)')
  assert made.features.sparse_NxS.toarray()[0].tolist() == [0.5, 7]
  made = clus.read(tmp_path / 'a.arff', drop=['x (2)'])
  assert made.features.names == ('x',)


@pytest.mark.parametrize(
  'text, old, new, message',
  [
    (TREE, '01/02\n', '01/04\n', ":9: class '01/04' is none of the 7 of 'cl"),
    (TREE, 'blue,01/02', 'blue,?', ":9: class '?' is none of"),
    (TREE, 'blue,01/02', 'blue,', ":9: class '' is none of"),
    (TREE, '7/1@01', '7/1@@01', ":11: class '' is none of"),
    (TREE, '7/1@01', '7/1,01', ':11:10: 4 values for 3 attributes'),
    (TREE, ',01/02,', ',01//02,', ":5: class '01//02' has an empty part"),
    (TREE, ',7/1,', ',,', ":5: class '' has an empty part"),
    (TREE, ' 01,01/01,01/01/03,01/02,7/1,2', '', ":5: class '' has an empty"),
    (TREE, 'hierarchical 01,01/01,01/01/03,01/02,7/1,2', 'string',
     ': 0 attributes of type hierarchical'),
    (TREE, 'numeric', 'hierarchical a,b', ': 2 attributes of type hierarch'),
    (TREE, '0.5', 'half', ":8:1: 'half' in 'x' is no number"),
    (GRAPH, '{1 b@c}', '{1 b@root}', ":6: class 'root' is none of the 5"),
    (GRAPH, '{1 b@c}', '{}', ":6: class '' is none of the 5"),
    (GRAPH, '{1 b@c}', '{1 b@c,1 d}', ':6: column 1 stands twice'),
    (GRAPH, 'b/d', 'e/c', ': the hierarchy goes in a circle'),
    (GRAPH, 'b/d', 'b/b', ': the hierarchy goes in a circle'),
    (GRAPH, 'b/d', 'e/root', ': the hierarchy goes in a circle'),
  ],
)  # fmt: skip
def test_a_file_that_is_wrong_is_refused(tmp_path, text, old, new, message):
  assert text.count(old) == 1
  path = write(tmp_path, text.replace(old, new), 'a.arff')
  refused(f'{path}{message}', clus.read, path)


def test_a_class_and_what_is_not_there_are_not_dropped(tmp_path):
  path = write(tmp_path, TREE, 'a.arff')
  assert arff.read(path, drop=('x',)).features.names == ('colour',)
  refused("'class' is a label", arff.read, path, drop=['class'])
  refused("unknown attribute to drop 'y'", arff.read, path, drop=['y'])
  refused('no columns', arff.read, path, drop=['x', 'colour'])


def _above(node, parents):
  """The node and all above it, one step at a time."""
  found, new = set(), [node]
  while new:
    node = new.pop()
    if node not in found:
      found.add(node)
      new += parents.get(node, ())
  return found


@st.composite
def hierarchies(draw):
  """(edges without a cycle: parents come first, classes of each row)."""
  count = draw(st.integers(2, 9))
  edges = [(-1, 0)]
  for child in range(1, count):
    parents = draw(st.sets(st.integers(-1, child - 1), min_size=1, max_size=3))
    edges += [(parent, child) for parent in parents]
  rows = st.sets(st.integers(0, count - 1), min_size=1, max_size=4)
  return draw(st.permutations(edges)), draw(
    st.lists(rows, min_size=1, max_size=5)
  )


@settings(deadline=None, derandomize=True, max_examples=100)
@given(hierarchies())
def test_all_labels_above_are_on(tmp_path_factory, example):
  edges, rows = example
  node = ['n' + str(i) for i in range(9)] + ['root']
  entries = ','.join(f'{node[a]}/{node[b]}' for a, b in edges)
  cells = ['@'.join(node[i] for i in row) for row in rows]
  path = tmp_path_factory.getbasetemp() / 'graph.arff'
  path.write_text(
    f'@relation r\n@attribute x real\n@attribute c hierarchical {entries}\n'
    '@data\n' + '\n'.join(f'0,{cell}' for cell in cells)
  )
  parents = {}
  for a, b in edges:
    parents.setdefault(node[b], set()).add(node[a])
  found = label_sets(arff.read(path))
  for names, row in zip(found, rows, strict=True):
    expected = set().union(*(_above(node[i], parents) for i in row))
    assert names == expected - {'root'}


# From the table of the data's README: rows of the files in order, columns,
# labels, cardinality, missing cells, labels with several parents.
FACTS = {
  'cellcycle_FUN': ((1628, 848, 1281), 77, 499, 8.7578, 16122, 0),
  'cellcycle_GO': ((1625, 848, 1278), 77, 4125, 34.9096, 16136, 1477),
  'derisi_FUN': ((1608, 842, 1275), 63, 499, 8.7874, 0, 0),
  'derisi_GO': ((1605, 842, 1272), 63, 4119, 34.9973, 0, 1477),
  'eisen_FUN': ((1058, 529, 837), 79, 461, 9.2005, 3697, 0),
  'eisen_GO': ((1055, 528, 835), 79, 3573, 38.0418, 3686, 1277),
  'enron_corr': ((988, 660), 1001, 56, 5.3004, 0, 0),
  'gasch1_FUN': ((1634, 846, 1284), 173, 499, 8.741, 18064, 0),
  'gasch1_GO': ((1631, 846, 1281), 173, 4125, 34.8803, 18067, 1477),
}


@pytest.mark.parametrize('name', FACTS)
def test_hmc_sets_have_the_published_numbers(mlc_data, name):
  rows, *facts = FACTS[name]
  paths = sorted(
    (mlc_data / 'hmc' / name).glob('*.arff'),
    key=lambda path: ['train', 'valid', 'test'].index(
      re.search('train|valid|test', path.name)[0]
    ),
  )
  tables = {path.name: arff.read(path) for path in paths}
  assert tuple(t.labels.num_rows for t in tables.values()) == rows
  features, labels, _ = concatenate(tables, name)
  child_E = labels.edges_Ex2[:, 1]
  assert facts == [
    features.dense_NxD.shape[1], len(labels.names),
    pytest.approx(labels.y_NxL.sum() / labels.num_rows, abs=6e-5),
    features.num_missing, (np.bincount(child_E) > 1).sum(),
  ]  # fmt: skip
  # The same by hand, of the last file: cells split at commas, a walk upwards.
  head, body = paths[-1].read_text().split('@DATA')
  entries = head.split('hierarchical')[1].strip().split(',')
  parents = {}
  for entry in entries:
    parent, _, child = entry.rpartition('/')
    if parent:
      key = child if 'GO' in name else entry
      parents.setdefault(key, set()).add(parent)
  found = label_sets(tables[paths[-1].name])
  lines = body.split()
  assert len(lines) == len(found)
  for line, names in zip(lines, found, strict=True):
    cell = line.split(',')[-1].split('@')
    expected = set().union(*(_above(node, parents) for node in cell))
    assert names == expected - {'root'}
  x_NxD = np.array(
    [[c.replace('?', 'nan') for c in line.split(',')[:-1]] for line in lines],
    np.float32,
  )
  np.testing.assert_array_equal(
    tables[paths[-1].name].features.dense_NxD, x_NxD
  )


def test_the_graph_of_go_has_its_three_top_terms(mlc_data):
  # C-HMCNN scores neither the root nor these: molecular function, cellular
  # component, biological process.
  folder = mlc_data / 'hmc/cellcycle_GO'
  labels = clus.read(folder / 'cellcycle_GO.valid.arff').labels
  children = set(labels.edges_Ex2[:, 1].tolist())
  tops = {labels.names[i] for i in range(4125) if i not in children}
  assert tops == {'GO0003674', 'GO0005575', 'GO0008150'}
