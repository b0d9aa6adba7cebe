"""How many labels a masked transformer is to predict at once in training.

A row hides a share of its labels drawn between the two numbers of its name: at
1 to 1 nothing is ever known and the labels are independent given x; C-Tran
hides 25 to 100 %. Marginals (`hamming`, `scut`) are those of one pass, label
sets (`subset`) are filled in, the surest labels first.
Command: python -m experiments.compare --config=configs/ablations/mask_rate.py
  --workdir=runs/mask_rate
"""

from configs import compare

RANGES = ((1.0, 1.0), (0.75, 1.0), (0.5, 1.0), (0.25, 1.0), (0.25, 0.5))


def get_config():
  """Five rows."""
  config = compare.whole()
  for least, most in RANGES:
    row = compare.row('masked_transformer')
    row.name = f'hide_{least:g}_to_{most:g}'.replace('.', '')
    row.model.update({'least_unknown': least, 'most_unknown': most})
    compare.add(config, row.name, row)
  return config
