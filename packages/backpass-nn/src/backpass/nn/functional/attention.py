"""Scaled dot-product attention, with the row-wise logarithm of the weights' sum kept for backward.

The weights `p = exp(scores - logsumexp)` are a matrix of n queries by m keys.  They are not kept: a
rule computes them again from the queries, the keys and the logsumexp, as flash attention does, and
takes `sum(p * dp)`, row by row, as `sum(out * g)`.  So a kernel whose memory grows with n alone can
stand in the place of what is written here.

References
----------
A. Vaswani et al.: Attention is all you need, NeurIPS 2017.  T. Dao, D. Fu, S. Ermon, A. Rudra,
C. Ré: FlashAttention, NeurIPS 2022.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy

from backpass.core import Tensor
from backpass.core.backends import backend_of, made_beside
from backpass.core.dtypes import kind_of
from backpass.core.extend import defjvp, defvjp, nondifferentiable, primitive
from backpass.core.ops.elementwise import (
    add,
    equal,
    exp,
    multiply,
    subtract,
    where,
)
from backpass.core.ops.linear import matmul
from backpass.core.ops.reductions import max_, sum_
from backpass.core.ops.shaping import as_operand, as_operand_beside, astype, transpose_
from backpass.core.values import plain
from backpass.nn.functional.dropout import check_rate, kept, kept_scale, read_key
from backpass.nn.functional.parts import total
from backpass.nn.functional.precision import rounded, wide

# ----- what both modes compute again ------------------------------------------------------------


def _swap(x: Any) -> Any:
    """Return the stack of matrices x, transposed."""
    ndim = len(x.shape)
    return transpose_.op(x, axes=(*range(ndim - 2), ndim - 1, ndim - 2))


def _row_sum(x: Any) -> Any:
    return sum_.op(x, axis=-1, keepdims=True)


def _scores(query: Any, key: Any, mask: Any, causal: bool, scale: float) -> Any:
    """Return the products of queries with keys; -inf where a query may not attend."""
    scores = matmul.op(multiply.op(wide(query), scale), _swap(wide(key)))
    if mask is not None and mask.dtype.kind == "b":
        scores = where.op(mask, scores, -math.inf)
    elif mask is not None:
        scores = add.op(scores, wide(mask))
    if causal:
        n, m = scores.shape[-2:]
        xp = backend_of((plain(scores),)).library
        past = xp.arange(m) <= xp.arange(n)[:, None]
        scores = where.op(past, scores, -math.inf)
    return scores


def _finite(heights: Any) -> Any:
    """Return what to take off the scores of each row: 0 if all of them are -inf."""
    return where.op(equal.op(heights, -math.inf), 0.0, heights)


def _dropping(weights: Any, rate: float, key: Any) -> Callable[[Any], Any]:
    """Return the dropout of the weights, a function that is its own transpose."""
    if not rate:
        return lambda x: x
    weights = plain(weights)
    xp = backend_of((weights,)).library
    mask = kept(xp, weights.shape, rate, key)
    return lambda x: multiply.op(where.op(mask, x, 0.0), kept_scale(rate))


def _weights(
    query: Any,
    key: Any,
    mask: Any,
    logsumexp: Any,
    *,
    causal: bool,
    scale: float,
    dropout: float,
    dropout_key: Any,
) -> tuple[Any, Callable[[Any], Any]]:
    """Return the weights before dropout, and the dropout."""
    scores = _scores(query, key, mask, causal, scale)
    weights = exp.op(subtract.op(scores, _finite(logsumexp)))
    return weights, _dropping(weights, dropout, dropout_key)


# ----- the primitive ----------------------------------------------------------------------------


@primitive(outputs=2)
def attention(
    xp: Any,
    query: Any,
    key: Any,
    value: Any,
    mask: Any,
    *,
    causal: bool,
    scale: float,
    dropout: float,
    dropout_key: Any,
) -> Any:
    """Average the values with the softmax of the scores; give the logsumexp of the rows, too."""
    weights = _scores(query, key, mask, causal, scale)
    top = _finite(max_.op(weights, axis=-1, keepdims=True))
    weights = exp.op(subtract.op(weights, top))
    mass = _row_sum(weights)
    weights = _dropping(weights, dropout, dropout_key)(weights)
    # A row that may attend nowhere has a sum of 0; any other has at least the 1 of its top.
    out = matmul.op(weights, wide(value)) / xp.maximum(mass, 1)
    with numpy.errstate(divide="ignore"):
        logsumexp = xp.log(mass) + top
    return rounded(out, query, key, value), logsumexp


def _attention_back(
    query: Any,
    key: Any,
    value: Any,
    mask: Any,
    out: Any,
    logsumexp: Any,
    g: Any,
    to_logsumexp: Any,
    *,
    needs: Any,
    scale: float,
    **options: Any,
) -> tuple[Any, Any, Any, Any]:
    """Return the cotangents of query, key, value and mask for those of both outputs."""
    weights, drop = _weights(query, key, mask, logsumexp, scale=scale, **options)
    to_value = None
    pulled = to_logsumexp
    if g is not None:
        g = wide(g)
        if needs[2]:
            to_value = matmul.op(_swap(drop(weights)), g)
        inner = drop(matmul.op(g, _swap(wide(value))))
        pulled = subtract.op(inner, _row_sum(multiply.op(g, wide(out))))
        if to_logsumexp is not None:
            pulled = add.op(pulled, to_logsumexp)
    to_scores = multiply.op(weights, pulled)
    return (
        multiply.op(matmul.op(to_scores, wide(key)), scale) if needs[0] else None,
        multiply.op(matmul.op(_swap(to_scores), wide(query)), scale) if needs[1] else None,
        to_value,
        to_scores if needs[3] else None,
    )


@primitive(outputs=4)
def attention_back(
    xp: Any,
    query: Any,
    key: Any,
    value: Any,
    mask: Any,
    out: Any,
    logsumexp: Any,
    g: Any,
    to_logsumexp: Any,
    **options: Any,
) -> Any:
    """Give the cotangents of `attention`; they are differentiated as what they are made of."""
    return _attention_back(query, key, value, mask, out, logsumexp, g, to_logsumexp, **options)


nondifferentiable(attention_back)


def _attention_vjp(
    g: Any, ans: Any, query: Any, key: Any, value: Any, mask: Any, **options: Any
) -> Any:
    on_tensors = any(isinstance(part, Tensor) for part in g)
    back = _attention_back if on_tensors else attention_back.op
    return back(query, key, value, mask, *ans, *g, **options)


def _attention_jvp(
    ts: Any,
    ans: Any,
    query: Any,
    key: Any,
    value: Any,
    mask: Any,
    *,
    scale: float,
    **options: Any,
) -> Any:
    weights, drop = _weights(query, key, mask, ans[1], scale=scale, **options)
    to_query, to_key, to_value, to_mask = ts
    moved = []
    if to_query is not None:
        moved.append(matmul.op(multiply.op(wide(to_query), scale), _swap(wide(key))))
    if to_key is not None:
        moved.append(matmul.op(multiply.op(wide(query), scale), _swap(wide(to_key))))
    if to_mask is not None:
        moved.append(wide(to_mask))
    parts = []
    to_scores, to_logsumexp = total(moved), None
    if to_scores is not None:
        to_logsumexp = _row_sum(multiply.op(weights, to_scores))
        to_weights = multiply.op(weights, subtract.op(to_scores, to_logsumexp))
        parts.append(matmul.op(drop(to_weights), wide(value)))
    if to_value is not None:
        parts.append(matmul.op(drop(weights), wide(to_value)))
    return total(parts), to_logsumexp


defvjp(attention, joint=_attention_vjp)
defjvp(attention, joint=_attention_jvp)
# -inf for a row that may attend nowhere
attention.aside = frozenset({1})


# ----- the function -----------------------------------------------------------------------------


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    mask: Any = None,
    causal: bool = False,
    scale: float | None = None,
    dropout: float = 0.0,
    dropout_key: Any = None,
) -> Tensor:
    """Average the values, for each query weighted by the softmax of its products with the keys.

    Parameters
    ----------
    query : array of floats, shape (..., n, d)
    key : array of floats, shape (..., m, d)
    value : array of floats, shape (..., m, e)
        The leading axes broadcast.
    mask : array, broadcasts to shape (..., n, m), optional
        Of booleans: whether a query may attend to a key; shape (batch, 1, 1, m) masks padding.  Of
        floats: is added to the scaled products.
    causal : bool
        Whether query i may attend to the keys 0 to i only.
    scale : float, optional
        Of the products; by default `1 / sqrt(d)`.
    dropout : float
        With which probability each weight is set to 0, see `dropout`.
    dropout_key : (int, int) or array of two integers, optional
        Seed and counter for dropout; by default the next key of `backpass.nn.random`.

    Returns
    -------
    Tensor, shape (..., n, e)
        A query that may attend nowhere gets 0, and gives no gradient.

    Raises
    ------
    ValueError
        If the shapes do not fit, or `dropout` is no probability.
    TypeError
        If an operand does not hold floats, or the mask neither booleans nor floats.

    References
    ----------
    A. Vaswani et al.: Attention is all you need, NeurIPS 2017.

    Examples
    --------
    >>> import numpy
    >>> import backpass.nn.functional as F
    >>> x = numpy.zeros((3, 2))
    >>> F.scaled_dot_product_attention(x, x, [[1.0], [3.0], [8.0]], causal=True)
    Tensor([[1.],
           [2.],
           [4.]])
    """
    query = as_operand(query)
    key, value = (as_operand_beside(x, query) for x in (key, value))
    if mask is not None and not hasattr(mask, "shape"):
        mask = made_beside((plain(query),), lambda xp: xp.asarray(mask))
    _check(query, key, value, mask)
    if mask is not None and kind_of(mask.dtype) == "f":
        # One in double precision leaves a network's float32 as it is.
        mask = astype.op(mask, dtype=numpy.result_type(query.dtype, numpy.float32))
    rate = check_rate(_NAME, dropout, "dropout")
    out, _ = attention(
        query,
        key,
        value,
        mask,
        causal=bool(causal),
        scale=1 / math.sqrt(query.shape[-1]) if scale is None else float(scale),
        dropout=rate,
        dropout_key=read_key(_NAME, dropout_key, plain(query)) if rate else None,
    )
    return out  # type: ignore[no-any-return]


_NAME = "scaled_dot_product_attention"


def _check(query: Any, key: Any, value: Any, mask: Any) -> None:
    for name, x in (("query", query), ("key", key), ("value", value)):
        if kind_of(x.dtype) != "f":
            raise TypeError(f"{_NAME}: {name} must hold floats, not {x.dtype}")
        if len(x.shape) < 2:
            raise ValueError(
                f"{_NAME}: {name} has shape {tuple(x.shape)}, expected (..., length, features)"
            )
    if query.shape[-1] != key.shape[-1] or not query.shape[-1]:
        raise ValueError(
            f"{_NAME}: query has shape {tuple(query.shape)} and key {tuple(key.shape)}: expected "
            "last axes of the same length"
        )
    if key.shape[-2] != value.shape[-2] or not key.shape[-2]:
        raise ValueError(
            f"{_NAME}: key has shape {tuple(key.shape)} and value {tuple(value.shape)}: expected "
            "one value for each key in the last axis but one, and one key at least"
        )
    if mask is None:
        return
    if kind_of(mask.dtype) not in "bf":
        raise TypeError(f"{_NAME}: mask must hold booleans or floats, not {mask.dtype}")
    full = (*query.shape[:-1], key.shape[-2])
    try:
        numpy.broadcast_shapes(mask.shape, full)
    except ValueError:
        raise ValueError(
            f"{_NAME}: mask has shape {tuple(mask.shape)}, expected one that broadcasts to {full}"
        ) from None


__all__ = ["scaled_dot_product_attention"]
