"""What a `Trainer` asks of what it is given."""

from __future__ import annotations

import operator
from typing import Any

from backpass.core import Tensor
from backpass.core.dtypes import kind_of
from backpass.nn.module import Module


def check_parts(model: Any, optimizer: Any) -> None:
    """Raise for a model or an optimizer that cannot be trained with."""
    if not isinstance(model, Module):
        raise TypeError(f"Trainer: `model` is {described(model)}, not a backpass.nn.Module")
    parameters = list(model.parameters())
    if not parameters:
        raise ValueError(
            f"Trainer: `model`, a {type(model).__name__}, has no Parameters: there is nothing to "
            "train; make its weights Parameters, and attributes of a module"
        )
    if all(p.constant for p in parameters):
        raise ValueError("Trainer: all Parameters of `model` are frozen: call model.unfreeze()")
    for method in ("step", "zero_grad"):
        if not callable(getattr(optimizer, method, None)):
            raise TypeError(
                f"Trainer: `optimizer`, {described(optimizer)}, has no method `{method}`: pass "
                "one such as backpass.nn.optimizers.Adam(model)"
            )


def check_numbers(*, accumulate: int, **bounds: float | None) -> None:
    """Raise for numbers that are out of range."""
    if operator.index(accumulate) < 1:
        raise ValueError(f"Trainer: `accumulate` is {accumulate}, but it must be at least 1")
    for name, bound in bounds.items():
        if bound is not None and not bound > 0:
            raise ValueError(f"Trainer: `{name}` is {bound}, but it must be positive, or None")


def check_loss(loss: Any) -> None:
    """Raise for a loss that no gradient can be had of."""
    check_size(loss)
    if not isinstance(loss, Tensor) or not loss.tracked:
        raise TypeError(
            f"Trainer: the loss, {described(loss)}, does not depend on a Parameter by operations "
            "that are recorded: compute it with backpass.numpy from what the model returns"
        )


def check_size(loss: Any) -> None:
    """Raise for a loss that is not one number."""
    if getattr(loss, "size", 1) != 1 or not hasattr(loss, "dtype"):
        raise ValueError(
            f"Trainer: the loss must be one number, the mean over the batch, not "
            f'{described(loss)}: take its mean, or use reduction="mean"'
        )
    if kind_of(loss.dtype) != "f":
        raise TypeError(f"Trainer: the loss is of {loss.dtype}, but it must be a real number")


def described(x: Any) -> str:
    """Return what something is, for messages."""
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        return f"a {type(x).__name__} of shape {tuple(x.shape)}"
    if isinstance(x, tuple | list):
        return f"a {type(x).__name__} of {len(x)}"
    return f"of type {type(x).__name__}"


__all__ = ["check_loss", "check_numbers", "check_parts", "check_size", "described"]
