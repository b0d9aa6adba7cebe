"""The one exception for what a user can mend."""

import difflib


class InputError(ValueError):
  """Bad input. The message is one line: what, where, and what to do."""


def nearest(word: str, known, what: str) -> InputError:
  """An `InputError` for the unknown `word` that lists what is near it."""
  known = sorted(known)
  near = difflib.get_close_matches(word, known, n=3, cutoff=0.4) or known
  if not known:
    return InputError(f'unknown {what} {word!r}: there is none')
  return InputError(
    f'unknown {what} {word!r}; did you mean: {", ".join(near)}?'
  )
