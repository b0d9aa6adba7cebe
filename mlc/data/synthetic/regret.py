"""Regret: how much worse an answer is than the best, by the known p(y | x)."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from mlc import decisions
from mlc.data.synthetic.base import (
  LABELS,
  MAX_EXACT,
  World,
  chunks,
  label_sets,
  overlap,
  stream,
)
from mlc.errors import InputError, nearest
from mlc.posterior import Candidates

# The decision rule that is optimal for each loss.
RULES = {
  'hamming': decisions.hamming,
  'subset': decisions.subset,
  'f1': decisions.f1,
}


class Regret(NamedTuple):
  """Expected losses of each row, given x.

  loss_B: of the answer. bayes_B: of the Bayes-optimal answer. error_B: the
  standard error of loss_B - bayes_B; 0 where no mean over draws is taken. Rows
  err independently: that of their mean is sqrt(sum of squares) / B.
  """

  loss_B: np.ndarray
  bayes_B: np.ndarray
  error_B: np.ndarray

  @property
  def value_B(self) -> np.ndarray:
    """The regret."""
    return self.loss_B - self.bayes_B


def regret(
  world: World, x_BxD, yhat_BxL, loss: str, *, seed=0, num_samples=1000
) -> Regret:
  """The expected loss of answers, and that of the Bayes-optimal ones.

  loss: 'hamming', 'subset' or 'f1' (1 - example-F1, whose 0/0 is 1).
  Up to 20 labels: over all label sets in float64. The Bayes answer is decided
  in float32, which may cost it 1e-6 where two are nearly as good.
  Beyond: by 2 `num_samples` draws a row. Hamming and F1 are judged by half of
  them, the Bayes answer decided on the other half. Subset losses are exact, and
  the Bayes answer is the most probable of the draws and `yhat`. Both are at
  best optimal, so the regret is low on average, by much where p(y | x) is flat.
  Time and memory: 2^L a row; at L = 20 seconds a row and 1 GiB in all.

  Raises:
    InputError: an unknown loss, fewer than 2 samples, or answers of the wrong
      shape.
  """
  if loss not in RULES:
    raise nearest(loss, RULES, 'loss')
  if num_samples < 2:
    raise InputError(f'num_samples={num_samples}: give 2 or more')
  x_BxD, yhat_BxL = np.asarray(x_BxD), np.asarray(yhat_BxL)
  if yhat_BxL.shape != (len(x_BxD), world.num_labels):
    raise InputError(
      f'answers of shape {yhat_BxL.shape}: give {len(x_BxD)} rows of'
      f' {world.num_labels} labels'
    )
  if world.num_labels <= MAX_EXACT:
    found = [
      _exact(world, x_BxD[rows], yhat_BxL[rows], loss)
      for rows in chunks(len(x_BxD), 2**world.num_labels)
    ]
  else:
    rng = stream(LABELS, seed)  # A seed for each chunk, or their draws agree.
    found = [
      _sampled(
        world, x_BxD[rows], yhat_BxL[rows], loss, rng.integers(2**32),
        num_samples,
      )
      for rows in chunks(len(x_BxD), num_samples * world.num_labels)
    ]  # fmt: skip
  return Regret(*map(np.concatenate, zip(*found, strict=True)))


def _exact(world, x_BxD, yhat_BxL, loss):
  logp_BxU = world.log_probs(x_BxD)
  y_1xUxL = label_sets(world.num_labels)[None]
  logw_BxU = jnp.asarray(logp_BxU.astype(np.float32))
  bayes_BxL = RULES[loss](Candidates(jnp.asarray(y_1xUxL), logw_BxU))
  p_BxU = np.exp(logp_BxU)
  loss_B, bayes_B = (
    (p_BxU * _losses(np.asarray(answer_BxL), y_1xUxL, loss)).sum(1)
    for answer_BxL in (yhat_BxL, bayes_BxL)
  )
  return loss_B, bayes_B, np.zeros_like(loss_B)


def _sampled(world, x_BxD, yhat_BxL, loss, seed, num_samples):
  y_BxSxL = world.sample(x_BxD, seed, 2 * num_samples)
  if loss == 'subset':
    own_B = np.exp(world.log_prob(x_BxD, yhat_BxL[:, None])[:, 0])
    best_B = np.exp(world.log_prob(x_BxD, y_BxSxL).max(1))
    return 1 - own_B, 1 - np.maximum(own_B, best_B), np.zeros_like(own_B)
  # Not the same draws twice, or the Bayes answer fits them too well.
  decide_BxSxL, judge_BxSxL = np.split(y_BxSxL, 2, axis=1)
  logw_BxS = jnp.zeros(decide_BxSxL.shape[:2])
  bayes_BxL = RULES[loss](Candidates(jnp.asarray(decide_BxSxL), logw_BxS))
  loss_BxS = _losses(yhat_BxL, judge_BxSxL, loss)
  bayes_BxS = _losses(np.asarray(bayes_BxL), judge_BxSxL, loss)
  error_B = (loss_BxS - bayes_BxS).std(1, ddof=1) / num_samples**0.5
  return loss_BxS.mean(1), bayes_BxS.mean(1), error_B


def _losses(yhat_BxL, y_BxSxL, loss) -> np.ndarray:
  """The loss of an answer against each label set -> BxS."""
  both_BxS = overlap(yhat_BxL, y_BxSxL)
  size_BxS = yhat_BxL.sum(1)[:, None] + y_BxSxL.sum(2)
  if loss == 'f1':
    return 1 - np.where(size_BxS > 0, 2 * both_BxS / np.maximum(size_BxS, 1), 1)
  wrong_BxS = size_BxS - 2 * both_BxS
  return wrong_BxS / y_BxSxL.shape[2] if loss == 'hamming' else wrong_BxS > 0
