"""NumPy's and SciPy's own functions, called on Tensors: what `import numpy as np` gives.

NumPy asks an operand that is no array what a call shall do: `Tensor.__array_ufunc__` and
`Tensor.__array_function__`.  The usual calls go straight to the function of that name; this module
has the others: methods of ufuncs, their keywords, `like=`, and the words for what has no
derivative.  Nothing of it may return a float that has lost its gradient.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, NoReturn

import numpy

from backpass.core.backends import backend_of
from backpass.core.operators import operators
from backpass.core.ops.creation import Creation
from backpass.core.ops.shaping import as_operand, astype, reshape
from backpass.core.tensor import Tensor, bare
from backpass.core.values import plain

Function = Callable[..., Any]

# ----- ufuncs -----------------------------------------------------------------------------------

#: What a ufunc's keywords are when they say nothing.
_DEFAULTS = {"where": True, "casting": "same_kind", "order": "K", "subok": True, "dtype": None}
_AT = (
    "{name} writes into an array, which cannot be recorded: make the array a Tensor and use "
    "a[index] = a[index] + x, or a product with a matrix of zeros and ones where an index repeats"
)


def apply_ufunc(
    ufunc: numpy.ufunc, method: str, inputs: Sequence[Any], kwargs: dict[str, Any]
) -> Any:
    """Apply a ufunc, or a method of one, to operands of which one at least is a Tensor."""
    name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
    out = kwargs.pop("out", None)
    if out is not None:
        _refuse_out(name, out, inputs)
    operands = list(map(bare, inputs))
    if method == "__call__":
        return _call(ufunc, operands, kwargs)
    if method in ("reduce", "accumulate"):
        return _along_axis(ufunc, name, _OF_METHOD[method].get(ufunc), operands[0], kwargs)
    if method == "outer":
        x, y = map(as_operand, operands)
        return _call(ufunc, [reshape.op(x, shape=(*x.shape, *(1,) * y.ndim)), y], kwargs)
    if method == "at":
        raise TypeError(_AT.format(name=name))
    refuse(name, "add up pieces with split() or a loop")


def _call(ufunc: numpy.ufunc, operands: list[Any], kwargs: Mapping[str, Any]) -> Any:
    function = operators.find_ufunc(ufunc)
    if function is None:
        refuse(ufunc.__name__)
    options = {k: v for k, v in kwargs.items() if not _says_nothing(k, v)}
    if not options:
        return function(*operands)
    if "where" in options:
        raise TypeError(
            f"{ufunc.__name__}: where= is not supported on a Tensor, because the rest would be "
            f"undefined: use where(mask, {ufunc.__name__}(x), other)"
        )
    dtype = options.pop("dtype", None)
    if dtype is None:
        return function(*operands, **options)
    ans = function(*(_cast(x, numpy.dtype(dtype), ufunc.__name__) for x in operands), **options)
    if getattr(ans, "dtype", None) != numpy.dtype(dtype):
        raise TypeError(f"{ufunc.__name__}: dtype={dtype} is not supported on a Tensor")
    return ans


def _says_nothing(keyword: str, value: Any) -> bool:
    usual = _DEFAULTS.get(keyword, _says_nothing)
    return value is usual or (type(value) is str and value == usual)


def _cast(x: Any, dtype: Any, name: str) -> Any:
    x = as_operand(x)
    if not numpy.can_cast(x.dtype, dtype, "same_kind"):
        raise TypeError(f"{name}: dtype={dtype} does not hold an operand of {x.dtype}")
    return x if x.dtype == dtype else astype.op(x, dtype=dtype)


def _refuse_out(name: str, out: Any, inputs: Sequence[Any]) -> NoReturn:
    target = out[0] if isinstance(out, tuple) else out
    if isinstance(target, numpy.ndarray) and any(x is target for x in inputs):
        raise TypeError(
            f"{name}: out= is not supported with a Tensor: an array that is changed in place, by "
            "a += t for one, cannot carry a gradient: write a = a + t, or make a Tensor of a first"
        )
    raise TypeError(f"{name}: out= is not supported: a Tensor's operations make new ones")


#: Which function is a ufunc's method: `np.add.reduce` is `sum` along axis 0.
_OF_METHOD: dict[str, dict[Any, str]] = {
    "reduce": {
        numpy.add: "sum",
        numpy.multiply: "prod",
        numpy.maximum: "max",
        numpy.minimum: "min",
        numpy.fmax: "nanmax",
        numpy.fmin: "nanmin",
        numpy.logical_and: "all",
        numpy.logical_or: "any",
    },
    "accumulate": {numpy.add: "cumsum", numpy.multiply: "cumprod"},
}


def _along_axis(
    ufunc: numpy.ufunc, name: str, found: str | None, x: Any, kwargs: Mapping[str, Any]
) -> Any:
    """Apply `reduce` or `accumulate`, whose axis is 0 if none is named."""
    function = None if found is None else operators.find_function(getattr(numpy, found))
    if function is None:
        refuse(name, "use a loop over the axis")
    options = {"axis": 0, **kwargs}
    dtype = options.pop("dtype", None)
    if options.get("where") is True:
        del options["where"]
    if dtype is not None:
        x = _cast(x, numpy.dtype(dtype), name)
    return function(x, **options)


# ----- functions --------------------------------------------------------------------------------

#: Text for people: nothing of it is differentiable.
_TEXT = frozenset((numpy.array2string, numpy.array_repr, numpy.array_str))
#: What is written to a file is no part of a graph; a tracked Tensor is refused nevertheless.
_TO_FILES = frozenset((numpy.save, numpy.savetxt, numpy.savez, numpy.savez_compressed))


def apply_function(func: Function, like: Tensor, args: Any, kwargs: Mapping[str, Any]) -> Any:
    """Apply a function of NumPy's that is not simply one of ours; `like` is one of its operands."""
    if func in _TEXT:
        return func(like.value, *args[1:], **{k: v for k, v in kwargs.items() if v is not like})
    if func in _TO_FILES:
        given = [_untracked(x, func) for x in args]
        return func(*given, **{k: _untracked(v, func) for k, v in kwargs.items()})
    make = getattr(Creation, func.__name__, None) if func.__module__ == "numpy" else None
    if make is not None:
        return make(Creation(backend_of((like.value,)).library), *args, **kwargs)
    refuse(f"{func.__module__}.{func.__name__}", rule=True)


def _untracked(x: Any, func: Function) -> Any:
    if isinstance(x, Tensor) and x.tracked:
        raise TypeError(
            f"{func.__name__} of a tracked Tensor: its gradient is not saved: use t.value"
        )
    return plain(x)


# ----- what to say ------------------------------------------------------------------------------


def refuse(name: str, way_out: str = "", *, rule: bool = False) -> NoReturn:
    """Raise for a function without a rule, and name what there is instead."""
    what = f"backpass has no rule for {name}" if rule else f"backpass cannot differentiate {name}"
    found = way_out or nearest_alternative(name)
    if found:
        what += f": {found}, or " if way_out else f", which {found}; or "
    else:
        what += ": "
    raise TypeError(
        f"{what}apply it to .value or stop_gradient(t).value if no gradient is wanted, or declare "
        "a rule with backpass.core.extend"
    )


def nearest_alternative(name: str) -> str:
    """Return what to use in the place of a function, in words; "" if nothing is known."""
    try:
        excluded = importlib.import_module("backpass.core.ops.excluded")
    except ImportError:
        return ""
    return str(excluded.nearest_alternative(name.removeprefix("numpy.")))


def explain_loss() -> str:
    """Return which library function asks for a Tensor's array, and what to call instead.

    A function that is no ufunc, of SciPy's for the most part, makes arrays of its operands by
    itself.  The frames between the user's code and here tell which one it was.
    """
    found = None
    # Past this function and `__array__`; the outermost of the library's own frames counts.
    for frame in _frames(sys._getframe(2)):
        if not frame.f_globals.get("__name__", "").startswith(("scipy.", "numpy.")):
            break
        found = _public_name(frame) or found
    if found is None:
        return "backpass.numpy's own functions take Tensors, its array and stack join them"
    home, name = found[0], found[1].removesuffix(".__getitem__")
    if _exists(home, name):
        return f"use backpass.{home}.{name} in the place of {home}.{name}"
    nearest = nearest_alternative(f"{home}.{name}")
    return f"backpass has no {home}.{name}" + (f", which {nearest}" if nearest else "")


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _public_name(frame: FrameType) -> tuple[str, str] | None:
    """Return `("scipy.linalg", "solve")` for the frame of a public function, or of its wrapper."""
    module, name, scope = frame.f_globals["__name__"], frame.f_code.co_name, frame.f_locals
    if not hasattr(sys.modules.get(module), name) and callable(scope.get("f")):
        module, name = scope["f"].__module__, scope["f"].__name__
    public = [part for part in module.split(".") if not part.startswith("_")]
    for count in range(len(public), 0, -1):
        home = ".".join(public[:count])
        namespace = vars(sys.modules[home]) if home in sys.modules else {}
        owner = _owner(scope.get("self"), namespace)
        if owner:
            return home, f"{owner}.{name}"
        if not name.startswith("_") and callable(namespace.get(name)):
            return home, name
    return None


def _owner(instance: Any, namespace: Mapping[str, Any]) -> str:
    """Return the public name of an object, such as one of SciPy's distributions."""
    if instance is None:
        return ""
    name = getattr(instance, "name", None)
    if isinstance(name, str) and name in namespace:
        return name
    return next((key for key, value in namespace.items() if value is instance), "")


def _exists(home: str, name: str) -> bool:
    try:
        found: Any = importlib.import_module(f"backpass.{home}")
    except ImportError:
        return False
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is not None


__all__ = ["apply_function", "apply_ufunc", "explain_loss"]
