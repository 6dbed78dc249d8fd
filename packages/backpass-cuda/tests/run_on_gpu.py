"""Run what needs a GPU with plain pytest: no hatch, no network, nothing installed but CuPy.

    python packages/backpass-cuda/tests/run_on_gpu.py          # all of it
    python packages/backpass-cuda/tests/run_on_gpu.py 2/4 -x   # the second quarter, stop early

Backpass is taken from this repository.  Needed besides CuPy: NumPy, SciPy, optree and pytest; the
compiled kernels of backpass-cpu are used where they have been built.
"""

import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SOURCES = [
    ROOT / "packages/backpass-core/src",
    ROOT / "packages/backpass-cuda/src",
    ROOT / "packages/backpass-nn/src",
    ROOT / "rust/backpass-cpu/python",
]
SUITES = [ROOT / "packages/backpass-cuda/tests", ROOT / "tests/gradients"]
OPTIONS = [
    "-c",
    os.devnull,  # the repository's settings are for a newer pytest than may be here
    f"--rootdir={ROOT}",
    "--import-mode=importlib",
    "-o",
    "consider_namespace_packages=true",
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


class Shard:
    """Keeps every n-th test of those that run on the GPU."""

    def __init__(self, number: int, count: int) -> None:
        self.number, self.count = number, count

    def pytest_collection_modifyitems(self, config, items):
        """Drop the CPU's parameters of the gradient tests, and the other shards."""
        own = [item for item in items if "tests/gradients" not in item.path.as_posix()]
        gpu = [item for item in items if item not in set(own) and "[cupy" in item.name]
        kept = [*own, *gpu][self.number - 1 :: self.count]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
        items[:] = kept


def main(arguments: list[str]) -> int:
    """Run the shard that the first argument names, `i/n`; the others go to pytest."""
    number, count = 1, 1
    if arguments and arguments[0].count("/") == 1 and not Path(arguments[0]).exists():
        number, count = map(int, arguments.pop(0).split("/"))
    needed = ("cupy", "numpy", "scipy", "optree", "pytest")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        print(f"missing: {', '.join(missing)}", file=sys.stderr)
        return 2
    os.environ["BACKPASS_REQUIRE_GPU"] = "1"
    os.chdir(ROOT)
    sys.path[:0] = map(str, SOURCES)
    # For the tests that start a Python of their own.
    inherited = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([*map(str, SOURCES), inherited]).rstrip(os.pathsep)
    import pytest

    suites = [str(suite) for suite in SUITES if suite.exists()]
    return int(pytest.main([*OPTIONS, *suites, *arguments], plugins=[Shard(number, count)]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
