"""Discrete Fourier transforms.

All of them are linear, so that forward mode is the transform itself and reverse mode its
transpose.  The matrix of `fft` is symmetric: its transpose is `fft` again.  `rfft` and `irfft` are
each other's transposes, but for conjugation, and for the factor 2 with which `irfft` counts the
frequencies whose mirror images are left out.  Padding and truncation are each other's transposes.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.backends import backend_of
from backpass.core.batches import along, batched
from backpass.core.ops.elementwise import conj, divide
from backpass.core.ops.indexing import getitem, scatter
from backpass.core.ops.reductions import refuse_out
from backpass.core.ops.shaping import as_operand, astype, normalize_axis, roll
from backpass.core.primitive import Primitive
from backpass.core.rules import linear
from backpass.core.tensor import Tensor

# ----- primitives -------------------------------------------------------------------------------


@primitive(name="fft")
def fft_(xp: Any, x: Any, *, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
    """Transform along an axis."""
    return xp.fft.fft(x, n, axis, norm)


@primitive(name="ifft")
def ifft_(xp: Any, x: Any, *, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
    """Inverse of `fft`."""
    return xp.fft.ifft(x, n, axis, norm)


@primitive(name="fftn")
def fftn_(xp: Any, x: Any, *, s: Any = None, axes: Any = None, norm: Any = None) -> Any:
    """Transform along several axes."""
    return xp.fft.fftn(x, s, axes, norm)


@primitive(name="ifftn")
def ifftn_(xp: Any, x: Any, *, s: Any = None, axes: Any = None, norm: Any = None) -> Any:
    """Inverse of `fftn`."""
    return xp.fft.ifftn(x, s, axes, norm)


@primitive(name="rfft")
def rfft_(xp: Any, x: Any, *, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
    """Non-negative frequencies of a real array."""
    return xp.fft.rfft(x, n, axis, norm)


@primitive(name="irfft")
def irfft_(xp: Any, x: Any, *, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
    """Inverse of `rfft`."""
    return xp.fft.irfft(x, n, axis, norm)


@primitive(name="rfftn")
def rfftn_(xp: Any, x: Any, *, s: Any = None, axes: Any = None, norm: Any = None) -> Any:
    """Transform a real array; non-negative frequencies along the last axis."""
    return xp.fft.rfftn(x, s, axes, norm)


@primitive(name="irfftn")
def irfftn_(xp: Any, x: Any, *, s: Any = None, axes: Any = None, norm: Any = None) -> Any:
    """Inverse of `rfftn`."""
    return xp.fft.irfftn(x, s, axes, norm)


# ----- their transposes -------------------------------------------------------------------------

#: The scale of a transform is that of its inverse under the other name.
_SWAPPED = {None: "forward", "backward": "forward", "forward": "backward", "ortho": "ortho"}


def _fitted(g: Any, x: Any) -> Any:
    """Truncate or pad `g` to the shape of `x`: undo what padded or truncated `x`."""
    if g.shape == x.shape:
        return g
    common = tuple(slice(0, min(n, m)) for n, m in zip(g.shape, x.shape))
    if any(n > m for n, m in zip(g.shape, x.shape)):
        g = getitem.op(g, index=common)
    return g if g.shape == x.shape else scatter.op(g, index=common, shape=x.shape)


def _scale_mirrored(x: Any, n: int, axis: int, factor: float) -> None:
    """Multiply, in place, the frequencies that have a mirror image.

    `axis` holds the non-negative frequencies of length `n`: the first has no mirror image, and for
    even lengths the last.
    """
    before = (slice(None),) * (axis % x.ndim)
    x *= factor
    x[(*before, 0)] /= factor
    if not n % 2 and x.shape[axis] == n // 2 + 1:
        x[(*before, -1)] /= factor


@primitive
def rfft_transposed(xp: Any, x: Any, *, s: Any, axes: Any, norm: Any = None) -> Any:
    """Transpose of `rfft` and `rfftn`: an inverse that counts each frequency once."""
    mirrored = xp.conj(x)
    _scale_mirrored(mirrored, s[-1], axes[-1], 0.5)
    if len(axes) == 1:
        return xp.fft.irfft(mirrored, s[0], axes[0], _SWAPPED[norm])
    return xp.fft.irfftn(mirrored, s, axes, _SWAPPED[norm])


@primitive
def irfft_transposed(xp: Any, x: Any, *, axes: Any, norm: Any = None) -> Any:
    """Transpose of `irfft` and `irfftn`: a transform that counts mirror images."""
    if len(axes) == 1:
        spectrum = xp.fft.rfft(x, None, axes[0], _SWAPPED[norm])
    else:
        spectrum = xp.fft.rfftn(x, None, axes, _SWAPPED[norm])
    xp.conj(spectrum, spectrum)
    _scale_mirrored(spectrum, x.shape[axes[-1]], axes[-1], 2.0)
    return spectrum


def _rfft_vjp(g: Any, x: Any, *, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
    s = (x.shape[axis] if n is None else n,)
    return _fitted(rfft_transposed.op(g, s=s, axes=(axis,), norm=norm), x)


def _rfftn_vjp(g: Any, x: Any, *, s: Any = None, axes: Any = None, norm: Any = None) -> Any:
    axes = tuple(range(len(x.shape))) if axes is None else axes
    s = tuple(x.shape[i] for i in axes) if s is None else s
    return _fitted(rfft_transposed.op(g, s=s, axes=axes, norm=norm), x)


def _irfft_vjp(g: Any, x: Any, *, axis: int = -1, norm: Any = None) -> Any:
    return _fitted(irfft_transposed.op(g, axes=(axis,), norm=norm), x)


def _irfftn_vjp(g: Any, x: Any, *, axes: Any = None, norm: Any = None) -> Any:
    axes = tuple(range(len(x.shape))) if axes is None else axes
    return _fitted(irfft_transposed.op(g, axes=axes, norm=norm), x)


def _rfft_back(g: Any, *, s: Any, axes: Any, norm: Any = None) -> Any:
    if len(axes) == 1:
        return rfft_.op(g, axis=axes[0], norm=norm)
    return rfftn_.op(g, axes=axes, norm=norm)


def _irfft_back(g: Any, x: Any, *, axes: Any, norm: Any = None) -> Any:
    if len(axes) == 1:
        return irfft_.op(g, n=x.shape[axes[0]], axis=axes[0], norm=norm)
    return irfftn_.op(g, s=tuple(x.shape[i] for i in axes), axes=axes, norm=norm)


linear(fft_, lambda g, x, *, axis=-1, norm=None: _fitted(fft_.op(g, axis=axis, norm=norm), x))
linear(ifft_, lambda g, x, *, axis=-1, norm=None: _fitted(ifft_.op(g, axis=axis, norm=norm), x))
linear(fftn_, lambda g, x, *, axes=None, norm=None: _fitted(fftn_.op(g, axes=axes, norm=norm), x))
linear(ifftn_, lambda g, x, *, axes=None, norm=None: _fitted(ifftn_.op(g, axes=axes, norm=norm), x))
linear(rfft_, _rfft_vjp)
linear(irfft_, _irfft_vjp)
linear(rfftn_, _rfftn_vjp)
linear(irfftn_, _irfftn_vjp)
linear(rfft_transposed, _rfft_back)
linear(irfft_transposed, _irfft_back)

batched(along("axis"), fft_, ifft_, rfft_, irfft_)
batched(along("axes"), fftn_, ifftn_, rfftn_, irfftn_, rfft_transposed, irfft_transposed)

# ----- the functions, with NumPy's signatures ---------------------------------------------------


def _along_axis(f: Primitive, a: Any, n: Any, axis: int, norm: Any, out: Any) -> Any:
    if out is not None:
        refuse_out(f.name, out)
    kwargs: dict[str, Any] = {}
    if n is not None:
        kwargs["n"] = operator.index(n)
    if axis != -1:
        kwargs["axis"] = operator.index(axis)
    if norm is not None:
        kwargs["norm"] = norm
    return f(as_operand(a), **kwargs)


def _along_axes(name: str, f: Primitive, a: Any, s: Any, axes: Any, norm: Any, out: Any) -> Any:
    if out is not None:
        refuse_out(name, out)
    a = as_operand(a)
    kwargs: dict[str, Any] = {}
    if s is not None:
        axes = range(-len(s), 0) if axes is None else axes
        if len(s) != len(axes):
            raise ValueError(f"{name}: s has {len(s)} lengths for {len(axes)} axes")
    if axes is not None:
        kwargs["axes"] = axes = tuple(normalize_axis(i, a.ndim, name) for i in axes)
        if len(set(axes)) != len(axes):
            raise ValueError(f"{name}: axes={axes} names an axis twice: transform twice")
    if s is not None:
        whole = [a.shape[i] for i in axes]
        lengths = [m if n == -1 else n for n, m in zip(s, whole)]
        # The last axis of irfftn stands for about twice its length, of which -1 knows nothing.
        if f is irfftn_ and whole:
            whole[-1] = 2 * (whole[-1] - 1)
        kwargs["s"] = tuple(m if n is None else operator.index(n) for n, m in zip(lengths, whole))
    if norm is not None:
        kwargs["norm"] = norm
    return f(a, **kwargs)


def fft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None, out: Any = None) -> Tensor:
    """Discrete Fourier transform; fft(g) flows back. `out` is refused."""
    return _along_axis(fft_, a, n, axis, norm, out)  # type: ignore[no-any-return]


def ifft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None, out: Any = None) -> Tensor:
    """Inverse of `fft`; ifft(g) flows back. `out` is refused."""
    return _along_axis(ifft_, a, n, axis, norm, out)  # type: ignore[no-any-return]


def fftn(
    a: Any, s: Any = None, axes: Any = None, norm: str | None = None, out: Any = None
) -> Tensor:
    """Transform along several axes; fftn(g) flows back. No axis twice; `out` is refused."""
    return _along_axes("fftn", fftn_, a, s, axes, norm, out)  # type: ignore[no-any-return]


def ifftn(
    a: Any, s: Any = None, axes: Any = None, norm: str | None = None, out: Any = None
) -> Tensor:
    """Inverse of `fftn`; ifftn(g) flows back. No axis twice; `out` is refused."""
    return _along_axes("ifftn", ifftn_, a, s, axes, norm, out)  # type: ignore[no-any-return]


def fft2(
    a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None, out: Any = None
) -> Tensor:
    """Transform along two axes; fft2(g) flows back. No axis twice; `out` is refused."""
    return _along_axes("fft2", fftn_, a, s, axes, norm, out)  # type: ignore[no-any-return]


def ifft2(
    a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None, out: Any = None
) -> Tensor:
    """Inverse of `fft2`; ifft2(g) flows back. No axis twice; `out` is refused."""
    return _along_axes("ifft2", ifftn_, a, s, axes, norm, out)  # type: ignore[no-any-return]


def rfft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None, out: Any = None) -> Tensor:
    """Transform a real array, without negative frequencies; irfft of g, folded, flows back.

    `out` is refused.
    """
    return _along_axis(rfft_, a, n, axis, norm, out)  # type: ignore[no-any-return]


def irfft(
    a: Any, n: Any = None, axis: int = -1, norm: str | None = None, out: Any = None
) -> Tensor:
    """Inverse of `rfft`; conj(rfft(g)), doubled where mirrored, flows back. `out` is refused."""
    return _along_axis(irfft_, a, n, axis, norm, out)  # type: ignore[no-any-return]


def rfftn(
    a: Any, s: Any = None, axes: Any = None, norm: str | None = None, out: Any = None
) -> Tensor:
    """Transform a real array along several axes; irfftn of g, folded, flows back.

    No axis twice; `out` is refused.
    """
    return _along_axes("rfftn", rfftn_, a, s, axes, norm, out)  # type: ignore[no-any-return]


def irfftn(
    a: Any, s: Any = None, axes: Any = None, norm: str | None = None, out: Any = None
) -> Tensor:
    """Inverse of `rfftn`; conj(rfftn(g)), doubled where mirrored, flows back.

    No axis twice; `out` is refused.
    """
    return _along_axes("irfftn", irfftn_, a, s, axes, norm, out)  # type: ignore[no-any-return]


def rfft2(
    a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None, out: Any = None
) -> Tensor:
    """Transform a real array along two axes, as `rfftn`."""
    return _along_axes("rfft2", rfftn_, a, s, axes, norm, out)  # type: ignore[no-any-return]


def irfft2(
    a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None, out: Any = None
) -> Tensor:
    """Inverse of `rfft2`, as `irfftn`."""
    return _along_axes("irfft2", irfftn_, a, s, axes, norm, out)  # type: ignore[no-any-return]


def hfft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None, out: Any = None) -> Tensor:
    """Transform half of a Hermitian array to a real one: irfft(conj(a)) without its 1 / n.

    `out` is refused.
    """
    return _along_axis(irfft_, conj(as_operand(a)), n, axis, _swapped("hfft", norm), out)  # type: ignore[no-any-return]


def ihfft(
    a: Any, n: Any = None, axis: int = -1, norm: str | None = None, out: Any = None
) -> Tensor:
    """Inverse of `hfft`: conj(rfft(a)) / n. `out` is refused."""
    return conj(_along_axis(rfft_, a, n, axis, _swapped("ihfft", norm), out))  # type: ignore[no-any-return]


def _swapped(name: str, norm: str | None) -> str:
    if norm not in _SWAPPED:
        raise ValueError(f"{name}: norm={norm!r}: use 'backward', 'ortho' or 'forward'")
    return _SWAPPED[norm]


def _shift(x: Any, axes: Any, sign: int) -> Any:
    x = as_operand(x)
    if axes is None:
        axes = range(x.ndim)
    elif isinstance(axes, int | numpy.integer):
        axes = (axes,)
    places = tuple(normalize_axis(i, x.ndim, "fftshift") for i in axes)
    return roll(x, shift=tuple(sign * (x.shape[i] // 2) for i in places), axis=places)


def fftshift(x: Any, axes: Any = None) -> Tensor:
    """Move frequency 0 to the middle; g is moved back."""
    return _shift(x, axes, 1)  # type: ignore[no-any-return]


def ifftshift(x: Any, axes: Any = None) -> Tensor:
    """Move frequency 0 to the front again; g is moved to the middle."""
    return _shift(x, axes, -1)  # type: ignore[no-any-return]


class Frequencies:
    """`fftfreq` and `rfftfreq` of one array library: they make arrays from numbers.

    Parameters
    ----------
    library
        `numpy` or `cupy`.

    Examples
    --------
    >>> import numpy
    >>> Frequencies(numpy).fftfreq(4)
    Tensor([ 0.  ,  0.25, -0.5 , -0.25])
    """

    def __init__(self, library: Any) -> None:
        self._xp = library

    def fftfreq(self, n: int, d: Any = 1.0, *, dtype: Any = None, device: Any = None) -> Tensor:
        """Frequencies that `fft` gives for samples at distance d; differentiable in d."""
        if isinstance(d, Tensor):
            return self._as_asked(divide(self._xp.fft.fftfreq(n), d), dtype, device)
        return self._as_asked(Tensor(self._xp.fft.fftfreq(n, d)), dtype, device)

    def rfftfreq(self, n: int, d: Any = 1.0, *, dtype: Any = None, device: Any = None) -> Tensor:
        """Frequencies that `rfft` gives for samples at distance d; differentiable in d."""
        if isinstance(d, Tensor):
            return self._as_asked(divide(self._xp.fft.rfftfreq(n), d), dtype, device)
        return self._as_asked(Tensor(self._xp.fft.rfftfreq(n, d)), dtype, device)

    def _as_asked(self, made: Tensor, dtype: Any, device: Any) -> Tensor:
        if device not in (None, made.device, backend_of((made.value,)).device):
            raise ValueError(
                f"device={device!r} is not this namespace's, {made.device!r}: "
                "to_device moves arrays"
            )
        return made if dtype is None else astype(made, dtype=dtype)
