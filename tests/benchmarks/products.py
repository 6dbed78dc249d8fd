"""Matrix products: Backpass beside its rivals.

    python tests/benchmarks/products.py [--rounds N] [--shapes 256x784x200 ...] [--threads 1 2]
        [--dtypes float32 float64] [--layouts nn tn nt] [--only ...]

256x784x200 is a product of 256 x 784 with 784 x 200.  Layouts: `t` says that the operand is the
transpose of an array that lies row by row, as it is in a product's own gradients.  Each contender
has a process of its own for each number of threads; other operands each time.  The last column
names the rivals beside which Backpass falls short: 85 % of NumPy with SkylakeX, 1.7 times stock
NumPy.
"""

from __future__ import annotations

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

SHAPES = ("256x784x200", "1024x1024x1024")
LAYOUTS = ("nn", "tn", "nt", "tt")
WANTED = {"NumPy": 1.7, "NumPy, SkylakeX": 0.85, "PyTorch": 1.0, "JAX, jit": 1.0}


def lengths(case: str) -> tuple[int, int, int]:
    """Return m, k and n of a case such as `256x784x200 tn float32`."""
    m, k, n = map(int, case.partition(" ")[0].split("x"))
    return m, k, n


def products(case: str, array: Callable[[Any], Any], product: Callable[[Any, Any], Any]) -> Step:
    """Return the product of the next operands, made by a library's `array`."""
    m, k, n = lengths(case)
    _, layout, dtype = case.split(" ")
    random = numpy.random.default_rng(0)

    def operand(rows: int, columns: int, way: str) -> Any:
        shape = (columns, rows) if way == "t" else (rows, columns)
        made = array(random.standard_normal(shape).astype(dtype))
        return made.T if way == "t" else made

    count = 8 if m * k * n < 1e8 else 2
    data = fresh([(operand(m, k, layout[0]), operand(k, n, layout[1])) for _ in range(count)])
    return lambda: product(*data())


def backpass(case: str) -> Step:
    """Backpass: `np.matmul` of plain arrays."""
    import backpass.numpy as np

    return products(case, numpy.asarray, np.matmul)


def plain(case: str) -> Step:
    """NumPy."""
    return products(case, numpy.asarray, numpy.matmul)


def pytorch(case: str) -> Step:
    """PyTorch."""
    torch = importlib.import_module("torch")
    return products(case, torch.from_numpy, torch.matmul)


def jax_jit(case: str) -> Step:
    """JAX: the transposition is part of the compiled program, for its arrays lie row by row."""
    confine()
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    left, right = (way == "t" for way in case.split(" ")[1])
    product = jax.jit(lambda x, y: (x.T if left else x) @ (y.T if right else y))

    class Lying:
        """A JAX array whose `.T` is not computed: the program knows."""

        def __init__(self, x: Any) -> None:
            self.T = self.array = jax.numpy.asarray(x)

    return products(
        case,
        Lying,
        lambda x, y: jax.block_until_ready(product(getattr(x, "array", x), getattr(y, "array", y))),
    )


RIVALS = {"Backpass": backpass, "NumPy": plain, "PyTorch": pytorch, "JAX, jit": jax_jit}


def main() -> None:
    """Measure, and print a table for each number of threads."""
    arguments = parser(__doc__, rounds=12)
    arguments.add_argument("--shapes", nargs="+", default=SHAPES)
    arguments.add_argument("--layouts", nargs="+", default=LAYOUTS)
    arguments.add_argument("--dtypes", nargs="+", default=["float32", "float64"])
    arguments.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    options = arguments.parse_args()
    if options.serve:
        serve(RIVALS, options.serve)
        return
    print_machine(("backpass.core", "numpy", "torch", "jax"))
    for n in options.threads:
        with processes(
            __file__, RIVALS, over_numpy=["NumPy"], only=options.only, environment=threads(n)
        ) as running:
            rows = {
                case: compare(running, case, options.rounds)
                for shape in options.shapes
                for dtype in options.dtypes
                for case in (f"{shape} {layout} {dtype}" for layout in options.layouts)
            }
        print_comparison(
            f"GF/s, {n} thread{'s' * (n > 1)}",
            rows,
            lambda case, seconds: 2 * numpy.prod(lengths(case), dtype=float) / seconds / 1e9,
            beside="Backpass",
            wanted=WANTED,
        )


if __name__ == "__main__":
    main()
