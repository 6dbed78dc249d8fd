"""What README.md's table says of other libraries, asked of them."""

import importlib
from typing import Any, NamedTuple

import numpy as np
import pytest

import backpass.core
import backpass.numpy

from ..markdown import tables
from ..repository import README

TABLE = next(
    table
    for table in tables(README.read_text(encoding="utf-8"))
    if any("norm" in row for row in table)
)
CORNERS = [row for row in TABLE if row.startswith("gradient of")]
ABILITIES = "forward mode; derivatives of any order", "compiles programs; maps over a new axis"


class Library(NamedTuple):
    """A library: its name in the table, its gradients in the corners, what it has."""

    name: str
    corners: list[Any]
    second_derivative: float | None
    names: set[str]


def by_functions(name: str, module: Any, np_: Any) -> Library:
    """Ask a library whose `grad` makes a function of a function."""
    grad = module.grad
    corners = [
        grad(lambda x: np_.sum(np_.where(x > 0, np_.sqrt(x), 0.0)))(np.array([0.0, 4.0]))[0],
        grad(lambda x: np_.linalg.norm(x))(np.zeros(2))[0],
    ]
    return Library(name, corners, float(grad(grad(np_.sin))(0.5)), set(dir(module)))


def by_backward(name: str, module: Any, tensor: Any) -> Library:
    """Ask a library whose tensors have a method `backward`."""
    x, y, z = (tensor(np.array(values)) for values in ([0.0, 4.0], [0.0, 0.0], 0.5))
    module.where(x > 0, module.sqrt(x), tensor(np.zeros(2))).sum().backward()
    module.linalg.norm(y).backward()
    second = None
    if hasattr(module, "func"):
        second = float(module.func.grad(module.func.grad(module.sin))(z.detach()))
    else:
        module.sin(z).backward()
        assert type(z.grad) is np.ndarray  # of which nothing is recorded
    names = {*dir(module), *dir(getattr(module, "func", None))}
    return Library(name, [x.grad[0], y.grad[0]], second, names)


@pytest.fixture(params=["Backpass", "HIPS autograd", "JAX", "PyTorch", "MyGrad"])
def library(request: pytest.FixtureRequest) -> Library:
    name = request.param
    if name == "Backpass":
        return by_functions(name, backpass.core, backpass.numpy)
    imported = {"HIPS autograd": "autograd", "JAX": "jax", "PyTorch": "torch", "MyGrad": "mygrad"}
    module = pytest.importorskip(imported[name], reason=f"{name} is not installed")
    with np.errstate(all="ignore"):
        if name == "PyTorch":
            return by_backward(name, module, lambda x: module.as_tensor(x).requires_grad_())
        if name == "MyGrad":
            return by_backward(name, module, module.tensor)
        numpy_ = importlib.import_module(f"{imported[name]}.numpy")
        return by_functions(name, module, numpy_)


def test_the_corners_are_as_the_table_says(library):
    written = [float(TABLE[row][library.name]) for row in CORNERS]
    assert len(written) == 2
    np.testing.assert_array_equal(np.array(library.corners, float), written)


def test_the_libraries_can_do_what_the_table_says(library):
    words = [word for row in ABILITIES for word in TABLE[row][library.name].split("; ")]
    found = [
        bool(library.names & {"jvp", "make_jvp"}),
        library.second_derivative is not None,
        bool(library.names & {"jit", "compile"}),
        "vmap" in library.names,
    ]
    assert words == ["yes" if has else "no" for has in found]
    if library.second_derivative is not None:
        assert library.second_derivative == pytest.approx(-np.sin(0.5), rel=1e-5)
