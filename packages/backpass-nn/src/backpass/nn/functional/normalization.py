"""Normalisation: batch norm, layer norm, RMS norm and group norm.

Each brings `x` to mean 0 and variance 1 over some axes, then scales and shifts:
`hat = (x - mean) * rstd` with `rstd = 1 / sqrt(variance + eps)`, and `hat * weight + bias`.  The
Jacobian of `hat` in `x` is symmetric, and so one formula, `_project`, serves both modes.

Half precision is computed in single, and only the result is rounded.

References
----------
S. Ioffe, C. Szegedy: Batch normalization, ICML 2015.  J. L. Ba, J. R. Kiros, G. E. Hinton: Layer
normalization, 2016.  B. Zhang, R. Sennrich: Root mean square layer normalization, NeurIPS 2019.
Y. Wu, K. He: Group normalization, ECCV 2018.
"""

from __future__ import annotations

import math
from typing import Any

import numpy

from backpass.core import Tensor
from backpass.core.dtypes import kind_of
from backpass.core.extend import defjvp, defvjp, elementwise, nondifferentiable, primitive
from backpass.core.ops.elementwise import add, divide, multiply, sqrt, square, subtract
from backpass.core.ops.reductions import mean_, sum_
from backpass.core.ops.shaping import as_operand, as_operand_beside, reshape
from backpass.core.segments import running_again
from backpass.nn.functional.parts import total
from backpass.nn.functional.precision import rounded, wide

Axes = tuple[int, ...]

# ----- the formulas that all of them share ------------------------------------------------------


def _mean(x: Any, axes: Axes) -> Any:
    return mean_.op(x, axis=axes, keepdims=True)


def _reciprocal_deviation(variance: Any, eps: float) -> Any:
    return divide.op(1.0, sqrt.op(add.op(variance, eps)))


def _standardise(x: Any, axes: Axes, eps: float, centred: bool) -> tuple[Any, Any]:
    """Return `hat` and `rstd`; where it is not `centred`, the mean counts as 0."""
    x = wide(x)
    if centred:
        x = subtract.op(x, _mean(x, axes))
    rstd = _reciprocal_deviation(_mean(square.op(x), axes), eps)
    return multiply.op(x, rstd), rstd


def _project(t: Any, hat: Any, rstd: Any, axes: Axes, centred: bool) -> Any:
    """Apply the Jacobian of `hat` in x to a tangent, or to a cotangent."""
    along = multiply.op(hat, _mean(multiply.op(t, hat), axes))
    if centred:
        t = subtract.op(t, _mean(t, axes))
    return multiply.op(subtract.op(t, along), rstd)


def _affine(hat: Any, weight: Any, bias: Any) -> Any:
    """Scale and shift; `None` leaves that out."""
    if weight is not None:
        hat = multiply.op(hat, weight)
    return hat if bias is None else add.op(hat, bias)


def _scaled(g: Any, weight: Any) -> Any:
    return g if weight is None else multiply.op(g, weight)


def _sum(g: Any, axes: Axes) -> Any:
    return sum_.op(g, axis=axes) if axes else g


# ----- what they are given ----------------------------------------------------------------------


def _operands(name: str, x: Any, *parameters: Any) -> list[Any]:
    """Return x and its parameters as operands; `None` stays."""
    x = as_operand(x)
    if kind_of(x.dtype) != "f":
        raise TypeError(f"{name}: x must hold floats, not {x.dtype}: use x.astype('float32')")
    return [x, *(None if p is None else as_operand_beside(p, x) for p in parameters)]


def _check_shapes(name: str, expected: Axes, whose: str, **parameters: Any) -> None:
    for parameter, value in parameters.items():
        if value is not None and tuple(value.shape) != expected:
            raise ValueError(
                f"{name}: {parameter} has shape {tuple(value.shape)}, expected {expected}, {whose}"
            )


def _check_eps(name: str, eps: float) -> float:
    if not eps >= 0:
        raise ValueError(f"{name}: eps is {eps}, expected a small number that is not negative")
    return float(eps)


# ----- layer norm and RMS norm: over the last axes ----------------------------------------------


@primitive(name="layer_norm")
def layer_norm_(
    xp: Any, x: Any, weight: Any, bias: Any, *, axes: Axes, eps: float, centred: bool
) -> Any:
    """Normalise over the last axes; where it is not `centred`, by the root mean square."""
    hat, _ = _standardise(x, axes, eps, centred)
    return rounded(_affine(hat, weight, bias), x, weight, bias)


def _layer_norm_back(
    g: Any, x: Any, weight: Any, bias: Any, *, axes: Axes, eps: float, centred: bool
) -> tuple[Any, Any, Any]:
    """Return the cotangents of x, weight and bias."""
    hat, rstd = _standardise(x, axes, eps, centred)
    g = wide(g)
    shared = tuple(range(axes[0]))
    return (
        _project(_scaled(g, weight), hat, rstd, axes, centred),
        None if weight is None else _sum(multiply.op(g, hat), shared),
        None if bias is None else _sum(g, shared),
    )


@primitive(outputs=3)
def layer_norm_back(xp: Any, g: Any, x: Any, weight: Any, bias: Any, **options: Any) -> Any:
    """Give the cotangents of `layer_norm`; they are differentiated as what they are made of."""
    return _layer_norm_back(g, x, weight, bias, **options)


nondifferentiable(layer_norm_back)


def _layer_norm_vjp(
    g: Any, x: Any, weight: Any, bias: Any, *, needs: Any, axes: Axes, eps: float, centred: bool
) -> Any:
    back = _layer_norm_back if isinstance(g, Tensor) else layer_norm_back.op
    return back(g, x, weight, bias, axes=axes, eps=eps, centred=centred)


def _layer_norm_jvp(
    ts: Any, ans: Any, x: Any, weight: Any, bias: Any, *, axes: Axes, eps: float, centred: bool
) -> Any:
    hat, rstd = _standardise(x, axes, eps, centred)
    to_x, to_weight, to_bias = ts
    moved = None
    if to_x is not None:
        moved = _scaled(_project(wide(to_x), hat, rstd, axes, centred), weight)
    return total((moved, None if to_weight is None else multiply.op(hat, to_weight), to_bias))


defvjp(layer_norm_, joint=_layer_norm_vjp)
defjvp(layer_norm_, joint=_layer_norm_jvp)


def _last_axes(name: str, x: Any, normalized_shape: Any) -> tuple[Axes, Axes]:
    """Return the normalised shape as a tuple, and its axes in x."""
    single = isinstance(normalized_shape, int | numpy.integer)
    shape = (int(normalized_shape),) if single else tuple(map(int, normalized_shape))
    if not shape or min(shape) < 1:
        raise ValueError(
            f"{name}: normalized_shape is {shape}, expected the lengths of axes, 1 at least"
        )
    if tuple(x.shape[-len(shape) :]) != shape:
        raise ValueError(
            f"{name}: x has shape {tuple(x.shape)}, expected its last axes to be {shape}, "
            "normalized_shape"
        )
    ndim = len(x.shape)
    return shape, tuple(range(ndim - len(shape), ndim))


def layer_norm(
    x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Tensor:
    """Bring the last axes to mean 0 and variance 1, then scale and shift them.

    Parameters
    ----------
    x : array of floats, shape (..., *normalized_shape)
        What is normalised, each `x[i, j, ...]` by itself.
    normalized_shape : int or tuple of int
        The lengths of the last axes.
    weight, bias : array, shape normalized_shape, optional
        Scale and shift.
    eps : float
        Added to the variance.

    Returns
    -------
    Tensor
        Of the shape of `x`.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    TypeError
        If `x` does not hold floats.

    References
    ----------
    J. L. Ba, J. R. Kiros, G. E. Hinton: Layer normalization, 2016.

    Examples
    --------
    >>> import backpass.nn.functional as F
    >>> F.layer_norm([[1.0, 2.0, 3.0]], 3, eps=0).value.round(4)
    array([[-1.2247,  0.    ,  1.2247]])
    """
    x, weight, bias = _operands("layer_norm", x, weight, bias)
    shape, axes = _last_axes("layer_norm", x, normalized_shape)
    _check_shapes("layer_norm", shape, "normalized_shape", weight=weight, bias=bias)
    eps = _check_eps("layer_norm", eps)
    return layer_norm_(x, weight, bias, axes=axes, eps=eps, centred=True)  # type: ignore[no-any-return]


def rms_norm(x: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Tensor:
    """Divide the last axes by their root mean square, then scale them.

    Parameters
    ----------
    x : array of floats, shape (..., *normalized_shape)
        What is normalised, each `x[i, j, ...]` by itself.
    normalized_shape : int or tuple of int
        The lengths of the last axes.
    weight : array, shape normalized_shape, optional
        Scale.
    eps : float, optional
        Added to the mean square; by default the spacing of floats of the dtype of `x` at 1.

    Returns
    -------
    Tensor
        Of the shape of `x`.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    TypeError
        If `x` does not hold floats.

    References
    ----------
    B. Zhang, R. Sennrich: Root mean square layer normalization, NeurIPS 2019.

    Examples
    --------
    >>> import backpass.nn.functional as F
    >>> F.rms_norm([[3.0, 4.0]], 2, eps=0).value.round(4)
    array([[0.8485, 1.1314]])
    """
    x, weight = _operands("rms_norm", x, weight)
    shape, axes = _last_axes("rms_norm", x, normalized_shape)
    _check_shapes("rms_norm", shape, "normalized_shape", weight=weight)
    eps = float(numpy.finfo(x.dtype).eps) if eps is None else _check_eps("rms_norm", eps)
    return layer_norm_(x, weight, None, axes=axes, eps=eps, centred=False)  # type: ignore[no-any-return]


def group_norm(
    x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Tensor:
    """Bring groups of channels to mean 0 and variance 1, then scale and shift each channel.

    Parameters
    ----------
    x : array of floats, shape (n, channels, ...)
        What is normalised, each `x[i]` by itself.
    num_groups : int
        In how many groups the channels are divided.
    weight, bias : array, shape (channels,), optional
        Scale and shift.
    eps : float
        Added to the variance.

    Returns
    -------
    Tensor
        Of the shape of `x`.

    Raises
    ------
    ValueError
        If the shapes do not fit, or the channels do not divide.
    TypeError
        If `x` does not hold floats.

    References
    ----------
    Y. Wu, K. He: Group normalization, ECCV 2018.

    Examples
    --------
    >>> import backpass.nn.functional as F
    >>> F.group_norm([[1.0, 3.0, 10.0, 14.0]], 2, eps=0)
    Tensor([[-1.,  1., -1.,  1.]])
    """
    x, weight, bias = _operands("group_norm", x, weight, bias)
    channels = _channels("group_norm", x)
    _check_shapes("group_norm", (channels,), "one for each channel", weight=weight, bias=bias)
    if 0 in x.shape[1:]:
        raise ValueError(f"group_norm: x has shape {tuple(x.shape)}, expected numbers to normalise")
    if num_groups < 1 or channels % num_groups:
        raise ValueError(
            f"group_norm: num_groups is {num_groups}, expected a divisor of {channels}, the number "
            "of channels"
        )
    eps = _check_eps("group_norm", eps)
    whole = tuple(x.shape)
    rows = reshape.op(x, shape=(whole[0], num_groups, math.prod(whole[1:]) // num_groups))
    hat = layer_norm_(rows, None, None, axes=(2,), eps=eps, centred=True)
    hat = reshape.op(hat, shape=whole)
    return _affine(hat, _per_channel(weight, x), _per_channel(bias, x))  # type: ignore[no-any-return]


# ----- batch norm: over all axes but the channels' ----------------------------------------------


def _channels(name: str, x: Any) -> int:
    if len(x.shape) < 2:
        raise ValueError(f"{name}: x has shape {tuple(x.shape)}, expected (n, channels, ...)")
    return int(x.shape[1])


def _per_channel(parameter: Any, x: Any) -> Any:
    """Return an array of shape (channels,) as one that broadcasts with x; `None` stays."""
    if parameter is None:
        return None
    return reshape.op(parameter, shape=(-1,) + (1,) * (len(x.shape) - 2))


def _but_channels(x: Any) -> Axes:
    return (0, *range(2, len(x.shape)))


@primitive(name="batch_norm", outputs=3)
def batch_norm_(xp: Any, x: Any, weight: Any, bias: Any, *, eps: float) -> Any:
    """Normalise each channel over the batch; give its mean and variance, too."""
    axes = _but_channels(x)
    deviation = wide(x)
    mean = _mean(deviation, axes)
    deviation = subtract.op(deviation, mean)
    variance = _mean(square.op(deviation), axes)
    scale = _scaled(_reciprocal_deviation(variance, eps), _per_channel(weight, x))
    y = _affine(deviation, scale, _per_channel(bias, x))
    return rounded(y, x, weight, bias), mean.reshape(-1), variance.reshape(-1)


def _hat_of_batch(x: Any, mean: Any, variance: Any, eps: float) -> tuple[Any, Any]:
    """Return `hat` and `rstd`, from the statistics that the output has."""
    rstd = _reciprocal_deviation(_per_channel(variance, x), eps)
    return multiply.op(subtract.op(wide(x), _per_channel(mean, x)), rstd), rstd


def _batch_norm_back(
    x: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    variance: Any,
    g: Any,
    to_mean: Any,
    to_variance: Any,
    *,
    eps: float,
) -> tuple[Any, Any, Any]:
    """Return the cotangents of x, weight and bias for those of the outputs, `None` for unused."""
    hat, rstd = _hat_of_batch(x, mean, variance, eps)
    axes = _but_channels(x)
    parts: list[Any] = []
    to_weight = to_bias = None
    if g is not None:
        g = wide(g)
        parts.append(_project(_scaled(g, _per_channel(weight, x)), hat, rstd, axes, True))
        to_weight = None if weight is None else _sum(multiply.op(g, hat), axes)
        to_bias = None if bias is None else _sum(g, axes)
    n = _length(x)
    if to_mean is not None:
        parts.append(multiply.op(_per_channel(to_mean, x), 1 / n))
    if to_variance is not None:
        # The deviation from the mean is hat / rstd.
        slope = divide.op(multiply.op(_per_channel(to_variance, x), 2 / n), rstd)
        parts.append(multiply.op(hat, slope))
    return total(parts), to_weight, to_bias


@primitive(outputs=3)
def batch_norm_back(
    xp: Any,
    x: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    variance: Any,
    g: Any,
    to_mean: Any,
    to_variance: Any,
    *,
    eps: float,
) -> Any:
    """Give the cotangents of `batch_norm`; they are differentiated as what they are made of."""
    return _batch_norm_back(x, weight, bias, mean, variance, g, to_mean, to_variance, eps=eps)


nondifferentiable(batch_norm_back)


def _batch_norm_vjp(
    g: Any, ans: Any, x: Any, weight: Any, bias: Any, *, needs: Any, eps: float
) -> Any:
    on_tensors = any(isinstance(part, Tensor) for part in g)
    back = _batch_norm_back if on_tensors else batch_norm_back.op
    return back(x, weight, bias, *ans[1:], *g, eps=eps)


def _batch_norm_jvp(ts: Any, ans: Any, x: Any, weight: Any, bias: Any, *, eps: float) -> Any:
    _, mean, variance = ans
    hat, rstd = _hat_of_batch(x, mean, variance, eps)
    axes = _but_channels(x)
    to_x, to_weight, to_bias = ts
    moved = to_mean = to_variance = None
    if to_x is not None:
        to_x = wide(to_x)
        moved = _scaled(_project(to_x, hat, rstd, axes, True), _per_channel(weight, x))
        to_mean = mean_.op(to_x, axis=axes)
        along = divide.op(_mean(multiply.op(to_x, hat), axes), rstd)
        to_variance = multiply.op(reshape.op(along, shape=(-1,)), 2.0)
    if to_weight is not None:
        to_weight = multiply.op(hat, _per_channel(to_weight, x))
    return total((moved, to_weight, _per_channel(to_bias, x))), to_mean, to_variance


defvjp(batch_norm_, joint=_batch_norm_vjp)
defjvp(batch_norm_, joint=_batch_norm_jvp)


@primitive
def shift_scale(xp: Any, x: Any, centre: Any, scale: Any, bias: Any) -> Any:
    """(x - centre) * scale + bias, elementwise: batch norm with given statistics."""
    return (x - centre) * scale + bias


elementwise(
    shift_scale,
    lambda scale: scale,
    lambda scale: -scale,
    lambda x, centre: x - centre,
    lambda: 1.0,
)


def _length(x: Any) -> int:
    """Return over how many elements of each channel batch norm takes its mean."""
    return math.prod(int(x.shape[i]) for i in _but_channels(x))


def _batch_operands(name: str, x: Any, *parameters: Any) -> list[Any]:
    operands = _operands(name, x, *parameters)
    channels = _channels(name, operands[0])
    names = ("weight", "bias", "running_mean", "running_var")
    given = dict(zip(names, operands[1:]))
    _check_shapes(name, (channels,), "one for each channel of x", **given)
    return operands


def batch_norm_with_statistics(
    x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> tuple[Tensor, Tensor, Tensor]:
    """Bring each channel to mean 0 and variance 1 over the batch; return these statistics, too.

    Parameters
    ----------
    x : array of floats, shape (n, channels, ...)
        The batch.
    weight, bias : array, shape (channels,), optional
        Scale and shift.
    eps : float
        Added to the variance.

    Returns
    -------
    y : Tensor
        Of the shape of `x`.
    mean, variance : Tensor, shape (channels,)
        Of the batch; the variance is the mean square, not corrected for the number of samples.
        Like `y` they can be differentiated.  float32 where `x` is float16.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a channel has a single number, whose variance says nothing.
    TypeError
        If `x` does not hold floats.

    References
    ----------
    S. Ioffe, C. Szegedy: Batch normalization, ICML 2015.

    Examples
    --------
    >>> import backpass.nn.functional as F
    >>> y, mean, variance = F.batch_norm_with_statistics([[1.0], [3.0]], eps=0)
    >>> y.T, mean, variance
    (Tensor([[-1.,  1.]]), Tensor([2.]), Tensor([1.]))
    """
    x, weight, bias = _batch_operands("batch_norm", x, weight, bias)
    if _length(x) < 2:
        raise ValueError(
            f"batch_norm: x has shape {tuple(x.shape)}, expected more than one number for each "
            "channel where the statistics are those of the batch; pass training=False to take the "
            "running ones"
        )
    return batch_norm_(x, weight, bias, eps=_check_eps("batch_norm", eps))  # type: ignore[no-any-return]


def batch_norm(
    x: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Bring each channel to mean 0 and variance 1, by the batch's statistics or by running ones.

    Parameters
    ----------
    x : array of floats, shape (n, channels, ...)
        The batch.
    running_mean, running_var : Tensor, shape (channels,), optional
        The statistics to use; where `training` is set, they are not used but brought up to date:
        `running += momentum * (batch - running)`, with the variance corrected for the number of
        samples.  Their `.value` is replaced, so that they must be Tensors then, and not tracked; a
        function that runs again because of `checkpoint` leaves them alone.
    weight, bias : array, shape (channels,), optional
        Scale and shift.
    training : bool
        Whether to normalise by the statistics of the batch; without running ones this is done
        always.
    momentum : float
        The weight of the batch in the running statistics.
    eps : float
        Added to the variance.

    Returns
    -------
    Tensor
        Of the shape of `x`.

    Raises
    ------
    ValueError
        If the shapes do not fit; if only one of the statistics is given; if a channel has a single
        number where its variance is needed.
    TypeError
        If `x` does not hold floats, or running statistics that are to be written are no Tensors.

    References
    ----------
    S. Ioffe, C. Szegedy: Batch normalization, ICML 2015.

    Examples
    --------
    >>> import backpass.nn.functional as F
    >>> F.batch_norm([[1.0], [3.0]], training=True, eps=0)
    Tensor([[-1.],
           [ 1.]])
    >>> F.batch_norm([[1.0], [3.0]], [1.0], [4.0], eps=0)
    Tensor([[0.],
           [1.]])
    """
    if (running_mean is None) != (running_var is None):
        raise ValueError("batch_norm: pass running_mean and running_var, both of them or neither")
    if running_mean is None:
        return batch_norm_with_statistics(x, weight, bias, eps)[0]
    if training:
        _check_running(running_mean=running_mean, running_var=running_var)
        y, mean, variance = batch_norm_with_statistics(x, weight, bias, eps)
        _check_shapes(
            "batch_norm",
            tuple(mean.shape),
            "one for each channel of x",
            running_mean=running_mean,
            running_var=running_var,
        )
        if running_again():
            return y
        n = _length(y)
        _follow(running_mean, mean.value, momentum)
        _follow(running_var, variance.value * (n / (n - 1)), momentum)
        return y
    x, weight, bias, mean, variance = _batch_operands(
        "batch_norm", x, weight, bias, running_mean, running_var
    )
    scale = _scaled(_reciprocal_deviation(variance, _check_eps("batch_norm", eps)), weight)
    operands = (_per_channel(p, x) for p in (mean, scale))
    shift = 0.0 if bias is None else _per_channel(bias, x)
    return shift_scale(x, *operands, shift)  # type: ignore[no-any-return]


def _check_running(**statistics: Any) -> None:
    for name, running in statistics.items():
        if not isinstance(running, Tensor):
            raise TypeError(
                f"batch_norm: {name} is a {type(running).__name__}, expected a Tensor, such as "
                "a Buffer: with training=True its value is replaced"
            )


def _follow(running: Tensor, batch: Any, momentum: float) -> None:
    """Bring a running statistic nearer to that of a batch."""
    old = running.value
    running.value = (old + momentum * (batch - old)).astype(old.dtype, copy=False)


__all__ = [
    "batch_norm",
    "batch_norm_with_statistics",
    "group_norm",
    "layer_norm",
    "rms_norm",
]
