"""`backpass.numpy` has NumPy's names and signatures; what it leaves out says what to use."""

import builtins
import inspect
import re
import subprocess
import sys
import types

import numpy
import pytest

import backpass.numpy as np
from backpass.core import Tensor, grad
from backpass.core.ops import methods
from backpass.core.ops.excluded import EXCLUDED, nearest_alternative
from backpass.core.primitive import Primitive

#: Keywords that NumPy got after 2.2.
NEWER = {
    "argsort": {"descending"},
    "array": {"ndmax"},
    "sort": {"descending"},
    "unique": {"sorted"},
}
#: Their parameters have got other names since NumPy 2.2, or a signature that can be read.
RENAMED = {"arange", "empty_like", "reshape", "bincount", "matrix_transpose"}


def numpys(name):
    """Return what NumPy has under a name; `None` where it has nothing, or nothing any more."""
    return vars(numpy).get(name)


def test_every_name_of_numpy_is_here_or_excluded_with_a_reason():
    missing = set(numpy.__all__) - set(np.__all__) - set(EXCLUDED)
    assert not missing, f"export {sorted(missing)}, or say in excluded.py what to use instead"


def test_nothing_is_both_here_and_excluded():
    assert not set(np.__all__) & set(EXCLUDED)


def test_there_are_no_names_that_numpy_does_not_have():
    # Names that NumPy is about to lose, or has lost.
    assert set(np.__all__) - set(numpy.__all__) <= {"row_stack", "fix"}


def test_what_is_excluded_is_numpys():
    #: In NumPy 2.2 or on other machines.
    elsewhere = {"in1d", "trapz", "set_string_function", "float128", "complex256", "strings"}
    assert set(EXCLUDED) - elsewhere <= set(numpy.__all__) | set(dir(numpy))


@pytest.mark.parametrize("name", sorted(EXCLUDED))
def test_a_name_that_is_left_out_says_what_to_use(name):
    with pytest.raises(AttributeError) as caught:
        getattr(np, name)
    assert f"backpass.numpy has no {name!r}: it " in str(caught.value)
    assert nearest_alternative(name) in str(caught.value)


def test_a_name_that_nobody_knows():
    with pytest.raises(AttributeError, match=r"^backpass.numpy has no 'sine'$"):
        np.sine  # noqa: B018 - looking it up raises
    assert nearest_alternative("sine") == ""


def test_names_are_sorted_and_unique():
    assert len(np.__all__) == len(set(np.__all__))
    for name in np.__all__:
        assert hasattr(np, name)


@pytest.mark.parametrize("name", ["fft", "linalg", "random"])
def test_the_submodules_are_attributes(name):
    found = getattr(np, name)
    assert isinstance(found, types.ModuleType)
    assert found.__name__ == f"backpass.numpy.{name}"


def test_fft_and_linalg_are_imported_when_they_are_asked_for():
    code = (
        "import sys, backpass.numpy as np\n"
        "late = {'backpass.numpy.linalg', 'backpass.numpy.fft', 'scipy'}\n"
        "assert not late & set(sys.modules), late & set(sys.modules)\n"
        "np.linalg, np.fft\n"
        "assert 'backpass.numpy.linalg' in sys.modules and 'backpass.numpy.fft' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def names(function):
    """Return the parameters of a function by name and kind."""
    return [(p.name, p.kind) for p in inspect.signature(function).parameters.values()]


def has_signature(name):
    found = numpys(name)
    if isinstance(found, type | numpy.ufunc) or not callable(found) or name in RENAMED:
        return False
    try:
        inspect.signature(found)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("name", [name for name in np.__all__ if has_signature(name)])
def test_the_signature_is_numpys(name):
    ours = getattr(np, name)
    wanted = names(numpys(name))
    if isinstance(ours, Primitive):
        # Operands by position, as NumPy's own ufuncs take them; `out` is refused by name.
        assert list(ours.parameters) == [n for n, _ in wanted if n != "out"]
        return
    newer = NEWER.get(name, set()) - {n for n, _ in wanted}
    assert [p for p in names(ours) if p[0] not in newer] == wanted


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("arange", "start_or_stop stop step dtype device like"),
        ("bincount", "x weights minlength"),
        ("empty_like", "prototype dtype order subok shape device"),
        ("matrix_transpose", "x"),
        ("reshape", "a shape order copy"),
    ],
)
def test_the_signature_is_that_of_the_newest_numpy(name, signature):
    assert list(inspect.signature(getattr(np, name)).parameters) == signature.split()


UFUNCS = [name for name in np.__all__ if isinstance(numpys(name), numpy.ufunc)]


@pytest.mark.parametrize("name", UFUNCS)
@pytest.mark.parametrize("keyword", ["out", "where", "dtype", "casting"])
def test_a_keyword_of_ufuncs_is_refused_by_name(name, keyword):
    function = getattr(np, name)
    if not isinstance(function, Primitive):
        # A function of ours has only the parameters that it names.
        with pytest.raises(TypeError, match=keyword):
            function(1.0, 2.0, **{keyword: None})
        return
    operands = [numpy.ones(2, int)] * numpys(name).nin
    with pytest.raises(TypeError, match=rf"{keyword}= is not supported: \w+"):
        function(*operands, **{keyword: numpy.ones(2)})


# ----- the array's methods and attributes -------------------------------------------------------

ATTRIBUTES = sorted(name for name in dir(numpy.ndarray) if not name.startswith("_"))
LEAVING = {"dump", "dumps", "item", "tobytes", "tofile", "tolist"}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_an_attribute_of_arrays_is_there_or_says_what_to_use(name):
    t = np.array([[1.0, 2.0], [3.0, 4.0]])
    if name in methods.HINTS:
        assert not hasattr(t, name)
        with pytest.raises(AttributeError, match=r"Tensor has no attribute .*: .*use|write"):
            getattr(t, name)
    else:
        assert hasattr(t, name)


def test_no_hint_is_about_something_that_is_there():
    # What NumPy 2 has lost since its first versions.
    gone = {"itemset", "newbyteorder", "ptp", "tostring"}
    assert set(methods.HINTS) - gone <= set(ATTRIBUTES)
    assert not set(methods.HINTS) & set(dir(Tensor([0.0])))


CALLS = {
    "all": (),
    "any": (),
    "argmax": (0,),
    "argmin": (0,),
    "argpartition": (1,),
    "argsort": (),
    "astype": ("float32",),
    "clip": (1.0, 2.0),
    "compress": ([False, True], 1),
    "conj": (),
    "conjugate": (),
    "copy": (),
    "cumsum": (0,),
    "diagonal": (1,),
    "dot": (numpy.ones((3, 2)),),
    "flatten": ("F",),
    "item": (4,),
    "max": (0,),
    "mean": (0,),
    "min": (0,),
    "nonzero": (),
    "prod": (0,),
    "ravel": ("F",),
    "repeat": (2, 0),
    "reshape": (3, 2),
    "round": (1,),
    "squeeze": (),
    "std": (0,),
    "sum": (0,),
    "swapaxes": (0, 1),
    "take": ([1, 0, 0], 1),
    "tobytes": (),
    "tolist": (),
    "trace": (),
    "transpose": (1, 0),
    "var": (0,),
}
X = numpy.array([[0.25, -1.5, 3.0], [2.0, 1.0, -0.5]])


@pytest.mark.parametrize("name", CALLS)
def test_a_method_gives_what_numpys_gives(name):
    wanted = getattr(X, name)(*CALLS[name])
    found = getattr(Tensor(X), name)(*CALLS[name])
    if isinstance(wanted, bytes | list | float):
        assert found == wanted
        return
    for ours, right in zip(*((x if isinstance(x, tuple) else (x,)) for x in (found, wanted))):
        assert isinstance(ours, Tensor)
        assert ours.dtype == right.dtype
        numpy.testing.assert_array_equal(ours.value, right)


@pytest.mark.parametrize("name", ["T", "mT", "real", "imag", "shape", "size", "ndim", "dtype"])
def test_an_attribute_is_what_numpys_is(name):
    found = getattr(Tensor(X), name)
    numpy.testing.assert_array_equal(getattr(found, "value", found), getattr(X, name))


@pytest.mark.parametrize("name", sorted(LEAVING - {"tofile", "dump"}))
def test_a_method_that_leaves_the_graph_refuses_a_tracked_tensor(name):
    t = np.array([1.0]).requires_grad_()
    with pytest.raises(TypeError, match=rf"{name}\(\).*stop_gradient"):
        getattr(t, name)()


@pytest.mark.parametrize("name", ["tofile", "dump"])
def test_a_method_that_writes_a_file_refuses_a_tracked_tensor(name, tmp_path):
    t = np.array([1.0])
    getattr(t, name)(tmp_path / "a")
    assert (tmp_path / "a").stat().st_size >= 8
    with pytest.raises(TypeError, match="stop_gradient"):
        getattr(t.requires_grad_(), name)(tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_astype_keeps_numpys_casting_rules():
    with pytest.raises(TypeError, match="casting='safe'"):
        np.array([1.0]).astype("int64", casting="safe")
    assert np.array([1.0]).astype("complex128", casting="safe").dtype == complex


def test_take_gives_a_gradient_for_each_time():
    numpy.testing.assert_array_equal(
        grad(lambda x: x.take([0, 0, 2]).sum())(numpy.ones(3)), [2, 0, 1]
    )
    assert np.array([1.0, 2.0, 3.0]).take([4], mode="wrap").value == 2


def test_choose_takes_the_places_from_a_tensor_of_integers():
    numpy.testing.assert_array_equal(
        np.array([1, 0]).choose([[1.0, 2.0], [3.0, 4.0]]).value, [3, 2]
    )


def test_sort_and_partition_are_in_place_and_recorded():
    def f(x):
        y = x * 2
        y.sort()
        z = x * 3
        z.partition(1)
        return y[0] + z[1]

    numpy.testing.assert_array_equal(grad(f)(numpy.array([3.0, 1.0, 2.0])), [0, 2, 3])
    t = np.array([[3.0, 1.0], [0.0, 2.0]])
    assert t.sort(axis=0) is None
    numpy.testing.assert_array_equal(t.value, [[0, 1], [3, 2]])


def test_fill_and_put_are_recorded():
    def f(x):
        y = np.zeros(3)
        y.fill(x[0])
        y.put([0, 2], x[1:])
        return np.sum(y * np.array([1.0, 10.0, 100.0]))

    numpy.testing.assert_array_equal(grad(f)(numpy.ones(3)), [10, 1, 100])


def test_the_device_of_a_tensor():
    t = np.array([1.0])
    assert t.to_device("cpu").value is t.value
    with pytest.raises(TypeError, match="stream="):
        t.to_device("cpu", stream=1)


def test_a_vector_has_no_matrix_transpose():
    with pytest.raises(ValueError, match="axis"):
        np.zeros(2).mT  # noqa: B018 - looking it up raises
    with pytest.raises(ValueError, match="two axes"):
        np.matrix_transpose(np.zeros(2))


@pytest.mark.parametrize("name", sorted(EXCLUDED))
def test_the_ways_out_name_functions_that_are_there(name):
    for other in re.findall(r"(?<![\w.])([a-z_][a-z_0-9]*)\(", EXCLUDED[name]):
        assert hasattr(np, other) or hasattr(builtins, other) or other in ("f", "fun"), other
