"""Jacobians whose rows are walked together are those of single walks, for all of the catalogue."""

from collections.abc import Callable
from typing import Any

import numpy
import pytest

import backpass.numpy as np
from backpass.core import grad, jacobian, jacobians, tree

from .cases import Case
from .catalogue import CASES
from .places import Place
from .running import function

#: Functions with a rule that cannot be batched: their rows are walked one by one.
SINGLE = (
    "choose circulant convolve2d cumprod cumulative_prod curve_fit expm hankel least_squares "
    "lfilter logm minimize nancumprod odeint quad quad_vec root solve_ivp solve_sylvester sqrtm "
    "take_along_axis toeplitz"
).split()
SINGLE_CASES = ("nn.conv1d-all", "nn.conv2d-groups", "nn.conv2d-channel_by_channel")
SINGLE_BEGINNINGS = (
    "convolve-vectors",
    "correlate-vectors",
    "svd-full",
    "nn.conv2d-all",
    "nn.conv_transpose1d-all",
    "nn.conv_transpose2d-",
)


def walks_singly(case: Case) -> bool:
    """Tell whether the rows of a case may be walked one by one."""
    return case.name in SINGLE or case.id in SINGLE_CASES or case.id.startswith(SINGLE_BEGINNINGS)


def check(case: Case, f: Callable[..., Any], args: list[Any], place: Place) -> None:
    """Compare both ways, and see that the right one is taken."""
    differentiated = jacobian(f, tuple(range(len(args))), holomorphic=True)
    single = jacobians._one_by_one
    counted = []

    def count(recorded: Any, k: int, value: Any) -> Any:
        if value.size > 1:
            counted.append(k)
        return single(recorded, k, value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jacobians, "_one_by_one", count)
        ours = differentiated(*args)
        assert not counted or walks_singly(case)
        patch.setattr(jacobians, "_together", lambda *_: None)
        theirs = differentiated(*args)
    for a, b in zip(tree.leaves(ours), tree.leaves(theirs), strict=True):
        if b is None:
            assert a is None
            continue
        assert type(a) is type(b)
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        numpy.testing.assert_allclose(place.fetch(a), place.fetch(b), rtol=1e-9, atol=1e-11)


def squared(f: Callable[..., Any], count: int) -> Callable[..., Any]:
    """Return the gradient of a weighted sum of squares: its Jacobian is a Hessian."""

    def total(*xs: Any) -> Any:
        made: Any = 0.0
        for out in f(*xs):
            if out.dtype.kind in "fc":
                weights = numpy.linspace(0.5, 1.5, out.size).reshape(out.shape)
                made = made + np.sum(np.real(out * out) * weights)
        return made

    return lambda *xs: list(grad(total, tuple(range(count)))(*xs))


def put(case: Case, place: Place, dtype: str = "float64") -> list[Any]:
    """Return the arguments of a case, where they belong."""
    return [place.put(x) for x in case.arguments(dtype)]


# A few of them here; all of them with the slow tests.
@pytest.mark.parametrize("case", CASES[::12], ids=[case.id for case in CASES[::12]])
def test_some_jacobians(case, backend):
    check(case, function(case, backend), put(case, backend), backend)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_all_jacobians(case, backend):
    check(case, function(case, backend), put(case, backend), backend)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_all_hessians(case, backend):
    if backend.backend.device != "cpu":
        pytest.skip("the weights lie on the CPU")
    check(case, squared(function(case, backend), len(case.args)), put(case, backend), backend)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_all_complex_jacobians(case, backend):
    if not case.complex:
        pytest.skip(f"{case.name} is not for complex numbers")
    check(case, function(case, backend), put(case, backend, "complex128"), backend)
