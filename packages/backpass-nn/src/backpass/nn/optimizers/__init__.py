"""Optimizers: functions that carry the gradients of a tree of Tensors into its values."""

from backpass.nn.optimizers.gradient_descent import sgd, sgd_momentum
from backpass.nn.optimizers.updates import momentum_update, sgd_update

__all__ = ["momentum_update", "sgd", "sgd_momentum", "sgd_update"]
