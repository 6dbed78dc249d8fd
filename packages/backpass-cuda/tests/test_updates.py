"""The optimizers' kernels on the GPU: one launch, every shape, numbers that lie there."""

import itertools

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.cupy as cp
from backpass.core import grad, stop_gradient
from backpass.cupy import gradients, tables, updates
from backpass.cupy.launching import Kernel

pytestmark = pytest.mark.usefixtures("cupy")

SHAPES = [(3, 4), (4,), (), (0,), (70_001,), (1, 1), (2, 2, 2), (1024,), (1023,)]


@pytest.fixture
def launches(monkeypatch):
    """Give the list of the kernels that are launched."""
    found = []
    launch = Kernel.launch

    def counted(self, *args):
        found.append(self.name)
        launch(self, *args)

    monkeypatch.setattr(Kernel, "launch", counted)
    return found


def drawn(shapes, roles, dtype="float32"):
    """Return arrays of each role's shapes, on the CPU."""
    random = numpy.random.default_rng(0)
    return [random.uniform(-1, 1, s).astype(dtype) for _ in range(roles) for s in shapes]


def by_hand(arrays, roles, rate, momentum=0.0):
    """Take a step in double precision; return all arrays."""
    n = len(arrays) // roles
    wide = [x.astype("float64") for x in arrays]
    for i in range(n):
        step = wide[-n + i]
        if roles == 3:
            step = wide[n + i] = momentum * wide[n + i] + (1 - momentum) * step
        wide[i] = wide[i] - rate * step
    return wide


def check(found, right, dtype):
    limit = 4 * numpy.finfo(dtype).eps
    for x, y in zip(found, right, strict=True):
        assert x.dtype == dtype
        assert_allclose(x.get(), y, rtol=limit, atol=limit)


# ----- one launch --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("roles", [2, 3])
def test_one_launch_updates_all_weights(roles, dtype, cupy, launches):
    arrays = drawn(SHAPES, roles, dtype)
    there = [cupy.asarray(x) for x in arrays]
    if roles == 2:
        assert updates.sgd_update(*there, learning_rate=0.25) is None
    else:
        assert updates.momentum_update(*there, learning_rate=0.25, momentum=0.75) is None
    assert len(launches) == 1
    check(there, by_hand(arrays, roles, 0.25, 0.75), dtype)


@pytest.mark.parametrize(("count", "launched"), [(8, 1), (9, 1), (96, 1), (97, 2), (200, 3)])
def test_many_weights_take_a_launch_for_each_table(count, launched, cupy, launches):
    arrays = drawn([(i % 7 + 1,) for i in range(count)], 3)
    there = [cupy.asarray(x) for x in arrays]
    for _ in range(2):
        assert updates.momentum_update(*there, learning_rate=0.5, momentum=0.5) is None
        arrays = by_hand(arrays, 3, 0.5, 0.5)
    assert len(launches) == 2 * launched
    check(there, arrays, "float32")


def test_weights_without_elements_need_no_launch(cupy, launches):
    empty = [cupy.empty((0, 3)) for _ in range(4)]
    assert updates.sgd_update(*empty, learning_rate=1.0) is None
    assert launches == []


@pytest.mark.parametrize("roles", [2, 3])
def test_arrays_that_begin_anywhere(roles, cupy):
    arrays = drawn([(4099,), (5,)], roles)
    for skipped in itertools.product((0, 1), repeat=roles):
        whole = [cupy.zeros(x.size + 1, x.dtype) for x in arrays]
        there = [x[skipped[i // 2] :][: len(y)] for i, (x, y) in enumerate(zip(whole, arrays))]
        for x, y in zip(there, arrays, strict=True):
            x[...] = cupy.asarray(y)
        numbers = {"learning_rate": 0.25} | ({"momentum": 0.75} if roles == 3 else {})
        call = updates.sgd_update if roles == 2 else updates.momentum_update
        assert call(*there, **numbers) is None
        check(there, by_hand(arrays, roles, 0.25, 0.75), "float32")
        for x, skip in zip(whole, [s for s in skipped for _ in range(2)], strict=True):
            assert x[-1 if skip == 0 else 0].get() == 0  # nothing beside them was written


def test_the_same_memory_in_other_shapes(cupy):
    """What is known of addresses must not be used for other arrays that lie there."""
    memory = [cupy.ones(12, "float32") for _ in range(2)]
    for shape in ((12,), (3, 4), (6,), (5,)):
        size = int(numpy.prod(shape))
        w, g = (x[:size].reshape(shape) for x in memory)
        before = w.get()
        assert updates.sgd_update(w, g, learning_rate=0.5) is None
        assert_array_equal(w.get(), before - 0.5)
    assert_array_equal(memory[0].get(), [-1.0] * 5 + [-0.5] + [0.0] * 6)


def test_more_sets_of_arrays_than_are_remembered(cupy):
    kept = [(cupy.ones(3), cupy.ones(3)) for _ in range(2 * tables.TABLES)]
    for _ in range(2):
        for w, g in kept:
            assert updates.sgd_update(w, g, learning_rate=0.25) is None
    assert all((w.get() == 0.5).all() for w, _ in kept)
    assert len(tables._tables) <= tables.TABLES


# ----- numbers on the device ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_numbers_that_lie_on_the_device(dtype, kind, cupy, launches):
    arrays = drawn(SHAPES, 3, dtype)
    there = [cupy.asarray(x) for x in arrays]
    rate, momentum = cupy.array(0.25, kind), cupy.array(0.75, kind)
    assert updates.momentum_update(*there, learning_rate=rate, momentum=momentum) is None
    rate[...] = 0.5  # read when the kernel runs, in the order of the stream
    assert updates.momentum_update(*there, learning_rate=rate, momentum=0.75) is None
    assert len(launches) == 2
    right = by_hand([x.astype(dtype) for x in by_hand(arrays, 3, 0.25, 0.75)], 3, 0.5, 0.75)
    check(there, right, dtype)
    assert rate.get() == 0.5


def test_numbers_of_other_kinds_are_left_to_cupy(cupy):
    w, g = cupy.ones(3), cupy.ones(3)
    for rate in (cupy.array(1), cupy.array([0.5]), numpy.array(0.5), 1, None, 0.5j, "0.5"):
        assert updates.sgd_update(w, g, learning_rate=rate) is NotImplemented
    assert_array_equal(w.get(), 1.0)


# ----- what is left to CuPy ----------------------------------------------------------------------


def test_arrays_that_do_not_fit_are_left_alone(cupy):
    def arrays():
        return [cupy.full(4, float(i + 1)) for i in range(4)]

    whole = cupy.ones(9)
    bad = {
        "another number of them": lambda a: a[:3],
        "none": lambda a: [],
        "NumPy's": lambda a: [*a[:3], a[3].get()],
        "NumPy's first": lambda a: [a[0].get(), *a[1:]],
        "numbers": lambda a: [1.0, *a[1:]],
        "another shape": lambda a: [*a[:3], a[3].reshape(2, 2)],
        "another dtype": lambda a: [*a[:3], a[3].astype("float32")],
        "spaced": lambda a: [*a[:3], cupy.ones(8)[::2]],
        "spread": lambda a: [*a[:3], cupy.broadcast_to(cupy.ones(1), (4,))],
        "complex": lambda a: [x + 1j for x in a],
        "integers": lambda a: [x.astype(int) for x in a],
        "one twice": lambda a: [a[0], a[0], *a[2:]],
        "the gradient is the weight": lambda a: [*a[:2], a[0], a[3]],
        "overlapping": lambda a: [whole[:4], whole[3:7], *a[2:]],
    }
    for name, change in bad.items():
        operands = change(arrays())
        before = [x.get() if isinstance(x, cp.ndarray) else numpy.array(x) for x in operands]
        assert updates.sgd_update(*operands, learning_rate=0.5) is NotImplemented, name
        after = [x.get() if isinstance(x, cp.ndarray) else numpy.array(x) for x in operands]
        for x, y in zip(before, after, strict=True):
            assert_array_equal(x, y, err_msg=name)
    w, v, g, h = arrays()
    assert updates.sgd_update(w, v, g, g, learning_rate=0.5) is None  # read twice
    assert_array_equal(w.get(), 1 - 0.5 * 3)
    rate = w[:1].reshape(())  # what is read would be written
    assert updates.sgd_update(w, h, learning_rate=rate) is NotImplemented


# ----- half precision ----------------------------------------------------------------------------

ADAM = {
    "learning_rate": 0.25,
    "beta1": 0.75,
    "beta2": 0.875,
    "eps": 1e-3,
    "weight_decay": 0.1,
    "decoupled": True,
    "amsgrad": True,
    "step": 3,
}


@pytest.fixture(params=["float16", "bfloat16"])
def half(request):
    """Give the dtypes of half precision."""
    if request.param == "float16":
        return request.param
    return pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes").bfloat16


def test_gradients_in_half_precision_of_weights_in_single(half, cupy, launches):
    arrays = drawn(SHAPES, 5)
    for x in arrays[2 * len(SHAPES) : 4 * len(SHAPES)]:
        numpy.abs(x, out=x)
    arrays[-len(SHAPES) :] = [x.astype(half) for x in arrays[-len(SHAPES) :]]
    there = [cupy.asarray(x) for x in arrays]
    assert updates.adam_update(*there, **ADAM) is None
    assert len(launches) == 1
    wide = [cupy.asarray(x.astype("float32")) for x in arrays]
    assert updates.adam_update(*wide, **ADAM) is None
    for x, y in zip(there[: -len(SHAPES)], wide, strict=False):
        assert x.dtype == "float32"
        assert_array_equal(x.get(), y.get())


def test_weights_become_what_others_are_rounded(half, cupy, launches):
    sources = drawn(SHAPES, 1)
    sources[0][...] = [0.0, -0.0, numpy.inf, numpy.nan]
    sources[4][:3] = [7e4, 1e-8, 1 + 2**-9]
    there = [cupy.asarray(x) for x in sources]
    targets = [cupy.empty(x.shape, half) for x in sources]
    assert updates.cast_update(*targets, *there) is None
    made = updates.half_casts(*there, dtype=numpy.dtype(half))
    assert len(launches) == 2
    with numpy.errstate(over="ignore"):
        for x, z, y in zip(targets, made, sources, strict=True):
            assert z.dtype == half
            assert_array_equal(x.get().astype("float32"), z.get().astype("float32"))
            assert_array_equal(x.get().astype("float32"), y.astype(half).astype("float32"))


def test_gradients_over_the_scale_of_their_loss(half, cupy):
    arrays = [x.astype(half) for x in drawn(SHAPES, 1)]
    there = [cupy.asarray(x) for x in arrays]
    scale = cupy.array(2.0**10, "float32")
    *made, finite = updates.unscaled_gradients(*there, scale=scale)
    assert finite.get() == 1
    for x, y in zip(made, arrays, strict=True):
        assert x.dtype == "float32"
        assert_array_equal(x.get(), y.astype("float32") / 2.0**10)
    for bad in (numpy.inf, -numpy.inf, numpy.nan):
        there[4][70_000] = bad
        assert updates.unscaled_gradients(*there, scale=scale)[-1].get() == 0
        assert updates.unscaled_gradients(*there[:4], scale=scale)[-1].get() == 1
    assert updates.unscaled_gradients(scale=scale) is NotImplemented
    assert updates.unscaled_gradients(there[0].astype("int64"), scale=scale) is NotImplemented


# ----- steps that are not taken ------------------------------------------------------------------


def test_a_number_on_the_device_says_whether_to_take_a_step(cupy, launches):
    finite = cupy.ones((), "float32")
    steps = {
        "sgd_update": ({"learning_rate": 0.5}, 2),
        "adam_update": (ADAM, 5),
        "lion_update": (
            {"learning_rate": 0.5, "beta1": 0.5, "beta2": 0.5, "weight_decay": 0.1},
            3,
        ),
    }
    for name, (numbers, roles) in steps.items():
        there = [cupy.asarray(abs(x)) for x in drawn([(5,), (3, 4)], roles)]
        before = [x.get() for x in there]
        finite[...] = 0
        assert updates.KERNELS[name](*there, **numbers, finite=finite) is None
        for x, y in zip(there, before, strict=True):
            assert_array_equal(x.get(), y)
        finite[...] = 1
        assert updates.KERNELS[name](*there, **numbers, finite=finite) is None
        right = [cupy.asarray(x) for x in before]
        assert updates.KERNELS[name](*right, **numbers) is None
        for x, y in zip(there, right, strict=True):
            assert_array_equal(x.get(), y.get())
        assert (there[0].get() != before[0]).all()


@pytest.mark.parametrize("count", [1, 3])
def test_the_scale_of_a_loss_follows(count, cupy, launches):
    scale, streak = cupy.array(4.0, "float32"), cupy.zeros((), "float32")
    flags = [cupy.ones((), "float32") for _ in range(count)]
    numbers = {"growth": 2.0, "backoff": 0.25, "interval": 3.0}
    seen = []
    for good in [1, 1, 1, 1, 0, 1, 1, 1, 0, 0]:
        flags[-1][...] = good
        assert gradients.scale_update(scale, streak, *flags, **numbers) is None
        seen.append((float(scale.get()), float(streak.get())))
    assert seen == [(4, 1), (4, 2), (8, 0), (8, 1), (2, 0), (2, 1), (2, 2), (4, 0), (1, 0), (1, 0)]
    scale[...] = 2.0**126
    numbers["interval"] = 1.0
    flags[-1][...] = 1
    gradients.scale_update(scale, streak, *flags, **numbers)
    assert scale.get() == 2.0**126
    assert len(launches) == 11


# ----- norms -------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1.0, 2, float("inf")])
def test_a_norm_takes_two_launches(order, cupy, launches):
    arrays = drawn(SHAPES, 1)
    found = gradients.gradient_norm(*[cupy.asarray(x) for x in arrays], order=order)
    assert len(launches) == 2
    whole = numpy.concatenate([x.ravel() for x in arrays]).astype("float64")
    assert_allclose(found.get(), numpy.linalg.norm(whole, order), rtol=1e-12)
    assert gradients.gradient_norm(cupy.ones((0, 3)), order=order).get() == 0


def test_the_norm_of_gradients_in_half_precision(half, cupy):
    arrays = [(1e3 * x).astype(half) for x in drawn(SHAPES, 1)]
    found = gradients.gradient_norm(*[cupy.asarray(x) for x in arrays])
    whole = numpy.concatenate([x.ravel() for x in arrays]).astype("float64")
    assert_allclose(found.get(), numpy.linalg.norm(whole), rtol=1e-12)


def test_a_norm_of_views_that_begin_anywhere(cupy):
    x = drawn([(9001,)], 1)[0]
    there = cupy.asarray(x)
    for skipped in range(5):
        found = gradients.gradient_norm(there[skipped:])
        assert_allclose(found.get(), numpy.linalg.norm(x[skipped:].astype("float64")), rtol=1e-12)


@pytest.mark.parametrize("roles", range(1, 6))
def test_a_table_fits_into_the_parameters_of_a_kernel(roles):
    assert tables._layout(roles, tables.capacities(roles)[-1]).itemsize <= tables.LARGEST


# ----- optimizers --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sgd", "sgd_momentum"])
def test_an_optimizer_takes_one_launch_a_step_and_reads_its_rate_there(name, launches):
    optimizers = pytest.importorskip("backpass.nn.optimizers")
    w, b, rate = cp.ones((5, 3)), cp.ones(3), cp.array(0.5)
    run = getattr(optimizers, name)([w, b], learning_rate=rate)
    x = cp.ones((2, 5)).value

    def step():
        grad(lambda weights: cp.sum(cp.dot(x, weights[0]) + weights[1]))([w, b])
        launches.clear()
        run()

    step()
    assert [name.startswith("backpass_") for name in launches] == [True]
    before = w.value.get()
    assert (before < 1).all()
    address = rate.value.data.ptr
    rate[...] = 0.0
    assert rate.value.data.ptr == address
    step()
    assert_array_equal(w.value.get(), before)
    assert w.dtype == numpy.float64


def test_an_optimizer_refuses_a_rate_on_another_device():
    optimizers = pytest.importorskip("backpass.nn.optimizers")
    import backpass.numpy as np

    w = np.ones(3)
    run = optimizers.sgd([w], learning_rate=cp.array(0.5))
    grad(lambda w: np.sum(w))(w)
    with pytest.raises(TypeError, match=r"`learning_rate` lies on 'cuda'.*to_device"):
        run()
    assert_array_equal(w.value, 1.0)


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {}),
        ("SGD", {"weight_decay": 0.1}),
        ("SGD", {"momentum": 0.9, "dampening": 0.5}),
        ("SGD", {"momentum": 0.9, "nesterov": True}),
        ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
        ("AdamW", {}),
        ("AdamW", {"capturable": True}),
        ("RMSprop", {"momentum": 0.9, "centered": True}),
        ("Adagrad", {"initial_accumulator_value": 0.1, "learning_rate_decay": 0.1}),
        ("Lion", {"weight_decay": 0.1}),
        ("Muon", {}),
    ],
)
@pytest.mark.parametrize("there", [False, True], ids=["number", "array"])
def test_an_optimizer_takes_the_steps_that_it_takes_on_the_cpu(name, options, dtype, there):
    optimizers = pytest.importorskip("backpass.nn.optimizers")
    import backpass.numpy as np

    if name == "Muon" and dtype == "complex128":
        pytest.skip("Muon is for real matrices")
    shapes = [(3, 4), (2, 2)] if name == "Muon" else [(3, 4), (), (0,), (5,)]
    random = numpy.random.default_rng(0)

    def draw():
        return [random.standard_normal(shape).astype(dtype) for shape in shapes]

    first = draw()
    weights, here, params = ([like(x) for x in first] for like in (cp.array, np.array, cp.array))
    rate = cp.array(0.1) if there else 0.1
    optimizer = getattr(optimizers, name)(weights, rate, **options)
    pure = getattr(optimizers, name)(learning_rate=rate, **options)
    right = getattr(optimizers, name)(here, 0.1, **options)
    state = pure.init(params)
    for _ in range(4):
        for w, h, g in zip(weights, here, draw(), strict=True):
            w.grad, h.grad = cp.array(g).value, g
        params, state = pure.update([w.grad for w in weights], state, params)
        optimizer.step()
        right.step()
        optimizer.load_state_dict(optimizer.state_dict())
    for w, h, p in zip(weights, here, params, strict=True):
        assert w.dtype == p.dtype == dtype
        assert_allclose(w.value.get(), h.value, rtol=1e-4, atol=1e-5)
        assert_allclose(p.value.get(), h.value, rtol=1e-4, atol=1e-5)


def test_averages_and_bounds_of_gradients():
    optimizers = pytest.importorskip("backpass.nn.optimizers")
    w = cp.zeros(2)
    average = optimizers.ExponentialMovingAverage([w], decay=0.75)
    w[...] = 4.0
    average.update()
    with average.swapped():
        assert_array_equal(w.value.get(), 1.0)
    assert_array_equal(average.state_dict()["0.average"].get(), 1.0)
    average.load_state_dict(average.state_dict())
    for order, norm in ((2.0, 5.0), (1.0, 7.0), (float("inf"), 4.0), (3.0, 91 ** (1 / 3))):
        w.grad = cp.array([3.0, -4.0]).value
        found = optimizers.clip_grad_norm([w], 1.0, norm_type=order)
        assert_allclose(found.get(), norm)
        assert_allclose(w.grad.get(), numpy.array([3.0, -4.0]) / norm)
    w.grad = cp.array([3.0, -4.0]).value
    optimizers.clip_grad_value([w], 3.5)
    assert_array_equal(w.grad.get(), [3.0, -3.5])


# ----- mixed precision ---------------------------------------------------------------------------


def test_a_step_in_half_precision_is_captured_and_left_out_where_it_must_be(half, launches):
    nn = pytest.importorskip("backpass.nn")
    nn.seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)).to("cuda")
    optimizer = nn.optimizers.AdamW(model, learning_rate=0.01, capturable=True)
    scaler = nn.optimizers.LossScaler(2.0**8, interval=100)
    y = cp.asarray(numpy.arange(6) % 3)

    def step(x):
        with nn.half_precision(model, half) as dtype:
            loss = nn.functional.cross_entropy(model(x.astype(dtype)), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        return stop_gradient(loss)

    run = cp.capture(step)
    good = numpy.random.default_rng(0).normal(size=(6, 5)).astype("float32")
    losses = [float(run(cp.array(good)).value.get()) for _ in range(6)]
    assert losses == sorted(losses, reverse=True)
    assert scaler.value == 2.0**8
    before = {
        key: numpy.asarray(x.get() if hasattr(x, "get") else x)
        for key, x in optimizer.state_dict().items()
    }
    bad = good.copy()
    bad[0, 0] = numpy.inf
    run(cp.array(bad))
    assert scaler.value == 2.0**7
    for key, x in optimizer.state_dict().items():
        if key not in ("steps", "optimizer"):
            assert_array_equal(x.get() if hasattr(x, "get") else x, before[key])
    assert float(run(cp.array(good)).value.get()) < losses[-1]
