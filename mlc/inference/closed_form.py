"""Marginals of models that have them in closed form, for any L."""

import inspect

from mlc.errors import InputError
from mlc.inference import steps
from mlc.posterior import Marginals


def marginals(model, variables, x, key=None, *, given_BxL=None) -> Marginals:
  """P(y_l = 1 | x) in closed form: trees, label CRFs, latent models, ...

  Labels given: where the closed form takes them (trees, CRFs, reranking).

  Raises:
    InputError: a model without one, or without one of given labels.
  """
  name = type(model).__module__.rpartition('.')[-1]
  if not model.has_marginals:
    raise InputError(
      f'marginals of {name}: it has no closed form; take exact, or'
      ' sampled_marginals'
    )
  given_BxL = steps.check_given(given_BxL, model, x)
  takes_given = 'given_BxL' in inspect.signature(model.marginals).parameters
  if given_BxL is not None and takes_given:
    p_BxL = model.apply(variables, x, given_BxL, method='marginals')
    return Marginals(p_BxL)
  if given_BxL is not None:
    raise InputError(
      f'marginals of {name} with labels given: the closed form is of none; take'
      ' exact or sampled_marginals'
    )
  return Marginals(model.apply(variables, x, method='marginals'))
