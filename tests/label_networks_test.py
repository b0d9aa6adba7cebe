"""Heads that share: low rank, embeddings, graphs, attention of labels to x.

Each is held to what it reduces to, and to independent heads on few rows.
"""

import functools
from typing import Any

import contract
from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from mlc import data as data_lib
from mlc import encoders, layers, loop
from mlc.errors import InputError
from mlc.models import (
  independent,
  label_attention,
  label_embedding,
  lamp,
  low_rank,
  ml_gcn,
  query2label,
)

B, D, L = 7, 6, 5
LINEAR = encoders.Linear()
TOKENS = encoders.Groups(groups=3, width=4)


def rows(seed=0):
  return jnp.asarray(np.random.default_rng(seed).normal(size=(B, D)), float)


def blank(model, seed=0):
  """Variables of `model` with all parameters drawn, none of them 0."""
  init = functools.partial(model.init, method='marginals')
  variables = jax.jit(init)(jax.random.key(seed), rows())
  leaves, tree = jax.tree.flatten(variables['params'])
  rng = np.random.default_rng(seed)
  drawn = [jnp.asarray(rng.normal(size=a.shape), a.dtype) for a in leaves]
  return {**variables, 'params': jax.tree.unflatten(tree, drawn)}


def logits(model, params, structure=None):
  """The logits of rows(), with `params` in the place of those drawn."""
  variables = blank(model)
  given = jax.tree.structure(variables['params'])
  assert jax.tree.structure(params) == given
  variables = {
    'params': params,
    'structure': {**variables['structure'], **(structure or {})},
  }
  run = jax.jit(functools.partial(model.apply, method='cells'))
  return np.asarray(
    run(variables, rows(), jnp.zeros((B, L)), jnp.ones((B, L)))[0]
  )


def assert_same(found_BxL, expected_BxL):
  """Probabilities to 1e-6; of logits up to 10 float32 keeps no more."""
  found_BxL, expected_BxL = map(special.expit, (found_BxL, expected_BxL))
  np.testing.assert_allclose(found_BxL, expected_BxL, atol=1e-6)


def test_full_rank_is_any_heads():
  heads = independent.Model(L, LINEAR)
  params = blank(heads)['params']
  kernel_DxL, bias_L = params['head']['kernel'], params['head']['bias']
  u, s, vt = np.linalg.svd(kernel_DxL, full_matrices=False)
  factors = {
    'layers_0': {'kernel': u * s},
    'layers_1': {'kernel': vt, 'bias': bias_L},
  }
  model = low_rank.Model(L, LINEAR, rank=min(D, L))
  expected_BxL = logits(heads, params)
  assert_same(logits(model, {'head': factors}), expected_BxL)
  # One dimension fewer is not enough: the best such heads are another's.
  short = {
    'layers_0': {'kernel': (u * s)[:, :-1]},
    'layers_1': {'kernel': vt[:-1], 'bias': bias_L},
  }
  model = low_rank.Model(L, LINEAR, rank=min(D, L) - 1)
  assert np.abs(logits(model, {'head': short}) - expected_BxL).max() > 0.1


def test_learned_embeddings_and_a_gcn_without_graph_are_low_rank_heads():
  rank = 3
  low = low_rank.Model(L, LINEAR, rank=rank)
  params = blank(low)['params']
  first, second = params['head']['layers_0'], params['head']['layers_1']
  expected_BxL = logits(low, params)
  model = label_embedding.Model(L, LINEAR, width=rank, embeddings='learned')
  params = {
    'head': first,
    'embedding': second['kernel'].T,
    'bias': second['bias'],
  }
  assert_same(logits(model, params), expected_BxL)
  params = {
    'head': {
      'label_embedding': second['kernel'].T,
      'Dense_0': {'kernel': first['kernel'].T},
    },
    'bias': second['bias'],
  }
  for graph, structure in (('none', {}), ('prior', {'graph': jnp.eye(L)})):
    model = ml_gcn.Model(L, LINEAR, embedding=rank, widths=(), graph=graph)
    assert_same(logits(model, params, structure), expected_BxL)


def test_gcn_weights_are_those_of_its_equation():
  model = ml_gcn.Model(L, LINEAR, embedding=3, widths=(4,))
  params = blank(model)['params']
  g_LxL = np.random.default_rng(1).random((L, L)).astype(np.float32)
  head = jax.tree.map(lambda a: np.asarray(a, float), params['head'])
  node = g_LxL @ head['label_embedding'] @ head['Dense_0']['kernel']
  node = np.where(node > 0, node, 0.2 * node)
  w_LxD = g_LxL @ node @ head['Dense_1']['kernel']
  expected = np.asarray(rows(), float) @ w_LxD.T + np.asarray(params['bias'])
  found = logits(model, params, {'graph': g_LxL})
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_attention_over_one_token_is_independent_heads():
  heads, model = (m.Model(L, LINEAR) for m in (independent, label_attention))
  params = blank(model)['params']['head']
  expected = {'head': {'kernel': params['kernel'].T, 'bias': params['bias']}}
  assert_same(logits(model, {'head': params}), logits(heads, expected))


def test_attention_is_that_of_its_equation_and_padding_has_none():
  head = label_attention.Attend(L)
  rng = np.random.default_rng(0)
  h_BxTxH, mask_BxT = rng.normal(size=(B, 4, 3)), rng.random((B, 4)) < 0.6
  mask_BxT[0], mask_BxT[1] = False, True
  u_LxH, w_LxH, bias_L = rng.normal(size=(L, 3)), rng.normal(size=(L, 3)), 2.0
  params = {'query': u_LxH, 'kernel': w_LxH, 'bias': np.full(L, bias_L)}
  found_BxL: Any = head.apply(
    {'params': params}, (jnp.asarray(h_BxTxH), mask_BxT)
  )
  np.testing.assert_allclose(found_BxL[0], bias_L)  # No token at all.
  for b in range(1, B):
    h_TxH = h_BxTxH[b][mask_BxT[b]]
    a_LxT = special.softmax(u_LxH @ h_TxH.T, axis=1)
    expected_L = ((a_LxT @ h_TxH) * w_LxH).sum(1) + bias_L
    np.testing.assert_allclose(found_BxL[b], expected_L, atol=1e-5)


def test_lamp_without_graph_is_query2label_without_self_attention():
  lone = lamp.Model(L, TOKENS, width=8, heads=2, rounds=1, graph='none')
  params = blank(lone)['params']
  model = query2label.Model(
    L, TOKENS, width=8, heads=2, depth=1, self_attention=False
  )
  renamed = {
    'encoder': params['encoder'],
    'query': params['label_embedding'],
    'blocks_0': params['reads_0'],
    'norm': params['norm'],
    'head': {
      'kernel': params['head']['kernel'][..., None],
      'bias': params['head']['bias'],
    },
  }
  assert_same(logits(model, renamed), logits(lone, params))


@pytest.mark.parametrize('graph', ['none', 'full', 'prior', 'learned'])
def test_a_label_hears_of_its_neighbours_alone(graph):
  """Which logits change with the embedding of label 0, in one round."""
  model = lamp.Model(L, TOKENS, width=8, heads=2, rounds=1, graph=graph)
  params = blank(model)['params']
  edges_LxL = np.eye(L, dtype=bool)
  edges_LxL[2, 0] = True
  structure = {'edges': jnp.asarray(edges_LxL)} if graph == 'prior' else {}
  moved = {**params}
  moved['label_embedding'] = params['label_embedding'].at[0].multiply(-1)
  a, b = (logits(model, p, structure) for p in (params, moved))
  heard_L = np.abs(a - b).max(0) > 1e-5
  expected = {'none': [0], 'prior': [0, 2]}.get(graph, list(range(L)))
  np.testing.assert_array_equal(np.flatnonzero(heard_L), expected)


def test_queries_hear_of_each_other_by_self_attention_alone():
  for among in (False, True):
    model = query2label.Model(L, TOKENS, width=8, heads=2, self_attention=among)
    params = blank(model)['params']
    moved = {**params, 'query': params['query'].at[0].multiply(-1)}
    a, b = (logits(model, p) for p in (params, moved))
    heard_L = np.abs(a - b).max(0) > 1e-5
    np.testing.assert_array_equal(heard_L, [True] + [among] * (L - 1))


def test_fewer_queries_serve_neighbouring_labels():
  model = query2label.Model(
    L, TOKENS, width=8, heads=2, self_attention=False, queries=2
  )
  params = blank(model)['params']
  moved = {**params, 'query': params['query'].at[1].multiply(-1)}
  a, b = (logits(model, p) for p in (params, moved))
  heard_L = np.abs(a - b).max(0) > 1e-5
  np.testing.assert_array_equal(heard_L, [False] * 3 + [True] * 2)


@pytest.mark.parametrize(
  'model, says',
  [
    (ml_gcn.Model(L, LINEAR, graph='pior'), 'did you mean: prior'),
    (lamp.Model(L, LINEAR, graph='fall'), 'did you mean: full'),
    (label_embedding.Model(L, LINEAR, embeddings='fix'), 'did you mean: fixed'),
    (query2label.Model(L, LINEAR, queries=6), 'up to that of labels'),
  ],
)
def test_what_is_no_option_is_said_in_one_line(model, says):
  with pytest.raises(InputError, match=says) as error:
    blank(model)
  assert '\n' not in str(error.value)


def cut(x, logit_NxL, rng, name):
  """100 training, 60 validation and 1,000 test rows, labels drawn."""
  y = rng.random(logit_NxL.shape) < special.expit(logit_NxL)
  splits = {
    'train': range(100),
    'valid': range(100, 160),
    'test': range(160, 1160),
  }
  return data_lib.from_arrays(x, y.astype(float), name=name, splits=splits)


def heads_in_a_small_space():
  """30 labels whose heads are mixtures of 3."""
  rng = np.random.default_rng(0)
  x = rng.normal(size=(1160, 12))
  logit_NxL = x @ rng.normal(size=(12, 3)) @ rng.normal(size=(3, 30))
  logit_NxL *= 2.5 / logit_NxL.std()
  logit_NxL += rng.normal(size=30) / 2 - 0.5
  return cut(x, logit_NxL, rng, 'small space')


def heads_of_neighbours():
  """30 labels in six groups, whose heads are nearly alike."""
  rng = np.random.default_rng(0)
  x = rng.normal(size=(1160, 30))
  weight_DxL = rng.normal(size=(30, 6))[:, np.arange(30) % 6]
  weight_DxL += 0.2 * rng.normal(size=(30, 30))
  logit_NxL = x @ weight_DxL
  logit_NxL *= 6 / logit_NxL.std()
  return cut(x, logit_NxL - 4, rng, 'neighbours')


class Parts(nn.Module):
  """Tokens that x holds one after the other, as they are."""

  count: int = 5

  @nn.compact
  def __call__(self, x, *, train=False):
    h_BxTxH = x.reshape(len(x), self.count, -1)
    return layers.Tokens(h_BxTxH, jnp.ones(h_BxTxH.shape[:2], bool))


def parts_in_any_place():
  """Each of 30 labels asks for the value of one of 5 kinds of token.

  The kinds stand in another order in each row: nothing linear in x, nor in
  the mean of the tokens, says which value is of which kind.
  """
  rng = np.random.default_rng(0)
  kind_NxT = np.argsort(rng.random((1160, 5)), axis=1)
  value_NxT = rng.normal(size=(1160, 5))
  x = np.zeros((1160, 5, 6))
  x[..., :5] = 2 * np.eye(5)[kind_NxT]
  x[..., 5] = 2 * value_NxT
  of_kind_NxT = np.take_along_axis(value_NxT, np.argsort(kind_NxT), axis=1)
  logit_NxL = 2.5 * of_kind_NxT[:, np.arange(30) % 5] - 0.5
  return cut(x.reshape(1160, -1), logit_NxL, rng, 'parts')


def nll_of_test_rows_K(model, data):
  """Of five seeds in one program, each stopped by its validation loss."""
  adam = {'name': 'adamw', 'lr': 0.02, 'schedule': 'constant'}
  config = contract.sgd(
    epochs=50,
    patience=10,
    l2=0.0,
    optimizer=adam | {'momentum': 0.0, 'weight_decay': 1e-2},
  )
  found = loop.fit(model, data, config, list(range(5)))
  rows = data.split('test')

  @jax.jit
  @jax.vmap
  def nll(variables):
    return -model.apply(variables, rows.x, rows.y, method='log_prob').mean()

  return np.asarray(nll(found.variables))


@pytest.fixture(scope='module')
def small_space():
  data = heads_in_a_small_space()
  return data, nll_of_test_rows_K(independent.Model(30, LINEAR), data)


@pytest.fixture(scope='module')
def parts():
  data = parts_in_any_place()
  return data, nll_of_test_rows_K(independent.Model(30, Parts()), data)


@pytest.mark.parametrize(
  'model',
  [
    low_rank.Model(30, LINEAR, rank=3),
    label_embedding.Model(30, LINEAR, width=3),
    ml_gcn.Model(30, LINEAR, embedding=3, widths=()),
  ],
)
def test_labels_share_strength_on_few_rows(model, small_space):
  data, heads_K = small_space
  gain_K = heads_K - nll_of_test_rows_K(model, data)
  assert gain_K.min() > 0.4, gain_K


def test_a_graph_of_training_rows_tells_which_labels_share():
  """Of full rank: without the graph there is nothing to share by."""
  data = heads_of_neighbours()
  heads_K = nll_of_test_rows_K(independent.Model(30, LINEAR), data)
  gain_of = {}
  for graph in ml_gcn.GRAPHS:
    model = ml_gcn.Model(
      *(30, LINEAR), embedding=30, graph=graph, threshold=0.5, share=0.8
    )
    gain_of[graph] = heads_K - nll_of_test_rows_K(model, data)
  assert gain_of['prior'].min() > 0.8, gain_of
  assert gain_of['none'].max() < -2, gain_of


@pytest.mark.parametrize(
  'model',
  [
    label_attention.Model(30, Parts()),
    pytest.param(
      query2label.Model(
        30, Parts(), width=8, heads=1, self_attention=False
      ),
      marks=pytest.mark.long,
    ),
    pytest.param(
      lamp.Model(30, Parts(), width=8, heads=1, rounds=1),
      marks=pytest.mark.long,
    ),
  ],
)  # fmt: skip
def test_labels_find_their_parts_on_few_rows(model, parts):
  data, heads_K = parts
  gain_K = heads_K - nll_of_test_rows_K(model, data)
  assert gain_K.min() > 2, gain_K
