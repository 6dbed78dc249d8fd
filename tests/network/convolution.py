"""Convolutions: all three passes, windows of every kind."""

from collections.abc import Iterator
from typing import Any

import numpy

from .case import Case, case

#: Channels of input and output, groups.
CHANNELS = [(1, 1, 1), (1, 5, 1), (3, 17, 1), (4, 33, 1), (20, 2, 1), (17, 3, 1), (40, 40, 1)]
CHANNELS += [(6, 4, 2), (4, 12, 4), (7, 7, 7), (5, 15, 5), (18, 18, 18), (70, 70, 70), (34, 68, 2)]
#: Height and width of the input, the window, stride, padding and dilation.
WINDOWS: list[dict[str, Any]] = [
    {"size": (1, 1), "window": (1, 1)},
    {"size": (9, 7), "window": (3, 3)},
    {"size": (8, 8), "window": (5, 5)},
    {"size": (6, 21), "window": (1, 1), "stride": (2, 3)},
    {"size": (6, 7), "window": (3, 3), "padding": ((1, 1), (1, 1))},
    {"size": (5, 4), "window": (4, 2), "padding": ((2, 1), (0, 3))},
    {"size": (1, 40), "window": (1, 5), "padding": ((0, 0), (2, 2))},
    {"size": (11, 9), "window": (3, 2), "stride": (2, 1), "padding": ((1, 0), (0, 1))},
    {"size": (10, 9), "window": (2, 3), "stride": (3, 2), "dilation": (1, 2)},
    {"size": (9, 12), "window": (3, 3), "dilation": (2, 3), "padding": ((2, 2), (3, 3))},
    {
        "size": (8, 6),
        "window": (3, 3),
        "stride": (2, 4),
        "dilation": (3, 2),
        "padding": ((3, 3),) * 2,
    },
    {"size": (2, 2), "window": (3, 4), "padding": ((4, 5), (3, 6))},
    # Transposed convolutions may cut away what they pad.
    {"size": (9, 8), "window": (3, 2), "stride": (2, 2), "padding": ((1, 0), (0, -1))},
    {"size": (9, 9), "window": (2, 2), "padding": ((-1, -2), (-2, 1))},
]


def cases(random: numpy.random.Generator) -> Iterator[Case]:
    """Yield a case of each pass for each kind of window, with some numbers of channels."""
    for i, window in enumerate(WINDOWS):
        for j in range(3):
            channels = CHANNELS[(5 * i + j + int(random.integers(len(CHANNELS)))) % len(CHANNELS)]
            yield from _passes(random, *channels, **window)
    # Large enough for several tiles, sums in parts and several threads.
    yield from _passes(random, 8, 40, 1, size=(20, 20), window=(5, 5), batch=9)
    yield from _passes(random, 1, 32, 1, size=(28, 28), window=(5, 5), batch=5)
    yield from _passes(random, 64, 64, 64, size=(16, 16), window=(3, 3), batch=3)


def _passes(
    random: numpy.random.Generator,
    channels: int,
    out: int,
    groups: int,
    *,
    size: tuple[int, int],
    window: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    padding: tuple[tuple[int, int], ...] = ((0, 0), (0, 0)),
    dilation: tuple[int, int] = (1, 1),
    batch: int | None = None,
) -> Iterator[Case]:
    batch = int(random.integers(1, 6)) if batch is None else batch
    counts = [
        (n + sum(widths) - d * (k - 1) - 1) // s + 1
        for n, k, s, widths, d in zip(size, window, stride, padding, dilation, strict=True)
    ]
    x = random.normal(size=(batch, channels, *size))
    weight = random.normal(size=(out, channels // groups, *window))
    bias = random.normal(size=out)
    y = random.normal(size=(batch, out, *counts))
    words = {
        "size": size,
        "window": window,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
    }
    yield case("conv2d", x, weight, bias, **words)
    yield case("conv2d", x, weight, None, **words)
    yield case("conv2d_input", y, weight, **words)
    yield case("conv2d_weight", y, x, **words)
    yield Case("conv2d.vjp2", (x, weight, bias), words, cotangent=y, on=("cuda",))
