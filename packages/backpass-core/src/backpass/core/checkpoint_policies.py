"""Policies: what a function under `checkpoint` keeps instead of computing it again.

A policy is a function `policy(primitive, *operands, **keywords)`, asked of each operation after it
has run: `primitive.name` is NumPy's name of it, the operands are arrays (look at their shapes and
dtypes) or Python's numbers.  It returns `True` if the output is to be kept, `False` if it is to be
computed again, or `OFFLOAD` if it is to wait in the host's memory meanwhile.

Those here have the names and meanings of JAX's (`jax.checkpoint_policies`).  One thing differs: the
function is run again in Python from its beginning to its end, and only what is kept is not computed
again.  What leads to a kept value, and to nothing else that is needed, is computed all the same: so
give a name to what an expensive operation returns, before cheap ones follow.

Examples
--------
>>> import backpass.numpy as np
>>> from backpass.core import checkpoint, checkpoint_name, checkpoint_policies, grad
>>> @checkpoint(policy=checkpoint_policies.save_only_these_names("product"))
... def layer(w, x):
...     return np.sum(np.tanh(checkpoint_name(w @ x, "product")))
>>> grad(layer, 0)(np.eye(2), np.array([0.0, 1.0]))
array([[0.        , 1.        ],
       [0.        , 0.41997434]])
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import numpy

from backpass.core.naming import named

#: `policy(primitive, *operands, **keywords)`; returns a bool, or `OFFLOAD`.
Policy = Callable[..., Any]


class Verdict(enum.Enum):
    """What a policy may return besides `True` and `False`."""

    #: Keep the output, in the host's memory; an array that is there anyway stays where it is.
    OFFLOAD = "offload"
    #: Compute a value with a name again, whatever was said of the operation that made it.
    RECOMPUTE = "recompute"


OFFLOAD, RECOMPUTE = Verdict

#: Matrix products, by the names of their primitives: `inner`, `tensordot`, ... are made of them.
_DOTS = frozenset({"matmul", "dot", "einsum", "linear"})
#: What is made of many products at once, and is no single matrix product.
_MANY = frozenset({"conv2d", "attention", "convolve"})


def nothing_saveable(primitive: Any, *operands: Any, **keywords: Any) -> bool:
    """Keep nothing: compute everything again, as without a policy."""
    return False


def everything_saveable(primitive: Any, *operands: Any, **keywords: Any) -> bool:
    """Keep the output of every operation: nothing is computed again, and nothing saved."""
    return True


def dots_saveable(primitive: Any, *operands: Any, **keywords: Any) -> bool:
    """Keep what matrix products, convolutions and attention give; compute the rest again."""
    if primitive.name == "einsum":
        return len(operands) > 1
    return primitive.name in _DOTS or primitive.name in _MANY


def dots_with_no_batch_dims_saveable(primitive: Any, *operands: Any, **keywords: Any) -> bool:
    """Keep matrix products that have no axis of both operands in common with the output.

    Such are the products with weights; those of attention, as large as its scores, are not.
    """
    if primitive.name == "matmul":
        return min(numpy.ndim(operands[0]), numpy.ndim(operands[1])) <= 2
    if primitive.name == "einsum":
        inputs, output = keywords["inputs"], keywords["output"]
        return len(inputs) > 1 and not set(output).intersection(*inputs)
    return primitive.name in _DOTS


def offload_dot_with_no_batch_dims(primitive: Any, *operands: Any, **keywords: Any) -> Any:
    """Keep what `dots_with_no_batch_dims_saveable` keeps, in the host's memory."""
    kept = dots_with_no_batch_dims_saveable(primitive, *operands, **keywords)
    return OFFLOAD if kept else False


def save_only_these_names(*names: str) -> Policy:
    """Keep the values that `checkpoint_name` has given one of these names."""
    wanted = _names("save_only_these_names", names)

    def policy(primitive: Any, *operands: Any, **keywords: Any) -> bool:
        return primitive is named and keywords["name"] in wanted

    return policy


def save_any_names_but_these(*names: str) -> Policy:
    """Keep the values that `checkpoint_name` has given any other name than these."""
    unwanted = _names("save_any_names_but_these", names)

    def policy(primitive: Any, *operands: Any, **keywords: Any) -> bool:
        return primitive is named and keywords["name"] not in unwanted

    return policy


def save_anything_except_these_names(*names: str) -> Policy:
    """Keep every output but the values that `checkpoint_name` has given one of these names."""
    unwanted = _names("save_anything_except_these_names", names)

    def policy(primitive: Any, *operands: Any, **keywords: Any) -> Any:
        return RECOMPUTE if primitive is named and keywords["name"] in unwanted else True

    return policy


def save_and_offload_only_these_names(
    *, names_which_can_be_saved: Any, names_which_can_be_offloaded: Any
) -> Policy:
    """Keep the values with names of the first kind; those of the second in the host's memory."""
    saved = _names("names_which_can_be_saved", tuple(names_which_can_be_saved))
    offloaded = _names("names_which_can_be_offloaded", tuple(names_which_can_be_offloaded))
    if saved & offloaded:
        raise ValueError(
            f"save_and_offload_only_these_names: {sorted(saved & offloaded)} stand in both: a "
            "value is kept in one place"
        )

    def policy(primitive: Any, *operands: Any, **keywords: Any) -> Any:
        if primitive is not named:
            return False
        return OFFLOAD if keywords["name"] in offloaded else keywords["name"] in saved

    return policy


def save_from_both_policies(policy_1: Policy, policy_2: Policy) -> Policy:
    """Keep what either of two policies keeps; on the device if one of them wants that."""

    def policy(primitive: Any, *operands: Any, **keywords: Any) -> Any:
        verdicts = [p(primitive, *operands, **keywords) for p in (policy_1, policy_2)]
        return next((v for v in (True, OFFLOAD, RECOMPUTE) if v in verdicts), False)

    return policy


def _names(where: str, names: tuple[Any, ...]) -> frozenset[str]:
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{where}: names are strings, not {name!r}")
    return frozenset(names)


__all__ = [
    "OFFLOAD",
    "RECOMPUTE",
    "Policy",
    "dots_saveable",
    "dots_with_no_batch_dims_saveable",
    "everything_saveable",
    "nothing_saveable",
    "offload_dot_with_no_batch_dims",
    "save_and_offload_only_these_names",
    "save_any_names_but_these",
    "save_anything_except_these_names",
    "save_from_both_policies",
    "save_only_these_names",
]
