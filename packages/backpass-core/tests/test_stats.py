"""Distributions and incomplete functions at singular points, far out, and with bad input."""

import math
import warnings

import numpy
import pytest
import scipy.special
import scipy.stats

from backpass.core import Tensor, grad, hessian, jvp
from backpass.core.ops.special.student import stdtr_by_betainc
from backpass.core.testing import check_grads
from backpass.scipy import special, stats

# Digits of the derivatives, computed with 40 of them.
GAMMAINC = [  # a, x, first and second derivative in a
    (0.05, 0.01, -3.3571508489859874, 12.583577481280013),
    (0.7, 3.0, -0.065597569503852617, -0.097093437693282216),
    (2.5, 0.001, -7.6172809445962199e-8, 6.0707911144841674e-7),
    (2.5, 2.5, -0.26084496236866945, 0.0035556671525405844),
    (2.5, 30.0, -3.3204679676860983e-11, -8.4763727588802336e-11),
    (40.0, 35.0, -0.048001196414801838, 0.0064255661375039757),
    (1000.0, 1050.0, -0.0036718379194951802, -0.00017916419943346239),
]
BETAINC = [  # a, b, x, derivatives in a, in b, and mixed
    (0.3, 0.4, 0.2, -1.0711007163280363, 0.53490101507898376, -0.26057105116700621),
    (2.5, 1.5, 0.01, -9.0383440690705292e-5, 2.4611629515833854e-5, -0.0001038416209061814),
    (2.5, 1.5, 0.7, -0.15116264414909965, 0.30755699513052622, 0.019342609201049148),
    (2.5, 1.5, 0.999, -5.9253065143017093e-5, 0.0006817196084844475, 0.00034612608321169943),
    (30.0, 60.0, 0.3, -0.049910011392193094, 0.023051477127512815, -0.0023005207207824134),
    (5.0, 0.1, 0.9, -0.013212229127439898, 0.62541998421041079, -0.12608447401056725),
]
STDTR = [  # df, t, first and second derivative in df
    (0.5, -20.0, -0.23461630508996325, 0.86340156892921276),
    (2.5, -6.0, -0.0080365634838730274, 0.010190445543899805),
    (2.5, 0.3, 0.0042226324389301372, -0.0030311440634955108),
    (30.0, 2.0, 0.00015393088751502687, -1.0369586952395417e-5),
    (200.0, -0.8, -2.3704589443972891e-6, 2.3679459951722273e-8),
]
POINTS = numpy.array([-40, -3, -1, -0.5, 0, 0.2, 0.5, 1, 1.5, 3, 40, numpy.nan, -numpy.inf])
WHOLE = numpy.array([-1, 0, 1, 2, 2.5, 7, 40, numpy.nan, numpy.inf])
#: Distribution: the parameters at which it is compared with SciPy, some of them invalid.
PARAMETERS = {
    "norm": [(), (0.3, 1.7), (0, -1.0), (0, 0), (numpy.array([[1.0], [2]]), 0.4), (0, numpy.nan)],
    "t": [(2.5,), (1,), (numpy.inf,), (30.0, 0.2, 1.5), (-1,), (0.3,), (1e7,), (2, 0, -1)],
    "gamma": [(1,), (2.5,), (0.5,), (2,), (2, 0.1, 3), (-1,), (30,), (numpy.array([[1.0], [2]]),)],
    "chi2": [(1,), (2.5,), (2,), (7.0, -0.2, 2), (0,), (numpy.nan,)],
    "beta": [(1, 1), (2, 3.5), (0.5, 0.5), (2, 0.7, -0.5, 3.0), (-1, 2), (1, 2), (2, 1)],
    "poisson": [(1.5,), (0,), (30,), (-1,), (2.0, 1), (numpy.array([[1.0], [0]]),)],
}


def methods(name):
    return [m for m in dir(getattr(stats, name)) if not m.startswith("_")]


METHODS = [(name, m) for name in PARAMETERS for m in methods(name)]
#: With a support that has an end: x outside of it, and shape parameters.
OUTSIDE = {"gamma": ((-0.5, 2.5), 0), "chi2": ((-0.5, 3.5), 0), "beta": ((1.5, 2.5, 0.7), 1)}

# ----- against SciPy ----------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "method"), METHODS)
def test_the_values_are_scipys_inside_outside_and_for_invalid_parameters(name, method):
    points = WHOLE if name == "poisson" else POINTS
    for parameters in PARAMETERS[name]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            right = getattr(getattr(scipy.stats, name), method)(points, *parameters)
        found = getattr(getattr(stats, name), method)(points, *parameters).value
        numpy.testing.assert_allclose(found, right, rtol=1e-12, err_msg=f"{parameters}")
        assert found.dtype == right.dtype


@pytest.mark.parametrize(("name", "method"), METHODS)
def test_lists_integers_and_single_precision_are_taken_as_by_scipy(name, method):
    ones = (1,) * (len(PARAMETERS[name][-1]) if name == "beta" else int(name != "norm"))
    for x in ([0, 1, 2], numpy.arange(3), 1, numpy.float32(0.5), numpy.ones(2, "float32")):
        found = getattr(getattr(stats, name), method)(x, *ones).value
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            right = getattr(getattr(scipy.stats, name), method)(x, *ones)
        numpy.testing.assert_allclose(found, right, rtol=1e-6)
        assert found.dtype == numpy.float64
        assert found.shape == numpy.shape(right)


def test_what_a_distribution_does_not_have_is_said_with_what_it_has():
    with pytest.raises(AttributeError, match=r"norm has no 'ppf' here.*cdf.*logsf.*pdf.*sf"):
        _ = stats.norm.ppf
    assert repr(stats.t) == "<distribution t>"


@pytest.mark.parametrize("name", PARAMETERS)
def test_unsigned_integers_do_not_wrap(name):
    x, whole = numpy.uint8([0, 3]), numpy.array([0.0, 3.0])
    shapes = {"norm": (), "beta": (1.0, 1.0)}.get(name, (1.0,))
    loc, scale = numpy.uint8([1, 1]), 1.5
    for method in methods(name):
        f = getattr(getattr(stats, name), method)
        numpy.testing.assert_array_equal(f(x, *shapes, loc).value, f(whole, *shapes, 1.0).value)
        if name == "poisson":
            continue
        in_scale = grad(lambda s, x, loc, f=f: f(x, *shapes, loc, s).sum(), 0)
        numpy.testing.assert_array_equal(in_scale(scale, x, loc), in_scale(scale, whole, 1.0))


# ----- derivatives to all their digits ----------------------------------------------------------


@pytest.mark.parametrize(("a", "x", "first", "second"), GAMMAINC)
def test_gammainc_in_a(a, x, first, second):
    def slope(f):
        return grad(f)(a, x), grad(grad(f))(a, x)

    numpy.testing.assert_allclose(slope(special.gammainc), (first, second), rtol=1e-10)
    numpy.testing.assert_allclose(slope(special.gammaincc), (-first, -second), rtol=1e-10)


@pytest.mark.parametrize(("a", "b", "x", "in_a", "in_b", "mixed"), BETAINC)
def test_betainc_in_a_and_b(a, b, x, in_a, in_b, mixed):
    found = grad(special.betainc, (0, 1))(a, b, x)
    twice = grad(grad(special.betainc, 0), 1)(a, b, x)
    other = grad(grad(special.betainc, 1), 0)(a, b, x)
    numpy.testing.assert_allclose([*found, twice, other], [in_a, in_b, mixed, mixed], rtol=1e-10)


@pytest.mark.parametrize(("df", "t", "first", "second"), STDTR)
def test_stdtr_in_df(df, t, first, second):
    found = grad(special.stdtr)(df, t), grad(grad(special.stdtr))(df, t)
    numpy.testing.assert_allclose(found, (first, second), rtol=1e-10)
    there = grad(stats.t.cdf, 1)(t, df)
    numpy.testing.assert_allclose(there, first, rtol=1e-10)


def test_the_whole_has_no_slope():
    for f, args in ((special.gammainc, (2.5, numpy.inf)), (special.gammainc, (2.5, 0.0))):
        assert grad(f)(*args) == 0
    for x in (0.0, 1.0):
        assert grad(special.betainc, (0, 1))(2.5, 1.5, x) == (0, 0)
    assert grad(special.stdtr)(2.5, numpy.inf) == 0
    assert grad(special.stdtr)(2.5, -numpy.inf) == 0
    assert abs(grad(special.stdtr)(2.5, 0.0)) < 1e-16


def test_log_moments_of_third_order():
    def third(f, *args):
        return grad(grad(grad(f)))(*args)

    eps = 1e-5
    for f, args in (
        (special.gammainc, (2.5, 3.5)),
        (special.betainc, (2.5, 1.5, 0.8)),
        (special.stdtr, (2.5, 0.7)),
    ):
        second = grad(grad(f))
        low, high = second(args[0] - eps, *args[1:]), second(args[0] + eps, *args[1:])
        numpy.testing.assert_allclose(third(f, *args), (high - low) / (2 * eps), rtol=1e-6)


def test_many_elements_at_once_are_those_one_by_one():
    a = numpy.linspace(0.1, 20, 5000)
    x = numpy.linspace(20, 0.1, 5000)
    whole = grad(lambda a: special.gammainc(a, x).sum())(a)
    for i in (0, 2047, 2048, 4999):
        numpy.testing.assert_allclose(whole[i], grad(special.gammainc)(a[i], x[i]), rtol=1e-13)


def test_what_is_undefined_stays_so():
    assert numpy.isnan(special.gammainc(2.5, -1.0).value)
    assert numpy.isnan(special.betainc(2.5, 1.5, numpy.nan).value)
    for args in ((-1.0, 2.0), (numpy.nan, 2.0), (2.0, numpy.nan)):
        assert numpy.isnan(grad(special.gammainc)(*args))
    assert numpy.isnan(grad(special.betainc)(-1.0, 2.0, 0.3))
    assert numpy.isnan(grad(special.stdtr)(-1.0, 0.3))
    assert numpy.isnan(stats.dirichlet.logpdf([numpy.nan, 0.5], [1.0, 2.0]).value)
    for name, (args, _) in OUTSIDE.items():
        for method in ("pdf", "logpdf", "cdf"):
            f = getattr(getattr(stats, name), method)
            assert numpy.isnan(grad(f)(numpy.nan, *args[1:])), (name, method)


def test_student_by_the_incomplete_beta_function():
    df = numpy.array([[0.3], [2.5], [30], [1e4], [numpy.inf], [-1]])
    t = numpy.array([-30, -1, -0.2, 0, 0.5, 1, 6, numpy.nan])
    with numpy.errstate(all="ignore"):
        found = stdtr_by_betainc(numpy, df, t)
    numpy.testing.assert_allclose(found, scipy.special.stdtr(df, t), rtol=1e-10)


# ----- rows of the table of edge cases ----------------------------------------------------------


def test_chi2_in_df_and_x():
    x, df = 1.7, 2.5
    in_x, in_df = grad(stats.chi2.logpdf, (0, 1))(x, df)
    numpy.testing.assert_allclose(in_x, (df / 2 - 1) / x - 0.5)
    numpy.testing.assert_allclose(in_df, (math.log(x / 2) - scipy.special.digamma(df / 2)) / 2)


@pytest.mark.parametrize("name", OUTSIDE)
def test_outside_of_the_support_everything_is_0_to_second_order(name):
    args, cdf = OUTSIDE[name]
    args = [numpy.float64(v) for v in (*args, 0.1, 1.2)]
    for method in ("pdf", "logpdf", "cdf"):
        f = getattr(getattr(stats, name), method)
        value = {"pdf": 0, "logpdf": -math.inf, "cdf": cdf}[method]
        assert f(*args).value == value
        assert all(g == 0 for g in grad(f, tuple(range(len(args))))(*args))
        twice = hessian(lambda v, f=f: f(*(v[i] for i in range(len(args)))))(numpy.array(args))
        numpy.testing.assert_array_equal(twice, 0)


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_point_outside_does_not_spoil_the_others(name):
    args, _ = OUTSIDE[name]
    x = numpy.array([args[0], 0.3])
    for method in ("pdf", "cdf"):
        f = getattr(getattr(stats, name), method)
        check_grads(f, [x, *(numpy.float64(p) for p in args[1:])])


def test_the_ends_of_the_support_have_the_slope_from_inside():
    slope = grad(stats.gamma.pdf)
    assert [slope(0.0, a) for a in (1.0, 2.0, 3.0)] == [-1, 1, 0]
    assert slope(0.0, 1.5) == math.inf
    assert grad(stats.gamma.logpdf)(0.0, 1.0) == -1
    assert grad(grad(stats.gamma.pdf))(0.0, 1.0) == 1
    ends = grad(lambda x: stats.beta.pdf(x, 2.0, 1.0).sum())(numpy.array([0.0, 1.0]))
    numpy.testing.assert_allclose(ends, [2, 2])
    ends = grad(lambda x: stats.beta.pdf(x, 2.0, 3.0).sum())(numpy.array([0.0, 1.0]))
    numpy.testing.assert_allclose(ends, [12, 0])
    assert grad(stats.beta.logpdf)(0.3, 1.0, 1.0) == 0
    numpy.testing.assert_array_equal(
        grad(lambda x: stats.beta.logpdf(x, 1, 1).sum())(numpy.array([0.0, 1.0])), 0
    )


def test_the_scale_at_the_end_of_the_support():
    assert grad(stats.gamma.logpdf, 3)(0.0, 1.0, 0.0, 2.0) == -0.5
    assert grad(stats.gamma.pdf, 3)(0.0, 1.0, 0.0, 2.0) == -0.25
    assert grad(stats.gamma.cdf, 3)(0.0, 1.0, 0.0, 2.0) == 0


# ----- far out ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("z", "first", "second"),
    [
        (40.0, 40.024968847207258, -0.99937733162162404),
        (49.0, 49.020391198838467, -0.99958454407498209),
        (51.0, 51.019592794881135, -0.99961641654893852),
        (1e4, 10000.0000999999980, -0.99999999000000060),
        (1e8, 100000000.00000001, -1.0),
    ],
)
def test_normal_tails_to_second_order(z, first, second):
    for f, x, sign in (
        (special.log_ndtr, -z, 1),
        (stats.norm.logcdf, -z, 1),
        (stats.norm.logsf, z, -1),
    ):
        assert numpy.isfinite(f(x).value)
        numpy.testing.assert_allclose(grad(f)(x), sign * first, rtol=1e-14)
        numpy.testing.assert_allclose(grad(grad(f))(x), second, rtol=1e-12)
        assert abs(grad(f)(-x)) < 1e-300
        tangent = jvp(f, [numpy.float64(x)], [numpy.float64(1)])[1]
        numpy.testing.assert_allclose(tangent, sign * first, rtol=1e-14)


def test_normal_at_infinity():
    for method in ("pdf", "cdf", "sf"):
        f = getattr(stats.norm, method)
        for x in (-math.inf, math.inf):
            assert grad(f, (0, 1, 2))(x, 0.0, 1.0) == (0, 0, 0)


def test_student_with_infinitely_many_degrees_of_freedom_is_normal():
    x = numpy.array([-2.0, 0.0, 0.7])
    for method in ("pdf", "cdf", "logpdf", "logcdf"):
        f, g = getattr(stats.t, method), getattr(stats.norm, method)
        numpy.testing.assert_allclose(f(x, math.inf).value, g(x).value, rtol=1e-12)
        in_x, in_df = grad(lambda x, df, f=f: f(x, df).sum(), (0, 1))(x, math.inf)
        numpy.testing.assert_allclose(in_x, grad(lambda x, g=g: g(x).sum())(x), rtol=1e-12)
        assert in_df == 0


def test_student_far_out():
    for df in (1.0, 2.5):
        x = -1e6
        numpy.testing.assert_allclose(grad(stats.t.logcdf)(x, df), -df / x, rtol=1e-5)
        numpy.testing.assert_allclose(grad(stats.t.logpdf)(x, df), -(df + 1) / x, rtol=1e-5)
    assert stats.t.logcdf(-60.0, 1e6).value == -math.inf
    assert grad(stats.t.logcdf)(-60.0, 1e6) == 0


def test_student_where_the_weight_underflows():
    # Below about 1 / 1.8e308 a weight is a number that has no finite reciprocal.
    x = -1380.0
    assert 0 < numpy.exp(stats.t.logcdf(x, 150.0).value) < 1e-309
    numpy.testing.assert_allclose(grad(stats.t.logcdf)(x, 150.0), -150.0 / x, rtol=1e-2)
    # And where it is 0 its logarithm counts as a constant, to second order.
    assert stats.t.logcdf(-1e5, 300.0).value == -math.inf
    for f in (grad(stats.t.logcdf, 0), grad(stats.t.logcdf, 1)):
        assert [f(-1e5, 300.0), *grad(f, (0, 1))(-1e5, 300.0)] == [0, 0, 0]


# ----- poisson ----------------------------------------------------------------------------------


def test_poisson_has_no_gradient_in_k_and_says_so():
    for method in ("pmf", "logpmf", "cdf"):
        f = getattr(stats.poisson, method)
        with pytest.raises(NotImplementedError, match=r"argument 'k': it is a whole number"):
            grad(f)(2.0, 1.5)
        with pytest.raises(NotImplementedError, match="whole number"):
            grad(f, 2)(2.0, 1.5, 0.0)
        assert numpy.isfinite(grad(f, 1)(Tensor(2.0), 1.5))


def test_poisson_where_there_is_no_mass():
    k = numpy.array([-1, 1.5])
    for method in ("pmf", "logpmf"):
        f = getattr(stats.poisson, method)
        numpy.testing.assert_array_equal(grad(lambda m, f=f: f(k, m).sum())(1.5), 0)
        numpy.testing.assert_array_equal(grad(grad(lambda m, f=f: f(k, m).sum()))(1.5), 0)
    assert grad(stats.poisson.cdf, 1)(-1, 1.5) == 0


def test_poisson_with_mean_0():
    slopes = [grad(stats.poisson.pmf, 1)(k, 0.0) for k in (0, 1, 2)]
    assert slopes == [-1, 1, 0]
    assert grad(stats.poisson.logpmf, 1)(0, 0.0) == -1
    assert grad(stats.poisson.logpmf, 1)(1, 0.0) == math.inf
    assert grad(stats.poisson.cdf, 1)(0, 0.0) == -1


# ----- dirichlet --------------------------------------------------------------------------------


def test_dirichlet_of_whole_points():
    x = numpy.array([[0.2, 0.5], [0.3, 0.1], [0.5, 0.4]])
    alpha = numpy.array([1.5, 2.0, 0.7])
    for points in (x, x[:, 0], x[:, :1], x[:2]):
        for method in ("pdf", "logpdf"):
            found = getattr(stats.dirichlet, method)(points, alpha).value
            right = getattr(scipy.stats.dirichlet, method)(points, alpha)
            numpy.testing.assert_allclose(found, right, rtol=1e-12)
            assert numpy.shape(found) == numpy.shape(right)
    in_x, in_alpha = grad(stats.dirichlet.logpdf, (0, 1))(x[:, 0], alpha)
    numpy.testing.assert_allclose(in_x, (alpha - 1) / x[:, 0])
    psi = scipy.special.digamma
    numpy.testing.assert_allclose(in_alpha, numpy.log(x[:, 0]) - psi(alpha) + psi(alpha.sum()))


def test_dirichlet_on_the_edge_of_the_simplex():
    x, alpha = numpy.array([0.0, 0.4, 0.6]), numpy.array([1.0, 2.0, 3.0])
    numpy.testing.assert_allclose(
        stats.dirichlet.logpdf(x, alpha).value, scipy.stats.dirichlet.logpdf(x, alpha)
    )
    numpy.testing.assert_allclose(grad(stats.dirichlet.logpdf)(x, alpha), [0, 2.5, 2 / 0.6])


@pytest.mark.parametrize(
    ("a", "first", "second"),
    [
        (1.0, [0, 21.6, 28.8], [0, 0, 0]),
        (1.5, [math.inf, 0, 0], None),
        (2.0, [51.84, 0, 0], [0, 129.6, 172.8]),
        (2.5, [0, 0, 0], [math.inf, 0, 0]),
        (3.0, [0, 0, 0], [362.88, 0, 0]),
    ],
)
def test_the_density_of_dirichlet_on_the_edge_has_the_slope_from_inside(a, first, second):
    x, alpha = numpy.array([0.0, 0.4, 0.6]), numpy.array([a, 2.0, 3.0])

    def f(x):
        return stats.dirichlet.pdf(x, alpha)

    numpy.testing.assert_allclose(f(x).value, scipy.stats.dirichlet.pdf(x, alpha), rtol=1e-14)
    numpy.testing.assert_allclose(grad(f)(x), first, atol=1e-12)
    numpy.testing.assert_allclose(jvp(f, [x], [numpy.eye(3)[0]])[1], first[0], atol=1e-12)
    if second is not None:
        numpy.testing.assert_allclose(hessian(f)(x)[0], second, atol=1e-12)
    # Beside other points, large parameters among them.
    points = numpy.array([x, [0.2, 0.3, 0.5]]).T
    both = grad(lambda x: f(x).sum())(points)
    numpy.testing.assert_allclose(both[:, 0], first, atol=1e-12)
    numpy.testing.assert_allclose(both[:, 1], grad(f)(points[:, 1]), rtol=1e-12)
    high = numpy.array([3.0, 4e3, 6e3])
    assert stats.dirichlet.pdf(x, high).value == 0
    numpy.testing.assert_array_equal(grad(stats.dirichlet.pdf, (0, 1))(x, high), 0)


@pytest.mark.parametrize(
    ("x", "alpha", "message"),
    [
        ([0.5, 0.5], [1.0, 0.0], "every entry of alpha must be greater than 0"),
        ([0.5, 0.5], [[1.0, 2.0]], "alpha must have one axis, its shape is"),
        ([0.5, 0.2, 0.2, 0.1], [1.0, 2.0], "x must have 2 entries along its first axis"),
        ([0.5, 0.6], [1.0, 2.0], "must add up to 1"),
        ([-0.5, 1.5], [1.0, 2.0], "every entry of x must lie between 0 and 1"),
        ([0.0, 1.0], [0.5, 2.0], "may be 0 only where its alpha is 1 or more"),
    ],
)
def test_what_dirichlet_refuses(x, alpha, message):
    with pytest.raises(ValueError, match=message):
        stats.dirichlet.logpdf(x, alpha)


# ----- multivariate_normal ----------------------------------------------------------------------

COV = numpy.array([[2.0, 0.3, 0.1], [0.3, 1.5, 0.2], [0.1, 0.2, 1.0]])
SINGULAR = numpy.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 2.0]])


def test_the_gradient_in_cov_is_that_of_each_entry():
    x, mean = numpy.array([0.3, -0.5, 0.8]), numpy.array([0.1, 0.2, 0.3])
    for f in (stats.multivariate_normal.pdf, stats.multivariate_normal.logpdf):
        check_grads(f, [x, mean, COV])
    check_grads(lambda c: stats.multivariate_normal.entropy(cov=c), [COV])
    u = numpy.linalg.solve(COV, x - mean)
    found = grad(stats.multivariate_normal.logpdf, 2)(x, mean, COV)
    numpy.testing.assert_allclose(found, 0.5 * (numpy.outer(u, u) - numpy.linalg.inv(COV)))


def test_the_covariance_is_read_as_its_symmetric_part():
    skewed = COV + numpy.array([[0, 0.1, 0], [-0.1, 0, 0], [0, 0, 0]])
    x = numpy.array([0.3, -0.5, 0.8])
    right = scipy.stats.multivariate_normal.logpdf(x, None, COV)
    found = stats.multivariate_normal.logpdf(x, None, skewed)
    numpy.testing.assert_allclose(found.value, right, rtol=1e-12)


@pytest.mark.parametrize(
    ("x", "mean", "cov"),
    [
        (0.3, None, 1),
        (0.3, 0.1, 2.0),
        ([0.3, 0.5], None, 1),
        ([0.3, 0.5], [0.1], [2.0]),
        ([0.3, 0.5], None, [[1.0, 0.2], [0.2, 2.0]]),
        ([0.3, 0.5], [0.1, 0.2], 3),
        ([[0.3, 0.5]], [0.1, 0.2], [3, 1]),
        (numpy.full((2, 1, 2), 0.3), [0.1, 0.2], [3, 1]),
        (0.3, [0.1, 0.2], [3, 1]),
        (numpy.float32(0.3), numpy.float32(0.1), numpy.float32(2)),
    ],
)
def test_multivariate_normal_takes_all_that_scipy_takes(x, mean, cov):
    for method in ("pdf", "logpdf"):
        right = getattr(scipy.stats.multivariate_normal, method)(x, mean, cov)
        found = getattr(stats.multivariate_normal, method)(x, mean, cov).value
        numpy.testing.assert_allclose(found, right, rtol=1e-12)
        assert found.shape == numpy.shape(right)
        assert found.dtype == numpy.float64
    right = scipy.stats.multivariate_normal.entropy(mean, cov)
    found = stats.multivariate_normal.entropy(mean, cov).value
    numpy.testing.assert_allclose(found, right, rtol=1e-12)


def test_a_singular_covariance():
    x = numpy.array([[0.3, 0.3, 0.8], [0.3, 0.4, 0.8]])
    right = scipy.stats.multivariate_normal.logpdf(x, None, SINGULAR, allow_singular=True)
    found = stats.multivariate_normal.logpdf(x, None, SINGULAR, allow_singular=True)
    numpy.testing.assert_allclose(found.value, right, rtol=1e-12)
    assert found.value[1] == -math.inf
    numpy.testing.assert_allclose(
        stats.multivariate_normal.entropy(None, SINGULAR).value,
        scipy.stats.multivariate_normal.entropy(None, SINGULAR),
    )
    # Along the covariances that keep its null space, those of a factor.
    factor = numpy.array([[1.0, 0.0], [1.0, 0.0], [0.0, math.sqrt(2)]])

    def along(scale):
        f = factor * scale
        return stats.multivariate_normal.logpdf(x[0], None, f @ f.T, allow_singular=True)

    check_grads(along, [numpy.array([1.0, 1.3])])
    with pytest.raises(numpy.linalg.LinAlgError, match="positive definite; it is singular"):
        stats.multivariate_normal.logpdf(x, None, SINGULAR)


@pytest.mark.parametrize(
    ("x", "mean", "cov", "message"),
    [
        ([0.3, 0.5], None, [[1.0, 2.0], [2.0, 1.0]], "symmetric positive semidefinite"),
        ([0.3, 0.5], [[0.1, 0.2]], 1, "mean must be a vector of length 2"),
        ([0.3, 0.5], [0.1, 0.2], [1.0, 2, 3], "its shape is \\(3,\\)"),
        ([0.3, 0.5], [0.1, 0.2], numpy.ones((2, 3)), "its shape is \\(2, 3\\)"),
        ([0.3, 0.5], 0.1, numpy.eye(2), "the mean has one entry"),
        ([0.3, 0.5, 0.1], [0.1, 0.2], 1, "x must have 2 entries along its last axis"),
    ],
)
def test_what_multivariate_normal_refuses(x, mean, cov, message):
    with pytest.raises(ValueError, match=message):
        stats.multivariate_normal.logpdf(x, mean, cov)
