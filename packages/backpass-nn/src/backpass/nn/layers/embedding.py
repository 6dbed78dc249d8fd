"""Vectors for words, characters, and whatever else has a number."""

from __future__ import annotations

from typing import Any

from backpass.nn import functional, initialisers
from backpass.nn.initialisers import Initialiser
from backpass.nn.module import Module
from backpass.nn.parameter import Parameter


class Embedding(Module):
    """A table of vectors, looked up by indices.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        How many vectors there are, and how long they are.
    padding_idx : int, optional
        An index whose vector is zero at first and gets no gradient.
    init : callable, optional
        The initialiser; by default a normal distribution of deviation 1, as in PyTorch.

    Attributes
    ----------
    weight : Parameter, shape (num_embeddings, embedding_dim)

    Raises
    ------
    ValueError
        If `padding_idx` is out of range; when called, if an index is.

    Examples
    --------
    >>> from backpass import nn
    >>> nn.Embedding(10, 4)([[1, 2, 3]]).shape
    (1, 3, 4)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        init: Initialiser = initialisers.normal,
    ) -> None:
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(
                f"Embedding: `padding_idx` is {padding_idx}, but there are {num_embeddings} vectors"
            )
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        made = init((num_embeddings, embedding_dim))
        if self.padding_idx is not None:
            made[self.padding_idx] = 0
        self.weight = Parameter(made)

    def forward(self, indices: Any) -> Any:
        """Return the vectors, of shape (*indices.shape, embedding_dim)."""
        return functional.embedding(indices, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        """Return the sizes."""
        count, length = self.weight.shape
        padded = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{count}, {length}{padded}"


__all__ = ["Embedding"]
