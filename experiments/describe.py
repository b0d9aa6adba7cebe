"""Says what a data set is like, before any model sees it.

python -m experiments.describe --data=mulan/enron --plot=runs/enron
"""

import json

from absl import flags

from experiments import main as main_lib
from mlc import data as data_lib
from mlc.data import catalog, plots, report, statistics

DATA = flags.DEFINE_string('data', None, 'Name of a data set, or a path.')
SEED = flags.DEFINE_integer('seed', 0, 'Cuts splits that the source lacks.')
LABELS = flags.DEFINE_string(
  'labels', None, 'Labels of a file that does not say: first:6, a,b, tag_*.'
)
DROP = flags.DEFINE_string('drop', None, 'Columns of a file to leave out.')
TEXT = flags.DEFINE_string('text', None, 'The column of a table that is text.')
JSON = flags.DEFINE_bool('json', False, 'One JSON object instead of a report.')
PLOT = flags.DEFINE_string('plot', None, 'Folder to write PNG pictures to.')


def main(_):
  """A report or JSON on stdout, pictures in a folder where one is given."""
  data = data_lib.load(
    DATA.value,
    seed=SEED.value,
    labels=LABELS.value,
    drop=DROP.value,
    text=TEXT.value,
    download=main_lib.DOWNLOAD.value,
  )
  described = statistics.describe(data)
  entry = catalog.entries().get(str(DATA.value))
  if entry:
    keys = ('citation', 'licence', 'source', 'note')
    described['catalogue'] = {key: getattr(entry, key) for key in keys}
  pictures = plots.write(data, PLOT.value) if PLOT.value else []
  if JSON.value:
    print(json.dumps(described, allow_nan=False))
    return
  report.show(described)
  if entry:
    print(f'Source: {entry.citation}. Licence: {entry.licence}.')
    print(f'Files: {entry.source}.' + f' Note: {entry.note}' * bool(entry.note))
  for path in pictures:
    print(path)


if __name__ == '__main__':
  main_lib.run(main, required=('data',))
