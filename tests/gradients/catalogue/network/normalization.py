"""Batch norm, layer norm, RMS norm and group norm."""

from functools import partial

import numpy

from ...cases import Argument, Case, case

_case = partial(case, module="nn.functional")


def normalised(rows, eps, centred=True):
    """Normalise the rows of a matrix one by one; return mean and variance, too."""
    made, means, variances = numpy.empty_like(rows), [], []
    for i, row in enumerate(rows):
        mean = row.sum() / len(row) if centred else 0
        variance = ((row - mean) ** 2).sum() / len(row)
        made[i] = (row - mean) / numpy.sqrt(variance + eps)
        means.append(mean)
        variances.append(variance)
    return made, numpy.array(means, rows.dtype), numpy.array(variances, rows.dtype)


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Normalise, then scale and shift, every part of that shape."""
    rows = x.reshape(-1, int(numpy.prod(normalized_shape)))
    y = normalised(rows, eps)[0].reshape(x.shape)
    return y * (1 if weight is None else weight) + (0 if bias is None else bias)


def rms_norm(x, normalized_shape, weight=None, eps=None):
    """Divide every part of that shape by its root mean square, then scale it."""
    rows = x.reshape(-1, int(numpy.prod(normalized_shape)))
    eps = numpy.finfo(x.dtype).eps if eps is None else eps
    y = normalised(rows, eps, centred=False)[0].reshape(x.shape)
    return y * (1 if weight is None else weight)


def _by_channel(parameter, x, other):
    if parameter is None:
        return other
    return parameter.reshape(-1, *(1 for _ in x.shape[2:]))


def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    """Normalise each sample's groups of channels, then scale and shift each channel."""
    y = normalised(x.reshape(len(x) * num_groups, -1), eps)[0].reshape(x.shape)
    return y * _by_channel(weight, x, 1) + _by_channel(bias, x, 0)


def batch_norm_with_statistics(x, weight=None, bias=None, eps=1e-5):
    """Normalise each channel over the batch."""
    channels = numpy.moveaxis(x, 1, 0)
    y, mean, variance = normalised(channels.reshape(x.shape[1], -1), eps)
    y = numpy.moveaxis(y.reshape(channels.shape), 0, 1)
    return y * _by_channel(weight, x, 1) + _by_channel(bias, x, 0), mean, variance


def batch_norm(
    x, running_mean=None, running_var=None, weight=None, bias=None, training=False, eps=1e-5
):
    """Normalise each channel by the statistics given, or by those of the batch."""
    if training or running_mean is None:
        return batch_norm_with_statistics(x, weight, bias, eps)[0]
    y = x - _by_channel(running_mean, x, 0)
    y = y / numpy.sqrt(_by_channel(running_var, x, 1) + x.dtype.type(eps))
    return y * _by_channel(weight, x, 1) + _by_channel(bias, x, 0)


REFERENCES = {
    "batch_norm": batch_norm,
    "batch_norm_with_statistics": batch_norm_with_statistics,
    "group_norm": group_norm,
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
}

_VARIANCE = Argument((3,), low=0.5, high=2.0)

CASES: list[Case] = [
    _case("layer_norm", lambda nn, x: nn.layer_norm(x, 4), (3, 4)),
    _case(
        "layer_norm",
        lambda nn, x, w, b: nn.layer_norm(x, (4,), w, b),
        (2, 3, 4),
        (4,),
        (4,),
        label="affine",
    ),
    _case("layer_norm", lambda nn, x, b: nn.layer_norm(x, 4, None, b), (4,), (4,), label="row"),
    _case(
        "layer_norm",
        lambda nn, x, w: nn.layer_norm(x, (3, 2), w, eps=0.1),
        (2, 3, 2),
        (3, 2),
        label="two_axes",
    ),
    _case("rms_norm", lambda nn, x: nn.rms_norm(x, 4), (3, 4)),
    _case("rms_norm", lambda nn, x, w: nn.rms_norm(x, 4, w, 0.1), (2, 3, 4), (4,), label="scaled"),
    _case("group_norm", lambda nn, x: nn.group_norm(x, 2), (2, 4)),
    _case(
        "group_norm",
        lambda nn, x, w, b: nn.group_norm(x, 2, w, b),
        (2, 4, 3),
        (4,),
        (4,),
        label="affine",
    ),
    *(
        _case(
            "batch_norm_with_statistics",
            lambda nn, x, w, b: nn.batch_norm_with_statistics(x, w, b),
            shape,
            (3,),
            (3,),
            label=f"{len(shape)}d",
        )
        for shape in ((4, 3), (2, 3, 4), (2, 3, 2, 2))
    ),
    _case(
        "batch_norm_with_statistics",
        lambda nn, x: nn.batch_norm_with_statistics(x, eps=0.1)[1:],
        (4, 3),
        label="statistics_only",
    ),
    _case("batch_norm", lambda nn, x, w: nn.batch_norm(x, None, None, w), (4, 3), (3,)),
    _case(
        "batch_norm",
        lambda nn, x, m, v: nn.batch_norm(x, m, v),
        (2, 3, 2),
        (3,),
        _VARIANCE,
        label="given",
    ),
    _case(
        "batch_norm",
        lambda nn, x, m, v, w, b: nn.batch_norm(x, m, v, w, b),
        (2, 3, 2, 2),
        (3,),
        _VARIANCE,
        (3,),
        (3,),
        label="given_affine",
    ),
]
