"""'name(option=value, ...)' in a config or on a command line, taken apart."""

import ast

from mlc.errors import InputError, nearest


def parse(text: str, what: str) -> tuple[str, dict]:
  """'beam(width=16)' -> ('beam', {'width': 16}); values are Python literals.

  Raises:
    InputError: anything but a name, with or without options by name, each once.
  """
  name, bracket, options = text.partition('(')
  try:
    node = ast.parse(f'f({options}' if bracket else 'f()', mode='eval').body
    # `a=1)(b=2)` and `a=1).b(c=2)` are calls, but of another call.
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
      found = {k.arg: ast.literal_eval(k.value) for k in node.keywords}
      # Of `**{...}` the name is None.
      once = len(found) == len(node.keywords)
      if once and not node.args and None not in found:
        return name, found
  # A list as key of a dict, thousands of brackets.
  except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
    pass
  raise InputError(
    f'{what} {text[:60]!r}: give a name, with options as in beam(width=16)'
  )


def check(options, known, of: str) -> None:
  """Raises InputError for the first of `options` that is not `known`."""
  for key in options:
    if key not in known:
      raise nearest(key, known, f'option of {of}')
