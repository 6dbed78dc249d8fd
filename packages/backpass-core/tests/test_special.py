"""Special functions where the textbook's formula has a hole, and what is refused."""

import math
from typing import Any, NamedTuple

import numpy
import pytest
import scipy.special
from numpy.testing import assert_allclose, assert_array_equal

import backpass.numpy as np
import backpass.scipy.special as sp
from backpass.core import Tensor, elementwise_grad, grad, jvp, vjp
from backpass.core.ops.special.bessel import i_over_power, j_over_power
from backpass.core.ops.special.gamma import complex_polygamma

pytestmark = pytest.mark.usefixtures("arithmetic", "quiet")

inf, nan, pi = math.inf, math.nan, math.pi
EULER = numpy.euler_gamma


def forward(f):
    """Return the derivative of an elementwise function, in forward mode."""
    return lambda x: jvp(f, [x], [np.ones_like(x)])[1]


# ----- one operand --------------------------------------------------------------------------------


class Corner(NamedTuple):
    """A function, points, and its first two derivatives there; the second may be left out."""

    promise: str
    f: Any
    points: Any
    first: Any
    second: Any = None


CORNERS = [
    Corner("gamma is -inf steep at 0", sp.gamma, [0.0], [-inf]),
    Corner(
        "gamma between its poles",
        sp.gamma,
        [-0.5],
        [-2 * math.sqrt(pi) * (2 - EULER - 2 * math.log(2))],
    ),
    Corner("gammaln between its poles", sp.gammaln, [-0.5], [2 - EULER - 2 * math.log(2)]),
    Corner("gammaln at 0", sp.gammaln, [0.0], [-inf], [inf]),
    Corner("digamma at 0", sp.digamma, [0.0], [inf]),
    Corner("rgamma at its zeros", sp.rgamma, [0.0, -1.0, -2.0, 1.0], [1, -1, 2, EULER]),
    Corner("rgamma bends at 0", sp.rgamma, [0.0, 1e-20], [1, 1], [2 * EULER, 2 * EULER]),
    Corner("rgamma at large x", sp.rgamma, [200.0], [0], [0]),
    Corner("rgamma at inf", sp.rgamma, [inf], [0]),
    Corner("j0 at 0", sp.j0, [0.0, -0.0], [0, 0], [-0.5, -0.5]),
    Corner("j1 at 0", sp.j1, [0.0, -0.0], [0.5, 0.5], [0, 0]),
    Corner("i0 at 0", sp.i0, [0.0], [0], [0.5]),
    Corner("i1 at 0", sp.i1, [0.0], [0.5], [0]),
    Corner("i1 overflows", sp.i1, [800.0, -800.0], [inf, inf], [inf, -inf]),
    Corner(
        "jn at 0", lambda x: sp.jn([0, 1, 2, 3], x), [0.0] * 4, [0, 0.5, 0, 0], [-0.5, 0, 0.25, 0]
    ),
    Corner(
        "iv at 0", lambda x: sp.iv([0, 1, 2, 3], x), [0.0] * 4, [0, 0.5, 0, 0], [0.5, 0, 0.25, 0]
    ),
    Corner("jv of order 1 near 0", lambda x: sp.jv(1, x), [1e-20, -1e-20], [0.5, 0.5], [0, 0]),
    Corner("iv of order 1 near 0", lambda x: sp.iv(1, x), [1e-20, -1e-20], [0.5, 0.5], [0, 0]),
    Corner("jv of order 1/2 at 0", lambda x: sp.jv(0.5, x), [0.0], [inf]),
    Corner("i0e has slope 0 at its kink", sp.i0e, [0.0, -0.0], [0, 0]),
    Corner("i1e at 0", sp.i1e, [0.0], [0.5], [0]),
    Corner("i1e at the ends", sp.i1e, [-inf, inf], [0, 0], [0, 0]),
    Corner("i1e near 0", sp.i1e, [1e-20, -1e-20], [0.5, 0.5], [-1, 1]),
    Corner("ive has slope 0 at its kink", lambda x: sp.ive([0, 1, 2], x), [0.0] * 3, [0, 0.5, 0]),
    Corner("y0 at 0", sp.y0, [0.0], [inf]),
    Corner("y1 at 0", sp.y1, [0.0], [inf]),
    Corner("yn at 0", lambda x: sp.yn([1, 2, 3], x), [0.0] * 3, [inf] * 3),
    Corner("yv at 0", lambda x: sp.yv([0.5, 1.5], x), [0.0] * 2, [inf] * 2),
    Corner("k0 at 0", sp.k0, [0.0], [-inf]),
    Corner("k1 at 0", sp.k1, [0.0], [-inf]),
    Corner("k0e at 0", sp.k0e, [1e-300], [-1e300]),
    Corner("k1e at 0", sp.k1e, [0.0], [-inf]),
    Corner("kn at 0", lambda x: sp.kn([0, 1, 2], x), [0.0] * 3, [-inf] * 3),
    Corner("kv at 0", lambda x: sp.kv([0, 0.5, 1.5], x), [0.0] * 3, [-inf] * 3),
    Corner("erfinv at its ends", sp.erfinv, [-1.0, 1.0], [inf, inf]),
    Corner("erfinv outside", sp.erfinv, [1.5], [nan]),
    Corner("erfcinv at its ends", sp.erfcinv, [0.0, 2.0], [-inf, -inf]),
    Corner("erf far out", sp.erf, [-40.0, 40.0], [0, 0], [0, 0]),
    Corner("erf at the ends", sp.erf, [-inf, inf], [0, 0]),
    Corner("logit at its ends", sp.logit, [0.0, 1.0], [inf, inf]),
    Corner("expit saturates", sp.expit, [-1000.0, 1000.0, -inf, inf], [0] * 4, [0] * 4),
    Corner("log_expit saturates", sp.log_expit, [-1000.0, 1000.0], [1, 0], [0, 0]),
    Corner("entr at 0", sp.entr, [0.0], [inf], [-inf]),
    Corner("exprel at 0", sp.exprel, [0.0], [1 / 2], [1 / 3]),
    Corner("exprel overflows", sp.exprel, [800.0, -800.0], [inf, 1 / 800**2], [inf, 2 / 800**3]),
    Corner(
        "expn below order 2", lambda x: sp.expn([0, 1], x), [1.0, 1.0], [-2 / math.e, -1 / math.e]
    ),
    Corner("exp1 at 0", sp.exp1, [0.0], [-inf]),
    Corner("spence at 1", sp.spence, [1.0], [-1], [1 / 2]),
    Corner("spence near 0", sp.spence, [1e-20], [-20 * math.log(10)], [1e20]),
    Corner("spence at 0", sp.spence, [0.0], [-inf], [inf]),
    Corner("gammainc at inf", lambda x: sp.gammainc(2.5, x), [inf], [0], [0]),
    Corner("stdtr far out", lambda x: sp.stdtr(2.5, x), [-inf, 1e200, inf], [0] * 3, [0] * 3),
    Corner("ellipk at 0", sp.ellipk, [0.0], [pi / 8], [9 * pi / 64]),
    Corner("ellipe at 0", sp.ellipe, [0.0], [-pi / 8], [-3 * pi / 64]),
    Corner("lambertw at 0", lambda x: np.real(sp.lambertw(x)), [0.0], [1], [-2]),
    Corner("cbrt at 0", sp.cbrt, [0.0], [inf]),
    Corner("huber at its seams", lambda r: sp.huber(1.0, r), [-1.0, 0.0, 1.0], [-1, 0, 1]),
    Corner("pseudo_huber at 0", lambda r: sp.pseudo_huber(2.0, r), [0.0], [0], [1]),
]


@pytest.mark.parametrize("mode", [elementwise_grad, forward], ids=["reverse", "forward"])
@pytest.mark.parametrize("corner", CORNERS, ids=[c.promise for c in CORNERS])
def test_derivatives_at_corners(corner, mode):
    x = numpy.array(corner.points)
    assert_allclose(getattr(found := mode(corner.f)(x), "value", found), corner.first, atol=1e-15)
    if corner.second is not None:
        found = mode(mode(corner.f))(x)
        assert_allclose(getattr(found, "value", found), corner.second, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("f", "third"), [(sp.j1, -3 / 8), (sp.i1, 3 / 8), (sp.exprel, 1 / 4), (sp.sinc, 0)]
)
def test_the_third_derivative_at_0_is_none_of_a_chosen_constant(f, third):
    assert_allclose(grad(grad(grad(f)))(0.0), third, atol=1e-15)


@pytest.mark.parametrize("quotient", [j_over_power, i_over_power], ids=["J", "I"])
def test_bessel_functions_over_powers_are_whole(quotient):
    bessel = scipy.special.jv if quotient is j_over_power else scipy.special.iv
    x = numpy.array([-30.0, -6.1, -3.9, 0.7, 2.1, 3.9, 4.1, 7.9, 8.1, 12.0, 50.0])
    for n in (1, 2, 3, 4):
        # Of J between its zeros the amplitude counts.
        scale = numpy.abs(x) ** -0.5 if quotient is j_over_power else bessel(n, abs(x))
        right = bessel(n, x)
        assert_allclose((quotient.op(x, n=n) * x**n - right) / scale, 0, atol=1e-12)
        assert_allclose(quotient.op(0.0, n=n), 1 / (2**n * math.factorial(n)))


def test_odd_and_even_orders_at_negative_arguments():
    x = numpy.array([0.4, 1.7, 5.0])
    for name in ("jn", "iv", "ive"):
        f = getattr(sp, name)
        for order in (0, 1, 2, 3):
            d = elementwise_grad(lambda x, f=f, order=order: f(order, x))
            assert_allclose(d(-x), (-1) ** (order + 1) * d(x))


@pytest.mark.parametrize("name", ["jv", "iv", "kv", "yv", "kve", "ive"])
def test_a_zero_among_others_changes_nothing_for_them(name):
    f = elementwise_grad(lambda z: getattr(sp, name)([0.5, 1.0, 2.5], z))
    alone = f(numpy.array([0.3, 1.2, 4.0]))
    assert_allclose(f(numpy.array([0.0, 1.2, 4.0]))[1:], alone[1:], rtol=1e-12)


@pytest.mark.parametrize("name", ["jv", "iv", "kv", "yv", "kn", "yn", "ive", "kve"])
@pytest.mark.parametrize("x", [[0.5, 1.5], [0.5, 0.0]])
def test_an_unsigned_order_does_not_wrap(name, x):
    def f(order):
        return elementwise_grad(lambda x: getattr(sp, name)(order, x))(numpy.array(x))

    assert_array_equal(f(numpy.array([0, 2], "uint8")), f(numpy.array([0, 2])))


def test_unsigned_parameters_do_not_wrap():
    found = grad(sp.hyp2f1, 3)(numpy.uint8(20), numpy.uint8(20), 3.0, 0.1)
    assert_allclose(found, grad(sp.hyp2f1, 3)(20.0, 20.0, 3.0, 0.1))


@pytest.mark.parametrize("x", [13.0, 1e2, 1e4, 1e8, inf])
def test_what_tends_to_0_keeps_its_digits(x):
    u = 0.5 / x**2
    sums = [1.0, 1.0]
    for k in range(1, 14):
        sums[0] += (2 * k + 1) * math.prod(range(1, 2 * k, 2)) * (-u) ** k
        sums[1] += (2 * k + 1) * math.prod(range(1, 2 * k, 2)) * u**k
    assert_allclose(grad(sp.erfcx)(x), -sums[0] / (math.sqrt(pi) * x * x), rtol=1e-12)
    assert_allclose(grad(sp.dawsn)(x), -sums[1] * u, rtol=1e-12)
    assert_allclose(grad(sp.dawsn)(-x), -sums[1] * u, rtol=1e-12)


def test_the_tails_join_smoothly():
    below, above = 12 * (1 - 1e-15), 12 * (1 + 1e-15)
    for f in (sp.erfcx, sp.dawsn):
        for d in (grad(f), grad(grad(f))):
            assert_allclose(d(below), d(above), rtol=1e-9)


# ----- the gamma function of complex numbers ------------------------------------------------------

POINTS = [0.3 + 0.2j, -2.5 + 0.1j, -7.2 - 3j, 12 + 5j, 0.5 + 30j, -40.3 + 0.01j, -3 + 200j]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_complex_polygamma_continues_the_real_one(order):
    x = numpy.array([0.3, -2.5, -7.2, 12.0, 0.5, 60.0])
    found = complex_polygamma.op(x + 0j, order=order)
    assert_allclose(found, scipy.special.polygamma(order, x), rtol=1e-11)


@pytest.mark.parametrize("z", POINTS)
def test_complex_polygamma_obeys_its_recurrence_and_reflection(z):
    f = complex_polygamma.op
    for order, step in ((1, z**-2), (2, -2 * z**-3), (3, 6 * z**-4)):
        here, next_ = f(z, order=order), f(z + 1, order=order)
        assert_allclose((here - next_ - step) / abs(here), 0, atol=1e-12)
    if abs(z.imag) < 100:
        reflected = (pi / numpy.sin(pi * z)) ** 2
        assert_allclose(f(z, order=1) + f(1 - z, order=1), reflected, rtol=1e-10, atol=1e-13)


def test_gammasgn_carries_no_gradient():
    x = np.array([-0.5, 1.5]).requires_grad_()
    sign = sp.gammasgn(x)
    assert_array_equal(sign.value, [-1, 1])
    assert not sign.tracked


# ----- two operands -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "x", "y", "in_x", "in_y"),
    [
        (sp.xlogy, 0.0, 0.0, -inf, 0.0),
        (sp.xlogy, 0.0, 2.0, math.log(2), 0.0),
        (sp.xlog1py, 0.0, -1.0, -inf, 0.0),
        (sp.rel_entr, 0.0, 2.0, -inf, 0.0),
        (sp.rel_entr, 2.0, 2.0, 1.0, -1.0),
        (sp.kl_div, 0.0, 2.0, -inf, 1.0),
        (sp.kl_div, 2.0, 2.0, 0.0, 0.0),
        (sp.huber, 1.0, 3.0, 2.0, 1.0),
        (sp.huber, 1.0, 1.0, 0.0, 1.0),
    ],
)
def test_products_with_a_logarithm_at_0(f, x, y, in_x, in_y):
    assert grad(f, (0, 1))(x, y) == (in_x, in_y)
    assert jvp(f, [x, y], [1.0, None])[1] == in_x
    assert jvp(f, [x, y], [None, 1.0])[1] == in_y


def test_beta_shares_its_dependence():
    a, b = numpy.array([0.5, 2.0]), numpy.array([1.5, 3.0])
    # B(a, b) is symmetric, and B(a, 1) = 1 / a.
    first, second = vjp(sp.beta, a, b)[1](numpy.ones(2))
    swapped = vjp(sp.beta, b, a)[1](numpy.ones(2))
    assert_allclose([first, second], swapped[::-1])
    assert_allclose(grad(sp.beta)(2.5, 1.0), -1 / 2.5**2)


# ----- the strong zero ----------------------------------------------------------------------------

TRAPS = {
    "gammaln": sp.gammaln,
    "gamma": sp.gamma,
    "digamma": sp.digamma,
    "polygamma": lambda x: sp.polygamma(1, x),
    "logit": sp.logit,
    "erfinv": lambda x: sp.erfinv(x * 10),
    "entr": sp.entr,
    "xlogy": lambda x: sp.xlogy(x, x),
    "y0": sp.y0,
    "k1": sp.k1,
    "kv": lambda x: sp.kv(1.5, x),
    "yv": lambda x: sp.yv(0.5, x),
    "exp1": sp.exp1,
    "log1p": lambda x: sp.log1p(x - 1),
}


@pytest.mark.parametrize("mode", [elementwise_grad, forward], ids=["reverse", "forward"])
@pytest.mark.parametrize("name", TRAPS)
def test_where_guards_the_derivative(name, mode):
    f = TRAPS[name]
    x = numpy.array([-2.0, -1.0, 0.0, 0.05])

    def guarded(x):
        return np.where(x > 0, f(x), 0.0)

    for derivative in (mode(guarded), mode(mode(guarded))):
        found = derivative(x)
        found = getattr(found, "value", found)
        assert_array_equal(found[:3], 0)
        assert numpy.isfinite(found[3])
        assert found[3] != 0


# ----- logsumexp ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "in_a", "in_b"),
    [
        ([-inf, -inf], [1.0, 2.0], [0, 0], [0, 0]),
        ([inf, inf, 1.0], [1.0, 3.0, 1.0], [0.25, 0.75, 0], [0.25, 0.25, 0]),
        ([nan, inf, 0.0], [0.0, 0.0, 2.0], [0, 0, 1], None),
        ([0.0, 0.0], [1.0, -1.0], [inf, -inf], [inf, inf]),
        ([1000.0, 1000.0], [1.0, 3.0], [0.25, 0.75], [0.25, 0.25]),
        ([0.0, -1000.0], [1.0, 1.0], [1, 0], [1, 0]),
    ],
    ids=["all -inf", "+inf", "no weight", "cancelling", "large", "small"],
)
def test_weighted_logsumexp_at_corners(a, b, in_a, in_b):
    a, b = numpy.array(a), numpy.array(b)
    found = grad(lambda a, b: sp.logsumexp(a, b=b), (0, 1))(a, b)
    assert_allclose(found[0], in_a)
    if in_b is not None:
        assert_allclose(found[1], in_b)
    for i, right in enumerate(in_a):
        t = numpy.eye(len(a))[i]
        assert_allclose(jvp(lambda a: sp.logsumexp(a, b=b), [a], [t])[1], right)


@pytest.mark.parametrize("b", [None, 1.0], ids=["unweighted", "weighted"])
def test_logsumexp_of_infinities_to_second_order(b):
    f = grad(lambda a: sp.logsumexp(a, b=b))
    for a in ([-inf, -inf], [inf, inf, 1.0], [0.0, -inf]):
        x = numpy.array(a)
        for i in range(len(a)):
            assert numpy.isfinite(grad(lambda x, i=i: f(x)[i])(x)).all()


def test_a_negative_sum_is_nan_unless_its_sign_is_returned():
    a, b = numpy.array([0.0, 1.0]), numpy.array([1.0, -1.0])
    assert numpy.isnan(sp.logsumexp(a, b=b).value)
    size, sign = sp.logsumexp(np.array(a).requires_grad_(), b=b, return_sign=True)
    assert sign.value == -1
    assert not sign.tracked
    shares = numpy.array([1, -math.e]) / (1 - math.e)
    assert_allclose(size.value, math.log(math.e - 1))
    found = grad(lambda a: sp.logsumexp(a, b=b, return_sign=True)[0])(a)
    assert_allclose(found, shares)


@pytest.mark.parametrize(
    ("a", "keywords"),
    [
        (1.5, {"keepdims": True}),
        (1.5, {"axis": 0}),
        (1.5, {"b": 2.0, "keepdims": True}),
        (numpy.float32([1, 2]), {"b": numpy.array([1, 2])}),
        (numpy.float32([1, 2]), {"b": numpy.array([True, False])}),
        ([1, 2], {"b": [1, -1], "return_sign": True}),
        ([1, 2], {"return_sign": True}),
        ([-inf, -inf], {"return_sign": True}),
        ([-inf + 0j, -inf], {"return_sign": True}),
        ([1 + 1j, 2 - 2j], {"return_sign": True}),
        ([3j, 2 + 3j], {}),
        ([1.0, 2.0], {"b": [1j, 2]}),
        ([inf, 1.0], {"b": [-1, 1], "return_sign": True}),
        ([0.0, 0.0], {"b": [1, -1], "return_sign": True}),
        (numpy.arange(3), {"b": numpy.ones((2, 3)), "axis": 0}),
        (numpy.zeros(0), {}),
        (numpy.zeros((0, 3)), {"axis": 0}),
        (numpy.zeros((0, 3)), {"axis": 1}),
    ],
)
def test_logsumexp_gives_scipys_value(a, keywords):
    wanted = scipy.special.logsumexp(a, **keywords)
    found = sp.logsumexp(a, **keywords)
    if not isinstance(wanted, tuple):
        wanted, found = (wanted,), (found,)
    for tensor, right in zip(found, wanted, strict=True):
        assert_allclose(tensor.value, right, rtol=1e-6 if right.dtype == "float32" else 1e-12)
        assert tensor.shape == numpy.shape(right)
        assert tensor.dtype == right.dtype


def test_a_number_as_weight_keeps_single_precision():
    assert sp.logsumexp(numpy.float32([1, 2]), b=2.0).dtype == numpy.float32


def test_logsumexp_of_nothing_has_an_empty_gradient():
    assert grad(sp.logsumexp)(numpy.zeros(0)).shape == (0,)


# ----- operands of every kind ---------------------------------------------------------------------

ONE = (
    "cbrt cosm1 dawsn digamma ellipe entr erf erfc erfcinv erfcx erfi erfinv exp1 exp10 exp2 expi "
    "expit expm1 exprel gamma gammaln gammasgn i0 i0e i1 i1e j0 j1 k0 k0e k1 k1e log1p log_expit "
    "loggamma psi rgamma spence y0 y1"
).split()


@pytest.mark.parametrize("name", ONE)
def test_lists_numbers_and_integers_give_scipys_value(name):
    f, right = getattr(sp, name), getattr(scipy.special, name)
    for x in ([0.25, 0.5], 0.5, numpy.float32(0.5), 1, numpy.array([1, 1]), numpy.zeros((0, 2))):
        found = f(x)
        assert isinstance(found, Tensor)
        assert_allclose(found.value, right(x), rtol=1e-6 if found.dtype == "float32" else 1e-15)
        assert found.dtype == right(x).dtype
        assert found.shape == numpy.shape(right(x))


def test_what_scipy_takes_by_keyword_is_taken_so():
    for f, order in ((sp.polygamma, {"n": 1}), (sp.zeta, {"x": 2.0})):
        point = "x" if "n" in order else "q"
        (first,) = order.values()
        found = grad(lambda t, f=f, order=order, point=point: f(**order, **{point: t}))(1.5)
        assert_allclose(found, grad(f, 1)(first, 1.5))


@pytest.mark.parametrize("name", [n for n in ONE if n not in ("gammasgn",)])
def test_scipys_own_functions_are_differentiated_over_tensors(name):
    x = numpy.array([0.3, 0.6])
    theirs = grad(lambda t: np.sum(getattr(scipy.special, name)(t)))(x)
    assert_allclose(theirs, elementwise_grad(getattr(sp, name))(x))


def test_scipys_functions_of_two_operands_are_differentiated_over_tensors():
    x = numpy.array([0.3, 0.6])
    for name in ("xlogy", "rel_entr", "beta", "betaln", "jn", "yn", "iv"):
        first = 2 if name in ("jn", "yn", "iv") else 0.4
        theirs = grad(lambda t: np.sum(getattr(scipy.special, name)(first, t)))(x)  # noqa: B023
        ours = elementwise_grad(lambda t: getattr(sp, name)(first, t))(x)  # noqa: B023
        assert_allclose(theirs, ours)


def test_the_aliases():
    assert sp.jn is sp.jv
    assert sp.digamma is sp.psi
    assert sp.gpu_logsumexp is sp.logsumexp


# ----- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "args", "message"),
    [
        (sp.jn, (2.0, 1.0), "jv has no derivative in its argument 'v': there is no closed form"),
        (sp.yn, (2.0, 1.0), "yn has no derivative in its argument 'n'"),
        (sp.iv, (2.0, 1.0), "iv has no derivative in its argument 'v'"),
        (sp.ive, (2.0, 1.0), "ive has no derivative in its argument 'v'"),
        (sp.polygamma, (1.0, 1.0), "polygamma has no derivative in its argument 'n': it counts"),
        (sp.zeta, (2.0, 1.0), "zeta has no derivative in its argument 'x'"),
        (sp.zeta, (2.0,), "zeta has no derivative in its argument 'x'"),
        (sp.expn, (2.0, 1.0), "expn has no derivative in its argument 'n'"),
        (sp.hyp1f1, (1.0, 2.0, 0.5), "hyp1f1 has no derivative in its argument 'a'"),
    ],
)
def test_what_has_no_closed_form_is_refused(f, args, message):
    with pytest.raises(NotImplementedError, match=rf"{message}.*stop_gradient"):
        grad(f)(*args)
    with pytest.raises(NotImplementedError, match=message):
        jvp(f, args, [1.0, *[None] * (len(args) - 1)])


def test_bad_input():
    with pytest.raises(ValueError, match="positive integer"):
        sp.multigammaln(numpy.array([3.0]), 1.5)
    with pytest.raises(ValueError, match="not met"):
        sp.multigammaln(numpy.array([0.5]), 3)
    with pytest.raises(TypeError, match="gamma: out= is not supported"):
        sp.gamma(numpy.ones(2), out=numpy.ones(2))
    with pytest.raises(ValueError, match="broadcast"):
        sp.logsumexp(numpy.ones(3), b=numpy.ones(2))
