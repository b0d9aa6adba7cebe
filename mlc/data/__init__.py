"""Data sets: files in, checked NumPy arrays with splits out. No JAX here."""

from mlc.data.catalog import load
from mlc.data.dataset import Dataset, from_arrays

__all__ = ['Dataset', 'from_arrays', 'load']
