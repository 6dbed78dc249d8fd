"""10,000 steps of the network of the README, the loader included: Backpass beside its rivals.

    python tests/benchmarks/loop.py [--rounds N] [--batch 1 32] [--only ...]

Layers of 784, 200, 100 and 10, tanh, log-softmax, descent with momentum, in float32 (and once in
float64, NumPy's own type); 60,000 images, as many as MNIST has.  A call is one turn of the training
loop: take the next mini-batch, loss, gradients, update.  The figures are seconds for 10,000 of
them.  "Slices" takes the images as they lie, as a first program does; "shuffled" gathers them in a
new order in each epoch.

Each contender has a process of its own.
"""

from __future__ import annotations

import functools
import importlib
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import numpy
from interleave import Step, compare, parser, print_machine, processes, serve
from mlp_step import (
    MOMENTUM,
    RATE,
    Case,
    first_weights,
    jax_step,
    network,
    pytorch_step,
)

STEPS = 10_000
IMAGES = 60_000
#: What 10,000 steps at batch 1 may take, in seconds.
TARGET = 1.0

Batches = Iterator[tuple[Any, Any]]


@functools.cache
def images_and_targets() -> tuple[Any, Any]:
    """Return as many images as MNIST has, as rows of float32, and one-hot targets."""
    random = numpy.random.default_rng(0)
    inked = random.random((IMAGES, 784), dtype=numpy.float32)
    images = numpy.where(inked < 0.2, 5 * inked, numpy.float32(0))
    return images, numpy.eye(10, dtype=numpy.float32)[random.integers(0, 10, IMAGES)]


def slices(batch: int, dtype: str = "float32") -> Batches:
    """Give the mini-batches as they lie, for ever."""
    images, targets = (a.astype(dtype, copy=False) for a in images_and_targets())
    while True:
        for start in range(0, IMAGES, batch):
            part = slice(start, start + batch)
            yield images[part], targets[part]


def shuffled(batch: int) -> Batches:
    """Give the mini-batches in a new order in each epoch, gathered with NumPy, for ever."""
    images, targets = images_and_targets()
    random = numpy.random.default_rng(1)
    while True:
        order = random.permutation(IMAGES)
        for start in range(0, IMAGES, batch):
            part = order[start : start + batch]
            yield images[part], targets[part]


def backpass_objects(batch: int, loader: Callable[[int], Batches], dtype: str = "float32") -> Step:
    """As the README has it: grad of the objective, then the optimizer's step."""
    import backpass.numpy as np
    from backpass.core import grad
    from backpass.nn.optimizers import sgd_momentum
    from backpass.scipy.special import logsumexp

    weights = [
        (np.array(W, dtype=dtype), np.array(b, dtype=dtype)) for W, b in first_weights(_case(batch))
    ]
    gradient = grad(network(np, logsumexp))
    run_optimizer = sgd_momentum(weights, learning_rate=RATE, beta=MOMENTUM)
    batches = loader(batch)

    def step() -> None:
        x, y = next(batches)
        gradient(x, weights, y)
        run_optimizer()

    return step


def backpass_functions(batch: int, loader: Callable[[int], Batches]) -> Step:
    """As functions of arrays."""
    import backpass.numpy as np
    from backpass.core import value_and_grad
    from backpass.nn.optimizers import momentum_update
    from backpass.scipy.special import logsumexp

    weights = first_weights(_case(batch))
    flat = [a for layer in weights for a in layer]
    velocities = [numpy.zeros_like(a) for a in flat]
    loss_and_gradient = value_and_grad(network(np, logsumexp), argnums=1)
    batches = loader(batch)

    def step() -> Any:
        x, y = next(batches)
        loss, gradients = loss_and_gradient(x, weights, y)
        found = [g for layer in gradients for g in layer]
        momentum_update.op(*flat, *velocities, *found, learning_rate=RATE, momentum=MOMENTUM)
        return loss

    return step


def pytorch(batch: int, *, loader: bool) -> Step:
    """PyTorch, eager, fused SGD; with its DataLoader, or gathering the images by hand."""
    torch = importlib.import_module("torch")
    images, targets = map(torch.from_numpy, images_and_targets())

    def loaded() -> Batches:
        data = torch.utils.data.TensorDataset(images, targets)
        while True:
            yield from torch.utils.data.DataLoader(data, batch_size=batch, shuffle=True)

    def gathered() -> Batches:
        while True:
            for part in torch.randperm(IMAGES).split(batch):
                yield images[part], targets[part]

    batches = loaded() if loader else gathered()
    step = pytorch_step(_case(batch), fused=True)
    return lambda: step(*next(batches))


def jax_jit(batch: int) -> Step:
    """JAX: the step compiled, its buffers donated, the images gathered with NumPy."""
    jax = importlib.import_module("jax")
    step, batches = jax_step(_case(batch)), shuffled(batch)
    return lambda: jax.block_until_ready(step(*next(batches)))


def loader_alone(batch: int, loader: Callable[[int], Batches]) -> Step:
    """The mini-batches, and nothing done with them."""
    return functools.partial(next, loader(batch))


def _case(batch: int) -> Case:
    return Case((784, 200, 100, 10), batch)


OURS = "Backpass, objects, shuffled"
RIVALS: dict[str, Callable[[int], Step]] = {
    OURS: lambda batch: backpass_objects(batch, shuffled),
    "Backpass, objects, slices": lambda batch: backpass_objects(batch, slices),
    "Backpass, objects, slices, float64": lambda batch: backpass_objects(
        batch, functools.partial(slices, dtype="float64"), "float64"
    ),
    "Backpass, functions, shuffled": lambda batch: backpass_functions(batch, shuffled),
    "PyTorch, DataLoader": lambda batch: pytorch(batch, loader=True),
    "PyTorch, gathered by hand": lambda batch: pytorch(batch, loader=False),
    "JAX, jit, donated, shuffled": jax_jit,
    "The loader alone, shuffled": lambda batch: loader_alone(batch, shuffled),
}
BY_TEXT = {name: lambda text, make=make: make(int(text)) for name, make in RIVALS.items()}


def main() -> None:
    """Measure, and print a table for each batch."""
    arguments = parser(__doc__, rounds=20)
    arguments.add_argument("--batch", nargs="+", default=["1", "32"])
    options = arguments.parse_args()
    if options.serve:
        serve(BY_TEXT, options.serve)
        return
    print_machine(("backpass.core", "numpy", "torch", "jax"))
    with processes(__file__, BY_TEXT, only=options.only) as running:
        for batch in options.batch:
            times = compare(running, batch, options.rounds)
            own = statistics.median(times[OURS]) if OURS in times else None
            print(f"\n{STEPS:,} steps with batches of {batch}, s")
            if batch == "1":
                print(f"to reach: {TARGET:g} s")
            print(f"\n| {'':36} | {'least':>7} | {'median':>7} | {'ratio':>6} |")
            print(f"|{'-' * 38}|{'-' * 8}:|{'-' * 8}:|{'-' * 7}:|")
            for name, found in sorted(times.items(), key=lambda item: statistics.median(item[1])):
                median = statistics.median(found)
                ratio = f"{median / own:6.2f}" if own else ""
                print(
                    f"| {name:36} | {min(found) * STEPS:7.3f} | {median * STEPS:7.3f} | {ratio} |"
                )


if __name__ == "__main__":
    main()
