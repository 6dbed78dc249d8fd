"""No operands, however odd, crash a compiled kernel or let it compute what NumPy does not."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("fuzzing.py")


def fuzz(tmp_path, *arguments, **settings):
    """Run the program; return its exit status and what it says, with the seed of a crash."""
    log = tmp_path / "seed"
    run = [sys.executable, str(PROGRAM), "--log", str(log), *map(str, arguments)]
    made = subprocess.run(run, capture_output=True, text=True, env={**os.environ, **settings})
    said = f"{made.stdout}\n{made.stderr[-3000:]}"
    if made.returncode < 0:
        said = f"signal {-made.returncode} at seed {log.read_text().strip()}\n{said}"
    return made.returncode, said


@pytest.mark.parametrize("isa", ["", "avx2", "scalar"])
def test_odd_operands(tmp_path, isa):
    settings = {"BACKPASS_ISA": isa} if isa else {}
    status, said = fuzz(tmp_path, "--count", 2000, "--seed", 1000 * len(isa), **settings)
    assert status == 0, said


@pytest.mark.slow
@pytest.mark.parametrize("isa", ["", "avx2", "scalar"])
def test_many_odd_operands(tmp_path, isa):
    settings = {"BACKPASS_ISA": isa} if isa else {}
    status, said = fuzz(tmp_path, "--count", 100_000, "--seed", 10**6 * (1 + len(isa)), **settings)
    assert status == 0, said


PLANTED = {
    "reads beyond an operand": "numpy.lib.stride_tricks.as_strided(x, (4096,), (8,)).sum()",
    "writes into an operand": "ctypes.memset(x.ctypes.data, 0, x.nbytes) and None",
    "computes something else": "numpy.tanh(x) * 1.001",
    "keeps an operand": "kept.append(x) or NotImplemented",
    "computes what it should refuse": "numpy.ones(3)",
    "panics": "panic()",
}


@pytest.mark.parametrize("defect", PLANTED)
def test_a_planted_defect_is_found(tmp_path, defect):
    """The program that finds nothing must be able to find something."""
    script = tmp_path / "planted.py"
    script.write_text(
        "import ctypes, sys\n"
        f"sys.path.insert(0, {str(PROGRAM.parent)!r})\n"
        "import fuzzing, numpy\n"
        "kept = []\n"
        "def panic():\n    raise SystemError('a kernel panicked')\n"
        "def kernel(*xs, **keywords):\n"
        "    x = xs[0] if len(xs) == 1 and not keywords else None\n"
        "    if type(x) is not numpy.ndarray or x.dtype != float or not x.size:\n"
        f"        return {'numpy.ones(3)' if 'refuse' in defect else 'NotImplemented'}\n"
        f"    return {PLANTED[defect]}\n"
        "from backpass.core.backends import NUMPY\n"
        "fuzzing.KERNELS['tanh'] = NUMPY.kernels['tanh'] = kernel\n"
        "sys.argv[1:] = ['--kernel', 'tanh', '--count', '400']\n"
        "sys.exit(fuzzing.main())\n"
    )
    made = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    if defect.startswith(("reads", "writes")) and os.name == "posix":
        assert made.returncode < 0, made.stdout
    else:
        assert made.returncode == 1, made.stdout + made.stderr
        assert re.search(r"^seed \d+, tanh: ", made.stdout, re.MULTILINE), made.stdout
