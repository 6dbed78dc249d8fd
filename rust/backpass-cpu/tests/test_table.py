"""What the module exports."""

import importlib.metadata
import os
import platform

import backpass.cpu
from backpass.cpu import KERNELS

from .formulas import ELEMENTWISE

OTHERS = {
    "where",
    *("sum", "sum.vjp", "mean", "mean.vjp", "max.vjp", "min.vjp"),
    *("var", "var.vjp", "std", "std.vjp", "cumsum", "cumsum.vjp", "unbroadcast"),
    *("broadcast_to", "reshape", "flip", "transpose", "concatenate", "stack"),
    *("getitem", "getitem.vjp", "scatter", "permute", "permute_back", "sorted_order"),
    *("logsumexp", "logsumexp.vjp", "softmax", "softmax.vjp", "log_softmax", "log_softmax.vjp"),
    *("momentum_update", "sgd_update", "copies"),
}
EXTREMES = {"max", "min", "argmax", "argmin"}
PRODUCTS = {"matmul", "matmul.vjp0", "matmul.vjp1", "dot", "dot.vjp0", "dot.vjp1"}


def test_every_kernel_is_tested():
    assert set(KERNELS) - PRODUCTS - EXTREMES == set(ELEMENTWISE) | OTHERS


def test_products_and_extremes_are_there_unless_numpy_is_faster():
    vector_units = os.environ.get("BACKPASS_ISA") != "scalar" and platform.machine() == "x86_64"
    faster = PRODUCTS | EXTREMES
    assert set(KERNELS) & faster == (faster if vector_units else set())


def test_kernels_bear_their_names():
    for name, kernel in KERNELS.items():
        assert kernel.__name__ == name


def test_version():
    assert backpass.cpu.__version__ == importlib.metadata.version("backpass-cpu")
