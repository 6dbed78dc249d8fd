"""The Tensor: a value, and the node of the graph that made it."""

from __future__ import annotations

import copy
import sys
import types
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy

from backpass.core.dtypes import kind_of
from backpass.core.graph import (
    FREED,
    Node,
    Subgraph,
    backward,
    floor,
    is_dead,
    recording,
)
from backpass.core.operators import operators


class Tensor:
    """An array or scalar that can be differentiated.

    A Tensor is *tracked* while it carries a live node; an operation is recorded if and only if one
    of its inputs is tracked.  Data and constants are not: `grad` and its relatives hang fresh nodes
    on copies of the arguments, and `requires_grad_` hangs a permanent leaf on the Tensor itself.

    Attributes
    ----------
    value : numpy.ndarray, numpy.generic or cupy.ndarray
        What the Tensor holds.
    node : Node or None
        Where it hangs in the graph.
    grad : array or None
        The gradients that have been added up so far; cleared by assigning `None`.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> w = np.array([1.0, 2.0]).requires_grad_()
    >>> np.sum(w * w).backward()
    >>> w.grad
    array([2., 4.])
    """

    __slots__ = ("__weakref__", "grad", "node", "value")
    #: NumPy and CuPy let a Tensor's own operators go first.
    __array_priority__ = 1000
    #: Whether it is a constant to transformations of a tree that holds it, floats or not.
    constant = False

    def __init__(self, value: Any, node: Node | None = None) -> None:
        self.value = value
        self.node = node
        self.grad: Any = None

    # ----- the graph -------------------------------------------------------------------------

    @property
    def tracked(self) -> bool:
        """Whether operations on this Tensor are recorded."""
        return live(self) is not None

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this Tensor are recorded: PyTorch's name for `tracked`."""
        return self.tracked

    @property
    def parents(self) -> tuple[Node | None, ...] | None:
        """The nodes of the inputs, `None` if nothing was recorded; setting it to `None` detaches.

        Raises
        ------
        TypeError
            If anything but `None` is assigned.
        """
        node = live(self)
        return None if node is None or node.parents is None else tuple(node.parents)

    @parents.setter
    def parents(self, parents: None) -> None:
        if parents is not None:
            raise TypeError("Tensor.parents can only be set to None, which detaches the Tensor")
        self.node = None

    @property
    def ref(self) -> int:
        """An integer without meaning, kept for programs that set it."""
        return 0

    @ref.setter
    def ref(self, count: int) -> None:
        pass

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Hang a permanent leaf on this Tensor, or take it away; returns the Tensor.

        Raises
        ------
        TypeError
            If the Tensor does not hold floats or complex numbers.
        RuntimeError
            If the Tensor is the result of a recorded operation: `detach()` it first.
        """
        if not requires_grad:
            self.node = None
            return self
        if not is_inexact(self.value):
            raise TypeError(
                f"requires_grad_() needs floats, this Tensor holds {self.value.dtype}: "
                "use .astype(float) first"
            )
        node = live(self)
        if node is not None and (node.parents != () or not _may_be_leaf(self, node)):
            raise RuntimeError(
                "requires_grad_() on the result of a recorded operation: call detach() first"
            )
        if node is None:
            node = leaf(self.value)
            node.tensor = weakref.ref(self)
            self.node = node
        return self

    def detach(self) -> Tensor:
        """Return an untracked Tensor of the same value."""
        return Tensor(self.value)

    def remade(self, value: Any) -> Tensor:
        """Return an untracked Tensor of this kind that holds another value."""
        return Tensor(value)

    def backward(self, gradient: Any = None, *, retain_graph: bool = False) -> None:
        """Add the gradient of this Tensor to `.grad` of the permanent leaves below it.

        Parameters
        ----------
        gradient : array_like, optional
            The cotangent to start from, of this Tensor's shape; 1 for a Tensor of size one.
        retain_graph
            Keep the graph, so that it can be walked again.

        Raises
        ------
        RuntimeError
            If nothing was recorded, if the graph has been walked and freed already, or inside a
            function that is being differentiated.
        TypeError
            If the Tensor has more than one element and no `gradient` is given.
        ValueError
            If `gradient` has another shape.
        """
        root = self.node
        if root is None or (root.parents is None and root.saved is not FREED):
            raise RuntimeError("backward(): nothing was recorded: call requires_grad_() first")
        if root.parents is None:
            raise RuntimeError(
                "backward(): this graph has been walked and freed: "
                "pass retain_graph=True to the first backward()"
            )
        if recording.depth:
            raise RuntimeError(
                "backward() inside a function that is being differentiated: use grad() there"
            )
        g = self._seed(gradient)
        subgraph = Subgraph(root, 0)
        leaves = [node for node in subgraph.strangers(()) if node.tensor is not None]
        wanted = None if len(leaves) == len(subgraph.border) else subgraph.between(leaves)
        mark = None if retain_graph else FREED
        cotangents = backward(subgraph, {root: g}, wanted=wanted, free=not retain_graph, mark=mark)
        for node in leaves:
            give(node, cotangents)

    def _seed(self, gradient: Any) -> Any:
        """Return the cotangent that `backward` starts from."""
        value = self.value
        if gradient is None:
            if value.size != 1:
                raise TypeError(
                    f"backward() of a Tensor of shape {value.shape} needs `gradient`, an array of "
                    "that shape: or take the sum() first"
                )
            one = operators.one_like(value)
            return one[()] if isinstance(one, numpy.ndarray) else one
        g = gradient.value if isinstance(gradient, Tensor) else gradient
        if type(g) is not type(value):
            # A list or a number goes where the value lies.
            like = None if isinstance(value, numpy.generic) else value
            g = numpy.asarray(g, like=like)[()]
        if g.shape != value.shape:
            raise ValueError(
                f"backward(): `gradient` has shape {g.shape}, the Tensor {value.shape}: "
                "they must agree"
            )
        return g if g.dtype == value.dtype else g.astype(value.dtype)

    def register_hook(self, hook: Callable[[Any], Any]) -> Callable[[], None]:
        """Call `hook(g)` with this Tensor's cotangent; what it returns, unless `None`, replaces it.

        Returns a function that removes the hook.

        Raises
        ------
        RuntimeError
            If the Tensor is not tracked.
        """
        node = live(self)
        if node is None:
            raise RuntimeError("register_hook() on an untracked Tensor: no gradient reaches it")
        hooked = Hooked(node.primitive, hook)
        node.primitive = hooked
        return hooked.remove

    # ----- what it holds -----------------------------------------------------------------------

    @property
    def _value(self) -> Any:
        """What the Tensor holds, under the name that HIPS autograd's programs print it by."""
        return self.value

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        return self.value.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> Any:
        """The type of the elements."""
        return self.value.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.value.ndim  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.value.size  # type: ignore[no-any-return]

    @property
    def itemsize(self) -> int:
        """Bytes an element."""
        return self.value.itemsize  # type: ignore[no-any-return]

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.value.nbytes  # type: ignore[no-any-return]

    @property
    def device(self) -> Any:
        """Where the value lies: `"cpu"`, or CuPy's device."""
        return getattr(self.value, "device", "cpu")

    @property
    def T(self) -> Tensor:
        """The Tensor with its axes reversed."""
        return operators.transpose(self)  # type: ignore[no-any-return]

    @property
    def mT(self) -> Tensor:
        """The Tensor with its last two axes exchanged."""
        return operators.methods["swapaxes"](self, -1, -2)  # type: ignore[no-any-return]

    @property
    def real(self) -> Tensor:
        """The real part."""
        return operators.methods["real"](self)  # type: ignore[no-any-return]

    @property
    def imag(self) -> Tensor:
        """The imaginary part."""
        return operators.methods["imag"](self)  # type: ignore[no-any-return]

    @property
    def flat(self) -> Iterator[Tensor]:
        """The elements in C order, as Tensors."""
        return iter(operators.reshape(self, shape=(-1,)))

    def writable(self) -> Any:
        """Return the value's array to write into; copied first if anybody else can see it.

        An optimizer updates its weights with it.  The graph must not hold the array, or the copy
        is made, too.
        """
        if isinstance(self.value, numpy.generic):
            self.value = numpy.array(self.value)
        elif not exclusive(self):
            value = self.value
            on_the_host = isinstance(value, numpy.ndarray)
            self.value = value.copy() if on_the_host else operators.copy(value)
        return self.value

    def __getattr__(self, name: str) -> Any:
        # Only called where ordinary look-up has failed.
        method = getattr(operators, "methods", {}).get(name)
        if method is None:
            if name == "__cuda_array_interface__" and is_inexact(self.value):
                raise AttributeError(
                    "a float Tensor hides __cuda_array_interface__, because CuPy would take the "
                    "data and lose the gradient: use .value, or backpass.cupy's functions"
                )
            if name == "__cuda_array_interface__":
                return self.value.__cuda_array_interface__
            hint = getattr(operators, "hints", {}).get(name)
            raise AttributeError(
                f"Tensor has no attribute {name!r}" + (f": {hint}" if hint else "")
            )
        return types.MethodType(method, self)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *operators.methods]

    def __repr__(self) -> str:
        text = repr(self.value)
        inner = text[text.find("(") + 1 : text.rfind(")")] if "(" in text else text
        if isinstance(self.value, numpy.generic) and self.value.dtype not in _PLAIN_DTYPES:
            inner += f", dtype={self.value.dtype}"
        return f"Tensor({inner})"

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, spec: str) -> str:
        return format(self.value, spec) if spec else str(self.value)

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Tensor]:
        if self.value.ndim == 0:
            raise TypeError("iteration over a 0-d Tensor")
        return (self[i] for i in range(len(self.value)))

    __hash__ = object.__hash__

    def __copy__(self) -> Tensor:
        return type(self)(copy.copy(self.value), self.node)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        # Like the original: a permanent leaf stays one, of its own; a result stays in its graph.
        own = is_permanent_leaf(self)
        made = type(self)(copy.deepcopy(self.value, memo), None if own else self.node)
        made.grad = copy.deepcopy(self.grad, memo)
        memo[id(self)] = made
        return made.requires_grad_() if own else made

    def __reduce__(self) -> Any:
        if self.tracked and not is_permanent_leaf(self):
            raise TypeError(
                "a tracked Tensor cannot be pickled: pickle stop_gradient(t) or t.value"
            )
        return _restore, (self.value, self.grad, is_permanent_leaf(self))

    # ----- leaving the graph: never silently -----------------------------------------------------

    def __bool__(self) -> bool:
        return bool(operators.on_host(self.value))

    def __int__(self) -> int:
        return int(
            self._plain("int()") if is_inexact(self.value) else operators.on_host(self.value)
        )

    def __index__(self) -> int:
        return self.value.__index__()  # type: ignore[no-any-return]

    def __float__(self) -> float:
        return float(self._plain("float()"))

    def __complex__(self) -> complex:
        return complex(self._plain("complex()"))

    def item(self, *args: int) -> Any:
        """Return one element as a Python scalar; only of an untracked Tensor."""
        return self._plain("item()").item(*args)

    def tolist(self) -> Any:
        """Return nested lists of Python scalars; only of an untracked Tensor."""
        return self._plain("tolist()").tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if self.tracked and is_inexact(self.value):
            loss = _LOSS.format(what="numpy.asarray()")
            raise TypeError(f"{loss}; {operators.explain_loss()}")
        return numpy.array(self.value, dtype=dtype, copy=copy)

    def __dlpack__(self, **kwargs: Any) -> Any:
        if self.tracked and is_inexact(self.value):
            raise BufferError(_LOSS.format(what="__dlpack__()"))
        return self._with_memory().__dlpack__(**kwargs)

    def __dlpack_device__(self) -> Any:
        return self._with_memory().__dlpack_device__()

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        """Return `backpass.numpy` or `backpass.cupy`, for programs over the array API standard.

        Source: the Python array API standard, 2024.12; docs/array-api.md has what is there.

        Raises
        ------
        ValueError
            If another version of the standard is asked for than those it says it has.
        """
        if api_version is not None and api_version not in ARRAY_API_VERSIONS:
            raise ValueError(
                f"api_version={api_version!r} of the array API standard is not supported: "
                f"use one of {', '.join(ARRAY_API_VERSIONS)}"
            )
        return operators.namespace(self.value)

    def _with_memory(self) -> Any:
        """Return the value as an array: a NumPy scalar has no memory of its own to share."""
        value = self.value
        return numpy.asarray(value) if isinstance(value, numpy.generic) else value

    def _plain(self, what: str) -> Any:
        """Return the value, on the host, unless a gradient would be lost."""
        if self.tracked and is_inexact(self.value):
            raise TypeError(_LOSS.format(what=what))
        return operators.on_host(self.value)

    # ----- operators -----------------------------------------------------------------------------

    def __add__(self, other: Any) -> Tensor:
        return operators.add(self, other)  # type: ignore[no-any-return]

    def __radd__(self, other: Any) -> Tensor:
        return operators.add(other, self)  # type: ignore[no-any-return]

    def __sub__(self, other: Any) -> Tensor:
        return operators.subtract(self, other)  # type: ignore[no-any-return]

    def __rsub__(self, other: Any) -> Tensor:
        return operators.subtract(other, self)  # type: ignore[no-any-return]

    def __mul__(self, other: Any) -> Tensor:
        return operators.multiply(self, other)  # type: ignore[no-any-return]

    def __rmul__(self, other: Any) -> Tensor:
        return operators.multiply(other, self)  # type: ignore[no-any-return]

    def __truediv__(self, other: Any) -> Tensor:
        return operators.divide(self, other)  # type: ignore[no-any-return]

    def __rtruediv__(self, other: Any) -> Tensor:
        return operators.divide(other, self)  # type: ignore[no-any-return]

    def __floordiv__(self, other: Any) -> Tensor:
        return operators.floor_divide(self, other)  # type: ignore[no-any-return]

    def __rfloordiv__(self, other: Any) -> Tensor:
        return operators.floor_divide(other, self)  # type: ignore[no-any-return]

    def __mod__(self, other: Any) -> Tensor:
        return operators.remainder(self, other)  # type: ignore[no-any-return]

    def __rmod__(self, other: Any) -> Tensor:
        return operators.remainder(other, self)  # type: ignore[no-any-return]

    def __divmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return operators.floor_divide(self, other), operators.remainder(self, other)

    def __rdivmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return operators.floor_divide(other, self), operators.remainder(other, self)

    def __pow__(self, other: Any) -> Tensor:
        return operators.power(self, other)  # type: ignore[no-any-return]

    def __rpow__(self, other: Any) -> Tensor:
        return operators.power(other, self)  # type: ignore[no-any-return]

    def __matmul__(self, other: Any) -> Tensor:
        return operators.matmul(self, other)  # type: ignore[no-any-return]

    def __rmatmul__(self, other: Any) -> Tensor:
        return operators.matmul(other, self)  # type: ignore[no-any-return]

    def __neg__(self) -> Tensor:
        return operators.negative(self)  # type: ignore[no-any-return]

    def __pos__(self) -> Tensor:
        return operators.positive(self)  # type: ignore[no-any-return]

    def __abs__(self) -> Tensor:
        return operators.absolute(self)  # type: ignore[no-any-return]

    def __round__(self, ndigits: int | None = None) -> Tensor:
        return operators.round(self, decimals=ndigits or 0)  # type: ignore[no-any-return]

    def __invert__(self) -> Tensor:
        return operators.invert(self)  # type: ignore[no-any-return]

    def __and__(self, other: Any) -> Tensor:
        return operators.bitwise_and(self, other)  # type: ignore[no-any-return]

    def __rand__(self, other: Any) -> Tensor:
        return operators.bitwise_and(other, self)  # type: ignore[no-any-return]

    def __or__(self, other: Any) -> Tensor:
        return operators.bitwise_or(self, other)  # type: ignore[no-any-return]

    def __ror__(self, other: Any) -> Tensor:
        return operators.bitwise_or(other, self)  # type: ignore[no-any-return]

    def __xor__(self, other: Any) -> Tensor:
        return operators.bitwise_xor(self, other)  # type: ignore[no-any-return]

    def __rxor__(self, other: Any) -> Tensor:
        return operators.bitwise_xor(other, self)  # type: ignore[no-any-return]

    def __lshift__(self, other: Any) -> Tensor:
        return operators.left_shift(self, other)  # type: ignore[no-any-return]

    def __rlshift__(self, other: Any) -> Tensor:
        return operators.left_shift(other, self)  # type: ignore[no-any-return]

    def __rshift__(self, other: Any) -> Tensor:
        return operators.right_shift(self, other)  # type: ignore[no-any-return]

    def __rrshift__(self, other: Any) -> Tensor:
        return operators.right_shift(other, self)  # type: ignore[no-any-return]

    def __eq__(self, other: object) -> Any:
        if _compares_by_itself(other):
            return NotImplemented
        return operators.equal(self, other)

    def __ne__(self, other: object) -> Any:
        if _compares_by_itself(other):
            return NotImplemented
        return operators.not_equal(self, other)

    def __lt__(self, other: Any) -> Tensor:
        return operators.less(self, other)  # type: ignore[no-any-return]

    def __le__(self, other: Any) -> Tensor:
        return operators.less_equal(self, other)  # type: ignore[no-any-return]

    def __gt__(self, other: Any) -> Tensor:
        return operators.greater(self, other)  # type: ignore[no-any-return]

    def __ge__(self, other: Any) -> Tensor:
        return operators.greater_equal(self, other)  # type: ignore[no-any-return]

    def __contains__(self, item: Any) -> bool:
        return bool((self.value == (item.value if isinstance(item, Tensor) else item)).any())

    def __getitem__(self, index: Any) -> Tensor:
        return operators.getitem(self, index=index)  # type: ignore[no-any-return]

    def __setitem__(self, index: Any, values: Any) -> None:
        operators.assign(self, index, values)

    def __iadd__(self, other: Any) -> Tensor:
        return operators.update("add", self, other)  # type: ignore[no-any-return]

    def __isub__(self, other: Any) -> Tensor:
        return operators.update("subtract", self, other)  # type: ignore[no-any-return]

    def __imul__(self, other: Any) -> Tensor:
        return operators.update("multiply", self, other)  # type: ignore[no-any-return]

    def __itruediv__(self, other: Any) -> Tensor:
        return operators.update("divide", self, other)  # type: ignore[no-any-return]

    def __ifloordiv__(self, other: Any) -> Tensor:
        return operators.update("floor_divide", self, other)  # type: ignore[no-any-return]

    def __imod__(self, other: Any) -> Tensor:
        return operators.update("remainder", self, other)  # type: ignore[no-any-return]

    def __ipow__(self, other: Any) -> Tensor:
        return operators.update("power", self, other)  # type: ignore[no-any-return]

    # ----- NumPy's protocols ---------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and not kwargs:
            function = operators.ufuncs.get(ufunc)
            if function is not None:
                if len(inputs) == 1:
                    return function(inputs[0])
                return function(*map(bare, inputs))
        return operators.apply_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        function = operators.functions.get(func) or operators.find_function(func)
        if function is None:
            return operators.apply_function(func, self, args, kwargs)
        return function(*args, **kwargs)


#: The operators above that are one call of a primitive, by the name of their method.
ARITHMETIC = {
    "abs": "absolute",
    "add": "add",
    "floordiv": "floor_divide",
    "ge": "greater_equal",
    "gt": "greater",
    "le": "less_equal",
    "lt": "less",
    "matmul": "matmul",
    "mod": "remainder",
    "mul": "multiply",
    "neg": "negative",
    "pos": "positive",
    "pow": "power",
    "sub": "subtract",
    "truediv": "divide",
}

#: The dtypes that a scalar's digits show; NumPy leaves them out likewise.
_PLAIN_DTYPES = tuple(numpy.dtype(kind) for kind in (bool, int, float, complex))

_LOSS = (
    "{what} of a tracked Tensor would lose the gradient: use t.value, or stop_gradient(t), "
    "if that is what you want"
)


class Hooked:
    """A node's primitive with a hook before it."""

    __slots__ = ("hook", "name", "primitive")

    def __init__(self, primitive: Any, hook: Callable[[Any], Any]) -> None:
        self.primitive = primitive
        self.hook: Callable[[Any], Any] | None = hook
        self.name = getattr(primitive, "name", "leaf")

    def remove(self) -> None:
        """Stop calling the hook."""
        self.hook = None

    def seen(self, g: Any) -> Any:
        """Return the cotangent after this hook and those hung on earlier."""
        if isinstance(self.primitive, Hooked):
            g = self.primitive.seen(g)
        replaced = None if self.hook is None else self.hook(g)
        if isinstance(replaced, Tensor) and not isinstance(g, Tensor):
            replaced = replaced.value
        return g if replaced is None else replaced

    def pullback(self, g: Any, node: Node, wanted: Any) -> Any:
        """Run the hooks, then the primitive's rule."""
        inner = self.primitive
        while isinstance(inner, Hooked):
            inner = inner.primitive
        return inner.pullback(self.seen(g), node, wanted)

    def pushforward(self, tangents: Any, node: Node, on_tensors: bool) -> Any:
        """Hooks are for cotangents: only the primitive's rule runs."""
        return self.primitive.pushforward(tangents, node, on_tensors)


def _compares_by_itself(other: object) -> bool:
    """Tell whether `==` is the other operand's business: text, or what opts out of NumPy's."""
    return isinstance(other, str) or getattr(other, "__array_ufunc__", True) is None


def bare(x: Any) -> Any:
    """Return an operand of a ufunc; NumPy hands over its scalars as arrays of shape ().

    As scalars they go with the arrays of every device.
    """
    return x[()] if type(x) is numpy.ndarray and not x.ndim else x


def live(tensor: Tensor) -> Node | None:
    """Return the node of `tensor` if it can still be walked, or is the `FREED` one."""
    node = tensor.node
    if node is not None and (node.parents is None or (node.serial <= floor[0] and is_dead(node))):
        # Walked.  grad's own graphs are gone without a trace; backward()'s may be asked for again.
        node = tensor.node = FREED if node.saved is FREED else None
    return node


def leaf(value: Any) -> Node:
    """Return a node for `value` that nothing has computed."""
    return Node(None, (), None, None, value.shape, value.dtype)


def is_inexact(value: Any) -> bool:
    """Tell whether `value` is a floating-point or complex array or scalar."""
    dtype = getattr(value, "dtype", None)
    return dtype is not None and kind_of(dtype) in "fc"


def is_permanent_leaf(tensor: Tensor) -> bool:
    """Tell whether `requires_grad_` made a leaf of `tensor`; a copy of one is none."""
    node = tensor.node
    return node is not None and node.tensor is not None and node.tensor() is tensor


def _may_be_leaf(tensor: Tensor, node: Node) -> bool:
    """Tell whether a leaf is the tensor's own: permanent, or an argument of a call of `grad`."""
    return node.tensor is None or node.tensor() is tensor


def give(node: Node, cotangents: dict[Node, Any]) -> None:
    """Add a cotangent to `.grad` of the Tensor whose permanent leaf `node` is.

    It is taken out of the dictionary, and becomes the gradient as it is where nobody else holds it.
    """
    tensor = None if node.tensor is None else node.tensor()
    g = cotangents.pop(node, None)
    if tensor is None or g is None:
        return
    if node.primitive is not None:
        g = node.primitive.seen(g)
    if isinstance(g, Tensor):
        g = g.value
    if tensor.grad is None:
        tensor.grad = own(g)
    else:
        add_gradient(tensor, g)


def add_gradients(tensors: Sequence[Tensor], gs: Sequence[Any]) -> None:
    """Add each of `gs` to `.grad` of its Tensor: copied in one call where there was none yet."""
    found = operators.copies(*gs) if all(t.grad is None for t in tensors) else NotImplemented
    if found is NotImplemented:
        for tensor, g in zip(tensors, gs):
            add_gradient(tensor, g)
        return
    for tensor, g in zip(tensors, found):
        # One that occurs twice has a gradient by now.
        tensor.grad = g if tensor.grad is None else operators.add(tensor.grad, g)


def add_gradient(tensor: Tensor, g: Any) -> None:
    """Add `g` to `tensor.grad`, which shares its memory with nobody."""
    old = tensor.grad
    tensor.grad = copied(g) if old is None else operators.add(old, g)


def own(g: Any) -> Any:
    """Return a cotangent as an array that is writeable and that nobody else holds."""
    if isinstance(g, numpy.generic):
        return g
    if sys.getrefcount(g) > _ALONE_IN_CALL or type(g.base) not in OWNING or not COUNTED:
        return copied(g)
    # A library without read-only arrays has no such flag.
    return g if getattr(g.flags, "writeable", True) else copied(g)


def _references_in_call(g: Any) -> int:
    return sys.getrefcount(g)


def _alone_in_call() -> int:
    g = numpy.empty(1)
    return _references_in_call(g)


#: How often CPython counts an array that only the caller's variable and a parameter hold: measured.
_ALONE_IN_CALL = _alone_in_call()


def copied(g: Any) -> Any:
    """Return a copy of an array: `positive` puts it into memory that has been used before."""
    return operators.positive(g) if g.dtype.isnative else g.copy()


def _references(tensor: Tensor) -> int:
    return sys.getrefcount(tensor.value)


def _restore(value: Any, grad: Any, is_leaf: bool) -> Tensor:
    tensor = Tensor(value)
    tensor.grad = grad
    return tensor.requires_grad_() if is_leaf else tensor


#: How often CPython counts an array that only one Tensor holds: measured, it differs by version.
ALONE = _references(Tensor(numpy.empty(1)))
#: Where reference counts cannot be relied on, every write copies.
COUNTED = sys.version_info < (3, 14) and getattr(sys, "_is_gil_enabled", lambda: True)()
#: The versions of the array API standard that a program may ask for: each adds to the one before.
ARRAY_API_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")
#: The types of `.base` that mean "this array owns its memory"; the CPU kernels add their own.
OWNING: set[type] = {type(None)}


def exclusive(tensor: Tensor) -> bool:
    """Tell whether nobody but `tensor` can see its array, so that it can be written in place."""
    value = tensor.value
    if isinstance(value, numpy.generic) or not COUNTED or type(value.base) not in OWNING:
        return False
    flags = getattr(value, "flags", None)
    if flags is not None and not getattr(flags, "writeable", True):
        return False
    del value, flags
    return _references(tensor) <= ALONE
