"""Data sets: files in, checked NumPy arrays with splits out. No JAX here."""

from mlc.data.dataset import Dataset, from_arrays
from mlc.data.loading import load

__all__ = ['Dataset', 'from_arrays', 'load']
