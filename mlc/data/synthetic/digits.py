"""A world of images: a set of handwritten digits on a canvas."""

import dataclasses
import functools

import numpy as np
from scipy import special
from sklearn import datasets

from mlc.data.synthetic.base import (
  INPUTS,
  Enumerated,
  label_sets,
  log_softmax,
  number,
  overlap,
  stream,
)
from mlc.errors import InputError

SIDE = 8  # Pixels of a digit's side.
WHITE = 16  # The highest pixel value of the source.


@dataclasses.dataclass(frozen=True)
class Digits(Enumerated):
  """Which digits are there? Some of them may be blanked out.

  The set y of digits follows a Markov chain over the digits: p(y) is
  proportional to exp(bias |y| + coupling sum_d s_d s_d+1), s = 2y - 1, so that
  with a positive `coupling` they come in runs. Each digit of y gets one of the
  `grid` x `grid` cells, no two the same, and one of its scans; then it is
  blanked with probability `occlusion`, which leaves a cell that looks empty.

  Exact: p(y) (`log_prior`), and p(y | x), which is proportional to
  p(y) (1 - q)^|v| q^(|y| - |v|) for all y that contain the visible digits v,
  q = `occlusion`: cells and scans do not depend on y beyond v. v is read off
  the image without error, since all scans differ; a model that reads less well
  pays for it in regret. With q = 0 the image decides y; with q = 1 it is black
  and p(y | x) = p(y).

  x is the canvas, flattened (`image_shape`), from 0 to 1. Train and test rows
  share the 1,797 scans of scikit-learn's `load_digits` (the test part of
  Alpaydin and Kaynak's optical digits, UCI 1998).
  """

  num_labels: int = number(10, 1, 10)
  grid: int = number(4, 1, 32)
  coupling: float = number(0.5)
  bias: float = number(-0.3)
  occlusion: float = number(0.3, 0, 1)

  def __post_init__(self):
    super().__post_init__()
    if self.grid**2 < self.num_labels:
      raise InputError(
        f'Digits: grid={self.grid} has {self.grid**2} cells for'
        f' {self.num_labels} digits: give a larger grid'
      )

  @property
  def image_shape(self) -> tuple[int, int]:
    """Height and width in pixels."""
    return SIDE * self.grid, SIDE * self.grid

  @property
  def num_features(self):
    return (SIDE * self.grid) ** 2

  @functools.cached_property
  def log_prior(self) -> np.ndarray:
    """Log p(y) of all label sets, in the order of `label_sets` -> U."""
    y_UxL = label_sets(self.num_labels)
    spin_UxL = 2.0 * y_UxL - 1
    runs_U = (spin_UxL[:, 1:] * spin_UxL[:, :-1]).sum(1)
    energy_U = self.bias * y_UxL.sum(1) + self.coupling * runs_U
    return log_softmax(energy_U[None])[0]

  def draw(self, num_rows, seed):
    rng = stream(INPUTS, seed)
    index_N = rng.choice(
      len(self.log_prior), num_rows, p=np.exp(self.log_prior)
    )
    y_NxL = label_sets(self.num_labels)[index_N]
    visible_NxL = (rng.random(y_NxL.shape) >= self.occlusion) & (y_NxL > 0)
    return self._paint(visible_NxL, rng), y_NxL.astype(np.float32)

  def inputs(self, num_rows, seed):
    return self.draw(num_rows, seed)[0]

  def _paint(self, visible_NxL, rng):
    pixels_KxP, digit_K = _scans()
    num_rows, cells = len(visible_NxL), self.grid**2
    cell_NxC = rng.permuted(np.tile(np.arange(cells), (num_rows, 1)), axis=1)
    row_V, digit_V = np.nonzero(visible_NxL)
    down_V, right_V = np.divmod(cell_NxC[row_V, digit_V], self.grid)
    start_L = np.searchsorted(digit_K, np.arange(self.num_labels + 1))
    scan_V = rng.integers(start_L[digit_V], start_L[digit_V + 1])
    canvas = np.zeros((num_rows, self.grid, SIDE, self.grid, SIDE), np.float32)
    scan_VxHxW = pixels_KxP[scan_V].reshape(-1, SIDE, SIDE) / WHITE
    canvas[row_V, down_V, :, right_V] = scan_VxHxW
    return canvas.reshape(num_rows, -1)

  def visible(self, x_BxD) -> np.ndarray:
    """The digits that can be seen -> BxL int8.

    Raises:
      InputError: a cell that is neither black nor a scan, pixel by pixel.
    """
    x_BxD = WHITE * self.rows(x_BxD)
    pixels_BxD = x_BxD.round().clip(0, WHITE).astype(np.uint8)
    cells = pixels_BxD.reshape(-1, self.grid, SIDE, self.grid, SIDE)
    cells = cells.swapaxes(2, 3).reshape(len(x_BxD), -1, SIDE**2)
    digit_of = _reader()
    digit_BxC = np.array(
      [[digit_of.get(cell.tobytes(), np.inf) for cell in row] for row in cells]
    ).reshape(cells.shape[:2])
    bad_B = (digit_BxC >= self.num_labels).any(1)
    bad_B |= (pixels_BxD != x_BxD).any(1)
    if bad_B.any():
      raise InputError(
        f'{self.name}: row {bad_B.argmax()} of x is not an image of this world:'
        ' give x as drawn, not standardised'
      )
    label_1x1xL = np.arange(self.num_labels)[None, None]
    return (digit_BxC[..., None] == label_1x1xL).any(1).astype(np.int8)

  def log_probs(self, x_BxD):
    visible_BxL, y_UxL = self.visible(x_BxD), label_sets(self.num_labels)
    seen_Bx1 = visible_BxL.sum(1, keepdims=True)
    hidden_BxU = y_UxL.sum(1) - seen_Bx1
    contains_BxU = overlap(visible_BxL, y_UxL[None]) == seen_Bx1
    # (1 - q)^|v| is the same for all y.
    blanked_BxU = special.xlogy(np.maximum(hidden_BxU, 0), self.occlusion)
    return log_softmax(
      np.where(contains_BxU, self.log_prior + blanked_BxU, -np.inf)
    )


@functools.cache
def _scans() -> tuple[np.ndarray, np.ndarray]:
  """Pixels (K, 64) from 0 to 16 and digits (K,), sorted by digit."""
  pixels_KxP, digit_K = map(np.asarray, datasets.load_digits(return_X_y=True))
  order_K = np.argsort(digit_K, kind='stable')
  return pixels_KxP[order_K].astype(np.uint8), digit_K[order_K]


@functools.cache
def _reader() -> dict[bytes, int]:
  """The digit of each scan by its bytes; -1 of a black cell."""
  pixels_KxP, digit_K = _scans()
  black = bytes(SIDE**2)
  scans = zip(pixels_KxP, digit_K, strict=True)
  return {black: -1} | {scan.tobytes(): int(digit) for scan, digit in scans}
