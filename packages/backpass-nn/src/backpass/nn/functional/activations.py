"""Activations: functions of single numbers between layers, and the softmax.

None of them overflows, and at infinity each has its limit.  At a kink the derivative is the
sub-gradient of least norm.  `sigmoid`, `tanh`, `logsigmoid`, `softmax` and `log_softmax` are the
primitives that `backpass.numpy` and `backpass.scipy.special` have under these or other names.

Examples
--------
>>> import backpass.numpy as np
>>> from backpass.core import grad
>>> from backpass.nn.functional import relu, silu
>>> relu(np.array([-1.0, 0.0, 2.0]))
Tensor([0., 0., 2.])
>>> grad(lambda x: np.sum(relu(x)))(np.array([-1.0, 0.0, 2.0]))
array([0., 0., 1.])
>>> silu(np.array([-1000.0, 0.0, 1000.0]))
Tensor([   0.,    0., 1000.])
"""

from __future__ import annotations

import math
from typing import Any

from backpass.core import Tensor
from backpass.core.extend import defjvp, defvjp, elementwise, primitive
from backpass.core.ops.elementwise import (
    absolute,
    exp,
    expit,
    expm1,
    fmin,
    greater,
    greater_equal,
    isinf,
    less,
    less_equal,
    logaddexp,
    maximum,
    minimum,
    negative,
    sign,
    tanh,
    where,
    zero_multiply,
)
from backpass.core.ops.indexing import getitem
from backpass.core.ops.shaping import as_operand, concatenate_arrays, normalize_axis, reshape
from backpass.core.ops.special.error import erfc
from backpass.core.ops.special.exponential_sums import log_softmax_, softmax_
from backpass.core.ops.special.logistic import log_expit

# ----- straight on both sides of a kink ---------------------------------------------------------


@primitive
def relu(xp: Any, x: Any) -> Any:
    """Return max(x, 0); its derivative is 1 where x > 0 and 0 elsewhere, at 0, too.

    V. Nair and G. E. Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML
    2010.
    """
    return maximum.op(x, 0)


def _passed(above: Any) -> Any:
    """Return 0 where what is above a bound is 0, and 1 where it is more, or nan."""
    # In the dtype of `above`, which a comparison would not be.
    return sign.op(fmin.op(above, 1.0))


elementwise(relu, lambda ans: _passed(ans), selects=True)


def _bent(x: Any, left: Any, first: float) -> Any:
    """Return the slope of a function that is x right of 0 and has the slope `left` left of it.

    `first` is the slope just left of 0.
    """
    at_most_0 = left
    if not 0 <= first <= 1:
        at_most_0 = where.op(less.op(x, 0), left, 1.0 if first > 1 else 0.0)
    return where.op(greater.op(x, 0), sign.op(x), at_most_0)


@primitive(name="leaky_relu")
def leaky_relu_(xp: Any, x: Any, *, negative_slope: float = 0.01) -> Any:
    """Return x where it is positive, negative_slope * x elsewhere."""
    return where.op(greater.op(x, 0), x, negative_slope * x)


elementwise(
    leaky_relu_,
    lambda x, *, negative_slope=0.01: _bent(x, negative_slope, negative_slope),
)


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Tensor:
    """Return x where it is positive, and ``negative_slope * x`` elsewhere.

    Parameters
    ----------
    x : array_like
        Of any shape.
    negative_slope : float
        The derivative where x is negative. At 0 the derivative is the number between it and 1 that
        is nearest to 0.

    Returns
    -------
    Tensor
        Of the shape and dtype of `x`.

    Notes
    -----
    A. L. Maas, A. Y. Hannun and A. Y. Ng, "Rectifier nonlinearities improve neural network
    acoustic models", ICML 2013.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> leaky_relu(np.array([-2.0, 3.0]), 0.1)
    Tensor([-0.2,  3. ])
    """
    return leaky_relu_(x, negative_slope=float(negative_slope))  # type: ignore[no-any-return]


@primitive(name="prelu")
def prelu_(xp: Any, x: Any, weight: Any) -> Any:
    """Return x where it is positive, weight * x elsewhere."""
    return where.op(greater.op(x, 0), x, weight * x)


def _prelu_slope(x: Any, weight: Any) -> Any:
    nearest = minimum.op(maximum.op(weight, 0.0), 1.0)
    return where.op(greater.op(x, 0), 1.0, where.op(less.op(x, 0), weight, nearest))


elementwise(
    prelu_,
    lambda x, weight: _prelu_slope(x, weight),
    lambda x: minimum.op(x, 0.0),
)


def prelu(x: Any, weight: Any) -> Tensor:
    """Return x where it is positive, and ``weight * x`` elsewhere: `leaky_relu` that is trained.

    Parameters
    ----------
    x : array_like, shape (N, C, ...) or any
        With the channels along axis 1; along axis 0 if it has one axis only.
    weight : array_like, shape (C,) or (1,)
        The slope for each channel, or one for all.

    Returns
    -------
    Tensor
        Of the shape of `x`.

    Raises
    ------
    ValueError
        If there are neither as many slopes as channels, nor one.

    Notes
    -----
    K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers", ICCV 2015.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> prelu(np.array([[-2.0, -2.0, 3.0]]), np.array([0.1, 0.2, 0.3]))
    Tensor([[-0.2, -0.4,  3. ]])
    """
    x, weight = as_operand(x), as_operand(weight)
    axis = min(1, len(x.shape) - 1)
    channels = x.shape[axis] if axis >= 0 else 1
    count = math.prod(weight.shape)
    if len(weight.shape) > 1 or count not in (1, channels):
        raise ValueError(
            f"prelu: `weight` has shape {weight.shape}, but `x` of shape {x.shape} has {channels} "
            f"channels: `weight` must have shape ({channels},), or (1,)"
        )
    shape = (1,) * axis + (count,) + (1,) * (len(x.shape) - axis - 1) if axis >= 0 else ()
    return prelu_(x, reshape.op(weight, shape=shape))  # type: ignore[no-any-return]


@primitive(name="hardtanh")
def hardtanh_(xp: Any, x: Any, *, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """Return x, but no less than min_val and no more than max_val."""
    return minimum.op(maximum.op(x, min_val), max_val)


elementwise(
    hardtanh_,
    lambda ans, *, min_val=-1.0, max_val=1.0: _passed(ans - min_val) * _passed(max_val - ans),
    selects=True,
)


def hardtanh(x: Any, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """Return x, but no less than `min_val` and no more than `max_val`.

    The derivative is 1 between the bounds, and 0 at them and beyond.

    Parameters
    ----------
    x : array_like
        Of any shape.
    min_val, max_val : float
        The bounds.

    Returns
    -------
    Tensor
        Of the shape and dtype of `x`.

    Raises
    ------
    ValueError
        If `min_val` is not less than `max_val`.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> hardtanh(np.array([-2.0, 0.5, 3.0]))
    Tensor([-1. ,  0.5,  1. ])
    """
    if not min_val < max_val:
        raise ValueError(
            f"hardtanh: `min_val` is {min_val} and `max_val` {max_val}: the first must be less"
        )
    return hardtanh_(x, min_val=float(min_val), max_val=float(max_val))  # type: ignore[no-any-return]


def relu6(x: Any) -> Tensor:
    """Return min(max(x, 0), 6); its derivative is 1 where 0 < x < 6, and 0 elsewhere.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> relu6(np.array([-1.0, 5.0, 7.0]))
    Tensor([0., 5., 6.])
    """
    return hardtanh_(x, min_val=0.0, max_val=6.0)  # type: ignore[no-any-return]


@primitive
def hardsigmoid(xp: Any, x: Any) -> Any:
    """Return x / 6 + 1 / 2, but no less than 0 and no more than 1.

    Its derivative is 1 / 6 where -3 < x < 3, and 0 elsewhere.
    """
    return minimum.op(maximum.op(x / 6 + 0.5, 0.0), 1.0)


elementwise(hardsigmoid, lambda ans: _passed(ans) * _passed(1 - ans) / 6, selects=True)


@primitive
def hardswish(xp: Any, x: Any) -> Any:
    """Return x * hardsigmoid(x): 0 up to -3, x from 3 on; its derivative is x / 3 + 1 / 2 between.

    A. Howard et al., "Searching for MobileNetV3", ICCV 2019.
    """
    inner = minimum.op(maximum.op(x, -3.0), 3.0)
    return where.op(less.op(x, 3), inner * (inner / 6 + 0.5), x)


elementwise(
    hardswish,
    lambda x: where.op(
        less_equal.op(x, -3), 0.0, where.op(greater_equal.op(x, 3), 1.0, x / 3 + 0.5)
    ),
)

# ----- exponential on the left ------------------------------------------------------------------


@primitive(name="elu")
def elu_(xp: Any, x: Any, *, alpha: float = 1.0) -> Any:
    """Return x where it is positive, alpha * (exp(x) - 1) elsewhere."""
    return where.op(greater.op(x, 0), x, alpha * expm1.op(minimum.op(x, 0)))


def _falling(x: Any) -> Any:
    """Return exp(x) left of 0; what is right of it must not overflow, and is not used."""
    return exp.op(where.op(greater.op(x, 0), 0.0, x))


elementwise(elu_, lambda x, *, alpha=1.0: _bent(x, alpha * _falling(x), alpha))


def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """Return x where it is positive, and ``alpha * (exp(x) - 1)`` elsewhere.

    Parameters
    ----------
    x : array_like
        Of any shape.
    alpha : float
        Minus the limit for x to -inf. At 0 the derivative is the number between it and 1 that is
        nearest to 0.

    Returns
    -------
    Tensor
        Of the shape and dtype of `x`.

    Notes
    -----
    D.-A. Clevert, T. Unterthiner and S. Hochreiter, "Fast and accurate deep network learning by
    exponential linear units (ELUs)", ICLR 2016.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> elu(np.array([-1000.0, 0.0, 2.0]))
    Tensor([-1.,  0.,  2.])
    """
    return elu_(x, alpha=float(alpha))  # type: ignore[no-any-return]


@primitive(name="celu")
def celu_(xp: Any, x: Any, *, alpha: float = 1.0) -> Any:
    """Return x where it is positive, alpha * (exp(x / alpha) - 1) elsewhere."""
    return where.op(greater.op(x, 0), x, alpha * expm1.op(minimum.op(x, 0) / alpha))


elementwise(celu_, lambda x, *, alpha=1.0: _bent(x, _falling(x / alpha), 1.0))


def celu(x: Any, alpha: float = 1.0) -> Tensor:
    """Return x where it is positive, and ``alpha * (exp(x / alpha) - 1)`` elsewhere.

    The derivative is continuous.

    Parameters
    ----------
    x : array_like
        Of any shape.
    alpha : float
        Minus the limit for x to -inf; positive.

    Returns
    -------
    Tensor
        Of the shape and dtype of `x`.

    Raises
    ------
    ValueError
        If `alpha` is not positive.

    Notes
    -----
    J. T. Barron, "Continuously differentiable exponential linear units", 2017, arXiv:1704.07483.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> celu(np.array([-1000.0, 0.0, 2.0]), 0.5)
    Tensor([-0.5,  0. ,  2. ])
    """
    if not alpha > 0:
        raise ValueError(f"celu: `alpha` is {alpha}, but it must be positive")
    return celu_(x, alpha=float(alpha))  # type: ignore[no-any-return]


#: The fixed point of mean 0 and variance 1: equation 14 of the paper.
_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805


@primitive
def selu(xp: Any, x: Any) -> Any:
    """Return 1.0507 * elu(x, 1.6733), which keeps mean 0 and variance 1 through dense layers.

    Its derivative at 0 is that from the right, 1.0507.

    G. Klambauer, T. Unterthiner, A. Mayr and S. Hochreiter, "Self-normalizing neural networks",
    NeurIPS 2017.
    """
    left = _SELU_ALPHA * expm1.op(minimum.op(x, 0))
    return _SELU_SCALE * where.op(greater.op(x, 0), x, left)


elementwise(selu, lambda x: _SELU_SCALE * _bent(x, _SELU_ALPHA * _falling(x), _SELU_ALPHA))

# ----- x times a smooth step from 0 to 1 --------------------------------------------------------


def _within(x: Any, bound: float) -> Any:
    """Return x, but no farther from 0 than `bound`: the steps are exactly 0 and 1 beyond."""
    return minimum.op(maximum.op(x, -bound), bound)


# The steps' products with x are strongly 0: at -inf, too.

#: Where the steps have got to 0 and 1 in double precision.
_NORMAL, _CUBIC, _LOGISTIC = 40.0, 30.0, 800.0
_SLOPE, _THIRD = math.sqrt(8 / math.pi), 0.044715


def _normal_step(x: Any) -> Any:
    """Return the distribution function of the normal distribution."""
    return 0.5 * erfc.op(-math.sqrt(0.5) * x)


def _cubic_step(x: Any) -> Any:
    """Return (1 + tanh(u)) / 2 = expit(2 u), u = sqrt(2 / pi) * (x + 0.044715 * x**3)."""
    return expit.op(_SLOPE * x * (1 + _THIRD * x * x))


@primitive(name="gelu")
def gelu_(xp: Any, x: Any, *, approximate: str = "none") -> Any:
    """Return x times the normal distribution's share below x."""
    if approximate == "tanh":
        return zero_multiply.op(_cubic_step(_within(x, _CUBIC)), x)
    return zero_multiply.op(_normal_step(x), x)


def _gelu_slope(x: Any, *, approximate: str = "none") -> Any:
    if approximate == "tanh":
        x = _within(x, _CUBIC)
        step = _cubic_step(x)
        return step + x * step * (1 - step) * (_SLOPE * (1 + 3 * _THIRD * x * x))
    x = _within(x, _NORMAL)
    return _normal_step(x) + x * exp.op(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))


elementwise(gelu_, _gelu_slope)


def gelu(x: Any, approximate: str = "none") -> Tensor:
    """Return x times the share of the normal distribution that lies below x.

    Parameters
    ----------
    x : array_like
        Of any shape.
    approximate : {"none", "tanh"}
        Whether that share is ``(1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2``, which is off
        by less than 0.0003, instead.

    Returns
    -------
    Tensor
        Of the shape and dtype of `x`.

    Raises
    ------
    ValueError
        If `approximate` is something else.

    Notes
    -----
    D. Hendrycks and K. Gimpel, "Gaussian error linear units (GELUs)", 2016, arXiv:1606.08415.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> gelu(np.array([-1000.0, 0.0, 1.0]))
    Tensor([0.        , 0.        , 0.84134475])
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: `approximate` is {approximate!r}: it must be 'none' or 'tanh'")
    return gelu_(x, approximate=approximate)  # type: ignore[no-any-return]


@primitive
def silu(xp: Any, x: Any) -> Any:
    """Return x * sigmoid(x), also called swish; its derivative is s * (1 + x * (1 - s)).

    S. Elfwing, E. Uchibe and K. Doya, "Sigmoid-weighted linear units for neural network function
    approximation in reinforcement learning", Neural Networks 107, 2018, pp. 3-11.
    """
    return zero_multiply.op(expit.op(x), x)


def _silu_slope(x: Any) -> Any:
    x = _within(x, _LOGISTIC)
    return expit.op(x) * (1 + x * expit.op(-x))


elementwise(silu, lambda x: _silu_slope(x))


def _mish_step(x: Any) -> Any:
    """Return tanh(log(1 + exp(x))): in q = 1 / (1 + exp(x)) it is (1 - q**2) / (1 + q**2)."""
    q = expit.op(-x)
    return expit.op(x) * (1 + q) / (1 + q * q)


@primitive
def mish(xp: Any, x: Any) -> Any:
    """Return x * tanh(softplus(x)).

    D. Misra, "Mish: a self regularized non-monotonic activation function", BMVC 2020.
    """
    return zero_multiply.op(_mish_step(x), x)


def _mish_slope(x: Any) -> Any:
    x = _within(x, _LOGISTIC)
    q = expit.op(-x)
    ratio = q / (1 + q * q)
    return _mish_step(x) + 4 * x * expit.op(x) * ratio * ratio


elementwise(mish, lambda x: _mish_slope(x))

# ----- smooth versions of relu and sign ---------------------------------------------------------


@primitive(name="softplus")
def softplus_(xp: Any, x: Any, *, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """Return log(1 + exp(beta * x)) / beta, and x where beta * x is above the threshold."""
    u = beta * x
    return where.op(greater.op(u, threshold), x, logaddexp.op(u, 0.0) / beta)


elementwise(
    softplus_,
    lambda x, *, beta=1.0, threshold=20.0: where.op(
        greater.op(beta * x, threshold), 1.0, expit.op(beta * x)
    ),
)


def softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """Return ``log(1 + exp(beta * x)) / beta``, a smooth version of `relu`.

    Parameters
    ----------
    x : array_like
        Of any shape.
    beta : float
        How sharply it bends; not 0.
    threshold : float
        Where ``beta * x`` is above it, x is returned, as in PyTorch: it is off by
        ``exp(-threshold) / beta`` there. With ``numpy.inf`` the formula holds everywhere; it does
        not overflow.

    Returns
    -------
    Tensor
        Of the shape and dtype of `x`.

    Raises
    ------
    ValueError
        If `beta` is 0.

    Notes
    -----
    C. Dugas et al., "Incorporating second-order functional knowledge for better option pricing",
    NeurIPS 2000.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> softplus(np.array([-1000.0, 0.0, 1000.0]))
    Tensor([0.00000000e+00, 6.93147181e-01, 1.00000000e+03])
    """
    if beta == 0:
        raise ValueError("softplus: `beta` is 0: use another number, 1 is usual")
    return softplus_(x, beta=float(beta), threshold=float(threshold))  # type: ignore[no-any-return]


@primitive
def softsign(xp: Any, x: Any) -> Any:
    """Return x / (1 + |x|); its derivative is 1 / (1 + |x|)**2."""
    infinite = isinf.op(x)
    finite = where.op(infinite, 0.0, x)
    return where.op(infinite, sign.op(x), finite / (1 + absolute.op(finite)))


def _softsign_slope(x: Any) -> Any:
    root = 1 / (1 + absolute.op(x))
    return root * root


elementwise(softsign, lambda x: _softsign_slope(x))

#: 1 / (1 + exp(-x)), without overflow; its derivative is y * (1 - y).
sigmoid = expit
#: The logarithm of `sigmoid`, exact where that is 0 in floats; its derivative is sigmoid(-x).
logsigmoid = log_expit

# ----- along an axis ----------------------------------------------------------------------------


def softmax(x: Any, axis: int | tuple[int, ...] = -1) -> Tensor:
    """Return exp(x) / sum(exp(x)) along an axis: positive numbers whose sum is 1.

    Parameters
    ----------
    x : array_like
        Logits, of any shape and size.
    axis : int or tuple of int
        Along which the sum is 1.

    Returns
    -------
    Tensor
        Of the shape and dtype of `x`.

    See Also
    --------
    backpass.scipy.special.softmax : The same, with another default for `axis`.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> softmax(np.array([1000.0, 1000.0, -1000.0]))
    Tensor([0.5, 0.5, 0. ])
    """
    return softmax_(x, axis=axis)  # type: ignore[no-any-return]


def log_softmax(x: Any, axis: int | tuple[int, ...] = -1) -> Tensor:
    """Return the logarithm of `softmax`, exact where that is 0 in floats.

    Parameters
    ----------
    x : array_like
        Logits, of any shape and size.
    axis : int or tuple of int
        Along which the exponentials add up to 1.

    Returns
    -------
    Tensor
        Of the shape and dtype of `x`.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> log_softmax(np.array([1000.0, 0.0]))
    Tensor([    0., -1000.])
    """
    return log_softmax_(x, axis=axis)  # type: ignore[no-any-return]


def softmin(x: Any, axis: int | tuple[int, ...] = -1) -> Tensor:
    """Return `softmax` of -x.

    Parameters
    ----------
    x : array_like
        Of any shape and size.
    axis : int or tuple of int
        Along which the sum is 1.

    Returns
    -------
    Tensor
        Of the shape and dtype of `x`.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> softmin(np.array([1000.0, 1000.0, 2000.0]))
    Tensor([0.5, 0.5, 0. ])
    """
    return softmax_(negative.op(as_operand(x)), axis=axis)  # type: ignore[no-any-return]


def _halves(x: Any, axis: int) -> tuple[Any, Any]:
    middle = x.shape[axis] // 2
    before = (slice(None),) * axis
    return (
        getitem.op(x, index=(*before, slice(None, middle))),
        getitem.op(x, index=(*before, slice(middle, None))),
    )


@primitive(name="glu")
def glu_(xp: Any, x: Any, *, axis: int) -> Any:
    """Return the first half along an axis times the sigmoid of the second."""
    a, b = _halves(x, axis)
    return zero_multiply.op(expit.op(b), a)


def _glu_vjp(g: Any, x: Any, *, axis: int) -> Any:
    a, b = _halves(x, axis)
    s = expit.op(b)
    first = zero_multiply.op(g, s)
    return concatenate_arrays([first, zero_multiply.op(first, a * (1 - s))], axis=axis)


def _glu_jvp(t: Any, x: Any, *, axis: int) -> Any:
    (a, b), (ta, tb) = _halves(x, axis), _halves(t, axis)
    s = expit.op(b)
    return zero_multiply.op(ta, s) + zero_multiply.op(tb, a * (s * (1 - s)))


defvjp(glu_, _glu_vjp)
defjvp(glu_, _glu_jvp)


def glu(x: Any, axis: int = -1) -> Tensor:
    """Return ``a * sigmoid(b)``, where a and b are the halves of x along an axis.

    Parameters
    ----------
    x : array_like
        Of even length along `axis`.
    axis : int
        The axis that is halved.

    Returns
    -------
    Tensor
        Half as long as `x` along `axis`.

    Raises
    ------
    ValueError
        If the length is odd.
    numpy.exceptions.AxisError
        If there is no such axis.

    Notes
    -----
    Y. N. Dauphin, A. Fan, M. Auli and D. Grangier, "Language modeling with gated convolutional
    networks", ICML 2017.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> glu(np.array([1.0, 2.0, 0.0, 1000.0]))
    Tensor([0.5, 2. ])
    """
    x = as_operand(x)
    axis = normalize_axis(axis, len(x.shape), "glu")
    if x.shape[axis] % 2:
        raise ValueError(f"glu: `x` has shape {x.shape}: its length along axis {axis} must be even")
    return glu_(x, axis=axis)  # type: ignore[no-any-return]


__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "log_softmax",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softsign",
    "tanh",
]
