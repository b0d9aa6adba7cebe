"""ML-GCN's head with its authors' numbers, on yeast.

Paper: Chen, Wei, Wang & Guo, "Multi-Label Image Recognition with Graph
Convolutional Networks", CVPR 2019. Numbers: the authors' code
megvii-research/ML-GCN, files models.py, util.py and demo_voc2007_gcn.py: label
embeddings of 300, graph layers of 1,024 and 2,048, threshold .4, neighbours of
weight .25 beside 1 (a share of .2), SGD at .1 with momentum .9, batches of 16,
20 epochs.
Command: python -m experiments.train --config=configs/papers/ml_gcn.py
  --workdir=runs/ml_gcn
There the 2,048 features are those of a pretrained ResNet-101 on images, trained
on at .01, and embeddings are GloVe's. Here a dense layer of as many units is
trained with independent heads, then held fixed, and embeddings are learned. A
rate of .1 then diverges: it is .01, that of their ResNet. What comes out is not
to be compared with the paper's.
"""

from typing import Any

from configs import default


def get_config(data: str = 'yeast'):
  """data: a name or a path, as mlc.data.load takes it."""
  config: Any = default.get_config(data)
  config.name = 'ml_gcn_paper'
  config.model = {'name': 'ml_gcn', 'embedding': 300, 'widths': (1024,)}
  config.model.update({'graph': 'prior', 'threshold': 0.4, 'share': 0.2})
  config.encoder.widths = (2048,)
  train = config.train.copy_and_resolve_references()
  config.stages = ('features',)
  config.features = {'model': {'name': 'independent'}, 'keep': ('encoder',)}
  config.features.train = train
  # Of labels the mean, as there: SGD minds the scale.
  config.train.loss = 'bce_mean'
  config.train.update({'epochs': 20, 'patience': 0, 'batch_size': 16})
  config.train.optimizer.update({'name': 'sgd', 'lr': 0.01, 'momentum': 0.9})
  # There 1e-4 within the gradient, which momentum sums up to 10 times.
  config.train.optimizer.update({'weight_decay': 1e-3, 'freeze': ('encoder',)})
  return config
