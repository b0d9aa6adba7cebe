"""Ensemble of any model over random orders or seeds, as one program."""

import jax
import jax.numpy as jnp

from mlc.models import base


class Model(base.Ensemble):
  """p(y | x) = 1/K sum_k p_k(y | x), the members trained apart.

  The loss is the SUM of the members' own losses: each is trained as if it were
  alone. (-log of the mixture would train a mixture of experts. Where labels
  are missing, all members are divided by the mean of their weights.) On `chain`
  with order 'random' this is the ensemble of classifier chains of Read et al.
  (ECML PKDD 2009), Sect. 4, with the average taken over joint distributions
  instead of votes and without bagging. Cost: K times a member's.
  """

  def log_prob(self, x, y_BxL):
    log_prob_KxB = self.each('log_prob', x, y_BxL)
    return jax.nn.logsumexp(log_prob_KxB, axis=0) - jnp.log(self.size)

  def loss(self, x, y_BxL, mask_BxL, *, train: bool = False):
    loss_KxB, weight_KxB = self.each('loss', x, y_BxL, mask_BxL, train=train)
    return loss_KxB.sum(0), weight_KxB.mean(0)

  def sample(self, x, key):
    key, key_member = jax.random.split(key)
    y_KxBxL = self.each('sample', x, key)
    batch = base.batch_size(x)
    member_B = jax.random.randint(key_member, (batch,), 0, self.size)
    return y_KxBxL[member_B, jnp.arange(batch)]

  def marginals(self, x):
    """The mean of the members', where they have them in closed form."""
    return self.each('marginals', x).mean(0)
