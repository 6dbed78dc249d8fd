"""Training: optimizers for trees of Tensors, and data sets to train on."""

from backpass.nn import datasets, optimizers

__all__ = ["__version__", "datasets", "optimizers"]

__version__ = "0.1.0"
