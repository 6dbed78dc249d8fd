"""The corners of SciPy's linear algebra: what is read, what is refused, what has no derivative."""

import numpy
import pytest
import scipy.linalg

import backpass.numpy as np
import backpass.scipy.linalg as sl
from backpass.core import Tensor, grad, jvp, vjp
from backpass.core.ops.linalg.exponentials import _by_quotient

RANDOM = numpy.random.default_rng(5)


def random(*shape):
    return RANDOM.standard_normal(shape)


def positive(n):
    x = random(n, 2 * n)
    return x @ x.T


A, B, P = random(4, 4), random(4, 2), positive(4)


# ----- exponential and logarithm ----------------------------------------------------------------


@pytest.mark.parametrize("n", [5, 40])
def test_the_derivative_of_expm_is_frechets(n):
    # Beyond some size by another algorithm.
    a, e = random(n, n) / n, random(n, n)
    out, moved = jvp(sl.expm, (a,), (e,))
    numpy.testing.assert_array_equal(out, scipy.linalg.expm(a))
    wanted = scipy.linalg.expm_frechet(a, e, compute_expm=False)
    numpy.testing.assert_allclose(moved, wanted, rtol=1e-9, atol=1e-12)
    (back,) = vjp(sl.expm, a)[1](e)
    numpy.testing.assert_allclose(back, scipy.linalg.expm_frechet(a.T, e, compute_expm=False))


def test_expm_of_large_directions_and_of_nilpotent_matrices():
    (back,) = vjp(sl.expm, A)[1](1e12 * A)
    numpy.testing.assert_allclose(back, 1e12 * vjp(sl.expm, A)[1](A)[0], rtol=1e-12)
    nilpotent = numpy.array([[0.0, 1.0], [0.0, 0.0]])
    numpy.testing.assert_allclose(
        grad(lambda x: sl.expm(x)[0, 1])(nilpotent), [[0.5, 1.0], [1 / 6, 0.5]], atol=1e-15
    )
    numpy.testing.assert_array_equal(grad(lambda x: sl.expm(x).sum())(numpy.zeros((2, 2))), 1.0)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_the_exponential_of_other_devices_is_scipys(dtype):
    # What computes where SciPy does not; small, large and equal matrices in one stack.
    stack = numpy.stack([A, 0.1 * A, numpy.eye(4)]).astype(dtype)
    stack *= numpy.array(1 + 0.5j if dtype == "complex128" else 3, dtype)
    found = _by_quotient(numpy, stack)
    assert found.dtype == dtype
    wanted = scipy.linalg.expm(stack)
    numpy.testing.assert_allclose(found, wanted, rtol=1e-4 if dtype == "float32" else 1e-11)


@pytest.mark.parametrize("n", [3, 40])
def test_a_nan_in_expm_stays_one(n):
    bad = numpy.full((n, n), numpy.nan)
    assert numpy.isnan(grad(lambda x: sl.expm(x).sum())(bad)).all()


def test_expm_of_numbers_and_of_what_is_not_square():
    assert sl.expm(1.0).shape == sl.expm([1.0]).shape == (1, 1)
    assert sl.expm(numpy.zeros((2, 0, 0))).shape == (2, 0, 0)
    assert sl.expm(numpy.eye(2, dtype=int)).dtype == numpy.float64
    assert sl.expm(numpy.eye(2, dtype="float16")).dtype == numpy.float32
    with pytest.raises(numpy.linalg.LinAlgError, match="square"):
        sl.expm(random(2, 3))


@pytest.mark.filterwarnings("ignore:The logm input")
@pytest.mark.parametrize("a", [-numpy.eye(2), [[0.0, 1.0], [1.0, 0.0]], [[2.0, 0.0], [0.0, 0.0]]])
def test_the_logarithm_has_no_derivative_on_its_cut(a):
    a = numpy.array(a)
    with pytest.raises(numpy.linalg.LinAlgError, match=r"logm .*negative axis"):
        vjp(sl.logm, a)[1](numpy.ones((2, 2)))
    with pytest.raises(numpy.linalg.LinAlgError, match="logm has no derivative"):
        jvp(sl.logm, (a,), (a,))


def test_the_logarithm_is_the_inverse_of_the_exponential():
    a = 0.3 * A
    numpy.testing.assert_allclose(sl.logm(sl.expm(a)).value, a, atol=1e-13)
    found = grad(lambda x: np.sum(B.T @ sl.logm(sl.expm(x))))(a)
    numpy.testing.assert_allclose(found, numpy.broadcast_to(B.sum(1)[:, None], (4, 4)), atol=1e-12)
    with pytest.raises(TypeError, match="disp=False"):
        sl.logm(a, disp=False)


# ----- what is read of a matrix -----------------------------------------------------------------

UPPER, LOWER = numpy.triu(numpy.ones((4, 4))), numpy.tril(numpy.ones((4, 4)))


@pytest.mark.parametrize(
    ("f", "read"),
    [
        (lambda a: sl.cholesky(a), UPPER),
        (lambda a: sl.cholesky(a, lower=True), LOWER),
        (lambda a: sl.cho_solve(sl.cho_factor(a), B), UPPER),
        (lambda a: sl.cho_solve((a, True), B), LOWER),
        (lambda a: sl.eigvalsh(a), LOWER),
        (lambda a: sl.eigvalsh(a, lower=False), UPPER),
        (lambda a: sl.eigvalsh(P, a, lower=False), UPPER),
        (lambda a: sl.solve(a, B, assume_a="pos"), UPPER),
        (lambda a: sl.solve(a, B, assume_a="sym", lower=True), LOWER),
        (lambda a: sl.solve(a, B, assume_a="diagonal"), numpy.eye(4)),
        (lambda a: sl.solve(a, B, assume_a="upper triangular"), UPPER),
        (lambda a: sl.inv(a, assume_a="her", lower=True), LOWER),
    ],
)
def test_only_what_is_read_gets_a_gradient(f, read):
    spoilt = numpy.where(read == 1, P, 1e3)
    numpy.testing.assert_allclose(f(spoilt).value, f(P).value)
    found = grad(lambda a: np.sum(f(a) ** 2))(P)
    assert ((found != 0) <= (read == 1)).all()
    assert (found != 0).any()


def test_a_factor_is_differentiated_through_its_pair():
    def directly(a, b):
        return np.sum(np.linalg.solve(a, b) ** 2)

    def by_lu(a, b):
        return np.sum(sl.lu_solve(sl.lu_factor(a), b) ** 2)

    def by_cholesky(a, b):
        return np.sum(sl.cho_solve(sl.cho_factor((a + a.T) / 2), b) ** 2)

    to_a, to_b = grad(directly, (0, 1))(P, B)
    for f, wanted in ((by_lu, to_a), (by_cholesky, (to_a + to_a.T) / 2)):
        found = grad(f, (0, 1))(P, B)
        numpy.testing.assert_allclose(found[0], wanted, rtol=1e-8)
        numpy.testing.assert_allclose(found[1], to_b, rtol=1e-8)


def test_lu_takes_its_rows_back():
    p, low, up = sl.lu(A)
    numpy.testing.assert_allclose((p @ low @ up).value, A)
    order, low, up = sl.lu(A, p_indices=True)
    numpy.testing.assert_allclose((low @ up).value[order.value], A)
    found = grad(lambda a: np.sum(sl.lu(a, permute_l=True)[0] @ sl.lu(a)[2]))(A)
    assert found == pytest.approx(numpy.ones((4, 4)))


def test_singular_matrices_have_factors_and_no_derivative():
    singular = numpy.ones((2, 2))
    numpy.testing.assert_array_equal(sl.lu_factor(singular)[0].value, [[1, 1], [1, 0]])
    with pytest.raises(numpy.linalg.LinAlgError):
        grad(lambda a: np.sum(sl.lu_factor(a)[0]))(singular)


# ----- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda: sl.inv(numpy.full((2, 2), numpy.nan)), "inv: array must not contain infs or NaNs"),
        (lambda: sl.norm(numpy.array([numpy.inf])), "norm: array must not"),
        (lambda: sl.det(random(2, 3)), "det: square matrices"),
        (lambda: sl.svd(random(3)), "svd: matrices are expected"),
        (lambda: sl.svd(A, lapack_driver="qr"), "lapack_driver"),
        (lambda: sl.solve(A, random(3)), "incompatible shapes"),
        (lambda: sl.solve(A, B, assume_a="nice"), "assume_a='nice'"),
        (lambda: sl.qr(A, mode="thin"), "mode='thin'"),
        (lambda: sl.eigh(A, random(2, 2)), "wrong b dimensions"),
        (lambda: sl.eigh(A, P, type=4), "type=4"),
        (lambda: sl.eigh(A, subset_by_index=(2, 4)), "subset_by_index"),
        (lambda: sl.eigh(A, subset_by_index=(0, 1), subset_by_value=(0, 1)), "either"),
        (lambda: sl.lu_solve(sl.lu_factor(A), B, trans=3), "trans=3"),
        (lambda: sl.pinv(A, atol=-1.0), "positive"),
        (lambda: sl.lstsq(A, random(3)), "number of rows"),
        (lambda: sl.hankel(A), "hankel: a vector"),
    ],
)
def test_bad_input_is_named(f, words):
    with pytest.raises(ValueError, match=words):
        f()


def test_what_has_no_derivative_says_what_to_do():
    with pytest.raises(NotImplementedError, match="mode='economic'"):
        grad(lambda a: np.sum(sl.qr(a)[0]))(random(3, 2))
    with pytest.raises(NotImplementedError, match="'raw'"):
        grad(lambda a: np.sum(sl.qr(a, mode="raw")[1]))(A)
    with pytest.raises(NotImplementedError, match="transposed"):
        sl.solve(A + 0j, B, transposed=True)
    with pytest.raises(numpy.linalg.LinAlgError):
        sl.solve(-P, B, assume_a="pos")


# ----- dtypes -----------------------------------------------------------------------------------


def test_det_is_double_and_its_gradient_single():
    single = A.astype("float32")
    assert sl.det(single).dtype == numpy.float64
    assert grad(sl.det)(single).dtype == numpy.float32
    assert sl.cholesky(numpy.eye(2, dtype=int)).dtype == numpy.float64
    assert sl.toeplitz([1, 2]).dtype == numpy.asarray([1]).dtype


def test_structured_matrices_of_lists_of_tensors():
    x = numpy.array([1.0, 2.0, 3.0])
    numpy.testing.assert_array_equal(
        grad(lambda x: np.sum(sl.toeplitz([x[0], x[1]])))(x), [2, 2, 0]
    )
    numpy.testing.assert_array_equal(grad(lambda x: np.sum(sl.circulant(x)))(x), [3, 3, 3])
    # The first of the last row is not read.
    numpy.testing.assert_array_equal(grad(lambda r: np.sum(sl.hankel(x, r)))(x), [0, 2, 1])
    assert isinstance(sl.block_diag(), Tensor)
    assert sl.block_diag().shape == (1, 0)
