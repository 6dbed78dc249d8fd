"""`backpass.cpu`, where it can be loaded: compiled kernels, and a compiled twin of the engine.

All that the engine does stands in Python, in `graph.py` and `arity.py`.  What runs for each single
operation is there a second time, compiled, and takes the usual cases; nothing depends on which of
the two has run.  `BACKPASS_ENGINE=python` leaves everything to the Python, to step through it.
"""

from __future__ import annotations

import os
import warnings
from types import ModuleType

__version__ = "0.1.0"


def _load() -> ModuleType | None:
    """Return the extension; `None`, and one warning, where it cannot be loaded."""
    try:
        import backpass.cpu as cpu
    except ImportError as error:
        problem = f"cannot be loaded ({error})"
    else:
        if cpu.__version__ == __version__:
            return cpu
        problem = f"is version {cpu.__version__}, backpass-core is {__version__}"
    warnings.warn(
        f"backpass-cpu {problem}: NumPy computes everything, more slowly. "
        f"To mend it: pip install backpass-cpu=={__version__}",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


def _engine() -> ModuleType | None:
    """Return the compiled engine, unless there is none or it is not wanted."""
    asked = os.environ.get("BACKPASS_ENGINE", "compiled")
    if asked not in ("compiled", "python"):
        raise ValueError(f"BACKPASS_ENGINE={asked!r}: it must be 'compiled' or 'python'")
    if cpu is None or asked == "python":
        return None
    from backpass.cpu import engine

    return engine


cpu = _load()
engine = _engine()
