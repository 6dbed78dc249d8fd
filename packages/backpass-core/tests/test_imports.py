"""Importing is cheap: what takes long is imported when it is first used."""

import json
import subprocess
import sys

import pytest

#: What nobody may import before its time.
SLOW = ("scipy", "optree", "importlib.metadata", "matplotlib", "cupy")


def imported(program):
    """Return the modules that a program has imported beyond NumPy's."""
    script = (
        "import json, sys, numpy\n"
        "before = set(sys.modules)\n"
        f"{program}\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    run = [sys.executable, "-W", "ignore", "-c", script]
    found = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    return json.loads(found.splitlines()[-1])


@pytest.mark.parametrize(
    "module",
    [
        "backpass.numpy",
        "backpass.scipy",
        "backpass.scipy.special",
        "backpass.scipy.stats",
        "backpass.scipy.linalg",
        "backpass.scipy.signal",
        "backpass.scipy.integrate",
        "backpass.scipy.optimize",
        "backpass.autograd",
    ],
)
def test_no_slow_module_is_imported(module):
    found = imported(f"import {module}")
    assert module in found
    assert not [name for name in found if name.startswith(SLOW)]


def test_families_wait_for_their_first_use():
    found = imported("import backpass.numpy")
    families = ("backpass.core.ops.linalg", "backpass.core.ops.fft", "backpass.scipy")
    assert not [name for name in found if name.startswith(families)]
    assert "backpass.core.ops.linalg" in imported("import backpass.numpy as np; np.linalg.det")
    assert "backpass.core.ops.fft" in imported("import backpass.numpy as np; np.fft.fft")


def test_scipy_is_imported_by_the_first_call():
    used = "from backpass.scipy.special import gammaln; import numpy as np; gammaln(np.array(1.0))"
    assert "scipy.special" in imported(used)
