"""Decision rules: posterior -> the label set that is optimal for one loss.

A rule never sees the model. Answers are 0/1 in int8. Ties, here between equal
floats, go to the smaller answer: a label at exactly .5 is left out, and of
equally good sizes the smaller is taken; of equally good labels those with the
lower index; of equally good candidates the one listed first. A row without
candidates gets the empty set.

What is expected is the metric of one row by the conventions of mlc/metrics,
those of Nguyen et al., Information Fusion 2026 (DaCaF). Marginals alone answer
`hamming`, `cost` and `markedness` and the degenerate `specificity` and `npv`;
every other rule refuses them with an InputError.
"""

import math

import jax
import jax.numpy as jnp

from mlc.decisions import gfm, jaccards, sizes
from mlc.decisions.choose import Joint, first_best, joint, per_label, pool, top
from mlc.errors import InputError
from mlc.posterior import (
  Candidates,
  Marginals,
  Posterior,
  Product,
  label_scores,
  marginals,
  weights,
)


def hamming(posterior: Posterior) -> jax.Array:
  """Least expected Hamming loss: marginals above .5 -> BxL.

  Source: Dembczynski, Waegeman, Cheng, Huellermeier, Machine Learning 88,
  2012.
  """
  return (marginals(posterior) > 0.5).astype(jnp.int8)


def fixed(posterior: Posterior, at: float = 0.5) -> jax.Array:
  """Marginals or scores above `at` -> BxL: what a model of scores answers.

  Raises:
    InputError: `at` not in [0, 1].
  """
  if not 0 <= at <= 1:
    raise InputError(f'fixed(at={at}): give a number between 0 and 1')
  return (label_scores(posterior) > at).astype(jnp.int8)


def cost(
  posterior: Posterior,
  true_negative=0.0,
  false_positive=1.0,
  false_negative=1.0,
  true_positive=0.0,
) -> jax.Array:
  """Least expected sum of costs over labels -> BxL; `hamming` by default.

  Costs: a number for all labels or a tuple of L. A label is on where
  (1 - p) (false_positive - true_negative) < p (false_negative -
  true_positive). Source: Elkan, IJCAI 2001, eq. 1, for each label.

  Raises:
    InputError: a cost that is not finite, or not one for each label.
  """
  p_BxL = marginals(posterior)
  options = {
    'true_negative': true_negative,
    'false_positive': false_positive,
    'false_negative': false_negative,
    'true_positive': true_positive,
  }
  tn_1xL, fp_1xL, fn_1xL, tp_1xL = (
    per_label(value, p_BxL.shape[-1], f'decision cost: {name}')
    for name, value in options.items()
  )
  off_BxL = (1 - p_BxL) * (fp_1xL - tn_1xL)
  return (off_BxL < p_BxL * (fn_1xL - tp_1xL)).astype(jnp.int8)


def subset(posterior: Posterior) -> jax.Array:
  """Least expected subset 0/1 loss: the mode -> BxL, as far as it is known.

  Copies of one label set are pooled, since the most frequent of many samples
  is wanted, not one of them. Source: as `hamming`.
  """
  if isinstance(posterior, Marginals) and posterior.mode_BxL is not None:
    return posterior.mode_BxL.astype(jnp.int8)
  posterior = joint(posterior, 'subset')
  if isinstance(posterior, Product):
    return hamming(posterior)
  y_BxSxL, w_BxS = posterior.y_BxSxL, weights(posterior)
  shared = len(y_BxSxL) < len(w_BxS)  # Distinct then: there is nothing to pool.
  if not shared:
    w_BxS = jax.vmap(pool)(w_BxS, y_BxSxL > 0.5)
  best_B = first_best(w_BxS)
  row_B = jnp.zeros_like(best_B) if shared else jnp.arange(len(best_B))
  some_Bx1 = w_BxS.max(-1, keepdims=True) > 0
  return ((y_BxSxL[row_B, best_B] > 0.5) & some_Bx1).astype(jnp.int8)


def fbeta(posterior: Posterior, beta: float = 1.0) -> jax.Array:
  """Greatest expected F-beta of a row, exactly -> BxL; two empty sets have 1.

  F-beta = (1 + beta^2) TP / (beta^2 |y| + |a|). `Candidates`: Dembczynski,
  Waegeman, Cheng, Huellermeier, NIPS 2011, Algorithm 1 (GFM), for every beta as
  in Waegeman et al., JMLR 15, 2014; time O(B S L^2), for all 2^L label sets
  O(B (S L + L^3)). `Product`: the best answer holds the most probable labels
  (Lewis, SIGIR 1995), how many by Ye, Chai, Lee, Chieu, ICML 2012, here from
  P(y_l = 1, |y| = s); time O(B L^2), memory O(B L).

  Raises:
    InputError: beta not above 0, or marginals alone.
  """
  if not 0 < beta < math.inf:
    raise InputError(
      f'fbeta(beta={beta}): give a number above 0; precision and recall are'
      ' decisions of their own'
    )
  posterior = joint(posterior, 'fbeta')
  if isinstance(posterior, Product):
    return gfm.of_product(posterior, beta)
  if sizes.complete(posterior):
    return gfm.of_table(posterior, beta)
  return gfm.of_candidates(posterior, beta)


def f1(posterior: Posterior) -> jax.Array:
  """Greatest expected example-F1, exactly -> BxL: `fbeta` of beta 1."""
  return fbeta(posterior)


def jaccard(posterior: Posterior) -> jax.Array:
  """Greatest expected Jaccard; APPROXIMATE for joints beyond 10 labels -> BxL.

  |y and a| / |y or a|, 0/0 = 1. `Product`: exact, time O(B L^2). Labels in and
  out of the answer are independent, so it is worth (sum of its p_l) E 1 / (|a|
  + positives outside), and of each size the most probable labels are best.
  `Candidates`, up to 10 labels: exact, by comparing all 2^L answers; time
  O(B S 2^L). Beyond: APPROXIMATE, no polynomial optimum being known
  (Chierichetti, Kumar, Pandey, Vassilvitskii, SODA 2010, for the hardness): the
  best of the 32 heaviest candidates and the sets of the k most probable labels,
  k = 0..L; time O(B S L^2), memory O(S L) a row.

  Raises:
    InputError: marginals alone.
  """
  posterior = joint(posterior, 'jaccard')
  if isinstance(posterior, Product):
    return jaccards.of_product(posterior)
  if posterior.y_BxSxL.shape[-1] <= jaccards.MAX_EXACT:
    return jaccards.of_all(posterior)
  return jaccards.of_some(posterior)


def precision(posterior: Posterior) -> jax.Array:
  """Greatest expected precision TP / |a| -> BxL.

  The most probable label alone; the empty set where P(|y| = 0) is no less, as
  an empty answer has 1 if y is empty too, else 0. Source: Nguyen et al. 2026,
  Corollary 1, but for its empty set.

  Raises:
    InputError: marginals alone.
  """
  posterior = joint(posterior, 'precision')
  p_BxL = marginals(posterior)
  one_B = p_BxL.max(-1) > sizes.empty(posterior)
  return top(p_BxL, one_B.astype(jnp.int32))


def recall(posterior: Posterior) -> jax.Array:
  """Greatest expected recall TP / |y|; DEGENERATE: all labels or none -> BxL.

  All labels, unless P(|y| = 0) is 1/2 or more: an empty y has 1 for the empty
  answer, else 0. Source: Nguyen et al. 2026, Corollary 2, but for its empty
  set.

  Raises:
    InputError: marginals alone.
  """
  posterior = joint(posterior, 'recall')
  none_B = sizes.empty(posterior)
  if isinstance(posterior, Candidates):
    all_B = weights(posterior).sum(-1) - none_B
  else:
    all_B = 1 - none_B
  on_Bx1 = (all_B > none_B)[:, None]
  return jnp.broadcast_to(on_Bx1, marginals(posterior).shape).astype(jnp.int8)


def specificity(posterior: Posterior) -> jax.Array:
  """Greatest specificity; DEGENERATE: always the empty set -> BxL.

  TN / (L - |y|) is 1 for it; a y of all labels has 1 whatever the answer.
  """
  return jnp.zeros_like(marginals(posterior), jnp.int8)


def npv(posterior: Posterior) -> jax.Array:
  """Greatest negative predictive value; DEGENERATE: always all labels -> BxL.

  TN / (L - |a|) of an answer of all labels is 1 by convention, in rows without
  candidates too. Source: Nguyen et al. 2026, Corollary 2.
  """
  return jnp.ones_like(marginals(posterior), jnp.int8)


def informedness(posterior: Posterior) -> jax.Array:
  """Greatest expected (recall + specificity) / 2, exactly -> BxL.

  A label adds u_l = E y_l / |y| to the recall of an answer and takes v_l =
  E (1 - y_l) / (L - |y|) from its specificity, so those with u_l > v_l are best
  among answers that are not empty; the empty one has P(|y| = 0) for its recall.
  Conventions as in `recall` and `specificity`. Time as one pass of marginals;
  `Product`: O(B L^2).

  Raises:
    InputError: marginals alone.
  """
  posterior = joint(posterior, 'informedness')
  none_B = sizes.empty(posterior)
  gain_BxL = sizes.mean_share(posterior) - sizes.mean_share(_flip(posterior))
  some_B = jnp.maximum(gain_BxL, 0).sum(-1) > none_B
  return ((gain_BxL > 0) & some_B[:, None]).astype(jnp.int8)


def markedness(posterior: Posterior) -> jax.Array:
  """Greatest expected (precision + NPV) / 2, exactly -> BxL.

  The k most probable labels, k by comparison; here both the precision of the
  empty answer and the NPV of that of all labels are 1, whatever y. Source:
  Nguyen et al. 2026, Proposition 6 and Algorithm 4.
  """
  p_BxL = marginals(posterior)
  L = p_BxL.shape[-1]
  in_BxT = jnp.pad(jnp.cumsum(-jnp.sort(-p_BxL, axis=-1), -1), ((0, 0), (1, 0)))
  out_BxT = in_BxT[:, -1:] - in_BxT
  k_1xT = jnp.arange(L + 1)[None]
  precision_BxT = jnp.where(k_1xT == 0, 1, in_BxT / jnp.maximum(k_1xT, 1))
  missed_BxT = jnp.where(k_1xT == L, 0, out_BxT / jnp.maximum(L - k_1xT, 1))
  return top(p_BxL, jnp.argmax(precision_BxT - missed_BxT, axis=-1))


def _flip(posterior: Joint) -> Joint:
  """Negatives for positives."""
  if isinstance(posterior, Product):
    return Product(1 - posterior.p_BxL)
  return posterior._replace(y_BxSxL=posterior.y_BxSxL <= 0.5)
