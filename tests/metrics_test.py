"""Metrics against scikit-learn and, for masks, plain loops."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
import jax
import numpy as np
import pytest
from sklearn import metrics as oracle

from mlc import metrics, stats

N, L = 16, 7
_decision_metrics = jax.jit(metrics.decision_metrics)
_lrap = jax.jit(metrics.lrap)
_nll, _unseen = jax.jit(metrics.nll), jax.jit(metrics.unseen)

unit = st.floats(0, 1)
seeds = st.integers(0, 2**31)
few = settings(max_examples=40, deadline=None, derandomize=True)


def _draw(seed, density, observed=1.0, levels=1000):
  """Answers, scores with ties, truths and mask; some rows, columns empty."""
  rng = np.random.default_rng(seed)
  y_NxL = (rng.random((N, L)) < density).astype(np.int8)
  yhat_NxL = (rng.random((N, L)) < density).astype(np.int8)
  y_NxL[:2] = yhat_NxL[1:3] = y_NxL[:, 0] = yhat_NxL[:, :2] = 0
  y_NxL[3], yhat_NxL[4] = 1, y_NxL[4]
  scores_NxL = (rng.integers(levels, size=(N, L)) / 8).astype(np.float32)
  mask_NxL = (rng.random((N, L)) < observed).astype(np.float32)
  return yhat_NxL, scores_NxL, y_NxL, mask_NxL


@few
@given(seed=seeds, density=unit)
def test_decision_metrics_equal_scikit_learn(seed, density):
  yhat_NxL, _, y_NxL, mask_NxL = _draw(seed, density)
  f1: Any = oracle.f1_score
  want = {
    'hamming_loss': oracle.hamming_loss(y_NxL, yhat_NxL),
    'subset_accuracy': oracle.accuracy_score(y_NxL, yhat_NxL),
    'example_f1': f1(y_NxL, yhat_NxL, average='samples', zero_division=1),
    'micro_f1': f1(y_NxL, yhat_NxL, average='micro', zero_division=0),
    'macro_f1': f1(y_NxL, yhat_NxL, average='macro', zero_division=0),
  }
  got = _decision_metrics(yhat_NxL, y_NxL, mask_NxL)
  assert got == pytest.approx(want, abs=1e-6)


@few
@given(seed=seeds, density=unit, levels=st.sampled_from([1, 2, 5, 1000]))
def test_lrap_equals_scikit_learn(seed, density, levels):
  _, scores_NxL, y_NxL, mask_NxL = _draw(seed, density, 1.0, levels)
  want = oracle.label_ranking_average_precision_score(y_NxL, scores_NxL)
  assert _lrap(scores_NxL, y_NxL, mask_NxL) == pytest.approx(want, abs=1e-6)


def _f1(a, b, zero_division):
  size = a.sum() + b.sum()
  return 2 * (a * b).sum() / size if size else zero_division


@few
@given(seed=seeds, density=unit, observed=st.floats(0.05, 1))
def test_metrics_see_the_observed_cells_only(seed, density, observed):
  yhat_NxL, scores_NxL, y_NxL, mask_NxL = _draw(seed, density, observed, 5)
  mask_NxL[5:7] = mask_NxL[:, 3] = 0
  mask_NxL[0, 0] = 1
  seen_NxL = mask_NxL > 0
  rows = [
    (yhat_NxL[n, m], y_NxL[n, m], scores_NxL[n, m])
    for n, m in enumerate(seen_NxL)
    if m.any()
  ]
  labels = [
    (yhat_NxL[m, l], y_NxL[m, l]) for l, m in enumerate(seen_NxL.T) if m.any()
  ]
  yhat_C, y_C = yhat_NxL[seen_NxL], y_NxL[seen_NxL]
  want = {
    'hamming_loss': np.mean(yhat_C != y_C),
    'subset_accuracy': np.mean([(a == b).all() for a, b, _ in rows]),
    'example_f1': np.mean([_f1(a, b, 1) for a, b, _ in rows]),
    'micro_f1': _f1(yhat_C, y_C, 0),
    'macro_f1': np.mean([_f1(a, b, 0) for a, b in labels]),
  }
  lrap = oracle.label_ranking_average_precision_score
  # Two labels at least, else scikit-learn takes the row for another problem.
  ranked = [lrap(b[None], s[None]) if len(b) > 1 else 1 for _, b, s in rows]
  got = _decision_metrics(yhat_NxL, y_NxL, mask_NxL)
  assert got == pytest.approx(want, abs=1e-6)
  got = _lrap(scores_NxL, y_NxL, mask_NxL)
  assert got == pytest.approx(np.mean(ranked), abs=1e-6)

  # What stands in a masked cell has no effect, not even nan.
  hidden = np.where(seen_NxL, y_NxL, np.nan).astype(np.float32)
  answer = np.where(seen_NxL, yhat_NxL, np.nan).astype(np.float32)
  score = np.where(seen_NxL, scores_NxL, np.nan).astype(np.float32)
  got = _decision_metrics(answer, hidden, mask_NxL)
  assert got == pytest.approx(want, abs=1e-6)
  got = _lrap(score, hidden, mask_NxL)
  assert got == pytest.approx(np.mean(ranked), abs=1e-6)


def test_zero_division():
  zero, one = np.zeros((2, 3)), np.ones((2, 3))
  got = _decision_metrics(zero, zero, one)
  assert got['example_f1'] == 1 and got['subset_accuracy'] == 1
  assert got['micro_f1'] == 0 and got['macro_f1'] == 0
  assert _lrap(zero, zero, one) == 1 and _lrap(zero, one, one) == 1
  nothing = _decision_metrics(zero, zero, zero)
  assert np.isnan(list(nothing.values())).all()
  assert np.isnan(_lrap(zero, zero, zero))


def test_lrap_of_nan_scores_is_nan():
  score = np.array([[np.nan, 1, 2], [0, 1, 2]])
  y = np.array([[0, 1, 0], [1, 0, 0]])
  assert np.isnan(_lrap(score, y, np.ones((2, 3))))


def test_nll_and_unseen_rows():
  log_prob_N = np.log([0.5, 0.25, 1e-9, 1])
  rows_N = np.array([1, 1, 0, 0])
  assert _nll(log_prob_N, rows_N) == pytest.approx(1.5 * np.log(2))
  assert _unseen(log_prob_N, rows_N) == 0
  log_prob_N[1:3] = -np.inf
  assert _nll(log_prob_N, rows_N) == np.inf
  assert _unseen(log_prob_N, rows_N) == 1


def test_better_answers_score_in_the_stated_direction():
  yhat_NxL, scores_NxL, y_NxL, mask_NxL = _draw(0, 0.5)
  worse = _decision_metrics(yhat_NxL, y_NxL, mask_NxL)
  better = _decision_metrics(y_NxL, y_NxL, mask_NxL)
  worse['lrap'] = _lrap(scores_NxL, y_NxL, mask_NxL)
  better['lrap'] = _lrap(y_NxL.astype(float), y_NxL, mask_NxL)
  rows_N = np.ones(3)
  worse['nll'] = _nll(np.log([0.1, 0.2, 0.3]), rows_N)
  better['nll'] = _nll(np.log([0.2, 0.3, 0.4]), rows_N)
  for name, value in worse.items():
    assert (better[name] < value) == stats.METRICS[name].lower, name


def test_vmap_equals_a_loop():
  runs = [_draw(seed, 0.4, 0.8, 5) for seed in range(3)]
  yhat, scores, y, mask = (np.stack(a) for a in zip(*runs, strict=True))
  got = jax.vmap(_decision_metrics)(yhat, y, mask)
  for name, value_K in got.items():
    want_K = [_decision_metrics(r[0], *r[2:])[name] for r in runs]
    np.testing.assert_allclose(value_K, want_K, rtol=1e-6)
  want_K = [_lrap(*r[1:]) for r in runs]
  np.testing.assert_allclose(jax.vmap(_lrap)(scores, y, mask), want_K, 1e-6)
