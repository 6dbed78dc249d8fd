"""Rules as formulas.

The formula of an elementwise rule is `rules.expression`'s: the rule, run on symbols.  Other rules
ask for shapes and dtypes, which symbols have not: they are run on the very values of the call, as
Tensors, while somebody watches what they do.  Either way the formula is what is computed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy

from backpass.core.arity import PICK, Unary
from backpass.core.backends import PYTHON_SCALARS
from backpass.core.cotangents import Parts
from backpass.core.graph import Node, watching
from backpass.core.primitive import Primitive
from backpass.core.rules import derivative_on_symbols
from backpass.core.symbols import Expression
from backpass.core.tensor import Tensor, leaf
from backpass.core.values import plain

#: A formula of more parts than that explains nothing.
LONGEST = 20
#: Local derivatives may be longer: who computes anew needs them.
LONGEST_DERIVATIVE = 100

#: Products in which a zero is strong: they are written as products.
PRODUCTS = ("zero_multiply", "zero_product")

#: The cotangent, in formulas.
G = Expression("g")


class Formula(NamedTuple):
    """What is added to an operand's cotangent; `None`: not to be had, or too long."""

    contribution: Expression | None
    #: The local derivative, of an elementwise operation.
    derivative: Expression | None
    #: The shape that the formula gives, before it is summed to the operand's; `None` if unknown.
    shape: tuple[int, ...] | None = None


class Formulas:
    """Writes formulas, each linear or bilinear rule once for all calls of one kind."""

    def __init__(self) -> None:
        self._known: dict[Any, list[Formula]] = {}
        self._derivatives: dict[Any, Expression | None] = {}

    def of(self, node: Node, g: Any, wanted: Collection[Node] | None) -> list[Formula]:
        """Return what the rules of a call add to each operand's cotangent.

        The letters are `g`, `ans`, and the operands' names in the primitive.
        """
        parents = node.parents
        needs = [p is not None and (wanted is None or p in wanted) for p in parents]
        derivatives: list[Expression | None] = [None] * len(parents)
        if node.primitive.kind == "elementwise" and not _is_complex(node):
            derivatives = [
                self._derivative(node, i) if need else None for i, need in enumerate(needs)
            ]
        if all(d is not None or not need for d, need in zip(derivatives, needs)):
            return [
                Formula(None if d is None else product(G, d), d, node.shape) for d in derivatives
            ]
        key = _key(node, g, needs)
        known = None if key is None else self._known.get(key)
        if known is None:
            known = watched(node, g, wanted)
            if key is not None:
                self._known[key] = known
        return [
            known[i] if d is None else Formula(product(G, d), d, node.shape)
            for i, d in enumerate(derivatives)
        ]

    def _derivative(self, node: Node, i: int) -> Expression | None:
        """Return the local derivative of an elementwise call as a formula of a bearable length."""
        key = (node.primitive, i, _frozen(sorted((node.kwargs or {}).items())))
        if key in self._derivatives:
            return self._derivatives[key]
        try:
            found = derivative_on_symbols(node.primitive, i, node.kwargs or {})
        except Exception:
            # A rule that looks at its operands: what it does is watched.
            found = None
        if found is not None and _parts(found, LONGEST_DERIVATIVE) > LONGEST_DERIVATIVE:
            found = None
        if key[2] is not None:
            self._derivatives[key] = found
        return found


def product(x: Expression, y: Expression) -> Expression:
    """Return a product as a formula, without factors of 1."""
    if y.name in ("1", "1.0"):
        return x
    if y.name in ("-1", "-1.0"):
        return Expression("negative", x)
    return Expression("multiply", x, y)


def watched(node: Node, g: Any, wanted: Collection[Node] | None) -> list[Formula]:
    """Run a call's rules on Tensors, and return what they do as formulas."""
    count = len(node.parents)
    writer = _Writer(node)
    if type(g) is Parts:
        given: Any = Parts([None if x is None else Tensor(x, leaf(x)) for x in g.items])
        for i, part in enumerate(given.items):
            if part is not None:
                writer.name(part.node, f"g[{i}]")
    else:
        given = Tensor(g, leaf(g))
        writer.name(given.node, "g")
    needed = {
        alike
        for alike, parent in zip(writer.call.parents, node.parents)
        if parent is not None and (wanted is None or parent in wanted)
    }
    try:
        with watching(writer.note):
            gxs = list(node.primitive.pullback(given, writer.call, needed))
    except Exception:
        return [Formula(None, None)] * count
    return [
        Formula(None, None)
        if gx is None
        else Formula(writer.formula(gx), None, tuple(plain(gx).shape))
        for gx in gxs
    ]


class _Writer:
    """Writes down what a rule does.

    Attributes
    ----------
    call
        A node like that of the call, whose operands are leaves of their own, one for each: also for
        those that are not differentiated, so that what happens to them is seen.
    """

    def __init__(self, node: Node) -> None:
        self._letters: dict[Node, Expression] = {}
        #: What is not tracked has no node, but is an object of its own, which is kept.
        self._untracked: dict[int, tuple[Any, Expression | None]] = {}
        primitive: Primitive = node.primitive
        names = primitive.names(len(node.parents))
        constants = _constants(node)
        parents: list[Node | None] = []
        for i, (name, parent) in enumerate(zip(names, node.parents)):
            like = constants.get(i + 1) if parent is None else parent
            if like is None:
                parents.append(None)
                continue
            if like.dtype is not None and like.dtype.kind not in "fc":
                self._untracked[id(like)] = (like, Expression(name))
                parents.append(None)
                continue
            alike = Node(None, (), None, None, like.shape, like.dtype)
            self.name(alike, name)
            parents.append(alike)
        self.call = Node(primitive, tuple(parents), node.saved, node.kwargs, node.shape, node.dtype)
        self.name(self.call, "ans")

    def name(self, node: Node, letter: str) -> None:
        """Give a node its letter."""
        self._letters[node] = Expression(letter)

    def note(
        self,
        primitive: Any,
        operands: Sequence[Any],
        ans: Any,
        kwargs: Mapping[str, Any] | None,
        node: Node | None,
    ) -> None:
        """Write an operation down."""
        written = [self.formula(x) for x in operands]
        made = None
        if all(x is not None for x in written):
            made = Expression(primitive.name, *written, **(kwargs or {}))
        if node is None:
            self._untracked[id(ans)] = (ans, made)
        elif made is not None:
            self._letters[node] = made

    def formula(self, x: Any) -> Expression | None:
        """Return what is known of an operand, or of a result."""
        node = x if isinstance(x, Node) else x.node if isinstance(x, Tensor) else None
        if node is not None:
            found = self._letters.get(node)
            if found is None and node.primitive is PICK and node.parents[0] is self.call:
                found = Expression(f"ans[{node.saved[0]}]")
            return found if found is None or _parts(found, LONGEST) <= LONGEST else None
        value = x.value if isinstance(x, Tensor) else x
        if id(value) in self._untracked:
            return self._untracked[id(value)][1]
        if value is None or type(value) in PYTHON_SCALARS or isinstance(value, numpy.generic):
            return Expression(repr(value.item() if isinstance(value, numpy.generic) else value))
        return None


def _constants(node: Node) -> dict[int, Any]:
    """Return the arrays that a call keeps, by position: 0 is the output, 1 the first operand.

    Numbers stand for themselves in a formula, but a condition does not say what it was.
    """
    primitive, saved = node.primitive, node.saved
    if hasattr(primitive, "keep") and primitive.kind != "elementwise":
        pairs = list(enumerate(saved))
    else:
        each = [saved] if isinstance(primitive, Unary) else saved
        pairs = [
            pair
            for rule, kept in zip(primitive.vjps, each)
            if rule is not None and kept
            for pair in zip(rule.positions, kept)
        ]
    return {
        p: x
        for p, x in pairs
        if isinstance(x, numpy.bool_) or (type(getattr(x, "shape", None)) is tuple and x.shape)
    }


def _is_complex(node: Node) -> bool:
    """Tell whether a call has to do with complex numbers, whose rules take other ways."""
    kept = list(node.saved or ())
    for value in node.saved or ():
        kept += value if isinstance(value, tuple | list) else ()
    every = (node, *node.parents, *kept)
    return any(
        isinstance(x, complex) or getattr(getattr(x, "dtype", None), "kind", "") == "c"
        for x in every
    )


def _parts(formula: Any, limit: int) -> int:
    """Return the number of names, numbers and operations in a formula; stop above the limit."""
    count, stack = 0, [formula]
    while stack and count <= limit:
        count += 1
        part = stack.pop()
        if isinstance(part, Expression):
            stack.extend(part.operands)
    return count


def _key(node: Node, g: Any, needs: Sequence[bool]) -> Any:
    """Return what the formulas of a linear or bilinear rule depend on; `None` for other rules."""
    if node.primitive.kind not in ("linear", "bilinear") or type(g) is Parts:
        return None
    kwargs = _frozen(sorted((node.kwargs or {}).items()))
    if kwargs is None:
        return None
    inputs = tuple(p and (p.shape, p.dtype, node.parents.index(p)) for p in node.parents)
    saved = [x for part in node.saved or () for x in (part if isinstance(part, tuple) else (part,))]
    # A number stands in the formula.
    shapes = tuple(
        repr(x) if isinstance(x, numpy.generic) else getattr(x, "shape", repr(x)) for x in saved
    )
    return node.primitive, kwargs, g.shape, inputs, shapes, tuple(needs)


def _frozen(x: Any) -> Any:
    """Return a keyword's value as something to be compared; `None` if it is an array."""
    if isinstance(x, tuple | list):
        parts = [_frozen(part) for part in x]
        return None if any(part is None for part in parts) else (type(x).__name__, *parts)
    if isinstance(x, slice):
        return "slice", repr(x)
    if getattr(x, "shape", None):
        return None
    return type(x).__name__, repr(x)


# ----- formulas for the reader ------------------------------------------------------------------


def plainly(formula: Any, labels: Mapping[str, Any]) -> Any:
    """Return a formula with labels for letters, and what numbers make of it.

    A product with a strong zero is a product; numbers are calculated with, and factors and
    exponents of 1 are left out, so that the derivative of `x ** 2` reads `2 * x`.
    """
    if not isinstance(formula, Expression):
        return formula
    if not formula.operands:
        if formula.name in labels:
            return labels[formula.name]
        number = _as_number(formula.name)
        return formula if number is None else number
    operands = [plainly(x, labels) for x in formula.operands]
    name = "multiply" if formula.name in PRODUCTS else formula.name
    shorter = _calculated(name, operands)
    return Expression(name, *operands, **formula.keywords) if shorter is None else shorter


def _as_number(name: str) -> float | None:
    try:
        return int(name)
    except ValueError:
        try:
            return float(name)
        except ValueError:
            return None


def _calculated(name: str, operands: list[Any]) -> Any:
    """Return what is shorter than the operation; `None` if nothing is."""
    if len(operands) != 2:
        return None
    x, y = operands
    numbers = [type(v) in (int, float) for v in operands]
    if all(numbers):
        compute = _EXACT.get(name)
        if compute is not None and all(type(v) is int or v.is_integer() for v in operands):
            return compute(x, y)
    if name == "multiply" and numbers[0] and x == 1:
        return y
    if name in ("multiply", "power") and numbers[1] and y == 1:
        return x
    return None


_EXACT = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
}
