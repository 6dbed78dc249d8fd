"""Mixed precision: a model that computes in half precision, with its weights in single."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from backpass.core import tree
from backpass.core.dtypes import HALVES, kind_of, named
from backpass.core.extend import linear, primitive
from backpass.core.ops.shaping import astype
from backpass.nn.module import Module


@contextmanager
def half_precision(model: Module, dtype: Any = "bfloat16") -> Iterator[Any]:
    """Let a model compute in half precision, as long as a `with` block runs.

    The Parameters in float32 are rounded when the block begins, and are themselves again when it
    ends. What is computed in between takes half of the memory, and on a GPU its products are
    several times as fast; they are added up in float32, as are sums, norms and losses. The
    gradients arrive in float32, and the optimizer's steps go to the weights in float32, where they
    are not rounded away.

    Parameters
    ----------
    model : Module
        Its Buffers stay what they are.
    dtype : {"bfloat16", "float16"}
        bfloat16 has the range of float32, and its steps are 2^-8 of a number. float16 has steps of
        2^-11, but ends at 65504, and at 6e-8 below: use `backpass.nn.optimizers.LossScaler` with
        it. On the CPU, NumPy computes both slowly; bfloat16 needs the package ``ml_dtypes``, and
        its products are left in float32 there.

    Yields
    ------
    dtype
        For the inputs, which should be of that dtype: with a float32 among them, the model computes
        in float32.

    Raises
    ------
    ImportError
        If it is bfloat16, and `ml_dtypes` is not installed.
    ValueError
        If it is another dtype.

    Notes
    -----
    P. Micikevicius et al., "Mixed precision training", ICLR 2018.

    Examples
    --------
    >>> import numpy
    >>> from backpass import nn
    >>> model = nn.Linear(3, 2)
    >>> x = numpy.ones((4, 3), "float32")
    >>> with nn.half_precision(model, "float16") as dtype:
    ...     y = model(x.astype(dtype))
    >>> y.dtype, model.weight.dtype
    (dtype('float16'), dtype('float32'))
    >>> y.sum().backward()
    >>> model.weight.grad.dtype
    dtype('float32')
    """
    half = halved(dtype)
    found = [p for p in model.parameters() if p.dtype == "float32"]
    before = [(p, p.value, p.node) for p in found]
    # Frozen ones apart: of a call with something tracked, all outputs are.
    for group in ([p for p in found if p.tracked], [p for p in found if not p.tracked]):
        if group:
            for p, rounded in zip(group, half_casts(*group, dtype=half), strict=True):
                p.value, p.node = rounded.value, rounded.node
    try:
        yield half
    finally:
        for p, value, node in before:
            p.value, p.node = value, node


def halved(dtype: Any) -> Any:
    """Return a dtype of half precision.

    Raises
    ------
    ImportError
        If it is bfloat16, and `ml_dtypes` is not installed.
    ValueError
        If it is none.
    """
    found = named(dtype)
    if found.char not in HALVES:
        raise ValueError(f'half precision is "float16" or "bfloat16", not {dtype!r}')
    return found


def lowered(batch: Any, dtype: Any) -> Any:
    """Return a tree with all its floats in a dtype; of a pair, only the first: the input."""
    if isinstance(batch, tuple | list) and len(batch) == 2:
        first, target = batch
        pair = (lowered([first], dtype)[0], target)
        return pair if isinstance(batch, tuple) else list(pair)
    return tree.map(lambda x: astype.op(x, dtype=dtype) if _is_float(x) else x, batch)


def _is_float(x: Any) -> bool:
    return hasattr(x, "dtype") and kind_of(x.dtype) == "f"


@primitive
def half_casts(xp: ModuleType, *arrays: Any, dtype: Any) -> list[Any]:
    """Return each array in a dtype."""
    return [x.astype(dtype) for x in arrays]


def _back(g: Sequence[Any], *arrays: Any, needs: Sequence[bool]) -> list[Any]:
    there = [i for i, part in enumerate(g) if part is not None and needs[i]]
    made: list[Any] = [None] * len(arrays)
    if there:
        # All were in float32.
        parts = half_casts.op(*[g[i] for i in there], dtype=arrays[there[0]].dtype)
        for i, part in zip(there, parts, strict=True):
            made[i] = part
    return made


linear(half_casts, joint=_back)

__all__ = ["half_precision", "halved", "lowered"]
