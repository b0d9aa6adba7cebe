"""One ARFF file as columns of numbers, before any of them is called a label."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy import sparse

from mlc.data.features import Features
from mlc.errors import InputError, nearest


class Attribute(NamedTuple):
  """One column.

  kind: 'numeric', 'nominal', 'string', 'date', or CLUS's 'hierarchical'.
  values: of a nominal attribute; what a hierarchical one lists; else none.
  line: where it is declared.
  """

  name: str
  kind: str
  values: tuple[str, ...]
  line: int

  @property
  def is_number(self) -> bool:
    """Whether cells are numbers, be it 0 and 1 declared as nominal values."""
    binary = self.kind == 'nominal' and set(self.values) <= {'0', '1'}
    return self.kind == 'numeric' or binary


class Relation(NamedTuple):
  """One ARFF file.

  codes_NxA: float64, dense or CSR as the rows are written, NaN = missing. A
    number, or the position of a value among `values` or `texts`: so an omitted
    cell of a sparse row, the number 0 or the first value, has code 0 always.
  lines_N: the line of each row.
  texts: the distinct cells of each attribute that is no number or nominal.
  """

  path: str
  name: str
  attributes: list[Attribute]
  codes_NxA: np.ndarray | sparse.csr_array
  lines_N: np.ndarray
  texts: dict[int, list[str]]

  def find(self, names: str | Iterable[str], what: str) -> list[int]:
    """The columns of these names; InputError for one that is not there.

    names: in a sequence or between commas.
    """
    column_of = {a.name: i for i, a in enumerate(self.attributes)}
    if isinstance(names, str):  # A name may have a comma in it.
      whole = names in column_of
      names = [names] if whole else [n.strip() for n in names.split(',')]
    names = list(names)
    for name in names:
      if name not in column_of:
        raise InputError(f'{self.path}: {nearest(name, column_of, what)}')
    return [column_of[name] for name in names]

  def numbers(self, columns: list[int]) -> np.ndarray | sparse.csr_array:
    """(N, C) float64, dense or CSR; nominal 0 and 1 are those numbers."""
    first_C = np.zeros(len(columns))
    step_C = np.ones(len(columns))
    for i, column in enumerate(columns):
      if self.attributes[column].kind == 'nominal':  # {0,1}, {1,0}, {0} or {1}.
        values = [float(v) for v in self.attributes[column].values]
        first_C[i], step_C[i] = values[0], values[-1] - values[0] or 1
    codes_NxC = self.codes_NxA[:, np.array(columns, int)]
    if isinstance(codes_NxC, np.ndarray):
      return first_C + step_C * codes_NxC
    codes_NxC = codes_NxC @ sparse.diags_array(step_C, format='csr')
    ones_Nx1 = sparse.csr_array(np.ones((codes_NxC.shape[0], 1)))
    # Neither stores zeros, be they written in the file.
    return codes_NxC + ones_Nx1 @ sparse.csr_array(first_C[None])

  def categories(self, columns: list[int]) -> np.ndarray:
    """(N, C) int32 positions of values or texts, -1 = missing."""
    codes_NxC = self.codes_NxA[:, np.array(columns, int)]
    if not isinstance(codes_NxC, np.ndarray):
      codes_NxC = codes_NxC.toarray()
    return np.where(np.isnan(codes_NxC), -1, codes_NxC).astype(np.int32)

  def features(self, labels: list[int], drop: str | Iterable[str]) -> Features:
    """All columns but `labels` and those that `drop` names, by kind.

    Raises:
      InputError: `drop` names a label or what is not there, a column of a type
        that is no feature, no columns left.
    """
    numeric, nominal = [], []
    is_label, dropped = set(labels), set(self.find(drop, 'attribute to drop'))
    for column, attribute in enumerate(self.attributes):
      if column in is_label:
        if column in dropped:
          raise InputError(
            f'{self.path}: {attribute.name!r} is a label: take it out of drop='
          )
      elif column in dropped:
        continue
      elif attribute.is_number:
        numeric.append(column)
      elif attribute.kind == 'nominal':
        nominal.append(column)
      else:
        raise InputError(
          f'{self.path}:{attribute.line}: attribute {attribute.name!r} is of'
          f' type {attribute.kind}: make it a number, or name it in drop='
        )
    names = [self.attributes[column].name for column in numeric]
    numbers = self.numbers(numeric)
    if isinstance(numbers, np.ndarray):
      kinds = {'dense': numbers, 'dense_names': names}
    else:
      kinds = {'sparse_columns': numbers, 'sparse_names': names}
    return Features.of(
      **kinds,
      categorical=self.categories(nominal),
      categorical_names=[self.attributes[column].name for column in nominal],
      values=[self.attributes[column].values for column in nominal],
      where=self.path,
    )
