"""Kernels of a step of recurrent networks, behind the matrix products, and of their rules.

Each is a few lines for one element of the hidden state: what belongs to it in the gates stands as
many elements apart as the state is long.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from backpass.cupy.launching import Kernel
from backpass.cupy.library import ndarray
from backpass.cupy.network_text import BLOCK, Shape, dense, is_float, or_null, source, widest


class Cell(NamedTuple):
    """What is computed of each element of the hidden state.

    Attributes
    ----------
    operands, results
        How many parts each has of the length of the state, in the order of the call.  In `lines`
        part i of `gates` is `gates_i`.
    lines
        Statements that compute the results' parts; `given_x` tells whether `x` is there.
    state
        The operand that has the shape of the state.
    """

    operands: Mapping[str, int]
    results: Mapping[str, int]
    lines: str
    state: str


_GATES = """
    const T i = logistic(gates_0), f = logistic(gates_1), c = TANH(gates_2), o = logistic(gates_3);
"""
_LSTM = Cell(
    {"gates": 4, "cell": 1},
    {"hidden": 1, "new": 1},
    _GATES
    + """
    const T new_0 = f * cell_0 + i * c, hidden_0 = o * TANH(new_0);
""",
    "cell",
)
_LSTM_BACK = Cell(
    {"gates": 4, "cell": 1, "new": 1, "to_hidden": 1, "to_new": 1},
    {"to_gates": 4, "to_cell": 1},
    _GATES
    + """
    const T height = TANH(new_0);
    T whole = given_to_new ? to_new_0 : T(0);
    if (given_to_hidden) whole += to_hidden_0 * o * (T(1) - height * height);
    const T to_gates_0 = whole * c * (i * (T(1) - i));
    const T to_gates_1 = whole * cell_0 * (f * (T(1) - f));
    const T to_gates_2 = whole * i * (T(1) - c * c);
    const T to_gates_3 = given_to_hidden ? to_hidden_0 * height * (o * (T(1) - o)) : T(0);
    const T to_cell_0 = whole * f;
""",
    "cell",
)
_GRU_GATES = """
    const T r = logistic(gates_0 + products_0), z = logistic(gates_1 + products_1);
    const T n = TANH(gates_2 + r * products_2);
"""
_GRU = Cell(
    {"gates": 3, "products": 3, "hidden": 1},
    {"next": 1},
    _GRU_GATES
    + """
    const T next_0 = n + z * (hidden_0 - n);
""",
    "hidden",
)
_GRU_BACK = Cell(
    {"g": 1, "gates": 3, "products": 3, "hidden": 1},
    {"to_gates": 3, "to_products": 3, "to_hidden": 1},
    _GRU_GATES
    + """
    const T to_gates_1 = g_0 * (hidden_0 - n) * (z * (T(1) - z));
    const T to_gates_2 = g_0 * (T(1) - z) * (T(1) - n * n);
    const T to_gates_0 = to_gates_2 * products_2 * (r * (T(1) - r));
    const T to_products_0 = to_gates_0, to_products_1 = to_gates_1;
    const T to_products_2 = to_gates_2 * r, to_hidden_0 = g_0 * z;
""",
    "hidden",
)


@functools.cache
def _kernel(name: str, char: str, width: int, given: tuple[bool, ...]) -> Kernel:
    cell = _CELLS[name]
    present = dict(zip(cell.operands, given))
    read = {x: parts for x, parts in cell.operands.items() if present[x]}
    signature = [f"const Stored *__restrict__ {x}_" for x in cell.operands]
    signature += [f"Stored *__restrict__ {x}_" for x in cell.results]

    def each(parts: Mapping[str, int], line: str) -> str:
        return "\n".join(
            line.format(x=x, i=i, parts=count) for x, count in parts.items() for i in range(count)
        )

    place = "(row * {parts} + {i}) * length + column"
    body = f"""
{"".join(f"#define given_{x} {int(is_there)}{chr(10)}" for x, is_there in present.items())}
#define TANH tanh{"" if char == "d" else "f"}
extern "C" __global__ void __launch_bounds__({BLOCK}) backpass_{name}(
    {", ".join(signature)}, long long total, long long length
) {{
    const long long at = ((long long)blockIdx.x * {BLOCK} + threadIdx.x) * WIDTH;
    if (at >= total) return;
    const long long row = at / length, column = at - row * length;
{each(read, "    const Pack {x}_pack_{i} = *(const Pack *)({x}_ + " + place + ");")}
{each(cell.results, "    Pack {x}_pack_{i};")}
    #pragma unroll
    for (int j = 0; j < WIDTH; ++j) {{
{each(read, "    const T {x}_{i} = load({x}_pack_{i}.v[j]);")}
{each({x: n for x, n in cell.operands.items() if x not in read}, "    const T {x}_{i} = T(0);")}
{cell.lines}
{each(cell.results, "    {x}_pack_{i}.v[j] = keep({x}_{i});")}
    }}
{each(cell.results, "    *(Pack *)({x}_ + " + place + ") = {x}_pack_{i};")}
}}
"""
    return Kernel(f"backpass_{name}", source(char, Shape(1, width, 1, 1, 1), body))


def _computed(name: str, *operands: Any) -> Any:
    """Return the results for operands, of which some may be `None`; `NotImplemented`."""
    cell = _CELLS[name]
    by_name = dict(zip(cell.operands, operands))
    state = by_name[cell.state]
    if not is_float(state) or not state.size or not state.ndim:
        return NotImplemented
    length = state.shape[-1]
    for x, parts in cell.operands.items():
        value = by_name[x]
        if value is None:
            continue
        if not is_float(value, state.dtype.char):
            return NotImplemented
        if value.shape != (*state.shape[:-1], parts * length):
            return NotImplemented
    given = tuple([x is not None for x in operands])
    laid = [None if x is None else dense(x) for x in operands]
    width = widest(length, *[x for x in laid if x is not None])
    made = [
        ndarray((*state.shape[:-1], parts * length), state.dtype) for parts in cell.results.values()
    ]
    kernel = _kernel(name, state.dtype.char, width, given)
    blocks = -(-state.size // (BLOCK * width))
    kernel.launch(blocks, BLOCK, (*map(or_null, laid), *made, state.size, length))
    return made[0] if len(made) == 1 else tuple(made)


def lstm_cell(gates: Any, cell: Any) -> Any:
    """Give the hidden state and the new state of the cell."""
    return _computed("lstm_cell", gates, cell)


def lstm_cell_back(gates: Any, cell: Any, new: Any, to_hidden: Any, to_new: Any) -> Any:
    """Give the cotangents of `lstm_cell`."""
    if to_hidden is None and to_new is None:
        return NotImplemented
    return _computed("lstm_cell_back", gates, cell, new, to_hidden, to_new)


def gru_cell(gates: Any, products: Any, hidden: Any) -> Any:
    """Give the new hidden state."""
    return _computed("gru_cell", gates, products, hidden)


def gru_cell_back(g: Any, gates: Any, products: Any, hidden: Any) -> Any:
    """Give the cotangents of `gru_cell`."""
    return _computed("gru_cell_back", g, gates, products, hidden)


_CELLS = {
    "lstm_cell": _LSTM,
    "lstm_cell_back": _LSTM_BACK,
    "gru_cell": _GRU,
    "gru_cell_back": _GRU_BACK,
}
KERNELS: dict[str, Callable[..., Any]] = {
    "lstm_cell": lstm_cell,
    "lstm_cell_back": lstm_cell_back,
    "gru_cell": gru_cell,
    "gru_cell_back": gru_cell_back,
}
