"""What a model consists of: its layers, shapes, numbers of weights, and memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy
import numpy.typing as npt

from backpass.core import Tensor, no_grad, tree
from backpass.core.devices import beside
from backpass.core.values import plain
from backpass.nn.module import Module
from backpass.nn.structure import distinct, places

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


class Row(NamedTuple):
    """A line of the summary.

    Attributes
    ----------
    name
        The layer's path, "" for the model itself.
    kind
        Its class and its settings.
    shapes
        The shapes of what it returned, in the order in which it was called; empty if it was not.
    parameters, trained
        How many numbers its own Parameters hold, without those of the layers in it; and how many of
        them are not frozen.
    """

    name: str
    kind: str
    shapes: tuple[Any, ...]
    parameters: int
    trained: int


class Summary(NamedTuple):
    """A model's layers and totals; as text, a table.

    Attributes
    ----------
    rows
        A row for each module, in the order of `named_modules`.
    parameters, trained
        How many numbers the Parameters hold, each counted once; how many of them are not frozen.
    parameter_bytes, buffer_bytes
        Their memory, and that of the Buffers.
    output_bytes
        The memory of what the innermost layers return in one call: about what a gradient keeps.
    """

    rows: tuple[Row, ...]
    parameters: int
    trained: int
    parameter_bytes: int
    buffer_bytes: int
    output_bytes: int

    def __str__(self) -> str:
        table = [("layer", "", "output", "parameters")]
        for row in self.rows:
            shapes = ", ".join(map(str, row.shapes[:1])) + " ..." * (len(row.shapes) > 1)
            mark = "" if row.trained == row.parameters else " (frozen)"
            numbers = f"{row.parameters:,}{mark}" if row.parameters else ""
            table.append((row.name, row.kind, shapes, numbers))
        widths = [max(len(line[i]) for line in table) for i in range(3)]
        lines = [
            "  ".join([*(cell.ljust(w) for cell, w in zip(line, widths)), line[3]]).rstrip()
            for line in table
        ]
        lines.insert(1, "-" * max(map(len, lines)))
        lines.append(lines[1])
        frozen = self.parameters - self.trained
        lines.append(
            f"{self.parameters:,} parameters"
            + (f", {frozen:,} of them frozen" if frozen else "")
            + f", {_bytes(self.parameter_bytes)}; buffers {_bytes(self.buffer_bytes)}; "
            f"outputs {_bytes(self.output_bytes)}"
        )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)


def summary(
    model: Module,
    input_shape: Sequence[int] | None = None,
    *,
    dtype: npt.DTypeLike = numpy.float32,
    inputs: Sequence[Any] | None = None,
) -> Summary:
    """Run a model once, and tell its layers, their outputs' shapes, their weights and the memory.

    Parameters
    ----------
    model : Module
        The model. It runs as after `eval`, without gradients; nothing of it is changed.
    input_shape : sequence of int, optional
        The shape of an input, the batch's axis included: an array of zeros is made of it.
    dtype : dtype
        Of these zeros; integers for a model that begins with an embedding.
    inputs : sequence, optional
        Instead of a shape, the arguments to call the model with.

    Returns
    -------
    Summary
        Prints as a table. Its attributes hold the numbers.

    Raises
    ------
    TypeError
        If neither `input_shape` nor `inputs` is given, or both are.
    LayerError
        If the input does not fit the model.

    Examples
    --------
    >>> from backpass import nn
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 10))
    >>> nn.summary(model, (32, 1, 28, 28))
    layer                    output     parameters
    ----------------------------------------------
           Sequential        (32, 10)
    0      Flatten(1, -1)    (32, 784)
    1      Linear(784, 200)  (32, 200)  157,000
    2      ReLU()            (32, 200)
    3      Linear(200, 10)   (32, 10)   2,010
    ----------------------------------------------
    159,010 parameters, 621.1 KiB; buffers 0 B; outputs 149.2 KiB
    """
    if (input_shape is None) == (inputs is None):
        raise TypeError("summary: give either `input_shape` or `inputs`")
    found = distinct(places(model))
    if inputs is None:
        zeros: Any = numpy.zeros(tuple(input_shape or ()), dtype)
        for place in found[:1]:
            zeros = beside(zeros, plain(place.leaf))
        inputs = [Tensor(zeros)]
    outputs = _outputs(model, inputs)
    rows = []
    for name, module in model.named_modules():
        own = [p for p in found if p.trained and p.name.rpartition(".")[0] == name]
        inner = any(m is not module for m in module.modules())
        rows.append(
            Row(
                name,
                type(module).__name__ + ("" if inner else f"({module.extra_repr()})"),
                tuple(_shape(out) for out in outputs.get(id(module), ())),
                sum(p.leaf.size for p in own),
                sum(p.leaf.size for p in own if not p.leaf.constant),
            )
        )
    trained = [p.leaf for p in found if p.trained]
    innermost = [m for m in model.modules() if all(inner is m for inner in m.modules())]
    kept = {
        id(x): x.nbytes
        for m in innermost
        for out in outputs.get(id(m), ())
        for x in map(plain, tree.leaves(out))
        if hasattr(x, "nbytes")
    }
    return Summary(
        tuple(rows),
        sum(p.size for p in trained),
        sum(p.size for p in trained if not p.constant),
        sum(p.nbytes for p in trained),
        sum(p.leaf.nbytes for p in found if not p.trained),
        sum(kept.values()),
    )


def _outputs(model: Module, inputs: Sequence[Any]) -> dict[int, list[Any]]:
    """Call a model; return what each of its modules returned, by the modules' identities."""
    made: dict[int, list[Any]] = {}
    modules = list(model.modules())
    before = [dict(vars(m)) for m in modules]
    counts = [(buffer, buffer.value.copy()) for buffer in model.buffers()]

    def watched(module: Module) -> Any:
        forward = module.forward

        def run(*args: Any, **kwargs: Any) -> Any:
            out = forward(*args, **kwargs)
            made.setdefault(id(module), []).append(out)
            return out

        return run

    try:
        for module in modules:
            vars(module)["forward"] = watched(module)
            vars(module)["training"] = False
        with no_grad():
            model(*inputs)
    finally:
        for module, attributes in zip(modules, before):
            vars(module).clear()
            vars(module).update(attributes)
        for buffer, value in counts:
            buffer.value = value
    return made


def _shape(out: Any) -> Any:
    if isinstance(out, tuple | list):
        return tuple(_shape(part) for part in out)
    return tuple(out.shape) if hasattr(out, "shape") else type(out).__name__


def _bytes(count: int) -> str:
    """Return a number of bytes in the unit that suits it, of 1,024 of the smaller each."""
    power = min(max(count.bit_length() - 1, 0) // 10, 4)
    return f"{count / 1024**power:.1f} {_UNITS[power]}" if power else f"{count} B"


__all__ = ["Row", "Summary", "summary"]
