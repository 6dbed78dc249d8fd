"""Lambert's function W, the inverse of w * exp(w)."""

from __future__ import annotations

from typing import Any

from backpass.core.arity import unary
from backpass.core.ops.elementwise import exp
from backpass.core.rules import elementwise
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors

lambertw_ = unary("lambertw", module="scipy.special", parameters=("z",))
elementwise(lambertw_, lambda ans: exp.op(-ans) / (1 + ans))


def lambertw(z: Any, k: int = 0, tol: float = 1e-8) -> Tensor:
    """Branch `k` of the inverse of w * exp(w), complex; its derivative is exp(-w) / (1 + w).

    The branch has no derivative, and that of z is infinite at -1 / e.
    """
    return as_tensors(lambertw_.op(z, k=k, tol=tol))  # type: ignore[no-any-return]
