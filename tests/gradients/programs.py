"""Random programs: operations chained at random, kept away from kinks and overflow."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy

UNARY: dict[str, Callable[..., Any]] = {
    "tanh": lambda np, x: np.tanh(x),
    "sin": lambda np, x: np.sin(2 * x),
    "cos": lambda np, x: np.cos(x) + 0.1 * x,
    "exp": lambda np, x: np.exp(-x * x),
    "log": lambda np, x: np.log(1.5 + np.sin(x)),
    "sqrt": lambda np, x: np.sqrt(1 + x * x),
    "square": lambda np, x: np.square(x) / 4,
    "arctan": lambda np, x: np.arctan(x),
    "reciprocal": lambda np, x: np.reciprocal(2.0 + np.cos(x)),
    "power": lambda np, x: (1.2 + np.tanh(x)) ** 2.5,
    "cube": lambda np, x: x**3 / 8,
    "negative": lambda np, x: -x,
    "expm1": lambda np, x: np.expm1(np.tanh(x)),
    "log1p": lambda np, x: np.log1p(np.exp(-abs(x) - 0.1)),
    "sinh": lambda np, x: np.sinh(np.tanh(x)),
    "reused": lambda np, x: x * np.tanh(x) + x,
    "absolute": lambda np, x: abs(x),
    "clip": lambda np, x: np.clip(x, -0.9, 0.9),
}
BINARY: dict[str, Callable[..., Any]] = {
    "add": lambda np, x, y: x + y,
    "subtract": lambda np, x, y: x - 0.5 * y,
    "multiply": lambda np, x, y: x * y,
    "divide": lambda np, x, y: x / (1.5 + np.sin(y)),
    "power": lambda np, x, y: (1.5 + np.tanh(x)) ** np.tanh(y),
    "maximum": lambda np, x, y: np.maximum(x, y),
    "minimum": lambda np, x, y: np.minimum(x, y),
    "hypot": lambda np, x, y: np.hypot(x, 0.5 + y * y),
    "arctan2": lambda np, x, y: np.arctan2(x, 1.5 + y * y),
    "logaddexp": lambda np, x, y: np.logaddexp(x, y),
    "where": lambda np, x, y: np.where(x > y, x * y, y),
}


class Step(NamedTuple):
    """One operation: what it computes, `call(np, *operands)`, and the numbers of its operands."""

    name: str
    call: Callable[..., Any]
    operands: tuple[int, ...]


class Program:
    """Steps over some arguments; calling it gives the sum of what is left over.

    Parameters
    ----------
    seed
        Of the random choices.
    length
        The number of steps.
    """

    def __init__(self, seed: int, length: int = 12) -> None:
        self.random = numpy.random.default_rng([seed, 17])
        shapes = [(2, 3), (3,), (2, 1), ()]
        self.args = [
            numpy.asarray(self.random.uniform(-1.5, 1.5, shape))[()]
            for shape in [shapes[i] for i in self.random.permutation(4)[: 2 + seed % 3]]
        ]
        self.steps: list[Step] = []
        values: list[Any] = list(self.args)
        while len(self.steps) < length:
            step = self._propose(values)
            made = self._try(step, values)
            if made is not None:
                self.steps.append(step)
                values.append(made)

    def __call__(self, np: Any, *args: Any) -> Any:
        """Run the program with a namespace that has NumPy's names."""
        values = list(args)
        for step in self.steps:
            values.append(step.call(np, *(values[i] for i in step.operands)))
        used = {i for step in self.steps for i in step.operands}
        rest = [v for i, v in enumerate(values) if i not in used]
        total = np.sum(np.sin(rest[0]) + 0.3 * rest[0])
        for v in rest[1:]:
            total = total + np.sum(np.sin(v) + 0.3 * v)
        return total

    def __str__(self) -> str:
        return "; ".join(f"{s.name}{s.operands}" for s in self.steps)

    def _try(self, step: Step, values: Sequence[Any]) -> Any:
        """Return the step's value; `None` if it is near a kink, too large, or makes no sense."""
        chosen = [values[i] for i in step.operands]
        try:
            if any((abs(gap) < 1e-2).any() for gap in self._gaps(step.name, chosen)):
                return None
            made = step.call(numpy, *chosen)
        except (ValueError, IndexError, TypeError):
            return None
        if made.size == 0 or made.size > 60 or not numpy.isfinite(made).all():
            return None
        if step.name == "std" and (made < 1e-2).any():
            return None
        return None if abs(made).max() > 20 else made

    @staticmethod
    def _gaps(name: str, chosen: Sequence[Any]) -> list[Any]:
        """Return how far the operands are from each kink of an operation."""
        if name in ("absolute", "log1p"):
            return [chosen[0]]
        if name == "clip":
            return [chosen[0] - 0.9, chosen[0] + 0.9]
        if name in ("maximum", "minimum", "where"):
            return [numpy.subtract(*chosen)]
        if name in ("max", "min"):
            return [numpy.diff(numpy.sort(chosen[0], axis=None))]
        return []

    def _propose(self, values: Sequence[Any]) -> Step:
        # The last values rather than the first, so that programs grow deep.
        count = len(values)
        places = count - 1 - self.random.integers(0, min(count, 5), 3)
        i, j = int(places[0]), int(places[1])
        kind = self.random.choice(
            ["unary", "binary", "reduction", "shape", "index", "product", "join"],
            p=[0.25, 0.25, 0.15, 0.1, 0.1, 0.1, 0.05],
        )
        if kind == "unary":
            name = str(self.random.choice(list(UNARY)))
            return Step(name, UNARY[name], (i,))
        if kind == "binary":
            name = str(self.random.choice(list(BINARY)))
            return Step(name, BINARY[name], (i, j))
        return getattr(self, f"_{kind}")(values, i, j)

    def _reduction(self, values: Sequence[Any], i: int, j: int) -> Step:
        name = str(self.random.choice(["sum", "mean", "max", "min", "var", "std", "prod"]))
        ndim = values[i].ndim
        axes: list[Any] = [None, *range(-ndim, ndim)]
        axis = axes[self.random.integers(len(axes))]
        if ndim >= 2 and self.random.random() < 0.2:
            axis = (0, -1)
        keepdims = bool(self.random.random() < 0.5)
        return Step(
            name,
            lambda np, x: getattr(np, name)(x, axis=axis, keepdims=keepdims),
            (i,),
        )

    def _shape(self, values: Sequence[Any], i: int, j: int) -> Step:
        size, shape = values[i].size, values[i].shape
        choices: dict[str, Callable[..., Any]] = {
            "ravel": lambda np, x: np.reshape(x, (-1,)),
            "column": lambda np, x: np.reshape(x, (size, 1)),
            "transpose": lambda np, x: np.transpose(x),
            "flip": lambda np, x: np.flip(x, axis=-1),
            "roll": lambda np, x: np.roll(x, 1),
            "tile": lambda np, x: np.tile(x, (2, 1)),
            "repeat": lambda np, x: np.repeat(x, 2, axis=-1 if shape else None),
            "broadcast_to": lambda np, x: np.broadcast_to(x, (2, *shape)),
            "cumsum": lambda np, x: np.cumsum(x, axis=0 if shape else None),
            "expand_dims": lambda np, x: np.expand_dims(x, 0),
            "squeeze": lambda np, x: np.squeeze(x),
        }
        name = str(self.random.choice(list(choices)))
        return Step(name, choices[name], (i,))

    def _index(self, values: Sequence[Any], i: int, j: int) -> Step:
        rows = self.random.integers(0, values[i].shape[0] if values[i].ndim else 1, 3).tolist()
        choices: dict[str, Callable[..., Any]] = {
            "x[0]": lambda np, x: x[0],
            "x[-1:]": lambda np, x: x[-1:],
            "x[..., 1:]": lambda np, x: x[..., 1:],
            "x[::-1]": lambda np, x: x[::-1],
            "x[..., None]": lambda np, x: x[..., None],
            "x[:, ::2]": lambda np, x: x[:, ::2],
            f"x[{rows}]": lambda np, x: x[np.array(rows)],
        }
        name = str(self.random.choice(list(choices)))
        return Step(name, choices[name], (i,))

    def _product(self, values: Sequence[Any], i: int, j: int) -> Step:
        choices: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
            "matmul": (lambda np, x, y: x @ y, (i, j)),
            "gram": (lambda np, x: x @ np.transpose(x), (i,)),
            "dot": (lambda np, x, y: np.dot(x, np.transpose(y)), (i, j)),
            "outer": (lambda np, x, y: np.outer(x, y), (i, j)),
            "inner": (lambda np, x, y: np.inner(x, y), (i, j)),
            "einsum": (lambda np, x, y: np.einsum("ij,kj->ik", x, y), (i, j)),
            "tensordot": (lambda np, x, y: np.tensordot(x, y, axes=([0], [0])), (i, j)),
        }
        name = str(self.random.choice(list(choices)))
        return Step(name, *choices[name])

    def _join(self, values: Sequence[Any], i: int, j: int) -> Step:
        choices: dict[str, Callable[..., Any]] = {
            "concatenate": lambda np, x, y: np.concatenate([x, y], axis=0),
            "stack": lambda np, x, y: np.stack([x, y], axis=-1),
            "hstack": lambda np, x, y: np.hstack((x, y)),
            "append": lambda np, x, y: np.append(x, y),
        }
        name = str(self.random.choice(list(choices)))
        return Step(name, choices[name], (i, j))
