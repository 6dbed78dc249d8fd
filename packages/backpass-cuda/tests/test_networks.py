"""What only a GPU's kernels of networks do: report, repeat their bits, and be captured."""

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

pytest.importorskip("backpass.nn", reason="backpass.nn need not be installed")

from backpass.core import grad, value_and_grad
from backpass.core.backends import backend_on
from backpass.nn import functional

pytestmark = pytest.mark.usefixtures("cupy")


def drawn(shape, seed=0):
    return numpy.random.default_rng(seed).normal(0, 1, shape).astype("float32")


@pytest.fixture
def kernels():
    return backend_on("cuda").kernels


# ----- labels and indices that are out of range --------------------------------------------------


@pytest.mark.parametrize("bad", [7, -1, 2**40, -(2**40)])
def test_a_label_that_is_no_class_is_the_error_of_the_next_copy(bad, cupy):
    x = cupy.asarray(drawn((5, 3)))
    labels = cupy.asarray(numpy.array([0, 1, bad, 2, 0]))
    loss, g = value_and_grad(lambda x: functional.cross_entropy(x, labels))(x)
    assert numpy.isnan(g.get()).all()
    with pytest.raises(ValueError, match=r"cross_entropy: `target`.ravel\(\)\[2\] is -?\d+, but"):
        float(loss)
    assert numpy.isnan(float(loss))


def test_only_the_row_of_a_bad_label_is_nan(cupy):
    x = cupy.asarray(drawn((5, 3)))
    labels = cupy.asarray(numpy.array([0, 1, 3, 2, 0]))
    losses = functional.cross_entropy(x, labels, reduction="none")
    with pytest.raises(ValueError, match="3, but labels go from 0 to 2"):
        losses.tolist()
    assert_array_equal(numpy.isnan(losses.value.get()), [False, False, True, False, False])


def test_a_bad_label_of_the_likelihood(cupy):
    x = cupy.asarray(drawn((2, 3)))
    loss = functional.nll_loss(x, cupy.asarray(numpy.array([5, 0])))
    with pytest.raises(ValueError, match=r"nll_loss: `target`.ravel\(\)\[0\] is 5"):
        loss.item()


def test_a_bad_index_gives_a_row_of_nan(cupy):
    table = cupy.asarray(drawn((4, 3)))
    rows = functional.embedding(cupy.asarray(numpy.array([0, 4, 1])), table)
    with pytest.raises(ValueError, match=r"embedding: `indices`.ravel\(\)\[1\] is 4, but `weight`"):
        rows.tolist()
    found = rows.value.get()
    assert numpy.isnan(found[1]).all()
    assert_array_equal(found[[0, 2]], table.get()[:2])


def test_ignored_labels_are_no_faults(cupy):
    x, labels = drawn((4, 3)), numpy.array([0, -100, 2, -100])
    there = functional.cross_entropy(cupy.asarray(x), cupy.asarray(labels))
    assert_allclose(float(there), float(functional.cross_entropy(x, labels)), rtol=1e-6)


# ----- the same bits, and captured launches ------------------------------------------------------


def calls(cupy, kernels):
    """Yield kernels whose blocks work together."""
    x, g = (cupy.asarray(drawn((300, 40), seed)) for seed in range(2))
    w = cupy.asarray(drawn(40, 2))
    labels = cupy.asarray(numpy.arange(300) % 40)
    images = cupy.asarray(drawn((6, 5, 9, 8)))
    options = {"axes": (1,), "eps": 1e-5, "centred": True}
    yield lambda: kernels["layer_norm_back"](g, x, w, w, **options)
    losses = {"axis": 1, "ignore_index": 3, "label_smoothing": 0.1, "reduction": "mean"}
    yield lambda: (kernels["cross_entropy"](x, labels, None, **losses),)
    yield lambda: kernels["batch_norm"](images, None, None, eps=1e-5)
    yield lambda: kernels["batch_norm"](x, w, w, eps=1e-5)
    table = {"count": 40, "padding_idx": None}
    yield lambda: (kernels["embedding_weight"](labels, x, **table),)


def test_the_same_bits_each_time_and_in_a_graph(cupy, kernels):
    for call in calls(cupy, kernels):
        first = [part.get() for part in call()]
        pool = cupy.cuda.MemoryPool()
        stream = cupy.cuda.Stream(non_blocking=True)
        cupy.cuda.get_current_stream().synchronize()
        with stream, cupy.cuda.using_allocator(pool.malloc):
            stream.begin_capture()
            captured = call()
            graph = stream.end_capture()
        for _ in range(3):
            graph.launch(stream)
            stream.synchronize()
            for found in (call(), captured):
                for mine, right in zip(found, first, strict=True):
                    assert_array_equal(mine.get(), right)


def test_more_channels_than_a_workspace_has_counters(cupy, kernels):
    x = drawn((3, 700, 2))
    y, mean, variance = kernels["batch_norm"](cupy.asarray(x), None, None, eps=0.0)
    assert_allclose(mean.get(), x.mean((0, 2)), rtol=1e-5, atol=1e-6)
    assert_allclose(variance.get(), x.var((0, 2)), rtol=1e-5)
    assert y.shape == x.shape


def test_the_mask_is_that_of_the_cpu_whatever_the_key(cupy):
    x = numpy.ones((3, 5, 7), "float32")
    for key in ((1, 2), (2**63, 2**64 - 1), (-5, 3)):
        here = functional.dropout(x, 0.3, key=key).value
        assert_array_equal(functional.dropout(cupy.asarray(x), 0.3, key=key).value.get(), here)


def test_a_key_on_the_device_is_read_when_the_kernel_runs(cupy, kernels):
    x = cupy.ones(50, "float32")
    key = cupy.asarray(numpy.array([3, 4]))
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.get_current_stream().synchronize()
    with stream:
        stream.begin_capture()
        made = kernels["dropout"](x, rate=0.5, key=key, axes=1)
        graph = stream.end_capture()
    for count in (4, 5):
        key[1] = count
        cupy.cuda.get_current_stream().synchronize()
        graph.launch(stream)
        stream.synchronize()
        right = functional.dropout(numpy.ones(50, "float32"), 0.5, key=(3, count))
        assert_array_equal(made.get(), right.value)


def test_rows_of_an_embedding_are_added_in_the_order_of_their_places(cupy):
    # More of them than a block gathers at once, and some of no block that has a padding row.
    indices = numpy.random.default_rng(0).integers(0, 3, 5000)
    indices[::7] = 1
    y = drawn((5000, 4))
    table = cupy.zeros((3, 4), "float32")
    there, g = cupy.asarray(indices), cupy.asarray(y)
    found = grad(lambda w: (functional.embedding(there, w, padding_idx=1) * g).sum())(table).get()
    right = numpy.zeros((3, 4))
    numpy.add.at(right, indices, y.astype("float64"))
    right[1] = 0
    assert_allclose(found, right, atol=1e-3)


def test_what_is_left_to_others(cupy, kernels):
    x = cupy.asarray(drawn((3, 4)))
    options = {"axes": (1,), "eps": 1e-5, "centred": True}
    assert kernels["layer_norm"](x, cupy.ones(4), None, **options) is NotImplemented
    assert kernels["layer_norm"](x.astype("int32"), None, None, **options) is NotImplemented
    assert kernels["layer_norm"](x[:0], None, None, **options) is NotImplemented
    assert kernels["dropout"](x.get(), rate=0.5, key=(0, 0), axes=2) is NotImplemented
    labels = cupy.zeros(3, "float32")
    options = {"axis": 1, "ignore_index": None, "label_smoothing": 0.0, "reduction": "sum"}
    assert kernels["cross_entropy"](x, labels, None, **options) is NotImplemented
