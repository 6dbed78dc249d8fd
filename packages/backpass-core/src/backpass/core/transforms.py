"""From functions to their derivatives.

Each transformation hands the function fresh Tensors that share the arguments' values, lets it run,
and walks what has been recorded since.  If the walk meets older tracked nodes, its rules run on
Tensors, and what it returns is differentiable in turn: nesting needs nothing else.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy

from backpass.core import tree
from backpass.core.backends import PYTHON_SCALARS, backend_of
from backpass.core.calls import (
    Argnums,
    Call,
    Function,
    Recorded,
    as_tuple,
    collect,
    holds_tensor,
    name_of,
    one_like,
    released,
)
from backpass.core.cotangents import fit_tangent
from backpass.core.graph import Node, Subgraph, backward
from backpass.core.jacobians import rows
from backpass.core.operators import operators
from backpass.core.tensor import Tensor, add_gradients, give, live
from backpass.core.values import plain

# ----- grad -------------------------------------------------------------------------------------


def grad(
    fun: Function,
    argnums: Argnums | None = None,
    *,
    has_aux: bool = False,
    holomorphic: bool = False,
    use_GPU: bool | None = None,
) -> Function:
    """Return a function that computes the gradient of `fun`.

    Parameters
    ----------
    fun
        A function whose output has one element.
    argnums
        What to differentiate.  An int or a tuple: the positional arguments of that number, whole;
        the result is the gradient, or a tuple of them, and no `.grad` is touched.  `None`: every
        positional argument that holds Tensors, in lists, tuples, dicts and dataclasses too, or
        argument 0 if none does; the result is the gradient if one argument is differentiated, else
        a list; and the outermost call adds the gradients to `.grad` of the caller's Tensors in
        those arguments, and of the Tensors with `requires_grad_()` that `fun` reaches.  `()`: just
        those.
    has_aux
        `fun` returns a pair (output, auxiliary data); the result is a pair, too.
    holomorphic
        `fun` is a holomorphic function of complex arguments; its complex derivative is returned.
    use_GPU
        Accepted for old programs: the arrays say where to compute.  If true and the result lies on
        the CPU, an error says how to use the GPU.

    Returns
    -------
    function
        Of the arguments of `fun`.  Gradients have the argument's structure, shapes, dtypes and
        device; they are fresh arrays, or Tensors where they depend on a Tensor that is tracked
        outside.  Leaves of a tree that are not differentiated are `None`.

    Raises
    ------
    TypeError
        If the output is missing, not of size one, complex without `holomorphic`, or if an argument
        to be differentiated holds integers.
    RuntimeError
        If `use_GPU` is set and the result lies on the CPU.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import grad
    >>> grad(lambda x: x**3)(2.0)
    np.float64(12.0)
    >>> grad(grad(lambda x: x**3))(2.0)
    np.float64(12.0)
    >>> w = [np.array([1.0, 2.0]), np.array(3.0)]
    >>> grad(lambda w, x: np.sum(w[0] * x) + w[1])(w, 5.0)
    [array([5., 5.]), np.float64(1.0)]
    """

    @functools.wraps(fun)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        call, g = _gradient(fun, argnums, args, kwargs, has_aux, holomorphic, use_GPU)
        return (g, call.aux) if has_aux else g

    return gradient


def value_and_grad(
    fun: Function,
    argnums: Argnums | None = None,
    *,
    has_aux: bool = False,
    holomorphic: bool = False,
    use_GPU: bool | None = None,
) -> Function:
    """Return a function that computes the output of `fun` and its gradient; see `grad`.

    The value is a Tensor as `fun` returned it, untracked unless it depends on a Tensor that is
    tracked outside; with `has_aux` it is a pair (output, auxiliary data).

    Examples
    --------
    >>> from backpass.core import value_and_grad
    >>> value_and_grad(lambda x: x * x)(3.0)
    (Tensor(9.0), np.float64(6.0))
    """

    @functools.wraps(fun)
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        call, g = _gradient(fun, argnums, args, kwargs, has_aux, holomorphic, use_GPU)
        # Where the gradient depends on nothing outside, neither does the value.
        value = released(call.out, bool(call.linked))
        return ((value, call.aux) if has_aux else value), g

    return value_and_gradient


def _gradient(
    fun: Function,
    argnums: Argnums | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    has_aux: bool,
    holomorphic: bool,
    use_gpu: bool | None,
) -> tuple[Call, Any]:
    """Run `fun` and walk back; return the call, with its outputs released, and the gradients."""
    gathers = argnums is None or argnums == ()
    nums = positions(fun, argnums, args)
    call = Call(fun, args, kwargs, nums, has_aux=has_aux, tensors_only=argnums is None)
    out = call.out
    if type(out) is not Tensor or holomorphic or out.value.size != 1 or out.value.dtype.kind == "c":
        check_output(call, out, holomorphic)
    root = live(out) if isinstance(out, Tensor) else None
    outer = False
    cotangents: dict[Node, Any] = {}
    leaves: list[Node] = []
    if root is not None:
        subgraph = Subgraph(root, call.start)
        strangers = subgraph.strangers(call.targets)
        if strangers and gathers and call.depth == 1:
            leaves = [node for node in strangers if node.tensor is not None]
        outer = call.linked = call.is_outer(strangers)
        wanted = (
            subgraph.between([*call.targets, *leaves]) if len(strangers) > len(leaves) else None
        )
        seed = one_like(out.value)
        cotangents[root] = Tensor(seed) if outer else seed
        backward(subgraph, cotangents, wanted=wanted, free=not outer)
    if not leaves and call.depth == 1 and call.targets.isdisjoint(cotangents):
        warnings.warn(
            f"the output of {call.name} does not depend on what is differentiated: "
            "the gradient is 0",
            UserWarning,
            stacklevel=3,
        )
    for node in leaves:
        give(node, cotangents)
    arguments = call.arguments
    gradients = [collect(argument, cotangents) for argument in arguments]
    if use_gpu:
        _check_device(gradients, call.name)
    if gathers and call.depth == 1:
        reached = [
            (tensor, plain(g))
            for argument, gs in zip(arguments, gradients)
            for tensor, g in zip(argument.leaves, gs)
            if isinstance(tensor, Tensor) and g is not None
        ]
        if reached:
            add_gradients(*zip(*reached))
    if has_aux:
        call.aux = call.released_aux(outer)
    if not outer:
        call.end()
    if len(arguments) == 1 and type(argnums) is not tuple:
        # A list of one number is a tuple of one, too.
        alone = arguments[0].shaped(gradients[0])
        return call, alone if argnums is None or isinstance(argnums, int) else (alone,)
    made = [argument.shaped(gs) for argument, gs in zip(arguments, gradients)]
    return call, made if argnums is None else tuple(made)


def positions(fun: Function, argnums: Argnums | None, args: tuple[Any, ...]) -> Sequence[int]:
    """Return the positions of the arguments to be differentiated."""
    if argnums is not None:
        return as_tuple(argnums, len(args), name_of(fun))
    if not args:
        raise TypeError(
            f"{name_of(fun)} was called without positional arguments: there is nothing to "
            "differentiate; grad(fun, argnums=()) differentiates Tensors with requires_grad_()"
        )
    return [i for i, a in enumerate(args) if holds_tensor(a)] or (0,)


def check_output(call: Call, out: Any, holomorphic: bool) -> None:
    """Raise if `out` is nothing that `grad` can start from."""
    if out is None:
        raise TypeError(f"{call.name} returned None: did you forget return?")
    value = out.value if isinstance(out, Tensor) else out
    shape = getattr(value, "shape", None)
    if shape is None and type(value) not in PYTHON_SCALARS:
        raise TypeError(
            f"{call.name} returned a {type(value).__name__}: grad needs one number; "
            "has_aux=True is for functions that return a pair"
        )
    if shape is not None and value.size != 1:
        raise TypeError(
            f"{call.name} returned an array of shape {tuple(shape)}: grad needs one number: take "
            "the sum(), or use jacobian() or elementwise_grad()"
        )
    is_complex = getattr(getattr(value, "dtype", None), "kind", "") == "c"
    if is_complex and not holomorphic:
        raise TypeError(
            f"{call.name} returned a complex number: use holomorphic=True (holomorphic_grad in "
            "backpass.autograd), or return its real(), imag() or abs()"
        )
    if holomorphic and not is_complex and isinstance(out, Tensor):
        raise TypeError(f"holomorphic=True, but {call.name} returned a real number ({value.dtype})")


def _check_device(gradients: Sequence[Sequence[Any]], name: str) -> None:
    """Raise if a gradient lies on the CPU."""
    for g in (plain(g) for gs in gradients for g in gs):
        if isinstance(g, numpy.ndarray | numpy.generic):
            raise RuntimeError(
                f"use_GPU=True, but the gradient of {name} lies on the CPU: install the GPU with "
                "pip install backpass-core[cuda] and make the arrays with backpass.cupy, or move "
                "them with backpass.core.to_device(tree, 'cuda')"
            )


# ----- vjp, jvp ---------------------------------------------------------------------------------


def vjp(fun: Function, *primals: Any, has_aux: bool = False) -> Any:
    """Return the output of `fun`, and the function that carries cotangents back: reverse mode.

    Parameters
    ----------
    fun
        A function of the primals, of Tensors to a tree of Tensors.
    primals
        Floats, arrays, Tensors, or trees of them.
    has_aux
        `fun` returns a pair (output, auxiliary data); the data come as a third result.

    Returns
    -------
    out, pull[, aux]
        `pull(g)` takes cotangents in the structure of the output and returns a tuple with one
        cotangent a primal.  It can be called any number of times.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import vjp
    >>> out, pull = vjp(lambda x, y: x * y, np.array([1.0, 2.0]), 3.0)
    >>> pull(np.array([1.0, 10.0]))
    (array([ 3., 30.]), np.float64(21.0))
    """
    call = Call(fun, primals, {}, range(len(primals)), has_aux=has_aux)
    recorded = Recorded(call)

    def pull(cotangent: Any) -> tuple[Any, ...]:
        given, structure = tree.flatten(cotangent)
        if structure != recorded.structure:
            raise TypeError(
                f"the cotangent of {call.name} must have the structure of its output, "
                f"{recorded.structure}, not {structure}"
            )
        found = recorded.pull(given)
        return tuple(a.shaped(gs) for a, gs in zip(call.arguments, found))

    if has_aux:
        return recorded.output(), pull, recorded.aux()
    return recorded.output(), pull


def _tangents(call: Call, tangents: Sequence[Any]) -> dict[Node, Any]:
    """Return the tangents of a call's fresh leaves; `None` and missing leaves are zero."""
    found: dict[Node, Any] = {}
    if len(tangents) != len(call.arguments):
        raise TypeError(
            f"{call.name} has {len(call.arguments)} primals, {len(tangents)} tangents are given"
        )
    any_tensor = any(
        isinstance(t, Tensor) and t.tracked for given in tangents for t in tree.leaves(given)
    )
    for argument, given in zip(call.arguments, tangents):
        if argument.structure is None:
            flat = [given]
        else:
            flat, structure = tree.flatten(given)
            if len(flat) != len(argument.leaves):
                raise TypeError(
                    f"the tangent of argument {argument.position} of {call.name} must have the "
                    f"structure {argument.structure}, not {structure}"
                )
        for node, fresh, t in zip(argument.nodes, argument.fresh, flat):
            if node is None or fresh is None or t is None:
                continue
            value = t.value if isinstance(t, Tensor) else t
            if type(value) is not type(fresh.value):
                value = backend_of((fresh.value,)).library.asarray(value)[()]
                t = t if isinstance(t, Tensor) and t.tracked else value
            if tuple(value.shape) != node.shape:
                raise ValueError(
                    f"a tangent of argument {argument.position} of {call.name} has shape "
                    f"{tuple(value.shape)}, the primal {node.shape}: they must agree"
                )
            t = (t if isinstance(t, Tensor) else Tensor(value)) if any_tensor else value
            found[node] = fit_tangent(t, node)
    return found


def jvp(
    fun: Function, primals: Sequence[Any], tangents: Sequence[Any], *, has_aux: bool = False
) -> Any:
    """Return the output of `fun` and its derivative along `tangents`: forward mode.

    The recorded graph is swept forwards, so that the memory is that of reverse mode.

    Parameters
    ----------
    fun
        A function of the primals, of Tensors to a tree of Tensors.
    primals, tangents
        Sequences of arguments and of their tangents: trees of one structure; `None` stands for a
        tangent of zero.
    has_aux
        `fun` returns a pair (output, auxiliary data); the data come as a third result.

    Examples
    --------
    >>> from backpass.core import jvp
    >>> jvp(lambda x: x**3, (2.0,), (1.0,))
    (Tensor(8.0), np.float64(12.0))
    """
    if not isinstance(primals, tuple | list) or not isinstance(tangents, tuple | list):
        raise TypeError("jvp: primals and tangents must be tuples or lists, one entry an argument")
    call = Call(fun, tuple(primals), {}, range(len(primals)), has_aux=has_aux)
    recorded = Recorded(call)
    found = recorded.push(_tangents(call, tangents))
    tangent = tree.unflatten(recorded.structure, found)
    out = recorded.output()
    aux = recorded.aux() if has_aux else None
    if not recorded.outer:
        call.end()
    return (out, tangent, aux) if has_aux else (out, tangent)


def linearize(fun: Function, *primals: Any, has_aux: bool = False) -> Any:
    """Return the output of `fun`, and the linear function that carries tangents forward.

    Examples
    --------
    >>> from backpass.core import linearize
    >>> out, push = linearize(lambda x: x**3, 2.0)
    >>> push(1.0), push(2.0)
    (np.float64(12.0), np.float64(24.0))
    """
    call = Call(fun, primals, {}, range(len(primals)), has_aux=has_aux)
    recorded = Recorded(call)

    def push(*tangents: Any) -> Any:
        return tree.unflatten(recorded.structure, recorded.push(_tangents(call, tangents)))

    if has_aux:
        return recorded.output(), push, recorded.aux()
    return recorded.output(), push


# ----- jacobian, hessian and their products -----------------------------------------------------


def jacobian(
    fun: Function, argnums: Argnums = 0, *, has_aux: bool = False, holomorphic: bool = False
) -> Function:
    """Return a function that computes the Jacobian of `fun`: reverse mode, all rows at once.

    The rows, one for each output element, go back through the graph together: a Jacobian of 200
    rows costs about what `fun` costs for a batch of 200.  As many go together as keep the largest
    cotangent within 64 MiB.  Where something on the way takes one cotangent at a time (a
    `checkpoint`, a `custom_vjp`, a hook, a rule that looks at the numbers of its cotangent), the
    rows of that output are walked one by one.  For a product with a vector, `vjp` and `jvp` do
    without the Jacobian.

    Parameters
    ----------
    fun
        A function of Tensors to a tree of Tensors.
    argnums
        Which positional arguments to differentiate, whole: an int or a tuple.
    has_aux
        `fun` returns a pair (output, auxiliary data); the result is a pair, too.
    holomorphic
        `fun` is a holomorphic function of complex arguments.

    Returns
    -------
    function
        Of the arguments of `fun`.  For each output and each leaf of an argument an array of shape
        `output.shape + argument.shape`, in the structure of the output and, inside, of the argument
        (a tuple of them for a tuple of argnums).

    Raises
    ------
    TypeError
        If `fun` returns `None`, or complex numbers without `holomorphic`.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import jacobian
    >>> jacobian(lambda x: x * x)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """

    @functools.wraps(fun)
    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        nums = as_tuple(argnums, len(args), name_of(fun))
        call = Call(fun, args, kwargs, nums, has_aux=has_aux)
        if call.out is None:
            raise TypeError(f"{call.name} returned None: did you forget return?")
        recorded = Recorded(call)
        blocks = []
        for k, output in enumerate(recorded.outputs):
            value = output.value if isinstance(output, Tensor) else output
            value = value if hasattr(value, "dtype") else numpy.asarray(value)
            if value.dtype.kind == "c" and not holomorphic:
                raise TypeError(
                    f"{call.name} returned complex numbers: use holomorphic=True, or return their "
                    "real() and imag()"
                )
            found = rows(recorded, k, value)
            block = [argument.shaped(row) for argument, row in zip(call.arguments, found)]
            blocks.append(block[0] if isinstance(argnums, int) else tuple(block))
        result = tree.unflatten(recorded.structure, blocks)
        if has_aux:
            result = (result, recorded.aux())
        if not recorded.outer:
            call.end()
        return result

    return jacobian_of


def hessian(fun: Function, argnums: Argnums = 0, *, has_aux: bool = False) -> Function:
    """Return a function that computes the Hessian of `fun`: the Jacobian of its gradient.

    Its rows, too, go back through the graph of the gradient together.  For a product with a vector,
    `hvp` does without the Hessian.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import hessian
    >>> hessian(lambda x: np.sum(x**3))(np.array([1.0, 2.0]))
    array([[ 6.,  0.],
           [ 0., 12.]])
    """
    return jacobian(grad(fun, argnums, has_aux=has_aux), argnums, has_aux=has_aux)


def hvp(fun: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """Return the Hessian of `fun` times a vector: the derivative of the gradient along `tangents`.

    One forward sweep over the graph of a gradient; the Hessian is not made.  For one primal the
    product is in its structure; for several, a tuple.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import hvp
    >>> hvp(lambda x: np.sum(x**3), (np.array([1.0, 2.0]),), (np.array([1.0, 1.0]),))
    array([ 6., 12.])
    """
    argnums: Argnums = 0 if len(primals) == 1 else tuple(range(len(primals)))
    return jvp(grad(fun, argnums), primals, tangents)[1]


def elementwise_grad(fun: Function, argnums: Argnums = 0) -> Function:
    """Return a function that computes the gradient of the sum of `fun`'s outputs.

    Where each output element depends on its own input element only, that is the derivative of each.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import elementwise_grad
    >>> elementwise_grad(lambda x: x * x)(np.array([1.0, 2.0]))
    array([2., 4.])
    """

    @functools.wraps(fun)
    def total(*args: Any, **kwargs: Any) -> Any:
        out = fun(*args, **kwargs)
        if out is None:
            raise TypeError(f"{name_of(fun)} returned None: did you forget return?")
        return operators.sum(out) if hasattr(out, "shape") else out

    return grad(total, argnums)
