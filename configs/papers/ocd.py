"""Optimal completion distillation with its authors' numbers, on enron.

Paper: Tsai & Lee, "Order-free Learning Alleviating Exposure Bias in Multi-label
Classification", AAAI 2020. Numbers: the authors' code
jackyyy0228/Order-free-Learning-Alleviating-Exposure-Bias-in-Multi-label-
Classification, files config/config_reuters.yaml and train_rnn.py: an LSTM
decoder of 512 units with attention, dropout .5, Adam at 5e-4, gradients of norm
10 at most, batches of 128, 500 epochs, those of the best micro-F1 on validation
rows, the model's own draws, a beam of 6; in that file the logistic decoder
beside it has no weight.
Command: python -m experiments.train --config=configs/papers/ocd.py
  --workdir=runs/ocd
Their encoder, two bidirectional LSTMs of 256, reads the words of Reuters-21578;
here tokens of the same width are 8 groups of enron's bag of words. Their
decoder has two layers, ours one. For an accelerator.
"""

from typing import Any

from configs import default


def get_config(data: str = 'mulan/enron'):
  """data: a name or a path, as mlc.data.load takes it."""
  config: Any = default.get_config(data)
  config.name = 'ocd_paper'
  config.model = {'name': 'set_rnn', 'cell': 'lstm', 'width': 512}
  config.model.update({'masks': 'repeats', 'set_loss': 'ocd', 'longest': 25})
  config.model.attention = True
  config.encoder = {'name': 'Groups', 'groups': 8, 'width': 512, 'dropout': 0.5}
  config.inference = 'beam(width=6)'
  config.decisions = ('subset',)
  # What it is trained by is no likelihood.
  config.metrics = tuple(m for m in config.metrics if m != 'nll')
  config.train.update({'epochs': 500, 'patience': 500, 'batch_size': 128})
  config.train.select = "micro_f1(decision='subset')"
  config.train.optimizer.update({'lr': 5e-4, 'clip': 10.0, 'weight_decay': 0.0})
  return config
