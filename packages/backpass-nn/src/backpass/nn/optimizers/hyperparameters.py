"""What every optimizer asks of its numbers, before anything else happens."""

import math
from typing import Any


def number(optimizer: str, name: str, value: Any, *, low: float = 0.0, high: float = 1.0) -> float:
    """Return a number as a Python float: at least `low`, and less than `high`.

    A Python float, unlike a NumPy one, leaves float32 weights what they are.

    Raises
    ------
    TypeError
        If it is no number.
    ValueError
        If it is not finite, or out of range.
    """
    try:
        if isinstance(value, str | bool):
            raise TypeError
        found = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{optimizer}: `{name}` must be a number, not {value!r}") from None
    if not (math.isfinite(found) and low <= found < high):
        bound = (
            "finite and not negative"
            if high == math.inf
            else f"at least {low:g}, less than {high:g}"
        )
        raise ValueError(f"{optimizer}: `{name}` is {value}, but it must be {bound}")
    return found


def amount(optimizer: str, name: str, value: Any) -> float:
    """Return a number as a Python float: finite and not negative; raises as `number`."""
    return number(optimizer, name, value, high=math.inf)


def pair(optimizer: str, name: str, values: Any) -> tuple[float, float]:
    """Return two numbers, each at least 0 and less than 1; raises as `number`.

    Raises
    ------
    TypeError
        If there are not two.
    """
    if not isinstance(values, tuple | list) or len(values) != 2:
        raise TypeError(
            f"{optimizer}: `{name}` must be two numbers, such as (0.9, 0.999), not {values!r}"
        )
    first, second = (number(optimizer, f"{name}[{i}]", x) for i, x in enumerate(values))
    return first, second


def flag(optimizer: str, name: str, value: Any) -> bool:
    """Return a truth value.

    Raises
    ------
    TypeError
        If it is none.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{optimizer}: `{name}` must be True or False, not {value!r}")
    return value


def count(optimizer: str, name: str, value: Any, *, low: int = 1) -> int:
    """Return a whole number of at least `low`.

    Raises
    ------
    TypeError
        If it is no whole number.
    ValueError
        If it is smaller.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{optimizer}: `{name}` must be a whole number, not {value!r}")
    found = int(value)
    if found < low:
        raise ValueError(f"{optimizer}: `{name}` is {found}, but it must be at least {low}")
    return found
