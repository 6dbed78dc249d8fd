"""NumPy's `convolve` and `correlate`, of vectors."""

from __future__ import annotations

from typing import Any

from backpass.core.arity import primitive
from backpass.core.ops.elementwise import conj
from backpass.core.ops.indexing import getitem
from backpass.core.ops.shaping import as_operand, flip, reshape
from backpass.core.rules import bilinear
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors

# ----- the primitive ----------------------------------------------------------------------------


@primitive
def convolve_vectors(xp: Any, x: Any, y: Any, *, mode: str) -> Any:
    """Convolve; mode "full", or "valid" with an x that is not shorter than y."""
    return xp.convolve(x, y, mode)


_OTHER = {"full": "valid", "valid": "full"}


def _to_x(g: Any, y: Any, *, mode: str) -> Any:
    return convolve_vectors.op(g, flip.op(y), mode=_OTHER[mode])


def _to_y(g: Any, x: Any, *, mode: str) -> Any:
    turned = flip.op(x)
    return convolve_vectors.op(*((g, turned) if mode == "full" else (turned, g)), mode="valid")


bilinear(convolve_vectors, _to_x, _to_y)

# ----- the functions, with NumPy's signatures ---------------------------------------------------

_MODES = ("full", "same", "valid")


def _vectors(name: str, mode: Any, **operands: Any) -> list[Any]:
    if mode not in _MODES:
        raise ValueError(f"{name}: mode={mode!r}: use 'full', 'same' or 'valid'")
    made = []
    for key, operand in operands.items():
        x = as_operand(operand)
        x = x if len(x.shape) else reshape.op(x, shape=(1,))
        if len(x.shape) > 1:
            raise ValueError(
                f"{name}: {key} must be a vector, not an array of the shape {tuple(x.shape)}: use "
                f"scipy.signal.{name} for more axes"
            )
        if not x.shape[0]:
            raise ValueError(f"{name}: {key} cannot be empty")
        made.append(x)
    return made


def _convolved(x: Any, y: Any, mode: str, start: int) -> Tensor:
    """Convolve; `start` is where the middle, as long as the longer vector, begins."""
    if mode == "valid":
        longer = x.shape[0] >= y.shape[0]
        return convolve_vectors(*((x, y) if longer else (y, x)), mode=mode)  # type: ignore[no-any-return]
    whole = convolve_vectors.op(x, y, mode="full")
    if mode == "same":
        whole = getitem.op(whole, index=slice(start, start + max(x.shape[0], y.shape[0])))
    return as_tensors(whole)  # type: ignore[no-any-return]


def convolve(a: Any, v: Any, mode: str = "full") -> Tensor:
    """Convolution of vectors; each gets the correlation of g with the other.

    `mode` is "full", "same" (the middle, as long as the longer vector) or "valid".

    Raises
    ------
    ValueError
        If the mode is unknown, or a vector is empty or has more axes than one.
    """
    x, y = _vectors("convolve", mode, a=a, v=v)
    return _convolved(x, y, mode, (min(x.shape[0], y.shape[0]) - 1) // 2)


def correlate(a: Any, v: Any, mode: str = "valid") -> Tensor:
    """Convolution with the conjugate of v, reversed; g as in `convolve`.

    Raises
    ------
    ValueError
        If the mode is unknown, or a vector is empty or has more axes than one.
    """
    x, y = _vectors("correlate", mode, a=a, v=v)
    n, m = x.shape[0], y.shape[0]
    turned = flip.op(conj.op(y) if y.dtype.kind == "c" else y)
    # Of vectors of which the second is longer NumPy reverses the result.
    return _convolved(x, turned, mode, (m - 1) // 2 if n >= m else n // 2)
