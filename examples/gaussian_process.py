"""Fit a Gaussian process to noisy measurements: its hyperparameters by gradient.

    python gaussian_process.py
    python gaussian_process.py --points 200 --plot fit.png

The covariance of two values is ``a**2 * exp(-(x - x')**2 / (2 * s**2))``, and the measurements
carry noise of deviation n. Amplitude a, length scale s and noise n maximise the probability of what
was measured; SciPy's L-BFGS is handed the gradient.

C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press 2006,
algorithm 2.1 and section 5.4.1.
"""

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy
import numpy.typing as npt

import backpass.numpy as np
from backpass.core import value_and_grad
from backpass.scipy.linalg import solve_triangular

Array = npt.NDArray[numpy.float64]


class Fit(NamedTuple):
    """The hyperparameters, and how well they explain the measurements.

    Attributes
    ----------
    amplitude, scale, noise : float
        What the names say, in the units of y, x and y.
    evidence : float
        The logarithm of the probability density of the measurements.
    steps : int
        How often the gradient was computed.
    """

    amplitude: float
    scale: float
    noise: float
    evidence: float
    steps: int


def covariance(logs: Any, x: Any, other: Any) -> Any:
    """Return the covariances of the values at x with those at other places, without noise."""
    amplitude, scale, _ = np.exp(logs)
    distance = (np.expand_dims(x, 1) - np.expand_dims(other, 0)) / scale
    return amplitude**2 * np.exp(-(distance**2) / 2)


def negative_evidence(logs: Any, x: Any, y: Any) -> Any:
    """Return minus the logarithm of the probability of measuring y at x.

    `logs` are the logarithms of amplitude, length scale and noise: any numbers are allowed there.
    """
    n = len(x)
    noise = np.exp(logs)[2]
    factor = np.linalg.cholesky(covariance(logs, x, x) + (noise**2 + 1e-10) * np.eye(n))
    half = solve_triangular(factor, y, lower=True)
    return (
        np.sum(half * half) / 2 + np.sum(np.log(np.diag(factor))) + n * numpy.log(2 * numpy.pi) / 2
    )


def fit(x: Array, y: Array, start: Sequence[float] = (0.0, 0.0, -1.0), steps: int = 100) -> Fit:
    """Find the hyperparameters under which the measurements are most probable.

    Parameters
    ----------
    x, y : ndarray of float64, shape (n,)
        Where it was measured, and what.
    start : sequence of float
        The logarithms of amplitude, length scale and noise to begin with.
    steps : int
        At most so many steps.
    """
    from scipy.optimize import minimize

    gradient = value_and_grad(negative_evidence, argnums=0)

    def objective(logs: Array) -> tuple[float, Array]:
        value, slope = gradient(logs, x, y)
        return float(value), slope

    found = minimize(
        objective, numpy.array(start), jac=True, method="L-BFGS-B", options={"maxiter": steps}
    )
    amplitude, scale, noise = map(float, numpy.exp(found.x))
    return Fit(amplitude, scale, noise, -float(found.fun), int(found.nfev))


def predict(found: Fit, x: Array, y: Array, at: Array) -> tuple[Array, Array]:
    """Return the mean and the standard deviation of the process at other places."""
    logs = numpy.log([found.amplitude, found.scale, found.noise])
    factor = np.linalg.cholesky(covariance(logs, x, x) + found.noise**2 * np.eye(len(x)))
    across = covariance(logs, x, at)
    half = solve_triangular(factor, y, lower=True)
    rest = solve_triangular(factor, across, lower=True)
    mean = rest.T @ half
    variance = found.amplitude**2 - np.sum(rest * rest, axis=0)
    return mean.value, np.sqrt(np.maximum(variance, 0.0)).value


def measurements(n: int, noise: float, seed: int) -> tuple[Array, Array]:
    """Return n places between 0 and 10, and a smooth function there, measured with noise."""
    rng = numpy.random.default_rng(seed)
    x = numpy.sort(rng.uniform(0, 10, n))
    return x, truth(x) + noise * rng.standard_normal(n)


def truth(x: Array) -> Array:
    """Return what is measured, without noise."""
    return numpy.sin(x) + 0.5 * numpy.sin(2.3 * x)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, and say how far the prediction is from the truth."""
    parser = argparse.ArgumentParser(description="Fit a Gaussian process by gradient.")
    parser.add_argument("--points", type=int, default=100, help="default: %(default)s")
    parser.add_argument("--noise", type=float, default=0.2, help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=100, help="at most; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--plot", metavar="FILE", help="draw the fit into a picture")
    options = parser.parse_args(arguments)

    x, y = measurements(options.points, options.noise, options.seed)
    found = fit(x, y, steps=options.steps)
    print(
        f"amplitude {found.amplitude:.3f}, length scale {found.scale:.3f}, noise {found.noise:.3f} "
        f"(true: {options.noise:.3f}); log evidence {found.evidence:.2f} after {found.steps} steps"
    )
    at = numpy.linspace(0, 10, 201)
    mean, deviation = predict(found, x, y, at)
    error = float(numpy.sqrt(numpy.mean((mean - truth(at)) ** 2)))
    inside = float(numpy.mean(abs(mean - truth(at)) <= 2 * deviation))
    print(f"prediction off by {error:.3f}; {inside:.0%} of the truth within two deviations")
    if options.plot:
        draw(options.plot, x, y, at, mean, deviation)
        print(f"drew {options.plot}")


def draw(file: str, x: Array, y: Array, at: Array, mean: Array, deviation: Array) -> None:
    """Draw measurements, truth, and the process with its band of two deviations."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4))
    axes = figure.subplots()
    axes.fill_between(at, mean - 2 * deviation, mean + 2 * deviation, alpha=0.2)
    axes.plot(at, mean, label="Gaussian process")
    axes.plot(at, truth(at), "--", label="truth")
    axes.plot(x, y, ".", label="measured")
    axes.legend()
    figure.savefig(file)


if __name__ == "__main__":
    main()
