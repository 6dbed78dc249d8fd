"""What `backpass.autograd.numpy` and `.scipy` export: nothing of ours is missing, and no parity."""

import importlib
import inspect

import numpy
import pytest

import backpass.autograd.numpy as np
from backpass.autograd import grad
from backpass.autograd.plain import plainly
from backpass.core import Tensor
from backpass.core.operators import operators

MODULES = """
numpy numpy.fft numpy.linalg scipy.integrate scipy.linalg scipy.optimize scipy.signal scipy.special
scipy.stats
""".split()

#: What HIPS autograd differentiates, or registers as without a gradient.
PARITY = {
    "numpy": """
        abs absolute acos acosh add amax amin angle arccos arccosh arcsin arcsinh arctan arctan2
        arctanh array array_split asin asinh astype atan atan2 atanh atleast_1d atleast_2d
        atleast_3d broadcast_to clip concatenate conj conjugate cos cosh cross cumsum deg2rad
        degrees diag diagonal diff divide dot dsplit einsum exp exp2 expand_dims expm1 fabs fliplr
        flipud fmax fmin full gradient hsplit hypot imag inner kron linspace log log10 log1p log2
        logaddexp logaddexp2 make_diagonal matmul max maximum mean min minimum mod moveaxis multiply
        nan_to_num negative outer pad partition permute_dims pow power prod rad2deg radians ravel
        real real_if_close reciprocal remainder repeat reshape roll rollaxis rot90 sin sinc sinh
        sort split sqrt square squeeze std subtract sum swapaxes tan tanh tensordot tile trace
        transpose tril triu true_divide var vsplit where vstack row_stack hstack column_stack dstack
        stack append select block r_ c_
        floor ceil round rint around fix trunc all any argmax argmin argpartition argsort argwhere
        nonzero flatnonzero count_nonzero searchsorted sign ndim shape floor_divide logical_and
        logical_or logical_not logical_xor isfinite isinf isnan isneginf isposinf allclose isclose
        array_equal array_equiv greater greater_equal less less_equal equal not_equal iscomplexobj
        iscomplex size isscalar isreal zeros_like ones_like empty_like full_like result_type
        float32 int64 bool_ pi e inf nan newaxis errstate finfo iinfo dtype ndarray random linalg
        fft""",
    "numpy.linalg": "cholesky det eig eigh inv norm pinv slogdet solve svd multi_dot",
    "numpy.fft": """
        fft ifft fft2 ifft2 fftn ifftn rfft irfft rfft2 irfft2 rfftn irfftn fftshift ifftshift""",
    "numpy.random": "RandomState default_rng seed rand randn randint normal permutation",
    "scipy.special": """
        beta betainc betaln polygamma psi digamma gamma gammaln gammainc gammaincc gammasgn rgamma
        multigammaln j0 y0 j1 y1 jn yn i0 i1 iv ive erf erfc erfinv erfcinv logit expit logsumexp
        softmax gpu_logsumexp""",
    "scipy.stats.norm": "pdf cdf sf logpdf logcdf logsf",
    "scipy.stats.t": "pdf cdf logpdf logcdf",
    "scipy.stats.beta": "pdf cdf logpdf",
    "scipy.stats.gamma": "pdf cdf logpdf",
    "scipy.stats.chi2": "pdf cdf logpdf",
    "scipy.stats.poisson": "pmf logpmf cdf",
    "scipy.stats.multivariate_normal": "pdf logpdf entropy",
    "scipy.stats.dirichlet": "pdf logpdf",
    "scipy.signal": "convolve",
    "scipy.linalg": "sqrtm solve_triangular solve_banded solve_sylvester",
    "scipy.integrate": "odeint",
}

X = numpy.array([1.0, -2.0, 3.0])


def module(name):
    return importlib.import_module(f"backpass.autograd.{name}")


@pytest.mark.parametrize("name", MODULES)
def test_what_the_differentiable_module_has_is_here(name):
    theirs = importlib.import_module(f"backpass.{name}")
    assert not set(theirs.__all__) - set(module(name).__all__)


@pytest.mark.parametrize("name", PARITY)
def test_what_hips_autograd_has_is_here(name):
    assert not set(PARITY[name].split()) - set(module(name).__all__)


@pytest.mark.parametrize("name", [*MODULES, *sorted(set(PARITY) - set(MODULES))])
def test_every_name_leads_somewhere(name):
    found = module(name)
    assert len(found.__all__) == len(set(found.__all__))
    for public in found.__all__:
        assert getattr(found, public, None) is not None or public == "newaxis"


@pytest.mark.parametrize("name", ["beta", "norm", "poisson", "t"])
def test_a_distribution_has_all_methods_of_the_differentiable_one(name):
    differentiable = getattr(importlib.import_module("backpass.scipy.stats"), name)
    methods = {m for m in dir(type(differentiable)) if not m.startswith("_")}
    assert methods == set(module(f"scipy.stats.{name}").__all__)


def test_aliases_are_one_function():
    assert np.abs is np.absolute
    assert np.conjugate is np.conj
    assert np.true_divide is np.divide


def test_functions_keep_names_and_docstrings():
    assert np.tanh.__name__ == "tanh"
    assert np.sum.__name__ == "sum"
    assert inspect.getdoc(np.tanh)
    assert str(inspect.signature(np.cumsum)).startswith("(a: ")


def test_numpy_computes_on_plain_arrays():
    """With its keywords, its types, and its arrays of shape ()."""
    made = numpy.empty(3)
    assert np.exp(X, out=made) is made
    assert np.add(X, X, made) is made
    numpy.testing.assert_array_equal(np.maximum(X, 0, where=X < 2, out=X.copy()), [1.0, 0.0, 3.0])
    assert type(np.array(1.0)) is numpy.ndarray
    assert np.array(["a"]).dtype.kind == "U"
    assert type(np.add(1, 2)) is numpy.int64
    assert np.sum([[1, 2], [3, 4]], axis=0, dtype=float).dtype == float
    assert np.split(X, 3)[0].base is not None
    assert type(np.linalg.eigh(np.eye(2))).__name__ == "EighResult"
    numpy.testing.assert_array_equal(np.r_[X, 1.0], [*X, 1.0])
    numpy.testing.assert_array_equal(np.c_[X, X], numpy.column_stack([X, X]))


def test_keywords_work_on_tracked_arrays_or_are_refused():
    numpy.testing.assert_array_equal(
        grad(lambda x: np.sum(np.sum(np.outer(x, x), axis=0, keepdims=True)))(X),
        2 * X.sum() + 0 * X,
    )
    with pytest.raises(TypeError, match="out= is not supported"):
        grad(lambda x: np.sum(np.exp(x, out=numpy.empty(3))))(X)
    with pytest.raises(TypeError, match="out= is not supported"):
        grad(lambda x: np.sum(np.add(x, x, out=numpy.empty(3))))(X)


def test_tracked_arrays_are_found_in_containers_and_keywords():
    seen = []

    def f(x):
        seen.extend(
            [np.concatenate([X, x]), np.array([[x[0], 1.0]]), np.clip(X, min=x[0], max=9.0)]
        )
        seen.extend([np.r_[X, x], np.c_[x, X]])
        return sum(np.sum(t) for t in seen)

    numpy.testing.assert_array_equal(grad(f)(X), [3.0 + 1.0 + 0.5 + 1.0, 3.0, 3.0])
    assert all(isinstance(t, Tensor) for t in seen)


def test_what_has_no_rule_names_itself():
    with pytest.raises(TypeError, match="histogram"):
        grad(lambda x: np.histogram(x)[0].sum())(X)


def test_what_is_made_diagonal():
    stacked = numpy.arange(6.0).reshape(2, 3)
    made = np.make_diagonal(stacked, axis1=-1, axis2=-2)
    numpy.testing.assert_array_equal(made, [numpy.diag(row) for row in stacked])
    numpy.testing.assert_array_equal(
        grad(lambda x: np.sum(np.make_diagonal(x, 0, -1, -2) ** 2))(stacked), 2 * stacked
    )
    with pytest.raises(NotImplementedError, match="only offset=0"):
        np.make_diagonal(X)


def test_a_function_without_a_plain_one_is_made_plain():
    doubled = plainly(lambda x: (operators.multiply(Tensor(x), 2.0), "note"))
    assert doubled(3.0) == (6.0, "note")
    assert type(doubled(numpy.ones(2))[0]) is numpy.ndarray


# ----- convolution, in HIPS autograd's form -----------------------------------------------------


def by_loops(a, b):
    """Convolve images (image, channel, row, column) with filters (channel, filter, row, column)."""
    rows, columns = a.shape[2] - b.shape[2] + 1, a.shape[3] - b.shape[3] + 1
    made = numpy.zeros((a.shape[0], b.shape[1], rows, columns))
    for i in range(rows):
        for j in range(columns):
            part = a[:, :, i : i + b.shape[2], j : j + b.shape[3]]
            made[:, :, i, j] = numpy.einsum("ncij,cfij->nf", part, b[:, :, ::-1, ::-1])
    return made


def test_convolution_along_some_axes():
    convolve = module("scipy.signal").convolve
    random = numpy.random.default_rng(0)
    a, b = random.standard_normal((2, 3, 6, 5)), random.standard_normal((3, 4, 3, 2))
    options = {"axes": ([2, 3], [2, 3]), "dot_axes": ([1], [0])}
    valid = convolve(a, b, mode="valid", **options)
    numpy.testing.assert_allclose(valid, by_loops(a, b), atol=1e-12)
    padded = numpy.pad(a, [(0, 0), (0, 0), (2, 2), (1, 1)])
    full = convolve(a, b, mode="full", **options)
    numpy.testing.assert_allclose(full, by_loops(padded, b), atol=1e-12)
    same = convolve(a, b, mode="same", **options)
    numpy.testing.assert_allclose(same, full[:, :, 1:7, 0:5], atol=1e-12)
    turned = convolve(b, a, mode="valid", axes=([2, 3], [2, 3]), dot_axes=([0], [1]))
    numpy.testing.assert_allclose(turned, valid.swapaxes(0, 1), atol=1e-12)
    w = random.standard_normal(full.shape)
    by_a, by_b = grad(lambda a, b: np.sum(w * convolve(a, b, **options)), (0, 1))(a, b)
    numpy.testing.assert_allclose((by_a * a).sum(), (w * full).sum())
    numpy.testing.assert_allclose((by_b * b).sum(), (w * full).sum())


def test_convolution_of_vectors_is_that_of_scipy():
    convolve = module("scipy.signal").convolve
    numpy.testing.assert_allclose(convolve(X, X[:2]), numpy.convolve(X, X[:2]))
    outer = convolve(numpy.ones((2, 5)), numpy.ones((3, 4)), axes=([1], [1]), mode="valid")
    numpy.testing.assert_array_equal(outer, numpy.full((2, 3, 2), 4.0))
    with pytest.raises(ValueError, match="mode='all'"):
        convolve(X, X, axes=([0], [0]), mode="all")
    with pytest.raises(ValueError, match="no axis shorter"):
        convolve(numpy.ones((2, 5)), numpy.ones((3, 4)), ([0, 1], [0, 1]), mode="valid")
