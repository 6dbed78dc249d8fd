"""Multi-head attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import backpass.numpy as np
from backpass.core.backends import made_beside
from backpass.core.ops.shaping import as_operand
from backpass.core.values import plain
from backpass.nn import initialisers
from backpass.nn.functional.attention import scaled_dot_product_attention
from backpass.nn.functional.dropout import check_rate
from backpass.nn.functional.heads import join_heads, split_heads
from backpass.nn.functional.linear import linear
from backpass.nn.layers.linear import Linear
from backpass.nn.module import LayerError, Module
from backpass.nn.parameter import Parameter


class MultiHeadAttention(Module):
    """Attention by several heads, each in its own projection of queries, keys and values.

    The weights have the names and shapes of PyTorch's `MultiheadAttention`; the batch comes first.

    Parameters
    ----------
    embed_dim : int
        The length of the vectors that come in and go out.
    num_heads : int
        The number of heads, a divisor of `embed_dim`.
    dropout : float
        In training, with which probability each weight of the attention is set to 0.
    bias : bool
        Whether the projections have biases.

    Attributes
    ----------
    in_proj_weight : Parameter, shape (3 * embed_dim, embed_dim)
        The projections to queries, keys and values, one below the other.
    in_proj_bias : Parameter, shape (3 * embed_dim,), or None
    out_proj : Linear
        The projection of what the heads have found, side by side.

    Raises
    ------
    ValueError
        If `num_heads` does not divide `embed_dim`, or `dropout` is no probability.
    LayerError
        When called, if a shape does not fit.

    References
    ----------
    A. Vaswani et al.: Attention is all you need, NeurIPS 2017, section 3.2.2.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass import nn
    >>> attention = nn.MultiHeadAttention(8, 2)
    >>> x = np.ones((5, 3, 8), dtype=np.float32)
    >>> attention(x, causal=True).shape
    (5, 3, 8)
    """

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True
    ) -> None:
        if num_heads < 1 or embed_dim % num_heads:
            raise ValueError(
                f"MultiHeadAttention: num_heads is {num_heads}, expected a divisor of {embed_dim}, "
                "embed_dim"
            )
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.dropout = check_rate("MultiHeadAttention", dropout, "dropout")
        self.in_proj_weight = Parameter(initialisers.xavier_uniform((3 * embed_dim, embed_dim)))
        self.in_proj_bias = Parameter(initialisers.zeros((3 * embed_dim,))) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias)
        if self.out_proj.bias is not None:
            self.out_proj.bias = Parameter(initialisers.zeros((embed_dim,)))

    def forward(
        self,
        query: Any,
        key: Any = None,
        value: Any = None,
        key_padding_mask: Any = None,
        *,
        mask: Any = None,
        causal: bool = False,
    ) -> Any:
        """Attend.

        Parameters
        ----------
        query : array of floats, shape (..., n, embed_dim)
        key : array of floats, shape (..., m, embed_dim), optional
            By default `query`: self-attention.
        value : array of floats, shape (..., m, embed_dim), optional
            By default `key`.
        key_padding_mask : array of booleans, shape (..., m), optional
            True for the keys that are padding, which nobody attends to; as in PyTorch.
        mask : array, shape (n, m) or one that broadcasts to (..., num_heads, n, m), optional
            Of booleans: True where a query may attend to a key. Of floats: is added to the scaled
            products.
        causal : bool
            Whether query i may attend to the keys 0 to i only.

        Returns
        -------
        Tensor, shape (..., n, embed_dim)
        """
        query = as_operand(query)
        key = query if key is None else as_operand(key)
        value = key if value is None else as_operand(value)
        self._check(query, key, value, mask)
        heads = self._projected(query, key, value)
        if key_padding_mask is not None:
            mask = self._without_padding(mask, key_padding_mask, key)
        found = scaled_dot_product_attention(
            *heads, mask=mask, causal=causal, dropout=self.dropout if self.training else 0.0
        )
        return self.out_proj(join_heads(found))

    def _projected(self, query: Any, key: Any, value: Any) -> Sequence[Any]:
        """Return queries, keys and values by heads: of self-attention by a single product."""
        weight, bias, n = self.in_proj_weight, self.in_proj_bias, self.embed_dim
        if query is key and key is value:
            whole = linear(query, weight, bias)
            return split_heads(whole, parts=3, heads=self.num_heads)  # type: ignore[no-any-return]
        third = [slice(i * n, (i + 1) * n) for i in range(3)]
        return [
            split_heads(
                linear(x, weight[part], None if bias is None else bias[part]),
                parts=1,
                heads=self.num_heads,
            )[0]
            for x, part in zip((query, key, value), third)
        ]

    def _without_padding(self, mask: Any, padding: Any, key: Any) -> Any:
        """Return the mask, without the keys that are padding."""
        padding = plain(padding)
        if not hasattr(padding, "dtype"):
            padding = made_beside((plain(key),), lambda xp: xp.asarray(padding))
        if padding.dtype.kind != "b" or tuple(padding.shape) != tuple(key.shape[:-1]):
            raise LayerError(
                self,
                f"expected a key_padding_mask of booleans, of shape {tuple(key.shape[:-1])}, got "
                f"{padding.dtype}, of shape {tuple(padding.shape)}",
            )
        present = ~padding[..., None, None, :]
        if mask is None:
            return present
        mask = as_operand(mask)
        return mask & present if mask.dtype.kind == "b" else np.where(present, mask, -np.inf)

    def _check(self, query: Any, key: Any, value: Any, mask: Any) -> None:
        n = self.embed_dim
        for name, x in (("a query", query), ("a key", key), ("a value", value)):
            if len(x.shape) < 2 or x.shape[-1] != n:
                raise LayerError(
                    self, f"expected {name} of shape (..., length, {n}), got {tuple(x.shape)}"
                )
        ndim = 2 if mask is None else len(np.shape(mask))
        if ndim not in (2, len(query.shape) + 1):
            raise LayerError(
                self,
                "expected a mask of shape (n, m), or one that broadcasts to (..., num_heads, n, m),"
                f" with {len(query.shape) + 1} axes, got {np.shape(mask)}",
            )

    def extra_repr(self) -> str:
        """Return the sizes and the settings that are not usual."""
        parts = [str(self.embed_dim), str(self.num_heads)]
        if self.dropout:
            parts.append(f"dropout={self.dropout}")
        if self.in_proj_bias is None:
            parts.append("bias=False")
        return ", ".join(parts)


__all__ = ["MultiHeadAttention"]
