"""Elementwise kernels on the GPU, beside what tests/test_kernels.py asks of every kernel."""

import importlib
import pkgutil
import sys

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.core.ops
import backpass.cupy as cp
from backpass.core import grad
from backpass.core.ops.elementwise import tanh
from backpass.core.primitive import Primitive
from backpass.core.rules import expression
from backpass.core.symbols import Expression
from backpass.cupy.formulas import Untranslatable, statements
from backpass.cupy.kernels import KERNELS
from backpass.cupy.launching import Kernel

# ----- which rules there are ---------------------------------------------------------------------

#: Rules that take several launches, with what CUDA C++ has no word for here.
OTHERS = {
    "a complex number": "angle",
    "what is left over in a difference": "beta betaln",
    "division rounded down": "remainder",
    "a series next to a singular point": "sinc j1 i1 i1e y1 rgamma",
    "Bessel functions of other orders or scales": ("k0 k1 i0e k0e k1e jv yv iv kv yn kn kve"),
    "error functions, scaled": "erfcx dawsn log_ndtr normal_hazard normal_excess",
    "exponential integrals": "expn exprel",
    "the polygamma functions": "psi zeta polygamma",
    "hypergeometric functions": "hyp0f1 hyp1f1 hyp2f1 ellipk ellipe",
    "incomplete gamma and beta functions, and what is built on them": (
        "gamma_density gamma_slope gammainc gammaincc beta_density beta_slope betainc betaincc "
        "beta_pdf beta_cdf gamma_pdf gamma_cdf student_center student_density stdtr"
    ),
    "distribution functions": (
        "norm_cdf norm_sf norm_logcdf norm_logsf poisson_pmf poisson_cdf t_cdf t_logcdf t_logpdf "
        "t_pdf"
    ),
    "steps and signs, whose derivatives are numbers of 0 and 1": "copysign heaviside nextafter",
    "a search among knots": "interpolate",
    "functions that CuPy does not have": "erfi exp1 expi loggamma lambertw spence poisson_logpmf",
}


def rules():
    """Yield the elementwise rules that have a formula: primitive, operand, formula."""
    for module in pkgutil.walk_packages(backpass.core.ops.__path__, "backpass.core.ops."):
        importlib.import_module(module.name)
    modules = [m for name, m in list(sys.modules.items()) if name.startswith("backpass.core.ops")]
    found = {id(p): p for m in modules for p in vars(m).values() if isinstance(p, Primitive)}
    for primitive in found.values():
        if primitive.kind != "elementwise":
            continue
        try:
            formulas = expression(primitive)
        except TypeError:  # it has keywords
            continue
        for i, formula in enumerate(formulas):
            if formula is not None:
                yield primitive, i, formula


def test_a_rule_has_a_kernel_or_a_reason():
    others = {name for names in OTHERS.values() for name in names.split()}
    without = set()
    for primitive, i, _ in rules():
        names = {f"{primitive.name}.vjp{i}", f"{primitive.name}.vjp"}
        if not names & KERNELS.keys():
            without.add(primitive.name)
    assert without == others
    assert len(KERNELS) > 150


# ----- formulas ----------------------------------------------------------------------------------


def test_a_formula_becomes_statements():
    (formula,) = expression(tanh)
    assert statements(formula, "f", "slope") == [
        "const T t0 = ans * ans;",
        "const T t1 = T(1.0) - t0;",
        "const T slope = t1;",
    ]


def test_what_occurs_twice_is_computed_once():
    x = Expression("x")
    part = Expression("exp", x)
    lines = statements(part + part * Expression("exp", x), "d", "slope")
    assert sum("exp(x)" in line for line in lines) == 1
    assert statements(part, "f", "slope")[0] == "const T t0 = expf(x);"


@pytest.mark.parametrize(
    "formula", [Expression("nonsense", Expression("x")), -1j * Expression("x")]
)
def test_a_formula_that_cannot_be_translated(formula):
    with pytest.raises(Untranslatable):
        statements(formula, "d", "slope")


# ----- launches ----------------------------------------------------------------------------------


@pytest.fixture
def launches(monkeypatch, cupy):
    """Give the names of the kernels that are launched."""
    found = []
    launch = Kernel.launch

    def counted(self, blocks, threads, arguments):
        found.append(self.name)
        launch(self, blocks, threads, arguments)

    monkeypatch.setattr(Kernel, "launch", counted)
    return found


@pytest.mark.parametrize("name", ["tanh", "log", "sqrt", "expit"])
def test_a_rule_is_one_launch(name, launches):
    special = importlib.import_module("backpass.scipy.special")
    f = getattr(special if name == "expit" else cp, name)
    grad(lambda x: cp.sum(f(x)))(cp.array([0.25, 0.5, 0.75]))
    assert launches.count(f"backpass_{name}") == 1
    assert launches.count(f"backpass_{name}_vjp") == 1


def test_the_rules_of_two_operands_are_a_launch_each(launches):
    x, y = cp.array([[0.25, 0.5], [1.5, 2.0]]), cp.array([0.5, 3.0])
    grad(lambda x, y: cp.sum(x / y))(x, y)
    kernels = [name for name in launches if "divide" in name]
    assert kernels == ["backpass_divide", "backpass_divide_vjp0", "backpass_divide_vjp1"]


def test_a_plan_is_made_once(cupy):
    kernel = KERNELS["tanh"]
    for _ in range(3):
        kernel(cupy.ones((3, 5), dtype="float32"))
    plans = len(kernel._plans)
    kernel(cupy.ones((3, 5), dtype="float32"))
    assert len(kernel._plans) == plans


# ----- layouts and sizes -------------------------------------------------------------------------


def test_the_order_of_the_operands_is_kept(cupy):
    x = cupy.asarray(numpy.arange(12.0).reshape(3, 4))
    for other, right in ((x.T, x.get().T), (2.0, 2.0)):
        made = KERNELS["add"](x.T, other)
        assert made.flags.f_contiguous
        assert_array_equal(made.get(), x.get().T + right)
    assert KERNELS["add"](x, x.reshape(4, 3).T).flags.c_contiguous


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("start", [0, 1, 3])
def test_a_view_that_is_not_aligned(dtype, start, cupy):
    x = numpy.linspace(-1, 1, 1031).astype(dtype)
    made = KERNELS["multiply"](cupy.asarray(x)[start:], cupy.asarray(x)[start:])
    assert_array_equal(made.get(), x[start:] * x[start:])


def test_a_number_too_large_for_a_float_is_left_to_cupy(cupy):
    assert KERNELS["add"](cupy.ones(2), 10**400) is NotImplemented


def test_scalars_of_numpy_count_as_arrays(cupy):
    x = cupy.ones(2, dtype="float32")
    assert KERNELS["add"](x, 1.0).dtype == "float32"
    assert KERNELS["add"](x, numpy.float32(1)).dtype == "float32"
    assert KERNELS["add"](x, numpy.float64(1)).dtype == "float64"
    assert KERNELS["add"](x, numpy.int64(1)) is NotImplemented


@pytest.mark.parametrize("pole", [0.0, -1.0, -2.0, -7.0])
def test_digamma_by_its_poles(pole, cupy):
    distance = numpy.spacing(max(abs(pole), 1.0)) * numpy.array([1.0, -1.0, 8.0, -1024.0])
    x = cupy.asarray(pole + distance)
    made = KERNELS["gammaln.vjp"](cupy.ones(4), x)
    # It is -1 / distance and something of the size of 1.
    assert_allclose(made.get(), -1 / distance, rtol=1e-11)


def test_digamma_at_its_poles_and_at_infinity(cupy):
    x = cupy.asarray(numpy.array([0.0, -0.0, -1.0, -3.0, numpy.inf, 1e300]))
    made = KERNELS["gammaln.vjp"](cupy.ones(6), x).get()
    assert_allclose(
        made, [-numpy.inf, numpy.inf, numpy.nan, numpy.nan, numpy.inf, numpy.log(1e300)]
    )


def test_more_elements_than_32_bits_count(cupy):
    count = 2**31 + 9
    free, _ = cupy.cuda.runtime.memGetInfo()
    if free < 5 * 2 * count:
        pytest.skip(f"needs {10 * count >> 30} GiB of the GPU's memory, {free >> 30} are free")
    x = cupy.zeros(count, dtype="float16")
    x[-1], x[2**31] = 3, 5
    for made in (KERNELS["square"](x), KERNELS["multiply"](x[::-1], x[::-1])[::-1]):
        assert float(made[-1]) == 9
        assert float(made[2**31]) == 25
        assert float(made[:8].sum()) == 0
        del made
