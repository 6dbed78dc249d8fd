"""How much memory a training step of a small network takes at its peak, beside the rivals.

    python tests/benchmarks/memory.py [--batch 8192] [--steps 5] [--rounds 3]

The network is that of `mlp_step.py`.  Each contender has a process of its own.  There it makes the
weights and the data and takes steps with a tiny batch, so that everything is imported and loaded;
what is resident then is the baseline.  The peak is the most that was resident at any time during
the steps with large batches, beyond the baseline, as the system counts it (Linux: VmHWM).
"""

from __future__ import annotations

import argparse
import gc
import re
import statistics
import subprocess
import sys
from pathlib import Path

import mlp_step
from interleave import print_machine

NETWORK = "784-200-100-10"
#: Floats that a step cannot do without at the same time, for each image: the outputs of both hidden
#: layers, and the cotangent of the wider one.
LEAST = 200 + 100 + 200


def resident(which: str) -> int:
    """Return VmRSS or VmHWM in bytes."""
    found = re.search(rf"^{which}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return 1024 * int(found[1])


def begin_anew() -> None:
    """Let the peak be what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")


def measure(name: str, size: int, steps: int) -> tuple[int, int]:
    """Return the peak beyond the baseline, and what stays, in bytes."""
    mlp_step.BATCHES = 2
    make = mlp_step.BY_TEXT[name]
    tiny = make(f"{NETWORK}/8")
    for _ in range(3):
        tiny()
    step = make(f"{NETWORK}/{size}")
    gc.collect()
    begin_anew()
    before = resident("VmRSS")
    for _ in range(steps):
        step()
    return resident("VmHWM") - before, resident("VmRSS") - before


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=8192)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        print(*measure(options.serve, options.batch, options.steps))
        return
    rows: dict[str, list[tuple[int, int]]] = {}
    command = [sys.executable, __file__, "--batch", str(options.batch)]
    command += ["--steps", str(options.steps), "--serve"]
    for _ in range(options.rounds):
        for name in mlp_step.BY_TEXT:
            made = subprocess.run([*command, name], capture_output=True, text=True)
            if made.returncode == 0:
                peak, stays = map(int, made.stdout.split()[-2:])
                rows.setdefault(name, []).append((peak, stays))
            elif name not in rows:
                print(f"{name}: not measured, {made.stderr.strip().splitlines()[-1]}")
                rows[name] = []
    print_machine(("backpass.core", "numpy", "autograd", "mygrad", "torch", "jax"))
    least = options.batch * 4 * LEAST / 2**20
    print(f"\nMiB at the peak of a step with batches of {options.batch}, beyond weights and data")
    print(f"(two hidden layers and one cotangent alone: {least:.1f})\n")
    print(f"| {'':44} | {'peak':>7} | {'stays':>7} |")
    print(f"|{'-' * 46}|{'-' * 8}:|{'-' * 8}:|")
    for name, found in rows.items():
        if found:
            peak, stays = (statistics.median(x) / 2**20 for x in zip(*found, strict=True))
            print(f"| {name:44} | {peak:7.1f} | {stays:7.1f} |")


if __name__ == "__main__":
    main()
