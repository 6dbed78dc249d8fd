"""Every kernel of the networks computes what its primitive's reference does in a wider dtype."""

import importlib
import importlib.util
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy
import pytest

pytest.importorskip("backpass.nn", reason="backpass.nn need not be installed")
importlib.import_module("backpass.nn.functional")
importlib.import_module("backpass.nn.optimizers")

from backpass.core.backends import NUMPY  # noqa: E402 - the primitives come first
from backpass.core.extension import cpu  # noqa: E402

from .gradients.places import Place  # noqa: E402
from .network import FAMILIES  # noqa: E402
from .network.calling import Call, combinations, variants  # noqa: E402
from .test_kernels import BACKENDS, GPU, PRIMITIVES, Kernel  # noqa: E402

KERNELS = [
    (backend, name)
    for backend in BACKENDS
    for name in sorted(backend.kernels)
    if name.partition(".")[0] in PRIMITIVES and Kernel(backend, name).is_of_a_network
]
#: One on the other instruction sets: what they share has been tested with both.
SEEDS = 1 if os.environ.get("BACKPASS_ISA") else 2
HALVES = ("float16", "bfloat16") if importlib.util.find_spec("ml_dtypes") else ("float16",)
DTYPES = {"cpu": ("float32", "float64"), "cuda": (*HALVES, "float32", "float64")}


@pytest.fixture(autouse=True)
def without_cudnn() -> Iterator[None]:
    """Test the plugin's own kernels: cuDNN, which has its tests, spreads nan as it likes."""
    if not isinstance(GPU, Place):
        yield
        return
    with importlib.import_module("backpass.cupy.cudnn").without_cudnn():
        yield


def cases(name: str, device: str, seeds: int = SEEDS, first: int = 0) -> list[Any]:
    """Return all families' cases of a kernel."""
    return [
        case
        for family, seed in itertools.product(FAMILIES, range(first, first + seeds))
        for case in family.cases(numpy.random.default_rng(seed))
        if case.name == name and device in case.on
    ]


@pytest.mark.parametrize(
    ("backend", "name", "dtype"),
    [
        pytest.param(backend, name, dtype, id=f"{backend.name}-{name}-{dtype}")
        for backend, name in KERNELS
        for dtype in DTYPES[backend.device]
    ],
)
def test_it_computes_what_the_reference_does(backend, name, dtype):
    found = cases(name, backend.device)
    assert found, f"no family in tests/network has a case for {name} on {backend.device}"
    taken = 0
    for case in found:
        for variant in [case] if backend.device in case.finite else variants(case):
            call = Call(backend, variant, dtype)
            for layout, place in combinations(call):
                main = layout == "as made" and dtype not in HALVES
                taken += call.run(place, main=main) is not NotImplemented
    assert taken or dtype in HALVES


@pytest.mark.skipif(cpu is None, reason="without the extension there are no threads of its own")
@pytest.mark.parametrize("name", [name for backend, name in KERNELS if backend is NUMPY])
def test_its_bits_do_not_depend_on_the_number_of_threads(name):
    before = cpu.get_num_threads()
    try:
        for case in cases(name, "cpu", seeds=1):
            call = Call(NUMPY, case, "float32")
            made = []
            for count in (1, 2, 3):
                cpu.set_num_threads(count)
                made.append(call.run(lambda x: x))
            for other in made[1:]:
                for mine, first in zip(as_tuple(other), as_tuple(made[0]), strict=True):
                    numpy.testing.assert_array_equal(mine, first)
    finally:
        cpu.set_num_threads(before)


def as_tuple(x: Any) -> Any:
    return x if isinstance(x, tuple) else (x,)


@pytest.mark.parametrize("isa", ["avx2", "scalar"])
def test_on_every_instruction_set(isa):
    if os.environ.get("BACKPASS_ISA"):
        pytest.skip("this is one of them: BACKPASS_ISA is set")
    run = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__]
    run += ["-k", "test_it_computes and NumPy"]
    made = subprocess.run(
        run, capture_output=True, text=True, env={**os.environ, "BACKPASS_ISA": isa}
    )
    assert made.returncode == 0, made.stdout[-3000:]
