"""Every edge case that is promised, on every backend: in both modes, in double and in single."""

import math

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from backpass.core import Tensor, elementwise_grad, grad, jacobian, jvp, vjp

from .corners import CORNERS, inf, nan

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def quiet():
    """Let NumPy compute nan and infinity without a word, as at a corner it must."""
    with numpy.errstate(all="ignore"):
        yield


@pytest.fixture(params=["float64", "float32"])
def dtype(request):
    """Run the test in double and in single precision."""
    return numpy.dtype(request.param)


def put_all(backend, args, dtype="float64"):
    """Lay numbers, and lists of them, on the device."""
    return [backend.put(numpy.asarray(x, dtype)[()]) for x in args]


def reverse(backend, f, args):
    """Return the gradients of the sum of `f`, in reverse mode, on the host."""
    found = grad(lambda *xs: backend.numpy.sum(f(*xs)), tuple(range(len(args))))(*args)
    return [backend.fetch(g) for g in found]


def forward(backend, f, args):
    """Return the gradients of the sum of `f`, in forward mode: one sweep an entry."""
    made = []
    for i, x in enumerate(args):
        g = numpy.zeros(x.shape, x.dtype)
        for entry in numpy.ndindex(x.shape):
            tangent = numpy.zeros(x.shape, x.dtype)
            tangent[entry] = 1
            tangents = [None] * len(args)
            tangents[i] = backend.put(tangent[()])
            moved = jvp(lambda *xs: backend.numpy.sum(f(*xs)), args, tangents)[1]
            g[entry] = backend.fetch(moved)
        made.append(g)
    return made


MODES = pytest.mark.parametrize("mode", [reverse, forward])


@pytest.mark.parametrize("case", CORNERS, ids=lambda c: c.promise)
@MODES
def test_corner(case, mode, dtype, backend):
    if backend.backend.device != "cpu" and "cupy" in case.without:
        pytest.skip(f"CuPy has no {case.module}")
    args = put_all(backend, case.args, dtype)
    found = mode(backend, case.call(backend.namespace), args)
    for g, expected, x in zip(found, case.gradients, args, strict=True):
        assert g.dtype == dtype
        assert g.shape == x.shape
        assert_allclose(g, expected, rtol=1e-4 if dtype == "float32" else 1e-12, atol=1e-15)


# ----- the strong zero ----------------------------------------------------------------------------

TRAPS = {
    "sqrt": lambda np, x: np.sqrt(x),
    "log": lambda np, x: np.log(x),
    "1/x": lambda np, x: 1 / x,
    "x**0.5": lambda np, x: x**0.5,
    "x**-1.5": lambda np, x: x**-1.5,
    "exp, overflowing": lambda np, x: np.exp(-1e6 * x),
    "arcsin": lambda np, x: np.arcsin(x),
    "arccos": lambda np, x: np.arccos(x),
    "arccosh": lambda np, x: np.arccosh(x),
    "arctanh": lambda np, x: np.arctanh(x),
    "log1p": lambda np, x: np.log1p(x - 1),
    "log2": lambda np, x: np.log2(x),
    "log10": lambda np, x: np.log10(x),
    "cbrt": lambda np, x: np.cbrt(x),
    "reciprocal": lambda np, x: np.reciprocal(x),
    "sqrt of sum of squares": lambda np, x: np.sqrt(x * x),
    "y / x": lambda np, x: x / (x * x),
    "logaddexp": lambda np, x: np.logaddexp(np.log(x), 0.0),
    "tan at nan": lambda np, x: np.tan(x / 0.0 * 0.0),
    "power": lambda np, x: np.power(x, x),
    "hypot": lambda np, x: np.hypot(x, np.sqrt(x)),
    "arctan2": lambda np, x: np.arctan2(np.log(x), x),
    "norm": lambda np, x: np.linalg.norm(x[:, None], axis=1),
    "norm of pairs": lambda np, x: np.linalg.norm(np.stack([x, x * x], axis=-1), axis=-1),
}
OUTSIDE = numpy.array([0.0, -1.0, -2.0])


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_where_hides_the_other_branch_to_every_order(trap, order, dtype, backend):
    np = backend.numpy

    def derivative(x):
        return np.where(x > 0, TRAPS[trap](np, x), 0.0)

    for _ in range(order):
        derivative = elementwise_grad(derivative)
    found = backend.fetch(derivative(backend.put(OUTSIDE.astype(dtype))))
    assert_array_equal(found, numpy.zeros(3))
    assert found.dtype == dtype


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_where_hides_the_other_branch_in_forward_mode(trap, order, dtype, backend):
    np = backend.numpy
    ones = backend.put(numpy.ones(3, dtype))

    def derivative(x):
        return np.where(x > 0, TRAPS[trap](np, x), 0.0)

    def pushed(g):
        return lambda x: jvp(g, (x,), (ones,))[1]

    for _ in range(order):
        derivative = pushed(derivative)
    found = derivative(backend.put(OUTSIDE.astype(dtype)))
    assert_array_equal(backend.fetch(found), numpy.zeros(3))


@pytest.mark.parametrize("trap", ["sqrt", "log", "1/x", "x**0.5"])
def test_where_leaves_the_chosen_branch_alone(trap, backend):
    np = backend.numpy

    def f(x):
        return TRAPS[trap](np, x)

    def chosen(x):
        return np.where(x > 0, f(x), 0.0)

    x = backend.put(numpy.array([2.0]))
    for order in range(3):
        plain, guarded = f, chosen
        for _ in range(order + 1):
            plain, guarded = elementwise_grad(plain), elementwise_grad(guarded)
        assert_allclose(backend.fetch(guarded(x)), backend.fetch(plain(x)), rtol=1e-13)


@pytest.mark.parametrize("name", "tanh sin exp square abs log sqrt expit erf".split())
def test_where_hides_nan_at_nan(name, backend):
    np = backend.numpy
    home = backend.namespace("scipy.special") if name in ("expit", "erf") else np
    x = backend.put(numpy.array([nan, 1.0]))
    g = reverse(backend, lambda x: np.where(np.isnan(x), 0.0, getattr(home, name)(x)), [x])[0]
    assert g[0] == 0
    assert g[1] != 0


def test_where_hides_sin_of_infinity(backend):
    np = backend.numpy
    x = backend.put(numpy.array([inf, 0.0]))
    g = reverse(backend, lambda x: np.where(np.isinf(x), 0.0, np.sin(x)), [x])[0]
    assert_array_equal(g, [0.0, 1.0])


@MODES
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_where_hides_a_row_whose_softmax_is_nan(name, mode, backend):
    np, f = backend.numpy, getattr(backend.namespace("scipy.special"), name)
    masked, row = numpy.full(3, -inf), numpy.array([0.5, 1.0, 2.0])
    hidden = backend.put(numpy.array([[True], [False]]))

    def squares(x):
        return np.where(hidden, 0.0, f(x, axis=1) ** 2)

    g = mode(backend, squares, [backend.put(numpy.stack([masked, row]))])[0]
    alone = mode(backend, lambda x: f(x, axis=1) ** 2, [backend.put(row[None])])[0]
    assert_array_equal(g[0], 0.0)
    assert_allclose(g[1], alone[0], rtol=1e-12)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_nth_derivative_of_tanh_to_the_n_at_0(n, backend):
    np = backend.numpy

    def by_power(x):
        return np.tanh(x) ** n

    def by_products(x):
        y = np.tanh(x)
        product = y
        for _ in range(n - 1):
            product = product * y
        return product

    for f in (by_power, by_products):
        for _ in range(n):
            f = grad(f)
        (zero,) = put_all(backend, [0.0])
        assert_allclose(backend.fetch(f(zero)), math.factorial(n))


def test_second_derivative_of_tanh_squared_at_0_is_2_in_every_mixture(backend):
    zero, one = put_all(backend, [0.0, 1.0])

    def f(x):
        return backend.numpy.tanh(x) ** 2

    def push(h):
        return lambda x: jvp(h, (x,), (one,))[1]

    for outer in (grad, push):
        for inner in (grad, push):
            assert_allclose(backend.fetch(outer(inner(f))(zero)), 2.0)


def test_a_strong_zero_has_its_price(backend):
    np = backend.numpy
    (zero,) = put_all(backend, [0.0])
    assert backend.fetch(grad(lambda x: np.square(np.sqrt(x)))(zero)) == 0.0


#: Corners at which the second derivative is infinite, or has another value from each side.
SINGULAR = {
    "0**0 has slope 0 in x and y",
    "the operator ** follows power",
    "arcsin at its ends",
}
#: Corners whose second derivative is refused, and the error's words.
REFUSED = {
    "equal eigenvalues have derivatives": "degenerate",
    "equal singular values have derivatives": "degenerate",
    "equal singular values without vectors": "degenerate",
}


@pytest.mark.parametrize(
    "case", [c for c in CORNERS if c.promise not in SINGULAR], ids=lambda c: c.promise
)
@pytest.mark.filterwarnings("ignore:the output of .* does not depend:UserWarning")
def test_second_derivatives_at_a_corner_are_the_same_in_every_mixture(case, backend):
    if backend.backend.device != "cpu" and "cupy" in case.without:
        pytest.skip(f"CuPy has no {case.module}")
    np = backend.numpy
    f, args = case.call(backend.namespace), put_all(backend, case.args)
    every = tuple(range(len(args)))
    moved = put_all(
        backend, [numpy.linspace(1, 2, numpy.size(x)).reshape(numpy.shape(x)) for x in case.args]
    )

    def total(*xs):
        return np.sum(f(*xs))

    def along(*xs):
        return jvp(total, xs, moved)[1]

    def pulled(*xs):
        return sum(np.sum(g * t) for g, t in zip(grad(total, every)(*xs), moved, strict=True))

    mixtures = {
        "forward over reverse": lambda: jvp(grad(total, every), args, moved)[1],
        "reverse over forward": lambda: grad(along, every)(*args),
        "reverse over reverse": lambda: grad(pulled, every)(*args),
    }
    if case.promise in REFUSED:
        for mixture in mixtures.values():
            with pytest.raises(numpy.linalg.LinAlgError, match=REFUSED[case.promise]):
                mixture()
        return
    first, *others = ([backend.fetch(g) for g in m()] for m in mixtures.values())
    for other in others:
        for a, b in zip(first, other, strict=True):
            assert_allclose(a, b, rtol=1e-10, atol=1e-12)


# ----- degenerate matrices ------------------------------------------------------------------------


@MODES
@pytest.mark.parametrize(
    "f",
    [
        lambda la, x: la.eigh(x)[1],
        lambda la, x: la.svd(x)[0],
        lambda la, x: la.svd(x, full_matrices=False)[2],
    ],
    ids=["eigh", "svd", "svd_thin"],
)
def test_vectors_of_equal_values_are_refused_as_degenerate(f, mode, backend):
    la = backend.namespace("numpy.linalg")
    x = backend.put(3 * numpy.eye(2))
    with pytest.raises(numpy.linalg.LinAlgError, match="degenerate"):
        mode(backend, lambda x: f(la, x), [x])


def test_det_of_nothing(backend):
    x = backend.put(numpy.ones((0, 0)))
    (g,) = reverse(backend, backend.namespace("numpy.linalg").det, [x])
    assert g.shape == (0, 0)


# ----- ties ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1)])
def test_ties_share_equally_along_any_axis(axis, dtype, backend):
    x = backend.put(numpy.full((2, 4), 3, dtype))
    (g,) = reverse(backend, lambda x: backend.numpy.max(x, axis=axis), [x])
    shares = {None: 1 / 8, 0: 1 / 2, 1: 1 / 4, -1: 1 / 4, (0, 1): 1 / 8}
    assert_allclose(g, numpy.full((2, 4), shares[axis]))


def test_ties_are_counted_beyond_the_integers_of_float16(backend):
    (g,) = reverse(backend, backend.numpy.max, [backend.put(numpy.zeros(5000, numpy.float16))])
    assert g.dtype == numpy.float16
    assert_allclose(g.astype(float), 1 / 5000, rtol=1e-3)


def test_clip_is_minimum_of_maximum(backend):
    np = backend.numpy
    args = put_all(backend, [[-1.0, 0.0, 1.0, 2.0, 3.0], 0.0, 2.0])
    clipped = reverse(backend, np.clip, args)
    composed = reverse(backend, lambda x, lo, hi: np.minimum(np.maximum(x, lo), hi), args)
    for a, b in zip(clipped, composed, strict=True):
        assert_array_equal(a, b)


# ----- keywords -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", "sum mean prod var std cumsum".split())
def test_dtype_is_honoured(name, backend):
    f = getattr(backend.numpy, name)
    x = backend.put(numpy.array([1.0, 2.0], numpy.float32))
    assert f(x, dtype=numpy.float64).dtype == numpy.float64
    (g,) = reverse(backend, lambda x: f(x, dtype=numpy.float64), [x])
    assert g.dtype == numpy.float32


def test_the_tangent_of_sum_leaves_the_initial_value_out(backend):
    ones = backend.put(numpy.ones(3))
    _, t = jvp(lambda x: backend.numpy.sum(x, initial=5.0), (ones,), (ones,))
    assert backend.fetch(t) == 3.0


@pytest.mark.parametrize(
    ("name", "at", "slope"), [("sum", 0.5, 1), ("prod", 0.5, 6), ("max", 10, 1), ("min", -10, 1)]
)
@MODES
def test_a_tracked_keyword_gets_its_gradient(name, at, slope, mode, backend):
    np = backend.numpy
    x = np.array([3.0, 2.0])
    (g,) = mode(backend, lambda s: getattr(np, name)(x, initial=s), put_all(backend, [float(at)]))
    assert g == slope


@pytest.mark.parametrize("name", "exp tanh sum reshape matmul concatenate sort clip where".split())
def test_an_unknown_keyword_is_refused(name, backend):
    ones = backend.numpy.ones((2, 2))
    count = {"matmul": 2, "clip": 3, "where": 3}.get(name, 1)
    with pytest.raises(TypeError, match="nonsense"):
        getattr(backend.numpy, name)(*[ones] * count, nonsense=1)


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "var", "std", "max"])
def test_where_may_be_a_single_truth(name, backend):
    np = backend.numpy
    (x,) = put_all(backend, [[[1.0, 2.0, 5.0], [4.0, 5.0, 3.0]]])
    initial = {"initial": -9.0} if name == "max" else {}
    (right,) = reverse(backend, lambda x: getattr(np, name)(x, axis=0), [x])
    for truth in (True, numpy.True_):
        (found,) = reverse(
            backend, lambda x, t=truth: getattr(np, name)(x, axis=0, where=t, **initial), [x]
        )
        assert_allclose(found, right, rtol=1e-15)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ["var", "std"])
def test_a_spread_of_too_few_has_no_derivative(name, backend):
    f = getattr(backend.numpy, name)
    (g,) = reverse(backend, lambda x: f(x, ddof=1), put_all(backend, [[1.0]]))
    assert numpy.isnan(g)
    (g,) = reverse(backend, lambda x: f(x, axis=0), put_all(backend, [numpy.ones((0, 2))]))
    assert g.shape == (0, 2)


# ----- reading and writing elements ---------------------------------------------------------------


def written(np, x, y, index):
    made = np.array(x)
    made[index] = y
    return made


@MODES
def test_of_repeated_writes_one_wins_and_takes_the_whole_gradient(mode, dtype, backend):
    np = backend.numpy
    args = put_all(backend, [[1.0, 2.0, 3.0], [5.0, 6.0]], dtype)
    value = backend.fetch(written(np, *map(Tensor, args), [0, 0]))
    gx, gy = mode(backend, lambda x, y: written(np, x, y, [0, 0]), args)
    assert_array_equal(gx, [0.0, 1.0, 1.0])
    assert_array_equal(value[1:], [2.0, 3.0])
    # The last one on the CPU; on a GPU any, but the gradient goes to the one that is there.
    assert value[0] == 6.0 if backend.backend.device == "cpu" else value[0] in (5.0, 6.0)
    assert_array_equal(gy, [value[0] == 5.0, value[0] == 6.0])


@MODES
def test_repeated_writes_of_a_scalar_count_once(mode, backend):
    np = backend.numpy
    (gy,) = mode(backend, lambda y: written(np, np.zeros(3), y, [0, 0, 2]), put_all(backend, [2.0]))
    assert gy == 2.0


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (1, 1, 3), (3,), (1,), ()], ids=str)
@MODES
def test_a_written_value_may_have_leading_axes_of_length_1(shape, mode, backend):
    np = backend.numpy
    args = put_all(backend, [numpy.ones((2, 3)), numpy.ones(shape)])
    weights = np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]])
    gx, gy = mode(backend, lambda x, y: weights * written(np, x, y, 1), args)
    assert_array_equal(gx, [[1.0, 2.0, 4.0], [0.0, 0.0, 0.0]])
    assert_array_equal(gy, numpy.reshape([8.0, 16.0, 32.0] if shape[-1:] == (3,) else 56.0, shape))


VIEWS = {
    "x[:]": lambda np, x: x[:],
    "x[1:][::-1]": lambda np, x: x[1:][::-1],
    "x.reshape(-1)": lambda np, x: x.reshape(-1),
    "np.reshape": lambda np, x: np.reshape(x, (3, 2)),
    "x.T": lambda np, x: x.T,
    "ravel": lambda np, x: np.ravel(x),
    "x[..., None]": lambda np, x: x[..., None],
    "swapaxes": lambda np, x: np.swapaxes(x, 0, 1),
    "broadcast_to": lambda np, x: np.broadcast_to(x, (2, *x.shape)),
    "squeeze": lambda np, x: np.squeeze(x),
    "real": lambda np, x: np.real(x),
    "asarray": lambda np, x: np.asarray(x)[...],
    "split": lambda np, x: np.split(x, 2, axis=0)[0],
    "diagonal": lambda np, x: np.diagonal(x),
    "flip": lambda np, x: np.flip(x, 0),
}


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_does_not_see_a_later_write_to_second_order(view, backend):
    np = backend.numpy
    x = Tensor(*put_all(backend, [[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]))

    def f(x, write):
        y = x * x
        seen = VIEWS[view](np, y)
        if write:
            y[0] = 0.0
            y *= 3
        return np.sum(seen * seen)

    for order in (f, grad(f, 0), grad(lambda x, w: np.sum(grad(f, 0)(x, w) ** 2), 0)):
        assert_array_equal(backend.fetch(order(x, True)), backend.fetch(order(x, False)))


# ----- nothing, and single numbers ----------------------------------------------------------------

ON_NOTHING = {
    "sum": lambda np, x: np.sum(x),
    "exp": lambda np, x: np.exp(x),
    "cumsum": lambda np, x: np.cumsum(x),
    "ravel": lambda np, x: np.ravel(x),
    "abs": lambda np, x: np.abs(x),
    "square": lambda np, x: x * x,
    "prod": lambda np, x: np.prod(x) + np.sum(x),
    "concatenate": lambda np, x: np.concatenate([x, x]),
    "stack": lambda np, x: np.stack([x, x], axis=-1),
    "where": lambda np, x: np.where(x > 0, x, 0.0),
    "reversed": lambda np, x: x[::-1],
    "mask": lambda np, x: x[x > 0],
    "list": lambda np, x: x[[]],
    "matmul": lambda np, x: np.matmul(x, x.T),
    "einsum": lambda np, x: np.einsum("...i,...i->...", x, x),
    "tile": lambda np, x: np.tile(x, 2),
    "repeat": lambda np, x: np.repeat(x, 3, axis=0),
    "sort": lambda np, x: np.sort(x),
    "pad": lambda np, x: np.pad(x, 1),
    "roll": lambda np, x: np.roll(x, 1),
    "max": lambda np, x: np.max(x, axis=None, initial=0.0),
    "written": lambda np, x: written(np, x, 1.0, ...),
}


@pytest.mark.parametrize("name", ON_NOTHING)
@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 3)], ids=str)
def test_empty_arrays_have_empty_gradients(name, shape, dtype, backend):
    np = backend.numpy
    x = backend.put(numpy.ones(shape, dtype))
    (g,) = reverse(backend, lambda x: ON_NOTHING[name](np, x), [x])
    assert g.shape == shape
    assert g.dtype == dtype
    _, t = jvp(lambda x: np.sum(ON_NOTHING[name](np, x)), (x,), (x,))
    assert backend.fetch(t) == 0


@pytest.mark.parametrize("name", ["max", "min"])
def test_extremes_of_nothing_are_refused_as_by_numpy(name, backend):
    with pytest.raises(ValueError, match="zero-size array"):
        getattr(backend.numpy, name)(backend.put(numpy.ones(0)))


def test_zero_dimensional_arrays_work_like_scalars(dtype, backend):
    np = backend.numpy
    x = backend.put(numpy.array(2.0, dtype))
    g = backend.fetch(grad(lambda x: np.sum(x**3) + x[()] * 2, 0)(x))
    assert g == 14.0
    assert g.dtype == dtype
    assert g.shape == ()


def test_a_long_chain(backend):
    def f(x):
        for _ in range(100_000):
            x = x * 0.99999
        return x

    (x,) = put_all(backend, [1.0])
    assert_allclose(backend.fetch(grad(f)(x)), 0.99999**100_000)


def test_a_tensor_kept_from_inside_is_untracked_afterwards(backend):
    kept = []

    def f(x):
        kept.append(x * x)
        return backend.numpy.sum(kept[-1])

    x = backend.put(numpy.array([1.0, 2.0]))
    for _ in range(2):
        grad(f, 0)(x)
    assert not (kept[0] + kept[1]).tracked
    total = grad(lambda x: backend.numpy.sum(x * kept[0]), 0)(x)
    assert_array_equal(backend.fetch(total), [1.0, 4.0])


# ----- complex numbers ----------------------------------------------------------------------------


def test_gradient_of_a_real_function_of_z_is_the_conjugate_of_steepest_ascent(backend):
    np = backend.numpy
    z = backend.put(numpy.complex128(1 + 2j))
    assert_allclose(backend.fetch(grad(lambda z: np.abs(z) ** 2)(z)), 2 - 4j)
    assert_allclose(backend.fetch(grad(lambda z: np.real(z * np.conj(z)))(z)), 2 - 4j)


@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
def test_tangent_of_a_real_function_of_z_is_real(dtype, backend):
    z, one = put_all(backend, [3 + 4j, 1], dtype)
    _, t = jvp(backend.numpy.abs, (z,), (one,))
    t = backend.fetch(t)
    assert_allclose(t, 0.6, rtol=1e-6)
    assert t.dtype == z.real.dtype


@MODES
def test_a_real_function_through_complex_numbers(mode, dtype, backend):
    np = backend.numpy
    (x,) = put_all(backend, [[0.3, -0.7]], dtype)
    (g,) = mode(backend, lambda x: np.real(np.exp(1j * x)), [x])
    assert g.dtype == dtype
    assert_allclose(g, -numpy.sin(backend.fetch(x)), rtol=1e-6)


def test_abs_of_complex_zero_has_slope_0(backend):
    (z,) = put_all(backend, [0], "complex128")
    assert backend.fetch(grad(backend.numpy.abs)(z)) == 0


def test_a_real_parent_keeps_the_real_part(dtype, backend):
    np = backend.numpy
    (x,) = put_all(backend, [[1.0, 2.0]], dtype)
    (g,) = reverse(backend, lambda x: np.real(x * (1 + 2j)), [x])
    assert g.dtype == dtype
    assert_array_equal(g, [1.0, 1.0])
    (g,) = reverse(backend, lambda x: np.imag(x * (1 + 2j)), [x])
    assert_array_equal(g, [2.0, 2.0])


# ----- shapes of derivatives ----------------------------------------------------------------------


def test_the_jacobian_of_an_outer_product(backend):
    (x,) = put_all(backend, [[1.0, 2.0]])
    j = backend.fetch(jacobian(lambda x: backend.numpy.outer(x, x))(x))
    assert j.shape == (2, 2, 2)
    assert_array_equal(j[:, :, 0], [[2.0, 2.0], [2.0, 0.0]])


def test_vjp_of_several_outputs_with_none(backend):
    np = backend.numpy
    (x,) = put_all(backend, [[0.0, 1.0]])
    _, pull = vjp(lambda x: (np.sin(x), np.cos(x)), x)
    (g,) = pull((backend.put(numpy.ones(2)), None))
    assert_allclose(backend.fetch(g), numpy.cos([0.0, 1.0]))
