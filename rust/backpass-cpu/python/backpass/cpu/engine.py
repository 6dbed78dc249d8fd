"""The hot paths of `backpass.core`, compiled: for the engine alone, which says what they do.

`install` takes the engine's classes and functions. After that `shorten(primitive, op, passes)`
makes an `Op`, which stands before a primitive's function `op`, and `enter(call)` one before the
method `__call__`; `search(root, start)` and `backward(order, cotangents, wanted, free, mark)` walk
a graph; `hang(leaves, targets, tensors_only)` and `collect(nodes, tensors, cotangents)` are the two
ends of a transformation. `install_reading` lets the walk add cotangents of rows in place. Each does
what the Python that it stands for does, and leaves to it whatever is not usual.
"""

from backpass.cpu._kernels import (
    Op,
    backward,
    collect,
    enter,
    hang,
    install,
    install_reading,
    search,
    shorten,
)

__all__ = [
    "Op",
    "backward",
    "collect",
    "enter",
    "hang",
    "install",
    "install_reading",
    "search",
    "shorten",
]
