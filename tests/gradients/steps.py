"""What random programs are made of: operations, and how far their operands are from a kink.

An operation is written once, `call(np, *operands)`, for NumPy, for Backpass on any device, and for
JAX; where JAX has no assignment, `write` and `write_beside` take the way it has instead.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy


class Operation(NamedTuple):
    """An operation on one or two operands.

    Attributes
    ----------
    name
        What a failing program is told by.
    call
        `call(np, *operands)`, with the namespace of `module`.
    count
        The number of operands.
    module
        `"numpy"`, `"scipy.special"`.
    gaps
        `gaps(*operands)` says how far they are from each kink.
    """

    name: str
    call: Callable[..., Any]
    count: int = 1
    module: str = "numpy"
    gaps: Callable[..., Any] | None = None


def write(y: Any, index: Any, value: Any, how: str = "set") -> Any:
    """Write into an array of one's own, and return it: `y[index] = value`, `y[index] += value`."""
    if hasattr(y, "at"):
        # JAX takes no value of more axes than its place.
        extra = numpy.ndim(value) - y[index].ndim
        value = value.reshape(value.shape[extra:]) if extra > 0 else value
        return getattr(y.at[index], how)(value)
    if how == "set":
        y[index] = value
    elif how == "add":
        y[index] += value
    else:
        y[index] *= value
    return y


def write_beside(np: Any, x: Any, index: Any, value: Any, view: Callable[[Any], Any]) -> Any:
    """Take a view, write into its base and into the view; return base and view, multiplied.

    A view of a Tensor does not see a later write, nor does its base; those of NumPy do, and so
    NumPy's is a copy.
    """
    base = np.array(x)
    beside = view(base)
    if np is numpy:
        beside = numpy.array(beside)
    base = write(base, index, value)
    beside = write(np.array(beside) if hasattr(beside, "at") else beside, ..., 0.5, "multiply")
    return np.sin(base).sum() * beside


# ----- gaps ---------------------------------------------------------------------------------------


def difference(x: Any, y: Any) -> Any:
    """Return how far two operands are apart."""
    return numpy.subtract(x, y)


def spread(x: Any) -> Any:
    """Return how far the elements are apart."""
    return numpy.diff(numpy.sort(x, axis=None))


# ----- elementwise --------------------------------------------------------------------------------

UNARY: list[Operation] = [
    Operation("tanh", lambda np, x: np.tanh(x)),
    Operation("sin", lambda np, x: np.sin(2 * x)),
    Operation("cos", lambda np, x: np.cos(x) + 0.1 * x),
    Operation("exp", lambda np, x: np.exp(-x * x)),
    Operation("exp2", lambda np, x: np.exp2(np.sin(x))),
    Operation("log", lambda np, x: np.log(1.5 + np.sin(x))),
    Operation("log2", lambda np, x: np.log2(2 + np.tanh(x))),
    Operation("sqrt", lambda np, x: np.sqrt(1 + x * x)),
    Operation("square", lambda np, x: np.square(x) / 4),
    Operation("arctan", lambda np, x: np.arctan(x)),
    Operation("arcsin", lambda np, x: np.arcsin(0.8 * np.tanh(x))),
    Operation("arccosh", lambda np, x: np.arccosh(1.5 + x * x)),
    Operation("arcsinh", lambda np, x: np.arcsinh(x)),
    Operation("reciprocal", lambda np, x: np.reciprocal(2.0 + np.cos(x))),
    Operation("power", lambda np, x: (1.2 + np.tanh(x)) ** 2.5),
    Operation("cube", lambda np, x: x**3 / 8),
    Operation("negative", lambda np, x: -x),
    Operation("expm1", lambda np, x: np.expm1(np.tanh(x))),
    Operation("log1p", lambda np, x: np.log1p(np.exp(-abs(x) - 0.1)), gaps=lambda x: x),
    Operation("sinh", lambda np, x: np.sinh(np.tanh(x))),
    Operation("cosh", lambda np, x: np.cosh(np.sin(x))),
    Operation("tan", lambda np, x: np.tan(0.7 * np.tanh(x))),
    Operation("sinc", lambda np, x: np.sinc(0.3 * x), gaps=lambda x: x),
    Operation("reused", lambda np, x: x * np.tanh(x) + x),
    Operation("absolute", lambda np, x: abs(x), gaps=lambda x: x),
    Operation(
        "clip",
        lambda np, x: np.clip(x, -0.9, 0.9),
        gaps=lambda x: numpy.subtract.outer(x, [-0.9, 0.9]),
    ),
    Operation("masked", lambda np, x: np.where(x > 0, np.sqrt(abs(x)), x), gaps=lambda x: x),
    Operation("complex", lambda np, x: np.real(np.exp(1j * x) * (1 + 2j * x))),
    Operation("angle", lambda np, x: np.angle((2 + x * x) + 1j * x)),
    Operation("stopped", lambda np, x: x * np.sign(x), gaps=lambda x: x),
    Operation("float32", lambda np, x: x * np.array(0.5, dtype="float32")),
]
SPECIAL: list[Operation] = [
    Operation(name, call, module="scipy.special")
    for name, call in {
        "expit": lambda sp, x: sp.expit(x),
        "erf": lambda sp, x: sp.erf(x),
        "erfc": lambda sp, x: sp.erfc(x),
        "logit": lambda sp, x: sp.logit(0.2 + 0.5 * sp.expit(x)),
        "erfinv": lambda sp, x: sp.erfinv(0.9 * sp.erf(x / 2)),
        "gammaln": lambda sp, x: sp.gammaln(1.5 + x * x / 2),
        "digamma": lambda sp, x: sp.digamma(2 + x * x),
        "logsumexp": lambda sp, x: sp.logsumexp(x),
        "softmax": lambda sp, x: x * sp.softmax(x, axis=None),
    }.items()
]
SPECIAL += [
    # Not for single numbers: they have no axis.
    Operation(name, call, module="scipy.special", gaps=numpy.ndim)
    for name, call in {
        "logsumexp, kept": lambda sp, x: sp.logsumexp(x, axis=-1, keepdims=True),
        "softmax along an axis": lambda sp, x: x * sp.softmax(x, axis=-1),
        "log_softmax": lambda sp, x: sp.log_softmax(x, axis=0),
    }.items()
]
BINARY: list[Operation] = [
    Operation("add", lambda np, x, y: x + y, 2),
    Operation("subtract", lambda np, x, y: x - 0.5 * y, 2),
    Operation("multiply", lambda np, x, y: x * y, 2),
    Operation("divide", lambda np, x, y: x / (1.5 + np.sin(y)), 2),
    Operation("power", lambda np, x, y: (1.5 + np.tanh(x)) ** np.tanh(y), 2),
    Operation("maximum", lambda np, x, y: np.maximum(x, y), 2, gaps=difference),
    Operation("minimum", lambda np, x, y: np.minimum(x, y), 2, gaps=difference),
    Operation(
        "fmax", lambda np, x, y: np.fmax(x, np.sin(y)), 2, gaps=lambda x, y: x - numpy.sin(y)
    ),
    Operation("hypot", lambda np, x, y: np.hypot(x, 0.5 + y * y), 2),
    Operation("arctan2", lambda np, x, y: np.arctan2(x, 1.5 + y * y), 2),
    Operation("logaddexp", lambda np, x, y: np.logaddexp(x, y), 2),
    Operation("logaddexp2", lambda np, x, y: np.logaddexp2(x, y), 2),
    Operation("where", lambda np, x, y: np.where(x > y, x * y, y), 2, gaps=difference),
    Operation(
        "remainder",
        lambda np, x, y: np.remainder(x, 3 + np.tanh(y)),
        2,
        gaps=lambda x, y: x - numpy.round(x / (3 + numpy.tanh(y))) * (3 + numpy.tanh(y)),
    ),
    Operation(
        "clip",
        lambda np, x, y: np.clip(x, -1 + 0.1 * y, 1 + 0.1 * y),
        2,
        gaps=lambda x, y: numpy.stack([x - 0.1 * y - 1, x - 0.1 * y + 1]),
    ),
]

# ----- reductions ---------------------------------------------------------------------------------


def reduction(random: numpy.random.Generator, x: Any) -> Operation:
    """Reduce some axes, with keywords."""
    names = ["sum", "mean", "max", "min", "var", "std", "prod", "logsumexp", "norm"]
    name = str(random.choice(names))
    axes: list[Any] = [None, *range(-x.ndim, x.ndim)]
    if x.ndim >= 2:
        axes += [(0, -1), (-1, 0)]
    axis = axes[random.integers(len(axes))]
    keywords: dict[str, Any] = {"axis": axis, "keepdims": bool(random.random() < 0.5)}
    if name == "norm":
        if isinstance(axis, tuple) or x.ndim > 2:
            keywords["axis"] = axis = -1 if x.ndim else None
        return Operation(
            f"norm({keywords})",
            lambda np, x: np.linalg.norm(x, **keywords),
            gaps=lambda x: numpy.linalg.norm(x, axis=axis),
        )
    if name == "logsumexp":
        return Operation(
            f"{name}({keywords})",
            lambda sp, x: sp.logsumexp(x, **keywords),
            module="scipy.special",
            gaps=numpy.ndim,
        )
    if name in ("var", "std") and random.random() < 0.3:
        keywords["ddof"] = 0.5
    mask: Any = None
    if random.random() < 0.3:
        mask = random.random(x.shape[-1:]) < 0.6
        if name in ("max", "min"):
            keywords["initial"] = -0.3 if name == "max" else 0.3
    elif name in ("sum", "prod", "max", "min") and random.random() < 0.3:
        keywords["initial"] = 0.7

    def call(np: Any, x: Any) -> Any:
        where = {} if mask is None else {"where": np.array(mask)}
        return getattr(np, name)(x, **keywords, **where)

    def gaps(x: Any) -> Any:
        if name in ("max", "min"):
            return spread(numpy.append(x, keywords.get("initial", 99.0)))
        if name == "std":
            return numpy.std(x, axis=axis, where=True if mask is None else mask)
        return 1.0

    shown = f"{name}({keywords}{'' if mask is None else f', where={mask.tolist()}'})"
    return Operation(shown, call, gaps=gaps)


# ----- shapes -------------------------------------------------------------------------------------


def shape(random: numpy.random.Generator, x: Any) -> Operation:
    """Move, repeat, or run along the elements."""
    size, dims = x.size, x.shape
    axis = int(random.integers(-x.ndim, x.ndim)) if x.ndim else None
    other = int(random.integers(-x.ndim, x.ndim)) if x.ndim else None
    matrices: dict[str, Callable[..., Any]] = {
        "tril": lambda np, x: np.tril(x),
        "triu": lambda np, x: np.triu(x, 1),
        "diagonal": lambda np, x: np.diagonal(x),
        "trace": lambda np, x: np.trace(x, 1),
        "rot90": lambda np, x: np.rot90(x),
    }
    return _one_of(
        random,
        (matrices if x.ndim >= 2 else {})
        | {
            "ravel": lambda np, x: np.ravel(x),
            "column": lambda np, x: np.reshape(x, (size, 1)),
            "x.reshape(-1)": lambda np, x: x.reshape(-1),
            "transpose": lambda np, x: np.transpose(x),
            "x.T": lambda np, x: x.T,
            "swapaxes": lambda np, x: np.swapaxes(x, axis, other),
            "moveaxis": lambda np, x: np.moveaxis(x, axis, other),
            "flip": lambda np, x: np.flip(x, axis=axis),
            "roll": lambda np, x: np.roll(x, 1),
            f"roll({axis})": lambda np, x: np.roll(x, 2, axis=axis),
            "tile": lambda np, x: np.tile(x, (2, 1)),
            f"repeat({axis})": lambda np, x: np.repeat(x, 2, axis=axis),
            "broadcast_to": lambda np, x: np.broadcast_to(x, (2, *dims)),
            f"cumsum({axis})": lambda np, x: np.cumsum(x, axis=axis),
            f"diff({axis})": lambda np, x: np.diff(x, axis=axis),
            "diff twice": lambda np, x: np.diff(x, n=2),
            "gradient": lambda np, x: np.gradient(x, axis=-1),
            "expand_dims": lambda np, x: np.expand_dims(x, 0),
            "squeeze": lambda np, x: np.squeeze(x),
            "pad": lambda np, x: np.pad(x, 1, constant_values=0.3),
            "pad unevenly": lambda np, x: np.pad(x, [(0, 1)] * x.ndim, mode="constant"),
            "diag": lambda np, x: np.diag(x, -1),
            "split": lambda np, x: np.split(x, [1], axis=-1)[-1],
            "atleast_2d": lambda np, x: np.atleast_2d(x),
        },
    )


def ordering(random: numpy.random.Generator, x: Any) -> Operation:
    """Sort, and what is found by it."""
    axis = int(random.integers(-x.ndim, x.ndim)) if x.ndim else -1
    return _one_of(
        random,
        {
            f"sort({axis})": lambda np, x: np.sort(x, axis=axis),
            "sort(None)": lambda np, x: np.sort(x, axis=None),
            "x[argsort]": lambda np, x: np.ravel(x)[np.argsort(np.ravel(x))],
            "x[argmax]": lambda np, x: np.ravel(x)[np.argmax(x)],
        },
        gaps=spread,
    )


def index(random: numpy.random.Generator, x: Any) -> Operation:
    """Read some of the elements."""
    if x.ndim == 0:
        return Operation("x[None]", lambda np, x: x[None])
    rows = random.integers(0, x.shape[0], 3).tolist()
    columns = random.integers(0, x.shape[-1], 3).tolist()
    mask = random.random(x.shape[:1]) < 0.7
    return _one_of(
        random,
        {
            "x[0]": lambda np, x: x[0],
            "x[-1:]": lambda np, x: x[-1:],
            "x[..., 1:]": lambda np, x: x[..., 1:],
            "x[::-1]": lambda np, x: x[::-1],
            "x[1:][::2]": lambda np, x: x[1:][::2],
            "x[..., None]": lambda np, x: x[..., None],
            "x[:, ::2]": lambda np, x: x[:, ::2],
            f"x[{rows}]": lambda np, x: x[np.array(rows)],
            f"x[{rows}, {columns}]": lambda np, x: x[np.array(rows), np.array(columns)],
            f"x[:, None, {columns}]": lambda np, x: x[:, None, np.array(columns)],
            f"x[{mask.tolist()}]": lambda np, x: x[mask],
            "first of each": lambda np, x: sum(row[0] for row in x),
        },
    )


# ----- assignment ---------------------------------------------------------------------------------


def assignment(random: numpy.random.Generator, x: Any) -> Operation:
    """Write into a copy of the first operand, or into one that it has a view of."""
    n = x.shape[0] if x.ndim else 1
    rows = random.permutation(n)[:2].tolist()

    def recurrence(np: Any, x: Any) -> Any:
        y = np.array(x)
        for i in range(1, n):
            y = write(y, i, 0.5 * y[i - 1] * y[i])
        return y

    def filled(np: Any, x: Any, z: Any) -> Any:
        y = np.zeros((2, *numpy.broadcast_shapes(x.shape, z.shape)))
        y = write(y, 0, x)
        return write(y, 1, y[0] + z)

    def swapped(np: Any, x: Any, z: Any) -> Any:
        y = np.array(x)
        old = y[0] * 1.0
        y = write(y, 0, y[-1] + z)
        return write(y, -1, old)

    def added(np: Any, x: Any, z: Any) -> Any:
        y = np.array(x)
        y += z
        w = y * 1.0
        y *= 0.5 * w
        return y - 0.1 * w

    one: dict[str, Callable[..., Any]] = {
        "recurrence": recurrence,
        "y[1:] *= 0.5": lambda np, x: write(np.array(x), slice(1, None), 0.5, "multiply"),
        "y[0] = sum(y)": lambda np, x: write(np.array(x), 0, np.sum(x, axis=0)),
        "y[::-1] = y": lambda np, x: write(np.array(x), slice(None, None, -1), x * x),
    }
    two: dict[str, Callable[..., Any]] = {
        "y[0] = z": lambda np, x, z: write(np.array(x), 0, z),
        "y[...] = z": lambda np, x, z: write(np.array(x), ..., z) + x,
        "y[1:] = z": lambda np, x, z: write(np.array(x), slice(1, None), z),
        "y[..., 0] += z": lambda np, x, z: write(np.array(x), (..., 0), z, "add"),
        f"y[{rows}] = z": lambda np, x, z: write(np.array(x), np.array(rows), z),
        f"y[{rows}] += z": lambda np, x, z: write(np.array(x), np.array(rows), z, "add"),
        "y[:, 1] *= z": lambda np, x, z: write(np.array(x), (slice(None), 1), z, "multiply"),
        "zeros, y[0] = x, y[1] = y[0] + z": filled,
        "swapped": swapped,
        "y += z; y *= y": added,
        "beside reshape": lambda np, x, z: write_beside(np, x, 0, z, lambda y: y.reshape(-1)),
        "beside T": lambda np, x, z: write_beside(np, x, ..., z, lambda y: y.T),
        "beside y[1:][::2]": lambda np, x, z: write_beside(np, x, 0, z, lambda y: y[1:][::2]),
        "beside ravel": lambda np, x, z: write_beside(np, x, -1, z, lambda y: np.ravel(y)),
    }
    return _one_of(random, one) if random.random() < 0.3 else _one_of(random, two, count=2)


# ----- products, and what solves them -------------------------------------------------------------


def product(random: numpy.random.Generator, x: Any) -> Operation:
    """Multiply and add."""
    if random.random() < 0.15:
        return Operation("gram", lambda np, x: x @ np.transpose(x))
    if x.ndim == 0:
        return Operation("inner", lambda np, x, y: np.inner(x, y), 2)
    return _one_of(
        random,
        {
            "matmul": lambda np, x, y: x @ y,
            "dot": lambda np, x, y: np.dot(x, np.transpose(y)),
            "outer": lambda np, x, y: np.outer(x, y),
            "inner": lambda np, x, y: np.inner(x, y),
            "kron": lambda np, x, y: np.kron(x, y),
            "einsum": lambda np, x, y: np.einsum("ij,kj->ik", x, y),
            "einsum, dots": lambda np, x, y: np.einsum("...i,...i->...", x, np.atleast_1d(y)),
            "einsum, sums": lambda np, x, y: np.einsum("ij,...->j...", x, y),
            "tensordot": lambda np, x, y: np.tensordot(x, y, axes=([0], [0])),
            "tensordot, none": lambda np, x, y: np.tensordot(x, y, axes=0),
            "cross": lambda np, x, y: np.cross(x, y),
            "convolved": lambda np, x, y: np.real(
                np.fft.ifft(np.fft.fft(np.ravel(x), 5) * np.fft.fft(np.ravel(y), 5))
            ),
        },
        count=2,
    )


def _square(np: Any, x: Any) -> Any:
    """Return a matrix of 3 rows, well-conditioned, with the elements of `x` in it."""
    few = np.resize(x, (3, 3)) if np is numpy else np.tile(np.ravel(x), 9)[:9].reshape(3, 3)
    return np.array([[2.0, 0.1, 0.2], [0.3, 1.5, 0.1], [0.2, 0.4, 1.0]]) + 0.2 * np.tanh(few)


def _symmetric(np: Any, x: Any) -> Any:
    a = _square(np, x)
    return a @ a.T


def solving(random: numpy.random.Generator, x: Any) -> Operation:
    """Solve, invert, decompose; transform."""
    n = x.shape[-1] if x.ndim else 1
    if random.random() < 0.3:
        return Operation(
            "solve", lambda np, x, y: np.linalg.solve(_square(np, x), _square(np, y)[:, 0]), 2
        )
    return _one_of(
        random,
        {
            "inv": lambda np, x: np.linalg.inv(_square(np, x)),
            "det": lambda np, x: np.linalg.det(_square(np, x)) * x,
            "slogdet": lambda np, x: np.linalg.slogdet(_square(np, x))[1],
            "cholesky": lambda np, x: np.linalg.cholesky(_symmetric(np, x)),
            "eigh": lambda np, x: np.linalg.eigh(_symmetric(np, x))[0],
            "svd": lambda np, x: np.linalg.svd(_square(np, x), compute_uv=False),
            "pinv": lambda np, x: np.linalg.pinv(_square(np, x)[:2]),
            "fft": lambda np, x: np.real(np.fft.fft(x)) + np.imag(np.fft.fft(x)),
            "rfft": lambda np, x: np.imag(np.fft.rfft(x, axis=0)),
            "irfft": lambda np, x: np.fft.irfft(np.fft.rfft(x, norm="ortho") * 2, n),
            "fft2": lambda np, x: abs(np.fft.fft2(x)[..., 0, 0]) ** 2,
        },
    )


# ----- joints -------------------------------------------------------------------------------------


def joint(random: numpy.random.Generator, x: Any) -> Operation:
    """Put two arrays together."""
    return _one_of(
        random,
        {
            "concatenate": lambda np, x, y: np.concatenate([x, y], axis=0),
            "concatenate(None)": lambda np, x, y: np.concatenate((x, y, x), axis=None),
            "stack": lambda np, x, y: np.stack([x, y], axis=-1),
            "hstack": lambda np, x, y: np.hstack((x, y)),
            "vstack": lambda np, x, y: np.vstack((x, y)),
            "append": lambda np, x, y: np.append(x, y),
            "array": lambda np, x, y: np.array([x, y]),
        },
        count=2,
    )


def unary(random: numpy.random.Generator, x: Any) -> Operation:
    """Compute element by element."""
    table = SPECIAL if random.random() < 0.25 else UNARY
    return table[random.integers(len(table))]


def binary(random: numpy.random.Generator, x: Any) -> Operation:
    """Compute element by element of two operands that broadcast."""
    return BINARY[random.integers(len(BINARY))]


def _one_of(
    random: numpy.random.Generator,
    choices: dict[str, Callable[..., Any]],
    count: int = 1,
    gaps: Callable[..., Any] | None = None,
) -> Operation:
    name = str(random.choice(list(choices)))
    return Operation(name, choices[name], count, gaps=gaps)


#: How often each kind of operation is proposed.
KINDS: Sequence[tuple[Callable[..., Operation], float]] = (
    (unary, 0.17),
    (binary, 0.18),
    (reduction, 0.14),
    (shape, 0.1),
    (ordering, 0.03),
    (index, 0.08),
    (assignment, 0.15),
    (product, 0.07),
    (solving, 0.04),
    (joint, 0.04),
)
