"""Matrix products by cuBLAS: right for every layout, without copies, on each stream and thread."""

import itertools
import threading
from types import SimpleNamespace

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.cupy as cp
from backpass.core.testing import check_grads
from backpass.cupy import blas, plans, precision, products
from backpass.cupy.products import dot, matmul

TOLERANCES = {
    "float16": 2e-3,
    "bfloat16": 1.6e-2,
    "float32": 4e-6,
    "float64": 1e-13,
    "complex64": 8e-6,
    "complex128": 1e-13,
}


def dtype_of(name):
    """Return a dtype; skip the test where NumPy does not have it."""
    if name == "bfloat16":
        return pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes").bfloat16
    return numpy.dtype(name)


def drawn(shape, dtype="float32", seed=0):
    """Return numbers of both signs."""
    rng = numpy.random.default_rng(seed)
    x = rng.uniform(-1, 1, shape)
    if numpy.dtype(dtype).kind == "c":
        x = x + 1j * rng.uniform(-1, 1, shape)
    return x.astype(dtype)


def exact(x):
    """Return an array of the device in NumPy's double precision."""
    x = x.get()
    return x.astype("complex128" if x.dtype.kind == "c" else "float64")


def check(found, x, y, right=None, tolerance=None):
    """Compare a product with NumPy's in double precision, by the size of its terms."""
    assert found is not NotImplemented
    x, y = exact(x), exact(y)
    right = numpy.matmul(x, y) if right is None else right
    assert found.shape == right.shape
    tolerance = TOLERANCES[found.dtype.name] if tolerance is None else tolerance
    terms = max(1, x.shape[-1])
    assert_allclose(exact(found), right, rtol=tolerance, atol=tolerance * max(1, terms**0.5))


@pytest.fixture
def no_copies(monkeypatch):
    """Let the test fail where an operand is copied."""

    def copy(x):
        raise AssertionError(f"{x.shape} with strides {x.strides} is copied")

    monkeypatch.setattr(products, "_copy", copy)


def anew():
    """Return matmul without what it has planned before."""
    return products.product_of(products._as_they_are, "")


# ----- layouts ------------------------------------------------------------------------------------

SHAPES = [
    ((2, 3), (3, 4)), ((1, 5), (5, 1)), ((5, 1), (1, 6)), ((1, 1), (1, 1)), ((17, 33), (33, 19)),
    ((1, 64), (64, 48)), ((64, 33), (33, 1)), ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)),
    ((4, 2, 3), (3, 2)), ((4, 2, 3), (4, 3, 5)), ((2, 3), (4, 3, 5)), ((4, 1, 3), (3, 2)),
    ((3,), (4, 3, 2)), ((4, 2, 3), (3,)), ((2, 1, 4, 3), (5, 3, 2)), ((2, 5, 4, 3), (2, 1, 3, 2)),
    ((2, 5, 4, 3), (2, 5, 3, 2)), ((5, 4, 3), (2, 1, 3, 6)), ((2, 1, 3, 4, 5), (1, 6, 1, 5, 2)),
]  # fmt: skip


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_shapes(dtype, cupy):
    for a, b in SHAPES:
        x, y = (cupy.asarray(drawn(s, dtype_of(dtype), i)) for i, s in enumerate((a, b)))
        found = matmul(x, y)
        assert type(found) is cupy.ndarray
        assert found.dtype == x.dtype
        assert found.flags.c_contiguous
        check(found, x, y)
        if max(len(a), len(b)) <= 2:
            assert_array_equal(dot(x, y).get(), found.get())


@pytest.mark.parametrize(("a", "b"), [((0, 3), (3, 2)), ((2, 3), (3, 0)), ((0, 2, 3), (3, 4)),
                                      ((1, 1, 3), (0, 3, 2)), ((2, 0), (0, 3)), ((0,), (0,)),
                                      ((3, 2, 0), (0,)), ((0,), (2, 0, 3))])  # fmt: skip
def test_no_elements_and_sums_of_no_terms(a, b, cupy):
    x, y = cupy.zeros(a, "float32"), cupy.zeros(b, "float32")
    found = matmul(x, y)
    assert found.dtype == "float32"
    assert_array_equal(found.get(), numpy.zeros(numpy.matmul(x.get(), y.get()).shape))


#: Views of a stack of three of matrices of 6 rows and 8 columns, read without a copy.
READ = {
    "whole": lambda x: x,
    "transposed": lambda x: x.swapaxes(-1, -2),
    "columns": lambda x: x[..., 2:5],
    "rows": lambda x: x[..., ::2, :],
    "every other column of the transposed": lambda x: x.swapaxes(-1, -2)[..., ::3],
    "rows of columns": lambda x: x[..., 1:5:2, 3:],
    "one row": lambda x: x[..., 2:3, :],
    "one column": lambda x: x[..., 2:3],
    "one element": lambda x: x[..., 2:3, 3:4],
    "a column of the transposed": lambda x: x.swapaxes(-1, -2)[..., 2:3],
}
#: Views that cuBLAS cannot read.
COPIED = {
    "every other column": lambda x: x[..., ::2],
    "backwards": lambda x: x[..., ::-1],
    "from the last row on": lambda x: x[..., ::-1, :],
}


@pytest.mark.parametrize("dtype", ["float16", "float32", "complex128"])
@pytest.mark.parametrize("name", READ)
def test_views_are_read_where_they_lie(name, dtype, no_copies, cupy):
    x = cupy.asarray(drawn((3, 6, 8), dtype))
    for left in (READ[name](x), READ[name](x)[1]):
        rows, columns = left.shape[-2:]
        for other in (drawn((columns, 5), dtype, 1), drawn((5, columns), dtype, 1).T):
            y = cupy.asarray(other)
            check(matmul(left, y), left, y)
        y = cupy.asarray(drawn((2, rows), dtype, 2))
        check(matmul(y, left), y, left)
        y = left.swapaxes(-1, -2)
        check(matmul(left, y), left, y)


@pytest.mark.parametrize("name", COPIED)
def test_views_that_are_copied(name, cupy):
    for dtype in ("float32", "complex64"):
        x = COPIED[name](cupy.asarray(drawn((3, 6, 8), dtype)))
        for left in (x, x[1]):
            y = cupy.asarray(drawn((left.shape[-1], 5), dtype, 1))
            check(matmul(left, y), left, y)
            y = cupy.asarray(drawn((2, left.shape[-2]), dtype, 1))
            check(matmul(y, left), y, left)


def test_parts_of_complex_numbers_are_copied(cupy):
    z = cupy.asarray(drawn((6, 6), "complex64"))
    for x, y in ((z.real, z.imag), (z.real, z.real.T), (z.imag[:, :1], z.real[:1])):
        check(matmul(x, y), x, y)


def test_vectors_of_any_step(no_copies, cupy):
    m = cupy.asarray(drawn((8, 8)))
    for v in (m[0], m[:, 3], m[::2, 3], m.reshape(-1)[1:10:3]):
        n = v.shape[0]
        x, y = m[:5, :n], m[:n, 2:5]
        check(matmul(x, v), x, v)
        check(matmul(v, y), v, y)
        check(matmul(v, v), v, v)
    for v in (m[0, ::2], m[::-1, 3][::-1]):
        check(dot(v, v), v, v)


def test_vectors_backwards_and_spread(cupy):
    m = cupy.asarray(drawn((6, 8)))
    for v in (m[0, ::-1], m[::-2, 3], cupy.broadcast_to(m[0, :1], (6,))):
        x, y = m[:5, : v.shape[0]], m[: v.shape[0], 2:5] if v.shape[0] <= 6 else m.T[:, :3]
        check(matmul(x, v), x, v)
        check(matmul(v, y), v, y)
        check(matmul(v, v), v, v)


def test_spread_matrices(cupy):
    x = cupy.asarray(drawn((4, 6, 8)))
    y = cupy.asarray(drawn((8, 5), seed=1))
    spread = [
        cupy.broadcast_to(x[0, 0, :1], (4, 6, 8)),
        cupy.broadcast_to(x[:, :1], x.shape),
        cupy.broadcast_to(x[:, :, :1], x.shape),
        cupy.broadcast_to(x[0], x.shape),
        cupy.broadcast_to(x[0, ::-1, ::2][:, :1], x.shape),
    ]
    for left in spread:
        check(matmul(left, y), left, y)
        check(matmul(left[0], y), left[0], y)
        right = left.swapaxes(-1, -2)
        check(matmul(x, right), x, right)


def test_what_is_spread_over_a_stack_is_copied_once(monkeypatch, cupy):
    copied = []
    copy = products._copy
    monkeypatch.setattr(products, "_copy", lambda x: copied.append(copy(x)) or copied[-1])
    x = cupy.broadcast_to(cupy.asarray(drawn((6, 8)))[:, ::2], (50, 6, 4))
    y = cupy.asarray(drawn((50, 4, 3), seed=1))
    check(anew()(x, y), x, y)
    (made,) = copied
    assert made.shape == x.shape
    assert made.strides == (0, 16, 4)


# ----- stacks -------------------------------------------------------------------------------------


def launched(monkeypatch, x, y):
    """Return the product, and the names of cuBLAS's routines that were launched for it."""
    names = []

    class Watched:
        def __getattr__(self, name):
            if name.startswith("cublasGemm"):
                names.append(name)
            return getattr(found, name)

    found = blas.load()
    with monkeypatch.context() as patch:
        patch.setattr(blas, "load", Watched)
        return anew()(x, y), names


@pytest.mark.parametrize(
    ("left", "right", "routine"),
    [
        ("mk", "kn", "cublasGemmEx"),
        ("bmk", "kn", "cublasGemmEx"),  # one tall matrix
        ("bcmk", "kn", "cublasGemmEx"),
        ("bmk", "k", "cublasGemmEx"),
        ("bmk", "bkn", "cublasGemmStridedBatchedEx"),
        ("mk", "bkn", "cublasGemmStridedBatchedEx"),
        ("bkm", "kn", "cublasGemmStridedBatchedEx"),  # transposed: rows do not go on
        ("bcmk", "bckn", "cublasGemmStridedBatchedEx"),
        ("bmck", "bckn", "cublasGemmBatchedEx"),  # as in attention: the heads lie inside
        ("bmck", "bnck", "cublasGemmBatchedEx"),
        ("bmk", "ckn", "cublasGemmBatchedEx"),
    ],
)
def test_stacks_are_one_launch(left, right, routine, monkeypatch, no_copies, cupy):
    lengths = dict(zip("bcmkn", (3, 2, 5, 4, 6), strict=True))
    x, y = (
        cupy.asarray(drawn([lengths[c] for c in labels], seed=len(labels))).transpose(
            *[labels.index(c) for c in order if c in labels]
        )
        for labels, order in ((left, "bcmk"), (right, "bckn"))
    )
    if right == "ckn":
        x = x[:, None]
    found, names = launched(monkeypatch, x, y)
    assert names == [routine]
    check(found, x, y)


def test_stacks_in_any_direction(no_copies, cupy):
    x, y = cupy.asarray(drawn((4, 3, 5, 2))), cupy.asarray(drawn((4, 3, 2, 6), seed=1))
    for a, b in itertools.product(
        (x, x[::-1], x[:, ::-1], x[::2], x[1:2], x[:, :1], x.swapaxes(0, 1)[:, :3]), repeat=2
    ):
        a, b = a[..., :3, :, :], y[: b.shape[0], : b.shape[1]]
        if all(m == n or 1 in (m, n) for m, n in zip(a.shape[:2], b.shape[:2], strict=True)):
            check(matmul(a, b), a, b)


def test_a_stack_backwards_goes_by_addresses(monkeypatch, no_copies, cupy):
    x = cupy.asarray(drawn((4, 2, 3)))
    y = cupy.asarray(drawn((4, 3, 5), seed=1))
    for a, b in ((x[::-1], y), (x, y[::-1]), (x[::-1], y[::-1])):
        found, names = launched(monkeypatch, a, b)
        assert names == ["cublasGemmBatchedEx"]
        check(found, a, b)


def test_one_row_spread_over_a_stack(no_copies, cupy):
    x, y = cupy.asarray(drawn((1, 3))), cupy.asarray(drawn((3, 5), seed=1))
    spread = cupy.broadcast_to(x, (4, 1, 3))
    check(matmul(spread, y), spread, y)
    # Rows that overlap: the next begins one element further on.
    windows = cupy.ndarray((4, 1, 3), x.dtype, cupy.asarray(drawn(6)).data, (4, 12, 4))
    check(matmul(windows, y), windows, y)


def test_rows_follow_each_other_only_where_they_do(no_copies, cupy):
    x, y = cupy.asarray(drawn((4, 6, 8))), cupy.asarray(drawn((8, 5), seed=1))
    for left in (x[:, :5], x[:, ::2], x[:, :1], x[::2], x[:, 5:], x[::-1], x[:1], x[:, 2:3]):
        check(matmul(left, y), left, y)
    y = cupy.asarray(drawn((3, 5), seed=1))
    for left in (x[..., :3], x[:, 1:2, 2:5], x.swapaxes(1, 2)[:, 2:4, :3]):
        check(matmul(left, y), left, y)


def test_many_small_matrices(cupy):
    x, y = cupy.asarray(drawn((70_000, 2, 3))), cupy.asarray(drawn((70_000, 3, 1), seed=1))
    check(matmul(x, y), x, y)
    x, y = x.reshape(2, 35_000, 2, 3).swapaxes(0, 1), y.reshape(35_000, 2, 3, 1)
    check(matmul(x, y), x, y)


def test_the_routines_of_64_bits(monkeypatch, cupy):
    monkeypatch.setattr(products, "WIDE", 0)
    for a, b in [((5, 3), (3, 4)), ((2, 5, 3), (2, 3, 4)), ((2, 1, 5, 3), (7, 3, 4))]:
        x, y = cupy.asarray(drawn(a)), cupy.asarray(drawn(b, seed=1))
        found, names = launched(monkeypatch, x, y)
        assert names[0].endswith("_64")
        check(found, x, y)


# ----- what is left to others ---------------------------------------------------------------------


def test_what_is_declined(cupy):
    x = cupy.ones((3, 3), "float32")
    others = [
        x.astype("float64"), x.astype("int32"), x.astype(bool), x.astype("complex64"), x[:2, :2],
        x[0, 0], cupy.ones((2, 2, 2), "float32"), cupy.ones(4, "float32"), x.get(), 2.0,
        numpy.float32(2),
    ]  # fmt: skip
    for kernel in products.KERNELS.values():
        for other in others:
            assert kernel(x, other) is NotImplemented
    whole = cupy.ones((3, 3), "int64")
    assert matmul(whole, whole) is NotImplemented
    assert (
        matmul(cupy.ones((2, 3, 3), "float32"), cupy.ones((3, 3, 3), "float32")) is NotImplemented
    )
    assert dot(cupy.ones((2, 3, 3), "float32"), x) is NotImplemented


def test_vectors_that_need_an_axis_of_their_own_are_left_to_the_rules(cupy):
    # All lengths are equal, so that no product fails to fit.
    g, x, v = (cupy.asarray(drawn((2,) * n)) for n in (2, 3, 1))
    for rule in ("matmul.vjp0", "matmul.vjp1"):
        assert products.KERNELS[rule](g, x) is NotImplemented
        assert products.KERNELS[rule](g, v) is NotImplemented


def test_steps_that_are_no_whole_elements_are_declined(cupy):
    x = cupy.ndarray((3, 1), "complex128", cupy.ones((3, 3)).data, (24, 16))
    assert matmul(x, x.T) is NotImplemented


def test_arrays_of_another_device_are_declined(cupy):
    x = cupy.ones((3, 3))
    memory = cupy.cuda.UnownedMemory(x.data.ptr, x.nbytes, x, 7)
    other = cupy.ndarray(x.shape, x.dtype, cupy.cuda.MemoryPointer(memory, 0))
    for operands in ((x, other), (other, x), (other, other)):
        assert matmul(*operands) is NotImplemented
    check(matmul(x, x), x, x)


def test_without_cublas_cupy_computes(monkeypatch, cupy):
    x = cupy.ones((3, 3))
    monkeypatch.setattr(blas, "load", lambda: None)
    assert anew()(x, x) is NotImplemented


def test_plans_are_bounded(monkeypatch, cupy):
    monkeypatch.setattr(plans, "MOST", 2)
    product = anew()
    for _ in range(2):
        for n in range(1, 6):
            x = cupy.asarray(drawn((n, n)))
            check(product(x, x), x, x)


# ----- the rules ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rules_read_the_transpose(dtype, no_copies, cupy):
    handled = 0
    for a, b in SHAPES:
        x, y = (cupy.asarray(drawn(s, dtype, i)) for i, s in enumerate((a, b)))
        g = cupy.asarray(drawn(numpy.matmul(x.get(), y.get()).shape, dtype, 2))
        found = products.KERNELS["matmul.vjp0"](g, y)
        if found is not NotImplemented:
            handled += 1
            yt = y.swapaxes(-1, -2)
            check(found, g, yt)
        found = products.KERNELS["matmul.vjp1"](g, x)
        if found is not NotImplemented:
            handled += 1
            xt = x.swapaxes(-1, -2)
            check(found, xt, g)
        if len(a) == len(b) == 2:
            assert handled >= 2
    assert handled > len(SHAPES)


GRADIENTS = {
    "matrices": ((3, 4), (4, 2)),
    "a vector on the left": ((3,), (3, 2)),
    "a vector on the right": ((2, 3), (3,)),
    "vectors": ((3,), (3,)),
    "a stack and a matrix": ((2, 3, 4), (4, 2)),
    "stacks": ((2, 1, 3, 2), (3, 2, 2)),
    "a stack and a vector": ((2, 2, 2), (2,)),
    "a vector and a stack": ((2,), (2, 2, 2)),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name, cupy):
    x, y = (cupy.asarray(drawn(s, "float64", i)) for i, s in enumerate(GRADIENTS[name]))
    check_grads(lambda x, y: cp.matmul(cp.sin(x), y), (x, y))


@pytest.mark.parametrize("name", list(GRADIENTS)[:4])
def test_gradients_of_dot(name, cupy):
    x, y = (cupy.asarray(drawn(s, "complex128", i)) for i, s in enumerate(GRADIENTS[name]))
    check_grads(lambda x, y: cp.dot(x, y * y), (x, y), order=1)


# ----- precision ----------------------------------------------------------------------------------


@pytest.fixture
def tf32():
    """Let the test choose the precision."""
    yield precision.set_matmul_precision
    precision.set_matmul_precision("highest")


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_tf32_is_a_choice(dtype, tf32, cupy):
    x, y = (cupy.asarray(drawn((256, 256), dtype, seed)) for seed in (1, 2))
    errors = {}
    right = exact(x) @ exact(y)
    for choice in ("highest", "tf32", "highest"):
        tf32(choice)
        assert precision.get_matmul_precision() == choice
        errors[choice] = abs(exact(matmul(x, y)) - right).max()
    assert errors["highest"] < 2e-5
    assert 2e-4 < errors["tf32"] < 2e-2


def test_other_dtypes_do_not_depend_on_tf32(tf32, cupy):
    for dtype in ("float16", "float64", "complex128"):
        x = cupy.asarray(drawn((64, 64), dtype))
        before = matmul(x, x).get()
        tf32("tf32")
        assert_array_equal(matmul(x, x).get(), before)
        tf32("highest")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_are_added_up_in_single_precision(dtype, cupy):
    # In float16 a sum of quarters stops growing at 512, in bfloat16 at 64.
    n = 8192
    x = cupy.asarray(numpy.ones((16, n), dtype_of(dtype)))
    y = cupy.asarray(numpy.full((n, 16), 0.25, dtype_of(dtype)))
    assert_array_equal(exact(matmul(x, y)), numpy.full((16, 16), n / 4))
    x, y = (cupy.asarray(drawn((64, 64), dtype_of(dtype), i)) for i in range(2))
    rounded = (exact(x) @ exact(y)).astype("float32").astype(dtype_of(dtype))
    different = (matmul(x, y).get() != rounded).mean()
    assert different < 0.02  # two sums may lie on both sides of a border between halves


@pytest.mark.parametrize("wrong", ["high", "TF32", None, 1])
def test_a_precision_that_is_none(wrong):
    with pytest.raises(ValueError, match="precision must be 'highest' or 'tf32', not "):
        precision.set_matmul_precision(wrong)
    assert precision.get_matmul_precision() == "highest"


# ----- streams, threads, graphs -------------------------------------------------------------------


def test_streams_in_turn(cupy):
    x, y = cupy.asarray(drawn((200, 300))), cupy.asarray(drawn((300, 100), seed=1))
    right = matmul(x, y).get()
    streams = [cupy.cuda.Stream(non_blocking=True) for _ in range(blas.STREAMS + 2)]
    cupy.cuda.Stream.null.synchronize()
    made = []
    for _ in range(2):
        for stream in streams:
            with stream:
                z = matmul(x, y)
                made.append(matmul(z.T, z))
    for stream in streams:
        stream.synchronize()
    for z in made:
        assert_allclose(z.get(), right.T @ right, rtol=1e-4, atol=1e-3)
    used = blas._thread.handles[0]
    assert len(used.workspaces) == blas.STREAMS
    # The last stream's workspace was for one product.
    assert used.stream is None
    assert used.workspace not in used.workspaces.values()


def test_threads_at_once(cupy):
    x, y = cupy.asarray(drawn((64, 96))), cupy.asarray(drawn((96, 80), seed=1))
    stack = cupy.asarray(drawn((2, 4, 80, 16), seed=2))[:, ::-1]
    z = matmul(x, y)
    right = matmul(z, stack).get()
    cupy.cuda.Stream.null.synchronize()
    problems = []

    def work():
        try:
            stream = cupy.cuda.Stream(non_blocking=True)
            with stream:
                for _ in range(30):
                    found = matmul(matmul(x, y), stack)
                    assert_array_equal(found.get(), right)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_a_handle_serves_one_thread_after_the_other(cupy):
    x = cupy.asarray(drawn((8, 8)))
    used = []

    def work():
        check(matmul(x, x), x, x)
        used.append(blas._thread.handles[0])

    work()
    for _ in range(2):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        del thread
    assert used[1] is used[2]
    assert used[1] is not used[0]


def test_a_graph_is_replayed_on_new_data(cupy):
    x, y = cupy.asarray(drawn((64, 96))), cupy.asarray(drawn((96, 80), seed=1))
    stack = cupy.asarray(drawn((5, 2, 80, 16), seed=2)).swapaxes(0, 1)
    heads = cupy.asarray(drawn((5, 2, 16, 64), seed=3))

    def step():
        z = matmul(x, y)
        return z, matmul(z, stack), matmul(heads, z), matmul(stack, heads.swapaxes(0, 1)[:, ::-1])

    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Stream.null.synchronize()
    with stream, blas.own_workspaces() as workspaces:
        step()
        stream.begin_capture()
        made = step()
        graph = stream.end_capture()
        for seed in (5, 6):
            x.set(drawn((64, 96), seed=seed))
            heads.set(drawn(heads.shape, seed=seed + 10))
            graph.launch()
            stream.synchronize()
            for replayed, eager in zip(made, step(), strict=True):
                assert_array_equal(replayed.get(), eager.get())
    assert len(workspaces) == 1


def test_the_first_product_of_a_stream_may_be_captured(cupy):
    x = cupy.asarray(drawn((64, 64)))
    right = matmul(x, x).get()
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Stream.null.synchronize()
    with stream:
        stream.begin_capture()
        made = matmul(x, x)
        graph = stream.end_capture()
        graph.launch()
        stream.synchronize()
        assert_array_equal(made.get(), right)


def test_a_graph_has_workspaces_of_its_own(cupy):
    x = cupy.asarray(drawn((8, 8)))
    matmul(x, x)
    used = blas._thread.handles[0]
    before = used.workspace
    with blas.own_workspaces() as kept:
        matmul(x, x)
        assert used.workspace is not before
        assert list(kept.values()) == [used.workspace]
    matmul(x, x)
    assert used.workspace is before


# ----- the library, and what goes wrong -----------------------------------------------------------


def test_a_library_that_is_not_there_is_reported(monkeypatch):
    monkeypatch.setattr(blas, "_paths", lambda: iter(["there-is-no-such-library.so"]))
    with pytest.warns(RuntimeWarning, match=r"cuBLAS cannot be loaded \(.*no-such-library"):
        assert blas.load.__wrapped__() is None


def test_a_library_without_the_routines_is_not_taken(monkeypatch):
    monkeypatch.setattr(blas, "_paths", lambda: iter(["libm.so.6"]))
    with pytest.warns(RuntimeWarning, match="cublasCreate_v2"):
        assert blas.load.__wrapped__() is None


def test_where_it_is_looked_for(monkeypatch):
    def search(name):
        raise OSError("broken")

    modules = {"cuda.pathfinder": SimpleNamespace(load_nvidia_dynamic_lib=search)}
    monkeypatch.setattr(blas.importlib, "import_module", modules.__getitem__)
    assert next(blas._paths()) == "libcublas.so.13"
    modules["cuda.pathfinder"].load_nvidia_dynamic_lib = lambda name: SimpleNamespace(abs_path=name)
    assert next(blas._paths()) == "cublas"
    del modules["cuda.pathfinder"]
    assert "libcublas.so.12" in list(blas._paths())


@pytest.mark.parametrize(("status", "error", "words"), [
    (3, MemoryError, "CUBLAS_STATUS_ALLOC_FAILED.*empty_cache"),
    (13, RuntimeError, "CUBLAS_STATUS_EXECUTION_FAILED"),
    (99, RuntimeError, r"unknown status \(99\)"),
])  # fmt: skip
def test_a_status_is_an_error(status, error, words, monkeypatch, cupy):
    x, y = cupy.ones((2, 3), "float32"), cupy.ones((3, 4), "float32")
    matmul(x, y)  # there is a handle
    monkeypatch.setattr(blas, "load", lambda: SimpleNamespace(cublasGemmEx=lambda *xs: status))
    product = anew()
    with pytest.raises(error, match=words) as caught:
        product(x, y)
    message = str(caught.value)
    assert "cublasGemmEx" in message
    assert "float32 of shape (2, 3) and float32 of shape (3, 4)" in message


def test_a_handle_that_cannot_be_made(monkeypatch):
    monkeypatch.setattr(blas, "load", lambda: SimpleNamespace(cublasCreate_v2=lambda at: 1))
    with pytest.raises(RuntimeError, match="cublasCreate_v2 failed: CUBLAS_STATUS_NOT_INITIAL"):
        blas._Handle()
