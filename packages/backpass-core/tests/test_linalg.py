"""The corners of linear algebra: singular, degenerate, deficient and empty matrices, bad input."""

import math

import numpy
import pytest

import backpass.numpy as np
import backpass.scipy.linalg as sl
from backpass.core import Tensor, grad, hessian, jacobian, jvp, value_and_grad, vjp
from backpass.core.testing import check_grads

la = np.linalg
RANDOM = numpy.random.default_rng(3)


def random(*shape, is_complex=False):
    made = RANDOM.standard_normal(shape)
    return made + 1j * RANDOM.standard_normal(shape) if is_complex else made


def of_rank(n, rank, is_complex=False):
    """Return a square matrix of a rank."""
    if rank == 0:
        return numpy.zeros((n, n), complex if is_complex else float)
    return random(n, rank, is_complex=is_complex) @ random(rank, n, is_complex=is_complex)


def with_eigenvalues(*values, is_complex=False):
    """Return a Hermitian matrix with given eigenvalues."""
    n = len(values)
    q = numpy.linalg.qr(random(n, n, is_complex=is_complex))[0]
    return (q * numpy.array(values)) @ q.conj().T


def with_singular_values(m, n, *values):
    k = len(values)
    u = numpy.linalg.qr(random(m, k))[0]
    v = numpy.linalg.qr(random(n, k))[0]
    return (u * numpy.array(values)) @ v.T


# ----- determinants -----------------------------------------------------------------------------


def cofactor(a, i, j):
    """Return a cofactor by its definition."""
    minor = numpy.delete(numpy.delete(a, i, 0), j, 1)
    return (-1) ** (i + j) * (numpy.linalg.det(minor) if minor.size else 1.0)


@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize(
    ("n", "rank"), [(1, 0), (2, 1), (2, 0), (3, 2), (3, 1), (3, 0), (4, 3), (4, 2), (4, 1), (5, 3)]
)
def test_the_derivative_of_det_at_a_singular_matrix_is_its_cofactors(n, rank, is_complex):
    a = of_rank(n, rank, is_complex)
    wanted = [[cofactor(a, i, j) for j in range(n)] for i in range(n)]
    pull = vjp(la.det, a)[1]
    (found,) = pull(numpy.ones((), a.dtype)[()])
    numpy.testing.assert_allclose(found, wanted, atol=1e-12)
    check_grads(la.det, (a,), order=2)


def test_the_hessian_of_det_at_zero_holds_what_the_rest_leaves():
    found = hessian(la.det)(numpy.zeros((2, 2)))
    wanted = numpy.zeros((2, 2, 2, 2))
    wanted[0, 0, 1, 1] = wanted[1, 1, 0, 0] = 1
    wanted[0, 1, 1, 0] = wanted[1, 0, 0, 1] = -1
    numpy.testing.assert_array_equal(found, wanted)
    numpy.testing.assert_array_equal(hessian(la.det)(numpy.zeros((3, 3))), 0)


def test_det_of_exactly_dependent_rows():
    a = numpy.array([[1.0, 2.0], [2.0, 4.0]])
    numpy.testing.assert_allclose(grad(la.det)(a), [[4, -2], [-2, 1]], atol=1e-14)


def test_det_of_a_stack_of_singular_and_regular_matrices():
    stack = numpy.stack([of_rank(3, rank) for rank in (3, 2, 1, 0)])
    found = grad(lambda a: np.sum(la.det(a)))(stack)
    wanted = [[[cofactor(a, i, j) for j in range(3)] for i in range(3)] for a in stack]
    numpy.testing.assert_allclose(found, wanted, atol=1e-12)
    check_grads(la.det, (stack,), order=2)


def test_det_of_nearly_singular_matrices_keeps_its_digits():
    a = with_singular_values(3, 3, 1.0, 0.5, 1e-13)
    wanted = [[cofactor(a, i, j) for j in range(3)] for i in range(3)]
    numpy.testing.assert_allclose(grad(la.det)(a), wanted, rtol=1e-10)


def test_the_third_derivative_of_det():
    a, v = random(3, 3), random(3, 3)

    def second(x):
        return np.sum(grad(lambda y: np.sum(grad(la.det)(y) * v))(x) * v)

    check_grads(second, (a,), order=1)
    with pytest.raises(NotImplementedError, match="det: its third derivative at a singular"):
        grad(second)(of_rank(3, 1))


def test_det_and_slogdet_of_nothing():
    nothing = numpy.zeros((0, 0))
    assert la.det(nothing).value == 1
    assert grad(la.det)(nothing).shape == (0, 0)
    assert grad(lambda a: la.slogdet(a)[1])(nothing).shape == (0, 0)


def test_slogdet_gives_a_named_tuple():
    found = la.slogdet(numpy.diag([2.0, -3.0]))
    assert found.sign.value == -1
    assert found.logabsdet.value == pytest.approx(math.log(6))


def test_slogdet_of_a_singular_matrix_hides_behind_where():
    stack = numpy.stack([numpy.eye(2), numpy.ones((2, 2))])

    def f(a):
        sign, logarithm = la.slogdet(a)
        return np.sum(np.where(sign.value != 0, logarithm, 0.0))

    numpy.testing.assert_array_equal(grad(f)(stack), [numpy.eye(2), numpy.zeros((2, 2))])
    numpy.testing.assert_allclose(
        grad(lambda a: np.sum(grad(f)(a) ** 2))(stack)[0], -2 * numpy.eye(2)
    )
    assert numpy.isnan(grad(lambda a: la.slogdet(a)[1])(stack[1])).all()


# ----- norms ------------------------------------------------------------------------------------

VECTOR_ORDERS = [None, 1, 2, 3, 1.5, 0.5, 0, -1, -2, math.inf, -math.inf]
MATRIX_ORDERS = [None, "fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf]


# NumPy warns that it divides by 0.
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.parametrize("dtype", [float, complex, numpy.float32])
@pytest.mark.parametrize("ord", VECTOR_ORDERS)
def test_the_norm_of_a_zero_vector_has_the_derivative_0(ord, dtype):
    zero = numpy.zeros(3, dtype)
    found = grad(lambda x: la.norm(x, ord))(zero)
    numpy.testing.assert_array_equal(found, zero)
    assert found.dtype == dtype
    numpy.testing.assert_array_equal(jvp(lambda x: la.norm(x, ord), [zero], [zero + 1])[1], 0)


@pytest.mark.parametrize("dtype", [float, complex])
@pytest.mark.parametrize("ord", MATRIX_ORDERS)
def test_the_norm_of_a_zero_matrix_has_the_derivative_0(ord, dtype):
    zero = numpy.zeros((3, 2), dtype)
    numpy.testing.assert_array_equal(grad(lambda x: la.norm(x, ord))(zero), zero)
    numpy.testing.assert_array_equal(jvp(lambda x: la.norm(x, ord), [zero], [zero + 1])[1], 0)


def test_the_square_of_the_norm_at_0():
    numpy.testing.assert_array_equal(grad(lambda x: la.norm(x) ** 2)(numpy.zeros(3)), 0)


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:the output of .* does not depend:UserWarning")
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("ord", VECTOR_ORDERS)
def test_a_norm_that_was_not_chosen_has_no_derivative(ord, order):
    def f(x):
        return np.sum(np.where(np.sum(x) > 0, la.norm(x, ord), 0.0))

    for _ in range(order - 1):
        f = lambda x, f=f: np.sum(grad(f)(x))  # noqa: E731
    for x in (numpy.zeros(3), numpy.array([-math.inf, 0.0, 1.0])):
        numpy.testing.assert_array_equal(grad(f)(x), numpy.zeros(3))


def test_the_largest_elements_share_the_derivative():
    x = numpy.array([2.0, -2.0, 1.0])
    numpy.testing.assert_array_equal(grad(lambda x: la.norm(x, math.inf))(x), [0.5, -0.5, 0])
    y = numpy.array([3.0, -1.0, 1.0])
    numpy.testing.assert_array_equal(grad(lambda x: la.norm(x, -math.inf))(y), [0, -0.5, 0.5])


def test_equal_columns_rows_and_singular_values_share_the_derivative():
    eye = numpy.eye(2)
    for ord in (1, -1, 2, -2, math.inf, -math.inf):
        numpy.testing.assert_allclose(grad(lambda x, o=ord: la.norm(x, o))(eye), eye / 2)


def test_the_derivative_of_the_nuclear_norm_at_a_deficient_matrix_is_that_of_least_norm():
    a = with_singular_values(4, 3, 2.0, 1.0)
    u, _, vh = numpy.linalg.svd(a, full_matrices=False)
    found = grad(lambda x: la.norm(x, "nuc"))(a)
    numpy.testing.assert_allclose(found, u[:, :2] @ vh[:2], atol=1e-14)


def test_a_norm_refuses_what_numpy_refuses():
    with pytest.raises(ValueError, match="Invalid norm order 'fro' for vectors"):
        la.norm(numpy.ones(3), "fro")
    with pytest.raises(ValueError, match="Invalid norm order for matrices"):
        la.norm(numpy.ones((2, 2)), 3)
    with pytest.raises(ValueError, match="Improper number of dimensions"):
        la.norm(numpy.ones((2, 2, 2)), 2)
    with pytest.raises(ValueError, match="Duplicate axes"):
        la.norm(numpy.ones((2, 2, 2)), 2, (1, -2))
    with pytest.raises(numpy.exceptions.AxisError):
        la.norm(numpy.ones(3), axis=1)
    with pytest.raises(TypeError, match="'axis' must be"):
        la.norm(numpy.ones(3), axis="x")


def test_the_norms_of_empty_arrays():
    assert la.norm(numpy.zeros((0,)), math.inf).value == 0
    assert la.norm(numpy.zeros((0, 0)), "nuc").value == 0
    assert grad(la.norm)(numpy.zeros((0,))).shape == (0,)


def test_the_norm_of_a_list_and_of_integers():
    assert la.norm([3.0, 4.0]).value == 5
    assert la.norm(numpy.array([3, 4])).value == 5
    assert la.norm([[3, 4], [0, 0]], "fro").value == 5


# ----- equal eigenvalues ------------------------------------------------------------------------


@pytest.mark.parametrize("is_complex", [False, True])
def test_equal_eigenvalues_have_derivatives(is_complex):
    a = with_eigenvalues(1.0, 1.0, 3.0, is_complex=is_complex)
    for f in (la.eigvalsh, lambda x: la.eigh(x)[0]):
        found = grad(lambda x, f=f: np.sum(f(x) ** 3))(a)
        full = 3 * (a @ a).conj()
        wanted = 2 * numpy.tril(full, -1) + numpy.diag(numpy.diag(full))
        numpy.testing.assert_allclose(found, wanted, atol=1e-12)
    check_grads(lambda x: np.sum(la.eigvalsh(x)), (a,), order=1)


@pytest.mark.parametrize("is_complex", [False, True])
def test_the_vectors_of_equal_eigenvalues_are_degenerate(is_complex):
    a = with_eigenvalues(1.0, 1.0, 3.0, is_complex=is_complex)

    def f(x):
        return np.sum(np.abs(la.eigh(x).eigenvectors[0]) ** 4)

    with pytest.raises(numpy.linalg.LinAlgError, match="eigh: the matrix is degenerate"):
        grad(f)(a)
    with pytest.raises(numpy.linalg.LinAlgError, match="degenerate"):
        jvp(f, [a], [random(3, 3).astype(a.dtype)])


def test_the_vector_of_a_single_eigenvalue_is_not_degenerate():
    a = with_eigenvalues(1.0, 1.0, 3.0)

    def f(x):
        top = la.eigh(x + x.T).eigenvectors[:, 2]
        return np.sum(np.outer(top, top) ** 2 * numpy.arange(9.0).reshape(3, 3))

    check_grads(f, (a,), order=1, modes=("rev",))


def test_the_second_derivative_of_single_eigenvalues_beside_equal_ones():
    a = with_eigenvalues(1.0, 1.0, 3.0)
    check_grads(lambda x: la.eigvalsh(x + x.T)[2], (a,), order=2, modes=("rev",))


def test_forward_mode_of_degenerate_values_alone():
    a, t = with_eigenvalues(2.0, 2.0, 5.0), numpy.eye(3)
    numpy.testing.assert_allclose(jvp(la.eigvalsh, [a], [t])[1], [1, 1, 1], atol=1e-14)
    numpy.testing.assert_allclose(jvp(la.svdvals, [a], [t])[1], [1, 1, 1], atol=1e-14)


def test_the_other_triangle_is_not_read():
    a = random(3, 3)
    for triangle, cut in (("L", numpy.tril), ("U", numpy.triu)):
        found = grad(lambda x, t=triangle: np.sum(la.eigvalsh(x, t) ** 2))(a)
        numpy.testing.assert_array_equal(found, cut(found))
        assert la.eigh(a, triangle.lower()).eigenvalues.shape == (3,)
    with pytest.raises(ValueError, match="UPLO"):
        la.eigh(a, "X")


def test_cholesky_reads_one_triangle():
    a = with_eigenvalues(1.0, 2.0, 3.0)
    assert numpy.triu(grad(lambda x: np.sum(la.cholesky(x)))(a), 1).any() == 0
    assert numpy.tril(grad(lambda x: np.sum(la.cholesky(x, upper=True)))(a), -1).any() == 0
    check_grads(la.cholesky, (a,))
    check_grads(lambda x: la.cholesky(x, upper=True), (a,))
    h = with_eigenvalues(1.0, 2.0, 3.0, is_complex=True)
    check_grads(la.cholesky, (h,))
    check_grads(lambda x: la.cholesky(x, upper=True), (h,))


def test_eig_of_equal_and_of_defective_eigenvalues():
    with pytest.raises(numpy.linalg.LinAlgError, match="eig: the matrix is degenerate"):
        grad(lambda x: la.eig(x).eigenvectors[0, 1])(numpy.eye(2))
    numpy.testing.assert_allclose(grad(lambda x: np.sum(la.eigvals(x)))(numpy.eye(2)), numpy.eye(2))


def test_eig_turns_complex_where_numpy_does():
    turning = numpy.array([[0.0, -1.0], [1.0, 0.5]])
    assert la.eig(turning).eigenvalues.dtype == complex
    assert la.eig(turning @ turning.T).eigenvalues.dtype == float
    assert grad(lambda x: np.sum(np.abs(la.eigvals(x)) ** 2))(turning).dtype == float


# ----- singular values --------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 3), (4, 3), (3, 4)])
def test_equal_singular_values_have_derivatives(shape):
    a = with_singular_values(*shape, 2.0, 2.0, 1.0)
    for full in (False, True):
        found = grad(lambda x, full=full: np.sum(la.svd(x, full)[1] ** 2))(a)
        numpy.testing.assert_allclose(found, 2 * a, atol=1e-13)
    with pytest.raises(numpy.linalg.LinAlgError, match="svd: the matrix is degenerate"):
        grad(lambda x: np.sum(la.svd(x, full_matrices=False)[0][0] ** 4))(a)
    with pytest.raises(numpy.linalg.LinAlgError, match="svd: the matrix is degenerate"):
        jvp(lambda x: la.svd(x, full_matrices=False)[2], [a], [random(*shape)])


@pytest.mark.parametrize("shape", [(3, 3), (4, 3), (3, 4)])
def test_the_singular_values_of_deficient_matrices_have_derivatives(shape):
    a = with_singular_values(*shape, 2.0, 1.0)
    found, push = grad(lambda x: np.sum(la.svdvals(x) ** 2))(a), jvp(la.svdvals, [a], [a])[1]
    numpy.testing.assert_allclose(found, 2 * a, atol=1e-13)
    numpy.testing.assert_allclose(push, numpy.linalg.svdvals(a), atol=1e-14)
    check_grads(lambda x: la.svdvals(x)[:2], (a,), order=2, modes=("rev",))


def test_the_vectors_of_a_singular_value_0_are_degenerate():
    a = with_singular_values(4, 3, 2.0, 1.0)
    with pytest.raises(numpy.linalg.LinAlgError, match="it has a singular value 0"):
        grad(lambda x: np.sum(la.svd(x, full_matrices=False)[0][:, 2] ** 3))(a)


def test_singular_values_of_full_matrices_to_second_order():
    a = numpy.array([[3.0, 0, 0], [0, 4.0, 0]])
    check_grads(lambda x: la.svd(x, full_matrices=True)[1], (a,))
    check_grads(lambda x: la.svd(x.T, full_matrices=True)[1], (a,))


def test_a_choice_of_basis_is_refused():
    a = random(4, 2)
    for f in (lambda x: la.svd(x)[0][0, 3], lambda x: la.svd(x.T)[2][3, 0]):
        with pytest.raises(NotImplementedError, match="use full_matrices=False"):
            grad(f)(a)
    # What all bases agree in has a derivative.

    def projector(x):
        rest = la.svd(x)[0][:, 2:]
        return rest @ rest.T

    check_grads(projector, (a,))


def test_svd_of_nothing():
    for shape in ((0, 0), (0, 3), (3, 0), (0, 2, 2)):
        a = numpy.zeros(shape)
        assert grad(lambda x: np.sum(la.svd(x, full_matrices=False)[1]))(a).shape == shape


def test_the_results_have_names():
    a = with_eigenvalues(1.0, 2.0)
    assert la.eigh(a)._fields == numpy.linalg.eigh(a)._fields
    assert la.eig(a)._fields == numpy.linalg.eig(a)._fields
    assert la.svd(a)._fields == numpy.linalg.svd(a)._fields
    assert la.qr(a)._fields == numpy.linalg.qr(a)._fields
    assert la.slogdet(a)._fields == numpy.linalg.slogdet(a)._fields
    assert all(isinstance(part, Tensor) for part in la.svd(a))


def test_matrix_rank_counts():
    assert la.matrix_rank(of_rank(4, 2)).value == 2
    assert not la.matrix_rank(Tensor(of_rank(4, 2)).requires_grad_(), rtol=1e-6).tracked


# ----- pseudo-inverses, least squares, qr, condition numbers ------------------------------------


def test_pinv_of_a_deficient_matrix_among_those_of_its_rank():
    x, y = random(4, 2), random(2, 3)
    check_grads(lambda x, y: la.pinv(x @ y, 1e-6), (x, y))


def test_pinv_takes_one_limit():
    with pytest.raises(ValueError, match="both"):
        la.pinv(numpy.eye(2), rcond=1e-3, rtol=1e-3)
    with pytest.raises(TypeError, match="unknown argument 'tol'"):
        la.pinv(numpy.eye(2), tol=1e-3)
    with pytest.raises(numpy.linalg.LinAlgError, match="square"):
        la.pinv(numpy.ones((2, 3)), hermitian=True)


def test_lstsq_is_numpys():
    a, b = random(4, 2), random(4)
    for ours, theirs in zip(la.lstsq(a, b), numpy.linalg.lstsq(a, b), strict=True):
        numpy.testing.assert_allclose(ours.value, theirs, atol=1e-13)
    deficient = of_rank(3, 2)
    for ours, theirs in zip(
        la.lstsq(deficient, b[:3], 1e-8), numpy.linalg.lstsq(deficient, b[:3], 1e-8), strict=True
    ):
        numpy.testing.assert_allclose(ours.value, theirs, atol=1e-11)
    with pytest.raises(numpy.linalg.LinAlgError, match="lstsq"):
        la.lstsq(a, random(3))


def test_qr_without_a_derivative_says_what_to_do():
    a = random(3, 2)
    for mode in ("complete", "raw"):
        found, wanted = la.qr(a, mode), numpy.linalg.qr(a, mode)
        for ours, theirs in zip(found, wanted, strict=True):
            numpy.testing.assert_array_equal(ours.value, theirs)
        with pytest.raises(NotImplementedError, match="use mode='reduced'"):
            grad(lambda x, m=mode: np.sum(la.qr(x, m)[0]))(a)
    with pytest.raises(ValueError, match="Unrecognized mode"):
        la.qr(a, "thin")


def test_cond_of_singular_matrices_is_infinite():
    singular = numpy.ones((2, 2))
    for p in (1, -1, math.inf, "fro"):
        assert la.cond(singular, p).value == math.inf
    assert la.cond(numpy.zeros((2, 2))).value == math.inf
    stack = numpy.stack([numpy.diag([1.0, 2.0]), singular])
    numpy.testing.assert_array_equal(la.cond(stack, 1).value, [2, math.inf])
    with pytest.raises(numpy.linalg.LinAlgError, match="empty"):
        la.cond(numpy.zeros((0, 2)))


# ----- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", "cholesky det eig eigh eigvals eigvalsh inv slogdet matrix_power cond".split()
)
def test_a_matrix_that_is_not_square_is_refused(name):
    args = {"matrix_power": (2,), "cond": (1,)}.get(name, ())
    for bad in (numpy.ones((2, 3)), numpy.ones(3)):
        with pytest.raises((numpy.linalg.LinAlgError, ValueError)):
            getattr(la, name)(bad, *args)
        with pytest.raises((numpy.linalg.LinAlgError, ValueError)):
            grad(lambda x: np.sum(getattr(la, name)(x, *args)))(bad)


def test_singular_systems_are_refused():
    with pytest.raises(numpy.linalg.LinAlgError, match="Singular"):
        la.inv(numpy.ones((2, 2)))
    with pytest.raises(numpy.linalg.LinAlgError, match="Singular"):
        grad(lambda x: np.sum(la.solve(x, numpy.ones(2))))(numpy.ones((2, 2)))
    with pytest.raises(numpy.linalg.LinAlgError):
        la.cholesky(-numpy.eye(2))
    assert la.LinAlgError is numpy.linalg.LinAlgError


def test_solve_tells_vectors_from_matrices_as_numpy_2_does():
    a, b = random(3, 3, 3), random(3)
    found = la.solve(a, b)
    numpy.testing.assert_allclose(found.value, numpy.linalg.solve(a, b))
    check_grads(la.solve, (a, random(3, 3)))
    assert la.solve(a, random(3, 3)).shape == (3, 3, 3)


def test_multi_dot_is_numpys():
    with pytest.raises(ValueError, match="at least two"):
        la.multi_dot([numpy.eye(2)])
    with pytest.raises(numpy.linalg.LinAlgError, match="2-dimensional"):
        la.multi_dot([numpy.eye(2), numpy.ones(2), numpy.eye(2)])
    with pytest.raises(TypeError, match="out="):
        la.multi_dot([numpy.eye(2)] * 2, out=numpy.eye(2))
    chain = [random(2, 40), random(40, 3), random(3, 50), random(50, 1)]
    numpy.testing.assert_allclose(la.multi_dot(chain).value, numpy.linalg.multi_dot(chain))


def test_powers_of_matrices():
    a = random(3, 3)
    numpy.testing.assert_array_equal(la.matrix_power(a, 0).value, numpy.eye(3))
    assert la.matrix_power(numpy.array([[2]]), 3).value == 8
    with pytest.raises(TypeError, match="exponent must be an integer"):
        la.matrix_power(a, 0.5)


def test_tensor_solvers_check_the_shapes():
    with pytest.raises(ValueError, match="Invalid ind"):
        la.tensorinv(numpy.ones((2, 2)), 0)
    with pytest.raises(numpy.linalg.LinAlgError, match="prod"):
        la.tensorsolve(numpy.ones((2, 3)), numpy.ones(2))


def test_float32_stays_so():
    a = with_eigenvalues(1.0, 2.0, 4.0).astype("float32")
    for f in (la.det, la.cholesky, la.inv, la.eigvalsh, la.svdvals, la.pinv, la.norm, la.cond):
        value, gradient = value_and_grad(lambda x, f=f: np.sum(f(x)))(a)
        assert numpy.asarray(getattr(value, "value", value)).dtype == "float32"
        assert gradient.dtype == "float32"


# ----- plain NumPy ------------------------------------------------------------------------------


def test_numpys_own_functions_differentiate():
    a = with_eigenvalues(1.0, 2.0, 4.0)
    for name in "det inv cholesky norm pinv eigvalsh cond svdvals matrix_norm".split():
        theirs, ours = getattr(numpy.linalg, name), getattr(la, name)
        numpy.testing.assert_array_equal(
            grad(lambda x, f=theirs: np.sum(f(x)))(a), grad(lambda x, f=ours: np.sum(f(x)))(a)
        )
    assert isinstance(numpy.linalg.eigh(Tensor(a)).eigenvalues, Tensor)
    assert isinstance(numpy.linalg.solve(Tensor(a), numpy.ones(3)), Tensor)
    check_grads(lambda x: numpy.linalg.svd(x @ x.T)[1], (random(2, 3),))
    check_grads(lambda x: numpy.linalg.multi_dot([x, x, x]), (random(2, 2),))


def test_the_gradient_of_logdet_through_cholesky():
    a = with_eigenvalues(1.0, 2.0, 4.0)

    def f(x):
        return 2 * np.sum(np.log(np.diagonal(la.cholesky((x + x.T) / 2))))

    numpy.testing.assert_allclose(grad(f)(a), numpy.linalg.inv(a), atol=1e-12)


# ----- SciPy ------------------------------------------------------------------------------------


def test_only_the_triangle_that_is_read_counts():
    a, b = random(3, 3) + 4 * numpy.eye(3), random(3)
    upper = grad(lambda a: np.sum(sl.solve_triangular(a, b)))(a)
    numpy.testing.assert_array_equal(upper, numpy.triu(upper))
    unit = grad(lambda a: np.sum(sl.solve_triangular(a, b, lower=True, unit_diagonal=True)))(a)
    numpy.testing.assert_array_equal(unit, numpy.tril(unit, -1))


def test_nothing_is_overwritten():
    a, b = random(3, 3) + 4 * numpy.eye(3), random(3)
    kept = b.copy()
    sl.solve_triangular(a, b, overwrite_b=True)
    band = numpy.ones((3, 3)) + 2
    sl.solve_banded((1, 1), band, b, overwrite_ab=True, overwrite_b=True)
    numpy.testing.assert_array_equal(b, kept)
    numpy.testing.assert_array_equal(band, 3)


def test_scipys_solvers_refuse_bad_input():
    with pytest.raises(ValueError, match="trans='X'"):
        sl.solve_triangular(numpy.eye(2), numpy.ones(2), trans="X")
    with pytest.raises(numpy.linalg.LinAlgError, match="singular"):
        sl.solve_triangular(numpy.zeros((2, 2)), numpy.ones(2))
    with pytest.raises(ValueError, match="invalid values for the number"):
        sl.solve_banded((1, 1), numpy.ones((2, 3)), numpy.ones(3))
    with pytest.raises(TypeError, match="disp=False"):
        sl.sqrtm(numpy.eye(2), disp=False)
    with pytest.raises(ValueError, match="infs or NaNs"):
        sl.solve_triangular(numpy.full((2, 2), numpy.nan), numpy.ones(2))


def test_the_root_of_equal_eigenvalues_has_a_derivative():
    numpy.testing.assert_allclose(
        jacobian(sl.sqrtm)(4 * numpy.eye(2)), numpy.eye(4).reshape(2, 2, 2, 2) / 4, atol=1e-14
    )
    check_grads(sl.sqrtm, (4 * numpy.eye(3),))


def test_the_root_turns_complex_where_scipys_does():
    a = numpy.array([[-1.0, 0.3], [0.2, -2.0]])
    assert sl.sqrtm(a).dtype == complex
    check_grads(sl.sqrtm, (a,))


@pytest.mark.parametrize(
    "f",
    [
        la.svdvals,
        lambda a: la.svd(a, compute_uv=False),
        lambda a: la.svd(a, compute_uv=False, hermitian=True),
        la.eigvalsh,
        lambda a: np.real(la.eigvals(a)),
    ],
    ids=["svdvals", "svd", "svd-hermitian", "eigvalsh", "eigvals"],
)
def test_values_of_nested_lists_carry_a_gradient(f):
    check_grads(lambda x: f([[x, 1.0], [1.0, 3.0]]), (0.4,))


def test_the_lower_triangle_of_integers_is_not_halved_in_integers():
    a = numpy.array([[1, 2], [2, 5]])
    numpy.testing.assert_allclose(la.pinv(a, hermitian=True).value, [[5, -2], [-2, 1]])


@pytest.mark.parametrize("ord", [1, -1, math.inf, -math.inf])
def test_norms_of_integer_matrices_are_floats(ord):
    found = la.norm(numpy.array([[3, 4], [1, 2]]), ord)
    assert found.dtype == numpy.float64


def test_least_squares_of_mixed_precision_is_solved_in_the_higher_one():
    a, b = random(5, 2).astype(numpy.float32), random(5)
    expected = numpy.linalg.lstsq(a, b)[0]
    numpy.testing.assert_allclose(la.lstsq(a, b).x.value, expected, rtol=1e-12)


def test_a_negative_limit_of_least_squares_is_lapacks_own():
    a, b = of_rank(3, 2), random(3)
    numpy.testing.assert_allclose(
        la.lstsq(a, b, -1).x.value, numpy.linalg.lstsq(a, b, -1)[0], rtol=1e-9
    )


def test_a_nan_in_one_matrix_of_a_stack_leaves_the_others_their_determinants():
    a = numpy.array([[[2.0, 1.0], [1.0, 3.0]], [[math.nan, 1.0], [1.0, 2.0]]])
    with numpy.errstate(invalid="ignore"):
        g = grad(lambda a: np.sum(la.det(a)))(a)
    numpy.testing.assert_allclose(g[0], [[3, -1], [-1, 2]])
    assert numpy.isnan(g[1]).any()


@pytest.mark.parametrize(
    "f",
    [la.norm, lambda x, p: la.vector_norm(x, ord=p), lambda x, p: la.cond(np.eye(2), p)],
    ids=["norm", "vector_norm", "cond"],
)
@pytest.mark.parametrize("order", [1.0, 2.0, 3.0])
def test_the_order_of_a_norm_has_no_derivative_and_says_so(f, order):
    with pytest.raises(NotImplementedError, match=r"is tracked and has no derivative.*stop_grad"):
        grad(lambda p: f(numpy.array([1.0, 2.0]), p))(order)


def test_the_order_of_a_norm_may_be_a_constant_tensor():
    assert la.norm([3.0, 4.0], Tensor(numpy.float64(2))) == 5


def test_a_nan_takes_the_gradient_of_the_largest_element():
    g = grad(lambda x: la.norm(x, math.inf))(numpy.array([1.0, math.nan, 3.0]))
    numpy.testing.assert_array_equal(g, [0, math.nan, 0])
