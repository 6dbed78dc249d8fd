"""Every kernel's formula in NumPy and SciPy, in float64: the oracle of the tests."""

import numpy as np
import scipy.special


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


UNARY = {
    "positive": np.positive,
    "negative": np.negative,
    "negative.vjp": np.negative,
    "subtract.vjp1": np.negative,
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
}

BINARY = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
}

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
    "maximum.vjp0": share(lambda x, y: x > y),
    "maximum.vjp1": lambda g, x, y: share(lambda y, x: y > x)(g, y, x),
    "minimum.vjp0": share(lambda x, y: x < y),
    "minimum.vjp1": lambda g, x, y: share(lambda y, x: y < x)(g, y, x),
}
RULES = {name: strong(rule) for name, rule in RULES.items()}

ELEMENTWISE = UNARY | BINARY | RULES
POSITIVE_ONLY = {"log", "log2", "log10", "log1p", "sqrt"}
UNIT_INTERVAL = {"arcsin", "arccos", "arcsin.vjp", "arccos.vjp"}


def arity(name):
    """Operands of an elementwise kernel."""
    if name in UNARY:
        return 1
    return 3 if name == "divide.vjp1" or name.startswith(("maximum.", "minimum.")) else 2


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
