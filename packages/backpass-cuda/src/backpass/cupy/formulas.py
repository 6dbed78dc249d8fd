"""Formulas in CUDA C++: what a rule computes, written by the rule itself.

`rules.expression` runs a rule on symbols and gives its formula; here the formula becomes a sequence
of statements of which each is computed once.  So the table in `backpass.core.ops` is the one
source: of the mathematics, of the formulas that are shown, and of the GPU's kernels.
"""

from __future__ import annotations

from typing import Any

from backpass.core.symbols import Expression

#: The functions of single elements, in CUDA C++.  `{0}`, `{1}` are the operands, `{f}` ends the
#: names of functions in single precision; `T` is the type in which all is computed.
FUNCTIONS: dict[str, str] = {
    # Arithmetic.
    "add": "{0} + {1}",
    "subtract": "{0} - {1}",
    "multiply": "{0} * {1}",
    "divide": "{0} / {1}",
    "power": "pow{f}({0}, {1})",
    "fmod": "fmod{f}({0}, {1})",
    "negative": "-{0}",
    "reciprocal": "T(1) / {0}",
    "square": "{0} * {0}",
    "sqrt": "sqrt{f}({0})",
    "cbrt": "cbrt{f}({0})",
    "absolute": "fabs{f}({0})",
    "fabs": "fabs{f}({0})",
    "hypot": "hypot{f}({0}, {1})",
    "sign": "isnan({0}) ? {0} : T(({0} > T(0)) - ({0} < T(0)))",
    "floor": "floor{f}({0})",
    "ceil": "ceil{f}({0})",
    "trunc": "trunc{f}({0})",
    "rint": "rint{f}({0})",
    "zero_multiply": "{0} == T(0) ? T(0) : {0} * {1}",
    "zero_product": "({0} == T(0) || {1} == T(0)) ? T(0) : {0} * {1}",
    # Exponentials and logarithms.
    "exp": "exp{f}({0})",
    "exp2": "exp2{f}({0})",
    "exp10": "exp10{f}({0})",
    "expm1": "expm1{f}({0})",
    "log": "log{f}({0})",
    "log2": "log2{f}({0})",
    "log10": "log10{f}({0})",
    "log1p": "log1p{f}({0})",
    "expit": "logistic({0})",
    "logaddexp": "sum_of_exponentials({0}, {1})",
    "logaddexp2": "sum_of_powers({0}, {1})",
    # Circular and hyperbolic functions.
    "sin": "sin{f}({0})",
    "cos": "cos{f}({0})",
    "tan": "tan{f}({0})",
    "arcsin": "asin{f}({0})",
    "arccos": "acos{f}({0})",
    "arctan": "atan{f}({0})",
    "arctan2": "atan2{f}({0}, {1})",
    "sinh": "sinh{f}({0})",
    "cosh": "cosh{f}({0})",
    "tanh": "tanh{f}({0})",
    "arcsinh": "asinh{f}({0})",
    "arccosh": "acosh{f}({0})",
    "arctanh": "atanh{f}({0})",
    "deg2rad": "{0} * T(0.017453292519943295)",
    "rad2deg": "{0} * T(57.29577951308232)",
    # Choosing.
    "where": "{0} ? T({1}) : T({2})",
    "maximum": "({0} > {1} || isnan({0})) ? {0} : {1}",
    "minimum": "({0} < {1} || isnan({0})) ? {0} : {1}",
    "fmax": "fmax{f}({0}, {1})",
    "fmin": "fmin{f}({0}, {1})",
    # Questions.
    "equal": "{0} == {1}",
    "not_equal": "{0} != {1}",
    "less": "{0} < {1}",
    "less_equal": "{0} <= {1}",
    "greater": "{0} > {1}",
    "greater_equal": "{0} >= {1}",
    "isnan": "isnan({0})",
    "isinf": "isinf({0})",
    "isfinite": "isfinite({0})",
    "logical_and": "{0} && {1}",
    "logical_or": "{0} || {1}",
    # Of real numbers.
    "real": "{0}",
    "conj": "{0}",
    # scipy.special.
    "erf": "erf{f}({0})",
    "erfc": "erfc{f}({0})",
    "erfinv": "erfinv{f}({0})",
    "erfcinv": "erfcinv{f}({0})",
    "ndtr": "normcdf{f}({0})",
    "ndtri": "normcdfinv{f}({0})",
    "j0": "j0{f}({0})",
    "j1": "j1{f}({0})",
    "y0": "y0{f}({0})",
    "y1": "y1{f}({0})",
    "i0": "cyl_bessel_i0{f}({0})",
    "i1": "cyl_bessel_i1{f}({0})",
    "psi": "T(digamma({0}))",
}
#: Functions whose answer is true or false.
QUESTIONS = frozenset(
    "equal not_equal less less_equal greater greater_equal isnan isinf isfinite logical_and "
    "logical_or".split()
)

#: What CUDA does not have, by the name under which the templates above call it.
HELPERS: dict[str, str] = {
    "logistic": """
// 1 / (1 + exp(-x)), from exp(-|x|), which does not overflow.
__device__ inline T logistic(T x) {
    T e = EXP(-FABS(x));
    return (x >= T(0) ? T(1) : e) / (T(1) + e);
}
""",
    "sum_of_exponentials": """
// log(exp(x) + exp(y)); equal infinities have no difference.
__device__ inline T sum_of_exponentials(T x, T y) {
    if (x == y) return x + T(0.6931471805599453);
    T d = x - y;
    return d > T(0) ? x + LOG1P(EXP(-d)) : d <= T(0) ? y + LOG1P(EXP(d)) : d;
}
""",
    "sum_of_powers": """
// log2(2**x + 2**y).
__device__ inline T sum_of_powers(T x, T y) {
    if (x == y) return x + T(1);
    T d = x - y;
    const T per_bit = T(1.4426950408889634);
    return d > T(0)    ? x + LOG1P(EXP2(-d)) * per_bit
           : d <= T(0) ? y + LOG1P(EXP2(d)) * per_bit
                       : d;
}
""",
    "digamma": """
// The derivative of log(gamma(x)): by the recurrence up to 10, which is exact next to the poles, by
// the asymptotic series from there, by the reflection left of -10 (Digital Library of Mathematical
// Functions, 5.5.2, 5.11.2, 5.5.4).  In double precision: by its zeros large terms cancel.
__device__ inline double digamma(double x) {
    if (x == 0.0) return copysign(INFINITY, -x);
    if (x < 0.0 && x == floor(x)) return NAN;
    double rest = 0.0;
    if (x < -10.0) {
        rest = -3.141592653589793 * cospi(x) / sinpi(x);
        x = 1.0 - x;
    }
    while (x < 10.0) {
        rest -= 1.0 / x;
        x += 1.0;
    }
    const double r = 1.0 / (x * x);
    const double series =
        r * (1.0 / 12 - r * (1.0 / 120 - r * (1.0 / 252 - r * (1.0 / 240 - r * (1.0 / 132
        - r * (691.0 / 32760 - r * (1.0 / 12)))))));
    return log(x) - 0.5 / x - series + rest;
}
""",
}

#: How numbers are stored, and in what they are computed: half precision only stores.  `"E"` is the
#: bfloat16 of `ml_dtypes`, the upper half of a float.
STORED = {"e": "__half", "E": "Brain", "f": "float", "d": "double", "?": "bool"}
COMPUTED = {"e": "float", "E": "float", "f": "float", "d": "double"}
#: In bytes.
SIZES = {"?": 1, "e": 2, "E": 2, "f": 4, "d": 8}
#: CUDA's header of bfloat16 comes with its toolkit only, not with CuPy.
_BRAIN = """
struct __align__(2) Brain { unsigned short bits; };
__device__ __forceinline__ float as_float(Brain x) {
    return __uint_as_float((unsigned)x.bits << 16);
}
__device__ __forceinline__ Brain as_brain(float x) {
    Brain made;
#if __CUDA_ARCH__ >= 800 && !defined(__CUDA_EMULATOR__)
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(made.bits) : "f"(x));
#else
    const unsigned u = __float_as_uint(x);
    made.bits = isnan(x) ? 0x7fff : (u + 0x7fffu + (u >> 16 & 1u)) >> 16;
#endif
    return made;
}
"""


class Untranslatable(Exception):
    """A formula has a function, or a number, that is not written in CUDA C++ here."""


def loaded(code: str, stored: str) -> str:
    """Return a stored number as one to compute with."""
    turned = {"e": "__half2float", "E": "as_float"}.get(stored, "")
    return f"T({turned}({code}))"


def kept(code: str, stored: str) -> str:
    """Return a computed number as one to be stored."""
    turned = {"e": "__float2half_rn", "E": "as_brain"}.get(stored, STORED[stored])
    return f"{turned}({code})"


def included(stored: str) -> str:
    """Return what stands before everything where numbers of these types are stored."""
    return ("#include <cuda_fp16.h>" if "e" in stored else "") + (_BRAIN if "E" in stored else "")


def prelude(computed: str, stored: str, body: str) -> str:
    """Return what stands before a kernel: the type in which it computes, and what it calls.

    Parameters
    ----------
    computed
        `"f"` or `"d"`.
    stored
        The characters of all types that are loaded and stored.
    body
        The kernel's own code.
    """
    f = "f" if computed == "f" else ""
    # The compiler at run time knows no header of C's.
    limits = [
        "#ifndef INFINITY",
        "#define INFINITY __int_as_float(0x7f800000)",
        "#define NAN __int_as_float(0x7fffffff)",
        "#endif",
    ]
    functions = [f"#define {name.upper()} {name}{f}" for name in ("exp", "exp2", "fabs", "log1p")]
    helpers = [code for name, code in HELPERS.items() if f"{name}(" in body]
    text = "".join([body, *helpers])
    return "\n".join(
        [
            included(stored),
            f"typedef {COMPUTED[computed]} T;",
            *(limits if "INFINITY" in text or "NAN" in text else []),
            *functions,
            *helpers,
        ]
    )


def call(name: str, computed: str, *operands: str) -> str:
    """Return a function of operands as an expression in CUDA C++.

    Raises
    ------
    Untranslatable
        If it is not among `FUNCTIONS`.
    """
    template = FUNCTIONS.get(name)
    if template is None:
        raise Untranslatable(name)
    return template.format(*operands, f="f" if computed == "f" else "")


def statements(formula: Expression, computed: str, result: str) -> list[str]:
    """Return the statements that compute a formula into a variable, each part of it once.

    Raises
    ------
    Untranslatable
        If a part of it has no counterpart.
    """
    lines: list[str] = []
    names: dict[str, str] = {}

    def visit(part: Any) -> str:
        if not isinstance(part, Expression):
            return _number(part)
        if part.keywords:
            raise Untranslatable(str(part))
        if not part.operands:
            return part.name if part.name.isidentifier() else _number(float(part.name))
        text = call(part.name, computed, *map(visit, part.operands))
        if text not in names:
            names[text] = f"t{len(names)}"
            kind = "bool" if part.name in QUESTIONS else "T"
            lines.append(f"const {kind} {names[text]} = {text};")
        return names[text]

    lines.append(f"const T {result} = {visit(formula)};")
    return lines


def _number(x: Any) -> str:
    """Return a number as a constant of the type in which all is computed."""
    if isinstance(x, complex):
        raise Untranslatable(repr(x))
    value = float(x)
    if value != value:
        return "T(NAN)"
    if value in (float("inf"), float("-inf")):
        return "T(INFINITY)" if value > 0 else "T(-INFINITY)"
    return f"T({value!r})"
