"""What `explain` shows of every function: grad's gradients, and formulas that give the numbers."""

import contextlib
import importlib
import re
from collections import defaultdict

import numpy
import pytest
from numpy.testing import assert_allclose

import backpass.numpy as np
from backpass.core import Tensor, explain, grad
from backpass.core.cotangents import fit_cotangent

from .cases import flat
from .catalogue import CASES
from .places import primitives

#: Names that a formula may hold beside letters and primitives.
CONSTANTS = {name: getattr(numpy, name) for name in ("inf", "nan")}
CONSTANTS |= {kind.__name__: kind for kind in (bool, int, float, complex, slice)}
CONSTANTS |= {name: numpy.dtype(name) for name in ("float32", "float64", "complex128", "int64")}

#: An array among the keywords that is too large to be written out.
LARGE = re.compile(r"<[\d x]+ \w+>")


def scalar(case, namespace):
    """Return the case as a function of one output."""

    def f(*args):
        total = 0.0
        for k, out in enumerate(flat(case.call(namespace, *args))):
            if isinstance(out, Tensor) and out.dtype.kind in "fc":
                out = abs(out) if case.phases else out
                out = np.real(out) * 0.7 + np.imag(out) * 0.4 if out.dtype.kind == "c" else out
                total = total + np.sum(np.sin(out * 0.3 + 0.1 * k))
        return total

    return f


def operations():
    """Return what the names in formulas stand for."""
    found = defaultdict(dict)
    for primitive in (*primitives("backpass.core.ops"), *primitives("backpass.nn.functional")):
        # Two functions of SciPy are one name there: zeta of one and of two operands.
        found[primitive.name][len(primitive.parameters)] = primitive.op

    def operation(by_count):
        def apply(*operands, **keywords):
            if isinstance(keywords.get("order"), list):
                keywords["order"] = numpy.array(keywords["order"], dtype=int)
            op = by_count.get(len(operands)) or next(iter(by_count.values()))
            return op(*operands, **keywords)

        return apply

    return {name: operation(by_count) for name, by_count in found.items()} | CONSTANTS


def numbers(value):
    if isinstance(value, tuple):
        return [numbers(part) for part in value]
    return None if value is None else value.numbers


def letters(trace, step):
    """Return what the letters of a rule stand for in a step."""
    variable = trace.variables[step.variable]
    made = {"ans": numbers(variable.value), "g": numbers(step.cotangent)}
    for name, i in zip(variable.parameters, variable.operands, strict=True):
        value = numbers(trace.variables[i].value)
        if name.endswith("]"):
            made.setdefault(name.partition("[")[0], []).append(value)
        else:
            made[name] = value
    return made


def check_formulas(trace):
    """Calculate each formula and compare it with what is said to be added; return how many."""
    known = operations()
    count = 0
    for step in trace.steps:
        for c in step.contributions:
            values = letters(trace, step)
            if not c.formula or LARGE.search(c.formula) or not c.value.whole:
                continue
            if any(v is None for name, v in values.items() if name != "g"):
                continue
            with numpy.errstate(all="ignore"):
                found = eval(c.formula, {"__builtins__": {}}, {**known, **values})
            found = numpy.asarray(found)
            target = trace.variables[c.variable].value
            assert found.shape == (target.shape if c.spread is None else c.spread), c.formula
            like = numpy.zeros(c.value.shape, c.value.dtype)
            found = fit_cotangent(found, like)
            assert_allclose(found, c.value.numbers, rtol=1e-9, atol=1e-12, err_msg=c.formula)
            count += 1
    return count


def run(case, dtype):
    f = scalar(case, importlib.import_module(f"backpass.{case.module}"))
    args = case.arguments(dtype)
    places = tuple(range(len(args)))
    with contextlib.ExitStack() as stack:
        try:
            expected = grad(f, places)(*args)
        except Exception as error:
            stack.enter_context(pytest.raises(type(error), match=re.escape(str(error)[:60])))
            expected = ()
        explained = explain(f, places)(*args)
    if not expected:
        return
    for g, other in zip(expected, explained.gradients, strict=True):
        assert g.dtype == other.dtype
        assert numpy.asarray(g).tobytes() == numpy.asarray(other).tobytes()
    check_formulas(explained)
    assert str(explained)
    assert explained._repr_html_()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.module}.{case.id}")
def test_real(case):
    run(case, "float64")


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [c for c in CASES if c.complex], ids=lambda case: f"{case.module}.{case.id}"
)
def test_complex(case):
    run(case, "complex128")


def test_most_contributions_have_a_formula():
    # What has none are rules that branch on numbers or are too long for a line.
    made = missing = 0
    for case in CASES[::7]:
        f = scalar(case, importlib.import_module(f"backpass.{case.module}"))
        with contextlib.suppress(TypeError, NotImplementedError):
            for step in explain(f, 0)(*case.arguments()).steps:
                made += len(step.contributions)
                missing += sum(not c.formula for c in step.contributions)
    assert made > 1000
    assert missing < made / 30
