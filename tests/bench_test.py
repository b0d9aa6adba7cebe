"""The benchmark: its two sides are one model, and its numbers are right."""

import json
import math
import time

import jax
import ml_collections
import numpy as np
import pytest

from experiments import bench, suites
from experiments.suites import (
  Case,
  SideBySide,
  Took,
  inference,
  models,
  training,
)
from mlc import build, convex, decisions
from mlc import data as data_lib
from mlc import inference as methods
from mlc.decisions import rankings


def sleeper(first, later):
  """A side whose first call takes longer."""
  calls = iter([first])
  return lambda: lambda: time.sleep(next(calls, later))


def measured(monkeypatch, capsys, case, rounds=3):
  monkeypatch.setattr(suites, 'cases', lambda suite: (case,))
  monkeypatch.setattr(suites.os, 'sched_setaffinity', lambda *args: None)
  suites.measure('any', 0, 'ours', rounds=rounds, threads=2)
  return json.loads(capsys.readouterr().out)


def test_first_calls_do_not_count_and_the_ratio_is_of_later_ones(
  monkeypatch, capsys
):
  case = SideBySide('a', sleeper(0.5, 0.05), 'b', sleeper(0.9, 0.2))
  took = measured(monkeypatch, capsys, case)
  assert 0.3 < took['ours']['compile_seconds'] < 0.6
  assert 2 < took['ratio'] < 4.2  # 4, but for the noise of sleep.
  low, high = took['ratio_range']
  assert low <= took['ratio'] <= high


def test_what_times_itself_is_believed(monkeypatch, capsys):
  ours = iter([Took(9.0, 5.0)] + [Took(s, 0.0) for s in (2.0, 4.0, 3.0)])
  peer = iter([Took(1.0, 0.0)] + [Took(s, 0.0) for s in (8.0, 8.0, 3.0)])
  case = SideBySide('a', lambda: lambda: next(ours), 'b',
                    lambda: lambda: next(peer))  # fmt: skip
  took = measured(monkeypatch, capsys, case)
  assert took['ours'] == {'seconds': 3.0, 'compile_seconds': 5.0}
  assert took['peer'] == {'name': 'b', 'seconds': 8.0}
  # Of 4, 2 and 1: not the ratio of the medians.
  assert took['ratio'] == 2.0 and took['ratio_range'] == [1.0, 4.0]


def test_a_peer_that_is_not_installed_leaves_a_row_with_the_reason(
  monkeypatch, capsys
):
  def peer():
    import not_a_package  # noqa: F401

  case = SideBySide('a', sleeper(0, 0), 'b', peer)
  took = measured(monkeypatch, capsys, case)
  assert 'ratio' not in took
  row = bench.row({'case': 'a'} | took)
  assert "No module named 'not_a_package'" in row


def test_one_side_of_a_case_gives_its_seconds_and_memory(monkeypatch, capsys):
  case = Case('a', lambda: lambda: Took(2.0, 1.0))
  took = measured(monkeypatch, capsys, case)
  assert (took['seconds'], took['compile_seconds']) == (2.0, 1.0)
  assert 10 < took['mib'] < 10_000
  assert '2.000' in bench.row({'case': 'a', 'ours': took})


def test_explored_nodes_become_nodes_a_second(monkeypatch, capsys):
  case = Case('a', lambda: lambda: Took(2.0, 1.0, 5000))
  took = measured(monkeypatch, capsys, case)
  assert bench.row({'case': 'a', 'ours': took}).endswith('2.5e+03 nodes/s')
  case = Case('a', lambda: lambda: Took(2.0, 1.0))
  took = measured(monkeypatch, capsys, case)
  assert 'nodes' not in bench.row({'case': 'a', 'ours': took})


def test_the_plain_enumeration_gives_our_modes_and_marginals(mlc_data):
  del mlc_data  # It skips.
  data = data_lib.load('mulan/emotions').standardised()
  model = build.model(inference.CHAIN, {'name': 'Linear'}, data.num_labels)
  config = ml_collections.ConfigDict({'l2': 1.0, 'optimizer': {}})
  fitted = convex.fit(model, data, config, [0])
  variables = jax.tree.map(lambda a: jax.numpy.asarray(a[0]), fitted.variables)
  posterior = methods.exact(model, variables, data.split('test').x)
  modes_NxL, likely_NxL = inference.plain('mulan/emotions')()
  # The peer stops a little short of the optimum.
  same_N = (modes_NxL == decisions.subset(posterior)).all(1)
  assert same_N.mean() > 0.97
  assert (likely_NxL == decisions.hamming(posterior)).mean() > 0.99


def test_timed_inference_counts_the_test_rows_nodes(mlc_data):
  del mlc_data  # It skips.
  rules = (decisions.subset, rankings.precision_at)
  took = inference.ours('mulan/emotions', 'beam(width=3)', rules)()
  assert took.nodes == 202 * 18  # Mena et al. (2016), Table 3.
  assert took.compile_seconds > 0 and 0 < took.seconds < 60


def test_every_suite_is_found_and_names_its_cases_apart():
  suites_here = {
    *('convex', 'data', 'growth', 'inference', 'models', 'training')
  }
  assert suites_here <= set(suites.names())
  for suite in suites_here:
    names = [(c.name, c.peer_name) for c in suites.cases(suite)]
    assert len(set(names)) == len(names)


def test_how_models_grow_is_in_their_table(tmp_path):
  results = [
    {
      'case': f'chain, L = {size}',
      'ours': {'seconds': 1e-6 * size**2, 'decode': 1e-5 * size, 'mib': 300.0},
    }
    for size in models.SIZES
  ]
  refused = {'seconds': math.nan, 'decode': math.nan, 'mib': 200.0}
  results.append({'case': 'ising, L = 983', 'ours': refused})
  models.finish(results, tmp_path)
  lines = (tmp_path / 'models.md').read_text().splitlines()
  chain, ising = ([c.strip() for c in line.split('|')] for line in lines[2:])
  assert chain[1:6] == ['chain', '0.2', '25.3', '966.3', '2.00']
  assert chain[9:11] == ['1.00', '300']
  assert ising[1:11] == ['ising', *['–'] * 8, '200']


def flat(params):
  """Each array of a flax tree by its path, as in 'encoder.Dense_0.kernel'."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(params)
  return {
    '.'.join(key.key for key in path): np.asarray(leaf) for path, leaf in leaves
  }


def fill(torch, model, masked, ours, peer):
  """Copies the weights of a flax model into its peer."""

  def put(parameter, array):
    array = np.array(array, order='C')
    assert parameter.shape == array.shape
    parameter.data = torch.from_numpy(array)

  def dense(layer, name):
    put(layer.weight, ours[f'{name}.kernel'].T)
    put(layer.bias, ours[f'{name}.bias'])

  def norm(layer, name):
    put(layer.weight, ours[f'{name}.scale'])
    put(layer.bias, ours[f'{name}.bias'])

  if model != 'nets':
    dense(peer.encoder[0], 'encoder.Dense_0')
    norm(peer.encoder[1], 'encoder.LayerNorm_0')
  if model == 'independent':
    dense(peer.head, 'head')
  elif model == 'transformer':
    fill_transformer(put, dense, norm, ours, peer)
  elif masked:
    dense(peer.from_h, 'from_h')
    put(peer.kernel_LxLxH, ours['label_kernel'])
    if model == 'nets':
      put(peer.out_LxH, ours['out_kernel'])
      put(peer.bias_L, ours['bias'])
  else:
    for label, link in enumerate(peer.links):
      first = link[0] if model == 'nets' else link
      width = len(first.bias)
      at = slice(label * width, (label + 1) * width)
      from_h = ours['from_h.kernel'][:, at]
      from_y = ours['label_kernel'][:label, label]
      put(first.weight, np.concatenate([from_h, from_y]).T)
      put(first.bias, ours['from_h.bias'][at])
      if model == 'nets':
        put(link[2].weight, ours['out_kernel'][label][None])
        put(link[2].bias, ours['bias'][label][None])


def fill_transformer(put, dense, norm, ours, peer):
  off, on = ours['tokens.off_embedding'], ours['tokens.on_embedding']
  values = np.stack([off, on], 1).reshape(-1, off.shape[1])
  start = ours['tokens.start_embedding'][None]
  put(peer.values.weight, np.concatenate([values, start]))
  put(peer.queries.weight, ours['tokens.query_embedding'])
  dense(peer.context, 'context')
  put(peer.out_LxH, ours['readout.kernel'])
  put(peer.bias_L, ours['readout.bias'])
  norm(peer.blocks.norm, 'norm')
  for number, block in enumerate(peer.blocks.layers):
    at, width = f'blocks_{number}', off.shape[1]
    names = [f'{at}.{name}' for name in ('query', 'key', 'value')]
    kernels = [ours[f'{name}.kernel'].reshape(width, -1).T for name in names]
    put(block.self_attn.in_proj_weight, np.concatenate(kernels))
    biases = [ours[f'{name}.bias'].ravel() for name in names]
    put(block.self_attn.in_proj_bias, np.concatenate(biases))
    out = ours[f'{at}.out.kernel'].reshape(-1, width).T
    put(block.self_attn.out_proj.weight, out)
    put(block.self_attn.out_proj.bias, ours[f'{at}.out.bias'])
    norm(block.norm1, f'{at}.norm_attention')
    norm(block.norm2, f'{at}.norm_mlp')
    dense(block.linear1, f'{at}.widen')
    dense(block.linear2, f'{at}.narrow')


def test_peers_are_the_same_models():
  torch = pytest.importorskip('torch', reason='the extra `bench` has it')
  from experiments import plain_torch

  rng = np.random.default_rng(0)
  x = rng.standard_normal((5, 7), np.float32)
  y = (rng.random((5, 4)) < 0.5).astype(np.float32)
  for model in ('independent', 'chain', 'nets', 'transformer'):
    config = training.config_of(model, 'yeast', 1)
    net = build.model(config.model, config.encoder, 4)
    variables = net.init(
      {'params': jax.random.key(0), 'order': jax.random.key(1)},
      x, y, np.ones_like(y), method='loss',
    )  # fmt: skip
    ours = flat(variables['params'])
    want = net.apply(variables, x, y, method='log_prob')
    for masked in (False, True) if model in ('chain', 'nets') else (False,):
      peer = plain_torch.network(model, config, 7, 4, masked).eval()
      fill(torch, model, masked, ours, peer)
      with torch.no_grad():
        logits = peer(torch.from_numpy(x), torch.from_numpy(y)).numpy()
      got = -np.logaddexp(0, (1 - 2 * y) * logits).sum(1)
      np.testing.assert_allclose(got, want, rtol=1e-4, err_msg=model)
