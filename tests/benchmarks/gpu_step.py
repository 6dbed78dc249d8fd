"""A training step on a GPU: Backpass beside PyTorch, JAX and CuPy by hand.

    python tests/benchmarks/gpu_step.py [--rounds N] [--batch 1 256 8192]
        [--precision highest tf32] [--only ...] [--check]

The network of mlp_step.py, 784-200-100-10, with its weights, batches and arithmetic, in float32;
matrix products with all bits of their factors everywhere ("highest"), then with TF32 everywhere.
The batches lie on the GPU before, and each step takes another one.  A turn of 50 ms ends when the
GPU has done all its work, and nobody waits for it between the steps: the figures are throughput.
What is captured as a CUDA graph first copies the batch to where the graph reads it.

Everybody starts from the same weights; `--check` prints their losses at the 20th step, and how far
they are from NumPy's.  The last lines say where the eager step takes more of the time of
the fastest eager PyTorch (plain, foreach or fused optimizer), or of the faster CuPy by hand, than
it should.
"""

from __future__ import annotations

import functools
import importlib
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import mlp_step
from gpu import print_gpu, wait
from interleave import (
    Queued,
    compare,
    fresh,
    parser,
    print_machine,
    print_table,
    processes,
    serve,
)
from mlp_step import backpass_step, by_hand, in_place, jax_step, pytorch_step

from backpass.core import to_device

LAYERS = (784, 200, 100, 10)
BATCHES = ("1", "256", "8192")
PRECISIONS = ("highest", "tf32")
#: JAX would take most of the memory, beside the others.
ENVIRONMENT = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


class Case(NamedTuple):
    """A batch and how exactly products are computed: `256 tf32`."""

    batch: int
    precision: str

    @classmethod
    def of(cls, text: str) -> Case:
        """Read one."""
        batch, precision = text.split(" ")
        return cls(int(batch), precision)

    @property
    def network(self) -> mlp_step.Case:
        """The network with such batches."""
        return mlp_step.Case(LAYERS, self.batch)


Contender = Callable[[Case], Queued]


# ----- Backpass ----------------------------------------------------------------------------------


def backpass(make: Callable[..., Callable[[], Any]], case: Case) -> Queued:
    """Backpass, eager."""
    importlib.import_module("backpass.cupy").set_matmul_precision(case.precision)
    return Queued(make(case.network, "cuda"), wait())


def backpass_captured(case: Case) -> Queued:
    """Backpass, the whole step as a CUDA graph."""
    cp = importlib.import_module("backpass.cupy")
    cp.set_matmul_precision(case.precision)
    step = cp.capture(backpass_step(case.network, "cuda"), copy=False)
    data = fresh(to_device(mlp_step.batches(case.network), "cuda"))
    return Queued(lambda: step(*data()), wait())


# ----- over CuPy ---------------------------------------------------------------------------------


def cupy(make: Callable[..., Callable[[], Any]], case: Case) -> Queued:
    """CuPy, the gradients by hand."""
    library = importlib.import_module("cupy")
    products = importlib.import_module("cupy._core._routines_linalg")
    kind = products.COMPUTE_TYPE_TF32 if case.precision == "tf32" else products.COMPUTE_TYPE_DEFAULT
    products.set_compute_type("f", kind)
    return Queued(make(case.network, library), wait())


# ----- PyTorch and JAX ---------------------------------------------------------------------------


def _pytorch(case: Case) -> Any:
    torch = importlib.import_module("torch")
    torch.backends.cuda.matmul.allow_tf32 = case.precision == "tf32"
    return torch


def pytorch(case: Case, **options: Any) -> Queued:
    """PyTorch, eager."""
    torch = _pytorch(case)
    return Queued(mlp_step.pytorch(case.network, "cuda", **options), torch.cuda.synchronize)


def pytorch_captured(case: Case) -> Queued:
    """PyTorch, the whole step as a CUDA graph."""
    torch = _pytorch(case)
    data = mlp_step.pytorch_batches(case.network, "cuda")
    x, y = (torch.from_numpy(a).to("cuda") for a in mlp_step.batches(case.network)[0])
    # What is set up at the first call is set up by a step on other weights.
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        other = pytorch_step(case.network, fused=True, device="cuda")
        for _ in range(3):
            other(x, y)
    torch.cuda.current_stream().wait_stream(stream)
    step = pytorch_step(case.network, fused=True, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step(x, y)

    def replay() -> Any:
        images, targets = data()
        x.copy_(images)
        y.copy_(targets)
        graph.replay()
        return loss

    return Queued(replay, torch.cuda.synchronize)


def jax_jit(case: Case) -> Queued:
    """JAX, the step compiled, its buffers donated."""
    jax = importlib.import_module("jax")
    precision = "tensorfloat32" if case.precision == "tf32" else "highest"
    jax.config.update("jax_default_matmul_precision", precision)
    step = jax_step(case.network)
    data = fresh([tuple(map(jax.device_put, pair)) for pair in mlp_step.batches(case.network)])
    last: list[Any] = []

    def keep() -> Any:
        last[:] = [step(*data())]
        return last[0]

    return Queued(keep, lambda: jax.block_until_ready(last))


# ----- the table ---------------------------------------------------------------------------------

OURS = "Backpass, grad + sgd_momentum"
EAGER = (OURS, "Backpass, value_and_grad + momentum_update")
RIVALS: dict[str, Contender] = {
    EAGER[0]: functools.partial(backpass, mlp_step.backpass_objects),
    EAGER[1]: functools.partial(backpass, mlp_step.backpass_functions),
    "Backpass, captured": backpass_captured,
    "PyTorch, eager, plain": functools.partial(pytorch, foreach=False),
    "PyTorch, eager, foreach": functools.partial(pytorch, foreach=True),
    "PyTorch, eager, fused": functools.partial(pytorch, fused=True),
    "PyTorch, captured, fused": pytorch_captured,
    "JAX, jit, donated": jax_jit,
    "CuPy by hand": functools.partial(cupy, by_hand),
    "CuPy by hand, in place": functools.partial(cupy, in_place),
}
BY_TEXT = {name: lambda text, make=make: make(Case.of(text)) for name, make in RIVALS.items()}
#: The share of the fastest one's time that the eager step may take.
LIMITS = {"PyTorch, eager": 0.6, "CuPy by hand": 0.8}


def missed(times: Mapping[str, Sequence[float]]) -> list[str]:
    """Print how much of the others' time each eager step takes; return where it is too much."""
    medians = {name: statistics.median(found) for name, found in times.items()}
    found = []
    for own in EAGER:
        for family, limit in LIMITS.items():
            theirs = [time for name, time in medians.items() if name.startswith(family)]
            if own in medians and theirs:
                share = medians[own] / min(theirs)
                text = f"{own}: {share:.2f} of {family}, at most {limit:g}"
                print(text)
                if share > limit:
                    found.append(text)
    return found


def check(case: Case) -> None:
    """Print everybody's loss at the 20th step: one that differs is not measured fairly."""
    by_numpy = by_hand(case.network)
    right = float([by_numpy() for _ in range(20)][-1])
    print(f"{'NumPy by hand':44} {right:.6g}")
    for name, make in RIVALS.items():
        try:
            step = make(case).step
            last: Any = [step() for _ in range(20)][-1]
        except Exception as error:
            print(f"{name:44} {type(error).__name__}: {error}".partition("\n")[0])
            continue
        loss = float(getattr(last, "value", last))
        print(f"{name:44} {loss:.6g}, off by {abs(loss - right) / abs(right):.1e}", flush=True)


def main() -> None:
    """Measure, print a table for each case, and say what misses its target."""
    arguments = parser(__doc__, rounds=20)
    arguments.add_argument("--batch", nargs="+", default=BATCHES)
    arguments.add_argument("--precision", nargs="+", default=PRECISIONS, choices=PRECISIONS)
    arguments.add_argument("--check", action="store_true")
    options = arguments.parse_args()
    os.environ.update(ENVIRONMENT)
    if options.serve:
        serve(BY_TEXT, options.serve)
        return
    cases = [f"{batch} {precision}" for batch in options.batch for precision in options.precision]
    print_machine(("backpass.core", "numpy", "torch", "jax"))
    print_gpu()
    if options.check:
        for case in cases:
            print(f"\n{case}")
            check(Case.of(case))
        return
    too_long: list[str] = []
    with processes(__file__, BY_TEXT, only=options.only) as running:
        for case in cases:
            batch, precision = case.split(" ")
            times = compare(running, case, options.rounds)
            if times:
                title = f"A step with batches of {batch}, {precision}, us"
                print_table(title, times, beside=OURS)
                print()
                too_long += [f"{case}: {text}" for text in missed(times)]
    print("\nmissed:" if too_long else "\nnothing missed", *too_long, sep="\n  ")


if __name__ == "__main__":
    main()
