"""Data sets to train on: images, small digits that are always at hand, and characters of a text."""

from backpass.nn.datasets.cifar import CIFAR10_CLASSES, Cifar10, load_cifar10
from backpass.nn.datasets.digits import Digits, load_digits
from backpass.nn.datasets.fashion_mnist import (
    FASHION_MNIST_CLASSES,
    FashionMnist,
    load_fashion_mnist,
)
from backpass.nn.datasets.mnist import Mnist, load_mnist
from backpass.nn.datasets.text import Characters, Vocabulary, Windows, load_text

__all__ = [
    "CIFAR10_CLASSES",
    "FASHION_MNIST_CLASSES",
    "Characters",
    "Cifar10",
    "Digits",
    "FashionMnist",
    "Mnist",
    "Vocabulary",
    "Windows",
    "load_cifar10",
    "load_digits",
    "load_fashion_mnist",
    "load_mnist",
    "load_text",
]
