"""The gradient of every function, beside HIPS autograd: small arrays (10) and large ones (1e6).

    python tests/benchmarks/functions.py [--rounds N] [--only NAME ...] [--sizes small large]

For each function: the time of NumPy's own call, and the time of the gradient of the sum of its
result, with Backpass and with HIPS autograd.  The ratios are medians over the rounds; a summary
says by how much Backpass is faster at the median, and lists every function where it is not.
Functions of matrices take 3 x 3 and 200 x 200 ones.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import interleave
import numpy
from interleave import Here, interleaved, print_machine

import backpass.numpy
from backpass.core import grad

MODULES = (
    "numpy numpy.linalg numpy.fft scipy.special scipy.stats scipy.linalg scipy.signal "
    "scipy.integrate"
).split()


class Measured(NamedTuple):
    """A function and how it is called.

    Attributes
    ----------
    module, name
        Where it is.
    call
        `call(namespace, *args)`.
    make
        `make(random, size)` returns the arguments, for `"small"` and for `"large"`.
    """

    module: str
    name: str
    call: Callable[..., Any]
    make: Callable[[numpy.random.Generator, str], list[Any]]


def _vector(low: float, high: float, count: int = 1) -> Callable[..., list[Any]]:
    def make(random: numpy.random.Generator, size: str) -> list[Any]:
        n = 10 if size == "small" else 1_000_000
        return [random.uniform(low, high, n) for _ in range(count)]

    return make


def _table(shape: tuple[int, int], large: tuple[int, int], count: int = 1) -> Callable[..., Any]:
    def make(random: numpy.random.Generator, size: str) -> list[Any]:
        chosen = shape if size == "small" else large
        return [random.uniform(0.5, 1.5, chosen) for _ in range(count)]

    return make


def _matrix(kind: str = "") -> Callable[..., Any]:
    """Make a well-conditioned matrix, a symmetric one, or one with a right-hand side."""

    def make(random: numpy.random.Generator, size: str) -> list[Any]:
        # HIPS autograd differentiates a chain of large matrices in minutes.
        n = 3 if size == "small" else 20 if kind == "chain" else 200
        a = random.uniform(-1, 1, (n, n)) / n + numpy.diag(numpy.linspace(1, 2, n))
        if kind == "symmetric":
            return [a + a.T]
        if kind == "triangular":
            return [numpy.tril(a), random.uniform(-1, 1, n)]
        if kind == "system":
            return [a, random.uniform(-1, 1, n)]
        if kind in ("three", "chain"):
            return [a, a + 0.1, a.T]
        return [a]

    return make


def _by_name(name: str) -> Callable[..., Any]:
    first, _, rest = name.partition(".")

    def call(space: Any, *xs: Any) -> Any:
        found = getattr(space, first)
        return (getattr(found, rest) if rest else found)(*xs)

    return call


def _simple(module: str, names: str, make: Callable[..., Any]) -> Iterator[Measured]:
    for name in names.split():
        yield Measured(module, name, _by_name(name), make)


def _with(module: str, name: str, make: Callable[..., Any], call: Callable[..., Any]) -> Measured:
    return Measured(module, name, call, make)


_V, _POSITIVE, _UNIT = _vector(-2, 2), _vector(0.5, 2), _vector(-0.9, 0.9)
_T = _table((2, 5), (1000, 1000))

FUNCTIONS: list[Measured] = [
    *_simple("numpy", "absolute arctan arcsinh cos cosh deg2rad exp exp2 expm1 fabs negative", _V),
    *_simple("numpy", "rad2deg sin sinc sinh square tan tanh conj real nan_to_num", _V),
    *_simple("numpy", "log log10 log1p log2 reciprocal sqrt", _POSITIVE),
    *_simple("numpy", "arccos arcsin arctanh", _UNIT),
    *_simple("numpy", "arccosh", _vector(1.5, 3)),
    *_simple("numpy", "add subtract multiply maximum minimum fmax fmin", _vector(-2, 2, 2)),
    *_simple("numpy", "arctan2 hypot logaddexp logaddexp2", _vector(-2, 2, 2)),
    *_simple("numpy", "divide power mod remainder true_divide", _vector(0.5, 2, 2)),
    *_simple("numpy", "sum mean max min std var cumsum sort diff ravel transpose flipud", _V),
    *_simple("numpy", "atleast_1d atleast_2d atleast_3d squeeze", _vector(-2, 2)),
    *_simple("numpy", "diag fliplr rot90 diagonal trace tril triu", _T),
    # Near 1, or the product of a million numbers is 0.
    *_simple("numpy", "prod", _vector(0.999, 1.001)),
    _with("numpy", "sum axis", _T, lambda np, x: np.sum(x, axis=0)),
    _with("numpy", "mean axis", _T, lambda np, x: np.mean(x, axis=1, keepdims=True)),
    _with("numpy", "max axis", _T, lambda np, x: np.max(x, axis=1)),
    _with("numpy", "std axis", _T, lambda np, x: np.std(x, axis=0)),
    _with("numpy", "cumsum axis", _T, lambda np, x: np.cumsum(x, axis=1)),
    _with("numpy", "clip", _V, lambda np, x: np.clip(x, -1.0, 1.0)),
    _with("numpy", "where", _vector(-2, 2, 2), lambda np, x, y: np.where(_choice(x), x, y)),
    _with("numpy", "reshape", _V, lambda np, x: np.reshape(x, (2, -1))),
    _with("numpy", "expand_dims", _V, lambda np, x: np.expand_dims(x, 0)),
    _with("numpy", "swapaxes", _T, lambda np, x: np.swapaxes(x, 0, 1)),
    _with("numpy", "moveaxis", _T, lambda np, x: np.moveaxis(x, 0, 1)),
    _with("numpy", "rollaxis", _T, lambda np, x: np.rollaxis(x, 1)),
    _with("numpy", "roll", _V, lambda np, x: np.roll(x, 3)),
    _with("numpy", "repeat", _V, lambda np, x: np.repeat(x, 2)),
    _with("numpy", "tile", _V, lambda np, x: np.tile(x, 2)),
    _with("numpy", "broadcast_to", _V, lambda np, x: np.broadcast_to(x, (2, *x.shape))),
    _with("numpy", "pad", _V, lambda np, x: np.pad(x, 2, "constant")),
    _with("numpy", "partition", _V, lambda np, x: np.partition(x, 5)),
    _with("numpy", "gradient", _V, lambda np, x: np.gradient(x)),
    _with("numpy", "split", _V, lambda np, x: np.split(x, 2)),
    _with("numpy", "array_split", _V, lambda np, x: np.array_split(x, 3)),
    _with("numpy", "vsplit", _T, lambda np, x: np.vsplit(x, 2)),
    _with("numpy", "hsplit", _T, lambda np, x: np.hsplit(x, 5)),
    _with("numpy", "concatenate", _vector(-2, 2, 2), lambda np, x, y: np.concatenate((x, y))),
    _with("numpy", "append", _vector(-2, 2, 2), lambda np, x, y: np.append(x, y)),
    _with("numpy", "stack", _vector(-2, 2, 2), lambda np, x, y: np.stack([x, y])),
    _with("numpy", "vstack", _vector(-2, 2, 2), lambda np, x, y: np.vstack([x, y])),
    _with("numpy", "hstack", _vector(-2, 2, 2), lambda np, x, y: np.hstack([x, y])),
    _with("numpy", "column_stack", _vector(-2, 2, 2), lambda np, x, y: np.column_stack([x, y])),
    # HIPS autograd takes minutes for long ones.
    _with("numpy", "dstack", _table((2, 5), (100, 100), 2), lambda np, x, y: np.dstack([x, y])),
    _with("numpy", "array", _vector(-2, 2, 2), lambda np, x, y: np.array([x, y])),
    _with("numpy", "x[1:]", _V, lambda np, x: x[1:]),
    _with("numpy", "x[::-1]", _V, lambda np, x: x[::-1]),
    _with("numpy", "x[indices]", _V, lambda np, x: x[_indices(x)]),
    _with("numpy", "x[mask]", _V, lambda np, x: x[_choice(x)]),
    *_simple("numpy", "dot inner", _vector(-2, 2, 2)),
    _with("numpy", "outer", _table((3, 1), (1000, 1), 2), lambda np, x, y: np.outer(x, y)),
    _with("numpy", "kron", _table((2, 2), (30, 30), 2), lambda np, x, y: np.kron(x, y)),
    _with("numpy", "cross", _table((4, 3), (300_000, 3), 2), lambda np, x, y: np.cross(x, y)),
    *_simple("numpy", "matmul", _table((3, 3), (300, 300), 2)),
    _with(
        "numpy", "tensordot", _table((3, 3), (300, 300), 2), lambda np, x, y: np.tensordot(x, y, 1)
    ),
    _with(
        "numpy",
        "einsum",
        _table((3, 3), (300, 300), 2),
        lambda np, x, y: np.einsum("ij,jk->ik", x, y),
    ),
    # ----- numpy.linalg and numpy.fft -----
    *_simple("numpy.linalg", "det inv pinv norm", _matrix()),
    *_simple("numpy.linalg", "solve", _matrix("system")),
    *_simple("numpy.linalg", "cholesky", _matrix("symmetric")),
    _with("numpy.linalg", "slogdet", _matrix(), lambda la, x: la.slogdet(x)[1]),
    _with("numpy.linalg", "eigh", _matrix("symmetric"), lambda la, x: tuple(la.eigh(x))),
    _with("numpy.linalg", "svd", _matrix(), lambda la, x: tuple(la.svd(x, full_matrices=False))),
    _with("numpy.linalg", "svd values", _matrix(), lambda la, x: la.svd(x, compute_uv=False)),
    _with("numpy.linalg", "norm vector", _V, lambda la, x: la.norm(x)),
    _with("numpy.linalg", "norm axis", _T, lambda la, x: la.norm(x, axis=1)),
    _with("numpy.linalg", "multi_dot", _matrix("chain"), lambda la, *xs: la.multi_dot(xs)),
    *_simple("numpy.fft", "fft ifft rfft fftshift ifftshift", _V),
    *_simple("numpy.fft", "fft2 ifft2 fftn ifftn rfft2 rfftn", _table((2, 6), (1000, 1000))),
    *_simple("numpy.fft", "irfft", _V),
    # ----- SciPy -----
    *_simple("scipy.special", "erf erfc expit i0 i1 j0 j1", _V),
    *_simple("scipy.special", "gamma gammaln digamma psi rgamma y0 y1", _POSITIVE),
    *_simple("scipy.special", "erfinv", _UNIT),
    *_simple("scipy.special", "logit erfcinv", _vector(0.1, 0.9)),
    *_simple("scipy.special", "beta betaln", _vector(0.5, 2, 2)),
    *_simple("scipy.special", "logsumexp", _V),
    _with("scipy.special", "logsumexp axis", _T, lambda sp, x: sp.logsumexp(x, axis=1)),
    _with("scipy.special", "polygamma", _POSITIVE, lambda sp, x: sp.polygamma(1, x)),
    _with("scipy.special", "jn", _POSITIVE, lambda sp, x: sp.jn(2, x)),
    _with("scipy.special", "yn", _POSITIVE, lambda sp, x: sp.yn(2, x)),
    _with("scipy.special", "iv", _POSITIVE, lambda sp, x: sp.iv(1.5, x)),
    _with("scipy.special", "ive", _POSITIVE, lambda sp, x: sp.ive(1.5, x)),
    _with("scipy.special", "gammainc", _POSITIVE, lambda sp, x: sp.gammainc(1.5, x)),
    _with("scipy.special", "gammaincc", _POSITIVE, lambda sp, x: sp.gammaincc(1.5, x)),
    _with("scipy.special", "betainc", _vector(0.1, 0.9), lambda sp, x: sp.betainc(1.5, 2.5, x)),
    _with(
        "scipy.special",
        "multigammaln",
        _vector(2, 3),
        lambda sp, x: sp.multigammaln(x, 2),
    ),
    *_simple("scipy.stats", "norm.pdf norm.cdf norm.sf norm.logpdf norm.logcdf norm.logsf", _V),
    _with(
        "scipy.stats",
        "norm.logpdf of all",
        _vector(0.5, 2, 3),
        lambda st, x, m, s: st.norm.logpdf(x, m, s),
    ),
    *(
        _with("scipy.stats", f"t.{name}", _V, lambda st, x, name=name: getattr(st.t, name)(x, 3.0))
        for name in ("pdf", "cdf", "logpdf", "logcdf")
    ),
    *(
        _with(
            "scipy.stats",
            f"{family}.{name}",
            _POSITIVE,
            lambda st, x, family=family, name=name: getattr(getattr(st, family), name)(x, 2.5),
        )
        for family in ("gamma", "chi2")
        for name in ("pdf", "cdf", "logpdf")
    ),
    *(
        _with(
            "scipy.stats",
            f"beta.{name}",
            _vector(0.1, 0.9),
            lambda st, x, name=name: getattr(st.beta, name)(x, 2.5, 1.5),
        )
        for name in ("pdf", "cdf", "logpdf")
    ),
    *(
        _with(
            "scipy.stats",
            f"poisson.{name}",
            _POSITIVE,
            lambda st, mu, name=name: getattr(st.poisson, name)(3, mu),
        )
        for name in ("pmf", "logpmf", "cdf")
    ),
    _with("scipy.linalg", "sqrtm", _matrix(), lambda la, x: la.sqrtm(x @ x)),
    _with(
        "scipy.linalg",
        "solve_triangular",
        _matrix("triangular"),
        lambda la, a, b: la.solve_triangular(a, b, lower=True),
    ),
    _with(
        "scipy.linalg",
        "solve_sylvester",
        _matrix("three"),
        lambda la, a, b, c: la.solve_sylvester(a, b, c),
    ),
    _with(
        "scipy.signal",
        "convolve",
        _table((1, 10), (1000, 1000)),
        lambda sg, x: sg.convolve(x, _WINDOW),
    ),
]

_WINDOW = numpy.array([[0.2, 0.5, 0.3]])


def _choice(x: Any) -> Any:
    """Return a mask of the shape of x, the same in each call."""
    return _masks.setdefault(x.shape, numpy.arange(x.shape[0]) % 3 > 0)


def _indices(x: Any) -> Any:
    """Return indices with repetitions, the same in each call."""
    n = x.shape[0]
    return _places.setdefault(n, numpy.random.default_rng(0).integers(0, n, n))


_masks: dict[Any, Any] = {}
_places: dict[int, Any] = {}


def objective(function: Measured, np: Any, space: Any) -> Callable[..., Any]:
    """Return the sum of a function's results, as a function of its arguments."""

    def total(*xs: Any) -> Any:
        out = function.call(space, *xs)
        if isinstance(out, tuple | list):
            result = np.sum(out[0])
            for part in out[1:]:
                result = result + np.sum(part)
            return result
        return np.sum(np.real(out)) if function.module == "numpy.fft" else np.sum(out)

    return total


def contenders(function: Measured, size: str) -> list[Here]:
    """Return NumPy's own call, and the gradient by each library that has the function."""
    args = function.make(numpy.random.default_rng(0), size)
    plain = importlib.import_module(function.module)
    every = tuple(range(len(args)))
    made = [Here("NumPy", lambda: function.call(plain, *args))]
    ours = importlib.import_module(f"backpass.{function.module}")
    gradient = grad(objective(function, backpass.numpy, ours), every)
    made.append(Here("Backpass", lambda: gradient(*args)))
    try:
        autograd = importlib.import_module("autograd")
        anp = importlib.import_module("autograd.numpy")
        theirs = importlib.import_module(f"autograd.{function.module}")
        slope = autograd.grad(objective(function, anp, theirs), every)
        made.append(Here("HIPS autograd", lambda: slope(*args)))
    except Exception as error:
        print(f"{function.name}: HIPS autograd fails ({type(error).__name__})")
    return made


def measure(size: str, rounds: int, only: list[str]) -> None:
    """Time every function at one size; print the table and what it comes to."""
    print(f"\n{size}: microseconds, median; and how many times NumPy's own call\n")
    print(
        f"| {'':28} | {'NumPy':>10} | {'Backpass':>10} | {'HIPS':>10} | {'/NumPy':>7} | HIPS/us |"
    )
    print(f"|{'-' * 30}|{'-' * 11}:|{'-' * 11}:|{'-' * 11}:|{'-' * 8}:|{'-' * 8}:|")
    faster: dict[str, float] = {}
    for function in FUNCTIONS:
        label = f"{function.module.removeprefix('numpy.').removeprefix('scipy.')} {function.name}"
        if only and function.name not in only:
            continue
        times = interleaved(contenders(function, size), rounds)
        median = {name: statistics.median(found) * 1e6 for name, found in times.items()}
        ours, theirs = median["Backpass"], median.get("HIPS autograd")
        if theirs is not None:
            faster[label] = theirs / ours
        print(
            f"| {label:28} | {median['NumPy']:10.1f} | {ours:10.1f} | "
            f"{theirs or float('nan'):10.1f} | {ours / median['NumPy']:7.1f} | "
            f"{faster.get(label, float('nan')):7.2f} |"
        )
    slower = [f"{label} ({ratio:.2f})" for label, ratio in faster.items() if ratio < 1]
    print(
        f"\n{size}: {len(faster)} functions beside HIPS autograd; Backpass is "
        f"{statistics.median(faster.values()):.2f} times as fast at the median, at least "
        f"{min(faster.values()):.2f} times; slower: {', '.join(slower) or 'none'}"
    )


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--sizes", nargs="*", default=["small", "large"])
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    # Hundreds of contenders: shorter turns than where there are a few.
    interleave.TURN, interleave.SETTLE = 0.02, 0.0
    print_machine(("backpass.core", "numpy", "scipy", "autograd"))
    for size in chosen.sizes:
        measure(size, chosen.rounds, chosen.only)


if __name__ == "__main__":
    main()
