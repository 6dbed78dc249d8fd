"""The implicit function theorem: the solution of an equation as one node of the graph.

Where r(x, p) = 0 and J = dr/dx, reverse mode solves J.T w = g, once, and -w dr/dp flows back to p;
forward mode solves J dx = -dr/dp dp.  Small systems are solved with the matrix, by a differentiable
`solve`; for large ones only products with J are needed, and their solution is an equation in turn,
with a node of its own: that is the second order.

Source: S. G. Krantz, H. R. Parks, "The Implicit Function Theorem" (2002); M. Blondel et al.,
"Efficient and Modular Implicit Differentiation", NeurIPS (2022).
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from typing import Any

import numpy

from backpass.core.backends import backend_of
from backpass.core.graph import Node
from backpass.core.ops.closures import Closure, Linearized
from backpass.core.ops.implicit.krylov import gmres
from backpass.core.ops.shaping import stack_
from backpass.core.tensor import Tensor
from backpass.core.values import plain, zeros_beside

#: The largest system whose matrix is made at once, and the largest for which it is made at all.
SMALL, LARGEST = 64, 4096
#: The products that are spent on a system without its matrix.
PRODUCTS = 200
#: How far, relative to its size, the solution may be off: of a solver that has given up, and of one
#: that has not.
CLOSE, FAR = 1e-6, 1e-3


class Equation:
    """An equation r(x, *args) = 0 for a vector of real numbers; the primitive of its solution.

    Parameters
    ----------
    residual
        `residual(x, args)`, with as many elements and the dtype of x.
    matrix
        What its derivative is called in messages.
    advice
        What to do if that is singular.
    failure
        What the solver says if it has not converged.
    refusal
        Why the solution cannot be differentiated, if so.
    """

    def __init__(
        self,
        residual: Closure,
        matrix: str,
        advice: str,
        failure: str | None = None,
        refusal: str | None = None,
    ) -> None:
        self.residual = residual
        self.name = residual.name
        self.matrix = matrix
        self.advice = advice
        self.failure = failure
        self.refusal = refusal

    def solution(self, x: Any, *, observe: bool = True) -> Tensor:
        """Hang a solution, an array, on the graph; `observe` sees what the residual captures."""
        if observe and not self.residual.paused:
            self.residual(Tensor(x))
        if not self.residual.tracked:
            return Tensor(x)
        return Tensor(x, self.residual.node(self, (), x, x))

    def at(self, x: Any) -> Linearized:
        """Linearize the residual at a point, on constants."""
        return self.residual.linearized((Tensor(x),), self.residual.parameters(), in_rule=False)

    def _again(self, node: Node, on_tensors: bool) -> Linearized:
        if self.refusal is not None:
            raise TypeError(f"{self.name}: {self.refusal}")
        x = Tensor(node.saved, node if on_tensors else None)
        nodes = node.parents if on_tensors else None
        return self.residual.linearized((x,), self.residual.parameters(nodes))

    def pullback(self, g: Any, node: Node, wanted: Collection[Node] | None) -> Sequence[Any]:
        """Solve the adjoint system, and carry its solution to the parameters."""
        on_tensors = type(g) is Tensor
        if not on_tensors and not g.any():
            # Where the solution does not matter it may be as singular as it likes.
            return [zeros_beside(p, (g,)) for p in node.parents]
        at = self._again(node, on_tensors)
        asked = [i for i, p in enumerate(node.parents) if wanted is None or p in wanted]
        w = self.solve(at, g, transposed=True, near=node.saved)
        found = dict(zip(asked, at.pull(-w, [1 + i for i in asked])))
        return [found.get(i) for i in range(len(node.parents))]

    def pushforward(self, tangents: Sequence[Any], node: Node, on_tensors: bool) -> Any:
        """Solve the linearized equation."""
        at = self._again(node, on_tensors)
        moved = at.push([None, *(_like(t, on_tensors) for t in tangents)], on_tensors)
        return None if moved is None else self.solve(at, -moved, False, node.saved)

    # ----- linear systems ------------------------------------------------------------------------

    def solve(self, at: Linearized, b: Any, transposed: bool, near: Any = None) -> Any:
        """Solve J v = b, or J.T v = b; b is an array, or a Tensor for a differentiable solution.

        If `near` is given, the point of the linearization, warn if it is no solution.
        """
        n = b.shape[0]
        if n > SMALL:
            if near is not None and self.failure is not None:
                self._warn(f"has not converged ({self.failure})")
            found = self._solve_by_products(at, b, transposed)
            if found is not None:
                return found
            if n > LARGEST:
                raise numpy.linalg.LinAlgError(
                    f"{self.name}: {self.matrix} at the solution, of {n} rows, is singular, or too "
                    f"ill-conditioned for {PRODUCTS} products with it to solve a system: "
                    f"{self.advice}, or scale the variables"
                )
        if n == 0:
            return b
        from backpass.core.ops.linalg.matrices import transpose
        from backpass.core.ops.linalg.solving import solve

        matrix = jacobian(at, b, plain(b))
        self._check(plain(matrix))
        if near is not None:
            self._watch(plain(matrix), plain(at.output), near)
        return solve.op(transpose(matrix) if transposed else matrix, b)

    def _solve_by_products(self, at: Linearized, b: Any, transposed: bool) -> Any:
        def product(v: Any) -> Any:
            found = at.pull(v, (0,))[0] if transposed else at.push([v], type(v) is Tensor)
            return 0 * v if found is None else found

        tol = float(numpy.finfo(b.dtype).eps) ** 0.75
        found = gmres(product, plain(b), tol, min(PRODUCTS, b.shape[0]))
        if found is None or type(b) is not Tensor:
            return found
        system = Closure(self.name, lambda v, _: product(v) - b, ())
        return Equation(system, self.matrix, self.advice).solution(found)

    def _watch(self, matrix: Any, r: Any, x: Any) -> None:
        """Warn if Newton's next step were long: then x is no solution."""
        xp = backend_of((matrix,)).library
        step = float(abs(xp.linalg.solve(matrix, r)).max()) / (1 + float(abs(x).max()))
        if self.failure is not None and not step <= CLOSE:
            self._warn(f"has not converged ({self.failure})")
        elif not step <= FAR:
            self._warn(f"has come to within {step:.2g} of a solution only: use a smaller tol")

    def _warn(self, what: str) -> None:
        warnings.warn(
            f"{self.name} {what}: its derivative is that of a solution, and may be wrong here",
            RuntimeWarning,
            stacklevel=2,
        )

    def _check(self, matrix: Any) -> None:
        """Raise if a matrix is singular to rounding, once its rows and columns are scaled."""
        xp = backend_of((matrix,)).library
        size = abs(matrix)
        if not bool(xp.isfinite(size).all()):
            raise numpy.linalg.LinAlgError(
                f"{self.name}: {self.matrix} at the solution has entries that are nan or inf: "
                "there is no derivative"
            )
        for axis in (1, 0):
            largest = size.max(axis=axis, keepdims=True)
            largest = xp.where(largest > 0, largest, 1)
            matrix, size = matrix / largest, size / largest
        s = xp.linalg.svd(matrix, compute_uv=False)
        n = matrix.shape[0]
        rank = int((s > float(s[0]) * n * float(numpy.finfo(matrix.dtype).eps)).sum())
        if rank < n:
            lost = f", after a search without success ({self.failure})" if self.failure else ""
            raise numpy.linalg.LinAlgError(
                f"{self.name}: {self.matrix} at the solution is singular, of rank {rank} where it "
                f"has {n} rows{lost}: the solution is not isolated, and has no derivative: "
                f"{self.advice}"
            )


def jacobian(at: Linearized, like: Any, x: Any) -> Any:
    """Return the derivative of a function that is linearized at x, an array.

    `like` is a vector as the function's output, a Tensor for a matrix on Tensors.
    """
    values = plain(like)
    on_tensors = type(like) is Tensor
    none = 0 * x
    rows = []
    for basis in backend_of((x,)).library.eye(values.shape[0], dtype=values.dtype):
        row = at.pull(Tensor(basis) if on_tensors else basis, (0,))[0]
        rows.append(none if row is None else row)
    return stack_.op(*rows, axis=0)


def _like(t: Any, on_tensors: bool) -> Any:
    if t is None or not on_tensors:
        return plain(t)
    return t if isinstance(t, Tensor) else Tensor(t)
