"""How long an import takes beyond NumPy's own: each in a fresh process, in turns.

    python tests/benchmarks/imports.py [--rounds N]

Bytecode is compiled before the first round, as an installer does.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import statistics
import subprocess
import sys

from interleave import print_machine

MODULES = (
    "backpass.numpy",
    "backpass.autograd.numpy",
    "backpass.scipy.special",
    "backpass.nn",
    "autograd.numpy",
    "jax.numpy",
    "torch",
)
SCRIPT = """\
import time
start = time.perf_counter()
import numpy
middle = time.perf_counter()
import {module}
print(middle - start, time.perf_counter() - middle)
"""


def once(module: str) -> tuple[float, float]:
    """Return the seconds for NumPy, and for the module after it."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    run = [sys.executable, "-W", "ignore", "-c", SCRIPT.format(module=module)]
    made = subprocess.run(run, capture_output=True, text=True, check=True, env=environment)
    first, second = made.stdout.split()
    return float(first), float(second)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    modules = [m for m in MODULES if importlib.util.find_spec(m.partition(".")[0])]
    times: dict[str, list[float]] = {module: [] for module in modules}
    numpys = []
    for module in modules:
        once(module)
    order = random.Random(0)
    for _ in range(rounds):
        for module in order.sample(modules, len(modules)):
            numpy, beyond = once(module)
            numpys.append(numpy)
            times[module].append(beyond)
    print_machine(())
    print("\nMilliseconds of an import after numpy's\n")
    print(f"| {'':24} | {'least':>8} | {'median':>8} |")
    print(f"|{'-' * 26}|{'-' * 9}:|{'-' * 9}:|")
    for module, found in (("numpy itself", numpys), *times.items()):
        least, median = min(found) * 1e3, statistics.median(found) * 1e3
        print(f"| {module:24} | {least:8.1f} | {median:8.1f} |")


if __name__ == "__main__":
    main()
