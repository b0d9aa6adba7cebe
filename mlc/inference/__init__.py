"""Model -> posterior. Every method is pure: (model, variables, x, key).

A method knows the three bases of models/base.py and no model. All are compiled
and batched over examples.
"""

from mlc.inference.beams import beam, greedy
from mlc.inference.enumeration import exact
from mlc.inference.sampling import monte_carlo

METHODS = {f.__name__: f for f in (exact, greedy, beam, monte_carlo)}
