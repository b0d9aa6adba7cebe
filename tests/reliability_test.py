"""The diagram shows what NumPy counts, and the ECE of the metric."""

import io

import numpy as np
import pytest

from mlc import metrics
from mlc.tables import reliability


def _draw(K=2, N=500, L=3):
  rng = np.random.default_rng(0)
  p_KxNxL = rng.beta(0.6, 0.9, (K, N, L)).astype(np.float32)
  p_KxNxL[p_KxNxL > 0.93] = 0.5  # No cell in the last bin.
  y_NxL = (rng.random((N, L)) < 0.4).astype(np.float32)
  mask_NxL = (rng.random((N, L)) < 0.8).astype(np.float32)
  return p_KxNxL, y_NxL, mask_NxL


def _ece(p, y):
  bins = np.minimum((p.astype(float) * 15).astype(int), 14)
  return sum(
    abs(p[bins == m].mean(dtype=float) - y[bins == m].mean(dtype=float))
    * np.mean(bins == m)
    for m in set(bins)
  )


def test_the_curve_is_the_frequency_in_each_bin_and_the_title_the_metric():
  p_KxNxL, y_NxL, mask_NxL = _draw()
  figure = reliability.diagram({'none': p_KxNxL}, y_NxL, mask_NxL, title='t')
  above, below = figure.axes
  seen_NxL = mask_NxL > 0
  p = np.concatenate([p_NxL[seen_NxL] for p_NxL in p_KxNxL]).astype(float)
  y = np.tile(y_NxL[seen_NxL], 2)
  bins = np.minimum((p * 15).astype(int), 14)
  assert 14 not in bins
  want_Mx2 = [[p[bins == m].mean(), y[bins == m].mean()] for m in range(14)]
  curve = above.lines[1]
  np.testing.assert_allclose(curve.get_xydata(), want_Mx2, atol=1e-5)
  bars = [bar.get_height() for bar in below.patches]
  np.testing.assert_array_equal(bars, np.bincount(bins, minlength=15))
  each_K = [metrics.ece(p_NxL, y_NxL, mask_NxL) for p_NxL in p_KxNxL]
  name, ece = above.get_title(loc='left').split('\n')
  assert (name, ece) == ('none', f'ECE {np.mean(each_K):.4f}')
  want = [_ece(p_NxL[seen_NxL], y_NxL[seen_NxL]) for p_NxL in p_KxNxL]
  np.testing.assert_allclose(each_K, want, atol=1e-5)


def test_whiskers_are_the_interval_of_a_share():
  # Wilson's interval of 8 in 10, as in Newcombe, Statistics in Medicine 1998
  # for others: ends where (share - p)^2 = 1.96^2 p (1 - p) / n.
  low, high = reliability._wilson(np.array([0.8]), np.array([10.0]))
  for end in (low, high):
    assert (0.8 - end) ** 2 == pytest.approx(1.96**2 * end * (1 - end) / 10)
  assert low < 0.8 < high


@pytest.mark.parametrize('panels', [1, 2, 5])
def test_all_panels_are_drawn_and_named(panels):
  p_KxNxL, y_NxL, mask_NxL = _draw(K=1)
  named = {f'map_{i} $x': p_KxNxL ** (1 + i) for i in range(panels)}
  figure = reliability.diagram(named, y_NxL, mask_NxL)
  titles = [a.get_title(loc='left').split('\n')[0] for a in figure.axes]
  assert [t for t in titles if t] == list(named)
  file = io.BytesIO()
  figure.savefig(file, format='png')
  assert file.getvalue().startswith(b'\x89PNG')
