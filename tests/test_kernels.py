"""Every registered kernel of every backend computes what its primitive, or its rule, says.

A kernel is free to return NotImplemented where the reference takes over, except in its main case:
contiguous operands of one shape and dtype.
"""

import functools
import importlib
import inspect
import itertools
import math
import os
import platform
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import pytest

import backpass.numpy
import backpass.scipy.special
import backpass.scipy.stats  # noqa: F401 - declares primitives
from backpass.core.backends import NUMPY, Backend
from backpass.core.cotangents import fit_cotangent
from backpass.core.primitive import Primitive, Rule

from .gradients.places import Place, cupy_place, primitives, require_gpu, without_kernels

try:
    importlib.import_module("backpass.nn.functional")
except ImportError:
    OTHERS = frozenset({"momentum_update", "sgd_update"})  # what backpass.nn would have declared
else:
    OTHERS = frozenset()
#: What the walks and checks use, tested apart: `core.cotangents` has the same in Python.
OTHERS |= {"unbroadcast", "copies", "one_like", "within"}

GPU = cupy_place()
#: CuPy's hypot and arctan2 of halves do not compile.
NOT_COMPILED: tuple[type[Exception], ...] = ()
if isinstance(GPU, Place):
    NOT_COMPILED = (importlib.import_module("cupy.cuda.compiler").CompileException,)
BACKENDS: list[Backend] = [NUMPY, *([GPU.backend] if isinstance(GPU, Place) else [])]
PRIMITIVES = {p.name: p for p in primitives()}
#: Updates in place, tested apart: how they are called, and how many arrays each weight takes.
STEPS = [
    ("momentum_update", {"learning_rate": 0.25, "momentum": 0.75}, 3),
    ("sgd_update", {"learning_rate": 0.25}, 2),
    *(
        (
            "velocity_update",
            {
                "learning_rate": 0.25,
                "momentum": 0.75,
                "dampening": dampening,
                "weight_decay": decay,
                "nesterov": nesterov,
            },
            3,
        )
        for dampening, decay, nesterov in [(0.0, 0.0, False), (0.5, 0.1, False), (0.0, 0.1, True)]
    ),
    *(
        (
            "adam_update",
            {
                "learning_rate": 0.25,
                "beta1": 0.75,
                "beta2": 0.875,
                "eps": 1e-3,
                "weight_decay": decay,
                "decoupled": decoupled,
                "amsgrad": amsgrad,
                "step": 3,
            },
            5 if amsgrad else 4,
        )
        for decay, decoupled, amsgrad in [
            (0.0, False, False),
            (0.1, False, True),
            (0.1, True, False),
        ]
    ),
    *(
        (
            "rmsprop_update",
            {
                "learning_rate": 0.25,
                "alpha": 0.75,
                "eps": 1e-3,
                "weight_decay": 0.1,
                "momentum": momentum,
                "centered": centered,
            },
            3 + centered + (momentum > 0),
        )
        for momentum, centered in [(0.0, False), (0.5, False), (0.5, True)]
    ),
    ("adagrad_update", {"learning_rate": 0.25, "eps": 1e-3, "weight_decay": 0.1}, 3),
    (
        "lion_update",
        {"learning_rate": 0.25, "beta1": 0.75, "beta2": 0.875, "weight_decay": 0.1},
        3,
    ),
    ("average_update", {"decay": 0.75}, 2),
]
UPDATES = frozenset(name for name, *_ in STEPS)
#: What is done to gradients, and what comes of it: tested apart, too.
GRADIENTS = frozenset(
    {
        "gradient_norm",
        "scaled_gradients",
        "unscaled_gradients",
        "cast_update",
        "half_casts",
        "scale_update",
    }
)
#: Arrays that are kept and never negative: under a root, or its bound.
SQUARES = {"adam_update": (2, 3), "rmsprop_update": (1,), "adagrad_update": (1,)}
PRODUCTS = frozenset({"matmul", "dot"})
#: Kernels that move elements: a test each.
SHAPING = frozenset({"broadcast_to", "reshape", "transpose"})
INDEXING = frozenset({"getitem", "scatter"})
PERMUTING = frozenset({"permute", "permute_back"})
JOINING = frozenset({"concatenate", "stack"})
#: Along one axis, or all.
PLACES = frozenset({"argmax", "argmin"})
#: Reductions that have no finite value of no elements.
EXTREMES = frozenset({"max", "min", "argmax", "argmin", "logsumexp", "softmax", "log_softmax"})


#: Left to the library where there are many elements, on some instruction sets.
FEW = frozenset({"power"})
if os.environ.get("BACKPASS_ISA") == "scalar" or platform.machine() not in ("x86_64", "AMD64"):
    FEW |= frozenset(
        "absolute add ceil divide fabs floor fmax fmin maximum minimum multiply negative "
        "reciprocal rint sinc sqrt square subtract trunc".split()
    )
#: Near 0 the logarithm of a sum is what two operands leave over.
CANCELS = frozenset({"logaddexp", "logaddexp2"})
#: By the poles of digamma, the negative integers, SciPy's loses digits; next to one, all of them.
POLES = frozenset({"gamma", "gammaln"})
#: At infinities, and where they overflow, the libraries have their own ideas of Bessel functions.
BESSEL = frozenset({"i0", "j0", "y0"})
#: Left to the rule where an operand is nan.
NO_NAN = frozenset({"fmax", "fmin"})


class Kernel:
    """A registered kernel, its primitive, and the rule it stands for, if it does."""

    def __init__(self, backend: Backend, name: str) -> None:
        self.backend = backend
        self.name = name
        self.call = backend.kernels[name]
        self.base, _, self.suffix = name.partition(".")

    @property
    def primitive(self) -> Primitive:
        return PRIMITIVES[self.base]

    @property
    def rule(self) -> Rule | None:
        """The rule; `None` for a kernel that computes the function itself."""
        if not self.suffix:
            return None
        rules = [r for r in self.primitive.vjps if r is not None]
        if self.suffix == "vjp":
            return rules[0]
        return self.primitive.vjps[int(self.suffix.removeprefix("vjp"))]

    @property
    def keywords(self) -> list[str]:
        if self.primitive.function is None:
            return []
        parameters = inspect.signature(self.primitive.function).parameters.values()
        return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]

    @property
    def count(self) -> int:
        """The number of the call's operands."""
        return len(self.primitive.parameters)

    @property
    def kind(self) -> str:
        """How to call it: this is where a new kind of kernel must be described."""
        if self.base in UPDATES:
            return "update"
        if self.base in GRADIENTS:
            return "gradients"
        if self.is_of_a_network:
            return "network"
        if self.base in PRODUCTS:
            return "product"
        if self.base == "einsum":
            return "contraction"
        if "axis" in self.keywords and self.base not in PERMUTING | JOINING | {"sorted_order"}:
            return "scan" if self.base == "cumsum" else "reduction"
        if self.base in SHAPING or self.base == "where":
            return self.base
        if self.base in INDEXING:
            return "indexing"
        if self.base in PERMUTING:
            return "permuting"
        if self.base == "sorted_order":
            return "order"
        if self.base in JOINING:
            return "joining"
        if not self.keywords and not self.primitive.variadic:
            return ("unary", "binary", "nary")[min(self.count, 3) - 1]
        return "unknown"

    @property
    def is_of_a_network(self) -> bool:
        """Whether `test_network_kernels.py` calls it, with what its family's file says."""
        function = self.primitive.function
        if function is None or not function.__module__.startswith("backpass.nn.functional"):
            return False
        return self.primitive.kind != "elementwise" or bool(self.keywords)

    def reference(self, *xs: Any, **keywords: Any) -> Any:
        """Compute what the kernel should, from the operands, without any kernel.

        For a rule the first operand is the cotangent; the others are the call's operands.
        """
        with numpy.errstate(all="ignore"):
            if self.rule is None:
                return self.primitive.reference(self.backend)(*xs, **keywords)
            g, *operands = xs
            saved = self.saved(*operands, **keywords)
            with without_kernels(self.backend):
                return self.rule.run(g, saved, keywords)

    def saved(self, *operands: Any, **keywords: Any) -> list[Any]:
        """Return what the rule reads."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ans = self.primitive.reference(self.backend)(*operands, **keywords)
        assert self.rule is not None
        return [(ans, *operands)[p] for p in self.rule.positions]

    def run(self, *xs: Any, **keywords: Any) -> Any:
        """Call the kernel as a walk does."""
        if self.rule is None:
            return self.call(*xs, **keywords)
        g, *operands = xs
        return self.call(g, *self.saved(*operands, **keywords), **keywords)

    def fetch(self, x: Any) -> Any:
        return numpy.asarray(self.backend.to_host(x))


def names(*kinds: str, rules: bool | None = None) -> list[Any]:
    """Return the kernels of some kinds, as parameters of a test; rules only, or functions only."""
    found = [Kernel(backend, name) for backend in BACKENDS for name in sorted(backend.kernels)]
    known = [k for k in found if k.base in PRIMITIVES]
    return [
        pytest.param(k, id=f"{k.backend.name}-{k.name}")
        for k in known
        if k.kind in kinds and rules in (None, bool(k.suffix))
    ]


# ----- operands -----------------------------------------------------------------------------------

DTYPES = ("float32", "float64")
#: Views of an array of shape (6, 8) or longer, on whatever device.
VIEWS: dict[str, Callable[[Any, Any], Any]] = {
    "main": lambda xp, x: x,
    "1d": lambda xp, x: x.reshape(-1),
    "3d": lambda xp, x: x.reshape(2, 3, -1),
    "spaced": lambda xp, x: x[::2, ::2],
    "1d_spaced": lambda xp, x: x.reshape(-1)[1::3],
    "reversed": lambda xp, x: x[::-1, ::-1],
    "transposed": lambda xp, x: x.T,
    "column": lambda xp, x: x[:, 3],
    "part": lambda xp, x: x[1:4, 2:5],
    "spread_row": lambda xp, x: xp.broadcast_to(x[0], x.shape),
    "spread_column": lambda xp, x: xp.broadcast_to(x[:, :1], x.shape),
    "spread_scalar": lambda xp, x: xp.broadcast_to(x[1, 1], x.shape),
    "one": lambda xp, x: x[:1, :1],
    "0d": lambda xp, x: x[2, 3],
    "0d_array": lambda xp, x: x[2:3, 3:4].reshape(()),
    "empty": lambda xp, x: x[:0],
    "empty_1d": lambda xp, x: x.reshape(-1)[:0],
    "empty_columns": lambda xp, x: x[:, :0],
}


def special(dtype: str) -> Any:
    """Return the numbers where kernels err: zeros, infinities, nan, denormals, ends of ranges."""
    limits = numpy.finfo(dtype)
    positive = [
        0.0, limits.smallest_subnormal, limits.tiny / 8, limits.tiny, limits.eps, 1e-3, 0.25, 0.5,
        1 - limits.epsneg, 1.0, 1 + limits.eps, 1.5, 2.0, 3.25, 10.0, 20.0, 87.3, 88.8, 103.9, 1e4,
        limits.max / 4, limits.max, numpy.inf,
    ]  # fmt: skip
    values = numpy.array(positive, dtype)
    return numpy.concatenate([values, -values, numpy.array([numpy.nan], dtype)])


def ordinary(dtype: str, count: int, seed: int = 0) -> Any:
    """Return numbers of both signs, about 1."""
    return numpy.random.default_rng(seed).uniform(-2, 2, count).astype(dtype)


def mixed(dtype: str, seed: int = 0) -> Any:
    """Return special and ordinary numbers in an array of shape (12, 8)."""
    values = numpy.concatenate([special(dtype), ordinary(dtype, 96 - len(special(dtype)), seed)])
    return numpy.random.default_rng(seed).permutation(values).reshape(12, 8)


def cotangents(dtype: str, seed: int = 5) -> Any:
    """Return cotangents in an array of shape (12, 8), many of them zero."""
    rare = numpy.array([0.0, -0.0, 1.0, -1.0] * 5 + [0.0] * 20, dtype)
    values = numpy.concatenate([rare, ordinary(dtype, 96 - len(rare), seed)])
    return numpy.random.default_rng(seed).permutation(values).reshape(12, 8)


# ----- comparison ---------------------------------------------------------------------------------


def agrees(found: Any, right: Any, scale: Any, least: Any = None) -> Any:
    """Tell which elements agree to a few units in the last place, and to as much of `scale`.

    What is within a few bits of the largest number may have overflowed; what is less than `least`,
    by default the smallest numbers, may be 0.
    """
    if found.dtype.kind not in "fc":
        return found == right
    limits = numpy.finfo(found.dtype)
    if least is None:
        least = 4 * limits.smallest_subnormal
    with numpy.errstate(all="ignore"):
        allowed = 16 * limits.eps * (abs(right) + scale) + least
        same = (found == right) | (numpy.isnan(found) & numpy.isnan(right))
        close = numpy.isfinite(found) & numpy.isfinite(right) & (abs(found - right) <= allowed)
        edge = (abs(found) > limits.max / 16) & (abs(right) > limits.max / 16)
        return same | close | (edge & (numpy.sign(found) == numpy.sign(right)))


def compare(
    kernel: Kernel, found: Any, right: Any, shape: Any, scale: Any = 0.0, better: Any = None
) -> None:
    """Compare with the reference, or, where that is at the end of its range, with a better one."""
    if kernel.backend.device == "cpu":
        assert isinstance(found, numpy.ndarray | numpy.generic), type(found)
        assert (found.shape == ()) == isinstance(found, numpy.generic), "0-d results are scalars"
    found, right = kernel.fetch(found), kernel.fetch(right)
    if kernel.rule is None:
        assert found.shape == right.shape
        assert found.dtype == right.dtype
    else:  # what a rule returns is un-broadcast and cast centrally
        assert right.dtype.kind == found.dtype.kind
    found, right = numpy.broadcast_arrays(found, right)
    assert found.shape == shape
    # CuPy compiles kernels so that denormal numbers of single precision count as 0.
    flushed = kernel.backend.device != "cpu" and found.dtype == numpy.float32
    least = numpy.finfo(numpy.float32).tiny if flushed else None
    fits = agrees(found, right, scale, least)
    if better is not None and not fits.all():
        with numpy.errstate(all="ignore"):
            best = numpy.asarray(better(), found.dtype)
        fits |= agrees(found, numpy.broadcast_to(best, shape), scale, least)
    wrong = ~fits
    assert not wrong.any(), (
        f"{kernel.name}: {found[wrong][:5]} where the reference has {right[wrong][:5]}, "
        f"at {[tuple(map(int, i)) for i in numpy.argwhere(wrong)[:5]]}"
    )
    if kernel.rule is None and kernel.kind == "unary":
        zeros = found == 0
        assert (numpy.signbit(found) == numpy.signbit(right))[zeros].all(), "the sign of a zero"


def check(kernel: Kernel, xs: list[Any], *, main: bool = False, **options: Any) -> bool:
    """Run a kernel and compare it; tell whether it handled the operands."""
    keywords = options.pop("keywords", {})
    if kernel.base in POLES:
        # Digamma is a sum whose terms cancel by its zeros; gamma is up to 4 there.
        options["scale"] = 8 * options.get("scale", 0.0)
        xs = [*xs[:1], *(beside_poles(kernel, x) for x in xs[1:])]
    if kernel.base in BESSEL:
        xs = [*xs[:1], *(moderate(kernel, x) for x in xs[1:])]
    before = [kernel.fetch(x).copy() for x in xs]
    found = kernel.run(*xs, **keywords)
    for x, old in zip(xs, before, strict=True):
        numpy.testing.assert_array_equal(kernel.fetch(x), old)
    if found is NotImplemented:
        values = [kernel.fetch(x) for x in xs]
        main = main and not (kernel.name in FEW and max(x.size for x in values) > 32)
        main = main and not (kernel.base in NO_NAN and any(numpy.isnan(x).any() for x in values))
        assert not main, f"{kernel.name} does not handle its main case"
        return False
    right = kernel.reference(*xs, **keywords)
    shape = options.pop("shape", None)
    if kernel.base in CANCELS and kernel.rule is None:
        sizes = [numpy.where(numpy.isfinite(x), abs(x), 0) for x in map(kernel.fetch, xs)]
        options["scale"] = numpy.maximum(*sizes)
    single = any(getattr(x, "dtype", "float64") == "float32" for x in xs)
    if kernel.kind in ("unary", "binary", "nary") and (kernel.backend.device == "cpu" or single):
        options["better"] = lambda: kernel.fetch(kernel.reference(*map(wider, xs), **keywords))
    compare(kernel, found, right, right.shape if shape is None else shape, **options)
    return True


def beside_poles(kernel: Kernel, x: Any) -> Any:
    """Return an operand with 0.75 in the place of what lies next to a negative integer."""
    if not hasattr(x, "strides"):
        return 0.75 if math.isfinite(x) and x < 0 and abs(x - round(x)) < 0.25 else x
    xp = kernel.backend.library
    with numpy.errstate(invalid="ignore"):
        beside = (x < 0) & (abs(x - xp.rint(x)) < 0.25)
    return xp.where(beside, x.dtype.type(0.75), x)[()]


def moderate(kernel: Kernel, x: Any) -> Any:
    """Return an operand with 0.75 in the place of what is not between 0.001 and 50 in size."""
    xp = kernel.backend.library
    return xp.where((abs(x) > 1e-3) & (abs(x) < 50), x, x.dtype.type(0.75))[()]


def wider(x: Any) -> Any:
    """Return an operand with more digits and a larger range, as far as there are such."""
    if not hasattr(x, "dtype"):
        return x
    if x.dtype == numpy.float32:
        return x.astype(numpy.float64)
    # A GPU has nothing wider than double precision.
    return x.astype(numpy.longdouble) if isinstance(x, numpy.ndarray | numpy.generic) else x


def views(kernel: Kernel, x: Any) -> Iterator[tuple[str, Any]]:
    """Yield views of an array, on the kernel's device."""
    there = kernel.backend.from_host(x)
    for name, view in VIEWS.items():
        yield name, view(kernel.backend.library, there)


# ----- the table ----------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_every_kernel_belongs_to_a_primitive(backend):
    assert backend.kernels
    for name in backend.kernels:
        base, dot, suffix = name.partition(".")
        if base in OTHERS and not dot:
            continue
        assert base in PRIMITIVES, f"the kernel {name} belongs to no primitive"
        assert Kernel(backend, name).kind != "unknown", f"this file cannot call {name}: teach it"
        if not dot:
            continue
        found = re.fullmatch(r"vjp(\d*)", suffix)
        assert found, f"{name}: a rule's kernel is called vjp, vjp0, vjp1"
        rules = PRIMITIVES[base].vjps
        if PRIMITIVES[base].joint is not None:
            assert suffix == "vjp", name
        elif found[1]:
            assert int(found[1]) < len(rules), name
            assert rules[int(found[1])] is not None, name
        else:
            assert sum(rule is not None for rule in rules) == 1, name


def test_the_gpus_kernels_are_here_where_a_gpu_is_required():
    assert require_gpu().backend in BACKENDS


# ----- elementwise --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", names("unary"))
def test_unary(kernel, dtype):
    if kernel.rule is None:
        for name, x in views(kernel, mixed(dtype)):
            check(kernel, [x], main=name in ("main", "1d"))
        check(kernel, [kernel.backend.from_host(ordinary(dtype, 70_001))], main=True)
        return
    for (name, x), (_, g) in zip(
        views(kernel, mixed(dtype)), views(kernel, cotangents(dtype)), strict=True
    ):
        scale = abs(kernel.fetch(g))
        check(kernel, [g, x], main=name in ("main", "1d"), scale=scale)
    x, g = (kernel.backend.from_host(ordinary(dtype, 70_001, seed)) for seed in (1, 2))
    check(kernel, [g, x], main=True, scale=abs(kernel.fetch(g)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", names("unary", rules=True))
def test_unary_rule_with_a_spread_cotangent(kernel, dtype):
    xp = kernel.backend.library
    x = kernel.backend.from_host(mixed(dtype))
    row = kernel.backend.from_host(cotangents(dtype)[0])
    for g in (numpy.ones((), dtype)[()], numpy.zeros((), dtype)[()], row):
        g = xp.broadcast_to(kernel.backend.from_host(g), x.shape)
        check(kernel, [g, x], scale=abs(kernel.fetch(g)))


def _wide(kernel: Kernel, xs: list[Any]) -> Any:
    """Return the scale of rounding of a binary rule: that of the cotangent."""
    return 0.0 if kernel.rule is None else abs(kernel.fetch(xs[0]))


def _binary(kernel: Kernel, x: Any, y: Any, dtype: str, main: bool = False) -> bool:
    shape = numpy.broadcast_shapes(numpy.shape(x), numpy.shape(y))
    if kernel.rule is None:
        return check(kernel, [x, y], main=main)
    count = max(int(numpy.prod(shape)), 1)
    values = numpy.resize(cotangents(dtype).ravel(), count)[: int(numpy.prod(shape))]
    g = kernel.backend.from_host(values.reshape(shape))[()]
    return check(kernel, [g, x, y], main=main, shape=shape, scale=_wide(kernel, [g]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", names("binary"))
def test_binary_of_one_shape(kernel, dtype):
    for (name, x), (_, y) in zip(
        views(kernel, mixed(dtype, 1)), views(kernel, mixed(dtype, 2)), strict=True
    ):
        _binary(kernel, x, y, dtype, main=name in ("main", "1d"))
    every = numpy.array(list(itertools.product(special(dtype), repeat=2)), dtype)
    x, y = (kernel.backend.from_host(numpy.ascontiguousarray(e)) for e in every.T)
    _binary(kernel, x, y, dtype, main=True)
    x, y = (kernel.backend.from_host(ordinary(dtype, 70_001, seed)) for seed in (1, 2))
    _binary(kernel, x, y, dtype, main=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", names("binary"))
def test_binary_broadcasts(kernel, dtype):
    put = kernel.backend.from_host
    x, y = put(mixed(dtype, 1)), put(mixed(dtype, 2))
    pairs = [
        (x, y[0]), (x[0], y), (x, y[:, :1]), (x[:, :1], y), (x[:, :1], y[:1]), (x[:1], y[:, :1]),
        (x, y[0, 0]), (x[0, 0], y), (x.T, y[:, 0]), (x[::2], y[1]), (x[None], y[:, None]),
        (x[:0], y[0]), (x[0, 0], y[:0]), (x, y[:1, :1]), (x[2], y[3, 4]), (x[1, 2], y[3, 4]),
        (x.reshape(3, 4, 8), y[:4]), (x.reshape(3, 4, 8)[:, :1], y[:4]),
    ]  # fmt: skip
    for one, other in pairs:
        _binary(kernel, one, other, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", names("binary"))
def test_binary_with_numbers(kernel, dtype):
    x = kernel.backend.from_host(mixed(dtype, 1))
    for number in (2.0, 0.0, -1.5, 3, 0, numpy.inf, numpy.nan, 1e-30):
        _binary(kernel, x, number, dtype)
        _binary(kernel, number, x, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", names("binary", rules=True))
def test_a_cotangent_that_is_spread_or_strided(kernel, dtype):
    xp, put = kernel.backend.library, kernel.backend.from_host
    x, y, g = put(mixed(dtype, 1)), put(mixed(dtype, 2)), put(cotangents(dtype))
    for spread in (
        xp.broadcast_to(put(numpy.ones((), dtype)), x.shape),
        xp.broadcast_to(g[0], x.shape),
        g[::-1],
        xp.broadcast_to(put(numpy.zeros((), dtype)), x.shape),
    ):
        check(kernel, [spread, x, y], shape=x.shape, scale=_wide(kernel, [spread]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", names("unary", "binary", rules=True))
def test_cotangents_that_are_not_finite(kernel, dtype):
    every = list(
        itertools.product((numpy.inf, -numpy.inf, numpy.nan), *[special(dtype)] * kernel.count)
    )
    columns = numpy.array(every, dtype).T
    operands = [kernel.backend.from_host(numpy.ascontiguousarray(c)) for c in columns]
    check(kernel, operands, main=True)


@pytest.mark.parametrize("kernel", names("unary", "binary"))
def test_what_a_kernel_is_not_made_for_it_leaves_to_the_reference(kernel):
    count = kernel.count + bool(kernel.suffix)
    odd = [numpy.arange(1, 5), numpy.ones(4, bool), ordinary("float64", 4) + 1j]
    odd += [ordinary("float16", 4), ordinary("float64", 4).astype(">f8")]
    for x in odd:
        if kernel.backend.device != "cpu" and x.dtype.byteorder == ">":
            continue
        try:
            right = kernel.reference(*[kernel.backend.from_host(x)] * count)
        except (TypeError, *NOT_COMPILED):
            continue
        found = kernel.run(*[kernel.backend.from_host(x)] * count)
        if found is not NotImplemented:
            if kernel.rule is None:  # what a rule returns is cast centrally
                # Activations keep half precision, which functions of SciPy's in them widen.
                kept = kernel.base in ("mish", "silu") and found.dtype == x.dtype
                assert found.dtype == right.dtype or kept
            found, right = kernel.fetch(found), kernel.fetch(right)
            # The absolute limit is for what cancels in half precision, and not in single.
            numpy.testing.assert_allclose(found, right, rtol=1e-2, atol=1e-6)
    assert kernel.call(*[object()] * _operands(kernel)) is NotImplemented


def _operands(kernel: Kernel) -> int:
    if kernel.rule is None:
        return kernel.count
    return 1 + len(kernel.rule.positions)


class _Subclass(numpy.ndarray):
    """An array that computes in a way of its own."""


@pytest.mark.parametrize("kernel", names("unary", "binary", "reduction", "product"))
def test_a_subclass_and_shapes_that_do_not_fit_are_left_to_the_reference(kernel):
    x = ordinary("float64", 6).reshape(2, 3)
    count = _operands(kernel)
    if kernel.backend.device == "cpu":
        assert kernel.call(*[x.view(_Subclass)] * count) is NotImplemented
    if count > 1 and kernel.kind in ("binary", "product"):
        put = kernel.backend.from_host
        operands = [put(x), put(ordinary("float64", 20).reshape(4, 5))]
        assert kernel.call(*(operands * count)[:count]) is NotImplemented


@pytest.mark.parametrize("kernel", names("binary"))
def test_operands_of_two_dtypes(kernel):
    put = kernel.backend.from_host
    single, double = put(ordinary("float32", 6, 1)), put(ordinary("float64", 6, 2))
    for x, y in ((single, double), (double, single), (single, double[0]), (double[0], single)):
        _binary(kernel, x, y, "float64")
    _binary(kernel, single, put(numpy.arange(1, 7)), "float64")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", names("where"))
def test_where(kernel, dtype):
    for size in (1, 7, 96, 70_001):
        x, y = numpy.resize(mixed(dtype), size), numpy.resize(mixed(dtype, 1), size)
        chosen = ordinary(dtype, size, 4) > 0.5
        shapes = [(size,), (12, 8)] if size == 96 else [(size,)]
        for shape in shapes:
            c, x, y = (kernel.backend.from_host(a.reshape(shape)) for a in (chosen, x, y))
            spread = kernel.backend.library.broadcast_to(x.reshape(-1)[:1], shape)
            for one, other in (
                (x, y),
                (x, 0.0),
                (1, y),
                (spread, y),
                (x, spread),
                (x[..., ::-1], y),
            ):
                main = one is x and other is y
                assert check(kernel, [c, one, other], main=main) or not main
    c = kernel.backend.from_host(numpy.array([[True], [False]]))
    x = kernel.backend.from_host(mixed(dtype)[:2])
    for operands in ([c, x, 0.0], [True, x, 0.0], [x, x, x], [c, x, x[:, :1]], [c, 1.0, 2.0]):
        check(kernel, operands)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", names("nary"))
def test_of_several_operands(kernel, dtype):
    put = kernel.backend.from_host
    xs = [put(ordinary(dtype, 96, i).reshape(12, 8) / 8 + 0.5) for i in range(kernel.count)]
    g = put(cotangents(dtype)) if kernel.suffix else None
    scale = abs(kernel.fetch(g)) * 100 if kernel.suffix else 0.0
    lead = [] if g is None else [g]
    assert check(kernel, [*lead, *xs], main=True, scale=scale)
    for i in range(kernel.count):
        for other in (xs[i][0], xs[i][:, :1], xs[i][1, 2], xs[i][:, ::-1], 0.625):
            operands = [*xs[:i], other, *xs[i + 1 :]]
            check(kernel, [*lead, *operands], scale=scale, shape=(12, 8))


# ----- reductions ---------------------------------------------------------------------------------

AXES: list[Any] = [None, 0, 1, -1, -2, (0, 1), (-1, 0), (1,), ()]
AXES_3D: list[Any] = [None, 0, 1, 2, -1, (0, 1), (0, 2), (1, 2), (-3, -1), (0, 1, 2)]


def rows(dtype: str) -> Any:
    """Return numbers in an array of shape (12, 8), with rows of special ones."""
    x = ordinary(dtype, 96, 3).reshape(12, 8) * 20
    x[1] = -numpy.inf
    x[2, 3] = numpy.inf
    x[3, ::2] = numpy.inf
    x[4, 1] = numpy.nan
    x[5] = 7
    x[6, :5] = -numpy.inf
    x[7, 2:4] = x[7].max()
    x[8] = 0
    x[9, 0], x[9, 1] = numpy.inf, -numpy.inf
    return x


def _combinations(kernel: Kernel, axes: list[Any]) -> Iterator[dict[str, Any]]:
    """Yield keywords as core passes them: those that are not the default."""
    for axis in axes:
        if isinstance(axis, tuple) and kernel.base in PLACES:
            continue
        for keepdims in (False, True) if "keepdims" in kernel.keywords else (False,):
            keywords = {} if axis is None else {"axis": axis}
            yield {**keywords, "keepdims": True} if keepdims else keywords


def _reduce(kernel: Kernel, x: Any, keywords: dict[str, Any], main: bool = False) -> bool:
    host = kernel.fetch(x)
    with numpy.errstate(all="ignore"):
        finite = abs(numpy.where(numpy.isfinite(host), host, 0))
    if kernel.rule is None:
        if kernel.base in ("softmax", "log_softmax"):
            scale: Any = 1 + finite.max(initial=0.0)
        elif kernel.base == "logsumexp":
            scale = 1 + finite.max(initial=0.0)
        elif kernel.base in ("std", "var"):
            # Of equal numbers nothing is left but the rounding of their mean.
            largest = finite.max(initial=0.0)
            with numpy.errstate(all="ignore"):
                scale = largest if kernel.base == "std" else largest * largest
        else:
            scale = finite.sum() if kernel.base in ("sum", "mean") else 0.0
        return check(kernel, [x], main=main, keywords=keywords, scale=scale)
    ans = kernel.primitive.reference(kernel.backend)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of nothing there is no mean
        value = ans(x, **keywords)
    shape = value.shape
    if kernel.base == "std":
        # The deviation of equal numbers is rounding, and its slope noise.
        tiny = 64 * numpy.finfo(host.dtype).eps * finite.max(initial=0.0)
        size = kernel.fetch(value)
        if ((size > 0) & (size < tiny)).any():
            return False
    values = numpy.resize(ordinary(host.dtype, 97, 9), int(numpy.prod(shape))).astype(host.dtype)
    values[::5] = 0
    g = kernel.backend.from_host(values.reshape(shape))[()]
    total = abs(values).sum() * (1 + finite.max(initial=0.0))
    return check(kernel, [g, x], main=main, keywords=keywords, shape=x.shape, scale=total)


def _is_empty_reduction(x: Any, axis: Any) -> bool:
    if x.size:
        return False
    lengths = numpy.array(x.shape)
    return bool((lengths[list(numpy.atleast_1d(axis))] == 0).any()) if axis is not None else True


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", names("reduction"))
def test_reduction(kernel, dtype):
    ordinary_rows = ordinary(dtype, 96, 3).reshape(12, 8)
    for values in (ordinary_rows, rows(dtype)):
        for name, x in views(kernel, values):
            if x.ndim not in (1, 2) or name == "0d_array":
                continue
            axes = AXES if x.ndim == 2 else [None, 0, -1, (0,), ()]
            for keywords in _combinations(kernel, axes):
                if kernel.base in EXTREMES and _is_empty_reduction(x, keywords.get("axis")):
                    assert kernel.call(x, **keywords) is NotImplemented if not kernel.suffix else 1
                    continue
                if keywords.get("axis") == () and kernel.base not in ("sum", "max", "min", "mean"):
                    continue
                main = name in ("main", "1d") and keywords.get("axis") != ()
                _reduce(kernel, x, keywords, main=main)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", names("reduction"))
def test_reduction_of_three_axes_and_of_many_elements(kernel, dtype):
    x = kernel.backend.from_host(rows(dtype).reshape(3, 4, 8))
    for view in (x, x.transpose(2, 0, 1), x[:, ::2, ::-1]):
        for keywords in _combinations(kernel, AXES_3D):
            _reduce(kernel, view, keywords)
    large = kernel.backend.from_host(ordinary(dtype, 257 * 300).reshape(257, 300))
    for keywords in _combinations(kernel, [None, 0, 1]):
        _reduce(kernel, large, keywords, main=True)


@pytest.mark.parametrize("kernel", names("reduction"))
def test_an_axis_or_a_keyword_that_it_does_not_know(kernel):
    x = kernel.backend.from_host(ordinary("float64", 6).reshape(2, 3))
    operands = [x] * _operands(kernel)
    for axis in (2, -3, (0, 0), (0, 2), 1.5, "0"):
        assert kernel.call(*operands, axis=axis) is NotImplemented, axis
    if kernel.rule is not None or "initial" not in kernel.keywords:
        return
    mask = kernel.backend.from_host(numpy.array([[True, False, True], [False, True, True]]))
    for keywords in ({"initial": 0.75}, {"initial": 0.75, "where": mask}, {"axis": numpy.int64(1)}):
        if kernel.backend.device == "cpu" or "initial" not in keywords:
            check(kernel, [x], keywords=keywords, scale=10.0)


@pytest.mark.parametrize("kernel", names("reduction", rules=False))
def test_a_reduction_of_other_dtypes(kernel):
    for x in (numpy.arange(6), numpy.ones(6, bool), ordinary("float16", 6)):
        there = kernel.backend.from_host(x)
        found = kernel.call(there)
        if found is not NotImplemented:
            right = kernel.reference(there)
            assert found.dtype == right.dtype
            numpy.testing.assert_allclose(kernel.fetch(found), kernel.fetch(right), rtol=1e-2)


# ----- products -----------------------------------------------------------------------------------

SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((2, 3), (3, 4)), ((1, 5), (5, 1)), ((5, 1), (1, 6)), ((1, 1), (1, 1)), ((17, 33), (33, 19)),
    ((1, 64), (64, 48)), ((64, 1), (1, 48)), ((67, 129), (129, 83)), ((1, 784), (784, 200)),
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((0, 3), (3, 2)), ((2, 0), (0, 3)),
    ((2, 3), (3, 0)), ((0,), (0,)), ((4, 2, 3), (3, 2)), ((4, 2, 3), (4, 3, 5)),
]  # fmt: skip
LAYOUTS: dict[str, Callable[[Any, Any], Any]] = {
    "contiguous": lambda xp, x: x,
    "columns_first": lambda xp, x: xp.asfortranarray(x),
    "spaced": lambda xp, x: xp.concatenate([x, x], axis=-1)[..., : x.shape[-1]],
    "reversed": lambda xp, x: x[..., ::-1],
    "spread": lambda xp, x: xp.broadcast_to(x[..., :1], x.shape),
}


def _rounding(x: Any, y: Any) -> Any:
    """Return the scale of rounding of x @ y, which grows with the length of its sums."""
    return (abs(x) @ abs(y)) * max(1, x.shape[-1] / 16)


def _product(kernel: Kernel, x: Any, y: Any, main: bool) -> None:
    if kernel.rule is None:
        scale = _rounding(kernel.fetch(x), kernel.fetch(y))
        check(kernel, [x, y], main=main, scale=scale)
        return
    first = kernel.suffix == "vjp0"
    if x.ndim != 2 or y.ndim != 2:
        _product_of_others(kernel, x, y, (x if first else y).shape)
        return
    g = kernel.backend.from_host(ordinary(x.dtype, x.shape[0] * y.shape[1], 8))
    g = g.reshape(x.shape[0], y.shape[1])
    ones = kernel.backend.library.broadcast_to(g[:1, :1], g.shape) if g.size else g
    for cotangent in (g, ones):
        size = abs(kernel.fetch(cotangent))
        factors = (size, kernel.fetch(y).T) if first else (kernel.fetch(x).T, size)
        scale = _rounding(*factors)
        is_main = main and cotangent is g
        shape = (x if first else y).shape
        check(kernel, [cotangent, x, y], main=is_main, shape=shape, scale=scale)


def _product_of_others(kernel: Kernel, x: Any, y: Any, shape: tuple[int, ...]) -> None:
    """Compare a rule for vectors and stacks, un-broadcast: a kernel may sum over the stack."""
    made = kernel.fetch(x) @ kernel.fetch(y)
    values = ordinary(x.dtype, made.size, 8).reshape(made.shape)[()]
    g = kernel.backend.from_host(values) if made.shape else values
    found = kernel.run(g, x, y)
    if found is NotImplemented:
        return
    right = kernel.fetch(kernel.reference(g, x, y))
    like = numpy.empty(shape, x.dtype)
    found, right = (fit_cotangent(kernel.fetch(a), like) for a in (found, right))
    assert found.dtype == right.dtype
    numpy.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", names("product"))
def test_product(kernel, dtype):
    xp, put = kernel.backend.library, kernel.backend.from_host
    for a, b in SHAPES:
        if kernel.base == "dot" and max(len(a), len(b)) > 2:
            continue
        x = put(ordinary(dtype, int(numpy.prod(a)), 1).reshape(a))
        y = put(ordinary(dtype, int(numpy.prod(b)), 2).reshape(b))
        for (one, f), (other, h) in itertools.product(LAYOUTS.items(), repeat=2):
            if x.size and y.size:
                main = one == other == "contiguous" and x.ndim == y.ndim == 2
                _product(kernel, f(xp, x), h(xp, y), main)
            elif one == other == "contiguous":
                _product(kernel, x, y, False)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", names("product"))
def test_a_product_does_not_lose_what_is_not_finite(kernel, dtype):
    for value in (numpy.nan, numpy.inf):
        for zeros in (False, True):
            x = ordinary(dtype, 15, 1).reshape(5, 3)
            y = numpy.zeros((3, 4), dtype) if zeros else ordinary(dtype, 12, 2).reshape(3, 4)
            x[2, 1] = value
            there = [kernel.backend.from_host(a) for a in (x, y)]
            if kernel.rule is None:
                assert check(kernel, there, main=True, scale=10.0)
            else:
                g = kernel.backend.from_host(numpy.zeros((5, 4), dtype))
                assert check(kernel, [g, *there], main=True, scale=10.0)


#: Sums that are products, in every order of the labels; those of one or three operands are not.
CONTRACTIONS = [
    "ij,jk->ik", "ij,jk->ki", "ji,jk->ik", "ij,kj->ki", "ij,j->i", "j,ij->i", "i,i->", "ij,ij->",
    "ij,ji->", "i,j->ij", "i,j->ji", "ij,ij->ij", "ij,ji->ij", "ij,j->ij", "bij,bjk->bik",
    "bij,bjk->kbi", "bij,jk->bik", "bqhd,bkhd->bhqk", "bhqk,bkhd->bqhd", "ijk,jk->i", "ijk,jl->ikl",
    "ijk,k->j", "ij,k->ik", "ij,kl->", "ijk,kjl->il", "b,bij->ij", "bij,b->bij",
]  # fmt: skip
LENGTHS = {"b": 4, "q": 6, "h": 3, "d": 5, "i": 7, "j": 8, "k": 9, "l": 2}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sum_", CONTRACTIONS)
@pytest.mark.parametrize("kernel", names("contraction"))
def test_contraction(kernel, sum_, dtype):
    terms, output = sum_.split("->")
    shapes = [[LENGTHS[c] for c in term] for term in terms.split(",")]
    keywords = {"inputs": tuple(terms.split(",")), "output": output}
    xs = [ordinary(dtype, int(numpy.prod(s)), i).reshape(s) for i, s in enumerate(shapes)]
    wide = numpy.einsum(sum_, *(x.astype(numpy.float64) for x in xs))
    for f, h in itertools.product((numpy.asarray, numpy.asfortranarray, numpy.flip), repeat=2):
        operands = [f(f(xs[0])), h(h(xs[1]))]
        found = kernel.call(*map(kernel.backend.from_host, operands), **keywords)
        assert found is not NotImplemented
        found = kernel.fetch(found)
        assert found.dtype == dtype
        assert found.shape == wide.shape
        numpy.testing.assert_allclose(found, wide, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("kernel", names("contraction"))
def test_sums_that_are_no_product_are_left_to_the_library(kernel):
    x, y = ordinary("float64", 12).reshape(3, 4), ordinary("float64", 4)

    def call(*xs, inputs, output=""):
        return kernel.call(*xs, inputs=inputs, output=output)

    assert call(x, inputs=("ij",)) is NotImplemented
    assert call(x, y, y, inputs=("ij", "j", "j")) is NotImplemented
    assert call(x, y.astype("float32"), inputs=("ij", "j")) is NotImplemented
    assert call(x, y[:1], inputs=("ij", "j")) is NotImplemented  # spread
    assert call(x[:, None], y[None, :1], inputs=("iaj", "aj")) is NotImplemented
    assert call(x, x, inputs=("ij", "ij"), output="i") is NotImplemented  # slower so
    assert call(x, y.view(_Subclass), inputs=("ij", "j")) is NotImplemented
    assert call(x.astype(int), x.astype(int), inputs=("ij", "ij")) is NotImplemented


# ----- shapes -------------------------------------------------------------------------------------


def _shaped(kernel: Kernel, x: Any, shape: tuple[int, ...]) -> None:
    found = kernel.run(x, shape=shape)
    if found is not NotImplemented:
        right = kernel.fetch(kernel.reference(x, shape=shape))
        assert found.dtype == right.dtype
        assert found.shape == right.shape
        numpy.testing.assert_array_equal(kernel.fetch(found), right)


def _misshaped(kernel: Kernel, x: Any, shape: tuple[int, ...]) -> None:
    """Check that an impossible shape is left to the reference, or refused as it does."""
    try:
        assert kernel.run(x, shape=shape) is NotImplemented
    except ValueError:
        with pytest.raises(ValueError, match="shape"):
            kernel.reference(x, shape=shape)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", names("broadcast_to"))
def test_broadcast_to(kernel, dtype):
    x = kernel.backend.from_host(mixed(dtype))
    for view, shape in (
        (x[0, 0], (3,)), (x[0, 0], ()), (x[0, 0], (2, 0)), (x[0], (12, 8)), (x[:, :1], (12, 8)),
        (x[:1, :1], (12, 8)), (x, (12, 8)), (x, (2, 12, 8)), (x[::2, ::-1], (3, 6, 8)),
        (x[:1, :0], (5, 0)), (x[2:3, 2:3].reshape(()), (2, 2)),
    ):  # fmt: skip
        _shaped(kernel, view, shape)
    for wrong in ((5,), (8, 12), (12,)):
        _misshaped(kernel, x, wrong)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", names("reshape"))
def test_reshape(kernel, dtype):
    x = kernel.backend.from_host(mixed(dtype))
    for view, shape in (
        (x, (96,)), (x, (-1,)), (x, (8, 12)), (x, (2, -1, 3)), (x.T, (96,)), (x.T, (12, 8)),
        (x[::2], (-1,)), (x[::-1, ::-1], (4, 24)), (x[0, 0], ()), (x[0, 0], (1, 1)),
        (x[:1, :1], ()), (x[:0], (0, 3)), (x[:, :1], (12,)), (x[:, 3], (3, 4)),
        (x[2:3, 2:3].reshape(()), (1,)),
    ):  # fmt: skip
        _shaped(kernel, view, shape)
    for wrong in ((5,), (8, 13), (-1, 7)):
        _misshaped(kernel, x, wrong)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", names("transpose"))
def test_transpose(kernel, dtype):
    x = kernel.backend.from_host(mixed(dtype))
    cube = x.reshape(3, 4, 8)
    for view, axes in (
        (x, None), (x, (1, 0)), (x, (-1, 0)), (x[::2, ::-1], None), (x[3], None), (x[:0], None),
        (cube, (2, 0, 1)), (cube, (0, -1, 1)), (cube, None), (x[2:3, 2:3].reshape(()), None),
    ):  # fmt: skip
        keywords = {} if axes is None else {"axes": axes}
        found = kernel.run(view, **keywords)
        if found is not NotImplemented:
            right = kernel.fetch(kernel.reference(view, **keywords))
            assert found.shape == right.shape
            numpy.testing.assert_array_equal(kernel.fetch(found), right)
    for wrong in ((0,), (0, 0), (0, 2), (0, 1, 2)):
        assert kernel.run(x, axes=wrong) is NotImplemented


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", names("indexing"))
def test_indexing(kernel, dtype):
    put = kernel.backend.from_host
    x = put(mixed(dtype).reshape(4, 3, 8))
    several = put(numpy.array([2, 0, 2, -1]))
    for index in (
        1, -1, slice(1, 3), (2, 1, 3), (slice(None), 1), (..., slice(None, None, 3)), None,
        several, (several, several % 3), (slice(None), several % 3), put(numpy.zeros((2, 0), int)),
    ):  # fmt: skip
        keywords = {"index": index}
        if kernel.base == "scatter":
            keywords["shape"] = x.shape
        operand = x if kernel.base == "getitem" else x[index]
        xs = [operand] if kernel.rule is None else [x[index], operand]
        assert check(kernel, xs, keywords=keywords, main=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", names("permuting"))
def test_permuting(kernel, dtype):
    put = kernel.backend.from_host
    for shape in ((96,), (12, 8), (3, 4, 8)):
        x = mixed(dtype).reshape(shape)
        order = numpy.argsort(ordinary(dtype, 96, 4).reshape(shape), axis=-1)
        keywords = {"order": put(order), "axis": len(shape) - 1}
        assert check(kernel, [put(x)], keywords=keywords, main=True)
        check(kernel, [put(x[::-1])], keywords=keywords)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", names("order"))
def test_the_order_that_sorts(kernel, dtype):
    close = 1 + numpy.arange(5000)[::-1] // 3 * numpy.finfo(dtype).eps
    many = ordinary(dtype, 6000)
    for x in (
        mixed(dtype), mixed(dtype).reshape(-1), rows(dtype), rows(dtype).T, many, many * 1e-30,
        many.round(1), numpy.resize(mixed(dtype), (3, 5000)), close.astype(dtype), many[::-2],
    ):  # fmt: skip
        found = kernel.fetch(kernel.run(kernel.backend.from_host(x), axis=x.ndim - 1))
        assert found.shape == x.shape
        numpy.testing.assert_array_equal(
            numpy.sort(found), numpy.broadcast_to(numpy.arange(x.shape[-1]), x.shape)
        )
        ranked = numpy.take_along_axis(x, found, -1)
        numpy.testing.assert_array_equal(ranked, numpy.sort(x))
        if kernel.backend.device == "cpu":
            numpy.testing.assert_array_equal(found, numpy.argsort(x, kind="stable"))
    assert kernel.run(kernel.backend.from_host(mixed(dtype)), axis=2) is NotImplemented


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", names("joining"))
def test_joining(kernel, dtype):
    xp, put = kernel.backend.library, kernel.backend.from_host
    x = put(mixed(dtype))
    cube = x.reshape(3, 4, 8)
    for parts, axis in (
        ([x], 0), ([x, x], 0), ([x, x], 1), ([x, x, x], -1), ([cube, cube], 1), ([cube, cube], 2),
        ([x[0], x[1]], 0), ([x[:0], x[:0]], 0), ([x[:, :0]] * 2, 1),
    ):  # fmt: skip
        keywords = {"axis": axis}
        assert check(kernel, parts, keywords=keywords, main=True)
        check(kernel, [part[::-1] for part in parts], keywords=keywords)
    if kernel.base == "concatenate":
        assert check(kernel, [x, x[:2], x[:0]], main=True)
        assert check(kernel, [x, x[:, :3].copy(), x], keywords={"axis": 1}, main=True)
    else:
        assert check(kernel, [xp.asarray(x[0, 3]), xp.asarray(x[1, 2])], main=True)
        check(kernel, [x[0, 3], x[1, 2]])
    wrong: list[tuple[list[Any], int]] = [([x, x[:, :3]], 0), ([x, x[0]], 0), ([x], 3), ([x], -4)]
    for parts, axis in wrong:
        assert kernel.call(*parts, axis=axis) is NotImplemented
    other = put(mixed("float32" if dtype == "float64" else "float64"))
    assert kernel.call(x, other) is NotImplemented
    assert kernel.call(x, 1.0) is NotImplemented


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", names("scan"))
def test_cumulative_sums(kernel, dtype):
    ordinary_rows = ordinary(dtype, 96, 3).reshape(12, 8)
    for values in (ordinary_rows, rows(dtype)):
        for name, x in views(kernel, values):
            for axis in [None, *range(-x.ndim, x.ndim)]:
                keywords = {} if axis is None else {"axis": axis}
                with numpy.errstate(all="ignore"):
                    shape = kernel.primitive.reference(kernel.backend)(x, **keywords).shape
                g = numpy.resize(ordinary(dtype, 97, 9), shape)
                xs = [x] if kernel.rule is None else [kernel.backend.from_host(g), x]
                # Sums backwards are rounded elsewhere than sums of what is turned round.
                main = name in ("main", "1d", "3d")
                check(
                    kernel, xs, keywords=keywords, main=main, scale=8.0 * (kernel.rule is not None)
                )


# ----- cotangents ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtypes", list(itertools.product(DTYPES, DTYPES)), ids="-".join)
@pytest.mark.parametrize("name", VIEWS)
def test_unbroadcast(name, dtypes):
    kernel = NUMPY.kernels.get("unbroadcast")
    if kernel is None:
        pytest.skip("backpass.cpu is not installed")
    source, target = dtypes
    g = VIEWS[name](numpy, ordinary(source, 96).reshape(12, 8))
    exact = numpy.asarray(g, "float64")
    choices = [[(n,), (1,)] for n in g.shape]
    for lead in range(g.ndim + 1):
        for parts in itertools.product(*choices[lead:]):
            shape = tuple(n for part in parts for n in part)
            found = kernel(g, shape, numpy.dtype(target))
            if found is NotImplemented:
                assert not g.size
                continue
            assert found.shape == shape
            assert found.dtype == target
            assert isinstance(found, numpy.generic) == (shape == ())
            spread = [lead + d for d, n in enumerate(shape) if n != exact.shape[lead + d]]
            right = exact.sum((*range(lead), *spread), keepdims=True).reshape(shape)
            unit = 16 * numpy.finfo(source).eps if source == target else 2e-6
            numpy.testing.assert_allclose(found, right, rtol=unit, atol=unit * abs(exact).sum())


def test_unbroadcast_declines_what_is_not_a_cotangent_of_that_shape():
    kernel = NUMPY.kernels.get("unbroadcast")
    if kernel is None:
        pytest.skip("backpass.cpu is not installed")
    g, single = ordinary("float64", 6).reshape(2, 3), numpy.dtype("float32")
    for shape in ((2, 4), (1, 2, 3), (3, 1), (0,), [3], "3"):
        assert kernel(g, shape, single) is NotImplemented
    odd = [g + 1j, g.astype(int), g.astype("f2"), g.astype(">f8"), g.view(_Subclass)]
    for other in (1.0, 1, *odd):
        assert kernel(other, (3,), single) is NotImplemented
    for dtype in ("int64", "complex128", "float16", ">f4"):
        assert kernel(g, (3,), numpy.dtype(dtype)) is NotImplemented
    assert kernel(g, (3,), "float32") is NotImplemented


# ----- updates in place ---------------------------------------------------------------------------


def _update(
    backend: Backend, name: str, dtype: str, shapes: list[tuple[int, ...]], roles: int
) -> list[Any]:
    made = []
    for role in range(roles):
        for i, shape in enumerate(shapes):
            x = ordinary(dtype, int(numpy.prod(shape)), 10 * role + i).reshape(shape)
            kept = 0 < role < roles - 1 and role in SQUARES.get(name, ())
            made.append(backend.from_host(abs(x) if kept else x))
    return made


def _registered(name: str) -> list[Backend]:
    return [backend for backend in BACKENDS if name in backend.kernels]


CALLS = [
    pytest.param(backend, name, options, roles, id=f"{backend.name}-{name}-{i}")
    for i, (name, options, roles) in enumerate(STEPS)
    for backend in _registered(name)
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("backend", "name", "options", "roles"), CALLS)
def test_update(backend, dtype, name, options, roles):
    call = backend.kernels[name]
    reference = (
        PRIMITIVES[name].reference(backend)
        if name in PRIMITIVES
        else functools.partial(pytest.skip, "backpass.nn, which defines it, is not installed")
    )
    for shapes in ([(5,)], [(3, 4), (4,), (1, 1)], [(70_001,), (0,), (2, 2, 2)]):
        found, right = (_update(backend, name, dtype, shapes, roles) for _ in range(2))
        assert call(*found, **options) is None
        reference(*right, **options)
        limit = 4 * numpy.finfo(dtype).eps
        for x, y in zip(found, right, strict=True):
            numpy.testing.assert_allclose(
                backend.to_host(x), backend.to_host(y), rtol=limit, atol=limit
            )


@pytest.mark.parametrize(("backend", "name", "options", "roles"), CALLS)
def test_update_refuses_before_it_touches_anything(backend, name, options, roles):
    call = backend.kernels[name]
    good = _update(backend, name, "float64", [(4,), (4,)], roles)
    other = backend.from_host(ordinary("float32", 4))
    short = backend.from_host(ordinary("float64", 3))
    strided = backend.from_host(ordinary("float64", 8))[::2]
    for place, bad in itertools.product(range(1, 2 * roles), (other, short, strided)):
        operands = [*good[:place], bad, *good[place + 1 :]]
        before = [backend.to_host(x).copy() for x in operands]
        assert call(*operands, **options) is NotImplemented
        for x, old in zip(operands, before, strict=True):
            numpy.testing.assert_array_equal(backend.to_host(x), old)
    assert (
        call(good[0], *[good[0]] * (roles - 2), good[0], **options) is NotImplemented
    )  # one array, two parts
    if backend.device == "cpu":
        good[1].flags.writeable = False
        assert call(*good, **options) is NotImplemented


# ----- gradients ----------------------------------------------------------------------------------

LEAVES = ([(5,)], [(3, 4), (), (1, 1)], [(70_001,), (0,), (2, 2, 2)])


def _pair(backend: Backend, name: str) -> tuple[Any, Any]:
    """Return a kernel and its reference."""
    if name not in backend.kernels:
        pytest.skip(f"{backend.name} has no kernel {name}")
    if name not in PRIMITIVES:
        pytest.skip("backpass.nn, which defines it, is not installed")
    return backend.kernels[name], PRIMITIVES[name].reference(backend)


def _gradients(backend: Backend, dtype: Any, shapes: list[tuple[int, ...]]) -> list[Any]:
    made = [ordinary("float64", math.prod(shape), i) for i, shape in enumerate(shapes)]
    return [
        backend.from_host(x.reshape(shape).astype(dtype))
        for x, shape in zip(made, shapes, strict=True)
    ]


@pytest.mark.parametrize("order", [1.0, 2.0, float("inf")])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_norm(backend, dtype, order):
    call, reference = _pair(backend, "gradient_norm")
    for shapes in LEAVES:
        xs = _gradients(backend, dtype, shapes)
        found, right = call(*xs, order=order), reference(*xs, order=order)
        assert found.shape == ()
        assert found.dtype == "float64"
        numpy.testing.assert_allclose(backend.to_host(found), backend.to_host(right), rtol=1e-12)
        for bad in (numpy.inf, -numpy.inf, numpy.nan):
            xs[-1][...] = bad
            right = numpy.nan if bad != bad else numpy.inf
            numpy.testing.assert_equal(backend.to_host(call(*xs, order=order)), right)
    assert call(*[x[:0] for x in xs], order=order) == 0
    strided = backend.from_host(ordinary(dtype, 8))[::2]
    assert call(xs[0], strided, order=order) is NotImplemented
    assert call(xs[0], xs[0] + 1j, order=order) is NotImplemented
    assert call(xs[0], order=3.0) is NotImplemented


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_scaled(backend, dtype):
    call, reference = _pair(backend, "scaled_gradients")
    for shapes in LEAVES:
        xs = _gradients(backend, dtype, shapes)
        for by in (
            0.3,
            backend.from_host(numpy.array(0.3)),
            backend.from_host(numpy.array(2, "f")),
        ):
            for x, y in zip(call(*xs, by=by), reference(*xs, by=by), strict=True):
                assert (x.shape, x.dtype) == (y.shape, y.dtype)
                numpy.testing.assert_array_equal(backend.to_host(x), backend.to_host(y))
    strided = backend.from_host(ordinary(dtype, 8))[::2]
    assert call(xs[0], strided, by=0.5) is NotImplemented
