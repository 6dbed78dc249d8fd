"""Cases of ufuncs: an operand's interval says all of one."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy

from ...cases import Argument, Case, case

special = partial(case, module="scipy.special")


class Operand(NamedTuple):
    """The interval of an operand, its distance from 0, and who lacks the function.

    `complex` names those who lack it for complex numbers; `None`: SciPy does.
    """

    low: float
    high: float
    gap: float = 0.0
    without: str = ""
    complex: str | None = None


def calling(name: str, *constants: Any) -> Any:
    """Return a call of a function with constants before what is differentiated."""
    return lambda sp, *xs: getattr(sp, name)(*constants, *xs)


def unary(name: str, operand: Operand) -> list[Case]:
    """Return the cases of a function of one operand."""
    low, high, gap, without, analytic = operand
    made = [
        special(name, calling(name), Argument(shape, low, high, gap), label=label, without=without)
        for label, shape in {"": (2, 3), "0d": (), "empty": (2, 0)}.items()
    ]
    if analytic is not None:
        made += [
            special(
                name,
                calling(name),
                Argument(shape, low, high, gap),
                label=f"analytic{label}",
                complex=True,
                without=analytic,
            )
            for label, shape in {"": (2, 3), "_0d": (), "_empty": (2, 0)}.items()
        ]
    return made


#: Label: the shapes of both operands.
_SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "": ((2, 3), (2, 3)),
    "row": ((2, 3), (3,)),
    "first_row": ((3,), (2, 3)),
    "0d": ((), ()),
    "empty": ((0, 3), (1, 3)),
}


def binary(name: str, first: Operand, second: Operand) -> list[Case]:
    """Return the cases of a function of two operands that are both differentiated."""
    made = []
    for label, shapes in _SHAPES.items():
        x, y = (
            Argument(shape, o.low, o.high, o.gap)
            for shape, o in zip(shapes, (first, second), strict=True)
        )
        made.append(special(name, calling(name), x, y, label=label, without=first.without))
    x, y = Argument((3,), *first[:3]), Argument((3,), *second[:3])
    made.append(
        special(
            name,
            lambda sp, y: getattr(sp, name)(float(first.high), y),
            y,
            label="of_a_float",
            without=first.without,
        )
    )
    if first.complex is not None:
        made.append(
            special(
                name, calling(name), x, y, label="analytic", complex=True, without=first.complex
            )
        )
    return made


def ordered(name: str, orders: Sequence[Any], operand: Operand) -> list[Case]:
    """Return the cases of a function whose first operand is an order, and constant.

    A tuple of orders stands for a column of them.
    """
    low, high, gap, without, analytic = operand
    made = []
    for order in orders:
        label, lacking = order, without
        if isinstance(order, tuple):
            label = "_and_".join(map(str, order))
            # The column is NumPy's, and lies on the host.
            order, lacking = numpy.array(order)[:, None], f"{without} cupy"
        x = Argument((2, 3), low, high, gap)
        made.append(special(name, calling(name, order), x, label=f"order_{label}", without=lacking))
        if analytic is not None:
            made.append(
                special(
                    name,
                    calling(name, order),
                    x,
                    label=f"analytic_{label}",
                    complex=True,
                    without=analytic,
                )
            )
    order = orders[0]
    for label, shape in {"0d": (), "empty": (2, 0)}.items():
        x = Argument(shape, low, high, gap)
        made.append(special(name, calling(name, order), x, label=label, without=without))
    return made
