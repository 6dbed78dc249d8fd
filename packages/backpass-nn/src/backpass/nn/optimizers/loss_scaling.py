"""Loss scaling: what keeps small gradients in the range of float16."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy

from backpass.core import Tensor, tree
from backpass.core.devices import beside
from backpass.core.ops.elementwise import multiply
from backpass.core.values import as_tensors, plain
from backpass.nn.functional.precision import wide
from backpass.nn.optimizers.hyperparameters import count, number
from backpass.nn.optimizers.parameters import arrays_among, with_arrays
from backpass.nn.optimizers.steps import Array, Tree, alike
from backpass.nn.optimizers.updates import LARGEST_SCALE, scale_update, unscaled_gradients

_NAME = "LossScaler"

#: What the pure way of use carries from step to step.
State = dict[str, Any]


class LossScaler:
    """Multiplies a loss, so that gradients in float16 do not vanish, and divides the gradients.

    In float16 what is smaller than 6e-8 is 0, as many gradients would be. Those of a multiple of
    the loss are multiples of them. The factor is found by trial: where a gradient overflows, the
    step is left out and the factor halved; it is doubled after many steps without that. Parameters
    in float32, or a master weight in the optimizer, keep what is small in the gradients then; in
    bfloat16, which has the range of float32, no loss needs to be scaled.

    As with PyTorch's ``GradScaler``::

        scaler = LossScaler()
        for x, target in loader:
            scaler.scale(loss(model(x), target)).backward()
            scaler.unscale(optimizer)  # only if the gradients are looked at: to clip them, say
            clip_grad_norm(model, 1.0)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()

    With pure functions::

        state = scaler.init()
        scaled_loss = lambda params: scaler.scale(loss(params), state)
        gradients, finite = scaler.unscaled(grad(scaled_loss, argnums=0)(params), state)
        params, memory = optimizer.update(gradients, memory, params, finite=finite)
        state = scaler.updated(state, finite)

    Parameters
    ----------
    initial_scale : float
        The factor to begin with, at least 1. With a power of two nothing is rounded.
    growth : float
        By what it is multiplied after `interval` steps in a row with finite gradients, at least 1.
    backoff : float
        By what it is multiplied after a step with gradients that are infinite or nan: more than 0,
        less than 1. It does not become less than 1.
    interval : int
        The number of steps.

    Attributes
    ----------
    value : float
        The factor. On a GPU it is waited for.

    Raises
    ------
    TypeError, ValueError
        If a number is out of range.

    Notes
    -----
    P. Micikevicius et al., "Mixed precision training", ICLR 2018.

    On a GPU factor and flags stay there, and nothing waits for them, where the optimizer can leave
    a step out by itself: made with ``capturable=True``, or one whose steps do not depend on how
    many came before. Then a CUDA graph may be captured of it all.

    Examples
    --------
    >>> import numpy
    >>> import backpass.numpy as np
    >>> from backpass.nn.optimizers import SGD
    >>> w = np.array(numpy.ones(2, "float16")).requires_grad_()
    >>> optimizer, scaler = SGD([w], learning_rate=2.0**10), LossScaler()
    >>> scaler.scale(np.sum(w.astype("float32")) * 2.0**-30).backward()
    >>> w.grad  # 2^-30 would be 0
    array([6.104e-05, 6.104e-05], dtype=float16)
    >>> scaler.step(optimizer)
    >>> scaler.update()
    >>> optimizer.state_dict()["0.master"]
    array([0.99999905, 0.99999905], dtype=float32)
    >>> w.value
    array([1., 1.], dtype=float16)
    """

    def __init__(
        self,
        initial_scale: float = 2.0**16,
        *,
        growth: float = 2.0,
        backoff: float = 0.5,
        interval: int = 2000,
    ) -> None:
        first = number(_NAME, "initial_scale", initial_scale, low=1.0, high=2 * LARGEST_SCALE)
        self._options = {
            "growth": number(_NAME, "growth", growth, low=1.0, high=math.inf),
            "backoff": number(_NAME, "backoff", backoff),
            "interval": float(count(_NAME, "interval", interval)),
        }
        if not self._options["backoff"]:
            raise ValueError(f"{_NAME}: `backoff` is 0, but it must be positive")
        self._first = first
        self._state = self.init()
        #: For each optimizer whose gradients have been divided, by its identity: it, and whether
        #: they are finite.
        self._found: dict[int, tuple[Any, Array]] = {}

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value:g}" for name, value in self._options.items())
        return f"{_NAME}({self._first:g}, {options})"

    @property
    def value(self) -> float:
        """The factor."""
        return float(self._state["scale"])

    # ----- with optimizers -----------------------------------------------------------------------

    def scale(self, loss: Any, state: Mapping[str, Any] | None = None) -> Tensor:
        """Return a loss times the factor, in float32 at least.

        Parameters
        ----------
        loss : Tensor
            Computed in half precision or not.
        state : dict, optional
            In the pure way of use: from `init`, or from the step before.
        """
        if state is None:
            state = self._state = self._beside(plain(loss))
        factor = beside(plain(state["scale"]), plain(loss))
        return as_tensors(multiply.op(wide(loss), factor))  # type: ignore[no-any-return]

    def unscale(self, optimizer: Any) -> None:
        """Divide the gradients of an optimizer's parameters by the factor.

        Those in half precision become float32. `step` does it where it has not been done.

        Raises
        ------
        RuntimeError
            If it has been done since the last `update`.
        """
        if id(optimizer) in self._found:
            raise RuntimeError(
                f"{_NAME}.unscale: the gradients of this {type(optimizer).__name__} have been "
                "divided already: call update() after each step, and unscale() once before it"
            )
        if getattr(optimizer, "waiting", False):
            return  # gradients are being added up
        reached = [w for w in optimizer.parameters().values() if w.grad is not None]
        made, finite = self._divided([w.grad for w in reached], self._state)
        for w, g in zip(reached, made, strict=True):
            w.grad = g
        self._found[id(optimizer)] = (optimizer, finite)

    def step(self, optimizer: Any) -> None:
        """Let an optimizer take its step, unless a gradient is infinite or nan.

        Raises
        ------
        ValueError, TypeError, RuntimeError
            As from the optimizer's `step`.
        """
        if id(optimizer) not in self._found:
            self.unscale(optimizer)
        found = self._found.get(id(optimizer))
        optimizer.step(finite=None if found is None else found[1])

    def update(self) -> None:
        """Let the factor follow from whether the gradients of the last step were finite.

        Without a step since the last call nothing is done.
        """
        if self._found:
            flags = [finite for _, finite in self._found.values()]
            state = self._state = self._beside(flags[0])
            scale_update.run([state["scale"], state["streak"], *flags], self._options)
        self._found.clear()

    def state_dict(self) -> State:
        """Return the factor, and how many steps it has been the same: on a GPU they are waited for.

        Raises
        ------
        RuntimeError
            Between a step, or `unscale`, and `update`.
        """
        if self._found:
            raise RuntimeError(f"{_NAME}.state_dict: call update() first, after the step")
        return {"scale": self.value, "streak": int(self._state["streak"])}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Raises
        ------
        ValueError
            If it is the state of something else. Nothing has been changed.
        """
        if state.keys() != {"scale", "streak"}:
            raise ValueError(f"{_NAME}: the state must have `scale` and `streak`, not {[*state]}")
        scale = number(_NAME, "scale", state["scale"], low=1.0, high=2 * LARGEST_SCALE)
        streak = count(_NAME, "streak", state["streak"], low=0)
        # Written into the arrays that there are: graphs that have been captured go on with them.
        self._state["scale"][...] = scale
        self._state["streak"][...] = streak
        self._found.clear()

    # ----- as pure functions ---------------------------------------------------------------------

    def init(self) -> State:
        """Return the state to begin with, for `scale`, `unscaled` and `updated`."""
        return {
            "scale": numpy.array(self._first, numpy.float32),
            "streak": numpy.array(0, numpy.float32),
        }

    def unscaled(self, gradients: Tree, state: Mapping[str, Any]) -> tuple[Tree, Any]:
        """Return a tree of gradients over the factor, and whether all of them are finite.

        Parameters
        ----------
        gradients : tree
            Of arrays, as `grad(..., argnums=0)` returns it; `None` stays.
        state : dict
            That the loss was scaled with.

        Returns
        -------
        gradients : tree
            Of the same structure; half precision has become float32.
        finite : array
            Of shape (), in float32: 1 or 0.

        Raises
        ------
        TypeError
            If a leaf is no array.
        """
        found, structure = tree.flatten(gradients)
        arrays = arrays_among(_NAME, found)
        made, finite = self._divided(list(arrays.values()), state)
        pairs = dict(zip(arrays, made, strict=True))
        return with_arrays(found, structure, pairs), finite

    def updated(self, state: Mapping[str, Any], finite: Any) -> State:
        """Return the state for the next step.

        Parameters
        ----------
        state : dict
            Of this step; it stays as it is.
        finite : array
            From `unscaled`.
        """
        flag = plain(finite)
        if not hasattr(flag, "dtype"):
            flag = numpy.array(bool(flag))
        made = {name: beside(plain(state[name]), flag).copy() for name in ("scale", "streak")}
        scale_update.run([made["scale"], made["streak"], flag.astype("float32")], self._options)
        return made

    # ----- in both ways --------------------------------------------------------------------------

    def _beside(self, x: Array) -> State:
        """Return the state, where an array lies."""
        return {name: beside(value, x) for name, value in self._state.items()}

    def _divided(
        self, gradients: list[Array], state: Mapping[str, Any]
    ) -> tuple[list[Array], Array]:
        """Return gradients over the factor, and whether all of them are finite."""
        if not gradients:
            return [], numpy.ones((), numpy.float32)
        scale = beside(plain(state["scale"]), gradients[0])
        made: list[Any] = [None] * len(gradients)
        finite = None
        for own in alike(gradients):
            places = range(len(gradients)) if own is None else own
            *parts, flag = unscaled_gradients.run([gradients[i] for i in places], {"scale": scale})
            for i, part in zip(places, parts, strict=True):
                made[i] = part
            finite = flag if finite is None else multiply.op(finite, flag)
        return made, finite
