"""Kernels of sums, means, extremes and variances over axes, and of their rules.

Half precision is added up in single.  A variance is put together from those of parts, with their
means (Chan, Golub, LeVeque: Algorithms for computing the sample variance, The American Statistician
37, 1983), so that all is read once; of equal numbers it is exactly 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from backpass.core.host import axes_from_0
from backpass.cupy.library import library, ndarray
from backpass.cupy.row_programs import Program
from backpass.cupy.rows import Rows

# ----- sums and means -----------------------------------------------------------------------------

_KEEPDIMS = frozenset({"keepdims"})


def _total(result: str, numbers: Callable[[int, int, float], tuple[float, ...]]) -> Program:
    return Program(
        operands=("x",),
        whole=("x",),
        state={"total": "T(0)"},
        absorb="EACH state.total += x[i][j];",
        merge="state.total += other.total;",
        result=result,
        keywords=_KEEPDIMS,
        numbers=numbers,
        repeats=True,
    )


_sum = Rows("sum", _total("state.total * T(rows.numbers[0])", lambda n, repeats, ddof: (repeats,)))
_mean = Rows(
    "mean", _total("state.total / T(rows.numbers[0])", lambda n, repeats, ddof: (n // repeats,))
)


def sum_vjp(g: Any, x: Any, *, axis: Any = None, keepdims: bool = False, **others: Any) -> Any:
    """Spread a cotangent over the axes that were summed, by strides of 0."""
    if others or type(g) is not ndarray:
        return NotImplemented
    shape = x.shape
    axes = axes_from_0(axis, len(shape))
    if axes is None:
        return NotImplemented
    ones = tuple([1 if i in axes else n for i, n in enumerate(shape)])
    if g.shape != (ones if keepdims else tuple([n for i, n in enumerate(shape) if i not in axes])):
        return NotImplemented
    # CuPy's own function: what is made of a pointer and strides counts as an array of its own.
    return library.broadcast_to(g if g.ndim in (0, len(ones)) else g.reshape(ones), shape)


def mean_vjp(g: Any, x: Any, *, axis: Any = None, keepdims: bool = False, **others: Any) -> Any:
    """Spread a cotangent, divided by their number, over the axes that were averaged."""
    if others or type(g) is not ndarray or not g.size:
        return NotImplemented
    share = _divided(g, axis=(), ddof=math.prod(x.shape) // g.size)
    return share if share is NotImplemented else sum_vjp(share, x, axis=axis, keepdims=keepdims)


#: Divides by `ddof`.
_divided = Rows(
    "divided",
    _total("state.total / T(rows.numbers[0])", lambda n, repeats, ddof: (ddof,))._replace(
        keywords=frozenset({"ddof"})
    ),
)

# ----- extremes -----------------------------------------------------------------------------------


def _extreme(start: str, better: str) -> Program:
    """Return the program of an extreme: a nan is better than everything."""
    return Program(
        operands=("x",),
        whole=("x",),
        state={"top": start},
        absorb=f"EACH if (x[i][j] {better} state.top || isnan(x[i][j])) state.top = x[i][j];",
        merge=f"if (other.top {better} state.top || isnan(other.top)) state.top = other.top;",
        result="state.top",
        keywords=_KEEPDIMS,
        repeats=True,
    )


#: Ties share equally; a nan takes all.
_EXTREME_VJP = Program(
    operands=("g", "ans", "x"),
    whole=("x",),
    state={"long long ties": "0"},
    absorb="EACH if (x[i][j] == ans || (isnan(x[i][j]) && isnan(ans))) ++state.ties;",
    merge="state.ties += other.ties;",
    finish="const T share = T(1) / T(state.ties);",
    result="g * (x[i][j] == ans || (isnan(x[i][j]) && isnan(ans)) ? share : T(0))",
    spread=True,
    keywords=_KEEPDIMS,
)

# ----- variances ----------------------------------------------------------------------------------

_MOMENTS = frozenset({"keepdims", "ddof"})


def _degrees(n: int, repeats: int, ddof: float) -> tuple[float, ...] | None:
    return (n - ddof,) if n > ddof else None


def _moment(result: str) -> Program:
    return Program(
        operands=("x",),
        whole=("x",),
        state={"count": "T(0)", "mean": "T(0)", "squares": "T(0)"},
        # From the distances to one of them, equal numbers have exactly that for their mean.
        absorb="""
        const T first = x[0][0];
        State other = start();
        EACH { other.count += T(1); other.mean += x[i][j] - first; }
        other.mean = first + other.mean / other.count;
        EACH { const T distance = x[i][j] - other.mean; other.squares += distance * distance; }
        merge(state, other);""",
        merge="""
    if (other.count == T(0)) return;
    const T count = state.count + other.count, share = other.count / count;
    const T distance = other.mean - state.mean;
    state.squares += other.squares + distance * distance * state.count * share;
    state.mean = state.count == T(0) ? other.mean : state.mean + distance * share;
    state.count = count;""",
        result=result,
        keywords=_MOMENTS,
        numbers=_degrees,
    )


def _slope(n: int, repeats: int, ddof: float) -> tuple[float, ...]:
    """Return the number of elements, and the factor in 2 * (x - mean) / (n - ddof)."""
    return (n, 2 / (n - ddof) if n > ddof else math.inf)


def _moment_vjp(operands: tuple[str, ...], factor: str) -> Program:
    return Program(
        operands=operands,
        whole=("x",),
        state={"total": "T(0)"},
        absorb="EACH state.total += x[i][j];",
        merge="state.total += other.total;",
        finish=f"""
    const T mean = state.total / T(rows.numbers[0]), slope = T(rows.numbers[1]);
    const T factor = {factor};""",
        result="zero_multiply(factor, (x[i][j] - mean) * slope)",
        spread=True,
        keywords=_MOMENTS,
        numbers=_slope,
    )


KERNELS: dict[str, Callable[..., Any]] = {
    "sum": _sum,
    "sum.vjp": sum_vjp,
    "mean": _mean,
    "mean.vjp": mean_vjp,
    "max": Rows("max", _extreme("T(-INFINITY)", ">")),
    "max.vjp": Rows("max.vjp", _EXTREME_VJP),
    "min": Rows("min", _extreme("T(INFINITY)", "<")),
    "min.vjp": Rows("min.vjp", _EXTREME_VJP),
    "var": Rows("var", _moment("state.squares / T(rows.numbers[0])")),
    "var.vjp": Rows("var.vjp", _moment_vjp(("g", "x"), "g")),
    "std": Rows("std", _moment("SQRT(state.squares / T(rows.numbers[0]))")),
    # Where the deviation is 0: the sub-gradient of least norm.
    "std.vjp": Rows(
        "std.vjp",
        _moment_vjp(("g", "ans", "x"), "ans == T(0) ? T(0) : zero_multiply(g, T(0.5) / ans)"),
    ),
}
