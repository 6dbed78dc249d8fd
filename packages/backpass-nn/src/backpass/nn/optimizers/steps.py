"""What every optimizer does: find the Tensors, check, update, clear the gradients."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy

from backpass.core import Tensor, tree
from backpass.core.backends import backend_of
from backpass.core.dtypes import HALVES, kind_of

Tree = Any  # a Tensor, or lists, tuples, dicts, dataclasses of them
Array = Any  # numpy.ndarray or cupy.ndarray
LearningRate = float | Tensor | Callable[[int], float]
# A Python float, or an array of shape () that the update reads where it runs.
Length = Any

# Given the indices of the Tensors that a gradient has reached, their arrays (to write into), their
# gradients and the learning rate, take one step.
Update = Callable[[Sequence[int], Sequence[Array], Sequence[Array], Length], None]
# Given the number of the step and the gradients, return its learning rate.
Rate = Callable[[int, Sequence[Array]], Length]


def leaves(optimizer: str, weights: Tree, root: str = "weights") -> dict[str, Tensor]:
    """Return the distinct Tensors of a tree, each by its place, such as ``"weights[0][1]"``.

    Raises as `distinct`.
    """
    return {str(place): leaf for place, leaf in distinct(optimizer, weights, root)}


def distinct(optimizer: str, weights: Tree, root: str) -> list[tuple[Place, Tensor]]:
    """Return the distinct Tensors of a tree, and their places.

    The Buffers of a model are left out: they are not trained.

    Raises
    ------
    TypeError
        If a leaf is not a Tensor of floats or complex numbers.
    ValueError
        If there is none.
    """
    if isinstance(weights, Iterator):  # such as model.parameters()
        weights = list(weights)
    found: dict[int, tuple[Place, Tensor]] = {}
    for place, leaf in located(weights, root):
        if not isinstance(leaf, Tensor):
            raise TypeError(
                f"{optimizer}: `{place}` is {type(leaf).__name__}, not a Tensor; "
                "make it one with backpass.numpy.array(...)"
            )
        if is_buffer(leaf):
            continue
        check_kind(optimizer, place, leaf)
        found.setdefault(id(leaf), (place, leaf))
    if not found:
        raise ValueError(f"{optimizer}: `{root}` holds no Tensor, so there is nothing to train")
    return list(found.values())


class Place:
    """Where a leaf of a tree is, in the words of a program: put together when a message needs it.

    Parameters
    ----------
    structure
        The tree's.
    i
        The number of the leaf.
    root
        What the tree is called.
    """

    __slots__ = ("_i", "_root", "_structure")

    def __init__(self, structure: Any, i: int, root: str) -> None:
        self._structure, self._i, self._root = structure, i, root

    def __str__(self) -> str:
        code = self._structure.accessors()[self._i].codify(self._root)
        return _IN_A_MODEL.sub(r".\1", code)


def located(weights: Tree, root: str) -> list[tuple[Place, Any]]:
    """Return the leaves of a tree and the place of each, such as ``"weights[0].layers.1.bias"``."""
    flat, structure = tree.flatten(weights)
    return [(Place(structure, i, root), leaf) for i, leaf in enumerate(flat)]


#: How a leaf of a model, whose path stands in the quotes, is written by optree.
_IN_A_MODEL = re.compile(r"\[<flat index '([^']*)'>\]")


def is_buffer(leaf: Any) -> bool:
    """Tell whether a leaf is never trained, unlike a Parameter that is frozen now."""
    return isinstance(leaf, Tensor) and type(leaf).constant is True


def check_kind(optimizer: str, place: object, leaf: Any) -> None:
    """Raise for weights that are no floats.

    Raises
    ------
    TypeError
        If they are integers, for one.
    """
    if kind_of(leaf.dtype) not in "fc":
        raise TypeError(
            f"{optimizer}: `{place}` holds {leaf.dtype}, which has no gradient; use .astype(float)"
        )


def gather(
    optimizer: str, places: Sequence[object], tensors: Sequence[Tensor]
) -> tuple[list[int], list[Array]]:
    """Return the indices of the Tensors that a gradient has reached, and the steepest ascents.

    Raises
    ------
    ValueError
        If a gradient has another shape than its Tensor.
    TypeError
        If one is complex, and its Tensor is not.
    """
    # In one pass and with few attributes: a small network's step takes some 50 microseconds.
    reached, gradients = [], []
    for i, w in enumerate(tensors):
        g = w.grad
        if g is None or w.constant:  # frozen, perhaps after the gradient came
            continue
        if g.shape != w.value.shape:
            raise ValueError(
                f"{optimizer}: `{places[i]}.grad` has shape {g.shape}, but the Tensor has "
                f"{w.shape}; leave .grad to grad(), or set it to None"
            )
        reached.append(i)
        if g.dtype.kind == "c":
            g = ascent(optimizer, f"{places[i]}.grad", g, w.value)
        gradients.append(g)
    return reached, gradients


def ascent(optimizer: str, place: str, g: Array, w: Array) -> Array:
    """Return the direction in which a real function of w rises: of complex ones, the conjugate."""
    if g.dtype.kind != "c":
        return g
    if w.dtype.kind != "c":
        raise TypeError(f"{optimizer}: `{place}` holds {g.dtype}, but its Tensor {w.dtype}")
    return g.conj()


def widened(gradients: Sequence[Array]) -> Sequence[Array]:
    """Return gradients, those in half precision on the CPU in single: its kernels do not take them.

    A GPU's read them as they are.
    """
    if all(g.dtype.char not in HALVES for g in gradients):
        return gradients
    return [
        g.astype("float32")
        if g.dtype.char in HALVES and isinstance(g, numpy.ndarray | numpy.generic)
        else g
        for g in gradients
    ]


def alike(*rows: Sequence[Array]) -> list[list[int] | None]:
    """Return the places of what has the same dtypes in all rows; one `None` where all has."""
    found: dict[tuple[Any, ...], list[int]] = {}
    for i, xs in enumerate(zip(*rows, strict=True)):
        found.setdefault(tuple([x.dtype for x in xs]), []).append(i)
    return [None] if len(found) == 1 else [*found.values()]


def stepper(
    optimizer: str, named: Mapping[str, Tensor], learning_rate: LearningRate, update: Update
) -> Callable[[], None]:
    """Return the function that takes one step after another.

    Raises
    ------
    TypeError
        If the learning rate is neither a number, nor a Tensor of shape (), nor callable.
    ValueError
        If it is out of range.
    """
    places, tensors = list(named), list(named.values())
    rate = schedule(optimizer, learning_rate)
    steps = 0

    def run() -> None:
        nonlocal steps
        reached, gradients = gather(optimizer, places, tensors)
        length = rate(steps, gradients)
        found = [tensors[i] for i in reached]
        if reached:
            update(reached, [w.writable() for w in found], gradients, length)
        for w in found:
            w.grad = None
        steps += 1

    return run


def schedule(optimizer: str, learning_rate: LearningRate) -> Rate:
    """Return the function from the number of a step, and its gradients, to its learning rate.

    A Python float, unlike a NumPy one, leaves float32 weights what they are.
    """
    if isinstance(learning_rate, Tensor):
        return held(optimizer, learning_rate)
    if callable(learning_rate):
        planned = learning_rate

        def rate(step: int, gradients: Sequence[Array]) -> Length:
            refuse_recording(optimizer, "is a function", gradients)
            return checked(optimizer, planned(step), f" at step {step}")

        return rate
    constant = checked(optimizer, learning_rate, "")
    return lambda step, gradients: constant


def held(optimizer: str, learning_rate: Tensor) -> Rate:
    """Return the function that gives a Tensor's value at each step.

    A NumPy scalar is read here; an array of a device is left to the update, which reads it there
    when it runs, and so again whenever it is run again.
    """
    if learning_rate.shape != () or learning_rate.dtype.kind != "f" or learning_rate.tracked:
        kind = "tracked " if learning_rate.tracked else ""
        raise TypeError(
            f"{optimizer}: `learning_rate` is a {kind}Tensor of shape {learning_rate.shape} and "
            f"{learning_rate.dtype}, but it must be untracked, of shape () and of floats"
        )
    checked(optimizer, learning_rate, "")
    if not isinstance(learning_rate.value, numpy.generic):
        learning_rate.writable()  # an array of its own, so that it stays where it is

    def rate(step: int, gradients: Sequence[Array]) -> Length:
        value = learning_rate.value
        if isinstance(value, numpy.generic | numpy.ndarray):
            refuse_recording(optimizer, "lies on the CPU", gradients)
            return checked(optimizer, value, f" at step {step}")
        home = backend_of((value,)).device
        if gradients and backend_of(gradients).device != home:
            raise TypeError(
                f"{optimizer}: `learning_rate` lies on {home!r}, the gradients do not: move it "
                "with backpass.core.to_device(learning_rate, ...)"
            )
        return value

    return rate


def refuse_recording(optimizer: str, what: str, gradients: Sequence[Array]) -> None:
    """Raise where the step is only written down, to be run again and again with the same number.

    Raises
    ------
    RuntimeError
        While a CUDA graph is captured.
    """
    if gradients and backend_of(gradients).capturing():
        raise RuntimeError(
            f"{optimizer}: `learning_rate` {what}, and every launch of the CUDA graph that is "
            "being captured would take the length of this one step: pass a Tensor of shape () on "
            "the device, and write into it between the steps, rate[...] = 0.01"
        )


def checked(optimizer: str, learning_rate: object, when: str) -> float:
    """Return a learning rate as a Python float, if it is one."""
    try:
        length = float(learning_rate)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise TypeError(
            f"{optimizer}: `learning_rate` must be a number or a function from the number of the "
            f"step to one, or a Tensor of shape (), not {learning_rate!r}{when}"
        ) from None
    if not (math.isfinite(length) and length >= 0):
        raise ValueError(
            f"{optimizer}: `learning_rate` is {learning_rate}{when}, but it must be finite and "
            "not negative"
        )
    return length
