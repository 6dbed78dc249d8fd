"""Vector spaces: what a value, or a tree of values, is as an element of one.

Complex numbers count twice, as real and imaginary part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy

from backpass.autograd.plain import getval
from backpass.core import tree
from backpass.core.backends import backend_of
from backpass.core.operators import operators
from backpass.core.tensor import Tensor


class VSpace:
    """The vector space of values of the structure, shapes and dtypes of an example.

    Parameters
    ----------
    value
        A float, an array, a Tensor, or a tree of them.

    Raises
    ------
    TypeError
        If a leaf is no number.

    Examples
    --------
    >>> space = vspace({"w": numpy.ones(2), "b": 0.5})
    >>> space.size
    3
    >>> space.zeros()
    {'w': array([0., 0.]), 'b': np.float64(0.0)}
    """

    def __init__(self, value: Any) -> None:
        leaves, self.structure = tree.flatten(getval(value))
        arrays = [x if hasattr(x, "dtype") else numpy.asarray(x) for x in leaves]
        for array in arrays:
            if array.dtype.kind not in "fciu":
                raise TypeError(f"no vector space for {value!r} of type {type(value).__name__}")
        #: Shape and dtype of each leaf.
        self.leaves = [(tuple(array.shape), array.dtype) for array in arrays]
        self._libraries = [backend_of((array,)).library for array in arrays]
        #: Whether the example is one array, or number.
        self.single = self.structure.is_leaf()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an array.

        Raises
        ------
        AttributeError
            If the elements are containers.
        """
        return self._one()[0]  # type: ignore[no-any-return]

    @property
    def dtype(self) -> Any:
        """The dtype of an array; raises as `shape` does."""
        return self._one()[1]

    @property
    def ndim(self) -> int:
        """The number of axes of an array; raises as `shape` does."""
        return len(self.shape)

    def _one(self) -> Any:
        if not self.single:
            raise AttributeError("the vector space of a container has no shape of its own")
        return self.leaves[0]

    @property
    def size(self) -> int:
        """The dimension over the real numbers."""
        return sum(
            int(numpy.prod(shape)) * (1 + (dtype.kind == "c")) for shape, dtype in self.leaves
        )

    @property
    def iscomplex(self) -> bool:
        """Whether there are complex numbers in it."""
        return any(dtype.kind == "c" for _, dtype in self.leaves)

    def _made(self, make: Callable[..., Any]) -> Any:
        """Return an element on the example's device; `make` makes the leaves of NumPy."""
        leaves = [
            xp.asarray(numpy.asarray(make(shape, dtype), dtype))[()]
            for xp, (shape, dtype) in zip(self._libraries, self.leaves)
        ]
        return tree.unflatten(self.structure, leaves)

    def zeros(self) -> Any:
        """Make the zero element."""
        return self._made(numpy.zeros)

    def ones(self) -> Any:
        """Make the element whose coordinates are all 1; of complex numbers both parts are."""
        return self._made(lambda s, d: numpy.full(s, 1 + 1j if d.kind == "c" else 1, d))

    def randn(self) -> Any:
        """Draw an element with normally distributed coordinates."""

        def draw(shape: tuple[int, ...], dtype: Any) -> Any:
            made = numpy.random.standard_normal(shape)  # noqa: NPY002 - as npr.seed() says
            if dtype.kind == "c":
                made = made + 1j * numpy.random.standard_normal(shape)  # noqa: NPY002
            return numpy.asarray(made).astype(dtype)

        return self._made(draw)

    def standard_basis(self) -> Iterator[Any]:
        """Yield the basis vectors, one coordinate after the other."""
        for i, (shape, dtype) in enumerate(self.leaves):
            for index in numpy.ndindex(*shape):
                for unit in (1.0, 1j) if dtype.kind == "c" else (1.0,):
                    leaves = [xp.zeros(s, d) for xp, (s, d) in zip(self._libraries, self.leaves)]
                    leaves[i][index] = unit
                    yield tree.unflatten(self.structure, [x[()] for x in leaves])

    def add(self, x: Any, y: Any) -> Any:
        """Add two elements."""
        return tree.map(operators.add, x, y)

    def mut_add(self, x: Any, y: Any) -> Any:
        """Add two elements; `None` stands for zero.  Nothing is written into."""
        return y if x is None else self.add(x, y)

    def scalar_mul(self, x: Any, a: Any) -> Any:
        """Multiply an element by a real number."""
        return tree.map(lambda leaf: operators.multiply(leaf, a), x)

    def inner_prod(self, x: Any, y: Any) -> Any:
        """Return the sum of the products of the coordinates."""
        total: Any = 0.0
        for a, b in zip(tree.leaves(x), tree.leaves(y)):
            part = operators.sum(operators.multiply(_conjugate(a), b))
            total = operators.add(total, operators.methods["real"](part))
        return total.value if isinstance(total, Tensor) and not total.tracked else total

    def covector(self, x: Any) -> Any:
        """Return the cotangent that stands for an element: complex numbers are conjugated."""
        return tree.map(_conjugate, x)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, VSpace)
            and self.structure == other.structure
            and self.leaves == other.leaves
        )

    def __hash__(self) -> int:
        return hash((self.structure, tuple(self.leaves)))

    def __repr__(self) -> str:
        return f"VSpace({', '.join(f'{dtype}{list(shape)}' for shape, dtype in self.leaves)})"


def _conjugate(x: Any) -> Any:
    if numpy.iscomplexobj(x.value if isinstance(x, Tensor) else x):
        return operators.methods["conj"](x) if isinstance(x, Tensor) else numpy.conj(x)
    return x


def vspace(value: Any) -> VSpace:
    """Return the vector space that `value` lies in.

    Examples
    --------
    >>> vspace(numpy.ones((2, 3))).shape
    (2, 3)
    """
    return VSpace(value)
