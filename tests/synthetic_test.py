"""Known worlds: what they draw, what they say of it, and regret.

The oracles enumerate, or use closed forms, scikit-learn or another route
through the same world (forward draws against the posterior).
"""

import dataclasses
import functools
import itertools

import jax
import numpy as np
import pytest
from scipy import special, stats
from sklearn import linear_model, multioutput, neighbors
from sklearn.datasets import load_digits

from mlc import decisions, encoders, inference
from mlc.data import synthetic
from mlc.errors import InputError
from mlc.models import base, chain
from mlc.posterior import Candidates, marginals


def _sets(num_labels):
  return np.array(list(itertools.product((0, 1), repeat=num_labels)))


@functools.cache
def _model_world():
  model = chain.Model(num_labels=4, encoder=encoders.Linear(), order='2,0,3,1')
  x, y = np.zeros((1, 3), np.float32), np.zeros((1, 4), np.float32)
  variables = model.init(jax.random.key(0), x, y, y, method='loss')
  loud = jax.tree.map(lambda a: 3 * a, variables['params'])
  return synthetic.ModelWorld(model, {**variables, 'params': loud}, 3)


SMALL = {
  'marginal': synthetic.MarginalIndependence(num_labels=3, noise=0.2),
  'conditional': synthetic.ConditionalIndependence(num_labels=4, tau=0.7),
  'shared': synthetic.SharedFlip(num_labels=4),
  'one': synthetic.OneFlip(num_labels=4),
  'logic': synthetic.Logic(),
  'noiseless': synthetic.Logic(noise=0),
  'net': synthetic.BayesNet(num_labels=5, num_features=3, seed=2),
  'tree': synthetic.IsingTree(num_labels=5, num_features=3, coupling=0.7),
  'ising': synthetic.Ising(num_labels=5, num_features=3, coupling=-0.7),
  'digits': synthetic.Digits(num_labels=4, grid=2, occlusion=0.4),
}


def _world(name):
  return _model_world() if name == 'model' else SMALL[name]


every_world = pytest.mark.parametrize('name', [*SMALL, 'model'])


@every_world
def test_probabilities_sum_to_one(name):
  world = _world(name)
  x_BxD, _ = world.draw(7, 0)
  y_UxL = _sets(world.num_labels)
  logp_BxU = world.log_prob(x_BxD, y_UxL[None])
  assert logp_BxU.dtype == float
  exact = 1e-6 if name == 'model' else 1e-12
  np.testing.assert_allclose(np.exp(logp_BxU).sum(1), 1, atol=exact)
  # The shared support, one written out for each row, and the posterior agree.
  rng = np.random.default_rng(0)
  order_BxU = np.argsort(rng.random(logp_BxU.shape), axis=1)
  np.testing.assert_allclose(
    world.log_prob(x_BxD, y_UxL[order_BxU]),
    np.take_along_axis(logp_BxU, order_BxU, 1),
    atol=exact,
  )
  posterior = world.posterior(x_BxD)
  np.testing.assert_array_equal(posterior.y_BxSxL[0], y_UxL)
  np.testing.assert_allclose(posterior.logw_BxS, logp_BxU, rtol=1e-6)


@every_world
def test_samples_follow_the_stated_probabilities(name):
  world = _world(name)
  x_BxD, _ = world.draw(4, 1)
  y_BxSxL = world.sample(x_BxD, 2, 4000)
  assert y_BxSxL.shape == (4, 4000, world.num_labels)
  assert isinstance(y_BxSxL, np.ndarray) and y_BxSxL.dtype == np.int8
  power_L = 2 ** np.arange(world.num_labels)[::-1]
  p_BxU = np.exp(world.log_prob(x_BxD, _sets(world.num_labels)[None]))
  for p_U, y_SxL in zip(p_BxU, y_BxSxL, strict=True):
    count_U = np.bincount(y_SxL @ power_L, minlength=len(p_U))
    assert not count_U[p_U == 0].any()
    rare_U = 4000 * p_U < 5
    count = np.append(count_U[~rare_U], count_U[rare_U].sum())
    want = 4000 * np.append(p_U[~rare_U], p_U[rare_U].sum())
    chi2 = ((count - want) ** 2 / np.maximum(want, 1)).sum()
    # 44 rows in all: a p-value under 1e-5 is no accident.
    assert stats.chi2.sf(chi2, len(count) - 1) > 1e-5


@every_world
def test_draws_follow_the_stated_probabilities_whatever_x(name):
  world = _world(name)
  x_NxD, y_NxL = world.draw(4000, 3)
  assert x_NxD.dtype == y_NxL.dtype == np.float32
  assert x_NxD.shape == (4000, world.num_features)
  y_UxL = _sets(world.num_labels)
  p_NxU = np.exp(world.log_prob(x_NxD, y_UxL[None]))
  hit_NxU = (y_NxL[:, None] == y_UxL).all(2)
  # The difference has mean 0 given x, so also times any function of x.
  rng = np.random.default_rng(0)
  signs_NxK = np.sign(x_NxD @ rng.normal(size=(world.num_features, 4)))
  weight_NxK = np.column_stack([np.ones(4000), signs_NxK])
  sum_KxU = weight_NxK.T @ (hit_NxU - p_NxU)
  deviation_U = np.sqrt((p_NxU * (1 - p_NxU)).sum(0))
  assert (abs(sum_KxU) <= 5 * deviation_U + 0.02).all()
  assert (world.log_prob(x_NxD, y_NxL[:, None]) > -np.inf).all()


@every_world
def test_draws_are_their_seeds(name):
  world = _world(name)
  (x, y), again, other = world.draw(30, 4), world.draw(30, 4), world.draw(30, 5)
  np.testing.assert_array_equal(x, again[0])
  np.testing.assert_array_equal(y, again[1])
  assert (x != other[0]).any() and (y != other[1]).any()
  np.testing.assert_array_equal(world.inputs(30, 4), x)
  a, b, c = (world.sample(x, seed, 20) for seed in (0, 0, 1))
  np.testing.assert_array_equal(a, b)
  assert (a != c).any() or name == 'noiseless'
  with pytest.raises(InputError, match='seed=-1'):
    world.draw(30, -1)


SEEDED = [name for name, world in SMALL.items() if hasattr(world, 'seed')]


@pytest.mark.parametrize('name', SEEDED)
def test_the_worlds_own_seed_fixes_its_parameters_alone(name):
  world = SMALL[name]
  other = dataclasses.replace(world, seed=9)
  x = world.inputs(50, 0)
  np.testing.assert_array_equal(x, other.inputs(50, 0))
  y_1xUxL = _sets(world.num_labels)[None]
  same = dataclasses.replace(world).log_prob(x, y_1xUxL)
  np.testing.assert_array_equal(world.log_prob(x, y_1xUxL), same)
  assert (other.log_prob(x, y_1xUxL) != same).any()


# Dembczynski et al. 2012.


@pytest.mark.parametrize('num_labels', [3, 6])
@pytest.mark.parametrize(
  'cls, hamming, subset',
  [
    (synthetic.MarginalIndependence, lambda L: 0.1, lambda L: 1 - 0.9**L),
    (synthetic.ConditionalIndependence, lambda L: 0.1, lambda L: 1 - 0.9**L),
    (synthetic.SharedFlip, lambda L: 0.1, lambda L: 0.1),
    (synthetic.OneFlip, lambda L: 1 / L, lambda L: 1 - 1 / L),
  ],
)
def test_bayes_risks_have_their_closed_forms(cls, hamming, subset, num_labels):
  world = cls(num_labels=num_labels)
  x_NxD, y_NxL = world.draw(4000, 0)
  for rule, risk in ((decisions.hamming, hamming), (decisions.subset, subset)):
    yhat_NxL = np.asarray(rule(world.posterior(x_NxD)))
    found = synthetic.regret(world, x_NxD, yhat_NxL, rule.__name__)
    np.testing.assert_allclose(found.bayes_B, risk(num_labels), atol=1e-12)
    np.testing.assert_allclose(found.value_B, 0, atol=1e-12)
    # What the rows drawn say of it, within 4 standard errors.
    wrong_NxL = yhat_NxL != y_NxL
    loss_N = wrong_NxL.mean(1) if risk is hamming else wrong_NxL.any(1)
    error = loss_N.std() / 4000**0.5
    assert abs(loss_N.mean() - risk(num_labels)) <= 4 * error + 1e-7


@pytest.mark.parametrize('own_disc', [True, False])
def test_inputs_are_uniform_on_discs_and_labels_half_of_them(own_disc):
  if own_disc:
    world = synthetic.MarginalIndependence(num_labels=3, noise=0)
  else:
    world = synthetic.ConditionalIndependence(num_labels=3, noise=0)
  x_NxD, y_NxL = world.draw(3000, 0)
  for left in range(0, world.num_features, 2):
    point_Nx2 = x_NxD[:, left : left + 2].astype(float)
    square_N = (point_Nx2**2).sum(1)
    turn_N = np.arctan2(*point_Nx2.T) / (2 * np.pi) + 0.5
    assert stats.kstest(square_N, 'uniform').pvalue > 1e-3
    assert stats.kstest(turn_N, 'uniform').pvalue > 1e-3
  for label, y_N in enumerate(y_NxL.T):
    point_Nx2 = x_NxD[:, 2 * label : 2 * label + 2] if own_disc else x_NxD
    # A half disc through the centre is on one side of its own mean direction.
    fit = linear_model.LogisticRegression(C=1e6, fit_intercept=False)
    fit.fit(point_Nx2, y_N)
    assert fit.score(point_Nx2, y_N) > 0.998
    a_2 = fit.coef_[0]
    # (1 - tau r_1, tau r_2) points right and up.
    assert (a_2 > -0.02 * np.linalg.norm(a_2)).all()
  together = np.corrcoef(y_NxL.T)[np.triu_indices(3, 1)]
  if own_disc:
    assert (abs(together) < 4 / 3000**0.5).all()
  else:
    assert (together > 0.2).all()


def test_tau_0_makes_all_clean_labels_the_right_half():
  world = synthetic.ConditionalIndependence(num_labels=5, tau=0, noise=0)
  x_NxD, y_NxL = world.draw(200, 0)
  np.testing.assert_array_equal(y_NxL, np.tile(x_NxD[:, :1] >= 0, 5))


def _chain_mode(fitted, x_NxD, num_labels):
  """The mode of a chain of scikit-learn's links, by enumeration."""
  logp = []
  for y_L in _sets(num_labels):
    logit_NxL = [
      link.decision_function(
        np.column_stack([x_NxD, np.tile(y_L[:label], (len(x_NxD), 1))])
      )
      for label, link in enumerate(fitted.estimators_)
    ]
    sign_L = 2 * y_L - 1
    logp.append(special.log_expit(sign_L[:, None] * logit_NxL).sum(0))
  return _sets(num_labels)[np.argmax(logp, axis=0)]


def test_a_linear_chain_loses_on_shared_flips_and_wins_on_one_flip():
  # Protocol of Sect. 7 with links at C = 1e4; means over five seeds of 5,000
  # rows, L = 6, are BR .135 and chain .270, BR .991 and chain .961.
  subset = {}
  for cls in (synthetic.SharedFlip, synthetic.OneFlip):
    world = cls(num_labels=6)
    x_NxD, y_NxL = world.draw(3000, 0)
    x_BxD, _ = world.draw(1000, 1)
    link = linear_model.LogisticRegression(C=1e4)
    relevance = multioutput.MultiOutputClassifier(link).fit(x_NxD, y_NxL)
    chained = multioutput.ClassifierChain(link).fit(x_NxD, y_NxL)
    for method, yhat_BxL in (
      ('BR', relevance.predict(x_BxD)),
      ('PCC', _chain_mode(chained, x_BxD, 6)),
    ):
      found = synthetic.regret(world, x_BxD, yhat_BxL, 'subset')
      subset[cls, method] = found.loss_B.mean()
      assert (found.value_B >= 0).all()
  shared, one = synthetic.SharedFlip, synthetic.OneFlip
  assert subset[shared, 'BR'] < subset[shared, 'PCC'] - 0.05
  assert subset[one, 'PCC'] < subset[one, 'BR'] - 0.01
  assert abs(subset[shared, 'BR'] - 0.135) < 0.03
  assert abs(subset[one, 'BR'] - 0.991) < 0.01


def test_logic_labels_are_or_and_xor():
  world = synthetic.Logic(noise=0)
  bits = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
  table = [[0, 0, 0], [1, 0, 1], [1, 0, 1], [1, 1, 0]]
  np.testing.assert_array_equal(world.sample(bits, 0)[:, 0], table)
  x_NxD, _ = world.draw(4000, 0)
  counts = np.unique(x_NxD, axis=0, return_counts=True)[1]
  assert stats.chisquare(counts).pvalue > 1e-3 and len(counts) == 4


# Networks.


@pytest.mark.parametrize('name', ['tree', 'ising'])
def test_ising_is_its_energies_normalised(name):
  world = SMALL[name]
  x_BxD = world.inputs(6, 0)
  score_BxL = world.scores(x_BxD)
  energy_BxU = [
    [
      sum(f_L * y_L)
      + sum(
        world.pairs_LxL[i, j] * (2 * y_L[i] - 1) * (2 * y_L[j] - 1)
        for i, j in itertools.combinations(range(5), 2)
      )
      for y_L in _sets(5)
    ]
    for f_L in score_BxL
  ]
  want_BxU = special.log_softmax(energy_BxU, axis=1)
  got_BxU = world.log_prob(x_BxD, _sets(5)[None])
  np.testing.assert_allclose(got_BxU, want_BxU, atol=1e-12)
  edges = world.pairs_LxL != 0
  np.testing.assert_array_equal(world.pairs_LxL, world.pairs_LxL.T)
  np.testing.assert_allclose(abs(world.pairs_LxL[edges]), 0.7)
  if name == 'tree':  # L - 1 edges, and every label can be reached.
    assert edges.sum() == 8
    assert np.linalg.matrix_power(edges + np.eye(5), 4).all()


def test_density_is_the_share_of_pairs_with_an_edge():
  for density, edges in ((0, 0), (1, 190)):
    world = synthetic.Ising(num_labels=20, density=density)
    assert (np.triu(world.pairs_LxL) != 0).sum() == edges
  world = synthetic.Ising(num_labels=20, density=0.3)
  edges = (np.triu(world.pairs_LxL) != 0).sum()
  assert stats.binomtest(int(edges), 190, 0.3).pvalue > 1e-3
  assert {1.0, -1.0} == set(world.pairs_LxL[world.pairs_LxL != 0])


def test_a_bayes_net_is_the_product_of_its_conditionals():
  world = SMALL['net']
  x_BxD = world.inputs(6, 0)
  score_BxL, kernel_LxL = world.scores(x_BxD), world.kernel_LxL
  assert (kernel_LxL != 0).sum() >= 3
  p_BxU = np.ones((6, 32))
  for b, (u, y_L) in itertools.product(range(6), enumerate(_sets(5))):
    for label in range(5):
      logit = score_BxL[b, label]
      for parent in range(5):
        logit += kernel_LxL[parent, label] * (1 if y_L[parent] else -1)
      p = 1 / (1 + np.exp(-logit))
      p_BxU[b, u] *= p if y_L[label] else 1 - p
  got_BxU = world.log_prob(x_BxD, _sets(5)[None])
  np.testing.assert_allclose(np.exp(got_BxU), p_BxU, atol=1e-12)


@pytest.mark.parametrize('max_parents', [0, 2, 40])
def test_a_bayes_net_has_few_parents_each_before_its_child(max_parents):
  world = synthetic.BayesNet(
    num_labels=30, max_parents=max_parents, coupling=2.5, seed=1
  )
  parent_LxL = world.kernel_LxL != 0
  assert parent_LxL.sum(0).max() <= max_parents
  assert parent_LxL.any() == (max_parents > 0)
  ordered = parent_LxL[np.ix_(world.order_L, world.order_L)]
  assert not np.tril(ordered).any()
  assert (world.order_L != np.arange(30)).any()
  assert set(world.kernel_LxL.ravel()) <= {0, 2.5, -2.5}


@pytest.mark.parametrize('name', ['net', 'tree', 'ising'])
def test_without_coupling_labels_are_independent(name):
  world = dataclasses.replace(SMALL[name], coupling=0.0, signal=2.0)
  x_BxD = world.inputs(6, 0)
  np.testing.assert_allclose(
    world.scores(x_BxD),
    2 * SMALL[name].scores(x_BxD),
  )
  p_BxL = 1 / (1 + np.exp(-world.scores(x_BxD)))
  want_BxU = np.where(_sets(5), p_BxL[:, None], 1 - p_BxL[:, None]).prod(2)
  got_BxU = np.exp(world.log_prob(x_BxD, _sets(5)[None]))
  np.testing.assert_allclose(got_BxU, want_BxU, atol=1e-12)


@pytest.mark.parametrize('cls', [synthetic.IsingTree, synthetic.BayesNet])
def test_draws_of_many_labels_follow_the_stated_probabilities(cls):
  world = cls(num_labels=40, coupling=0.8)
  x_BxD = world.inputs(3, 0)
  y_BxSxL = world.sample(x_BxD, 0, 2000)
  logp_BxS = world.log_prob(x_BxD, y_BxSxL)
  for label in range(40):
    # y_l less P(y_l = 1 | x, all others) has mean 0 whatever the others are.
    flipped_BxSxL = y_BxSxL.copy()
    flipped_BxSxL[..., label] ^= 1
    odds_BxS = logp_BxS - world.log_prob(x_BxD, flipped_BxSxL)
    p_BxS = special.expit(np.where(y_BxSxL[..., label], odds_BxS, -odds_BxS))
    spin_BxSxL = 2 * flipped_BxSxL.astype(int) - 1
    spin_BxSxL[..., label] = 1
    rest_BxS = y_BxSxL[..., label] - p_BxS
    sum_BxL = (spin_BxSxL * rest_BxS[..., None]).sum(1)
    deviation_B = np.sqrt((p_BxS * (1 - p_BxS)).sum(1))
    assert (abs(sum_BxL) < 5 * deviation_B[:, None]).all()


def test_a_model_world_is_its_model():
  world = _model_world()
  x_BxD, _ = world.draw(6, 0)
  found = inference.exact(world.model, world.variables, x_BxD)
  assert isinstance(found, Candidates)
  got_BxU = world.log_prob(x_BxD, np.asarray(found.y_BxSxL))
  np.testing.assert_allclose(got_BxU, found.logw_BxS, atol=1e-5)
  assert np.asarray(marginals(found)).std() > 0.1


# Digits.


def test_the_prior_of_digits_is_a_markov_chain():
  world = synthetic.Digits(num_labels=3, coupling=0.8, bias=-0.4)
  weight = []
  for a, b, c in itertools.product((0, 1), repeat=3):
    bonds = (1 if a == b else -1) + (1 if b == c else -1)
    weight.append(np.exp(-0.4 * (a + b + c) + 0.8 * bonds))
  want = np.array(weight) / sum(weight)
  np.testing.assert_allclose(np.exp(world.log_prior), want, atol=1e-12)
  _, y_NxL = world.draw(4000, 0)
  count = np.bincount((y_NxL @ [4, 2, 1]).astype(int), minlength=8)
  assert stats.chisquare(count, 4000 * want).pvalue > 1e-3


def test_digits_without_occlusion_decide_and_with_all_say_nothing():
  clear = synthetic.Digits(occlusion=0)
  x_NxD, y_NxL = clear.draw(50, 0)
  np.testing.assert_array_equal(clear.log_prob(x_NxD, y_NxL[:, None]), 0)
  dark = synthetic.Digits(occlusion=1)
  x_NxD, _ = dark.draw(3, 0)
  assert not x_NxD.any()
  want = np.tile(dark.log_prior, (3, 1))
  np.testing.assert_allclose(dark.log_probs(x_NxD), want, atol=1e-12)


def test_a_blank_digit_is_more_likely_beside_a_visible_neighbour():
  # By hand, two digits, the first visible: p(11) q against p(10).
  world = synthetic.Digits(num_labels=2, coupling=0.5, bias=0, occlusion=0.2)
  x_NxD, _ = world.draw(200, 0)
  row = np.flatnonzero((world.visible(x_NxD) == [1, 0]).all(1))[0]
  odds = 0.2 * np.exp(2 * 0.5)
  got = np.exp(world.log_probs(x_NxD[row : row + 1]))[0]
  np.testing.assert_allclose(got, [0, 0, 1 / (1 + odds), odds / (1 + odds)])


def test_an_image_shows_its_visible_digits_and_nothing_else():
  world = synthetic.Digits()
  x_NxD, y_NxL = world.draw(400, 0)
  assert world.image_shape == (32, 32) and 0 <= x_NxD.min() < x_NxD.max() == 1
  reader = neighbors.KNeighborsClassifier(1).fit(*load_digits(return_X_y=True))
  seen_NxL, places = np.zeros((400, 10)), np.zeros(16)
  for n, image in enumerate(x_NxD.reshape(400, 32, 32)):
    for cell in range(16):
      down, right = 8 * (cell // 4), 8 * (cell % 4)
      patch = image[down : down + 8, right : right + 8]
      if patch.any():
        digit = reader.predict(16 * patch.reshape(1, -1))[0]
        seen_NxL[n, digit] += 1
        places[cell] += 1
  np.testing.assert_array_equal(world.visible(x_NxD), seen_NxL)
  assert (seen_NxL <= y_NxL).all()
  assert stats.chisquare(places).pvalue > 1e-3
  blanked, all_digits = int((y_NxL - seen_NxL).sum()), int(y_NxL.sum())
  assert stats.binomtest(blanked, all_digits, 0.3).pvalue > 1e-3


def test_an_image_of_another_world_is_refused():
  world = synthetic.Digits(num_labels=3, grid=2)
  x_NxD, _ = world.draw(20, 0)
  with pytest.raises(InputError, match='row 0 of x.*as drawn'):
    world.log_probs(x_NxD - 0.3)
  x_NxD[7] = np.roll(x_NxD[x_NxD.any(1)][0], 1)
  with pytest.raises(InputError, match='row 7 of x'):
    world.log_probs(x_NxD)
  more = synthetic.Digits(num_labels=10, occlusion=0, bias=9.0)
  with pytest.raises(InputError, match='row 0 of x'):
    synthetic.Digits(num_labels=3).log_probs(more.draw(1, 0)[0])


# Regret.


def _f1(a, b):
  return 2 * (a & b).sum() / (a.sum() + b.sum()) if (a | b).any() else 1.0


@pytest.mark.parametrize('name', ['net', 'one', 'model'])
@pytest.mark.parametrize('loss', ['hamming', 'subset', 'f1'])
def test_regret_is_the_brute_force(name, loss):
  world = _world(name)
  y_UxL = _sets(world.num_labels)
  matrix_UxU = {
    'hamming': lambda a, b: (a != b).mean(),
    'subset': lambda a, b: (a != b).any(),
    'f1': lambda a, b: 1 - _f1(a, b),
  }[loss]
  matrix_UxU = np.array([[matrix_UxU(a, b) for b in y_UxL] for a in y_UxL])
  x_BxD = world.inputs(12, 0)
  risk_BxU = np.exp(world.log_prob(x_BxD, y_UxL[None])) @ matrix_UxU.T
  for answer in (0, 5, len(y_UxL) - 1):
    yhat_BxL = np.tile(y_UxL[answer], (12, 1))
    found = synthetic.regret(world, x_BxD, yhat_BxL, loss)
    np.testing.assert_allclose(found.loss_B, risk_BxU[:, answer], atol=1e-9)
    np.testing.assert_allclose(found.bayes_B, risk_BxU.min(1), atol=1e-6)
    np.testing.assert_array_equal(found.error_B, 0)
    np.testing.assert_allclose(found.value_B, found.loss_B - found.bayes_B)


def test_many_rows_are_cut_where_nobody_sees_it():
  world = synthetic.Ising(num_labels=13, num_features=2, signal=1e3, coupling=0)
  x_BxD = world.inputs(1200, 0)  # 512 rows at once.
  best_BxL = (world.scores(x_BxD) > 0).astype(int)
  wrong_BxL = world.sample(x_BxD, 0)[:, 0] != best_BxL
  assert not wrong_BxL[abs(world.scores(x_BxD)) > 30].any()
  same_BxD = np.repeat(x_BxD[:1] * 0, 1200, axis=0)
  y_BxL = dataclasses.replace(world, signal=0.0).sample(same_BxD, 0)[:, 0]
  assert (y_BxL[:600] != y_BxL[512:1112]).any(1).mean() > 0.99
  want_BxS = special.log_expit(abs(world.scores(x_BxD))).sum(1, keepdims=True)
  got_BxS = world.log_prob(x_BxD, best_BxL[:, None])
  np.testing.assert_allclose(got_BxS, want_BxS, atol=1e-9)
  found = synthetic.regret(world, x_BxD, best_BxL, 'hamming')
  assert found.value_B.shape == (1200,)
  p_BxL = special.expit(-abs(world.scores(x_BxD)))
  np.testing.assert_allclose(found.bayes_B, p_BxL.mean(1), atol=1e-9)


@pytest.mark.parametrize('loss', ['hamming', 'f1', 'subset'])
def test_regret_beyond_enumeration_is_right_within_its_error(loss):
  # SharedFlip: the clean set is best for all three, the opposite set worst.
  world = synthetic.SharedFlip(num_labels=30, noise=0.2)
  x_BxD = world.inputs(40, 0)
  # Of nearly full sets, and so nearly empty flipped ones, F1 may want more.
  x_BxD = x_BxD[abs(world.clean(x_BxD).sum(1) - 15) < 11]
  clean_BxL = world.clean(x_BxD)
  found = synthetic.regret(world, x_BxD, 1 - clean_BxL, loss, num_samples=300)
  assert (abs(found.value_B - 0.6) <= 5 * found.error_B + 1e-9).all()
  assert (abs(found.bayes_B - 0.2) <= 5 * (0.16 / 300) ** 0.5).all()
  np.testing.assert_allclose(
    found.error_B, 0 if loss == 'subset' else 2 * (0.16 / 300) ** 0.5, rtol=0.2
  )
  found = synthetic.regret(world, x_BxD, clean_BxL, loss, num_samples=300)
  np.testing.assert_array_equal(found.value_B, 0)


def test_the_bayes_answer_is_not_judged_by_the_draws_it_was_decided_on():
  world = synthetic.IsingTree(num_labels=21, coupling=0.0, signal=0.0)
  x_BxD = world.inputs(100, 0)
  found = synthetic.regret(
    world, x_BxD, np.zeros((100, 21)), 'hamming', num_samples=5
  )
  # Fair coins: every answer is wrong in half of the labels.
  assert abs(found.bayes_B.mean() - 0.5) < 5 * 0.5 / (100 * 21 * 5) ** 0.5


def test_chunks_of_draws_err_independently():
  world = synthetic.SharedFlip(num_labels=21, noise=0.3)
  x_BxD = np.repeat(world.inputs(1, 0), 300, axis=0)
  found = synthetic.regret(world, x_BxD, np.zeros((300, 21)), 'hamming')
  # 199 rows at once; the same x, and yet other draws.
  assert (found.loss_B[:101] != found.loss_B[199:]).mean() > 0.8
  again = synthetic.regret(world, x_BxD, np.zeros((300, 21)), 'hamming')
  np.testing.assert_array_equal(found.loss_B, again.loss_B)


def test_regret_refuses_what_it_cannot_judge():
  world = SMALL['logic']
  x_BxD = world.inputs(5, 0)
  with pytest.raises(InputError, match='unknown loss .*hamming'):
    synthetic.regret(world, x_BxD, np.zeros((5, 3)), 'haming')
  with pytest.raises(InputError, match=r'shape \(5, 2\).*5 rows of 3 labels'):
    synthetic.regret(world, x_BxD, np.zeros((5, 2)), 'hamming')
  with pytest.raises(InputError, match='num_samples=1'):
    synthetic.regret(world, x_BxD, np.zeros((5, 3)), 'f1', num_samples=1)


# What is common to all.


def test_the_list_of_worlds_is_complete_and_needs_no_options():
  found = synthetic.worlds()
  exported = {getattr(synthetic, name) for name in synthetic.__all__}
  assert set(found.values()) == {
    cls
    for cls in exported
    if dataclasses.is_dataclass(cls) and cls is not synthetic.ModelWorld
  }
  assert {'bayes_net', 'ising', 'one_flip', 'digits', 'logic'} <= set(found)
  for kind, cls in found.items():
    assert cls().name == f'world/{kind}'
    x_NxD, y_NxL = cls().draw(5, 0)
    assert y_NxL.shape == (5, cls().num_labels)
    assert np.isfinite(cls().log_prob(x_NxD, y_NxL[:, None])).all()


@every_world
def test_a_world_makes_a_dataset(name):
  world = _world(name)
  data = world.dataset(200, 1)
  x_NxD, y_NxL = world.draw(200, 1)
  rows = data.rows(np.arange(200))
  np.testing.assert_array_equal(rows.x, x_NxD)
  np.testing.assert_array_equal(rows.y, y_NxL)
  assert data.name == world.name and set(data.splits) >= {'train', 'test'}
  with pytest.raises(InputError, match='0 rows'):
    world.dataset(0, 1)


def test_a_name_tells_what_is_not_default():
  world = synthetic.Ising(num_labels=5, coupling=2.0)
  assert world.name == 'world/ising(num_labels=5,coupling=2.0)'


@pytest.mark.parametrize(
  'cls, options, message',
  [
    ('SharedFlip', {'num_labels': 0}, 'num_labels=0.*whole'),
    ('OneFlip', {'num_labels': 2.0}, r'num_labels=2\.0.*whole'),
    ('OneFlip', {'num_labels': True}, 'num_labels=True'),
    ('OneFlip', {'num_labels': '3'}, "num_labels='3'"),
    ('OneFlip', {'tau': '1'}, "tau='1'"),
    ('OneFlip', {'tau': True}, 'tau=True'),
    ('OneFlip', {'seed': -1}, 'seed=-1'),
    ('OneFlip', {'tau': 1.1}, r'tau=1\.1.*\[0, 1\]'),
    ('Logic', {'noise': 0.6}, r'noise=0\.6.*\[0, 0\.5\]'),
    ('Logic', {'noise': True}, 'noise=True'),
    ('IsingTree', {'coupling': np.nan}, 'coupling=nan'),
    ('IsingTree', {'signal': np.inf}, 'signal=inf'),
    ('Ising', {'num_labels': 21}, r'num_labels=21.*\[1, 20\]'),
    ('BayesNet', {'max_parents': -1}, 'max_parents=-1'),
    ('Digits', {'num_labels': 11}, r'num_labels=11.*\[1, 10\]'),
    ('Digits', {'grid': 3}, 'grid=3 has 9 cells for 10 digits'),
    ('Digits', {'occlusion': -0.1}, r'occlusion=-0\.1'),
  ],
)
def test_a_bad_parameter_is_refused_by_name(cls, options, message):
  with pytest.raises(InputError, match=message) as caught:
    getattr(synthetic, cls)(**options)
  assert '\n' not in str(caught.value)


@every_world
def test_x_of_the_wrong_width_is_refused(name):
  world = _world(name)
  wide = np.zeros((2, world.num_features + 1), np.float32)
  with pytest.raises(
    InputError, match=f'rows of {world.num_features} features'
  ):
    world.log_probs(wide)
  with pytest.raises(InputError, match='x has shape'):
    world.sample(wide, 0)


def test_enumeration_stops_at_20_labels_and_drawing_does_not():
  world = synthetic.BayesNet(num_labels=21)
  x_NxD, y_NxL = world.draw(3, 0)
  with pytest.raises(InputError, match='21 labels.*use `sample`'):
    world.posterior(x_NxD)
  assert np.isfinite(world.log_prob(x_NxD, y_NxL[:, None])).all()


def test_the_order_of_label_sets_is_that_of_the_models():
  world = SMALL['ising']
  np.testing.assert_array_equal(
    world.posterior(world.inputs(1, 0)).y_BxSxL[0], base.all_label_sets(5)
  )
