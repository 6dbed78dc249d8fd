"""The pool: memory comes back, and never while somebody can see it."""

import gc
import threading

import numpy as np
import pytest

import backpass.cpu
from backpass.cpu import KERNELS, Block, empty_cache, memory_stats

multiply = KERNELS["zero_multiply"]  # a kernel on every processor


def test_memory_is_used_again():
    x = np.ones(1000, np.float32)
    first = multiply(x, x)
    address = first.ctypes.data
    del first
    before = memory_stats()
    second = multiply(x, x)
    after = memory_stats()
    assert second.ctypes.data == address
    assert after["allocations"] == before["allocations"] + 1
    assert after["reused"] == before["reused"] + 1
    assert after["in_use"] > before["in_use"]


def test_memory_lives_as_long_as_a_view_of_it():
    x = np.arange(1000, dtype=np.float32)
    result = multiply(x, 2.0)
    view = result[10:20]
    block = result.base
    del result
    gc.collect()
    others = [multiply(x, 1.0) for _ in range(5)]
    np.testing.assert_array_equal(view, 2 * x[10:20])
    assert view.base.base is block
    del view
    more = [multiply(x, 2.0) for _ in range(5)]
    assert type(block) is Block
    assert len({a.ctypes.data for a in others + more}) == 10


def test_memory_may_be_released_by_another_thread():
    held = [multiply(np.ones(100_000, np.float32), 1.0)]
    before = memory_stats()["in_use"]
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    assert memory_stats()["in_use"] < before


def test_empty_cache():
    del_me = multiply(np.ones(1 << 20, np.float32), 1.0)
    del del_me
    assert memory_stats()["cached"] >= 4 << 20
    empty_cache()
    assert memory_stats()["cached"] < 4 << 20


def test_block_is_no_constructor():
    with pytest.raises(TypeError, match="cannot create"):
        Block()


def test_threads():
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        backpass.cpu.set_num_threads(0)
    before = backpass.cpu.get_num_threads()
    backpass.cpu.set_num_threads(1)
    assert backpass.cpu.get_num_threads() == 1
    backpass.cpu.set_num_threads(before)
    assert backpass.cpu.get_num_threads() == before


def test_results_behave_like_arrays_of_their_own():
    result = multiply(np.ones(8, np.float32), 1.0)
    result[:] = 3
    result += 1
    result.shape = (2, 4)
    assert result.sum() == 32
    assert result.flags.behaved
    assert not result.flags.owndata
