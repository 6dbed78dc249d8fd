"""Functions of large arrays, along each axis: Backpass beside its rivals.

    python tests/benchmarks/arrays.py [--rounds N] [--functions exp tanh ...] [--threads 1 2]
        [--dtypes float32] [--backward] [--only ...]

1000 x 1000 elements, other ones each time; every axis, and all of them.  `--backward` times value
and gradient of the sum of the result instead.  Each contender has a process of its own for each
number of threads.  The last column names the rivals beside which Backpass falls short: twice as
fast as NumPy and SciPy, as fast as PyTorch.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import numpy
from interleave import (
    Step,
    compare,
    confine,
    fresh,
    parser,
    print_comparison,
    print_machine,
    processes,
    serve,
    threads,
)

SHAPE = (1000, 1000)
FUNCTIONS = ("exp", "tanh", "sum", "max", "logsumexp", "softmax")
POINTWISE = ("exp", "tanh")
WANTED = {"NumPy/SciPy": 2.0, "PyTorch": 1.0}


def arrays(case: str) -> list[Any]:
    """Return the operands."""
    random = numpy.random.default_rng(0)
    dtype = case.split(" ")[2]
    return [random.uniform(-2, 2, SHAPE).astype(dtype) for _ in range(6)]


def chosen(case: str, find: Callable[[str], Any]) -> Callable[[Any], Any]:
    """Return the function of one array that a case such as `sum 0 float32` names."""
    name, axis, *_ = case.split(" ")
    function = find(name)
    if name in POINTWISE:
        return function  # type: ignore[no-any-return]
    return functools.partial(function, axis=None if axis == "all" else int(axis))


def backpass(case: str) -> Step:
    """Backpass."""
    import backpass.numpy as np
    import backpass.scipy.special as special
    from backpass.core import value_and_grad

    function = chosen(case, lambda name: getattr(np, name, None) or getattr(special, name))
    data = fresh(arrays(case))
    if case.endswith("backward"):
        both = value_and_grad(lambda x: np.sum(function(x)), argnums=0)
        return lambda: both(data())
    return lambda: function(data())


def plain(case: str) -> Step:
    """NumPy and SciPy: they have no backward."""
    special = importlib.import_module("scipy.special")
    function = chosen(case, lambda name: getattr(numpy, name, None) or getattr(special, name))
    data = fresh(arrays(case))
    return lambda: function(data())


def pytorch(case: str) -> Step:
    """PyTorch, whose names differ."""
    torch = importlib.import_module("torch")
    name, axis, *_ = case.split(" ")
    if name in POINTWISE:
        function = getattr(torch, name)
    elif name == "softmax" and axis == "all":
        function = lambda x: torch.softmax(x.reshape(-1), 0).reshape(x.shape)  # noqa: E731
    elif name == "logsumexp":
        function = functools.partial(torch.logsumexp, dim=(0, 1) if axis == "all" else int(axis))
    elif axis == "all":
        function = getattr(torch, name)
    else:
        function = functools.partial(
            getattr(torch, "amax" if name == "max" else name), dim=int(axis)
        )
    made = [torch.from_numpy(a) for a in arrays(case)]
    if case.endswith("backward"):
        data = fresh([a.requires_grad_() for a in made])

        def step() -> Any:
            x = data()
            value = torch.sum(function(x))
            return value, torch.autograd.grad(value, x)

        return step
    data = fresh(made)
    return lambda: function(data())


def jax_jit(case: str) -> Step:
    """JAX, compiled."""
    confine()
    jax = importlib.import_module("jax")
    jnp = importlib.import_module("jax.numpy")
    jax.config.update("jax_enable_x64", True)
    function = chosen(case, lambda name: getattr(jnp, name, None) or getattr(jax.nn, name))
    data = fresh([jnp.asarray(a) for a in arrays(case)])
    if case.endswith("backward"):
        compiled = jax.jit(jax.value_and_grad(lambda x: jnp.sum(function(x))))
    else:
        compiled = jax.jit(function)
    return lambda: jax.block_until_ready(compiled(data()))


RIVALS = {"Backpass": backpass, "NumPy/SciPy": plain, "PyTorch": pytorch, "JAX, jit": jax_jit}


def main() -> None:
    """Measure, and print a table for each number of threads."""
    arguments = parser(__doc__, rounds=12)
    arguments.add_argument("--functions", nargs="+", default=FUNCTIONS)
    arguments.add_argument("--dtypes", nargs="+", default=["float32"])
    arguments.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    arguments.add_argument("--backward", action="store_true")
    options = arguments.parse_args()
    if options.serve:
        serve(RIVALS, options.serve)
        return
    print_machine(("backpass.core", "numpy", "scipy", "torch", "jax"))
    rivals = {k: v for k, v in RIVALS.items() if not (options.backward and k == "NumPy/SciPy")}
    for n in options.threads:
        with processes(__file__, rivals, only=options.only, environment=threads(n)) as running:
            rows = {
                case.strip(): compare(running, case, options.rounds)
                for name in options.functions
                for axis in (["-"] if name in POINTWISE else ["all", "0", "1"])
                for dtype in options.dtypes
                for case in [f"{name} {axis} {dtype}{' backward' * options.backward}"]
            }
        print_comparison(
            f"1000 x 1000, us, {n} thread{'s' * (n > 1)}",
            rows,
            lambda case, seconds: seconds * 1e6,
            beside="Backpass",
            wanted=WANTED,
        )


if __name__ == "__main__":
    main()
