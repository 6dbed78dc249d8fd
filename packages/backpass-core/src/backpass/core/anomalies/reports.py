"""What `detect_anomaly` finds, and how it says so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from backpass.core.explain.model import Place

#: See `Anomaly.kind`.
Kind = Literal["value", "operand", "derivative", "given", "sum", "changed"]


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Something that went wrong.

    Attributes
    ----------
    kind
        `"value"`: an operation made a value that is not finite out of finite operands; `"operand"`:
        it was given one; `"derivative"`: a rule made a cotangent or tangent that is not finite;
        `"given"`: a walk began with one; `"sum"`: finite cotangents added up to one; `"changed"`:
        what an operation keeps for its rule was written to.
    operation
        The primitive's name; empty for `"given"`.
    operand
        The name of the operand whose cotangent it is, that was given or has changed; often empty.
    place
        The line of yours that asked for the operation (`.file`, `.line`, `.text`, `.expression`,
        `.function`); `None` where there is none.
    message
        All that in words, and the values.
    """

    kind: Kind
    operation: str
    operand: str
    place: Place | None
    message: str


@dataclass(slots=True)
class StrongZero:
    """A cotangent, or tangent, that is exactly 0, and so hid a derivative that is infinite or nan.

    Attributes
    ----------
    operation
        The primitive whose rule it is.
    place
        The line of yours that asked for the operation; `None` where there is none.
    mode
        `"reverse"` or `"forward"`.
    count
        How many elements have been hidden there so far.
    message
        All that in words.
    """

    operation: str
    place: Place | None
    mode: str
    count: int
    message: str


class AnomalyError(RuntimeError):
    """What `detect_anomaly` raises; `anomaly` says the same for programs.

    Attributes
    ----------
    anomaly : Anomaly
        What went wrong, and where.
    """

    def __init__(self, anomaly: Anomaly) -> None:
        super().__init__(anomaly.message)
        self.anomaly = anomaly

    def __reduce__(self) -> tuple[type[AnomalyError], tuple[Anomaly]]:
        return type(self), (self.anomaly,)


class AnomalyWarning(RuntimeWarning):
    """What `detect_anomaly` warns of, at the line of yours that asked for the operation."""


@dataclass(slots=True)
class Settings:
    """What is looked at, what is done about it, and what has been found."""

    action: Literal["raise", "warn"]
    check_nan: bool
    check_inf: bool
    forward: bool
    found: list[Anomaly] = field(default_factory=list)
    strong_zeros: list[StrongZero] = field(default_factory=list)
