"""What is wrong with a config is said before anything is trained."""

import contextlib
import dataclasses

import contract
import numpy as np
import pytest

from configs import chain, chain_linear, independent
from mlc import build, checks, experiment, metrics
from mlc import data as data_lib
from mlc.decisions import targets
from mlc.errors import InputError


def config(**changes):
  made = independent.get_config('contract')
  made.rules = 'none'
  made.train.batch_size = 12
  for key, value in changes.items():
    made[key] = value
  return made


def test_every_target_is_a_metric_of_a_decision():
  known = build.decisions()
  for rule, metric in targets.TARGETS.items():
    assert rule in known
    metrics.named(metric)
  for rule in (*targets.PLUG_IN, *targets.DEGENERATE, *targets.HEURISTIC):
    assert rule in known
  assert targets.target('fbeta(beta=2)') == 'example_fbeta(beta=2.0)'


@pytest.mark.parametrize(
  'select', ['macro_f1', 'micro_f1', 'example_f1', 'lrap', 'ece', 'nll']
)
def test_all_kinds_of_metrics_can_be_selected_by(select):
  made = config()
  made.train.select = select
  checks.check(made, contract.dataset())


@pytest.mark.parametrize(
  'changes, message',
  [
    ({'decisions': ('f1', 'f1')}, 'give one or more, each once'),
    ({'decisions': ('cost_cut(false_positive=-1)',)}, 'false_positive'),
    ({'decisions': ("fbeta(beta='a')",)}, 'give a number, as in beta=1.0'),
    ({'decisions': ('fbeta(beta=(1,2))',)}, 'give a number, as in beta=1.0'),
    ({'decisions': ('abstain(cost=(1,2))',)}, 'cost'),
    ({'decode_mib': 0}, 'decode_mib 0: give MiB'),
    ({'metrics': ('precision_at_0',)}, 'precision_at'),
    ({'metrics': ('brier(x=1)',)}, 'unknown option'),
    ({'metrics': ('unseen',)}, 'it stands beside nll'),
    ({'metrics': ('psp_at_3', 'macro_f2')}, 'macro_f2'),
    ({'inference': "epsilon(epsilon='a')"}, 'give a number'),
    ({'inference': 'beam(width=0)'}, 'give a width of 1 or more'),
    ({'inference': 'mean_field'}, 'mean_field'),
  ],
)
def test_it_is_one_line_in_no_time(changes, message):
  with pytest.raises(InputError, match=message) as error:
    checks.check(config(**changes), contract.dataset())
  assert '\n' not in str(error.value)


@pytest.mark.parametrize(
  'num_labels, used', [(4, 'exact'), (21, 'beam(width=3)')]
)
def test_the_first_inference_that_fits_is_taken(num_labels, used):
  rng = np.random.default_rng(0)
  y = rng.random((40, num_labels)) < 0.5
  data = data_lib.from_arrays(rng.normal(size=(40, 5)), y)
  made = chain.get_config()
  made.train.batch_size, made.inference = 8, 'exact or beam(width=3)'
  assert checks.check(made, data).inference == used
  made.inference = 'exact or best_first(candidates=0)'
  refused = pytest.raises(InputError, match='candidates')
  with contextlib.nullcontext() if used == 'exact' else refused:
    checks.check(made, data)
  # What is wrong for another reason is told as it is.
  made.inference, made.seeds = 'exact or beam(width=3)', 0
  with pytest.raises(InputError, match='0 seeds'):
    checks.check(made, data)


def test_heads_are_exact_with_any_number_of_labels():
  rng = np.random.default_rng(0)
  data = data_lib.from_arrays(
    rng.normal(size=(40, 5)), rng.random((40, 30)) < 0.5
  )
  made = independent.get_config()
  made.train.batch_size = 8
  assert checks.check(made, data).inference == 'exact'


@pytest.mark.parametrize(
  'changes', [{'decisions': ('rcut',)}, {'calibration': 'platt'}]
)
def test_what_is_fitted_on_validation_rows_needs_some(changes):
  data = contract.dataset()
  none = data.splits | {'valid': np.zeros(0, int)}
  bare = dataclasses.replace(data, splits=none)
  made = chain_linear.get_config('contract')
  made.decisions = ('hamming',)
  checks.check(made, bare)
  for key, value in changes.items():
    made[key] = value
  with pytest.raises(InputError, match='no validation rows, which thresholds'):
    checks.check(made, bare)


def test_what_stops_training_may_not_change_after_it():
  assert 'inference' in experiment.after_training(config())
  assert 'metrics' in experiment.after_training(config())
  assert 'train.select' not in experiment.after_training(config())
  made = config()
  made.train.select = 'example_f1'
  answers = experiment.after_training(made)
  assert 'metrics' in answers
  assert not {'inference', 'decode_batch', 'decode_mib'} & {*answers}
