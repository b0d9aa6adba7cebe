"""How wide inference must be: one transformer decoder, many beams.

One training: rows differ in what decodes the model. `nodes` counts prefixes,
`unseen mass` bounds what no candidate covers.
Command: python -m experiments.compare --config=configs/ablations/width.py
  --workdir=runs/width
The argument is the model: --config=configs/ablations/width.py:chain.
"""

from configs import compare

METHODS = {
  'greedy': 'greedy',
  **{f'beam_{width}': f'beam(width={width})' for width in (2, 4, 8, 16, 64)},
  **{f'draws_{n}': f'monte_carlo(samples={n})' for n in (10, 100)},
}


def get_config(model: str = 'transformer'):
  """model: the name of a config."""
  config = compare.whole()
  for name, call in METHODS.items():
    row = compare.row(model)
    row.name = f'{model}_{name}'
    row.inference = call
    row.metrics = (*row.metrics, 'nodes', 'unseen_mass')
    compare.add(config, row.name, row)
  return config
