"""RNN over positive labels (RNN_m) with its authors' numbers, on enron.

Paper: Nam, Loza Mencia, Kim & Fuernkranz, "Maximizing Subset Accuracy with
Recurrent Neural Networks in Multi-label Classification", NIPS 2017. Numbers:
the authors' code JinseokNam/mlc2seq, files
exp_scripts/reuters/config_reuters_rnnm.json and mlc2seq_single.py: a GRU of
1,024 units on a fixed representation of 512, Adam at 2e-4, gradients of norm 1
at most, batches of 64, 40 epochs, the best validation loss, a beam of 5.
Command: python -m experiments.train --config=configs/papers/set_rnn.py
  --workdir=runs/set_rnn
Their representation is the mean of word embeddings of Reuters-21578; here a
dense layer on enron's bag of words, also emails by topic. Their labels have
embeddings of 256, ours of the width; their beam divides by length; a label that
they name twice counts once, here it cannot be named. For an accelerator.
"""

from typing import Any

from configs import default


def get_config(data: str = 'mulan/enron'):
  """data: a name or a path, as mlc.data.load takes it."""
  config: Any = default.get_config(data)
  config.name = 'set_rnn_paper'
  config.model = {'name': 'set_rnn', 'cell': 'gru', 'width': 1024}
  config.model.update({'order': 'frequency', 'masks': 'repeats'})
  config.model.attention = False
  config.encoder = {'name': 'MLP', 'widths': (512,), 'dropout': 0.2}
  config.inference = 'beam(width=5)'
  config.decisions = ('subset',)
  config.metrics = (*config.metrics[:-1], 'nll_bound')
  config.train.update({'epochs': 40, 'patience': 40, 'batch_size': 64})
  config.train.optimizer.update({'lr': 2e-4, 'clip': 1.0, 'weight_decay': 0.0})
  return config
