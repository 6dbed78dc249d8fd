"""Every name of the array API standard: there, and doing what its reference implementation does."""

import importlib.util
import inspect

import array_api_strict
import numpy
import pytest

import backpass.numpy
from backpass.core import Tensor

from .repository import ROOT


def _generator():
    spec = importlib.util.spec_from_file_location("array_api", ROOT / "docs" / "array_api.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGE = _generator()

# ----- calls --------------------------------------------------------------------------------------

X = numpy.array([[0.3, 0.7, 0.2], [0.9, 0.5, 0.6]])
Y = numpy.array([[0.8, 0.1, 0.5], [0.4, 0.5, 0.3]])
N = numpy.array([[3, 1, 2], [5, 0, 4]])
B = numpy.array([[True, False, True], [False, False, True]])
Z = X + 1j * Y
#: Symmetric and positive.
A = numpy.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0]])
V = numpy.array([1.0, -2.0, 0.5])

_OF_X = """
abs acos asin asinh atan atanh ceil conj cos cosh exp expm1 floor isfinite isinf isnan log log10
log1p log2 negative positive reciprocal round sign signbit sin sinh sqrt square tan tanh trunc
all any argmax argmin argsort count_nonzero cumulative_prod cumulative_sum diff flip max mean min
nonzero prod sort std sum var matrix_transpose permute_dims tril triu unstack squeeze
zeros_like ones_like empty_like unique_all unique_counts unique_inverse unique_values
""".split()
_OF_X_AND_Y = """
add atan2 copysign divide equal floor_divide greater greater_equal hypot less less_equal logaddexp
maximum minimum multiply nextafter not_equal pow remainder subtract broadcast_arrays vecdot
""".split()
_OF_INTEGERS = "bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor".split()
_OF_TRUTHS = "logical_and logical_or logical_xor".split()
#: Positional arguments by section and name, where they are not those above.
ARGUMENTS = {
    "permute_dims": (X, (1, 0)),
    "squeeze": (X[:, :1], 1),
    "unstack": (X,),
    "cumulative_prod": (V,),
    "cumulative_sum": (V,),
    "acosh": (1 + X,),
    "imag": (Z,),
    "real": (Z,),
    "bitwise_invert": (N,),
    "logical_not": (B,),
    "clip": (X, 0.3, 0.6),
    "arange": (2, 9, 3),
    "asarray": (X,),
    "empty": ((2, 3),),
    "eye": (3,),
    "from_dlpack": (X,),
    "full": ((2, 3), 0.5),
    "full_like": (X, 0.5),
    "linspace": (0.0, 1.0, 5),
    "meshgrid": (V, X[0]),
    "ones": ((2, 3),),
    "zeros": ((2, 3),),
    "astype": (X, "float32"),
    "broadcast_to": (V, (2, 3)),
    "can_cast": ("float32", "float64"),
    "finfo": ("float32",),
    "iinfo": ("int16",),
    "isdtype": ("float32", "real floating"),
    "result_type": (X, X),
    "broadcast_shapes": ((2, 1), (1, 3)),
    "isin": (N, N[0]),
    "take": (V, N[0] % 2),
    "take_along_axis": (X, N % 2),
    "concat": ([X, Y],),
    "expand_dims": (X, 1),
    "moveaxis": (X, 0, 1),
    "repeat": (X, 2),
    "reshape": (X, (3, 2)),
    "roll": (X, 1),
    "stack": ([X, Y],),
    "tile": (X, (2, 1)),
    "searchsorted": (numpy.sort(V), X[0]),
    "where": (B, X, Y),
    "matmul": (X, A),
    "tensordot": (X, Y),
    "vecdot": (X, Y),
    "linalg.cross": (A, A.T),
    "linalg.outer": (V, X[0]),
    "linalg.matrix_power": (A, 3),
    "linalg.solve": (A, A @ A),
    "linalg.matmul": (X, A),
    "linalg.tensordot": (X, Y),
    "linalg.vecdot": (X, Y),
    "linalg.matrix_norm": (X,),
    "linalg.vector_norm": (X,),
    "linalg.matrix_transpose": (X,),
    "linalg.pinv": (X,),
    "linalg.svd": (X,),
    "linalg.svdvals": (X,),
    "linalg.matrix_rank": (X,),
    "linalg.qr": (A,),
    "fft.fftfreq": (5,),
    "fft.rfftfreq": (5,),
    "fft.irfft": (Z,),
    "fft.irfftn": (Z,),
    "fft.hfft": (Z,),
    "fft.rfft": (X,),
    "fft.rfftn": (X,),
    "fft.ihfft": (X,),
    "fft.fftshift": (X,),
    "fft.ifftshift": (X,),
}
ARGUMENTS |= {name: (X,) for name in _OF_X if name not in ARGUMENTS}
ARGUMENTS |= {name: (X, Y) for name in _OF_X_AND_Y if name not in ARGUMENTS}
ARGUMENTS |= {name: (N, N % 2) for name in _OF_INTEGERS}
ARGUMENTS |= {name: (B, ~B) for name in _OF_TRUTHS}
ARGUMENTS |= {f"linalg.{n}": (A,) for n in PAGE.names("linalg") if f"linalg.{n}" not in ARGUMENTS}
ARGUMENTS |= {f"fft.{n}": (Z,) for n in PAGE.names("fft") if f"fft.{n}" not in ARGUMENTS}
#: Keywords beside their defaults.
KEYWORDS = {
    "sum": {"axis": 1, "keepdims": True},
    "std": {"axis": 0, "correction": 1},
    "var": {"axis": 0, "correction": 1},
    "argsort": {"descending": True, "stable": True, "axis": 0},
    "sort": {"descending": True, "axis": 0},
    "diff": {"n": 2, "axis": 0},
    "fft.fftfreq": {"d": 0.5, "dtype": "float32"},
    "take": {"axis": 0},
    "take_along_axis": {"axis": 0},
    "concat": {"axis": None},
    "tensordot": {"axes": ((0, 1), (0, 1))},
    "cumulative_sum": {"include_initial": True},
    "cumulative_prod": {"include_initial": True},
    "searchsorted": {"side": "right"},
    "linspace": {"endpoint": False},
    "eye": {"k": 1},
    "meshgrid": {"indexing": "ij"},
    "repeat": {"axis": 1},
    "roll": {"axis": 1},
    "unstack": {"axis": 1},
    "linalg.vector_norm": {"axis": 0, "ord": 1},
    "linalg.matrix_norm": {"ord": "nuc"},
    "linalg.cholesky": {"upper": True},
    "fft.fft": {"n": 4, "norm": "ortho"},
}
CALLED = sorted(ARGUMENTS)


def function(space, name):
    for part in name.split("."):
        space = getattr(space, part)
    return space


def given(xp, value):
    """Return an argument as an array of a namespace; dtypes by their names as its dtypes."""
    if isinstance(value, numpy.ndarray):
        return xp.asarray(value)
    if isinstance(value, list):
        return [given(xp, v) for v in value]
    if isinstance(value, str) and hasattr(xp, value):
        return getattr(xp, value)
    return value


def asked(xp, keywords):
    """Return keywords with dtypes as those of a namespace."""
    return {k: given(xp, v) if k == "dtype" else v for k, v in keywords.items()}


def leaves(out):
    return (
        [leaf for part in out for leaf in leaves(part)] if isinstance(out, list | tuple) else [out]
    )


def test_there_is_a_call_of_every_function():
    sections = {module: PAGE.names(module) for module in PAGE.MODULES}
    every = {f"{m}.{n}" if m else n for m, names in sections.items() for n in names}
    called = {n for n in every if callable(function(array_api_strict, n))}
    of_dtypes = {n for n in every if n in numpy.__all__ and isinstance(getattr(numpy, n), type)}
    assert called - (of_dtypes - {"finfo", "iinfo"}) == set(CALLED)


@pytest.mark.parametrize("name", CALLED)
def test_a_call_gives_what_the_reference_gives(name):
    theirs, ours = function(array_api_strict, name), function(backpass.numpy, name)
    args = [given(array_api_strict, a) for a in ARGUMENTS[name]]
    defaults = {
        p.name: p.default
        for p in inspect.signature(theirs).parameters.values()
        if p.kind is p.KEYWORD_ONLY and p.default is not p.empty and p.name != "device"
    }
    if name == "from_dlpack":
        args = [array_api_strict.asarray(X)]
        defaults = {}
    for keywords in (defaults, KEYWORDS.get(name, {})):
        expected = leaves(theirs(*args, **asked(array_api_strict, keywords)))
        mine = [given(backpass.numpy, a) for a in ARGUMENTS[name]]
        found = leaves(ours(*mine, **asked(backpass.numpy, keywords)))
        assert len(found) == len(expected)
        for mine, right in zip(found, expected, strict=True):
            compare(name, mine, right)


def compare(name, mine, right):
    if not hasattr(right, "__array_namespace__"):
        if hasattr(right, "eps") or hasattr(right, "bits"):
            shown = ("bits", "eps", "max", "min", "smallest_normal")
            assert all(getattr(mine, k) == getattr(right, k) for k in shown if hasattr(right, k))
            return
        wanted = getattr(right, "_np_dtype", right)
        assert mine == wanted or numpy.dtype(mine) == numpy.dtype(wanted)
        return
    assert isinstance(mine, Tensor)
    right = numpy.asarray(right._array)
    assert mine.shape == right.shape
    assert mine.dtype == right.dtype
    if not name.startswith("empty"):
        numpy.testing.assert_allclose(abs(mine.value), abs(right), rtol=1e-12, atol=1e-14)


# ----- the page -----------------------------------------------------------------------------------


def test_every_name_of_the_standard_is_there():
    assert [row for row in PAGE.rows() if not row[2]] == []


def test_the_page_is_up_to_date():
    assert PAGE.PAGE.read_text(encoding="utf-8") == PAGE.write(), (
        "docs/array-api.md is stale: run `hatch run docs:array-api`"
    )
