"""SciPy's functions of matrices: `sqrtm`, and `solve_sylvester`, which its derivative needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backpass.core.arity import primitive
from backpass.core.backends import backend_of
from backpass.core.ops.linalg.matrices import native, transpose
from backpass.core.ops.linear import matmul
from backpass.core.ops.shaping import as_operand
from backpass.core.rules import defjvp, defvjp
from backpass.core.tensor import Tensor

# ----- solve_sylvester --------------------------------------------------------------------------


@primitive
def solve_sylvester(xp: Any, a: Any, b: Any, q: Any) -> Any:
    """Solve a x + x b = q; with a.T y + y b.T = g: y to q, -y @ x.T to a and -x.T @ y to b.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a and -b have an eigenvalue in common.
    """
    return backend_of((a, b, q)).function("solve_sylvester", "scipy.linalg")(a, b, q)


def _sylvester_vjp(g: Any, ans: Any, a: Any, b: Any, q: Any, *, needs: Sequence[bool]) -> list[Any]:
    y = solve_sylvester.op(transpose(a), transpose(b), g)
    xt = transpose(ans)
    return [
        -matmul.op(y, xt) if needs[0] else None,
        -matmul.op(xt, y) if needs[1] else None,
        y,
    ]


def _sylvester_jvp(ts: Sequence[Any], ans: Any, a: Any, b: Any, q: Any) -> Any:
    ta, tb, moved = ts
    changes = [] if ta is None else [matmul.op(ta, ans)]
    if tb is not None:
        changes.append(matmul.op(ans, tb))
    for change in changes:
        moved = -change if moved is None else moved - change
    return solve_sylvester.op(a, b, moved)


defvjp(solve_sylvester, joint=_sylvester_vjp)
defjvp(solve_sylvester, joint=_sylvester_jvp)

# ----- sqrtm ------------------------------------------------------------------------------------


@primitive(name="sqrtm")
def sqrtm_(xp: Any, a: Any) -> Any:
    """Principal square root of a matrix."""
    return backend_of((a,)).function("sqrtm", "scipy.linalg")(native(a))


def _sqrtm_vjp(g: Any, ans: Any) -> Any:
    t = transpose(ans)
    return solve_sylvester.op(t, t, g)


defvjp(sqrtm_, _sqrtm_vjp)
defjvp(sqrtm_, lambda t, ans: solve_sylvester.op(ans, ans, t))


def sqrtm(A: Any, disp: bool = True, blocksize: int = 64) -> Tensor:
    """Principal square root of a matrix; the y with ans.T y + y ans.T = g flows back.

    `disp=False`, with which older versions of SciPy return an estimate of the error, is refused;
    `blocksize` changes nothing.

    Raises
    ------
    TypeError
        If `disp` is false.
    """
    if not disp:
        raise TypeError("sqrtm: disp=False is not supported: compare ans @ ans with A")
    return sqrtm_(as_operand(A))  # type: ignore[no-any-return]
