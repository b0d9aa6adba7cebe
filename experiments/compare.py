"""Trains and decodes the models of a config and prints them in one table.

python -m experiments.compare --config=configs/compare.py --workdir=runs/compare

--config.data may name several data sets: mulan/emotions,mulan/yeast. With
--results the tables are put into that file too, a section for each config. What
a comparison of view `ranks` came to is kept beside it (mlc/tables/kept.py), and
the next one adds to that: data sets, or models, can be run one by one. With
--config.settings=FILE rows take the settings chosen there and are not tuned.
"""

import ast
import json
import math
import os
import pathlib
import re

from absl import flags
from ml_collections import config_flags

from experiments import main as main_lib
from experiments import studies
from mlc import run_folder, tuning
from mlc.errors import InputError
from mlc.tables import kept, study_view


def rows_of(config) -> dict:
  """Folder -> config of every row, on every data set that it names."""
  names = {  # Commas in parentheses are of a world's options.
    name: re.split(r',\s*(?![^()]*\))', config[name].data)
    for name in config.models
  }
  rows, before = {}, taken(config)
  for data in dict.fromkeys(data for sets in names.values() for data in sets):
    for name, sets in names.items():
      if data in sets:
        row = config[name].copy_and_resolve_references()
        row.data = data
        if row.get('tune') and (data, row.name) in before:
          row = tuning.settled(row, before[data, row.name])
        alone = len(sets) == 1 and config.get('view') != 'ranks'
        rows[name if alone else f'{data}/{name}'] = row
  return rows


def main(_):
  """One table of all rows of the config."""
  config = main_lib.CONFIG.value
  rows = rows_of(config)
  if not main_lib.RESULTS.value:
    main_lib.table(config, dict(rows))
    return
  path = pathlib.Path(main_lib.RESULTS.value)
  name = config_flags.get_config_filename(flags.FLAGS['config'])
  source = pathlib.Path(name.partition(':')[0])  # Less the argument.
  sittings = path.with_name(f'{source.stem}.jsonl')
  several = config.get('view') == 'ranks'
  all_rows = kept.read(sittings) if several else []

  def join(records):
    nonlocal all_rows
    now = kept.rows(records, taken(config) | chosen(rows), _made(config))
    all_rows = kept.merged(all_rows, now)
    return kept.records(all_rows)

  view = main_lib.table(config, dict(rows), join if several else list)
  if not view:
    return
  path.parent.mkdir(parents=True, exist_ok=True)
  if several:
    run_folder.write_jsonl(sittings, all_rows)
  made = kept.made(all_rows) if several else f'{_made(config)}.'
  picture = path.with_name(f'{source.stem}.png')
  run_folder.atomic_write(picture, view.png(dpi=90))
  text = study_view.compared(view, made, picture.name, kept.settings(all_rows))
  _put(text, source, path)


def _made(config) -> str:
  """By which code, when, on what, as the work folder says; how well tuned."""
  folder = pathlib.Path(str(main_lib.WORKDIR.value))
  about = json.loads((folder / 'metadata.json').read_text('utf-8'))
  made = f'{studies.code_of(about)}, {os.cpu_count()} CPU cores'
  if not config.get('tune') or config.get('settings'):
    return made
  tried = math.prod(len(values) for _, values in config.tune)
  return f'{made}, {tried} settings tried'


def _put(text: str, source: pathlib.Path, path: pathlib.Path) -> None:
  """`text` into the file `path`, in the section of a config's file.

  The section has the file's name, and the text at its head.
  """
  head = ast.get_docstring(ast.parse(source.read_text('utf-8'))) or ''
  blocks = {'all': text}
  before = path.read_text('utf-8') if path.exists() else ''
  text = study_view.merged(before, source.stem, head, blocks, blocks)
  run_folder.atomic_write(path, text)


def taken(config) -> dict[tuple[str, str], dict]:
  """(data set, model) -> settings of the file `config.settings`, if it is set.

  Raises InputError where there is none.
  """
  if not config.get('settings'):
    return {}
  if not pathlib.Path(config.settings).exists():
    raise InputError(
      f'settings={config.settings}: no such file: give one that a comparison of'
      " view 'ranks' wrote beside its --results, or '' to tune"
    )
  return {
    (row['dataset'], row['model']): row['settings']
    for row in kept.read(config.settings)
    if row['settings']
  }


def chosen(rows) -> dict[tuple[str, str], dict]:
  """(data set, model) -> the settings that validation rows chose."""
  folder = pathlib.Path(str(main_lib.WORKDIR.value))
  paths = {
    (row.data, row.name): folder / name / 'tuning.json'
    for name, row in rows.items()
  }
  return {
    key: json.loads(path.read_text('utf-8'))['chosen']
    for key, path in paths.items()
    if path.exists()
  }


if __name__ == '__main__':
  main_lib.run(main, required=('config', 'workdir'))
