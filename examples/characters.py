"""Learn to continue a text, character by character: a small transformer.

    python characters.py                     the course in docs/course
    python characters.py novel.txt --steps 5000
    python characters.py novel.txt --device cuda

It prints the loss, in nats a character, on what it was trained on and on the last tenth of the
text, which it never saw; and then goes on from a beginning, one drawn character after the other.

A. Vaswani et al., "Attention is all you need", NeurIPS 2017; the blocks normalise first.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import numpy.typing as npt

from backpass import nn
from backpass.core import no_grad, to_device, value_and_grad
from backpass.nn import functional
from backpass.nn.optimizers import AdamW, clip_grad_norm, schedules

COURSE = Path(__file__).resolve().parents[1] / "docs" / "course"
Array = npt.NDArray[Any]


class Language(nn.Module):
    """Predicts the next character at every place of a window.

    Parameters
    ----------
    characters : int
        How many different ones there are.
    length : int
        Characters that are seen at once.
    width, heads, blocks : int
        Of the transformer.
    dropout : float
        The rate of dropout.
    """

    def __init__(
        self,
        characters: int,
        length: int = 64,
        width: int = 96,
        heads: int = 4,
        blocks: int = 3,
        dropout: float = 0.1,
    ) -> None:
        self.characters = nn.Embedding(characters, width, init=small)
        self.places = nn.Parameter(small((length, width)))
        self.blocks = [
            nn.TransformerBlock(
                width, heads, 4 * width, dropout, activation="gelu", norm_first=True, causal=True
            )
            for _ in range(blocks)
        ]
        self.norm = nn.LayerNorm(width)
        self.last = nn.Linear(width, characters)

    def forward(self, text: Any) -> Any:
        """Return the logits of what comes next: (batch, characters, length) for (batch, length)."""
        h = self.characters(text) + self.places[: text.shape[1]]
        for block in self.blocks:
            h = block(h)
        return self.last(self.norm(h)).transpose(0, 2, 1)


def small(shape: Sequence[int]) -> Array:
    """Draw initial weights."""
    return nn.initialisers.normal(shape, std=0.02)


def loss(model: Language, windows: Any) -> Any:
    """Return the mean cross-entropy of each character after those before it, in nats."""
    return functional.cross_entropy(model(windows[:, :-1]), windows[:, 1:])


def windows(text: Array, rng: numpy.random.Generator, batch: int, length: int) -> Array:
    """Return pieces of a text, drawn at random, of one character more than `length`."""
    starts = rng.integers(0, len(text) - length, batch)
    made: Array = text[starts[:, None] + numpy.arange(length + 1)]
    return made


def train(
    model: Language, text: Array, *, steps: int, batch: int = 16, device: str = "cpu", seed: int = 0
) -> tuple[list[float], float]:
    """Train on the first nine tenths; return the losses, and the mean loss on the rest."""
    rng = numpy.random.default_rng(seed)
    length = len(model.places)
    seen, unseen = numpy.split(text, [len(text) * 9 // 10])
    rate = schedules.warm_up(schedules.cosine(3e-3, steps), steps=max(1, steps // 20))
    optimizer = AdamW(model, learning_rate=rate, weight_decay=0.01)
    losses = []
    for step in range(steps):
        part = to_device(windows(seen, rng, batch, length), device)
        value, _ = value_and_grad(loss)(model, part)
        clip_grad_norm(model, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(value))
        if (step + 1) % max(1, steps // 10) == 0:
            recent = numpy.mean(losses[-max(1, steps // 10) :])
            print(f"step {step + 1:5}: {recent:.3f} nats a character")
    model.eval()
    with no_grad():
        tests = [to_device(windows(unseen, rng, batch, length), device) for _ in range(8)]
        held_out = float(numpy.mean([float(loss(model, part)) for part in tests]))
    return losses, held_out


def continued(
    model: Language, text: Array, count: int, device: str = "cpu", seed: int = 0
) -> Array:
    """Return a text and as many characters more, each drawn as the model thinks it probable."""
    rng = numpy.random.default_rng(seed)
    length = len(model.places)
    model.eval()
    with no_grad():
        for _ in range(count):
            logits = to_device(model(to_device(text[None, -length:], device)), "cpu").value
            odds = numpy.exp(logits[0, :, -1].astype(float) - logits[0, :, -1].max())
            text = numpy.append(text, rng.choice(len(odds), p=odds / odds.sum()))
    return text


def main(arguments: Sequence[str] | None = None) -> None:
    """Train on a text, and go on with it."""
    parser = argparse.ArgumentParser(description="Learn to continue a text.")
    parser.add_argument("text", nargs="?", type=Path, help="a file; default: docs/course")
    parser.add_argument("--steps", type=int, default=1000, help="default: %(default)s")
    parser.add_argument("--length", type=int, default=64, help="of a window; default: %(default)s")
    parser.add_argument("--write", type=int, default=300, help="characters; default: %(default)s")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    options = parser.parse_args(arguments)

    files = sorted(COURSE.glob("*.md")) if options.text is None else [options.text]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    letters = sorted(set(text))
    numbers = numpy.array([letters.index(c) for c in text])
    nn.seed(options.seed)
    model = Language(len(letters), options.length).to(options.device)
    size = sum(p.size for p in model.parameters())
    print(f"{len(text):,} characters, {len(letters)} different ones; {size:,} weights")

    started = time.perf_counter()
    losses, held_out = train(
        model, numbers, steps=options.steps, device=options.device, seed=options.seed
    )
    print(
        f"{losses[0]:.3f} nats a character at first, {numpy.mean(losses[-20:]):.3f} at last, "
        f"{held_out:.3f} on what was not seen; {time.perf_counter() - started:.0f} s"
    )
    made = continued(model, numbers[: options.length], options.write, options.device)
    print("".join(letters[i] for i in made))


if __name__ == "__main__":
    main()
