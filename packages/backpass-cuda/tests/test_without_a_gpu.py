"""The suite of a GPU, where there is none: with a stand-in for CuPy that computes with NumPy.

The stand-in is as strict as CuPy about NumPy's arrays, about scalars and about signatures, so that
what leans on NumPy fails here and not on the first machine with a GPU.  Kernels in CUDA C++ are
compiled by the system's C++ compiler, and run.
"""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parents[2]
SUITES = {
    "own": [TESTS],
    "gradients": [
        ROOT / "tests/gradients/test_values.py",
        ROOT / "tests/gradients/test_derivatives.py",
        ROOT / "tests/gradients/test_corners.py",
    ],
    "kernels": [ROOT / "tests/test_kernels.py"],
    "programs": [ROOT / "tests/test_gpu_programs.py"],
}
#: The GPU, among the parameters of tests that run on each device.
SELECTED = {"gradients": ["-k", "cupy"], "kernels": ["-k", "CuPy"]}


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.skipif(os.environ.get("BACKPASS_REQUIRE_GPU") == "1", reason="there is a GPU")
def test_with_a_stand_in(suite):
    missing = [str(path) for path in SUITES[suite] if not path.exists()]
    if missing:
        pytest.skip(f"outside the repository: there is no {missing[0]}")
    compiling = runpy.run_path(str(TESTS / "stand_in/cuda_emulator/compiling.py"))
    if compiling["compiler"]() is None:
        pytest.skip("there is no C++ compiler to run the kernels with: install g++, or set CXX")
    found = [str(TESTS / "stand_in"), *filter(None, sys.path)]
    options = ["-q", "-p", "no:cacheprovider", *SELECTED.get(suite, [])]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *map(str, SUITES[suite])],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(found), "BACKPASS_REQUIRE_GPU": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr
    assert " passed" in run.stdout
