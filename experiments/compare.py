"""Trains and decodes the models of a config and prints them in one table.

python -m experiments.compare --config=configs/compare.py --workdir=runs/compare

--config.data may name several data sets: mulan/emotions,mulan/yeast. With
--results the tables are put into that file too, a section for each config.
"""

import ast
import json
import os
import pathlib
import re

from absl import flags
from ml_collections import config_flags

from experiments import main as main_lib
from experiments import studies
from mlc import run_folder
from mlc.tables import forms, study_view


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
  rows = rows_of(config)
  view = main_lib.table(config, dict(rows))
  if view and main_lib.RESULTS.value:
    _keep(view, rows, pathlib.Path(main_lib.RESULTS.value))


def _keep(view, rows, path) -> None:
  """Puts the tables into the file `path`, and their picture beside it.

  The section has the name of the config's file and the text at its head.
  """
  name = config_flags.get_config_filename(flags.FLAGS['config'])
  source = pathlib.Path(name.partition(':')[0])  # Less the argument.
  head = ast.get_docstring(ast.parse(source.read_text('utf-8'))) or ''
  folder = pathlib.Path(str(main_lib.WORKDIR.value))
  about = json.loads((folder / 'metadata.json').read_text('utf-8'))
  made = f'{studies.code_of(about)}, {os.cpu_count()} CPU cores.'
  picture = path.with_name(f'{source.stem}.png')
  text = study_view.compared(view, made, picture.name, chosen(rows, folder))
  blocks = {'all': text}
  text = path.read_text('utf-8') if path.exists() else ''
  text = study_view.merged(text, source.stem, head, blocks, blocks)
  path.parent.mkdir(parents=True, exist_ok=True)
  run_folder.atomic_write(picture, view.png(dpi=90))
  run_folder.atomic_write(path, text)


def chosen(rows, folder) -> forms.Grid | None:
  """The settings that validation rows chose, of rows that were tuned."""
  found, keys = {}, ()
  for name, row in rows.items():
    path = folder / name / 'tuning.json'
    if path.exists():
      settings = json.loads(path.read_text('utf-8'))['chosen']
      keys = tuple(settings)
      texts = [json.dumps(value).strip('[]') for value in settings.values()]
      found.setdefault(row.name, {})[row.data] = ' / '.join(texts)
  if not found:
    return None
  sets = tuple(dict.fromkeys(row.data for row in rows.values()))
  lines = tuple(
    forms.Line((model,), tuple((cells.get(data, '–'), False) for data in sets))
    for model, cells in found.items()
  )
  names = ' / '.join(key.rpartition('.')[-1] for key in keys)
  return forms.Grid(('model',), sets, lines, f'Settings chosen: {names}')


if __name__ == '__main__':
  main_lib.run(main, required=('config', 'workdir'))
