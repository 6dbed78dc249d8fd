"""`Module`: a plain class whose Parameters, modules, and lists and dicts of them, are a tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy

from backpass.core.backends import backend_on
from backpass.core.devices import beside, move
from backpass.core.dtypes import kind_of, named
from backpass.core.tensor import Tensor
from backpass.core.values import plain
from backpass.nn.parameter import Buffer, Parameter
from backpass.nn.structure import (
    Container,
    Place,
    Rest,
    containers,
    distinct,
    joined,
    parts,
    places,
)


class LayerError(ValueError):
    """What a module raises for an input that does not fit it; names the module's path.

    Parameters
    ----------
    layer : Module
        The module.
    message : str
        What it expected, and what it got.
    """

    def __init__(self, layer: Module, message: str) -> None:
        super().__init__(message)
        self.layer = layer
        self.root = layer
        self.message = message

    def __str__(self) -> str:
        return f"{located(self.root, self.layer)}: {self.message}"

    def __reduce__(self) -> Any:
        return type(self), (self.layer, self.message), {"root": self.root}


class Mismatch(NamedTuple):
    """Names by which a model and what was loaded into it differ.

    Attributes
    ----------
    missing
        The model's names that were not given.
    unexpected
        The names given that the model does not have.
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]


class Module(Container):
    """A part of a model: its weights are its attributes, and `forward` is what it computes.

    There is nothing to register and no `super().__init__()` to call. The leaves of a module, as a
    tree, are its Parameters and Buffers: those among its attributes, those of the modules among its
    attributes, and those in lists, tuples and dicts of them; each once, even if it is used at
    several places. Everything else belongs to the module's structure.

    Gradients come in both ways. ``loss.backward()`` adds to the `.grad` of the Parameters. And
    ``grad(loss, argnums=0)(model, x)`` differentiates with respect to the model: the function is
    given a model with fresh Tensors in the places of the Parameters, and what is returned has the
    model's structure, with gradients there, and `None` in the places of Buffers and of frozen
    Parameters. Buffers are handed on as they are, so that a running mean reaches the caller's
    model; other attributes that are assigned inside are the inner model's own.

    Attributes
    ----------
    training : bool
        Whether layers that differ in training, such as dropout, do what they do there; set by
        `train` and `eval`.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass import nn
    >>> from backpass.core import value_and_grad
    >>> class Line(nn.Module):
    ...     def __init__(self):
    ...         self.slope = nn.Parameter(1.0)
    ...         self.offset = nn.Parameter(0.0)
    ...     def forward(self, x):
    ...         return self.slope * x + self.offset
    >>> line = Line()
    >>> line
    Line(slope: (), offset: ())
    >>> x = np.array([1.0, 2.0])
    >>> np.sum(line(x)).backward()
    >>> line.slope.grad
    np.float64(3.0)
    >>> value, gradient = value_and_grad(lambda m, x: np.sum(m(x)), argnums=0)(line, x)
    >>> gradient.slope, gradient.offset
    (np.float64(3.0), np.float64(2.0))
    """

    training: bool = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output: what a subclass defines.

        Raises
        ------
        NotImplementedError
            If the subclass does not.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method `forward`: define it")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward`; an error says in which layer of the model it arose."""
        try:
            return self.forward(*args, **kwargs)
        except LayerError as error:
            error.root = self
            raise
        except Exception as error:
            _note_place(error, self)
            raise

    # ----- its tree ------------------------------------------------------------------------------

    @staticmethod
    def __tree_flatten__(module: Module) -> tuple[list[Any], Rest, tuple[str, ...]]:
        found = distinct(places(module))
        rest = Rest(module, found)
        return [place.leaf for place in found], rest, rest.names

    @staticmethod
    def __tree_unflatten__(rest: Rest, leaves: Any) -> Any:
        return rest.built(leaves)

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """Return pairs (path, Parameter), each Parameter once, frozen ones among them."""
        return ((p.name, p.leaf) for p in distinct(places(self)) if p.trained)

    def parameters(self) -> Iterator[Any]:
        """Return the Parameters, each once."""
        return (leaf for _, leaf in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Any]]:
        """Return pairs (path, Buffer), each Buffer once."""
        return ((p.name, p.leaf) for p in distinct(places(self)) if not p.trained)

    def buffers(self) -> Iterator[Any]:
        """Return the Buffers, each once."""
        return (leaf for _, leaf in self.named_buffers())

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """Return pairs (path, module), the module itself, with the path "", first; each once."""
        return containers(self)

    def modules(self) -> Iterator[Module]:
        """Return the module itself and all modules in it, each once."""
        return (module for _, module in containers(self))

    # ----- how it is used ------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Set `training` for the module and all modules in it; returns the module."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self) -> Self:
        """Set `training` to False for the module and all modules in it; returns the module."""
        return self.train(False)

    def freeze(self) -> Self:
        """Let no gradient flow to the Parameters, and clear their `.grad`; returns the module."""
        for p in self._owned():
            p.requires_grad_(False)
            p.grad = None
        return self

    def unfreeze(self) -> Self:
        """Let gradients flow to the Parameters again; returns the module."""
        for p in self._owned():
            p.requires_grad_()
        return self

    def zero_grad(self) -> None:
        """Clear the `.grad` of the Parameters: it becomes `None`."""
        for p in self._owned():
            p.grad = None

    def to(self, *where: Any) -> Self:
        """Move the Parameters and Buffers to a device, or convert the floats among them, in place.

        Parameters
        ----------
        *where : str or dtype
            ``"cpu"`` or ``"cuda"``, a dtype of floats, such as ``numpy.float64`` or ``"float64"``,
            or both. Buffers of integers keep their dtype, complex numbers stay complex.

        Returns
        -------
        Module
            This module. An optimizer for it is made afterwards: what it keeps lies where the
            weights lay when it was made.

        Raises
        ------
        TypeError
            If a dtype is not one of floats.
        RuntimeError, ValueError
            As from `backpass.core.to_device`, if there is no such device.

        See Also
        --------
        backpass.core.to_device : Makes a copy there, and is differentiable.

        Examples
        --------
        >>> from backpass import nn
        >>> nn.Linear(2, 1).to("float64").weight.dtype
        dtype('float64')
        """
        changes = [_change(x) for x in where]
        made = []
        for place in distinct(places(self)):
            value, grad = place.leaf.value, place.leaf.grad
            for change in changes:
                value = change(value)
                grad = None if grad is None else change(grad)
            made.append((place.leaf, value, grad))
        for tensor, value, grad in made:
            _hold(tensor, value)
            tensor.grad = grad
        return self

    # ----- its state -----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return copies of the values of all Parameters and Buffers, by their paths.

        Names, shapes and order are those of PyTorch for the layers that it has, too. A Tensor that
        is used at several places has all their names.

        Returns
        -------
        dict of str to array
            NumPy arrays, or CuPy arrays of a model on a GPU.

        Examples
        --------
        >>> from backpass import nn
        >>> {name: x.shape for name, x in nn.Linear(3, 2).state_dict().items()}
        {'weight': (2, 3), 'bias': (2,)}
        """
        return {place.name: plain(place.leaf).copy() for place in places(self)}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> Mismatch:
        """Set the Parameters and Buffers to values given by their paths.

        Parameters
        ----------
        state : mapping of str to array_like
            NumPy or CuPy arrays, Tensors, or PyTorch's tensors. They are copied, to where the
            weights lie and to the weights' dtypes.
        strict : bool
            Whether all names must be given, and no others.

        Returns
        -------
        Mismatch
            The names that were missing, and those that were not expected: none if `strict`.

        Raises
        ------
        ValueError
            If names are missing or unexpected, and `strict`; or if a shape or a kind of numbers
            differs. It lists all that is wrong, and nothing has been changed.
        """
        found = places(self)
        names = {place.name: place for place in found}
        given = {place.key for place in found if place.name in state}
        missing = tuple(p.name for p in found if p.name not in state and p.key not in given)
        unexpected = tuple(name for name in state if name not in names)
        faults = []
        if strict:
            faults += [f"`{name}` is missing" for name in missing]
            faults += [f"`{name}` is not expected" for name in unexpected]
        made: dict[int, tuple[Any, Any, str]] = {}
        for name, place in names.items():
            if name not in state:
                continue
            value = _array(state[name])
            fault = _misfit(place, value)
            if (
                not fault
                and place.key in made
                and not numpy.array_equal(
                    numpy.asarray(value), numpy.asarray(_array(state[made[place.key][2]]))
                )
            ):
                fault = f"is shared with `{made[place.key][2]}`, but another value is given for it"
            if fault:
                faults.append(f"`{name}` {fault}")
            else:
                made[place.key] = (place.leaf, value, name)
        if faults:
            raise ValueError(
                f"load_state_dict: what is given does not fit {type(self).__name__}, which has "
                f"{len(names)} names:\n" + "\n".join(f"  {fault}" for fault in sorted(faults))
            )
        for tensor, value, _ in made.values():
            _hold(tensor, beside(value.astype(tensor.dtype), tensor.value))
        return Mismatch(missing, unexpected)

    def _owned(self) -> Iterator[Parameter]:
        return (p for p in self.parameters() if isinstance(p, Parameter))

    # ----- how it is shown -----------------------------------------------------------------------

    def extra_repr(self) -> str:
        """Return what the module's line says of it, beside its type: sizes and settings."""
        return ", ".join(
            f"{name}: {tuple(part.shape)}"
            for name, part in vars(self).items()
            if isinstance(part, Parameter | Buffer)
        )

    def __repr__(self) -> str:
        inner = [f"  {name}: " + repr(part).replace("\n", "\n  ") for name, part in _direct(self)]
        line = self.extra_repr()
        if not inner:
            return f"{type(self).__name__}({line})"
        return "\n".join([f"{type(self).__name__}({line}", *inner, ")"])


def located(root: Module, layer: Module) -> str:
    """Return a layer's path in a model, and what it is: ``layers.0, a Linear(3, 2)``."""
    path = next((name for name, module in containers(root) if module is layer), "")
    kind = f"{type(layer).__name__}({layer.extra_repr()})"
    return f"{path} ({kind})" if path else kind


def _note_place(error: Exception, module: Module) -> None:
    """Say in a note to an error in which layer it arose; the outer models give the longer path."""
    known = getattr(error, "_layer", None)
    layer, note = (module, None) if known is None else known
    notes = getattr(error, "__notes__", [])
    if note in notes:
        notes.remove(note)
    note = f"in {located(module, layer)}"
    error.add_note(note)
    error._layer = (layer, note)  # type: ignore[attr-defined]


def _direct(value: Any, name: str = "") -> Iterator[tuple[str, Module]]:
    """Return the modules that a module holds itself, or in lists, tuples and dicts."""
    for key, part in parts(value):
        if isinstance(part, Module):
            yield joined(name, key), part
        elif isinstance(part, list | tuple | dict):
            yield from _direct(part, joined(name, key))


def _change(where: Any) -> Any:
    """Return the function that takes an array to a device or to a dtype."""
    if isinstance(where, str) and where.partition(":")[0] in ("cpu", "cuda"):
        if ":" in where:
            raise ValueError(
                f"Module.to: {where!r}: the GPU is CuPy's current device: "
                f"with cupy.cuda.Device({where.partition(':')[2]}): model.to('cuda')"
            )
        target = backend_on(where)
        return lambda value: move(value, target)
    try:
        dtype = named(where)
    except TypeError:
        raise TypeError(
            f"Module.to: {where!r} is neither a device, 'cpu' or 'cuda', nor a dtype"
        ) from None
    if kind_of(dtype) != "f":
        raise TypeError(f"Module.to: {dtype} is not a dtype of floats, such as float32")

    def convert(value: Any) -> Any:
        kind = kind_of(value.dtype)
        if kind == "c":
            return value.astype(numpy.result_type(dtype, numpy.complex64))
        return value.astype(dtype) if kind == "f" else value

    return convert


def _hold(tensor: Tensor, value: Any) -> None:
    """Let a Parameter or Buffer hold another array, on a leaf of its shape and dtype."""
    trained = not tensor.constant
    tensor.node = None
    tensor.value = value
    if trained:
        tensor.requires_grad_()


def _array(value: Any) -> Any:
    """Return an array; PyTorch's tensors are taken off their graph and their device."""
    value = plain(value)
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return value if hasattr(value, "astype") else numpy.asarray(value)


def _misfit(place: Place, value: Any) -> str:
    """Return what is wrong with a value for a place; "" if nothing is."""
    tensor = plain(place.leaf)
    if tuple(value.shape) != tuple(tensor.shape):
        return f"has the shape {tuple(value.shape)}, where the model has {tuple(tensor.shape)}"
    if not numpy.can_cast(value.dtype, tensor.dtype, "same_kind"):
        return f"holds {value.dtype}, where the model has {tensor.dtype}"
    return ""


__all__ = ["LayerError", "Mismatch", "Module", "located"]
