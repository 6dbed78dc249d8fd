"""Random programs: operations chained at random, kept away from kinks and overflow."""

import importlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy

from .steps import KINDS, Operation


class Step(NamedTuple):
    """One operation of a program, and the numbers of its operands."""

    operation: Operation
    operands: tuple[int, ...]


class Program:
    """Steps over some arguments; calling it gives the sum of what is left over.

    Parameters
    ----------
    seed
        Of the random choices.
    length
        The number of steps; at random from 4 to 10 if it is left out.
    """

    def __init__(self, seed: int, length: int | None = None) -> None:
        self.seed = seed
        self.random = numpy.random.default_rng([seed, 17])
        shapes = [(2, 3), (3,), (2, 1), ()]
        self.args = [
            numpy.asarray(self.random.uniform(-1.5, 1.5, shape))[()]
            for shape in [shapes[i] for i in self.random.permutation(4)[: 2 + seed % 3]]
        ]
        self.steps: list[Step] = []
        values: list[Any] = list(self.args)
        wanted = int(self.random.integers(4, 11)) if length is None else length
        while len(self.steps) < wanted:
            step = self._propose(values)
            made = self._try(step, values)
            if made is not None:
                self.steps.append(step)
                values.append(made)

    def __call__(self, namespace: Callable[[str], Any], *args: Any) -> Any:
        """Run the program; `namespace("numpy")` has NumPy's names, and so on."""
        np = namespace("numpy")
        values = list(args)
        for operation, operands in self.steps:
            values.append(
                operation.call(namespace(operation.module), *(values[i] for i in operands))
            )
        used = {i for step in self.steps for i in step.operands}
        rest = [v for i, v in enumerate(values) if i not in used]
        total = np.sum(np.sin(rest[0]) + 0.3 * rest[0])
        for v in rest[1:]:
            total = total + np.sum(np.sin(v) + 0.3 * v)
        return total

    def __str__(self) -> str:
        """Return the text of the program, its steps as v0, v1, ... after the arguments."""
        lines = [f"Program({self.seed})"]
        lines += [f"v{i} of shape {x.shape}" for i, x in enumerate(self.args)]
        for i, (operation, operands) in enumerate(self.steps, start=len(self.args)):
            lines.append(f"v{i} = {operation.name} of {', '.join(f'v{j}' for j in operands)}")
        return "; ".join(lines)

    def _propose(self, values: Sequence[Any]) -> Step:
        # The last values rather than the first, so that programs grow deep.
        count = len(values)
        places = count - 1 - self.random.integers(0, min(count, 5), 2)
        kind = self.random.choice(len(KINDS), p=[p for _, p in KINDS])
        operation = KINDS[kind][0](self.random, values[places[0]])
        return Step(operation, tuple(int(i) for i in places[: operation.count]))

    def _try(self, step: Step, values: Sequence[Any]) -> Any:
        """Return the step's value; `None` if it is near a kink, too large, or makes no sense."""
        operation = step.operation
        chosen = [values[i] for i in step.operands]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                if operation.gaps is not None:
                    gaps = numpy.asarray(operation.gaps(*chosen))
                    if (abs(gaps) < 1e-2).any():
                        return None
                made = operation.call(library(operation.module), *chosen)
        except (ValueError, IndexError, TypeError, Warning):
            return None
        if made.size == 0 or made.size > 60 or not numpy.isfinite(made).all():
            return None
        return None if abs(made).max() > 20 else numpy.asarray(made)[()]


def library(module: str) -> Any:
    """Return NumPy's or SciPy's own module."""
    return importlib.import_module(module)
