"""The corners: what each derivative is where the textbook's formula has none."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

inf, nan = math.inf, math.nan


class Corner(NamedTuple):
    """A function, a point, and the gradient of the outputs' sum there, for each argument.

    Attributes
    ----------
    promise
        What is tested, in words.
    f
        `f(np, *args)` with the module's namespace, or the name of a function of it.
    args, gradients
        Numbers, in lists.
    module
        `"numpy"`, `"numpy.linalg"`, `"scipy.special"`, ...
    without
        Those that lack it: `"cupy"`.
    """

    promise: str
    f: Callable[..., Any] | str
    args: tuple[Any, ...]
    gradients: tuple[Any, ...]
    module: str = "numpy"
    without: str = ""

    def call(self, namespace: Callable[[str], Any]) -> Callable[..., Any]:
        """Return the function of the arguments alone."""
        home = namespace(self.module)
        if isinstance(self.f, str):
            return getattr(home, self.f)
        return lambda *xs: self.f(home, *xs)


def corner(
    promise: str,
    f: Callable[..., Any] | str,
    *args: Any,
    gives: Any,
    **options: Any,
) -> Corner:
    """Make a corner; one gradient stands for a tuple of one."""
    return Corner(promise, f, args, gives if isinstance(gives, tuple) else (gives,), **options)


def run_of(np: Any, x: Any) -> Any:
    """Weigh the output of a cumulative function, so that its order matters."""
    return x * np.array([1.0, 10.0, 100.0], dtype=x.dtype)


M = [True, False, True]
#: The gradient of chi2.logpdf at x = 3, df = 2.5: (df / 2 - 1) / x - 1 / 2, and
#: (log(x) - log(2) - digamma(df / 2)) / 2, where digamma(1.25) = -0.2274535333762654.
CHI2 = (0.25 / 3 - 0.5, (math.log(1.5) + 0.2274535333762654) / 2)

CORNERS = [
    corner("abs has slope 0 at 0", "abs", [0.0, -2.0, 3.0], gives=[0.0, -1.0, 1.0]),
    corner(
        "the operator abs has slope 0 at 0", lambda np, x: abs(x), [0.0, -0.0], gives=[0.0, 0.0]
    ),
    corner("fabs has slope 0 at 0", "fabs", [0.0, -2.0], gives=[0.0, -1.0]),
    corner("maximum shares a tie", "maximum", [1.0, 2.0], [1.0, 3.0], gives=([0.5, 0], [0.5, 1])),
    corner("minimum shares a tie", "minimum", [1.0, 2.0], [1.0, 3.0], gives=([0.5, 1], [0.5, 0])),
    corner("fmax shares a tie", "fmax", [1.0, 2.0], [1.0, 3.0], gives=([0.5, 0], [0.5, 1])),
    corner("fmin shares a tie", "fmin", [1.0, 2.0], [1.0, 3.0], gives=([0.5, 1], [0.5, 0])),
    corner(
        "maximum with 0 has slope .5 at 0", lambda np, x: np.maximum(x, 0), [0.0, 1], gives=[0.5, 1]
    ),
    corner("maximum gives nan's share to the nan", "maximum", [nan], [1.0], gives=([1.0], [0.0])),
    corner("fmax gives nothing to a nan", "fmax", [nan], [1.0], gives=([0.0], [1.0])),
    corner("fmin gives nothing to a nan", "fmin", [2.0], [nan], gives=([1.0], [0.0])),
    corner("max shares a tie", "max", [3.0, 3.0, 1.0], gives=[0.5, 0.5, 0.0]),
    corner("min shares a tie", "min", [1.0, 3.0, 1.0], gives=[0.5, 0.0, 0.5]),
    corner(
        "max shares a tie along an axis",
        lambda np, x: np.max(x, axis=0),
        [[3.0, 1.0], [3.0, 2.0]],
        gives=[[0.5, 0.0], [0.5, 1.0]],
    ),
    corner(
        "max shares a tie along the last axis, kept",
        lambda np, x: np.max(x, axis=-1, keepdims=True),
        [[3.0, 3.0], [1.0, 2.0]],
        gives=[[0.5, 0.5], [0.0, 1.0]],
    ),
    corner(
        "max shares a tie over two axes",
        lambda np, x: np.max(x, axis=(0, 2)),
        [[[1.0, 5.0]], [[5.0, 2.0]]],
        gives=[[[0.0, 0.5]], [[0.5, 0.0]]],
    ),
    corner("max of infinities shares", "max", [inf, 1.0, inf], gives=[0.5, 0.0, 0.5]),
    corner("max gives the nan all", "max", [nan, 3.0, 1.0], gives=[1.0, 0.0, 0.0]),
    corner("min gives the nan all", "min", [1.0, nan, 3.0], gives=[0.0, 1.0, 0.0]),
    corner("two nans share", "max", [nan, 3.0, nan], gives=[0.5, 0.0, 0.5]),
    corner(
        "max below its initial value has slope 0",
        lambda np, x: np.max(x, initial=5.0),
        [3.0, 3.0],
        gives=[0.0, 0.0],
    ),
    corner(
        "max looks only where it is told",
        lambda np, x: np.max(x, where=np.array(M), initial=-9.0),
        [1.0, 7.0, 2.0],
        gives=[0.0, 0.0, 1.0],
    ),
    corner(
        "clip has slope .5 at its bounds",
        lambda np, x: np.clip(x, 0.0, 1.0),
        [0.0, 0.5, 1.0, 2.0],
        gives=[0.5, 1.0, 0.5, 0.0],
    ),
    corner(
        "clip is differentiable in its bounds",
        "clip",
        [-1.0, 0.5, 3.0],
        0.0,
        1.0,
        gives=([0.0, 1.0, 0.0], 1.0, 1.0),
    ),
    corner("sqrt has an infinite slope at 0", "sqrt", [0.0, 4.0], gives=[inf, 0.25]),
    corner(
        "x**0.5 has an infinite slope at 0", lambda np, x: x**0.5, [0.0, 4.0], gives=[inf, 0.25]
    ),
    corner("cbrt has an infinite slope at 0", "cbrt", [0.0, 8.0], gives=[inf, 1 / 12]),
    corner("x**2 at negative x", lambda np, x: x**2, [-3.0, 0.0], gives=[-6.0, 0.0]),
    corner("x**0 has slope 0 at 0", lambda np, x: x**0, [0.0, 2.0], gives=[0.0, 0.0]),
    corner("0**0 has slope 0 in x and y", "power", [0.0], [0.0], gives=([0.0], [0.0])),
    corner("0**2 has slope 0 in y", "power", [0.0], [2.0], gives=([0.0], [0.0])),
    corner("(-2)**2 has slope nan in y", "power", [-2.0], [2.0], gives=([-4.0], [nan])),
    corner(
        "the operator ** follows power",
        lambda np, x, y: x**y,
        [0.0, 2.0],
        [0.0, 3.0],
        gives=([0.0, 12.0], [0.0, 8 * math.log(2)]),
    ),
    corner("prod without zeros", "prod", [2.0, 3.0, 4.0], gives=[12.0, 8.0, 6.0]),
    corner("prod with one zero", "prod", [2.0, 0.0, 4.0], gives=[0.0, 8.0, 0.0]),
    corner("prod with two zeros", "prod", [0.0, 3.0, 0.0], gives=[0.0, 0.0, 0.0]),
    corner(
        "prod along an axis with zeros",
        lambda np, x: np.prod(x, axis=1),
        [[0.0, 3], [0, 0]],
        gives=[[3.0, 0.0], [0.0, 0.0]],
    ),
    corner(
        "prod with where",
        lambda np, x: np.prod(x, where=np.array(M)),
        [2.0, 0.0, 4.0],
        gives=[4.0, 0.0, 2.0],
    ),
    corner(
        "prod with initial", lambda np, x: np.prod(x, initial=5.0), [2.0, 3.0], gives=[15.0, 10.0]
    ),
    corner("var of a constant has slope 0", "var", [2.0, 2.0, 2.0], gives=[0.0, 0.0, 0.0]),
    corner("std of a constant has slope 0", "std", [2.0, 2.0, 2.0], gives=[0.0, 0.0, 0.0]),
    corner(
        "std of constant rows has slope 0",
        lambda np, x: np.std(x, axis=1),
        [[2.0, 2.0], [0.0, 2.0]],
        gives=[[0.0, 0.0], [-0.5, 0.5]],
    ),
    corner(
        "std with ddof",
        lambda np, x: np.std(x, ddof=1),
        [0.0, 2.0],
        gives=[-math.sqrt(0.5), math.sqrt(0.5)],
    ),
    corner("hypot has slope 0 at the origin", "hypot", [0.0], [0.0], gives=([0.0], [0.0])),
    corner("arctan2 has slope 0 at the origin", "arctan2", [0.0], [0.0], gives=([0.0], [0.0])),
    corner("sinc has slope 0 at 0", "sinc", [0.0], gives=[0.0]),
    corner(
        "logsumexp of -inf has slope 0",
        "logsumexp",
        [-inf, -inf],
        module="scipy.special",
        gives=[0.0, 0.0],
    ),
    corner(
        "logsumexp with +inf is uniform over them",
        "logsumexp",
        [inf, 1.0, inf],
        module="scipy.special",
        gives=[0.5, 0.0, 0.5],
    ),
    corner(
        "logsumexp takes every row by itself",
        lambda sp, x: sp.logsumexp(x, axis=1),
        [[-inf, -inf], [0.0, 0.0], [inf, 0.0]],
        module="scipy.special",
        gives=[[0.0, 0.0], [0.5, 0.5], [1.0, 0.0]],
    ),
    corner(
        "logsumexp does not overflow",
        "logsumexp",
        [1000.0, 1000.0],
        module="scipy.special",
        gives=[0.5, 0.5],
    ),
    corner("logaddexp(-inf, -inf) has slope 0", "logaddexp", [-inf], [-inf], gives=([0.0], [0.0])),
    corner(
        "logaddexp2(-inf, -inf) has slope 0", "logaddexp2", [-inf], [-inf], gives=([0.0], [0.0])
    ),
    corner("logaddexp with one -inf", "logaddexp", [-inf], [1.0], gives=([0.0], [1.0])),
    corner(
        "softmax does not overflow",
        lambda sp, x: sp.softmax(x)[0],
        [1000.0, 1000.0],
        module="scipy.special",
        gives=[0.25, -0.25],
    ),
    corner(
        "log_softmax does not overflow",
        lambda sp, x: sp.log_softmax(x)[0],
        [1000.0, 0.0],
        module="scipy.special",
        gives=[0.0, 0.0],
    ),
    corner(
        "expit far out is flat",
        "expit",
        [-1000.0, 0.0, 1000.0],
        module="scipy.special",
        gives=[0.0, 0.25, 0.0],
    ),
    corner(
        "erf far out is flat",
        "erf",
        [-100.0, 0.0, 100.0],
        module="scipy.special",
        gives=[0.0, 2 / math.sqrt(math.pi), 0.0],
    ),
    corner("log at 0", "log", [0.0, 2.0], gives=[inf, 0.5]),
    corner("arcsin at its ends", "arcsin", [1.0, 0.0], gives=[inf, 1.0]),
    corner(
        "sign, floor, ceil and rint are flat",
        lambda np, x: x + np.sign(x) + np.floor(x) + np.ceil(x) + np.rint(x),
        [0.0, 1.5],
        gives=[1.0, 1.0],
    ),
    corner(
        "an index that repeats accumulates",
        lambda np, x: x[[0, 0, 1]],
        [1.0, 2.0, 3.0],
        gives=[2.0, 1.0, 0.0],
    ),
    corner(
        "indexing with a mask", lambda np, x: x[np.array(M)], [1.0, 2.0, 3.0], gives=[1.0, 0.0, 1.0]
    ),
    corner(
        "indexing with an empty list",
        lambda np, x: x[[]].sum() + x[0],
        [1.0, 2.0],
        gives=[1.0, 0.0],
    ),
    corner(
        "a negative step",
        lambda np, x: x[::-2] * np.array([1.0, 2.0], dtype=x.dtype),
        [1.0, 2.0, 3.0],
        gives=[2.0, 0.0, 1.0],
    ),
    corner(
        "sum with where",
        lambda np, x: np.sum(x, where=np.array(M)),
        [1.0, 2.0, 3.0],
        gives=[1.0, 0.0, 1.0],
    ),
    corner("sum with initial", lambda np, x: np.sum(x, initial=5.0), [1.0, 2.0], gives=[1.0, 1.0]),
    corner(
        "mean with where counts what it sees",
        lambda np, x: np.mean(x, where=np.array(M)),
        [1.0, 2.0, 3.0],
        gives=[0.5, 0.0, 0.5],
    ),
    corner(
        "var with where counts what it sees",
        lambda np, x: np.var(x, where=np.array(M)),
        [1.0, 9.0, 3.0],
        gives=[-1.0, 0.0, 1.0],
    ),
    corner(
        "cumsum sums from the other end",
        lambda np, x: run_of(np, np.cumsum(x)),
        [1.0, 2.0, 3.0],
        gives=[111.0, 110.0, 100.0],
    ),
    corner(
        "cumsum along no axis flattens",
        "cumsum",
        [[1.0, 2.0], [3.0, 4.0]],
        gives=[[4.0, 3.0], [2.0, 1.0]],
    ),
    corner(
        "cumsum along a negative axis",
        lambda np, x: np.cumsum(x, axis=-1),
        [[1.0, 2.0], [3.0, 4.0]],
        gives=[[2.0, 1.0], [2.0, 1.0]],
    ),
    corner(
        "where keeps a scalar a scalar",
        lambda np, x, y: np.where(np.array(M), x, y),
        1.0,
        [1.0, 2.0, 3.0],
        gives=(2.0, [0.0, 1.0, 0.0]),
    ),
    corner(
        "einsum un-broadcasts a length of 1",
        lambda np, x, y: np.einsum("i,i", x, y),
        [1.0, 2.0],
        [5.0],
        gives=([5.0, 5.0], [3.0]),
    ),
    corner(
        "einsum spreads a label that is summed away",
        lambda np, x: np.einsum("ij->i", x),
        [[1.0, 2.0], [3.0, 4.0]],
        gives=[[1.0, 1.0], [1.0, 1.0]],
    ),
    corner(
        "einsum takes a diagonal",
        lambda np, x: np.einsum("ii->i", x),
        [[1.0, 2.0], [3.0, 4.0]],
        gives=[[1.0, 0.0], [0.0, 1.0]],
    ),
    corner(
        "einsum takes a trace",
        lambda np, x: np.einsum("ii", x),
        [[1.0, 2.0], [3.0, 4.0]],
        gives=[[1.0, 0.0], [0.0, 1.0]],
    ),
    corner(
        "diag of a wide matrix",
        "diag",
        [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
        gives=[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
    ),
    corner(
        "diag above the diagonal",
        lambda np, x: np.diag(x, 1),
        [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
        gives=[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    ),
    corner(
        "diag makes a matrix", lambda np, v: np.diag(v, -1)[1:] * 2, [1.0, 2.0], gives=[2.0, 2.0]
    ),
    corner(
        "trace of a wide matrix",
        "trace",
        [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
        gives=[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
    ),
    corner(
        "trace off the diagonal",
        lambda np, x: np.trace(x, -1),
        [[1.0, 2.0], [4.0, 5.0]],
        gives=[[0.0, 0.0], [1.0, 0.0]],
    ),
    corner(
        "outer keeps the arguments' shapes",
        "outer",
        [[1.0, 2.0], [3.0, 4.0]],
        [5.0, 6.0],
        gives=([[11.0, 11.0], [11.0, 11.0]], [10.0, 10.0]),
    ),
    corner("dot with a scalar", "dot", [1.0, 2.0], 3.0, gives=([3.0, 3.0], 3.0)),
    corner("dot of two vectors", "dot", [1.0, 2.0], [3.0, 4.0], gives=([3.0, 4.0], [1.0, 2.0])),
    corner(
        "matmul of a vector and a matrix",
        "matmul",
        [1.0, 2.0],
        [[1.0, 0.0], [3.0, 4.0]],
        gives=([1.0, 7.0], [[1.0, 1.0], [2.0, 2.0]]),
    ),
    corner(
        "matmul of a matrix and a vector",
        "matmul",
        [[1.0, 0.0], [3.0, 4.0]],
        [1.0, 2.0],
        gives=([[1.0, 2.0], [1.0, 2.0]], [4.0, 4.0]),
    ),
    corner(
        "matmul broadcasts its stacks",
        "matmul",
        [[[1.0]], [[2.0]]],
        [[3.0]],
        gives=([[[3.0]], [[3.0]]], [[3.0]]),
    ),
    corner(
        "matmul of a stack and a vector",
        "matmul",
        [[[1.0, 2.0]], [[3.0, 4.0]]],
        [5.0, 6.0],
        gives=([[[5.0, 6.0]], [[5.0, 6.0]]], [4.0, 6.0]),
    ),
    corner(
        "matmul of a vector and a stack",
        "matmul",
        [5.0, 6.0],
        [[[1.0], [2.0]], [[3.0], [4.0]]],
        gives=([4.0, 6.0], [[[5.0], [6.0]], [[5.0], [6.0]]]),
    ),
    corner(
        "tensordot over no axis",
        lambda np, x, y: np.tensordot(x, y, 0),
        [1.0, 2.0],
        [3.0],
        gives=([3.0, 3.0], [3.0]),
    ),
    corner(
        "concatenate cuts the cotangent",
        lambda np, x, y: run_of(np, np.concatenate([x, y])),
        [1.0],
        [2.0, 3.0],
        gives=([1.0], [10.0, 100.0]),
    ),
    corner(
        "concatenate along no axis flattens",
        lambda np, x, y: run_of(np, np.concatenate([x, y], None)),
        [[1.0, 2.0]],
        [3.0],
        gives=([[1.0, 10.0]], [100.0]),
    ),
    corner(
        "stack of scalars", lambda np, x, y: np.stack([x, y, x]) ** 2, 2.0, 3.0, gives=(8.0, 6.0)
    ),
    corner("division by zero", "divide", [1.0], [0.0], gives=([inf], [-inf])),
    corner("remainder", "remainder", [5.0, -5.0], [3.0, 3.0], gives=([1.0, 1.0], [-1.0, 2.0])),
    corner("fmod", "fmod", [5.0, -5.0], [3.0, 3.0], gives=([1.0, 1.0], [-1.0, 1.0])),
    # ----- linear algebra ---------------------------------------------------------------------
    corner("norm has slope 0 at 0", "norm", [0.0, 0.0], gives=[0.0, 0.0], module="numpy.linalg"),
    corner(
        "norm squared has slope 0 at 0",
        lambda la, x: la.norm(x) ** 2,
        [0.0, -0.0],
        gives=[0.0, 0.0],
        module="numpy.linalg",
    ),
    corner(
        "norm of rows, one of them 0",
        lambda la, x: la.norm(x, axis=1),
        [[0.0, 0.0], [3.0, 4.0]],
        gives=[[0.0, 0.0], [0.6, 0.8]],
        module="numpy.linalg",
    ),
    corner(
        "norm of a matrix of zeros",
        lambda la, x: la.norm(x, "fro"),
        [[0.0, 0.0], [0.0, 0.0]],
        gives=[[0.0, 0.0], [0.0, 0.0]],
        module="numpy.linalg",
    ),
    corner(
        "norm with ord=1 has slope 0 at 0",
        lambda la, x: la.norm(x, 1),
        [0.0, -2.0, 3.0],
        gives=[0.0, -1.0, 1.0],
        module="numpy.linalg",
    ),
    corner(
        "norm with ord=inf shares a tie",
        lambda la, x: la.norm(x, inf),
        [-3.0, 3.0, 1.0],
        gives=[-0.5, 0.5, 0.0],
        module="numpy.linalg",
    ),
    corner(
        "norm with ord=inf has slope 0 at 0",
        lambda la, x: la.norm(x, inf),
        [0.0, 0.0],
        gives=[0.0, 0.0],
        module="numpy.linalg",
    ),
    corner(
        "norm with ord=3 has slope 0 at 0",
        lambda la, x: la.norm(x, 3),
        [0.0, 0.0],
        gives=[0.0, 0.0],
        module="numpy.linalg",
    ),
    corner(
        "det of a singular matrix has its cofactors",
        "det",
        [[1.0, 2.0], [2.0, 4.0]],
        gives=[[4.0, -2.0], [-2.0, 1.0]],
        module="numpy.linalg",
    ),
    corner(
        "det of a matrix of 3 rows and rank 2",
        "det",
        [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]],
        gives=[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 2.0]],
        module="numpy.linalg",
    ),
    corner(
        "det of a matrix of zeros",
        "det",
        [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
        gives=[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
        module="numpy.linalg",
    ),
    corner("det of one element 0", "det", [[0.0]], gives=[[1.0]], module="numpy.linalg"),
    corner(
        "det of a stack with a singular matrix",
        "det",
        [[[1.0, 2.0], [2.0, 4.0]], [[1.0, 0.0], [0.0, 3.0]]],
        gives=[[[4.0, -2.0], [-2.0, 1.0]], [[3.0, 0.0], [0.0, 1.0]]],
        module="numpy.linalg",
    ),
    corner(
        "equal eigenvalues have derivatives",
        lambda la, x: la.eigh(x)[0] ** 2,
        [[3.0, 0.0], [0.0, 3.0]],
        gives=[[6.0, 0.0], [0.0, 6.0]],
        module="numpy.linalg",
    ),
    corner(
        "equal singular values have derivatives",
        lambda la, x: la.svd(x)[1] ** 2,
        [[3.0, 0.0], [0.0, 3.0]],
        gives=[[6.0, 0.0], [0.0, 6.0]],
        module="numpy.linalg",
    ),
    corner(
        "equal singular values without vectors",
        lambda la, x: la.svd(x, compute_uv=False) ** 2,
        [[3.0, 0.0], [0.0, 3.0]],
        gives=[[6.0, 0.0], [0.0, 6.0]],
        module="numpy.linalg",
    ),
    corner(
        "full matrices of which only the singular values are used",
        lambda la, x: la.svd(x, full_matrices=True)[1],
        [[3.0, 0.0, 0.0], [0.0, 4.0, 0.0]],
        gives=[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
        module="numpy.linalg",
    ),
    # ----- distributions ----------------------------------------------------------------------
    corner(
        "chi2.logpdf in x and in its degrees of freedom",
        lambda stats, x, df: stats.chi2.logpdf(x, df=df),
        3.0,
        2.5,
        gives=CHI2,
        module="scipy.stats",
        without="cupy",
    ),
]
