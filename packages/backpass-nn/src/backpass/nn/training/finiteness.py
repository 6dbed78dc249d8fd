"""Where a loss that is infinite or nan comes from.

While all is well nothing is watched. When a loss is not finite, its batch goes through the model
once more, with the same random numbers and running statistics, and each operation is looked at.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy

from backpass.core import Tensor, tree
from backpass.core.backends import backend_of
from backpass.core.dtypes import kind_of
from backpass.core.graph import Node, watching
from backpass.core.values import plain
from backpass.nn import random
from backpass.nn.module import Module, located
from backpass.nn.training.contract import Training


class NonFiniteError(ArithmeticError):
    """A loss is infinite or nan, or so are the gradients, and the step has not been taken.

    Attributes
    ----------
    step, epoch, batch : int
        Where: the number of the step, of the epoch, and of the batch in it, from 1.
    loss : float
        What it was, or the norm of the gradients.
    operation : str
        The name of the primitive that first made a value of it infinite or nan; empty if it was
        none, but the batch or the weights, or if it was not to be found.
    layer : str
        The layer that it ran in; empty where it was none.
    """

    def __init__(
        self,
        message: str,
        *,
        step: int,
        epoch: int,
        batch: int,
        loss: float,
        operation: str = "",
        layer: str = "",
    ) -> None:
        super().__init__(message)
        self.step, self.epoch, self.batch, self.loss = step, epoch, batch, loss
        self.operation = operation
        self.layer = layer

    def __reduce__(self) -> Any:
        return _error, (str(self),), vars(self)


def _error(message: str) -> NonFiniteError:
    return NonFiniteError(message, step=0, epoch=0, batch=0, loss=numpy.nan)


class Before:
    """What a run of the model changes, beside what it returns, as it was before.

    Parameters
    ----------
    buffers : sequence of Buffer
        The model's. Their arrays are held, not copied: a layer either gives a Buffer another array
        or, by `Tensor.writable`, leaves one that others hold as it is.
    """

    def __init__(self, buffers: Sequence[Any]) -> None:
        self._buffers = [(buffer, buffer.value) for buffer in buffers]
        self._numbers = random.get_state()

    def restore(self) -> None:
        """Let all be as it was."""
        for buffer, value in self._buffers:
            buffer.value = value
        random.set_state(self._numbers)

    def diagnosed(self, trainer: Training, batch: Any, loss: float) -> NonFiniteError:
        """Return the error for a batch whose loss is not finite; all is as before it."""
        self.restore()
        place = {"step": trainer.step + 1, "epoch": trainer.epoch + 1, "batch": trainer.batch + 1}
        where = "step {step} (epoch {epoch}, batch {batch})".format(**place)
        try:
            found = _find(trainer, batch)
        finally:
            self.restore()
        return NonFiniteError(
            f"the loss is {loss} in {where}: {found.text}. The training has stopped before {_KEPT}",
            loss=loss,
            operation=found.operation,
            layer=found.layer,
            **place,
        )


def not_finite_gradients(trainer: Training, norm: float) -> NonFiniteError:
    """Return the error for gradients that are not finite, though the loss is."""
    named = ((name, p.grad) for name, p in trainer.model.named_parameters() if p.grad is not None)
    where = f"step {trainer.step + 1} (epoch {trainer.epoch + 1}, batch {trainer.batch})"
    return NonFiniteError(
        f"the norm of the gradients is {norm} in {where}, though the loss is finite: "
        f"{'; '.join(_faults(named, 'the gradient of')) or 'they are too large for their dtype'}. "
        "An operation has no finite derivative where it was evaluated, such as sqrt at 0. The "
        f"training has stopped before {_KEPT}",
        step=trainer.step + 1,
        epoch=trainer.epoch + 1,
        batch=trainer.batch,
        loss=norm,
    )


_KEPT = "this step was taken, with the weights of the step before"


class _Finding(NamedTuple):
    """What there is to say."""

    text: str
    operation: str = ""
    layer: str = ""


class _Event(NamedTuple):
    """An operation that returned something that is not finite."""

    name: str
    #: What is wrong with it: "3 of 512 elements are nan".
    fault: str
    has_nan: bool
    #: Where it was asked for: in which line of the user's, and in which layer.
    line: str
    layer: str
    #: The operations before that its operands came from.
    before: tuple[int, ...]
    #: What was wrong with operands that no operation was seen to make.
    given: str

    @property
    def place(self) -> str:
        return ", ".join(filter(None, (self.line, self.layer and f"in {self.layer}")))


def _find(trainer: Training, batch: Any) -> _Finding:
    """Return where the values that are not finite come from."""
    held = [
        *_faults(trainer.model.named_parameters(), "the Parameter"),
        *_faults(trainer.model.named_buffers(), "the Buffer"),
    ]
    if held:
        return _Finding(
            f"the model was not finite before: {'; '.join(held)}. A step before was too long, or "
            "its gradient not finite: go on from a checkpoint with a smaller learning rate or a "
            "`clip_norm`"
        )
    leaves = enumerate(tree.leaves(batch))
    held = _faults(((str(i), x) for i, x in leaves), "the batch's array")
    if held:
        return _Finding(f"the batch is not finite: {'; '.join(held)}")
    for track in (True, False):
        watch = _Watch(trainer.model)
        try:
            with numpy.errstate(all="ignore"):
                loss = watch.run(trainer, tree.map(_tracked, batch) if track else batch)
        except Exception:
            # A function that takes plain numbers out of its input does not take it tracked.
            if not track:
                raise
            continue
        if math_is_finite(loss):
            return _Finding(
                "in a second run of the same batch it was finite, so that the operation is not "
                "known: something in the model or the loss is random, or remembers, beside "
                "backpass.nn.random and Buffers"
            )
        found = watch.origin(loss)
        if found is not None:
            return found
    return _Finding("no operation of it was recorded")


def math_is_finite(loss: Any) -> bool:
    """Tell whether a loss is a finite number."""
    return not _fault(plain(loss))[0]


def _tracked(x: Any) -> Any:
    """Return floats as a leaf, so that what is computed from them alone is seen, too."""
    value = plain(x)
    if kind_of(getattr(value, "dtype", numpy.dtype(int))) not in "fc":
        return x
    return Tensor(value).requires_grad_()


def _faults(named: Iterable[tuple[str, Any]], what: str) -> list[str]:
    """Return what is wrong with each of several arrays that is not finite."""
    found = ((name, _fault(plain(x))[0]) for name, x in named)
    return [f"{what} `{name}`: {fault}" for name, fault in found if fault]


def _fault(value: Any) -> tuple[str, bool]:
    """Return what is wrong with a value, "" if it is finite; and whether it holds a nan."""
    if isinstance(value, float):
        value = numpy.float64(value)
    dtype = getattr(value, "dtype", None)
    if dtype is None or kind_of(dtype) not in "fc":
        return "", False
    xp = backend_of((value,)).library
    nans, infinite = int(xp.isnan(value).sum()), int(xp.isinf(value).sum())
    counts = {"nan": nans, "infinite": infinite}
    if not value.shape:
        text = str(value) if nans or infinite else ""
    else:
        text = " and ".join(
            f"{n} of {value.size} elements {'is' if n == 1 else 'are'} {kind}"
            for kind, n in counts.items()
            if n
        )
    return text, bool(nans)


class _Watch:
    """Notes the operations whose values are not finite."""

    def __init__(self, model: Module) -> None:
        from backpass.core.arity import PICK
        from backpass.core.explain.places import Places

        self._pick = PICK
        self._model = model
        self._places = Places(sys._getframe())
        self._events: list[_Event] = []
        self._by_node: dict[Node, int] = {}
        # What has no node is known by its identity, and so has to be held.
        self._by_identity: dict[int, tuple[Any, int]] = {}

    def run(self, trainer: Training, batch: Any) -> Any:
        """Return the loss of a batch, which is watched while it is computed."""
        from backpass.core.explain.places import Places

        self._places = Places(sys._getframe())
        try:
            with watching(self._note):
                return trainer.compute(batch)[0]
        finally:
            self._places.forget()

    def origin(self, loss: Any) -> _Finding | None:
        """Return the first operation from which the loss has what is wrong with it."""
        last = self._event_of(loss)
        if last is None:
            return None
        reached, stack = set(), [last]
        while stack:
            i = stack.pop()
            if i not in reached:
                reached.add(i)
                stack.extend(self._events[i].before)
        chain = [self._events[i] for i in sorted(reached)]
        first = chain[0]
        text = f"`{first.name}` first made it so{f' ({first.place})' if first.place else ''}: "
        text += first.fault + (f", given {first.given}" if first.given else "")
        if not first.has_nan and chain[-1].has_nan:
            made = next(event for event in chain if event.has_nan)
            place = f" ({made.place})" if made.place else ""
            text += f"; of which `{made.name}`{place} made nan"
        return _Finding(text, first.name, first.layer)

    def _note(
        self,
        primitive: Any,
        operands: Sequence[Any],
        ans: Any,
        kwargs: Mapping[str, Any] | None,
        node: Node | None,
    ) -> None:
        values = ans if isinstance(ans, tuple | list) else (ans,)
        faults = [(fault, nan) for fault, nan in map(_fault, values) if fault]
        if not faults:
            return
        before, given = [], []
        for x in operands:
            i = self._event_of(x)
            if i is not None:
                before.append(i)
            elif fault := _fault(plain(x))[0] if not isinstance(x, Node) else "":
                given.append(f"an operand that was not finite before: {fault}")
        place, _ = self._places.here()
        line = "" if place is None else f"{place.file}:{place.line}, `{place.expression}`"
        event = _Event(
            primitive.name,
            ", ".join(fault for fault, _ in faults),
            any(nan for _, nan in faults),
            line,
            self._layer(),
            tuple(before),
            "; ".join(given),
        )
        number = len(self._events)
        self._events.append(event)
        if node is not None:
            self._by_node[node] = number
        for value in values:
            self._by_identity[id(value)] = (value, number)

    def _event_of(self, x: Any) -> int | None:
        """Return the operation that made an operand what it is, not finite."""
        node = x.node if isinstance(x, Tensor) else x if isinstance(x, Node) else None
        if node is not None and node.primitive is self._pick and node.parents:
            node = node.parents[0]
        if node is not None and node in self._by_node:
            return self._by_node[node]
        value = plain(x)
        known = self._by_identity.get(id(value))
        return known[1] if known is not None and known[0] is value else None

    def _layer(self) -> str:
        """Return the innermost layer that is being run, by its path in the model."""
        frame = sys._getframe(1)
        while frame is not None:
            if frame.f_code is Module.__call__.__code__:
                return located(self._model, frame.f_locals["self"])
            frame = frame.f_back  # type: ignore[assignment]
        return ""


__all__ = ["Before", "NonFiniteError", "not_finite_gradients"]
