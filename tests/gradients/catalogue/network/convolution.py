"""Convolution and its transpose, along one axis and two."""

import itertools

import numpy

from ...cases import Argument, Case, case


def convolve(x, weight, bias, stride, padding, dilation, groups):
    """Sum what each window sees, times the weight: for any number of axes, one place a time."""
    count = weight.ndim - 2
    stride, padding, dilation = (_each(n, count) for n in (stride, padding, dilation))
    border = [(0, 0), (0, 0), *(p if isinstance(p, tuple) else (p, p) for p in padding)]
    x = numpy.pad(x, border)
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:], strict=True)]
    counts = [(n - m) // s + 1 for n, m, s in zip(x.shape[2:], spans, stride, strict=True)]
    y = numpy.zeros((len(x), len(weight), *counts), x.dtype)
    inner, outer = weight.shape[1], len(weight) // groups
    for o, place in itertools.product(range(len(weight)), numpy.ndindex(*counts)):
        first = o // outer * inner
        window = tuple(
            slice(i * s, i * s + m, d)
            for i, s, m, d in zip(place, stride, spans, dilation, strict=True)
        )
        seen = x[(slice(None), slice(first, first + inner), *window)]
        y[(slice(None), o, *place)] = (seen * weight[o]).sum(axis=tuple(range(1, x.ndim)))
    return y if bias is None else y + bias.reshape(-1, *[1] * count)


def _each(value, count):
    return tuple(value) if isinstance(value, tuple | list) else (value,) * count


def _alone(x, weight, function):
    """Give an input without a batch one for a while."""
    return function(x) if x.ndim == weight.ndim else function(x[None])[0]


def conv(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Read the options, then convolve."""
    count = weight.ndim - 2
    if padding == "valid":
        padding = 0
    elif padding == "same":
        spans = [d * (k - 1) for d, k in zip(_each(dilation, count), weight.shape[2:], strict=True)]
        padding = tuple((n // 2, n - n // 2) for n in spans)
    return _alone(x, weight, lambda x: convolve(x, weight, bias, stride, padding, dilation, groups))


def conv_transpose(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    """Add the weight, times each element, at that element's window."""
    return _alone(
        x,
        weight,
        lambda x: spread(x, weight, bias, stride, padding, output_padding, groups, dilation),
    )


def spread(x, weight, bias, stride, padding, output_padding, groups, dilation):
    """Add the weight, times each element, at that element's window, one place a time."""
    count = weight.ndim - 2
    options = (stride, padding, output_padding, dilation)
    stride, padding, extra, dilation = (_each(n, count) for n in options)
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:], strict=True)]
    full = [
        (n - 1) * s + m + e for n, s, m, e in zip(x.shape[2:], stride, spans, extra, strict=True)
    ]
    inner, outer = len(weight) // groups, weight.shape[1]
    y = numpy.zeros((len(x), outer * groups, *full), x.dtype)
    for c, place in itertools.product(range(len(weight)), numpy.ndindex(*x.shape[2:])):
        first = c // inner * outer
        window = tuple(
            slice(i * s, i * s + m, d)
            for i, s, m, d in zip(place, stride, spans, dilation, strict=True)
        )
        value = x[(slice(None), c, *place)].reshape(-1, *[1] * (count + 1))
        y[(slice(None), slice(first, first + outer), *window)] += value * weight[c]
    y = y[(..., *(slice(p, n - p) for p, n in zip(padding, full, strict=True)))]
    return y if bias is None else y + bias.reshape(-1, *[1] * count)


REFERENCES = {
    "conv1d": conv,
    "conv2d": conv,
    "conv_transpose1d": conv_transpose,
    "conv_transpose2d": conv_transpose,
}

#: Label: the shapes of input and weight, the options, and whether there is a bias.
CONV1D = {
    "": ((2, 2, 5), (3, 2, 3), {}, True),
    "no_bias": ((2, 2, 5), (3, 2, 3), {}, False),
    "no_batch": ((2, 5), (3, 2, 3), {"padding": 1}, True),
    "same": ((1, 2, 5), (2, 2, 2), {"padding": "same", "dilation": 3}, False),
    "all": ((1, 4, 8), (2, 2, 3), {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}, True),
}
CONV2D = {
    "": ((2, 2, 4, 3), (3, 2, 2, 2), {}, True),
    "no_bias": ((2, 2, 4, 3), (3, 2, 2, 2), {"padding": "valid"}, False),
    "no_batch": ((1, 4, 3), (2, 1, 2, 2), {}, True),
    "padding": ((1, 2, 3, 4), (1, 2, 3, 2), {"padding": (2, 1)}, False),
    "much_padding": ((1, 1, 2, 2), (2, 1, 2, 1), {"padding": 2}, False),
    "same": ((1, 2, 3, 4), (1, 2, 3, 2), {"padding": "same"}, True),
    "stride": ((2, 1, 5, 4), (3, 1, 3, 2), {"stride": (2, 1)}, False),
    "wide_stride": ((1, 1, 5, 6), (2, 1, 2, 1), {"stride": 3, "padding": 1}, False),
    "dilation": ((1, 2, 4, 5), (2, 2, 2, 3), {"dilation": (3, 2), "padding": (0, 1)}, False),
    "groups": ((1, 4, 3, 3), (4, 2, 2, 2), {"groups": 2}, True),
    "channel_by_channel": ((1, 3, 3, 3), (6, 1, 2, 2), {"groups": 3, "padding": 1}, False),
    "one_by_one": ((2, 3, 2, 2), (2, 3, 1, 1), {}, True),
    "many_out": ((1, 1, 3, 3), (4, 1, 2, 2), {}, False),
    "whole": ((2, 1, 2, 3), (2, 1, 2, 3), {}, True),
    "empty": ((0, 2, 3, 3), (2, 2, 2, 2), {}, True),
    "all": (
        (1, 4, 7, 6),
        (2, 2, 2, 3),
        {"stride": (3, 2), "padding": (1, 2), "dilation": (2, 1), "groups": 2},
        True,
    ),
}
CONV_TRANSPOSE1D = {
    "": ((2, 2, 3), (2, 3, 2), {}, True),
    "no_batch": ((2, 3), (2, 1, 2), {"stride": 2}, False),
    "all": (
        (1, 4, 3),
        (4, 2, 3),
        {"stride": 3, "padding": 1, "output_padding": 2, "groups": 2, "dilation": 2},
        True,
    ),
}
CONV_TRANSPOSE2D = {
    "": ((1, 2, 2, 3), (2, 3, 2, 2), {}, True),
    "no_bias": ((2, 3, 2, 2), (3, 1, 2, 2), {"padding": 1}, False),
    "stride": ((1, 2, 2, 3), (2, 2, 3, 2), {"stride": 2, "output_padding": (1, 0)}, True),
    "all": (
        (1, 4, 2, 3),
        (4, 1, 2, 3),
        {
            "stride": (2, 1),
            "padding": (0, 1),
            "output_padding": (1, 1),
            "groups": 2,
            "dilation": (1, 2),
        },
        True,
    ),
}


def _cases(name, table):
    for label, (shape, window, options, biased) in table.items():
        groups = options.get("groups", 1)
        out = window[1] * groups if "transpose" in name else window[0]

        def call(nn, x, weight, bias=None, options=options):
            return getattr(nn, name)(x, weight, bias, **options)

        yield case(
            name,
            call,
            shape,
            window,
            *([Argument((out,))] if biased else []),
            label=label,
            module="nn.functional",
            complex=label == "all",
        )


CASES: list[Case] = [
    *_cases("conv1d", CONV1D),
    *_cases("conv2d", CONV2D),
    *_cases("conv_transpose1d", CONV_TRANSPOSE1D),
    *_cases("conv_transpose2d", CONV_TRANSPOSE2D),
]
