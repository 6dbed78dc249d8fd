"""Gradients of solutions of differential equations, beside JAX's `odeint` (Dormand-Prince).

    python tests/benchmarks/odes.py [--rounds N] [--only ...]

Lotka-Volterra's equations over 10 units of time, in four parameters; and a network of 2, 50 and 2
units as an equation over 2 units of time, in its 252 weights. The loss is the sum of squares at the
end; rtol and atol are 1e-6, float64. "solve" is the loss alone, "gradient" that with its gradient.

Each contender has a process of its own. JAX once compiled as a whole, and once called as it is,
whose solver is compiled all the same.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy
from interleave import Step, compare, parser, print_comparison, print_machine, processes, serve

OURS = "Backpass, RK45"
LIMITS = {"rtol": 1e-6, "atol": 1e-6}
CASES = ("predators solve", "predators gradient", "network solve", "network gradient")


def predators(np: Any, y: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Return the change of the numbers of prey and of predators."""
    return np.stack([a * y[0] - b * y[0] * y[1], d * y[0] * y[1] - c * y[1]])


def network(np: Any, y: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> Any:
    """Return a network of the state."""
    return np.tanh(y @ w1 + b1) @ w2 + b2


def problem(name: str) -> tuple[Callable[..., Any], Any, float, Sequence[Any]]:
    """Return a field, its start, its end and its parameters."""
    if name == "predators":
        return predators, numpy.array([10.0, 5.0]), 10.0, [1.5, 1.0, 3.0, 1.0]
    random = numpy.random.default_rng(0)
    weights = [random.normal(size=(2, 50)), numpy.zeros(50)]
    weights += [0.2 * random.normal(size=(50, 2)), numpy.zeros(2)]
    return network, numpy.array([1.0, 0.5]), 2.0, weights


def _ours(case: str, method: str) -> Step:
    import backpass.numpy as np
    from backpass.core import value_and_grad
    from backpass.scipy.integrate import odeint, solve_ivp

    name, what = case.split()
    field, start, end, parameters = problem(name)

    def loss(*p: Any) -> Any:
        if method == "odeint":
            run = odeint(lambda y, t, *p: field(np, y, *p), start, [0.0, end], p, **LIMITS)
            return np.sum(run[-1] ** 2)
        f = lambda t, y, *p: field(np, y, *p)  # noqa: E731
        run = solve_ivp(f, (0.0, end), start, method, [end], args=p, **LIMITS)
        return np.sum(run.y**2)

    return partial(loss if what == "solve" else value_and_grad(loss, (0, 1, 2, 3)), *parameters)


def _jax(case: str, *, compiled: bool) -> Step:
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    from jax.experimental.ode import odeint

    name, what = case.split()
    field, start, end, parameters = problem(name)
    first, times = jnp.asarray(start), jnp.array([0.0, end])

    def motion(y: Any, t: Any, *p: Any) -> Any:
        return field(jnp, y, *p)

    def loss(*p: Any) -> Any:
        return jnp.sum(odeint(motion, first, times, *p, **LIMITS)[-1] ** 2)

    f = loss if what == "solve" else jax.value_and_grad(loss, (0, 1, 2, 3))
    f = jax.jit(f) if compiled else f
    there = [jnp.asarray(p) for p in parameters]
    return lambda: jax.block_until_ready(f(*there))


RIVALS: dict[str, Callable[[str], Step]] = {
    OURS: partial(_ours, method="RK45"),
    "Backpass, odeint": partial(_ours, method="odeint"),
    "JAX, jit": partial(_jax, compiled=True),
    "JAX": partial(_jax, compiled=False),
}


def main() -> None:
    """Measure, and print milliseconds and what a gradient costs in solutions."""
    options = parser(__doc__, rounds=20).parse_args()
    if options.serve:
        serve(RIVALS, options.serve)
        return
    print_machine(("backpass.core", "numpy", "scipy", "jax"))
    with processes(__file__, RIVALS, only=options.only) as running:
        rows = {case: compare(running, case, options.rounds) for case in CASES}
    print_comparison(
        "milliseconds; in brackets, in parts of ours",
        rows,
        lambda _, seconds: 1e3 * seconds,
        beside=OURS,
        wanted={},
    )
    print()
    for name in ("predators", "network"):
        for contender, found in rows[f"{name} gradient"].items():
            alone = rows[f"{name} solve"].get(contender)
            if alone:
                ratio = statistics.median(found) / statistics.median(alone)
                print(f"{name}, {contender}: a gradient takes as long as {ratio:.1f} solutions")


if __name__ == "__main__":
    main()
