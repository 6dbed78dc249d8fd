"""The functions that networks are made of, one family a file.

Names, order of arguments and layouts are PyTorch's; an axis is called `axis`.  Each function runs
where its arrays lie, returns Tensors, and is differentiable to any order, in both modes.
"""

from backpass.nn.functional.activations import (
    celu,
    elu,
    gelu,
    glu,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    log_softmax,
    logsigmoid,
    mish,
    prelu,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softmin,
    softplus,
    softsign,
    tanh,
)
from backpass.nn.functional.attention import scaled_dot_product_attention
from backpass.nn.functional.convolution import conv1d, conv2d, conv_transpose1d, conv_transpose2d
from backpass.nn.functional.cross_entropy import cross_entropy, nll_loss
from backpass.nn.functional.dropout import dropout, dropout1d, dropout2d
from backpass.nn.functional.embedding import embedding
from backpass.nn.functional.linear import linear
from backpass.nn.functional.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cosine_embedding_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
    triplet_margin_loss,
)
from backpass.nn.functional.normalization import (
    batch_norm,
    batch_norm_with_statistics,
    group_norm,
    layer_norm,
    rms_norm,
)
from backpass.nn.functional.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
)
from backpass.nn.functional.recurrent import gru_cell, lstm_cell

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "batch_norm_with_statistics",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cosine_embedding_loss",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "elu",
    "embedding",
    "gelu",
    "glu",
    "group_norm",
    "gru_cell",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "lstm_cell",
    "max_pool1d",
    "max_pool2d",
    "mish",
    "mse_loss",
    "nll_loss",
    "prelu",
    "relu",
    "relu6",
    "rms_norm",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softmin",
    "softplus",
    "softsign",
    "tanh",
    "triplet_margin_loss",
]
