"""What a family says of a call."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy


@dataclasses.dataclass(frozen=True)
class Case:
    """A call of a kernel: `Case("layer_norm", x, weight, None, axes=(-1,), eps=1e-5)`.

    Attributes
    ----------
    name
        The kernel's: a primitive's, or a rule's (`"relu.vjp"`, `"conv2d.vjp2"`).
    operands
        The primitive's.  Those of floating type are cast to the dtype under test; others, integers
        and truth values among them, and what is no array, stay as they are.
    keywords
        The primitive's.
    cotangent
        For a rule: of the output's shape, or a tuple with one, or `None`, for each output; ones by
        default.
    main
        Whether a kernel must take the call; otherwise it may return `NotImplemented`.
    scale
        What rounding errors are measured by, beside the largest element of the right result: sums
        of many numbers of both signs need it.
    on
        The devices whose kernels are called.
    finite
        Those among them that are not given numbers that are not finite: where sums with an infinite
        term may be nan, and such operands do not go together.
    """

    name: str
    operands: tuple[Any, ...]
    keywords: Mapping[str, Any]
    cotangent: Any = None
    main: bool = True
    scale: float = 0.0
    on: tuple[str, ...] = ("cpu", "cuda")
    finite: tuple[str, ...] = ()

    def __repr__(self) -> str:
        shapes = ", ".join(
            str(x.shape) if isinstance(x, numpy.ndarray) else repr(x) for x in self.operands
        )
        words = "".join(f", {key}={value!r}" for key, value in self.keywords.items())
        return f"{self.name}({shapes}{words})"


def case(name: str, *operands: Any, **keywords: Any) -> Case:
    """Return a case that a kernel must take, for whatever dtype; see `dataclasses.replace`."""
    return Case(name, operands, keywords)
