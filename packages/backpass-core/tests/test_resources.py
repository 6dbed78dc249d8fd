"""Memory and threads of the compiled kernels."""

import subprocess
import sys
import threading

import numpy
import pytest

import backpass.numpy as np
from backpass.core import (
    backends,
    empty_cache,
    get_num_threads,
    memory_stats,
    set_num_threads,
    value_and_grad,
)

KEYS = {"in_use", "cached", "allocations", "reused"}


def test_arrays_are_counted_while_they_live():
    x = numpy.ones(100_000)
    before = memory_stats()
    y = np.tanh(x)
    during = memory_stats()
    assert set(during) == KEYS
    assert 800_000 <= during["in_use"] - before["in_use"] < 1_000_000
    assert during["allocations"] == before["allocations"] + 1
    del y
    assert memory_stats()["in_use"] == before["in_use"]
    assert memory_stats()["cached"] >= 800_000


def test_a_training_step_leaves_nothing_in_use():
    def loss(w, x):
        return np.sum(np.tanh(x @ w) ** 2)

    x, w = numpy.ones((64, 32)), numpy.full((32, 16), 0.1)
    step = value_and_grad(loss)
    step(w, x)
    before = memory_stats()
    for _ in range(10):
        step(w, x)
    after = memory_stats()
    assert after["in_use"] == before["in_use"]
    made = after["allocations"] - before["allocations"]
    assert made > 10
    assert after["reused"] - before["reused"] == made  # nothing came from the system


def test_empty_cache_gives_back_what_other_threads_released():
    held = [np.exp(numpy.zeros(1 << 20))]
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    assert memory_stats()["cached"] >= 8 << 20
    empty_cache()
    assert memory_stats()["cached"] < 8 << 20


def test_an_unknown_device_is_named():
    with pytest.raises(RuntimeError, match="no backend for the device 'moon'"):
        memory_stats("moon")


def test_another_backend_brings_its_own(monkeypatch):
    class Array:
        pass

    emptied = []
    far = backends.Backend(
        "Far",
        (Array,),
        numpy,
        device="far",
        memory_stats=lambda: dict.fromkeys(KEYS, 7),
        empty_cache=lambda: emptied.append(True),
    )
    monkeypatch.setattr(backends, "_loaded", [*backends._loaded, far])
    assert memory_stats("far")["in_use"] == 7
    empty_cache()
    assert emptied == [True]


def test_threads_are_set_for_all():
    before = get_num_threads()
    try:
        set_num_threads(3)
        seen = []
        thread = threading.Thread(target=lambda: seen.append(get_num_threads()))
        thread.start()
        thread.join()
        assert seen == [3]
        set_num_threads(numpy.int64(1))
        assert get_num_threads() == 1
    finally:
        set_num_threads(before)


@pytest.mark.parametrize(
    ("n", "error", "message"),
    [
        (0, ValueError, "n must be at least 1, got 0: the calling thread always works"),
        (-2, ValueError, "n must be at least 1, got -2"),
        (65, ValueError, "n must be at most 64, got 65"),
        (10**30, ValueError, "n must be at most 64, got 10{30}"),
        ("a", TypeError, "n must be a whole number, got 'a' of type str"),
        (True, TypeError, "n must be a whole number, got True of type bool"),
        (1.0, TypeError, "n must be a whole number, got 1.0 of type float"),
        (None, TypeError, "n must be a whole number, got None of type NoneType"),
    ],
)
def test_bad_numbers_are_named(n, error, message):
    before = get_num_threads()
    with pytest.raises(error, match=message):
        set_num_threads(n)
    assert get_num_threads() == before


def test_without_the_extension_there_is_no_pool():
    program = (
        "import sys, warnings\n"
        "sys.modules['backpass.cpu'] = None\n"
        "warnings.simplefilter('ignore')\n"
        "from backpass.core import *\n"
        "print(memory_stats(), get_num_threads())\n"
        "empty_cache()\n"
        "warnings.simplefilter('error')\n"
        "try:\n    set_num_threads(2)\n"
        "except RuntimeWarning as warning:\n    print(warning)\n"
    )
    run = [sys.executable, "-c", program]
    out = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    state, message = out.splitlines()
    assert state == f"{dict.fromkeys(('in_use', 'cached', 'allocations', 'reused'), 0)} 1"
    assert message.startswith("set_num_threads(2) does nothing: backpass-cpu is not loaded")
