"""Solve the heat equation with a network that is trained to obey it: a physics-informed network.

    python heat_equation.py
    python heat_equation.py --steps 5000 --plot heat.png

On a rod of length 1 the temperature u(x, t) obeys ``u_t = k * u_xx``; it is ``sin(pi * x)`` at
first, and 0 at both ends. The network's second derivative in x and its first in t are computed by
forward mode, and the sum of squares of ``u_t - k * u_xx`` is differentiated once more, with respect
to the weights. The true solution, ``exp(-k * pi**2 * t) * sin(pi * x)``, is only used to compare.

M. Raissi, P. Perdikaris and G. E. Karniadakis, "Physics-informed neural networks", Journal of
Computational Physics 378, 2019, pp. 686-707.
"""

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy
import numpy.typing as npt

import backpass.numpy as np
from backpass import nn
from backpass.core import jvp, no_grad, value_and_grad

DIFFUSIVITY = 0.2
Array = npt.NDArray[Any]


class Temperature(nn.Module):
    """A network u(x, t) that is 0 at both ends, and right at t = 0, whatever its weights are.

    Parameters
    ----------
    width : int
        Units in each of the two hidden layers.
    """

    def __init__(self, width: int = 32) -> None:
        self.layers = [nn.Linear(2, width), nn.Linear(width, width)]
        self.last = nn.Linear(width, 1)

    def forward(self, x: Any, t: Any) -> Any:
        """Return the temperatures at the places x and the times t, arrays of one shape."""
        h = np.stack([x, t], axis=-1)
        for layer in self.layers:
            h = np.tanh(layer(h))
        return np.sin(numpy.pi * x) * (1 + t * self.last(h)[..., 0])


def residual(u: Temperature, x: Array, t: Array) -> Any:
    """Return ``u_t - k * u_xx`` at each place and time."""
    ones = numpy.ones_like(x)

    def slope(x: Any) -> Any:
        return jvp(lambda x: u(x, t), (x,), (ones,))[1]

    u_xx = jvp(slope, (x,), (ones,))[1]
    u_t = jvp(lambda t: u(x, t), (t,), (ones,))[1]
    return u_t - DIFFUSIVITY * u_xx


def loss(u: Temperature, x: Array, t: Array) -> Any:
    """Return the mean square of what is left of the equation."""
    return np.mean(np.square(residual(u, x, t)))


def solution(x: Array, t: Array) -> Array:
    """Return the true temperatures."""
    made: Array = numpy.exp(-DIFFUSIVITY * numpy.pi**2 * t) * numpy.sin(numpy.pi * x)
    return made


def train(
    u: Temperature, *, steps: int, points: int = 256, seed: int = 0, report: bool = True
) -> list[float]:
    """Train at places and times drawn anew for each step; return the losses."""
    rng = numpy.random.default_rng(seed)
    optimizer = nn.optimizers.Adam(u, learning_rate=nn.optimizers.schedules.cosine(5e-3, steps))
    losses = []
    for step in range(steps):
        x, t = rng.uniform(0, 1, (2, points)).astype(numpy.float32)
        value, _ = value_and_grad(loss)(u, x, t)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(value))
        if report and (step + 1) % max(1, steps // 10) == 0:
            print(f"step {step + 1:5}: loss {losses[-1]:.2e}")
    return losses


def error(u: Temperature) -> float:
    """Return the largest error over a grid of places and times."""
    x, t = numpy.meshgrid(*numpy.linspace(0, 1, 51, dtype=numpy.float32)[None].repeat(2, 0))
    with no_grad():
        return float(numpy.max(abs(u(x, t).value - solution(x, t))))


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and compare with the true solution."""
    parser = argparse.ArgumentParser(description="Solve the heat equation with a network.")
    parser.add_argument("--steps", type=int, default=1500, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--plot", metavar="FILE", help="draw the temperatures into a picture")
    options = parser.parse_args(arguments)

    nn.seed(options.seed)
    u = Temperature()
    before, started = error(u), time.perf_counter()
    train(u, steps=options.steps, seed=options.seed)
    print(
        f"largest error {before:.4f} at first, {error(u):.4f} after {options.steps} steps "
        f"and {time.perf_counter() - started:.0f} s"
    )
    if options.plot:
        draw(options.plot, u)
        print(f"drew {options.plot}")


def draw(file: str, u: Temperature) -> None:
    """Draw the temperatures along the rod at several times, beside the true ones."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4))
    axes = figure.subplots()
    x = numpy.linspace(0, 1, 101, dtype=numpy.float32)
    for t in (0.0, 0.1, 0.3, 1.0):
        times = numpy.full_like(x, t)
        (line,) = axes.plot(x, u(x, times).value, label=f"t = {t}")
        axes.plot(x, solution(x, times), "--", color=line.get_color())
    axes.set(xlabel="x", ylabel="temperature")
    axes.legend()
    figure.savefig(file)


if __name__ == "__main__":
    main()
