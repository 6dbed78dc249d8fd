"""Value and gradient of sum(tanh(x * w + b) * x - w): Backpass beside its rivals.

    python tests/benchmarks/expression.py [--rounds N] [--sizes 10000 1000000 ...] [--only ...]

x, w and b are float32 arrays of one length, other ones each time; the gradient is by all three.
Each contender has a process of its own, with all its threads.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy
from interleave import (
    Step,
    compare,
    fresh,
    parser,
    print_machine,
    print_table,
    processes,
    serve,
)

SIZES = ("10000", "1000000", "10000000")
ALL = (0, 1, 2)


def operands(size: str) -> list[tuple[Any, Any, Any]]:
    """Return x, w and b, several times."""
    n = int(size)
    random = numpy.random.default_rng(0)
    return [
        tuple(random.standard_normal(n, dtype=numpy.float32) for _ in ALL)
        for _ in range(8 if n <= 1_000_000 else 2)
    ]


def expression(xp: Any) -> Any:
    """Return the function, written with one library."""

    def total(x: Any, w: Any, b: Any) -> Any:
        return xp.sum(xp.tanh(x * w + b) * x - w)

    return total


def backpass(size: str) -> Step:
    """Backpass: value_and_grad of plain arrays."""
    import backpass.numpy as np
    from backpass.core import value_and_grad

    both = value_and_grad(expression(np), argnums=ALL)
    data = fresh(operands(size))
    return lambda: both(*data())


def by_hand(size: str) -> Step:
    """NumPy, the derivative written out."""
    data = fresh(operands(size))

    def step() -> Any:
        x, w, b = data()
        t = numpy.tanh(x * w + b)
        value = numpy.sum(t * x - w)
        db = (1 - t * t) * x
        return value, (db * w + t, db * x - 1, db)

    return step


def hips(size: str) -> Step:
    """HIPS autograd."""
    autograd = importlib.import_module("autograd")
    anp = importlib.import_module("autograd.numpy")
    both = autograd.value_and_grad(expression(anp), argnum=ALL)
    data = fresh(operands(size))
    return lambda: both(*data())


def pytorch(size: str, *, compiled: bool = False) -> Step:
    """PyTorch: autograd.grad."""
    torch = importlib.import_module("torch")
    total = torch.compile(expression(torch)) if compiled else expression(torch)
    data = fresh(
        [tuple(torch.from_numpy(a).requires_grad_() for a in three) for three in operands(size)]
    )

    def step() -> Any:
        three = data()
        value = total(*three)
        return value, torch.autograd.grad(value, three)

    return step


def jax_jit(size: str) -> Step:
    """JAX, compiled."""
    jax = importlib.import_module("jax")
    jnp = importlib.import_module("jax.numpy")
    both = jax.jit(jax.value_and_grad(expression(jnp), argnums=ALL))
    data = fresh([tuple(map(jnp.asarray, three)) for three in operands(size)])
    return lambda: jax.block_until_ready(both(*data()))


RIVALS = {
    "Backpass": backpass,
    "NumPy by hand": by_hand,
    "HIPS autograd": hips,
    "PyTorch, eager": pytorch,
    "PyTorch, compiled": functools.partial(pytorch, compiled=True),
    "JAX, jit": jax_jit,
}


def main() -> None:
    """Measure, and print a table for each length."""
    arguments = parser(__doc__, rounds=20)
    arguments.add_argument("--sizes", nargs="+", default=SIZES)
    options = arguments.parse_args()
    if options.serve:
        serve(RIVALS, options.serve)
        return
    print_machine(("backpass.core", "numpy", "autograd", "torch", "jax"))
    with processes(__file__, RIVALS, only=options.only) as running:
        for size in options.sizes:
            print_table(
                f"{int(size):,} floats, us",
                compare(running, size, options.rounds),
                beside="Backpass",
            )


if __name__ == "__main__":
    main()
