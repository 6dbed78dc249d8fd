"""Train with several seeds, and print the test accuracies as a table in Markdown.

    python results.py [--device cuda]

The embedded digits are divided anew for each seed. MNIST is taken from BACKPASS_DATA, the cache or
the network, and left out where it cannot be had.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from statistics import mean

from train import Data, digits, mnist, positive, train


def table(load: Callable[[int], Data], seeds: Sequence[int], *, epochs: int, device: str) -> str:
    """Train once for each seed.

    Parameters
    ----------
    load : callable
        Given a seed, returns the data.
    seeds : sequence of int
        Of the division of the data, the first weights and the order of the images.
    epochs : int
        How often to go through the training images. The accuracy is that after the last epoch, not
        of the best.
    device : {"cpu", "cuda"}
        Where to compute.

    Returns
    -------
    str
        A table in Markdown: a row for each seed, and their mean.
    """
    histories = []
    for seed in seeds:
        data = load(seed)
        histories.append(train(data, epochs=epochs, seed=seed, device=device))
    accuracies = [history.test_accuracies[-1] for history in histories]
    seconds = [history.seconds for history in histories]
    lines = [
        f"{data.name}, {len(data.train_images):,} images for training and "
        f"{len(data.test_images):,} for testing, {epochs} epochs:",
        "",
        "| seed | test accuracy | time |",
        "|---|---|---|",
        *(
            f"| {seed} | {accuracy:.2%} | {time:.1f} s |"
            for seed, accuracy, time in zip(seeds, accuracies, seconds, strict=True)
        ),
        f"| mean | {mean(accuracies):.2%} | {mean(seconds):.1f} s |",
        "",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Test accuracies over several seeds.")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--epochs", type=positive, default=20, help="default: %(default)s")
    options = parser.parse_args(arguments)
    tabulate = partial(table, epochs=options.epochs, device=options.device)
    print(tabulate(digits, range(5)))
    try:
        data = mnist()
    except FileNotFoundError as error:
        print(error)
    else:
        print(tabulate(lambda seed: data, range(3)))


if __name__ == "__main__":
    main()
