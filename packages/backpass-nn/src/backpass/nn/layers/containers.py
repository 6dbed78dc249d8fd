"""Modules that run others in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from backpass.nn.module import Module


class Sequential(Module):
    """Layers one after the other: each is given what the one before it returned.

    Parameters
    ----------
    *layers : Module or callable
        The layers; functions, such as `backpass.numpy.tanh`, may stand among them. Or one dict of
        them by names.

    Raises
    ------
    TypeError
        If a layer cannot be called.
    ValueError
        If a name is empty, holds a dot, or is that of a method.

    Notes
    -----
    The layers are attributes named ``"0"``, ``"1"``, ..., as in PyTorch, or by the dict's keys; a
    slice is a Sequential of the same layers, which keep their names.
    There is no need of such a class: a list of layers and a loop in `forward` do the same.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass import nn
    >>> model = nn.Sequential(nn.Linear(4, 3), np.tanh, nn.Linear(3, 2))
    >>> model
    Sequential(
      0: Linear(4, 3)
      1: Function(tanh)
      2: Linear(3, 2)
    )
    >>> model[0].weight.shape, len(model)
    ((3, 4), 3)
    """

    def __init__(self, *layers: Any) -> None:
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            named = {str(name): layer for name, layer in layers[0].items()}
        else:
            named = {str(i): layer for i, layer in enumerate(layers)}
        for name, layer in named.items():
            if not callable(layer):
                raise TypeError(
                    f"Sequential: layer {name} is {type(layer).__name__}, which cannot be called"
                    + (": pass lists as Sequential(*layers)" if isinstance(layer, list) else "")
                )
            if not name or "." in name or hasattr(type(self), name):
                raise ValueError(
                    f"Sequential: a layer cannot be named {name!r}: choose a name without dots, "
                    "which is not that of a method"
                )
            vars(self)[name] = layer if isinstance(layer, Module) else Function(layer)

    def forward(self, x: Any) -> Any:
        """Run the layers."""
        for layer in self:
            x = layer(x)
        return x

    def _named(self) -> list[tuple[str, Module]]:
        return [(name, x) for name, x in vars(self).items() if isinstance(x, Module)]

    def __iter__(self) -> Iterator[Module]:
        return (layer for _, layer in self._named())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, index: int | slice) -> Any:
        layers = self._named()
        return Sequential(dict(layers[index])) if isinstance(index, slice) else layers[index][1]


class Function(Module):
    """A function as a layer.

    Parameters
    ----------
    function : callable
        What `forward` is.

    Examples
    --------
    >>> from backpass import nn
    >>> nn.Function(abs)(-2)
    2
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.function(*args, **kwargs)

    def extra_repr(self) -> str:
        """Return the function's name."""
        f = self.function
        return getattr(f, "__name__", None) or getattr(f, "name", None) or repr(f)


__all__ = ["Function", "Sequential"]
