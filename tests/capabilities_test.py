"""What a model gives decides what may be asked of it, to the last table."""

import functools

import contract
import jax
import numpy as np
import pytest

from configs import mpvae, rakel
from mlc import build, checks, experiment, inference, posterior, scoring
from mlc import data as data_lib
from mlc.errors import InputError
from mlc.models import base, chain, ising, mixture, set_rnn

CLOSED = [
  name
  for name in contract.model_names('steps', 'joint', 'bound')
  if contract.small(name).has_marginals and name != 'mixture'
]


def run(name, method):
  """`method` on the small model of a file."""
  case = contract.case(contract.small(name))
  found = jax.jit(functools.partial(inference.METHODS[method], case.model))
  return found(case.variables, case.x, jax.random.key(0))


@pytest.mark.parametrize('name', CLOSED)
def test_the_closed_form_is_that_of_the_enumeration(name):
  np.testing.assert_allclose(
    run(name, 'marginals').p_BxL,
    posterior.label_scores(run(name, 'exact')),
    atol=1e-5,
  )


@pytest.mark.parametrize(
  'name, method, text',
  [
    ('rakel', 'exact', 'it gives scores; take scores'),
    ('rakel', 'beam', 'it gives scores; take scores'),
    ('masked_transformer', 'exact', 'take gibbs, one_pass or iterative'),
    ('mpvae', 'greedy', 'take monte_carlo or sampled_marginals'),
    ('chain', 'scores', 'it gives labels one after the other'),
    ('chain', 'one_pass', 'take exact, beam or monte_carlo'),
    ('chain', 'marginals', 'it has no closed form'),
    ('mixture', 'marginals', 'it has no closed form'),
  ],
)
def test_what_a_model_has_not_is_refused_in_one_line(name, method, text):
  with pytest.raises(InputError, match=text):
    run(name, method)


SCORES = posterior.Scores(np.array([[0.2, 0.9, 0.5]], np.float32))


@pytest.mark.parametrize('call', ['hamming', 'cost', 'abstain', 'subset', 'f1'])
def test_rules_of_expectation_refuse_scores(call):
  with pytest.raises(InputError, match='scores'):
    build.decision(call).decide(SCORES)


def test_scores_are_ranked_and_cut():
  np.testing.assert_array_equal(
    build.decision('fixed').decide(SCORES), [[0, 1, 0]]
  )
  np.testing.assert_array_equal(
    build.decision('fixed(at=0.1)').decide(SCORES), [[1, 1, 1]]
  )
  order_BxL = np.argsort(-build.decision('rank').decide(SCORES))
  np.testing.assert_array_equal(order_BxL, [[1, 2, 0]])
  with pytest.raises(InputError, match='between 0 and 1'):
    build.decision('fixed(at=2.0)').decide(SCORES)


METRICS = (
  *('hamming_loss', 'lrap', 'brier', 'nll', 'nll_bound', 'pseudo_nll'),
  'parameters',
)


def trained(config, folder):
  config.seeds, config.metrics = 2, METRICS
  config.encoder.update({'widths': (4,), 'dropout': 0.0})
  config.train.update({'epochs': 2, 'batch_size': 18})
  data = contract.dataset()
  config = checks.check(config, data)
  outcome = experiment.train_and_evaluate(config, data, folder)
  return {(r.decision, r.metric): r for r in outcome.records}


def test_scores_have_no_likelihood_and_no_brier_score(tmp_path):
  found = trained(rakel.get_config(), tmp_path)
  measured = {metric for _, metric in found} - {
    'train_seconds',
    'decode_seconds',
  }
  assert measured == {'hamming_loss', 'lrap', 'parameters'}
  record = found['fixed', 'parameters']
  # Dense 5x4 and layer norm, then 8 members of 8 classes on 4 + 1 inputs.
  assert record.values == (5 * 4 + 4 + 2 * 4 + 64 * 5,) * 2
  assert not record.proper
  with np.load(tmp_path / 'predictions_test.npz') as arrays:
    assert not {'log_prob', 'log_prob_bound'} & set(arrays)


def test_calibrated_scores_are_probabilities(tmp_path):
  config = rakel.get_config()
  config.calibration, config.decisions = 'platt', ('hamming',)
  with pytest.raises(InputError, match='calibration=platt'):
    plain = config.copy_and_resolve_references()
    plain.calibration = 'none'
    plain.train.batch_size = 18
    checks.check(plain, contract.dataset())
  found = trained(config, tmp_path)
  assert {'brier', 'hamming_loss'} <= {metric for _, metric in found}


def test_a_bound_is_told_apart(tmp_path):
  config = mpvae.get_config()
  config.model.update({'draws': 10, 'latent': 2, 'rank': 2, 'width': 4})
  found = trained(config, tmp_path)
  measured = {metric for _, metric in found}
  assert 'nll_bound' in measured
  assert not {'nll', 'pseudo_nll'} & measured
  with np.load(tmp_path / 'predictions_test.npz') as arrays:
    bound_KxN = arrays['log_prob_bound']
  values = found['hamming', 'nll_bound'].values
  np.testing.assert_allclose(-bound_KxN.mean(1), values, rtol=1e-5)


@pytest.mark.parametrize('feeding', ['predicted', 'scheduled'])
def test_what_is_fed_with_its_own_answers_is_not_proper(feeding):
  model = contract.make(chain.Model, feeding=feeding)
  assert not build.objective(model, 'likelihood', contract.dataset()).proper
  assert not build.objective(model, 'bce_mean', contract.dataset()).proper
  plain = contract.make(chain.Model)
  assert build.objective(plain, 'likelihood', contract.dataset()).proper
  assert base.LIKELIHOODS[plain.capability] == 'log_prob'


@pytest.mark.parametrize(
  'name, select, text',
  [
    ('mpvae', 'nll', 'train.select=nll of mpvae'),
    ('masked_transformer', 'nll', 'train.select=nll of masked_transformer'),
    ('rakel', 'brier', 'train.select=brier of rakel'),
  ],
)
def test_what_patience_looks_at_must_be_given(name, select, text):
  with pytest.raises(InputError, match=text):
    scoring.selection(
      select, contract.small(name), None, inference.scores, batch_size=1
    )


def test_scores_are_selected_by_their_own_cut():
  case = contract.case(contract.small('rakel'))
  rows = contract.dataset().split('valid')
  select = scoring.selection(
    'hamming_loss', case.model, rows, inference.scores, batch_size=16
  )
  variables = jax.tree.map(lambda a: np.asarray(a)[None], case.variables)
  score_BxL = case.model.apply(case.variables, rows.x, method='scores')
  expected = np.mean((np.asarray(score_BxL) > 0.5) != rows.y)
  np.testing.assert_allclose(select.values(variables), [expected], rtol=1e-5)


@pytest.mark.parametrize('name', ['rakel', 'ising', 'rerank', 'set_rnn'])
def test_soft_labels_are_refused_where_none_is_learnt_from(name):
  rng = np.random.default_rng(0)
  soft = data_lib.from_arrays(
    rng.normal(size=(20, 3)), rng.uniform(0.1, 0.9, (20, contract.L))
  )
  with pytest.raises(InputError, match=f'another model than {name} on it'):
    contract.small(name).structure(soft)


def test_a_mixture_of_many_paths_has_no_enumeration():
  member = contract.make(set_rnn.Model, masks='repeats', width=4)
  case = contract.case(contract.make(mixture.Model, member=member))
  with pytest.raises(InputError, match='a label set has many paths'):
    inference.exact(case.model, case.variables, case.x)


def test_energies_without_a_support_have_no_closed_form():
  case = contract.case(contract.make(ising.Model, likelihood='pseudo'))
  with pytest.raises(InputError, match='marginals of ising: it has no closed'):
    inference.marginals(case.model, case.variables, case.x)
