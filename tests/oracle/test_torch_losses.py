"""Losses, activations and the dense layer beside PyTorch's: values, gradients, gradients of those.

Every option, in double precision; extreme logits in single precision, too.
"""

import itertools

import numpy
import pytest
from numpy.testing import assert_allclose

import backpass.numpy as np
from backpass.core import grad, hvp, value_and_grad
from backpass.nn import functional

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
theirs = torch.nn.functional

REDUCTIONS = ("mean", "sum", "none")

pytestmark = [
    # Of what is straight, the second derivative does not depend on anything.
    pytest.mark.filterwarnings("ignore:the output of .* does not depend:UserWarning"),
    pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss:UserWarning"),
]


def tensors(xs):
    return [torch.tensor(x, requires_grad=True) for x in xs]


def compare(ours, other, args, rtol=1e-10, atol=1e-12, second=True):
    """Compare two functions of arrays: values, gradients of a weighted sum, Hessian products."""
    weights = numpy.random.default_rng(1).uniform(0.5, 1.5, numpy.shape(ours(*args).value))
    weights = weights.astype(args[0].dtype)
    every = tuple(range(len(args)))

    def weighted(*xs):
        return np.sum(ours(*xs) * weights)

    leaves = tensors(args)
    out = other(*leaves)
    assert_allclose(ours(*args).value, out.detach().numpy(), rtol=rtol, atol=atol)
    total = (out * torch.tensor(weights)).sum()
    right = torch.autograd.grad(total, leaves, create_graph=second)
    _, found = value_and_grad(weighted, every)(*args)
    for a, b in zip(found, right, strict=True):
        assert a.dtype == args[0].dtype
        assert_allclose(a, b.numpy(force=True), rtol=rtol, atol=atol)
    if not second:
        return
    random = numpy.random.default_rng(2)
    directions = [random.normal(size=x.shape) for x in args]
    moved = sum((g * torch.tensor(d)).sum() for g, d in zip(right, directions, strict=True))
    if not moved.requires_grad:
        return
    products = torch.autograd.grad(moved, leaves, allow_unused=True)

    def along(*xs):
        gradients = grad(weighted, every)(*xs)
        return sum(np.sum(g * d) for g, d in zip(gradients, directions, strict=True))

    for a, b in zip(grad(along, every)(*args), products, strict=True):
        b = numpy.zeros(a.shape) if b is None else b.numpy(force=True)
        assert_allclose(a, b, rtol=1e-8, atol=1e-10)
    # Forward over reverse.
    forward = hvp(weighted, args, directions)
    for a, b in zip(forward if len(args) > 1 else [forward], products, strict=True):
        b = numpy.zeros(a.shape) if b is None else b.numpy(force=True)
        assert_allclose(a, b, rtol=1e-8, atol=1e-10)


# ----- cross-entropy -----------------------------------------------------------------------------

SHAPES = [(6, 4), (3, 4, 5), (2, 4, 2, 3), (4,)]
SMOOTHING = (0.0, 0.15, 1.0)
WEIGHTS = numpy.array([0.5, 2.0, 0.0, 1.25])


def logits_and_labels(shape, dtype="float64"):
    random = numpy.random.default_rng(3)
    logits = random.normal(0, 3, shape).astype(dtype)
    rest = shape[:1] + shape[2:] if len(shape) > 1 else ()
    return logits, random.integers(0, 4, rest)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", SMOOTHING)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignore", [-100, 1])
def test_cross_entropy_of_labels(reduction, smoothing, shape, weighted, ignore):
    logits, labels = logits_and_labels(shape)
    if ignore == 1 and not shape[1:]:
        ignore = (int(labels) + 1) % 4  # not the only one: a mean over nothing is tested elsewhere
    weight = WEIGHTS if weighted else None
    if weighted and not shape[1:] and WEIGHTS[labels] == 0:
        weight = WEIGHTS + 1
    options = {"reduction": reduction, "label_smoothing": smoothing, "ignore_index": ignore}
    compare(
        lambda x: functional.cross_entropy(x, labels, weight=weight, **options),
        lambda x: theirs.cross_entropy(
            x,
            torch.tensor(labels),
            weight=None if weight is None else torch.tensor(weight),
            **options,
        ),
        [logits],
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", SMOOTHING)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_of_probabilities(reduction, smoothing, shape, weighted):
    logits, _ = logits_and_labels(shape)
    target = numpy.random.default_rng(4).uniform(0, 1, shape)
    options = {"reduction": reduction, "label_smoothing": smoothing}
    compare(
        lambda x, p: functional.cross_entropy(
            x, p, weight=WEIGHTS if weighted else None, **options
        ),
        lambda x, p: theirs.cross_entropy(
            x, p, weight=torch.tensor(WEIGHTS) if weighted else None, **options
        ),
        [logits, target],
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignore", [-100, 1])
def test_nll_loss(reduction, shape, weighted, ignore):
    logits, labels = logits_and_labels(shape)
    if not shape[1:]:
        ignore = -100
    weight = WEIGHTS + 0.5 if weighted else None
    options = {"reduction": reduction, "ignore_index": ignore}
    compare(
        lambda x: functional.nll_loss(x, labels, weight=weight, **options),
        lambda x: theirs.nll_loss(
            x,
            torch.tensor(labels),
            weight=None if weight is None else torch.tensor(weight),
            **options,
        ),
        [logits],
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1e2, 1e4, 1e30])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_at_extreme_logits(dtype, size, smoothing):
    logits = numpy.array([[size, -size, 0], [0, 0, -size], [-size, size, size]], dtype)
    labels = numpy.array([0, 2, 1])
    compare(
        lambda x: functional.cross_entropy(x, labels, label_smoothing=smoothing),
        lambda x: theirs.cross_entropy(x, torch.tensor(labels), label_smoothing=smoothing),
        [logits],
        rtol=1e-6,
        # Gradients are differences of numbers below 1, rounded to 6e-8 in single precision.
        atol=1e-7 if dtype == "float32" else 1e-12,
        second=False,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_where_all_is_ignored_it_is_as_in_pytorch(reduction):
    logits, _ = logits_and_labels((3, 4))
    labels = numpy.full(3, -100)
    compare(
        lambda x: functional.cross_entropy(x, labels, reduction=reduction),
        lambda x: theirs.cross_entropy(x, torch.tensor(labels), reduction=reduction),
        [logits],
        second=False,
    )


# ----- predictions beside targets ----------------------------------------------------------------


def drawn(kind, seed, shape=(4, 3), dtype="float64"):
    random = numpy.random.default_rng(seed)
    made = {
        "numbers": lambda: random.normal(0, 2, shape),
        "chances": lambda: random.uniform(0.05, 0.95, shape),
        "bits": lambda: random.integers(0, 2, shape).astype(float),
        "logarithms": lambda: numpy.log(random.uniform(0.05, 0.95, shape)),
        "weights": lambda: random.uniform(0.2, 3, shape),
    }[kind]()
    return made.astype(dtype)


#: The name, what it compares, and its options.
PAIRED = [
    ("mse_loss", "numbers", "numbers", {}),
    ("l1_loss", "numbers", "numbers", {}),
    ("smooth_l1_loss", "numbers", "numbers", {"beta": [1.0, 0.3, 0.0, 5.0]}),
    ("huber_loss", "numbers", "numbers", {"delta": [1.0, 0.3, 5.0]}),
    ("binary_cross_entropy", "chances", "chances", {}),
    ("binary_cross_entropy", "chances", "bits", {}),
    ("binary_cross_entropy_with_logits", "numbers", "chances", {}),
    ("binary_cross_entropy_with_logits", "numbers", "bits", {}),
    ("kl_div", "logarithms", "chances", {"log_target": [False]}),
    ("kl_div", "logarithms", "logarithms", {"log_target": [True]}),
]


def combinations(options):
    for values in itertools.product(*options.values()):
        yield dict(zip(options, values, strict=True))


@pytest.mark.parametrize("reduction", [*REDUCTIONS, "batchmean"])
@pytest.mark.parametrize(("name", "x", "target", "options"), PAIRED, ids=str)
def test_losses_of_pairs(name, x, target, options, reduction):
    if reduction == "batchmean" and name != "kl_div":
        pytest.skip("only kl_div has it")
    args = [drawn(x, 5), drawn(target, 6)]
    for chosen in combinations(options):
        compare(
            lambda *xs, c=chosen: getattr(functional, name)(*xs, reduction=reduction, **c),
            lambda *xs, c=chosen: getattr(theirs, name)(*xs, reduction=reduction, **c),
            args,
        )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
def test_weights_of_distances(name, reduction):
    args = [drawn("numbers", 7), drawn("numbers", 8), drawn("weights", 9)]
    compare(
        lambda x, t, w: getattr(functional, name)(x, t, weight=w, reduction=reduction),
        lambda x, t, w: getattr(theirs, name)(x, t, weight=w, reduction=reduction),
        args,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(4, 3), (3,), (4, 1)], ids=str)
def test_weights_of_binary_cross_entropy(reduction, shape):
    weight = drawn("weights", 10, shape)
    for name, x in (
        ("binary_cross_entropy", drawn("chances", 11)),
        ("binary_cross_entropy_with_logits", drawn("numbers", 11)),
    ):
        compare(
            lambda x, t, name=name: getattr(functional, name)(
                x, t, weight=weight, reduction=reduction
            ),
            lambda x, t, name=name: getattr(theirs, name)(
                x, t, weight=torch.tensor(weight), reduction=reduction
            ),
            [x, drawn("chances", 12)],
        )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(4, 3), (3,), (1,)], ids=str)
def test_weights_of_positive_targets(reduction, shape):
    weight = drawn("weights", 15, shape)  # PyTorch does not differentiate it
    compare(
        lambda x, t: functional.binary_cross_entropy_with_logits(
            x, t, pos_weight=weight, reduction=reduction
        ),
        lambda x, t: theirs.binary_cross_entropy_with_logits(
            x, t, pos_weight=torch.tensor(weight), reduction=reduction
        ),
        [drawn("numbers", 13), drawn("chances", 14)],
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_binary_cross_entropy_at_its_ends(dtype):
    x = numpy.array([0, 1, 0, 1, 1e-20, 0.5], dtype)
    target = numpy.array([1, 0, 0, 1, 1, 0.5], dtype)
    compare(
        lambda x: functional.binary_cross_entropy(x, target, reduction="none"),
        lambda x: theirs.binary_cross_entropy(x, torch.tensor(target), reduction="none"),
        [x],
        rtol=1e-6,
        second=False,
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1e2, 1e4, 1e30])
def test_binary_cross_entropy_with_logits_at_extreme_logits(dtype, size):
    x = numpy.array([size, -size, size, -size, 0], dtype)
    target = numpy.array([1, 0, 0, 1, 0.5], dtype)
    compare(
        lambda x: functional.binary_cross_entropy_with_logits(x, target),
        lambda x: theirs.binary_cross_entropy_with_logits(x, torch.tensor(target)),
        [x],
        rtol=1e-6,
        second=False,
    )


# ----- vectors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("margin", [0.0, 0.4, -0.5])
def test_cosine_embedding_loss(reduction, margin):
    signs = numpy.array([1, -1, -1, 1, -1])
    compare(
        lambda x, y: functional.cosine_embedding_loss(
            x, y, signs, margin=margin, reduction=reduction
        ),
        lambda x, y: theirs.cosine_embedding_loss(
            x, y, torch.tensor(signs), margin=margin, reduction=reduction
        ),
        [drawn("numbers", 16, (5, 4)), drawn("numbers", 17, (5, 4))],
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("p", [1.0, 2.0, 3.5])
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("margin", [1.0, 4.0])
def test_triplet_margin_loss(reduction, p, swap, margin):
    options = {"margin": margin, "p": p, "swap": swap, "reduction": reduction, "eps": 1e-4}
    compare(
        lambda *xs: functional.triplet_margin_loss(*xs, **options),
        lambda *xs: theirs.triplet_margin_loss(*xs, **options),
        [drawn("numbers", seed, (5, 4)) for seed in (18, 19, 20)],
    )


# ----- activations and the dense layer -----------------------------------------------------------

ACTIVATIONS = {
    "celu": {"alpha": [1.0, 2.5]},
    "elu": {"alpha": [1.0, 2.5]},
    "gelu": {"approximate": ["none", "tanh"]},
    "hardsigmoid": {},
    "hardswish": {},
    "hardtanh": {"min_val": [-1.0, -0.3], "max_val": [1.0, 2.5]},
    "leaky_relu": {"negative_slope": [0.01, 0.3]},
    "logsigmoid": {},
    "mish": {},
    "relu": {},
    "relu6": {},
    "selu": {},
    "sigmoid": {},
    "silu": {},
    "softplus": {"beta": [1.0, 3.0], "threshold": [20.0, 2.0]},
    "softsign": {},
    "tanh": {},
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    # Between the kinks, at which PyTorch has not always the slope of least norm.
    x = numpy.linspace(-12.05, 12.05, 100).reshape(4, 25)
    for options in combinations(ACTIVATIONS[name]):
        compare(
            lambda x, o=options: getattr(functional, name)(x, **o),
            lambda x, o=options: getattr(theirs, name, getattr(torch, name, None))(x, **o),
            [x],
            # PyTorch's 1 / 6 is in single precision, and has no second derivative.
            rtol=1e-7 if name == "hardsigmoid" else 1e-10,
            second=name != "hardsigmoid",
        )


# PyTorch's derivative of softsign is a difference that loses its digits there.
@pytest.mark.parametrize("name", sorted({*ACTIVATIONS} - {"softsign"}))
def test_activations_far_out(name):
    x = numpy.array([-1e30, -1e4, -200, 200, 1e4, 1e30], "float32")
    compare(
        getattr(functional, name),
        getattr(theirs, name, getattr(torch, name, None)),
        [x],
        rtol=1e-6,
        second=False,
    )


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin"])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_the_softmax(name, axis):
    compare(
        lambda x: getattr(functional, name)(x, axis),
        lambda x: getattr(theirs, name)(x, dim=axis),
        [drawn("numbers", 21, (3, 4, 2))],
    )


@pytest.mark.parametrize("axis", [0, -1])
def test_glu(axis):
    compare(
        lambda x: functional.glu(x, axis),
        lambda x: theirs.glu(x, axis),
        [drawn("numbers", 22, (4, 3, 2))],
    )


@pytest.mark.parametrize(("shape", "count"), [((4, 3), 3), ((2, 3, 4, 2), 3), ((4,), 1)])
def test_prelu(shape, count):
    compare(
        functional.prelu,
        theirs.prelu,
        [drawn("numbers", 23, shape), drawn("chances", 24, (count,))],
    )


@pytest.mark.parametrize("shape", [(5, 3), (3,), (2, 4, 3)], ids=str)
@pytest.mark.parametrize("activation", [None, "relu", "tanh", "sigmoid"])
def test_linear(shape, activation):
    outer = {None: lambda x: x}.get(activation) or getattr(torch, activation)
    compare(
        lambda *xs: functional.linear(*xs, activation),
        lambda *xs: outer(theirs.linear(*xs)),
        [drawn("numbers", 25, shape), drawn("numbers", 26, (2, 3)), drawn("numbers", 27, (2,))],
    )
