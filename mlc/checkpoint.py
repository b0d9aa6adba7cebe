"""Variables and what belongs to them, saved and restored by orbax."""

import pathlib
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from mlc.errors import InputError


def save(folder, variables, about: dict[str, Any]) -> None:
  """Writes parameters, structure and `about` (JSON), or nothing at all."""
  with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
    checkpointer.save(
      # Orbax refuses relative paths.
      pathlib.Path(folder).absolute(),
      ocp.args.Composite(
        variables=ocp.args.StandardSave(jax.device_get(variables)),
        about=ocp.args.JsonSave(about),
      ),
      force=True,
    )


def restore(folder) -> tuple[Any, dict[str, Any]]:
  """(variables as NumPy arrays, about). Raises InputError if there is none."""
  path = pathlib.Path(folder).absolute()
  if not path.is_dir():
    raise InputError(f'no checkpoint at {folder}: train into this folder first')
  with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
    found = checkpointer.restore(
      path,
      ocp.args.Composite(
        variables=ocp.args.StandardRestore(), about=ocp.args.JsonRestore()
      ),
    )
  return jax.tree.map(np.asarray, found.variables), found.about
