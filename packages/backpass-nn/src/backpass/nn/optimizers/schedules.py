"""Schedules: functions from the number of a step, from 0, to the learning rate.

An optimizer takes one for its `learning_rate`, and asks it before each step; any function will do.
These need no state: to go on with a training, the number of the step is enough. Only `Plateau`
remembers what it has observed.

A schedule counts steps of the optimizer, not epochs: for one that is meant in epochs multiply by
the number of batches in an epoch.

Examples
--------
>>> from backpass.nn.optimizers import schedules
>>> rate = schedules.warm_up(schedules.cosine(0.1, steps=8), steps=2)
>>> [round(rate(step), 3) for step in (0, 1, 2, 6, 10, 99)]
[0.0, 0.05, 0.1, 0.05, 0.0, 0.0]
"""

import bisect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from backpass.nn.optimizers.hyperparameters import amount, count, flag, number

Schedule = Callable[[int], float]


def step(learning_rate: float, every: int, factor: float = 0.1) -> Schedule:
    """Multiply the learning rate by `factor` after each `every` steps.

    Parameters
    ----------
    learning_rate : float
        Where it begins.
    every : int
        How many steps it stays.
    factor : float
        Not negative.

    Returns
    -------
    callable
        The learning rate at a step.

    Raises
    ------
    TypeError, ValueError
        If a number is of the wrong kind or out of range.

    Examples
    --------
    >>> rate = step(1.0, every=2, factor=0.5)
    >>> [rate(i) for i in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    first = amount("step", "learning_rate", learning_rate)
    period = count("step", "every", every)
    ratio = amount("step", "factor", factor)
    return lambda step: first * ratio ** (step // period)


def multistep(learning_rate: float, milestones: Sequence[int], factor: float = 0.1) -> Schedule:
    """Multiply the learning rate by `factor` at each milestone.

    Parameters
    ----------
    learning_rate : float
        Where it begins.
    milestones : sequence of int
        The steps from which it is another, in ascending order.
    factor : float
        Not negative.

    Returns
    -------
    callable
        The learning rate at a step.

    Raises
    ------
    TypeError, ValueError
        If a number is of the wrong kind or out of range, or the milestones do not ascend.

    Examples
    --------
    >>> rate = multistep(1.0, milestones=[2, 3], factor=0.5)
    >>> [rate(i) for i in range(5)]
    [1.0, 1.0, 0.5, 0.25, 0.25]
    """
    first = amount("multistep", "learning_rate", learning_rate)
    cuts = _ascending("multistep", milestones)
    ratio = amount("multistep", "factor", factor)
    return lambda step: first * ratio ** bisect.bisect_right(cuts, step)


def exponential(learning_rate: float, factor: float) -> Schedule:
    """Multiply the learning rate by `factor` after each step.

    Parameters
    ----------
    learning_rate : float
        Where it begins.
    factor : float
        Not negative.

    Returns
    -------
    callable
        The learning rate at a step.

    Raises
    ------
    TypeError, ValueError
        If a number is of the wrong kind or out of range.

    Examples
    --------
    >>> rate = exponential(1.0, factor=0.5)
    >>> [rate(i) for i in range(4)]
    [1.0, 0.5, 0.25, 0.125]
    """
    first = amount("exponential", "learning_rate", learning_rate)
    ratio = amount("exponential", "factor", factor)
    return lambda step: first * ratio**step


def cosine(learning_rate: float, steps: int, final: float = 0.0) -> Schedule:
    """Go from the learning rate to `final` along half a cosine, and stay there.

    Parameters
    ----------
    learning_rate : float
        Where it begins.
    steps : int
        After how many steps it has arrived.
    final : float
        Where it ends.

    Returns
    -------
    callable
        The learning rate at a step.

    Raises
    ------
    TypeError, ValueError
        If a number is of the wrong kind or out of range.

    Notes
    -----
    I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017,
    without restarts. PyTorch's goes up again after the last step.

    Examples
    --------
    >>> rate = cosine(1.0, steps=4)
    >>> [round(rate(i), 3) for i in range(6)]
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """
    first = amount("cosine", "learning_rate", learning_rate)
    last = amount("cosine", "final", final)
    length = count("cosine", "steps", steps)
    return lambda step: _along_cosine(first, last, min(step / length, 1.0))


def linear(learning_rate: float, final: float, steps: int) -> Schedule:
    """Go from the learning rate to `final` in a straight line, and stay there.

    Parameters
    ----------
    learning_rate : float
        Where it begins.
    final : float
        Where it ends.
    steps : int
        After how many steps it has arrived.

    Returns
    -------
    callable
        The learning rate at a step.

    Raises
    ------
    TypeError, ValueError
        If a number is of the wrong kind or out of range.

    Examples
    --------
    >>> rate = linear(1.0, 0.0, steps=4)
    >>> [rate(i) for i in range(6)]
    [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """
    first = amount("linear", "learning_rate", learning_rate)
    last = amount("linear", "final", final)
    length = count("linear", "steps", steps)
    return lambda step: _along_line(first, last, min(step / length, 1.0))


def polynomial(
    learning_rate: float, steps: int, power: float = 1.0, final: float = 0.0
) -> Schedule:
    """Go from the learning rate to `final` along a power of the steps that are left.

    Parameters
    ----------
    learning_rate : float
        Where it begins.
    steps : int
        After how many steps it has arrived, and stays.
    power : float
        1 is a straight line; a larger one falls faster at first. Not negative.
    final : float
        Where it ends.

    Returns
    -------
    callable
        The learning rate at a step.

    Raises
    ------
    TypeError, ValueError
        If a number is of the wrong kind or out of range.

    Examples
    --------
    >>> rate = polynomial(1.0, steps=4, power=2.0)
    >>> [rate(i) for i in range(6)]
    [1.0, 0.5625, 0.25, 0.0625, 0.0, 0.0]
    """
    first = amount("polynomial", "learning_rate", learning_rate)
    last = amount("polynomial", "final", final)
    length = count("polynomial", "steps", steps)
    exponent = amount("polynomial", "power", power)
    return lambda step: last + (first - last) * (1 - min(step / length, 1.0)) ** exponent


def one_cycle(
    max_rate: float,
    steps: int,
    *,
    rising: float = 0.3,
    initial_divisor: float = 25.0,
    final_divisor: float = 1e4,
    anneal: str = "cosine",
    three_phases: bool = False,
) -> Schedule:
    """Rise to the largest learning rate, and fall far below where it began.

    Parameters
    ----------
    max_rate : float
        The largest learning rate.
    steps : int
        How many there are. Afterwards the learning rate stays the last one.
    rising : float
        Which share of the steps it rises: more than 0, less than 1; with three phases less than a
        half.
    initial_divisor : float
        It begins with ``max_rate / initial_divisor``.
    final_divisor : float
        It ends with ``max_rate / (initial_divisor * final_divisor)``.
    anneal : {"cosine", "linear"}
        How it goes from one to the next.
    three_phases : bool
        Whether it falls to where it began first, in as many steps as it has risen.

    Returns
    -------
    callable
        The learning rate at a step.

    Raises
    ------
    TypeError, ValueError
        If a number is of the wrong kind or out of range, or there are too few steps.

    Notes
    -----
    L. N. Smith and N. Topin, "Super-convergence: very fast training of neural networks using large
    learning rates", arXiv:1708.07120, 2017. The phases are those of PyTorch.

    Examples
    --------
    >>> rate = one_cycle(1.0, steps=11, rising=0.5, initial_divisor=10, anneal="linear")
    >>> [round(rate(i), 2) for i in (0, 2, 4, 5, 10)]
    [0.1, 0.5, 0.9, 0.91, 0.0]
    """
    name = "one_cycle"
    top = amount(name, "max_rate", max_rate)
    length = count(name, "steps", steps, low=2)
    share = number(
        name, "rising", rising, high=0.5 if flag(name, "three_phases", three_phases) else 1.0
    )
    first = top / _positive(name, "initial_divisor", initial_divisor)
    last = first / _positive(name, "final_divisor", final_divisor)
    if anneal not in ("cosine", "linear"):
        raise ValueError(f"{name}: `anneal` is {anneal!r}, but it must be 'cosine' or 'linear'")
    between = _along_cosine if anneal == "cosine" else _along_line
    peak = share * length - 1
    phases = [(peak, first, top), (length - 1.0, top, last)]
    if three_phases:
        phases[1:] = [(2 * peak, top, first), (length - 1.0, first, last)]
    if not 0 < peak < length - 1:
        raise ValueError(
            f"{name}: of {length} steps, {share:g} are too few to rise: choose more steps, or "
            "another `rising`"
        )

    def rate(step: int) -> float:
        start = 0.0
        for end, low, high in phases:
            if step <= end:
                return between(low, high, (step - start) / (end - start))
            start = end
        return last

    return rate


def warm_up(schedule: float | Schedule, steps: int, start: float = 0.0) -> Schedule:
    """Rise in a straight line to where another schedule begins, and go on with that one.

    Parameters
    ----------
    schedule : float or callable
        The learning rate, or what gives it; asked for step 0 when the warm-up is over.
    steps : int
        How many steps it takes.
    start : float
        Where it begins.

    Returns
    -------
    callable
        The learning rate at a step.

    Raises
    ------
    TypeError, ValueError
        If a number is of the wrong kind or out of range.

    Examples
    --------
    >>> rate = warm_up(1.0, steps=4)
    >>> [rate(i) for i in range(6)]
    [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """
    after = _schedule("warm_up", "schedule", schedule)
    length = count("warm_up", "steps", steps)
    first = amount("warm_up", "start", start)

    def rate(step: int) -> float:
        if step >= length:
            return after(step - length)
        return _along_line(first, after(0), step / length)

    return rate


def chained(schedules: Sequence[float | Schedule], milestones: Sequence[int]) -> Schedule:
    """Follow one schedule after another.

    Parameters
    ----------
    schedules : sequence of float or callable
        Learning rates, or what gives them. Each counts its steps from 0.
    milestones : sequence of int
        The steps at which the second and each further schedule begins, in ascending order.

    Returns
    -------
    callable
        The learning rate at a step.

    Raises
    ------
    TypeError, ValueError
        If a number is of the wrong kind or out of range, the milestones do not ascend, or there is
        not one less than schedules.

    Examples
    --------
    >>> rate = chained([1.0, exponential(0.5, 0.5)], milestones=[2])
    >>> [rate(i) for i in range(5)]
    [1.0, 1.0, 0.5, 0.25, 0.125]
    """
    parts = [_schedule("chained", f"schedules[{i}]", s) for i, s in enumerate(schedules)]
    cuts = _ascending("chained", milestones)
    if len(parts) != len(cuts) + 1:
        raise ValueError(
            f"chained: {len(parts)} schedules need {max(len(parts) - 1, 0)} milestones, not "
            f"{len(cuts)}"
        )
    starts = [0, *cuts]

    def rate(step: int) -> float:
        i = bisect.bisect_right(cuts, step)
        return parts[i](step - starts[i])

    return rate


class Plateau:
    """A learning rate that falls when a metric has stopped getting better.

    Give it to an optimizer, and tell it the metric after each epoch. If it has not been better than
    the best for more than `patience` times, the learning rate is multiplied by `factor`. What it
    remembers is saved with the optimizer.

    Parameters
    ----------
    learning_rate : float
        Where it begins.
    mode : {"min", "max"}
        Whether a smaller or a larger metric is better.
    factor : float
        At least 0, less than 1.
    patience : int
        How often the metric may be no better.
    threshold : float
        By how much it must be better than the best one.
    threshold_mode : {"rel", "abs"}
        Whether `threshold` is a share of the best one, or the difference.
    cooldown : int
        How many observations after a fall do not count.
    min_rate : float
        The smallest learning rate.
    eps : float
        A fall by no more than this is left out.

    Attributes
    ----------
    rate : float
        The learning rate now.
    best : float or None
        The best metric so far.

    Raises
    ------
    TypeError, ValueError
        If a number is of the wrong kind or out of range.

    Notes
    -----
    Step for step PyTorch's `ReduceLROnPlateau`.

    Examples
    --------
    >>> rate = Plateau(1.0, factor=0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0, 1.0):
    ...     rate.observe(loss)
    ...     print(rate(0))
    1.0
    1.0
    1.0
    0.5
    0.5
    """

    def __init__(
        self,
        learning_rate: float,
        *,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_rate: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"Plateau: `mode` is {mode!r}, but it must be 'min' or 'max'")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(
                f"Plateau: `threshold_mode` is {threshold_mode!r}, but it must be 'rel' or 'abs'"
            )
        self.rate = amount("Plateau", "learning_rate", learning_rate)
        self.best: float | None = None
        self._sign = 1.0 if mode == "min" else -1.0
        self._relative = threshold_mode == "rel"
        self._factor = number("Plateau", "factor", factor)
        self._patience = count("Plateau", "patience", patience, low=0)
        self._threshold = amount("Plateau", "threshold", threshold)
        self._cooldown = count("Plateau", "cooldown", cooldown, low=0)
        self._min_rate = amount("Plateau", "min_rate", min_rate)
        self._eps = amount("Plateau", "eps", eps)
        self._bad = 0
        self._resting = 0

    def __call__(self, step: int) -> float:
        """Return the learning rate now, whatever the step."""
        return self.rate

    def observe(self, metric: Any) -> None:
        """Take note of a metric; one that is nan is no better.

        Raises
        ------
        TypeError
            If it is no number.
        """
        try:
            value = float(metric)
        except (TypeError, ValueError):
            raise TypeError(f"Plateau: `metric` must be a number, not {metric!r}") from None
        if self._is_better(value):
            self.best = value
            self._bad = 0
        else:
            self._bad += 1
        if self._resting:
            self._resting -= 1
            self._bad = 0
        if self._bad > self._patience:
            lower = max(self.rate * self._factor, self._min_rate)
            if self.rate - lower > self._eps:
                self.rate = lower
            self._resting = self._cooldown
            self._bad = 0

    def _is_better(self, value: float) -> bool:
        if self.best is None:
            return self._sign * value < math.inf
        if self._relative:
            bound = self.best * (1 - self._sign * self._threshold)
        else:
            bound = self.best - self._sign * self._threshold
        return self._sign * value < self._sign * bound

    def state_dict(self) -> dict[str, float | int | None]:
        """Return what it remembers, as numbers by their names; `best` is left out at first."""
        best = {} if self.best is None else {"best": self.best}
        return {"rate": self.rate, "bad": self._bad, "resting": self._resting, **best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Raises
        ------
        TypeError, ValueError
            If a name is missing or unexpected, or its number is of the wrong kind or out of range.
            Nothing has been changed.
        """
        names = {"rate", "bad", "resting"}
        if not names <= state.keys() <= names | {"best"}:
            raise ValueError(f"Plateau: the state has {sorted(state)}, not {sorted(names)}, best")
        rate = amount("Plateau", "rate", state["rate"])
        bad = count("Plateau", "bad", state["bad"], low=0)
        resting = count("Plateau", "resting", state["resting"], low=0)
        self.best = None if state.get("best") is None else float(state["best"])
        self.rate, self._bad, self._resting = rate, bad, resting


def _along_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


def _along_line(start: float, end: float, share: float) -> float:
    return start + (end - start) * share


def _schedule(name: str, what: str, schedule: float | Schedule) -> Schedule:
    """Return a schedule; a number makes a constant one."""
    if callable(schedule):
        return schedule
    constant = amount(name, what, schedule)
    return lambda step: constant


def _ascending(name: str, milestones: Sequence[int]) -> list[int]:
    found = [count(name, f"milestones[{i}]", x) for i, x in enumerate(milestones)]
    if sorted(set(found)) != found:
        raise ValueError(f"{name}: `milestones` is {found}, but they must ascend")
    return found


def _positive(name: str, what: str, value: float) -> float:
    found = amount(name, what, value)
    if found == 0:
        raise ValueError(f"{name}: `{what}` is 0, but it must be positive")
    return found


__all__ = [
    "Plateau",
    "chained",
    "cosine",
    "exponential",
    "linear",
    "multistep",
    "one_cycle",
    "polynomial",
    "step",
    "warm_up",
]
