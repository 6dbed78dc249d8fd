"""`profile`: its rows add up to the wall time, it counts right, and Perfetto reads its trace."""

import collections
import json
import threading
import time

import numpy
import pytest

import backpass.autograd as autograd
import backpass.numpy as np
from backpass.core import (
    checkpoint,
    detect_anomaly,
    grad,
    hvp,
    jvp,
    observing,
    profile,
)
from backpass.core.extend import defvjp, primitive
from backpass.core.graph import pauses, recording

X = numpy.linspace(0.0, 1.0, 1000)


def loss(x):
    return np.sum(np.tanh(x) * x)


def counts(p, phase):
    return {row.operation: row.calls for row in p.rows if row.phase == phase}


def row(p, operation, phase):
    return next(r for r in p.rows if (r.operation, r.phase) == (operation, phase))


def adds_up(p):
    return abs(sum(r.time for r in p.rows) - p.wall) < 1e-8 and min(r.time for r in p.rows) >= 0


@primitive
def slow(xp, x):
    """Wait twice a hundredth of a second: itself, and in an operation that it calls."""
    time.sleep(0.01)
    return slower.op(x)


@primitive
def slower(xp, x):
    time.sleep(0.01)
    return x + 0


def slow_rule(g):
    time.sleep(0.03)
    return slower.op(g)


defvjp(slow, slow_rule)
defvjp(slower, lambda g: g)


# ----- rows ---------------------------------------------------------------------------------------


def test_calls_are_counted_and_the_rows_add_up():
    with profile() as p:
        for _ in range(3):
            grad(loss)(X)
    # The gradient may be copied before it is returned.
    forward = counts(p, "forward").items() - {("positive", 3)}
    assert forward == {("tanh", 3), ("multiply", 3), ("sum", 3)}
    assert counts(p, "backward") == {"tanh": 3, "multiply": 3, "sum": 3}
    assert counts(p, "in rules")["add"] == 3
    assert [r.operation for r in p.rows[-3:]] == [
        "graph and Python",
        "walks, without rules",
        "the profiler itself",
    ]
    assert adds_up(p)
    assert p.wall > sum(r.time for r in p.rows[:-3]) > 0


def test_times_are_exclusive_and_with_what_is_inside():
    with profile() as p:
        grad(lambda x: np.sum(slow(x)))(X)
    forward, backward = row(p, "slow", "forward"), row(p, "slow", "backward")
    inside, in_rule = row(p, "slower", "forward"), row(p, "slower", "in rules")
    assert inside.calls == in_rule.calls == 1
    assert min(forward.time, inside.time, in_rule.time) >= 0.01
    assert backward.time >= 0.03
    assert forward.total >= forward.time + inside.time
    assert backward.total >= backward.time + in_rule.time
    assert adds_up(p)


def test_bytes():
    with profile() as p:
        grad(lambda x: np.sum(np.exp(np.reshape(x, (10, 100)) * 2.0)))(X)
    assert row(p, "multiply", "forward").made == row(p, "exp", "forward").made == X.nbytes
    assert row(p, "reshape", "forward").made == 0  # a view
    assert row(p, "exp", "forward").kept == X.nbytes  # its output
    assert row(p, "multiply", "forward").kept == row(p, "sum", "forward").kept == 0
    assert p.peak == X.nbytes
    levels = [level for _, level in p._measured.levels]
    assert max(levels) == X.nbytes
    assert levels[-1] == 0


def test_memory_that_several_nodes_keep_is_counted_once():
    with profile() as p:
        y = np.exp(np.array(X).requires_grad_())
        z = y * y * y[::2].sum()
        assert p.peak == 2 * X.nbytes
        del y, z
    assert [level for _, level in p._measured.levels][-1] == 0


def test_higher_order_forward_mode_and_checkpoint():
    with profile() as p:
        hvp(loss, (X,), (X,))
        jvp(loss, (X,), (X,))
    assert row(p, "tanh", "forward mode").calls == 2
    assert row(p, "zero_multiply", "in rules").calls >= 2
    assert adds_up(p)
    with profile() as p:
        grad(checkpoint(loss))(X)
    assert row(p, "tanh", "forward").calls == row(p, "tanh", "in rules").calls == 1
    assert row(p, "checkpoint", "backward").total > row(p, "tanh", "backward").total
    assert adds_up(p)


def test_primitives_of_other_kinds_and_assignment():
    @autograd.extend.primitive
    def cube(x):
        return x**3

    autograd.extend.defvjp(cube, lambda ans, x: lambda g: g * 3 * x**2)

    def written(x):
        z = np.zeros(1000)
        z[:500] = cube(x)[:500]
        return np.sum(z)

    with profile() as p:
        grad(written)(X)
    for name in ("cube", "setitem", "getitem"):
        assert row(p, name, "forward").calls == row(p, name, "backward").calls == 1
    assert adds_up(p)


# ----- the context --------------------------------------------------------------------------------


def test_it_can_be_entered_again_and_stands_beside_other_observers():
    p = profile()
    with p:
        grad(loss)(X)
    before = p.wall
    with detect_anomaly() as found, p:
        grad(loss)(X)
    assert row(p, "tanh", "backward").calls == 2
    assert p.wall > before
    assert adds_up(p)
    assert found.found == []


def test_errors_and_other_threads():
    before = pauses[0]
    with pytest.raises(ValueError, match="shape"), profile() as p:
        grad(lambda x: np.sum(np.tanh(x) + np.zeros(3)))(X)
    assert adds_up(p)
    with profile() as p:
        thread = threading.Thread(target=grad(loss), args=(X,))
        thread.start()
        thread.join()
    assert counts(p, "forward") == {}
    assert (pauses[0], recording.observer, observing.observed[0]) == (before, None, 0)


def test_regions():
    with profile() as p:
        with p.region("outer"):
            with p.region("inner"):
                time.sleep(0.005)
            grad(loss)(X)
        with p.region("inner"):
            time.sleep(0.005)
    assert list(p.regions) == ["inner", "outer"]
    assert 0.01 <= p.regions["inner"] < p.regions["outer"] + 0.01 <= p.wall + 0.01


# ----- table and trace ----------------------------------------------------------------------------


def test_the_table():
    with profile() as p:
        grad(loss)(X)
    lines = str(p).splitlines()
    assert lines[0].split() == "operation phase calls time ms share with inner ms made kept".split()
    assert any(line.startswith("in all") and "100.0%" in line for line in lines)
    first = [line.split()[0] for line in p.table("operation").splitlines()[2:]]
    named = [name for name in first if name in counts(p, "forward")]
    assert named == sorted(named)
    short = p.table("calls", limit=2).splitlines()
    assert [line.split()[1] for line in short if " more" in line] == ["more"]
    with pytest.raises(ValueError, match="sort='size'"):
        p.table("size")
    with pytest.raises(ValueError, match="limit=0"):
        p.table(limit=0)


def test_the_trace_is_in_the_trace_event_format(tmp_path):
    with profile() as p, p.region("step"):
        grad(loss)(X)
        hvp(loss, (X,), (X,))
    path = tmp_path / "trace.json"
    p.trace(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    events = content["traceEvents"]
    assert set(content) == {"traceEvents", "displayTimeUnit"}
    assert content["displayTimeUnit"] in ("ms", "ns")
    kinds = collections.defaultdict(list)
    for event in events:
        kinds[event["ph"]].append(event)
        assert isinstance(event["name"], str)
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        assert event["ph"] == "M" or event["ts"] >= 0
    assert set(kinds) == {"M", "X", "C", "s", "f"}
    for event in kinds["X"]:
        assert event["dur"] >= 0
        assert isinstance(event["cat"], str)
        assert isinstance(event["args"], dict)
    # Of one thread: two bars are apart, or one lies in the other.
    ends = []
    for event in sorted(kinds["X"], key=lambda e: (e["ts"], -e["dur"])):
        while ends and ends[-1] <= event["ts"] + 1e-3:
            ends.pop()
        assert not ends or event["ts"] + event["dur"] <= ends[-1] + 1e-3
        ends.append(event["ts"] + event["dur"])
    for event in kinds["C"]:
        assert all(isinstance(value, int) for value in event["args"].values())
    starts, finishes = ({e["id"]: e for e in kinds[ph]} for ph in "sf")
    assert starts.keys() == finishes.keys()
    assert len(starts) == len(kinds["s"]) == len(kinds["f"])
    for key, start in starts.items():
        assert start["cat"] == finishes[key]["cat"]
        assert start["ts"] <= finishes[key]["ts"]
        assert finishes[key]["bp"] == "e"
    bar = next(e for e in kinds["X"] if (e["name"], e["cat"]) == ("tanh", "forward"))
    assert bar["args"]["operands"] == ["float64[1000]"]
    assert bar["args"]["code"] == "np.tanh(x)"
    assert bar["args"]["line"].startswith(__file__)
    rule = next(e for e in kinds["X"] if (e["name"], e["cat"]) == ("tanh", "backward"))
    assert rule["args"]["line"] == bar["args"]["line"]
    assert [e["name"] for e in kinds["X"] if e["cat"] == "region"] == ["step"]
