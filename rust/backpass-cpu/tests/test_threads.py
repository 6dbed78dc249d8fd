"""Threads: the same bits on any number of them, and no harm from forks or concurrent callers."""

import os
import sys
import threading

import numpy as np
import pytest

import backpass.cpu
from backpass.cpu import KERNELS


@pytest.fixture(autouse=True)
def _restore_threads():
    before = backpass.cpu.get_num_threads()
    yield
    backpass.cpu.set_num_threads(before)


def results(dtype):
    """What large calls of every family give."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(600, 700)).astype(dtype), rng.normal(size=(700, 300)).astype(dtype)
    found = {
        "tanh": KERNELS["tanh"](x),
        "add": KERNELS["add"](x, x[0]),
        "sum": KERNELS["sum"](x),
        "sum of columns": KERNELS["sum"](x, axis=0),
        "log_softmax": KERNELS["log_softmax"](x, axis=1),
        "softmax of columns": KERNELS["softmax"](x, axis=0),
    }
    if "matmul" in KERNELS:
        found["matmul"] = KERNELS["matmul"](x, y)
        found["vector"] = KERNELS["matmul"](x[0], y)
        found["transposed"] = KERNELS["matmul.vjp0"](np.ascontiguousarray(x[:, :300]), y)
    weights, velocity = x.copy(), x[::-1].copy()
    KERNELS["momentum_update"](weights, velocity, x, learning_rate=0.1, momentum=0.9)
    plain = x.copy()
    KERNELS["sgd_update"](plain, weights, learning_rate=0.1)
    return found | {"weights": weights, "velocity": velocity, "plain": plain}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_do_not_depend_on_the_number_of_threads(dtype):
    backpass.cpu.set_num_threads(1)
    alone = results(dtype)
    for n in (2, 3):
        backpass.cpu.set_num_threads(n)
        for name, value in results(dtype).items():
            np.testing.assert_array_equal(value, alone[name], err_msg=name)


def test_concurrent_callers():
    backpass.cpu.set_num_threads(2)
    expected = results(np.float32)
    wrong = []

    def call():
        for _ in range(5):
            for name, value in results(np.float32).items():
                if not np.array_equal(value, expected[name]):
                    wrong.append(name)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_process_computes():
    backpass.cpu.set_num_threads(2)
    expected = results(np.float32)
    child = os.fork()
    if child == 0:
        try:
            same = all(np.array_equal(v, expected[k]) for k, v in results(np.float32).items())
            os._exit(0 if same else 1)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
