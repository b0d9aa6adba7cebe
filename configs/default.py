"""What the configs of single models start from."""

import ml_collections


def get_config(data: str = 'yeast') -> ml_collections.ConfigDict:
  """An MLP encoder, AdamW and early stopping on the validation loss."""
  config = ml_collections.ConfigDict()
  config.name = 'default'  # The row of a table.
  config.data = data
  config.data_seed = 0  # Of the split, apart from the seeds of training.
  config.labels = ''  # Of a file that does not say: first:6, last:14, names.
  config.drop = ''  # Columns of a file to leave out.
  config.splits = ''  # A file of train, valid and test rows to use instead.
  config.standardise = True  # By the mean and deviation of the training rows.
  # What validation rows choose from, before seeds are trained: pairs of a key
  # and its values, (('train.optimizer.lr', (1e-3, 1e-2)),).
  config.tune = ()
  config.trials = 0  # Settings drawn from that grid; 0: all of them.
  config.seeds = 5  # Runs, trained together as one program.
  # Then once more, on validation rows too, for as long: see mlc/refit.py.
  config.refit = False
  config.model = ml_collections.ConfigDict({'name': 'independent'})
  config.encoder = ml_collections.ConfigDict(
    {'name': 'MLP', 'widths': (256,), 'dropout': 0.5}
  )
  # The first that the model takes. Exact enumerates up to 20 labels, and takes
  # any number where there is a closed form or a support.
  config.inference = 'exact or beam(width=64)'
  config.decisions = ('hamming', 'subset', 'f1', 'scut')
  # Rows decoded at once, at most, and fewer where inference would need more
  # memory than this. Draws of methods that sample depend on the batches.
  config.decode_batch = 64
  config.decode_mib = 1024
  config.calibration = 'none'  # Of marginals: temperature, platt, isotonic.
  config.metrics = (
    *('hamming_loss', 'subset_accuracy', 'example_f1'),
    *('micro_f1', 'macro_f1', 'lrap', 'nll'),
  )
  # What answers must keep to: 'mined' from training rows, 'none', or such as
  # 'cat -> animal; cat excludes dog'.
  config.rules = 'mined'
  config.train = ml_collections.ConfigDict(
    {
      'epochs': 100,
      'batch_size': 64,  # 0: all rows.
      'patience': 10,  # Epochs without a better validation loss; 0: none.
      'tolerance': 0.0,  # Stop at this gradient norm.
      'l2': 0.0,  # On the sum of losses: 1 / C of scikit-learn.
      'loss': 'likelihood',  # The model's own; or one of mlc/losses.py.
      'select': 'loss',  # What patience looks at: 'macro_f1', 'nll', ...
      'compute': 'float32',  # Or bfloat16; parameters stay float32.
      'parallel': 'jit',  # Or pmap, mesh(data=4, label=2), pmap(over='runs').
      'device_mib': 4096,  # Rows beyond this are streamed to the device.
      'save_seconds': 30.0,  # Between checkpoints.
      'optimizer': {
        'name': 'adamw',
        'lr': 3e-3,
        'schedule': 'constant',  # Or cosine, linear; down to lr * lr_end.
        'warmup': 0.0,  # A share of all steps.
        'lr_end': 0.0,
        'momentum': 0.0,
        'nesterov': False,
        'weight_decay': 1e-2,
        'clip': 0.0,  # Largest norm of the gradient; 0: any.
        'ema': 0.0,  # Decay of an average of the parameters; 0: none.
        'freeze': (),  # Parts of the model that are not trained: 'encoder'.
      },
    }
  )
  return config


def tuned(
  config, width: int, dropout: float, lr: float, weight_decay: float = 1e-2
) -> None:
  """Sets what configs/compare_all.py chose by yeast's validation rows."""
  config.encoder.update({'widths': (width,), 'dropout': dropout})
  config.train.optimizer.update({'lr': lr, 'weight_decay': weight_decay})


def linear(config: ml_collections.ConfigDict) -> None:
  """Makes it the problem of scikit-learn's LogisticRegression(C=1), solved."""
  config.encoder = ml_collections.ConfigDict({'name': 'Linear'})
  config.train.epochs = 1  # There are none: all is solved at once.
  config.train.update({'batch_size': 0, 'patience': 0, 'l2': 1.0})
  config.train.optimizer = ml_collections.ConfigDict(
    {
      'name': 'convex',
      'polish': False,  # Goes on in float64.
      'strengths': (),  # C to choose from for each link; (): that of l2.
      'criterion': 'nll',  # What chooses: or brier.
      'folds': 5,
      'repeats': 1,  # Of the division into folds.
    }
  )
