"""Functions of `scipy.integrate`: ordinary differential equations.

The derivative of a solution solves a differential equation, too, and so a whole solution is one
node of the graph.  Reverse mode integrates the adjoint equation backwards, from each point of time
to the one before; forward mode integrates the variational equation.  Both are themselves calls of
`odeint` on functions that differentiate the user's: that is the second order.

Source: L. S. Pontryagin et al., "The Mathematical Theory of Optimal Processes" (1962); R. T. Q.
Chen et al., "Neural Ordinary Differential Equations", NeurIPS (2018).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from operator import attrgetter
from typing import Any

import numpy

from backpass.core.backends import backend_of
from backpass.core.calls import Call, Recorded, name_of
from backpass.core.cotangents import Parts
from backpass.core.graph import (
    Node,
    Subgraph,
    backward,
    forward,
    next_serial,
    pauses,
    recording,
    tell,
)
from backpass.core.operators import operators
from backpass.core.ops.shaping import as_operand, concatenate_arrays
from backpass.core.segments import Operands
from backpass.core.tensor import Tensor, live
from backpass.core.values import plain

Function = Callable[..., Any]

_serial = attrgetter("serial")

#: SciPy's tolerances, and the least that make sense for a cotangent in single precision.
_LIMITS = {"rtol": (1.49012e-8, 1e-6), "atol": (1.49012e-8, 1e-7)}


def odeint(
    func: Function,
    y0: Any,
    t: Any,
    args: Any = (),
    Dfun: Any = None,
    col_deriv: Any = 0,
    full_output: Any = 0,
    ml: int | None = None,
    mu: int | None = None,
    rtol: Any = None,
    atol: Any = None,
    tcrit: Any = None,
    h0: float = 0.0,
    hmax: float = 0.0,
    hmin: float = 0.0,
    ixpr: Any = 0,
    mxstep: int = 0,
    mxhnil: int = 0,
    mxordn: int = 12,
    mxords: int = 5,
    printmessg: Any = 0,
    tfirst: bool = False,
) -> Tensor:
    """Solve dy/dt = func(y, t, *args) from y0 at t[0]; row i is y(t[i]).

    Reverse mode solves the adjoint equation da/dt = -a df/dy backwards from each t[i], with
    dL/dy0 = a(t[0]), dL/dp = integral of a df/dp, and dL/dt[i] = g[i] f(y(t[i]), t[i]).  There are
    gradients for `y0`, `t`, every Tensor in `args` (trees, too), and every tracked Tensor that
    `func` reaches otherwise, all as accurate as `rtol` and `atol` say.  `func` gets Tensors and
    returns an array, a Tensor or a list of them.  `Dfun` serves the solution, not its derivatives;
    `full_output` and `tcrit` are refused.  Forward mode solves the variational equation; it is the
    one for stiff equations, which cannot be followed back.

    Raises
    ------
    TypeError
        For `full_output`, `tcrit`, complex numbers, and a `func` that returns None.
    ValueError
        If y0 or t has more than one axis, or `func` returns something else than y's shape.
    RuntimeError
        In reverse mode, if the way back misses the solution, or if `func` reaches a tracked Tensor
        only there.
    """
    if full_output or tcrit is not None:
        raise TypeError(
            f"odeint: {'full_output' if full_output else 'tcrit'}= is not supported: "
            + ("only the solution is returned" if full_output else "integrate piece by piece")
        )
    start, times = _vector(y0, "y0"), _vector(t, "t")
    options = {
        "rtol": plain(rtol),
        "atol": plain(atol),
        "hmax": hmax,
        "hmin": hmin,
        "mxstep": mxstep,
        "mxhnil": mxhnil,
        "mxordn": mxordn,
        "mxords": mxords,
    }
    only_here = {"h0": h0, "ixpr": ixpr, "printmessg": printmessg, "ml": ml, "mu": mu}
    if Dfun is not None:
        only_here |= {"Dfun": Dfun, "col_deriv": col_deriv}
    extra = args if isinstance(args, tuple) else (args,)
    operands = Operands((start, times, extra))
    problem = _Problem(func, operands, tfirst, options)
    return problem.solution(start, times, only_here)


def _vector(x: Any, name: str) -> Any:
    """Return an operand as real numbers along one axis."""
    x = as_operand(x)
    if backend_of((plain(x),)).device != "cpu":
        raise TypeError(f"odeint: {name} lies on a device, SciPy solves on the CPU: move it there")
    if x.dtype.kind == "c":
        raise TypeError(f"odeint: {name} is complex: solve for the real and imaginary parts")
    if x.ndim > 1:
        raise ValueError(f"odeint: {name} must have one axis, it has shape {x.shape}")
    return x if x.ndim else operators.reshape(x, shape=(1,))


class _Problem:
    """One call of `odeint`, and the primitive of the node that it leaves.

    Attributes
    ----------
    operands
        (y0, t, args), and which of their leaves are tracked.
    captured
        The tracked nodes that `func` reaches in other ways than by its arguments: parents, too.
    """

    name = "odeint"

    def __init__(
        self, func: Function, operands: Operands, tfirst: bool, options: dict[str, Any]
    ) -> None:
        self.func = func
        self.operands = operands
        self.tfirst = tfirst
        self.options = options
        self.captured: list[Node] = []
        #: Places of the tracked leaves of `args` among the tracked leaves.
        self.inner = [k for k, place in enumerate(operands.places) if place > 1]

    # ----- the user's function -------------------------------------------------------------------

    def args(self, parameters: Sequence[Any]) -> tuple[Any, ...]:
        """Return `args` with these in the place of the tracked leaves."""
        tensors: list[Any] = [None] * len(self.operands.places)
        for k, parameter in zip(self.inner, parameters):
            tensors[k] = parameter
        return self.operands.filled(tensors)[2]  # type: ignore[no-any-return]

    def field(self, y: Any, t: Any, parameters: Sequence[Any]) -> Any:
        """Return func(y, t, *args), in the shape of y."""
        args = self.args(parameters)
        f = self.func(t, y, *args) if self.tfirst else self.func(y, t, *args)
        if f is None:
            raise TypeError(f"odeint: {name_of(self.func)} returned None: did you forget return?")
        f = as_operand(f)
        if f.shape == y.shape:
            return f
        if f.size != y.size:
            raise ValueError(
                f"odeint: {name_of(self.func)} returned shape {f.shape}, y has shape {y.shape}"
            )
        return operators.reshape(f, shape=y.shape)

    def recorded(self, y: Any, t: Any, parameters: Sequence[Any], on_tensors: bool) -> Recorded:
        """Evaluate the field at fresh Tensors, and keep what it records."""
        if on_tensors:
            every = (y, t, *parameters)
            call = Call(lambda y, t, *p: self.field(y, t, p), every, {}, range(len(every)))
        else:
            every = (y, *parameters)
            call = Call(lambda y, *p: self.field(y, t, p), every, {}, range(len(every)))
        found = Recorded(call)
        for node in found.strangers:
            if node not in self.captured and _is_older(node, call.start):
                raise RuntimeError(
                    f"odeint: {name_of(self.func)} reaches a tracked Tensor of shape {node.shape} "
                    "only while it is differentiated: its gradient would be lost: pass it in args"
                )
        return found

    def solution(self, start: Any, times: Any, only_here: dict[str, Any]) -> Tensor:
        """Solve, by SciPy, and hang the solution on a node."""
        from scipy.integrate import odeint as solve

        tensors = self.operands.tensors
        begun = next_serial()
        paused = pauses[0] and recording.paused
        parents = [] if paused else [live(t) for t in tensors]
        constants = [Tensor(tensors[k].value) for k in self.inner]
        args = self.args(constants)
        jacobian = only_here.get("Dfun")
        if jacobian is not None:
            only_here["Dfun"] = lambda *at: plain(as_operand(jacobian(*at, *args)))

        def field(y: Any, t: float) -> Any:
            # SciPy's array is used again for the next point.
            f = self.field(Tensor(y.copy()), Tensor(numpy.float64(t)), constants)
            if not isinstance(f, Tensor):
                return f
            node = live(f)
            if node is not None:
                self._capture(node, begun)
            return f.value

        values = solve(field, plain(start), plain(times), **self.options, **only_here)
        if not parents and not self.captured:
            return Tensor(values)
        saved = (values, [t.value for t in tensors], plain(times))
        nodes = (*parents, *self.captured)
        # A solution that is kept must not keep what it was made of.
        self.operands.tensors = []
        made = Node(self, nodes, saved, None, values.shape, values.dtype)
        tell(self, nodes, values, None, made)
        return Tensor(values, made)

    def _capture(self, node: Node, begun: int) -> None:
        for found in Subgraph(node, begun).strangers(()):
            if found not in self.captured and _is_older(found, begun):
                self.captured.append(found)

    # ----- what both directions need -------------------------------------------------------------

    def inputs(self, node: Node, on_tensors: bool) -> tuple[Any, Any, list[Any]]:
        """Return y at all times, the times, and the tracked leaves of `args`."""
        values, tracked, times = node.saved

        def hung(value: Any, owner: Any) -> Tensor:
            return Tensor(value, owner if on_tensors else None)

        tensors = [hung(v, p) for v, p in zip(tracked, node.parents)]
        by_place = dict(zip(self.operands.places, tensors))
        t = by_place.get(1, Tensor(times))
        return hung(values, node), t, [_in_double(tensors[k]) for k in self.inner]

    def again(
        self, augmented: Function, start: Any, times: Any, args: Any, others: Sequence[Any] = ()
    ) -> Any:
        """Solve an equation of two copies of y, and of cotangents beside them."""
        options = dict(self.options)
        rough = [like.dtype.itemsize < (16 if like.dtype.kind == "c" else 8) for like in others]
        if any(rough) or any(numpy.ndim(options[name]) for name in _LIMITS):
            for name, (usual, floor) in _LIMITS.items():
                limit = usual if options[name] is None else options[name]
                least = numpy.min(limit)
                # Noise in single precision would let the solver look for a step that is not there.
                rest = [
                    numpy.full(_size(like), max(least, floor) if is_rough else least)
                    for like, is_rough in zip(others, rough)
                ]
                copy = numpy.broadcast_to(limit, (_size(start) - sum(map(len, rest))) // 2)
                options[name] = numpy.concatenate([copy, copy, *rest])
        return odeint(augmented, start, times, args, **options)

    # ----- reverse mode --------------------------------------------------------------------------

    def pullback(self, g: Any, node: Node, wanted: Collection[Node] | None) -> Sequence[Any]:
        """Integrate the adjoint equation backwards, from each time to the one before."""
        on_tensors = type(g) is Tensor
        places = self.operands.places
        owners: list[Any] = list(node.parents)
        needs = [p is not None and (wanted is None or p in wanted) for p in owners]
        ys, t, parameters = self.inputs(node, on_tensors)
        g = g if on_tensors else Tensor(g)
        # Those of the parameters and captured nodes that are asked for; their cotangents are
        # integrated side by side.
        asked = [k for k in self.inner if needs[k]]
        asked += [k for k in range(len(places), len(owners)) if needs[k]]
        inner = dict(zip(self.inner, parameters))
        likes = [inner.get(k, owners[k]) for k in asked]
        sizes = [_size(like) for like in likes]
        n = ys.shape[1]

        def adjoint(s: Any, t: Any, parameters: list[Any]) -> Any:
            y, a = s[:n], s[n : 2 * n]
            call = self.recorded(y, t, parameters, on_tensors)
            found = self._pulled(call, a, parameters, asked, on_tensors)
            f = call.output() if on_tensors else plain(call.outputs[0])
            return concatenate_arrays([f, *found])

        points = ys.shape[0]
        a = g[points - 1]
        totals: list[Any] = [numpy.zeros(size) for size in sizes]
        for i in range(points - 1, 0, -1):
            start = concatenate_arrays([ys[i], a, *totals])
            span = operators.getitem(t, index=slice(i - 1, i + 1))
            span = operators.getitem(span, index=slice(None, None, -1))
            before = self.again(adjoint, start, span, (parameters,), likes)[1]
            self._check_return(ys.value[i - 1], before.value[:n], span.value)
            a = before[n : 2 * n]
            ends = numpy.cumsum([2 * n, *sizes]).tolist()
            totals = [before[i:j] for i, j in itertools.pairwise(ends)]
            if i > 1:
                a = a + g[i - 1]
        made: list[Any] = [None] * len(owners)
        for k, place in enumerate(places):
            if needs[k] and place == 0:
                made[k] = a + g[0] if points > 1 else a
            if needs[k] and place == 1:
                weights = concatenate_arrays(
                    [operators.reshape(-a if points > 1 else 0 * a, shape=(1, n)), g[1:]]
                )
                fields = [self.field(ys[i], t[i], parameters) for i in range(points)]
                slopes = operators.reshape(concatenate_arrays(fields), shape=(points, n))
                made[k] = operators.sum(weights * slopes, axis=1)
        for k, like, total in zip(asked, likes, totals):
            made[k] = operators.reshape(total, shape=like.shape)
        if on_tensors:
            return [x if x is None or isinstance(x, Tensor) else Tensor(x) for x in made]
        return [plain(x) for x in made]

    def _check_return(self, y: Any, found: Any, span: Any) -> None:
        """Raise if the way back has not come to where the solution was."""
        limits = [
            usual if self.options[k] is None else self.options[k]
            for k, (usual, _) in _LIMITS.items()
        ]
        allowed = max(1e-3, *(1e3 * float(numpy.max(limit)) for limit in limits))
        if not numpy.max(abs(found - y), initial=0) <= allowed * (1 + numpy.max(abs(y), initial=0)):
            raise RuntimeError(
                f"odeint: the solution cannot be followed back from t={span[0]:g} to "
                f"t={span[1]:g}, as it is with stiff equations: ask for more times in between, or "
                "use forward mode (jvp), which need not go back"
            )

    def _pulled(
        self, call: Recorded, a: Any, parameters: Sequence[Any], asked: list[int], on_tensors: bool
    ) -> list[Any]:
        """Return -a df/dy, and -a df/dp for all that is asked for, flat."""
        fresh = sorted(call.call.targets, key=_serial)
        y, *rest = fresh
        rest = rest[1:] if on_tensors else rest
        count = len(self.operands.places)
        owners = dict(zip(self.inner, rest)) | {count + i: c for i, c in enumerate(self.captured)}
        targets = [y, *(owners[k] for k in asked)]
        found: dict[Node, Any] = {}
        f = call.outputs[0]
        if isinstance(f, Tensor) and live(f) is not None:
            found = backward(
                call.subgraph,
                {call.root: Parts([a if on_tensors else plain(a)])},
                wanted=call.subgraph.between(targets),
                free=not on_tensors,
            )
        made = []
        for target in targets:
            gx = found.get(target)
            size = _size(target)
            gx = numpy.zeros(size) if gx is None else -operators.reshape(gx, shape=(size,))
            made.append(gx)
        return made

    # ----- forward mode --------------------------------------------------------------------------

    def pushforward(self, tangents: Sequence[Any], node: Node, on_tensors: bool) -> Any:
        """Integrate the variational equation along the solution."""
        places = self.operands.places
        ys, t, parameters = self.inputs(node, on_tensors)
        n = ys.shape[1]
        given = [None if x is None else x if isinstance(x, Tensor) else Tensor(x) for x in tangents]
        by_place = {place: given[k] for k, place in enumerate(places)}
        inner = [given[k] for k in self.inner]
        captured = given[len(places) :]
        dt = by_place.get(1)

        def variation(s: Any, t: Any, parameters: list[Any], moved: list[Any]) -> Any:
            y, dy = s[:n], s[n:]
            call = self.recorded(y, t, parameters, on_tensors)
            fresh = sorted(call.call.targets, key=_serial)
            rest = fresh[2:] if on_tensors else fresh[1:]
            nodes = [fresh[0], *rest, *self.captured]
            every = [dy, *moved]
            start = {
                x: (d if on_tensors else plain(d)) for x, d in zip(nodes, every) if d is not None
            }
            f = call.outputs[0]
            swept = forward(call.subgraph, start, on_tensors=on_tensors)
            owner = live(f) if isinstance(f, Tensor) else None
            df = None if owner is None else swept.get(owner)
            f = call.output() if on_tensors else plain(f)
            return concatenate_arrays([f, numpy.zeros(n) if df is None else df])

        start = by_place.get(0)
        start = Tensor(numpy.zeros(n)) if start is None else start
        if dt is not None:
            start = start - self.field(ys[0], t[0], parameters) * dt[0]
        both = concatenate_arrays([ys[0], start])
        moved = [*inner, *captured]
        solved = self.again(variation, both, t, (parameters, moved))
        out = solved[:, n:]
        if dt is not None:
            points = ys.shape[0]
            fields = [self.field(ys[i], t[i], parameters) for i in range(points)]
            slopes = operators.reshape(concatenate_arrays(fields), shape=(points, n))
            out = out + slopes * operators.reshape(dt, shape=(points, 1))
        return out if on_tensors else plain(out)


def _in_double(x: Any) -> Any:
    """Return a parameter in the solver's precision, so that its cotangents are smooth."""
    double = numpy.result_type(x.dtype, numpy.float64)
    return x if x.dtype == double else operators.astype(x, dtype=double)


def _size(x: Any) -> int:
    return int(numpy.prod(x.shape))


def _is_older(node: Node, begun: int) -> bool:
    """Tell whether a border node is not just a constant that a transformation has left behind."""
    return node.serial <= begun or node.tensor is not None
