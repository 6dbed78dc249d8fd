"""The suite of a GPU, where there is none: with a stand-in for CuPy that computes with NumPy.

The stand-in is as strict as CuPy about NumPy's arrays, about scalars and about signatures, so that
what leans on NumPy fails here and not on the first machine with a GPU.  Kernels in CUDA C++ are
compiled by the system's C++ compiler, and run.
"""

import os
import runpy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parents[2]
GRADIENTS = [ROOT / f"tests/gradients/test_{name}.py" for name in ("values", "corners")]
DERIVATIVES = [ROOT / "tests/gradients/test_derivatives.py"]
#: What runs in a process of its own, with options that leave out what runs on the CPU: those that
#: take longest come first.
SUITES = {
    "real derivatives": (DERIVATIVES, "cupy and test_real"),
    "other derivatives": (DERIVATIVES, "cupy and not test_real"),
    "kernels, single precision": ([ROOT / "tests/test_kernels.py"], "CuPy and float32"),
    "kernels, others": ([ROOT / "tests/test_kernels.py"], "CuPy and not float32"),
    "own": ([TESTS], ""),
    "values and corners": (GRADIENTS, "cupy"),
    "programs": ([ROOT / "tests/test_gpu_programs.py"], ""),
}


def run(suite):
    paths, selected = SUITES[suite]
    found = [str(TESTS / "stand_in"), *filter(None, sys.path)]
    changed = {
        "PYTHONPATH": os.pathsep.join(found),
        "BACKPASS_REQUIRE_GPU": "1",
        "OPENBLAS_NUM_THREADS": "1",  # its threads wait for each other longer than they compute
    }
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", selected, *paths],
        env=os.environ | changed,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def runs(request):
    """Give the suites that were asked for, running: as many at once as there are processors."""
    if sys.platform != "linux":
        pytest.skip("the emulator of CUDA C++ is written for Linux")
    compiling = runpy.run_path(str(TESTS / "stand_in/cuda_emulator/compiling.py"))
    if compiling["compiler"]() is None:
        pytest.skip("there is no C++ compiler to run the kernels with: install g++, or set CXX")
    here = [item for item in request.session.items if item.path == request.path]
    chosen = {item.callspec.params["suite"] for item in here}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {s: pool.submit(run, s) for s in SUITES if s in chosen and not missing(s)}


def missing(suite):
    return [path for path in SUITES[suite][0] if not path.exists()]


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.skipif(os.environ.get("BACKPASS_REQUIRE_GPU") == "1", reason="there is a GPU")
def test_with_a_stand_in(suite, runs):
    if missing(suite):
        pytest.skip(f"outside the repository: there is no {missing(suite)[0]}")
    done = runs[suite].result()
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert " passed" in done.stdout
