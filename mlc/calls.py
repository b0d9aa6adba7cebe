"""'name(option=value, ...)' in a config or on a command line, taken apart."""

import ast

from mlc.errors import InputError


def parse(text: str, what: str) -> tuple[str, dict]:
  """'beam(width=16)' -> ('beam', {'width': 16}); values are Python literals.

  Raises:
    InputError: anything but a name, with or without options by name.
  """
  name, bracket, options = text.partition('(')
  try:
    node = ast.parse(f'f({options}' if bracket else 'f()', mode='eval').body
    assert isinstance(node, ast.Call) and not node.args
    return name, {str(k.arg): ast.literal_eval(k.value) for k in node.keywords}
  except (SyntaxError, ValueError, AssertionError):
    raise InputError(
      f'{what} {text!r}: give a name, with options as in beam(width=16)'
    ) from None
