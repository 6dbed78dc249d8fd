"""Functions of single elements."""

from typing import Any

from ..cases import Argument, Case, case

#: Name: the interval of the operand, its distance from 0, and whether NumPy has it for complex.
UNARY: dict[str, tuple[float, float, float, bool]] = {
    "absolute": (-2, 2, 0.3, True),
    "angle": (0.3, 2, 0, True),
    "arccos": (-0.8, 0.8, 0, True),
    "arccosh": (1.3, 3, 0, True),
    "arcsin": (-0.8, 0.8, 0, True),
    "arcsinh": (-2, 2, 0, True),
    "arctan": (-2, 2, 0, True),
    "arctanh": (-0.8, 0.8, 0, True),
    "cbrt": (-2, 2, 0.3, False),
    "conj": (-2, 2, 0, True),
    "cos": (-2, 2, 0, True),
    "cosh": (-2, 2, 0, True),
    "deg2rad": (-90, 90, 0, False),
    "exp": (-2, 2, 0, True),
    "exp2": (-2, 2, 0, True),
    "expm1": (-2, 2, 0, True),
    "fabs": (-2, 2, 0.3, False),
    "imag": (-2, 2, 0, True),
    "log": (0.3, 3, 0, True),
    "log10": (0.3, 3, 0, True),
    "log1p": (-0.6, 2, 0, True),
    "log2": (0.3, 3, 0, True),
    "negative": (-2, 2, 0, True),
    "positive": (-2, 2, 0, True),
    "rad2deg": (-2, 2, 0, False),
    "real": (-2, 2, 0, True),
    "reciprocal": (-2, 2, 0.3, True),
    "sin": (-2, 2, 0, True),
    "sinc": (-2, 2, 0, True),
    "sinh": (-2, 2, 0, True),
    "sqrt": (0.3, 3, 0, True),
    "square": (-2, 2, 0, True),
    "tan": (-1.2, 1.2, 0, True),
    "tanh": (-2, 2, 0, True),
}

_ALL = (-2.0, 2.0, 0.0)
_APART = (-2.0, 2.0, 0.3)
#: Name: the intervals of both operands with their distance from 0; whether there is a complex one.
BINARY: dict[str, tuple[tuple[float, float, float], tuple[float, float, float], bool]] = {
    "add": (_ALL, _ALL, True),
    "arctan2": (_APART, _APART, False),
    "divide": (_ALL, _APART, True),
    "float_power": ((0.3, 2, 0), _ALL, True),
    "fmax": (_ALL, _ALL, False),
    "fmin": (_ALL, _ALL, False),
    "fmod": (_APART, (-1.1, 1.1, 0.4), False),
    "hypot": (_APART, _APART, False),
    "logaddexp": (_ALL, _ALL, False),
    "logaddexp2": (_ALL, _ALL, False),
    "maximum": (_ALL, _ALL, False),
    "minimum": (_ALL, _ALL, False),
    "multiply": (_ALL, _ALL, True),
    "power": ((0.3, 2, 0), _ALL, True),
    "remainder": (_APART, (-1.1, 1.1, 0.4), False),
    "subtract": (_ALL, _ALL, True),
}

SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "": ((2, 3), (2, 3)),
    "row": ((2, 3), (3,)),
    "first_row": ((3,), (2, 3)),
    "column": ((2, 1), (2, 3)),
    "crossed": ((2, 1), (1, 3)),
    "scalar": ((2, 3), ()),
    "first_scalar": ((), (2, 3)),
    "new_axes": ((2,), (2, 1, 2)),
    "0d": ((), ()),
    "empty": ((0, 3), (1, 3)),
}


def calling(name: str) -> Any:
    """Return a call of one operand or two, without anything else."""
    return lambda np, *xs: getattr(np, name)(*xs)


def _unary(name: str, low: float, high: float, gap: float, is_complex: bool) -> list[Case]:
    made = []
    for label, shape in {"": (2, 3), "0d": (), "empty": (2, 0)}.items():
        x = Argument(shape, low, high, gap)
        made.append(case(name, calling(name), x, label=label, complex=is_complex))
    return made


def _binary(name: str, first: Any, second: Any, is_complex: bool) -> list[Case]:
    made = []
    for label, (one, other) in SHAPES.items():
        x, y = Argument(one, *first), Argument(other, *second)
        made.append(case(name, calling(name), x, y, label=label, complex=is_complex))
    x, y = Argument((2, 3), *first), Argument((2, 3), *second)
    made += [
        case(
            name,
            lambda np, x: getattr(np, name)(x, 0.73),
            x,
            label="with_a_float",
            complex=is_complex,
        ),
        case(
            name,
            lambda np, y: getattr(np, name)(0.73, y),
            y,
            label="of_a_float",
            complex=is_complex,
        ),
        case(
            name,
            lambda np, x: getattr(np, name)(x, np.array([[1], [2]])),
            x,
            label="with_integers",
            without="jax" if name == "float_power" else "",
        ),
    ]
    return made


CASES: list[Case] = [
    *(c for name, row in UNARY.items() for c in _unary(name, *row)),
    *(c for name, row in BINARY.items() for c in _binary(name, *row)),
    case("angle", lambda np, x: np.angle(-x), Argument((3,), 0.3, 2), label="negative"),
    case("power", lambda np, x: np.power(x, 2), Argument((3,), gap=0.3), label="2", complex=True),
    case("power", lambda np, x: np.power(x, 3.0), Argument((3,), gap=0.3), label="3"),
    case("power", lambda np, x: x**0.5, Argument((3,), 0.3, 2), label="operator_0.5"),
    case("power", lambda np, x: x**-1, Argument((3,), 0.3, 2), label="operator_-1", complex=True),
    case("power", lambda np, x: x**3 + 2.5**x, Argument((3,), 0.3, 2), label="operators"),
    case("multiply", lambda np, x: x * x, (3,), label="itself", complex=True),
    case("divide", lambda np, x: x / (x * x), Argument((3,), gap=0.3), label="chain", complex=True),
    case("sinc", lambda np, x: np.sinc(x - x + 0.0 * x), (3,), label="0"),
    case("sinc", lambda np, x: np.sinc(x), Argument((3,), 3.1, 5.2), label="far"),
    case("tanh", lambda np, x: np.tanh(x) ** 2, (3,), label="squared"),
    case(
        "copysign", lambda np, x: np.copysign(x, np.array([[1.0], [-1]])), Argument((2, 3), gap=0.3)
    ),
    case("copysign", lambda np, x: np.copysign(x, -0.0), Argument((3,), gap=0.3), label="0"),
    case("heaviside", lambda np, h: np.heaviside(np.array([-1.0, 0, 2]), h), (2, 3)),
    case(
        "heaviside",
        lambda np, x, h: np.heaviside(x, h),
        Argument((2, 3), gap=0.3),
        (3,),
        label="both",
    ),
    case("heaviside", lambda np, h: np.heaviside(0.0, h), (3,), label="0"),
    case("i0", calling("i0"), (2, 3), label="numpy"),
    case("ldexp", lambda np, x: np.ldexp(x, np.array([[1], [-3]])), (2, 3)),
    case("ldexp", lambda np, x: np.ldexp(x, 2), (3,), label="2"),
    case("nextafter", calling("nextafter"), (2, 3), (3,), without="jax"),
    case("modf", lambda np, x: np.modf(x), Argument((3,), 0.2, 0.9)),
    case("modf", lambda np, x: np.modf(-x)[0], Argument((3,), 1.2, 1.9), label="fraction"),
    case("modf", lambda np, x: x * np.modf(3 * x)[1], Argument((3,), 0.4, 0.6), label="whole"),
    case("frexp", lambda np, x: np.frexp(x)[0], Argument((2, 3), 1.1, 1.9)),
]
