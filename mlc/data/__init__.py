"""Data sets: files in, checked NumPy arrays with splits out.

No JAX here but in synthetic/, whose worlds know the posterior of their labels.
"""

from mlc.data.dataset import Dataset, from_arrays
from mlc.data.loading import load
from mlc.data.readers.npz import write as save

__all__ = ['Dataset', 'from_arrays', 'load', 'save']
