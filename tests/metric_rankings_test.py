"""Metrics of scores against scikit-learn and against plain loops."""

from hypothesis import given, settings
from hypothesis import strategies as st
import jax
from metric_cases import MEASURE, PROPENSITY_L, measured
import metric_oracle as oracle
import numpy as np
import pytest
from sklearn import metrics as sk

from mlc import metrics

unit = st.floats(0, 1)
seeds = st.integers(0, 2**31)
few = settings(max_examples=30, deadline=None, derandomize=True)
ties = st.sampled_from([1, 2, 5, 1000])


@few
@given(seed=seeds, density=unit, levels=ties)
def test_scores_are_judged_as_by_scikit_learn(seed, density, levels):
  _, s_NxL, y_NxL, mask_NxL = oracle.draw(seed, density, 1.0, levels)
  got = MEASURE['scores'](s_NxL, y_NxL, mask_NxL)
  lrap = sk.label_ranking_average_precision_score(y_NxL, s_NxL)
  want = {
    'lrap': lrap,
    'ranking_loss': sk.label_ranking_loss(y_NxL, s_NxL),
    **{f'ndcg_at_{k}': sk.ndcg_score(y_NxL, s_NxL, k=k) for k in (1, 3, 9)},
    'micro_average_precision': sk.average_precision_score(
      y_NxL, s_NxL, average='micro'
    ),
    'micro_auroc': sk.roc_auc_score(y_NxL, s_NxL, average='micro'),
  }
  # Rows and labels for which scikit-learn has no value are left out of both.
  some_N, some_L = y_NxL.any(1), y_NxL.any(0)
  both_N, both_L = some_N & ~y_NxL.all(1), some_L & ~y_NxL.all(0)
  want['example_average_precision'] = sk.average_precision_score(
    y_NxL[some_N], s_NxL[some_N], average='samples'
  )
  want['macro_average_precision'] = sk.average_precision_score(
    y_NxL[:, some_L], s_NxL[:, some_L], average='macro'
  )
  if both_N.any():
    want['example_auroc'] = sk.roc_auc_score(
      y_NxL[both_N], s_NxL[both_N], average='samples'
    )
  if both_L.any():
    want['macro_auroc'] = sk.roc_auc_score(
      y_NxL[:, both_L], s_NxL[:, both_L], average='macro'
    )
  want['au_prc'] = want['micro_average_precision']
  # scikit-learn's depth of a row without positives is 0, of others 1 or more.
  depth = sk.coverage_error(y_NxL, s_NxL)
  want['coverage'] = depth - some_N.mean()
  assert {k: got[k] for k in want} == pytest.approx(want, abs=2e-6)


@few
@given(seed=seeds, density=unit, observed=st.floats(0.05, 1), levels=ties)
def test_scores_are_judged_as_by_loops(seed, density, observed, levels):
  _, s_NxL, y_NxL, mask_NxL = oracle.draw(seed, density, observed, levels)
  got = MEASURE['scores'](s_NxL, y_NxL, mask_NxL)
  psp = got.pop('psp_at_3')
  want = oracle.of_scores(s_NxL, y_NxL, mask_NxL)
  assert got == pytest.approx(want, abs=2e-6, nan_ok=True)
  if (y_NxL * mask_NxL).any():
    want = oracle.psp(s_NxL, y_NxL, mask_NxL, PROPENSITY_L, 3)
    assert psp == pytest.approx(want, abs=2e-6)
  else:
    assert np.isnan(psp)


SKIPPING = jax.jit(
  lambda *args: {
    name: metrics.named(name).skipped(metrics.named(name).update(*args))
    for name in (
      *('macro_average_precision', 'macro_auroc'),
      *('example_average_precision', 'example_auroc'),
    )
  }
)


@few
@given(seed=seeds, density=unit, observed=st.floats(0.05, 1))
def test_what_has_no_value_is_counted(seed, density, observed):
  _, s_NxL, y_NxL, mask_NxL = oracle.draw(seed, density, observed, 5)
  want = oracle.skipped(s_NxL, y_NxL, mask_NxL)
  want.pop('macro_f1')
  assert SKIPPING(s_NxL, y_NxL, mask_NxL) == want


def test_ties_in_the_first_places_go_to_the_lower_index():
  def first(s_L, positive):
    y_1xL = np.eye(4)[None, positive]
    return measured('scores', np.array([s_L]), y_1xL, np.ones((1, 4)))

  yes, no = first([1.0, 2, 2, 0], 1), first([1.0, 2, 2, 0], 2)
  assert (yes['one_error'], no['one_error']) == (0, 1)
  assert (yes['precision_at_1'], no['precision_at_1']) == (1, 0)
  assert no['precision_at_3'] == pytest.approx(1 / 3)
  # Shared evenly, as scikit-learn does: half of the gain of the first place.
  assert (yes['ndcg_at_1'], no['ndcg_at_1']) == (0.5, 0.5)
  # -0 and 0 are equal.
  assert first([-0.0, 0.0, -0.0, -1], 0)['one_error'] == 0


def test_rows_without_positives():
  zero_NxL, one_NxL = np.zeros((3, 3)), np.ones((3, 3))
  got = measured('scores', np.eye(3), zero_NxL, one_NxL)
  assert got['one_error'] == got['lrap'] == 1
  for name in ('ranking_loss', 'coverage', 'precision_at_1', 'ndcg_at_3'):
    assert got[name] == 0, name
  for name in ('example_average_precision', 'micro_auroc', 'au_prc'):
    assert np.isnan(got[name]), name
  assert np.isnan(got['psp_at_3'])


def test_a_long_row_does_not_overflow():
  """100,000 labels: there are 2.5e9 pairs, more than an int32 counts."""
  y_1xL = np.arange(100_000)[None] % 2
  s_1xL = np.where(y_1xL > 0, 1.0, 2.0).astype(np.float32)
  seen_1xL = np.ones_like(s_1xL)
  chosen = metrics.ranking_loss, metrics.example_auroc
  run = jax.jit(lambda *args: metrics.measure(chosen, *args))
  got = run(s_1xL, y_1xL, seen_1xL)
  assert got['ranking_loss'] == pytest.approx(1)
  assert got['example_auroc'] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(('a', 'b'), [(0.55, 1.5), (0.6, 2.6)])
def test_propensities(a, b):
  """Jain et al.: 1 / (1 + (log N - 1) (B + 1)^A e^(-A log(n + B)))."""
  n_L = np.array([0, 1, 5, 1000])
  want = [
    1 / (1 + (np.log(4000) - 1) * (b + 1) ** a * np.exp(-a * np.log(n + b)))
    for n in n_L
  ]
  got_L = metrics.propensities(n_L, 4000, a, b)
  np.testing.assert_allclose(got_L, want)
  # A label with one positive: 1 / (1 + log N - 1), whatever a and b.
  assert got_L[1] == pytest.approx(1 / np.log(4000))
  assert (np.diff(got_L) > 0).all() and got_L[-1] < 1
  np.testing.assert_allclose(metrics.propensities(n_L, 2, a, b), 1)


def test_propensities_may_be_an_argument_of_a_compiled_function():
  def psp(propensity_L, *args):
    return metrics.named('psp_at_3', propensity_L=propensity_L)(*args)

  _, *args = oracle.draw(1, 0.4, 0.8)
  want = oracle.psp(*args, PROPENSITY_L, 3)
  assert jax.jit(psp)(PROPENSITY_L, *args) == pytest.approx(want, abs=2e-6)
