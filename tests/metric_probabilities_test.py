"""Metrics of probabilities against scikit-learn and against plain loops."""

from hypothesis import given, settings
from hypothesis import strategies as st
import jax
from metric_cases import MEASURE, case, measured
import metric_oracle as oracle
import numpy as np
import pytest
from sklearn import metrics as sk

from mlc import metrics

unit = st.floats(0, 1)
seeds = st.integers(0, 2**31)
few = settings(max_examples=30, deadline=None, derandomize=True)


@few
@given(seed=seeds, density=unit, observed=st.floats(0.05, 1))
def test_probabilities_are_judged_as_by_loops(seed, density, observed):
  p_NxL, y_NxL, mask_NxL = case('probabilities', seed, density, observed)
  soft_NxL = np.random.default_rng(seed).random(y_NxL.shape)
  for truth_NxL in (y_NxL, np.float32(soft_NxL)):
    want = oracle.of_probabilities(p_NxL, truth_NxL, mask_NxL)
    got = MEASURE['probabilities'](p_NxL, truth_NxL, mask_NxL)
    assert got == pytest.approx(want, rel=1e-5, abs=1e-6)


@few
@given(seed=seeds, density=unit)
def test_probabilities_are_judged_as_by_scikit_learn(seed, density):
  # 0 and 1 among them, which log_loss clips by the float's precision.
  p_NxL, y_NxL, mask_NxL = case('probabilities', seed, density, 1.0)
  got = MEASURE['probabilities'](p_NxL, y_NxL, mask_NxL)
  y_C, p_C = y_NxL.ravel(), p_NxL.ravel()
  assert got['brier'] == pytest.approx(sk.brier_score_loss(y_C, p_C), abs=1e-6)
  want = sk.log_loss(y_C, p_C, labels=[0, 1])
  assert got['label_nll'] == pytest.approx(want, rel=1e-5)


def test_a_soft_label_is_worth_its_share_of_both():
  """y = .25 is as one positive and three negatives."""
  rng = np.random.default_rng(0)
  p_NxL, one_NxL = rng.random((4, 3), np.float32), np.ones((4, 3))
  fourths_NxL = rng.integers(0, 5, (4, 3))
  hard = [fourths_NxL > i for i in range(4)]
  got = measured('probabilities', p_NxL, fourths_NxL / 4, one_NxL)
  want = measured(
    'probabilities',
    *(np.concatenate(a) for a in ([p_NxL] * 4, hard, [one_NxL] * 4)),
  )
  assert got == pytest.approx(want, rel=1e-5)


def test_ece_of_what_is_calibrated_is_small():
  ece = jax.jit(metrics.ece)
  rng = np.random.default_rng(0)
  p_NxL = rng.random((50_000, 4), np.float32)
  y_NxL = rng.random(p_NxL.shape) < p_NxL
  one_NxL = np.ones_like(p_NxL)
  assert ece(p_NxL, y_NxL, one_NxL) < 0.005
  # All of them 1/8 too high, if they can.
  high_NxL = np.minimum(p_NxL + 0.125, 1)
  gap = (high_NxL - p_NxL).mean()
  assert ece(high_NxL, y_NxL, one_NxL) == pytest.approx(gap, abs=0.005)
  # The last bin holds 1 itself.
  assert ece(one_NxL, one_NxL > 0, one_NxL) == 0


def test_nll_and_impossible_rows():
  log_prob_N = np.log([0.5, 0.25, 1e-9, 1])
  rows_N = np.array([1, 1, 0, 0])
  assert metrics.nll(log_prob_N, rows_N) == pytest.approx(1.5 * np.log(2))
  assert metrics.unseen(log_prob_N, rows_N) == 0
  log_prob_N[1:3] = -np.inf
  assert metrics.nll(log_prob_N, rows_N) == np.inf
  assert metrics.unseen(log_prob_N, rows_N) == 1
