"""The arithmetic of the optimizers: primitives that change their operands in place.

Each updates all the weights of a network in one call. What stands here is the definition; a backend
that has a kernel of the same name computes it in a single pass over the data instead.

Gradients in half precision are computed with in that of the weights. The steps take a keyword
`finite`: a number or an array of shape (), of which 0 says that nothing is to be done, because a
gradient is infinite or nan. A kernel reads it where it runs, so that nothing waits for it.
"""

from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

from backpass.core.extend import nondifferentiable, primitive

Array = Any  # numpy.ndarray or cupy.ndarray
Number = Any  # a Python float, or an array of shape ()


@primitive
def sgd_update(
    xp: ModuleType,
    *arrays: Array,
    learning_rate: Number,
    weight_decay: Number = 0.0,
    finite: Number = True,
) -> None:
    """Subtract `learning_rate` times each gradient from its weight, in place.

    Parameters
    ----------
    *arrays : array
        First all weights, then as many gradients, of the same shapes.
    learning_rate : float or array
        The length of the step; an array of shape () beside the weights is read when the step is
        computed, and so anew whenever a captured graph runs it again.
    weight_decay : float or array
        How much of each weight is added to its gradient first.
    finite : bool or array
        Whether to do anything.
    """
    if not finite:
        return
    for w, g in parts(arrays, 2):
        w -= factor(learning_rate, w) * decayed(g, w, weight_decay)


@primitive
def momentum_update(
    xp: ModuleType, *arrays: Array, learning_rate: Number, momentum: Number
) -> None:
    """Take a step along the running mean of each weight's gradients, in place.

    Each velocity v becomes ``momentum * v + (1 - momentum) * g``, and ``learning_rate * v`` is
    subtracted from its weight.

    Parameters
    ----------
    *arrays : array
        First all weights, then as many velocities, then as many gradients, of the same shapes.
    learning_rate : float or array
        The length of the step, as in `sgd_update`.
    momentum : float or array
        How much of the velocity is kept, from 0 to 1.
    """
    for w, v, g in parts(arrays, 3):
        v *= factor(momentum, v)
        v += factor(1 - momentum, v) * g
        w -= factor(learning_rate, w) * v


@primitive
def velocity_update(
    xp: ModuleType,
    *arrays: Array,
    learning_rate: Number,
    momentum: Number,
    dampening: Number,
    weight_decay: Number,
    nesterov: bool,
    finite: Number = True,
) -> None:
    """Take a step of gradient descent along each weight's velocity, in place.

    With ``d = g + weight_decay * w``, each velocity v becomes
    ``momentum * v + (1 - dampening) * d``, and ``learning_rate`` times v, or times
    ``d + momentum * v`` with Nesterov's momentum, is subtracted from its weight.

    Parameters
    ----------
    *arrays : array
        First all weights, then as many velocities, then as many gradients, of the same shapes.
    learning_rate, momentum, dampening, weight_decay, finite : float or array
        As in `sgd_update`.
    nesterov : bool
        Whether to look ahead.
    """
    if not finite:
        return
    for w, v, g in parts(arrays, 3):
        d = decayed(g, w, weight_decay)
        v *= factor(momentum, v)
        v += factor(1 - dampening, v) * d
        if nesterov:
            d = d + factor(momentum, v) * v
        w -= factor(learning_rate, w) * (d if nesterov else v)


@primitive
def adam_update(
    xp: ModuleType,
    *arrays: Array,
    learning_rate: Number,
    beta1: Number,
    beta2: Number,
    eps: Number,
    weight_decay: Number,
    decoupled: bool,
    amsgrad: bool,
    step: Number,
    finite: Number = True,
) -> None:
    """Take a step of Adam, in place.

    Each mean m becomes ``beta1 * m + (1 - beta1) * g``, and each square v becomes
    ``beta2 * v + (1 - beta2) * g**2``. Subtracted from the weight is ``learning_rate`` times
    ``m / (1 - beta1**step)`` over ``sqrt(v / (1 - beta2**step)) + eps``. The real and the imaginary
    part of a complex weight go their own ways.

    Parameters
    ----------
    *arrays : array
        First all weights, then as many means, as many squares, with `amsgrad` as many maxima, and
        as many gradients, of the same shapes.
    learning_rate, beta1, beta2, eps, weight_decay, finite : float or array
        As in `sgd_update`.
    decoupled : bool
        Whether the weights themselves decay, by the factor ``1 - learning_rate * weight_decay``;
        otherwise ``weight_decay * w`` is added to the gradient.
    amsgrad : bool
        Whether the largest square so far stands for the square.
    step : int or array
        The number of this step, from 1, in floats if an array.
    """
    if not finite:
        return
    length = learning_rate / (1 - beta1**step)
    spread = (1 - beta2**step) ** 0.5
    for w, m, v, *top, g in parts(arrays, 5 if amsgrad else 4, apart=True):
        if decoupled:
            decay(w, learning_rate, weight_decay)
        d = g if decoupled else decayed(g, w, weight_decay)
        t = d - m
        t *= factor(1 - beta1, t)
        m += t
        xp.multiply(d, d, out=t)
        t *= factor(1 - beta2, t)
        v *= factor(beta2, v)
        v += t
        if amsgrad:
            xp.maximum(top[0], v, out=top[0])
        xp.sqrt(top[0] if amsgrad else v, out=t)
        t /= factor(spread, t)
        t += factor(eps, t)
        xp.divide(m, t, out=t)
        t *= factor(length, t)
        w -= t


@primitive
def rmsprop_update(
    xp: ModuleType,
    *arrays: Array,
    learning_rate: Number,
    alpha: Number,
    eps: Number,
    weight_decay: Number,
    momentum: Number,
    centered: bool,
    finite: Number = True,
) -> None:
    """Take a step of RMSprop, in place.

    With ``d = g + weight_decay * w``, each square v becomes ``alpha * v + (1 - alpha) * d**2``, and
    ``learning_rate * d / (sqrt(v) + eps)`` is subtracted from the weight. The real and the
    imaginary part of a complex weight go their own ways.

    Parameters
    ----------
    *arrays : array
        First all weights, then as many squares, if `centered` as many means, unless `momentum` is 0
        as many velocities, and as many gradients, of the same shapes.
    learning_rate, alpha, eps, weight_decay, momentum, finite : float or array
        As in `sgd_update`; with `momentum`, the steps add up to a velocity as in
        `velocity_update`.
    centered : bool
        Whether to subtract the square of the gradients' running mean from v, under the root.
    """
    if not finite:
        return
    moving = not (isinstance(momentum, float) and momentum == 0)
    for w, v, *rest, g in parts(arrays, 3 + centered + moving, apart=True):
        d = decayed(g, w, weight_decay)
        t = d * d
        t *= factor(1 - alpha, t)
        v *= factor(alpha, v)
        v += t
        if centered:
            mean = rest[0]
            xp.subtract(d, mean, out=t)
            t *= factor(1 - alpha, t)
            mean += t
            xp.multiply(mean, mean, out=t)
            xp.subtract(v, t, out=t)
            # Where every gradient is the same, rounding may leave less than nothing.
            xp.maximum(t, 0, out=t)
            xp.sqrt(t, out=t)
        else:
            xp.sqrt(v, out=t)
        t += factor(eps, t)
        xp.divide(d, t, out=t)
        if moving:
            velocity = rest[-1]
            velocity *= factor(momentum, velocity)
            velocity += t
            w -= factor(learning_rate, w) * velocity
        else:
            t *= factor(learning_rate, t)
            w -= t


@primitive
def adagrad_update(
    xp: ModuleType,
    *arrays: Array,
    learning_rate: Number,
    eps: Number,
    weight_decay: Number,
    finite: Number = True,
) -> None:
    """Take a step of Adagrad, in place.

    With ``d = g + weight_decay * w``, ``d**2`` is added to each sum s, and
    ``learning_rate * d / (sqrt(s) + eps)`` is subtracted from the weight. The real and the
    imaginary part of a complex weight go their own ways.

    Parameters
    ----------
    *arrays : array
        First all weights, then as many sums, then as many gradients, of the same shapes.
    learning_rate, eps, weight_decay, finite : float or array
        As in `sgd_update`.
    """
    if not finite:
        return
    for w, s, g in parts(arrays, 3, apart=True):
        d = decayed(g, w, weight_decay)
        t = d * d
        s += t
        xp.sqrt(s, out=t)
        t += factor(eps, t)
        xp.divide(d, t, out=t)
        t *= factor(learning_rate, t)
        w -= t


@primitive
def lion_update(
    xp: ModuleType,
    *arrays: Array,
    learning_rate: Number,
    beta1: Number,
    beta2: Number,
    weight_decay: Number,
    finite: Number = True,
) -> None:
    """Take a step of Lion, in place.

    Each weight decays by the factor ``1 - learning_rate * weight_decay``, and ``learning_rate``
    times the sign of ``beta1 * m + (1 - beta1) * g`` is subtracted from it. Then its momentum m
    becomes ``beta2 * m + (1 - beta2) * g``. The real and the imaginary part of a complex weight go
    their own ways.

    Parameters
    ----------
    *arrays : array
        First all weights, then as many momenta, then as many gradients, of the same shapes.
    learning_rate, beta1, beta2, weight_decay, finite : float or array
        As in `sgd_update`.
    """
    if not finite:
        return
    for w, m, g in parts(arrays, 3, apart=True):
        decay(w, learning_rate, weight_decay)
        t = m * factor(beta1, m)
        t += factor(1 - beta1, m) * g
        xp.sign(t, out=t)
        t *= factor(learning_rate, t)
        w -= t
        m *= factor(beta2, m)
        m += factor(1 - beta2, m) * g


@primitive
def muon_update(
    xp: ModuleType,
    *arrays: Array,
    learning_rate: Number,
    momentum: Number,
    weight_decay: Number,
    nesterov: bool,
    coefficients: tuple[float, float, float],
    iterations: int,
    eps: float,
    adjustment: str,
    finite: Number = True,
) -> None:
    """Take a step of Muon, in place.

    Each momentum b becomes ``momentum * b + (1 - momentum) * g``; b, or
    ``momentum * b + (1 - momentum) * g`` again with Nesterov's momentum, is made nearly orthogonal;
    the weight decays by the factor ``1 - learning_rate * weight_decay``, and ``learning_rate``
    times the orthogonal matrix, times a factor for its shape, is subtracted from it.

    Parameters
    ----------
    *arrays : array
        First all weights, real matrices, then as many momenta, then as many gradients, of the same
        shapes.
    learning_rate, momentum, weight_decay, finite : float or array
        As in `sgd_update`.
    nesterov : bool
        Whether to look ahead.
    coefficients, iterations, eps
        Of the Newton-Schulz iteration ``X = a X + b (X X^T) X + c (X X^T)^2 X``, which begins with
        the matrix over its Frobenius norm, or over `eps` if that is larger.
    adjustment : {"original", "match_rms_adamw", "spectral_unclamped"}
        The factor for a matrix of m rows and n columns: ``sqrt(max(1, m / n))``,
        ``0.2 * sqrt(max(m, n))`` or ``sqrt(m / n)``.
    """
    if not finite:
        return
    for w, b, g in parts(arrays, 3):
        if not w.size:
            continue
        t = g - b
        t *= factor(1 - momentum, t)
        b += t
        if nesterov:
            xp.subtract(b, g, out=t)
            t *= factor(momentum, t)
            t += g
        else:
            t = b
        rows, columns = w.shape
        x = orthogonalized(xp, t.T if rows > columns else t, coefficients, iterations, eps)
        decay(w, learning_rate, weight_decay)
        x *= factor(learning_rate * ADJUSTMENTS[adjustment](rows, columns), x)
        w -= x.T if rows > columns else x


#: By which the learning rate of a matrix of m rows and n columns is multiplied.
ADJUSTMENTS: dict[str, Callable[[int, int], float]] = {
    "original": lambda m, n: max(1.0, m / n) ** 0.5,
    "match_rms_adamw": lambda m, n: 0.2 * max(m, n) ** 0.5,
    "spectral_unclamped": lambda m, n: (m / n) ** 0.5,
}


def orthogonalized(
    xp: ModuleType, x: Array, coefficients: tuple[float, float, float], iterations: int, eps: float
) -> Array:
    """Return a wide matrix with its singular values brought near 1."""
    a, b, c = coefficients
    # In double precision: the squares of a float32 may overflow. A multiplication by an array of
    # shape () needs nothing from the device.
    norm = xp.sqrt(xp.sum(xp.square(x, dtype=float)))
    x = x * factor(1 / xp.maximum(norm, eps), x)
    for _ in range(iterations):
        gram = x @ x.T
        polynomial = gram @ gram
        polynomial *= c
        gram *= b
        polynomial += gram
        y = polynomial @ x
        x *= a
        x += y
    return x


@primitive
def average_update(xp: ModuleType, *arrays: Array, decay: Number) -> None:
    """Move each average towards its weight, in place: ``decay * a + (1 - decay) * w``.

    Parameters
    ----------
    *arrays : array
        First all averages, then as many weights, of the same shapes.
    decay : float or array
        How much of the average is kept, from 0 to 1.
    """
    for a, w in parts(arrays, 2):
        t = w - a
        t *= factor(1 - decay, t)
        a += t


@primitive
def gradient_norm(xp: ModuleType, *gradients: Array, order: float = 2.0) -> Array:
    """Return the norm of all gradients together, as of one long vector, in double precision.

    Parameters
    ----------
    *gradients : array
        Of any shapes, real or complex.
    order : float
        2, 1, or ``inf`` for the largest absolute value, or any other positive number.
    """
    if order == float("inf"):
        found = [xp.max(xp.abs(g)) for g in gradients if g.size]
        return xp.max(xp.stack(found)).astype(float) if found else xp.zeros(())
    if order == 2:
        sums = [
            xp.sum(xp.square(part, dtype=float))
            for g in gradients
            for part in ((g.real, g.imag) if g.dtype.kind == "c" else (g,))
        ]
        return xp.sqrt(sum(sums[1:], sums[0]))
    sums = [xp.sum(xp.power(xp.abs(g), order, dtype=float)) for g in gradients]
    return sum(sums[1:], sums[0]) ** (1 / order)


@primitive
def scaled_gradients(xp: ModuleType, *arrays: Array, by: Number) -> list[Array]:
    """Return each array times a number, in its own dtype.

    Parameters
    ----------
    *arrays : array
        Of any shapes, real or complex.
    by : float or array
        A real number, or an array of shape () that holds it.
    """
    return [x * factor(by, x) for x in arrays]


@primitive
def unscaled_gradients(xp: ModuleType, *gradients: Array, scale: Number) -> list[Array]:
    """Return each gradient over a number, half precision as single; and whether all are finite.

    Parameters
    ----------
    *gradients : array
        Of any shapes, real or complex.
    scale : float or array
        By which the loss has been multiplied: a number, or an array of shape () that holds it.

    Returns
    -------
    list of array
        The gradients, and at the end an array of shape (): 1 if none of them is infinite or nan,
        else 0. It is of float32.
    """
    wide = [g.astype("float32") if g.dtype.itemsize == 2 else g for g in gradients]
    made = [g * factor(1 / scale, g) for g in wide]
    finite = xp.ones((), "float32")
    for g in made:
        finite *= xp.isfinite(g).all()
    return [*made, finite]


@primitive
def cast_update(xp: ModuleType, *arrays: Array) -> None:
    """Set each array to the values of another one, rounded to its own dtype, in place.

    Parameters
    ----------
    *arrays : array
        First all targets, then as many sources, of the same shapes.
    """
    half = len(arrays) // 2
    for target, source in zip(arrays[:half], arrays[half:], strict=True):
        target[...] = source.astype(target.dtype)


#: Of a loss: a power of two, so that a multiplication by it is exact, that float32 can hold.
LARGEST_SCALE = 2.0**126


@primitive
def scale_update(
    xp: ModuleType,
    scale: Array,
    streak: Array,
    *finite: Array,
    growth: float,
    backoff: float,
    interval: float,
) -> None:
    """Let a loss's scale follow from whether the gradients were finite, in place.

    Parameters
    ----------
    scale : array
        Of shape (): multiplied by `growth` after `interval` steps with finite gradients, and by
        `backoff` after one without; but never less than 1, nor infinite.
    streak : array
        Of shape (): how many steps with finite gradients there have been since it changed.
    *finite : array
        Of shape (), for each of the optimizers: 0 if a gradient was infinite or nan.
    growth, backoff, interval : float
        The numbers.
    """
    good = finite[0] != 0
    for flag in finite[1:]:
        good = good & (flag != 0)
    streak += 1
    streak *= good
    grown = streak >= interval
    streak *= ~grown
    scale *= xp.where(good, xp.where(grown, growth, 1.0), backoff)
    xp.clip(scale, 1.0, LARGEST_SCALE, out=scale)


nondifferentiable(
    sgd_update,
    momentum_update,
    velocity_update,
    adam_update,
    rmsprop_update,
    adagrad_update,
    lion_update,
    muon_update,
    average_update,
    gradient_norm,
    scaled_gradients,
    unscaled_gradients,
    cast_update,
    scale_update,
)


# ----- what the definitions share -----------------------------------------------------------------


def parts(arrays: Sequence[Array], roles: int, apart: bool = False) -> Iterator[Sequence[Array]]:
    """Yield what belongs to each weight, at least one-dimensional.

    With `apart` a complex weight comes as two, its real and its imaginary part. All are views; but
    the last, the gradient, is turned to the dtype of the others.
    """
    n = len(arrays) // roles
    for i in range(n):
        own = [x if x.ndim else x[None] for x in arrays[i::n]]
        if own[-1].dtype != own[0].dtype:
            own[-1] = own[-1].astype(own[0].dtype)
        if apart and own[0].dtype.kind == "c":
            yield [x.real for x in own]
            yield [x.imag for x in own]
        else:
            yield own


def factor(number: Number, x: Array) -> Number:
    """Return a number that leaves the array beside it what it is: float32 stays float32."""
    plain = type(number) is float or type(number) is int  # a NumPy scalar is a float, too
    return number if plain else number.astype(x.real.dtype)


def decayed(g: Array, w: Array, weight_decay: Number) -> Array:
    """Return a gradient with that of the penalty ``weight_decay / 2 * w**2`` added."""
    if isinstance(weight_decay, float) and weight_decay == 0:
        return g
    d = factor(weight_decay, w) * w
    d += g
    return d


def decay(w: Array, learning_rate: Number, weight_decay: Number) -> None:
    """Let a weight decay, in place."""
    if not (isinstance(weight_decay, float) and weight_decay == 0):
        w *= factor(1 - learning_rate * weight_decay, w)
