"""A case: one call of one public function, with arguments at which it is smooth."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy


@dataclass(frozen=True)
class Argument:
    """An argument to be differentiated: distinct numbers, none of them near a kink.

    Attributes
    ----------
    shape
        Its shape.
    low, high
        Its elements, or their real parts, lie evenly in this interval, in random order.
    gap
        They keep this distance from 0.
    real
        It stays real where the case is run with complex numbers.
    """

    shape: tuple[int, ...]
    low: float = -2.0
    high: float = 2.0
    gap: float = 0.0
    real: bool = False

    def make(self, random: numpy.random.Generator, offset: float, dtype: numpy.dtype) -> Any:
        """Return the array; `offset`, from 0 to 1, keeps several arguments' elements apart."""
        made = self._spread(random, offset, self.low, self.high)
        if self.gap:
            width = self.high - self.low - 2 * self.gap
            places = self.low + (made - self.low) * width / (self.high - self.low)
            made = numpy.where(places < -self.gap, places, places + 2 * self.gap)
        if dtype.kind == "c" and not self.real:
            # A tenth of the way round from the real axis, where the branch cuts lie.
            made = made + 1j * self._spread(random, offset, 0.3, 0.9)
        kind = dtype if not self.real else numpy.empty(0, dtype).real.dtype
        return numpy.asarray(made).astype(kind)

    def _spread(
        self, random: numpy.random.Generator, offset: float, low: float, high: float
    ) -> Any:
        n = int(numpy.prod(self.shape))
        return (low + (high - low) * (random.permutation(n) + offset) / max(n, 1)).reshape(
            self.shape
        )


@dataclass(frozen=True)
class Case:
    """One call of a public function.

    Attributes
    ----------
    name
        The function's public name, in its module; `"norm.pdf"` is that of `scipy.stats.norm`.
    call
        `call(np, *args)`: the call, with the module's namespace: NumPy's own, `backpass.numpy`,
        `backpass.cupy`, `jax.numpy`; for `numpy.linalg`, `scipy.special`, ... that module's, or
        its like.
    args
        What is differentiated.
    label
        What is special about this call.
    module
        Where NumPy or SciPy has the function: `"numpy"`, `"numpy.linalg"`, `"scipy.special"`; for
        the functions of networks `"nn.functional"`, which neither has.
    complex
        NumPy has it for complex numbers.
    without
        Those that lack the call, or mean something else by it: `"numpy"`, `"cupy"`, `"jax"`,
        `"autograd"`.
    rtol
        How close the derivatives are to the differences.
    order
        To which order it is differentiated.
    near
        How close the values are to the library's, where it searches in another way.
    phases
        The signs, or phases, of the outputs are the library's choice: their sizes are compared.
    """

    name: str
    call: Callable[..., Any]
    args: tuple[Argument, ...]
    label: str = ""
    module: str = "numpy"
    complex: bool = False
    without: frozenset[str] = frozenset()
    rtol: float = 1e-5
    order: int = 2
    near: float = 0.0
    phases: bool = False

    @property
    def id(self) -> str:
        """What the case is called in a test's name."""
        name = self.name if self.mirrors else f"nn.{self.name}"
        return f"{name}-{self.label}" if self.label else name

    @property
    def mirrors(self) -> bool:
        """Whether NumPy or SciPy has the function."""
        return self.module.partition(".")[0] in ("numpy", "scipy")

    def arguments(self, dtype: Any = "float64", seed: int = 0) -> list[Any]:
        """Return the arguments as NumPy arrays, the same in every run."""
        random = numpy.random.default_rng([seed, zlib.crc32(self.id.encode())])
        return [
            a.make(random, (0.31 + 0.37 * i) % 1, numpy.dtype(dtype))
            for i, a in enumerate(self.args)
        ]


def case(
    name: str,
    call: Callable[..., Any],
    *args: Argument | Sequence[int],
    label: str = "",
    without: str = "",
    **options: Any,
) -> Case:
    """Make a case; a shape stands for an `Argument` of that shape."""
    made = tuple(a if isinstance(a, Argument) else Argument(tuple(a)) for a in args)
    return Case(name, call, made, label, without=frozenset(without.split()), **options)


def has(library: Any, name: str) -> bool:
    """Tell whether a namespace has a function, such as `"sum"` or `"norm.pdf"`."""
    for part in name.split("."):
        library = getattr(library, part, None)
    return library is not None


def flat(out: Any) -> list[Any]:
    """Return the outputs of a call in a list, be they one or several."""
    if isinstance(out, list | tuple):
        return [leaf for part in out for leaf in flat(part)]
    return [out]
