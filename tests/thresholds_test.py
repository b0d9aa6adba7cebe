"""Cuts against the best of all cuts, by brute force."""

import functools

from hypothesis import given, settings
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mlc.decisions import thresholds
from mlc.errors import InputError

N, L = 24, 6
FALSE_POSITIVE, FALSE_NEGATIVE = (1.0, 1.0, 3.0, 0.0, 2.0, 0.5), 1.5
OPTIONS = {
  'cost_cut': {
    'false_positive': FALSE_POSITIVE,
    'false_negative': FALSE_NEGATIVE,
  }
}
_f1_cuts = jax.jit(thresholds._f1_cuts)
_answer = jax.jit(thresholds.answer)


RULES = 'scut', 'global_cut', 'rcut', 'pcut', 'cost_cut'


def _rule(name):
  return functools.partial(getattr(thresholds, name), **OPTIONS.get(name, {}))


@jax.jit
def _all(p_NxL, y_NxL, mask_NxL):
  return {name: _rule(name)(p_NxL, y_NxL, mask_NxL) for name in RULES}


def _draw(seed, levels, density, observed):
  rng = np.random.default_rng(seed)
  p_NxL = rng.integers(1, levels + 1, (N, L)) / (levels + 2)
  y_NxL = (rng.random((N, L)) < density).astype(np.int8)
  mask_NxL = (rng.random((N, L)) < observed).astype(np.float32)
  y_NxL[:, 0], mask_NxL[:, 1] = 0, 0
  return p_NxL.astype(np.float32), y_NxL, mask_NxL


drawn = given(
  seed=st.integers(0, 2**31),
  levels=st.sampled_from([1, 2, 5, 1000]),
  density=st.floats(0, 1),
  observed=st.floats(0.1, 1),
)
some = settings(max_examples=40, deadline=None, derandomize=True)


def _f1(yes, y):
  return 2 * (yes & y).sum() / max(yes.sum() + y.sum(), 1)


def _cuts(p):
  """All there are, for scores between 0 and 1."""
  values = np.unique(p).astype(float)
  middles = (values[1:] + values[:-1]) / 2
  return [values[0] / 2, *middles, (values[-1] + 1) / 2]


def _best_cut(p, y, value, ideal=0.5):
  """The best of all cuts, of these the nearest `ideal`, then the higher."""
  scored = [
    (round(value(p > c, y), 9), -round(abs(c - ideal), 7), c) for c in _cuts(p)
  ]
  best = max(scored)
  return best[2], best[0]


def _observed(p_NxL, y_NxL, mask_NxL, l):
  seen_N = mask_NxL[:, l] > 0
  return p_NxL[seen_N, l], y_NxL[seen_N, l] > 0


@some
@drawn
def test_cuts_of_f1_are_the_best_of_all(seed, levels, density, observed):
  p_NxL, y_NxL, mask_NxL = _draw(seed, levels, density, observed)
  t_L = np.asarray(_f1_cuts(p_NxL, y_NxL, mask_NxL))
  for l in range(L):
    p, y = _observed(p_NxL, y_NxL, mask_NxL, l)
    if not y.any():
      assert t_L[l] == 0.5
      continue
    cut, best = _best_cut(p, y, _f1)
    assert t_L[l] == pytest.approx(cut, abs=1e-6)
    assert _f1(p > t_L[l], y) == pytest.approx(best)


@some
@drawn
def test_rules_give_the_best_of_all_cuts(seed, levels, density, observed):
  p_NxL, y_NxL, mask_NxL = _draw(seed, levels, density, observed)
  cuts = jax.tree.map(np.asarray, _all(p_NxL, y_NxL, mask_NxL))
  seen_NxL = mask_NxL > 0

  shared = 0.5
  if y_NxL[seen_NxL].any():
    shared, _ = _best_cut(p_NxL[seen_NxL], y_NxL[seen_NxL] > 0, _f1)
  np.testing.assert_allclose(cuts['global_cut'].t_L, [shared] * L, atol=1e-6)

  for l in range(L):
    p, y = _observed(p_NxL, y_NxL, mask_NxL, l)
    want = shared if y.sum() < 3 else _best_cut(p, y, _f1)[0]
    assert cuts['scut'].t_L[l] == pytest.approx(want, abs=1e-6)

    want = 0.5
    if len(y):
      want, _ = _best_cut(p, y, lambda yes, y: -abs(yes.sum() - y.sum()))
    assert cuts['pcut'].t_L[l] == pytest.approx(want, abs=1e-6)

    wrong_yes, wrong_no = FALSE_POSITIVE[l], FALSE_NEGATIVE
    want = ideal = wrong_yes / (wrong_yes + wrong_no)
    if len(y):
      want, _ = _best_cut(
        *(p, y),
        lambda yes, y, a=wrong_yes, b=wrong_no: (
          -(a * (yes & ~y).sum() + b * (y & ~yes).sum())
        ),
        ideal,
      )
    assert cuts['cost_cut'].t_L[l] == pytest.approx(want, abs=1e-6)

  for name in set(cuts) - {'rcut'}:
    assert cuts[name].k == L


def _example_f1(answer_NxL, y_NxL, seen_NxL):
  """Sum over rows with an observed label."""
  total = 0
  for a, y, seen in zip(answer_NxL > 0, y_NxL > 0, seen_NxL, strict=True):
    a, y = a[seen], y[seen]
    if seen.any():
      total += _f1(a, y) if (a | y).any() else 1
  return total


@some
@drawn
def test_rcut_takes_the_best_number_of_labels(seed, levels, density, observed):
  p_NxL, y_NxL, mask_NxL = _draw(seed, levels, density, observed)
  cut = _all(p_NxL, y_NxL, mask_NxL)['rcut']
  values = []
  for k in range(L + 1):
    answer_NxL = np.zeros((N, L))
    for n in range(N):
      # Falling by score, then by index.
      order = sorted(range(L), key=lambda l, n=n: (-p_NxL[n, l], l))
      answer_NxL[n, order[:k]] = 1
    values.append(_example_f1(answer_NxL, y_NxL, mask_NxL > 0))
    if k == cut.k:
      np.testing.assert_array_equal(_answer(cut, p_NxL), answer_NxL)
  assert values[cut.k] == pytest.approx(max(values), abs=1e-5)
  assert (np.array(values[: cut.k]) < values[cut.k] + 1e-5).all()


def test_answers_are_above_the_cut_and_among_the_highest():
  t_L = jnp.array([0.2, 0.2, 0.5, 0.0])
  p_BxL = jnp.array([[0.3, 0.2, 0.6, 0.3], [0.1, 0.1, 0.5, 0.0]])
  few = thresholds.Cut(t_L, jnp.array(2, jnp.int32))
  want_BxL = [[1, 0, 1, 0], [0, 0, 0, 0]]
  got_BxL = _answer(few, p_BxL)
  assert got_BxL.dtype == jnp.int8
  np.testing.assert_array_equal(got_BxL, want_BxL)
  all_of_them = few._replace(k=jnp.array(4, jnp.int32))
  np.testing.assert_array_equal(
    _answer(all_of_them, p_BxL), [[1, 0, 1, 1], [0, 0, 0, 0]]
  )


def test_masked_cells_and_padding_change_nothing():
  p_NxL, y_NxL, mask_NxL = _draw(0, 1000, 0.4, 0.7)
  mask_NxL[5] = 0
  rng = np.random.default_rng(1)
  hidden_NxL = mask_NxL == 0
  q_NxL = np.where(hidden_NxL, rng.random((N, L)), p_NxL).astype(np.float32)
  z_NxL = np.where(hidden_NxL, 1 - y_NxL, y_NxL)
  want, got = _all(p_NxL, y_NxL, mask_NxL), _all(q_NxL, z_NxL, mask_NxL)
  for name in set(want) - {'rcut'}:
    np.testing.assert_array_equal(got[name].t_L, want[name].t_L)
  # A score is known where its label is not: its place counts, its truth not.
  assert _all(p_NxL, z_NxL, mask_NxL)['rcut'].k == want['rcut'].k
  np.testing.assert_array_equal(
    _f1_cuts(p_NxL, y_NxL, mask_NxL)[:2], [0.5, 0.5]
  )


def test_rare_labels_are_told_and_get_the_global_cut():
  p_NxL, y_NxL, mask_NxL = _draw(3, 1000, 0.5, 1.0)
  y_NxL[2:, 2] = 0
  y_NxL[:2, 2] = 1
  y_NxL[:, 3], y_NxL[:3, 3] = 0, 1
  rare_L = thresholds.rare(y_NxL, mask_NxL)
  np.testing.assert_array_equal(rare_L, [True, True, True, False, False, False])
  cuts = {
    least: thresholds.scut(p_NxL, y_NxL, mask_NxL, least=least)
    for least in (2, 3, 4)
  }
  shared = thresholds.global_cut(p_NxL, y_NxL, mask_NxL).t_L[0]
  falls_back = [bool(cuts[least].t_L[2] == shared) for least in (2, 3, 4)]
  assert falls_back == [False, True, True]
  assert [bool(c.t_L[3] == shared) for c in cuts.values()] == [0, 0, 1]


def test_neighbouring_floats_are_still_divided():
  # 1 is even in its last bit: midway between it and the float below rounds up.
  below = np.nextafter(np.float32(1), np.float32(0))
  p_NxL = jnp.array([[below], [1]], jnp.float32)
  y_NxL = jnp.array([[0], [1]])
  t_L = _f1_cuts(p_NxL, y_NxL, jnp.ones((2, 1)))
  np.testing.assert_array_equal(p_NxL > t_L[None], y_NxL > 0)


@pytest.mark.parametrize('name', ['global_cut', 'pcut', 'cost_cut'])
@pytest.mark.parametrize('lowest', [0.0, -3.0, 0.25])
def test_the_answer_yes_to_all_is_among_the_cuts(lowest, name):
  p_NxL = jnp.array([[lowest], [0.5], [0.9]])
  cut = getattr(thresholds, name)(p_NxL, jnp.ones((3, 1)), jnp.ones((3, 1)))
  assert thresholds.answer(cut, p_NxL).all()


@pytest.mark.parametrize('name', ['pcut', 'cost_cut'])
@pytest.mark.parametrize('highest', [0.6, 1.0, 7.0])
def test_the_answer_no_to_all_is_among_the_cuts(highest, name):
  p_NxL = jnp.array([[0.55], [0.5], [highest]])
  cut = getattr(thresholds, name)(p_NxL, jnp.zeros((3, 1)), jnp.ones((3, 1)))
  assert not thresholds.answer(cut, p_NxL).any()


def test_equally_good_cuts_yield_to_the_nearest_a_half():
  # F1 of the cuts below .2, .4, .6, .8: 4/6, 2/5, 2/4, 2/3; so .1 or .7.
  p_NxL = jnp.array([[0.2], [0.4], [0.6], [0.8]])
  y_NxL, mask_NxL = jnp.array([[1], [0], [0], [1]]), jnp.ones((4, 1))
  t_L = _f1_cuts(p_NxL, y_NxL, mask_NxL)
  np.testing.assert_allclose(t_L, [0.7], rtol=1e-6)


def test_the_global_cut_of_an_exact_model_finds_the_best_of_the_population():
  # Lipton, Elkan & Naryanaswamy, ECML PKDD 2014: half the best F1. Of p uniform
  # on (0, 1) F1(t) = (1 - t^2) / (3/2 - t), greatest at (3 - sqrt 5) / 2.
  rng = np.random.default_rng(0)
  p_NxL = rng.random((40_000, 5)).astype(np.float32)
  y_NxL = rng.random(p_NxL.shape) < p_NxL
  cut = jax.jit(thresholds.global_cut)(p_NxL, y_NxL, np.ones_like(p_NxL))
  np.testing.assert_allclose(cut.t_L, [(3 - 5**0.5) / 2] * 5, atol=0.02)


def test_bad_input_is_told_in_one_line():
  args = np.full((2, 3), 0.5, np.float32), np.ones((2, 3)), np.ones((2, 3))
  for name, options, says in (
    ('cost_cut', {'false_positive': (1, 2)}, '2 numbers .* of 3 labels'),
    ('cost_cut', {'false_negative': -1}, 'false_negative -1.0: give a number'),
    ('cost_cut', {'false_positive': float('nan')}, 'false_positive nan'),
    (
      'cost_cut',
      {'false_positive': (1, 0, 1), 'false_negative': 0},
      'label 1 costs nothing either way',
    ),
  ):
    with pytest.raises(InputError, match=says) as error:
      getattr(thresholds, name)(*args, **options)
    assert '\n' not in str(error.value)


def test_vmap_over_runs_equals_a_loop():
  runs = [_draw(seed, 1000, 0.3, 0.8) for seed in range(3)]
  p_KxNxL = np.stack([run[0] for run in runs])
  _, y_NxL, mask_NxL = runs[0]
  got = jax.vmap(_all, (0, None, None))(p_KxNxL, y_NxL, mask_NxL)
  for k, p_NxL in enumerate(p_KxNxL):
    jax.tree.map(
      lambda a, b, k=k: np.testing.assert_array_equal(a[k], b),
      got,
      _all(p_NxL, y_NxL, mask_NxL),
    )
  cut = got['scut']
  answer_KxNxL = jax.vmap(thresholds.answer)(cut, p_KxNxL)
  np.testing.assert_array_equal(answer_KxNxL, p_KxNxL > cut.t_L[:, None])
