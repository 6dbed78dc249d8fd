"""What programs for HIPS autograd do without thinking about it."""

import subprocess
import sys

import numpy
import pytest

import backpass.autograd as ag
import backpass.autograd.numpy as np
from backpass.autograd import builtins, grad, jacobian, value_and_grad
from backpass.autograd.numpy.numpy_boxes import ArrayBox
from backpass.autograd.tracer import getval, isbox
from backpass.core import Tensor

X = numpy.array([1.0, -2.0, 3.0])


def test_a_value_is_printed_by_its_old_name(capsys):
    def f(x):
        print(x._value)
        return np.sum(x**2)

    grad(f)(X)
    assert capsys.readouterr().out == "[ 1. -2.  3.]\n"


def test_arrays_are_made_of_tracked_numbers():
    def f(x):
        return np.array([x[0] * x[1], [np.sin(x[2]), x[0]][1]])

    numpy.testing.assert_array_equal(jacobian(f)(X), [[-2.0, 1.0, 0.0], [1.0, 0.0, 0.0]])


def test_nested_lists_become_arrays():
    def rotated(angle):
        matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return np.dot(matrix, X[:2])

    numpy.testing.assert_allclose(jacobian(rotated)(0.0), [2.0, 1.0])


def test_code_branches_on_tracked_values():
    def f(x):
        y = x
        while y < 100:
            y = y * y
        return y

    assert grad(f)(3.0) == 8 * 3.0**7


def test_tracked_arrays_are_iterated_and_measured():
    def f(x):
        assert len(x) == x.size == 3
        assert x.shape == np.shape(x) == (3,)
        assert x.ndim == np.ndim(x) == 1
        assert x.dtype == np.result_type(x) == np.float64
        return sum(element**2 for element in x)

    numpy.testing.assert_array_equal(grad(f)(X), 2 * X)


def test_masks_and_indices_of_tracked_values_work_on_plain_arrays():
    def f(x):
        order = np.argsort(x)
        largest = np.argmax(x)
        assert type(order) is numpy.ndarray
        return np.sum(X[order] * x) + np.sum(x[x > 0] * X[X > 0]) + x[largest]

    numpy.testing.assert_array_equal(grad(f)(X), [-2.0 + 1.0, 1.0, 3.0 + 3.0 + 1.0])


def test_what_has_no_gradient_is_plain():
    seen = []

    def f(x):
        seen.extend([np.floor(x), np.sign(x), np.greater(x, 0), np.isfinite(x), np.around(x)])
        return X[np.floor(x[0]).astype(int)] * np.sum(x)

    numpy.testing.assert_array_equal(grad(f)(X), numpy.full(3, X[1]))
    assert {type(found) for found in seen} == {numpy.ndarray}


def test_comparisons_of_tracked_values_select_from_plain_arrays():
    def f(x):
        return np.sum(X[x > 0]) * x[0]

    assert grad(f)(X)[0] == 4


def test_scalars_are_numbers_for_scipy():
    value, g = value_and_grad(lambda x: np.sum(x**2))(X)
    assert isinstance(value, float)
    assert g.flags.writeable


def test_methods_of_tracked_arrays():
    def f(x):
        return (
            x.sum() + x.mean() + x.reshape((3, 1)).T.max() + x.prod() + x.flatten()[0] + x.std() * 0
        )

    numpy.testing.assert_allclose(
        grad(f)(X), numpy.ones(3) + 1 / 3 + [0, 0, 1] + X.prod() / X + [1, 0, 0]
    )


def test_numpy_on_the_left():
    matrix = numpy.arange(9.0).reshape(3, 3)
    numpy.testing.assert_array_equal(jacobian(lambda x: matrix @ x)(X), matrix)
    numpy.testing.assert_array_equal(jacobian(lambda x: X * x)(X), numpy.diag(X))
    assert grad(lambda x: numpy.float64(2.0) * x)(3.0) == 2


def test_python_numbers_keep_their_type_through_builtins():
    seen = []

    def f(x, parameters):
        seen.append((builtins.isinstance(x, float), builtins.type(x)))
        seen.append((builtins.isinstance(parameters, dict), builtins.type(parameters)))
        seen.append((builtins.isinstance(parameters["u"], np.ndarray),))
        return x * np.sum(parameters["u"])

    grad(f, (0, 1))(2.0, {"u": X})
    assert seen == [(True, float), (True, dict), (True,)]


def test_containers_are_pythons_own():
    assert (ag.list, ag.tuple, ag.dict) == (list, tuple, dict)
    assert grad(lambda p: p[0] * p[1])(ag.tuple((2.0, 3.0))) == (3.0, 2.0)


def test_boxes():
    seen = []

    def f(x):
        seen.append((isbox(x), isinstance(x, ArrayBox), getval(x), getval([x, {"a": x}])))
        return x

    grad(f)(2.0)
    assert seen == [(True, True, 2.0, [2.0, {"a": 2.0}])]
    assert not isbox(X)
    assert getval(X) is X


def test_what_is_made_in_a_function_is_plain():
    seen = []

    def f(x):
        seen.extend([np.zeros(2), np.ones_like(x), np.arange(3), np.linspace(0, 1, 3), np.array(1)])
        return np.sum(x)

    grad(f)(X)
    assert [type(made) for made in seen] == [numpy.ndarray] * 5


def test_writing_into_a_plain_array_is_refused():
    def f(x):
        made = np.zeros(3)
        made[0] = x[0]
        return np.sum(made)

    with pytest.raises((TypeError, ValueError), match=r"lose the gradient|array element"):
        grad(f)(X)


def test_writing_into_what_is_tracked_is_recorded():
    def f(x):
        y = x * 2
        y[0] = 5 * x[1]
        return np.sum(y)

    numpy.testing.assert_array_equal(grad(f)(X), [0.0, 7.0, 2.0])


def test_numbers_are_not_taken_out_in_silence():
    with pytest.raises(TypeError, match="lose the gradient"):
        grad(lambda x: float(x))(2.0)


def test_nothing_stays_tracked():
    kept = []
    grad(lambda x: kept.append(x * x) or x)(2.0)
    assert isinstance(kept[0], Tensor)
    assert not kept[0].tracked


def test_single_precision_stays():
    x = X.astype(numpy.float32)
    assert grad(lambda x: np.sum(np.tanh(x) * 2.0))(x).dtype == numpy.float32
    assert np.tanh(x).dtype == np.sum(x).dtype == numpy.float32


def test_importing_it_imports_neither_scipy_nor_autograd():
    program = (
        "import sys, numpy\n"
        "before = set(sys.modules)\n"
        "import backpass.autograd, backpass.autograd.scipy, backpass.autograd.misc\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'scipy', 'autograd', 'cupy'}),"
        " 'numpy.random' in set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[] False\n", done.stderr
