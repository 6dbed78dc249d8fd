"""Every kernel's formula in NumPy and SciPy, in float64: the oracle of the tests."""

import os

import numpy as np
import scipy.special
from numpy._core._multiarray_umath import __cpu_features__

#: There NumPy, too, has vector instructions for most functions.
AVX512 = os.environ.get("BACKPASS_ISA", "avx512") == "avx512" and __cpu_features__["AVX512_SKX"]
#: Whether there are vector units that the kernels know.
VECTORS = os.environ.get("BACKPASS_ISA") != "scalar" and __cpu_features__.get("AVX2", False)


def strong(rule):
    """The rule with strong zero: 0 wherever the cotangent is exactly 0."""

    def wrapped(g, *arrays):
        value = rule(g, *arrays)
        return np.where(np.broadcast_to(g, np.shape(value)) == 0, 0.0, value)

    return wrapped


def share(chosen):
    """The rule of `maximum` and `minimum` for the operand that comes first here."""

    def rule(g, x, y):
        part = np.where(x == y, 0.5 * g, np.where(chosen(x, y), g, 0.0))
        return np.where(np.isnan(x), g, part)

    return rule


def number_share(chosen):
    """The same for `fmax` and `fmin`, which ignore nan."""

    def rule(g, x, y):
        part = np.where(x == y, 0.5 * g, np.where(chosen(x, y), g, 0.0))
        return np.where(np.isnan(y), g, part)

    return rule


UNARY = {
    "positive": np.positive,
    "negative": np.negative,
    "negative.vjp": np.negative,
    "subtract.vjp1": np.negative,
    "deg2rad.vjp": np.deg2rad,
    "rad2deg.vjp": np.rad2deg,
    "absolute": np.absolute,
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "square": np.square,
    "reciprocal": np.reciprocal,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "tanh": np.tanh,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "arctan": np.arctan,
    "arcsin": np.arcsin,
    "arccos": np.arccos,
    "expit": scipy.special.expit,
    "erf": scipy.special.erf,
    "erfc": scipy.special.erfc,
    "log_expit": scipy.special.log_expit,
    "arcsinh": np.arcsinh,
    "arccosh": np.arccosh,
    "arctanh": np.arctanh,
    "cbrt": np.cbrt,
    "fabs": np.fabs,
    "sign": np.sign,
    "rint": np.rint,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "deg2rad": np.deg2rad,
    "rad2deg": np.rad2deg,
}

BINARY = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "fmax": np.fmax,
    "fmin": np.fmin,
    "power": np.power,
    "hypot": np.hypot,
    "arctan2": np.arctan2,
    "logaddexp": np.logaddexp,
    "logaddexp2": np.logaddexp2,
    "xlogy": scipy.special.xlogy,
}


def over(x, r):
    """x / r, and 0 where r is 0."""
    return np.where(r == 0, 0.0, x / np.where(r == 0, 1.0, r))


def part(base):
    """The share of x in log(base**x + base**y); two equal infinities have halves, or 0."""

    def rule(g, x, y):
        both = (x == y) & np.isinf(x)
        # SciPy's float32 has no denormals here.
        share = scipy.special.expit(np.log(base) * np.asarray(x - y, np.float64)).astype(x.dtype)
        return g * np.where(both, np.where(x > 0, 0.5, 0.0), share)

    return rule


def strong_product(x, y):
    return np.where(x == 0, 0.0, x * y)


def power_vjp1(g, ans, x, y):
    return g * strong_product(ans, np.log(np.where((x == 0) & (y >= 0), 1.0, x)))


RULES = {
    "zero_multiply": lambda g, d: g * d,
    "multiply.vjp0": lambda g, y: g * y,
    "multiply.vjp1": lambda g, x: g * x,
    "divide.vjp0": lambda g, y: g / y,
    "divide.vjp1": lambda g, ans, y: -g * (ans / y),
    "absolute.vjp": lambda g, x: g * np.sign(x),
    "exp.vjp": lambda g, ans: g * ans,
    "exp2.vjp": lambda g, ans: g * (ans * np.log(2)),
    "expm1.vjp": lambda g, ans: g * (ans + 1),
    "log.vjp": lambda g, x: g / x,
    "log2.vjp": lambda g, x: g / (x * np.log(2)),
    "log10.vjp": lambda g, x: g / (x * np.log(10)),
    "log1p.vjp": lambda g, x: g / (1 + x),
    "sqrt.vjp": lambda g, ans: g / (2 * ans),
    "square.vjp": lambda g, x: g * (2 * x),
    "reciprocal.vjp": lambda g, ans: g * -(ans * ans),
    "sin.vjp": lambda g, x: g * np.cos(x),
    "cos.vjp": lambda g, x: g * -np.sin(x),
    "tan.vjp": lambda g, ans: g * (1 + ans * ans),
    "tanh.vjp": lambda g, ans: g * (1 - ans * ans),
    "sinh.vjp": lambda g, x: g * np.cosh(x),
    "cosh.vjp": lambda g, x: g * np.sinh(x),
    "arctan.vjp": lambda g, x: g / (1 + x * x),
    "arcsin.vjp": lambda g, x: g / np.sqrt((1 - x) * (1 + x)),
    "arccos.vjp": lambda g, x: -g / np.sqrt((1 - x) * (1 + x)),
    "expit.vjp": lambda g, ans: g * (ans * (1 - ans)),
    "erf.vjp": lambda g, x: g * (2 / np.sqrt(np.pi) * np.exp(-x * x)),
    "fabs.vjp": lambda g, x: g * np.sign(x),
    "erfc.vjp": lambda g, x: g * (-2 / np.sqrt(np.pi) * np.exp(-x * x)),
    "log_expit.vjp": lambda g, x: g * scipy.special.expit(-np.asarray(x, np.float64)),
    "cbrt.vjp": lambda g, ans: g * (1 / (3 * ans * ans)),
    "arcsinh.vjp": lambda g, x: g / np.sqrt(x * x + 1),
    "arccosh.vjp": lambda g, x: g / (np.sqrt(x - 1) * np.sqrt(x + 1)),
    "arctanh.vjp": lambda g, x: g / ((1 - x) * (1 + x)),
    "hypot.vjp0": lambda g, ans, x: g * over(x, ans),
    "hypot.vjp1": lambda g, ans, y: g * over(y, ans),
    "arctan2.vjp0": lambda g, x, y: g * over(y, x * x + y * y),
    "arctan2.vjp1": lambda g, x, y: g * over(-x, x * x + y * y),
    "logaddexp.vjp0": part(np.e),
    "logaddexp.vjp1": lambda g, x, y: part(np.e)(g, y, x),
    "logaddexp2.vjp0": part(2),
    "logaddexp2.vjp1": lambda g, x, y: part(2)(g, y, x),
    "power.vjp0": lambda g, x, y: g * strong_product(y, np.power(x, y - 1)),
    "power.vjp1": power_vjp1,
    "xlogy.vjp0": lambda g, y: g * np.log(y),
    "xlogy.vjp1": lambda g, x, y: g * strong_product(x, 1 / y),
    "fmax.vjp0": lambda g, x, y: number_share(lambda x, y: x > y)(g, x, y),
    "fmax.vjp1": lambda g, x, y: number_share(lambda y, x: y > x)(g, y, x),
    "fmin.vjp0": lambda g, x, y: number_share(lambda x, y: x < y)(g, x, y),
    "fmin.vjp1": lambda g, x, y: number_share(lambda y, x: y < x)(g, y, x),
    "maximum.vjp0": share(lambda x, y: x > y),
    "maximum.vjp1": lambda g, x, y: share(lambda y, x: y > x)(g, y, x),
    "minimum.vjp0": share(lambda x, y: x < y),
    "minimum.vjp1": lambda g, x, y: share(lambda y, x: y < x)(g, y, x),
}
RULES = {name: strong(rule) for name, rule in RULES.items()}

#: Slower there than NumPy.
ABSENT_ON_AVX512 = {"cbrt", "arctan2", "arctanh", "arccosh"}
if AVX512:
    UNARY = {name: f for name, f in UNARY.items() if name not in ABSENT_ON_AVX512}
    BINARY = {name: f for name, f in BINARY.items() if name not in ABSENT_ON_AVX512}

ELEMENTWISE = UNARY | BINARY | RULES
POSITIVE_ONLY = {"log", "log2", "log10", "log1p", "sqrt", "power", "xlogy", "xlogy.vjp0"}
POSITIVE_ONLY |= {"power.vjp0", "power.vjp1", "xlogy.vjp1"}
UNIT_INTERVAL = {"arcsin", "arccos", "arcsin.vjp", "arccos.vjp", "arctanh", "arctanh.vjp"}
ABOVE_ONE = {"arccosh", "arccosh.vjp"}
#: Where there are many elements NumPy's is faster on AVX-512.
FEW_ON_AVX512 = {"power"} if AVX512 else set()
#: Of simple functions it is so where there are no vector units.
FEW_WITHOUT_VECTORS = (
    set()
    if VECTORS
    else {
        *(
            "absolute",
            "add",
            "ceil",
            "divide",
            "fabs",
            "floor",
            "fmax",
            "fmin",
            "maximum",
            "minimum",
        ),
        *("multiply", "negative", "reciprocal", "rint", "sqrt", "square", "subtract", "trunc"),
    }
)
FOUR = {"power.vjp1"}
TWO_BESIDE = {"divide.vjp1", "power.vjp0", "xlogy.vjp1"}
CHOICES = ("maximum.", "minimum.", "fmax.", "fmin.", "hypot.", "arctan2.", "logaddexp")


def arity(name):
    """Operands of an elementwise kernel."""
    if name in UNARY:
        return 1
    if name in FOUR:
        return 4
    return 3 if name in TWO_BESIDE or (name in RULES and name.startswith(CHOICES)) else 2


def groups(values, axis):
    """`values` with the axes moved last and flattened, and the way back for such an array."""
    axes = tuple(range(values.ndim)) if axis is None else np.atleast_1d(axis)
    axes = tuple(int(a) % values.ndim for a in axes)
    rest = tuple(d for d in range(values.ndim) if d not in axes)
    moved = values.transpose(rest + axes)
    lead = moved.shape[: len(rest)]

    def back(flat):
        return flat.reshape(moved.shape).transpose(np.argsort(rest + axes))

    return moved.reshape((*lead, -1)), back


def extreme_vjp(g, ans, x, axis):
    flat, back = groups(x, axis)
    lead = (*flat.shape[:-1], 1)
    ans = np.broadcast_to(ans, np.shape(ans)).reshape(lead)
    chosen = (flat == ans) | (np.isnan(flat) & np.isnan(ans))
    shared = np.reshape(g, lead) / np.maximum(chosen.sum(-1, keepdims=True), 1)
    return back(np.where(chosen, shared, 0.0))


def logsumexp(x, axis):
    flat, _ = groups(x, axis)
    top = flat.max(-1)
    shift = np.where(np.isfinite(top), top, 0.0)
    value = np.log(np.exp(flat - shift[..., None]).sum(-1)) + shift
    return np.where(np.isinf(top), top, value)


def logsumexp_vjp(g, ans, x, axis):
    flat, back = groups(x, axis)
    lead = (*flat.shape[:-1], 1)
    ans, g = np.reshape(ans, lead), np.reshape(g, lead)
    infinite = flat == np.inf
    weight = np.exp(flat - ans)
    weight = np.where(
        ans == np.inf, infinite / np.maximum(infinite.sum(-1, keepdims=True), 1), weight
    )
    weight = np.where(ans == -np.inf, 0.0, weight)
    return back(np.where(g == 0, 0.0, g * weight))


def softmax_vjp(g, ans, axis):
    return ans * (g - (g * ans).sum(axis, keepdims=True))


def log_softmax_vjp(g, ans, axis):
    return g - np.exp(ans) * g.sum(axis, keepdims=True)
