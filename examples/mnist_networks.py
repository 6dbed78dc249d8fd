"""Train a dense or a convolutional network on MNIST with a `Trainer`.

    python mnist_networks.py mlp
    python mnist_networks.py cnn --epochs 12 --seed 1
    python mnist_networks.py cnn --device cuda --output run

Each epoch prints a line. With ``--output`` a folder gets a checkpoint after each epoch, from which
the same command goes on if it was interrupted, a log, the learning curve, and the weights.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import numpy.typing as npt

from backpass import nn
from backpass.nn import training
from backpass.nn.data import ArrayDataset, DataLoader, Transformed, transforms
from backpass.nn.datasets import load_digits, load_mnist
from backpass.nn.optimizers import AdamW, schedules

Array = npt.NDArray[Any]


class Data(NamedTuple):
    """Images of shape (n, 1, height, width), float32 from 0 to 1, and what they show."""

    train: ArrayDataset
    test: ArrayDataset
    side: int


def mlp(side: int) -> nn.Module:
    """Return three dense layers."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(side * side, 200),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(200, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    )


def cnn(side: int) -> nn.Module:
    """Return two convolutional layers and two dense ones."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * (side // 4) ** 2, 128),
        nn.ReLU(),
        nn.Dropout(0.4),
        nn.Linear(128, 10),
    )


NETWORKS = {"mlp": mlp, "cnn": cnn}


def mnist(folder: Path | None = None) -> Data:
    """Return MNIST from a folder, or from where `load_mnist` finds it."""
    found = load_mnist(folder)
    return Data(
        ArrayDataset(scaled(found.train_images, 255), found.train_labels),
        ArrayDataset(scaled(found.test_images, 255), found.test_labels),
        28,
    )


def digits(seed: int = 0) -> Data:
    """Return the digits that come with backpass-nn, divided at random into 80 % and 20 %."""
    images, labels = load_digits()
    order = numpy.random.default_rng(seed).permutation(len(images))
    train, test = numpy.split(order, [len(order) * 4 // 5])
    pixels = scaled(images, 16)
    return Data(
        ArrayDataset(pixels[train], labels[train]), ArrayDataset(pixels[test], labels[test]), 8
    )


def scaled(images: Array, ink: int) -> Array:
    """Return images with an axis for the channel, and pixels from 0 to 1."""
    return images[:, None].astype(numpy.float32) / numpy.float32(ink)


def train(
    network: str,
    data: Data,
    *,
    epochs: int,
    batch: int = 64,
    rate: float = 1e-3,
    seed: int = 0,
    device: str = "cpu",
    output: Path | None = None,
    progress: bool = True,
) -> nn.training.Trainer:
    """Train a network, and return its trainer, whose history has a row for each epoch.

    Images of 28 x 28 are moved by up to two pixels each way, at random, whenever they are learned
    from; the learning rate falls along half a period of a cosine.
    """
    nn.seed(seed)
    model = NETWORKS[network](data.side).to(device)
    moved = transforms.RandomCrop(data.side, padding=data.side // 14)
    images = Transformed(data.train, moved, part=0, batched=True)
    loader = DataLoader(images, batch, shuffle=True, device=device)
    rates = schedules.cosine(rate, epochs * len(loader))
    callbacks: list[training.Callback] = [Line(epochs)]
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        callbacks += [training.Checkpointer(output), training.CSVLog(output / "log.csv")]
    trainer = training.Trainer(
        model,
        AdamW(model, learning_rate=rates, weight_decay=1e-2),
        nn.CrossEntropyLoss(),
        metrics=[nn.metrics.Accuracy()],
        callbacks=callbacks,
        progress=progress,
    )
    test = DataLoader(data.test, 1000, device=device)
    trainer.fit(loader, epochs, test, resume=output)
    return trainer


class Line(training.Callback):
    """Prints a line after each epoch."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_epoch_end(self, trainer: training.Training) -> None:
        """Print the loss and the accuracies."""
        row = trainer.history[-1]
        print(
            f"epoch {row['epoch']:2} of {self.epochs}: loss {row['loss']:.4f}, accuracy "
            f"{row['accuracy']:7.2%} in training, {row['validation_accuracy']:7.2%} in the test",
            flush=True,
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(description="Train a network on MNIST.")
    parser.add_argument("network", choices=sorted(NETWORKS))
    parser.add_argument(
        "--data",
        help="the folder of MNIST's files, or the word `digits` for those that come with "
        "backpass-nn; default: MNIST from $BACKPASS_DATA, or from the network",
    )
    parser.add_argument("--epochs", type=int, default=12, help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=64, help="default: %(default)s")
    parser.add_argument("--rate", type=float, default=1e-3, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--output", type=Path, help="a folder for what is left of the training")
    options = parser.parse_args(arguments)

    data = digits(options.seed) if options.data == "digits" else mnist(options.data)
    started = time.perf_counter()
    trainer = train(
        options.network,
        data,
        epochs=options.epochs,
        batch=options.batch,
        rate=options.rate,
        seed=options.seed,
        device=options.device,
        output=options.output,
    )
    print(f"trained in {time.perf_counter() - started:.1f} s")
    if options.output is not None:
        nn.save(trainer.model, options.output / "weights.safetensors")
        training.plot_learning_curve(trainer.history, options.output / "learning-curve.png")
        print(f"left checkpoints, log, weights and learning curve in {options.output}")


if __name__ == "__main__":
    main()
