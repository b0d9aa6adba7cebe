"""CAML's label-wise attention with its authors' numbers, on medical.

Paper: Mullenbach, Wiegreffe, Duke, Sun & Eisenstein, "Explainable Prediction of
Medical Codes from Clinical Text", NAACL 2018. Numbers: the authors' code
jamesmullenbach/caml-mimic, files predictions/CAML_mimic3_full/
train_new_model.sh and learn/training.py: tokens of width 50, dropout .2, Adam
at 1e-4, batches of 16, at most 200 epochs, 10 without a better precision at 8.
Command: python -m experiments.train --config=configs/papers/label_attention.py
  --workdir=runs/label_attention
There a convolution over 10 words of discharge notes (MIMIC-III) makes tokens;
here they are 8 groups of the bag of words of radiology reports, with ICD-9
codes for labels too. Dropout is on embeddings there, on tokens here.
"""

from typing import Any

from configs import default


def get_config(data: str = 'mulan/medical'):
  """data: a name or a path, as mlc.data.load takes it."""
  config: Any = default.get_config(data)
  config.name = 'label_attention_paper'
  config.model.name = 'label_attention'
  config.encoder = {'name': 'Groups', 'groups': 8, 'width': 50, 'dropout': 0.2}
  config.inference = 'marginals'
  config.decisions = ('hamming', 'scut')
  config.metrics = ('macro_f1', 'micro_f1', 'macro_auroc', 'micro_auroc')
  config.metrics += ('precision_at_8', 'nll')
  config.train.update({'epochs': 200, 'patience': 10, 'batch_size': 16})
  config.train.select = 'precision_at_8'
  config.train.optimizer.update({'lr': 1e-4, 'weight_decay': 0.0})
  return config
