"""Kernels of logsumexp, softmax and log-softmax, and of their rules.

The largest element is found together with the sum of exponentials, which is made smaller whenever a
larger one turns up (Milakov, Gimelshein: Online normalizer calculation for softmax, 2018): a row is
read once, and its parts can be put together.

What is subtracted from the elements is always finite, so that rows of infinities give what NumPy's
formulas do.  An infinite element then makes the sum infinite, and one that is nan makes it nan.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backpass.cupy.row_programs import Program
from backpass.cupy.rows import Rows

_KEEPDIMS = frozenset({"keepdims"})


def _exp(x: str) -> str:
    """Return the exponential of what is at most 0, as a power of 2.

    It is off by as many units as the exponent is large, and so by none in a sum with a term of 1;
    where an exponential is itself the result, that would be seen.
    """
    return f"EXP2(({x}) * T(1.4426950408889634))"


#: The largest element, and the sum of exp(x - top).
_STATE = {"top": "-LARGEST", "total": "T(0)"}
#: One of the two is the larger: its sum stays as it is.
_MERGE = f"""
    const bool less = state.top < other.top;
    const T top = less ? other.top : state.top;
    const T smaller = less ? state.top : other.top;
    const T factor = {_exp("smaller - top")};
    state.total = less ? other.total + state.total * factor : state.total + other.total * factor;
    state.top = top;"""


def _absorbed(each: str) -> str:
    """Return the statements that add elements up; `each` does it for one."""
    return f"""
        T top = state.top;
        EACH top = FMAX(top, x[i][j]);
        top = FMIN(top, LARGEST);
        state.total *= {_exp("state.top - top")};
        EACH {{ {each} }}
        state.top = top;"""


_SUMMED = _absorbed(f"state.total += {_exp('x[i][j] - top')};")

_LOGSUMEXP = Program(
    operands=("x",),
    whole=("x",),
    state=_STATE,
    absorb=_SUMMED,
    merge=_MERGE,
    result="LOG(state.total) + state.top",
    keywords=_KEEPDIMS,
    neutral="T(-INFINITY)",
)

#: An element's share is exp(x - ans); of an infinite sum the largest have equal ones.
_LOGSUMEXP_VJP = Program(
    operands=("g", "ans", "x"),
    whole=("x",),
    state={"long long ties": "0"},
    absorb="EACH if (x[i][j] == T(INFINITY)) ++state.ties;",
    merge="state.ties += other.ties;",
    finish="""
    const bool is_infinite = isinf(ans);
    const T equal = ans > T(0) ? T(1) / T(state.ties) : T(0);""",
    result="zero_multiply(g, is_infinite && x[i][j] == ans ? equal : EXP(x[i][j] - ans))",
    spread=True,
    keywords=_KEEPDIMS,
)

#: The exponentials are kept, as of the largest that the thread itself has seen.
_SOFTMAX = Program(
    operands=("x",),
    whole=("x",),
    state=_STATE,
    absorb=_absorbed("x[i][j] = EXP(x[i][j] - top); state.total += x[i][j];"),
    merge=_MERGE,
    finish="""
    const T total = isinf(state.total) ? T(NAN) : state.total;
    const T factor = EXP(own.top - state.top) / total;""",
    again="EACH x[i][j] = EXP(x[i][j] - own.top);",
    result="x[i][j] * factor",
    spread=True,
)

_SOFTMAX_VJP = Program(
    operands=("g", "ans"),
    whole=("g", "ans"),
    state={"total": "T(0)"},
    absorb="EACH { g[i][j] = zero_multiply(g[i][j], ans[i][j]); state.total += g[i][j]; }",
    merge="state.total += other.total;",
    again="EACH g[i][j] = zero_multiply(g[i][j], ans[i][j]);",
    result="g[i][j] - zero_multiply(state.total, ans[i][j])",
    spread=True,
)

_LOG_SOFTMAX = Program(
    operands=("x",),
    whole=("x",),
    state=_STATE,
    absorb=_SUMMED,
    merge=_MERGE,
    finish="const T logarithm = LOG(state.total);",
    result="(x[i][j] - state.top) - logarithm",
    spread=True,
)

_LOG_SOFTMAX_VJP = Program(
    operands=("g", "ans"),
    whole=("g", "ans"),
    state={"total": "T(0)"},
    absorb="EACH state.total += g[i][j];",
    merge="state.total += other.total;",
    result="g[i][j] - zero_multiply(state.total, EXP(ans[i][j]))",
    spread=True,
)

KERNELS: dict[str, Callable[..., Any]] = {
    "logsumexp": Rows("logsumexp", _LOGSUMEXP),
    "logsumexp.vjp": Rows("logsumexp.vjp", _LOGSUMEXP_VJP),
    "softmax": Rows("softmax", _SOFTMAX),
    "softmax.vjp": Rows("softmax.vjp", _SOFTMAX_VJP),
    "log_softmax": Rows("log_softmax", _LOG_SOFTMAX),
    "log_softmax.vjp": Rows("log_softmax.vjp", _LOG_SOFTMAX_VJP),
}
