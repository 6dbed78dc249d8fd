"""Networks: modules, layers, losses, optimizers, data sets, and what trains and saves them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from backpass.nn import functional, initialisers, optimizers, random
from backpass.nn.half_precision import half_precision
from backpass.nn.layers import (
    CELU,
    ELU,
    GELU,
    GLU,
    GRU,
    LSTM,
    SELU,
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AvgPool1d,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv1d,
    Conv2d,
    Dropout,
    Dropout1d,
    Dropout2d,
    Embedding,
    Flatten,
    Function,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    Identity,
    LayerNorm,
    LeakyReLU,
    Linear,
    LogSigmoid,
    LogSoftmax,
    MaxPool1d,
    MaxPool2d,
    Mish,
    MultiHeadAttention,
    PReLU,
    ReLU,
    ReLU6,
    RMSNorm,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
    TransformerBlock,
)
from backpass.nn.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CosineEmbeddingLoss,
    CrossEntropyLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
    TripletMarginLoss,
)
from backpass.nn.module import LayerError, Mismatch, Module
from backpass.nn.parameter import Buffer, Parameter
from backpass.nn.random import seed
from backpass.nn.summary import summary

if TYPE_CHECKING:
    from backpass.nn import data, datasets, metrics, saving, training
    from backpass.nn.saving import (
        Checkpoint,
        Checkpoints,
        CorruptFileError,
        load,
        load_checkpoint,
        load_into,
        load_metadata,
        save,
        save_checkpoint,
    )
    from backpass.nn.training import Trainer

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "GRU",
    "LSTM",
    "SELU",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Buffer",
    "Checkpoint",
    "Checkpoints",
    "Conv1d",
    "Conv2d",
    "CorruptFileError",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Embedding",
    "Flatten",
    "Function",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "HuberLoss",
    "Identity",
    "KLDivLoss",
    "L1Loss",
    "LayerError",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "MSELoss",
    "MaxPool1d",
    "MaxPool2d",
    "Mish",
    "Mismatch",
    "Module",
    "MultiHeadAttention",
    "NLLLoss",
    "PReLU",
    "Parameter",
    "RMSNorm",
    "ReLU",
    "ReLU6",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "Softmax",
    "Softplus",
    "Softsign",
    "Tanh",
    "Trainer",
    "TransformerBlock",
    "TripletMarginLoss",
    "__version__",
    "data",
    "datasets",
    "functional",
    "half_precision",
    "initialisers",
    "load",
    "load_checkpoint",
    "load_into",
    "load_metadata",
    "metrics",
    "optimizers",
    "random",
    "save",
    "save_checkpoint",
    "saving",
    "seed",
    "summary",
    "training",
]

__version__ = "0.1.0"

#: What is imported when it is first used, and where it is: importing takes time.
_LATER = {
    **dict.fromkeys(("data", "datasets", "metrics", "saving", "training"), ""),
    **dict.fromkeys(
        (
            "Checkpoint",
            "Checkpoints",
            "CorruptFileError",
            "load",
            "load_checkpoint",
            "load_into",
            "load_metadata",
            "save",
            "save_checkpoint",
        ),
        "saving",
    ),
    "Trainer": "training",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_LATER[name] or name}")
    found = getattr(module, name) if _LATER[name] else module
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
