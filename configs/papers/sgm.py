"""Sequence generation model (SGM) with its authors' numbers, on enron.

Paper: Yang, Sun, Li, Ma, Wu & Wang, "SGM: Sequence Generation Model for
Multi-label Classification", COLING 2018. Numbers: the authors' code
lancopku/SGM, files config.yaml and train.py: an LSTM decoder of 512 units with
attention, dropout .5, Adam at 1e-3 on half a cosine, gradients of norm 10 at
most, batches of 64, 50 epochs, those of the best micro-F1 on validation rows, a
beam of 5. That file has the global embedding off; it is the paper's full model.
Command: python -m experiments.train --config=configs/papers/sgm.py
  --workdir=runs/sgm
Their encoder, two bidirectional LSTMs of 256 over words, reads RCV1-V2 and
AAPD, which we have not; here tokens of the same width are 8 groups of enron's
bag of words. Their decoder has two layers, ours one. For an accelerator.
"""

from typing import Any

from configs import default


def get_config(data: str = 'mulan/enron'):
  """data: a name or a path, as mlc.data.load takes it."""
  config: Any = default.get_config(data)
  config.name = 'sgm_paper'
  config.model = {'name': 'set_rnn', 'cell': 'lstm', 'width': 512}
  config.model.update({'order': 'frequency', 'masks': 'repeats', 'longest': 25})
  config.model.update({'attention': True, 'global_embedding': True})
  config.encoder = {'name': 'Groups', 'groups': 8, 'width': 512, 'dropout': 0.5}
  config.inference = 'beam(width=5)'
  config.decisions = ('subset',)
  config.metrics = (*config.metrics[:-1], 'nll_bound')
  config.train.update({'epochs': 50, 'patience': 50, 'batch_size': 64})
  config.train.select = "micro_f1(decision='subset')"
  config.train.optimizer.update({'lr': 1e-3, 'clip': 10.0, 'weight_decay': 0.0})
  config.train.optimizer.schedule = 'cosine'
  return config
