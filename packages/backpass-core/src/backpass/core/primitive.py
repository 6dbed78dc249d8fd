"""Primitives: the named functions that have rules.

A primitive has two entries.  `.op` is polymorphic: arrays in, arrays out; a Tensor in, Tensors
out.  Rules, operators and `ops` use it, and so one rule serves the fast pass over arrays and the
differentiable pass over Tensors.  Calling the primitive itself gives a Tensor always: that is what
the public namespaces export.

A call unwraps its operands, looks up the kernel for their type, wraps the result, and hangs a node
on it if any operand is tracked.  `Unary` and `Binary` do just that and take no keywords; `Nary`
takes any number of operands, and keywords, a little more slowly.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import itemgetter
from typing import Any, NoReturn, overload

import numpy

from backpass.core.backends import (
    NUMPY,
    PYTHON_SCALARS,
    Backend,
    backend_of,
    backend_of_type,
    explain_mixture,
)
from backpass.core.cotangents import Parts
from backpass.core.graph import FREED, Node, floor, pauses, recording
from backpass.core.operators import operators
from backpass.core.tensor import Tensor, live

#: A rule for one argument of a call: `vjp(g, *saved, **kwargs)`, `jvp(t, *saved, **kwargs)`.
Pull = Callable[..., Any]
#: A joint rule: `(g, ans, *xs, needs)` to one cotangent for each argument.
Joint = Callable[..., Sequence[Any]]


class WeakTensor(Tensor):
    """A Python float that is being differentiated: arithmetic leaves the dtype to its partner."""

    __slots__ = ()


class ShapeOnly:
    """Stands in a rule for an argument whose value has not been kept."""

    __slots__ = ("dtype", "shape")

    def __init__(self, x: Any) -> None:
        self.shape = numpy.shape(x)
        self.dtype = x.dtype if hasattr(x, "dtype") else numpy.asarray(x).dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(numpy.prod(self.shape))


class Rule:
    """How a tangent or cotangent passes one argument, and which values that needs.

    Attributes
    ----------
    call
        `call(g, *saved, **kwargs)`.
    positions
        What it reads, in order: 0 is the output, i + 1 the input i.
    keywords
        The keywords it takes; `None`: all.
    """

    __slots__ = ("call", "keywords", "positions")

    def __init__(
        self, call: Pull, positions: tuple[int, ...], keywords: frozenset[str] | None
    ) -> None:
        self.call = call
        self.positions = positions
        self.keywords = keywords

    def run(self, g: Any, saved: Sequence[Any], kwargs: Any) -> Any:
        """Apply the rule with those of the keywords that it takes."""
        if not kwargs:
            return self.call(g, *saved)
        if self.keywords is not None:
            kwargs = {name: kwargs[name] for name in self.keywords if name in kwargs}
        return self.call(g, *saved, **kwargs)


class Primitive:
    """A named function with rules; see the module's first lines.

    Parameters
    ----------
    name
        The function's name in its library, and its kernels' name.
    function
        What it computes, as `function(xp, x, y, ..., **keywords)` where `xp` is the array library;
        `None` if the library has a function of that name.
    parameters
        The names of the operands; by default those of `function`, without `xp`.
    module
        Where the library's function lives: `"numpy"`, `"scipy.special"`.
    doc
        The docstring of the public function.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Any] | None = None,
        *,
        parameters: Sequence[str] | None = None,
        module: str = "numpy",
        doc: str = "",
    ) -> None:
        self.name = name
        self.function = function
        self.module = module
        self.variadic = False
        self.keywords: frozenset[str] = frozenset()
        if function is not None:
            read = self._read_parameters(function)
            parameters = read if parameters is None else parameters
        elif parameters is None:
            raise TypeError(f"primitive {name!r}: name its parameters, or give its function")
        self.parameters = tuple(parameters)
        self.__name__ = self.__qualname__ = name
        self.__doc__ = doc or (inspect.getdoc(function) if function is not None else None)
        #: "elementwise", "linear", "bilinear", "custom", "zero" (no gradient) or "" (no rule yet).
        self.kind = ""
        #: One for each operand; `None` where no gradient flows.
        self.vjps: tuple[Rule | None, ...] = ()
        self.jvps: tuple[Rule | None, ...] | Callable[..., Any] = ()
        self.joint: Rule | None = None
        #: Keywords that make a linear function affine; zero in forward mode.
        self.affine: tuple[str, ...] = ()
        #: The local derivatives of an elementwise primitive, as they stand in the table.
        self.derivatives: tuple[Callable[..., Any] | None, ...] = ()
        self.kernels: dict[type, Callable[..., Any]] = {}
        self.pulls: dict[type, tuple[Pull | None, ...]] = {}
        #: The polymorphic entry: arrays in, arrays out; a Tensor in, Tensors out.
        self.op: Callable[..., Any] = self.build()

    def _read_parameters(self, function: Callable[..., Any]) -> list[str]:
        """Return the names of the operands; note the keywords."""
        found = []
        keywords = set()
        for p in list(inspect.signature(function).parameters.values())[1:]:
            if p.kind is p.VAR_POSITIONAL:
                self.variadic = True
                found.append(p.name)
            elif p.kind is p.KEYWORD_ONLY:
                keywords.add(p.name)
            elif p.kind is not p.VAR_KEYWORD:
                found.append(p.name)
        self.keywords = frozenset(keywords)
        return found

    def __repr__(self) -> str:
        return f"<primitive {self.name}({', '.join(self.parameters)})>"

    # A primitive stands for its module's name, in copies and pickles of what holds it.
    def __copy__(self) -> Primitive:
        return self

    def __deepcopy__(self, memo: Any) -> Primitive:
        return self

    def __call__(self, *xs: Any, **kwargs: Any) -> Any:
        """Apply the primitive; the result is a Tensor, or a tuple of Tensors."""
        if kwargs:
            self.check_keywords(kwargs)
        ans = self.op(*xs, **kwargs)
        return ans if type(ans) is Tensor else as_tensors(ans)

    def check_keywords(self, kwargs: Mapping[str, Any]) -> None:
        """Raise for a keyword that the primitive does not have: `out=`, for one."""
        for key in kwargs.keys() - self.keywords:
            raise TypeError(
                f"{self.name}: {key}= is not supported"
                + (": a Tensor's operations make new ones" if key == "out" else "")
            )

    def build(self) -> Callable[..., Any]:
        """Return `op`, made anew whenever a rule has been declared."""
        raise NotImplementedError

    # ----- kernels -------------------------------------------------------------------------------

    def reference(self, backend: Backend) -> Callable[..., Any]:
        """Return what computes this primitive where no kernel does."""
        if self.function is not None:
            return functools.partial(self.function, backend.library)
        return backend.function(self.name, self.module)

    def find(self, values: Sequence[Any]) -> Callable[..., Any]:
        """Return the kernel for operands, and remember it for their type."""
        for value in values:
            if type(value) in (list, tuple):
                return self._on_sequences
            if type(value) not in PYTHON_SCALARS:
                break
        backend = backend_of(values)
        fast = backend.kernels.get(self.name)
        kernel = fast or self.reference(backend)
        for value in values:
            if type(value) in PYTHON_SCALARS:
                continue
            # A NumPy scalar may stand before an array of any library, and the array decides.  A
            # kernel declines then, and a NumPy function asks the array; ours would do neither.
            decides = len(values) == 1 or not isinstance(value, numpy.generic)
            if (decides or fast or not self.function) and (
                backend_of_type(type(value)) is backend
            ):
                self.kernels[type(value)] = kernel
            break
        return kernel

    def _on_sequences(self, *xs: Any, **kwargs: Any) -> Any:
        """Apply the primitive where an operand is a list: of numbers, or of Tensors."""
        as_array = operators.methods["__array__"]
        made = [as_array(x) if type(x) in (list, tuple) else x for x in xs]
        return self.op(*made, **kwargs)

    def run(self, values: Sequence[Any], kwargs: Any) -> Any:
        """Compute on plain arrays."""
        kernel = None
        for value in values:
            kernel = self.kernels.get(type(value))
            if kernel is not None or type(value) not in PYTHON_SCALARS:
                break
        if kernel is None:
            kernel = self.find(values)
        try:
            ans = kernel(*values, **kwargs) if kwargs else kernel(*values)
            if ans is NotImplemented:
                ans = self.reference(backend_of(values))(*values, **(kwargs or {}))
        except Exception as error:
            self.complain(error, values)
        return ans

    def complain(self, error: Exception, values: Sequence[Any]) -> NoReturn:
        """Raise `error`, in better words where the operands explain it."""
        mixture = explain_mixture(self.name, values)
        if mixture is not None:
            raise mixture from error
        if isinstance(error, ValueError | TypeError) and not getattr(error, "__notes__", None):
            shapes = [
                f"{name} {describe(value)}"
                for name, value in zip(self.names(len(values)), values, strict=False)
            ]
            error.add_note(f"in backpass {self.name}: {', '.join(shapes)}")
        raise error

    def names(self, count: int) -> list[str]:
        """Return the names of `count` operands."""
        if self.variadic:
            return [f"{self.parameters[-1]}[{i}]" for i in range(count)]
        return list(self.parameters)

    def pull_of(self, kind: type) -> tuple[Pull | None, ...]:
        """Return the rules for cotangents of type `kind`: fused kernels where there are any."""
        backend = backend_of_type(kind) or NUMPY
        single = sum(rule is not None for rule in self.vjps) == 1
        made: list[Pull | None] = []
        for i, rule in enumerate(self.vjps):
            if rule is None:
                made.append(None)
                continue
            kernel = backend.kernels.get(f"{self.name}.vjp{i}")
            if kernel is None and single:
                kernel = backend.kernels.get(f"{self.name}.vjp")
            made.append(kernel or rule.call)
        pulls = tuple(made)
        if any(pulls):
            self.pulls[kind] = pulls
        return pulls

    # ----- recording -----------------------------------------------------------------------------

    def check_rule(self) -> None:
        """Raise if no rule has been declared, or none for a tracked operand."""
        if not self.kind:
            raise NotImplementedError(
                f"{self.name} has no derivative rule: declare one with backpass.core.extend "
                f"(elementwise, linear, bilinear, defvjp, or nondifferentiable({self.name})), or "
                f"apply {self.name} to stop_gradient(x) if no gradient is wanted"
            )

    def forward_rule(self, i: int) -> Rule:
        """Return the forward-mode rule of operand `i`."""
        rule = self.jvps[i] if self.jvps else None  # type: ignore[index]
        if rule is None:
            raise NotImplementedError(
                f"{self.name} has no forward-mode rule for {self.parameters[i]!r}: declare one "
                "with backpass.core.extend.defjvp"
            )
        return rule

    def pullback(self, g: Any, node: Node, wanted: Collection[Node] | None) -> Sequence[Any]:
        """Carry the cotangent of the output to each parent; `None` where nothing goes."""
        raise NotImplementedError

    def pushforward(self, tangents: Sequence[Any], node: Node, on_tensors: bool) -> Any:
        """Carry the tangents of the parents (`None`: zero) to the output."""
        raise NotImplementedError


class Unary(Primitive):
    """A primitive of one operand and one output; what is not an array comes by keyword."""

    def __init__(self, name: str, function: Callable[..., Any] | None = None, **options: Any):
        super().__init__(name, function, **{"parameters": ("x",), **options})

    def __call__(self, x: Any, **kwargs: Any) -> Any:
        """Apply the primitive; the result is a Tensor."""
        if kwargs:
            self.check_keywords(kwargs)
        ans = self.op(x, **kwargs)
        return ans if type(ans) is Tensor else as_tensors(ans)

    def build(self) -> Callable[..., Any]:
        """Return `op`: all that the hot path needs is bound to it."""
        kernels, find, run = self.kernels, self.find, self.run
        complain, record = self.complain, self.record
        save = saver(self.vjps[0] if self.vjps else None)
        plain = self.kind in ("elementwise", "bilinear", "custom")

        def op(x: Any, **kwargs: Any) -> Any:
            """Apply the primitive: an array gives an array, a Tensor a Tensor."""
            if type(x) is Tensor:
                value = x.value
            elif isinstance(x, Tensor):
                return self._on_weak(x, kwargs)
            else:
                return run((x,), kwargs)
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
            if (
                plain
                and node.parents is not None
                and node.serial > floor[0]
                and not kwargs
                and not pauses[0]
            ):
                # The short way of `record`.
                saved = save((ans, value))
                return Tensor(ans, Node(self, (node,), saved, None, ans.shape, ans.dtype))
            return Tensor(ans, record(x, node, value, ans, kwargs))

        return op

    def record(self, x: Tensor, node: Node | None, value: Any, ans: Any, kwargs: Any) -> Any:
        """Return the node of this call; `None` if it is not to be recorded."""
        if node.parents is None or node.serial <= floor[0]:  # type: ignore[union-attr]
            node = live(x)
        if node is None or self.kind == "zero" or (pauses[0] and recording.paused):
            return None
        if node is FREED:
            return FREED
        if not self.kind:
            self.check_rule()
        dtype = ans.dtype
        if dtype.kind not in "fc":
            return None
        # Linear rules read no values: the operand's node tells its shape and dtype.
        saved = saver(self.vjps[0])((ans, node if self.kind == "linear" else value))
        return Node(self, (node,), saved, kwargs or None, ans.shape, dtype)

    def _on_weak(self, x: Tensor, kwargs: Any) -> Tensor:
        """Apply the primitive to a Python float that is being differentiated."""
        value = weak_value(x)
        ans = self.run((value,), kwargs)
        node = None if x.node is None else self.record(x, x.node, value, ans, kwargs)
        return (WeakTensor if self.name in WEAK_ARITHMETIC else Tensor)(ans, node)

    def pullback(self, g: Any, node: Node, wanted: Collection[Node] | None) -> Sequence[Any]:
        """Carry the cotangent of the output to the input."""
        pulls = self.pulls.get(type(g))
        if pulls is not None and node.kwargs is None:
            # The short way: arrays, and no keywords.
            gx = pulls[0](g, *node.saved)  # type: ignore[misc]
            if gx is not NotImplemented:
                return (gx,)
        rule = self.vjps[0]
        if rule is None:
            return (None,)
        saved, kwargs = node.saved, node.kwargs
        if type(g) is Tensor:
            return (rule.run(g, wrap(node, rule.positions, saved), kwargs),)
        pull = (pulls or self.pull_of(type(g)))[0]
        gx = NotImplemented if pull is rule.call else pull(g, *saved, **(kwargs or {}))  # type: ignore[misc]
        return (rule.run(g, saved, kwargs) if gx is NotImplemented else gx,)

    def pushforward(self, tangents: Sequence[Any], node: Node, on_tensors: bool) -> Any:
        """Carry the tangent of the input to the output."""
        if self.kind == "linear":
            kwargs = node.kwargs or {}
            return self.op(tangents[0], **{k: 0 if k in self.affine else v for k, v in kwargs.items()})
        rule = self.forward_rule(0)
        saved = wrap(node, rule.positions, node.saved) if on_tensors else node.saved
        return rule.run(tangents[0], saved, node.kwargs)


class Binary(Primitive):
    """A primitive of two operands and one output, without keywords."""

    def __init__(self, name: str, function: Callable[..., Any] | None = None, **options: Any):
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

        def op(x: Any, y: Any) -> Any:
            """Apply the primitive: arrays give an array, a Tensor among them a Tensor."""
            if type(x) is Tensor:
                xv = x.value
                xn = x.node
            elif isinstance(x, Tensor):
                if type(y) is not Tensor:
                    return self._on_weak(x, y)
                xv = weak_value(x)
                xn = x.node
            else:
                xv = x
                xn = None
            if type(y) is Tensor:
                yv = y.value
                yn = y.node
            elif isinstance(y, Tensor):
                if type(x) is not Tensor:
                    return self._on_weak(x, y)
                yv = weak_value(y)
                yn = y.node
            elif type(x) is Tensor:
                yv = y
                yn = None
            else:
                # Arrays, as in the rules: with the kernel's answer all is done.
                kernel = kernels.get(type(x))
                ans = NotImplemented if kernel is None else kernel(x, y)
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
                values = (ans, xv, yv)
                saved = (
                    None if xn is None else save_x(values),
                    None if yn is None else save_y(values),
                )
                return Tensor(ans, Node(self, (xn, yn), saved, None, ans.shape, ans.dtype))
            return Tensor(ans, record(x, y, xn, yn, xv, yv, ans))

        return op

    def record(
        self, x: Any, y: Any, xn: Node | None, yn: Node | None, xv: Any, yv: Any, ans: Any
    ) -> Node | None:
        """Return the node of this call; `None` if it is not to be recorded."""
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
        saved = tuple(
            None if n is None else saver(rule)(values) for n, rule in zip((xn, yn), self.vjps)
        )
        return Node(self, (xn, yn), saved, None, ans.shape, ans.dtype)

    def _on_weak(self, x: Any, y: Any) -> Any:
        """Apply the primitive where no operand is a plain Tensor, but one is a `WeakTensor`."""
        xv, xn = (weak_value(x), x.node) if isinstance(x, Tensor) else (x, None)
        yv, yn = (weak_value(y), y.node) if isinstance(y, Tensor) else (y, None)
        ans = self.run((xv, yv), None)
        weak = self.name in WEAK_ARITHMETIC and type(xv) in PYTHON_SCALARS
        kind = WeakTensor if weak and type(yv) in PYTHON_SCALARS else Tensor
        return kind(ans, self.record(x, y, xn, yn, xv, yv, ans))

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
        xn, yn = node.parents
        gx = gy = None
        if xn is not None and pull_x is not None and (wanted is None or xn in wanted):
            saved = node.saved[0]
            gx = pull_x(g, *saved)
            if gx is NotImplemented:
                gx = self.vjps[0].call(g, *saved)  # type: ignore[union-attr]
        if yn is not None and pull_y is not None and (wanted is None or yn in wanted):
            saved = node.saved[1]
            gy = pull_y(g, *saved)
            if gy is NotImplemented:
                gy = self.vjps[1].call(g, *saved)  # type: ignore[union-attr]
        return gx, gy

    def pushforward(self, tangents: Sequence[Any], node: Node, on_tensors: bool) -> Any:
        """Carry the tangents of the inputs to the output."""
        if self.kind == "linear":
            return self.op(*(0 if t is None else t for t in tangents))
        total = None
        for i, (t, saved) in enumerate(zip(tangents, node.saved)):
            if t is None or self.vjps[i] is None:
                continue
            rule = self.forward_rule(i)
            values = wrap(node, rule.positions, saved) if on_tensors else saved
            part = rule.call(t, *values)
            total = part if total is None else operators.add(total, part)
        return total


class Nary(Primitive):
    """A primitive of any number of operands, with keywords."""

    def build(self) -> Callable[..., Any]:
        """Return `op`."""
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
        tensors = tracked = False
        for x in xs:
            if isinstance(x, Tensor):
                tensors = True
                node = x.node
                if node is not None and (node.parents is None or node.serial <= floor[0]):
                    node = live(x)
                if node is not None:
                    tracked = True
                nodes.append(node)
                values.append(x.value if type(x) is Tensor else weak_value(x))
            else:
                values.append(x)
                nodes.append(None)
        ans = self.run(values, kwargs)
        if not tensors:
            return ans
        if not tracked or self.kind == "zero" or (pauses[0] and recording.paused):
            return wrap_outputs(ans, None)
        if not self.kind:
            self.check_rule()
        if FREED in nodes:
            return wrap_outputs(ans, FREED)
        saved = self.keep(ans, values, nodes)
        if type(ans) is tuple or type(ans) is list:
            node = Node(self, tuple(nodes), saved, kwargs or None, None, None)
            return tuple(
                Tensor(part, Node(PICK, (node,), (i, len(ans)), None, part.shape, part.dtype))
                if part.dtype.kind in "fc"
                else Tensor(part)
                for i, part in enumerate(ans)
            )
        if ans.dtype.kind not in "fc":
            return Tensor(ans)
        return Tensor(ans, Node(self, tuple(nodes), saved, kwargs or None, ans.shape, ans.dtype))

    def keep(self, ans: Any, values: Sequence[Any], nodes: Sequence[Node | None]) -> list[Any]:
        """Return output and operands as the rules need them: whole, as shape and dtype, or not."""
        linear = self.kind == "linear"
        needed: set[int] = set()
        for i, node in enumerate(nodes):
            if node is not None:
                rule = self.rule_of(i)
                if rule is not None:
                    needed.update(rule.positions)
                    if self.variadic:
                        needed.update(range(1, len(values) + 1))
                if not linear:
                    needed.update(self._jvp_positions(i, len(values)))
        kept: list[Any] = [ans if 0 in needed else None]
        for i, value in enumerate(values):
            if linear and (self.joint is not None or self.vjps[i] is not None):
                # Its value is not there; where it is tracked, its node tells shape and dtype.
                kept.append(None if nodes[i] is not None else ShapeOnly(value))
            else:
                kept.append(value if linear or i + 1 in needed else None)
        return kept

    def _jvp_positions(self, i: int, count: int) -> Collection[int]:
        if callable(self.jvps):
            return range(count + 1)
        rule = self.jvps[i] if self.jvps else None
        return () if rule is None else rule.positions

    def saved_for(self, rule: Rule, node: Node, on_tensors: bool) -> list[Any]:
        """Return what `rule` reads of the call that `node` recorded."""
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
            parent is not None and (wanted is None or parent in wanted) for parent in node.parents
        )
        kwargs = node.kwargs
        if self.joint is not None:
            saved = self.saved_for(self.joint, node, on_tensors)
            gxs = self.joint.run(g, saved, {**(kwargs or {}), "needs": needs})
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
            saved = self.saved_for(rule, node, on_tensors)
            gx = NotImplemented
            if pulls is not None and pulls[i] is not rule.call:
                gx = pulls[i](g, *saved, **(kwargs or {}))  # type: ignore[misc]
            made.append(rule.run(g, saved, kwargs) if gx is NotImplemented else gx)
        return made

    def pushforward(self, tangents: Sequence[Any], node: Node, on_tensors: bool) -> Any:
        """Carry the tangents of the inputs to the output, or outputs."""
        kwargs = node.kwargs or {}
        if self.kind == "linear":
            zeroed = {key: (0 if key in self.affine else v) for key, v in kwargs.items()}
            operands = []
            for t, parent, kept in zip(tangents, node.parents, node.saved[1:]):
                if t is not None:
                    operands.append(t)
                elif parent is not None or isinstance(kept, ShapeOnly):
                    like = parent if parent is not None else kept
                    operands.append(zeros_beside(like, [t for t in tangents if t is not None]))
                else:
                    operands.append(kept)
            return self.op(*operands, **zeroed)
        if callable(self.jvps):
            every = Rule(self.jvps, tuple(range(len(node.saved))), None)
            return self.jvps(tangents, *self.saved_for(every, node, on_tensors), **kwargs)
        total = None
        for i, t in enumerate(tangents):
            if t is None or self.vjps[i] is None:
                continue
            rule = self.forward_rule(i)
            part = rule.run(t, self.saved_for(rule, node, on_tensors), kwargs)
            total = part if total is None else operators.add(total, part)
        return total


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

#: What Python computes with its own floats, by operators: the result is as weak as they are.
WEAK_ARITHMETIC = frozenset(
    "add subtract multiply divide power negative positive floor_divide remainder absolute".split()
)


def weak_value(x: Tensor) -> Any:
    """Return the value of a Tensor as an operand; a Python float for a weak one."""
    return x.value.item() if isinstance(x, WeakTensor) else x.value


def saver(rule: Rule | None) -> Callable[[Any], Any]:
    """Return a function from (output, *inputs) to the tuple of what `rule` reads."""
    positions = () if rule is None else rule.positions
    if not positions:
        return _nothing
    if len(positions) == 1:
        return itemgetter(slice(positions[0], positions[0] + 1))
    return itemgetter(*positions)


def _nothing(values: Any) -> tuple[()]:
    return ()


def wrap(node: Node, positions: Sequence[int], saved: Sequence[Any]) -> list[Any]:
    """Return saved values as Tensors, hung on the nodes they came from."""
    made = []
    for p, value in zip(positions, saved):
        owner = node if p == 0 else node.parents[p - 1]
        made.append(value if owner is None or type(value) is Node else hung(value, owner))
    return made


def hung(value: Any, node: Node) -> Tensor:
    """Return a saved value as a Tensor on a node; what was weak is so again."""
    if type(value) in PYTHON_SCALARS:
        return WeakTensor(numpy.asarray(value)[()], node)
    return Tensor(value, node)


def wrap_parts(values: Sequence[Any], node: Node) -> tuple[Tensor, ...]:
    """Return the outputs of a call with several as Tensors, hung on its node."""
    return tuple(
        Tensor(v, Node(PICK, (node,), (i, len(values)), None, v.shape, v.dtype))
        for i, v in enumerate(values)
    )


def wrap_outputs(ans: Any, node: Node | None) -> Any:
    """Return the output, or outputs, of a call as Tensors."""
    if type(ans) is tuple or type(ans) is list:
        return tuple(Tensor(part, node) for part in ans)
    return ans if ans is None else Tensor(ans, node)


def as_tensors(ans: Any) -> Any:
    """Return what `.op` gave as a Tensor, or as a tuple of Tensors."""
    if isinstance(ans, Tensor):
        return ans
    if isinstance(ans, tuple | list):
        return tuple(as_tensors(part) for part in ans)
    return Tensor(ans if hasattr(ans, "dtype") else numpy.asarray(ans)[()])


def zeros_beside(like: Any, tangents: Sequence[Any]) -> Any:
    """Return zeros of the shape and dtype of `like`, on the device of `tangents`."""
    values = [t.value if isinstance(t, Tensor) else t for t in tangents]
    return backend_of(values).library.zeros(like.shape, like.dtype)


def describe(value: Any) -> str:
    """Return shape and dtype of an operand, for messages."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"of shape {value.shape}, {value.dtype}"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def unary(name: str, doc: str = "", **options: Any) -> Unary:
    """Return a primitive of one operand, an array library's function of that name."""
    return Unary(name, doc=doc, **options)


def binary(name: str, doc: str = "", **options: Any) -> Binary:
    """Return a primitive of two operands, an array library's function of that name."""
    return Binary(name, doc=doc, **options)


@overload
def primitive(function: Callable[..., Any], *, name: str | None = ..., outputs: int = ...) -> Primitive: ...


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
    parameters = list(inspect.signature(function).parameters.values())[1:]
    operands = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    keywords = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    kind: type[Primitive] = Nary
    if outputs == 1 and len(operands) + len(keywords) == len(parameters):
        if len(operands) == 1:
            kind = Unary
        elif len(operands) == 2 and not keywords:
            kind = Binary
    return kind(name or function.__name__, function, parameters=[p.name for p in operands] or None)
