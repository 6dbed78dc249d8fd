"""Optimizers: they carry gradients into the parameters of a model, or of any tree of Tensors."""

from backpass.nn.optimizers import schedules
from backpass.nn.optimizers.accumulation import Accumulate
from backpass.nn.optimizers.adagrad import Adagrad, RMSprop
from backpass.nn.optimizers.adam import Adam, AdamW
from backpass.nn.optimizers.averaging import ExponentialMovingAverage
from backpass.nn.optimizers.clipping import (
    clip_by_norm,
    clip_by_value,
    clip_grad_norm,
    clip_grad_value,
)
from backpass.nn.optimizers.gradient_descent import SGD, sgd, sgd_momentum
from backpass.nn.optimizers.lion import Lion
from backpass.nn.optimizers.loss_scaling import LossScaler
from backpass.nn.optimizers.muon import Muon
from backpass.nn.optimizers.optimizer import Optimizer
from backpass.nn.optimizers.updates import (
    adagrad_update,
    adam_update,
    average_update,
    gradient_norm,
    lion_update,
    momentum_update,
    muon_update,
    rmsprop_update,
    sgd_update,
    velocity_update,
)

__all__ = [
    "SGD",
    "Accumulate",
    "Adagrad",
    "Adam",
    "AdamW",
    "ExponentialMovingAverage",
    "Lion",
    "LossScaler",
    "Muon",
    "Optimizer",
    "RMSprop",
    "adagrad_update",
    "adam_update",
    "average_update",
    "clip_by_norm",
    "clip_by_value",
    "clip_grad_norm",
    "clip_grad_value",
    "gradient_norm",
    "lion_update",
    "momentum_update",
    "muon_update",
    "rmsprop_update",
    "schedules",
    "sgd",
    "sgd_momentum",
    "sgd_update",
    "velocity_update",
]
