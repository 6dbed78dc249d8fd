"""The optimizers' steps in place, and copies: one launch for many arrays, whatever their shapes.

A number is compiled into a graph that captures the launch.  One that is to change from replay to
replay is given as an array of shape () on the device, and read there when the kernel runs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from backpass.cupy import devices
from backpass.cupy.formulas import STORED, included, kept, loaded
from backpass.cupy.launching import THREADS, Kernel
from backpass.cupy.library import library, ndarray
from backpass.cupy.tables import LOOKUP, declarations, lanes, pack, tables_of, types_of


class Step(NamedTuple):
    """What is done to each element of a weight.

    Attributes
    ----------
    name
        The kernel's name.
    roles
        The names of the arrays that belong to a weight, in the order of the call.  All but the
        last, the gradient, are written.
    numbers
        The names of the numbers.
    lines
        Statements on the elements, in the type `T` in which is computed; the numbers are doubles.
    first
        Statements on the numbers, before.
    flag
        Whether there is a number in float32, `*flag`, which is written.
    """

    name: str
    roles: tuple[str, ...]
    numbers: tuple[str, ...]
    lines: tuple[str, ...]
    first: tuple[str, ...] = ()
    flag: bool = False


COPY = Step("copies", ("copy", "x"), (), ("copy = x;",))
SCALED = Step("scaled_gradients", ("made", "x"), ("by",), ("made = x * T(by);",))
UNSCALED = Step(
    "unscaled_gradients",
    ("made", "g"),
    ("scale",),
    # What is not finite leaves nan; 0 is 0 in bits, too.
    ("made = g * T(1.0 / scale);", "if (!(made - made == T(0))) atomicAnd((unsigned*)flag, 0u);"),
    flag=True,
)
MOMENTUM = Step(
    "momentum_update",
    ("w", "v", "g"),
    ("learning_rate", "momentum"),
    ("v = T(momentum) * v + T(1.0 - momentum) * g;", "w -= T(learning_rate) * v;"),
)
AVERAGE = Step("average_update", ("a", "w"), ("decay",), ("a += (w - a) * T(1.0 - decay);",))
PENALTY = "g += T(weight_decay) * w;"
DECAY = "w *= T(1.0 - learning_rate * weight_decay);"


@functools.cache
def sgd(decays: bool) -> Step:
    """Return plain gradient descent."""
    return Step(
        "sgd_update",
        ("w", "g"),
        ("learning_rate", "weight_decay"),
        (*([PENALTY] if decays else []), "w -= T(learning_rate) * g;"),
    )


@functools.cache
def velocity(decays: bool, nesterov: bool) -> Step:
    """Return gradient descent along the sum of the gradients."""
    return Step(
        "velocity_update",
        ("w", "v", "g"),
        ("learning_rate", "momentum", "dampening", "weight_decay"),
        (
            *([PENALTY] if decays else []),
            "v = T(momentum) * v + T(1.0 - dampening) * g;",
            f"w -= T(learning_rate) * {'(g + T(momentum) * v)' if nesterov else 'v'};",
        ),
    )


@functools.cache
def adam(decays: bool, decoupled: bool, amsgrad: bool) -> Step:
    """Return Adam."""
    top = ["top"] if amsgrad else []
    return Step(
        "adam_update",
        ("w", "m", "v", *top, "g"),
        (
            *("learning_rate", "beta1", "log_beta1", "beta2", "log_beta2"),
            *("eps", "weight_decay", "step"),
        ),
        (
            *([DECAY if decoupled else PENALTY] if decays else []),
            "m += (g - m) * T(1.0 - beta1);",
            "v = T(beta2) * v + g * g * T(1.0 - beta2);",
            *(["top = top > v || top != top ? top : v;"] if amsgrad else []),
            f"w -= m / (sqrt({'top' if amsgrad else 'v'}) * spread + T(eps)) * length;",
        ),
        (
            # 1 - beta^step without its cancellation, and without a power in double precision.
            "const T length = T(learning_rate) / -expm1(T(step) * T(log_beta1));",
            "const T spread = T(1) / sqrt(-expm1(T(step) * T(log_beta2)));",
        ),
    )


@functools.cache
def rmsprop(decays: bool, centered: bool, moving: bool) -> Step:
    """Return RMSprop."""
    return Step(
        "rmsprop_update",
        ("w", "v", *(["mean"] if centered else []), *(["velocity"] if moving else []), "g"),
        ("learning_rate", "alpha", "eps", "weight_decay", "momentum"),
        (
            *([PENALTY] if decays else []),
            "v = T(alpha) * v + g * g * T(1.0 - alpha);",
            "T spread = v;",
            *(
                [
                    "mean += (g - mean) * T(1.0 - alpha);",
                    "spread -= mean * mean;",
                    # Rounding may leave less than nothing; nan stays.
                    "if (spread < T(0)) spread = T(0);",
                ]
                if centered
                else []
            ),
            "T along = g / (sqrt(spread) + T(eps));",
            *(["velocity = along += velocity * T(momentum);"] if moving else []),
            "w -= along * T(learning_rate);",
        ),
    )


@functools.cache
def adagrad(decays: bool) -> Step:
    """Return Adagrad."""
    return Step(
        "adagrad_update",
        ("w", "s", "g"),
        ("learning_rate", "eps", "weight_decay"),
        (
            *([PENALTY] if decays else []),
            "s += g * g;",
            "w -= g / (sqrt(s) + T(eps)) * T(learning_rate);",
        ),
    )


@functools.cache
def lion(decays: bool) -> Step:
    """Return Lion."""
    return Step(
        "lion_update",
        ("w", "m", "g"),
        ("learning_rate", "beta1", "beta2", "weight_decay"),
        (
            *([DECAY] if decays else []),
            "const T along = m * T(beta1) + T(1.0 - beta1) * g;",
            "w -= (along > T(0) ? T(1) : along < T(0) ? T(-1) : along) * T(learning_rate);",
            "m = m * T(beta2) + T(1.0 - beta2) * g;",
        ),
    )


# ----- as they are called -------------------------------------------------------------------------


def sgd_update(
    *arrays: Any, learning_rate: Any, weight_decay: Any = 0.0, finite: Any = True
) -> Any:
    """Subtract `learning_rate` times each gradient from its weight."""
    return _move(sgd(_decays(weight_decay)), arrays, (learning_rate, weight_decay), finite)


def momentum_update(*arrays: Any, learning_rate: Any, momentum: Any) -> Any:
    """Take a step along the running mean of each weight's gradients."""
    return _take(MOMENTUM, arrays, (learning_rate, momentum))


def velocity_update(
    *arrays: Any,
    learning_rate: Any,
    momentum: Any,
    dampening: Any,
    weight_decay: Any,
    nesterov: bool,
    finite: Any = True,
) -> Any:
    """Take a step of gradient descent along each weight's velocity."""
    step = velocity(_decays(weight_decay), nesterov)
    return _move(step, arrays, (learning_rate, momentum, dampening, weight_decay), finite)


def adam_update(
    *arrays: Any,
    learning_rate: Any,
    beta1: Any,
    beta2: Any,
    eps: Any,
    weight_decay: Any,
    decoupled: bool,
    amsgrad: bool,
    step: Any,
    finite: Any = True,
) -> Any:
    """Take a step of Adam."""
    if type(beta1) is not float or type(beta2) is not float:
        return NotImplemented
    numbers = (
        *(learning_rate, beta1, _logarithm(beta1), beta2, _logarithm(beta2)),
        *(eps, weight_decay, float(step) if type(step) is int else step),
    )
    return _move(adam(_decays(weight_decay), decoupled, amsgrad), arrays, numbers, finite)


def rmsprop_update(
    *arrays: Any,
    learning_rate: Any,
    alpha: Any,
    eps: Any,
    weight_decay: Any,
    momentum: Any,
    centered: bool,
    finite: Any = True,
) -> Any:
    """Take a step of RMSprop."""
    if type(momentum) is not float:
        return NotImplemented
    step = rmsprop(_decays(weight_decay), centered, momentum != 0)
    return _move(step, arrays, (learning_rate, alpha, eps, weight_decay, momentum), finite)


def adagrad_update(
    *arrays: Any, learning_rate: Any, eps: Any, weight_decay: Any, finite: Any = True
) -> Any:
    """Take a step of Adagrad."""
    step = adagrad(_decays(weight_decay))
    return _move(step, arrays, (learning_rate, eps, weight_decay), finite)


def lion_update(
    *arrays: Any,
    learning_rate: Any,
    beta1: Any,
    beta2: Any,
    weight_decay: Any,
    finite: Any = True,
) -> Any:
    """Take a step of Lion."""
    step = lion(_decays(weight_decay))
    return _move(step, arrays, (learning_rate, beta1, beta2, weight_decay), finite)


def average_update(*arrays: Any, decay: Any) -> Any:
    """Move each average towards its weight."""
    return _take(AVERAGE, arrays, (decay,))


def cast_update(*arrays: Any) -> Any:
    """Set each array to the values of another one."""
    return _take(COPY, arrays, ())


def scaled_gradients(*arrays: Any, by: Any) -> Any:
    """Return each array times a number."""
    return _made(SCALED, arrays, (by,), lambda dtype: dtype)


def unscaled_gradients(*gradients: Any, scale: Any) -> Any:
    """Return each gradient over a number, in float32 at least; and whether all are finite."""
    if not gradients or type(gradients[0]) is not ndarray:
        return NotImplemented
    flag = library.ones((), "float32")
    made = _made(
        UNSCALED, gradients, (scale, flag), lambda x: x if x.itemsize > 2 else library.float32
    )
    return made if made is NotImplemented else [*made, flag]


def half_casts(*xs: Any, dtype: Any) -> Any:
    """Return each array in a dtype."""
    return _made(COPY, xs, (), lambda _: dtype)


def copies(*xs: Any) -> Any:
    """Return a copy of each array, all made in one launch."""
    if not xs or any(type(x) is not ndarray for x in xs):
        return NotImplemented
    if devices.count() > 1 and len({x.data.device_id for x in xs}) > 1:
        return NotImplemented
    return _copies_there()(*xs)


@functools.cache
def _copies_there() -> Callable[..., Any]:
    """Return `_copies` for the arrays' device; how many there are is asked when it is needed."""
    return devices.place(_copies, "copies")


def _copies(*xs: Any) -> Any:
    return _made(COPY, xs, (), lambda dtype: dtype)


def _decays(weight_decay: Any) -> bool:
    return not (type(weight_decay) is float and weight_decay == 0)


def _logarithm(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf


# ----- launches -----------------------------------------------------------------------------------


def _made(
    step: Step, xs: Sequence[Any], numbers: Sequence[Any], dtype: Callable[[Any], Any]
) -> Any:
    """Launch a step that makes an array for each of some; return them."""
    if any(type(x) is not ndarray for x in xs):
        return NotImplemented
    made = [ndarray(x.shape, dtype(x.dtype)) for x in xs]
    return NotImplemented if _take(step, (*made, *xs), numbers) is NotImplemented else made


def _move(step: Step, arrays: Sequence[Any], numbers: Sequence[Any], finite: Any) -> Any:
    """Launch a step that is taken if a number on the device is not 0."""
    if finite is True:
        return _take(step, arrays, numbers)
    return _take(_asking(step), arrays, (*numbers, finite))


@functools.cache
def _asking(step: Step) -> Step:
    """Return a step that is taken if a number says so."""
    return step._replace(
        name=f"{step.name}_if",
        numbers=(*step.numbers, "finite"),
        first=("if (finite == 0.0) return;", *step.first),
    )


def _take(step: Step, arrays: Sequence[Any], numbers: Sequence[Any]) -> Any:
    """Launch a step; `NotImplemented`, and nothing done, for what is left to CuPy."""
    types = types_of(arrays, len(step.roles))
    if types is None or len(set(types[:-1])) > 1:
        return NotImplemented
    kinds = tuple([_kind(x) for x in numbers])
    if None in kinds:
        return NotImplemented
    held = [x for x in numbers if type(x) is ndarray]
    tables = tables_of(arrays, types, len(types) - 1, held)
    if tables is NotImplemented:
        return NotImplemented
    for table in tables:
        kernel = _kernel(step, types, kinds, table.capacity)
        kernel.launch(table.blocks, THREADS, (table.packed, table.used, *numbers))
    return None


def _kind(number: Any) -> str | None:
    """Return how a number is passed: `"number"`, or the type of the array that holds it."""
    if type(number) is float:
        return "number"
    if type(number) is not ndarray or number.ndim or number.dtype.char not in "efd":
        return None
    return str(number.dtype.char)


@functools.cache
def _kernel(step: Step, types: str, kinds: tuple[str, ...], capacity: int) -> Kernel:
    """Return the kernel of a step for arrays of some types, and numbers of some kinds."""
    numbers = dict(zip(step.numbers, kinds))
    given = ["const Table table", "long long count"]
    given += [
        f"double {name}" if kind == "number" else f"const {STORED[kind]}* {name}_"
        for name, kind in numbers.items()
    ]
    given += ["float* flag"] if step.flag else []
    read = "\n".join(
        f"    const double {name} = "
        + (f"__half2float(*{name}_);" if kind == "e" else f"*{name}_;")
        for name, kind in numbers.items()
        if kind != "number"
    )
    roles = dict(zip(step.roles, types))
    written = step.roles[:-1]
    places = "\n".join(
        f"    {STORED[t]}* {x}_ = ({STORED[t]}*)table.places[{i}][own];"
        for i, (x, t) in enumerate(roles.items())
    )
    aligned = " && ".join(f"(size_t){x}_ % sizeof({pack(t)}) == 0" for x, t in roles.items())
    packs = "\n".join(
        f"        {pack(t)} {x}_pack = *(const {pack(t)}*)({x}_ + at);" for x, t in roles.items()
    )
    first = "\n".join(f"    {line}" for line in step.first)

    def element(place: Callable[[str], str]) -> str:
        """Return the statements for one element of each array."""
        loads = [f"T {x} = {loaded(place(x), t)};" for x, t in roles.items()]
        stores = [f"{place(x)} = {kept(x, roles[x])};" for x in written]
        return "\n".join(f"            {line}" for line in (*loads, *step.lines, *stores))

    stores = "\n".join(f"        *({pack(roles[x])}*)({x}_ + at) = {x}_pack;" for x in written)
    name, width = f"backpass_{step.name}", lanes(types)
    held = "".join(kind for kind in kinds if kind != "number")
    source = f"""{included(types + held)}
{declarations(types, capacity)}
extern "C" __global__ void {name}({", ".join(given)}) {{
{LOOKUP}
    const long long at = (block * blockDim.x + threadIdx.x) * {width};
{places}
{read}
{first}
    if (at + {width} <= n && {aligned}) {{
{packs}
        #pragma unroll
        for (int k = 0; k < {width}; ++k) {{
{element(lambda x: f"{x}_pack.v[k]")}
        }}
{stores}
    }} else {{
        for (long long i = at; i < n && i < at + {width}; ++i) {{
{element(lambda x: f"{x}_[i]")}
        }}
    }}
}}
"""
    return Kernel(name, source)


KERNELS: dict[str, Callable[..., Any]] = {
    "adagrad_update": adagrad_update,
    "adam_update": adam_update,
    "average_update": average_update,
    "cast_update": cast_update,
    "copies": copies,
    "half_casts": half_casts,
    "lion_update": lion_update,
    "momentum_update": momentum_update,
    "rmsprop_update": rmsprop_update,
    "scaled_gradients": scaled_gradients,
    "sgd_update": sgd_update,
    "unscaled_gradients": unscaled_gradients,
    "velocity_update": velocity_update,
}
