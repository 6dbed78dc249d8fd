"""What Hypothesis draws: arrays of any shape, dtype and layout, and calls that fit them."""

import os
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy
from hypothesis import HealthCheck, configuration, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

# The same examples in each run where nobody looks for new ones; and nothing is written into the
# tree: a failure prints the line that repeats it.  BACKPASS_EXAMPLES=5000 searches for long.
settings.register_profile(
    "backpass",
    deadline=None,
    database=None,
    derandomize="CI" in os.environ,
    max_examples=int(os.environ.get("BACKPASS_EXAMPLES", "200")),
    print_blob=True,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,  # a backend stays what it is from example to example
        HealthCheck.too_slow,  # the first call imports
        HealthCheck.filter_too_much,
    ],
)
settings.load_profile("backpass")
configuration.set_hypothesis_home_dir(f"{tempfile.gettempdir()}/hypothesis")

REAL = ("float64", "float32")
INEXACT = (*REAL, "complex128", "complex64")
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
SEEDS = st.integers(0, 2**32 - 1)


def numbers(shape: tuple[int, ...], dtype: Any, seed: int) -> Any:
    """Return numbers from -2 to 2, no two alike."""
    random = numpy.random.default_rng(seed)
    kind = numpy.dtype(dtype)
    if kind.kind in "iub":
        return random.integers(0 if kind.kind != "i" else -3, 2 if kind.kind == "b" else 4, shape)
    made = random.uniform(-2, 2, shape)
    if kind.kind == "c":
        made = made + 1j * random.uniform(0.3, 2, shape)
    return numpy.asarray(made).astype(kind)


def laid_out(x: Any, layout: str) -> Any:
    """Return the array in another layout; `plain` is contiguous."""
    if x.ndim == 0:
        return x
    index = (slice(None, None, -1),) * x.ndim
    if layout == "reversed":
        return x[index].copy()[index]
    if layout == "spaced":
        wide = numpy.full(tuple(2 * n for n in x.shape), numpy.nan, x.dtype)
        view = wide[(slice(None, None, 2),) * x.ndim]
        view[...] = x
        return view
    if layout == "columns":
        return numpy.asfortranarray(x)
    if layout == "repeated" and x.shape[0]:
        return numpy.broadcast_to(x[:1], x.shape)
    return x


LAYOUTS = st.sampled_from(["plain", "plain", "reversed", "spaced", "columns", "repeated"])


@st.composite
def arrays(draw: Any, shapes: Any = SHAPES, dtypes: Any = INEXACT, layouts: Any = LAYOUTS) -> Any:
    """Draw an array."""
    x = numbers(draw(shapes), draw(st.sampled_from(dtypes)), draw(SEEDS))
    return laid_out(x, draw(layouts))


class Call(NamedTuple):
    """A call that fits an array.

    Attributes
    ----------
    text
        What it is, for messages.
    run
        `run(namespace, x)`, where `namespace("numpy")` has NumPy's names.
    linear
        It is linear in the array.
    """

    text: str
    run: Callable[..., Any]
    linear: bool = False

    def __repr__(self) -> str:
        return self.text


def named(
    name: str, *args: Any, module: str = "numpy", linear: bool = False, **keywords: Any
) -> Call:
    """Return the call of a function by its name; an array among the keywords goes to the device."""
    shown = ", ".join([*map(repr, args), *(f"{k}={v!r}" for k, v in keywords.items())])

    def run(namespace: Callable[[str], Any], x: Any) -> Any:
        np = namespace("numpy")
        moved = {k: np.array(v) if isinstance(v, numpy.ndarray) else v for k, v in keywords.items()}
        return getattr(namespace(module), name)(x, *args, **moved)

    return Call(f"{module}.{name}(x, {shown})", run, linear)


# ----- keywords -----------------------------------------------------------------------------------


def one_axis(ndim: int) -> Any:
    """Draw an axis, from either end."""
    return st.integers(-ndim, ndim - 1)


def some_axes(ndim: int) -> Any:
    """Draw `None`, an axis, or a tuple of axes."""
    if ndim == 0:
        return st.sampled_from([None, ()])
    return st.none() | one_axis(ndim) | hnp.valid_tuple_axes(ndim)


@st.composite
def reductions(draw: Any, x: Any) -> Call:
    """Draw a reduction with some of its keywords."""
    names = ["sum", "mean", "prod", "var", "std"] + ["max", "min"] * (x.dtype.kind == "f")
    name = draw(st.sampled_from(names))
    keywords: dict[str, Any] = {"axis": draw(some_axes(x.ndim))}
    if draw(st.booleans()):
        keywords["keepdims"] = draw(st.booleans())
    if name in ("var", "std") and draw(st.booleans()):
        keywords[draw(st.sampled_from(["ddof", "correction"]))] = draw(st.sampled_from([0, 1, 0.5]))
    linear = name in ("sum", "mean")
    if name in ("sum", "prod", "max", "min") and draw(st.booleans()):
        keywords["initial"] = 0.5
        linear = False
    if name in ("max", "min") and (x.size == 0 or draw(st.booleans())):
        keywords["initial"] = 0.5
    if draw(st.booleans()) and (name not in ("max", "min") or "initial" in keywords):
        shape = draw(hnp.broadcastable_shapes(x.shape, max_dims=x.ndim, max_side=1))
        fits = all(n in (1, m) for n, m in zip(shape[::-1], x.shape[::-1], strict=False))
        shape = shape if fits else x.shape
        keywords["where"] = numpy.random.default_rng(draw(SEEDS)).random(shape) < 0.7
    if name in ("sum", "mean", "prod") and draw(st.integers(0, 4)) == 0:
        keywords["dtype"] = "complex128" if x.dtype.kind == "c" else "float64"
    return named(name, linear=linear, **keywords)


@st.composite
def movements(draw: Any, x: Any) -> Call:
    """Draw a function that moves, repeats or adds elements: all of them are linear."""
    ndim = x.ndim
    axis = draw(one_axis(ndim)) if ndim else None
    calls: list[Any] = [
        st.just(named("ravel")),
        st.just(named("reshape", -1)),
        st.just(named("reshape", (*x.shape[::-1], 1))),
        st.just(named("atleast_2d")),
        st.just(named("atleast_3d")),
        st.just(named("squeeze")),
        st.just(named("transpose")),
        st.just(named("flip")),
        st.permutations(range(ndim)).map(lambda axes: named("transpose", tuple(axes))),
        st.integers(-ndim - 1, ndim).map(lambda a: named("expand_dims", a)),
        st.integers(-4, 4).map(lambda n: named("roll", n)),
        st.lists(st.integers(0, 2), max_size=4).map(lambda reps: named("tile", tuple(reps))),
        st.integers(0, 3).map(lambda n: named("repeat", n)),
        st.lists(st.integers(0, 2), max_size=2).map(
            lambda new: named("broadcast_to", (*new, *x.shape))
        ),
        st.just(named("cumsum")),
        st.just(named("real")),
    ]
    if ndim:
        calls += [
            st.just(named("flip", axis)),
            st.just(named("cumsum", axis=axis)),
            st.just(named("concatenate")) if ndim > 1 and len(x) else st.just(named("ravel")),
            st.integers(-4, 4).map(lambda n: named("roll", n, axis=axis)),
            st.integers(0, 3).map(lambda n: named("repeat", n, axis=axis)),
            st.integers(0, 2).map(lambda n: named("diff", n=n, axis=axis)),
            one_axis(ndim).map(lambda to: named("moveaxis", axis, to)),
            one_axis(ndim).map(lambda to: named("swapaxes", axis, to)),
            one_axis(ndim).map(lambda to: named("rollaxis", axis, to)),
            st.lists(st.integers(0, 4), max_size=3).map(
                lambda cuts: named("split", sorted(cuts), axis=axis)
            ),
            st.integers(1, 4).map(lambda n: named("array_split", n, axis=axis)),
            st.lists(
                st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=ndim, max_size=ndim
            ).map(lambda widths: named("pad", tuple(widths))),
        ]
    if 1 <= ndim <= 2:
        calls.append(st.integers(-4, 4).map(lambda k: named("diag", k)))
    if ndim >= 2:
        pairs = st.permutations(range(-ndim, 0)).map(lambda p: tuple(p[:2]))
        calls += [
            st.integers(-4, 4).map(lambda k: named("tril", k)),
            st.integers(-4, 4).map(lambda k: named("triu", k)),
            st.tuples(st.integers(-5, 5), pairs).map(lambda kp: named("rot90", kp[0], kp[1])),
            st.tuples(st.integers(-4, 4), pairs).map(lambda kp: named("trace", kp[0], *kp[1])),
            st.tuples(st.integers(-4, 4), pairs).map(lambda kp: named("diagonal", kp[0], *kp[1])),
        ]
    return draw(st.one_of(calls))._replace(linear=True)


@st.composite
def transforms(draw: Any, x: Any) -> Call:
    """Draw a Fourier transform with its keywords."""
    norm = draw(st.sampled_from([None, "backward", "ortho", "forward"]))
    names = ["fft", "ifft"] + (["rfft"] if x.dtype.kind == "f" else ["irfft"])
    name = draw(st.sampled_from(names))
    n = draw(st.none() | st.integers(1, 5))
    axis = draw(one_axis(x.ndim))
    if x.shape[axis] < (2 if name == "irfft" else 1):
        n = n or 2
    if draw(st.booleans()):
        return named(name, n, axis, norm, module="numpy.fft", linear=True)
    if x.shape[axis] == 0 or (name == "irfft" and x.shape[axis] < 2):
        return named(name, n=n, axis=axis, module="numpy.fft", linear=True)
    return named(f"{name}n", axes=(axis,), norm=norm, module="numpy.fft", linear=True)


ELEMENTWISE = (
    "exp sin cos tanh square negative conj real imag absolute arctan expm1 sinh cosh positive"
).split()


@st.composite
def elementwise(draw: Any, x: Any) -> Call:
    """Draw a function of each element."""
    real_only = "exp2 fabs sinc arcsinh deg2rad rad2deg cbrt".split()
    names = ELEMENTWISE + (real_only if x.dtype.kind == "f" else [])
    name = draw(st.sampled_from(names))
    linear = name in ("negative", "real", "positive")
    return named(name, linear=linear)


@st.composite
def orderings(draw: Any, x: Any) -> Call:
    """Draw a sort; complex numbers are left alone."""
    if x.dtype.kind == "c":
        return named("square")
    axis = draw(st.none() | one_axis(x.ndim)) if x.ndim else None
    return named("sort", axis=axis)


@st.composite
def calls(draw: Any, linear: bool = False) -> tuple[Call, Any]:
    """Draw an array, and any call that fits it."""
    x = draw(arrays())
    kinds = [movements, reductions, elementwise]
    kinds += [] if linear else [orderings]
    kinds += [transforms] if x.ndim and x.size else []
    call = draw(st.sampled_from(kinds).flatmap(lambda kind: kind(x)))
    return call, x


# ----- indices ------------------------------------------------------------------------------------


@st.composite
def indices(draw: Any, shape: tuple[int, ...]) -> Any:
    """Draw an index: basic, advanced, a mask, or several kinds in one."""
    kind = draw(st.sampled_from(["basic", "advanced", "mask", "rows", "mixed", "mixed"]))
    if kind == "basic" or not shape:
        return draw(hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True, max_dims=5))
    if kind == "mask":
        dims = draw(st.integers(1, len(shape)))
        return numpy.random.default_rng(draw(SEEDS)).random(shape[:dims]) < 0.6
    if 0 in shape:
        return ()
    if kind == "advanced":
        return draw(hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(max_side=3)))
    if kind == "rows":
        return draw(st.lists(st.integers(-shape[0], shape[0] - 1), max_size=4))
    # Integers, slices, arrays, new axes and an ellipsis in any order.
    parts: list[Any] = []
    common = draw(st.integers(1, 3))
    for n in shape:
        if draw(st.booleans()):
            parts.append(draw(st.slices(n)))
        elif draw(st.booleans()):
            parts.append(draw(st.integers(-n, n - 1)))
        else:
            places = st.integers(-n, n - 1)
            parts.append(numpy.array(draw(st.lists(places, min_size=common, max_size=common))))
        if draw(st.integers(0, 3)) == 0:
            parts.append(None)
    keep = draw(st.integers(0, len(parts)))
    if draw(st.booleans()):
        return (*parts[:keep], ...)
    return tuple(parts)


@st.composite
def subscripts(draw: Any) -> tuple[str, list[tuple[int, ...]]]:
    """Draw subscripts of einsum, and the operands' shapes."""
    lengths = {label: draw(st.integers(1, 3)) for label in "ijkl"}
    labels = st.lists(st.sampled_from("ijkl"), max_size=3)
    terms = draw(st.lists(labels, min_size=1, max_size=3))
    found = sorted(set("".join("".join(term) for term in terms)))
    out = draw(
        st.permutations(found).flatmap(lambda p: st.integers(0, len(p)).map(lambda n: p[:n]))
    )
    text = ",".join("".join(term) for term in terms) + "->" + "".join(out)
    return text, [tuple(lengths[label] for label in term) for term in terms]
