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
#: Called by `tests/test_network_kernels.py` and, the optimizers', by `tests/test_kernels.py`.
NETWORKS = set(
    """
    adagrad_update adam_update adaptive_avg_pool2d adaptive_avg_pool2d_input attention
    attention_back average_update avg_pool2d avg_pool2d_input batch_norm batch_norm_back celu
    celu.vjp conv2d conv2d_input conv2d_weight cross_entropy cross_entropy.vjp dropout dropout.vjp
    elu elu.vjp embedding embedding.vjp embedding_rows embedding_rows.vjp embedding_weight
    embedding_weight.vjp gelu gelu.vjp gradient_norm gru_cell gru_cell_back hardsigmoid
    hardsigmoid.vjp hardswish hardswish.vjp hardtanh hardtanh.vjp join_heads layer_norm
    layer_norm.vjp layer_norm_back leaky_relu leaky_relu.vjp linear linear.vjp lion_update
    lstm_cell lstm_cell_back max_pool2d max_pool2d_input max_pool2d_pick mish mish.vjp nll_loss
    nll_loss.vjp prelu prelu.vjp0 prelu.vjp1 relu relu.vjp rmsprop_update scaled_gradients selu
    selu.vjp shift_scale silu silu.vjp soft_cross_entropy soft_cross_entropy.vjp0
    soft_cross_entropy.vjp1 softplus softplus.vjp softsign softsign.vjp velocity_update within
    """.split()
)
EXTREMES = {"max", "min", "argmax", "argmin"}
PRODUCTS = {"matmul", "matmul.vjp0", "matmul.vjp1", "dot", "dot.vjp0", "dot.vjp1"}


def test_every_kernel_is_tested():
    # On plain Rust what is made of products is left to NumPy.
    products = {name for name in NETWORKS if name.startswith(("linear", "conv2d", "attention"))}
    expected = set(ELEMENTWISE) | OTHERS | NETWORKS
    assert set(KERNELS) - PRODUCTS - EXTREMES - products == expected - products


def test_products_and_extremes_are_there_unless_numpy_is_faster():
    vector_units = os.environ.get("BACKPASS_ISA") != "scalar" and platform.machine() == "x86_64"
    faster = PRODUCTS | EXTREMES
    assert set(KERNELS) & faster == (faster if vector_units else set())


def test_kernels_bear_their_names():
    for name, kernel in KERNELS.items():
        assert kernel.__name__ == name


def test_version():
    assert backpass.cpu.__version__ == importlib.metadata.version("backpass-cpu")
