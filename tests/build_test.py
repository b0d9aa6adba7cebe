"""Strings become objects, or errors that name what is wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import linear_model

from configs import compare
from mlc import build, inference, losses, row_losses, train
from mlc import data as data_lib
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
  with pytest.raises(InputError, match="unknown decision 'pcutt'.*pcut"):
    build.decision('pcutt')


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
  config.data = 'mulan/emotions,mulan/enron'
  config.rnn.data = 'mulan/emotions'
  assert config.chain.data == config.data == 'mulan/emotions,mulan/enron'


def labelled(kind='multi-label'):
  """40 rows of 3 labels; multi-label ones have soft and missing cells."""
  rng = np.random.default_rng(0)
  y = np.eye(3)[np.arange(40) % 3]
  if kind == 'multi-label':
    y = np.round(rng.random((40, 3)), 2)
    y[rng.random(y.shape) < 0.3] = np.nan
    y[:, 0] = np.arange(40) % 2
  x = rng.normal(size=(40, 2))
  return data_lib.from_arrays(x, y, kind=kind, name=kind)


def built(name, data):
  model = build.model({'name': name}, {'name': 'Linear'}, 3)
  batch = train.Batch(*map(jnp.asarray, data.split('train')))
  structure = jax.tree.map(jnp.asarray, model.structure(data))
  _, variables = model.apply(
    {'structure': structure},
    *batch,
    rngs={'params': jax.random.key(0)},
    method='loss',
    mutable=True,
  )
  return model, variables, batch


def test_the_likelihood_is_the_models_own_loss():
  for name, kind in (('chain', 'multi-label'), ('softmax', 'multi-class')):
    data = labelled(kind)
    model, variables, batch = built(name, data)
    objective = build.objective(model, 'likelihood', data)
    found = objective(variables, batch)
    expected = model.apply(variables, *batch, method='loss')
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert objective.proper and not objective.of_batch


def test_the_sum_of_cross_entropies_is_the_likelihood_of_a_chain():
  data = labelled()
  model, variables, batch = built('chain', data)
  found = build.objective(model, 'bce_sum', data)(variables, batch)
  expected = model.apply(variables, *batch, method='loss')
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, expected
  )
  assert (np.asarray(batch.mask_BxL) == 0).any()


@pytest.mark.parametrize(
  ('loss', 'options', 'name', 'proper', 'of_batch'),
  [
    (losses.bce_mean, {}, 'chain', True, False),
    (losses.bce_mean, {'smoothing': 0.1}, 'chain', False, False),
    (losses.bce_sum, {'positive': 2}, 'chain', False, False),
    (losses.bce_weighted, {'weights': (1, 2, 3)}, 'chain', True, False),
    (losses.focal, {'gamma': 1}, 'rnn', False, False),
    (row_losses.lsep, {}, 'independent', False, False),
    (row_losses.soft_macro_f1_batch, {}, 'separate', False, True),
  ],
)
def test_a_loss_takes_the_models_cells(loss, options, name, proper, of_batch):
  data = labelled()
  model, variables, batch = built(name, data)
  said = ', '.join(f'{key}={value}' for key, value in options.items())
  objective = build.objective(model, f'{loss.__name__}({said})', data)
  assert (objective.proper, objective.of_batch) == (proper, of_batch)
  logits_BxL, counted_BxL = model.apply(variables, *batch, method='cells')
  jax.tree.map(
    np.testing.assert_array_equal,
    objective(variables, batch),
    loss(logits_BxL, batch.y_BxL, counted_BxL, **options),
  )


@pytest.mark.parametrize('name', ['class_balanced', 'distribution_balanced'])
def test_label_counts_are_of_observed_training_cells(name):
  data = labelled()
  model, _, batch = built('independent', data)
  objective = build.objective(model, name, data)
  mask = np.asarray(batch.mask_BxL)
  for key, expected in (
    ('positive_L', (np.asarray(batch.y_BxL, float) * mask).sum(0)),
    ('observed_L', mask.sum(0)),
  ):
    np.testing.assert_allclose(
      objective.loss.keywords[key], expected, rtol=1e-6
    )
  with pytest.raises(InputError, match='unknown option of'):
    build.objective(model, f'{name}(observed_L=3)', data)


def test_dropout_reaches_the_loss_in_training_alone():
  data = labelled()
  _, _, batch = built('independent', data)
  config = {'name': 'MLP', 'widths': (64,), 'dropout': 0.5}
  model = build.model({'name': 'independent'}, config, 3)
  rngs = {'params': jax.random.key(0), 'dropout': jax.random.key(1)}
  variables = model.init(rngs, *batch, method='loss')
  for call in ('likelihood', 'focal'):
    objective = build.objective(model, call, data)
    calm, again = (objective(variables, batch)[0] for _ in range(2))
    np.testing.assert_array_equal(calm, again)
    shaken, _ = objective(
      variables, batch, train=True, rngs={'dropout': jax.random.key(2)}
    )
    assert np.abs(np.asarray(shaken - calm)).max() > 1e-3


@pytest.mark.parametrize(
  ('name', 'call', 'message'),
  [
    ('chain', 'focl', "unknown loss 'focl'; did you mean: focal"),
    ('chain', 'likelihod', 'did you mean: likelihood'),
    ('chain', 'sides', "unknown loss 'sides'"),
    ('chain', 'focal(gama=1)', "option of focal 'gama'; did you mean: gamma"),
    ('chain', 'focal(gamma=-1)', 'gamma=-1 of the loss: give a number of 0'),
    ('chain', 'likelihood(gamma=1)', "option of likelihood 'gamma'"),
    ('chain', 'bce_weighted(weights=(1, 2))', 'give 3 numbers, one a label'),
    ('chain', 'lsep', 'lsep on chain: .* were given the true labels'),
    ('rnn', 'soft_macro_f1_batch', 'soft_macro_f1_batch on rnn: it compares'),
    (
      'chain',
      'softmax',
      'softmax on multi-label: its rows may have any number',
    ),
  ],
)
def test_a_loss_without_meaning_is_refused_in_one_line(name, call, message):
  data = labelled()
  model = build.model({'name': name}, MLP, 3)
  with pytest.raises(InputError, match=message) as caught:
    build.objective(model, call, data)
  assert '\n' not in str(caught.value)


def test_models_of_label_sets_have_their_likelihood_alone():
  data = labelled('multi-class')
  member = {'name': 'mixture', 'member': {'name': 'chain'}}
  for config in ({'name': 'powerset'}, {'name': 'softmax'}, member):
    model = build.model(config, MLP, 3)
    assert build.objective(model, 'likelihood', data).proper
    with pytest.raises(InputError, match=f'bce_mean on {config["name"]}: it'):
      build.objective(model, 'bce_mean', data)
  independent = build.model({'name': 'independent'}, MLP, 3)
  with pytest.raises(InputError, match="train the model 'softmax'"):
    build.objective(independent, 'softmax', data)


def test_softmax_is_scikit_learns_multinomial_regression():
  rng = np.random.default_rng(0)
  x = rng.normal(size=(200, 2))
  y = np.eye(3)[
    (x @ rng.normal(size=(2, 3)) + rng.gumbel(size=(200, 3))).argmax(1)
  ]
  data = data_lib.from_arrays(x, y, kind='multi-class')
  model, variables, batch = built('softmax', data)
  theirs = linear_model.LogisticRegression(C=1e6, tol=1e-10).fit(
    *(batch.x, np.asarray(batch.y_BxL).argmax(1))
  )
  head = {'kernel': jnp.asarray(theirs.coef_.T), 'bias': theirs.intercept_}
  params = variables['params'] | {'head': jax.tree.map(jnp.asarray, head)}
  variables = variables | {'params': params}
  p_BxL = model.apply(variables, batch.x, method='marginals')
  np.testing.assert_allclose(
    p_BxL, theirs.predict_proba(np.asarray(batch.x)), atol=1e-6
  )
  loss = build.objective(model, 'likelihood', data)

  def mean(params):
    loss_B, weight_B = loss(variables | {'params': params}, batch)
    return loss_B.sum() / weight_B.sum()

  slopes = jax.tree.leaves(jax.jit(jax.grad(mean))(params))
  assert max(np.abs(slope).max() for slope in slopes) < 1e-4


def test_softmax_is_refused_on_multi_label_data():
  model = build.model({'name': 'softmax'}, MLP, 3)
  message = 'multi-label is multi-label: softmax needs exactly one label on'
  with pytest.raises(InputError, match=message):
    model.structure(labelled())
