"""The block that transformers are stacked of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backpass.nn.functional.activations import gelu, relu
from backpass.nn.layers.attention import MultiHeadAttention
from backpass.nn.layers.dropout import Dropout
from backpass.nn.layers.linear import Linear
from backpass.nn.layers.normalization import LayerNorm
from backpass.nn.module import Module

_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"relu": relu, "gelu": gelu}


class TransformerBlock(Module):
    """Self-attention, then two dense layers, each beside a way around it, and normalised.

    The weights have the names and shapes of PyTorch's `TransformerEncoderLayer`; the batch comes
    first.

    Parameters
    ----------
    embed_dim : int
        The length of the vectors.
    num_heads : int
        The number of heads, a divisor of `embed_dim`.
    dim_feedforward : int
        The length between the two dense layers.
    dropout : float
        With which probability numbers are set to 0 in training: the weights of the attention, what
        lies between the dense layers, and what is added.
    activation : {"relu", "gelu"} or callable
        What lies between the dense layers.
    eps : float
        Of the layer norms.
    norm_first : bool
        Whether what goes into attention and dense layers is normalised, rather than the sums.
    bias : bool
        Whether there are biases.
    causal : bool
        Whether each place attends to itself and those before it only: for models that predict what
        comes next.

    Attributes
    ----------
    self_attn : MultiHeadAttention
    linear1, linear2 : Linear
    norm1, norm2 : LayerNorm

    Raises
    ------
    ValueError
        If `num_heads` does not divide `embed_dim`, `dropout` is no probability, or `activation` is
        unknown.
    LayerError
        When called, if a shape does not fit.

    References
    ----------
    A. Vaswani et al.: Attention is all you need, NeurIPS 2017.  R. Xiong et al.: On layer
    normalization in the transformer architecture, ICML 2020 (`norm_first`).

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass import nn
    >>> block = nn.TransformerBlock(8, 2, 16, norm_first=True, causal=True)
    >>> block(np.ones((5, 3, 8), dtype=np.float32)).shape
    (5, 3, 8)
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Any], Any] = "relu",
        eps: float = 1e-5,
        norm_first: bool = False,
        bias: bool = True,
        causal: bool = False,
    ) -> None:
        if isinstance(activation, str) and activation not in _ACTIVATIONS:
            raise ValueError(
                f"TransformerBlock: activation is {activation!r}, expected "
                f"{' or '.join(map(repr, _ACTIVATIONS))}, or a function"
            )
        self.self_attn = MultiHeadAttention(embed_dim, num_heads, dropout, bias)
        self.linear1 = Linear(embed_dim, dim_feedforward, bias=bias)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, embed_dim, bias=bias)
        self.norm1 = LayerNorm(embed_dim, eps, bias=bias)
        self.norm2 = LayerNorm(embed_dim, eps, bias=bias)
        self.activation = activation
        self.norm_first = norm_first
        self.causal = causal

    def forward(self, x: Any, *, mask: Any = None, key_padding_mask: Any = None) -> Any:
        """Compute the output.

        Parameters
        ----------
        x : array of floats, shape (..., n, embed_dim)
        mask, key_padding_mask
            As those of `MultiHeadAttention`.

        Returns
        -------
        Tensor, shape (..., n, embed_dim)
        """
        masks = {"mask": mask, "key_padding_mask": key_padding_mask}
        if self.norm_first:
            x = x + self._attend(self.norm1(x), **masks)
            return x + self._feed_forward(self.norm2(x))
        x = self.norm1(x + self._attend(x, **masks))
        return self.norm2(x + self._feed_forward(x))

    def _attend(self, x: Any, **masks: Any) -> Any:
        return self.dropout(self.self_attn(x, causal=self.causal, **masks))

    def _feed_forward(self, x: Any) -> Any:
        activate = self.activation
        if activate == "relu" and type(self.linear1) is Linear:
            hidden = self.linear1(x, activation="relu")  # one operation
        else:
            f = _ACTIVATIONS[activate] if isinstance(activate, str) else activate
            hidden = f(self.linear1(x))
        return self.dropout(self.linear2(self.dropout(hidden)))

    def extra_repr(self) -> str:
        """Return the settings that are not usual."""
        parts = [] if self.activation == "relu" else [f"activation={self.activation!r}"]
        parts += [f"{name}=True" for name in ("norm_first", "causal") if getattr(self, name)]
        return ", ".join(parts)


__all__ = ["TransformerBlock"]
