"""Label graphs: the files of others, and any bytes read or refused."""

import json
import warnings

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from reading import mutated, no_hang, refused, write

from mlc.data.readers import graph
from mlc.errors import InputError

TYPED = '{"nums": [3, 2, 1],\n "adj": [[0, 2, 0], [2, 0, 1], [0, 1, 0]]}\n'


@pytest.mark.parametrize('name', ['a.json', 'a.json.gz'])
def test_a_typed_graph_is_read(tmp_path, name):
  made = graph.read(write(tmp_path, TYPED, name))
  assert made.counts_L.tolist() == [3, 2, 1]
  assert made.pairs_LxL.tolist() == [[0, 2, 0], [2, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize('name, size', [('voc', 20), ('coco', 80)])
def test_graphs_of_others_are_read_as_json_has_them(mlc_data, name, size):
  path = mlc_data / 'graphs' / f'{name}_adj.json'
  made, content = graph.read(path), json.loads(path.read_bytes())
  assert made.counts_L.shape == (size,)
  np.testing.assert_array_equal(made.counts_L, content['nums'])
  np.testing.assert_array_equal(made.pairs_LxL, content['adj'])


@pytest.mark.parametrize(
  'old, new, message',
  [
    ('}\n', '', ': not a label graph'),
    (TYPED, '[]', ': not a label graph'),
    (TYPED, 'null', ': not a label graph'),
    (TYPED, '[' * 100000, ': not a label graph'),
    ('nums', 'numbers', ': not a label graph'),
    ('[3, 2, 1]', '{}', ': not a label graph'),
    ('[3, 2, 1]', '["a", 2, 1]', ': not a label graph'),
    ('[2, 0, 1]', '[2, 0]', ': not a label graph'),
    ('[3,', '[' + '9' * 400 + ',', ': not a label graph'),
    ('[3,', '[' + '9' * 5000 + ',', ': not a label graph'),
    ('[3, 2, 1]', '[]', ': (0,) counts and (3, 3) pairs'),
    ('[3, 2, 1]', '5', ': () counts and (3, 3) pairs'),
    ('[3, 2, 1]', '[3, 2]', ': (2,) counts and (3, 3) pairs'),
    (', [0, 1, 0]', '', ': (3,) counts and (2, 3) pairs'),
    ('[3,', '[1,', ': a pair is on below 0 times, or more often than its'),
    ('[2, 0, 1]', '[-2, 0, 1]', ': a pair is on below 0'),
    ('[2, 0, 1]', '[NaN, 0, 1]', ': a pair is on below 0'),
    ('[3,', '[NaN,', ': a pair is on below 0'),
    ('[3,', '[Infinity,', ': a pair is on below 0'),
    ('[2, 0, 1]', '[1, 0, 1]', ': the pairs are not symmetric'),
  ],
)  # fmt: skip
def test_a_bad_graph_is_refused(tmp_path, old, new, message):
  assert TYPED.count(old) == 1
  path = write(tmp_path, TYPED.replace(old, new), 'a.json')
  refused(f'a.json{message}', graph.read, path)


PIECES = [
  b'[', b']', b'{', b'}', b',', b'"', b'null', b'true', b'NaN', b'Infinity',
  b'-1', b'1e400', b'1e308', b'9' * 400, b'9' * 5000, b'[' * 3000, b'\xff',
  b'\0', b'\n', b'[[0]]', b'"nums":', b'"1"',
]  # fmt: skip


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.one_of(st.binary(), mutated([TYPED.encode()], PIECES)))
def test_any_bytes_are_a_graph_or_refused(tmp_path_factory, data):
  path = write(tmp_path_factory.getbasetemp(), data, 'any.json')
  with no_hang(), warnings.catch_warnings():
    warnings.simplefilter('error')
    try:
      counts_L, pairs_LxL = graph.read(path)
    except InputError as error:
      assert len(str(error).splitlines()) == 1
      return
  assert pairs_LxL.shape == counts_L.shape * 2
  assert (pairs_LxL <= counts_L).all() and (pairs_LxL >= 0).all()
