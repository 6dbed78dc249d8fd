"""The loader: order, batches, threads, errors, interruption, resumption."""

import gc
import json
import signal
import subprocess
import sys
import threading
import time
import traceback

import numpy as np
import pytest

from backpass.nn import random
from backpass.nn.data import ArrayDataset, DataLoader, Subset, item_generator, loader

every_number_of_workers = pytest.mark.parametrize("workers", [0, 1, 3])


class Noisy:
    """Items that are partly random, and take their time."""

    def __init__(self, length=23):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        assert type(index) is int
        generator = item_generator()
        time.sleep(0.002 * (index % 3 == 0))
        return index, generator.random(2, np.float32) + generator.random(2, np.float32)


def same(a, b):
    return len(a) == len(b) and all(
        np.array_equal(x, y) for p, q in zip(a, b, strict=True) for x, y in zip(p, q, strict=True)
    )


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


# ----- batches -----


@every_number_of_workers
@pytest.mark.parametrize("kind", [ArrayDataset, list])
@pytest.mark.parametrize("batch_size", [1, 3, 4, 10, 99])
@pytest.mark.parametrize("drop_last", [False, True])
def test_the_batches_in_order(workers, kind, batch_size, drop_last):
    x = np.arange(20).reshape(10, 2)
    expected = [x[i : i + batch_size] for i in range(0, 10, batch_size)]
    if drop_last and 10 % batch_size:
        expected = expected[:-1]
    if not expected:
        with pytest.raises(ValueError, match="drop_last=True leaves no batch"):
            DataLoader(kind(x), batch_size, drop_last=True)
        return
    batches = DataLoader(kind(x), batch_size, drop_last=drop_last, workers=workers)
    assert len(batches) == len(expected)
    for _ in range(2):
        found = list(batches)
        assert [b.tolist() for b in found] == [b.tolist() for b in expected]


def test_an_array_is_a_data_set_of_its_rows():
    x = np.arange(12).reshape(4, 3)
    assert [b.tolist() for b in DataLoader(x, 3)] == [x[:3].tolist(), x[3:].tolist()]


def test_each_epoch_has_its_order_and_every_item_once():
    batches = DataLoader(ArrayDataset(np.arange(50)), 8, shuffle=True, seed=0)
    epochs = [np.concatenate(list(batches)).tolist() for _ in range(4)]
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    again = DataLoader(list(range(50)), 3, shuffle=True, seed=0, workers=2)
    assert [np.concatenate(list(again)).tolist() for _ in range(4)] == epochs
    other = DataLoader(ArrayDataset(np.arange(50)), 8, shuffle=True, seed=1)
    assert np.concatenate(list(other)).tolist() not in epochs


def test_the_order_is_uniform():
    batches = DataLoader(ArrayDataset(np.arange(3)), 3, shuffle=True, seed=0)
    found = [tuple(next(iter(batches))) for _ in range(600)]
    counts = [found.count(order) for order in set(found)]
    assert len(counts) == 6
    assert min(counts) > 60  # of 100; 4.4 standard deviations


def test_the_package_s_seed_determines_the_order():
    state = random.get_state()
    try:
        orders = []
        for number in (1, 1, 2):
            random.seed(number)
            (order,) = DataLoader(ArrayDataset(np.arange(30)), 30, shuffle=True)
            orders.append(order.tolist())
    finally:
        random.set_state(state)
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("shuffle", [False, True])
def test_the_batches_do_not_depend_on_the_workers(shuffle):
    expected = None
    for workers, prefetch in ((0, 1), (1, 1), (1, 4), (2, 1), (4, 2), (40, 1)):
        batches = DataLoader(
            Noisy(), 4, shuffle=shuffle, seed=7, workers=workers, prefetch=prefetch
        )
        found = [list(batches), list(batches)]
        assert not same(*found)  # an epoch has its own random numbers
        expected = expected or found
        assert all(map(same, found, expected))


def test_the_random_numbers_of_an_item_are_its_own():
    (batch,) = DataLoader(Noisy(), 23, seed=0)
    assert len(np.unique(batch[1])) == 46
    (shuffled,) = DataLoader(Noisy(), 23, shuffle=True, seed=0)
    assert np.array_equal(shuffled[1], batch[1][shuffled[0]])


def test_outside_of_a_loader_the_package_s_generator_is_used():
    assert item_generator() is random.generator()
    for _ in DataLoader(Noisy(3), 2, seed=0):
        assert item_generator() is random.generator()


def test_a_loader_inside_a_data_set_leaves_its_random_numbers_alone():
    class Outer(Noisy):
        def __getitem__(self, index):
            first = item_generator().random()
            list(DataLoader(Noisy(4), 2, seed=0))
            return first, item_generator().random()

    (batch,) = DataLoader(Outer(5), 5, seed=0)
    assert len(np.unique(batch)) == 10


def test_a_function_of_one_s_own_makes_the_batches():
    batches = DataLoader(ArrayDataset(np.arange(3), np.arange(3)), 2, collate=list)
    assert list(batches) == [[(0, 0), (1, 1)], [(2, 2)]]


def test_batches_are_moved_by_core(monkeypatch):
    moved = []
    monkeypatch.setattr(loader, "to_device", lambda tree, to: moved.append((tree, to)) or "moved")
    batches = DataLoader(ArrayDataset(np.arange(4)), 2, device="cuda", workers=2)
    assert list(batches) == ["moved", "moved"]
    assert [to for _, to in moved] == ["cuda"] * 3  # the first asks whether there is one
    assert [tree.tolist() for tree, _ in moved[1:]] == [[0, 1], [2, 3]]


def test_batches_lie_on_the_cpu_if_asked_for():
    (batch,) = DataLoader(ArrayDataset(np.arange(4)), 4, device="cpu")
    assert type(batch) is np.ndarray


# ----- threads -----


def test_no_more_is_loaded_ahead_than_was_asked_for():
    loaded = []

    class Counted(Noisy):
        def __getitem__(self, index):
            loaded.append(index)
            return index

    batches = iter(DataLoader(Counted(100), 1, workers=2, prefetch=3))
    for taken in range(1, 20):
        next(batches)
        deadline = time.monotonic() + 10
        while len(loaded) < taken + 6 and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.002)  # for the one too many
        assert sorted(loaded) == list(range(taken + 6))
    batches.close()


def test_several_items_are_loaded_at_once():
    together = threading.Barrier(3, timeout=10)

    class Waiting(Noisy):
        def __getitem__(self, index):
            together.wait()
            return index

    assert len(list(DataLoader(Waiting(6), 1, workers=3))) == 6


@pytest.mark.parametrize("leave", ["break", "close", "collected", "cycle", "exception", "unused"])
def test_leaving_early_ends_the_threads(leave):
    batches = DataLoader(Noisy(100), 2, workers=3, seed=0)
    before = threading.active_count()
    if leave == "break":
        for _ in batches:
            assert threading.active_count() == before + 3
            break
    elif leave == "exception":
        with pytest.raises(ZeroDivisionError):
            list(1 / 0 for _ in batches)
    else:
        found = iter(batches)
        if leave != "unused":
            next(found)
        if leave == "close":
            found.close()
        elif leave == "cycle":
            cycle = [found]
            cycle.append(cycle)
            del cycle
        del found
        gc.collect()
    assert threading.active_count() == before


def test_an_interrupted_batch_is_not_loaded_to_its_end():
    begun = []

    class Slow(Noisy):
        def __getitem__(self, index):
            begun.append(index)
            time.sleep(0.02)
            return index

    batches = iter(DataLoader(Slow(2000), 1000, workers=2))
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        raise_in_a_moment(batches)
    assert time.monotonic() - start < 2
    assert len(begun) < 200


def raise_in_a_moment(batches):
    """Wait for a batch, and be interrupted as by Ctrl-C."""
    timer = threading.Timer(0.1, signal.raise_signal, (signal.SIGINT,))
    timer.start()
    try:
        next(batches)
    finally:
        timer.join()


# ----- errors -----


class Failing(Noisy):
    def __init__(self, error, at=9):
        super().__init__(12)
        self.error, self.at = error, at

    def __getitem__(self, index):
        if index == self.at:
            raise self.error
        return index


class OwnError(Exception):
    def __init__(self, a, b):
        super().__init__(a, b)


@every_number_of_workers
def test_an_exception_arrives_whole_in_its_turn(workers):
    error = OwnError("a", "b")
    seen = []

    def train():
        for batch in DataLoader(Failing(error), 2, workers=workers):
            seen.extend(batch.tolist())

    with pytest.raises(OwnError) as caught:
        train()
    assert caught.value is error
    assert seen == [0, 1, 2, 3, 4, 5, 6, 7]
    assert error.__notes__ == [
        "DataLoader: raised by item 9 of the data set, in batch 4 of epoch 0"
    ]
    lines = "".join(traceback.format_exception(error))
    assert "raise self.error" in lines  # where it was raised
    assert "for batch in DataLoader" in lines  # and where it has arrived


@every_number_of_workers
@pytest.mark.parametrize("error", [IndexError("no"), SystemExit(3)], ids=repr)
def test_exceptions_of_any_kind_arrive(workers, error):
    with pytest.raises(type(error)) as caught:
        list(DataLoader(Failing(error), 2, workers=workers))
    assert caught.value is error


@every_number_of_workers
def test_a_stop_iteration_does_not_end_the_epoch_unnoticed(workers):
    with pytest.raises(RuntimeError, match="StopIteration"):
        list(DataLoader(Failing(StopIteration("ended")), 2, workers=workers))


@every_number_of_workers
def test_an_error_in_collation_says_where_it_was(workers):
    items = [np.zeros(2), np.zeros(2), np.zeros(3), np.zeros(2)]
    with pytest.raises(ValueError, match=r"the shapes differ") as caught:
        list(DataLoader(items, 2, workers=workers))
    assert caught.value.__notes__ == ["DataLoader: raised by collating batch 1 of epoch 0"]


@every_number_of_workers
def test_an_error_of_a_whole_batch_says_where_it_was(workers):
    class Broken(ArrayDataset):
        def fetch(self, indices):
            raise OSError("the disk")

    with pytest.raises(OSError, match="the disk") as caught:
        list(DataLoader(Broken(np.zeros(3)), 2, workers=workers))
    assert caught.value.__notes__ == ["DataLoader: raised by batch 0 of epoch 0"]


def test_after_an_error_the_loader_can_be_used():
    data = Failing(ValueError("once"), at=3)
    batches = DataLoader(data, 4, workers=2)
    with pytest.raises(ValueError, match="once"):
        list(batches)
    data.at = None
    assert np.concatenate(list(batches)).tolist() == list(range(12))
    assert batches.epoch == 2


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"batch_size": 0}, ValueError, "`batch_size` is 0, but it must be at least 1"),
        ({"batch_size": -3}, ValueError, "`batch_size` is -3"),
        ({"batch_size": 2.5}, TypeError, "`batch_size` is 2.5, but it must be an integer"),
        ({"batch_size": None}, TypeError, "`batch_size` is None"),
        ({"workers": -1}, ValueError, "`workers` is -1, but it must be at least 0"),
        ({"prefetch": 0}, ValueError, "`prefetch` is 0, but it must be at least 1"),
        ({"seed": -1}, ValueError, "`seed` is -1"),
        ({"seed": 0.5}, TypeError, "`seed` is 0.5"),
        ({"batch_size": 6, "drop_last": True}, ValueError, "no batch: `dataset` has 5 items"),
        ({"device": "cuda:1"}, ValueError, r"cupy\.cuda\.Device\(1\)"),
        ({"device": "abacus"}, RuntimeError, "no backend for the device 'abacus'"),
    ],
)
def test_bad_options_are_refused(options, error, words):
    with pytest.raises(error, match=words):
        DataLoader(range(5), **options)


@pytest.mark.parametrize("empty", [[], ArrayDataset(np.zeros((0, 3))), Subset("abc", [])])
def test_an_empty_data_set_is_refused(empty):
    with pytest.raises(ValueError, match="`dataset` is empty"):
        DataLoader(empty)


@pytest.mark.parametrize("wrong", [iter([1]), 3, {1}])
def test_what_is_no_data_set_is_refused(wrong):
    with pytest.raises(TypeError, match=f"`dataset` is of type {type(wrong).__name__}"):
        DataLoader(wrong)


# ----- resumption -----


@every_number_of_workers
@pytest.mark.parametrize("taken", range(7))
def test_a_resumed_epoch_goes_on_where_it_was(workers, taken):
    def made(seed=None):
        return DataLoader(Noisy(), 4, shuffle=True, seed=seed, workers=workers)

    whole = made(5)
    epochs = [list(whole) for _ in range(4)]
    first = made(5)
    list(first)
    batches = iter(first)
    begun = [next(batches) for _ in range(taken)]
    state = json.loads(json.dumps(first.state_dict()))
    batches.close()

    second = made()
    second.load_state_dict(state)
    assert (second.epoch, second.position) == (1, taken)
    assert same([*begun, *second], epochs[1])
    assert second.epoch == 2
    assert same(list(second), epochs[2])
    assert same(list(second), epochs[3])


def test_the_state_follows_the_batches_that_were_handed_out():
    batches = DataLoader(Noisy(6), 2, seed=1, workers=2)
    assert batches.state_dict()["position"] == 0
    places = []
    for _ in range(2):
        places.extend((batches.epoch, batches.position) for _ in batches)
    assert places == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)]
    assert (batches.epoch, batches.position) == (2, 0)


def test_after_an_epoch_left_early_comes_the_next():
    batches = DataLoader(ArrayDataset(np.arange(40)), 2, shuffle=True, seed=0)
    expected = [[b.tolist() for b in batches] for _ in range(2)]
    batches = DataLoader(ArrayDataset(np.arange(40)), 2, shuffle=True, seed=0)
    assert next(iter(batches)).tolist() == expected[0][0]
    assert [b.tolist() for b in batches] == expected[1]


def test_only_the_latest_iteration_moves_the_loader():
    batches = DataLoader(ArrayDataset(np.arange(6)), 2, seed=0)
    old, new = iter(batches), iter(batches)
    next(new)
    list(old)
    assert (batches.epoch, batches.position) == (1, 1)


def test_the_state_of_other_batches_is_refused():
    state = DataLoader(range(6), 2, seed=0).state_dict()
    for other, words in [
        (DataLoader(range(7), 2), "length=6, this one has length=7"),
        (DataLoader(range(6), 3), "batch_size=2, this one has batch_size=3"),
        (DataLoader(range(6), 2, shuffle=True), "shuffle=False, this one has shuffle=True"),
        (DataLoader(range(6), 2, drop_last=True), "drop_last=False, this one"),
    ]:
        with pytest.raises(ValueError, match=words):
            other.load_state_dict(state)
        assert other.position == 0


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"position": 4}, ValueError, "at batch 4, but an epoch has 3"),
        ({"position": -1}, ValueError, r"`state\['position'\]` is -1"),
        ({"epoch": 1.5}, TypeError, r"`state\['epoch'\]` is 1.5"),
        ({"more": 1}, ValueError, "holds .*'more'"),
    ],
)
def test_a_broken_state_is_refused_and_nothing_moves(change, error, words):
    batches = DataLoader(range(6), 2, seed=0)
    before = batches.state_dict()
    with pytest.raises(error, match=words):
        batches.load_state_dict({**before, "seed": 9, **change})
    assert batches.state_dict() == before
    for nothing in ({}, None):
        with pytest.raises(ValueError, match="the state of a loader holds"):
            batches.load_state_dict(nothing)


# ----- Ctrl-C -----

PROGRAM = """
import signal, sys, threading, time
from backpass.nn.data import DataLoader

signal.signal(signal.SIGINT, signal.default_int_handler)

class Slow:
    def __len__(self):
        return 100_000

    def __getitem__(self, index):
        time.sleep({item})
        return index

loader = DataLoader(Slow(), {batch}, workers={workers})
try:
    for i, batch in enumerate(loader):
        if i == 0:
            print("begun", flush=True)
        time.sleep({body})
except KeyboardInterrupt:
    if not {caught}:
        raise
    print(threading.active_count(), loader.position > 0, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process there")
@pytest.mark.parametrize(
    ("item", "batch", "workers", "body", "caught"),
    [
        (0.02, 2, 3, 0, True),  # while it waits for a batch
        (0.001, 1, 3, 0.05, True),  # in the body of the loop
        (0.001, 1, 3, 0.05, False),
        (0.02, 1, 0, 0, True),
    ],
)
def test_ctrl_c_ends_the_program(item, batch, workers, body, caught):
    program = PROGRAM.format(item=item, batch=batch, workers=workers, body=body, caught=caught)
    run = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert run.stdout.readline() == "begun\n"
        time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=20)
    finally:
        run.kill()
        run.wait()
    if caught:
        assert (out, err, run.returncode) == ("1 True\n", "", 0)
    else:
        assert run.returncode == -signal.SIGINT
        assert err.count("Traceback") == 1
        assert err.endswith("KeyboardInterrupt\n")


def test_a_program_that_forgets_an_iteration_ends():
    program = (
        "from backpass.nn.data import DataLoader\n"
        "batches = iter(DataLoader(range(1000), workers=3))\n"
        "print(next(batches))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (run.stdout, run.stderr, run.returncode) == ("[0]\n", "", 0)
