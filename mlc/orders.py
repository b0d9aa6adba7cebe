"""The order in which a model predicts labels, from what training rows say.

All count training rows alone, missing labels left out; ties go to the label
that comes first in the data. Only 'searched' looks at validation rows too.
"""

import functools

import numpy as np
from scipy import special

from mlc import links as links_lib
from mlc.errors import InputError, nearest

# Of the search: random orders to begin with, and rounds of swaps.
RANDOM, ROUNDS = 10, 10


def listed(order: str, num_labels: int) -> np.ndarray | None:
  """The labels as 'given' or '2,0,1' list them; None where others decide.

  Raises:
    InputError: no name that is known, or not each label once.
  """
  if order == 'given':
    return np.arange(num_labels, dtype=np.int32)
  if order in NAMES:
    return None
  try:
    found = [int(label) for label in order.split(',')]
  except ValueError:
    raise nearest(order, NAMES, 'order') from None
  if sorted(found) != list(range(num_labels)):
    raise InputError(
      f'order {order!r} of {num_labels} labels: give each label once, by its'
      f" index, as in '2,0,1', or one of {', '.join(NAMES)}"
    )
  return np.array(found, np.int32)


def of_data(order: str, data) -> np.ndarray | None:
  """The labels in the order of that name; None: it takes no data.

  Raises:
    InputError: as `listed`; 'searched' without validation rows.
  """
  if order in FROM_DATA:
    return FROM_DATA[order](data).astype(np.int32)
  listed(order, data.num_labels)
  return None


def needs_rows(order: str) -> InputError:
  """The error of a model that begins without the rows its order is of."""
  return InputError(
    f'order {order!r} is of training rows: begin with what structure(data) of'
    ' the model gives'
  )


def by_frequency(data) -> np.ndarray:
  """The label on in the largest share of its observed rows first.

  Nam et al. (NIPS 2017) and Yang et al. (COLING 2018) order so.
  """
  return np.argsort(-_share(data), kind='stable')


def by_rarity(data) -> np.ndarray:
  """The label on in the smallest share of its observed rows first."""
  return np.argsort(_share(data), kind='stable')


def by_entropy(data) -> np.ndarray:
  """The label first that those before leave the least uncertain.

  Each time the least min(H(y_l), min over labels c before of H(y_l | y_c)): of
  all bounds of H(y_l | labels before) by pairs, the tightest. Orders by
  conditional entropy: Jun et al. (Neurocomputing 335, 2019); this rule is ours.
  """
  share_L = _share(data)
  bound_L = _binned(special.entr(share_L) + special.entr(1 - share_L))
  given_LxL = _binned(conditional_entropy(data))
  order = []
  for _ in range(data.num_labels):
    label = int(bound_L.argmin())
    order.append(label)
    bound_L = np.minimum(bound_L, given_LxL[:, label])
    bound_L[order] = np.inf
  return np.array(order)


def by_tree(data) -> np.ndarray:
  """Breadth-first over the tree of most mutual information between labels.

  The root is the label with the most of it with all others, and a label's
  children go by it. Tree: Chow & Liu (IEEE Trans. Inf. Theory 14, 1968), for
  chains Zaragoza et al. (IJCAI 2011).
  """
  weight_LxL = _binned(mutual_information(data))
  root = int(weight_LxL.sum(1).argmax())
  return breadth_first(spanning_tree(weight_LxL, root), weight_LxL)


@functools.lru_cache(maxsize=2)
def by_search(data) -> np.ndarray:
  """The best on validation rows of linear chains, improved by swaps.

  A chain is scored by its mean validation log-likelihood, its links logistic
  regressions (l2 = 1) solved to the optimum. Begins with the best of `RANDOM`
  random orders and all others of this file; then neighbours change places, in
  one round all pairs whose exchange helps and that do not touch, until none
  does or after `ROUNDS`. An exchange changes two links, so that a round solves
  2 L of them. A link that no validation row counts for is taken as a coin's.
  Search by swaps: Read, Martino & Luengo (Pattern Recognition 47, 2014); by
  likelihood: Kumar et al. (Machine Learning 92, 2013).
  """
  if not len(data.splits.get('valid', ())):
    raise InputError(
      f"order 'searched' on {data.name}: there are no validation rows to search"
      ' by: give splits with some, or another order'
    )
  varies_L = np.isnan(data.constant_L)
  fitted, constant = np.flatnonzero(varies_L), np.flatnonzero(~varies_L)
  if len(fitted) < 2:
    return np.concatenate([fitted, constant])
  rng = np.random.default_rng(0)
  orders = [np.arange(data.num_labels)]
  orders += [rule(data) for rule in FROM_DATA.values() if rule is not by_search]
  orders += [rng.permutation(data.num_labels) for _ in range(RANDOM)]
  orders = [order[varies_L[order]] for order in orders]
  nll = _Scores(data)
  links_M = [nll.links(order) for order in orders]
  nll.solve(list(dict.fromkeys(sum(links_M, []))))
  order = orders[int(np.argmin([nll.total(links) for links in links_M]))]
  for _ in range(ROUNDS):
    swapped = _swapped_round(nll, order)
    if np.array_equal(swapped, order):
      break
    order = swapped
  return np.concatenate([order, constant])


FROM_DATA = {
  'frequency': by_frequency,
  'rare': by_rarity,
  'entropy': by_entropy,
  'tree': by_tree,
  'searched': by_search,
}
NAMES = ('given', 'random', *FROM_DATA)


def mutual_information(data) -> np.ndarray:
  """LxL in nats, of labels over the training rows where both are observed.

  0 on the diagonal.
  """
  p_2x2xLxL = _pairs(data)
  joint_LxL = special.entr(p_2x2xLxL).sum((0, 1))
  one_LxL = special.entr(p_2x2xLxL.sum(1)).sum(0)
  found_LxL = np.maximum(one_LxL + one_LxL.T - joint_LxL, 0)
  np.fill_diagonal(found_LxL, 0)
  return found_LxL


def conditional_entropy(data) -> np.ndarray:
  """LxL in nats: H(label of the row | label of the column), in training."""
  p_2x2xLxL = _pairs(data)
  joint_LxL = special.entr(p_2x2xLxL).sum((0, 1))
  return joint_LxL - special.entr(p_2x2xLxL.sum(0)).sum(0)


def spanning_tree(weight_LxL, root: int) -> np.ndarray:
  """L: each label's parent in the tree of largest weight, -1 for the root.

  By Prim's algorithm (Bell System Technical Journal 36, 1957), LxL.
  """
  parent_L = np.full(len(weight_LxL), root)
  parent_L[root] = -1
  best_L = np.array(weight_LxL[root], float)
  best_L[root] = -np.inf
  for _ in range(len(weight_LxL) - 1):
    label = int(best_L.argmax())
    best_L[label] = -np.inf
    nearer_L = ~np.isneginf(best_L) & (weight_LxL[label] > best_L)
    best_L = np.where(nearer_L, weight_LxL[label], best_L)
    parent_L[nearer_L] = label
  return parent_L


def breadth_first(parent_L, weight_LxL) -> np.ndarray:
  """L: the labels of a tree, each before its children, heaviest edge first."""
  order = [int(np.flatnonzero(parent_L < 0)[0])]
  for label in order:  # It grows on the way.
    children = np.flatnonzero(parent_L == label)
    heaviest = np.argsort(-weight_LxL[label, children], kind='stable')
    order.extend(int(child) for child in children[heaviest])
  return np.array(order)


def _share(data) -> np.ndarray:
  """L: the share of a label's observed training rows where it is on."""
  rows = data.splits['train']
  observed_L = len(rows) - data.labels.missing_NxL[rows].sum(0)
  positive_L = data.labels.y_NxL[rows].sum(0, dtype=float)
  return positive_L / np.maximum(observed_L, 1)


def _pairs(data) -> np.ndarray:
  """2x2xLxL: P(y_l = i, y_c = j) over the rows where both are observed."""
  rows = data.splits['train']
  y_NxL = data.labels.y_NxL[rows].astype(float)
  missing_NxL = data.labels.missing_NxL[rows].astype(float)
  missing_L = np.asarray(missing_NxL.sum(0))
  both_LxL = (missing_NxL.T @ missing_NxL).toarray()
  both_LxL += len(rows) - missing_L[:, None] - missing_L[None]
  on_LxL = np.asarray(y_NxL.sum(0))[:, None] - (y_NxL.T @ missing_NxL).toarray()
  n11_LxL = (y_NxL.T @ y_NxL).toarray()
  n10_LxL = on_LxL - n11_LxL
  n00_LxL = both_LxL - n11_LxL - n10_LxL - n10_LxL.T
  n_2x2xLxL = np.array([[n00_LxL, n10_LxL.T], [n10_LxL, n11_LxL]])
  return n_2x2xLxL / np.maximum(both_LxL, 1)


def _binned(number):
  """Rounded, so that what is equal but for rounding goes by index."""
  return np.round(number, 10)


class _Scores:
  """Mean validation nll of logistic links, solved on the training rows.

  A link is a label and those before it, as the bytes of a row of bits.
  """

  def __init__(self, data):
    self.data = data
    self.nll = {}

  def links(self, order) -> list[tuple[int, bytes]]:
    """Those of a chain in that order."""
    before_TxL = np.zeros((len(order), self.data.num_labels), bool)
    before_TxL[:, order] = np.tri(len(order), k=-1, dtype=bool)
    bits_TxC = np.packbits(before_TxL, axis=1)
    return [
      (int(label), bits_C.tobytes())
      for label, bits_C in zip(order, bits_TxC, strict=True)
    ]

  def total(self, links) -> float:
    return sum(self.nll[link] for link in links)

  def solve(self, links) -> None:
    """All of them in one program."""
    label_P = np.array([label for label, _ in links], np.int32)
    bits_PxC = np.array([np.frombuffer(bits, np.uint8) for _, bits in links])
    num_labels = self.data.num_labels
    before_PxL = np.unpackbits(bits_PxC, axis=1, count=num_labels) > 0
    found_P = _held_out_nll(self.data, label_P, before_PxL)
    self.nll.update(zip(links, found_P.tolist(), strict=True))


def _swapped_round(nll: _Scores, order) -> np.ndarray:
  """The order after all swaps of neighbours that help and do not touch."""
  links = nll.links(order)
  places, swaps = range(len(order) - 1), []
  for place in places:
    swapped = order.copy()
    swapped[[place, place + 1]] = order[[place + 1, place]]
    swaps.append(nll.links(swapped)[place : place + 2])
  # Those known too: all rounds are then one compiled program.
  nll.solve(sum(swaps, []))
  gain = np.array(
    [nll.total(links[p : p + 2]) - nll.total(swaps[p]) for p in places]
  )
  free, order = gain > 1e-9, order.copy()
  for place in np.argsort(-gain, kind='stable'):
    if free[place]:
      order[[place, place + 1]] = order[[place + 1, place]]
      free[max(place - 1, 0) : place + 2] = False
  return order


def _held_out_nll(data, label_P, before_PxL) -> np.ndarray:
  """P: mean validation nll of logistic links solved on the training rows."""
  # A refit trains on validation rows too: what is scored is not solved on.
  splits = data.splits
  x, y_NxL, mask_NxL = data.rows(np.setdiff1d(splits['train'], splits['valid']))
  varies_L = np.isnan(data.constant_L)
  everything = mask_NxL[:, varies_L].all()
  links = links_lib.Links(label_P, before_PxL, np.zeros(0, int))
  solved, _ = links_lib.solve(
    x,
    np.where(mask_NxL > 0, y_NxL, 0).astype(np.float32),
    None if everything else mask_NxL,
    links,
    (1.0,),
  )
  x, y_NxL, mask_NxL = data.split('valid')
  x = x if isinstance(x, np.ndarray) else links_lib.csr(x)
  y_NxL = np.where(mask_NxL > 0, y_NxL, 0)
  w_PxQ, num_labels = np.asarray(solved.w_PxQ, float), data.num_labels
  margin_NxP = w_PxQ[None, :, 0] + x @ w_PxQ[:, 1:-num_labels].T
  margin_NxP += y_NxL @ w_PxQ[:, -num_labels:].T
  unseen_NxP = (1 - mask_NxL) @ before_PxL.T
  counted_NxP = mask_NxL[:, label_P] * (unseen_NxP == 0)
  nll_NxP = np.logaddexp(0, margin_NxP) - y_NxL[:, label_P] * margin_NxP
  count_P = counted_NxP.sum(0)
  mean_P = (nll_NxP * counted_NxP).sum(0) / np.maximum(count_P, 1)
  return np.where(count_P > 0, mean_P, np.log(2))
