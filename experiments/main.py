"""What every experiment script shares: errors in one line, caches."""

import os
import pathlib
import sys

from absl import app
from absl import flags
from absl import logging

from mlc import parallel
from mlc.errors import InputError


def run(main) -> None:
  """`main(argv)` under absl; what a user can mend is one line and exit 1."""
  cache = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
  parallel.cache_compilations(str(pathlib.Path(cache) / 'mlc' / 'xla'))

  def quietly(argv):
    # Orbax tells every step of a save at level INFO.
    if not flags.FLAGS['verbosity'].present:
      logging.set_verbosity(logging.WARNING)
    main(argv)

  try:
    app.run(quietly)
  except (InputError, AttributeError, KeyError) as error:
    print(f'error: {error}', file=sys.stderr)
    sys.exit(1)
