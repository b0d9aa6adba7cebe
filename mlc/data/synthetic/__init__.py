"""Known worlds: data whose p(y | x) is known, so that regret can be measured.

Each file is one kind of world; base.py says what all of them can do.
"""

import dataclasses

from mlc.data.synthetic.base import World
from mlc.data.synthetic.digits import Digits
from mlc.data.synthetic.flips import (
  ConditionalIndependence,
  Logic,
  MarginalIndependence,
  OneFlip,
  SharedFlip,
)
from mlc.data.synthetic.model_world import ModelWorld
from mlc.data.synthetic.networks import BayesNet, Ising, IsingTree
from mlc.data.synthetic.regret import Regret, regret

__all__ = [
  'BayesNet',
  'ConditionalIndependence',
  'Digits',
  'Ising',
  'IsingTree',
  'Logic',
  'MarginalIndependence',
  'ModelWorld',
  'OneFlip',
  'Regret',
  'SharedFlip',
  'World',
  'regret',
  'worlds',
]


def worlds() -> dict[str, type[World]]:
  """The worlds that plain numbers make, by `World.kind`: 'bayes_net', ..."""
  return {
    found.kind(): found
    for found in globals().values()
    if isinstance(found, type)
    and issubclass(found, World)
    and dataclasses.is_dataclass(found)
    and all('range' in field.metadata for field in dataclasses.fields(found))
  }
