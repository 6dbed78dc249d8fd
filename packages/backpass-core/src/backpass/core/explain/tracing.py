"""Running a function while somebody watches, and walking back step by step.

The walk is that of `grad`, one node at a time, in whichever engine is in use; between two steps the
cotangents are looked at.  So the gradients are `grad`'s to the last bit.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy

from backpass.core import tree
from backpass.core.arity import PICK
from backpass.core.backends import PYTHON_SCALARS
from backpass.core.calls import (
    THROUGH,
    Argnums,
    Argument,
    Call,
    Function,
    collect,
    one_like,
    released_all,
)
from backpass.core.cotangents import Parts, accumulate, fit_cotangent
from backpass.core.explain.formulas import PRODUCTS, Formula, Formulas, G, plainly
from backpass.core.explain.model import Contribution, Kind, Place, Step, Trace, Variable
from backpass.core.explain.places import Places
from backpass.core.explain.snapshots import Snapshot
from backpass.core.graph import Node, Subgraph, backward, recording, watching
from backpass.core.primitive import Primitive
from backpass.core.symbols import Expression, keyword_text
from backpass.core.tensor import Hooked, Tensor, live
from backpass.core.transforms import check_output, positions
from backpass.core.values import plain

#: Constants with more characters than that get a name in formulas.
_SHORT = 8
_STRONG_ZERO = "A cotangent that is exactly 0 stays 0, whatever the derivative is."
_HOOKED = "A hook hung on this Tensor may have replaced the cotangent."


class _Event(NamedTuple):
    """An operation, as it was seen."""

    primitive: Any
    #: Of each operand its node, or its value if it has none.
    operands: tuple[Any, ...]
    #: What it returned, if that has no node: it is known by its identity.
    untracked: Any
    value: Snapshot | tuple[Snapshot, ...]
    kwargs: Mapping[str, Any]
    node: Node | None
    depth: int
    place: Place | None
    region: tuple[str, ...]


class _Recorder:
    """Notes the operations of a function while it runs."""

    def __init__(self) -> None:
        self.events: list[_Event] = []
        self._places: Places | None = None

    def run(self, fun: Function) -> Function:
        """Return `fun` as a function that is watched."""

        @functools.wraps(fun)
        def watched(*args: Any, **kwargs: Any) -> Any:
            self._places = Places(sys._getframe())
            try:
                with watching(self.note):
                    return fun(*args, **kwargs)
            finally:
                self._places = None

        return watched

    def note(
        self,
        primitive: Any,
        operands: Sequence[Any],
        ans: Any,
        kwargs: Mapping[str, Any] | None,
        node: Node | None,
    ) -> None:
        """Note one operation."""
        if self._places is None:
            return
        several = isinstance(ans, tuple | list)
        self.events.append(
            _Event(
                primitive,
                tuple([_seen(x) for x in operands]),
                ans if node is None else None,
                tuple([_snapshot(x) for x in ans]) if several else _snapshot(ans),
                dict(kwargs or {}),
                node,
                recording.depth,
                *self._places.here(),
            )
        )


def _seen(x: Any) -> Any:
    """Return an operand's node; its value if it has none."""
    if isinstance(x, Tensor):
        node = live(x)
        return x.value if node is None else node
    return x


def _snapshot(x: Any) -> Snapshot:
    return Snapshot(x if hasattr(x, "dtype") or type(x) in PYTHON_SCALARS else numpy.asarray(x))


def trace(
    fun: Function,
    argnums: Argnums | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    has_aux: bool,
    holomorphic: bool,
) -> Trace:
    """Run `fun`, walk back, and return what happened."""
    recorder = _Recorder()
    # What is tracked outside is a constant here.
    given = released_all(args)
    nums = positions(fun, argnums, given)
    call = Call(
        recorder.run(fun), given, kwargs, nums, has_aux=has_aux, tensors_only=argnums is None
    )
    check_output(call, call.out, holomorphic)
    builder = _Builder(fun, call, gathers=argnums is None or argnums == ())
    builder.add_events(recorder.events)
    output = builder.output()
    steps = builder.walk()
    gradients = [collect(argument, builder.cotangents) for argument in call.arguments]
    builder.end()
    shaped: Any = [a.shaped(gs) for a, gs in zip(call.arguments, gradients)]
    if type(argnums) is tuple:
        shaped = tuple(shaped)
    elif len(shaped) == 1:
        shaped = shaped[0] if argnums is None or isinstance(argnums, int) else tuple(shaped)
    elif argnums is not None:
        shaped = tuple(shaped)
    return Trace(call.name, tuple(builder.variables), output, tuple(steps), shaped)


class _Builder:
    """Makes variables of what was seen, and steps of the walk back."""

    def __init__(self, fun: Function, call: Call, *, gathers: bool) -> None:
        self.call = call
        self.variables: list[Variable] = []
        self.cotangents: dict[Node, Any] = {}
        self._fun = fun
        self._gathers = gathers
        self._formulas = Formulas()
        #: Variables by node, by call and output, and by the identity of what has no node.
        self._by_node: dict[Node, int] = {}
        self._parts: dict[tuple[int, int], int] = {}
        self._by_identity: dict[int, tuple[Any, int]] = {}
        self._counts = {"v": 0, "c": 0, "w": 0}
        self.root = live(call.out) if isinstance(call.out, Tensor) else None
        self.subgraph = None if self.root is None else Subgraph(self.root, call.start)
        self.order = [] if self.subgraph is None else self.subgraph.order
        self._walked = set(self.order)
        self._leaves: list[Node] = []
        self._wanted: Collection[Node] | None = None
        self._outer = False
        if self.subgraph is not None:
            self._look_at_border(self.subgraph)
        for argument in call.arguments:
            self._add_argument(argument)

    def _look_at_border(self, subgraph: Subgraph) -> None:
        strangers = subgraph.strangers(self.call.targets)
        if self._gathers:
            self._leaves = [node for node in strangers if _is_parameter(node)]
        self._outer = self.call.is_outer(strangers)
        if len(strangers) > len(self._leaves):
            self._wanted = subgraph.between([*self.call.targets, *self._leaves])

    # ----- variables -----------------------------------------------------------------------------

    def _add(self, kind: Kind, label: str, value: Any, **facts: Any) -> int:
        index = len(self.variables)
        self.variables.append(Variable(index, kind, label, value, **facts))
        return index

    def _next(self, letter: str) -> str:
        self._counts[letter] += 1
        return f"{letter}{self._counts[letter]}"

    def _add_argument(self, argument: Argument) -> None:
        name = _parameter_name(self._fun, argument.position)
        labels = [name]
        if argument.structure is not None:
            labels = [accessor.codify(name) for accessor in argument.structure.accessors()]
        for label, node, fresh, given in zip(
            labels, argument.nodes, argument.fresh, argument.leaves
        ):
            if node is not None and fresh is not None:
                value = _snapshot(plain(given))
                self._by_node[node] = self._add("argument", label, value, depends=True)

    def add_events(self, events: Sequence[_Event]) -> None:
        """Make variables of the operations, those inside of other calls left out."""
        for event in events:
            if event.node in self._walked or event.depth == self.call.depth:
                self._add_event(event)
        for node in reversed(self.order):
            if node not in self._by_node and node.primitive is not PICK:
                self._add_unseen(node)

    def _add_event(self, event: _Event) -> None:
        operands = tuple([self._variable(x) for x in event.operands])
        depends = event.node is not None and any(self.variables[i].depends for i in operands)
        index = self._add_operation(
            event.primitive, operands, event.kwargs, event.value, event.place, event.region, depends
        )
        if event.node is not None:
            self._by_node[event.node] = index
        else:
            self._by_identity[id(event.untracked)] = (event.untracked, index)

    def _add_operation(
        self,
        primitive: Any,
        operands: tuple[int, ...],
        kwargs: Mapping[str, Any],
        value: Any,
        place: Place | None,
        region: tuple[str, ...],
        depends: bool,
    ) -> int:
        label = self._next("v")
        names = [self._name(i) for i in operands]
        several = isinstance(value, tuple) and len(value) > 1
        index = self._add(
            "operation",
            label,
            value[0] if isinstance(value, tuple) and len(value) == 1 else value,
            operation=primitive.name,
            operands=operands,
            parameters=_parameters(primitive, len(operands)),
            keywords={key: keyword_text(v) for key, v in kwargs.items()},
            call=_call(primitive, names, kwargs),
            place=place,
            region=region,
            depends=depends,
        )
        for i, part in enumerate(value if several else ()):
            self._parts[index, i] = self._add(
                "part",
                f"{label}[{i}]",
                part,
                operation="pick",
                operands=(index,),
                parameters=("x",),
                keywords={"index": str(i)},
                call=f"{label}[{i}]",
                place=place,
                region=region,
                depends=depends,
            )
        return index

    def _add_unseen(self, node: Node) -> None:
        """Add a node that nobody was told of: the argument of a call inside of the function."""
        operands = tuple([self._variable(p) for p in node.parents if p is not None])
        value = self.variables[operands[0]].value if len(operands) == 1 else None
        self._by_node[node] = self._add_operation(
            node.primitive, operands, node.kwargs or {}, value, None, (), True
        )

    def _name(self, index: int) -> Any:
        """Return what a variable is called in a formula; a number for a short constant."""
        variable = self.variables[index]
        number = variable.value.numbers if isinstance(variable.value, Snapshot) else None
        if variable.kind == "constant" and type(number) in (int, float):
            return Expression(variable.label) if variable.label[0] == "c" else number
        return Expression(variable.label)

    def _variable(self, x: Any) -> int:
        """Return the index of the variable that an operand is."""
        if isinstance(x, Node):
            return self._variable_of(x)
        if x is None:
            return self._add("constant", self._next("c"), None)
        known = self._by_identity.get(id(x))
        if known is not None and known[0] is x and type(x) not in PYTHON_SCALARS:
            return known[1]
        value = _snapshot(x)
        number = (
            value.numbers.item()
            if value.whole and not value.shape and hasattr(value.numbers, "item")
            else value.numbers
        )
        label = repr(number) if type(number) in PYTHON_SCALARS else ""
        if not label or len(label) > _SHORT:
            label = self._next("c")
        index = self._add("constant", label, value)
        self._by_identity[id(x)] = (x, index)
        return index

    def _variable_of(self, node: Node) -> int:
        known = self._by_node.get(node)
        if known is not None:
            return known
        if node.primitive is PICK and node.parents:
            whole = self._variable_of(node.parents[0])
            index = self._parts.get((whole, node.saved[0]), whole)
        elif node in self._walked:
            self._add_unseen(node)
            return self._by_node[node]
        else:
            tensor = None if node.tensor is None else node.tensor()
            value = None if tensor is None else _snapshot(tensor.value)
            if node in self._leaves:
                label = _name_of_tensor(self._fun, tensor) or self._next("w")
                index = self._add("parameter", label, value, depends=True)
            else:
                index = self._add("constant", self._next("c"), value)
        self._by_node[node] = index
        return index

    def output(self) -> int:
        """Return the index of what the function returned."""
        return self._variable(_seen(self.call.out))

    # ----- the way back --------------------------------------------------------------------------

    def walk(self) -> list[Step]:
        """Carry the cotangent from the output to the arguments, a node at a time."""
        steps: list[Step] = []
        if self.root is None or self.subgraph is None:
            return steps
        self.cotangents[self.root] = one_like(plain(self.call.out))
        with numpy.errstate(all="ignore"):
            for node in list(self.order):
                if node in self.cotangents:
                    step = self._step(node)
                    if step is not None:
                        steps.append(step)
        for node in (*self.call.targets, *self._leaves):
            if node in self.cotangents and node in self._by_node:
                g = self.cotangents[node]
                self.variables[self._by_node[node]].cotangent = Snapshot(g)
        return steps

    def _step(self, node: Node) -> Step | None:
        variable = self.variables[self._variable_of(node)]
        g = self.cotangents[node]
        shown = _snapshots(g)
        parents = list(node.parents)
        primitive = node.primitive
        self_written = not isinstance(primitive, Primitive)
        derivatives: list[Any] = [None] * len(parents)
        formulas = [Formula(None, None)] * len(parents)
        first = [p is not None and p not in self.cotangents for p in parents]
        before = {
            p: _copied(self.cotangents.get(p))
            for i, p in enumerate(parents)
            if p is not None and p in parents[:i]
        }
        if self_written:
            spy = _Spy(primitive)
            node.primitive = spy
        else:
            formulas = self._formulas.of(node, g, self._wanted)
            derivatives = [_derivative(node, i) for i in range(len(parents))]
            gxs = list(primitive.pullback(g, node, self._wanted))
        try:
            g = None  # Only the walk holds it now, as it does in grad.
            one = Subgraph.__new__(Subgraph)
            one.order, one.border = [node], []
            backward(one, self.cotangents, wanted=self._wanted, free=not self._outer)
        finally:
            node.primitive = primitive
        if self_written:
            gxs = spy.gxs
            if primitive is THROUGH:
                formulas = [Formula(G, None)]
        made = []
        for i, (parent, gx) in enumerate(zip(parents, gxs)):
            if parent is None or gx is None or type(gx) is Parts:
                continue
            # A fused kernel may have summed what the formula leaves to the walk.
            shape = formulas[i].shape or tuple(gx.shape)
            spread = shape if shape != tuple(parent.shape) else None
            if gx.shape != parent.shape or gx.dtype is not parent.dtype:
                gx = fit_cotangent(gx, parent)
            total = self.cotangents[parent]
            if parent in before:
                old = before[parent]
                total = before[parent] = gx if old is None else accumulate(old, gx)
            made.append(
                Contribution(
                    operand=i,
                    variable=self._variable_of(parent),
                    formula=str(formulas[i].contribution or ""),
                    named=self._named(formulas[i].contribution, variable),
                    expression=formulas[i].derivative,
                    local=self._named(formulas[i].derivative, variable),
                    derivative=derivatives[i],
                    spread=spread,
                    value=Snapshot(gx),
                    total=Snapshot(total),
                    first=first[i] and parent not in parents[:i],
                    rule=formulas[i].contribution,
                )
            )
        variable.cotangent = shown
        if primitive is PICK:
            part = self._by_node.get(node)
            if part is not None and self.variables[part].kind == "part":
                self.variables[part].cotangent = shown
            return None
        note = _HOOKED if isinstance(primitive, Hooked) else _rule_in_words(primitive, made)
        if any(_hides(c) for c in made):
            note = _STRONG_ZERO
        return Step(variable.index, shown, tuple(made), note)

    def _named(self, formula: Expression | None, variable: Variable) -> str:
        """Return a formula with the labels of a call in the place of the rule's letters."""
        if formula is None:
            return ""
        labels = {name: self._name(i) for name, i in zip(variable.parameters, variable.operands)}
        labels["ans"] = Expression(variable.label)
        labels["g"] = Expression(f"d{variable.label}")
        if isinstance(variable.value, tuple):
            for i in range(len(variable.value)):
                labels[f"ans[{i}]"] = Expression(f"{variable.label}[{i}]")
                labels[f"g[{i}]"] = Expression(f"d{variable.label}[{i}]")
        return str(plainly(formula, labels))

    def end(self) -> None:
        """Let the graph go, as `grad` does."""
        if not self._outer:
            self.call.end()


class _Spy:
    """Stands for a primitive of one call and notes what its rule returns."""

    def __init__(self, primitive: Any) -> None:
        self.primitive = primitive
        self.name = primitive.name
        self.gxs: list[Any] = []

    def pullback(self, g: Any, node: Node, wanted: Any) -> Sequence[Any]:
        """Run the rule."""
        self.gxs = list(self.primitive.pullback(g, node, wanted))
        return [_copied(gx) for gx in self.gxs]


def _call(primitive: Any, names: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return an operation as text."""
    if primitive is THROUGH:
        return f"{names[0]}, for a function differentiated inside"
    name: str = "multiply" if primitive.name in PRODUCTS else primitive.name
    if name == "setitem":
        place = str(Expression("getitem", names[0], **kwargs)).removeprefix(str(names[0]))
        return f"{names[0]} with {place} set to {names[1]}"
    return str(Expression(name, *names, **kwargs))


def _copied(g: Any) -> Any:
    """Return a cotangent that the walk may add to in place, as it would if nobody looked."""
    if type(g) is Parts:
        return Parts([_copied(part) for part in g.items])
    # In its own layout: products of other layouts are rounded in other ways.
    return g.copy("K") if hasattr(g, "copy") else g


def _snapshots(g: Any) -> Snapshot | tuple[Snapshot | None, ...]:
    if type(g) is Parts and len(g.items) == 1:
        return Snapshot(g.items[0])
    if type(g) is Parts:
        return tuple([None if part is None else Snapshot(part) for part in g.items])
    return Snapshot(g)


def _derivative(node: Node, i: int) -> Snapshot | None:
    """Return the local derivative of an elementwise call in numbers."""
    primitive, parent = node.primitive, node.parents[i]
    if primitive.kind != "elementwise" or parent is None:
        return None
    derivative, rule = primitive.derivatives[i], primitive.vjps[i]
    if derivative is None or rule is None:
        return None
    saved = node.saved if len(node.parents) == 1 and _is_flat(node) else node.saved[i]
    kwargs = node.kwargs or {}
    if rule.keywords is not None:
        kwargs = {key: kwargs[key] for key in rule.keywords if key in kwargs}
    try:
        found = derivative(*saved, **kwargs)
    except ArithmeticError:
        found = derivative(*map(_as_scalar, saved), **kwargs)
    return _snapshot(found)


def _is_flat(node: Node) -> bool:
    """Tell whether what a call keeps is one tuple, not one for each operand."""
    return not hasattr(node.primitive, "keep")


def _as_scalar(x: Any) -> Any:
    return numpy.float64(x) if type(x) in (int, float) else x


def _hides(contribution: Contribution) -> bool:
    """Tell whether a zero has been strong: it met a derivative that is infinite or nan."""
    found = contribution.derivative
    if found is None or not found.whole or found.device != "cpu":
        return False
    finite = numpy.isfinite(found.numbers)
    return not finite.all() and bool(
        numpy.isfinite(contribution.value.numbers).sum() > finite.sum()
        if contribution.value.whole
        else False
    )


def _rule_in_words(primitive: Any, made: Sequence[Contribution]) -> str:
    """Return what the documentation says of a rule that is too long to be shown as a formula."""
    if all(c.formula for c in made):
        return ""
    summary = (getattr(primitive, "__doc__", "") or "").strip().partition("\n\n")[0]
    if not isinstance(primitive, Primitive):
        return ""
    return f"The rule of {primitive.name} is not one short formula. {' '.join(summary.split())}"


def _is_parameter(node: Node) -> bool:
    return node.tensor is not None and node.tensor() is not None


def _parameters(primitive: Any, count: int) -> tuple[str, ...]:
    if isinstance(primitive, Primitive):
        return tuple(primitive.names(count))[:count]
    return tuple([f"x{i}" if count > 1 else "x" for i in range(count)])


def _parameter_name(fun: Function, position: int) -> str:
    """Return the name of a function's positional parameter."""
    try:
        found = list(inspect.signature(fun).parameters.values())
    except (TypeError, ValueError):
        return f"x{position}"
    for i, parameter in enumerate(found):
        if parameter.kind is parameter.VAR_POSITIONAL and i <= position:
            return f"{parameter.name}[{position - i}]"
        if i == position:
            return parameter.name
    return f"x{position}"


def _name_of_tensor(fun: Function, tensor: Any) -> str:
    """Return the name by which a function reaches a Tensor outside; empty if it is not found."""
    try:
        reached = inspect.getclosurevars(fun)
    except TypeError:
        return ""
    for names in (reached.nonlocals, reached.globals):
        for name, value in names.items():
            if value is tensor:
                return name
            try:
                leaves, structure = tree.flatten(value)
            except Exception:
                continue
            for leaf, accessor in zip(leaves, structure.accessors()):
                if leaf is tensor:
                    return str(accessor.codify(name))
    return ""
