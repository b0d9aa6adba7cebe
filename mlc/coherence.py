"""How label sets hang together: which are new, which break rules.

Counts alone: nothing here knows a model. Answers hold 0/1, and -1 where one is
silent, which breaks no rule.
"""

from collections.abc import Iterator
import dataclasses
import hashlib
import itertools
from typing import Any, NamedTuple, Self

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from mlc.data.labels import Labels
from mlc.data.splits import positive
from mlc.errors import InputError, nearest

# Rows at once.
CHUNK = 1024
WORDS = {'implies': '->', 'excludes': 'excludes'}


@dataclasses.dataclass(frozen=True, eq=False)
class Rules:
  """Pairs (a, b) of labels: a -> b, b is on where a is; a excludes b.

  implies_Rx2, excludes_Rx2: int32. names: of the L labels.
  """

  implies_Rx2: np.ndarray
  excludes_Rx2: np.ndarray
  names: tuple[str, ...]

  @classmethod
  def of(cls, names, *, implies=(), excludes=()) -> Self:
    """From pairs of label numbers; what is said twice is kept once."""
    pairs = (
      np.asarray(p, np.int32).reshape(-1, 2) for p in (implies, excludes)
    )
    implies_Rx2, excludes_Rx2 = pairs
    return cls(
      np.unique(implies_Rx2, axis=0),
      # a excludes b is b excludes a.
      np.unique(np.sort(excludes_Rx2, axis=1), axis=0),
      tuple(names),
    )

  def __len__(self) -> int:
    return len(self.implies_Rx2) + len(self.excludes_Rx2)

  def __add__(self, other: Self) -> Self:
    return type(self).of(
      self.names,
      implies=np.concatenate([self.implies_Rx2, other.implies_Rx2]),
      excludes=np.concatenate([self.excludes_Rx2, other.excludes_Rx2]),
    )

  def texts(self) -> Iterator[str]:
    """'a -> b', then 'a excludes b', as `parse` reads them."""
    for word, pairs_Rx2 in (
      ('->', self.implies_Rx2),
      ('excludes', self.excludes_Rx2),
    ):
      for a, b in pairs_Rx2:
        yield f'{self.names[a]} {word} {self.names[b]}'


def parse(texts, names) -> Rules:
  """Rules from 'a -> b' and 'a excludes b', in the names of the labels.

  Names stand as they are, with their spaces and quotes; where a name holds
  '->' or 'excludes' itself, the one reading that fits is taken.

  Raises:
    InputError: no rule, an unknown label, a label with itself, two readings, a
      contradiction.
  """
  number = {name: l for l, name in enumerate(names)}
  found = {'implies': [], 'excludes': []}
  for text in texts:
    readings = [
      (kind, text[:at].strip(), text[at + len(word) :].strip())
      for kind, word in WORDS.items()
      for at in range(len(text))
      if text.startswith(word, at) and _stands_alone(text, at, word)
    ]
    if not readings:
      raise InputError(
        f"rule {text!r}: give 'a -> b' or 'a excludes b' in names of labels"
      )
    fitting = [r for r in readings if r[1] in number and r[2] in number]
    if not fitting:
      _, a, b = readings[0]
      raise nearest(b if a in number else a, number, f'label of rule {text!r}:')
    if len(fitting) > 1:
      raise InputError(
        f'rule {text!r} can be read in {len(fitting)} ways: rename a label'
      )
    kind, a, b = fitting[0]
    if a == b:
      raise InputError(f'rule {text!r}: name two labels, not one twice')
    found[kind].append((number[a], number[b]))
  rules = Rules.of(names, **found)
  check_consistent(rules)
  return rules


def _stands_alone(text, at, word) -> bool:
  """'->' may touch the names, 'excludes' stands between spaces."""
  around = text[at - 1 : at] + text[at + len(word) : at + len(word) + 1]
  return word == '->' or (len(around) == 2 and around.isspace())


def check_consistent(rules: Rules) -> None:
  """Raises InputError where a label's consequences exclude each other.

  `parse` asks; to be asked again of a sum of rules.
  """
  if not len(rules.implies_Rx2) or not len(rules.excludes_Rx2):
    return
  size = (len(rules.names),) * 2
  edges = sparse.csr_array(
    (np.ones(len(rules.implies_Rx2)), tuple(rules.implies_Rx2.T)), shape=size
  )
  for a in np.unique(rules.implies_Rx2[:, 0]):
    follows = csgraph.breadth_first_order(edges, a, return_predecessors=False)
    broken_R = np.isin(rules.excludes_Rx2, follows).all(1)
    if broken_R.any():
      b, c = (rules.names[l] for l in rules.excludes_Rx2[broken_R][0])
      text = f'{b} excludes {c}'
      raise InputError(
        f'the rules contradict each other: {rules.names[a]!r} could never be'
        f' on, since it leads to both sides of {text!r}: drop one'
      )


def of_hierarchy(labels: Labels) -> Rules:
  """Each child -> its parent; no rules without a hierarchy."""
  return Rules.of(labels.names, implies=labels.edges_Ex2[:, ::-1])


def mine(
  labels: Labels, rows, *, support: int = 10, expected: float = 10.0
) -> Rules:
  """Rules that none of the given rows breaks, by their observed labels.

  a -> b: at least `support` rows have both. Either kind of rule: had a and b
  been independent, `expected` rows or more would have broken it; by chance none
  then does with probability exp(-expected) about. Memory: of the pairs of
  labels that occur together, or that are frequent enough to be expected to.

  Raises:
    InputError: a support or expected number not above 0.
  """
  for name, value in (('support', support), ('expected', expected)):
    if not value > 0:
      raise InputError(f'mining rules: {name} {value}: give more than 0')
  on_NxL = positive(labels.y_NxL[rows]).astype(np.int64)
  missing_NxL = labels.missing_NxL[rows].astype(np.int64)
  num_rows = len(rows)
  count_L = np.asarray(on_NxL.sum(0)).ravel()
  observed_L = num_rows - np.asarray(missing_NxL.sum(0)).ravel()
  share_L = count_L / np.maximum(observed_L, 1)
  together_LxL = (on_NxL.T @ on_NxL).tocsr()
  together_LxL.sort_indices()
  hidden_LxL = (on_NxL.T @ missing_NxL).tocsr()

  pairs = together_LxL.tocoo()
  a, b, both = pairs.row, pairs.col, pairs.data
  # Rows with a in which b is observed.
  seen = count_L[a] - _at(hidden_LxL, a, b)
  rule = (a != b) & (both == seen) & (both >= support)
  rule &= seen * (1 - share_L[b]) >= expected
  implies = np.stack([a[rule], b[rule]], axis=1)

  excludes = []
  frequent = np.argsort(-count_L, kind='stable')
  for i, a in enumerate(frequent):
    # Beyond the first that is too rare for this label, all are.
    rarer = frequent[i + 1 :]
    enough = count_L[rarer] * count_L[a] >= expected * num_rows
    rarer = rarer[: np.count_nonzero(enough)]
    if not len(rarer):
      break
    start, end = together_LxL.indptr[a : a + 2]
    met = together_LxL.indices[start:end][together_LxL.data[start:end] > 0]
    apart = np.setdiff1d(rarer, met)
    excludes.append(np.stack([np.full_like(apart, a), apart], axis=1))
  return Rules.of(
    labels.names,
    implies=implies,
    excludes=np.concatenate(excludes) if excludes else (),
  )


def _at(matrix: sparse.csr_array, rows, columns) -> np.ndarray:
  """matrix[rows[i], columns[i]]."""
  if not len(rows) or not matrix.nnz:
    return np.zeros(len(rows), np.int64)
  return np.asarray(matrix[rows, columns]).ravel()


def label_sets(labels: Labels, rows) -> frozenset[bytes]:
  """The distinct label sets of the given rows, for `unseen`.

  Rows with a missing label have none that is known.
  """
  rows = np.asarray(rows)
  rows = rows[np.diff(labels.missing_NxL[rows].indptr) == 0]
  found = set()
  for start in range(0, len(rows), CHUNK):
    part_BxL = positive(labels.y_NxL[rows[start : start + CHUNK]]).toarray()
    found.update(_digests(part_BxL > 0))
  return frozenset(found)


def unseen(answers_KxNxL, seen: frozenset[bytes]) -> np.ndarray:
  """Which answers are none of the label sets `seen` -> KxN, bool.

  A row with silence is a label set of its own: it counts as seen.
  """
  K, N, _ = answers_KxNxL.shape
  new_KxN = np.zeros((K, N), bool)
  for k, answers_NxL in enumerate(answers_KxNxL):
    for start in range(0, N, CHUNK):
      part_BxL = np.asarray(answers_NxL[start : start + CHUNK])
      new_B = np.array([d not in seen for d in _digests(part_BxL > 0)])
      new_KxN[k, start : start + CHUNK] = new_B & (part_BxL >= 0).all(1)
  return new_KxN


def _digests(on_BxL) -> Iterator[bytes]:
  """16 bytes of BLAKE2 for each row: memory that does not grow with L."""
  for row in np.packbits(on_BxL, axis=1):
    yield hashlib.blake2b(row.tobytes(), digest_size=16).digest()


class Violations(NamedTuple):
  """What answers break: rows KxN that break a rule, and rows of rules KxR.

  Rules in the order of `Rules.texts`.
  """

  rows_KxN: np.ndarray
  count_KxR: np.ndarray


def violations(answers_KxNxL, rules: Rules) -> Violations:
  """Counts what answers KxNxL break; memory of R x CHUNK bits."""
  K, N, _ = answers_KxNxL.shape
  rows_KxN = np.zeros((K, N), bool)
  count_KxR = np.zeros((K, len(rules)), np.int64)
  for k, start in itertools.product(range(K), range(0, N, CHUNK)):
    part_BxL = np.asarray(answers_KxNxL[k, start : start + CHUNK])
    part_LxB = np.ascontiguousarray(part_BxL.T)
    # A byte holds eight rows.
    on_LxM = np.packbits(part_LxB > 0, axis=1)
    off_LxM = np.packbits(part_LxB == 0, axis=1)
    (a_I, b_I), (a_E, b_E) = rules.implies_Rx2.T, rules.excludes_Rx2.T
    broken_RxM = np.concatenate(
      [on_LxM[a_I] & off_LxM[b_I], on_LxM[a_E] & on_LxM[b_E]]
    )
    broken_M = np.bitwise_or.reduce(broken_RxM, axis=0)
    count_KxR[k] += np.bitwise_count(broken_RxM).sum(1, dtype=np.int64)
    rows_KxN[k, start : start + CHUNK] = np.unpackbits(
      broken_M, count=len(part_BxL)
    )
  return Violations(rows_KxN, count_KxR)


class Report(NamedTuple):
  """Shares of rows, a value a run, and the rules that are broken most often.

  unseen_sets_K: answers that are no label set of train.
  violations_K: answers that break a rule; None without rules.
  worst: (rule, share of rows that break it, mean over runs), the worst first.
  """

  unseen_sets_K: np.ndarray
  violations_K: np.ndarray | None
  worst: list[tuple[str, float]]

  def columns(self) -> dict[str, np.ndarray]:
    """By the name of a table's column."""
    found: dict[str, Any] = {'unseen_sets': self.unseen_sets_K}
    if self.violations_K is not None:
      found['violations'] = self.violations_K
    return found

  def text(self, most: int = 10) -> str:
    """The worst rules, a line each; '' where none is broken."""
    return '\n'.join(
      f'{100 * share:6.2f}% of rows break  {rule}'
      for rule, share in self.worst[:most]
    )


def report(answers_KxNxL, seen: frozenset[bytes], rules: Rules) -> Report:
  """How answers hang together: label sets `seen` in train, and `rules`."""
  new_KxN = unseen(answers_KxNxL, seen)
  if not len(rules):
    return Report(new_KxN.mean(1), None, [])
  broken = violations(answers_KxNxL, rules)
  share_R = broken.count_KxR.mean(0) / new_KxN.shape[1]
  texts = list(rules.texts())
  order = np.argsort(-share_R, kind='stable')
  worst = [(texts[r], float(share_R[r])) for r in order if share_R[r] > 0]
  return Report(new_KxN.mean(1), broken.rows_KxN.mean(1), worst)
