"""The Tensors that a module owns: Parameters, which are trained, and Buffers, which are not."""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy

from backpass.core import Tensor
from backpass.core.dtypes import kind_of
from backpass.core.values import plain


class Parameter(Tensor):
    """A Tensor to be trained: a permanent leaf, whose gradients arrive in its `.grad`.

    Parameters
    ----------
    value : array_like
        Floats or complex numbers; copied.
    requires_grad : bool
        Whether gradients flow to it. Without them it is frozen: it stays the module's, is saved
        and moved with it, and is a constant to `backward` and to `grad`.

    Raises
    ------
    TypeError
        If `value` does not hold floats or complex numbers.

    Examples
    --------
    >>> from backpass.nn import Parameter
    >>> w = Parameter([1.0, 2.0])
    >>> (w * w).sum().backward()
    >>> w.grad
    array([2., 4.])
    """

    __slots__ = ()

    def __init__(self, value: Any, requires_grad: bool = True) -> None:
        held = _copied(value)
        if kind_of(held.dtype) not in "fc":
            raise TypeError(
                f"Parameter: `value` holds {held.dtype}, which has no gradient: use "
                ".astype(float), or Buffer for numbers that are not trained"
            )
        super().__init__(held)
        if requires_grad:
            self.requires_grad_()

    @property
    def constant(self) -> bool:  # type: ignore[override]
        """Whether it is frozen."""
        return self.node is None

    def remade(self, value: Any) -> Tensor:
        """Return a Parameter of another value, frozen as this one is."""
        return Parameter(value, requires_grad=not self.constant)

    def __copy__(self) -> Tensor:
        return self.remade(self.value)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        made = memo[id(self)] = self.remade(self.value)
        made.grad = copy.deepcopy(self.grad, memo)
        return made

    def __reduce__(self) -> Any:
        return _restored, (self.value, not self.constant, self.grad)

    def __repr__(self) -> str:
        frozen = ", requires_grad=False)" if self.constant else ")"
        return f"Parameter{super().__repr__().removeprefix('Tensor')[:-1]}{frozen}"


class Buffer(Tensor):
    """A Tensor that belongs to a module's state and is not trained: a running mean, a count.

    It is saved and moved with its module. Transformations take it for a constant and hand it on
    as it is: what a module writes into it inside `grad` reaches the caller's module.

    Parameters
    ----------
    value : array_like
        Numbers of any kind; copied.

    Examples
    --------
    >>> from backpass.nn import Buffer
    >>> Buffer([0.0, 0.0])
    Buffer([0., 0.])
    """

    __slots__ = ()
    constant = True

    def __init__(self, value: Any) -> None:
        super().__init__(_copied(value))

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Refuse to be trained.

        Raises
        ------
        TypeError
            Always, unless `requires_grad` is false.
        """
        if requires_grad:
            raise TypeError("a Buffer is not trained: make it a Parameter")
        return self

    def remade(self, value: Any) -> Tensor:
        """Return a Buffer of another value."""
        return Buffer(value)

    def __copy__(self) -> Tensor:
        return Buffer(self.value)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        made = memo[id(self)] = Buffer(self.value)
        return made

    def __reduce__(self) -> Any:
        return Buffer, (self.value,)

    def __repr__(self) -> str:
        return f"Buffer{super().__repr__().removeprefix('Tensor')}"


def holding(like: Tensor, array: Any) -> Tensor:
    """Return an untracked Tensor like another, or a Parameter, that holds an array itself."""
    if type(like) is not Parameter:
        return like.remade(array)
    made = Parameter.__new__(Parameter)
    Tensor.__init__(made, array)
    return made if like.constant else made.requires_grad_()


def _copied(value: Any) -> Any:
    """Return an array of its own, of native byte order, where the value lies."""
    value = plain(value)
    if not hasattr(value, "dtype") or isinstance(value, numpy.generic):
        value = numpy.asarray(value)
    return value.astype(value.dtype.newbyteorder("="))


def _restored(value: Any, requires_grad: bool, grad: Any) -> Parameter:
    made = Parameter(value, requires_grad)
    made.grad = grad
    return made


__all__ = ["Buffer", "Parameter"]
