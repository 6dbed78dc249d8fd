"""Whole training loops, the loader included, in images a second: `backpass.nn` beside PyTorch.

    python tests/benchmarks/training.py [--rounds N] [--net mlp cnn] [--batch 32 128] [--only ...]

8,000 images of 28 x 28 in float32, shuffled anew in each epoch by each library's own loader. The
MLP is 784-200-100-10 with ReLU; the CNN has two 5 x 5 convolutions of 32 and 64 channels, each with
ReLU and a 2 x 2 pool, and dense layers of 128 and 10. Cross-entropy, Adam. A call is one turn of
the loop: batch, loss, gradients, update.

Each contender has a process of its own.
"""

from __future__ import annotations

import importlib
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import numpy
from interleave import Step, compare, parser, print_machine, processes, serve

IMAGES = 8_000
RATE = 1e-3
OURS = "Backpass, backward and step"


def images_and_labels() -> tuple[Any, Any]:
    """Return images of which four fifths are paper, and labels."""
    random = numpy.random.default_rng(0)
    inked = random.random((IMAGES, 1, 28, 28), dtype=numpy.float32)
    images = numpy.where(inked < 0.2, 5 * inked, numpy.float32(0))
    return images, random.integers(0, 10, IMAGES)


def network(nn: Any, net: str) -> Any:
    """Return a network of a library's modules: both have the same names for them."""
    if net == "mlp":
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(784, 200),
            nn.ReLU(),
            nn.Linear(200, 100),
            nn.ReLU(),
            nn.Linear(100, 10),
        )
    return nn.Sequential(
        nn.Conv2d(1, 32, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(1024, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def backpass_batches(batch: int) -> Iterator[Any]:
    """Give the mini-batches, epoch after epoch, for ever."""
    from backpass.nn.data import ArrayDataset, DataLoader

    loader = DataLoader(ArrayDataset(*images_and_labels()), batch, shuffle=True, drop_last=True)
    while True:
        yield from loader


def backpass_objects(net: str, batch: int) -> Step:
    """As people come from PyTorch: backward, step, zero_grad."""
    from backpass import nn
    from backpass.nn import functional

    nn.seed(0)
    model, batches = network(nn, net), backpass_batches(batch)
    optimizer = nn.optimizers.Adam(model, learning_rate=RATE)

    def step() -> None:
        x, y = next(batches)
        functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def backpass_functions(net: str, batch: int) -> Step:
    """As people come from JAX: the gradient with respect to the model, and a pure update."""
    from backpass import nn
    from backpass.core import value_and_grad
    from backpass.nn import functional

    nn.seed(0)
    model, batches = network(nn, net), backpass_batches(batch)
    optimizer = nn.optimizers.Adam(learning_rate=RATE)
    held = [model, optimizer.init(model)]
    gradient = value_and_grad(lambda m, x, y: functional.cross_entropy(m(x), y), argnums=0)

    def step() -> None:
        x, y = next(batches)
        _, grads = gradient(held[0], x, y)
        held[:] = optimizer.update(grads, held[1], held[0])

    return step


def pytorch(net: str, batch: int, channels_last: bool = False) -> Step:
    """PyTorch, eager, with its DataLoader and its fused Adam."""
    torch = importlib.import_module("torch")
    torch.manual_seed(0)
    model = network(torch.nn, net)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = model.to(memory_format=layout)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    data = torch.utils.data.TensorDataset(*map(torch.from_numpy, images_and_labels()))
    loader = torch.utils.data.DataLoader(data, batch, shuffle=True, drop_last=True)

    def endless() -> Iterator[Any]:
        while True:
            yield from loader

    batches = endless()

    def step() -> None:
        x, y = next(batches)
        loss = torch.nn.functional.cross_entropy(model(x.to(memory_format=layout)), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


RIVALS: dict[str, Callable[[str, int], Step]] = {
    OURS: backpass_objects,
    "Backpass, functions": backpass_functions,
    "PyTorch": pytorch,
    "PyTorch, channels last": lambda net, batch: pytorch(net, batch, channels_last=True),
}


def _made(make: Callable[[str, int], Step]) -> Callable[[str], Step]:
    def from_text(case: str) -> Step:
        net, _, batch = case.partition(" ")
        return make(net, int(batch))

    return from_text


BY_TEXT = {name: _made(make) for name, make in RIVALS.items()}


def main() -> None:
    """Measure, and print a table for each network and batch."""
    arguments = parser(__doc__, rounds=20)
    arguments.add_argument("--net", nargs="+", default=["mlp", "cnn"])
    arguments.add_argument("--batch", nargs="+", default=["32", "128"])
    options = arguments.parse_args()
    if options.serve:
        serve(BY_TEXT, options.serve)
        return
    print_machine(("backpass.core", "numpy", "torch"))
    with processes(__file__, BY_TEXT, only=options.only) as running:
        for net in options.net:
            for batch in options.batch:
                times = compare(running, f"{net} {batch}", options.rounds)
                own = statistics.median(times[OURS]) if OURS in times else None
                print(f"\n{net}, batches of {batch}, images a second\n")
                print(f"| {'':28} | {'most':>8} | {'median':>8} | {'ratio':>6} |")
                print(f"|{'-' * 30}|{'-' * 9}:|{'-' * 9}:|{'-' * 7}:|")
                for name, found in sorted(times.items(), key=lambda i: statistics.median(i[1])):
                    median = statistics.median(found)
                    ratio = f"{own / median:6.2f}" if own else ""
                    most, usual = int(batch) / min(found), int(batch) / median
                    print(f"| {name:28} | {most:8.0f} | {usual:8.0f} | {ratio} |")


if __name__ == "__main__":
    main()
