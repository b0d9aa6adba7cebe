"""Decoding K runs in batches, and what validation rows are fitted for."""

import contract
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from mlc import build, evaluate, scoring
from mlc.errors import InputError
from mlc.models import chain, independent, powerset


def stacked(cls, num_runs=2):
  """K runs of a model, as training leaves them."""
  cases = [contract.case(contract.make(cls), seed) for seed in range(num_runs)]
  variables = jax.tree.map(
    lambda *a: jnp.stack(a), *(case.variables for case in cases)
  )
  return cases, variables


@pytest.fixture(scope='module')
def chains():
  return stacked(chain.Model)


@pytest.fixture(scope='module')
def heads():
  return stacked(independent.Model)


def decoder(cases, call='exact', **options):
  options = {'batch_size': 7} | options
  return evaluate.Decoder(cases[0].model, build.infer(call), **options)


def test_fewer_rows_at_once_where_memory_is_short_and_the_same_answers(chains):
  cases, variables = chains
  rows = contract.dataset().split('test')
  calls = 'hamming', 'fbeta(beta=2.0)', 'ranking_loss'
  wide = decoder(cases, batch_size=100, memory_mib=1000)
  num_rows = len(rows.y)
  assert wide._rows_at_once(variables, rows.x, None) == num_rows
  keys = jax.random.split(jax.random.key(0), 2)
  whole = wide.infer.mib(variables, jnp.asarray(rows.x), keys, None)
  tight = decoder(cases, batch_size=100, memory_mib=whole / 3)
  step = tight._rows_at_once(variables, rows.x, None)
  assert 1 <= step < num_rows
  part = tight.infer.mib(variables, jnp.asarray(rows.x[:step]), keys, None)
  assert step == 1 or part <= whole / 3
  few, all_at_once = (d(variables, rows, calls) for d in (tight, wide))
  for call in calls:
    np.testing.assert_allclose(
      few.answers[call], all_at_once.answers[call], atol=1e-6
    )
  np.testing.assert_allclose(few.log_prob_KxN, all_at_once.log_prob_KxN, 1e-5)
  np.testing.assert_array_equal(few.nodes_KxN, 2.0 ** (contract.L + 1) - 1)


def test_a_row_is_never_refused_for_its_size(chains):
  cases, variables = chains
  rows = contract.dataset().split('test')
  tight = decoder(cases, memory_mib=1e-9)
  assert tight._rows_at_once(variables, rows.x, None) == 1


@pytest.mark.parametrize('given', [(1, -1, 0, -1), (2, -1, -1, -1)])
@pytest.mark.parametrize('call', ['exact', 'beam(width=16)'])
def test_rules_decide_the_free_labels_alone(chains, given, call):
  cases, variables = chains
  rows = contract.dataset().split('test')
  given_NxL = np.where(np.array(given) == 2, rows.y, given).astype(np.int8)
  free = np.flatnonzero(given_NxL[0] < 0)
  found = decoder(cases, call)(
    variables, rows, ('f1', 'hamming', 'one_error'), given_NxL=given_NxL
  )
  for run in range(2):
    logp_UxN = np.stack(
      [
        cases[run].model.apply(
          cases[run].variables, rows.x,
          np.tile(y, (len(rows.y), 1)).astype(np.float32), method='log_prob',
        )
        for y in contract.SETS_UxL
      ]
    )  # fmt: skip
    for n, given_L in enumerate(given_NxL):
      fits = ((contract.SETS_UxL == given_L) | (given_L < 0)).all(1)
      sets, p = contract.SETS_UxL[fits][:, free], np.exp(logp_UxN[fits, n])
      p /= p.sum()
      both = sets @ sets.T
      size = sets.sum(1)
      value = 2 * both / np.maximum(size[:, None] + size[None], 1)
      value[(size[:, None] + size[None]) == 0] = 1
      best = sets[np.argmax(value @ p)]
      answer = found.answers['f1'][run, n]
      np.testing.assert_array_equal(answer[free], best)
      fixed = given_L >= 0
      np.testing.assert_array_equal(answer[fixed], given_L[fixed])
      top = found.answers['one_error'][run, n, free].argmax()
      assert top == (p @ sets).argmax()


def test_what_is_given_is_not_calibrated(heads):
  cases, variables = heads
  data = contract.dataset()
  rows = data.split('test')
  decode = decoder(cases)
  fitted = decode.fit(variables, data.split('valid'), (), 'isotonic')
  given_NxL = np.tile(np.array([1, 0, -1, -1], np.int8), (len(rows.y), 1))
  found = decode(
    variables, rows, ('hamming',), fitted=fitted, given_NxL=given_NxL
  )
  np.testing.assert_array_equal(found.marginals_KxNxL[..., 0], 1)
  np.testing.assert_array_equal(found.marginals_KxNxL[..., 1], 0)
  with pytest.raises(InputError, match='every label is given'):
    decode(variables, rows, ('hamming',), given_NxL=np.abs(given_NxL))


def test_platt_on_heads_reaches_every_decision_and_survives_saving(heads):
  cases, variables = heads
  data = contract.dataset()
  valid, test = data.split('valid'), data.split('test')
  calls = 'hamming', 'scut'
  decode = decoder(cases)
  fitted = decode.fit(variables, valid, calls, 'platt(per_label=False)')
  again = evaluate.Fitted.of(fitted.arrays(calls), calls)
  plain = decode(variables, test, ('hamming',))
  found = decode(variables, test, calls, fitted=again)
  np.testing.assert_array_equal(found.raw_KxNxL, plain.marginals_KxNxL)
  for run, (before, after) in enumerate(
    zip(found.raw_KxNxL, found.marginals_KxNxL, strict=True)
  ):
    # One slope and one offset in logits, from two cells: then all others.
    x, y = special.logit(before.ravel()), special.logit(after.ravel())
    slope, offset = np.polyfit(x, y, 1)
    np.testing.assert_allclose(y, slope * x + offset, atol=2e-3)
    assert abs(slope - 1) > 0.05
    np.testing.assert_array_equal(found.answers['hamming'][run], after > 0.5)
    cut = fitted.cuts['scut']
    np.testing.assert_array_equal(
      found.answers['scut'][run], after > np.asarray(cut.t_L)[run]
    )
  assert (found.answers['hamming'] != plain.answers['hamming']).any()


def test_a_joint_keeps_its_weights_when_its_marginals_are_calibrated(chains):
  cases, variables = chains
  data = contract.dataset()
  decode = decoder(cases)
  fitted = decode.fit(variables, data.split('valid'), (), 'temperature')
  test = data.split('test')
  plain = decode(variables, test, ('subset', 'f1'))
  found = decode(variables, test, ('subset', 'f1'), fitted=fitted)
  assert np.abs(found.marginals_KxNxL - plain.marginals_KxNxL).max() > 0.01
  for call, answer in plain.answers.items():
    np.testing.assert_array_equal(found.answers[call], answer)


def test_thresholds_and_calibration_need_validation_rows(heads):
  cases, variables = heads
  decode = decoder(cases)
  valid = jax.tree.map(lambda a: a[:0], contract.dataset().split('valid'))
  assert decode.fit(variables, valid, ('hamming',)) == evaluate.NOTHING
  for calls, calibration, name in (
    (('scut',), 'none', 'scut'),
    (('hamming',), 'platt', 'platt'),
  ):
    with pytest.raises(InputError, match=f'{name} is fitted on validation'):
      decode.fit(variables, valid, calls, calibration)


def test_label_sets_and_rankings_have_metrics_of_their_own(chains):
  cases, variables = chains
  rows = contract.dataset().split('test')
  names = 'hamming_loss', 'precision_at_1', 'nll', 'psp_at_2'
  found = decoder(cases)(variables, rows, ('hamming', 'one_error'))
  propensity_L = np.full(contract.L, 0.5, np.float32)
  got = scoring.scores(found, rows, names, propensity_L)
  assert tuple(got['hamming']) == names
  assert tuple(got['one_error']) == names[1:]
  top_KxN = found.answers['one_error'].argmax(-1)
  right_KxN = np.take_along_axis(rows.y[None], top_KxN[..., None], 2)[..., 0]
  value_K, without_K = got['one_error']['precision_at_1']
  np.testing.assert_allclose(value_K, right_KxN.mean(1), rtol=1e-6)
  assert not without_K.any()


def test_metrics_by_parts_of_the_rows_are_those_of_all(chains, monkeypatch):
  cases, variables = chains
  rows = contract.dataset().split('test')
  names = 'macro_f1', 'macro_auroc', 'ece', 'nll', 'lrap'
  found = decoder(cases)(variables, rows, ('f1',))
  whole = scoring.scores(found, rows, names)['f1']
  monkeypatch.setattr(scoring, 'CELLS', 5 * 2 * contract.L)
  parts = scoring.scores(found, rows, names)['f1']
  for name in names:
    np.testing.assert_allclose(parts[name], whole[name], rtol=1e-5)


@pytest.mark.parametrize('call', ['exact', 'sampled_marginals(samples=20)'])
def test_given_labels_without_a_candidate_are_told(heads, call):
  cases, variables = stacked(powerset.Model)
  structure = dict(variables['structure'])
  # No label set has the first label on.
  structure['support'] = structure['support'].at[..., 0].set(0)
  variables = variables | {'structure': structure}
  rows = contract.dataset().split('test')
  given_NxL = np.tile(np.array([1, 0, -1, -1], np.int8), (len(rows.y), 1))
  rule = ('hamming',)
  with pytest.raises(InputError, match='rows of a batch: no candidate has'):
    decoder(cases, call)(variables, rows, rule, given_NxL=given_NxL)
  # Independent labels can be anything.
  cases, variables = heads
  found = decoder(cases)(variables, rows, rule, given_NxL=given_NxL)
  for label in (0, 1):
    answer_KxN = found.answers['hamming'][..., label]
    np.testing.assert_array_equal(answer_KxN, given_NxL[0, label])
