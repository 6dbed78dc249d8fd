"""Primitives with rules in HIPS autograd's form, as one node of the graph for each call.

A rule is handed the output and the arguments and returns a function of the cotangent:
`defvjp(f, lambda ans, x, y: lambda g: ...)`; in forward mode `defjvp(f, lambda g, ans, x, y: ...)`.
Where a function has only one of the two, the other mode transposes it: both are linear.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import count
from typing import Any

import numpy

from backpass.autograd.plain import getval, holds_tensor, settled
from backpass.core import tree
from backpass.core.arity import part_of
from backpass.core.calls import zeros
from backpass.core.cotangents import Parts, fit_cotangent
from backpass.core.graph import Node, pauses, recording, tell
from backpass.core.observing import observer_here
from backpass.core.tensor import Tensor, live
from backpass.core.transforms import vjp as core_vjp
from backpass.core.values import plain

Function = Callable[..., Any]


class Primitive:
    """A function of plain arrays, and of anything else, with rules for its arguments.

    Positional arguments can be differentiated, and Tensors inside lists, tuples and dicts among
    them; its function is handed their plain values.  `primitive` makes one.
    """

    def __init__(self, fun: Function) -> None:
        functools.update_wrapper(self, fun)
        self.fun = fun
        #: `vjp(argnums, ans, args, kwargs)(g)` returns one cotangent for each of `argnums`.
        self.vjp: Function | None = None
        #: `jvp(argnums, gs, ans, args, kwargs)` returns the tangent of the output.
        self.jvp: Function | None = None
        #: Whether calls are recorded.
        self.traced = True

    @property
    def name(self) -> str:
        """The function's name, for messages."""
        return getattr(self.fun, "__name__", None) or repr(self.fun)

    def __repr__(self) -> str:
        return f"<autograd primitive {self.name}>"

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function on plain values; record the call if an argument is tracked."""
        if not any(map(holds_tensor, args)):
            return self.fun(*args, **kwargs)
        call = _Call(self, args, kwargs)
        values = [t.value for t in call.tensors]
        observer = observer_here()
        if observer is None:
            ans = self.fun(*call.filled(values), **kwargs)
        else:
            ans = observer.compute(self, self.fun, call.filled(values), kwargs)
        if not values or not self.traced or (pauses[0] and recording.paused):
            return ans
        return call.recorded(ans, values)


def _array(x: Any) -> Any:
    """Return a number as something with shape and dtype; arrays and all else as they are."""
    if isinstance(x, bool | int | float | complex) and not hasattr(x, "dtype"):
        return numpy.asarray(x)[()]
    return x


class _Call:
    """One call of a `Primitive`: the graph's side of it.

    Attributes
    ----------
    args, trees
        The arguments; of those that are containers with Tensors, the leaves and the structure.
    homes, tensors
        Each tracked Tensor's argument, and its place among that container's leaves, `None` where
        it is the argument itself; and the Tensors, until the call is recorded.
    structure
        Of the output, `None` if it is one array.
    """

    __slots__ = ("args", "homes", "kwargs", "name", "owner", "structure", "tensors", "trees")

    def __init__(self, owner: Primitive, args: Sequence[Any], kwargs: Any) -> None:
        self.owner = owner
        self.name = owner.name
        self.kwargs = kwargs
        self.structure: Any = None
        self.args = list(args)
        self.trees: dict[int, tuple[list[Any], Any]] = {}
        self.homes: list[tuple[int, int | None]] = []
        self.tensors: list[Tensor] = []
        for i, x in enumerate(args):
            if isinstance(x, Tensor):
                self.args[i] = self._taken(x, i, None)
            elif holds_tensor(x):
                leaves, structure = tree.flatten(x)
                self.trees[i] = (
                    [
                        self._taken(leaf, i, place) if isinstance(leaf, Tensor) else leaf
                        for place, leaf in enumerate(leaves)
                    ],
                    structure,
                )

    def _taken(self, x: Tensor, i: int, place: int | None) -> Any:
        """Note a tracked Tensor; return the value of one that is a constant."""
        if live(x) is None:
            return x.value
        self.homes.append((i, place))
        self.tensors.append(x)
        return None

    def filled(self, values: Sequence[Any]) -> list[Any]:
        """Return the arguments with others in the place of the tracked Tensors."""
        made = list(self.args)
        for (i, place), value in zip(self.homes, values):
            if place is None:
                made[i] = value
        for i, (leaves, structure) in self.trees.items():
            whole = list(leaves)
            for (home, place), value in zip(self.homes, values):
                if home == i and place is not None:
                    whole[place] = value
            made[i] = tree.unflatten(structure, whole)
        return made

    def recorded(self, ans: Any, values: list[Any]) -> Any:
        """Return the output, with its floats as Tensors on a new node."""
        parents = tuple(live(t) for t in self.tensors)
        self.tensors = []
        if isinstance(ans, numpy.ndarray | numpy.generic | float | complex):
            value = _array(ans)
            if value.dtype.kind not in "fc":
                return ans
            saved = ([value], values)
            node = Node(self, parents, saved, None, value.shape, value.dtype)
            tell(self, parents, value, None, node)
            return Tensor(value, node)
        outputs, structure = tree.flatten(ans)
        if any(isinstance(x, Tensor) and x.tracked for x in outputs):
            raise TypeError(
                f"{self.name} reaches a tracked Tensor that is not among its arguments: "
                "pass it as an argument"
            )
        self.structure = structure
        outputs = [_array(plain(x)) for x in outputs]
        node = Node(self, parents, (outputs, values), None, None, None)
        tell(self, parents, tuple(outputs), None, node)
        return settled(tree.unflatten(structure, self._hung(outputs, node)))

    def _hung(self, outputs: Sequence[Any], node: Node) -> list[Any]:
        return [
            part_of(x, node, i, len(outputs)) if hasattr(x, "dtype") else x
            for i, x in enumerate(outputs)
        ]

    def inputs(self, node: Node, on_tensors: bool) -> tuple[Any, list[Any]]:
        """Return the output and the arguments: plain, or hung on their nodes."""
        outputs, values = node.saved
        if on_tensors:
            values = [Tensor(v, parent) for v, parent in zip(values, node.parents)]
        if self.structure is None:
            ans = Tensor(outputs[0], node) if on_tensors else outputs[0]
        else:
            outputs = self._hung(outputs, node) if on_tensors else outputs
            ans = tree.unflatten(self.structure, outputs)
        return ans, self.filled(values)

    def pullback(self, g: Any, node: Node, wanted: Collection[Node] | None) -> Sequence[Any]:
        """Apply the rule: carry the cotangent of the output to the tracked arguments."""
        parts = g.items if type(g) is Parts else [g]
        on_tensors = any(isinstance(part, Tensor) for part in parts)
        needed = [wanted is None or parent in wanted for parent in node.parents]
        ans, args = self.inputs(node, on_tensors)
        found = self.back(ans, args, node.saved[0], parts, needed)
        return [_as_tensor(x) for x in found] if on_tensors else found

    def back(
        self,
        ans: Any,
        args: Sequence[Any],
        likes: Sequence[Any],
        parts: Sequence[Any],
        needed: Sequence[bool],
    ) -> list[Any]:
        """Return the cotangents of the tracked Tensors, `None` for those not needed."""
        if self.owner.vjp is None:
            raise NotImplementedError(
                f"VJP of {self.name} not defined: declare it with defvjp({self.name}, ...)"
            )
        argnums = sorted({i for (i, _), need in zip(self.homes, needed) if need})
        if self.structure is None:
            g = parts[0]
        else:
            whole = [_zero(like) if part is None else part for part, like in zip(parts, likes)]
            g = tree.unflatten(self.structure, whole)
        pull = self.owner.vjp(tuple(argnums), ans, args, self.kwargs)
        gs = dict(zip(argnums, pull(g)))
        made: list[Any] = []
        for (i, place), need in zip(self.homes, needed):
            found = gs[i] if need else None
            if found is not None and place is not None:
                found = tree.leaves(found)[place]
            if isinstance(found, Tensor) and not found.tracked:
                found = found.value
            made.append(_array(found))
        return made

    def pushforward(self, tangents: Sequence[Any], node: Node, on_tensors: bool) -> Any:
        """Apply the forward rule, or transpose the other one."""
        ans, args = self.inputs(node, on_tensors)
        if self.owner.jvp is None:
            found = self._transposed(tangents, node, ans, args)
        else:
            argnums = sorted({i for (i, _), t in zip(self.homes, tangents) if t is not None})
            gs = tuple(self._tangent(i, tangents, args[i]) for i in argnums)
            t = self.owner.jvp(tuple(argnums), gs, ans, args, self.kwargs)
            found = [t] if self.structure is None else tree.leaves(t)
        made = [_as_tensor(x) if on_tensors else _array(plain(x)) for x in found]
        return made[0] if self.structure is None else made

    def _tangent(self, i: int, tangents: Sequence[Any], argument: Any) -> Any:
        """Return the tangent of argument `i`, in its structure."""
        leaves, structure = tree.flatten(argument)
        made = [_zero(x) for x in leaves]
        for (home, place), t in zip(self.homes, tangents):
            if home == i and t is not None:
                made[place or 0] = t
        return tree.unflatten(structure, made)

    def _transposed(
        self, tangents: Sequence[Any], node: Node, ans: Any, args: Sequence[Any]
    ) -> list[Any]:
        outputs, values = node.saved
        needed = [t is not None for t in tangents]
        kept = [i for i, need in enumerate(needed) if need]
        floats = [i for i, x in enumerate(outputs) if _is_inexact(x)]

        def back(parts: list[Any]) -> list[Any]:
            whole: list[Any] = [None] * len(outputs)
            for i, part in zip(floats, parts):
                whole[i] = part
            found = self.back(ans, args, outputs, whole, needed)
            return [_fitted(found[i], values[i]) for i in kept]

        _, pull = core_vjp(back, [zeros(outputs[i]) for i in floats])
        found: list[Any] = [None] * len(outputs)
        for i, t in zip(floats, pull([tangents[i] for i in kept])[0]):
            found[i] = t
        return found


def _is_inexact(x: Any) -> bool:
    return hasattr(x, "dtype") and x.dtype.kind in "fc"


def _zero(like: Any) -> Any:
    like = _array(plain(like))
    return zeros(like) if hasattr(like, "dtype") else None


def _as_tensor(x: Any) -> Any:
    return x if x is None or isinstance(x, Tensor) else Tensor(_array(x))


def _fitted(g: Any, like: Any) -> Any:
    """Return a cotangent as the engine does with those of a walk: of the argument's shape."""
    return fit_cotangent(_as_tensor(_zero(like) if g is None else g), like)


# ----- making primitives ------------------------------------------------------------------------


def primitive(fun: Function) -> Primitive:
    """Make a primitive of a function of plain values; `defvjp` and `defjvp` declare its rules.

    Examples
    --------
    >>> from backpass.autograd import grad
    >>> @primitive
    ... def cube(x):
    ...     return x**3
    >>> defvjp(cube, lambda ans, x: lambda g: g * 3 * x**2)
    >>> grad(cube)(2.0)
    np.float64(12.0)
    >>> grad(grad(cube))(2.0)
    np.float64(12.0)
    """
    return Primitive(fun)


def notrace_primitive(fun: Function) -> Function:
    """Return a function that calls `fun` with plain values: nothing is recorded.

    Examples
    --------
    >>> from backpass.autograd import grad
    >>> is_large = notrace_primitive(lambda x: x > 1.0)
    >>> grad(lambda x: 3 * x if is_large(x) else x)(2.0)
    np.float64(3.0)
    """

    @functools.wraps(fun)
    def untraced(*args: Any, **kwargs: Any) -> Any:
        return fun(*map(getval, args), **kwargs)

    return untraced


class VJPNode:
    """Stands for reverse mode in `register_notrace`."""


class JVPNode:
    """Stands for forward mode in `register_notrace`."""


def register_notrace(node_type: type, fun: Primitive) -> None:
    """Declare that the calls of a primitive are not recorded.

    One graph serves both modes here, so that either of `VJPNode` and `JVPNode` declares it for
    both.
    """
    _checked(fun, "register_notrace").traced = False


def _checked(fun: Any, verb: str) -> Primitive:
    if not isinstance(fun, Primitive):
        raise TypeError(
            f"{verb}: {getattr(fun, '__name__', fun)} is not one of extend.primitive's functions; "
            "those of backpass.numpy have their rules from backpass.core.extend"
        )
    return fun


# ----- declaring rules --------------------------------------------------------------------------


def defvjp(
    fun: Primitive, *vjpmakers: Function | None, argnums: Iterable[int] | None = None
) -> None:
    """Declare reverse mode: `vjpmaker(ans, *args, **kwargs)` returns the function of the cotangent.

    Parameters
    ----------
    fun
        What `primitive` made.
    vjpmakers
        One for each positional argument; `None`: no gradient flows to it.
    argnums
        The positions of the arguments that they belong to, if not the first ones.

    Raises
    ------
    TypeError
        If `fun` is no primitive of this module, or a rule cannot be called.
    """
    makers = dict(zip(count() if argnums is None else argnums, vjpmakers))
    for maker in makers.values():
        _check_rule(maker, "defvjp", fun)

    def of_several(argnums: Sequence[int], ans: Any, args: Any, kwargs: Any) -> Function:
        pulls = []
        for i in argnums:
            if i not in makers:
                raise NotImplementedError(f"VJP of {fun.name} wrt argnum {i} not defined")
            maker = makers[i]
            pulls.append(_no_gradient if maker is None else maker(ans, *args, **kwargs))
        return lambda g: [pull(g) for pull in pulls]

    defvjp_argnums(fun, of_several)


def _no_gradient(g: Any) -> None:
    return None


def defvjp_argnum(fun: Primitive, vjpmaker: Function) -> None:
    """Declare reverse mode by one rule: `vjpmaker(argnum, ans, args, kwargs)(g)`."""

    def of_several(argnums: Sequence[int], ans: Any, args: Any, kwargs: Any) -> Function:
        pulls = [vjpmaker(i, ans, args, kwargs) for i in argnums]

        def pull(g: Any) -> Iterator[Any]:
            return (pull_one(g) for pull_one in pulls)

        return pull

    defvjp_argnums(fun, of_several)


def defvjp_argnums(fun: Primitive, vjpmaker: Function) -> None:
    """Declare reverse mode for all arguments together: `vjpmaker(argnums, ans, args, kwargs)(g)`.

    It returns the cotangents of `argnums`, in their order.
    """
    _checked(fun, "defvjp").vjp = vjpmaker


def defjvp(
    fun: Primitive, *jvpfuns: Function | str | None, argnums: Iterable[int] | None = None
) -> None:
    """Declare forward mode: `jvpfun(g, ans, *args, **kwargs)` for a tangent g of one argument.

    Parameters
    ----------
    fun
        What `primitive` made.
    jvpfuns
        One for each positional argument; `None`: the tangent is zero; `"same"`: the function is
        linear in the argument.
    argnums
        The positions of the arguments that they belong to, if not the first ones.

    Raises
    ------
    TypeError
        If `fun` is no primitive of this module, or a rule cannot be called.
    """
    rules = dict(zip(count() if argnums is None else argnums, jvpfuns))
    for rule in rules.values():
        if rule != "same":
            _check_rule(rule, "defjvp", fun)

    def of_one(i: int, g: Any, ans: Any, args: Any, kwargs: Any) -> Any:
        if i not in rules:
            raise NotImplementedError(f"JVP of {fun.name} wrt argnum {i} not defined")
        rule = rules[i]
        if rule is None:
            return tree.map(_zero, ans)
        if callable(rule):
            return rule(g, ans, *args, **kwargs)
        return fun(*args[:i], g, *args[i + 1 :], **kwargs)

    defjvp_argnum(fun, of_one)


def defjvp_argnum(fun: Primitive, jvpmaker: Function) -> None:
    """Declare forward mode by one rule: `jvpmaker(argnum, g, ans, args, kwargs)`; they add up."""

    def of_several(
        argnums: Sequence[int], gs: Sequence[Any], ans: Any, args: Any, kwargs: Any
    ) -> Any:
        parts = [jvpmaker(i, g, ans, args, kwargs) for i, g in zip(argnums, gs)]
        return functools.reduce(lambda x, y: tree.map(lambda a, b: a + b, x, y), parts)

    defjvp_argnums(fun, of_several)


def defjvp_argnums(fun: Primitive, jvpmaker: Function) -> None:
    """Declare forward mode for all arguments together: `jvpmaker(argnums, gs, ans, args, kwargs)`.

    It returns the tangent of the output.
    """
    _checked(fun, "defjvp").jvp = jvpmaker


def def_linear(fun: Primitive) -> None:
    """Declare that a function is linear in each of its arguments: its forward mode follows."""

    def same(i: int, g: Any, ans: Any, args: Any, kwargs: Any) -> Any:
        return fun(*args[:i], g, *args[i + 1 :], **kwargs)

    defjvp_argnum(fun, same)


def _check_rule(rule: Any, verb: str, fun: Any) -> None:
    if rule is not None and not callable(rule):
        name = getattr(fun, "__name__", fun)
        raise TypeError(f"{verb}({name}): a rule must be a function or None, not {rule!r}")
