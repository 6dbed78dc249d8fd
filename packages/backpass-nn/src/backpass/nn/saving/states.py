"""States, nested dicts and lists of arrays, numbers and texts, as arrays by name and JSON.

In the JSON everything that JSON does not have is an object with a single key that says what it is:
``{"array": name}``, ``{"scalar": name}``, ``{"tuple": [...]}``, ``{"dict": {...}}``, and
``{"items": [[key, value], ...]}`` for dicts whose keys are not all texts. Integers may be of any
size, and floats come back bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy

from backpass.core.values import plain


def encode(value: Any, name: str, arrays: dict[str, Any]) -> Any:
    """Return JSON for a state; its arrays are put into `arrays`, by their paths.

    Parameters
    ----------
    value
        The state.
    name : str
        Its path.
    arrays : dict of str to array
        Is added to.

    Raises
    ------
    TypeError
        If there is something in it that can be neither a JSON value nor an array: it is named.
    """
    value = plain(value)
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        while name in arrays:
            name += "_"
        arrays[name] = value
        return {"scalar" if isinstance(value, numpy.generic) else "array": name}
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Mapping):
        if all(type(key) is str for key in value):
            return {"dict": {k: encode(v, f"{name}.{k}", arrays) for k, v in value.items()}}
        pairs = value.items()
        return {
            "items": [[encode(k, name, {}), encode(v, f"{name}.{k}", arrays)] for k, v in pairs]
        }
    if type(value) in (list, tuple):
        items = [encode(v, f"{name}.{i}", arrays) for i, v in enumerate(value)]
        return items if type(value) is list else {"tuple": items}
    raise TypeError(
        f"`{name}` is a {type(value).__name__}, which cannot be saved: a state is made of arrays, "
        "numbers, texts, None, and lists, tuples and dicts of them"
    )


def decode(code: Any, arrays: Mapping[str, Any]) -> Any:
    """Return the state that `encode` was given; arrays are NumPy's."""
    if isinstance(code, list):
        return [decode(c, arrays) for c in code]
    if not isinstance(code, dict):
        return code
    ((kind, content),) = code.items()
    if kind == "array":
        return arrays[content]
    if kind == "scalar":
        return arrays[content][()]
    if kind == "tuple":
        return tuple(decode(c, arrays) for c in content)
    if kind == "dict":
        return {k: decode(c, arrays) for k, c in content.items()}
    return {decode(k, arrays): decode(c, arrays) for k, c in content}


__all__ = ["decode", "encode"]
