"""Binary relevance by logistic regression, solved to the optimum.

The problem of scikit-learn's LogisticRegression(C=1) for each label.
"""

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config = default.get_config(data)
  config.name = 'independent_linear'
  config.model.name = 'independent'
  default.linear(config)
  return config
