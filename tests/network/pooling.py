"""Calls of the kernels of pooling."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy

from .case import Case, case

#: Window, stride, padding, dilation.
WINDOWS: tuple[tuple[tuple[int, int], ...], ...] = (
    ((2, 2), (2, 2), (0, 0), (1, 1)),
    ((3, 3), (2, 2), (1, 1), (1, 1)),
    ((3, 2), (1, 1), (1, 0), (1, 1)),
    ((2, 3), (3, 1), (0, 1), (2, 1)),
    ((1, 3), (1, 2), (0, 1), (1, 2)),
    ((2, 2), (3, 3), (0, 0), (1, 1)),
)


def cases(random: numpy.random.Generator) -> Iterator[Case]:
    """Yield windows of many shapes over images of many sizes."""
    for window, stride, padding, dilation in WINDOWS:
        for channels in (1, int(random.integers(2, 9)), 16, int(random.integers(17, 40))):
            batch = int(random.integers(1, 5))
            size = tuple(
                d * (k - 1) + 1 + int(random.integers(0, 20)) for k, d in zip(window, dilation)
            )
            x = random.normal(size=(batch, channels, *size)).astype(numpy.float32)
            if channels == 16:
                x = x.round()  # of several that are the largest the first wins
            options = {
                "size": size,
                "window": window,
                "stride": stride,
                "padding": tuple((p, p) for p in padding),
            }
            yield from largest(random, x, {**options, "dilation": dilation})
            if dilation == (1, 1):
                include = bool(random.integers(2))
                yield from means(random, x, {**options, "count_include_pad": include})
    yield from adaptive(random)


def places(options: dict[str, Any]) -> tuple[int, ...]:
    """Return how many places the windows take."""
    dilation = options.get("dilation", (1, 1))
    return tuple(
        (n + sum(p) - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(
            options["size"], options["window"], options["stride"], options["padding"], dilation
        )
    )


def largest(random: numpy.random.Generator, x: Any, options: dict[str, Any]) -> Iterator[Case]:
    """Yield the largest elements, and both ways from and to them."""
    yield case("max_pool2d", x, **options)
    shape = (*x.shape[:2], *places(options))
    count = numpy.prod(options["window"])
    winner = random.integers(0, count, shape).astype(numpy.uint8)
    y = random.normal(size=shape)
    # A winner outside of the image would not be one.
    winner = numpy.where(_is_inside(winner, options), winner, _first_inside(options))
    winner = winner.astype(numpy.uint8)
    yield case("max_pool2d_input", y, winner, **options)
    yield case("max_pool2d_pick", x, winner, **options)


def _positions(k: Any, options: dict[str, Any], axis: int) -> Any:
    """Return where element k of the window along an axis lies, at each place."""
    count = places(options)[axis]
    start = numpy.arange(count) * options["stride"][axis] - options["padding"][axis][0]
    start = start.reshape((-1, 1) if axis == 0 else (-1,))
    return start + k * options["dilation"][axis]


def _is_inside(winner: Any, options: dict[str, Any]) -> Any:
    width = options["window"][1]
    inside = True
    for axis, k in enumerate((winner // width, winner % width)):
        at = _positions(k.astype(int), options, axis)
        inside = inside & (at >= 0) & (at < options["size"][axis])
    return inside


def _first_inside(options: dict[str, Any]) -> Any:
    firsts = []
    for axis, count in enumerate(options["window"]):
        at = _positions(0, options, axis)
        found = numpy.zeros(at.shape, int)
        for k in reversed(range(count)):
            there = at + k * options["dilation"][axis]
            found = numpy.where((there >= 0) & (there < options["size"][axis]), k, found)
        firsts.append(found)
    return firsts[0] * options["window"][1] + firsts[1]


def means(random: numpy.random.Generator, x: Any, options: dict[str, Any]) -> Iterator[Case]:
    """Yield means, and their transposed."""
    yield case("avg_pool2d", x, **options)
    yield case("avg_pool2d_input", random.normal(size=(*x.shape[:2], *places(options))), **options)


def adaptive(random: numpy.random.Generator) -> Iterator[Case]:
    """Yield means of as many parts as asked for, and their transposed."""
    for channels in (1, 20):
        size = (int(random.integers(4, 12)), int(random.integers(4, 12)))
        counts = (int(random.integers(1, 5)), int(random.integers(1, 5)))
        x = random.normal(size=(3, channels, *size))
        yield case("adaptive_avg_pool2d", x, size=size, counts=counts)
        y = random.normal(size=(3, channels, *counts))
        yield case("adaptive_avg_pool2d_input", y, size=size, counts=counts)
    huge = random.normal(size=(1, 1, 530, 520))
    yield dataclasses.replace(
        case("adaptive_avg_pool2d", huge, size=(530, 520), counts=(3, 7)), on=("cpu",)
    )
