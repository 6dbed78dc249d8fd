"""Checkpoints: what comes back, what is refused without a change, and which files stay."""

import json
import os
import shutil
import subprocess
import sys
import warnings

import numpy
import pytest

from backpass import nn
from backpass.core import Tensor
from backpass.nn.saving.states import decode, encode


class Part:
    """Something with a state, that can only take states with the same names."""

    def __init__(self, **state):
        self.state = state

    def state_dict(self):
        return dict(self.state)

    def load_state_dict(self, state):
        for name in self.state:
            if name not in state:
                raise KeyError(name)
            self.state[name] = state[name]  # so that a bad state is taken in part


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "last.safetensors"


@pytest.fixture
def model(path):
    path.parent.mkdir()
    nn.seed(0)
    return nn.Linear(3, 2)


def equal(a, b):
    """Whether two states are the same, types, dtypes and bits."""
    if type(a) is not type(b):
        return False
    if isinstance(a, numpy.ndarray | numpy.generic):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return repr(a) == repr(b)  # nan among them


STATE = {
    "numbers": [1, -(2**127), 0.1, float("nan"), -float("inf"), -0.0, True, None, "ä\x00"],
    "betas": (0.9, 0.999),
    "empty": [{}, [], (), ""],
    "slots": {0: {"mean": numpy.arange(3.0), "steps": 7}, 1: {"mean": numpy.float32(2)}},
    "a.b": numpy.ones(2),
    "a": {"b": numpy.zeros((2, 0), "i2")},
    "array": {"array": "array"},
    "none at all": numpy.array(3, "u1"),
    "complex": numpy.array([1 + 2j, complex(numpy.inf, -0.0)]),
    ("a", 1): "a key of two",
}


def test_every_state_comes_back(path, model):
    nn.save_checkpoint(path, step=3, part=Part(**{"state": STATE}), value=STATE, none=None)
    part = Part(state=None)
    checkpoint = nn.load_checkpoint(path, part=part)
    assert equal(part.state["state"], STATE)
    assert equal(checkpoint.values, {"value": STATE, "none": None})
    assert (checkpoint.path, checkpoint.step) == (path, 3)


def test_a_state_is_arrays_and_json():
    arrays = {}
    code = json.loads(json.dumps(encode(STATE, "it", arrays)))
    assert equal(decode(code, arrays), STATE)
    assert list(arrays)[:4] == ["it.slots.0.mean", "it.slots.1.mean", "it.a.b", "it.a.b_"]
    assert equal(encode(Tensor(numpy.float32(2)), "it", {}), {"scalar": "it"})


@pytest.mark.parametrize("value", [{1, 2}, print, b"octets", 1j, nn.module.Mismatch((), ())])
def test_what_cannot_be_saved_is_named(path, model, value):
    with pytest.raises(TypeError, match=rf"`part.x.1` is a {type(value).__name__}, which cannot"):
        nn.save_checkpoint(path, step=0, model=model, part=Part(x=[0, value]))
    with pytest.raises(TypeError, match="`schedule` is a function"):
        nn.save_checkpoint(path, step=0, model=model, schedule=lambda step: 0.1)
    with pytest.raises(ValueError, match="another name for your part"):
        nn.save_checkpoint(path, step=0, random=0)
    with pytest.raises(ValueError, match="`step` is -1"):
        nn.save_checkpoint(path, step=-1)
    assert not any(path.parent.iterdir())


def draws():
    return nn.random.next_key(), nn.random.generator().standard_normal(3).tolist()


def test_a_model_and_the_random_numbers_go_on(path, model):
    nn.random.next_key()
    nn.random.generator().random(dtype="f4")  # leaves half of a draw in the generator
    nn.save_checkpoint(path, step=1, model=model)
    weights, drawn = model.state_dict(), draws()
    nn.seed(5)
    other = nn.Linear(3, 2)
    nn.load_checkpoint(path, model=other, random=False)
    assert draws() != drawn
    nn.load_checkpoint(path, model=other)
    assert equal(other.state_dict(), weights)
    assert draws() == drawn


def test_a_part_may_be_none_or_left_in_the_file(path, model):
    nn.save_checkpoint(path, step=1, model=model, optimizer=Part(mean=numpy.ones(2)))
    checkpoint = nn.load_checkpoint(path, model=model, schedule=None)
    assert equal(checkpoint.values, {"optimizer": {"mean": numpy.ones(2)}})


def test_everything_that_does_not_fit_is_listed_and_nothing_has_changed(path, model):
    nn.save_checkpoint(path, step=1, model=model, good=Part(a=1), bad=Part(a=1), other=Part(x=1))
    before = nn.random.get_state()
    wrong, good, bad = nn.Linear(4, 2, bias=False), Part(a=5), Part(a=5, b=6)
    weights, now = wrong.state_dict(), nn.random.get_state()
    with pytest.raises(ValueError, match=r"last\.safetensors does not fit") as caught:
        nn.load_checkpoint(path, good=good, model=wrong, bad=bad)
    for words in (
        "`bias` is not expected",
        "`weight` has the shape (2, 3), where the model has (2, 4)",
        "`bad`: 'b'",
        "nothing has been changed",
    ):
        assert words in str(caught.value)
    assert (good.state, bad.state) == ({"a": 5}, {"a": 5, "b": 6})
    assert equal(wrong.state_dict(), weights)
    assert nn.random.get_state() == now != before


def test_a_part_that_the_file_does_not_have_is_named(path, model):
    nn.save_checkpoint(path, step=1, model=model, best=None)
    with pytest.raises(ValueError, match="it has no `optimizer`\n  it has `model`, `best`"):
        nn.load_checkpoint(path, model=model, optimizer=Part(a=1))
    with pytest.raises(TypeError, match="`best` is a float without the methods"):
        nn.load_checkpoint(path, best=0.5)


def test_ctrl_c_while_loading_leaves_everything(path, model):
    class Interrupted(Part):
        def load_state_dict(self, state):
            super().load_state_dict(state)
            if state["a"] == 1:
                raise KeyboardInterrupt

    part = Interrupted(a=2)
    nn.save_checkpoint(path, step=1, model=model, part=Part(a=1))
    model.bias.value = numpy.zeros(2, "f4")
    with pytest.raises(KeyboardInterrupt):
        nn.load_checkpoint(path, model=model, part=part)
    assert part.state == {"a": 2}
    assert not model.bias.value.any()


def test_weights_and_checkpoints_are_told_apart(path, model):
    nn.save_checkpoint(path, step=1, model=model)
    with pytest.raises(ValueError, match=r"is a checkpoint: use load_checkpoint\(path"):
        nn.load_into(model, path)
    assert set(nn.load(path)) == {"model.weight", "model.bias"}
    nn.save(model, path)
    with pytest.raises(nn.CorruptFileError, match=r"no checkpoint: use load_into\(model, path\)"):
        nn.load_checkpoint(path, model=model)


# ----- the last few in a folder -----------------------------------------------------------------


def names(checkpoints):
    return [path.name for path in checkpoints.paths()]


def test_the_last_few_stay(tmp_path):
    checkpoints = nn.Checkpoints(tmp_path / "a" / "b", keep=2)
    assert checkpoints.latest() is None
    assert checkpoints.load_latest() is None
    foreign = tmp_path / "a" / "b" / "step-best.safetensors"
    for step in (0, 5, 100_000_000):
        path = checkpoints.save(step=step, x=step)
        assert checkpoints.latest() == path
        nn.save({}, foreign)  # is no checkpoint, and stays
    assert names(checkpoints) == ["step-00000005.safetensors", "step-100000000.safetensors"]
    assert foreign.exists()
    assert checkpoints.load_latest().values == {"x": 100_000_000}


def test_all_stay_if_asked(tmp_path):
    checkpoints = nn.Checkpoints(tmp_path, keep=None)
    for step in range(5):
        checkpoints.save(step=step)
    assert len(checkpoints.paths()) == 5
    with pytest.raises(ValueError, match="`keep` is 0"):
        nn.Checkpoints(tmp_path, keep=0)


def test_the_newest_is_the_one_written_last_also_after_going_back(tmp_path):
    checkpoints = nn.Checkpoints(tmp_path, keep=2)
    for step in (10, 20, 30):
        checkpoints.save(step=step)
    path = checkpoints.save(step=15)  # from step 10 on, anew
    assert checkpoints.latest() == path
    assert names(checkpoints) == ["step-00000030.safetensors", "step-00000015.safetensors"]
    checkpoints.save(step=30)
    assert names(checkpoints) == ["step-00000015.safetensors", "step-00000030.safetensors"]
    shutil.copytree(tmp_path, tmp_path / "copy", copy_function=shutil.copyfile)
    assert names(nn.Checkpoints(tmp_path / "copy")) == names(checkpoints)


@pytest.mark.parametrize("where", ["start", "header", "data", "cut", "empty"])
def test_a_damaged_newest_is_passed_over_with_a_message(tmp_path, where):
    checkpoints = nn.Checkpoints(tmp_path)
    for step in (1, 2):
        path = checkpoints.save(step=step, x=numpy.arange(100.0))
    whole = path.read_bytes()
    place = {"start": 0, "header": 20, "data": -8}.get(where, 0)
    changed = bytearray(whole)
    changed[place] ^= 1
    path.write_bytes({"cut": whole[:-1], "empty": b""}.get(where, changed))
    with pytest.warns(UserWarning, match=r"passed over: .*step-00000002\.safetensors"):
        assert checkpoints.load_latest().step == 1
    with pytest.warns(UserWarning, match="passed over"):
        assert checkpoints.latest().name == "step-00000001.safetensors"
    path.write_bytes(whole)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert checkpoints.load_latest().step == 2


def test_a_changed_bit_anywhere_in_the_newest_is_noticed(tmp_path):
    checkpoints = nn.Checkpoints(tmp_path)
    for step in (1, 2):
        path = checkpoints.save(step=step, x=numpy.arange(3.0))
    whole = path.read_bytes()
    random = numpy.random.default_rng(0)
    for i in random.choice(len(whole) - 30, 200, replace=False):  # before it there may be blanks
        changed = bytearray(whole)
        changed[i] ^= 1 << random.integers(8)
        path.write_bytes(changed)
        with pytest.warns(UserWarning, match=r"passed over: .*step-00000002\.safetensors"):
            assert checkpoints.load_latest().step == 1


def test_a_training_does_not_begin_anew_if_all_are_damaged(tmp_path):
    checkpoints = nn.Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step=step).write_bytes(b"damaged")
    with pytest.raises(nn.CorruptFileError, match="none of the files in") as caught:
        checkpoints.load_latest()
    assert "step-00000001" in str(caught.value)
    assert "step-00000002" in str(caught.value)


#: Saves a checkpoint beside an older one, again and again, and is killed in it before one of the
#: calls that this makes, in C or Python: before the first, the second, and so on.
MOMENTS = """
import os, shutil, signal, sys, warnings
import numpy
from backpass import nn

folder, names = sys.argv[1], sys.argv[2:]
warnings.simplefilter("error")  # no damaged file is ever seen
checkpoints = nn.Checkpoints(folder, keep=1)
arrays = [numpy.full(1000, 1.0), numpy.full(1000, 2.0)]
steps, left = [], 0
while True:
    shutil.rmtree(folder, ignore_errors=True)
    checkpoints.save(step=1, x=arrays[0])
    child = os.fork()
    if not child:
        calls = -1 - len(steps)
        def count(frame, event, argument):
            global calls
            if event == "call" or event == "c_call":
                calls += not names or getattr(argument, "__name__", "") in names
                if calls == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.setprofile(count)
        checkpoints.save(step=2, x=arrays[1])
        sys.setprofile(None)
        os._exit(0)
    if os.waitpid(child, 0)[1] != signal.SIGKILL:
        break
    found = nn.Checkpoints(folder).load_latest()
    assert (found.values["x"] == arrays[found.step - 1]).all()
    steps.append(found.step)
    left += len(os.listdir(folder)) > len(checkpoints.paths())
    checkpoints.save(step=3)
    assert os.listdir(folder) == ["step-00000003.safetensors"]
assert steps == sorted(steps)
print(len(steps), steps.count(1), left)
"""
CALLS = "open flock write flush fsync replace unlink close".split()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize(
    ("calls", "moments"),
    [(CALLS, 10), pytest.param([], 500, marks=pytest.mark.slow)],
    ids=["system", "every"],
)
def test_a_process_killed_at_any_moment_of_saving_leaves_a_whole_checkpoint(
    tmp_path, calls, moments
):
    run = subprocess.run(
        [sys.executable, "-c", MOMENTS, tmp_path / "run", *calls], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    killed, old, left = map(int, run.stdout.split())
    assert killed >= moments
    assert 0 < old < killed
    assert left > 0
