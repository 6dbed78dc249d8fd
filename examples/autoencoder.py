"""Learn to draw digits: a variational autoencoder.

    python autoencoder.py
    python autoencoder.py --epochs 200 --plot digits.png

An encoder makes of each image a normal distribution in a space of few dimensions, a decoder makes
an image of each point there. Both are trained so that images come back as they were, and so that
all the distributions together look like the standard one, from which new digits are drawn then.

D. P. Kingma and M. Welling, "Auto-encoding variational Bayes", ICLR 2014, eq. 10 and appendix B.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import numpy
import numpy.typing as npt

import backpass.numpy as np
from backpass import nn
from backpass.core import no_grad, value_and_grad
from backpass.nn import functional
from backpass.nn.data import ArrayDataset, DataLoader
from backpass.nn.datasets import load_digits

Array = npt.NDArray[Any]


class Autoencoder(nn.Module):
    """An encoder and a decoder of one hidden layer each.

    Parameters
    ----------
    pixels : int
        Of an image.
    hidden : int
        Units in the hidden layers.
    latent : int
        Dimensions of the space between them.
    """

    def __init__(self, pixels: int = 64, hidden: int = 128, latent: int = 8) -> None:
        self.encoder = nn.Sequential(nn.Linear(pixels, hidden), nn.ReLU())
        self.mean = nn.Linear(hidden, latent)
        self.log_variance = nn.Linear(hidden, latent)
        self.latent = latent
        self.decoder = nn.Sequential(
            nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, pixels)
        )

    def forward(self, images: Any, noise: Any) -> tuple[Any, Any, Any]:
        """Return the logits of each pixel, and the mean and log-variance of each distribution.

        The point that is decoded is drawn by scaling and moving `noise`, drawn from the standard
        normal distribution, so that a gradient flows to both.
        """
        h = self.encoder(images)
        mean, log_variance = self.mean(h), self.log_variance(h)
        return self.decoder(mean + np.exp(log_variance / 2) * noise), mean, log_variance


def loss(model: Autoencoder, images: Array, noise: Array) -> Any:
    """Return the mean over the images of a bound on minus the logarithm of their probability."""
    logits, mean, log_variance = model(images, noise)
    pixels = functional.binary_cross_entropy_with_logits(logits, images, reduction="sum")
    divergence = np.sum(mean**2 + np.exp(log_variance) - log_variance - 1) / 2
    return (pixels + divergence) / len(images)


def train(model: Autoencoder, images: Array, *, epochs: int, seed: int = 0) -> list[float]:
    """Train with Adam; return the mean loss of each epoch, in nats an image."""
    rng = numpy.random.default_rng(seed)
    loader = DataLoader(ArrayDataset(images), batch_size=64, shuffle=True, seed=seed)
    optimizer = nn.optimizers.Adam(model, learning_rate=2e-3)
    losses = []
    for epoch in range(epochs):
        total = 0.0
        for batch in loader:
            noise = rng.standard_normal((len(batch), model.latent), dtype=numpy.float32)
            value, _ = value_and_grad(loss)(model, batch, noise)
            optimizer.step()
            optimizer.zero_grad()
            total += float(value) * len(batch)
        losses.append(total / len(images))
        if (epoch + 1) % max(1, epochs // 10) == 0:
            print(f"epoch {epoch + 1:3}: {losses[-1]:.2f} nats an image")
    return losses


def draw(model: Autoencoder, count: int, seed: int = 0) -> Array:
    """Return new images, of pixels from 0 to 1."""
    rng = numpy.random.default_rng(seed)
    points = rng.standard_normal((count, model.latent), dtype=numpy.float32)
    with no_grad():
        made: Array = functional.sigmoid(model.decoder(points)).value
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Train on the digits that come with backpass-nn, and draw new ones."""
    parser = argparse.ArgumentParser(description="Learn to draw digits.")
    parser.add_argument("--epochs", type=int, default=60, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--plot", metavar="FILE", help="draw new digits into a picture")
    options = parser.parse_args(arguments)

    nn.seed(options.seed)
    digits = load_digits().images
    images = (digits.reshape(len(digits), -1) / 16).astype(numpy.float32)
    model = Autoencoder(images.shape[1])
    losses = train(model, images, epochs=options.epochs, seed=options.seed)
    print(f"{losses[0]:.2f} nats an image in the first epoch, {losses[-1]:.2f} in the last")
    for row in draw(model, 4).reshape(4, 8, 8).transpose(1, 0, 2):
        print("   ".join("".join(" .:*#@"[int(p * 5.99)] * 2 for p in line) for line in row))
    if options.plot:
        picture(options.plot, draw(model, 40))
        print(f"drew {options.plot}")


def picture(file: str, images: Array) -> None:
    """Draw images in rows of ten."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 0.7 * (len(images) // 10)))
    for axes, image in zip(figure.subplots(len(images) // 10, 10).flat, images, strict=True):
        axes.imshow(image.reshape(8, 8), cmap="gray_r")
        axes.axis("off")
    figure.savefig(file)


if __name__ == "__main__":
    main()
