"""A training that is killed at random moments and run again ends as if it had not been."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy
import pytest

from backpass import nn

PROGRAM = Path(__file__).with_name("resumed_training.py")
STEPS = 90


def start(folder, **environment):
    return subprocess.Popen(
        [sys.executable, PROGRAM, folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def ended(folder, **environment):
    """Run a training to its end, and return what its last checkpoint holds."""
    lines, errors = start(folder, **environment).communicate()
    assert errors == ""
    assert lines.endswith(f"done {STEPS}\n")
    return everything(folder)


def everything(folder):
    checkpoint = nn.load_checkpoint(nn.Checkpoints(folder).latest())
    return checkpoint.step, bits(checkpoint.values), nn.random.get_state()


def bits(value):
    """Return a state with bytes in the places of arrays."""
    if isinstance(value, dict):
        return {name: bits(part) for name, part in value.items()}
    if hasattr(value, "tobytes"):
        return value.dtype, value.shape, value.tobytes()
    return value


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return ended(tmp_path_factory.mktemp("uninterrupted"), BACKPASS_NUM_THREADS="1")


def kill(folder, random):
    """Begin or go on with a training and kill it at a random moment.

    Returns
    -------
    str or None
        What it was doing; None if it ended before.
    """
    with start(folder) as process:
        last = "starting"
        if random.random() < 0.1:
            time.sleep(random.uniform(0, 1))
        else:
            # A step takes about a millisecond, saving ten; every second kill aims at each.
            awaited, most, wait = (
                ("saving", 3, 0.01) if random.random() < 0.5 else ("step", 8, 1e-3)
            )
            left = random.integers(1, most + 1)
            for last in process.stdout:
                left -= last.startswith(awaited)
                if not left:
                    break
            time.sleep(random.uniform(0, wait))
        process.kill()
        assert process.stderr.read() == ""
        lines = [last, *process.stdout]
    if process.returncode == -signal.SIGKILL:
        return lines[-1].partition(" ")[0]
    assert lines[-1] == f"done {STEPS}\n"
    return None


@pytest.mark.parametrize("total", [8, pytest.param(200, marks=pytest.mark.slow)])
def test_a_killed_training_ends_bit_for_bit_as_the_uninterrupted_one(
    tmp_path, uninterrupted, total
):
    random = numpy.random.default_rng(total)
    moments = Counter()
    while moments.total() < total:
        moment = kill(tmp_path, random)
        moments.update([moment] if moment else [])
        if moments.total() == total or moment is None:
            assert ended(tmp_path) == uninterrupted
            if moments.total() < total:
                shutil.rmtree(tmp_path)  # and once more
    if total > 100:
        assert moments["saving"] > total // 8
        assert moments["step"] > total // 16


def test_the_number_of_threads_changes_no_bit(tmp_path, uninterrupted):
    assert ended(tmp_path, BACKPASS_NUM_THREADS="2") == uninterrupted
