"""The functions of `backpass.nn.functional`, one family a file: every file here is one.

A family has `CASES`, whose module is `MODULE`, and in `REFERENCES` a naive NumPy function of the
same name and signature for each, since no library that these tests may ask has them.  Names whose
results are never tracked stand in its `NO_GRADIENT`, as in the other families.
"""

import importlib
import importlib.util
import pkgutil
from types import SimpleNamespace

MODULE = "nn.functional"

# `backpass.nn` need not be installed beside `backpass.core`.
FAMILIES = tuple(
    importlib.import_module(f"{__name__}.{info.name}")
    for info in pkgutil.iter_modules(__path__)
    if importlib.util.find_spec("backpass.nn") is not None
)
REFERENCES = SimpleNamespace(
    **{name: f for family in FAMILIES for name, f in family.REFERENCES.items()}
)
