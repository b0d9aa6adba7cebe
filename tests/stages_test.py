"""What a stage hands on is in the next one, to the bit, cut or not."""

from typing import Any

import contract
import jax
import numpy as np
from outcomes import newest, result
import pytest

from configs import stacking
from configs.ablations import frozen_encoder
from mlc import archive, checkpoint, checks, experiment, loop, stages
from mlc.errors import InputError

EPOCHS = 3


@pytest.fixture(scope='module')
def data():
  return contract.dataset().standardised()


def row(name):
  """A row of the ablation: two seeds of a small encoder, a high rate."""
  whole: Any = frozen_encoder.get_config('independent,chain')
  whole.seeds, whole.epochs = 2, EPOCHS
  config = whole[name].copy_and_resolve_references()
  config.encoder.update(widths=(8,), dropout=0.0)
  for stage in (config, config.heads):
    stage.train.update(batch_size=10)
    stage.train.optimizer.lr = 0.3
  return config


class Cut:
  """Asks to stop at the n-th chunk, of which an epoch here has one."""

  def __init__(self, chances):
    self.left = chances

  def __call__(self):
    self.left -= 1
    return self.left == 0


def trained(config, data, folder, **options):
  checked = checks.check(config, data)
  return experiment.train_and_evaluate(
    checked, data, folder, tensorboard=False, **options
  )


@pytest.fixture(scope='module', params=['independent', 'chain'])
def whole(request, data, tmp_path_factory):
  """(name of the row, its folder)."""
  folder = tmp_path_factory.mktemp(request.param)
  trained(row(request.param), data, folder)
  return request.param, folder


def test_the_encoder_is_the_best_one_of_the_heads_to_the_bit(whole):
  _, folder = whole
  heads, _ = archive.read(newest(folder / 'stages' / 'heads'), advice='')
  variables, _ = checkpoint.restore(folder / 'checkpoints' / 'final')
  flat, _ = jax.tree_util.tree_flatten_with_path(variables['params']['encoder'])
  assert len(flat) > 1
  later = False
  for path, leaf in flat:
    name = f'encoder/{jax.tree_util.keystr(path, simple=True, separator="/")}'
    best = heads[f'best_params/{name}']
    assert leaf.dtype == best.dtype and leaf.tobytes() == best.tobytes()
    later |= (best != heads[f'state/params/{name}']).any()
  assert later, 'the best epoch of the heads is the last one'


@pytest.mark.parametrize('stage, chances', [('heads', 2), ('', EPOCHS + 2)])
def test_cut_in_a_stage_and_gone_on_with_it_ends_the_same(
  whole, data, tmp_path, stage, chances
):
  name, expected = whole
  with pytest.raises(loop.Stopped):
    trained(row(name), data, tmp_path, stop=Cut(chances))
  assert numbers(tmp_path / 'stages' / 'heads')
  assert bool(numbers(tmp_path)) == (not stage)
  trained(row(name), data, tmp_path)
  found, expected = result(tmp_path), result(expected)
  assert not [k for k in found | expected if found.get(k) != expected.get(k)]


def numbers(folder):
  return [path.name for path in folder.glob('checkpoints/[0-9]*')]


def test_a_seed_that_failed_in_the_first_stage_is_left_out_with_its_note(
  data, tmp_path, monkeypatch
):
  fit, calls = loop.fit, []

  def failing(*args, **kwargs):
    calls.append(args)
    fitted = fit(*args, **kwargs)
    return fitted if calls[1:] else fitted._replace(failures=('', 'why'))

  monkeypatch.setattr(loop, 'fit', failing)
  outcome = trained(row('chain'), data, tmp_path)
  assert len(calls) == 2
  assert outcome.notes[:1] == ['chain, left out: why']
  scores = [r for r in outcome.records if not r.metric.endswith('_seconds')]
  assert scores and {len(record.values) for record in scores} == {1}
  variables, _ = checkpoint.restore(tmp_path / 'checkpoints' / 'final')
  assert {len(a) for a in jax.tree.leaves(variables['params'])} == {2}
  assert np.isfinite([record.values for record in scores]).all()


def test_a_part_to_keep_that_there_is_not_is_refused_before_training(data):
  config = row('chain')
  config.heads.keep = ('encodr',)
  with pytest.raises(InputError, match="'encodr'.*encoder") as caught:
    checks.check(config, data)
  assert '\n' not in str(caught.value)


def two_levels():
  """Stacking of two seeds, with three folds."""
  config: Any = stacking.get_config()
  config.seeds, config.first.folds = 2, 3
  config.encoder.update(widths=(8,), dropout=0.1)
  for stage in (config, config.first):
    stage.train.update(batch_size=10, epochs=EPOCHS)
    stage.train.optimizer.lr = 0.3
  return config


@pytest.fixture(scope='module')
def stacked(data, tmp_path_factory):
  folder = tmp_path_factory.mktemp('stacked')
  trained(two_levels(), data, folder)
  return folder


def test_the_first_level_is_its_stage_to_the_bit(stacked):
  first, _ = archive.read(newest(stacked / 'stages' / 'first'), advice='')
  variables, _ = checkpoint.restore(stacked / 'checkpoints' / 'final')
  for collection in ('params', 'structure'):
    part = variables[collection]['first']
    flat, _ = jax.tree_util.tree_flatten_with_path(part)
    where = {'params': 'best_params', 'structure': 'state/structure'}
    assert flat
    for path, leaf in flat:
      name = jax.tree_util.keystr(path, simple=True, separator='/')
      expected = first[f'{where[collection]}/{name}']
      assert leaf.tobytes() == expected.tobytes(), name


@pytest.mark.parametrize('stage, chances', [(1, 2), (2, 2)])
def test_cut_in_the_folds_or_after_them_it_ends_the_same(
  stacked, data, tmp_path, stage, chances
):
  with pytest.raises(loop.Stopped):
    cut = Cut(stage * EPOCHS + chances)
    trained(two_levels(), data, tmp_path, stop=cut)
  assert numbers(tmp_path / 'stages' / 'first' / 'folds')
  assert bool(numbers(tmp_path)) == (stage == 2)
  trained(two_levels(), data, tmp_path)
  found, expected = result(tmp_path), result(stacked)
  assert not [k for k in found | expected if found.get(k) != expected.get(k)]


def test_progress_counts_the_folds_too():
  config = two_levels()
  assert stages.epochs(config) == 3 * EPOCHS
  config.first.folds = 0
  assert stages.epochs(config) == 2 * EPOCHS


def test_predictions_are_for_the_last_stage_alone(data):
  config = stacking.get_config()
  config.train.batch_size = config.first.train.batch_size = 10
  checks.check(config, data)
  config.warm = {'model': config.model, 'train': config.train}
  config.stages = ('first', 'warm')
  with pytest.raises(InputError, match='is for the last stage'):
    checks.check(config, data)
