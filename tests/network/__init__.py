"""Calls of the networks' kernels, one family a file: every file but `case` is one.

A family has `cases(random)`, which yields a `Case` for each kind of call that its kernels are made
for, small, with lengths and numbers drawn from `random`.  `test_network_kernels.py` makes them.
"""

import importlib
import pkgutil

FAMILIES = tuple(
    importlib.import_module(f"{__name__}.{info.name}")
    for info in pkgutil.iter_modules(__path__)
    if info.name not in ("case", "calling")
)
