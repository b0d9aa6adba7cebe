import functools
import itertools
import json
import math

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy import sparse

from mlc import data as data_lib
from mlc.data import statistics
from mlc.data.features import Features
from mlc.data.labels import Labels

# Rows of labels a, b, c, d: a is in three rows, b and c in one, d in none.
HAND = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]], float)


def dataset(x, y, train=None, **kwargs):
  """Rows cut into train and, one each, valid and test."""
  labels = y if isinstance(y, Labels) else Labels.of(y, **kwargs)
  rows = np.arange(labels.num_rows)
  splits = {'train': rows[:-2], 'valid': rows[-2:-1], 'test': rows[-1:]}
  return data_lib.from_arrays(x, labels, name='hand', splits=splits)


@functools.cache
def described(name):
  return statistics.describe(data_lib.load(name))


def loops(y_NxL):
  """IRLbl, MeanIR, CVIR and SCUMBLE, cell by cell from the papers."""
  counts = [sum(column) for column in zip(*y_NxL, strict=True)]
  irlbl = [max(counts) / count if count else None for count in counts]
  present = [ratio for ratio in irlbl if ratio is not None]
  mean = sum(present) / len(present)
  squares = sum((ratio - mean) ** 2 for ratio in present)
  cvir = None
  if len(present) > 1:
    cvir = math.sqrt(squares / (len(present) - 1)) / mean
  scumble = []
  for row in y_NxL:
    mine = [irlbl[label] for label, cell in enumerate(row) if cell]
    if not mine:
      scumble.append(0.0)
      continue
    root = math.prod(mine) ** (1 / len(mine))
    scumble.append(1 - root / (sum(mine) / len(mine)))
  return irlbl, mean, cvir, sum(scumble) / len(scumble)


def test_imbalance_is_what_the_formulas_give_by_hand():
  found = statistics.imbalance(sparse.csr_array(HAND.astype(int)))
  np.testing.assert_allclose(found.irlbl_L, [1, 3, 3, np.nan])
  assert found.mean_ir == pytest.approx(7 / 3)
  # Deviations -4/3, 2/3, 2/3 over 3 - 1 labels.
  assert found.cvir == pytest.approx(math.sqrt(4 / 3) / (7 / 3))
  # Two rows with IRLbl 1 and 3, means sqrt(3) and 2; two rows of 0.
  assert found.scumble == pytest.approx((1 - math.sqrt(3) / 2) / 2)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
  st.integers(1, 6).flatmap(
    lambda width: st.lists(
      st.lists(st.integers(0, 1), min_size=width, max_size=width),
      min_size=1,
      max_size=12,
    )
  )
)
def test_imbalance_agrees_with_loops_over_cells(rows):
  y_NxL = np.array(rows)
  with np.errstate(all='raise'):
    found = statistics.imbalance(sparse.csr_array(y_NxL))
  if not y_NxL.any():
    assert np.isnan([*found.irlbl_L, *found[1:]]).all()
    return
  irlbl, *others = loops(rows)
  expected = [*irlbl, *others]
  expected = [math.nan if value is None else value for value in expected]
  np.testing.assert_allclose([*found.irlbl_L, *found[1:]], expected, atol=1e-12)
  assert found.scumble >= 0


def test_rows_of_one_label_have_no_concurrence_but_for_rounding():
  # exp(log(3)) is more than 3.
  y_NxL = np.array([[1, 0], [1, 0], [1, 0], [0, 1]])
  assert statistics.imbalance(sparse.csr_array(y_NxL)).scumble == 0


# Few values, so that rows repeat; None is not stored, 0.0 and -0.0 are.
ROW = st.tuples(
  st.sampled_from([0.0, -0.0, math.nan]),
  st.sampled_from([None, 0.0, -0.0, 2.5]),
  st.sampled_from([-1, 1]),
  st.sampled_from(['', 'a']),
  st.sampled_from([0.0, 0.7, math.nan]),
)


@settings(deadline=None, derandomize=True, max_examples=80)
@given(st.lists(ROW, min_size=4, max_size=14), st.integers(1, 13))
def test_repeats_are_those_of_sets_of_tuples(rows, cut):
  dense, stored, category, text, label = map(list, zip(*rows, strict=True))
  places = [row for row, value in enumerate(stored) if value is not None]
  values = [stored[row] for row in places]
  features = Features.of(
    dense=np.array(dense)[:, None],
    sparse_columns=sparse.csr_array(
      (values, (places, np.zeros(len(places), int))), shape=(len(rows), 1)
    ),
    categorical=np.array(category)[:, None],
    values=(('no', 'yes'),),
    text=text,
  )
  labels = Labels.of(np.stack([label, np.ones(len(rows))], 1))
  identity = statistics.identify(features, labels)

  # NaN is not equal to itself, but a word is.
  told = [
    tuple('?' if cell != cell else cell or 0 for cell in row) for row in rows
  ]
  for part in (range(len(rows)), range(0, len(rows), 2)):
    pairs = [told[row] for row in part]
    variants = {}
    for *x, y in pairs:
      variants.setdefault(tuple(x), set()).add(y)
    assert statistics.repeats(identity, np.array(part)) == {
      'duplicate_rows': len(pairs) - len(set(pairs)),
      'duplicate_features': len(pairs) - len(variants),
      'conflicting_rows': sum(len(variants[p[:4]]) > 1 for p in pairs),
    }
  cut = min(cut, len(rows) - 1)
  one, other = told[:cut], told[cut:]
  x_one, x_other = ({row[:4] for row in part} for part in (one, other))
  found = statistics.overlap(
    identity, np.arange(cut), np.arange(cut, len(rows))
  )
  assert found == {
    'shared_rows': len(set(one) & set(other)),
    'shared_features': len(x_one & x_other),
    'leaked_rows': sum(row[:4] in x_one for row in other),
  }


def test_rows_of_sparse_columns_differ_by_place_and_by_value():
  x_NxS = np.array([[1, 0, 2], [1, 2, 0], [1, 0, 2], [2, 0, 1]], float)
  features = Features.of(sparse_columns=sparse.csr_array(x_NxS))
  identity = statistics.identify(features, Labels.of(np.ones((4, 1))))
  assert identity.x_N.tolist() == [0, 1, 0, 2]


def test_hierarchy_of_a_diamond_with_a_long_side():
  # a over b and c, both over d; c also over e over d: a, c, e, d are four.
  edges = [(0, 1), (0, 2), (1, 3), (2, 3), (2, 4), (4, 3)]
  labels = Labels.of(np.ones((2, 6)), edges=edges)
  assert statistics.hierarchy(labels) == {
    'edges': 6,
    'depth': 4,
    'several_parents': 1,
  }
  assert statistics.hierarchy(Labels.of(np.ones((2, 6)))) is None


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1))
def test_hierarchy_agrees_with_a_walk_over_all_paths(pairs):
  edges = [(low, high) for low, high in pairs if low < high]
  if not edges:
    return

  def below(label):
    return 1 + max((below(c) for p, c in edges if p == label), default=0)

  found = statistics.hierarchy(Labels.of(np.ones((1, 8)), edges=edges))
  assert found == {
    'edges': len(edges),
    'depth': max(below(label) for label in range(8)),
    'several_parents': sum(
      sum(child == label for _, child in edges) > 1 for label in range(8)
    ),
  }


def test_all_that_is_told_of_a_small_set():
  x = Features.of(
    dense=[[0, 1], [0, np.nan], [0, 1], [0, 1]],
    sparse_columns=sparse.csr_array(np.eye(4)),
    categorical=[[0], [-1], [0], [0]],
    values=[('low', 'high')],
  )
  y = HAND.copy()
  y[1, 3] = np.nan
  y[2, 2] = 0.5
  y[3, 1] = 0.4
  told = statistics.describe(dataset(x, y, names='abcd'))
  assert json.loads(json.dumps(told, allow_nan=False)) == told
  assert told['features'] == {
    'dense': 2,
    'dense_nonzero_share': 3 / 8,
    'sparse': 4,
    'sparse_nonzero_share': 1 / 4,
    'categorical': 1,
    'categorical_values': 2,
    'text': 0,
    'missing_cells': 2,
  }
  assert told['labels'] == {
    'count': 4,
    'cardinality': 5 / 4,
    'density': 5 / 16,
    'label_sets': 4,
    'label_sets_once': 4,
    'distinct_share': 1.0,
    'diversity': 4 / 16,
    'missing_cells': 1,
    'soft_cells': 2,
  }
  assert told['per_label'] == [
    {'name': 'a', 'rows': 3, 'irlbl': 1.0},
    {'name': 'b', 'rows': 1, 'irlbl': 3.0},
    {'name': 'c', 'rows': 1, 'irlbl': 3.0},
    {'name': 'd', 'rows': 0, 'irlbl': None},
  ]
  splits = told['splits']
  assert {
    name: (part['rows'], part['rows_without_labels'], part['labels_absent'])
    for name, part in splits.items()
  } == {
    'train': (2, 0, ['c', 'd']),
    'valid': (1, 0, ['b', 'd']),
    'test': (1, 1, ['a', 'b', 'c', 'd']),
    'train_valid': (3, 0, ['d']),
    'all': (4, 1, ['d']),
  }


def test_a_text_and_more_labels_than_floats_have_exponents():
  told = statistics.describe(dataset(list('abab'), np.ones((4, 5000))))
  assert told['features']['text'] == 1
  assert told['features']['dense_nonzero_share'] is None
  assert told['labels']['diversity'] == 0
  assert told['labels']['label_sets'] == 1
  assert told['labels']['label_sets_once'] == 0
  assert told['splits']['all']['duplicate_rows'] == 2


# MeanIR and CVIR of whole sets as Charte et al., Neurocomputing 2015, print
# them, SCUMBLE as the package mldr of Charte & Charte does.
PUBLISHED = {
  'bibtex': {'mean_ir': 12.498, 'cvir': 0.4051},
  'birds': {'mean_ir': 5.407, 'scumble': 0.033},
  'cal500': {'mean_ir': 20.578, 'cvir': 1.0871},
  'emotions': {'mean_ir': 1.478, 'cvir': 0.1796, 'scumble': 0.011},
  'enron': {'mean_ir': 73.953, 'cvir': 1.9596},
  'scene': {'mean_ir': 1.254, 'cvir': 0.1222, 'scumble': 0.000},
  'yeast': {'mean_ir': 7.197, 'scumble': 0.104},
}


@pytest.mark.parametrize('name', PUBLISHED)
def test_published_imbalance(name, mlc_data):
  del mlc_data
  found = described(f'mulan/{name}')['imbalance']
  for key, value in PUBLISHED[name].items():
    assert round(found[key], 4 if key == 'cvir' else 3) == value


# Label sets, rows without labels, duplicates in train (of the source), distinct
# rows in train and test, labels absent from train and from test.
COUNTED = {
  'birds': (133, 294, 0, 0, 0, 0),
  'emotions': (27, 0, 0, 0, 0, 0),
  'flags': (54, 0, 0, 0, 0, 0),
  'scene': (15, 0, 2, 5, 0, 0),
  'yeast': (198, 0, 0, 0, 0, 0),
  'bibtex': (2856, 0, 6, 8, 0, 0),
  'corel5k': (3175, 0, 0, 0, 3, 111),
  'delicious': (15806, 14, 120, 57, 0, 1),
  'enron': (753, 0, 16, 9, 1, 0),
  'medical': (94, 0, 3, 2, 7, 6),
}


@pytest.mark.parametrize('name', COUNTED)
def test_counts_of_real_sets(name, mlc_data):
  del mlc_data
  told = described(f'mulan/{name}')
  source, test = told['splits']['train_valid'], told['splits']['test']
  assert (
    told['labels']['label_sets'],
    told['splits']['all']['rows_without_labels'],
    source['duplicate_rows'],
    told['overlap']['train_valid_and_test']['shared_rows'],
    len(source['labels_absent']),
    len(test['labels_absent']),
  ) == COUNTED[name]


def test_splits_are_counted_apart():
  x = [[1], [2], [1], [1], [2], [1]]
  y = [[1, 0], [1, 0], [0, 1], [1, 0], [1, 0], [1, 0]]
  data = data_lib.from_arrays(
    np.array(x, float),
    np.array(y, bool),
    splits={'train': [0, 1, 2], 'valid': [3], 'test': [4, 5]},
  )
  told = statistics.describe(data)
  repeated = {
    name: tuple(itertools.islice(part.values(), 3, None))
    for name, part in told['splits'].items()
  }
  assert repeated == {
    'train': (0, 1, 2),
    'valid': (0, 0, 0),
    'test': (0, 0, 0),
    'train_valid': (1, 2, 3),
    'all': (3, 4, 4),
  }
  assert {k: tuple(v.values()) for k, v in told['overlap'].items()} == {
    'train_and_valid': (1, 1, 1),
    'train_and_test': (2, 2, 2),
    'valid_and_test': (1, 1, 1),
    'train_valid_and_test': (2, 2, 2),
  }
