"""The primitives that the engine itself needs, by name.

A Tensor adds, the walks un-broadcast, and a rule multiplies: all with primitives that are
themselves built on the Tensor and the walks.  `backpass.core.ops` fills this table when it has
defined them, so that no module imports what is built upon it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Operation = Callable[..., Any]


class Operators:
    """Primitives' `.op` entries: arrays in, arrays out; a Tensor in, Tensors out."""

    add: Operation
    subtract: Operation
    multiply: Operation
    divide: Operation
    floor_divide: Operation
    remainder: Operation
    power: Operation
    matmul: Operation
    negative: Operation
    positive: Operation
    absolute: Operation
    invert: Operation
    bitwise_and: Operation
    bitwise_or: Operation
    bitwise_xor: Operation
    left_shift: Operation
    right_shift: Operation
    equal: Operation
    not_equal: Operation
    less: Operation
    less_equal: Operation
    greater: Operation
    greater_equal: Operation
    round: Operation
    getitem: Operation
    assign: Operation
    update: Operation
    zero_multiply: Operation
    sum: Operation
    reshape: Operation
    concatenate: Operation
    broadcast_to: Operation
    transpose: Operation
    real: Operation
    astype: Operation
    #: What the walks do most, as kernels on plain arrays; `NotImplemented` for all others.
    unbroadcast: Operation
    copies: Operation
    #: A copy of an array where it lies, which owns its memory: `backends.copied`.
    copy: Operation
    #: An array as one of NumPy's, for what leaves the graph: `backends.on_host`.
    on_host: Operation
    #: The module whose functions work where an array lies: `backends.namespace_of`.
    namespace: Operation
    #: The cotangent 1 that a walk starts from: `calls.one_like`.
    one_like: Operation
    #: The error to raise in the place of a library's: `backends.explain`.
    explain: Operation
    #: Array methods that are functions of `ops`: `t.sum(axis=0)` is `methods["sum"](t, axis=0)`.
    methods: dict[str, Operation]
    #: What an array has and a Tensor has not: what to use instead.
    hints: dict[str, str]
    #: What stands in for a NumPy ufunc or function that is called on a Tensor.
    ufuncs: dict[Any, Operation]
    functions: dict[Any, Operation]
    #: Look both up, and those that are imported only when they are met; `None`: there is none.
    find_ufunc: Operation
    find_function: Operation
    #: What is left of NumPy's calls on a Tensor, and the words for a gradient that would be lost.
    apply_ufunc: Operation
    apply_function: Operation
    explain_loss: Operation


operators = Operators()
