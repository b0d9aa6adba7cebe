"""Strings become objects, or errors that name what is wrong."""

import jax
import numpy as np
import pytest

from configs import compare
from mlc import build, inference
from mlc.errors import InputError

MLP = {'name': 'MLP'}


def test_a_mixture_gives_its_encoder_to_the_members():
  config = {'name': 'mixture', 'size': 3, 'member': {'name': 'chain'}}
  model = build.model(config, {'name': 'MLP', 'widths': [7]}, 4)
  assert model.encoder is None
  assert model.member.encoder.widths == (7,)
  assert model.num_labels == model.member.num_labels == 4


def test_inference_is_written_as_a_call():
  for call, method, options in (
    ('exact', inference.exact, {}),
    ('greedy', inference.greedy, {}),
    ('beam(width=3)', inference.beam, {'width': 3}),
    ('monte_carlo(samples=50)', inference.monte_carlo, {'samples': 50}),
  ):
    found = build.infer(call)
    assert found.func is method and found.keywords == options


@pytest.mark.parametrize(
  'call, message',
  [
    ('beem', "unknown inference method 'beem'; did you mean: beam"),
    ('beam(widht=3)', "unknown option of beam 'widht'; did you mean: width"),
    ('beam(3)', 'with options as in beam'),
    ('beam(width=', 'with options as in beam'),
    ("beam(width='3')", "width='3' of beam: give a int"),
    ('exact(key=1)', "unknown option of exact 'key': there is none"),
  ],
)
def test_inference_that_cannot_be_read_is_named(call, message):
  with pytest.raises(InputError, match=message.replace('(', r'\\(')):
    build.infer(call)


def test_unknown_names_and_options_list_the_nearest():
  with pytest.raises(InputError, match="unknown model 'chan'.*chain"):
    build.model({'name': 'chan'}, MLP, 3)
  with pytest.raises(InputError, match="option of chain 'hiden'.*hidden"):
    build.model({'name': 'chain', 'hiden': 3}, MLP, 3)
  with pytest.raises(InputError, match='hidden=2.0 of chain: give a int'):
    build.model({'name': 'chain', 'hidden': 2.0}, MLP, 3)
  with pytest.raises(InputError, match="unknown encoder 'MPL'.*MLP"):
    build.model({'name': 'chain'}, {'name': 'MPL'}, 3)
  with pytest.raises(InputError, match="unknown decision 'hammin'.*hamming"):
    build.decision('hammin')


def test_an_encoder_without_units_is_refused():
  model = build.model({'name': 'chain'}, {'name': 'MLP', 'widths': (0,)}, 2)
  x, y = np.zeros((3, 2)), np.zeros((3, 2))
  with pytest.raises(InputError, match='give widths of 1 or more'):
    model.init(jax.random.key(0), x, y, y, method='loss')


def test_an_override_of_one_row_stays_with_it():
  config = compare.get_config('chain,rnn')
  config.epochs = 9
  config.rnn.train.epochs = 2
  config.seeds = 3
  assert (config.chain.train.epochs, config.rnn.train.epochs) == (9, 2)
  assert config.chain.seeds == config.rnn.seeds == 3
