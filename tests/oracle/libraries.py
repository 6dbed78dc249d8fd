"""The judges: namespaces of other libraries that stand for NumPy's and SciPy's."""

from types import SimpleNamespace
from typing import Any

import pytest

from ..gradients.cases import Case, has
from ..gradients.catalogue import CASES as EVERY_CASE
from ..gradients.catalogue import FAMILIES

#: The others have no namespace for the functions of networks.
CASES = [case for case in EVERY_CASE if case.mirrors]
DTYPES = [(case, "float64") for case in CASES] + [
    (case, "complex128") for case in CASES if case.complex
]
MODULES = {case.module for case in CASES}


def _limits(library: str) -> dict[str, str]:
    """Return what the families of the catalogue say of a library, each in its own file."""
    return {
        name: reason
        for family in FAMILIES
        for name, reason in getattr(family, "LIMITS", {}).get(library, {}).items()
    }


#: Calls that a library has, but which fail in it, or by which it means something else.
LIMITS: dict[str, dict[str, str]] = {
    "jax": {
        **_limits("jax"),
        "std-0d": "its derivative is nan where the deviation is 0",
        "max-of_nothing": "its derivative of an empty maximum is undefined",
        "repeat-counts": "it takes no list of counts",
        "split-before_end": "it takes no cut beyond the end",
        "array_split-negative": "it takes no negative cut",
        "meshgrid-0d": "it takes no 0-d arrays",
        "softmax": "its default axis is -1",
        "log_softmax": "its default axis is -1",
    },
    "autograd": {
        **_limits("autograd"),
        "repeat-negative": "its gradient is wrong for a negative axis",
        "tile": "its gradient is wrong for a number of copies of a matrix",
        "full-row": "its gradient is wrong where the value is broadcast",
    },
}


def jax_namespaces() -> dict[str, Any]:
    """Return JAX's namespaces, in double precision."""
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)
    special = SimpleNamespace(**vars(jax.scipy.special))
    special.softmax, special.log_softmax = jax.nn.softmax, jax.nn.log_softmax
    special.gpu_logsumexp = jax.scipy.special.logsumexp
    import jax.scipy.integrate
    import jax.scipy.linalg
    import jax.scipy.signal
    import jax.scipy.stats

    return {
        "numpy": jax.numpy,
        "numpy.fft": jax.numpy.fft,
        "numpy.linalg": jax.numpy.linalg,
        "scipy.integrate": jax.scipy.integrate,
        "scipy.linalg": jax.scipy.linalg,
        "scipy.signal": jax.scipy.signal,
        "scipy.special": special,
        "scipy.stats": jax.scipy.stats,
    }


def autograd_namespaces() -> dict[str, Any]:
    """Return the namespaces of HIPS autograd."""
    pytest.importorskip("autograd", reason="HIPS autograd is not installed")
    import autograd.numpy
    import autograd.scipy.integrate
    import autograd.scipy.linalg
    import autograd.scipy.signal
    import autograd.scipy.special
    import autograd.scipy.stats

    return {
        "numpy": autograd.numpy,
        "numpy.fft": autograd.numpy.fft,
        "numpy.linalg": autograd.numpy.linalg,
        "scipy.integrate": autograd.scipy.integrate,
        "scipy.linalg": autograd.scipy.linalg,
        "scipy.signal": autograd.scipy.signal,
        "scipy.special": autograd.scipy.special,
        "scipy.stats": autograd.scipy.stats,
    }


def namespace(library: str, namespaces: dict[str, Any], case: Case) -> Any:
    """Return the namespace for a case; skip the test if the library lacks the call."""
    if library in case.without:
        pytest.skip(f"{library} lacks this call, or means something else by it")
    found = namespaces[case.module]
    if case.id in LIMITS[library]:
        pytest.skip(f"{library}: {LIMITS[library][case.id]}")
    if case.name not in ("getitem", "setitem") and not has(found, case.name):
        pytest.skip(f"{library} has no {case.name}")
    return found
