"""Memory and time of a long recurrence's gradient, with checkpoints and without, and the rivals'.

    python tests/benchmarks/checkpointing.py [--steps 1000] [--hidden 256] [--batch 64] [--rounds 3]

h = tanh(h W + x U), float32, and the gradients of sum(h * h) to W and U.  Each contender has a
process of its own, which first takes the gradient of a few steps, so that everything is imported
and loaded; what is resident then is the baseline.  The peak is the most that was resident beyond
it, as the system counts it (Linux: VmHWM).  JAX is timed once it has compiled.
"""

from __future__ import annotations

import argparse
import functools
import gc
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy
from interleave import print_machine
from memory import begin_anew, resident

#: Takes the data and the number of steps; returns a function that computes the gradients.
Make = Callable[[dict[str, Any], int], Callable[[], Any]]


def data(steps: int, hidden: int, batch: int) -> dict[str, Any]:
    """Return weights, the first state and the inputs of each step."""
    random = numpy.random.default_rng(0)
    made = {
        "w": random.standard_normal((hidden, hidden)) / math.sqrt(hidden),
        "u": random.standard_normal((hidden, hidden)) / math.sqrt(hidden),
        "h": numpy.zeros((batch, hidden)),
        "xs": random.standard_normal((steps, batch, hidden), dtype=numpy.float32),
    }
    return {name: x.astype(numpy.float32, copy=False) for name, x in made.items()}


# ----- Backpass ---------------------------------------------------------------------------------


def plain(given: dict[str, Any], steps: int) -> Callable[[], Any]:
    """Keep everything."""
    import backpass.numpy as np
    from backpass.core import value_and_grad

    def f(w: Any, u: Any) -> Any:
        h = given["h"]
        for x in given["xs"][:steps]:
            h = np.tanh(h @ w + x @ u)
        return np.sum(h * h)

    return functools.partial(value_and_grad(f, (0, 1)), given["w"], given["u"])


def scan(
    given: dict[str, Any], steps: int, policy: str = "", segments: Any = None
) -> Callable[[], Any]:
    """Run it by `checkpoint_scan`."""
    import backpass.numpy as np
    from backpass.core import (
        checkpoint_name,
        checkpoint_policies,
        checkpoint_scan,
        value_and_grad,
    )

    named = policy == "names"
    chosen = checkpoint_policies.save_only_these_names("h") if named else None
    if policy and not named:
        chosen = getattr(checkpoint_policies, policy)

    def f(w: Any, u: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = np.tanh(h @ w + x @ u)
            return (checkpoint_name(h, "h") if named else h), None

        xs = given["xs"][:steps]
        h, _ = checkpoint_scan(step, given["h"], xs, segments=segments, policy=chosen)
        return np.sum(h * h)

    return functools.partial(value_and_grad(f, (0, 1)), given["w"], given["u"])


# ----- the rivals -------------------------------------------------------------------------------


def torch(given: dict[str, Any], steps: int, checkpointed: bool) -> Callable[[], Any]:
    """Run it in PyTorch, in segments or not."""
    import torch
    from torch.utils.checkpoint import checkpoint

    w, u, first, xs = (torch.from_numpy(given[name]) for name in ("w", "u", "h", "xs"))
    w.requires_grad_()
    u.requires_grad_()

    def run(h: Any, xs: Any) -> Any:
        for x in xs:
            h = torch.tanh(h @ w + x @ u)
        return h

    def gradients() -> Any:
        if checkpointed:
            h = first
            for piece in torch.tensor_split(xs[:steps], round(math.sqrt(steps))):
                h = checkpoint(run, h, piece, use_reentrant=False)
        else:
            h = run(first, xs[:steps])
        return torch.autograd.grad((h * h).sum(), (w, u))

    return gradients


def jax(given: dict[str, Any], steps: int, checkpointed: bool) -> Callable[[], Any]:
    """Run it in JAX, compiled, by a scan of scans under `jax.checkpoint` or by one scan."""
    import jax
    import jax.numpy as jnp

    w, u, first, xs = (jnp.asarray(given[name]) for name in ("w", "u", "h", "xs"))
    count = max(k for k in range(1, math.isqrt(steps) + 1) if steps % k == 0)

    def f(w: Any, u: Any, xs: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            return jnp.tanh(h @ w + x @ u), None

        @jax.checkpoint
        def segment(h: Any, xs: Any) -> Any:
            return jax.lax.scan(step, h, xs)

        if checkpointed:
            pieces = xs.reshape(count, steps // count, *xs.shape[1:])
            h, _ = jax.lax.scan(segment, first, pieces)
        else:
            h, _ = jax.lax.scan(step, first, xs)
        return jnp.sum(h * h)

    gradients = jax.jit(jax.grad(f, (0, 1))).lower(w, u, xs[:steps]).compile()
    return lambda: jax.block_until_ready(gradients(w, u, xs[:steps]))


CONTENDERS: dict[str, Make] = {
    "plain": plain,
    "`checkpoint_scan`": scan,
    "`segments=(10, 10)`": functools.partial(scan, segments=(10, 10)),
    "`segments=(2,) * 9`": functools.partial(scan, segments=(2,) * 9),
    '`save_only_these_names("h")`': functools.partial(scan, policy="names"),
    "`dots_saveable`": functools.partial(scan, policy="dots_saveable"),
    "`dots_saveable`, `segments=(10, 10)`": functools.partial(
        scan, policy="dots_saveable", segments=(10, 10)
    ),
    "PyTorch": functools.partial(torch, checkpointed=False),
    "PyTorch, `checkpoint`": functools.partial(torch, checkpointed=True),
    "JAX, jit": functools.partial(jax, checkpointed=False),
    "JAX, jit, `jax.checkpoint`": functools.partial(jax, checkpointed=True),
}


def measure(name: str, steps: int, hidden: int, batch: int) -> tuple[int, float]:
    """Return the peak beyond the baseline in bytes, and the seconds of another run."""
    given = data(steps, hidden, batch)
    CONTENDERS[name](given, min(steps, 10))()
    gradients = CONTENDERS[name](given, steps)
    gc.collect()
    begin_anew()
    before = resident("VmRSS")
    gradients()
    peak = resident("VmHWM") - before
    started = time.perf_counter()
    gradients()
    return peak, time.perf_counter() - started


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    shape = (options.steps, options.hidden, options.batch)
    if options.serve:
        print(*measure(options.serve, *shape))
        return
    rows: dict[str, list[tuple[float, float]]] = {}
    command = [sys.executable, __file__]
    for option, value in zip(("--steps", "--hidden", "--batch"), shape, strict=True):
        command += [option, str(value)]
    for _ in range(options.rounds):
        for name in CONTENDERS:
            made = subprocess.run([*command, "--serve", name], capture_output=True, text=True)
            if made.returncode == 0:
                peak, seconds = map(float, made.stdout.split()[-2:])
                rows.setdefault(name, []).append((peak / 2**20, seconds))
            elif name not in rows:
                print(f"{name}: not measured, {made.stderr.strip().splitlines()[-1]}")
                rows[name] = []
    print_machine(("backpass.core", "numpy", "torch", "jax"))
    state = 4 * options.hidden * options.batch / 2**20
    print(f"\n{options.steps} steps; a state is {state:.3f} MiB, all {options.steps * state:.0f}\n")
    print(f"| {'':38} | {'MiB':>7} | {'seconds':>13} |")
    print(f"|{'-' * 40}|{'-' * 8}:|{'-' * 14}:|")
    for name, found in rows.items():
        if found:
            peaks, seconds = zip(*found, strict=True)
            times = f"{min(seconds):.2f} / {statistics.median(seconds):.2f}"
            print(f"| {name:38} | {statistics.median(peaks):7.1f} | {times:>13} |")


if __name__ == "__main__":
    main()
