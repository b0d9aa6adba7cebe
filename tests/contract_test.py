"""Every model of mlc/models/ keeps its contract; a new file is found here."""

import functools
import importlib
import pathlib

import contract
import numpy as np
import pytest

from mlc import build, checks
from mlc import data as data_lib
from mlc.models import base

NAMES = contract.model_names()
CONFIGS = pathlib.Path(__file__).parent.parent / 'configs'
PAPERS = sorted(file.stem for file in CONFIGS.glob('papers/*.py'))
# What models of each capability must do.
ALL = (
  contract.check_capability,
  contract.check_eager,
  contract.check_gradients,
  contract.check_missing,
)
NORMALISED = (
  contract.check_normalised,
  contract.check_samples,
  contract.check_marginals,
  contract.check_full_beam,
  contract.check_monte_carlo,
)
STEPS = contract.check_steps, contract.check_causal
CHECKS = {
  'steps': (*ALL, *NORMALISED, *STEPS),
  'joint': (*ALL, *NORMALISED),
  'conditionals': (*ALL, contract.check_conditionals),
  'bound': (*ALL, contract.check_normalised, contract.check_noise),
  'scores': (*ALL, contract.check_scores),
}


@functools.cache
def case(name):
  return contract.case(contract.small(name))


def test_every_capability_has_its_checks():
  assert set(CHECKS) == set(base.LIKELIHOODS)


@pytest.mark.parametrize(
  'check, name',
  [
    (check, name)
    for name in NAMES
    for check in CHECKS[contract.small(name).capability]
  ],
)
def test_contract(check, name):
  check(case(name))


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize(
  'check',
  [contract.check_seeds, contract.check_overfit, contract.check_columns],
)
def test_training(check, name):
  check(contract.small(name))


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.xdist_group('devices')
def test_eight_devices_train_as_one(name):
  contract.check_devices(contract.small(name))


@pytest.mark.parametrize('name', NAMES)
def test_saved_and_restored(name, tmp_path):
  contract.check_saved(case(name), tmp_path)


def test_every_model_has_a_config_of_its_name():
  for name in NAMES:
    config = importlib.import_module(f'configs.{name}').get_config()
    built = build.model(config.model, config.encoder, num_labels=3)
    assert type(built).__module__ == f'mlc.models.{name}'


@pytest.mark.parametrize('name', PAPERS)
def test_the_setting_of_a_paper_can_be_trained(name):
  rng = np.random.default_rng(0)
  data = data_lib.from_arrays(
    rng.normal(size=(300, 20)), rng.random((300, 10)) < 0.3
  )
  config = importlib.import_module(f'configs.papers.{name}').get_config()
  checks.check(config, data)
