"""What the suite of backpass-cuda shares."""

import os

import pytest

import backpass.cupy
from backpass.cupy.availability import require

# Stands in for CuPy in a process of its own: test_without_a_gpu.py.
collect_ignore = ["stand_in"]


@pytest.fixture
def cupy():
    """Give CuPy; skip the test without a GPU, or fail if BACKPASS_REQUIRE_GPU is 1."""
    try:
        return require()
    except backpass.cupy.DeviceUnavailable as error:
        if os.environ.get("BACKPASS_REQUIRE_GPU") == "1":
            pytest.fail(f"BACKPASS_REQUIRE_GPU is 1, but {error}")
        pytest.skip(f"no GPU: {error}")
