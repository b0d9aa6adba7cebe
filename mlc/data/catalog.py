"""The named data sets, and how each is loaded."""

import functools
import os
import pathlib

import numpy as np

from mlc.data import arff, splits
from mlc.data.dataset import Dataset, from_arrays
from mlc.errors import InputError, nearest

# The dense ones of github.com/tsoumakas/mulan.
MULAN = ('birds', 'cal500', 'emotions', 'flags', 'foodtruck', 'scene', 'yeast')


def load(name: str, seed: int = 0) -> Dataset:
  """Loads a data set by name; `seed` cuts what its source has not cut.

  'yeast': river's copy, which needs no download. It holds Mulan's rows in
    another order, so it gets 60/20/20 and no table of Mulan's split fits it.
  'mulan/<set>': the files under $MLC_DATA/mulan/<set>, on Mulan's own train
    and test rows, with a fifth of train cut off for validation; 60/20/20 for
    the sets that Mulan does not split.

  Raises:
    InputError: an unknown name, or files that are not there.
  """
  if name not in NAMES:
    raise nearest(name, NAMES, 'data set')
  return NAMES[name](seed)


def _river_yeast(seed: int) -> Dataset:
  from river import datasets  # Slow (seconds), and no other set needs it.

  rows = list(datasets.Yeast())
  features, labels = rows[0]
  return from_arrays(
    [list(x.values()) for x, _ in rows],
    [list(y.values()) for _, y in rows],
    name='yeast',
    feature_names=features,
    label_names=labels,
    seed=seed,
  )


def _mulan(short_name: str, seed: int) -> Dataset:
  name = f'mulan/{short_name}'
  folder = _folder(name)
  parts = [folder / f'{short_name}-{part}.arff' for part in ('train', 'test')]
  files = parts if parts[0].exists() else [folder / f'{short_name}.arff']
  tables = [arff.read(file, folder / f'{short_name}.xml') for file in files]
  first = tables[0]
  for file, table in zip(files, tables, strict=True):
    if table[2:] != first[2:]:
      raise InputError(
        f'{file}: its columns are not those of {files[0].name}: take both from'
        ' the same source'
      )
  y_NxL = np.concatenate([table.y for table in tables])
  rows = None
  if len(tables) == 2:
    border = len(first.y)
    train, valid = splits.cut_validation(y_NxL, np.arange(border), 0.2, seed)
    test = np.arange(border, len(y_NxL))
    rows = {'train': train, 'valid': valid, 'test': test}
  return from_arrays(
    np.concatenate([table.x for table in tables]),
    y_NxL,
    name=name,
    feature_names=first.feature_names,
    label_names=first.label_names,
    splits=rows,
    seed=seed,
  )


def _folder(name: str) -> pathlib.Path:
  """The folder of `name` under MLC_DATA."""
  root = os.environ.get('MLC_DATA')
  if not root:
    raise InputError(
      f'{name}: MLC_DATA is not set: set it to the folder that holds mulan/'
    )
  if not pathlib.Path(root).is_dir():
    raise InputError(
      f'{name}: MLC_DATA={root} is not a folder: set it to the one that holds'
      ' mulan/'
    )
  folder = pathlib.Path(root, name)
  if not folder.is_dir():
    raise InputError(
      f'{name}: MLC_DATA={root} has no {name}: copy its ARFF and XML files'
      ' there from github.com/tsoumakas/mulan'
    )
  return folder


NAMES = {'yeast': _river_yeast} | {
  f'mulan/{short_name}': functools.partial(_mulan, short_name)
  for short_name in MULAN
}
