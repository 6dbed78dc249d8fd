"""What the module exports."""

import importlib.metadata

import backpass.cpu
from backpass.cpu import KERNELS

from .formulas import ELEMENTWISE

OTHERS = {
    *("sum", "mean", "max", "max.vjp", "min", "min.vjp"),
    *("logsumexp", "logsumexp.vjp", "softmax", "softmax.vjp", "log_softmax", "log_softmax.vjp"),
    *("matmul", "matmul.vjp0", "matmul.vjp1", "dot", "dot.vjp0", "dot.vjp1"),
    "momentum_update",
}


def test_every_kernel_is_tested():
    assert set(KERNELS) == set(ELEMENTWISE) | OTHERS


def test_kernels_bear_their_names():
    for name, kernel in KERNELS.items():
        assert kernel.__name__ == name


def test_version():
    assert backpass.cpu.__version__ == importlib.metadata.version("backpass-cpu")
