"""Every model of mlc/models/ keeps its contract; a new file is found here."""

import functools
import importlib

import contract
import pytest

from mlc import build
from mlc.models import base

NAMES = contract.model_names()


def of_steps(name):
  cls = importlib.import_module(f'mlc.models.{name}').Model
  return issubclass(cls, base.Autoregressive)


@functools.cache
def model(name):
  return contract.make(importlib.import_module(f'mlc.models.{name}').Model)


@functools.cache
def case(name):
  return contract.case(model(name))


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize(
  'check',
  [
    contract.check_capability,
    contract.check_normalised,
    contract.check_samples,
    contract.check_marginals,
    contract.check_full_beam,
    contract.check_monte_carlo,
    contract.check_eager,
    contract.check_gradients,
    contract.check_missing,
  ],
)
def test_normalised_model(check, name):
  check(case(name))


@pytest.mark.parametrize('name', list(filter(of_steps, NAMES)))
@pytest.mark.parametrize('check', [contract.check_steps, contract.check_causal])
def test_model_that_decodes_in_steps(check, name):
  check(case(name))


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize(
  'check',
  [contract.check_seeds, contract.check_overfit, contract.check_columns],
)
def test_training(check, name):
  check(model(name))


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.xdist_group('devices')
def test_eight_devices_train_as_one(name):
  contract.check_devices(model(name))


@pytest.mark.parametrize('name', NAMES)
def test_saved_and_restored(name, tmp_path):
  contract.check_saved(case(name), tmp_path)


def test_every_model_has_a_config_of_its_name():
  for name in NAMES:
    config = importlib.import_module(f'configs.{name}').get_config()
    built = build.model(config.model, config.encoder, num_labels=3)
    assert type(built).__module__ == f'mlc.models.{name}'
