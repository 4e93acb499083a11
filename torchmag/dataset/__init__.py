"""Data sets of simulations: made in shards, read by torch.utils.data."""

from torchmag.dataset.making import dataset
from torchmag.dataset.reading import Dataset

__all__ = ["Dataset", "dataset"]
