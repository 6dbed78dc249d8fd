"""Pooling: the largest element of a window, or the mean of all."""

import math

import numpy

from ...cases import Case, case


def pool(x, count, kernel_size, stride, padding, dilation, choose):
    """Apply `choose` to what each window sees, one place a time: values, and whether each is real.

    What it sees lies along the first axis then.
    """
    stride = kernel_size if stride is None else stride
    kernel, stride, padding, dilation = (
        tuple(n) if isinstance(n, tuple) else (n,) * count
        for n in (kernel_size, stride, padding, dilation)
    )
    border = [(0, 0)] * (x.ndim - count) + [(p, p) for p in padding]
    real = numpy.pad(numpy.ones(x.shape, bool), border)
    x = numpy.pad(x, border)
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    counts = [(n - m) // s + 1 for n, m, s in zip(x.shape[-count:], spans, stride, strict=True)]
    y = numpy.zeros((*x.shape[:-count], *counts), x.dtype)
    for place in numpy.ndindex(*counts):
        window = tuple(
            slice(i * s, i * s + m, d)
            for i, s, m, d in zip(place, stride, spans, dilation, strict=True)
        )
        shape = (*y.shape[:-count], math.prod(kernel))
        seen = [a[(..., *window)].reshape(shape) for a in (x, real)]
        y[(..., *place)] = choose(*(numpy.moveaxis(a, -1, 0) for a in seen))
    return y


def largest(seen, real):
    """Return the largest of what is real."""
    return numpy.where(real, seen, -numpy.inf).max(axis=0)


def max_pool(count):
    """Return the pooling along as many axes."""
    return lambda x, kernel_size, stride=None, padding=0, dilation=1: pool(
        x, count, kernel_size, stride, padding, dilation, largest
    )


def avg_pool(count):
    """Return the pooling along as many axes."""

    def run(x, kernel_size, stride=None, padding=0, *, count_include_pad=True):
        def mean(seen, real):
            length = len(seen) if count_include_pad else real.sum(axis=0).astype(seen.dtype)
            return seen.sum(axis=0) / length

        return pool(x, count, kernel_size, stride, padding, 1, mean)

    return run


def adaptive_avg_pool(count):
    """Return the pooling along as many axes."""

    def run(x, output_size):
        sizes = output_size if isinstance(output_size, tuple) else (output_size,) * count
        for axis, m in zip(range(-count, 0), sizes, strict=True):
            n = x.shape[axis]
            if m is not None:
                parts = [range(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
                means = [x.take(list(part), axis=axis).mean(axis=axis) for part in parts]
                x = numpy.stack(means, axis=axis)
        return x

    return run


REFERENCES = {
    "max_pool1d": max_pool(1),
    "max_pool2d": max_pool(2),
    "avg_pool1d": avg_pool(1),
    "avg_pool2d": avg_pool(2),
    "adaptive_avg_pool1d": adaptive_avg_pool(1),
    "adaptive_avg_pool2d": adaptive_avg_pool(2),
}

#: By function and label: the shape, and the options.
POOLS = {
    "max_pool1d": {
        "": ((2, 2, 5), {"kernel_size": 2}),
        "no_batch": ((2, 5), {"kernel_size": 3, "stride": 1, "padding": 1}),
        "dilation": ((1, 2, 6), {"kernel_size": 2, "stride": 2, "padding": 1, "dilation": 3}),
    },
    "max_pool2d": {
        "": ((2, 2, 4, 4), {"kernel_size": 2}),
        "no_batch": ((2, 4, 5), {"kernel_size": (2, 3)}),
        "overlapping": ((1, 2, 4, 5), {"kernel_size": 3, "stride": 1}),
        "padding": ((1, 1, 4, 4), {"kernel_size": (3, 2), "stride": 2, "padding": 1}),
        "gaps": ((1, 2, 5, 5), {"kernel_size": 1, "stride": 2}),
        "empty": ((0, 2, 4, 4), {"kernel_size": 2}),
        "all": (
            (1, 2, 6, 7),
            {"kernel_size": (2, 3), "stride": (1, 2), "padding": (1, 0), "dilation": (2, 3)},
        ),
    },
    "avg_pool1d": {
        "": ((2, 2, 5), {"kernel_size": 2}),
        "no_batch": ((2, 5), {"kernel_size": 3, "stride": 1, "padding": 1}),
    },
    "avg_pool2d": {
        "": ((2, 2, 4, 4), {"kernel_size": 2}),
        "no_batch": ((2, 4, 5), {"kernel_size": (2, 3)}),
        "overlapping": ((1, 2, 5, 5), {"kernel_size": (4, 3), "stride": (1, 2)}),
        "padding": ((1, 2, 4, 4), {"kernel_size": 3, "stride": 2, "padding": 1}),
        "without_padding": (
            (1, 2, 4, 5),
            {"kernel_size": (3, 2), "stride": 2, "padding": 1, "count_include_pad": False},
        ),
        "empty": ((0, 2, 4, 4), {"kernel_size": 2}),
    },
    "adaptive_avg_pool1d": {
        "": ((2, 2, 6), {"output_size": 3}),
        "uneven": ((2, 5), {"output_size": 3}),
        "more_than_there_are": ((1, 2, 2), {"output_size": 3}),
    },
    "adaptive_avg_pool2d": {
        "": ((2, 2, 4, 3), {"output_size": 1}),
        "even": ((1, 2, 4, 6), {"output_size": (2, 3)}),
        "uneven": ((1, 2, 5, 4), {"output_size": (2, 3)}),
        "one_axis": ((2, 5, 4), {"output_size": (2, None)}),
    },
}

CASES: list[Case] = [
    case(
        name,
        lambda nn, x, name=name, options=options: getattr(nn, name)(x, **options),
        shape,
        label=label,
        module="nn.functional",
    )
    for name, table in POOLS.items()
    for label, (shape, options) in table.items()
]
