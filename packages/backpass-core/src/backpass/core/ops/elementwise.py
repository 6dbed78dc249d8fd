"""Functions of single elements, and their derivatives: the table that backpropagation looks up.

Each primitive is NumPy's function of that name.  Its rule is its local derivative in terms of the
operands `x`, `y` and the output `ans`.  For complex operands a rule is the complex derivative; the
gradient of a real function of `z` is then the conjugate of the direction of steepest ascent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy

from backpass.core.arity import binary, primitive, unary
from backpass.core.operators import operators
from backpass.core.rules import defjvp, defvjp, elementwise, linear, nondifferentiable
from backpass.core.values import WeakTensor

# ----- helpers of the rules ---------------------------------------------------------------------


def is_complex(x: Any) -> bool:
    """Tell whether an operand of a rule is complex."""
    dtype = getattr(x, "dtype", None)
    return isinstance(x, complex) if dtype is None else dtype.kind == "c"


def is_all(x: Any, question: Callable[[Any], Any]) -> bool:
    """Tell whether a NumPy array has no element that a rule must look at closely.

    For anything else (Tensors, symbols, arrays on a device that would have to be waited for) the
    answer is no: the rule then goes the long way, which is right for all elements.
    """
    return isinstance(x, numpy.ndarray | numpy.generic) and bool(question(x).all())


# ----- no derivative, or none but 0 -------------------------------------------------------------

sign = unary("sign", "Sign of each element; its derivative is 0.")
floor = unary("floor", "Largest integer not above each element; its derivative is 0.")
ceil = unary("ceil", "Smallest integer not below each element; its derivative is 0.")
trunc = unary("trunc", "Each element without its fraction; its derivative is 0.")
rint = unary("rint", "Nearest integer, as a float; its derivative is 0.")
signbit = unary("signbit", "Whether the sign bit is set; no derivative.")
isnan = unary("isnan", "Whether each element is nan; no derivative.")
isinf = unary("isinf", "Whether each element is infinite; no derivative.")
isfinite = unary("isfinite", "Whether each element is finite; no derivative.")
isposinf = unary("isposinf", "Whether each element is +inf; no derivative.")
isneginf = unary("isneginf", "Whether each element is -inf; no derivative.")
isreal = unary("isreal", "Whether each element has no imaginary part; no derivative.")
iscomplex = unary("iscomplex", "Whether each element has an imaginary part; no derivative.")
bitwise_count = unary("bitwise_count", "Number of 1s in each integer; no derivative.")
gcd = binary("gcd", "Greatest common divisor of integers; no derivative.")
lcm = binary("lcm", "Lowest common multiple of integers; no derivative.")
logical_not = unary("logical_not", "Logical not; no derivative.")
invert = unary("invert", "Bitwise not; no derivative.")
floor_divide = binary("floor_divide", "Largest integer not above x / y; its derivative is 0.")
equal = binary("equal", "x == y, elementwise; no derivative.")
not_equal = binary("not_equal", "x != y, elementwise; no derivative.")
less = binary("less", "x < y, elementwise; no derivative.")
less_equal = binary("less_equal", "x <= y, elementwise; no derivative.")
greater = binary("greater", "x > y, elementwise; no derivative.")
greater_equal = binary("greater_equal", "x >= y, elementwise; no derivative.")
logical_and = binary("logical_and", "Logical and; no derivative.")
logical_or = binary("logical_or", "Logical or; no derivative.")
logical_xor = binary("logical_xor", "Logical exclusive or; no derivative.")
bitwise_and = binary("bitwise_and", "Bitwise and; no derivative.")
bitwise_or = binary("bitwise_or", "Bitwise or; no derivative.")
bitwise_xor = binary("bitwise_xor", "Bitwise exclusive or; no derivative.")
left_shift = binary("left_shift", "x << y for integers; no derivative.")
right_shift = binary("right_shift", "x >> y for integers; no derivative.")


@primitive
def round(xp: Any, x: Any, *, decimals: int = 0) -> Any:
    """Round to `decimals` places; its derivative is 0."""
    return xp.round(x, decimals)


nondifferentiable(sign, floor, ceil, trunc, rint, signbit, round, isnan, isinf, isfinite)
nondifferentiable(isposinf, isneginf, isreal, iscomplex, bitwise_count, gcd, lcm)
nondifferentiable(logical_not, logical_and, logical_or, logical_xor, invert, floor_divide)
nondifferentiable(equal, not_equal, less, less_equal, greater, greater_equal)
nondifferentiable(bitwise_and, bitwise_or, bitwise_xor, left_shift, right_shift)

# ----- the strong zero --------------------------------------------------------------------------


@primitive
def zero_multiply(xp: Any, x: Any, y: Any) -> Any:
    """Multiply; 0 where x is exactly 0, even if y is infinite or nan."""
    return xp.where(xp.equal(x, 0), xp.zeros((), xp.result_type(x, y)), x * y)[()]


@primitive
def zero_product(xp: Any, x: Any, y: Any) -> Any:
    """Multiply; 0 where either is exactly 0: the product of two cotangents, or two tangents."""
    if xp is numpy:
        # With its kernel; only a nan can come from a 0 that was not strong.
        made = zero_multiply.op(x, y)
        if not numpy.isnan(made).any():
            return made
    nothing = xp.logical_or(xp.equal(x, 0), xp.equal(y, 0))
    return xp.where(nothing, xp.zeros((), xp.result_type(x, y)), x * y)[()]


# To the second factor flows an inner cotangent times an outer one: each has its strong zero.
defvjp(zero_multiply, lambda g, y: zero_multiply.op(g, y), lambda g, x: zero_product.op(x, g))
defjvp(zero_multiply, lambda t, y: zero_multiply.op(t, y), lambda t, x: zero_product.op(x, t))
defvjp(zero_product, lambda g, y: zero_product.op(g, y), lambda g, x: zero_product.op(x, g))
defjvp(zero_product, lambda t, y: zero_product.op(t, y), lambda t, x: zero_product.op(x, t))
operators.zero_multiply = zero_multiply.op

# ----- choosing: linear in what is chosen from --------------------------------------------------


@primitive
def where(xp: Any, c: Any, x: Any, y: Any) -> Any:
    """Choose from x where c holds, from y elsewhere; c * g flows to x, the rest of g to y."""
    return xp.where(xp.asarray(c), x, y)[()]


linear(where, None, lambda g, c: where.op(c, g, 0.0), lambda g, c: where.op(c, 0.0, g))

# ----- arithmetic -------------------------------------------------------------------------------

positive = unary("positive", "+x; its derivative is 1.")
negative = unary("negative", "-x; its derivative is -1.")
conj = unary("conj", "Complex conjugate; a linear function of real and imaginary part.")
real = unary("real", "Real part; a linear function of real and imaginary part.")
imag = unary("imag", "Imaginary part; a linear function of real and imaginary part.")
add = binary("add", "x + y; derivatives 1 and 1.")
subtract = binary("subtract", "x - y; derivatives 1 and -1.")
multiply = binary("multiply", "x * y; derivatives y and x.")
divide = binary("divide", "x / y; derivatives 1 / y and -x / y**2.")
remainder = binary("remainder", "x - floor(x / y) * y; derivatives 1 and -floor(x / y).")
fmod = binary("fmod", "x - trunc(x / y) * y; derivatives 1 and -trunc(x / y).")
power = binary("power", "x**y; derivatives y * x**(y - 1) and x**y * log(x), 0 where x is 0 <= y.")
float_power = binary("float_power", "x**y in float64 at least; derivatives as those of power.")
reciprocal = unary("reciprocal", "1 / x; its derivative is -1 / x**2.")
square = unary("square", "x**2; its derivative is 2 * x.")
sqrt = unary("sqrt", "Square root; its derivative is 1 / (2 * sqrt(x)), infinite at 0.")
cbrt = unary("cbrt", "Cube root; its derivative is 1 / (3 * cbrt(x)**2), infinite at 0.")
absolute = unary(
    "absolute", "Absolute value; its derivative is sign(x), for complex x conj(x)/|x|."
)
fabs = unary("fabs", "Absolute value of real x; its derivative is sign(x), 0 at 0.")

linear(positive, lambda g: g)
linear(negative, lambda g: -g)
linear(conj, lambda g: conj.op(g))
linear(real, lambda g: g)
# As an operation: Python would make a number of its own of -1j and a NumPy scalar.
linear(imag, lambda g: multiply.op(g, -1j))
linear(add, lambda g: g, lambda g: g)
linear(subtract, lambda g: g, lambda g: -g)
elementwise(multiply, lambda y: y, lambda x: x)
elementwise(divide, lambda y: 1 / y, lambda ans, y: -ans / y)
elementwise(remainder, lambda: 1.0, lambda ans, x, y: -_quotient(ans, x, y, floor_divide.op))
elementwise(fmod, lambda: 1.0, lambda ans, x, y: -_quotient(ans, x, y, _whole_part))


def _quotient(ans: Any, x: Any, y: Any, exact: Callable[..., Any]) -> Any:
    """Return the whole number q for which x = q * y + ans."""
    # Not by the rounded x / y, which may be one too large; and the exact function is slow.
    if is_all(y, numpy.isfinite):
        return rint.op((x - ans) / y)
    return exact(x, y)


def _whole_part(x: Any, y: Any) -> Any:
    return trunc.op(x / y)


def _power_x(x: Any, y: Any) -> Any:
    # y = 0 gives 0 even at x = 0, where x**(y - 1) is infinite.  The primitive, not the operator:
    # Python's own power of floats raises, or turns complex, where NumPy gives inf or nan.
    return zero_multiply.op(y, power.op(x, y - 1))


def _power_y(ans: Any, x: Any, y: Any) -> Any:
    # 0**y is 0 for y > 0 and stays so; log is kept away from that 0, and from 0**0.
    flat = logical_and.op(equal.op(x, 0), greater_equal.op(real.op(y), 0))
    return zero_multiply.op(ans, log.op(where.op(flat, 1.0, x)))


elementwise(power, _power_x, _power_y)
elementwise(float_power, _power_x, _power_y)
elementwise(reciprocal, lambda ans: -ans * ans)
elementwise(square, lambda x: 2 * x)
elementwise(sqrt, lambda ans: 0.5 / ans)
elementwise(cbrt, lambda ans: 1 / (3 * ans * ans))


copysign = binary("copysign", "|x| with the sign of y; its derivative in x is 1, -1, or 0 at 0.")
# The sign that is left of x's and y's; the absolute value's kink at 0 has 0.
elementwise(copysign, lambda x, y: sign.op(x) * copysign.op(1.0, y), None)


def _unit(x: Any) -> Any:
    return _over(conj.op(x), absolute.op(x)) if is_complex(x) else sign.op(x)


elementwise(absolute, lambda x: _unit(x))
elementwise(fabs, lambda x: sign.op(x))


def pow_(x: Any, y: Any) -> Any:
    """x**y as the operator computes it: small constant powers go the short way, as in NumPy."""
    # A weak x stays so through `power` alone.
    if (type(y) is int or type(y) is float) and type(x) is not WeakTensor:
        short = _SHORT_POWERS.get(y)
        if short is not None and getattr(x.dtype, "kind", "") in "fc":
            return short.op(x)
    return power.op(x, y)


_SHORT_POWERS = {2: square, 0.5: sqrt, 1: positive, -1: reciprocal}

# ----- exponentials and logarithms --------------------------------------------------------------

exp = unary("exp", "Exponential; its derivative is exp(x).")
exp2 = unary("exp2", "2**x; its derivative is log(2) * 2**x.")
expm1 = unary("expm1", "exp(x) - 1; its derivative is exp(x).")
log = unary("log", "Natural logarithm; its derivative is 1 / x.")
log2 = unary("log2", "Logarithm to base 2; its derivative is 1 / (x * log(2)).")
log10 = unary("log10", "Logarithm to base 10; its derivative is 1 / (x * log(10)).")
log1p = unary("log1p", "log(1 + x); its derivative is 1 / (1 + x).")
expit = unary("expit", "1 / (1 + exp(-x)); its derivative is y * (1 - y).", module="scipy.special")
logaddexp = binary("logaddexp", "log(exp(x) + exp(y)); derivatives expit(x - y), expit(y - x).")
logaddexp2 = binary("logaddexp2", "log2(2**x + 2**y); derivatives 2**(x - ans), 2**(y - ans).")

elementwise(exp, lambda ans: ans)
elementwise(exp2, lambda ans: ans * math.log(2))
elementwise(expm1, lambda ans: ans + 1)
elementwise(log, lambda x: 1 / x)
elementwise(log2, lambda x: 1 / (x * math.log(2)))
elementwise(log10, lambda x: 1 / (x * math.log(10)))
elementwise(log1p, lambda x: 1 / (1 + x))
elementwise(expit, lambda ans: ans * (1 - ans))


def _share(x: Any, y: Any, base: float = 1.0) -> Any:
    """Return the share of x in log(exp(x) + exp(y)): two equal infinities have halves, or 0."""
    apart = subtract.op(x, y)
    if is_all(apart, numpy.isfinite):
        return expit.op(apart if base == 1 else base * apart)
    both = logical_and.op(equal.op(x, y), isinf.op(x))
    difference = where.op(both, 0.0, apart)
    return where.op(both, where.op(greater.op(x, 0), 0.5, 0.0), expit.op(base * difference))


elementwise(logaddexp, lambda x, y: _share(x, y), lambda x, y: _share(y, x))
elementwise(
    logaddexp2,
    lambda x, y: _share(x, y, math.log(2)),
    lambda x, y: _share(y, x, math.log(2)),
)

# ----- circular and hyperbolic functions --------------------------------------------------------

sin = unary("sin", "Sine; its derivative is cos(x).")
cos = unary("cos", "Cosine; its derivative is -sin(x).")
tan = unary("tan", "Tangent; its derivative is 1 + tan(x)**2.")
arcsin = unary("arcsin", "Inverse sine; its derivative is 1 / sqrt(1 - x**2).")
arccos = unary("arccos", "Inverse cosine; its derivative is -1 / sqrt(1 - x**2).")
arctan = unary("arctan", "Inverse tangent; its derivative is 1 / (1 + x**2).")
sinh = unary("sinh", "Hyperbolic sine; its derivative is cosh(x).")
cosh = unary("cosh", "Hyperbolic cosine; its derivative is sinh(x).")
tanh = unary("tanh", "Hyperbolic tangent; its derivative is 1 - tanh(x)**2.")
arcsinh = unary("arcsinh", "Inverse hyperbolic sine; its derivative is 1 / sqrt(x**2 + 1).")
arccosh = unary("arccosh", "Inverse hyperbolic cosine; its derivative is 1 / sqrt(x**2 - 1).")
arctanh = unary("arctanh", "Inverse hyperbolic tangent; its derivative is 1 / (1 - x**2).")
deg2rad = unary("deg2rad", "Degrees to radians; its derivative is pi / 180.")
rad2deg = unary("rad2deg", "Radians to degrees; its derivative is 180 / pi.")
arctan2 = binary(
    "arctan2", "Angle of the point (y, x); derivatives y / r**2 and -x / r**2, 0 at 0."
)
hypot = binary("hypot", "sqrt(x**2 + y**2); derivatives x / hypot and y / hypot, 0 at 0.")

elementwise(sin, lambda x: cos.op(x))
elementwise(cos, lambda x: -sin.op(x))
elementwise(tan, lambda ans: 1 + ans * ans)
elementwise(arcsin, lambda x: 1 / sqrt.op((1 - x) * (1 + x)))
elementwise(arccos, lambda x: -1 / sqrt.op((1 - x) * (1 + x)))
elementwise(arctan, lambda x: 1 / (1 + x * x))
elementwise(sinh, lambda x: cosh.op(x))
elementwise(cosh, lambda x: sinh.op(x))
elementwise(tanh, lambda ans: 1 - ans * ans)
elementwise(arcsinh, lambda x: 1 / sqrt.op(x * x + 1))
elementwise(arccosh, lambda x: 1 / (sqrt.op(x - 1) * sqrt.op(x + 1)))
elementwise(arctanh, lambda x: 1 / ((1 - x) * (1 + x)))
elementwise(deg2rad, lambda: math.pi / 180)
elementwise(rad2deg, lambda: 180 / math.pi)


def _over(x: Any, r: Any) -> Any:
    """Return x / r, and 0 where r is 0."""
    if is_all(r, numpy.asarray):
        return x / r
    zero = equal.op(r, 0)
    return where.op(zero, 0.0, x / where.op(zero, 1.0, r))


elementwise(hypot, lambda ans, x: _over(x, ans), lambda ans, y: _over(y, ans))
elementwise(arctan2, lambda x, y: _over(y, x * x + y * y), lambda x, y: _over(-x, x * x + y * y))

angle = primitive(lambda xp, x: xp.angle(x), name="angle")
angle.__doc__ = "Argument of a complex number, in radians; its derivative is -1j / x, 0 at 0."
elementwise(angle, lambda x: _over(-1j, x))


@primitive
def sinc_derivative(xp: Any, x: Any, *, order: int) -> Any:
    """Differentiate sin(pi x) / (pi x) `order` times: by its series near 0, by recurrence beyond.

    From u f(u) = sin(u): u f^(k) + k f^(k-1) = sin(u + k pi / 2).
    """
    u = math.pi * xp.asarray(x)
    if order == 1:
        return _sinc_slope(xp, u)
    near = abs(u) < order + 1.5
    far = xp.where(near, 1.0, u)
    f = xp.sin(far) / far
    for k in range(1, order + 1):
        f = (xp.sin(far + k * math.pi / 2) - k * f) / far
    v = xp.where(near, u, 0.0)
    series = xp.zeros_like(v)
    for m in range((order + 1) // 2, (order + 1) // 2 + 12 + 2 * order):
        n = 2 * m - order
        # Python's division: the factorial may be too large for an array's integers.
        series = series + (-1) ** m / (math.factorial(n) * (2 * m + 1)) * v**n
    return (math.pi**order * xp.where(near, series, f))[()]


def _sinc_slope(xp: Any, u: Any) -> Any:
    """Return pi * (cos(u) - sin(u) / u) / u, by its series near 0."""
    near = abs(u) < 0.8
    far = xp.where(near, 1.0, u)
    f = (cos.op(far) - sin.op(far) / far) / far
    v = xp.where(near, u, 0.0)
    square: Any = multiply.op(v, v)
    series: Any = 0.0
    for m in range(8, 0, -1):
        # u f'(u) = sum over m of (-1)**m * 2 m / (2 m + 1)! * u**(2 m)
        coefficient = (-1) ** m * 2 * m / math.factorial(2 * m + 1)
        series = add.op(multiply.op(square, series), coefficient)
    return (math.pi * xp.where(near, series * v, f))[()]


sinc = unary("sinc", "sin(pi x) / (pi x), 1 at 0; its derivative is continuous, 0 at 0.")
elementwise(sinc, lambda x: sinc_derivative.op(x, order=1))
elementwise(sinc_derivative, lambda x, *, order: sinc_derivative.op(x, order=order + 1))

# ----- the larger and the smaller: ties share equally -------------------------------------------

maximum = binary("maximum", "The larger of x and y; a tie shares the gradient equally.")
minimum = binary("minimum", "The smaller of x and y; a tie shares the gradient equally.")
fmax = binary("fmax", "The larger of x and y, ignoring nan; a tie shares the gradient equally.")
fmin = binary("fmin", "The smaller of x and y, ignoring nan; a tie shares the gradient equally.")


def _wins(x: Any, y: Any, beats: Any) -> Any:
    """Return 1 where x is chosen over y, .5 at a tie."""
    return add.op(multiply.op(0.5, equal.op(x, y)), beats)


def _larger(x: Any, y: Any) -> Any:
    return _wins(x, y, logical_or.op(greater.op(x, y), isnan.op(x)))


def _smaller(x: Any, y: Any) -> Any:
    return _wins(x, y, logical_or.op(less.op(x, y), isnan.op(x)))


def _larger_number(x: Any, y: Any) -> Any:
    return _wins(x, y, logical_or.op(greater.op(x, y), isnan.op(y)))


def _smaller_number(x: Any, y: Any) -> Any:
    return _wins(x, y, logical_or.op(less.op(x, y), isnan.op(y)))


elementwise(maximum, lambda x, y: _larger(x, y), lambda x, y: _larger(y, x), selects=True)
elementwise(minimum, lambda x, y: _smaller(x, y), lambda x, y: _smaller(y, x), selects=True)
elementwise(
    fmax, lambda x, y: _larger_number(x, y), lambda x, y: _larger_number(y, x), selects=True
)
elementwise(
    fmin, lambda x, y: _smaller_number(x, y), lambda x, y: _smaller_number(y, x), selects=True
)

heaviside = binary(
    "heaviside", "0 where x < 0, 1 where x > 0, y at 0; derivatives 0, and in y 1 at 0."
)
elementwise(heaviside, lambda: 0.0, lambda x: multiply.op(1.0, equal.op(x, 0)), selects=True)

# ----- the operators ----------------------------------------------------------------------------

for _name in (
    "add subtract multiply divide floor_divide remainder negative positive absolute invert "
    "bitwise_and bitwise_or bitwise_xor left_shift right_shift equal not_equal less less_equal "
    "greater greater_equal round real"
).split():
    setattr(operators, _name, globals()[_name].op)
operators.power = pow_
