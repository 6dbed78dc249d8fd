"""What the module exports."""

import importlib.metadata
import os
import platform

import backpass.cpu
from backpass.cpu import KERNELS

from .formulas import ELEMENTWISE

OTHERS = {
    "where",
    *("sum", "mean", "max", "max.vjp", "min", "min.vjp"),
    *("logsumexp", "logsumexp.vjp", "softmax", "softmax.vjp", "log_softmax", "log_softmax.vjp"),
    *("momentum_update", "sgd_update", "copies"),
}
PRODUCTS = {"matmul", "matmul.vjp0", "matmul.vjp1", "dot", "dot.vjp0", "dot.vjp1"}


def test_every_kernel_is_tested():
    assert set(KERNELS) - PRODUCTS == set(ELEMENTWISE) | OTHERS


def test_products_are_there_unless_numpy_is_faster():
    vector_units = os.environ.get("BACKPASS_ISA") != "scalar" and platform.machine() == "x86_64"
    assert set(KERNELS) & PRODUCTS == (PRODUCTS if vector_units else set())


def test_kernels_bear_their_names():
    for name, kernel in KERNELS.items():
        assert kernel.__name__ == name


def test_version():
    assert backpass.cpu.__version__ == importlib.metadata.version("backpass-cpu")
