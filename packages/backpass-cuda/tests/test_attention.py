"""Attention on the device, beside its reference in double precision."""

import importlib

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.cupy as cp
from backpass.core.backends import NUMPY
from backpass.core.testing import check_grads
from backpass.cupy import attention_cudnn, attention_sources, heads, precision
from backpass.cupy.plans import Plans

pytest.importorskip("backpass.nn", reason="backpass.nn need not be installed")
nn = importlib.import_module("backpass.nn.functional.attention")
kernels = importlib.import_module("backpass.cupy.attention")

pytestmark = pytest.mark.usefixtures("cupy")

TOLERANCES = {"float16": 6e-3, "bfloat16": 5e-2, "float32": 1e-5, "float64": 1e-13}
#: Query, key, value, and options.
CASES = {
    "one tile": ((1, 2, 16, 16), (1, 2, 16, 16), (1, 2, 16, 16), {}),
    "several tiles": ((2, 70, 64), (2, 70, 64), (2, 70, 64), {"causal": True}),
    "nothing fits": ((3, 5), (7, 5), (7, 3), {"scale": 0.7}),
    "more keys": ((2, 3, 33, 24), (3, 71, 24), (2, 1, 71, 40), {"causal": True}),
    "more queries": ((90, 8), (20, 8), (20, 8), {"causal": True}),
    "wide": ((1, 66, 128), (1, 66, 128), (1, 66, 120), {}),
    "mask": ((2, 2, 9, 8), (2, 2, 40, 8), (2, 2, 40, 8), {"mask": "bool"}),
    "added": ((2, 2, 9, 8), (2, 2, 40, 8), (2, 2, 40, 8), {"mask": "float"}),
    "dropout": ((2, 9, 8), (2, 40, 8), (2, 40, 8), {"dropout": 0.3, "dropout_key": (2**63 + 5, 7)}),
    "all dropped": ((9, 8), (40, 8), (40, 8), {"dropout": 1.0, "dropout_key": (1, 7)}),
}
ALL = (True, True, True, False)


def dtype_of(name):
    """Return a dtype; skip the test where NumPy does not have it."""
    if name == "bfloat16":
        return numpy.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    return numpy.dtype(name)


def drawn(dtype, *shapes, seed=0):
    rng = numpy.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def mask_of(kind, cupy, dtype):
    """Return a mask that broadcasts, for NumPy and on the device."""
    rng = numpy.random.default_rng(9)
    if kind == "bool":
        mask = rng.random((2, 1, 9, 40)) < 0.5
        mask[0, 0, 2] = False  # this query may attend nowhere
        return mask, cupy.asarray(mask)
    mask = rng.normal(size=(9, 1) if kind == "column" else (40,))
    mask = mask.astype("float64" if dtype == "float64" else "float32")
    return mask.astype("float64"), cupy.asarray(mask)


def close(found, right, dtype):
    tolerance = TOLERANCES[dtype]
    size = numpy.abs(right[numpy.isfinite(right)]).max(initial=1)
    assert found.shape == right.shape
    assert_allclose(found.get().astype(float), right, rtol=tolerance, atol=tolerance * size)


def check(cupy, dtype, hosts, options, view=lambda x: x, needs=ALL, sums=True):
    """Compare both passes with the reference, through a view of the operands."""
    options = {"causal": False, "scale": None, "dropout": 0.0, "dropout_key": None, **options}
    mask, device_mask = None, None
    if kind := options.pop("mask", None):
        mask, device_mask = mask_of(kind, cupy, dtype)
    here = [view(x.astype(float)) for x in hosts]
    there = [view(cupy.asarray(x)) for x in hosts]
    options["scale"] = options["scale"] or here[0].shape[-1] ** -0.5
    right = nn.attention.reference(NUMPY)(*here, mask, **options)
    found = kernels.attention(*there, device_mask, **options)
    for mine, its in zip(found, right, strict=True):
        close(mine, its, dtype)
    (g,) = drawn(hosts[0].dtype, right[0].shape, seed=5)
    to_sums = None
    if sums:
        to_sums = numpy.random.default_rng(7).normal(size=right[1].shape).astype(found[1].dtype)
    pulled = nn._attention_back(
        *here, mask, *right, g.astype(float), to_sums, needs=needs, **options
    )
    gs = cupy.asarray(g), cupy.asarray(to_sums) if sums else None
    back = kernels.attention_back(*there, device_mask, *found, *gs, needs=needs, **options)
    for need, mine, its in zip(needs, back, pulled, strict=True):
        if need:
            close(mine, its, dtype)
        else:
            assert mine is None
    return found, back


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", CASES)
def test_it_computes_what_the_reference_does(name, dtype, cupy):
    *shapes, options = CASES[name]
    check(cupy, dtype, drawn(dtype_of(dtype), *shapes), options)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_the_cotangent_of_an_added_mask(dtype, causal, cupy):
    hosts = drawn(dtype_of(dtype), *CASES["added"][:3])
    options = {"mask": "float", "causal": causal}
    check(cupy, dtype, hosts, options, needs=(True, True, True, True))
    _, back = check(cupy, dtype, hosts, options, needs=(False, False, False, True))
    assert back[3].shape == (2, 2, 9, 40)


def test_a_mask_of_one_column(cupy):
    check(cupy, "float32", drawn("float32", (2, 9, 8), (2, 40, 8), (2, 40, 8)), {"mask": "column"})


def test_an_added_mask_of_halves(cupy):
    hosts = drawn("float32", (2, 9, 8), (2, 40, 8), (2, 40, 8))
    added = numpy.random.default_rng(3).normal(size=(9, 40)).astype("float16")
    options = {"causal": False, "scale": 1.0, "dropout": 0.0, "dropout_key": None}
    right = nn.attention.reference(NUMPY)(*hosts, added, **options)
    found = kernels.attention(*map(cupy.asarray, hosts), cupy.asarray(added), **options)
    close(found[0], right[0].astype(float), "float32")


def test_in_tf32(cupy):
    hosts = drawn("float32", (2, 20, 64), (2, 20, 64), (2, 20, 64))
    there = list(map(cupy.asarray, hosts))
    options = {"causal": False, "scale": 0.125, "dropout": 0.0, "dropout_key": None}
    right, _ = nn.attention.reference(NUMPY)(*(x.astype(float) for x in hosts), None, **options)
    errors = {}
    for how in ("highest", "tf32"):
        precision.set_matmul_precision(how)
        try:
            found, _ = kernels.attention(*there, None, **options)
        finally:
            precision.set_matmul_precision("highest")
        errors[how] = numpy.abs(found.get() - right).max()
    assert errors["highest"] < 2e-6
    assert 1e-5 < errors["tf32"] < 3e-3


def test_dropout_by_a_key_that_lies_on_the_device(cupy):
    hosts = drawn("float32", (9, 8), (40, 8), (40, 8))
    there = list(map(cupy.asarray, hosts))
    options = {"causal": False, "scale": 0.5, "dropout": 0.4}
    pair = kernels.attention(*there, None, **options, dropout_key=(3, 11))
    for dtype in ("int64", "int32"):
        key = cupy.asarray(numpy.array([3, 11], dtype))
        array = kernels.attention(*there, None, **options, dropout_key=key)
        assert_array_equal(array[0].get(), pair[0].get())


def test_nan_stays_in_its_row_and_nobody_attends_to_the_masked(cupy):
    q, k, v = drawn("float32", (70, 16), (70, 16), (70, 16))
    q[3], k[69] = numpy.nan, numpy.inf
    mask = numpy.ones((70, 70), bool)
    mask[:, 69] = False
    mask[5] = False
    out, logsumexp = kernels.attention(
        *map(cupy.asarray, (q, k, v, mask)), causal=False, scale=1.0, dropout=0.0, dropout_key=None
    )
    out = out.get()
    assert numpy.isnan(out[3]).all()
    assert numpy.isfinite(numpy.delete(out, 3, axis=0)).all()
    assert (out[5] == 0).all()
    assert logsumexp.get()[5, 0] == -numpy.inf


# ----- layouts ------------------------------------------------------------------------------------


def heads_inside(x):
    """Return an array (batch, n, heads, features) as one of (batch, heads, n, features)."""
    return x.swapaxes(1, 2)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_heads_need_not_be_moved_out_of_the_features(dtype, cupy):
    hosts = drawn(dtype, *[(2, 40, 3, 16)] * 3)
    (out, _), back = check(cupy, dtype, hosts, {"causal": True}, heads_inside)
    for made in (out, *back[:3]):
        assert made.transpose(0, 2, 1, 3).flags.c_contiguous


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[..., ::2],
        lambda x: x[:, ::-1],
        lambda x: x[:, 1:],
        lambda x: x.swapaxes(-1, -2),
        lambda x: x[:1].repeat(1, axis=0) if x.shape[0] == 1 else x,
    ],
    ids=["features", "backwards", "offset", "transposed", "contiguous"],
)
def test_views(view, cupy):
    check(cupy, "float32", drawn("float32", *[(2, 24, 24)] * 3), {}, view)


def test_cotangents_of_what_lay_side_by_side_do_so(cupy):
    (whole,) = drawn("float32", (2, 30, 3 * 2 * 8))
    split = importlib.import_module("backpass.nn.functional.heads").split_heads
    there = split.op(cupy.asarray(whole), parts=3, heads=2)
    options = {"causal": False, "scale": 0.5, "dropout": 0.0, "dropout_key": None}
    found = kernels.attention(*there, None, **options)
    g = cupy.ones_like(found[0])
    back = kernels.attention_back(*there, None, *found, g, None, needs=ALL, **options)
    (joined,) = heads.pull_split(back[:3], parts=3, heads=2, needs=(True,))
    assert joined.shape == whole.shape
    assert joined.data.ptr == back[0].data.ptr
    right = numpy.stack([heads_inside(x.get()) for x in back[:3]], axis=2)
    assert_array_equal(joined.get(), right.reshape(whole.shape))
    # Those of others are copied.
    for apart in ([x.copy() for x in back[:3]], [back[0], back[2], back[1]]):
        (joined,) = heads.pull_split(apart, parts=3, heads=2, needs=(True,))
        right = numpy.stack([heads_inside(x.get()) for x in apart], axis=2)
        assert_array_equal(joined.get(), right.reshape(whole.shape))
    lacking = [back[0], None, back[2]]
    assert heads.pull_split(lacking, parts=3, heads=2, needs=(True,)) is NotImplemented


# ----- what is asked for --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "needs", [(True, False, False), (False, True, False), (False, False, True)]
)
def test_only_what_is_needed_is_made(needs, cupy):
    there = list(map(cupy.asarray, drawn("float32", *[(2, 20, 16)] * 3)))
    options = {"causal": True, "scale": 0.5, "dropout": 0.0, "dropout_key": None}
    found = kernels.attention(*there, None, **options)
    g = cupy.ones_like(found[0])
    whole = kernels.attention_back(*there, None, *found, g, None, needs=ALL, **options)
    part = kernels.attention_back(*there, None, *found, g, None, needs=(*needs, False), **options)
    for need, one, other in zip(needs, part, whole, strict=False):
        assert (one is not None) == need
        if need:
            assert_array_equal(one.get(), other.get())


def test_what_is_left_to_the_reference(cupy):
    options = {"causal": False, "scale": 0.5, "dropout": 0.0, "dropout_key": None}
    there = list(map(cupy.asarray, drawn("float32", *[(2, 20, 16)] * 3)))
    out, logsumexp = kernels.attention(*there, None, **options)
    rest = (None, out, logsumexp)
    both = (None, logsumexp)
    assert kernels.attention_back(*there, *rest, *both, needs=ALL, **options) is NotImplemented
    both = (cupy.ones_like(out), logsumexp.astype("float64"))
    assert kernels.attention_back(*there, *rest, *both, needs=ALL, **options) is NotImplemented
    mixed = [there[0].astype("float16"), *there[1:]]
    assert kernels.attention(*mixed, None, **options) is NotImplemented
    wide = list(map(cupy.asarray, drawn("float32", *[(2, 2, 129)] * 3)))
    assert kernels.attention(*wide, None, **options) is NotImplemented
    assert kernels.attention(*[x.get() for x in there], None, **options) is NotImplemented


def test_the_function_is_right_to_second_order(cupy):
    tensors = [cp.array(x) for x in drawn("float64", *[(2, 5, 4)] * 3)]
    check_grads(
        lambda *xs: importlib.import_module("backpass.nn.functional").scaled_dot_product_attention(
            *xs, causal=True
        ),
        tensors,
    )


def test_both_passes_in_a_graph(cupy):
    there = list(map(cupy.asarray, drawn("float32", *[(2, 40, 16)] * 3)))
    key = cupy.asarray(numpy.array([3, 11]))
    options = {"causal": True, "scale": 0.5, "dropout": 0.25, "dropout_key": key}

    g = cupy.ones_like(there[0])

    def both(*there):
        found = kernels.attention(*there, None, **options)
        back = kernels.attention_back(*there, None, *found, g, None, needs=ALL, **options)
        return (*back[:3], *found)

    captured = cp.capture(both)
    for _ in range(3):
        for mine, its in zip(captured(*there), both(*there), strict=True):
            assert_array_equal(mine.get(), its.get())


# ----- cuDNN --------------------------------------------------------------------------------------


@pytest.fixture
def cudnn(monkeypatch):
    """Let cuDNN attend, also where there is little to do; skip the test without it."""
    if attention_cudnn.load() is None:
        pytest.skip("cuDNN's front end is not installed")
    monkeypatch.setattr(attention_cudnn, "WORTH", 0)
    monkeypatch.setattr(attention_cudnn, "BUSY", 0)
    monkeypatch.setattr(kernels, "_forward", Plans())
    monkeypatch.setattr(kernels, "_backward", Plans())
    return lambda: [
        plan.cudnn for plans in (kernels._forward, kernels._backward) for plan in plans.values()
    ]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("causal", [False, True])
def test_cudnn_computes_what_the_reference_does(causal, dtype, cudnn, cupy):
    hosts = drawn(dtype_of(dtype), *[(2, 128, 3, 64)] * 3)
    check(cupy, dtype, hosts, {"causal": causal}, heads_inside, sums=False)
    hosts = drawn(dtype_of(dtype), *[(2, 3, 128, 64)] * 3)
    check(cupy, dtype, hosts, {"causal": causal}, sums=False)
    forwards, backwards = cudnn()[:2], cudnn()[2:]
    assert all(forwards)
    assert len(backwards) == 2


def test_cudnn_pulls_back_a_part_of_the_batch_at_a_time(cudnn, cupy):
    pytest.importorskip("cuda_emulator", reason="the stand-in's cuDNN wants what the test expects")
    check(cupy, "float16", drawn("float16", *[(4, 2, 16, 16)] * 3), {}, sums=False)
    whole, pulled = cudnn()
    assert whole is not None
    # Each of two parts wants as much as the queries' cotangent in float32.
    assert pulled.workspace == 4 * 2 * 16 * 16 * 4
    # A single head wants more, and is left to the own kernel.
    check(cupy, "float16", drawn("float16", *[(1, 1, 32, 16)] * 3), {}, sums=False)
    assert cudnn()[1] is not None
    assert cudnn()[3] is None


def test_what_cudnn_does_not_do_is_done(cudnn, cupy):
    for name in ("mask", "dropout", "nothing fits"):
        *shapes, options = CASES[name]
        check(cupy, "float16", drawn("float16", *shapes), options)
    check(cupy, "float32", drawn("float32", *[(2, 16, 16)] * 3), {})
    spread = (2, 3, 16, 16), (2, 1, 16, 16), (2, 1, 16, 16)
    check(cupy, "float16", drawn("float16", *spread), {})
    assert cudnn() == [None] * 10


def test_cudnn_is_not_asked_while_a_graph_is_captured(cudnn, cupy):
    there = list(map(cupy.asarray, drawn("float16", *[(2, 3, 16, 16)] * 3)))
    options = {"causal": False, "scale": 0.25, "dropout": 0.0, "dropout_key": None}
    stream = cupy.cuda.Stream(non_blocking=True)
    made = []
    with stream:
        for _ in range(2):
            stream.begin_capture()
            made.append(kernels.attention(*there, None, **options))
            graph = stream.end_capture()
            graph.launch(stream)
            stream.synchronize()
            assert len(cudnn()) == len(made) - 1
            kernels.attention(*there, None, **options)
            assert len(cudnn()) == 1
    assert_allclose(made[0][0].get(), made[1][0].get(), atol=4e-3)


def test_a_kernel_takes_no_more_shared_memory_than_there_is():
    for dtype in TOLERANCES:
        for width in kernels.WIDTHS:
            for backward in (False, True):
                columns = kernels._columns(dtype, width, backward)
                source = attention_sources.Source(dtype, width, columns, "", "", True, True)
                assert source.shared(backward) <= 227 * 1024
