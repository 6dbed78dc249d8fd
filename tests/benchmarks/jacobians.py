"""Whole Jacobians and Hessians: Backpass beside its rivals, and beside the function itself.

    python tests/benchmarks/jacobians.py [--rounds N] [--cases jacobian hessian ...] [--threads 1 2]
        [--dtypes float32 float64] [--only ...]

A network of 200 inputs, layers of 256 and 256 and 200 outputs, tanh throughout.  `jacobian` is its
Jacobian, 200 x 200, at one point; `hessian` is that of the sum of its squared outputs; `tall` is
the Jacobian of its first layers, 200 to 16 and back to 2000.  "f(X)" is the network's value for a
matrix of 200 inputs, one evaluation: what the Jacobian's rows are measured by.  JAX's programs are
compiled before.  Each contender has a process of its own for each number of threads.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy
from interleave import (
    Step,
    compare,
    confine,
    fresh,
    parser,
    print_machine,
    print_table,
    processes,
    serve,
    threads,
)

#: The sizes of the layers.
CASES = {
    "jacobian": (200, 256, 256, 200),
    "hessian": (200, 256, 256, 200),
    "tall": (200, 16, 2000),
}

Layers = Sequence[tuple[Any, Any]]


def numbers(case: str) -> tuple[Layers, list[Any]]:
    """Return weights and biases, and inputs, of a case such as `jacobian float32`."""
    name, dtype = case.split(" ")
    random = numpy.random.default_rng(0)
    sizes = CASES[name]
    layers = [
        ((random.standard_normal((m, n)) / m**0.5).astype(dtype), numpy.zeros(n, dtype))
        for m, n in itertools.pairwise(sizes)
    ]
    return layers, [random.standard_normal(sizes[0]).astype(dtype) for _ in range(4)]


def network(tanh: Callable[[Any], Any], layers: Layers) -> Callable[[Any], Any]:
    """Return the network."""

    def f(x: Any) -> Any:
        for weight, bias in layers:
            x = tanh(x @ weight + bias)
        return x

    return f


def derivative(case: str, f: Callable[[Any], Any], jacobian: Any, hessian: Any) -> Any:
    """Return what a case differentiates, by a library's two transformations."""
    return hessian(lambda x: (f(x) ** 2).sum()) if case.startswith("hessian") else jacobian(f)


def backpass(case: str) -> Step:
    """Backpass."""
    import backpass.numpy as np
    from backpass.core import hessian, jacobian

    layers, points = numbers(case)
    data = fresh(points)
    work = derivative(case, network(np.tanh, layers), jacobian, hessian)
    return lambda: work(data())


def evaluation(case: str) -> Step:
    """Backpass, f of as many inputs as f has outputs."""
    import backpass.numpy as np

    layers, points = numbers(case)
    f = network(np.tanh, layers)
    random = numpy.random.default_rng(1)
    rows = 200 if case.startswith("hessian") else CASES[case.partition(" ")[0]][-1]
    x = random.standard_normal((rows, points[0].size)).astype(points[0].dtype)
    return lambda: f(x)


def jax_reverse(case: str) -> Step:
    """JAX: `jacrev` and `hessian`, compiled."""
    return _jax(case, "jacrev")


def jax_forward(case: str) -> Step:
    """JAX: `jacfwd` and `hessian`, compiled."""
    return _jax(case, "jacfwd")


def _jax(case: str, way: str) -> Step:
    confine()
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    layers, points = numbers(case)
    layers = [(jax.numpy.asarray(w), jax.numpy.asarray(b)) for w, b in layers]
    data = fresh([jax.numpy.asarray(x) for x in points])
    f = network(jax.numpy.tanh, layers)
    work = jax.jit(derivative(case, f, getattr(jax, way), jax.hessian))
    return lambda: jax.block_until_ready(work(data()))


def pytorch(case: str) -> Step:
    """PyTorch: `torch.func.jacrev` and `torch.func.hessian`."""
    torch = importlib.import_module("torch")
    layers, points = numbers(case)
    layers = [(torch.from_numpy(w), torch.from_numpy(b)) for w, b in layers]
    data = fresh([torch.from_numpy(x) for x in points])
    f = network(torch.tanh, layers)
    work = derivative(case, f, torch.func.jacrev, torch.func.hessian)
    return lambda: work(data())


RIVALS = {
    "Backpass": backpass,
    "Backpass, f(X)": evaluation,
    "JAX, jit, jacrev": jax_reverse,
    "JAX, jit, jacfwd": jax_forward,
    "PyTorch, torch.func": pytorch,
}


def main() -> None:
    """Measure, and print a table for each case, dtype and number of threads."""
    arguments = parser(__doc__, rounds=12)
    arguments.add_argument("--cases", nargs="+", default=list(CASES))
    arguments.add_argument("--dtypes", nargs="+", default=["float32", "float64"])
    arguments.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    options = arguments.parse_args()
    if options.serve:
        serve(RIVALS, options.serve)
        return
    print_machine(("backpass.core", "numpy", "torch", "jax"))
    for n in options.threads:
        with processes(__file__, RIVALS, only=options.only, environment=threads(n)) as running:
            for case in (f"{name} {dtype}" for name in options.cases for dtype in options.dtypes):
                times = compare(running, case, options.rounds)
                print_table(f"{case}, {n} thread{'s' * (n > 1)}, us", times, beside="Backpass")


if __name__ == "__main__":
    main()
