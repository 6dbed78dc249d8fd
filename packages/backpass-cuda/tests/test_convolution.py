"""Convolution on the device: each way beside the reference."""

import ctypes
import importlib
import subprocess
import sys
import threading

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.cupy as cp
from backpass.cupy import cudnn, precision
from backpass.cupy.convolution import KERNELS, by_cudnn, kernels, own, strips, sums
from backpass.cupy.convolution.geometry import Geometry, is_channels_last
from backpass.cupy.plans import Plans

pytest.importorskip("backpass.nn", reason="backpass.nn need not be installed")
nn = importlib.import_module("backpass.nn.functional.convolution")

EPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}
NO_BORDER = ((0, 0), (0, 0))
#: What is not said of a geometry.
USUAL = {
    "batch": 2, "channels": 3, "out": 4, "size": (6, 5), "window": (3, 3), "stride": (1, 1),
    "padding": NO_BORDER, "dilation": (1, 1), "groups": 1,
}  # fmt: skip
GEOMETRIES = {
    "plain": {},
    "one image": {"batch": 1},
    "one channel": {"channels": 1, "out": 32, "size": (12, 12), "window": (5, 5)},
    "packs of channels": {"channels": 32, "out": 16, "padding": ((1, 1), (1, 1))},
    "strips": {
        "batch": 3, "channels": 16, "out": 24, "size": (9, 10), "window": (3, 4), "stride": (2, 3),
        "padding": ((2, 1), (0, 2)), "dilation": (2, 1),
    },
    "strips of the output": {
        "channels": 24, "out": 16, "window": (2, 3), "padding": ((3, 0), (1, 4)),
        "dilation": (2, 1),
    },
    "strips of a cut output": {"channels": 16, "out": 16, "padding": ((2, -1), (0, -2))},
    "product": {"channels": 8, "out": 8, "window": (1, 1)},
    "product in groups": {"channels": 8, "out": 6, "window": (1, 1), "groups": 2},
    "stride of a product": {"channels": 8, "out": 8, "window": (1, 1), "stride": (2, 2)},
    "border of a product": {"window": (1, 1), "padding": ((1, 0), (0, 2))},
    "all": {
        "channels": 6, "out": 4, "size": (9, 10), "window": (3, 2), "stride": (2, 3),
        "padding": ((2, 1), (0, 2)), "dilation": (1, 2), "groups": 2,
    },
    "groups in packs": {"channels": 16, "out": 32, "stride": (2, 2), "groups": 2},
    "stride beyond the window": {"window": (2, 1), "stride": (3, 2)},
    "few one by one": {"channels": 6, "out": 12, "padding": ((1, 1), (1, 1)), "groups": 6},
    "one by one": {"channels": 40, "out": 40, "padding": ((1, 1), (1, 1)), "groups": 40},
    "several for each": {
        "batch": 9, "channels": 12, "out": 36, "size": (9, 10), "window": (3, 2), "stride": (2, 3),
        "padding": ((2, 1), (0, 2)), "dilation": (1, 2), "groups": 12,
    },
    "many for each": {"channels": 8, "out": 64, "groups": 8},
    "along one axis": {
        "size": (1, 20), "window": (1, 4), "stride": (1, 3), "padding": ((0, 0), (2, 2)),
    },
    "cut border": {"padding": ((2, -1), (0, -2))},
    "whole image": {"batch": 5, "channels": 16, "size": (3, 3)},
}  # fmt: skip


def dtype_of(name):
    """Return a dtype; skip the test where NumPy does not have it."""
    if name == "bfloat16":
        return pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes").bfloat16
    return numpy.dtype(name)


@pytest.fixture(scope="module")
def stand_in():
    """Give the stand-in's cuDNN; `None` where there is a GPU, or none at all."""
    try:
        importlib.import_module("cuda_emulator")
    except ImportError:
        return None
    loaded = importlib.import_module("cuda.pathfinder").load("cudnn")
    library = ctypes.CDLL(loaded.abs_path)
    library.hooks = loaded.hooks
    library.cudnnGetVersion.restype = ctypes.c_size_t
    return library


@pytest.fixture
def with_cudnn(stand_in, monkeypatch, cupy):
    """Let convolutions use cuDNN; skip the test where there is none."""
    if stand_in is not None:
        monkeypatch.setattr(cudnn, "_load", lambda: stand_in)
        monkeypatch.setattr(kernels, "_plans", Plans())
        monkeypatch.setattr(cudnn, "_thread", cudnn._Thread())
    if not cudnn.is_there():
        pytest.skip("there is no cuDNN")


#: The modules that compute, each after those before it.
WAYS = {
    "as chosen": None,
    "products": (own,),
    "strips and products": (strips, own),
    "cuDNN and products": (by_cudnn, own),
}


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """Go each way: as chosen without cuDNN, or in one order for all geometries."""
    monkeypatch.setattr(kernels, "_plans", Plans())
    ways = WAYS[request.param]
    if ways is None:
        with cudnn.without_cudnn():
            yield request.param
        return
    if by_cudnn in ways:
        request.getfixturevalue("with_cudnn")

    def chosen(name, geometry, dtype, how):
        return [x for x in ways if x is not strips or strips.takes(name, geometry, dtype)]

    monkeypatch.setattr(kernels, "_ways", chosen)
    yield request.param


class Call:
    """The operands of a convolution, and what the reference makes of them."""

    def __init__(self, dtype, **given):
        wanted = {**USUAL, **given}
        size, groups = wanted["size"], wanted["groups"]
        names = ("size", "window", "stride", "padding", "dilation", "groups")
        self.keywords = {name: wanted[name] for name in names}
        counts = nn.placed(*(self.keywords[name] for name in names[:-1]))
        random = numpy.random.default_rng(0)
        batch, channels, out = wanted["batch"], wanted["channels"], wanted["out"]
        self.geometry = Geometry(
            batch, channels, out, size, counts, *[wanted[n] for n in names[1:]]
        )

        def drawn(*shape):
            return random.normal(size=shape).astype(dtype_of(dtype))

        self.x, self.bias = drawn(batch, channels, *size), drawn(out)
        self.weight = drawn(out, channels // groups, *wanted["window"])
        self.y = drawn(batch, out, *counts)

    def rights(self):
        """Return the result of each kernel, in double precision."""
        x, w, b, y = (a.astype("float64") for a in (self.x, self.weight, self.bias, self.y))
        words = self.keywords
        return {
            "conv2d": nn.conv2d_.function(numpy, x, w, b, **words),
            "conv2d without bias": nn.conv2d_.function(numpy, x, w, None, **words),
            "conv2d_input": nn.conv2d_input.function(numpy, y, w, **words),
            "conv2d_weight": nn.conv2d_weight.function(numpy, y, x, **words),
            "conv2d.vjp2": y.sum(axis=(0, 2, 3)),
        }

    def found(self, put):
        """Return the result of each kernel, for operands laid out by `put`."""
        x, w, b, y = map(put, (self.x, self.weight, self.bias, self.y))
        words = self.keywords
        return {
            "conv2d": KERNELS["conv2d"](x, w, b, **words),
            "conv2d without bias": KERNELS["conv2d"](x, w, None, **words),
            "conv2d_input": KERNELS["conv2d_input"](y, w, **words),
            "conv2d_weight": KERNELS["conv2d_weight"](y, x, **words),
            "conv2d.vjp2": KERNELS["conv2d.vjp2"](y, **words),
        }


def check(found, right, units=64):
    """Compare by the size of the largest element."""
    assert found is not NotImplemented
    assert found.shape == right.shape
    allowed = units * EPS[found.dtype.name] * max(1.0, numpy.abs(right).max(initial=0.0))
    assert_allclose(found.get().astype("float64"), right, rtol=0, atol=allowed)


# ----- values -------------------------------------------------------------------------------------


def channels_last(cupy, x):
    """Put an array on the device with its second axis innermost in memory."""
    if x.ndim < 4:
        return cupy.asarray(x)
    there = cupy.asarray(numpy.ascontiguousarray(x.transpose(0, 2, 3, 1)))
    return there.transpose(0, 3, 1, 2)


LAYOUTS = {
    "channels first": lambda cupy, x: cupy.asarray(x),
    "channels last": channels_last,
    "spaced": lambda cupy, x: cupy.asarray(numpy.repeat(x, 2, -1))[..., ::2],
    "misaligned": lambda cupy, x: cupy.asarray(numpy.concatenate([x.ravel()[:1], x.ravel()]))[
        1:
    ].reshape(x.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", EPS)
def test_values(dtype, layout, way, cupy):
    for given in GEOMETRIES.values():
        call = Call(dtype, **given)
        found = call.found(lambda x: LAYOUTS[layout](cupy, x))
        for name, right in call.rights().items():
            assert found[name].dtype == dtype_of(dtype)
            check(found[name], right)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_images_come_out_channels_last_and_weights_in_order(dtype, way, cupy):
    found = Call(dtype, channels=8, out=8).found(cupy.asarray)
    assert is_channels_last(found["conv2d"])
    assert is_channels_last(found["conv2d_input"])
    assert found["conv2d_weight"].flags.c_contiguous


@pytest.mark.parametrize("ways", [(own,), (strips, own)], ids=["products", "strips"])
@pytest.mark.parametrize("dtype", EPS)
def test_blocks_of_the_batch(dtype, ways, cupy, monkeypatch):
    call = Call(dtype, batch=7, channels=8, out=8, padding=((1, 1), (1, 1)))
    monkeypatch.setattr(kernels, "_plans", Plans())
    monkeypatch.setattr(own, "BLOCK", 3 * 30 * 80 * 4)
    monkeypatch.setattr(kernels, "_ways", lambda *args: ways[:1])
    found = call.found(cupy.asarray)
    for name, right in call.rights().items():
        check(found[name], right)
    assert len(own.blocks(own.Columns(call.geometry, numpy.dtype(dtype_of(dtype))), 4)) > 1


def test_a_batch_of_no_images(way, cupy):
    call = Call("float32", batch=0)
    found = call.found(cupy.asarray)
    for name, right in call.rights().items():
        if found[name] is not NotImplemented:
            assert_array_equal(found[name].get(), right)
    assert found["conv2d_weight"].shape == (4, 3, 3, 3)


def test_bits_are_the_same_each_time(way, cupy):
    call = Call("float32", batch=16, channels=32, out=32)
    first, second = call.found(cupy.asarray), call.found(cupy.asarray)
    for name, found in first.items():
        assert_array_equal(found.get(), second[name].get())


def test_what_is_not_finite(way, cupy):
    if by_cudnn in (WAYS[way] or ()):
        pytest.skip("cuDNN leaves out the border, and some engines do not know infinity")
    call = Call("float32", padding=((1, 1), (1, 1)), channels=32)
    call.x[0, 0, 0, 0], call.x[1, 2, 3, 3] = numpy.nan, numpy.inf
    call.y[0, 0, 0, 0], call.y[1, 2, 3, 3] = numpy.nan, -numpy.inf
    found = call.found(cupy.asarray)
    for name, right in call.rights().items():
        mine = found[name].get()
        assert_array_equal(numpy.isnan(mine), numpy.isnan(right))
        assert_array_equal(mine[numpy.isinf(right)], right[numpy.isinf(right)])


def test_tf32_is_asked_for(way, cupy):
    call = Call("float32", channels=32, out=32)
    right = call.rights()["conv2d"]
    before = precision.current
    try:
        cp.set_matmul_precision("tf32")
        found = call.found(cupy.asarray)["conv2d"]
    finally:
        cp.set_matmul_precision(before)
    check(found, right, units=2**13)
    check(call.found(cupy.asarray)["conv2d"], right)


@pytest.mark.parametrize("pixels", [1, 7, 5000])
@pytest.mark.parametrize("channels", [1, 31, 33, 100])
@pytest.mark.parametrize("dtype", EPS)
def test_sum_of_pixels(dtype, channels, pixels, cupy):
    x = numpy.random.default_rng(0).normal(size=(pixels, channels)).astype(dtype_of(dtype))
    found = sums.sum_of_pixels(cupy.asarray(x), channels)
    check(found, x.astype("float64").sum(axis=0))


@pytest.mark.parametrize("layout", ["channels first", "channels last"])
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (2, 16, 4, 4), (1, 1, 1, 1)])
@pytest.mark.parametrize("dtype", EPS)
def test_add_bias(dtype, shape, layout, cupy):
    random = numpy.random.default_rng(0)
    x = random.normal(size=shape).astype(dtype_of(dtype))
    bias = random.normal(size=shape[1]).astype(dtype_of(dtype))
    made = LAYOUTS[layout](cupy, x)
    step = 1 if layout == "channels last" else shape[2] * shape[3]
    sums.add_bias(made, cupy.asarray(bias), step)
    check(made, x.astype("float64") + bias.astype("float64").reshape(-1, 1, 1), units=4)


# ----- what is declined ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int64", "complex64"])
def test_other_dtypes_are_declined(dtype, cupy):
    call = Call("float32")
    x, weight = cupy.asarray(call.x.astype(dtype)), cupy.asarray(call.weight.astype(dtype))
    assert KERNELS["conv2d"](x, weight, None, **call.keywords) is NotImplemented


def test_two_dtypes_are_declined(cupy):
    call = Call("float32")
    x, y, weight = map(cupy.asarray, (call.x, call.y, call.weight))
    double = cupy.asarray(call.weight.astype("float64"))
    assert KERNELS["conv2d"](x, double, None, **call.keywords) is NotImplemented
    assert KERNELS["conv2d_input"](y, double, **call.keywords) is NotImplemented
    bias = cupy.asarray(call.bias.astype("float64"))
    assert KERNELS["conv2d"](x, weight, bias, **call.keywords) is NotImplemented


def test_very_large_images_are_declined():
    geometry = Call("float32").geometry
    assert own.takes_numbers(geometry)
    assert not own.takes_numbers(geometry._replace(size=(2**15, 2**15)))
    assert not own.takes_numbers(geometry._replace(counts=(2**14, 2**13)))


# ----- cuDNN --------------------------------------------------------------------------------------


def test_nothing_looks_for_cudnn_until_it_is_needed():
    code = (
        "import backpass.cupy.kernels\n"
        "from backpass.cupy import cudnn\n"
        "assert not cudnn._load.cache_info().misses"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_it_can_be_forbidden(with_cudnn):
    assert cudnn.is_there()
    with cudnn.without_cudnn():
        assert not cudnn.is_there()
        with cudnn.without_cudnn():
            pass
        assert not cudnn.is_there()
    assert cudnn.is_there()


def way_of(call, name="forward"):
    """Return the module that computes a kernel."""
    options = (False,) if name == "forward" else ()
    plan = kernels._plan(name, call.geometry, call.x.dtype, *options)
    return plan.__module__.rpartition(".")[2]


def test_each_geometry_goes_its_way(with_cudnn):
    packed = {"channels": 16, "out": 16}
    assert way_of(Call("float16", channels=1)) == "direct"
    assert way_of(Call("float16", **packed)) == "by_cudnn"
    assert way_of(Call("float16", **packed, window=(1, 1))) == "own"
    assert way_of(Call("float16", **packed, groups=2)) == "own"
    assert way_of(Call("float32", **packed)) == "own"
    assert way_of(Call("float32", **packed, groups=16)) == "by_cudnn"
    for name in ("forward", "to_input", "to_weight"):
        assert way_of(Call("float64", **packed, groups=16), name) == "depthwise"
    assert way_of(Call("float16", **packed, padding=((0, -1), (0, 0)))) == "strips"
    assert way_of(Call("float32", **packed), "to_weight") == "strips"
    assert way_of(Call("float16", channels=1), "to_weight") == "own"


def test_tensor_cores_are_for_halves_and_tf32(with_cudnn, stand_in, monkeypatch, cupy):
    if stand_in is None:
        pytest.skip("which engine has run is known of the stand-in only")
    monkeypatch.setattr(kernels, "_ways", lambda *args: [by_cudnn])
    engine = ctypes.c_int.in_dll(stand_in, "cudnn_stand_in_engine")
    before, found = precision.current, []
    try:
        for dtype, how in [("float32", "highest"), ("float32", "tf32"), ("float16", "highest")]:
            cp.set_matmul_precision(how)
            Call(dtype).found(cupy.asarray)
            found.append(engine.value)
    finally:
        cp.set_matmul_precision(before)
    assert found == [3, 0, 0]


def test_threads_have_handles_of_their_own(with_cudnn, cupy):
    call, made = Call("float16", channels=8), []
    right = call.rights()["conv2d"]

    def run():
        with cupy.cuda.Stream(non_blocking=True) as stream:
            made.append(call.found(cupy.asarray)["conv2d"])
            stream.synchronize()

    for _ in range(2):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    for found in made:
        check(found, right)


# ----- graphs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_in_a_cuda_graph(dtype, way, cupy):
    call = Call(dtype, batch=4, channels=8, out=8, padding=((1, 1), (1, 1)))

    def every(x, weight, bias, y):
        given = iter((x, weight, bias, y))
        return tuple(call.found(lambda _: next(given)).values())

    captured = cp.capture(every)
    operands = [cupy.asarray(x) for x in (call.x, call.weight, call.bias, call.y)]
    for _ in range(3):
        found = captured(*operands)
    for mine, right in zip(found, call.rights().values(), strict=True):
        check(mine, right)
