"""One step of recurrent networks: what follows the matrix products.

References
----------
S. Hochreiter, J. Schmidhuber: Long short-term memory, Neural Computation 1997; with the forget
gates of F. Gers, J. Schmidhuber, F. Cummins, 2000.  K. Cho et al.: Learning phrase representations
using RNN encoder-decoder, EMNLP 2014.
"""

from __future__ import annotations

from typing import Any

from backpass.core import Tensor
from backpass.core.extend import defjvp, defvjp, nondifferentiable, primitive
from backpass.core.ops.elementwise import add, expit, multiply, subtract, tanh
from backpass.core.ops.indexing import getitem
from backpass.core.ops.shaping import as_operand, as_operand_beside, concatenate_
from backpass.nn.functional.parts import total

# ----- helpers ----------------------------------------------------------------------------------


def _parts(x: Any, count: int) -> list[Any]:
    """Divide the last axis in so many parts of one length."""
    n = x.shape[-1] // count
    return [getitem.op(x, index=(..., slice(i * n, (i + 1) * n))) for i in range(count)]


def _join(*parts: Any) -> Any:
    return concatenate_.op(*parts, axis=-1)


def _expit_slope(s: Any) -> Any:
    """Return the derivative of the logistic function that gave s."""
    return multiply.op(s, subtract.op(1.0, s))


def _tanh_slope(s: Any) -> Any:
    """Return the derivative of the hyperbolic tangent that gave s."""
    return subtract.op(1.0, multiply.op(s, s))


# ----- LSTM -------------------------------------------------------------------------------------


def _gates(gates: Any) -> tuple[Any, Any, Any, Any]:
    """Return input gate, forget gate, candidate and output gate."""
    i, f, g, o = _parts(gates, 4)
    return expit.op(i), expit.op(f), tanh.op(g), expit.op(o)


@primitive(name="lstm_cell", outputs=2)
def lstm_cell_(xp: Any, gates: Any, cell: Any) -> Any:
    """Give the hidden state and the new state of the cell."""
    i, f, g, o = _gates(gates)
    new = f * cell + i * g
    return o * tanh.op(new), new


def _lstm_cell_back(
    gates: Any, cell: Any, new: Any, to_hidden: Any, to_new: Any
) -> tuple[Any, Any]:
    """Return the cotangents of gates and cell for those of both outputs, `None` for unused."""
    i, f, g, o = _gates(gates)
    height = tanh.op(new)
    if to_hidden is None:
        to_o = multiply.op(height, 0.0)
        whole = to_new
    else:
        to_o = multiply.op(multiply.op(to_hidden, height), _expit_slope(o))
        through = multiply.op(multiply.op(to_hidden, o), _tanh_slope(height))
        whole = total((through, to_new))
    to_i = multiply.op(multiply.op(whole, g), _expit_slope(i))
    to_f = multiply.op(multiply.op(whole, cell), _expit_slope(f))
    to_g = multiply.op(multiply.op(whole, i), _tanh_slope(g))
    return _join(to_i, to_f, to_g, to_o), multiply.op(whole, f)


@primitive(outputs=2)
def lstm_cell_back(xp: Any, gates: Any, cell: Any, new: Any, to_hidden: Any, to_new: Any) -> Any:
    """Give the cotangents of `lstm_cell`; they are differentiated as what they are made of."""
    return _lstm_cell_back(gates, cell, new, to_hidden, to_new)


nondifferentiable(lstm_cell_back)


def _lstm_cell_vjp(g: Any, ans: Any, gates: Any, cell: Any, *, needs: Any) -> Any:
    on_tensors = any(isinstance(part, Tensor) for part in g)
    back = _lstm_cell_back if on_tensors else lstm_cell_back.op
    return back(gates, cell, ans[1], *g)


def _lstm_cell_jvp(ts: Any, ans: Any, gates: Any, cell: Any) -> Any:
    i, f, g, o = _gates(gates)
    height = tanh.op(ans[1])
    to_gates, to_cell = ts
    moved = []
    swing = None
    if to_cell is not None:
        moved.append(multiply.op(f, to_cell))
    if to_gates is not None:
        t_i, t_f, t_g, t_o = _parts(to_gates, 4)
        moved.append(multiply.op(multiply.op(_expit_slope(i), t_i), g))
        moved.append(multiply.op(multiply.op(_expit_slope(f), t_f), cell))
        moved.append(multiply.op(multiply.op(_tanh_slope(g), t_g), i))
        swing = multiply.op(multiply.op(_expit_slope(o), t_o), height)
    t_new = total(moved)
    through = multiply.op(multiply.op(o, _tanh_slope(height)), t_new)
    return total((through, swing)), t_new


defvjp(lstm_cell_, joint=_lstm_cell_vjp)
defjvp(lstm_cell_, joint=_lstm_cell_jvp)


def lstm_cell(gates: Any, cell: Any) -> tuple[Tensor, Tensor]:
    """Take one step of an LSTM, once the input and the hidden state have been multiplied.

    With `i, f, g, o = gates`, logistic functions of `i, f, o` and the tangent of `g`: the cell
    becomes `f * cell + i * g`, and the hidden state is `o * tanh(cell)`.

    Parameters
    ----------
    gates : array of floats, shape (..., 4 * hidden)
        Input gate, forget gate, candidate and output gate, before their functions.
    cell : array of floats, shape (..., hidden)
        The state of the cell.

    Returns
    -------
    hidden, cell : Tensor, shape (..., hidden)

    Raises
    ------
    ValueError
        If the shapes do not fit.

    References
    ----------
    S. Hochreiter, J. Schmidhuber: Long short-term memory, Neural Computation 1997.

    Examples
    --------
    >>> import numpy
    >>> import backpass.nn.functional as F
    >>> hidden, cell = F.lstm_cell(numpy.zeros(4), numpy.ones(1))
    >>> cell
    Tensor([0.5])
    """
    gates = as_operand(gates)
    cell = as_operand_beside(cell, gates)
    _check("lstm_cell", 4, cell=cell, gates=gates)
    return lstm_cell_(gates, cell)  # type: ignore[no-any-return]


def _check(name: str, count: int, **operands: Any) -> None:
    """Check that all but the first have so many parts of the shape of the first."""
    (first, state), *others = operands.items()
    for other, x in others:
        shape = tuple(state.shape)
        if not shape or tuple(x.shape) != (*shape[:-1], count * shape[-1]):
            raise ValueError(
                f"{name}: {other} has shape {tuple(x.shape)} and {first} {shape}: expected "
                f"{other} to have the same shape, but {count} times as long in the last axis"
            )


# ----- GRU --------------------------------------------------------------------------------------


def _gru_gates(gates: Any, products: Any) -> tuple[Any, Any, Any, Any]:
    """Return reset gate, update gate, candidate, and the product that the reset gate scales."""
    xr, xz, xn = _parts(gates, 3)
    hr, hz, hn = _parts(products, 3)
    r, z = expit.op(add.op(xr, hr)), expit.op(add.op(xz, hz))
    return r, z, tanh.op(add.op(xn, multiply.op(r, hn))), hn


@primitive(name="gru_cell")
def gru_cell_(xp: Any, gates: Any, products: Any, hidden: Any) -> Any:
    """Give the new hidden state."""
    _, z, n, _ = _gru_gates(gates, products)
    return n + z * (hidden - n)


def _gru_cell_back(g: Any, gates: Any, products: Any, hidden: Any) -> tuple[Any, Any, Any]:
    """Return the cotangents of gates, products and hidden."""
    r, z, n, hn = _gru_gates(gates, products)
    to_z = multiply.op(multiply.op(g, subtract.op(hidden, n)), _expit_slope(z))
    to_n = multiply.op(multiply.op(g, subtract.op(1.0, z)), _tanh_slope(n))
    to_r = multiply.op(multiply.op(to_n, hn), _expit_slope(r))
    return (
        _join(to_r, to_z, to_n),
        _join(to_r, to_z, multiply.op(to_n, r)),
        multiply.op(g, z),
    )


@primitive(outputs=3)
def gru_cell_back(xp: Any, g: Any, gates: Any, products: Any, hidden: Any) -> Any:
    """Give the cotangents of `gru_cell`; they are differentiated as what they are made of."""
    return _gru_cell_back(g, gates, products, hidden)


nondifferentiable(gru_cell_back)


def _gru_cell_vjp(g: Any, gates: Any, products: Any, hidden: Any, *, needs: Any) -> Any:
    back = _gru_cell_back if isinstance(g, Tensor) else gru_cell_back.op
    return back(g, gates, products, hidden)


def _gru_cell_jvp(ts: Any, ans: Any, gates: Any, products: Any, hidden: Any) -> Any:
    r, z, n, hn = _gru_gates(gates, products)
    to_gates, to_products, to_hidden = ts
    moved = [] if to_hidden is None else [multiply.op(z, to_hidden)]
    t_x = [None] * 3 if to_gates is None else _parts(to_gates, 3)
    t_h = [None] * 3 if to_products is None else _parts(to_products, 3)
    if to_gates is not None or to_products is not None:
        t_r = multiply.op(_expit_slope(r), total((t_x[0], t_h[0])))
        t_z = multiply.op(_expit_slope(z), total((t_x[1], t_h[1])))
        scaled = None if t_h[2] is None else multiply.op(r, t_h[2])
        t_n = total((t_x[2], multiply.op(t_r, hn), scaled))
        moved.append(multiply.op(t_z, subtract.op(hidden, n)))
        moved.append(multiply.op(multiply.op(subtract.op(1.0, z), _tanh_slope(n)), t_n))
    return total(moved)


defvjp(gru_cell_, joint=_gru_cell_vjp)
defjvp(gru_cell_, joint=_gru_cell_jvp)


def gru_cell(gates: Any, products: Any, hidden: Any) -> Tensor:
    """Take one step of a GRU, once the input and the hidden state have been multiplied.

    With `xr, xz, xn = gates` and `hr, hz, hn = products`: the reset gate `r` and the update gate
    `z` are logistic functions of `xr + hr` and `xz + hz`, the candidate is
    `n = tanh(xn + r * hn)`, and the hidden state becomes `(1 - z) * n + z * hidden`.

    Parameters
    ----------
    gates, products : array of floats, shape (..., 3 * hidden)
        What the input and what the hidden state give: reset gate, update gate and candidate.
    hidden : array of floats, shape (..., hidden)
        The hidden state.

    Returns
    -------
    Tensor, shape (..., hidden)

    Raises
    ------
    ValueError
        If the shapes do not fit.

    References
    ----------
    K. Cho et al.: Learning phrase representations using RNN encoder-decoder, EMNLP 2014; with the
    reset gate behind the product, as in cuDNN and PyTorch.

    Examples
    --------
    >>> import numpy
    >>> import backpass.nn.functional as F
    >>> F.gru_cell(numpy.zeros(3), numpy.zeros(3), numpy.ones(1))
    Tensor([0.5])
    """
    gates = as_operand(gates)
    products, hidden = (as_operand_beside(x, gates) for x in (products, hidden))
    _check("gru_cell", 3, hidden=hidden, gates=gates, products=products)
    return gru_cell_(gates, products, hidden)  # type: ignore[no-any-return]


__all__ = ["gru_cell", "lstm_cell"]
