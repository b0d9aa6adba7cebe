"""What every experiment script shares: errors in one line, caches."""

import os
import pathlib
import sys

from absl import app

from mlc import parallel
from mlc.errors import InputError


def run(main) -> None:
  """`main(argv)` under absl; what a user can mend is one line and exit 1."""
  cache = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
  parallel.cache_compilations(str(pathlib.Path(cache) / 'mlc' / 'xla'))
  try:
    app.run(main)
  except (InputError, AttributeError, KeyError) as error:
    print(f'error: {error}', file=sys.stderr)
    sys.exit(1)
