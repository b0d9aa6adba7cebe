"""Metrics of answers against scikit-learn and against plain loops."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from metric_cases import MEASURE, measured
import metric_oracle as oracle
import numpy as np
import pytest
from sklearn import metrics as sk

from mlc import metrics

unit = st.floats(0, 1)
seeds = st.integers(0, 2**31)
few = settings(max_examples=30, deadline=None, derandomize=True)
AVERAGES = {'example': 'samples', 'micro': 'micro', 'macro': 'macro'}
AVERAGES['weighted'] = 'weighted'
SCORES: dict[str, Any] = {
  'precision': sk.precision_score,
  'recall': sk.recall_score,
  'f1': sk.f1_score,
  'jaccard': sk.jaccard_score,
}


@few
@given(seed=seeds, density=unit)
def test_answers_are_judged_as_by_scikit_learn(seed, density):
  yhat_NxL, _, y_NxL, mask_NxL = oracle.draw(seed, density)
  want = {
    'hamming_loss': sk.hamming_loss(y_NxL, yhat_NxL),
    'subset_accuracy': sk.accuracy_score(y_NxL, yhat_NxL),
  }
  for ours, average in AVERAGES.items():
    for name, score in SCORES.items():
      # scikit-learn has one value for all 0/0: ours depends on the other side.
      if ours == 'example' and name in ('precision', 'recall'):
        continue
      kwargs = {'average': average, 'zero_division': float(ours == 'example')}
      want[f'{ours}_{name}'] = score(y_NxL, yhat_NxL, **kwargs)
  for beta in (0.5, 2.0):
    want[f'example_fbeta(beta={beta})'] = sk.fbeta_score(
      y_NxL, yhat_NxL, beta=beta, average='samples', zero_division=1.0
    )
  # Where neither side is empty there is no 0/0.
  full_N = y_NxL.any(1) & yhat_NxL.any(1) & ~y_NxL.all(1) & ~yhat_NxL.all(1)
  got = MEASURE['answer'](yhat_NxL, y_NxL, mask_NxL)
  assert {k: got[k] for k in want} == pytest.approx(want, abs=1e-6)
  if not full_N.any():
    return
  y_NxL, yhat_NxL = y_NxL[full_N], yhat_NxL[full_N]
  precision, recall = (
    score(y_NxL, yhat_NxL, average='samples')
    for score in (sk.precision_score, sk.recall_score)
  )
  npv, specificity = (
    score(1 - y_NxL, 1 - yhat_NxL, average='samples')
    for score in (sk.precision_score, sk.recall_score)
  )
  rows = np.zeros_like(mask_NxL)
  rows[full_N] = 1
  got = MEASURE['answer'](*oracle.draw(seed, density)[::2], rows)
  assert {
    f'example_{k}': got[f'example_{k}']
    for k in (
      *('precision', 'recall', 'npv', 'specificity'),
      *('informedness', 'markedness'),
    )
  } == pytest.approx(
    {
      'example_precision': precision,
      'example_recall': recall,
      'example_npv': npv,
      'example_specificity': specificity,
      'example_informedness': (recall + specificity) / 2,
      'example_markedness': (precision + npv) / 2,
    },
    abs=1e-6,
  )


@few
@given(seed=seeds, density=unit, observed=st.floats(0.05, 1), silent=unit)
def test_answers_are_judged_as_by_loops(seed, density, observed, silent):
  yhat_NxL, _, y_NxL, mask_NxL = oracle.draw(seed, density, observed)
  rng = np.random.default_rng(seed)
  yhat_NxL[rng.random(yhat_NxL.shape) < silent / 2] = -1
  spoken_NxL = (mask_NxL > 0) & (yhat_NxL >= 0)
  if not spoken_NxL.any():
    return
  want = oracle.of_answer(yhat_NxL, y_NxL, mask_NxL)
  got = MEASURE['answer'](yhat_NxL, y_NxL, mask_NxL)
  assert got == pytest.approx(want, abs=1e-6)


# Answer and truth of one row of 3 labels -> precision, recall, f1, specificity,
# npv, informedness, markedness.
CONVENTIONS = {
  'both empty': ('000', '000', (1, 1, 1, 1, 1, 1, 1)),
  'empty answer': ('000', '100', (0, 0, 0, 1, 2 / 3, 0.5, 5 / 6)),
  'empty truth': ('100', '000', (0, 0, 0, 2 / 3, 1, 1 / 3, 0.5)),
  'all answered': ('111', '100', (1 / 3, 1, 0.5, 0, 1, 0.5, 2 / 3)),
  'all true': ('100', '111', (1, 1 / 3, 0.5, 1, 0, 2 / 3, 0.5)),
  'both full': ('111', '111', (1, 1, 1, 1, 1, 1, 1)),
  'opposite': ('111', '000', (0, 0, 0, 0, 1, 0, 0.5)),
  'opposite too': ('000', '111', (0, 0, 0, 1, 0, 0.5, 0.5)),
}


@pytest.mark.parametrize('case', CONVENTIONS)
def test_zero_division(case):
  answer, truth, want = CONVENTIONS[case]
  a_1xL, y_1xL = (np.array([list(map(int, s))]) for s in (answer, truth))
  got = measured('answer', a_1xL, y_1xL, np.ones((1, 3)))
  names = 'precision', 'recall', 'f1', 'specificity', 'npv'
  for name, value in zip(
    (*names, 'informedness', 'markedness'), want, strict=True
  ):
    assert got[f'example_{name}'] == pytest.approx(value), name


def test_zero_division_of_labels_is_0():
  zero_NxL, one_NxL = np.zeros((2, 3)), np.ones((2, 3))
  got = measured('answer', zero_NxL, zero_NxL, one_NxL)
  assert got['example_f1'] == 1 and got['subset_accuracy'] == 1
  for average in ('micro', 'macro', 'weighted'):
    for name in SCORES:
      assert got[f'{average}_{name}'] == 0


@few
@given(seed=seeds, observed=st.floats(0.05, 0.9))
def test_labels_that_are_not_observed_are_counted(seed, observed):
  yhat_NxL, scores_NxL, y_NxL, mask_NxL = oracle.draw(seed, 0.4, observed)
  sums = metrics.macro_f1.update(yhat_NxL, y_NxL, mask_NxL)
  want = oracle.skipped(scores_NxL, y_NxL, mask_NxL)['macro_f1']
  assert metrics.macro_f1.skipped(sums) == want > 0
  assert metrics.micro_f1.skipped(sums) == 0
