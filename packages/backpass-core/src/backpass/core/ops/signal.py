"""Functions of `scipy.signal`: convolution and correlation."""

from __future__ import annotations

import builtins
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.backends import backend_of
from backpass.core.batches import Batch, Unbatched, batched
from backpass.core.ops.elementwise import conj
from backpass.core.ops.indexing import getitem
from backpass.core.ops.shaping import as_operand, astype, flip, reshape
from backpass.core.rules import bilinear
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors, plain

# ----- the primitive ----------------------------------------------------------------------------

#: A window of few elements is laid over a large array, element by element of the window.
_FEW, _MANY = 16, 4096


def by_taps(xp: Any, x: Any, y: Any, mode: str) -> Any:
    """Add up shifted copies of x, one for each element of y."""
    full = mode == "full"
    shape = tuple(n + m - 1 if full else n - m + 1 for n, m in zip(x.shape, y.shape))
    made = xp.zeros(shape, xp.result_type(x, y))
    for place in numpy.ndindex(*y.shape):
        if full:
            there = tuple(slice(i, i + n) for i, n in zip(place, x.shape))
            made[there] += x * y[place]
        else:
            starts = [m - 1 - i for i, m in zip(place, y.shape)]
            made += x[tuple(slice(i, i + n) for i, n in zip(starts, shape))] * y[place]
    return made


@primitive(name="convolve")
def convolve_(xp: Any, x: Any, y: Any, *, mode: str, method: str) -> Any:
    """Convolve; mode "full", or "valid" with an x that is nowhere shorter than y."""
    small, large = (y, x) if math.prod(y.shape) <= math.prod(x.shape) else (x, y)
    few = math.prod(small.shape) <= _FEW and math.prod(large.shape) >= _MANY
    # A "valid" convolution slides y over x, so that the window must be y.
    if method == "auto" and few and (mode == "full" or small is y):
        return by_taps(xp, large, small, mode)
    convolve = backend_of((x, y)).function("convolve", "scipy.signal")
    try:
        return convolve(x, y, mode=mode, method=method)
    except NotImplementedError:
        # Not every library can choose a method for several axes.
        exact = xp.result_type(x, y).kind in "biu"
        return convolve(x, y, mode=mode, method="direct" if exact else "fft")


_OTHER = {"full": "valid", "valid": "full"}

# What spreads x over the output gathers the cotangent over x: the other mode, and y reversed.  A
# "valid" convolution is gathered at the places of y in x: again "valid".
bilinear(
    convolve_,
    lambda g, y, *, mode, method: convolve_.op(g, flip.op(y), mode=_OTHER[mode], method=method),
    lambda g, x, *, mode, method: convolve_.op(
        *((g, flip.op(x)) if mode == "full" else (flip.op(x), g)), mode="valid", method=method
    ),
)


def _convolve_batch(f: Any, xs: Sequence[Any], kwargs: Mapping[str, Any]) -> Batch:
    """Convolve many arrays with one, which has a length of 1 along the axis of the rows."""
    x, y = xs
    if isinstance(x, Batch) and isinstance(y, Batch):
        raise Unbatched("a convolution of two cotangents")
    mode, method = kwargs["mode"], kwargs["method"]
    if method == "auto":
        # What is right for one, so that a nan spreads as far as it does there.
        dummies = [numpy.broadcast_to(numpy.empty((), v.dtype), v.shape) for v in xs]
        choose = backend_of(()).function("choose_conv_method", "scipy.signal")
        method = choose(*dummies, mode=mode)
    stacks = [v.inner if isinstance(v, Batch) else reshape.op(v, shape=(1, *v.shape)) for v in xs]
    if mode == "full" or isinstance(x, Batch):
        return Batch(f.op(*stacks, mode=mode, method=method))
    # As windows there are many, and none covers the others: the valid part is cut out.
    whole = f.op(*stacks, mode="full", method=method)
    valid = tuple(slice(m - 1, n) for n, m in zip(x.shape, y.shape))
    return Batch(getitem.op(whole, index=(slice(None), *valid)))


batched(_convolve_batch, convolve_)

# ----- the functions, with SciPy's signatures ---------------------------------------------------


def _convolved(name: str, x: Any, y: Any, mode: str, method: str) -> Any:
    if x.ndim != y.ndim:
        raise ValueError(f"{name}: both arrays need as many axes, not {x.ndim} and {y.ndim}")
    if mode not in ("full", "same", "valid"):
        raise ValueError(f"{name}: mode={mode!r}: use 'full', 'same' or 'valid'")
    pairs = list(zip(x.shape, y.shape))
    if mode != "valid":
        whole = convolve_.op(x, y, mode="full", method=method)
        if mode == "full" or not x.ndim:
            return whole
        starts = [(m - 1) // 2 for _, m in pairs]
        middle = tuple(slice(i, i + n) for i, (n, _) in zip(starts, pairs))
        return getitem.op(whole, index=middle)
    if builtins.all(n >= m for n, m in pairs):
        return convolve_.op(x, y, mode="valid", method=method)
    if builtins.any(n > m for n, m in pairs):
        raise ValueError(
            f"{name}: mode='valid' needs one array that is in no axis shorter than the other, "
            f"not shapes {x.shape} and {y.shape}"
        )
    return convolve_.op(y, x, mode="valid", method=method)


def convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Tensor:
    """Convolution; each gets the correlation of g with the other.

    `mode` is "full", "same" (the middle, of in1's shape) or "valid".
    """
    x, y = as_operand(in1), as_operand(in2)
    return as_tensors(_convolved("convolve", x, y, mode, method))  # type: ignore[no-any-return]


def correlate(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Tensor:
    """Convolution with the conjugate of in2, reversed; g as in `convolve`."""
    x, y = as_operand(in1), as_operand(in2)
    turned = conj.op(flip.op(y)) if y.dtype.kind == "c" else flip.op(y)
    return as_tensors(_convolved("correlate", x, turned, mode, method))  # type: ignore[no-any-return]


def fftconvolve(in1: Any, in2: Any, mode: str = "full", axes: Any = None) -> Tensor:
    """Convolution by Fourier transforms; g as in `convolve`. `axes` is refused."""
    if axes is not None:
        raise TypeError("fftconvolve: axes= is not supported: multiply numpy.fft.fftn along them")
    operands = map(as_operand, (in1, in2))
    x, y = (a if a.dtype.kind in "fc" else astype.op(a, dtype=float) for a in operands)
    if x.ndim == y.ndim and not (x.size and y.size):
        return Tensor(backend_of((plain(x),)).library.zeros(0))
    return as_tensors(_convolved("fftconvolve", x, y, mode, "fft"))  # type: ignore[no-any-return]
