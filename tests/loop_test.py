"""The loop stops, saves, streams and goes on, and trains the same all along."""

import contextlib
import functools

import contract
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse
from sklearn import metrics as sk_metrics

from mlc import build, checkpoint, evaluate, feed, loop, runs, scoring, train
from mlc import data as data_lib
from mlc.errors import InputError
from mlc.models import chain, independent

SEEDS = [0, 1, 2]


def same(one, other):
  jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.fixture(scope='module')
def model():
  return contract.make(chain.Model)


def config(**changes):
  """At this rate the runs stop early, each at an epoch of its own."""
  fast = dict(contract.sgd().optimizer) | {'lr': 1.0}
  changes = {'patience': 2, 'optimizer': fast} | changes
  return contract.sgd(**({'epochs': 9, 'batch_size': 7} | changes))


class Cut:
  """Asks to stop at the n-th chance."""

  def __init__(self, chances):
    self.left = chances

  def __call__(self):
    self.left -= 1
    return self.left == 0


@pytest.fixture
def short_chunks(monkeypatch):
  """Five steps an epoch in chunks of two, two and one."""
  monkeypatch.setattr(feed, 'MAX_STEPS', 2)


@pytest.fixture(scope='module')
def whole(model):
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(feed, 'MAX_STEPS', 2)
    lines = []
    result = loop.fit(
      model, contract.dataset(), config(), SEEDS, log=collect(lines)
    )
  assert lines == result.history
  ends = [
    sum(line['valid_loss'][run] is not None for line in lines)
    for run in range(3)
  ]
  # The cut at 14 comes after the first has stopped and before the others.
  assert min(ends) == 3 and sorted(ends)[1] > 4
  return result


def collect(lines):
  """A log that keeps its lines, from the epoch on that it is opened after."""

  @contextlib.contextmanager
  def log(epoch):
    del lines[epoch:]
    yield lambda epoch, line: lines.append(line)

  return log


@pytest.mark.parametrize('chances', [[1], [3], [4], [14], [1, 1, 2, 11]])
def test_cut_anywhere_and_gone_on_with_ends_the_same(
  model, whole, short_chunks, tmp_path, chances
):
  lines = []
  for chance in chances:
    with checkpoint.Checkpoints(tmp_path) as saved, pytest.raises(loop.Stopped):
      loop.fit(
        model,
        contract.dataset(),
        config(),
        SEEDS,
        saved=saved,
        stop=Cut(chance),
        log=collect(lines),
      )
  with checkpoint.Checkpoints(tmp_path) as saved:
    result = loop.fit(
      model,
      contract.dataset(),
      config(),
      SEEDS,
      saved=saved,
      log=collect(lines),
    )
  same(result.variables, whole.variables)
  assert result.history == whole.history == lines


def test_what_was_done_is_read_and_not_trained_again(model, tmp_path):
  results = []
  for _ in range(2):
    with checkpoint.Checkpoints(tmp_path) as saved:
      results.append(
        loop.fit(model, contract.dataset(), config(), SEEDS, saved=saved)
      )
  one, two = results
  same(one.variables, two.variables)
  assert one.history == two.history
  assert two.train_seconds == pytest.approx(one.train_seconds, abs=0.5)


def test_a_run_goes_on_on_another_number_of_devices(model, whole, tmp_path):
  with checkpoint.Checkpoints(tmp_path) as saved, pytest.raises(loop.Stopped):
    loop.fit(
      model, contract.dataset(), config(), SEEDS, saved=saved, stop=Cut(2)
    )
  with checkpoint.Checkpoints(tmp_path) as saved:
    result = loop.fit(
      model,
      contract.dataset(),
      config(parallel='mesh(data=4, label=2)'),
      SEEDS,
      saved=saved,
    )
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, atol=1e-5),
    result.variables,
    whole.variables,
  )


@pytest.mark.parametrize('form', [np.asarray, sparse.csr_array])
def test_streamed_rows_train_as_rows_on_the_device(model, form):
  x, y, _ = contract.dataset().rows(slice(None))
  y = np.where(np.random.default_rng(0).random(y.shape) < 0.1, np.nan, y)
  data = data_lib.from_arrays(
    form(np.where(np.abs(x) > 0.5, x, 0)), y, splits=contract.dataset().splits
  )
  here = loop.fit(model, data, config(), SEEDS)
  streamed = loop.fit(model, data, config(device_mib=0.002), SEEDS)
  same(here.variables, streamed.variables)
  assert here.history == streamed.history


def test_the_feed_streams_when_the_rows_are_too_many(model):
  def fed(mib):
    plan = loop.parallel.plan('jit', 3, 4)
    return feed.Feed(contract.dataset(), 7, SEEDS, plan, mib)

  assert not fed(1.0).streamed
  assert fed(0.002).streamed
  assert fed(0.002).chunk_steps < fed(1.0).chunk_steps


@pytest.mark.parametrize('running, poison', [(False, 0.0), (True, np.nan)])
def test_a_run_that_has_stopped_or_explodes_keeps_its_state(
  model, running, poison
):
  state, rows = contract.start(model)
  fit = runs.Fit(
    state=state,
    best_params=state.params,
    best_score=jnp.array(1.0),
    since_best=jnp.array(0),
    running=jnp.array(running),
  )

  def step(state, batch, axis_name):
    moved = jax.tree.map(lambda p: p + 1 + poison, state.params)
    scalars = {'loss': jnp.array(1.0), 'grad_norm': jnp.array(1.0)}
    return state.replace(params=moved, step=state.step + 1), scalars

  idx_TxB = jnp.zeros((2, 3), jnp.int32)
  after, _ = runs.chunk(fit, rows, idx_TxB, None, step=step)
  same(after.state, fit.state)
  assert not after.running
  # But for that it would have moved.
  sound = fit.replace(running=jnp.array(True))
  moved, _ = runs.chunk(
    sound, rows, idx_TxB, None, step=lambda s, b, axis_name: (
      s.replace(step=s.step + 1), step(s, b, axis_name)[1]
    ),
  )  # fmt: skip
  assert int(moved.state.step) == 2 and bool(moved.running)


@pytest.fixture(scope='module')
def poisoned(model):
  """An objective that is nan for the order of seed 1 at the row `marker`."""
  data = contract.dataset()
  # A row of its fifth batch.
  place = feed.batches.epoch_indices(36, 7, 1, 0)[4, 0]
  marker = int(data.splits['train'][place])
  start = functools.partial(contract.start, model)
  orders = [tuple(start(seed)[0].structure['order'].tolist()) for seed in SEEDS]
  assert orders.count(orders[1]) == 1
  value = float(data.rows(np.array([marker])).x[0, 0])

  def objective(variables, batch, **kwargs):
    loss_B, weight_B = train.likelihood(model)(variables, batch, **kwargs)
    order_L = variables['structure']['order']
    hit = (order_L == jnp.array(orders[1])).all() & kwargs.get('train', False)
    hit &= (batch.x[:, 0] == value).any()
    return loss_B + jnp.where(hit, jnp.nan, 0.0), weight_B

  return objective, marker


def test_a_run_that_is_not_finite_stops_alone(model, poisoned, short_chunks):
  objective, marker = poisoned
  data = contract.dataset()
  result = loop.fit(model, data, config(), SEEDS, objective=objective)
  sound = loop.fit(model, data, config(), SEEDS)
  for run in (0, 2):
    same(
      *(
        jax.tree.map(lambda a, run=run: a[run], r.variables)
        for r in (result, sound)
      )
    )
  assert [bool(text) for text in result.failures] == [False, True, False]
  # Where it was: the batch of seed 1 with the marked row, by hand.
  idx_TxB = feed.batches.epoch_indices(36, 7, 1, 0)
  rows = data.splits['train'][idx_TxB[4]]
  assert marker in rows
  assert 'not finite at step 4 (epoch 1, seed 1' in result.failures[1]
  assert 'learning rate 1,' in result.failures[1]
  assert ', '.join(map(str, rows)) in result.failures[1]
  assert result.history[0]['valid_loss'][1] is None
  # It keeps the last parameters that were good: here those it began with.
  for leaf in jax.tree.leaves(result.variables['params']):
    assert np.isfinite(leaf).all()


def spoiled(model, run, value):
  """An objective that is `value` on validation rows for the order of a run."""
  state, _ = contract.start(model, seed=SEEDS[run])
  order = state.structure['order']

  def objective(variables, batch, **kwargs):
    loss_B, weight_B = train.likelihood(model)(variables, batch, **kwargs)
    hit = (variables['structure']['order'] == order).all()
    hit &= not kwargs.get('train', False)
    return jnp.where(hit, value, loss_B), weight_B

  return objective


def test_a_run_without_a_validation_loss_stops_alone(model):
  data = contract.dataset()
  result = loop.fit(
    model, data, config(), SEEDS, objective=spoiled(model, 1, jnp.nan)
  )
  sound = loop.fit(model, data, config(), SEEDS)
  for run in (0, 2):
    same(
      *(
        jax.tree.map(lambda a, run=run: a[run], r.variables)
        for r in (result, sound)
      )
    )
  assert 'no validation loss after epoch 1 (seed 1)' in result.failures[1]
  assert not result.failures[0] and not result.failures[2]


def test_early_stopping_cannot_go_by_infinity(model):
  with pytest.raises(InputError, match='score is infinite after epoch 1'):
    loop.fit(
      model,
      contract.dataset(),
      config(),
      [1],
      objective=spoiled(model, 1, jnp.inf),
    )


def test_a_metric_to_select_by_needs_patience(model):
  with pytest.raises(InputError, match='select=nll with train.patience=0'):
    loop.fit(model, contract.dataset(), config(select='nll', patience=0), SEEDS)


def test_where_no_run_stays_finite_it_is_an_error(model, poisoned):
  with pytest.raises(InputError, match=r'not finite at step \d .*seed 1'):
    loop.fit(model, contract.dataset(), config(), [1], objective=poisoned[0])


def test_early_stopping_looks_at_the_metric_it_is_told(model):
  data = contract.dataset()
  valid = data.split('valid')
  infer = build.infer('exact')
  select = scoring.selection(
    'subset_accuracy', model, valid, infer, batch_size=5
  )
  result = loop.fit(
    model, data, config(epochs=12, patience=3), SEEDS, select=select
  )
  decode = evaluate.Decoder(model, infer, batch_size=5)
  answers = decode(result.variables, valid, ('subset',)).answers['subset']
  for run in range(len(SEEDS)):
    seen = [line['valid_subset_accuracy'][run] for line in result.history]
    seen = [value for value in seen if value is not None]
    accuracy = sk_metrics.accuracy_score(valid.y, answers[run])
    assert accuracy == pytest.approx(max(seen))
    assert len(seen) == min(12, int(np.argmax(seen)) + 1 + 3)
  losses = [line['valid_loss'] for line in result.history]
  assert any(
    np.argmin([v for v in column if v is not None])
    != np.argmax([line['valid_subset_accuracy'][k] for line in result.history
                  if line['valid_subset_accuracy'][k] is not None])
    for k, column in enumerate(zip(*losses, strict=True))
  )  # fmt: skip


def test_metrics_to_select_by_are_checked(model):
  valid = contract.dataset().split('valid')
  for call, message in (
    ('macro_f2', 'unknown metric to select by .*macro_f1'),
    ('nll(rule=1)', "unknown option of train.select 'rule'"),
    ('micro_f1(decision="f2")', 'unknown decision'),
  ):
    with pytest.raises(InputError, match=message):
      scoring.selection(call, model, valid, build.infer('exact'), batch_size=5)
  assert (
    scoring.selection('loss', model, valid, build.infer('exact'), batch_size=5)
    is None
  )


def test_a_given_encoder_that_is_frozen_stays_as_it_was():
  data = contract.dataset()
  heads = loop.fit(contract.make(independent.Model), data, config(), SEEDS)
  given = {'encoder': heads.variables['params']['encoder']}
  frozen = dict(contract.sgd().optimizer) | {'freeze': ('encoder',)}
  chains = loop.fit(
    contract.make(chain.Model),
    data,
    config(optimizer=frozen, epochs=3),
    SEEDS,
    given=given,
  ).variables['params']
  same(chains['encoder'], given['encoder'])
  assert np.ptp(chains['label_kernel'], axis=0).max() > 0


def test_a_given_encoder_fills_every_member():
  member = {'encoder': {'kernel': jnp.zeros((3, 2, 2))}, 'head': jnp.ones(3)}
  given = {'encoder': {'kernel': jnp.ones((2, 2))}}
  filled = train.filled({'member': member}, given)['member']
  np.testing.assert_array_equal(filled['encoder']['kernel'], np.ones((3, 2, 2)))
  np.testing.assert_array_equal(filled['head'], np.ones(3))
  with pytest.raises(InputError, match='no parameters named tail to fill'):
    train.filled({'member': member}, {'tail': given})
  with pytest.raises(InputError, match=r'shape \(2, 3\) cannot fill'):
    train.filled({'member': member}, {'encoder': {'kernel': jnp.ones((2, 3))}})


def test_every_step_of_a_chunked_epoch_is_one_of_the_whole(model, short_chunks):
  plan = loop.parallel.plan('jit', 3, 4)
  fed = feed.Feed(contract.dataset(), 7, SEEDS, plan, 1.0)
  parts = list(fed.epoch(3))
  assert [(p.start, p.stop) for p in parts] == [(0, 2), (2, 4), (4, 6)]
  whole = np.concatenate([p.idx_KxTxB for p in parts], axis=1)
  for run, seed in enumerate(SEEDS):
    expected = feed.batches.epoch_indices(36, 7, seed, 3)
    np.testing.assert_array_equal(whole[run], expected)
  rest = list(fed.epoch(3, 4))
  np.testing.assert_array_equal(rest[0].idx_KxTxB, parts[2].idx_KxTxB)


def test_validation_in_pieces_is_validation_at_once(model, monkeypatch):
  def losses():
    return [
      line['valid_loss']
      for line in loop.fit(
        model, contract.dataset(), config(epochs=2), SEEDS
      ).history
    ]

  at_once = losses()
  monkeypatch.setattr(feed, 'VALID_ROWS', 5)
  np.testing.assert_allclose(at_once, losses(), rtol=1e-6)
