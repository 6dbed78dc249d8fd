"""Primitives by the number of their operands: the hot path, written out for one and for two.

`Unary` takes keywords, `Binary` takes none, and `Nary` takes any number of operands, keywords and
outputs, a little more slowly.  `build` makes `op` anew whenever a rule is declared, as a closure
over all that the path needs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from operator import itemgetter
from typing import Any, overload

from backpass.core.backends import PYTHON_SCALARS, backend_of
from backpass.core.batches import Batch
from backpass.core.cotangents import Parts, accumulate, fit_cotangent
from backpass.core.dtypes import INEXACT
from backpass.core.extension import engine
from backpass.core.graph import (
    FREED,
    KNOT_EVERY,
    Knot,
    Node,
    floor,
    pauses,
    recording,
    serials,
    tell,
)
from backpass.core.operators import operators
from backpass.core.primitive import Primitive, Rule
from backpass.core.signatures import parameters
from backpass.core.tensor import Tensor, live
from backpass.core.values import (
    ShapeOnly,
    WeakTensor,
    as_scalar,
    as_tensors,
    hung,
    weak_value,
    zeros_beside,
)

#: What Python computes with its own floats, by operators: the result is as weak as they are.
WEAK_ARITHMETIC = frozenset(
    "add subtract multiply divide power negative positive floor_divide remainder absolute".split()
)


def shortened(primitive: Primitive, op: Callable[..., Any]) -> Callable[..., Any]:
    """Return the compiled twin of `op`, which stands before it; `op` itself where there is none."""
    if engine is None:
        return op
    rules = primitive.vjps or (None,) * len(primitive.parameters)
    passes = tuple([rule is not None and _passes(rule.call) for rule in rules])
    return engine.shorten(primitive, op, passes)  # type: ignore[no-any-return]


def _passes(rule: Callable[..., Any]) -> bool:
    """Tell whether a rule is `lambda g: g`, which need not be called."""
    code = getattr(rule, "__code__", None)
    return code is not None and code.co_argcount == 1 and code.co_code == _PASS.co_code


_PASS = (lambda g: g).__code__


class Unary(Primitive):
    """A primitive of one operand and one output; what is not an array comes by keyword."""

    def __init__(
        self, name: str, function: Callable[..., Any] | None = None, **options: Any
    ) -> None:
        super().__init__(name, function, **{"parameters": ("x",), **options})

    def __call__(self, x: Any, **kwargs: Any) -> Any:
        """Apply the primitive; the result is a Tensor."""
        if kwargs:
            if not kwargs.keys() <= self.keywords:
                self.check_keywords(kwargs)
            ans = self.op(x, **kwargs)
        else:
            ans = self.op(x)
        return ans if type(ans) is Tensor else as_tensors(ans)

    def build(self) -> Callable[..., Any]:
        """Return `op`: all that the hot path needs is bound to it."""
        kernels, find, run = self.kernels, self.find, self.run
        complain, record = self.complain, self.record
        rule = self.vjps[0] if self.vjps else None
        save = saver(rule)
        recordable = self.kind not in ("zero", "")
        # Linear rules read no values: the operand's node tells its shape and dtype.
        linear, same_shape = self.kind == "linear", self.kind == "elementwise"
        keeps_ans = rule is not None and rule.positions == (0,)
        keeps_x = rule is not None and rule.positions == (1,)

        def op(x: Any, **kwargs: Any) -> Any:
            """Apply the primitive: an array gives an array, a Tensor a Tensor."""
            if type(x) is Tensor:
                value = x.value
            elif isinstance(x, Tensor):
                return self._on_weak(x, kwargs)
            else:
                # Arrays, as in the rules: with the kernel's answer all is done.
                kernel = kernels.get(type(x))
                try:
                    ans = NotImplemented if kernel is None else kernel(x, **kwargs)
                except Exception as error:
                    complain(error, (x,))
                return run((x,), kwargs) if ans is NotImplemented else ans
            kernel = kernels.get(type(value)) or find((value,))
            try:
                ans = kernel(value, **kwargs) if kwargs else kernel(value)
                if ans is NotImplemented:
                    ans = self.reference(backend_of((value,)))(value, **kwargs)
            except Exception as error:
                complain(error, (value,))
            node = x.node
            if node is None:
                return Tensor(ans)
            dtype = ans.dtype
            if (
                recordable
                and node.parents is not None
                and node.serial > floor[0]
                and not pauses[0]
                and dtype.kind in INEXACT
            ):
                # The short way of `record`.
                saved: Any
                if keeps_ans:
                    saved = (ans,)
                elif keeps_x:
                    saved = (node if linear else value,)
                else:
                    saved = save and save((ans, node if linear else value))
                shape = node.shape if same_shape else ans.shape
                return Tensor(ans, Node(self, (node,), saved, kwargs or None, shape, dtype))
            return Tensor(ans, record(x, node, value, ans, kwargs))

        return shortened(self, op)

    def record(self, x: Tensor, node: Node | None, value: Any, ans: Any, kwargs: Any) -> Any:
        """Return the node of this call; `None` if it is not to be recorded."""
        made = self._node(x, node, value, ans, kwargs)
        if pauses[0]:
            tell(self, (x,), ans, kwargs, made)
        return made

    def _node(self, x: Tensor, node: Node | None, value: Any, ans: Any, kwargs: Any) -> Any:
        if node.parents is None or node.serial <= floor[0]:  # type: ignore[union-attr]
            node = live(x)
        if node is None or self.kind == "zero" or (pauses[0] and recording.paused):
            return None
        if node is FREED:
            return FREED
        if not self.kind:
            self.check_rule()
        dtype = ans.dtype
        if dtype.kind not in INEXACT:
            return None
        # Linear rules read no values: the operand's node tells its shape and dtype.
        save = saver(self.vjps[0])
        saved = save and save((ans, node if self.kind == "linear" else value))
        return Node(self, (node,), saved, kwargs or None, ans.shape, dtype)

    def _on_weak(self, x: Tensor, kwargs: Any) -> Tensor:
        """Apply the primitive to a Tensor of a subclass: a `WeakTensor`, or one like any other."""
        if type(x) is Batch:
            return self.on_batches((x,), kwargs)  # type: ignore[no-any-return]
        if type(x) is not WeakTensor:
            return self.op(Tensor(x.value, x.node), **kwargs)  # type: ignore[no-any-return]
        value = x.value if self.kind == "custom" else weak_value(x)
        ans = as_scalar(self.run((value,), kwargs))
        node = None if x.node is None else self.record(x, x.node, value, ans, kwargs)
        return (WeakTensor if self.name in WEAK_ARITHMETIC else Tensor)(ans, node)

    def saved_of(self, i: int, rule: Rule, node: Node, on_tensors: bool) -> Sequence[Any]:
        """Return what the rule reads of the call that `node` recorded."""
        saved: Sequence[Any] = node.saved
        return wrap(node, rule.positions, saved) if on_tensors else saved

    def pullback(self, g: Any, node: Node, wanted: Collection[Node] | None) -> Sequence[Any]:
        """Carry the cotangent of the output to the input."""
        rule = self.vjps[0]
        if rule is None:
            return (None,)
        saved, kwargs = node.saved, node.kwargs
        if type(g) is Tensor:
            return (rule.run(g, wrap(node, rule.positions, saved), kwargs),)
        pull = (self.pulls.get(type(g)) or self.pull_of(type(g)))[0]
        if pull is not rule.call:
            gx = pull(g, *saved, **kwargs) if kwargs else pull(g, *saved)  # type: ignore[misc]
            if gx is not NotImplemented:
                return (gx,)
        return (rule.run(g, saved, kwargs) if kwargs else rule.call(g, *saved),)

    def pushforward(self, tangents: Sequence[Any], node: Node, on_tensors: bool) -> Any:
        """Carry the tangent of the input to the output."""
        if self.kind == "linear":
            return self.op(tangents[0], **self.homogeneous(node.kwargs or {}))
        rule = self.forward_rule(0)
        if on_tensors:
            return rule.run(tangents[0], wrap(node, rule.positions, node.saved), node.kwargs)
        return self.run_rule(rule, tangents[0], node.saved, node.kwargs)


class Binary(Primitive):
    """A primitive of two operands and one output, without keywords."""

    def __init__(
        self, name: str, function: Callable[..., Any] | None = None, **options: Any
    ) -> None:
        super().__init__(name, function, **{"parameters": ("x", "y"), **options})

    def __call__(self, x: Any, y: Any, **kwargs: Any) -> Any:
        """Apply the primitive; the result is a Tensor."""
        if kwargs:
            self.check_keywords(kwargs)
        ans = self.op(x, y)
        return ans if type(ans) is Tensor else as_tensors(ans)

    def build(self) -> Callable[..., Any]:
        """Return `op`: all that the hot path needs is bound to it."""
        kernels, find, run = self.kernels, self.find, self.run
        complain, record = self.complain, self.record
        save_x, save_y = map(saver, self.vjps or (None, None))
        recordable = self.kind not in ("zero", "")
        # A product's rules read the other operand.
        keeps_y, keeps_x = (
            rule is not None and rule.positions == (other,)
            for rule, other in zip(self.vjps or (None, None), (2, 1))
        )

        def op(x: Any, y: Any) -> Any:
            """Apply the primitive: arrays give an array, a Tensor among them a Tensor."""
            if type(x) is Tensor:
                xv = x.value
                xn = x.node
            elif isinstance(x, Tensor):
                if type(y) is not Tensor or type(x) is Batch:
                    return self._on_weak(x, y)
                xv = weak_value(x)
                xn = x.node
            elif type(x) is list or type(x) is tuple:
                return self.on_sequences(x, y)
            else:
                xv = x
                xn = None
            if type(y) is Tensor:
                yv = y.value
                yn = y.node
            elif isinstance(y, Tensor):
                if type(x) is not Tensor or type(y) is Batch:
                    return self._on_weak(x, y)
                yv = weak_value(y)
                yn = y.node
            elif type(y) is list or type(y) is tuple:
                return self.on_sequences(x, y)
            elif type(x) is Tensor:
                yv = y
                yn = None
            else:
                # Arrays, as in the rules: with the kernel's answer all is done.
                kernel = kernels.get(type(x))
                try:
                    ans = NotImplemented if kernel is None else kernel(x, y)
                except Exception as error:
                    complain(error, (x, y))
                return run((x, y), None) if ans is NotImplemented else ans
            kernel = kernels.get(type(xv)) or kernels.get(type(yv)) or find((xv, yv))
            try:
                ans = kernel(xv, yv)
                if ans is NotImplemented:
                    ans = self.reference(backend_of((xv, yv)))(xv, yv)
            except Exception as error:
                complain(error, (xv, yv))
            if xn is None and yn is None:
                return Tensor(ans)
            lowest = floor[0]
            if (
                recordable
                and (xn is None or (xn.parents is not None and xn.serial > lowest))
                and (yn is None or (yn.parents is not None and yn.serial > lowest))
                and not pauses[0]
            ):
                # The short way of `record`.
                saved = (
                    None if xn is None else (yv,) if keeps_y else save_x and save_x((ans, xv, yv)),
                    None if yn is None else (xv,) if keeps_x else save_y and save_y((ans, xv, yv)),
                )
                # One tuple for one shape: a long graph holds fewer of them.
                shape = ans.shape
                if xn is not None and xn.shape == shape:
                    shape = xn.shape
                return Tensor(ans, Node(self, (xn, yn), saved, None, shape, ans.dtype))
            return Tensor(ans, record(x, y, xn, yn, xv, yv, ans))

        return shortened(self, op)

    def record(
        self, x: Any, y: Any, xn: Node | None, yn: Node | None, xv: Any, yv: Any, ans: Any
    ) -> Node | None:
        """Return the node of this call; `None` if it is not to be recorded."""
        made = self._node(x, y, xn, yn, xv, yv, ans)
        if pauses[0]:
            tell(self, (x, y), ans, None, made)
        return made

    def _node(
        self, x: Any, y: Any, xn: Node | None, yn: Node | None, xv: Any, yv: Any, ans: Any
    ) -> Node | None:
        if xn is not None and (xn.parents is None or xn.serial <= floor[0]):
            xn = live(x)
        if yn is not None and (yn.parents is None or yn.serial <= floor[0]):
            yn = live(y)
        if (xn is None and yn is None) or self.kind == "zero" or (pauses[0] and recording.paused):
            return None
        if xn is FREED or yn is FREED:
            return FREED
        if not self.kind:
            self.check_rule()
        values = (ans, xv, yv)
        saves = map(saver, self.vjps)
        saved = tuple(
            None if n is None else save and save(values) for n, save in zip((xn, yn), saves)
        )
        return Node(self, (xn, yn), saved, None, ans.shape, ans.dtype)

    def _on_weak(self, x: Any, y: Any) -> Any:
        """Apply the primitive where no operand is a plain Tensor, but one is of a subclass."""
        if type(y) is list or type(y) is tuple:
            return self.on_sequences(x, y)
        if type(x) is Batch or type(y) is Batch:
            return self.on_batches((x, y), {})
        if not (type(x) is WeakTensor or type(y) is WeakTensor):
            return self.op(_unwrapped(x), _unwrapped(y))
        xv, xn = (weak_value(x), x.node) if isinstance(x, Tensor) else (x, None)
        yv, yn = (weak_value(y), y.node) if isinstance(y, Tensor) else (y, None)
        ans = as_scalar(self.run((xv, yv), None))
        weak = self.name in WEAK_ARITHMETIC and type(xv) in PYTHON_SCALARS
        kind = WeakTensor if weak and type(yv) in PYTHON_SCALARS else Tensor
        return kind(ans, self.record(x, y, xn, yn, xv, yv, ans))

    def saved_of(self, i: int, rule: Rule, node: Node, on_tensors: bool) -> Sequence[Any]:
        """Return what the rule of operand i reads of the call that `node` recorded."""
        saved: Sequence[Any] = node.saved[i]
        return wrap(node, rule.positions, saved) if on_tensors else saved

    def pullback(self, g: Any, node: Node, wanted: Collection[Node] | None) -> Sequence[Any]:
        """Carry the cotangent of the output to both inputs."""
        if type(g) is Tensor:
            return [
                None
                if parent is None or rule is None or (wanted is not None and parent not in wanted)
                else rule.call(g, *wrap(node, rule.positions, saved))
                for parent, rule, saved in zip(node.parents, self.vjps, node.saved)
            ]
        pull_x, pull_y = self.pulls.get(type(g)) or self.pull_of(type(g))
        saved_x, saved_y = node.saved
        gx = gy = None
        if wanted is not None:
            # What nobody wants is passed over as if it were not tracked.
            saved_x = saved_x if node.parents[0] in wanted else None
            saved_y = saved_y if node.parents[1] in wanted else None
        if saved_x is not None and pull_x is not None:
            gx = pull_x(g, *saved_x)
            if gx is NotImplemented:
                gx = self.vjps[0].call(g, *saved_x)  # type: ignore[union-attr]
        if saved_y is not None and pull_y is not None:
            gy = pull_y(g, *saved_y)
            if gy is NotImplemented:
                gy = self.vjps[1].call(g, *saved_y)  # type: ignore[union-attr]
        return gx, gy

    def pushforward(self, tangents: Sequence[Any], node: Node, on_tensors: bool) -> Any:
        """Carry the tangents of the inputs to the output."""
        if self.kind == "linear" and not self.jvps:
            return self.op(*(0 if t is None else t for t in tangents))
        total = None
        for i, (t, saved) in enumerate(zip(tangents, node.saved)):
            if t is None or self.vjps[i] is None:
                continue
            rule = self.forward_rule(i)
            if on_tensors:
                part = rule.call(t, *wrap(node, rule.positions, saved))
            else:
                part = self.run_rule(rule, t, saved, None)
            total = part if total is None else operators.add(total, part)
        return total


class Nary(Primitive):
    """A primitive of any number of operands and outputs, with keywords."""

    several = True

    def build(self) -> Callable[..., Any]:
        """Return `op`."""
        # Rules of other kinds may ask for a shape, which a Python float has not.
        self._takes_weak = self.kind in ("elementwise", "linear")
        #: What to keep, by which operands are tracked.
        self._needed: dict[tuple[bool, ...], frozenset[int]] = {}
        self._savers = [saver(rule) for rule in self.vjps]
        return self.apply

    def rule_of(self, i: int) -> Rule | None:
        """Return the reverse-mode rule of operand `i`."""
        if self.joint is not None:
            return self.joint
        return self.vjps[i]

    def apply(self, *xs: Any, **kwargs: Any) -> Any:
        """Apply the primitive: arrays give arrays, a Tensor among them Tensors."""
        values: list[Any] = []
        nodes: list[Node | None] = []
        tracked = wrapped = False
        for x in xs:
            node = None
            if isinstance(x, Tensor):
                wrapped = True
                node = x.node
                if node is not None:
                    if node.parents is None or node.serial <= floor[0]:
                        node = live(x)
                    tracked = tracked or node is not None
                if type(x) is Tensor:
                    x = x.value
                elif type(x) is Batch:
                    return self.on_batches(xs, kwargs)
                else:
                    x = weak_value(x) if self._takes_weak else x.value
            elif (type(x) is list or type(x) is tuple) and not self.variadic:
                return self.on_sequences(*xs, **kwargs)
            values.append(x)
            nodes.append(node)
        if not wrapped:
            return self.run(values, kwargs)
        ans = self.run(values, kwargs)
        interrupted = pauses[0]
        if not tracked or self.kind == "zero" or (interrupted and recording.paused):
            if tracked and interrupted:
                tell(self, xs, ans, kwargs, None)
            return wrap_outputs(ans, None)
        if not self.kind:
            self.check_rule()
        if FREED in nodes:
            return wrap_outputs(ans, FREED)
        saved = self.keep(ans, values, nodes)
        if type(ans) is tuple or type(ans) is list:
            node = Node(self, tuple(nodes), saved, kwargs or None, None, None)
            if interrupted:
                tell(self, xs, ans, kwargs, node)
            return wrap_parts(ans, node)
        if ans.dtype.kind not in INEXACT:
            return Tensor(ans)
        node = Node(self, tuple(nodes), saved, kwargs or None, ans.shape, ans.dtype)
        if interrupted:
            tell(self, xs, ans, kwargs, node)
        return Tensor(ans, node)

    def keep(self, ans: Any, values: Sequence[Any], nodes: Sequence[Node | None]) -> list[Any]:
        """Return output and operands as the rules need them: whole, as shape and dtype, or not."""
        if self.kind == "linear":
            # A value that has a rule is not there; where it is tracked, its node tells its shape.
            joint, vjps = self.joint is not None, self.vjps
            kept = [
                value
                if not (joint or vjps[i])
                else None
                if nodes[i] is not None
                else ShapeOnly(value)
                for i, value in enumerate(values)
            ]
            return [None, *kept]
        if self.kind == "elementwise":
            # Both modes have the same rules: what each reads is kept with its operand.
            every = (ans, *values)
            return [
                None if node is None else save and save(every)
                for node, save in zip(nodes, self._savers)
            ]
        mask = tuple([node is not None for node in nodes])
        needed = self._needed.get(mask)
        if needed is None:
            needed = self._needed[mask] = self._find_needed(mask)
        return [x if p in needed else None for p, x in enumerate((ans, *values))]

    def _find_needed(self, mask: Sequence[bool]) -> frozenset[int]:
        """Return the positions of what the rules read if the operands in `mask` are tracked."""
        needed: set[int] = set()
        for i, is_tracked in enumerate(mask):
            if is_tracked:
                rule = self.rule_of(i)
                if rule is not None:
                    needed.update(rule.positions)
                    if self.variadic:
                        needed.update(range(1, len(mask) + 1))
                needed.update(self._jvp_positions(i, len(mask)))
        return frozenset(needed)

    def _jvp_positions(self, i: int, count: int) -> Collection[int]:
        if callable(self.jvps):
            return range(count + 1)
        rule = self.jvps[i] if self.jvps else None
        return () if rule is None else rule.positions

    def saved_of(self, i: int, rule: Rule, node: Node, on_tensors: bool) -> Sequence[Any]:
        """Return what the rule of operand i reads of the call that `node` recorded."""
        if self.kind != "elementwise":
            return self.saved_for(rule, node, on_tensors)
        saved: Sequence[Any] = node.saved[i]
        return wrap(node, rule.positions, saved) if on_tensors else saved

    def saved_for(self, rule: Rule, node: Node, on_tensors: bool) -> list[Any]:
        """Return what `rule` reads, where all that is kept lies in one list."""
        positions: Sequence[int] = rule.positions
        if self.variadic:
            first = len(self.parameters)
            positions = [p for p in positions if p < first] + list(range(first, len(node.saved)))
        found = []
        for p in positions:
            value = node.saved[p]
            owner = node if p == 0 else node.parents[p - 1]
            if value is None and p > 0 and self.kind == "linear":
                value = owner
            elif on_tensors and owner is not None and not isinstance(value, ShapeOnly):
                if isinstance(value, list | tuple):
                    value = wrap_parts(value, owner)
                elif value is not None:
                    value = hung(value, owner)
            found.append(value)
        return found

    def pullback(self, g: Any, node: Node, wanted: Collection[Node] | None) -> Sequence[Any]:
        """Carry the cotangent of the output, or those of the outputs, to the inputs."""
        if type(g) is Parts:
            g = tuple(g.items)
            on_tensors = any(type(part) is Tensor for part in g)
        else:
            on_tensors = type(g) is Tensor
        needs = tuple(
            [parent is not None and (wanted is None or parent in wanted) for parent in node.parents]
        )
        kwargs = node.kwargs
        if self.joint is not None:
            everything = self.saved_for(self.joint, node, on_tensors)
            keywords = {**(kwargs or {}), "needs": needs}
            gxs = NotImplemented
            if not on_tensors:
                kind = type(
                    g if type(g) is not tuple else next(part for part in g if part is not None)
                )
                pull = (self.pulls.get(kind) or self.pull_of(kind))[0]
                if pull is not None and pull is not self.joint.call:
                    gxs = pull(g, *everything, **keywords)
            if gxs is NotImplemented:
                gxs = self.joint.run(g, everything, keywords)
            return [gx if need else None for gx, need in zip(gxs, needs)]
        pulls = None
        if not on_tensors and type(g) is not tuple:
            pulls = self.pulls.get(type(g)) or self.pull_of(type(g))
        made: list[Any] = []
        for i, need in enumerate(needs):
            rule = self.vjps[i]
            if not need or rule is None:
                made.append(None)
                continue
            saved = self.saved_of(i, rule, node, on_tensors)
            gx = NotImplemented
            if pulls is not None and pulls[i] is not rule.call:
                gx = pulls[i](g, *saved, **(kwargs or {}))  # type: ignore[misc]
            elif pulls is None and not on_tensors:
                gx = self.run_rule(rule, g, saved, kwargs)
            made.append(rule.run(g, saved, kwargs) if gx is NotImplemented else gx)
        return made

    def pushforward(self, tangents: Sequence[Any], node: Node, on_tensors: bool) -> Any:
        """Carry the tangents of the inputs to the output, or outputs."""
        kwargs = node.kwargs or {}
        if self.kind == "linear":
            operands = []
            for t, parent, kept in zip(tangents, node.parents, node.saved[1:]):
                if t is not None:
                    operands.append(t)
                elif parent is not None or isinstance(kept, ShapeOnly):
                    like = parent if parent is not None else kept
                    operands.append(zeros_beside(like, [*tangents, *node.saved[1:]]))
                else:
                    operands.append(kept)
            return self.op(*operands, **self.homogeneous(kwargs))
        if callable(self.jvps):
            every = Rule(self.jvps, tuple(range(len(node.saved))), None)
            saved = self.saved_for(every, node, on_tensors)
            run = every.run if on_tensors else functools.partial(self.run_rule, every)
            return run(tangents, saved, kwargs)
        total = None
        for i, t in enumerate(tangents):
            if t is None or (self.vjps and self.vjps[i] is None):
                continue
            rule = self.forward_rule(i)
            run = rule.run if on_tensors else functools.partial(self.run_rule, rule)
            part = run(t, self.saved_of(i, rule, node, on_tensors), kwargs)
            total = part if total is None else operators.add(total, part)
        return total


def _unwrapped(x: Any) -> Any:
    """Return a Tensor for one of a subclass; anything else as it is."""
    return Tensor(x.value, x.node) if isinstance(x, Tensor) else x


if engine is not None:
    engine.install(
        Binary=Binary,
        Knot=Knot,
        Node=Node,
        Tensor=Tensor,
        Unary=Unary,
        WeakTensor=WeakTensor,
        accumulate=accumulate,
        as_tensors=as_tensors,
        fit_cotangent=fit_cotangent,
        floor=floor,
        knot_every=KNOT_EVERY,
        pauses=pauses,
        serials=serials,
    )
    Unary.__call__ = engine.enter(Unary.__call__)  # type: ignore[method-assign]
    Binary.__call__ = engine.enter(Binary.__call__)  # type: ignore[method-assign]


class _Pick:
    """One of the outputs of a primitive that has several."""

    name = "pick"

    def pullback(self, g: Any, node: Node, wanted: Any) -> Sequence[Any]:
        """Put the cotangent in its place among those of the other outputs."""
        i, count = node.saved
        return (Parts([g if j == i else None for j in range(count)]),)

    def pushforward(self, tangents: Sequence[Any], node: Node, on_tensors: bool) -> Any:
        """Take the tangent of the one output."""
        return tangents[0][node.saved[0]]


PICK = _Pick()


def saver(rule: Rule | None) -> Any:
    """Return a function from (output, *inputs) to the tuple of what `rule` reads; `()` for none."""
    positions = () if rule is None else rule.positions
    if not positions:
        return ()
    if len(positions) == 1:
        return itemgetter(slice(positions[0], positions[0] + 1))
    return itemgetter(*positions)


def wrap(node: Node, positions: Sequence[int], saved: Sequence[Any]) -> list[Any]:
    """Return saved values as Tensors, hung on the nodes they came from."""
    made = []
    for p, value in zip(positions, saved):
        owner = node if p == 0 else node.parents[p - 1]
        made.append(value if owner is None or type(value) is Node else hung(value, owner))
    return made


def part_of(value: Any, node: Node, i: int, count: int) -> Tensor:
    """Return output `i` of `count` as a Tensor hung on the call's node; integers are untracked."""
    if value.dtype.kind not in INEXACT:
        return Tensor(value)
    return Tensor(value, Node(PICK, (node,), (i, count), None, value.shape, value.dtype))


def wrap_parts(values: Sequence[Any], node: Node) -> tuple[Tensor, ...]:
    """Return the outputs of a call with several as Tensors, hung on its node."""
    return tuple(part_of(v, node, i, len(values)) for i, v in enumerate(values))


def wrap_outputs(ans: Any, node: Node | None) -> Any:
    """Return the output, or outputs, of a call as Tensors."""
    if type(ans) is tuple or type(ans) is list:
        return tuple(Tensor(part, node) for part in ans)
    return ans if ans is None else Tensor(ans, node)


def unary(name: str, doc: str = "", **options: Any) -> Unary:
    """Return a primitive of one operand, an array library's function of that name."""
    return Unary(name, doc=doc, **options)


def binary(name: str, doc: str = "", **options: Any) -> Binary:
    """Return a primitive of two operands, an array library's function of that name."""
    return Binary(name, doc=doc, **options)


@overload
def primitive(
    function: Callable[..., Any], *, name: str | None = ..., outputs: int = ...
) -> Primitive: ...


@overload
def primitive(
    function: None = ..., *, name: str | None = ..., outputs: int = ...
) -> Callable[[Callable[..., Any]], Primitive]: ...


def primitive(
    function: Callable[..., Any] | None = None, *, name: str | None = None, outputs: int = 1
) -> Primitive | Callable[[Callable[..., Any]], Primitive]:
    """Make a primitive of a function `f(xp, x, ..., *, keywords)`; usable as a decorator.

    The operands are the positional parameters after `xp`, the array library of the operands
    (`numpy` or `cupy`); what is not an array comes by keyword.  With several `outputs` the function
    returns a tuple of them.

    Examples
    --------
    >>> from backpass.core import grad
    >>> from backpass.core.extend import elementwise, primitive
    >>> @primitive
    ... def softsign(xp, x):
    ...     return x / (1 + xp.abs(x))
    >>> elementwise(softsign, lambda x: 1 / (1 + abs(x)) ** 2)
    >>> grad(softsign)(1.0)
    np.float64(0.25)
    """
    if function is None:
        return lambda f: primitive(f, name=name, outputs=outputs)
    found = parameters(function)
    if not found.positional:
        raise TypeError(
            f"primitive {function.__name__}: its first parameter is the array library, the others "
            f"are the operands: def {function.__name__}(xp, x)"
        )
    operands = found.positional[1:]
    kind: type[Primitive] = Nary
    if outputs == 1 and not found.rest and not found.open:
        if len(operands) == 1:
            kind = Unary
        elif len(operands) == 2 and not found.keywords:
            kind = Binary
    return kind(name or function.__name__, function, parameters=operands or None)
