"""Primitives: the named functions that have rules.

A primitive has two entries.  `.op` is polymorphic: arrays in, arrays out; a Tensor in, Tensors
out.  Rules, operators and `ops` use it, and so one rule serves the fast pass over arrays and the
differentiable pass over Tensors.  Calling the primitive itself gives a Tensor always: that is what
the public namespaces export.

A call unwraps its operands, looks up the kernel for their type, wraps the result, and hangs a node
on it if any operand is tracked: `arity.py` has that path.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NoReturn

import numpy

from backpass.core.backends import (
    NUMPY,
    PYTHON_SCALARS,
    Backend,
    backend_of,
    backend_of_type,
    explain,
    explain_mixture,
)
from backpass.core.batches import Unbatched
from backpass.core.graph import Node
from backpass.core.observing import observer_here, remember, unfused
from backpass.core.operators import operators
from backpass.core.signatures import parameters
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors, describe

#: What to do instead of passing one of a ufunc's keywords.
_INSTEAD = {
    "out": ": a Tensor's operations make new ones",
    "where": ": choose afterwards, where(mask, result, other)",
    "dtype": ": use astype on the operands",
    "casting": ": use astype on the operands",
}
#: A rule for one argument of a call: `vjp(g, *saved, **kwargs)`, `jvp(t, *saved, **kwargs)`.
Pull = Callable[..., Any]


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
    refusal
        Why there is no derivative, where the rule is only there to say so.
    """

    __slots__ = ("call", "keywords", "positions", "refusal")

    def __init__(
        self,
        call: Pull,
        positions: tuple[int, ...],
        keywords: frozenset[str] | None,
        refusal: str = "",
    ) -> None:
        self.call = call
        self.positions = positions
        self.keywords = keywords
        self.refusal = refusal

    def run(self, g: Any, saved: Sequence[Any], kwargs: Any) -> Any:
        """Apply the rule with those of the keywords that it takes."""
        if not kwargs:
            return self.call(g, *saved)
        if self.keywords is not None and not kwargs.keys() <= self.keywords:
            kwargs = {name: kwargs[name] for name in self.keywords if name in kwargs}
        return self.call(g, *saved, **kwargs)


def _kernel_or_rule(kernel: Pull | None, rule: Rule, g: Any, *saved: Any, **kwargs: Any) -> Any:
    """Apply a kernel, or the rule where there is none or it declines."""
    ans = NotImplemented if kernel is None else kernel(g, *saved, **kwargs)
    return rule.run(g, saved, kwargs) if ans is NotImplemented else ans


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

    #: Whether there may be several outputs.
    several = False
    #: Outputs for the rules only, which may be infinite though all is well: `detect_anomaly`.
    aside: frozenset[int] = frozenset()

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
        #: Under which backends have kernels. That of somebody else's primitive begins with its
        #: module, so that it does not get the kernel of one of ours by bearing the same name.
        self.kernel_name = name
        if function is not None and not function.__module__.startswith("backpass."):
            self.kernel_name = f"{function.__module__}:{name}"
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
        #: Whether an elementwise primitive chooses among its operands: see `rules.elementwise`.
        self.selects = False
        #: How it is applied to many cotangents at once; `None`: it is not. See `batches`.
        self.batch: Callable[..., Any] | None = None
        self.kernels: dict[type, Callable[..., Any]] = {}
        self.pulls: dict[type, tuple[Pull | None, ...]] = {}
        #: The polymorphic entry: arrays in, arrays out; a Tensor in, Tensors out.
        self.op: Callable[..., Any] = self.build()

    def _read_parameters(self, function: Callable[..., Any]) -> list[str]:
        """Return the names of the operands; note the keywords."""
        found = parameters(function)
        self.variadic = bool(found.rest)
        self.keywords = frozenset(found.keywords)
        return [*found.positional[1:], *([found.rest] if found.rest else [])]

    def __repr__(self) -> str:
        return f"<primitive {self.name}({', '.join(self.parameters)})>"

    # A primitive stands for its module's name, in copies and pickles of what holds it.
    def __copy__(self) -> Primitive:
        return self

    def __deepcopy__(self, memo: Any) -> Primitive:
        return self

    def __call__(self, *xs: Any, **kwargs: Any) -> Any:
        """Apply the primitive; the result is a Tensor, or a tuple of Tensors."""
        if not kwargs.keys() <= self.keywords:
            self.check_keywords(kwargs)
        ans = self.op(*xs, **kwargs)
        return ans if type(ans) is Tensor else as_tensors(ans)

    def check_keywords(self, kwargs: Mapping[str, Any]) -> None:
        """Raise for a keyword that the primitive does not have: `out=`, for one."""
        for key in kwargs.keys() - self.keywords:
            raise TypeError(f"{self.name}: {key}= is not supported{_INSTEAD.get(key, '')}")

    def build(self) -> Callable[..., Any]:
        """Return `op`, made anew whenever a rule has been declared."""
        raise NotImplementedError

    # ----- kernels -------------------------------------------------------------------------------

    def reference(self, backend: Backend) -> Callable[..., Any]:
        """Return what computes this primitive where no kernel does."""
        if self.function is None:
            function = backend.function(self.name, self.module)
        else:
            function = functools.partial(self.function, backend.library)
        return backend.place(function, self.name)

    def _one(self, compute: Callable[..., Any], *xs: Any, **kwargs: Any) -> Any:
        """Compute a function that must have one output."""
        ans = compute(*xs, **kwargs)
        if type(ans) in (tuple, list):
            raise TypeError(
                f"{self.name} returned {len(ans)} outputs: declare it with "
                f"@primitive(outputs={len(ans)})"
            )
        return ans

    def find(self, values: Sequence[Any]) -> Callable[..., Any]:
        """Return what computes on operands: a kernel, or the observer that stands before it."""
        observer = observer_here()
        return self.look_up(values) if observer is None else observer.find(self, values)

    def look_up(self, values: Sequence[Any]) -> Callable[..., Any]:
        """Return the kernel for operands, and remember it for their type."""
        for value in values:
            if type(value) in (list, tuple):
                return self.on_sequences
            if type(value) not in PYTHON_SCALARS:
                break
        backend = backend_of(values)
        fast = backend.kernels.get(self.kernel_name)
        kernel = backend.place(fast, self.name) if fast else self.reference(backend)
        for value in values:
            if type(value) in PYTHON_SCALARS:
                continue
            # A NumPy scalar may stand before an array of any library, and the array decides.  A
            # kernel declines then, and a NumPy function asks the array; ours would do neither.
            decides = len(values) == 1 or not isinstance(value, numpy.generic)
            if (decides or fast or not self.function) and (backend_of_type(type(value)) is backend):
                remember(self, self.kernels, type(value), kernel)
            break
        if fast or self.several or self.function is None:
            return kernel
        return functools.partial(self._one, kernel)  # what it returns is checked this once

    def computed_by_library(self, values: Sequence[Any], kwargs: Any) -> Any:
        """Compute what a kernel has declined."""
        return self.reference(backend_of(values))(*values, **(kwargs or {}))

    def on_sequences(self, *xs: Any, **kwargs: Any) -> Any:
        """Apply the primitive where an operand is a list: of numbers, or of Tensors."""
        as_array = operators.methods["__array__"]
        made = [as_array(x) if type(x) in (list, tuple) else x for x in xs]
        return self.op(*made, **kwargs)

    def on_batches(self, xs: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Apply the primitive where an operand is a stack of cotangents."""
        if self.batch is None:
            raise Unbatched(self.name)
        return self.batch(self, xs, kwargs)

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
                ans = self.computed_by_library(values, kwargs)
        except Exception as error:
            self.complain(error, values)
        return ans

    def complain(self, error: Exception, values: Sequence[Any]) -> NoReturn:
        """Raise `error`, in better words where the operands explain it."""
        better = explain_mixture(self.name, values) or explain(error)
        if better is not None:
            raise better from error
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
        """Return the rules for cotangents of type `kind`: fused kernels where there are any.

        A rule for all operands together is the only one.
        """
        backend = backend_of_type(kind) or NUMPY
        rules = self.vjps if self.joint is None else (self.joint,)
        single = sum(rule is not None and not rule.refusal for rule in rules) == 1
        observer = observer_here() if unfused[0] else None
        bare = observer is not None and observer.unfused
        made: list[Pull | None] = []
        for i, rule in enumerate(rules):
            if rule is None:
                made.append(None)
                continue
            alone = bare or bool(rule.refusal)
            kernel = None if alone else backend.kernels.get(f"{self.kernel_name}.vjp{i}")
            if kernel is None and single and not alone:
                kernel = backend.kernels.get(f"{self.kernel_name}.vjp")
            whole = functools.partial(_kernel_or_rule, kernel, rule)
            placed = backend.place(whole, f"{self.name}.vjp{i}")
            made.append((kernel or rule.call) if placed is whole else placed)
        pulls = tuple(made)
        if any(pulls):
            remember(self, self.pulls, kind, pulls)
        return pulls

    def run_rule(self, rule: Rule, g: Any, saved: Sequence[Any], kwargs: Any) -> Any:
        """Apply a rule to arrays, on their device; `g` may be several."""
        if type(g) is numpy.ndarray:
            return rule.run(g, saved, kwargs)  # the short way to what follows
        backend = backend_of((*g, *saved) if type(g) is tuple or type(g) is list else (g, *saved))
        if backend is NUMPY:
            return rule.run(g, saved, kwargs)
        whole = functools.partial(_kernel_or_rule, None, rule)
        return backend.place(whole, self.name)(g, *saved, **(kwargs or {}))

    # ----- recording -----------------------------------------------------------------------------

    def check_rule(self) -> None:
        """Raise if no rule has been declared, or none for a tracked operand."""
        if not self.kind:
            raise NotImplementedError(
                f"{self.name} has no derivative rule, for none of its arguments "
                f"({', '.join(self.parameters)}): declare one with backpass.core.extend "
                f"(elementwise, linear, bilinear, defvjp, or nondifferentiable({self.name})), or "
                f"apply {self.name} to stop_gradient(x) if no gradient is wanted"
            )

    def homogeneous(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the keywords of a call without what makes the function affine."""
        return {key: 0 if key in self.affine else v for key, v in kwargs.items()}

    def forward_rule(self, i: int) -> Rule:
        """Return the forward-mode rule of operand `i`."""
        rule = self.jvps[i] if self.jvps else None  # type: ignore[index]
        if rule is None:
            raise NotImplementedError(
                f"{self.name} has no forward-mode rule for {self.parameters[i]!r}: declare one "
                "with backpass.core.extend.defjvp"
            )
        return rule

    def saved_of(self, i: int, rule: Rule, node: Node, on_tensors: bool) -> Sequence[Any]:
        """Return what the rule of operand i reads of the call that `node` recorded."""
        raise NotImplementedError

    def pullback(self, g: Any, node: Node, wanted: Collection[Node] | None) -> Sequence[Any]:
        """Carry the cotangent of the output to each parent; `None` where nothing goes."""
        raise NotImplementedError

    def pushforward(self, tangents: Sequence[Any], node: Node, on_tensors: bool) -> Any:
        """Carry the tangents of the parents (`None`: zero) to the output."""
        raise NotImplementedError
