"""What the suite of backpass-cuda shares."""

import os

import pytest

import backpass.cupy
from backpass.cupy.availability import require

# Stands in for CuPy in a process of its own: test_without_a_gpu.py.
collect_ignore = ["stand_in"]
#: Its tests run others, in processes of their own.
OTHERS = "test_without_a_gpu.py"


def pytest_collection_modifyitems(items):
    """Ask last for what runs in processes of its own."""
    items.sort(key=lambda item: item.path.name == OTHERS)


def pytest_collection_finish(session):
    """Start what runs in processes of its own: beside the other tests."""
    found = [item for item in session.items if item.path.name == OTHERS]
    if found and not session.config.option.collectonly:
        chosen = {item.callspec.params["suite"] for item in found}
        session.config.add_cleanup(found[0].module.start(chosen))


@pytest.fixture
def cupy():
    """Give CuPy; skip the test without a GPU, or fail if BACKPASS_REQUIRE_GPU is 1."""
    try:
        return require()
    except backpass.cupy.DeviceUnavailable as error:
        if os.environ.get("BACKPASS_REQUIRE_GPU") == "1":
            pytest.fail(f"BACKPASS_REQUIRE_GPU is 1, but {error}")
        pytest.skip(f"no GPU: {error}")
