"""The characters of a text, to train a model that predicts the next one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]


class Vocabulary:
    """Characters and their codes: 0, 1, 2, ... in the order of Unicode.

    Parameters
    ----------
    text : str
        Any text; its distinct characters are the vocabulary.

    Attributes
    ----------
    characters : str
        The characters, each at the place that is its code.

    Raises
    ------
    ValueError
        If the text is empty.

    Examples
    --------
    >>> vocabulary = Vocabulary("hello")
    >>> vocabulary.characters, len(vocabulary)
    ('ehlo', 4)
    >>> vocabulary.encode("hole")
    array([1, 3, 2, 0])
    >>> vocabulary.decode([1, 0, 2, 2, 3])
    'hello'
    """

    def __init__(self, text: str) -> None:
        if not text:
            raise ValueError("Vocabulary: `text` is empty, so there are no characters")
        self._points = np.unique(_points(text))
        self.characters = _text(self._points)

    def __len__(self) -> int:
        return len(self._points)

    def encode(self, text: str) -> Codes:
        """Return the codes of a text's characters.

        Raises
        ------
        ValueError
            If a character is not in the vocabulary. The message says which and where.
        """
        points = _points(text)
        codes = np.searchsorted(self._points, points)
        unknown = self._points[np.minimum(codes, len(self) - 1)] != points
        if unknown.any():
            where = int(unknown.argmax())
            raise ValueError(
                f"Vocabulary.encode: the character {text[where]!r} at position {where} is not "
                f"among the {len(self)} of the vocabulary"
            )
        return codes.astype(np.int64)

    def decode(self, codes: Any) -> str:
        """Return the text of a sequence of codes.

        Raises
        ------
        TypeError
            If the codes are not integers.
        ValueError
            If a code is out of range, or there are several axes.
        """
        found = np.asarray(codes)
        if found.size == 0:
            return ""
        if found.dtype.kind not in "iu":
            raise TypeError(f"Vocabulary.decode: `codes` holds {found.dtype}, not integers")
        if found.ndim != 1:
            raise ValueError(
                f"Vocabulary.decode: `codes` has shape {found.shape}, but a text has one axis: "
                "decode its rows one by one"
            )
        if not (found.min() >= 0 and found.max() < len(self)):
            wrong = found.min() if found.min() < 0 else found.max()
            raise ValueError(
                f"Vocabulary.decode: `codes` holds {wrong}, but the codes are 0 to {len(self) - 1}"
            )
        return _text(self._points[found])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.characters == other.characters

    def __hash__(self) -> int:
        return hash(self.characters)

    def __repr__(self) -> str:
        return f"Vocabulary({self.characters!r})"


class Characters:
    """A text as codes.

    Parameters
    ----------
    text : str
        The text; not empty.
    vocabulary : Vocabulary, optional
        The codes of the characters; by default, those of this text.

    Attributes
    ----------
    codes : ndarray of int64, shape (n,)
        The code of each character.
    vocabulary : Vocabulary
        What the codes mean.

    Raises
    ------
    ValueError
        If the text is empty, or has a character that is not in the vocabulary.

    Examples
    --------
    >>> text = Characters("to be or not to be")
    >>> len(text), text.vocabulary.characters
    (18, ' benort')
    >>> x, y = text.windows(5)[3]
    >>> text.vocabulary.decode(x), text.vocabulary.decode(y)
    ('be or', 'e or ')
    """

    def __init__(self, text: str, vocabulary: Vocabulary | None = None) -> None:
        if not text:
            raise ValueError("Characters: `text` is empty: there is nothing to learn from")
        self.vocabulary = Vocabulary(text) if vocabulary is None else vocabulary
        self.codes = self.vocabulary.encode(text)

    def __len__(self) -> int:
        return len(self.codes)

    def windows(self, length: int, stride: int = 1) -> Windows:
        """Return the data set of all stretches of this length, each with what follows.

        Parameters
        ----------
        length : int
            Characters in a stretch.
        stride : int
            Characters from the beginning of one stretch to that of the next.

        Raises
        ------
        ValueError
            If a number is not positive, or the text is too short for one stretch.
        """
        return Windows(self.codes, length, stride)

    def split(self, fraction: float) -> tuple[Characters, Characters]:
        """Return the first part of the text and the rest, with the same vocabulary.

        Windows of two parts share no character, as those of a random division would.

        Parameters
        ----------
        fraction : float
            How much goes into the first part: more than 0 and less than 1.

        Raises
        ------
        ValueError
            If `fraction` is out of range, or leaves a part empty.
        """
        middle = round(fraction * len(self)) if 0 < fraction < 1 else 0
        if not 0 < middle < len(self):
            raise ValueError(
                f"Characters.split: `fraction` is {fraction}, which leaves a part of the "
                f"{len(self)} characters empty"
            )
        return self._part(slice(middle)), self._part(slice(middle, None))

    def _part(self, where: slice) -> Characters:
        made = object.__new__(Characters)
        made.vocabulary, made.codes = self.vocabulary, self.codes[where]
        return made

    def __repr__(self) -> str:
        return f"Characters({len(self):,} characters, {len(self.vocabulary)} different)"


class Windows:
    """Stretches of a sequence, each with the stretch one step later: a data set.

    Item ``i`` is ``(codes[s : s + length], codes[s + 1 : s + 1 + length])`` with
    ``s = i * stride``. Batches are taken at once, in arrays of shape (n, length).

    Parameters
    ----------
    codes : ndarray, shape (n,)
        The sequence.
    length : int
        Elements in a stretch.
    stride : int
        Elements from the beginning of one stretch to that of the next.

    Raises
    ------
    ValueError
        If a number is not positive, or the sequence is too short for one stretch.

    Examples
    --------
    >>> import numpy
    >>> windows = Windows(numpy.arange(10), length=3, stride=2)
    >>> len(windows), windows[3]
    (4, (array([6, 7, 8]), array([7, 8, 9])))
    """

    def __init__(self, codes: npt.NDArray[Any], length: int, stride: int = 1) -> None:
        for name, number in (("length", length), ("stride", stride)):
            if number < 1:
                raise ValueError(f"Windows: `{name}` is {number}, but it must be at least 1")
        if len(codes) < length + 1:
            raise ValueError(
                f"Windows: `length` is {length}, which takes {length + 1} characters, but there "
                f"are {len(codes)}"
            )
        self.codes, self.length, self.stride = codes, length, stride
        self._steps = np.arange(length)

    def __len__(self) -> int:
        return (len(self.codes) - self.length - 1) // self.stride + 1

    def __getitem__(self, index: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"Windows: there is no item {index}, only {len(self)}")
        x, y = self.fetch(np.array([index % len(self)]))
        return x[0], y[0]

    def fetch(self, indices: npt.NDArray[np.intp]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Return the batch of these stretches, in their order."""
        places = indices[:, None] * self.stride + self._steps
        return self.codes[places], self.codes[places + 1]

    def __repr__(self) -> str:
        return f"Windows({len(self)} of length {self.length})"


def load_text(path: str | os.PathLike[str], encoding: str = "utf-8") -> Characters:
    """Read a text file as characters to train on.

    Parameters
    ----------
    path : path-like
        The file.
    encoding : str
        How its characters are written.

    Returns
    -------
    Characters
        The text. The ends of lines are line feeds, however the file writes them.

    Raises
    ------
    ValueError
        If the file is empty, or not in that encoding.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> text = load_text("shakespeare.txt")                                     # doctest: +SKIP
    >>> train, test = text.split(0.9)                                           # doctest: +SKIP
    """
    file = Path(path).expanduser()
    try:
        text = file.read_text(encoding)
    except UnicodeError as error:
        raise ValueError(
            f"{file} cannot be read as {encoding} ({error}): pass its encoding, such as "
            "encoding='latin-1'"
        ) from error
    if not text:
        raise ValueError(f"{file} is empty: there is nothing to learn from")
    return Characters(text)


def _points(text: str) -> npt.NDArray[np.uint32]:
    """Return the code points of a text."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint32)


def _text(points: npt.NDArray[np.uint32]) -> str:
    """Return the text of code points."""
    return points.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
