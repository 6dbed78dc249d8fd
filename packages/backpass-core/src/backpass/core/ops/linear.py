"""Products of vectors, matrices and arrays."""

from __future__ import annotations

import builtins
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy

from backpass.core.arity import binary, primitive
from backpass.core.operators import operators
from backpass.core.ops.elementwise import conj, multiply
from backpass.core.ops.indexing import getitem
from backpass.core.ops.padding import pad_constant
from backpass.core.ops.reductions import refuse_out
from backpass.core.ops.shaping import (
    as_operand,
    broadcast_to,
    diagonal,
    moveaxis,
    normalize_axis,
    ravel,
    reshape,
    transpose_,
)
from backpass.core.rules import bilinear, defjvp, defvjp
from backpass.core.tensor import Tensor

# ----- matmul and dot ---------------------------------------------------------------------------

matmul = binary(
    "matmul", "Matrix product, over stacks of matrices; the derivatives are g @ y.T and x.T @ g."
)
dot_ = binary("dot", "Product of vectors and matrices; the derivatives are g @ y.T and x.T @ g.")


def _swap(x: Any) -> Any:
    """Return the stack of matrices `x`, transposed."""
    ndim = len(x.shape)
    return transpose_.op(x, axes=(*range(ndim - 2), ndim - 1, ndim - 2))


def _column(x: Any) -> Any:
    return reshape.op(x, shape=(*x.shape, 1))


def _row(x: Any) -> Any:
    return reshape.op(x, shape=(*x.shape[:-1], 1, x.shape[-1]))


# Which operand was a vector is read from the axes that g lacks beside the other operand.
def _matmul_x(g: Any, y: Any) -> Any:
    if len(y.shape) == 1:
        return multiply.op(_column(g), y) if len(g.shape) else multiply.op(g, y)
    if len(g.shape) == len(y.shape) - 1 and len(y.shape) > 2:
        return matmul.op(_row(g), _swap(y))
    return matmul.op(g, _swap(y))


def _matmul_y(g: Any, x: Any) -> Any:
    if len(x.shape) == 1:
        return multiply.op(_column(x), _row(g)) if len(g.shape) else multiply.op(g, x)
    if len(g.shape) < len(x.shape):
        product = matmul.op(_swap(x), _column(g))
        return reshape.op(product, shape=product.shape[:-1])
    return matmul.op(_swap(x), g)


for _product in (matmul, dot_):
    bilinear(_product, _matmul_x, _matmul_y)
operators.matmul = matmul.op


def dot(a: Any, b: Any, out: Any = None) -> Tensor:
    """Sum over the last axis of a and the second-to-last of b; derivatives g @ b.T, a.T @ g."""
    if out is not None:
        refuse_out("dot", out)
    a, b = as_operand(a), as_operand(b)
    na, nb = len(a.shape), len(b.shape)
    if 1 <= na <= 2 and 1 <= nb <= 2:
        return dot_(a, b)  # type: ignore[no-any-return]
    if na == 0 or nb == 0:
        return multiply(a, b)  # type: ignore[no-any-return]
    return tensordot(a, b, ([na - 1], [builtins.max(nb - 2, 0)]))


def inner(a: Any, b: Any, /) -> Tensor:
    """Sum over the last axes of both; derivatives as those of tensordot."""
    a, b = as_operand(a), as_operand(b)
    na, nb = len(a.shape), len(b.shape)
    if na == 0 or nb == 0:
        return multiply(a, b)  # type: ignore[no-any-return]
    if na <= 2 and nb <= 2:
        return dot_(a, b if nb == 1 else transpose_(b, axes=(1, 0)))  # type: ignore[no-any-return]
    return tensordot(a, b, ([na - 1], [nb - 1]))


def vdot(a: Any, b: Any, /) -> Tensor:
    """Sum of conj(a) * b over all elements."""
    return dot(ravel(conj(a)), ravel(b))


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Tensor:
    """Sum of conj(x1) * x2 along an axis; derivatives conj(x2) * g and conj(x1) * g."""
    x1, x2 = as_operand(x1), as_operand(x2)
    a = x1 if axis in (-1, x1.ndim - 1) else moveaxis(x1, axis, -1)
    b = x2 if axis in (-1, x2.ndim - 1) else moveaxis(x2, axis, -1)
    return einsum("...i,...i->...", conj(a), b)


def matvec(x1: Any, x2: Any, /) -> Tensor:
    """Matrices times vectors, over stacks of both; derivatives as those of matmul."""
    x1, x2 = as_operand(x1), as_operand(x2)
    if x1.ndim == 2 and x2.ndim:
        # One product of matrices for a stack of vectors.
        return matmul(x2, _swap(x1))  # type: ignore[no-any-return]
    return getitem(matmul(x1, _column(x2)), index=(..., 0))  # type: ignore[no-any-return]


def vecmat(x1: Any, x2: Any, /) -> Tensor:
    """Conjugate vectors times matrices, over stacks of both; derivatives as those of matmul."""
    x1, x2 = conj(as_operand(x1)), as_operand(x2)
    if x2.ndim == 2 and x1.ndim:
        return matmul(x1, x2)  # type: ignore[no-any-return]
    return getitem(matmul(_row(x1), x2), index=(..., 0, slice(None)))  # type: ignore[no-any-return]


def outer(a: Any, b: Any, out: Any = None) -> Tensor:
    """Products of all elements of a with all of b; g @ b and a @ g, in the arguments' shapes."""
    refuse_out("outer", out)
    return multiply(reshape(a, shape=(-1, 1)), reshape(b, shape=(1, -1)))  # type: ignore[no-any-return]


def tensordot(a: Any, b: Any, axes: Any = 2) -> Tensor:
    """Sum over pairs of axes: a transposition, a matrix product, and their rules.

    Raises
    ------
    ValueError
        If the axes do not pair, pair axes of different lengths, or name one twice.
    numpy.exceptions.AxisError
        If an axis does not exist.
    """
    a, b = as_operand(a), as_operand(b)
    if isinstance(axes, int | numpy.integer):
        given: Any = range(-axes, 0), range(axes)
    else:
        given = ([x] if isinstance(x, int | numpy.integer) else x for x in axes)
    a_axes, b_axes = (
        [normalize_axis(i, x.ndim, "tensordot") for i in pair] for x, pair in zip((a, b), given)
    )
    if len({*a_axes}) < len(a_axes) or len({*b_axes}) < len(b_axes):
        raise ValueError(f"tensordot: axes {a_axes} and {b_axes} name an axis twice")
    if [a.shape[x] for x in a_axes] != [b.shape[x] for x in b_axes]:
        raise ValueError(
            f"tensordot: axes {a_axes} of shape {a.shape} and {b_axes} of shape {b.shape} "
            "must have the same lengths"
        )
    a_rest = [x for x in range(a.ndim) if x not in a_axes]
    b_rest = [x for x in range(b.ndim) if x not in b_axes]
    rows, columns = [a.shape[x] for x in a_rest], [b.shape[x] for x in b_rest]
    inside = math.prod(a.shape[x] for x in a_axes)
    left = reshape(transpose_(a, axes=(*a_rest, *a_axes)), shape=(math.prod(rows), inside))
    right = reshape(transpose_(b, axes=(*b_axes, *b_rest)), shape=(inside, math.prod(columns)))
    return reshape(matmul(left, right), shape=(*rows, *columns))  # type: ignore[no-any-return]


def kron(a: Any, b: Any) -> Tensor:
    """Kronecker product; derivatives as those of a product."""
    a, b = as_operand(a), as_operand(b)
    ndim = builtins.max(a.ndim, b.ndim)
    sa, sb = (1,) * (ndim - a.ndim) + tuple(a.shape), (1,) * (ndim - b.ndim) + tuple(b.shape)
    left = reshape(a, shape=tuple(n for s in sa for n in (s, 1)))
    right = reshape(b, shape=tuple(n for s in sb for n in (1, s)))
    return reshape(multiply(left, right), shape=tuple(p * q for p, q in zip(sa, sb)))  # type: ignore[no-any-return]


# ----- the cross product ------------------------------------------------------------------------

_TURNED = [1, 2, 0]


def _cross(xp: Any, x: Any, y: Any) -> Any:
    """Vector product along the last axis, of length 3; derivatives y x g and g x x."""
    return (x * y[..., _TURNED] - x[..., _TURNED] * y)[..., _TURNED]


cross_ = primitive(_cross, name="cross")
bilinear(cross_, lambda g, y: cross_.op(y, g), lambda g, x: cross_.op(g, x))


def cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Tensor:
    """Vector product along axes of length 3 or 2; its derivatives are b x g and g x a.

    A vector of length 2 has 0 as its third component; of two such, the third component is given.

    Raises
    ------
    ValueError
        If a vector has another length.
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = as_operand(a), as_operand(b)
    axisa = normalize_axis(axisa, len(a.shape), "cross")
    axisb = normalize_axis(axisb, len(b.shape), "cross")
    lengths = (a.shape[axisa], b.shape[axisb])
    if not {2, 3}.issuperset(lengths):
        raise ValueError(f"cross: vectors must have length 2 or 3, not {lengths[0]}, {lengths[1]}")
    x = a if axisa == len(a.shape) - 1 else moveaxis(a, axisa, -1)
    y = b if axisb == len(b.shape) - 1 else moveaxis(b, axisb, -1)
    if lengths == (2, 2):
        parts = [getitem(v, index=(..., i)) for v in (x, y) for i in (0, 1)]
        return parts[0] * parts[3] - parts[1] * parts[2]  # type: ignore[no-any-return]
    made = cross_(_with_third(x), _with_third(y))
    return made if axisc == -1 else moveaxis(made, -1, axisc)


def _with_third(x: Any) -> Any:
    return (
        pad_constant(x, widths=((0, 0),) * (len(x.shape) - 1) + ((0, 1),))
        if (x.shape[-1] == 2)
        else x
    )


# ----- einsum -----------------------------------------------------------------------------------


@primitive(name="einsum")
def einsum_(xp: Any, *xs: Any, inputs: Sequence[str], output: str, optimize: Any = False) -> Any:
    """Sum of products over labelled axes; no label twice in one operand."""
    # CuPy's optimizer takes no path; NumPy's takes one.
    return xp.einsum(f"{','.join(inputs)}->{output}", *xs, optimize=optimize)


def _einsum_vjp(
    g: Any,
    *xs: Any,
    inputs: Sequence[str],
    output: str,
    optimize: Any = False,
    needs: Sequence[bool],
) -> list[Any]:
    return [
        _einsum_back(g, xs, i, inputs, output, optimize) if need else None
        for i, need in enumerate(needs)
    ]


def _einsum_back(
    g: Any, xs: Sequence[Any], i: int, inputs: Sequence[str], output: str, optimize: Any
) -> Any:
    """Return the cotangent of operand i: the same sum with g in its place."""
    target = inputs[i]
    others = [*inputs[:i], *inputs[i + 1 :]]
    operands = [*xs[:i], *xs[i + 1 :]]
    found = set(output).union(*others)
    kept = "".join([label for label in target if label in found])
    path = optimize if isinstance(optimize, bool | str) else True
    made = einsum_.op(g, *operands, inputs=(output, *others), output=kept, optimize=path)
    if made.shape == xs[i].shape:
        return made
    # A label that only this operand has was summed over: g spreads over it.
    shape = xs[i].shape
    apart = iter(made.shape)
    spread = tuple(next(apart) if label in found else 1 for label in target)
    return broadcast_to.op(reshape.op(made, shape=spread), shape=_widest(spread, shape))


def _widest(spread: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape that both broadcast to; what is too wide is summed centrally."""
    return tuple(builtins.max(a, b) if 0 not in (a, b) else 0 for a, b in zip(spread, shape))


def _einsum_jvp(
    ts: Sequence[Any], ans: Any, *xs: Any, inputs: Sequence[str], output: str, optimize: Any = False
) -> Any:
    total = None
    for i, t in enumerate(ts):
        if t is not None:
            operands = [*xs[:i], t, *xs[i + 1 :]]
            part = einsum_.op(*operands, inputs=inputs, output=output, optimize=optimize)
            total = part if total is None else operators.add(total, part)
    return total


defvjp(einsum_, joint=_einsum_vjp)
defjvp(einsum_, joint=_einsum_jvp)

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def einsum(*operands: Any, out: Any = None, optimize: Any = False, **kwargs: Any) -> Tensor:
    """Sum products over labelled axes, as `einsum("ij,jk->ik", x, y)`; g takes an operand's place.

    Repeated labels, "...", and the form with lists of axes are understood; `dtype` and `casting`
    are, too; `out` is refused.  CuPy takes no path as `optimize`.

    Raises
    ------
    ValueError
        If labels and operands do not agree.
    """
    refuse_out("einsum", out)
    terms, output, xs = _read_einsum(operands)
    dtype, casting = kwargs.pop("dtype", None), kwargs.pop("casting", "safe")
    order = kwargs.pop("order", "K")
    if kwargs or order not in ("K", "A", "C"):
        name = next(iter(kwargs), "order")
        raise TypeError(f"einsum: {name}= is not supported: the result lies in C order")
    if dtype is not None:
        for x in xs:
            if not numpy.can_cast(x.dtype, dtype, casting):
                raise TypeError(f"einsum: {x.dtype} is not cast to {dtype} by casting={casting!r}")
        xs = [operators.astype(x, dtype=dtype) for x in xs]
    terms, xs = _without_repeats(terms, xs)
    return einsum_(*xs, inputs=terms, output=output, optimize=optimize)  # type: ignore[no-any-return]


def _without_repeats(terms: tuple[str, ...], xs: list[Any]) -> tuple[tuple[str, ...], list[Any]]:
    """Take diagonals until no operand has a label twice."""
    for i, term in enumerate(terms):
        for first, label in enumerate(term):
            second = term.find(label, first + 1)
            if second > 0:
                rest = "".join(c for k, c in enumerate(term) if k not in (first, second))
                joined = diagonal(xs[i], 0, first, second)
                return _without_repeats(
                    (*terms[:i], rest + label, *terms[i + 1 :]), [*xs[:i], joined, *xs[i + 1 :]]
                )
    return terms, xs


def _read_einsum(operands: Sequence[Any]) -> tuple[tuple[str, ...], str, list[Any]]:
    """Return each operand's labels, the output's, and the operands; "..." spelt out."""
    if isinstance(operands[0], str):
        text, xs = operands[0].replace(" ", ""), [as_operand(x) for x in operands[1:]]
    else:
        xs = [as_operand(x) for x in operands[:-1:2]]
        lists = list(operands[1::2])
        arrow = ""
        if len(operands) % 2:
            arrow = f"->{_spell(operands[-1])}"
        text = ",".join(_spell(labels) for labels in lists) + arrow
    terms, output = _labels(text, tuple([numpy.ndim(x) for x in xs]))
    return terms, output, xs


@functools.lru_cache(1024)
def _labels(text: str, ndims: tuple[int, ...]) -> tuple[tuple[str, ...], str]:
    """Return the labels of operands with so many axes, and the output's; "..." spelt out."""
    left, arrow, output = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        raise ValueError(f"einsum: {text!r} labels {len(terms)} operands, {len(ndims)} are given")
    free = [c for c in _LETTERS if c not in text]
    widths = [n - (len(term) - 3) if "..." in term else 0 for term, n in zip(terms, ndims)]
    width = builtins.max([0, *widths])
    dots = "".join(free[:width])
    spelt = [term.replace("...", dots[width - w :] if w else "") for term, w in zip(terms, widths)]
    for term, n in zip(spelt, ndims):
        if len(term) != n:
            raise ValueError(f"einsum: {text!r} gives {len(term)} labels to an operand of {n} axes")
    if not arrow:
        every = "".join(spelt)
        output = dots + "".join(
            sorted(c for c in set(every) if every.count(c) == 1 and c not in dots)
        )
    else:
        output = output.replace("...", dots)
    unknown = set(output) - set("".join(spelt))
    if unknown:
        raise ValueError(f"einsum: the output label {min(unknown)!r} is in no operand")
    return tuple(spelt), output


def _spell(labels: Sequence[Any]) -> str:
    return "".join("..." if label is Ellipsis else _LETTERS[label] for label in labels)
