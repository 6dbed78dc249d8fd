"""Trees of numbers as vectors of real ones, and back."""

from __future__ import annotations

from typing import Any

import numpy

from backpass.core import tree
from backpass.core.cotangents import cast
from backpass.core.operators import operators
from backpass.core.ops.elementwise import imag
from backpass.core.ops.shaping import as_operand, concatenate_arrays
from backpass.core.values import plain


class Layout:
    """How the leaves of a tree lie in a vector: one after the other, real parts before imaginary.

    Parameters
    ----------
    x
        A tree of Tensors, arrays and numbers.
    name
        Of the public function, for messages.

    Examples
    --------
    >>> x = {"a": numpy.ones(2), "b": 3.0 + 4.0j}
    >>> layout = Layout(x, "example")
    >>> layout.vector(x)
    array([1., 1., 3., 4.])
    >>> layout.tree(layout.vector(x))["b"]
    np.complex128(3+4j)
    """

    def __init__(self, x: Any, name: str) -> None:
        leaves, self.structure = tree.flatten(x)
        if not leaves:
            raise TypeError(f"{name}: x holds no numbers")
        values = [plain(as_operand(leaf)) for leaf in leaves]
        for value in values:
            if value.dtype.kind not in "fciub":
                raise TypeError(f"{name}: x holds {value.dtype}: it must hold numbers")
        self.shapes = [tuple(value.shape) for value in values]
        self.dtypes = [
            value.dtype if value.dtype.kind in "fc" else numpy.dtype(float) for value in values
        ]
        self.dtype = numpy.result_type(*self.dtypes, numpy.float16).type(0).real.dtype
        self.name = name

    def fits(self, x: Any) -> bool:
        """Tell whether the leaves of a tree have these shapes."""
        return [tuple(numpy.shape(plain(leaf))) for leaf in tree.leaves(x)] == self.shapes

    def vector(self, x: Any) -> Any:
        """Return a tree of this structure as a vector."""
        leaves, structure = tree.flatten(x)
        if structure != self.structure:
            raise TypeError(
                f"{self.name}: the function must return what its argument is, {self.structure}, "
                f"not {structure}"
            )
        parts = []
        for leaf, shape, dtype in zip(leaves, self.shapes, self.dtypes):
            part = as_operand(leaf)
            if tuple(part.shape) != shape:
                raise ValueError(
                    f"{self.name}: the function returned an array of shape {tuple(part.shape)} for "
                    f"one of shape {shape}"
                )
            part = operators.reshape(part, shape=(-1,))
            pair = (operators.real(part), imag.op(part)) if dtype.kind == "c" else (part,)
            parts += [cast(p, self.dtype) for p in pair]
        return parts[0] if len(parts) == 1 else concatenate_arrays(parts)

    def tree(self, vector: Any) -> Any:
        """Return a vector as a tree."""
        leaves, begin = [], 0

        def piece(count: int) -> Any:
            nonlocal begin
            begin += count
            if count == vector.shape[0]:
                return vector
            return operators.getitem(vector, index=slice(begin - count, begin))

        for shape, dtype in zip(self.shapes, self.dtypes):
            count = int(numpy.prod(shape))
            leaf = piece(count)
            if dtype.kind == "c":
                leaf = leaf + piece(count) * 1j
            leaves.append(cast(operators.reshape(leaf, shape=shape), dtype))
        return tree.unflatten(self.structure, leaves)
