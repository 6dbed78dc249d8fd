"""Cross-entropy and the negative log-likelihood, for labels and for probabilities."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import numpy

from .case import Case, case

REDUCTIONS = ("mean", "sum", "none")


def cases(random: Any) -> Iterator[Case]:
    """Yield calls of the losses and of their rules."""
    shapes = [(1, 1), (5, 3), (int(random.integers(2, 40)), int(random.integers(2, 90))), (2, 1000)]
    shapes += [(2, 5, 3), (3, 4, int(random.integers(2, 20))), (2, 3, 4, 5)]
    options = itertools.product(
        REDUCTIONS, (None, 1, -100), (False, True), ("int64", "int32", "uint8")
    )
    for i, (reduction, ignored, weighted, dtype) in enumerate(options):
        shape = shapes[i % len(shapes)]
        labels = _labels(random, shape, ignored, "int64" if ignored == -100 else dtype)
        weight = random.uniform(0, 2, shape[1]) if weighted else None
        for smoothing in (0.0, 0.25):
            yield from _with_rules(
                random,
                ("cross_entropy", "nll_loss"),
                ("vjp",),
                (random.normal(size=shape), labels, weight),
                axis=1,
                ignore_index=ignored,
                reduction=reduction,
                label_smoothing=smoothing,
            )
    for reduction, weighted, smoothing in itertools.product(REDUCTIONS, (False, True), (0, 0.25)):
        for shape in shapes:
            weight = random.uniform(0, 2, shape[1]) if weighted else None
            yield from _with_rules(
                random,
                ("soft_cross_entropy",),
                ("vjp0", "vjp1"),
                (random.normal(size=shape), random.uniform(0, 1, shape), weight),
                axis=1,
                reduction=reduction,
                label_smoothing=float(smoothing),
            )
    yield from _odd(random)


def _labels(random: Any, shape: tuple[int, ...], ignored: int | None, dtype: str) -> Any:
    labels = random.integers(0, shape[1], (shape[0], *shape[2:])).astype(dtype)
    if ignored is not None and shape[1] > 1:
        labels[random.uniform(size=labels.shape) < 0.2] = ignored
    # The mean is over something.
    labels.reshape(-1)[0] = 0
    return labels


def _with_rules(
    random: Any, names: tuple[str, ...], rules: tuple[str, ...], operands: Any, **keywords: Any
) -> Iterator[Case]:
    shape = operands[0].shape
    each = keywords["reduction"] == "none"
    g = random.normal(size=(shape[0], *shape[2:])) if each else numpy.float64(random.normal())
    for name in names:
        scale = float(operands[0].size if keywords["reduction"] == "sum" else 1)
        # Smoothed labels of logarithms are left to the reference on a GPU.
        on = ("cpu",) if name == "nll_loss" and keywords["label_smoothing"] else ("cpu", "cuda")
        yield dataclasses.replace(case(name, *operands, **keywords), scale=scale, on=on)
        for rule in rules:
            whole = case(f"{name}.{rule}", *operands, **keywords)
            yield dataclasses.replace(whole, cotangent=g, scale=1.0, on=on)


def _odd(random: Any) -> Iterator[Case]:
    """Yield calls where nothing counts, where logits are huge, and where labels are no classes."""
    x = random.normal(size=(3, 4))
    keywords = {"axis": 1, "reduction": "mean", "label_smoothing": 0.0}
    nothing = (x, numpy.array([1, 1, 1]), None)
    yield from _with_rules(
        random, ("cross_entropy", "nll_loss"), ("vjp",), nothing, ignore_index=1, **keywords
    )
    huge = x * 1e4 + 3e4
    huge[1] = -numpy.inf
    huge[2, 1:] = -numpy.inf
    for labels, smoothing in itertools.product(([0, 1, 0], [1, -100, 2]), (0.0, 0.5)):
        keywords["label_smoothing"] = smoothing
        weight = numpy.array([1.0, 2.0, 0.0, 0.5])
        for weights in (None, weight):
            yield from _with_rules(
                random,
                ("cross_entropy",),
                ("vjp",),
                (huge, numpy.array(labels), weights),
                ignore_index=-100,
                **keywords,
            )
        target = numpy.array([[1.0, 0, 0, 0], [0, 0, 0, 0], [0.5, 0, 0, 0.5]])
        yield from _with_rules(
            random, ("soft_cross_entropy",), ("vjp0", "vjp1"), (huge, target, None), **keywords
        )
