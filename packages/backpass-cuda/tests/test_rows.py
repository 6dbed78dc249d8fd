"""Reductions and the softmax on the device: every way in which threads are laid over rows."""

import itertools
import threading

import numpy
import pytest
import scipy.special
from numpy.testing import assert_allclose, assert_array_equal

from backpass.core.backends import NUMPY
from backpass.core.ops import reductions as core
from backpass.core.ops.special import exponential_sums
from backpass.cupy import partials
from backpass.cupy.partials import workspace
from backpass.cupy.reductions import KERNELS as REDUCTIONS
from backpass.cupy.rows import Rows
from backpass.cupy.softmax import KERNELS as EXPONENTIALS

pytestmark = pytest.mark.usefixtures("cupy")

KERNELS = {**REDUCTIONS, **EXPONENTIALS}
FUNCTIONS = {
    "sum": numpy.sum,
    "mean": numpy.mean,
    "max": numpy.max,
    "min": numpy.min,
    "var": numpy.var,
    "std": numpy.std,
    "logsumexp": scipy.special.logsumexp,
    "softmax": scipy.special.softmax,
    "log_softmax": scipy.special.log_softmax,
}
PRIMITIVES = {
    **{name: getattr(core, f"{name}_") for name in ("sum", "mean", "max", "min", "var", "std")},
    "logsumexp": exponential_sums.logsumexp_,
    "softmax": exponential_sums.softmax_,
    "log_softmax": exponential_sums.log_softmax_,
}
#: Of each kind: a sum, a sum that is kept in parts, and one with a result for each element.
KINDS = ("sum", "logsumexp", "var", "softmax", "softmax.vjp", "max.vjp")
TOLERANCES = {"float16": 2e-3, "float32": 4e-6, "float64": 4e-14}


def drawn(shape, dtype="float32", seed=0):
    """Return numbers of both signs, some of them equal."""
    x = numpy.random.default_rng(seed).normal(0, 2, shape)
    return numpy.round(x, 2).astype(dtype)


def split_name(name):
    base, _, rule = name.partition(".")
    return base, bool(rule)


def run(cupy, name, x, axis, view=lambda x: x, **keywords):
    """Run a kernel on a view of an array; return what it gives and what NumPy does in double."""
    base, is_rule = split_name(name)
    there = view(cupy.asarray(x))
    here = view(numpy.asarray(x, "float64"))
    if not is_rule:
        found = KERNELS[name](there, axis=axis, **keywords)
        return found, FUNCTIONS[base](here, axis=axis, **keywords)
    primitive = PRIMITIVES[base]
    ans = numpy.asarray(FUNCTIONS[base](here, axis=axis, **keywords))
    rule = primitive.vjps[0]
    g = drawn(ans.shape, "float64", 7)
    g.flat[::3] = 0
    # What the rule reads is rounded as it is on the device.
    dtype = there.dtype
    ans, g = ans.astype(dtype), g.astype(dtype)
    saved = [(ans.astype("float64"), here)[p] for p in rule.positions]
    right = rule.call(g.astype("float64"), *saved, axis=axis, **keywords)
    saved = [(cupy.asarray(ans), there)[p] for p in rule.positions]
    return KERNELS[name](cupy.asarray(g), *saved, axis=axis, **keywords), right


def check(cupy, name, x, axis, scale=1.0, **options):
    with numpy.errstate(all="ignore"):
        found, right = run(cupy, name, x, axis, **options)
    assert found is not NotImplemented
    assert found.dtype == x.dtype
    assert found.shape == numpy.shape(right)
    tolerance = TOLERANCES[x.dtype.name] * scale
    length = x.size / max(1, numpy.size(right))
    assert_allclose(
        found.get().astype("float64"), right, rtol=tolerance, atol=tolerance * max(4, length**0.5)
    )


# ----- the threads' places ------------------------------------------------------------------------

#: Lengths on both sides of each border: of a pack, a warp, what a thread holds, a block, several.
LENGTHS = [1, 2, 3, 4, 5, 8, 31, 32, 33, 100, 128, 130, 250, 256, 260, 512, 1000, 1024, 1025, 2052]


#: All kernels in single precision, one of each kind in the others.
OF_DTYPES = [
    (name, dtype)
    for dtype in TOLERANCES
    for name in (KERNELS if dtype == "float32" else (*KINDS, "log_softmax.vjp"))
]


@pytest.mark.parametrize(("name", "dtype"), OF_DTYPES)
def test_rows_of_every_length(name, dtype, cupy):
    for length in LENGTHS:
        check(cupy, name, drawn((3, length), dtype), 1)


@pytest.mark.parametrize(("name", "dtype"), OF_DTYPES)
def test_columns_of_every_length(name, dtype, cupy):
    for length in LENGTHS:
        check(cupy, name, drawn((length, 3), dtype), 0)
        check(cupy, name, drawn((length, 40), dtype), 0)


@pytest.mark.parametrize("name", KINDS)
def test_rows_that_do_not_fit_into_registers(name, cupy):
    for length in (4096, 16380, 16388, 20001):
        check(cupy, name, drawn((2, length)), 1)
    for length in (1100, 3000):
        check(cupy, name, drawn((length, 35)), 0)


@pytest.mark.parametrize("name", KINDS)
def test_many_rows(name, cupy):
    for shape in ((3000, 5), (3000, 16), (1100, 301)):
        check(cupy, name, drawn(shape), 1)
        check(cupy, name, drawn(shape[::-1]), 0)
    check(cupy, name, drawn((9000, 3, 2)), 1)


VIEWS = {
    "aligned": lambda x: x,
    "from the second on": lambda x: x[..., 1:],
    "every second": lambda x: x[..., ::2],
    "backwards": lambda x: x[..., ::-1, ::-1],
    "part": lambda x: x[1:, :, 4:12],
    "turned": lambda x: x.transpose(2, 0, 1),
    "swapped": lambda x: x.swapaxes(0, 1),
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", KINDS)
def test_views_and_axes(name, view, cupy):
    x = drawn((5, 6, 16))
    for axis in (None, 0, 1, 2, (0, 1), (1, 2), (0, 2), (0, 1, 2)):
        check(cupy, name, x, axis, view=VIEWS[view])


@pytest.mark.parametrize("name", KINDS)
def test_rows_that_begin_out_of_step(name, cupy):
    for width in (17, 18, 19):
        check(cupy, name, drawn((6, width)), 1, view=lambda x: x[:, :16])


@pytest.mark.parametrize("name", KINDS)
def test_five_axes_in_turn(name, cupy):
    x = drawn((2, 3, 4, 3, 8))
    for axis in ((0, 2, 4), (1, 3), (0, 3), (2, 4)):
        check(cupy, name, x, axis)
        check(cupy, name, x, axis, view=lambda x: x[:, ::2, :, ::-1])


@pytest.mark.parametrize("name", KERNELS)
def test_columns_first(name, cupy):
    for axis in (0, 1, None):
        check(cupy, name, drawn((40, 30)), axis, view=lambda x: x.T)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "max.vjp"])
def test_a_result_of_the_operands_order(name, cupy):
    found, _ = run(cupy, name, drawn((6, 8)), 0, view=lambda x: x.T)
    assert found.strides == (4, 32)


@pytest.mark.parametrize("name", [name for name in KERNELS if "softmax" not in name])
def test_keepdims(name, cupy):
    for axis in (None, 1, (0, 2)):
        check(cupy, name, drawn((3, 4, 5)), axis, keepdims=True)


@pytest.mark.parametrize("name", ["var", "var.vjp", "std", "std.vjp"])
def test_degrees_of_freedom(name, cupy):
    for ddof in (1, 1.5):
        check(cupy, name, drawn((6, 8)), 1, ddof=ddof)
    assert (
        name.endswith("vjp") or KERNELS[name](cupy.ones((2, 3)), axis=1, ddof=3) is NotImplemented
    )


# ----- what repeats -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in KERNELS if "vjp" not in name])
def test_operands_that_are_spread(name, cupy):
    row, column = drawn(7)[None, :], drawn(6)[:, None]
    for part in (row, column, row[:, :1]):
        there = cupy.broadcast_to(cupy.asarray(part), (6, 7))
        here = numpy.broadcast_to(part.astype("float64"), (6, 7))
        for axis in (None, 0, 1):
            found = KERNELS[name](there, axis=axis)
            right = FUNCTIONS[split_name(name)[0]](here, axis=axis)
            assert_allclose(found.get(), right, rtol=1e-5, atol=1e-5)


def test_the_sum_of_what_was_spread_is_exact(cupy):
    g = cupy.broadcast_to(cupy.asarray(numpy.float32(0.1)), (1000, 3))
    assert_array_equal(KERNELS["sum"](g, axis=0).get(), numpy.full(3, 100, "float32"))


@pytest.mark.parametrize("name", ["softmax.vjp", "log_softmax.vjp"])
def test_a_spread_cotangent(name, cupy):
    ans = drawn((6, 8))
    g = numpy.broadcast_to(numpy.float32(2), (6, 8))
    there = cupy.broadcast_to(cupy.asarray(numpy.float32(2)), (6, 8))
    right = PRIMITIVES[name.removesuffix(".vjp")].vjps[0].call(g, ans, axis=1)
    assert_allclose(KERNELS[name](there, cupy.asarray(ans), axis=1).get(), right, rtol=1e-5)


@pytest.mark.parametrize("name", ["sum.vjp", "mean.vjp"])
def test_a_spread_cotangent_is_a_view(name, cupy):
    g = cupy.asarray(drawn(3))
    for axis, keepdims in ((1, False), (1, True), ((0, 1), False), (None, False), ((), False)):
        whole = cupy.ones((3, 4), "float32")
        part = whole.sum(axis=axis, keepdims=keepdims)
        g = cupy.asarray(drawn(part.shape))
        found = KERNELS[name](g, whole, axis=axis, keepdims=keepdims)
        assert found.base is not None or axis == ()
        assert found.shape == (3, 4)
        times = 12 // part.size if name == "mean.vjp" else 1
        here = g.get() if keepdims or part.ndim != 1 else g.get()[:, None]
        assert_allclose(found.get(), numpy.broadcast_to(here / times, (3, 4)), rtol=1e-6)


# ----- corners ------------------------------------------------------------------------------------

INF, NAN = numpy.inf, numpy.nan
CORNERS = [
    [-INF, -INF, -INF, -INF], [INF, 1, -INF, 2], [INF, INF, 0, -1], [NAN, 1, 2, 3],
    [INF, NAN, 0, 1], [INF, -INF, NAN, -INF], [1e38, -1e38, 3e38, 3.4e38], [-3e38, -3.4e38, 0, 0],
    [5, 5, 5, 5], [0, -0.0, 0, -0.0], [1e-45, 1e-40, 0, 0], [-INF, 3, -INF, -INF],
    [-1e30, -1e30, -1e30, -2e30], [200, -200, 100, 0],
]  # fmt: skip


@pytest.mark.parametrize("length", [4, 700, 20_000], ids=["short", "long", "read twice"])
@pytest.mark.parametrize("name", EXPONENTIALS)
def test_rows_of_infinities(name, length, cupy):
    x = numpy.repeat(numpy.array(CORNERS, "float32"), -(-length // 4), axis=1)
    base, is_rule = split_name(name)
    primitive = PRIMITIVES[base]
    there = cupy.asarray(x)
    with numpy.errstate(all="ignore"):
        ans = primitive.reference(NUMPY)(x, axis=1)
        if not is_rule:
            found = KERNELS[name](there, axis=1).get()
            # Denormal numbers may count as 0.
            assert_allclose(found, ans, rtol=2e-5, atol=numpy.finfo("float32").tiny)
            return
        rule = primitive.vjps[0]
        g = drawn(ans.shape)
        g[..., ::2] = 0
        for cotangent in (g, numpy.zeros_like(g)):
            saved = [(ans, x)[p] for p in rule.positions]
            right = rule.call(cotangent, *saved, axis=1)
            found = KERNELS[name](cupy.asarray(cotangent), *map(cupy.asarray, saved), axis=1)
            assert_allclose(found.get(), right, rtol=2e-5, atol=1e-5 * length**0.5)


@pytest.mark.parametrize("length", [4, 700, 20_000, 200_000])
@pytest.mark.parametrize("name", ["max", "min"])
def test_a_nan_is_the_extreme(name, length, cupy):
    x = drawn((3, length))
    x[0, length // 3] = x[1, [0, -1]] = NAN
    x[2, 1] = INF
    there = cupy.asarray(x)
    ans = KERNELS[name](there, axis=1)
    assert_array_equal(ans.get(), FUNCTIONS[name](x, axis=1))
    assert numpy.isnan(KERNELS[name](there).get())
    g = cupy.asarray(numpy.array([2, 3, 5], "float32"))
    flow = KERNELS[f"{name}.vjp"](g, ans, there, axis=1).get()
    assert_array_equal(flow[0], numpy.where(numpy.isnan(x[0]), 2, 0))
    assert_array_equal(flow[1], numpy.where(numpy.isnan(x[1]), 1.5, 0))
    chosen = x[2] == FUNCTIONS[name](x[2])
    assert_allclose(flow[2], numpy.where(chosen, 5 / chosen.sum(), 0), rtol=1e-6)


def test_equal_numbers_vary_by_exactly_nothing(cupy):
    x = cupy.asarray(numpy.full((5, 1001), 0.1, "float32"))
    for name, axis in itertools.product(("var", "std"), (None, 0, 1)):
        assert not KERNELS[name](x, axis=axis).get().any()


def test_what_is_left_to_others(cupy):
    x = cupy.asarray(drawn((3, 4)))
    numbers = [x.astype(dtype) for dtype in ("int64", "complex64", "bool")]
    for name, kernel in KERNELS.items():
        operands = [x] * (len(kernel.program.operands) if isinstance(kernel, Rows) else 2)
        for axis in (2, -3, (0, 0), (0, 5), 1.0, (1.0,), [1], "0", numpy.int64(1)):
            assert kernel(*operands, axis=axis) is NotImplemented, (name, axis)
        for odd in (x.get(), 1.0, *(numbers if name != "sum.vjp" else [])):
            assert kernel(*[odd] * len(operands), axis=1) is NotImplemented, (name, odd)
        assert kernel(*operands, axis=1, where=True) is NotImplemented
        if name not in ("sum.vjp", "mean.vjp"):
            assert kernel(x[:0], *operands[1:], axis=1) is NotImplemented


# ----- several blocks for a row -------------------------------------------------------------------

SPLIT = [((300_001,), None), ((2, 150_000), 1), ((40_000, 5), 0), ((300, 7, 160), (0, 2))]


@pytest.mark.parametrize("name", [name for name in KERNELS if isinstance(KERNELS[name], Rows)])
@pytest.mark.parametrize(("shape", "axis"), SPLIT)
def test_long_rows(name, shape, axis, cupy):
    if KERNELS[name].program.spread and shape[0] > 1e5:
        shape = (70_000,)
    check(cupy, name, drawn(shape), axis)


def test_a_few_rows_that_are_very_long_are_left_to_others(cupy):
    x = cupy.zeros((2, 300_000), "float16")
    assert KERNELS["softmax"](x, axis=1) is NotImplemented
    assert KERNELS["softmax"](x) is NotImplemented
    assert KERNELS["softmax"](x, axis=0) is not NotImplemented


def test_long_rows_are_shared(cupy):
    for shape, axis in SPLIT:
        x = cupy.asarray(drawn(shape))
        KERNELS["sum"](x, axis=axis)
        key = (axis, False, 0, x.dtype, x.shape, True, True)
        assert KERNELS["sum"]._plans[key].parts


@pytest.mark.parametrize("name", ["sum", "logsumexp", "var"])
def test_the_same_bits_each_time(name, cupy):
    x = cupy.asarray(drawn(400_000))
    first = KERNELS[name](x).get()
    for _ in range(10):
        assert_array_equal(KERNELS[name](x).get(), first)


def test_streams_do_not_share_a_workspace(cupy):
    here = workspace(16, 1)
    assert workspace(16, 1) is here
    with cupy.cuda.Stream(non_blocking=True) as stream:
        there = workspace(16, 1)
        assert there.tickets.data.ptr != here.tickets.data.ptr
        assert there.parts.data.ptr != here.parts.data.ptr
        stream.synchronize()


def test_threads_do_not_share_a_workspace(cupy):
    found = []
    thread = threading.Thread(target=lambda: found.append(workspace(16, 1)))
    thread.start()
    thread.join()
    assert found[0].tickets.data.ptr != workspace(16, 1).tickets.data.ptr


def test_two_streams_at_once(cupy):
    xs = [cupy.asarray(drawn(300_000, seed=seed)) for seed in range(2)]
    rights = [KERNELS["sum"](x).get() for x in xs]
    streams = [cupy.cuda.Stream(non_blocking=True) for _ in xs]
    cupy.cuda.get_current_stream().synchronize()
    found = [[], []]
    for _ in range(40):
        for x, stream, sums in zip(xs, streams, found, strict=True):
            with stream:
                sums.append(KERNELS["sum"](x))
    for stream, sums, right in zip(streams, found, rights, strict=True):
        stream.synchronize()
        assert_array_equal([s.get() for s in sums], [right] * 40)


def test_several_threads_at_once(cupy):
    x = cupy.asarray(drawn(300_000))
    right = KERNELS["sum"](x).get()
    cupy.cuda.get_current_stream().synchronize()
    found = []

    def sums():
        with cupy.cuda.Stream(non_blocking=True) as stream:
            made = [KERNELS["sum"](x) for _ in range(25)]
            stream.synchronize()
            found.extend(s.get() for s in made)

    threads = [threading.Thread(target=sums) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_array_equal(found, [right] * 100)


@pytest.mark.parametrize("reserve", [True, False], ids=["reserve", "no reserve"])
def test_a_captured_sum_beside_others_in_its_stream(reserve, cupy, monkeypatch):
    x = cupy.asarray(drawn(300_000))
    right, largest = (KERNELS[name](x).get() for name in ("sum", "logsumexp"))
    if not reserve:
        monkeypatch.setattr(partials, "_reserves", {})
    pool = cupy.cuda.MemoryPool()
    stream, other = (cupy.cuda.Stream(non_blocking=True) for _ in range(2))
    with stream:
        KERNELS["sum"](x)
        stream.synchronize()
        with cupy.cuda.using_allocator(pool.malloc):
            stream.begin_capture()
            captured = [KERNELS["sum"](x), KERNELS["logsumexp"](x)]
            graph = stream.end_capture()
    for _ in range(20):
        with stream:
            beside = [KERNELS["sum"](x) for _ in range(3)]
        graph.launch(other)
        other.synchronize()
        stream.synchronize()
        assert_array_equal([s.get() for s in beside], [right] * 3)
        assert_array_equal(captured[0].get(), right)
        assert_array_equal(captured[1].get(), largest)


def test_more_elements_than_32_bits_count(cupy):
    free, _ = cupy.cuda.runtime.memGetInfo()
    if free < 20 << 30:
        pytest.skip("needs 20 GiB of device memory")
    n = 2**32 + 4096
    x = cupy.zeros(n, "float16")
    x[-1] = 3
    x[2**31 + 1] = 2
    assert KERNELS["sum"](x).get() == 5
    assert KERNELS["max"](x).get() == 3
    rows = x.reshape(-1, 4096)
    sums = KERNELS["sum"](rows, axis=1)
    assert sums[-1].get() == 3
    assert sums[2**31 // 4096].get() == 2
    assert KERNELS["sum"](rows, axis=0)[-1].get() == 3
