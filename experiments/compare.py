"""Trains and decodes the models of a config and prints them in one table.

python -m experiments.compare --config=configs/compare.py --workdir=runs/compare

--config.data may name several data sets: mulan/emotions,mulan/yeast. With
--results the tables are put into that file too, a section for each config. What
a comparison of view `ranks` came to is kept beside it (mlc/tables/kept.py), and
the next one adds to that: data sets, or models, can be run one by one. With
--config.settings=FILE rows take the settings chosen there and are not tuned.
"""

import ast
from collections.abc import Collection
import json
import os
import pathlib
import re

from absl import flags
from ml_collections import config_flags

from experiments import main as main_lib
from experiments import studies
from mlc import outcomes as outcomes_lib
from mlc import run_folder, tuning
from mlc.errors import InputError
from mlc.tables import kept, study_view


def rows_of(config, begun: pathlib.Path | None = None) -> dict:
  """Folder -> config of every row, on every data set that it names.

  begun: a work folder, whose rows go on with the settings they began with.
  """
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
        alone = len(sets) == 1 and config.get('view') != 'ranks'
        folder = name if alone else f'{data}/{name}'
        if row.get('tune') and config.get('settings'):
          row = _settled(row, begun and begun / folder, before, config.settings)
        rows[folder] = row
  return rows


def main(_):
  """One table of all rows of the config."""
  config = main_lib.CONFIG.value
  workdir = pathlib.Path(str(main_lib.WORKDIR.value))
  rows = rows_of(config, None if main_lib.OVERWRITE.value else workdir)
  if not main_lib.RESULTS.value:
    main_lib.table(config, dict(rows))
    return
  path = pathlib.Path(main_lib.RESULTS.value)
  name = config_flags.get_config_filename(flags.FLAGS['config'])
  source = pathlib.Path(name.partition(':')[0])  # Less the argument.
  sittings = path.with_name(f'{source.stem}.jsonl')
  several = config.get('view') == 'ranks'
  # What is wrong with it is told before training.
  all_rows = kept.read(sittings) if several else []
  folders = {name: workdir / name for name in rows}
  if main_lib.OVERWRITE.value:
    folders = {}
  begun = {n for n, at in folders.items() if (at / 'config.json').exists()}
  done = {n for n, at in folders.items() if main_lib.done(at, rows[n])}

  def join(outcomes):
    nonlocal all_rows
    pairs = {name: (row.data, row.name) for name, row in rows.items()}
    # Another sitting may have ended meanwhile.
    before = kept.read(sittings)
    made = {pair: row['made'] for pair, row in kept.by_pair(before).items()}
    for name, pair in pairs.items():
      if name not in done or pair not in made:
        others = {*config.models} - {pathlib.PurePath(name).name}
        made[pair] = _made(workdir, others, alone=name not in begun)
    now = kept.rows(
      {pairs[name]: of[:2] for name, of in outcomes.items()},
      chosen(rows, config, workdir),
      made,
    )
    all_rows = kept.merged(before, now, pairs.values())
    return outcomes_lib.Outcome(
      kept.records(all_rows), kept.footnotes(all_rows)
    )

  view = main_lib.table(config, dict(rows), join if several else None)
  if not view:
    return
  path.parent.mkdir(parents=True, exist_ok=True)
  made, settings = f'{_made(workdir)}.', chosen(rows, config, workdir)
  if several:
    run_folder.write_jsonl(sittings, all_rows)
    made, settings = kept.made(all_rows), kept.chosen(all_rows)
  picture = path.with_name(f'{source.stem}.png')
  run_folder.atomic_write(picture, view.png(dpi=90))
  text = study_view.compared(view, made, picture.name, kept.settings(settings))
  _put(text, source, path)


def _made(workdir, others: Collection[str] = (), alone=False) -> str:
  """By which code, when, on what, as the work folder says; what was changed.

  others: models of which nothing is told. alone: by this process alone.
  """
  about = json.loads((workdir / 'metadata.json').read_text('utf-8'))
  if alone:
    about = [about, *about.get('continued', ())][-1]
  found = [studies.code_of(about), f'{os.cpu_count()} CPU cores']
  changed = config_flags.get_override_values(flags.FLAGS['config'])
  told_by_row = {'data', 'settings', 'tune', *others}
  return ', '.join(
    [
      *found,
      *(
        f'{key}={to}'
        for key, to in changed.items()
        if key.partition('.')[0] not in told_by_row
      ),
    ]
  )


def _put(text: str, source: pathlib.Path, path: pathlib.Path) -> None:
  """`text` into the file `path`, in the section of a config's file.

  The section has the file's name, and the text at its head.
  """
  head = ast.get_docstring(ast.parse(source.read_text('utf-8'))) or ''
  blocks = {'all': text}
  before = path.read_text('utf-8') if path.exists() else ''
  text = study_view.merged(before, source.stem, head, blocks, blocks)
  run_folder.atomic_write(path, text)


def taken(config) -> dict[kept.Pair, kept.Chosen]:
  """What the file `config.settings` says was chosen, if it is set.

  Raises InputError where there is none.
  """
  if not config.get('settings'):
    return {}
  if not pathlib.Path(config.settings).exists():
    raise InputError(
      f'settings={config.settings}: no such file: give one that a comparison of'
      " view 'ranks' wrote beside its --results, or '' to tune"
    )
  found = kept.chosen(kept.read(config.settings))
  return {pair: of for pair, of in found.items() if of.settings}


def _settled(row, folder: pathlib.Path | None, before, file: str):
  """`row` with settings that were chosen before, if any, in place of its grid.

  One that has begun in `folder` goes on as it began, whatever the file says by
  now.
  """
  keys = dict(row.tune)
  if folder and (folder / 'config.json').exists():
    began = json.loads((folder / 'config.json').read_text('utf-8'))
    if began.get('tune'):
      return row
    return tuning.settled(row, {key: _at(began, key) for key in keys})
  if (row.data, row.name) not in before:
    return row
  settings = before[row.data, row.name].settings
  if set(settings) != set(keys):
    raise InputError(
      f'settings={file}: {row.name} on {row.data} was tuned by'
      f' {", ".join(settings)}, here by {", ".join(keys)}: take a file of the'
      " same grid, or '' to tune"
    )
  return tuning.settled(row, settings)


def _at(config, key: str):
  """The value of a key with dots."""
  for part in key.split('.'):
    config = config.get(part, {})
  return config


def chosen(rows, config, workdir) -> dict[kept.Pair, kept.Chosen]:
  """With which settings the rows were trained, if by validation rows."""
  configs = (config[name] for name in config.models)
  grids = {row.name: row.get('tune') for row in configs}
  before, found = taken(config), {}
  for folder, row in rows.items():
    pair = row.data, row.name
    path = workdir / folder / 'tuning.json'
    if path.exists():
      about = json.loads(path.read_text('utf-8'))
      found[pair] = kept.Chosen(about['chosen'], len(about['trials']))
    elif grids[row.name] and not row.tune:
      own = json.loads(row.to_json_best_effort())
      settings = {key: _at(own, key) for key, _ in grids[row.name]}
      same = before.get(pair, kept.Chosen()).settings == settings
      found[pair] = kept.Chosen(settings, before[pair].tried if same else 0)
  return found


if __name__ == '__main__':
  main_lib.run(main, required=('config', 'workdir'))
