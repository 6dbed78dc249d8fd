"""The normal distribution of vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.backends import backend_of
from backpass.core.ops.elementwise import exp, multiply, subtract, where
from backpass.core.ops.linear import matmul
from backpass.core.ops.reductions import sum_
from backpass.core.ops.shaping import as_operand, astype, broadcast_to, reshape, transpose_
from backpass.core.ops.special.incomplete import as_float
from backpass.core.ops.stats.distribution import Distribution
from backpass.core.rules import defjvp, defvjp
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors, plain

_LOG_2PI = math.log(2 * math.pi)
#: Eigenvalues below this part of the largest one count as 0, as in SciPy.
_CUTOFF = 1e6 * float(numpy.finfo(float).eps)

# ----- the covariance ---------------------------------------------------------------------------


def _spectrum(xp: Any, cov: Any) -> tuple[Any, Any, Any]:
    """Return eigenvalues and eigenvectors of the symmetric part, and the limit of what is not 0."""
    cov = as_float(xp, cov)
    values, vectors = xp.linalg.eigh(0.5 * (cov + cov.T))
    return values, vectors, _CUTOFF * abs(values).max()


@primitive(outputs=3)
def gaussian(xp: Any, cov: Any, *, allow_singular: bool) -> tuple[Any, Any, Any]:
    """Return the (pseudo-)inverse, the logarithm of the density at the mean, and the rank."""
    values, vectors, limit = _spectrum(xp, cov)
    if (values < -limit).any():
        raise ValueError("multivariate_normal: cov must be symmetric positive semidefinite")
    kept = values > limit
    if not (allow_singular or kept.all()):
        raise numpy.linalg.LinAlgError(
            "multivariate_normal: cov must be positive definite; it is singular, which "
            "allow_singular=True allows"
        )
    safe = xp.where(kept, values, 1.0)
    precision = (vectors * xp.where(kept, 1 / safe, 0.0)) @ vectors.T
    rank = xp.sum(kept)
    return precision, -0.5 * (rank * _LOG_2PI + xp.sum(xp.log(safe))), rank


def _bend(precision: Any, d: Any) -> Any:
    """Return -P S P, where S is the symmetric part of d."""
    symmetric = 0.5 * (d + transpose_.op(d))
    return -matmul.op(matmul.op(precision, symmetric), precision)


def _gaussian_vjp(g: Any, ans: Any) -> Any:
    g_precision, g_peak, _ = g
    if g_peak is None:
        return _bend(ans[0], g_precision)
    made = multiply.op(-0.5 * g_peak, ans[0])
    return made if g_precision is None else made + _bend(ans[0], g_precision)


def _gaussian_jvp(t: Any, ans: Any) -> Any:
    return _bend(ans[0], t), -0.5 * sum_.op(multiply.op(ans[0], t)), None


defvjp(gaussian, _gaussian_vjp)
defjvp(gaussian, _gaussian_jvp)

# ----- the exponent -----------------------------------------------------------------------------


@primitive
def gaussian_exponent(xp: Any, x: Any, precision: Any) -> Any:
    """-x @ P @ x / 2 for the vectors along the last axis of x, and a symmetric P."""
    x = as_float(xp, x)
    return -0.5 * xp.sum((x @ precision) * x, axis=-1)


def _pull(x: Any, precision: Any) -> Any:
    return matmul.op(x, precision)


def _column(g: Any) -> Any:
    return reshape.op(g, shape=(*g.shape, 1))


def _precision_vjp(g: Any, x: Any) -> Any:
    rows = reshape.op(x, shape=(-1, x.shape[-1]))
    weighted = multiply.op(rows, reshape.op(g, shape=(-1, 1)))
    return -0.5 * matmul.op(transpose_.op(rows), weighted)


defvjp(
    gaussian_exponent,
    lambda g, x, precision: -multiply.op(_column(g), _pull(x, precision)),
    lambda g, x: _precision_vjp(g, x),
)
defjvp(
    gaussian_exponent,
    lambda t, x, precision: -sum_.op(multiply.op(t, _pull(x, precision)), axis=-1),
    lambda t, x: -0.5 * sum_.op(multiply.op(_pull(x, t), x), axis=-1),
)

# ----- the distribution, with SciPy's signatures ------------------------------------------------


def _parameters(mean: Any, cov: Any, *beside: Any) -> tuple[Any, Any]:
    """Return mean (`None`: zeros) and covariance as a vector and a matrix, as SciPy reads them."""
    xp = backend_of(map(plain, (cov, mean, *beside))).library
    cov = as_operand(1.0 if cov is None else cov)
    if len(cov.shape) == 0 and not isinstance(cov, Tensor):
        cov = xp.asarray(cov)  # beside the other operands
    if mean is not None:
        mean = as_operand(mean)
        dim = math.prod(mean.shape)
    else:
        dim = 1 if len(cov.shape) < 2 else cov.shape[0]
    if dim == 1:
        if math.prod(cov.shape) != 1:
            raise ValueError(
                f"multivariate_normal: the mean has one entry, but cov has shape {cov.shape}"
            )
        mean = mean if mean is None else reshape.op(mean, shape=(1,))
        return mean, reshape.op(cov, shape=(1, 1))
    if mean is not None and len(mean.shape) != 1:
        raise ValueError(
            f"multivariate_normal: mean must be a vector of length {dim}, its shape is {mean.shape}"
        )
    if len(cov.shape) < 2 and cov.shape in ((), (dim,)):
        # A number for each variance, or one for each of them.
        return mean, multiply.op(xp.eye(dim), cov)
    if cov.shape != (dim, dim):
        raise ValueError(
            f"multivariate_normal: cov must be a number, {dim} numbers or a matrix of shape "
            f"{(dim, dim)} beside a mean of length {dim}; its shape is {cov.shape}"
        )
    return mean, cov


def _double(x: Any) -> Any:
    """Return x in float64, in which SciPy computes whatever is given."""
    return x if x.dtype == numpy.float64 else astype.op(x, dtype=numpy.float64)


def _logpdf(x: Any, mean: Any, cov: Any, allow_singular: bool) -> Any:
    mean, cov = _parameters(mean, cov, x)
    x = as_operand(x)
    if len(x.shape) == 0:
        x = reshape.op(x, shape=(1,))
    elif len(x.shape) == 1:
        x = reshape.op(x, shape=(-1, 1)) if cov.shape[0] == 1 else x
    dim = cov.shape[0]
    if x.shape[-1] not in (1, dim):
        raise ValueError(
            f"multivariate_normal: x must have {dim} entries along its last axis, its shape is "
            f"{x.shape}"
        )
    if mean is not None:
        x = subtract.op(_double(x), _double(mean))
    away = x if x.shape[-1] == dim else broadcast_to.op(x, shape=(*x.shape[:-1], dim))
    precision, peak, rank = gaussian.op(cov, allow_singular=allow_singular)
    made = gaussian_exponent.op(away, precision) + peak
    if int(plain(rank)) < dim:
        made = where.op(_reachable(plain(away), plain(cov)), made, -math.inf)
    # SciPy gives a number for one vector, and no axes of length 1.
    shape = tuple(n for n in made.shape if n != 1)
    return made if made.shape == shape else reshape.op(made, shape=shape)


def _reachable(away: Any, cov: Any) -> Any:
    """Return where a distribution with a singular covariance has its support."""
    xp = backend_of((cov,)).library
    values, vectors, limit = _spectrum(xp, cov)
    residual = away @ xp.where(values > limit, 0.0, vectors)
    return xp.sqrt(xp.sum(residual * residual, axis=-1)) < 1e3 * limit


class multivariate_normal(Distribution):
    """The normal distribution of vectors, which lie along the last axis of `x`.

    `cov` is a matrix of which the symmetric part (cov + cov.T) / 2 is read, a vector of variances,
    or one variance; its gradient is that of each entry for itself.  Of a singular matrix, with
    `allow_singular=True`, it is that of changes which leave its null space as it is.
    """

    def pdf(self, x: Any, mean: Any = None, cov: Any = 1, allow_singular: bool = False) -> Tensor:
        """Density; its derivatives are those of logpdf times it."""
        return as_tensors(  # type: ignore[no-any-return]
            exp.op(_logpdf(x, mean, cov, allow_singular))
        )

    def logpdf(
        self, x: Any, mean: Any = None, cov: Any = 1, allow_singular: bool = False
    ) -> Tensor:
        """Logarithm of the density; its derivative in x is -P @ (x - mean), where P = inv(cov).

        In cov it is (u u.T - P) / 2, where u = P @ (x - mean).
        """
        return as_tensors(_logpdf(x, mean, cov, allow_singular))  # type: ignore[no-any-return]

    def entropy(self, mean: Any = None, cov: Any = 1) -> Tensor:
        """log(det(2 * pi * e * cov)) / 2; its derivative in cov is inv(cov) / 2, in mean 0."""
        mean, cov = _parameters(mean, cov)
        _, peak, rank = gaussian.op(cov, allow_singular=True)
        return as_tensors(0.5 * plain(rank) - peak)  # type: ignore[no-any-return]
