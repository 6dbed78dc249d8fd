"""Bounds for gradients: by the norm of all together, or each element by itself."""

from typing import Any

import numpy

import backpass.numpy as np
from backpass.core import Tensor, tree
from backpass.nn.optimizers.hyperparameters import number
from backpass.nn.optimizers.parameters import arrays_among, with_arrays
from backpass.nn.optimizers.steps import Array, Tree, distinct
from backpass.nn.optimizers.updates import gradient_norm, scaled_gradients

INFINITY = float("inf")


def clip_grad_norm(
    params: Tree, max_norm: float, *, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Any:
    """Scale the `.grad` of all parameters down together, where their norm is too large.

    Call it between `backward()` and `step()`. The gradients are taken for one long vector, whose
    direction stays.

    Parameters
    ----------
    params : tree
        A `Module`, or Tensors in lists, tuples, dicts and dataclasses. Those whose `.grad` is
        `None` count as 0.
    max_norm : float
        The largest norm that stays, positive.
    norm_type : float
        Which norm: 2, 1, ``inf``, or any positive number.
    error_if_nonfinite : bool
        Whether to raise if the norm is infinite or nan. Otherwise an infinite gradient makes 0 or
        nan of all, as in PyTorch.

    Returns
    -------
    scalar
        The norm before, a NumPy scalar of float64; on a GPU a CuPy array of shape (), for which
        nothing waits, unless `error_if_nonfinite`.

    Raises
    ------
    TypeError, ValueError
        If a leaf is not a Tensor, or a number is out of range.
    FloatingPointError
        With `error_if_nonfinite`. Nothing has been changed.

    Notes
    -----
    R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent neural networks",
    ICML 2013.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> w = np.array([0.0, 0.0])
    >>> w.grad = np.array([3.0, 4.0]).value
    >>> clip_grad_norm([w], max_norm=1.0)
    np.float64(5.0)
    >>> w.grad
    array([0.6, 0.8])
    """
    name = "clip_grad_norm"
    reached = _reached(name, params)
    gradients = [w.grad for w in reached]
    clipped, norm = _scaled(name, gradients, max_norm, norm_type, error_if_nonfinite)
    for w, g in zip(reached, clipped, strict=True):
        w.grad = g
    return norm


def clip_grad_value(params: Tree, clip_value: float) -> None:
    """Bring each element of the `.grad` of all parameters to between -clip_value and clip_value.

    Call it between `backward()` and `step()`.

    Parameters
    ----------
    params : tree
        As in `clip_grad_norm`, of real numbers.
    clip_value : float
        The largest absolute value that stays, positive.

    Raises
    ------
    TypeError, ValueError
        If a leaf is not a Tensor, if a gradient is complex, or `clip_value` is out of range.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> w = np.array([0.0, 0.0])
    >>> w.grad = np.array([3.0, -0.5]).value
    >>> clip_grad_value([w], 1.0)
    >>> w.grad
    array([ 1. , -0.5])
    """
    name = "clip_grad_value"
    reached = _reached(name, params)
    clipped = _bounded(name, [w.grad for w in reached], clip_value)
    for w, g in zip(reached, clipped, strict=True):
        w.grad = g


def clip_by_norm(
    gradients: Tree, max_norm: float, *, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> tuple[Tree, Any]:
    """Return a tree of gradients, scaled down together where their norm is too large; and the norm.

    The pure form of `clip_grad_norm`.

    Parameters
    ----------
    gradients : tree
        Of arrays, as `grad(..., argnums=0)` returns it; `None` stays.
    max_norm, norm_type, error_if_nonfinite
        As in `clip_grad_norm`.

    Returns
    -------
    gradients : tree
        Of the same structure.
    norm : scalar
        The norm before.

    Raises
    ------
    TypeError, ValueError, FloatingPointError
        As from `clip_grad_norm`.

    Examples
    --------
    >>> import numpy
    >>> clip_by_norm({"w": numpy.array([3.0, 4.0]), "b": None}, max_norm=1.0)
    ({'w': array([0.6, 0.8]), 'b': None}, np.float64(5.0))
    """
    name = "clip_by_norm"
    found, structure = tree.flatten(gradients)
    arrays = arrays_among(name, found)
    clipped, norm = _scaled(name, list(arrays.values()), max_norm, norm_type, error_if_nonfinite)
    return with_arrays(found, structure, dict(zip(arrays, clipped, strict=True))), norm


def clip_by_value(gradients: Tree, clip_value: float) -> Tree:
    """Return a tree of gradients with each element between -clip_value and clip_value.

    The pure form of `clip_grad_value`.

    Parameters
    ----------
    gradients : tree
        Of real arrays, as `grad(..., argnums=0)` returns it; `None` stays.
    clip_value : float
        The largest absolute value that stays, positive.

    Returns
    -------
    tree
        Of the same structure.

    Raises
    ------
    TypeError, ValueError
        As from `clip_grad_value`.

    Examples
    --------
    >>> import numpy
    >>> clip_by_value([numpy.array([3.0, -0.5]), None], 1.0)
    [array([ 1. , -0.5]), None]
    """
    name = "clip_by_value"
    found, structure = tree.flatten(gradients)
    arrays = arrays_among(name, found)
    clipped = _bounded(name, list(arrays.values()), clip_value)
    return with_arrays(found, structure, dict(zip(arrays, clipped, strict=True)))


def _reached(name: str, params: Tree) -> list[Tensor]:
    """Return the Tensors that have a gradient."""
    return [w for _, w in distinct(name, params, "params") if w.grad is not None]


def _scaled(
    name: str, gradients: list[Array], max_norm: float, norm_type: float, error_if_nonfinite: bool
) -> tuple[list[Array], Any]:
    """Return arrays scaled down to a norm, and the norm that they had."""
    limit = _positive(name, "max_norm", max_norm)
    order = INFINITY if norm_type == INFINITY else _positive(name, "norm_type", norm_type)
    if not gradients:
        return [], numpy.float64(0)
    norm = gradient_norm.run(gradients, {"order": order})
    if error_if_nonfinite and not np.isfinite(norm):
        raise FloatingPointError(
            f"{name}: the norm of the gradients is {norm}, so they cannot be scaled; "
            "backpass.core.detect_anomaly() tells where it arose"
        )
    if isinstance(norm, numpy.floating) and float(norm) <= limit:
        return gradients, norm  # what is known here need not be computed
    factor = np.divide.op(limit, np.maximum.op(norm, limit))
    return scaled_gradients.run(gradients, {"by": factor}), norm


def _bounded(name: str, gradients: list[Array], clip_value: float) -> list[Array]:
    """Return arrays with each element in bounds."""
    limit = _positive(name, "clip_value", clip_value)
    for g in gradients:
        if g.dtype.kind == "c":
            raise TypeError(
                f"{name}: a gradient holds {g.dtype}, and complex numbers have no order: "
                "clip them by norm"
            )
    return [np.minimum.op(np.maximum.op(g, -limit), limit) for g in gradients]


def _positive(name: str, what: str, value: Any) -> float:
    found = number(name, what, value, high=INFINITY)
    if found == 0:
        raise ValueError(f"{name}: `{what}` is 0, but it must be positive")
    return found
