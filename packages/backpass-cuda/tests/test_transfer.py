"""Arrays between the CPU and the GPU: one by one, and batches ahead of their use."""

import dataclasses
import threading
import time
from typing import Any, NamedTuple

import numpy
import pytest
from numpy.testing import assert_array_equal

import backpass.cupy as cp
import backpass.numpy as np
from backpass.core import Tensor, memory_stats, to_device
from backpass.cupy.launching import Kernel
from backpass.cupy.transfer import Staging

pytestmark = pytest.mark.usefixtures("cupy")


@dataclasses.dataclass
class Sample:
    x: Any
    label: Any


class Pair(NamedTuple):
    x: Any
    y: Any


#: A chain of so many sums takes a GPU a few milliseconds.
STEPS = 1 << 20
BUSY = Kernel(
    "busy",
    f"""extern "C" __global__ void busy(double* x) {{
        double sum = x[0];
        for (int i = 0; i < {STEPS}; ++i) sum += 1.0;
        x[0] = sum;
    }}""",
)


def delay(cupy):
    """Keep the current stream busy for a while.

    Not by a function of the host: where that is Python's, it waits for the interpreter, which may
    wait for the stream.
    """
    x = cupy.zeros(1)
    BUSY.launch(1, 1, (x,))
    return x


# ----- trees -------------------------------------------------------------------------------------


def test_to_device_keeps_the_structure():
    tree = {
        "dataclass": Sample(np.ones(2), numpy.arange(3)),
        "named": Pair(numpy.ones((2, 2)), [1, "text", None]),
        "scalar": np.array(1.5),
    }
    there = to_device(tree, "cuda")
    assert isinstance(there["dataclass"], Sample)
    assert isinstance(there["dataclass"].x.value, cp.ndarray)
    assert isinstance(there["dataclass"].label, cp.ndarray)
    assert isinstance(there["named"], Pair)
    assert there["named"].y == [1, "text", None]
    assert there["scalar"].shape == ()
    back = to_device(there, "cpu")
    assert_array_equal(back["dataclass"].x.value, 1.0)
    assert_array_equal(back["named"].x, tree["named"].x)
    assert isinstance(back["scalar"].value, numpy.float64)


def test_copies_run_in_the_current_stream(cupy):
    x = numpy.arange(1000.0)
    with cupy.cuda.Stream(non_blocking=True):
        delay(cupy)
        there = to_device(x, "cuda")
        x[...] = 0  # has been read already
        twice = there * 2
        delay(cupy)
        twice *= 2
        assert_array_equal(to_device(twice, "cpu"), 4 * numpy.arange(1000.0))


# ----- batches -----------------------------------------------------------------------------------


def batches():
    """Yield trees of many shapes and dtypes."""
    random = numpy.random.default_rng(0)
    for i in range(40):
        shape = tuple(random.integers(0, 9, i % 4))
        dtype = ["f4", "f8", "?", "i8", "u1", "c16", "f2"][i % 7]
        x = numpy.asarray(10 * random.standard_normal(shape)).astype(dtype)
        wide = random.standard_normal((i + 2, 6))
        yield {
            "x": x,
            "views": (wide.T, wide[::-1, ::2], wide[:, 1]),
            "tensor": np.array(wide),
            "scalar": np.array(float(i)),
            "sample": Sample(numpy.full(i, i), "name"),
            "pair": Pair(numpy.float32(i), None),
            "number": i,
        }


@pytest.mark.parametrize("ahead", [0, 1, 2, 7, 100])
def test_batches_arrive_as_they_were(ahead):
    count = 0
    for found, right in zip(cp.prefetch(batches(), ahead), batches(), strict=True):
        count += 1
        assert isinstance(found["x"], cp.ndarray)
        assert found["x"].dtype == right["x"].dtype
        assert found["x"].shape == right["x"].shape
        assert_array_equal(found["x"].get(), right["x"])
        for x, y in zip(found["views"], right["views"], strict=True):
            assert_array_equal(x.get(), y)
        for name in ("tensor", "scalar"):
            assert isinstance(found[name], Tensor)
            assert isinstance(found[name].value, cp.ndarray)
            assert_array_equal(found[name].value.get(), right[name].value)
        assert isinstance(found["sample"], Sample)
        assert_array_equal(found["sample"].x.get(), right["sample"].x)
        assert found["sample"].label == "name"
        assert found["pair"] == right["pair"]
        assert found["number"] == right["number"]
    assert count == 40


def test_a_slow_consumer_reads_what_it_was_given(cupy):
    """Neither pinned memory nor that of a batch which is dropped is written before it is read."""
    x = numpy.empty((64, 1000), numpy.float32)

    def numbers():
        for i in range(30):
            x[...] = i  # one array for all: it has been read when the next is asked for
            yield x, i

    sums = []
    for there, _ in cp.prefetch(numbers(), ahead=3):
        delay(cupy)
        sums.append(there.sum() / there.size)
        del there
    assert [float(s.get()) for s in sums] == [float(i) for i in range(30)]


def test_a_slow_source_and_a_stream_of_the_consumers_own(cupy):
    def numbers():
        for i in range(10):
            time.sleep(0.001)
            yield numpy.full(100_000, float(i))

    stream = cupy.cuda.Stream(non_blocking=True)
    found = []
    with stream:
        for x in cp.prefetch(numbers()):
            delay(cupy)
            found.append(cp.max(x))
        found = [float(x.value.get()) for x in found]
    assert found == [float(i) for i in range(10)]


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_so_many_batches_are_under_way(ahead):
    taken = []

    def numbers():
        for i in range(10):
            taken.append(i)
            yield numpy.full(3, i)

    fetched = cp.prefetch(numbers(), ahead)
    assert taken == []
    for i in range(10):
        x = next(fetched)
        assert len(taken) == min(i + 1 + ahead, 10)
        assert_array_equal(x.get(), i)
    with pytest.raises(StopIteration):
        next(fetched)


def test_it_works_in_any_thread(cupy):
    found = []

    def consume():
        with cupy.cuda.Stream(non_blocking=True):
            found.extend(int(x[0].get()) for x in cp.prefetch(numpy.full(9, i) for i in range(20)))

    threads = [threading.Thread(target=consume) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(found) == sorted(3 * list(range(20)))


def test_pinned_memory_is_used_again(cupy, monkeypatch):
    asked = []
    allocate = cupy.cuda.alloc_pinned_memory
    monkeypatch.setattr(
        cupy.cuda, "alloc_pinned_memory", lambda size: (asked.append(size), allocate(size))[1]
    )
    for x in cp.prefetch(((numpy.full(1000, i), numpy.ones(i)) for i in range(1, 50)), ahead=2):
        assert x[0].shape == (1000,)
    assert 3 <= len(asked) <= 6  # three pieces, each once more when larger batches come


# ----- ends and errors ---------------------------------------------------------------------------


def test_an_error_of_the_source_comes_in_its_place():
    def numbers():
        yield numpy.zeros(1)
        yield numpy.ones(1)
        raise KeyError("gone")

    fetched = cp.prefetch(numbers(), ahead=5)
    assert next(fetched).get() == 0
    assert next(fetched).get() == 1
    with pytest.raises(KeyError, match="gone"):
        next(fetched)
    with pytest.raises(StopIteration):
        next(fetched)


BAD = {
    "dtype": (numpy.ones(2, ">f8"), TypeError, "another machine"),
    "text": (numpy.array(["a"]), TypeError, "text stays on the CPU"),
    "tracked": (np.ones(2).requires_grad_(), TypeError, "prefetch: a Tensor of a batch is tracked"),
    "masked": (numpy.ma.array([1.0]), TypeError, "not supported"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_moved_is_refused_in_its_place(name):
    bad, error, words = BAD[name]
    fetched = cp.prefetch([[numpy.ones(2)], [numpy.ones(3)], [bad], [numpy.ones(4)]], ahead=3)
    assert [next(fetched)[0].shape for _ in range(2)] == [(2,), (3,)]
    with pytest.raises(error, match=words):
        next(fetched)


def test_a_lack_of_memory_comes_in_its_place(cupy):
    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()
    pool.set_limit(size=pool.total_bytes() + (1 << 20))
    try:
        fetched = cp.prefetch([numpy.ones(2), numpy.ones(1 << 20), numpy.ones(2)])
        assert next(fetched).shape == (2,)
        with pytest.raises(cp.OutOfMemory, match="8 MiB were asked for"):
            next(fetched)
    finally:
        pool.set_limit(size=0)
    assert next(cp.prefetch([numpy.ones(1 << 20)])).shape == (1 << 20,)


def test_closing_leaves_nothing_behind(cupy):
    before = memory_stats("cuda")["in_use"]
    taken = []

    def numbers():
        for i in range(100):
            taken.append(i)
            yield numpy.full(1 << 16, i)

    fetched = cp.prefetch(numbers(), ahead=3)
    x = next(fetched)
    delay(cupy)
    fetched.close()
    assert len(taken) == 4
    assert_array_equal(x.get(), 0)
    del x
    assert memory_stats("cuda")["in_use"] == before
    with pytest.raises(StopIteration):
        next(fetched)
    cp.prefetch(numbers()).close()
    assert len(taken) == 4


def test_arguments_are_checked_at_once():
    with pytest.raises(ValueError, match="prefetch: `ahead` is -1"):
        cp.prefetch([], ahead=-1)
    with pytest.raises(TypeError, match="not iterable"):
        cp.prefetch(3)
    assert list(cp.prefetch([])) == []
    assert list(cp.prefetch([1, "a", None, {}])) == [1, "a", None, {}]


def test_arrays_of_the_gpu_are_passed_on(cupy):
    x, t = cupy.ones(3), cp.ones(3)
    ((a, b, c),) = cp.prefetch([(x, t, numpy.float64(2.0))])
    assert a is x
    assert b is t
    assert type(c) is numpy.float64


def test_it_is_refused_while_a_graph_is_captured(cupy):
    fetched = cp.prefetch([numpy.ones(3)])
    with cupy.cuda.Stream(non_blocking=True) as stream:
        stream.begin_capture()
        try:
            with pytest.raises(cp.CaptureError, match="prefetch cannot be captured"):
                next(fetched)
        finally:
            stream.end_capture()


def test_staging_waits_for_its_copies(cupy):
    """The memory is written again only when what was sent from it has arrived."""
    staging, stream = Staging(), cupy.cuda.Stream(non_blocking=True)
    found = []
    for i in range(20):
        with stream:
            delay(cupy)
        made = staging.send([numpy.full(1000, i), numpy.full((2, 3), i)], stream)
        staging.arrive()
        found.append([x.sum() for x in made])
    staging.finish()
    assert [[int(s.get()) for s in sums] for sums in found] == [
        [1000 * i, 6 * i] for i in range(20)
    ]
