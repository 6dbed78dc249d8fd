"""The suite of a GPU, where there is none: with a stand-in for CuPy that computes with NumPy.

The stand-in is as strict as CuPy about NumPy's arrays, about scalars and about signatures, so that
what leans on NumPy fails here and not on the first machine with a GPU.  Kernels in CUDA C++ are
compiled by the system's C++ compiler, and run.
"""

import functools
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
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


def missing(suite):
    return [path for path in SUITES[suite][0] if not path.exists()]


def obstacle():
    """Say why nothing can run here; `None` where it can."""
    if os.environ.get("BACKPASS_REQUIRE_GPU") == "1":
        return "there is a GPU"
    if sys.platform != "linux":
        return "the emulator of CUDA C++ is written for Linux"
    compiling = runpy.run_path(str(TESTS / "stand_in/cuda_emulator/compiling.py"))
    if compiling["compiler"]() is None:
        return "there is no C++ compiler to run the kernels with: install g++, or set CXX"
    return None


class Beside:
    """A process that runs suites beside the other tests, which go first."""

    def __init__(self, suites):
        found = [str(TESTS / "stand_in"), *filter(None, sys.path)]
        changed = {
            "PYTHONPATH": os.pathsep.join(found),
            "BACKPASS_REQUIRE_GPU": "1",
            "OPENBLAS_NUM_THREADS": "1",  # its threads wait for each other longer than they compute
        }
        self._said = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            ["nice", sys.executable, __file__, *suites],
            env=os.environ | changed,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            start_new_session=True,  # what it starts ends with it
        )

    @functools.cached_property
    def results(self):
        """Wait for all; give each suite's exit status, and what it said."""
        status = self._process.wait()
        assert status == 0, f"{__file__} ended with status {status}"
        self._said.seek(0)
        return json.load(self._said)

    def stop(self):
        """End what nobody waits for any more."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait()
        self._said.close()


def start(chosen):
    """Run suites from now on; give what ends them.  `conftest.py` calls this."""
    global beside
    suites = [suite for suite in SUITES if suite in chosen and not missing(suite)]
    if obstacle() or not suites:
        return lambda: None
    beside = Beside(suites)
    return beside.stop


@pytest.mark.parametrize("suite", SUITES)
def test_with_a_stand_in(suite):
    if reason := obstacle():
        pytest.skip(reason)
    if missing(suite):
        pytest.skip(f"outside the repository: there is no {missing(suite)[0]}")
    status, said = beside.results[suite]
    assert status == 0, said[-3000:]
    assert " passed" in said


def run(suite):
    paths, selected = SUITES[suite]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", selected, *paths],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def main(suites):
    """Run suites, as many at once as there are processors; write what came of them."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        json.dump(dict(zip(suites, pool.map(run, suites))), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
