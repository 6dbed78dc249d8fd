"""Convolution, pooling and embedding beside PyTorch's: values and gradients, for many options."""

import itertools
import warnings

import numpy
import pytest

from backpass.core import vjp
from backpass.nn import functional

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
theirs = torch.nn.functional

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")


def normal(*shape):
    return numpy.random.default_rng([len(shape), *shape]).standard_normal(shape)


def compare(name, args, indices=None, **options):
    """Compare value and gradients of a function of both libraries."""
    first = [] if indices is None else [indices]
    y, pull = vjp(lambda *xs: getattr(functional, name)(*first, *xs, **options), *args)
    there = [torch.tensor(x, requires_grad=True) for x in args]
    first = [torch.tensor(i) for i in first]
    right = getattr(theirs, name)(*first, *there, **options)
    numpy.testing.assert_allclose(y.value, right.detach().numpy(), rtol=1e-10, atol=1e-10)
    w = normal(*y.shape)
    gradients = torch.autograd.grad(right, there, torch.tensor(w))
    for found, g in zip(pull(w), gradients, strict=True):
        numpy.testing.assert_allclose(found, g.numpy(), rtol=1e-10, atol=1e-10)


STRIDES = (1, 2, (2, 1), 3)
DILATIONS = (1, 2, (1, 3))


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("padding", [0, 1, (2, 1), "same", "valid"])
def test_conv2d(padding, groups):
    for stride, dilation, biased in itertools.product(STRIDES, DILATIONS, (False, True)):
        if padding == "same" and stride != 1:
            continue
        operands = [normal(2, 4, 9, 8), normal(8, 4 // groups, 3, 2), normal(8)][: 2 + biased]
        options = {"stride": stride, "padding": padding, "dilation": dilation}
        compare("conv2d", operands, groups=groups, **options)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("padding", [0, 2, "same"])
def test_conv1d(padding, groups):
    for stride, dilation in itertools.product((1, 2, 3), (1, 2)):
        if padding == "same" and stride != 1:
            continue
        operands = [normal(3, 4, 11), normal(6, 4 // groups, 4), normal(6)]
        options = {"stride": stride, "padding": padding, "dilation": dilation}
        compare("conv1d", operands, groups=groups, **options)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("padding", [0, 1, (1, 0)])
def test_conv_transpose2d(padding, groups):
    for stride, dilation, extra in itertools.product(STRIDES, DILATIONS, (0, 1, (0, 1))):
        steps = [n if isinstance(n, tuple) else (n, n) for n in (stride, dilation, extra)]
        if any(e >= max(s, d) for s, d, e in zip(*steps, strict=True)):
            continue
        operands = [normal(2, 4, 4, 5), normal(4, 3, 3, 2), normal(3 * groups)]
        options = {"stride": stride, "padding": padding, "dilation": dilation}
        compare("conv_transpose2d", operands, output_padding=extra, groups=groups, **options)


def test_conv_transpose1d():
    for stride, dilation, padding in itertools.product((1, 2, 3), (1, 2), (0, 1)):
        options = {"stride": stride, "padding": padding, "dilation": dilation}
        compare("conv_transpose1d", [normal(2, 4, 6), normal(4, 2, 3), normal(2)], **options)


def test_without_a_batch():
    compare("conv1d", [normal(2, 7), normal(3, 2, 3), normal(3)])
    compare("conv2d", [normal(2, 7, 6), normal(3, 2, 3, 2), normal(3)])
    compare("conv_transpose2d", [normal(2, 7, 6), normal(2, 3, 3, 2), normal(3)])
    compare("max_pool2d", [normal(2, 7, 6)], kernel_size=2)
    compare("avg_pool1d", [normal(2, 7)], kernel_size=2)
    compare("adaptive_avg_pool2d", [normal(2, 7, 6)], output_size=3)


@pytest.mark.parametrize("dilation", [1, 2, (1, 2)])
@pytest.mark.parametrize("kernel", [2, 3, (3, 2)])
def test_max_pool2d(kernel, dilation):
    for stride, padding in itertools.product((None, 1, 2, (1, 3)), (0, 1)):
        options = {"stride": stride, "padding": padding, "dilation": dilation}
        compare("max_pool2d", [normal(2, 3, 9, 8)], kernel_size=kernel, **options)


def test_max_pool2d_of_ties():
    x = numpy.random.default_rng(0).integers(0, 3, (2, 3, 8, 8)).astype(float)
    x[0, 0] = -numpy.inf
    for kernel, stride, padding in ((2, 2, 0), (3, 1, 1), (3, 2, 1)):
        compare("max_pool2d", [x], kernel_size=kernel, stride=stride, padding=padding)


def test_max_pool1d():
    for stride, padding, dilation in itertools.product((None, 1, 3), (0, 1), (1, 2)):
        options = {"stride": stride, "padding": padding, "dilation": dilation}
        compare("max_pool1d", [normal(2, 3, 11)], kernel_size=3, **options)


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("kernel", [2, 3, (3, 4)])
def test_avg_pool2d(kernel, counted):
    for stride, padding in itertools.product((None, 1, 2, (1, 3)), (0, 1)):
        options = {"stride": stride, "padding": padding, "count_include_pad": counted}
        compare("avg_pool2d", [normal(2, 3, 9, 8)], kernel_size=kernel, **options)


def test_avg_pool1d():
    for stride, padding, counted in itertools.product((None, 1, 3), (0, 1), (True, False)):
        options = {"stride": stride, "padding": padding, "count_include_pad": counted}
        compare("avg_pool1d", [normal(2, 3, 11)], kernel_size=3, **options)


@pytest.mark.parametrize("output", [1, 2, 5, (3, 7), (None, 2), 11])
def test_adaptive_avg_pool2d(output):
    compare("adaptive_avg_pool2d", [normal(2, 3, 9, 8)], output_size=output)


def test_adaptive_avg_pool1d():
    for output in (1, 3, 4, 10, 12):
        compare("adaptive_avg_pool1d", [normal(2, 3, 10)], output_size=output)


@pytest.mark.parametrize("padding_idx", [None, 2, -1])
def test_embedding(padding_idx):
    indices = numpy.random.default_rng(0).integers(0, 6, (4, 5))
    compare("embedding", [normal(6, 3)], indices, padding_idx=padding_idx)


def test_everything_in_single_precision():
    x, weight = (normal(*shape).astype("f4") for shape in ((64, 8, 14, 14), (16, 8, 5, 5)))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        y = functional.conv2d(x, weight, padding=2)
    right = theirs.conv2d(torch.tensor(x), torch.tensor(weight), padding=2)
    assert y.dtype == numpy.float32
    numpy.testing.assert_allclose(y.value, right.numpy(), rtol=1e-4, atol=1e-4)
