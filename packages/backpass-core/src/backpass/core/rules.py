"""The verbs that declare rules: one line a function, one verb a kind of function.

The parameters of a rule are always `g` (the cotangent), `ans` (the output) and the operands by the
names they have in the primitive.  *They declare what is kept for the backward pass*: a rule
`lambda ans: ...` keeps the output, `lambda y: ...` one operand, and everything else is freed at
once.  Keywords of the call come as keyword-only parameters; a rule names those that it needs.

The kind gives reverse mode, forward mode, broadcasting and the treatment of zeros together; rules
themselves never un-broadcast and never cast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy

from backpass.core.operators import operators
from backpass.core.primitive import Primitive, Rule
from backpass.core.signatures import parameters
from backpass.core.symbols import SYMBOLIC, Expression


class Refused:
    """Stands in a table for a derivative that has no formula; its reason names a way out."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def rule(self, f: Primitive, i: int) -> Rule:
        """Return a rule that raises: silence would be a gradient of 0."""
        parameter = f.parameters[i]

        def raise_error(*_: Any, **__: Any) -> NoReturn:
            raise NotImplementedError(
                f"{f.name} has no derivative in its argument {parameter!r}: {self.reason}. Pass "
                f"stop_gradient({parameter}) if no gradient is wanted there, or declare a rule "
                "with backpass.core.extend"
            )

        return Rule(raise_error, (), None, self.reason)


def refused(reason: str) -> Refused:
    """Return what stands in a table for a derivative that is not to be had, and says why.

    `reason` says what is unknown and what to do instead.  The other arguments keep their rules; a
    gradient that is asked for here raises a `NotImplementedError` with function and argument.

    Examples
    --------
    >>> from backpass.core import grad
    >>> from backpass.core.extend import elementwise, primitive, refused
    >>> @primitive
    ... def nth_power(xp, n, x):
    ...     return x**n
    >>> way_out = "n is a whole number: use power"
    >>> elementwise(nth_power, refused(way_out), lambda n, x: n * x ** (n - 1))
    >>> grad(nth_power, 1)(3.0, 2.0)
    np.float64(12.0)
    """
    return Refused(reason)


Derivative = Callable[..., Any] | Refused | None


def elementwise(f: Primitive, *derivatives: Derivative, selects: bool = False) -> None:
    """Declare the local derivative of an elementwise function, one for each operand.

    `derivative(ans, x, y)` names what it reads.  The VJP is `g` times it, and so is the JVP with
    the tangent; both with a strong zero: where `g` is exactly 0 the product is 0, even if the
    derivative is infinite or nan there.  `None` means that no gradient flows to the operand.

    `selects` is for functions that choose among their operands: their derivative is 0 where they do
    not choose, and there it is the derivative's zero that is strong, even if `g` is infinite.

    Raises
    ------
    TypeError
        If a derivative has a parameter that is neither `ans` nor an operand of `f`.
    """
    f.kind, f.selects = "elementwise", selects
    f.derivatives = tuple(None if isinstance(d, Refused) else d for d in derivatives)
    rules = [_local_rule(f, d, i, selects) for i, d in enumerate(derivatives)]
    f.vjps = f.jvps = tuple(rules)
    _finish(f)


def _local_rule(f: Primitive, derivative: Derivative, i: int, selects: bool) -> Rule | None:
    if derivative is None:
        return None
    if isinstance(derivative, Refused):
        return derivative.rule(f, i)
    return _product(f, derivative, selects)


def _product(f: Primitive, derivative: Callable[..., Any], selects: bool) -> Rule:
    positions, keywords = read_names(f, derivative, skip="")

    def rule(g: Any, *saved: Any, **kwargs: Any) -> Any:
        try:
            d = derivative(*saved, **kwargs)
        except ArithmeticError:
            # Of Python's floats, where NumPy's give inf or nan.
            d = derivative(*map(_as_scalar, saved), **kwargs)
        return operators.zero_multiply(d, g) if selects else operators.zero_multiply(g, d)

    return Rule(rule, positions, keywords)


def _as_scalar(x: Any) -> Any:
    return numpy.float64(x) if type(x) in (int, float) else x


def linear(
    f: Primitive, *vjps: Derivative, zero: tuple[str, ...] = (), joint: Derivative = None
) -> None:
    """Declare a function that is linear in all the operands that have a rule.

    `vjp(g, x, ...)` reads its operands for shape and dtype only.  Forward mode is `f` itself on the
    tangents, with the keywords named in `zero` (those that make it affine) set to 0; operands whose
    rule is `None` are kept as they are.  `joint` is one rule for all operands, see `defvjp`.
    """
    f.kind, f.affine = "linear", zero
    f.vjps = tuple(_rule(f, vjp, "g", i) for i, vjp in enumerate(vjps))
    f.joint = _rule(f, joint, "g")
    if not f.several and len(f.parameters) == 2 and None in vjps:
        # What is kept as it is has to be saved for forward mode.
        x_moves = Rule(lambda t, y: f.op(t, y), (2,), None)
        y_moves = Rule(lambda t, x: f.op(x, t), (1,), None)
        f.jvps = (vjps[0] and x_moves, vjps[1] and y_moves)  # type: ignore[assignment]
        _share_saved(f)
    _finish(f)


def bilinear(f: Primitive, vjp_x: Callable[..., Any], vjp_y: Callable[..., Any]) -> None:
    """Declare a function of two operands that is linear in each: a product.

    `vjp_x(g, y)` and `vjp_y(g, x)`; each must read the other operand, and may not read its own.
    Forward mode is the product rule.

    Raises
    ------
    TypeError
        If a rule reads anything but `g` and the other operand.
    """
    f.kind = "bilinear"
    rules = (_rule(f, vjp_x, "g"), _rule(f, vjp_y, "g"))
    for rule, other in zip(rules, (2, 1)):
        if rule is None or rule.positions != (other,):
            raise TypeError(
                f"bilinear({f.name}): a rule must read g and {f.parameters[other - 1]!r} only"
            )
    f.vjps = rules
    f.jvps = (
        Rule(lambda t, y, **kwargs: f.op(t, y, **kwargs), (2,), None),
        Rule(lambda t, x, **kwargs: f.op(x, t, **kwargs), (1,), None),
    )
    _finish(f)


def nondifferentiable(*functions: Primitive) -> None:
    """Declare functions without a gradient: their results are never tracked."""
    for f in functions:
        f.kind = "zero"
        _finish(f)


def defvjp(f: Primitive, *vjps: Derivative, joint: Derivative = None) -> None:
    """Declare any other function's reverse mode: `vjp(g, ans, x, y, ...)`, one for each operand.

    `joint(g, ans, x, y, ..., *, needs)` is one rule for all operands instead: it returns a
    cotangent for each, `None` where `needs` is false; its kernel is called `"name.vjp"` and takes
    the same.  With several outputs `g` is a tuple, with `None` for an output that nobody used, and
    `ans` a tuple, too.
    """
    f.kind = "custom"
    f.vjps = tuple(_rule(f, vjp, "g", i) for i, vjp in enumerate(vjps))
    f.joint = _rule(f, joint, "g")
    _finish(f)


def defjvp(f: Primitive, *jvps: Derivative, joint: Derivative = None) -> None:
    """Declare the forward mode of a function that `defvjp` declared: `jvp(t, ans, x, y, ...)`.

    One for each operand, added up; or `joint(ts, ans, x, y, ...)` with a list of tangents, `None`
    where there is none.
    """
    if joint is not None:
        # Called as it is, with everything that was saved: nothing to read from its parameters.
        f.jvps = joint  # type: ignore[assignment]
    else:
        vjps = f.vjps or (None,) * len(jvps)
        f.jvps = tuple(
            vjp if vjp is not None and vjp.refusal else _rule(f, jvp, "t", i)
            for i, (vjp, jvp) in enumerate(zip(vjps, jvps))
        )
        _share_saved(f)
    _finish(f)


def _share_saved(f: Primitive) -> None:
    """Let both modes of a `Unary` or `Binary` read one tuple of saved values."""
    if hasattr(f, "keep") or not f.vjps:
        return
    vjps, jvps = [], []
    for vjp, jvp in zip(f.vjps, f.jvps):  # type: ignore[arg-type]
        if vjp is None or jvp is None or vjp.positions == jvp.positions:
            vjps.append(vjp)
            jvps.append(jvp)
            continue
        union = (*vjp.positions, *(p for p in jvp.positions if p not in vjp.positions))
        vjps.append(_reading(vjp, union))
        jvps.append(_reading(jvp, union))
    f.vjps, f.jvps = tuple(vjps), tuple(jvps)


def _reading(rule: Rule, positions: tuple[int, ...]) -> Rule:
    """Return `rule` as one that is handed the values at `positions`."""
    chosen = tuple(positions.index(p) for p in rule.positions)
    return Rule(
        lambda g, *saved, **kwargs: rule.call(g, *(saved[i] for i in chosen), **kwargs),
        positions,
        rule.keywords,
    )


def expression(f: Primitive) -> tuple[Expression | None, ...]:
    """Return the local derivatives of an elementwise function as formulas, one for each operand.

    The rule is run once on symbols, so that what is shown is what is computed.

    Raises
    ------
    TypeError
        If `f` was not declared by `elementwise`.

    Examples
    --------
    >>> from backpass.core.ops.elementwise import tanh
    >>> print(*expression(tanh))
    1 - ans * ans
    """
    if f.kind != "elementwise":
        raise TypeError(f"expression({f.name}): only elementwise functions have a formula")
    return tuple(derivative_on_symbols(f, i, {}) for i in range(len(f.derivatives)))


def derivative_on_symbols(f: Primitive, i: int, kwargs: Mapping[str, Any]) -> Expression | None:
    """Return the local derivative of an elementwise function in operand `i`; `None`: there is none.

    `kwargs` are the keywords of a call: some derivatives depend on them.
    """
    derivative = f.derivatives[i]
    if derivative is None:
        return None
    names = parameters(derivative)
    taken = {key: value for key, value in kwargs.items() if names.open or key in names.keywords}
    result = derivative(*(Expression(name) for name in names.positional), **taken)
    return result if isinstance(result, Expression) else Expression(repr(result))


def read_names(
    f: Primitive, rule: Callable[..., Any], skip: str
) -> tuple[tuple[int, ...], frozenset[str] | None]:
    """Return which values `rule` names (0: output, i + 1: operand i) and which keywords it takes.

    Raises
    ------
    TypeError
        If a parameter's name means nothing.
    """
    found = parameters(rule)
    names = [*found.positional, *([found.rest] if found.rest else [])]
    if skip and (not names or names[0] not in (skip, "ts")):
        raise TypeError(f"a rule of {f.name}: the first parameter must be {skip!r}")
    positions = []
    for name in names[1:] if skip else names:
        if name == "ans":
            positions.append(0)
        elif name in f.parameters:
            positions.append(f.parameters.index(name) + 1)
        else:
            raise TypeError(
                f"a rule of {f.name} has the parameter {name!r}: "
                f"use {', '.join(filter(None, (skip, 'ans', *f.parameters)))}"
            )
    return tuple(positions), None if found.open else frozenset(found.keywords)


def _rule(f: Primitive, rule: Derivative, skip: str, i: int = 0) -> Rule | None:
    if isinstance(rule, Refused):
        return rule.rule(f, i)
    return None if rule is None else Rule(rule, *read_names(f, rule, skip))


def _finish(f: Primitive) -> None:
    if f.joint is None and f.kind not in ("zero",) and not f.variadic:
        missing = len(f.parameters) - len(f.vjps)
        if missing:
            raise TypeError(
                f"{f.name} has the operands {', '.join(f.parameters)}: declare "
                f"{len(f.parameters)} rules, None where no gradient flows"
            )
    f.pulls.clear()
    f.op = f.build()


__all__ = [
    "SYMBOLIC",
    "bilinear",
    "defjvp",
    "defvjp",
    "elementwise",
    "expression",
    "linear",
    "nondifferentiable",
    "refused",
]
