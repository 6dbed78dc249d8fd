"""Recurrent layers: LSTM and GRU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import backpass.numpy as np
from backpass.core.backends import made_beside
from backpass.core.ops.shaping import as_operand
from backpass.core.values import plain
from backpass.nn import initialisers
from backpass.nn.functional.dropout import check_rate, dropout
from backpass.nn.functional.linear import linear
from backpass.nn.functional.recurrent import gru_cell, lstm_cell
from backpass.nn.module import LayerError, Module
from backpass.nn.parameter import Parameter


class _Recurrent(Module):
    """Layers that read a sequence place by place, in one direction or in both."""

    #: How many gates there are, and how many arrays the state has.
    gates: int
    states: int

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        name = type(self).__name__
        for parameter, n in (("hidden_size", hidden_size), ("num_layers", num_layers)):
            if n < 1:
                raise ValueError(f"{name}: {parameter} is {n}, expected a positive number")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = check_rate(name, dropout, "dropout")
        self.bidirectional = bidirectional
        long = self.gates * hidden_size
        for layer, suffix in self._directions():
            incoming = hidden_size * self._sides if layer else input_size
            shapes: dict[str, tuple[int, ...]] = {
                "weight_ih": (long, incoming),
                "weight_hh": (long, hidden_size),
            }
            if bias:
                shapes |= {"bias_ih": (long,), "bias_hh": (long,)}
            for kind, shape in shapes.items():
                drawn = initialisers.fan_in_uniform(shape, hidden_size)
                setattr(self, f"{kind}_{suffix}", Parameter(drawn))

    @property
    def _sides(self) -> int:
        return 2 if self.bidirectional else 1

    def _directions(self) -> Iterator[tuple[int, str]]:
        """Return the layers' numbers, and how the names of the weights end, in order."""
        for layer in range(self.num_layers):
            yield layer, f"l{layer}"
            if self.bidirectional:
                yield layer, f"l{layer}_reverse"

    def _step(self, gates: Any, products: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the next state, of which the first array is the output."""
        raise NotImplementedError

    def _read(self, x: Any, suffix: str, state: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        """Return what one direction of one layer makes of (n, batch, features), and its state."""
        weights = [
            getattr(self, f"{kind}_{suffix}", None)
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        ]
        into, within, shift, inner_shift = weights
        # What the inputs give does not depend on the state: one product for all places.
        gates = linear(x, into, shift)
        outputs = []
        for t in reversed(range(len(x))) if suffix.endswith("reverse") else range(len(x)):
            state = self._step(gates[t], linear(state[0], within, inner_shift), state)
            outputs.append(state[0])
        return np.stack(outputs[::-1] if suffix.endswith("reverse") else outputs), state

    def _run(self, x: Any, state: tuple[Any, ...] | None) -> tuple[Any, tuple[Any, ...]]:
        x = as_operand(x)
        batched = self._check(x)
        if not batched:
            x = x[:, None]
            state = None if state is None else tuple(s[:, None] for s in state)
        elif self.batch_first:
            x = np.swapaxes(x, 0, 1)
        first = self._first_state(x, state)
        last: list[tuple[Any, ...]] = []
        for layer in range(self.num_layers):
            if layer and self.training and self.dropout:
                x = dropout(x, self.dropout)
            sides = []
            for suffix in (f"l{layer}", f"l{layer}_reverse")[: self._sides]:
                output, end = self._read(x, suffix, tuple(s[len(last)] for s in first))
                sides.append(output)
                last.append(end)
            x = sides[0] if len(sides) == 1 else np.concatenate(sides, axis=-1)
        ends = tuple(np.stack(parts) for parts in zip(*last))
        if not batched:
            return x[:, 0], tuple(s[:, 0] for s in ends)
        return np.swapaxes(x, 0, 1) if self.batch_first else x, ends

    def _check(self, x: Any) -> bool:
        """Tell whether there is an axis for the batch; raise if the shape does not fit."""
        axes = "batch, length" if self.batch_first else "length, batch"
        ndim = len(x.shape)
        place = 1 if self.batch_first and ndim == 3 else 0
        if ndim not in (2, 3) or x.shape[-1] != self.input_size or not x.shape[place]:
            n = self.input_size
            raise LayerError(
                self,
                f"expected an input of shape ({axes}, {n}), or (length, {n}), of length 1 at "
                f"least, got {tuple(x.shape)}",
            )
        return ndim == 3

    def _first_state(self, x: Any, state: tuple[Any, ...] | None) -> tuple[Any, ...]:
        """Return the state to begin with, by default zeros, each of (directions, batch, hidden)."""
        shape = (self.num_layers * self._sides, x.shape[1], self.hidden_size)
        if state is None:
            dtype = x.dtype
            zeros = made_beside((plain(x),), lambda xp: xp.zeros(shape, dtype))
            return (zeros,) * self.states
        for s in state:
            if tuple(np.shape(s)) != shape:
                raise LayerError(
                    self, f"expected a state of shape {shape}, got {tuple(np.shape(s))}"
                )
        return tuple(map(as_operand, state))

    def extra_repr(self) -> str:
        """Return the sizes and the settings that are not usual."""
        parts = [str(self.input_size), str(self.hidden_size)]
        if self.num_layers != 1:
            parts.append(f"num_layers={self.num_layers}")
        parts += [
            f"{name}={value}"
            for name, usual in (
                ("bias", True),
                ("batch_first", False),
                ("dropout", 0.0),
                ("bidirectional", False),
            )
            if (value := getattr(self, name)) != usual
        ]
        return ", ".join(parts)


class LSTM(_Recurrent):
    """A long short-term memory: reads sequences, and keeps what its gates let it.

    Weights and their names are those of PyTorch's `LSTM`.

    Parameters
    ----------
    input_size, hidden_size : int
        The lengths of the vectors that come in, and of the state.
    num_layers : int
        How many layers there are, each of which reads the outputs of the one before.
    bias : bool
        Whether there are biases.
    batch_first : bool
        Whether inputs and outputs have shape (batch, length, features), rather than
        (length, batch, features).
    dropout : float
        In training, with which probability the outputs of a layer are set to 0 for the next.
    bidirectional : bool
        Whether the sequence is read from its end, too: the outputs then lie side by side.

    Attributes
    ----------
    weight_ih_l0, weight_ih_l0_reverse, ... : Parameter, shape (4 * hidden_size, features)
        For the inputs; input gate, forget gate, candidate and output gate, one below the other.
    weight_hh_l0, ... : Parameter, shape (4 * hidden_size, hidden_size)
        For the state.
    bias_ih_l0, bias_hh_l0, ... : Parameter, shape (4 * hidden_size,)

    Raises
    ------
    ValueError
        If a size is not positive, or `dropout` is no probability.
    LayerError
        When called, if a shape does not fit.

    References
    ----------
    S. Hochreiter, J. Schmidhuber: Long short-term memory, Neural Computation 1997.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass import nn
    >>> lstm = nn.LSTM(3, 4, batch_first=True)
    >>> output, (hidden, cell) = lstm(np.ones((2, 5, 3), dtype=np.float32))
    >>> output.shape, hidden.shape, cell.shape
    ((2, 5, 4), (1, 2, 4), (1, 2, 4))
    """

    gates = 4
    states = 2

    def forward(self, x: Any, state: tuple[Any, Any] | None = None) -> Any:
        """Read sequences.

        Parameters
        ----------
        x : array of floats, shape (length, batch, input_size)
            Or (batch, length, input_size) with `batch_first`, or (length, input_size).
        state : (array, array), each of shape (directions, batch, hidden_size), optional
            The hidden state and the cell to begin with; by default zeros. There are
            `num_layers` directions, or twice as many. Without a batch that axis is missing.

        Returns
        -------
        output : Tensor, shape (length, batch, hidden_size)
            The hidden states of the last layer; as `x` is, with the batch first or none, and twice
            as long if the layer reads in both directions.
        state : (Tensor, Tensor)
            The hidden state and the cell of each direction at its end.
        """
        if state is not None and len(state) != 2:
            raise LayerError(self, "expected a state of two arrays: (hidden, cell)")
        return self._run(x, state)

    def _step(self, gates: Any, products: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
        return lstm_cell(gates + products, state[1])


class GRU(_Recurrent):
    """A layer of gated recurrent units: reads sequences, and updates what its gates let it.

    Weights and their names are those of PyTorch's `GRU`.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        As those of `LSTM`.

    Attributes
    ----------
    weight_ih_l0, weight_ih_l0_reverse, ... : Parameter, shape (3 * hidden_size, features)
        For the inputs; reset gate, update gate and candidate, one below the other.
    weight_hh_l0, ... : Parameter, shape (3 * hidden_size, hidden_size)
        For the state.
    bias_ih_l0, bias_hh_l0, ... : Parameter, shape (3 * hidden_size,)

    Raises
    ------
    ValueError
        If a size is not positive, or `dropout` is no probability.
    LayerError
        When called, if a shape does not fit.

    References
    ----------
    K. Cho et al.: Learning phrase representations using RNN encoder-decoder, EMNLP 2014.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass import nn
    >>> gru = nn.GRU(3, 4, bidirectional=True)
    >>> output, hidden = gru(np.ones((5, 2, 3), dtype=np.float32))
    >>> output.shape, hidden.shape
    ((5, 2, 8), (2, 2, 4))
    """

    gates = 3
    states = 1

    def forward(self, x: Any, state: Any = None) -> Any:
        """Read sequences.

        Parameters
        ----------
        x : array of floats, shape (length, batch, input_size)
            Or (batch, length, input_size) with `batch_first`, or (length, input_size).
        state : array, shape (directions, batch, hidden_size), optional
            The hidden state to begin with; by default zeros. There are `num_layers` directions, or
            twice as many. Without a batch that axis is missing.

        Returns
        -------
        output : Tensor, shape (length, batch, hidden_size)
            The hidden states of the last layer; as `x` is, with the batch first or none, and twice
            as long if the layer reads in both directions.
        state : Tensor
            The hidden state of each direction at its end.
        """
        output, (hidden,) = self._run(x, None if state is None else (state,))
        return output, hidden

    def _step(self, gates: Any, products: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
        return (gru_cell(gates, products, state[0]),)


__all__ = ["GRU", "LSTM"]
