"""Convolution, pooling and embedding beside PyTorch's: values, gradients and second derivatives."""

import itertools
import warnings

import numpy
import pytest

from backpass.core import grad, jvp, vjp
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


# ----- second derivatives -----


@pytest.mark.parametrize(
    ("name", "shapes", "options"),
    [
        ("conv1d", [(2, 4, 9), (6, 2, 3), (6,)], {"padding": "same", "dilation": 2, "groups": 2}),
        ("conv2d", [(2, 4, 7, 6), (4, 4, 3, 2), (4,)], {"stride": (2, 1), "padding": (2, 1)}),
        ("conv2d", [(2, 4, 7, 6), (8, 1, 3, 2), (8,)], {"dilation": (1, 3), "groups": 4}),
        (
            "conv_transpose2d",
            [(2, 4, 4, 5), (4, 3, 3, 2), (6,)],
            {"stride": (2, 3), "padding": 1, "output_padding": (1, 0), "groups": 2},
        ),
        ("max_pool2d", [(2, 3, 9, 8)], {"kernel_size": 3, "stride": 2, "padding": 1}),
        (
            "avg_pool2d",
            [(2, 3, 9, 8)],
            {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False},
        ),
        ("adaptive_avg_pool2d", [(2, 3, 9, 8)], {"output_size": (4, 3)}),
    ],
)
def test_second_derivatives(name, shapes, options):
    args, moves = [normal(*s) for s in shapes], [normal(*s, 1)[..., 0] for s in shapes]
    check_second(
        lambda *xs: getattr(functional, name)(*xs, **options),
        lambda *xs: getattr(theirs, name)(*xs, **options),
        args,
        moves,
    )


@pytest.mark.parametrize("padding_idx", [None, 1])
def test_second_derivatives_of_an_embedding(padding_idx):
    indices = numpy.array([[0, 1, 4], [1, 1, 0]])
    check_second(
        lambda w: functional.embedding(indices, w, padding_idx),
        lambda w: theirs.embedding(torch.tensor(indices), w, padding_idx),
        [normal(6, 3)],
        [normal(6, 3, 1)[..., 0]],
    )


def check_second(ours, others, args, moves):
    """Compare the Hessian's product with a vector, got in three ways, for the sum of the cubes."""
    there = [torch.tensor(x, requires_grad=True) for x in args]
    first = torch.autograd.grad((others(*there) ** 3).sum(), there, create_graph=True)
    along = sum((g * torch.tensor(v)).sum() for g, v in zip(first, moves, strict=True))
    right = [g.numpy() for g in torch.autograd.grad(along, there)]
    every = tuple(range(len(args)))

    def loss(*xs):
        return (ours(*xs) ** 3).sum()

    def slope(*xs):
        gradients = grad(loss, argnums=every)(*xs)
        return sum((g * v).sum() for g, v in zip(gradients, moves, strict=True))

    def along_the_way(*xs):
        return jvp(loss, xs, moves)[1]

    ways = {
        "reverse over reverse": grad(slope, argnums=every)(*args),
        "reverse over forward": grad(along_the_way, argnums=every)(*args),
        "forward over reverse": jvp(grad(loss, argnums=every), args, moves)[1],
    }
    for way, found in ways.items():
        for a, b in zip(found, right, strict=True):
            numpy.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9, err_msg=way)


def test_everything_in_single_precision():
    x, weight = (normal(*shape).astype("f4") for shape in ((64, 8, 14, 14), (16, 8, 5, 5)))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        y = functional.conv2d(x, weight, padding=2)
    right = theirs.conv2d(torch.tensor(x), torch.tensor(weight), padding=2)
    assert y.dtype == numpy.float32
    numpy.testing.assert_allclose(y.value, right.numpy(), rtol=1e-4, atol=1e-4)
