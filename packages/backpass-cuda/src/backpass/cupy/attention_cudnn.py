"""Attention of halves by cuDNN, where its Python front end is installed: for long sequences.

    pip install "nvidia-cudnn-frontend>=1.24,<1.29"

It uses the tensor cores in ways that kernels for all devices cannot, and so it is faster where
there is much to do; a call costs the host more.  With BACKPASS_CUDNN=0 in the environment it is not
looked for.

Backward it adds up in a fixed order, for which it wants memory that grows with the square of the
length: it works on parts of the batch, one after the other, so that this is no more than the
queries' cotangent in float32 (which is what it takes to add up in any order).
"""

from __future__ import annotations

import functools
import importlib
import os
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from backpass.cupy.library import library, ndarray

#: Versions of the front end, from the first to the first that is none.
VERSIONS = (1, 24), (1, 29)
#: Scores from which on it is worth the call, and features that it knows.
WORTH, FEATURES = 2**22, 8
#: Axes of the batch.
_AXES = 2
#: A block has so many keys, and so many blocks keep a large GPU busy.
TILE, BUSY = 128, 128


@functools.cache
def load() -> Any:
    """Return the front end; `None` where it, or cuDNN, is not installed."""
    if os.environ.get("BACKPASS_CUDNN") == "0":
        return None
    try:
        found = importlib.import_module("cudnn")
        version = tuple([int(part) for part in found.__version__.split(".")[:2]])
        able = VERSIONS[0] <= version < VERSIONS[1] and found.backend_version() >= 90000
    except Exception:  # whatever a library raises that finds no other one
        return None
    return found if able else None


class _Thread(threading.local):
    """A thread's handles, by device."""

    def __init__(self) -> None:
        self.handles: dict[int, Any] = {}


_thread = _Thread()


def _handle(front: Any) -> Any:
    """Return this thread's handle, which works in the current stream."""
    device = library.cuda.device.get_device_id()
    found = _thread.handles.get(device)
    if found is None:
        found = _thread.handles[device] = front.create_handle()
    front.set_stream(found, library.cuda.get_current_stream().ptr)
    return found


class Operand(NamedTuple):
    """A tensor of four axes: two of the batch, rows and features; steps in elements."""

    shape: tuple[int, ...]
    steps: tuple[int, ...]

    def first(self, count: int) -> Operand:
        """Return the first part of the batch."""
        return self._replace(shape=(count, *self.shape[1:]))


def operand(
    lengths: Sequence[int], steps: Sequence[int], rows: int, features: int, down: int
) -> Operand | None:
    """Return an operand, or `None` if it is spread over a batch, or has more axes."""
    if any(n > 1 for n in lengths[_AXES:]):
        return None
    made, shape = [], [*lengths[:_AXES], rows, features]
    for n, step in zip(lengths[:_AXES], steps):
        if n > 1 and step <= 0:
            return None
        made.append(step if n > 1 else rows * features)
    if rows > 1 and down <= 0:
        return None
    return Operand(tuple(shape), (*made, down if rows > 1 else features, 1))


class Attention:
    """A graph of cuDNN's, built for operands of one kind, or for a part of their batch."""

    __slots__ = ("_apart", "_front", "_graph", "_lock", "_parts", "_tensors", "workspace")

    def __init__(self, front: Any, graph: Any, tensors: Sequence[Any]) -> None:
        self._front = front
        self._graph = graph
        self._tensors = tensors
        self.workspace: int = graph.get_workspace_size()
        self._parts = 1
        self._apart: Sequence[int] = (0,) * len(tensors)
        #: A graph that is executed may hold what it is executed with.
        self._lock = threading.Lock()

    def repeated(self, parts: int, apart: Sequence[int]) -> Attention:
        """Let it be launched for several parts, which are so many bytes apart in each tensor."""
        self._parts, self._apart = parts, apart
        return self

    def __call__(self, *arrays: Any) -> None:
        """Launch it, with inputs and outputs in the order of its tensors."""
        space = ndarray((max(1, self.workspace),), "uint8")
        with self._lock:
            handle = _handle(self._front)
            for i in range(self._parts):
                at = [x.data.ptr + i * apart for x, apart in zip(arrays, self._apart, strict=True)]
                found = dict(zip(self._tensors, at, strict=True))
                self._graph.execute(found, space.data.ptr, handle=handle)


def _graph(front: Any, dtype: str) -> Any:
    types = front.data_type
    return front.pygraph(
        io_data_type={"float16": types.HALF, "bfloat16": types.BFLOAT16}[dtype],
        intermediate_data_type=types.FLOAT,
        compute_data_type=types.FLOAT,
        handle=_handle(front),
    )


def _tensor(graph: Any, name: str, given: Operand, **keywords: Any) -> Any:
    return graph.tensor(name=name, dim=list(given.shape), stride=list(given.steps), **keywords)


def _sums(query: Operand) -> Operand:
    """Return where the logsumexp of the rows lies."""
    outer, inner, n, _ = query.shape
    return Operand((outer, inner, n, 1), (inner * n, n, 1, 1))


def _is_output(tensor: Any, given: Operand) -> None:
    tensor.set_output(True).set_dim(list(given.shape)).set_stride(list(given.steps))


def _built(make: Callable[[Any], tuple[Any, Sequence[Any]]]) -> Attention | None:
    """Return a graph that `make` declares; `None` if cuDNN has nothing for it."""
    front = load()
    if front is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph, tensors = make(front)
            graph.validate()
            graph.build_operation_graph()
            graph.create_execution_plans([front.heur_mode.A, front.heur_mode.FALLBACK])
            graph.check_support()
            graph.build_plans()
            return Attention(front, graph, tensors)
    except Exception:  # the front end's own, and RuntimeError; own kernels compute it then
        return None


def forward(
    dtype: str, query: Operand, key: Operand, value: Operand, out: Operand, *, scale: float,
    causal: bool,
) -> Attention | None:  # fmt: skip
    """Return what takes query, key and value, and makes the output and the logsumexp."""

    def make(front: Any) -> tuple[Any, Sequence[Any]]:
        graph = _graph(front, dtype)
        inputs = [
            _tensor(graph, name, given) for name, given in (("q", query), ("k", key), ("v", value))
        ]
        made, sums = graph.sdpa(
            *inputs, name="sdpa", is_inference=False, attn_scale=scale, use_causal_mask=causal
        )
        _is_output(made, out)
        _is_output(sums, _sums(query))
        sums.set_data_type(front.data_type.FLOAT)
        return graph, (*inputs, made, sums)

    return _built(make)


def backward(
    dtype: str, given: Sequence[Operand], made: Sequence[Operand], *, scale: float, causal: bool
) -> Attention | None:
    """Return what makes the three cotangents.

    It takes query, key, value, the output, its cotangent and the logsumexp.
    """

    def build(count: int) -> Attention | None:
        """For a part of the batch."""
        some, others = ([one.first(count) for one in all_] for all_ in (given, made))

        def make(front: Any) -> tuple[Any, Sequence[Any]]:
            graph = _graph(front, dtype)
            names = ("q", "k", "v", "o", "dO")
            inputs = [_tensor(graph, name, one) for name, one in zip(names, some, strict=True)]
            sums = _tensor(graph, "stats", _sums(some[0]), data_type=front.data_type.FLOAT)
            outputs = graph.sdpa_backward(
                *inputs,
                sums,
                name="sdpa_backward",
                attn_scale=scale,
                use_causal_mask=causal,
                use_deterministic_algorithm=True,
            )
            for tensor, one in zip(outputs, others, strict=True):
                _is_output(tensor, one)
            return graph, (*inputs, sums, *outputs)

        return _built(make)

    batch, heads, n, features = given[0].shape
    most = batch * heads * n * features * 4
    whole = build(batch)
    if whole is None or whole.workspace <= most:
        return whole
    keys = given[1].shape[2]
    for count in range(batch - 1, 0, -1):
        if batch % count or whole.workspace * count > most * batch:
            continue
        if count * heads * -(-keys // TILE) < BUSY:
            return None
        part = build(count)
        if part is None or part.workspace > most:
            return None
        steps = [one.steps[0] * 2 for one in (*given, *made)]
        apart = [*steps[:5], heads * n * 4, *steps[5:]]
        return part.repeated(batch // count, [count * step for step in apart])
    return None
