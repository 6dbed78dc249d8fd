"""Train a small network to read handwritten digits, and show what it learned.

    python train.py                      MNIST, or the digits that come with backpass-nn
    python train.py --data ~/mnist       MNIST from (or downloaded into) a folder
    python train.py --data digits        the digits that come with backpass-nn
    python train.py --device cuda        on the GPU

It prints a line per epoch and leaves two pictures in the output folder: the learning curve, and
test images that the network misread.
"""

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy
import numpy.typing as npt
from tqdm import tqdm  # type: ignore[import-untyped]

import backpass.numpy as np
from backpass.core import Tensor, to_device, value_and_grad
from backpass.nn.datasets import load_digits, load_mnist
from backpass.nn.optimizers import sgd_momentum
from backpass.scipy.special import log_softmax

HIDDEN = (200, 100)
BATCH_SIZE = 32
LEARNING_RATE = 0.5

Weights = list[tuple[Tensor, Tensor]]
Array = Any  # numpy.ndarray or cupy.ndarray


# ----- the data -----


@dataclass(frozen=True)
class Data:
    """Images as rows of float32 pixels from 0 to 1, and the digits they show."""

    name: str
    train_images: npt.NDArray[numpy.float32]
    train_labels: npt.NDArray[numpy.int64]
    test_images: npt.NDArray[numpy.float32]
    test_labels: npt.NDArray[numpy.int64]


def mnist(folder: Path | None = None) -> Data:
    """Return MNIST, from `folder` or from where `load_mnist` finds it."""
    found = load_mnist(folder)
    return Data(
        "MNIST",
        rows(found.train_images, ink=255),
        found.train_labels,
        rows(found.test_images, ink=255),
        found.test_labels,
    )


def digits(seed: int) -> Data:
    """Return the embedded digits, divided at random into 80 % for training and 20 % for testing."""
    images, labels = load_digits()
    order = numpy.random.default_rng(seed).permutation(len(images))
    train, test = numpy.split(order, [round(0.8 * len(order))])
    pixels = rows(images, ink=16)
    return Data("the embedded digits", pixels[train], labels[train], pixels[test], labels[test])


def rows(images: npt.NDArray[numpy.uint8], ink: int) -> npt.NDArray[numpy.float32]:
    """Flatten each image to a row, and scale its pixels from 0..`ink` to 0..1."""
    return images.reshape(len(images), -1).astype(numpy.float32) / numpy.float32(ink)


# ----- the network -----


def initial_weights(layers: Sequence[int], rng: numpy.random.Generator) -> Weights:
    """Draw the weights of each layer from a normal distribution, and set its biases to zero.

    A variance of 2 / (number of inputs) keeps the size of the activations through layers of
    rectifiers: K. He et al., "Delving deep into rectifiers", ICCV 2015.
    """
    return [
        (
            np.array(math.sqrt(2 / m) * rng.standard_normal((m, n)), dtype=np.float32),
            np.zeros(n, dtype=np.float32),
        )
        for m, n in pairwise(layers)
    ]


def model(weights: Weights, images: Array) -> Tensor:
    """Return the logarithm of the probability of each digit, one row for each image."""
    activations = images
    for W, b in weights[:-1]:
        activations = np.maximum(np.dot(activations, W) + b, 0)
    W, b = weights[-1]
    return log_softmax(np.dot(activations, W) + b, axis=1)


def objective(weights: Weights, images: Array, targets: Array) -> Tensor:
    """Return the mean cross-entropy of the model's answers, in nats."""
    return -np.sum(model(weights, images) * targets) / len(images)


def read(weights: Weights, images: Array) -> Tensor:
    """Return the most probable digit of each image."""
    return np.argmax(model(weights, images), axis=1)


def accuracy(weights: Weights, images: Array, labels: Array) -> float:
    """Return the share of the images that are read right."""
    return float(np.mean(read(weights, images) == labels))


# ----- training -----


@dataclass
class History:
    """What happened in training: numbers for each epoch, and where it ended."""

    weights: Weights
    losses: list[float] = field(default_factory=list)
    train_accuracies: list[float] = field(default_factory=list)
    test_accuracies: list[float] = field(default_factory=list)
    test_readings: npt.NDArray[numpy.int64] = field(default_factory=lambda: numpy.zeros(0, int))
    seconds: float = 0.0


def train(
    data: Data,
    *,
    epochs: int = 20,
    seed: int = 0,
    device: str = "cpu",
    report: Callable[[str], object] | None = None,
) -> History:
    """Train the network by stochastic gradient descent with momentum.

    Each epoch goes once through the training images in a new random order, in mini-batches. The
    learning rate falls from its first value to zero along half a period of a cosine, so that the
    weights come to rest.

    Parameters
    ----------
    data : Data
        What to train on and what to test with.
    epochs : int
        How often to go through the training images.
    seed : int
        Of the first weights and of the order of the images.
    device : {"cpu", "cuda"}
        Where to compute. "cuda" takes an NVIDIA GPU and ``pip install backpass-core[cuda]``.
    report : callable, optional
        Called with a line of text after each epoch. If given, there is a progress bar, too.

    Returns
    -------
    History
        The trained weights; for each epoch the mean loss over its mini-batches and the accuracies
        after it; what the trained network reads in each test image; and the time of it all.

    Raises
    ------
    RuntimeError
        If the device cannot be used.
    """
    rng = numpy.random.default_rng(seed)
    layers = (data.train_images.shape[1], *HIDDEN, 10)
    weights = to_device(initial_weights(layers, rng), device)
    one_hot = numpy.eye(10, dtype=numpy.float32)
    train_images, train_labels, targets, test_images, test_labels = to_device(
        (
            data.train_images,
            data.train_labels,
            one_hot[data.train_labels],
            data.test_images,
            data.test_labels,
        ),
        device,
    )

    n = len(train_images)
    steps = epochs * math.ceil(n / BATCH_SIZE)
    loss_and_gradient = value_and_grad(objective)
    run_optimizer = sgd_momentum(
        weights,
        learning_rate=lambda step: LEARNING_RATE * (1 + math.cos(math.pi * step / steps)) / 2,
    )

    history = History(weights)
    started = time.perf_counter()
    with tqdm(total=steps, unit=" steps", leave=False, disable=report is None) as bar:
        for epoch in range(1, epochs + 1):
            total: Any = 0.0
            order = to_device(rng.permutation(n), device)
            for start in range(0, n, BATCH_SIZE):
                batch = order[start : start + BATCH_SIZE]
                loss, _ = loss_and_gradient(weights, train_images[batch], targets[batch])
                run_optimizer()
                total = total + loss * len(batch)
                bar.update()
            history.losses.append(float(total) / n)
            history.train_accuracies.append(accuracy(weights, train_images, train_labels))
            history.test_accuracies.append(accuracy(weights, test_images, test_labels))
            if report is not None:
                report(
                    f"epoch {epoch:2} of {epochs}: loss {history.losses[-1]:.4f}, "
                    f"accuracy {history.train_accuracies[-1]:7.2%} in training, "
                    f"{history.test_accuracies[-1]:7.2%} in the test"
                )
    history.test_readings = to_device(read(weights, test_images), "cpu").value
    history.seconds = time.perf_counter() - started
    return history


# ----- the program -----


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as the command line says, and draw the pictures."""
    options = parse(arguments)
    data = choose(options.data, options.seed)
    print(
        f"{data.name}: {len(data.train_images):,} images for training, "
        f"{len(data.test_images):,} for testing"
    )
    try:
        history = train(
            data,
            epochs=options.epochs,
            seed=options.seed,
            device=options.device,
            report=tqdm.write,
        )
    except RuntimeError as error:
        if options.device == "cpu":
            raise
        raise SystemExit(f"train.py: {error}") from error
    print(f"trained in {history.seconds:.1f} s")
    try:
        from plots import plot_learning_curve, plot_misread
    except ImportError as error:
        print(f"no pictures: {error} (`pip install backpass-nn[plot]` brings what they need)")
        return
    options.output.mkdir(parents=True, exist_ok=True)
    for draw, name in (plot_learning_curve, "learning-curve.png"), (plot_misread, "misread.png"):
        draw(data, history, options.output / name)
        print(f"drew {options.output / name}")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Train a network to read handwritten digits.")
    parser.add_argument(
        "--data",
        metavar="FOLDER",
        help="the folder of MNIST's files, or the word `digits` for those that come with "
        "backpass-nn; default: MNIST from $BACKPASS_DATA or from the network, else the digits",
    )
    parser.add_argument("--epochs", type=positive, default=20, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent / "output",
        help="the folder for the pictures; default: %(default)s",
    )
    return parser.parse_args(arguments)


def positive(text: str) -> int:
    """Read a number of epochs."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than one")
    return number


def choose(source: str | None, seed: int) -> Data:
    """Return the data that were asked for, or the embedded digits where MNIST cannot be had."""
    if source == "digits":
        return digits(seed)
    try:
        return mnist(None if source is None else Path(source))
    except FileNotFoundError as error:
        if source is not None:
            raise SystemExit(f"train.py: {error}") from error
        print(f"{error}\nTraining on the embedded digits instead.")
        return digits(seed)


if __name__ == "__main__":
    main()
