"""Data for training: data sets, loaders that make batches of them, and transforms of images."""

from backpass.nn.data import transforms
from backpass.nn.data.collation import collate
from backpass.nn.data.dataset import (
    ArrayDataset,
    ConcatDataset,
    Dataset,
    Subset,
    Transformed,
    split,
)
from backpass.nn.data.loader import DataLoader
from backpass.nn.data.randomness import item_generator

__all__ = [
    "ArrayDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "Subset",
    "Transformed",
    "collate",
    "item_generator",
    "split",
    "transforms",
]
