"""What it costs to explain a function of a thousand operations: to run it, to write it down.

    python tests/benchmarks/explaining.py [--rounds N]

A chain of operations (multiply, add, tanh, in turns) on a number, on ten elements, which are shown
in full, and on a thousand, which are summed up.  Beside it `grad` of the same chain, which nobody
watches.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy
from interleave import Here, interleaved, print_machine, print_table

import backpass.numpy as np
from backpass.core import explain, grad

LENGTH = 1000
VALUES = {
    "a number": 0.5,
    "10 elements": numpy.full(10, 0.5),
    "1000 elements": numpy.full(1000, 0.5),
}


def chain(x: Any) -> Any:
    """Apply the operations, and sum up."""
    for _ in range((LENGTH - 1) // 3):
        x = np.tanh(x * 1.01 + 0.1)
    return np.sum(x)


def steps(value: Any) -> dict[str, Callable[[], Any]]:
    """Return what is measured."""
    explained = explain(chain)(value)
    return {
        "explain": lambda: explain(chain)(value),
        "its text": lambda: str(explained),
        "its HTML": lambda: explained._repr_html_(),
        "grad": lambda: grad(chain)(value),
    }


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    print_machine(("backpass.core", "numpy"))
    for name, value in VALUES.items():
        contenders = [Here(what, step) for what, step in steps(value).items()]
        print_table(
            f"{LENGTH} operations on {name}, ms",
            interleaved(contenders, rounds),
            calls=1000,
            beside="grad",
        )


if __name__ == "__main__":
    main()
