"""Functions that are one node of the graph: `checkpoint`, and `custom_vjp`.

Both run a function on fresh Tensors, as a transformation does, and then forget what has been
recorded; the backward pass runs something again.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Collection, Generator, Sequence
from operator import attrgetter
from typing import Any, overload

from backpass.core import tree
from backpass.core.arity import part_of
from backpass.core.calls import Call, Recorded, as_tuple, name_of, zeros
from backpass.core.checkpoint_policies import Policy, nothing_saveable
from backpass.core.cotangents import Parts
from backpass.core.graph import Node, backward, forward, pauses, recording, tell
from backpass.core.interception import intercepting
from backpass.core.retention import Giver, Keeper, Kept
from backpass.core.tensor import Tensor, is_inexact, live
from backpass.core.transforms import vjp
from backpass.core.values import plain

Function = Callable[..., Any]


_serial = attrgetter("serial")


class Operands:
    """The arguments of a call, and the tracked Tensors among their leaves."""

    __slots__ = ("leaves", "places", "structure", "tensors")

    def __init__(self, args: Any) -> None:
        self.leaves, self.structure = tree.flatten(args)
        self.places = [
            i for i, x in enumerate(self.leaves) if isinstance(x, Tensor) and live(x) is not None
        ]
        self.tensors = [self.leaves[i] for i in self.places]
        # Only values: a recorded call must not hold the graph of its operands twice.
        for i in self.places:
            self.leaves[i] = None

    def filled(self, tensors: Sequence[Any]) -> Any:
        """Return the arguments with others in the place of the tracked Tensors."""
        leaves = list(self.leaves)
        for i, t in zip(self.places, tensors):
            leaves[i] = t
        return tree.unflatten(self.structure, leaves)


def _outputs(structure: Any, values: Sequence[Any], node: Node) -> Any:
    """Return the outputs of a call, each hung on the call's node."""
    hung = [
        part_of(v.value, node, i, len(values))
        if isinstance(v, Tensor) and is_inexact(v.value)
        else v
        for i, v in enumerate(values)
    ]
    return tree.unflatten(structure, hung)


def _values(outputs: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(plain(v) for v in outputs)


# ----- checkpoint -------------------------------------------------------------------------------

#: What a function that is run again must find as it was the first time: pairs (save, restore).
_replayed: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []


def replay(save: Callable[[], Any], restore: Callable[[Any], None]) -> None:
    """Let what a checkpointed function reads besides its arguments be the same when it runs again.

    `save()` is called before the first run; before the second one `restore(saved)` is, and after it
    `restore` with what `save()` gave just before it. A generator of random numbers is put back so.
    """
    _replayed.append((save, restore))


def running_again() -> bool:
    """Tell whether this thread runs a checkpointed function for the second time.

    A function that counts its calls, or keeps a running mean, does not do it then.
    """
    return recording.again > 0


def _states() -> list[Any]:
    return [save() for save, _ in _replayed]


def _restore(states: Sequence[Any]) -> None:
    for (_, restore), state in zip(_replayed, states):
        restore(state)


class _Checkpointed:
    """The primitive of one checkpointed call: its rules run the function again."""

    name = "checkpoint"

    def __init__(self, fun: Function, operands: Operands, policy: Policy | None) -> None:
        self.fun = fun
        self.operands = operands
        self.policy = policy
        self.states = _states()
        #: What the function returned the first time, without its values.
        self.structure: Any = None

    def run(self, *tensors: Any) -> Any:
        """Run the function with these in the place of the tracked operands."""
        args, kwargs = self.operands.filled(tensors)
        return self.fun(*args, **kwargs)

    def first(self) -> tuple[Recorded, Kept | None]:
        """Run the function for the first time; return what it records, and what it keeps."""
        call = functools.partial(_recorded, self.run, self.operands.tensors)
        if self.policy is None:
            recorded, kept = call(), None
        else:
            keeper = Keeper(self.policy)
            with intercepting(keeper):
                recorded, kept = call(), keeper.kept
        for x in recorded.outputs:
            if isinstance(x, Generator | Awaitable | map | zip | filter):
                raise TypeError(
                    f"checkpoint: {name_of(self.fun)} returned a {type(x).__name__}, which would "
                    "compute when nobody keeps or frees anything any more: return a list"
                )
        self.structure = recorded.structure
        return recorded, kept

    def again(self, node: Node, on_tensors: bool) -> Recorded:
        """Run the function again and keep what it records."""
        values, kept = node.saved
        tensors = [
            Tensor(value, parent if on_tensors else None)
            for value, parent in zip(values, node.parents)
        ]
        states = _states()
        _restore(self.states)
        recording.again += 1
        try:
            if kept is None:
                recorded = _recorded(self.run, tensors)
            else:
                giver = Giver(name_of(self.fun), kept)
                with intercepting(giver):
                    recorded = _recorded(self.run, tensors)
                giver.end()
        finally:
            recording.again -= 1
            _restore(states)
        if recorded.structure != self.structure:
            raise RuntimeError(
                f"{name_of(self.fun)}, a checkpointed function, returned {recorded.structure} when "
                f"it was run again, and {self.structure} the first time: both runs must do the same"
            )
        return recorded

    def pullback(self, g: Any, node: Node, wanted: Collection[Node] | None) -> Sequence[Any]:
        """Run the function again, and walk back through what it records."""
        on_tensors = any(type(part) is Tensor for part in g.items)
        recorded = self.again(node, on_tensors)
        fresh = sorted(recorded.call.targets, key=_serial)
        outside = node.parents[len(fresh) :]
        given = [
            part
            for part, t in zip(g.items, recorded.outputs)
            if isinstance(t, Tensor) and live(t) is not None
        ]
        found = backward(
            recorded.subgraph,
            {recorded.root: Parts(given)},
            wanted=recorded.subgraph.between([*fresh, *outside]),
            free=not on_tensors,
        )
        return [found.get(n) for n in (*fresh, *outside)]

    def pushforward(self, tangents: Sequence[Any], node: Node, on_tensors: bool) -> Any:
        """Run the function again, and walk forward through what it records."""
        recorded = self.again(node, on_tensors)
        fresh = sorted(recorded.call.targets, key=_serial)
        nodes = (*fresh, *node.parents[len(fresh) :])
        start = {n: t for n, t in zip(nodes, tangents) if t is not None}
        swept = forward(recorded.subgraph, start, on_tensors=on_tensors)
        found = []
        for t in recorded.outputs:
            tangent = swept.get(live(t)) if isinstance(t, Tensor) and live(t) else None  # type: ignore[arg-type]
            found.append(_zero_tangent(t, on_tensors) if tangent is None else tangent)
        return found


def _recorded(run: Function, tensors: Sequence[Tensor]) -> Recorded:
    return Recorded(Call(run, tuple(tensors), {}, range(len(tensors))))


def _zero_tangent(t: Any, on_tensors: bool) -> Any:
    if not isinstance(t, Tensor) or not is_inexact(t.value):
        return None
    return Tensor(zeros(t.value)) if on_tensors else zeros(t.value)


@overload
def checkpoint(fun: Function, *, policy: Policy | None = ...) -> Function: ...


@overload
def checkpoint(
    fun: None = ..., *, policy: Policy | None = ...
) -> Callable[[Function], Function]: ...


def checkpoint(
    fun: Function | None = None, *, policy: Policy | None = None
) -> Function | Callable[[Function], Function]:
    """Return `fun` as a function that keeps only its arguments for the backward pass.

    What it computes inside is freed at once and computed again when the walk arrives: memory for
    time.  Derivatives of every order and mode are those of `fun`, which must do the same when it is
    run again; the layers of `backpass.nn` do, dropout and batch norm among them.  Tensors that are
    tracked outside and reached through closures get their gradients.  Checkpoints may nest:
    `checkpoint_scan` cuts a recurrence so that its memory grows with the root of its length.

    Parameters
    ----------
    fun
        The function.  Arguments that are not tracked are handed on as they are.  Left out, it
        makes a decorator: `@checkpoint(policy=...)`.
    policy
        Which operations inside keep their output, and do not run again: one of
        `backpass.core.checkpoint_policies`, or a function like them.  By default, none.  Inside of
        another checkpoint, the policies of both are asked, each for its own second run.

    Raises
    ------
    TypeError
        If `policy` is no function or returns neither a bool nor `OFFLOAD`; if `fun` returns an
        iterator, which would compute later.
    RuntimeError
        In the backward pass, if `fun` does something else when it is run again and this can be
        seen: it returns another structure or, under a policy, calls other operations.

    Notes
    -----
    Sources: A. Griewank, A. Walther, "Algorithm 799: revolve", ACM TOMS 26 (2000); T. Chen, B. Xu,
    C. Zhang, C. Guestrin, "Training deep nets with sublinear memory cost", arXiv:1604.06174 (2016).
    The policies are JAX's.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import checkpoint, grad
    >>> grad(lambda x: np.sum(checkpoint(np.tanh)(x)))(np.array([0.0, 1.0]))
    array([1.        , 0.41997434])
    """
    if policy is not None and not callable(policy):
        raise TypeError(
            f"checkpoint: policy must be a function, not {policy!r}: "
            "take one of backpass.core.checkpoint_policies"
        )
    if policy is nothing_saveable:
        policy = None  # the same, without asking
    if fun is None:
        return functools.partial(checkpoint, policy=policy)
    if not callable(fun):
        raise TypeError(f"checkpoint: fun must be a function, not {fun!r}")

    @functools.wraps(fun)
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        if pauses[0] and recording.paused:
            return fun(*args, **kwargs)
        operands = Operands((args, kwargs))
        segment = _Checkpointed(fun, operands, policy)
        recorded, kept = segment.first()
        parents = [live(t) for t in operands.tensors]
        if not parents and not recorded.strangers:
            return recorded.call.out
        # The function may reach tracked Tensors through closures: they are parents, too.
        outside = [n for n in recorded.strangers if n not in parents]
        saved = ([t.value for t in operands.tensors], kept)
        node = Node(segment, (*parents, *outside), saved, None, None, None)
        tell(segment, node.parents, _values(recorded.outputs), None, node)
        return _outputs(recorded.structure, recorded.outputs, node)

    return checkpointed


# ----- custom_vjp -------------------------------------------------------------------------------


class _CustomCall:
    """The primitive of one call of a function with a rule of its own."""

    def __init__(self, owner: custom_vjp, operands: Operands, outputs: Any) -> None:
        self.name = name_of(owner.fun)
        self.owner = owner
        self.operands = operands
        self.outputs = outputs
        self.residuals: Any = None

    def forward(self, tensors: Sequence[Any]) -> tuple[Any, Any]:
        """Run the forward function with these in the place of the tracked operands."""
        made = self.owner.fwd(*self.operands.filled(tensors))  # type: ignore[misc]
        if not isinstance(made, tuple) or len(made) != 2:
            raise TypeError(
                f"the forward function of {self.name} must return a pair (output, residuals)"
            )
        return made

    def back(self, residuals: Any, parts: Sequence[Any]) -> list[Any]:
        """Run the backward function; return the cotangents of the tracked operands."""
        structure, likes = self.outputs
        g = tree.unflatten(
            structure,
            [Tensor(zeros(like)) if p is None else p for p, like in zip(parts, likes)],
        )
        constants = [self.owner.constant(i, self.operands) for i in self.owner.nondiff_argnums]
        found = self.owner.bwd(*constants, residuals, g)  # type: ignore[misc]
        args = self.operands.filled([None] * len(self.operands.places))
        wanted = [i for i in range(len(args)) if i not in self.owner.nondiff_argnums]
        if not isinstance(found, tuple | list) or len(found) != len(wanted):
            raise TypeError(
                f"the backward function of {self.name} must return a tuple of {len(wanted)} "
                "cotangents, one a differentiable argument"
            )
        whole = list(args)
        for i, part in zip(wanted, found):
            whole[i] = part
        leaves = _leaves_like(tuple(whole), self.operands.structure)
        if leaves is None:
            raise TypeError(
                f"the backward function of {self.name} must return cotangents in the structure of "
                "its arguments"
            )
        return [leaves[i] for i in self.operands.places]

    def pullback(self, g: Any, node: Node, wanted: Collection[Node] | None) -> Sequence[Any]:
        """Apply the user's backward function."""
        on_tensors = any(type(part) is Tensor for part in g.items)
        if on_tensors:
            # The residuals, too, depend on the operands.
            inputs = [Tensor(v, p) for v, p in zip(node.saved, node.parents)]
            residuals = self.forward(inputs)[1]
            found = self.back(residuals, g.items)
            return [
                x if x is None or isinstance(x, Tensor) else Tensor(x) for x in map(_array, found)
            ]
        parts = [None if part is None else Tensor(part) for part in g.items]
        return [plain(x) for x in map(_array, self.back(self.residuals, parts))]

    def pushforward(self, tangents: Sequence[Any], node: Node, on_tensors: bool) -> Any:
        """Transpose the backward function, which is linear in the cotangents."""
        inputs = [Tensor(v, p if on_tensors else None) for v, p in zip(node.saved, node.parents)]
        residuals = self.forward(inputs)[1]
        likes = self.outputs[1]

        def back(parts: list[Any]) -> list[Any]:
            return self.back(residuals, parts)

        _, pull = vjp(back, [Tensor(zeros(like)) for like in likes])
        given = [(Tensor(zeros(v)) if t is None else t) for t, v in zip(tangents, node.saved)]
        found = pull(given)[0]
        return found


def _leaves_like(whole: Any, structure: Any) -> list[Any] | None:
    leaves, found = tree.flatten(whole)
    if found == structure:
        return leaves
    # `None` for a whole argument means that nothing flows to it.
    spread: list[Any] = []
    for part, sub in zip(whole, structure.children()):
        if part is None:
            spread += [None] * sub.num_leaves
            continue
        more, kind = tree.flatten(part)
        if kind != sub:
            return None
        spread += more
    return spread


def _array(x: Any) -> Any:
    """Return a cotangent that the user's function made as something with shape and dtype."""
    if x is None or hasattr(x, "dtype"):
        return x
    import numpy

    return numpy.asarray(x)[()]


class custom_vjp:
    """Give a function a reverse-mode rule of its own.

    Use `defvjp(fwd, bwd)` to set it: `fwd` takes the function's arguments and returns the output
    and the residuals, a tree of whatever `bwd` needs; `bwd(residuals, g)` returns a tuple with one
    cotangent an argument, in its structure, or `None`.  Where the rule is itself differentiated,
    `fwd` and `bwd` are; forward mode transposes `bwd`.

    Parameters
    ----------
    fun
        The function.
    nondiff_argnums
        Positions of arguments that are not differentiated; `bwd` gets them first.

    Raises
    ------
    TypeError
        When called, if no rule is set, if a rule's results do not fit, or if the function reaches a
        tracked Tensor that is not among its arguments: its gradient would be lost.

    Examples
    --------
    >>> from backpass.core import custom_vjp, grad
    >>> @custom_vjp
    ... def clipped(x):
    ...     return x
    >>> clipped.defvjp(lambda x: (x, None), lambda residuals, g: (min(g, 1.0),))
    >>> grad(lambda x: 5 * clipped(x))(2.0)
    np.float64(1.0)
    """

    def __init__(self, fun: Function, nondiff_argnums: Sequence[int] = ()) -> None:
        functools.update_wrapper(self, fun)
        self.fun = fun
        self.nondiff_argnums = tuple(nondiff_argnums)
        self.fwd: Function | None = None
        self.bwd: Function | None = None

    def defvjp(self, fwd: Function, bwd: Function) -> None:
        """Set the rule."""
        self.fwd, self.bwd = fwd, bwd

    def constant(self, i: int, operands: Operands) -> Any:
        """Return the non-differentiated argument `i` of a call."""
        return operands.filled([None] * len(operands.places))[i]

    def __call__(self, *args: Any) -> Any:
        """Call the function."""
        if self.fwd is None or self.bwd is None:
            raise TypeError(f"{name_of(self.fun)} has no rule: call its defvjp(fwd, bwd) first")
        as_tuple(self.nondiff_argnums, len(args), name_of(self.fun))
        operands = Operands(args)
        if pauses[0] and recording.paused:
            return self.fun(*args)
        inputs = [Tensor(t.value) for t in operands.tensors]
        segment = _CustomCall(self, operands, None)
        out, segment.residuals = segment.forward(inputs)
        values, structure = tree.flatten(out)
        every = [*values, *tree.leaves(segment.residuals)]
        if any(isinstance(t, Tensor) and t.tracked for t in every):
            raise TypeError(
                f"{name_of(self.fun)} reaches a tracked Tensor that is not among its arguments: "
                "pass it as an argument, or use stop_gradient"
            )
        if not operands.places:
            return out
        segment.outputs = (structure, [_array(plain(v)) for v in values])
        parents = tuple(live(t) for t in operands.tensors)
        node = Node(segment, parents, [t.value for t in operands.tensors], None, None, None)
        tensors = [v if isinstance(v, Tensor) else Tensor(_array(v)) for v in values]
        tell(segment, parents, _values(tensors), None, node)
        return _outputs(structure, tensors, node)
