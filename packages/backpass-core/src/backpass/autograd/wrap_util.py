"""From operators on functions of one argument to operators on functions of several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Function = Callable[..., Any]
Argnum = int | tuple[int, ...] | list[int]


def get_name(f: Any) -> str:
    """Return a function's name, for messages."""
    return getattr(f, "__name__", "[unknown name]")


def get_doc(f: Any) -> str:
    """Return a function's docstring, empty if it has none."""
    return getattr(f, "__doc__", None) or ""


def wraps(
    fun: Any, namestr: str = "{fun}", docstr: str = "{doc}", **names: Any
) -> Callable[[Function], Function]:
    """Return a decorator that names a function after `fun`; both texts are format strings."""

    def decorate(f: Function) -> Function:
        f.__name__ = namestr.format(fun=get_name(fun), **names)
        f.__doc__ = docstr.format(fun=get_name(fun), doc=get_doc(fun), **names)
        return f

    return decorate


def wrap_nary_f(fun: Any, op: Any, argnum: Argnum) -> Callable[[Function], Function]:
    """Return a decorator that names a function as the result of `op` on `fun`."""
    return wraps(
        fun,
        "{op}_of_{fun}_wrt_argnum_{argnum}",
        "{op} of {fun} with respect to its argument {argnum}; it takes the arguments of {fun}.",
        op=get_name(op),
        argnum=argnum,
    )


def chosen(fun: Function, args: tuple[Any, ...], argnum: Argnum) -> Any:
    """Return what is differentiated: one argument, or a tuple of them.

    Raises
    ------
    TypeError
        If it is an integer, which has no derivatives, or there is no such argument.
    """
    nums = (argnum,) if isinstance(argnum, int) else argnum
    for i in nums:
        if not -len(args) <= i < len(args):
            raise TypeError(
                f"argnum={argnum!r}: {get_name(fun)} was called with {len(args)} positional "
                "arguments"
            )
        if isinstance(args[i], int):
            raise TypeError(
                f"Can't differentiate w.r.t. type {type(args[i])}: argument {i} of "
                f"{get_name(fun)} must be a float, an array of floats, or a list, tuple or dict"
            )
    return args[argnum] if isinstance(argnum, int) else tuple(args[i] for i in argnum)


def unary_to_nary(unary_operator: Function) -> Function:
    """Make an operator `op(fun, argnum=0)` of one that takes a function of one argument and that.

    `unary_operator(f, x, ...)` gets `fun` as a function of the argument `argnum` alone, a tuple of
    arguments if `argnum` is one.

    Examples
    --------
    >>> @unary_to_nary
    ... def doubled(f, x):
    ...     return 2 * f(x)
    >>> doubled(pow, 1)(3, 2)
    Traceback (most recent call last):
    ...
    TypeError: Can't differentiate w.r.t. type <class 'int'>: argument 1 of pow must be a float, \
an array of floats, or a list, tuple or dict
    >>> doubled(pow, 1)(3, 2.0)
    18.0
    """

    @wraps(unary_operator)
    def nary_operator(fun: Function, argnum: Argnum = 0, *options: Any, **named: Any) -> Function:
        check_argnum(argnum)

        @wrap_nary_f(fun, unary_operator, argnum)
        def nary_f(*args: Any, **kwargs: Any) -> Any:
            x = chosen(fun, args, argnum)

            @wraps(fun)
            def unary_f(x: Any) -> Any:
                whole = list(args)
                if isinstance(argnum, int):
                    whole[argnum] = x
                else:
                    for i, part in zip(argnum, x):
                        whole[i] = part
                return fun(*whole, **kwargs)

            return unary_operator(unary_f, x, *options, **named)

        return nary_f

    return nary_operator


def check_argnum(argnum: Any) -> None:
    """Raise a TypeError if `argnum` is neither an int nor a tuple or list of them."""
    nums = argnum if isinstance(argnum, tuple | list) else (argnum,)
    if not all(isinstance(i, int) for i in nums):
        raise TypeError(f"argnum must be an int or a tuple of ints, not {argnum!r}")


__all__ = ["get_doc", "get_name", "unary_to_nary", "wrap_nary_f", "wraps"]
