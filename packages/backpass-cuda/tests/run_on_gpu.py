"""Run what needs a GPU with plain pytest: no hatch, no network, nothing installed but CuPy.

    python packages/backpass-cuda/tests/run_on_gpu.py                # all of it
    python packages/backpass-cuda/tests/run_on_gpu.py -n 8           # in eight processes
    python packages/backpass-cuda/tests/run_on_gpu.py 2/4 -x         # the second quarter
    python packages/backpass-cuda/tests/run_on_gpu.py -m "not slow"  # without what takes minutes

Backpass is taken from this repository.  Needed besides CuPy: NumPy, SciPy, optree and pytest;
hypothesis for some files, pytest-xdist for `-n`, HIPS autograd for the comparison with it, which is
skipped otherwise.  The compiled kernels of backpass-cpu are used where they have been built.
"""

import importlib.util
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SOURCES = [
    ROOT / "packages/backpass-core/src",
    ROOT / "packages/backpass-cuda/src",
    ROOT / "packages/backpass-nn/src",
    ROOT / "rust/backpass-cpu/python",
]
OWN = ROOT / "packages/backpass-cuda/tests"
#: All of their tests need a GPU.
WHOLE = [OWN, ROOT / "tests/test_gpu_programs.py"]
#: Their tests run on each device.
SHARED = [
    ROOT / "tests/gradients",
    ROOT / "tests/test_kernels.py",
    ROOT / "tests/oracle/test_readme_network.py",
]
#: The GPU, among a test's parameters.
GPU = re.compile(r"[\[-](cupy|CuPy)[\]-]")
OPTIONS = [
    "-c",
    os.devnull,  # the repository's settings are for a newer pytest than may be here
    f"--rootdir={ROOT}",
    "--import-mode=importlib",
    "-o",
    "consider_namespace_packages=true",
    "-o",
    "markers=slow: takes minutes",
    "-o",
    "faulthandler_timeout=120",  # what hangs says where
    "-p",
    "no:cacheprovider",
    "-W",
    "error",
    "-W",
    "ignore:backpass-cpu:RuntimeWarning",
    "-W",
    "ignore:cupyx.jit:FutureWarning",  # CuPy's own, when cupyx.scipy.signal is imported
    "-ra",
    "-q",
    "--tb=short",
]

# ----- a plugin of pytest: each process of pytest-xdist loads it by its name --------------------


def pytest_addoption(parser):
    """Let the shard travel to the processes with the other options."""
    parser.addoption("--shard", default="1/1")


def pytest_collection_modifyitems(config, items):
    """Drop the CPU's parameters of shared tests, and the other shards; the slow ones come first."""
    number, count = map(int, config.getoption("--shard").split("/"))
    needed = [item for item in items if _is_whole(item.path) or GPU.search(item.name)]
    needed.sort(key=lambda item: item.get_closest_marker("slow") is None)
    kept = needed[number - 1 :: count]
    chosen = set(kept)
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = kept


def _is_whole(path):
    return any(path == suite or suite in path.parents for suite in WHOLE)


# ----- the command line --------------------------------------------------------------------------


def main(arguments: list[str]) -> int:
    """Run the shard that the first argument names, `i/n`; the others go to pytest.

    Paths of tests among them stand in the place of all.
    """
    shard = "1/1"
    if arguments and re.fullmatch(r"\d+/\d+", arguments[0]):
        shard = arguments.pop(0)
    number, count = map(int, shard.split("/"))
    if not 1 <= number <= count:
        print(f"no shard {shard}: the first of four is 1/4, the last 4/4", file=sys.stderr)
        return 2
    needed = ("cupy", "numpy", "scipy", "optree", "pytest")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        print(f"missing: {', '.join(missing)}", file=sys.stderr)
        return 2
    os.chdir(ROOT)
    suites = [suite for suite in (*WHOLE, *SHARED) if suite.exists()]
    if any(Path(argument.partition("::")[0]).exists() for argument in arguments):
        suites = []
    os.environ["BACKPASS_REQUIRE_GPU"] = "1"
    # This folder: the processes of pytest-xdist import this module.
    found = [*map(str, SOURCES), str(OWN)]
    sys.path[:0] = found
    # For the tests that start a Python of their own.
    inherited = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([*found, inherited]).rstrip(os.pathsep)
    import pytest

    plugin = ["-p", Path(__file__).stem, f"--shard={shard}"]
    return int(pytest.main([*OPTIONS, *plugin, *map(str, suites), *arguments]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
