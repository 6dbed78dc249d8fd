"""A picture before it is drawn: boxes, and the arrows between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

#: `input`: what is differentiated; `constant`: what is not; `operation`; `output`: what the
#: function returned; `fold`: several operations in one box.
Look = Literal["input", "constant", "operation", "output", "fold"]


@dataclass(frozen=True, slots=True)
class Box:
    """A variable, or several folded into one.

    Attributes
    ----------
    key
        The variable's index in the trace; of a fold, that of its first one.
    look
        See `Look`.
    title
        What it is: `x`, `v3 = sin(v1)`, `layer (12 operations)`.
    value, gradient
        One line each; empty where there is none.
    about
        What does not fit in the box, for those who point at it or cannot see it.
    region
        The regions it was computed in, outermost first.
    members
        The indices of the variables in it; more than one in a fold.
    """

    key: int
    look: Look
    title: str
    value: str = ""
    gradient: str = ""
    about: str = ""
    region: tuple[str, ...] = ()
    members: tuple[int, ...] = ()

    @property
    def rows(self) -> list[tuple[str, str]]:
        """The box's lines, each with what it is: `title`, `value` or `gradient`."""
        lines = (("title", self.title), ("value", self.value), ("gradient", self.gradient))
        return [(name, text) for name, text in lines if text]


@dataclass(frozen=True, slots=True)
class Arrow:
    """From an operand to what was computed from it, by their places in `Diagram.boxes`.

    Attributes
    ----------
    source, target
        Places in `Diagram.boxes`.
    carries
        Whether a gradient goes back along it.
    operand
        The operand's position in the call.
    """

    source: int
    target: int
    carries: bool = True
    operand: int = 0


@dataclass(frozen=True, slots=True)
class Diagram:
    """Boxes in an order in which every arrow points forward, and the arrows."""

    title: str
    boxes: Sequence[Box]
    arrows: Sequence[Arrow]
    description: str = field(default="")
