"""The dense layer's arithmetic: a matrix product, a bias and an activation, as one operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backpass.core import Tensor
from backpass.core.extend import defjvp, defvjp, primitive
from backpass.core.ops.elementwise import add, expit, tanh
from backpass.core.ops.linear import matmul
from backpass.core.ops.shaping import as_operand, reshape
from backpass.nn.functional.activations import relu

#: Activations whose rules read their output only: their input need not be kept.
ACTIVATIONS = {"relu": relu, "tanh": tanh, "sigmoid": expit}


def _rows(x: Any) -> Any:
    """Return an array as a matrix of all its rows."""
    return x if len(x.shape) == 2 else reshape.op(x, shape=(-1, x.shape[-1]))


def _through(g: Any, ans: Any, activation: str | None) -> Any:
    """Carry a tangent or cotangent through the activation: by its rule, or the rule's kernel."""
    if activation is None:
        return g
    f = ACTIVATIONS[activation]
    kernel = None if isinstance(g, Tensor) else (f.pulls.get(type(g)) or f.pull_of(type(g)))[0]
    made = NotImplemented if kernel is None else kernel(g, ans)
    if made is NotImplemented:
        return f.vjps[0].call(g, ans)  # type: ignore[union-attr]
    return made


@primitive(name="linear")
def linear_(xp: Any, x: Any, weight: Any, bias: Any, *, activation: str | None = None) -> Any:
    """Compute activation(x @ weight.T + bias); `bias` may be `None`."""
    made = matmul.op(x, weight.T)  # a view, which the product reads as it lies
    if bias is not None:
        made = add.op(made, bias)
    return made if activation is None else ACTIVATIONS[activation].op(made)


def _linear_vjp(
    g: Any,
    ans: Any,
    x: Any,
    weight: Any,
    *,
    needs: Sequence[bool],
    activation: str | None = None,
) -> tuple[Any, Any, Any]:
    g = _through(g, ans, activation)
    return (
        matmul.op(g, weight) if needs[0] else None,
        matmul.op(_rows(g).T, _rows(x)) if needs[1] else None,
        g if needs[2] else None,
    )


def _linear_jvp(
    ts: Sequence[Any], ans: Any, x: Any, weight: Any, bias: Any, *, activation: str | None = None
) -> Any:
    moved = []
    if ts[0] is not None:
        moved.append(matmul.op(ts[0], weight.T))
    if ts[1] is not None:
        moved.append(matmul.op(x, ts[1].T))
    if ts[2] is not None:
        moved.append(ts[2])
    t = moved[0]
    for part in moved[1:]:
        t = add.op(t, part)
    return _through(t, ans, activation)


defvjp(linear_, joint=_linear_vjp)
defjvp(linear_, joint=_linear_jvp)


def linear(x: Any, weight: Any, bias: Any = None, activation: str | None = None) -> Tensor:
    """Return ``activation(x @ weight.T + bias)``.

    Parameters
    ----------
    x : array_like, shape (..., features)
        Any number of batch axes, or none.
    weight : array_like, shape (outputs, features)
        As PyTorch has it.
    bias : array_like, shape (outputs,), optional
        What is added.
    activation : {None, "relu", "tanh", "sigmoid"}
        What is applied to the sum. As part of this operation it costs no memory: the derivative is
        computed from the result.

    Returns
    -------
    Tensor, shape (..., outputs)

    Raises
    ------
    ValueError
        If the shapes do not fit, or `activation` is another.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> x = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> linear(x, np.array([[1.0, -1.0]]), np.array([0.5]))
    Tensor([[-0.5],
           [-0.5]])
    >>> linear(x, np.array([[1.0, -1.0]]), np.array([0.5]), "relu")
    Tensor([[0.],
           [0.]])
    """
    x, weight = as_operand(x), as_operand(weight)
    x_shape, shape = x.shape, weight.shape
    if len(shape) != 2:
        raise ValueError(
            f"linear: `weight` has shape {shape}, but it must have two axes: (outputs, features)"
        )
    if not x_shape or x_shape[-1] != shape[1]:
        raise ValueError(
            f"linear: `x` has shape {x_shape}, but `weight` of shape {shape} takes {shape[1]} "
            f"features: the last axis of `x` must be {shape[1]} long"
        )
    if bias is not None:
        bias = as_operand(bias)
        if bias.shape != shape[:1]:
            raise ValueError(
                f"linear: `bias` has shape {bias.shape}, but `weight` of shape {shape} has "
                f"{shape[0]} outputs: `bias` must have shape ({shape[0]},)"
            )
    if activation is not None and activation not in ACTIVATIONS:
        raise ValueError(
            f"linear: `activation` is {activation!r}: it must be None or one of "
            f"{', '.join(map(repr, ACTIVATIONS))}; apply others to the result"
        )
    if activation is None:
        return linear_(x, weight, bias)  # type: ignore[no-any-return]
    return linear_(x, weight, bias, activation=activation)  # type: ignore[no-any-return]


__all__ = ["linear"]
