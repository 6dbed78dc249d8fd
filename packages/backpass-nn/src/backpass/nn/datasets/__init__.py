"""Data sets to train on: MNIST, and small digits that are always at hand."""

from backpass.nn.datasets.digits import Digits, load_digits
from backpass.nn.datasets.mnist import Mnist, load_mnist

__all__ = ["Digits", "Mnist", "load_digits", "load_mnist"]
