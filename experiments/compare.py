"""Trains and decodes the models of a config and prints them in one table.

python -m experiments.compare --config=configs/compare.py --workdir=runs/compare

--config.data may name several data sets: mulan/emotions,mulan/yeast. With
--results the tables of view `ranks` are put into that file too.
"""

import json
import os
import pathlib
import re

from experiments import main as main_lib
from experiments import studies
from mlc import run_folder
from mlc.errors import InputError
from mlc.tables import study_view


def rows_of(config) -> dict:
  """Folder -> config of every row, on every data set that it names."""
  names = {  # Commas in parentheses are of a world's options.
    name: re.split(r',\s*(?![^()]*\))', config[name].data)
    for name in config.models
  }
  rows = {}
  for data in dict.fromkeys(data for sets in names.values() for data in sets):
    for name, sets in names.items():
      if data in sets:
        row = config[name].copy_and_resolve_references()
        row.data = data
        alone = len(sets) == 1 and config.get('view') != 'ranks'
        rows[name if alone else f'{data}/{name}'] = row
  return rows


def main(_):
  """One table of all rows of the config."""
  config = main_lib.CONFIG.value
  if main_lib.RESULTS.value and config.get('view') != 'ranks':
    raise InputError('--results takes the tables of view ranks: set view=ranks')
  view = main_lib.table(config, rows_of(config))
  if view and main_lib.RESULTS.value:
    _keep(view, config, pathlib.Path(main_lib.RESULTS.value))


def _keep(view, config, path) -> None:
  """Puts the tables into the file `path`, and their picture beside it."""
  name = config.get('name', 'comparison')
  folder = pathlib.Path(str(main_lib.WORKDIR.value))
  about = json.loads((folder / 'metadata.json').read_text('utf-8'))
  made = f'{studies.code_of(about)}, {os.cpu_count()} CPU cores.'
  picture = path.with_name(f'{name}.png')
  blocks = {'all': study_view.compared(view, made, picture.name)}
  text = path.read_text('utf-8') if path.exists() else ''
  text = study_view.merged(text, name, config.get('about', ''), blocks, blocks)
  run_folder.atomic_write(picture, view.png(dpi=90))
  run_folder.atomic_write(path, text)


if __name__ == '__main__':
  main_lib.run(main, required=('config', 'workdir'))
