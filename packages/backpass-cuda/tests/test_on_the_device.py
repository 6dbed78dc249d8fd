"""Tensors on the GPU: made there, computed there, moved there and back."""

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.cupy as cp
import backpass.numpy as np
import backpass.scipy.special as sp
from backpass.core import Tensor, grad, hvp, jacobian, jvp, to_device, value_and_grad
from backpass.core.testing import check_grads
from backpass.scipy.integrate import solve_ivp

pytestmark = pytest.mark.usefixtures("cupy")

# ----- making ------------------------------------------------------------------------------------

MAKERS = {
    "arange": lambda xp: xp.arange(4),
    "array": lambda xp: xp.array([[1.0, 2.0], [3.0, 4.0]]),
    "asarray": lambda xp: xp.asarray(numpy.ones(3)),
    "empty": lambda xp: xp.empty((2, 3)),
    "empty_like": lambda xp: xp.empty_like(xp.ones(3)),
    "eye": lambda xp: xp.eye(3, 4, 1),
    "full": lambda xp: xp.full((2, 2), 7.0),
    "full_like": lambda xp: xp.full_like(xp.ones(3), 2),
    "identity": lambda xp: xp.identity(3),
    "linspace": lambda xp: xp.linspace(0.0, 1.0, 5),
    "logspace": lambda xp: xp.logspace(0.0, 1.0, 5),
    "ones": lambda xp: xp.ones((2, 3), dtype=xp.float32),
    "ones_like": lambda xp: xp.ones_like(xp.zeros(3, dtype=int)),
    "scalar": lambda xp: xp.array(1.0),
    "tri": lambda xp: xp.tri(3, 4),
    "zeros": lambda xp: xp.zeros((2, 3)),
    "zeros_like": lambda xp: xp.zeros_like(xp.ones(3)),
    "random.choice": lambda xp: xp.random.choice(5, 3),
    "random.normal": lambda xp: xp.random.normal(1.0, 2.0, (2, 3)),
    "random.permutation": lambda xp: xp.random.permutation(5),
    "random.rand": lambda xp: xp.random.rand(2, 3),
    "random.randint": lambda xp: xp.random.randint(0, 9, (4,)),
    "random.randn": lambda xp: xp.random.randn(2, 3),
    "random.random": lambda xp: xp.random.random((2, 3)),
    "random.standard_normal": lambda xp: xp.random.standard_normal((2, 3)),
    "random.uniform": lambda xp: xp.random.uniform(0.0, 2.0, (2, 3)),
    "random.generator": lambda xp: xp.random.default_rng(0).standard_normal((2, 3)),
}


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_made_lies_on_the_device(name, cupy):
    made = MAKERS[name](cp)
    assert isinstance(made, Tensor)
    assert isinstance(made.value, cupy.ndarray)
    assert not made.tracked


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_made_has_numpys_shape_dtype_and_numbers(name):
    made, right = MAKERS[name](cp), MAKERS[name](np)
    assert made.dtype == right.dtype
    assert made.shape == right.shape
    if not name.startswith(("empty", "random.")):
        assert_allclose(made.value.get(), right.value, rtol=1e-12)


def test_the_seed_repeats_the_numbers():
    drawn = []
    for _ in range(2):
        cp.random.seed(3)
        drawn.append(cp.random.randn(5).value.get())
    assert_array_equal(*drawn)


def test_shuffle():
    t = cp.arange(20)
    cp.random.shuffle(t)
    assert_array_equal(numpy.sort(t.value.get()), numpy.arange(20))


def test_the_step_of_linspace():
    values, step = cp.linspace(0.0, 1.0, 5, retstep=True)
    assert float(step) == 0.25
    assert values.shape == (5,)


# ----- moving ------------------------------------------------------------------------------------


def test_to_device_and_back():
    t = np.array([[1.0, 2.0], [3.0, 4.0]])
    there = to_device({"a": t, "b": [t.value, 3]}, "cuda")
    assert isinstance(there["a"].value, cp.ndarray)
    assert isinstance(there["b"][0], cp.ndarray)
    assert there["b"][1] == 3
    back = to_device(there, "cpu")
    assert_array_equal(back["a"].value, t.value)
    assert isinstance(back["b"][0], numpy.ndarray)


def test_what_is_there_already_is_not_copied():
    t = cp.ones(3)
    assert to_device(t, "cuda") is t


def test_the_gradient_of_a_round_trip():
    def f(x):
        there = to_device(np.tanh(x), "cuda")
        return np.sum(to_device(cp.exp(there), "cpu") * x)

    x = numpy.array([0.1, -0.2, 0.3])
    g = grad(f)(x)
    assert isinstance(g, numpy.ndarray)
    assert_allclose(g, grad(lambda x: np.sum(np.exp(np.tanh(x)) * x))(x), rtol=1e-12)
    check_grads(f, (x,))


def test_the_gradient_lies_where_the_argument_does():
    f = lambda x: cp.sum(to_device(x, "cuda"))  # noqa: E731
    assert isinstance(grad(f)(np.ones(2)), numpy.ndarray)
    assert isinstance(grad(f)(cp.ones(2)), cp.ndarray)


def test_array_uploads_a_tensor_with_its_gradient():
    g = grad(lambda x: cp.sum(cp.array(x) * cp.arange(2.0)))(numpy.ones(2))
    assert isinstance(g, numpy.ndarray)
    assert_array_equal(g, [0.0, 1.0])


def test_array_of_a_list_with_tensors():
    g = grad(lambda x: cp.sum(cp.array([[x[0], 1.0], [2.0, x[1] * x[0]]])))(cp.array([2.0, 3.0]))
    assert_array_equal(g.get(), [4.0, 2.0])


def test_numpy_does_not_download_by_itself(cupy):
    with pytest.raises(TypeError, match="to_device"):
        np.array(cp.ones(2))
    with pytest.raises(TypeError, match="NumPy array"):
        np.array(cupy.ones(2))


def test_float_of_what_is_not_tracked():
    assert float(cp.sum(cp.ones(3))) == 3.0


# ----- operands ----------------------------------------------------------------------------------

MIXED = {
    "array and Tensor": lambda a, b: a * Tensor(b),
    "Tensor and array": lambda a, b: Tensor(a) * b,
    "Tensors": lambda a, b: Tensor(a) + Tensor(b),
    "in a function": lambda a, b: cp.maximum(a, b),
    "matmul": lambda a, b: cp.matmul(a, b),
    "where": lambda a, b: cp.where(Tensor(b) > 0, a, b),
    "concatenate": lambda a, b: cp.concatenate([a, b]),
    "assignment": lambda a, b: Tensor(a).__setitem__(0, Tensor(b)[0:1]),
}


@pytest.mark.parametrize("flipped", [False, True], ids=["numpy first", "cupy first"])
@pytest.mark.parametrize("name", MIXED)
def test_operands_of_two_devices_are_refused(name, flipped, cupy):
    operands = [numpy.ones((1, 1)), cupy.ones((1, 1))]
    if flipped:
        operands.reverse()
    with pytest.raises(TypeError) as caught:
        MIXED[name](*operands)
    message = str(caught.value)
    assert "numpy.ndarray on 'cpu'" in message
    assert "cupy.ndarray on 'cuda'" in message
    assert "to_device" in message


OPERATIONS = {
    "add": lambda x, s: x + s,
    "subtract": lambda x, s: x - s,
    "multiply": lambda x, s: x * s,
    "divide": lambda x, s: x / s,
    "power": lambda x, s: x**s,
    "maximum": lambda x, s: cp.maximum(x, s),
    "arctan2": lambda x, s: cp.arctan2(x, s),
    "logaddexp": lambda x, s: cp.logaddexp(x, s),
    "where": lambda x, s: cp.where(cp.greater(x + s, 2.2), x, s),
    "less": lambda x, s: (x < s) * (x - s),
}
SCALARS = {
    "float": 1.5,
    "int": 2,
    "float64": numpy.float64(1.5),
    "float32": numpy.float32(1.5),
    "Tensor": Tensor(numpy.float64(1.5)),
}


@pytest.mark.parametrize("flipped", [False, True], ids=["array first", "scalar first"])
@pytest.mark.parametrize("scalar", SCALARS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_scalars_go_with_arrays_of_the_device(name, scalar, flipped):
    operation, s = OPERATIONS[name], SCALARS[scalar]

    def f(x):
        return cp.sum(operation(s, x) if flipped else operation(x, s))

    x = numpy.array([0.5, 1.0, 2.0], dtype=numpy.float32)
    value, g = value_and_grad(f)(cp.array(x))
    right, expected = value_and_grad(f)(np.array(x))
    assert isinstance(value.value, cp.ndarray)
    assert value.dtype == right.dtype
    assert g.dtype == numpy.float32
    assert_allclose(value.value.get(), right.value, rtol=1e-6)
    assert_allclose(g.get(), expected, rtol=1e-5)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("scalar", ["float", "float64", "float32"])
def test_the_gradient_of_a_scalar_comes_to_the_host(name, scalar):
    s = SCALARS[scalar]
    a = numpy.array([0.5, 1.0, 2.0])

    def f(s, a=a, to=np.array):
        return np.sum(OPERATIONS[name](to(a), s * s))

    g = grad(lambda s: f(s, to=cp.array))(s)
    expected = grad(f)(s)
    assert type(g) is type(expected)
    assert_allclose(g, expected, rtol=1e-6)
    if name != "less":  # a tangent that has been spread on the host: refused, see below
        tangent = jvp(lambda s: f(s, to=cp.array), (s,), (1.0,))[1]
        assert_allclose(float(tangent), float(expected), rtol=1e-6)


def test_the_tangent_of_a_scalar_that_was_spread_on_the_host_is_refused():
    a = cp.array([1.0, 2.0])
    with pytest.raises(TypeError, match="to_device"):
        jvp(lambda s: cp.sum((a - s) * a), (2.0,), (1.0,))
    tangent = jvp(lambda s: cp.sum((a - to_device(s, "cuda")) * a), (2.0,), (1.0,))[1]
    assert float(tangent) == -3.0


def test_the_second_derivative_by_a_scalar():
    a = cp.array([1.0, 2.0])
    second = grad(grad(lambda s: cp.sum(a * s**3)))(2.0)
    assert isinstance(second, numpy.float64)
    assert second == 36.0


def test_cupy_defers_to_the_tensor(cupy):
    a, t = cupy.arange(3.0), cp.ones(3)
    for made in (a + t, a - t, a * t, a / t, a**t, a < t, a == t, a @ t):
        assert isinstance(made, Tensor)
        assert isinstance(made.value, cupy.ndarray)


# ----- differentiating ---------------------------------------------------------------------------


def test_full_reductions_stay_on_the_device():
    for made in (cp.sum(cp.ones(3)), cp.max(cp.ones(3)), cp.mean(cp.ones((2, 2)))):
        assert isinstance(made.value, cp.ndarray)
        assert made.shape == ()
        assert made.value.get() in (1.0, 3.0)


def test_the_masked_reductions():
    x, mask = numpy.array([[1.0, -2.0], [3.0, 4.0]]), numpy.array([[True, False], [True, True]])
    for name in ("sum", "prod", "mean", "var", "std"):
        right = getattr(np, name)(x, axis=0, where=mask)
        made = getattr(cp, name)(cp.array(x), axis=0, where=cp.array(mask))
        assert_allclose(made.value.get(), right.value)
    for name in ("max", "min"):
        right = getattr(np, name)(x, axis=0, where=mask, initial=0.5)
        made = getattr(cp, name)(cp.array(x), axis=0, where=cp.array(mask), initial=0.5)
        assert_allclose(made.value.get(), right.value)


def test_single_precision_stays_single():
    x = cp.random.randn(4, 3).astype(cp.float32)
    for f in (cp.mean, cp.max, cp.std, lambda x: cp.sum(x * 2.0), lambda x: cp.trace(x[:3])):
        value, g = value_and_grad(f)(x)
        assert value.dtype == numpy.float32
        assert g.dtype == numpy.float32


def test_backward_of_permanent_leaves():
    w = cp.array([1.0, 2.0]).requires_grad_()
    for _ in range(2):
        cp.sum(w * w).backward()
    assert isinstance(w.grad, cp.ndarray)
    assert_array_equal(w.grad.get(), [4.0, 8.0])


def test_backward_from_a_list():
    w = cp.array([1.0, 2.0]).requires_grad_()
    (w * w).backward([1.0, 10.0])
    assert_array_equal(w.grad.get(), [2.0, 40.0])


def test_jacobian_and_hessian_product():
    x = cp.array([1.0, 2.0])
    assert_array_equal(jacobian(lambda x: x * x)(x).get(), [[2.0, 0.0], [0.0, 4.0]])
    product = hvp(lambda x: cp.sum(x**3), (x,), (cp.ones(2),))
    assert_array_equal(product.get(), [6.0, 12.0])


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_elements_that_are_taken_twice_get_both_gradients(dtype):
    x = cp.array([1.0, 2.0, 3.0]).astype(dtype)
    g = grad(lambda x: cp.sum(cp.real(x[[0, 0, 1]])))(x)
    assert g.dtype == dtype
    assert_array_equal(g.get(), [2.0, 1.0, 0.0])


def test_assignment_is_recorded():
    def f(x):
        made = cp.zeros(3)
        made[1:] = x * 2
        made[cp.array([True, False, False])] = x[0]
        return cp.sum(made * made)

    assert_array_equal(grad(f)(cp.array([1.0, 2.0])).get(), [10.0, 16.0])


def test_a_write_is_in_place_where_nobody_else_sees_the_array():
    t = cp.zeros(4)
    before = id(t.value)
    t[0] = 1.0
    assert id(t.value) == before
    seen = t.value
    t[1] = 1.0
    assert_array_equal(seen.get(), [1.0, 0.0, 0.0, 0.0])
    view = t[:2]
    t[0] = 5.0
    assert_array_equal(view.value.get(), [1.0, 1.0])


def test_the_triangles_and_the_diagonal():
    x = numpy.arange(12.0).reshape(3, 4)
    for name in ("tril", "triu", "diag", "trace", "diagonal"):
        f = lambda xp, x, name=name: getattr(xp, name)(x, 1) * 2  # noqa: E731
        assert_array_equal(f(cp, cp.array(x)).value.get(), f(np, x).value)
        g = grad(lambda x, f=f: cp.sum(f(cp, x)))(cp.array(x))
        assert_array_equal(g.get(), grad(lambda x, f=f: np.sum(f(np, x)))(np.array(x)))
    assert_array_equal(cp.diag(cp.arange(2.0), -1).value.get(), np.diag([0.0, 1.0], -1).value)


def test_the_corners_of_logsumexp():
    inf = numpy.inf
    x = cp.array([[-inf, -inf], [inf, 1.0], [0.0, 0.0]])
    value = sp.logsumexp(x, axis=1)
    assert_allclose(value.value.get(), [-inf, inf, numpy.log(2)])
    g = grad(lambda x: cp.sum(cp.where(cp.isfinite(value.value), sp.logsumexp(x, axis=1), 0.0)))(x)
    assert_array_equal(g.get(), [[0.0, 0.0], [0.0, 0.0], [0.5, 0.5]])


def test_use_gpu_is_refused_on_the_host():
    with pytest.raises(RuntimeError, match="lies on the CPU"):
        grad(lambda x: np.sum(x), use_GPU=True)(np.ones(2))


# ----- a network ---------------------------------------------------------------------------------


def network(xp, arrays, use_gpu):
    """Train a small network for some steps; return its losses."""
    weights = [
        (xp.array(0.1 * W), xp.array(0.1 * b))
        for W, b in zip(arrays[:2], [W[0] for W in arrays[:2]], strict=True)
    ]
    inputs, targets = (xp.array(a).value for a in arrays[2:])

    def model(x, weights):
        for i, (W, b) in enumerate(weights):
            outputs = xp.dot(x, W) + b
            last = i == len(weights) - 1
            x = (
                outputs - sp.gpu_logsumexp(outputs, axis=1, keepdims=True)
                if last
                else xp.tanh(outputs)
            )
        return x

    def objective(x, weights, label):
        return -xp.sum(model(x, weights) * xp.array(label))

    gradient = grad(objective, use_GPU=use_gpu)
    losses = []
    for _ in range(5):
        loss = objective(inputs, weights, targets)
        losses.append(float(loss.value.get()) if use_gpu else float(loss.value))
        found = gradient(inputs, weights, targets)
        for (W, b), (gW, gb) in zip(weights, found, strict=True):
            assert W.grad is not None
            W.grad = b.grad = None
            W -= 0.1 * gW
            b -= 0.1 * gb
    predicted = xp.argmax(model(inputs, weights), axis=1)
    return losses, predicted


def test_a_network_trains_as_on_the_host():
    random = numpy.random.default_rng(0)
    arrays = [random.standard_normal((6, 5)), random.standard_normal((5, 3))]
    arrays += [random.standard_normal((8, 6)), numpy.eye(3)[random.integers(0, 3, 8)]]
    losses, predicted = network(cp, arrays, use_gpu=True)
    right, expected = network(np, arrays, use_gpu=False)
    assert losses[-1] < losses[0]
    assert_allclose(losses, right, rtol=1e-10)
    assert_array_equal(predicted.value.get(), expected.value)
    assert cp.mean(predicted == predicted).value.get() == 1.0


def test_weights_drawn_on_the_device_are_trained():
    optimizers = pytest.importorskip("backpass.nn.optimizers")
    weights = [(0.1 * cp.random.randn(m, n), 0.1 * cp.random.randn(n)) for m, n in [(6, 5), (5, 3)]]
    for W, b in weights:
        W.parents, b.parents = None, None
        W.ref, b.ref = 0, 0
    x = cp.random.randn(8, 6).value

    def objective(x, weights):
        for W, b in weights:
            x = cp.tanh(cp.dot(x, W) + b)
        return cp.sum(x * x)

    run = optimizers.sgd_momentum(weights, learning_rate=0.01)
    losses = []
    for _ in range(20):
        losses.append(float(objective(x, weights).value.get()))
        grad(objective, use_GPU=True)(x, weights)
        assert isinstance(weights[0][0].grad, cp.ndarray)
        run()
        assert weights[0][0].grad is None
    assert losses[-1] < losses[0]


# ----- what computes on the CPU ------------------------------------------------------------------


def test_a_differential_equation_with_weights_on_the_device(cupy):
    random = numpy.random.default_rng(0)
    w, v = random.normal(size=(2, 4)), random.normal(size=(4, 2))

    def loss(w, v, by_args):
        def there(t, y, w):
            y = to_device(y, "cuda") if isinstance(v.value, cupy.ndarray) else y
            return to_device(np.matmul(np.tanh(np.matmul(y, w)), v), "cpu")

        if by_args:
            return np.sum(solve_ivp(there, (0, 1), [1.0, 0.5], args=(w,)).y[:, -1])
        return np.sum(solve_ivp(lambda t, y: there(t, y, w), (0, 1), [1.0, 0.5]).y[:, -1])

    on_cpu = grad(loss, (0, 1))(w, v, True)
    for by_args in (True, False):
        found = grad(loss, (0, 1))(cp.array(w), cp.array(v), by_args)
        for a, b in zip(found, on_cpu):
            assert isinstance(a, cupy.ndarray)
            assert_allclose(a.get(), b, rtol=1e-3)


def test_a_differential_equation_whose_state_is_on_the_device_is_refused():
    with pytest.raises(TypeError, match=r"solve_ivp: y0 lies on a device.*to_device"):
        solve_ivp(lambda t, y: -y, (0, 1), cp.ones(2))
    with pytest.raises(TypeError, match=r"returned an array on a device.*to_device"):
        solve_ivp(lambda t, y: cp.ones(2), (0, 1), [1.0, 0.5])
